"""What clients and servers with this extension say to each other.

Besides the words of a push (see ``route.py`` and ``reply.py``) there is one
command, which lists pushes. Its arguments are all optional: ``last`` and
``limit`` are numbers, ``user`` and ``rev`` text in UTF-8, quoted as in a URL
(hgweb takes nothing but ASCII for an argument), ``nodes`` is ``1`` or not
there. Its answer is a page of ``pushlist.py`` in JSON, or an ``error`` with,
maybe, a ``hint``: an exception would end the connection over ssh, and give
none of its text over http. Both ends overlook what they do not know, so that
later releases can say more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional

from mercurial import (
    bundle2,
    encoding,
    error,
    exthelper,
    util,
    wireprototypes,
    wireprotov1server,
)
from mercurial.i18n import _

from . import compat, pushlist, reply, route, server as servermod

eh = exthelper.exthelper()

PUSHES = b'bundlestorepushes'

_HEXDIGITS = frozenset('0123456789abcdef')
# all that SQL servers and JSON can hold
_MAX_DIGITS = 15
# in the year 9892; calendars end with the year 9999
_MAX_TIME = 250_000_000_000


@eh.extsetup
def register(ui):
    """Make the stream parameter and the reply part known.

    Mercurial aborts a push with a mandatory parameter that it does not know,
    so this must come after everything that takes such pushes aside.
    """
    bundle2.b2streamparamhandler(route.PARAMETER.lower())(_checkparameter)
    compat.parthandler(reply.STORED, (b'push', b'key'))(_recordstored)
    command = wireprotov1server.wireprotocommand(
        PUSHES, b'*', permission=b'pull'
    )
    command(_pushes)


def _checkparameter(unbundler, param, value) -> None:
    if value != b'1':
        raise error.BundleUnknownFeatureError(params=(param,), values=(value,))


def _recordstored(operation, part) -> None:
    """Note what the server stored in the records of the operation."""
    operation.records.add(
        reply.STORED,
        {
            b'push': int(part.params[b'push']),
            b'key': part.params[b'key'],
            b'nodes': part.read(),
        },
    )


# -- listing pushes, on the server


def _pushes(repo, proto, args):
    try:
        server = servermod.of(repo)
        if server is None:
            raise error.Abort(_(b'the repository has no bundle store'))
        answer = pushlist.page(server, _decodequery(args))
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
    try:
        raw = json.loads(data.decode('utf-8'))
        if 'error' in raw:
            hint = raw.get('hint')
            raise error.RemoteError(
                _tolocal(raw['error']),
                hint=None if hint is None else _tolocal(hint),
            )
        return {
            'pushes': [_record(push) for push in raw['pushes']],
            'next': _optional(_number, raw.get('next')),
            'node': _optional(_node, raw.get('node')),
        }
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
    ):
        raise error.RemoteError(
            _(b'the server gave a list of pushes that makes no sense'),
            hint=_(b'it may run another release of hg-bundlestore'),
        )


def _record(raw: Any) -> dict[str, Any]:
    result = {
        'push': _number(raw['push']),
        'time': min(_number(raw['time']), _MAX_TIME),
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


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    # JSON can name half a surrogate pair, which is no character
    return value.encode('utf-8', 'replace').decode('utf-8')


def _node(value: Any) -> str:
    text = _text(value)
    if len(text) != 40 or not _HEXDIGITS.issuperset(text):
        raise ValueError(value)
    return text


def _tolocal(value: Any) -> bytes:
    return servermod.tolocal(_text(value))
