"""What clients and servers with this extension say to each other.

Besides the words of a push (see ``route.py`` and ``reply.py``) there are three
commands. Their arguments are all optional, and both ends overlook what they
do not know, so that later releases can say more. They answer in JSON, maybe
with nothing but an ``error`` and a ``hint``: an exception would end the
connection over ssh, and give none of its text over http.

``bundlestorepushes`` lists pushes. ``last`` and ``limit`` are numbers,
``user`` and ``rev`` text in UTF-8, quoted as in a URL (hgweb takes nothing
but ASCII for an argument), ``nodes`` is ``1`` or not there. ``bookmarks``, a
pattern, and ``after``, a name, ask for scratch bookmarks instead. The answer
is a page of ``pushlist.py``.

``bundlestoreknown`` tells what need not be pushed, see ``known.py``.
``nodes``, ``heads`` and ``base`` are hashes with spaces between them,
``total`` is a number. The answer has ``known``, a ``1`` or ``0`` for each of
``nodes``, ``same``, the key of a bundle or null, and ``rest``, true or false.
The capability of the same name announces the command.

``bundlestoreremove`` removes the push with the number ``push``. The answer is
that of ``removal.py``. It is announced as well. It changes something, so over
http it must be a POST.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any, Callable, Optional, TypeVar

from mercurial import (
    encoding,
    error,
    util,
    wireprototypes,
)
from mercurial.i18n import _

from . import compat, model, names, pushlist, server as servermod
from .push import known as knownmod
from .start import wraps

_T = TypeVar('_T')

_HEXDIGITS = frozenset('0123456789abcdef')
# all that SQL servers and JSON can hold
_MAX_DIGITS = 15
# in the year 9892; calendars end with the year 9999
_MAX_TIME = 250_000_000_000


@functools.cache
def registerreply() -> None:
    """Make the reply part known to this process, a client."""
    compat.parthandler(names.STORED, (b'push', b'key'))(_recordstored)


def checkparameter(unbundler, param, value) -> None:
    """Refuse a stream parameter that means nothing."""
    if value != b'1':
        raise error.BundleUnknownFeatureError(
            params=(param,), values=(value or b'',)
        )


def _recordstored(operation, part) -> None:
    """Note what the server stored in the records of the operation."""
    operation.records.add(
        names.STORED,
        {
            b'push': int(part.params[b'push']),
            b'key': part.params[b'key'],
            b'nodes': part.read(),
        },
    )


def call(peer, command: bytes, args: Mapping[str, bytes]) -> bytes:
    """Send a command of ours and return the answer."""
    # Mercurial wants to know it at this end, too
    wraps.apply('ask')
    answer: bytes = peer._call(command, **args)
    return answer


# -- listing pushes, on the server


def pushes(repo, proto, args):
    """Answer the wire command that lists pushes."""
    return _answer(
        repo, lambda server: pushlist.page(repo, server, _decodequery(args))
    )


def _answer(repo, ask: Callable[[servermod.Server], dict[str, Any]]):
    """Return the response with what ``ask`` says, be it that it aborts."""
    try:
        server = servermod.of(repo)
        if server is None:
            raise error.Abort(_(b'the repository has no bundle store'))
        answer = ask(server)
    except error.Abort as exc:
        answer = {'error': _totext(exc.message)}
        if exc.hint is not None:
            answer['hint'] = _totext(exc.hint)
    data = json.dumps(answer, ensure_ascii=False, separators=(',', ':'))
    return wireprototypes.bytesresponse(data.encode('utf-8', 'replace'))


def _totext(message: bytes) -> str:
    return encoding.fromlocal(message).decode('utf-8', 'replace')


def _decodequery(args: Mapping[bytes, bytes]) -> pushlist.Query:
    return pushlist.Query(
        last=_numberof(args, b'last'),
        limit=_numberof(args, b'limit'),
        user=_textof(args, b'user'),
        rev=_textof(args, b'rev'),
        nodes=args.get(b'nodes') == b'1',
        bookmarks=_textof(args, b'bookmarks'),
        after=_textof(args, b'after'),
    )


def _numberof(args: Mapping[bytes, bytes], name: bytes) -> Optional[int]:
    value = args.get(name)
    if value is None:
        return None
    if value.isdigit() and len(value) <= _MAX_DIGITS and int(value):
        return int(value)
    raise error.InputError(_(b"'%s' is not a positive number") % name)


def _textof(args: Mapping[bytes, bytes], name: bytes) -> Optional[str]:
    value = args.get(name)
    if value is None:
        return None
    try:
        text: str = util.urlreq.unquote(value).decode('utf-8')
    except UnicodeDecodeError:
        raise error.InputError(_(b"'%s' is not UTF-8") % name)
    return text


# -- what is known


def known(repo, proto, args):
    """Answer the wire command that tells what need not be pushed."""

    def ask(server) -> dict[str, Any]:
        query = knownmod.Query(
            _nodesof(args, b'nodes'),
            _nodesof(args, b'heads'),
            _nodesof(args, b'base'),
            _numberof(args, b'total'),
        )
        with servermod.aborting():
            found = knownmod.answer(repo, server, query)
        return {
            'known': ''.join('01'[node in found.known] for node in query.nodes),
            'same': found.same,
            'rest': found.rest,
        }

    return _answer(repo, ask)


# -- removing pushes


def remove(repo, proto, args):
    """Answer the wire command that removes a push."""

    def ask(server) -> dict[str, Any]:
        id = _numberof(args, b'push')
        if id is None:
            raise error.InputError(_(b'no push was named'))
        found: dict[str, Any] = wraps.room('keep.removal.remove')(
            repo, server, id
        )
        return found

    return _answer(repo, ask)


def encoderemove(id: int) -> dict[str, bytes]:
    """Return the arguments of the command."""
    # with data it is a POST
    return {'push': b'%d' % id, 'data': b'\n'}


def decoderemove(data: bytes) -> dict[str, Any]:
    """Return what the server says that it removed; raises
    ``error.RemoteError``."""
    fields = ('push', 'bundles', 'size')
    return _decode(data, lambda raw: {f: _number(raw[f]) for f in fields})


def _nodesof(args: Mapping[bytes, bytes], name: bytes) -> list[bytes]:
    try:
        nodes: list[bytes] = wireprototypes.decodelist(args.get(name, b''))
    except ValueError:
        nodes = [b'']
    if len(nodes) > knownmod.MAX_NODES or any(
        len(node) != 20 for node in nodes
    ):
        raise error.InputError(_(b"'%s' is no list of hashes") % name)
    return nodes


def encodeknown(query: knownmod.Query) -> dict[str, bytes]:
    """Return the arguments of the command."""
    args = {'nodes': wireprototypes.encodelist(query.nodes)}
    if query.heads:
        args['heads'] = wireprototypes.encodelist(query.heads)
    if query.base:
        args['base'] = wireprototypes.encodelist(query.base)
    if query.total is not None:
        args['total'] = b'%d' % query.total
    return args


def decodeknown(query: knownmod.Query, data: bytes) -> knownmod.Answer:
    """Return the server's answer to ``query``; raises
    ``error.RemoteError``."""

    def read(raw: dict[str, Any]) -> knownmod.Answer:
        flags = _text(raw['known'])
        if len(flags) != len(query.nodes):
            raise ValueError(flags)
        return knownmod.Answer(
            {node for node, flag in zip(query.nodes, flags) if flag == '1'},
            _optional(_key, raw.get('same')),
            bool(raw.get('rest')),
        )

    return _decode(data, read)


# -- listing pushes, on the client


def encodequery(query: pushlist.Query) -> dict[str, bytes]:
    """Return the arguments of the command."""
    args: dict[str, bytes] = {
        name: util.urlreq.quote(str(value).encode('utf-8', 'replace'))
        for name, value in query._asdict().items()
        if name != 'nodes' and value is not None
    }
    if query.nodes:
        args['nodes'] = b'1'
    return args


def decodepage(data: bytes) -> dict[str, Any]:
    """Return a page as ``pushlist.page`` does, whatever the server sent;
    raises ``error.RemoteError``."""

    def page(raw: dict[str, Any]) -> dict[str, Any]:
        return {
            'pushes': [_record(push) for push in raw['pushes']],
            'next': _optional(_number, raw.get('next')),
            'node': _optional(_node, raw.get('node')),
        }

    return _decode(data, page)


def decodebookmarks(data: bytes) -> dict[str, Any]:
    """The same for a page of scratch bookmarks."""

    def page(raw: dict[str, Any]) -> dict[str, Any]:
        return {
            'bookmarks': [
                {
                    'bookmark': _text(mark['bookmark']),
                    'node': _node(mark['node']),
                    'push': _optional(_number, mark['push']),
                    'user': _text(mark['user']),
                    'time': _optional(_time, mark['time']),
                }
                for mark in raw['bookmarks']
            ],
            'next': _optional(_text, raw.get('next')),
        }

    return _decode(data, page)


def _decode(data: bytes, read: Callable[[dict[str, Any]], _T]) -> _T:
    """Return what ``read`` makes of an answer, whatever the server sent;
    raises ``error.RemoteError``."""
    try:
        raw = json.loads(data.decode('utf-8'))
        if 'error' in raw:
            hint = raw.get('hint')
            raise error.RemoteError(
                _tolocal(raw['error']),
                hint=None if hint is None else _tolocal(hint),
            )
        return read(raw)
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
    ):
        raise error.RemoteError(
            _(b'the server gave an answer that makes no sense'),
            hint=_(b'it may run another release of hg-bundlestore'),
        )


def _record(raw: Any) -> dict[str, Any]:
    result = {
        'push': _number(raw['push']),
        'time': _time(raw['time']),
        'user': _text(raw['user']),
        'bundle': _text(raw['bundle']),
        'size': _number(raw['size']),
        'count': _number(raw['count']),
        'heads': [
            {'node': _node(head['node']), 'desc': _text(head['desc'])}
            for head in raw['heads']
        ],
        'bookmarks': [
            {
                'bookmark': _text(mark['bookmark']),
                'node': _optional(_node, mark['node']),
            }
            for mark in raw['bookmarks']
        ],
    }
    if 'nodes' in raw:
        result['nodes'] = [_node(node) for node in raw['nodes']]
    return result


def _optional(check, value: Any) -> Any:
    return None if value is None else check(value)


def _number(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 10**_MAX_DIGITS:
        raise ValueError(value)
    return value


def _time(value: Any) -> int:
    return min(_number(value), _MAX_TIME)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    # JSON can name half a surrogate pair, which is no character
    return value.encode('utf-8', 'replace').decode('utf-8')


def _key(value: Any) -> str:
    return model.checkkey(value)


def _node(value: Any) -> str:
    text = _text(value)
    if len(text) != 40 or not _HEXDIGITS.issuperset(text):
        raise ValueError(value)
    return text


def _tolocal(value: Any) -> bytes:
    return servermod.tolocal(_text(value))
