"""The commands ``bundlestoreviews`` and ``bundlestoreview``: views are read,
and changed.

A view is a named set of heads and bookmarks on the server: a workspace, or
the backup of a clone. What reads has its arguments as other commands have
them. What changes one sends a body in JSON, as a view may have ten thousand
heads; it tells only what changes, and from which version on. Over http only
such a command makes a client log in; so who asks for views of their own, or can
log in and may see some that are private, sends the question in the place of a
change. The answers are made in ``views/``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from typing import Any, Optional, Union

from mercurial import error, util
from mercurial.i18n import _

from .. import names, viewmodel
from ..records import NamedTuple
from ..start import wraps
from . import exchange, values

#: bytes that a change may have: one of the most heads that a view can hold
MAX_CHANGE = 20_000_000

#: what may be done with a view besides putting something there
ACTIONS = ('share', 'unshare', 'rename', 'drop', 'restore')


class Query(NamedTuple):
    """What somebody wants to know: a view, if ``name`` is given, or its
    ``log``, else a list of views."""

    #: whose; None for who asks
    owner: Optional[str] = None
    name: Optional[str] = None
    #: how it was then
    version: Optional[int] = None
    #: nothing but this very number, if the view has that version
    unless: Optional[int] = None
    log: bool = False
    #: whether who asks wants to push to it
    writing: bool = False
    #: in a list: of all users
    everybody: bool = False
    #: in a list: names that begin so
    prefix: Optional[str] = None
    #: in a list: behind this owner and name
    afterowner: Optional[str] = None
    aftername: Optional[str] = None
    #: in a log: before this version
    before: Optional[int] = None
    limit: Optional[int] = None


_NUMBERS = frozenset(['version', 'unless', 'before', 'limit'])
_FLAGS = frozenset(['log', 'writing', 'everybody'])


class Change(NamedTuple):
    """What shall be done with a view."""

    #: one of ``ACTIONS``, or ``put``
    action: str
    #: whose; None for who asks
    owner: Optional[str]
    name: str
    #: which version of it is changed; 0 where there is none
    expected: int = 0
    #: heads that come and go
    added: tuple[bytes, ...] = ()
    removed: tuple[bytes, ...] = ()
    #: bookmarks that move, or go
    bookmarks: tuple[tuple[str, Optional[bytes]], ...] = ()
    #: what the client keeps there; None: as it is
    state: Optional[str] = None
    #: where the change is made
    machine: str = ''
    #: to whom it is shared, or what it is called
    argument: str = ''
    #: a new one that others do not see
    private: bool = False


class Answer(NamedTuple):
    """A view, and what is known of it."""

    #: None: there is none
    view: Optional[viewmodel.View]
    #: those of its heads and bookmarks that neither the store nor the
    #: repository has any more
    gone: frozenset[bytes] = frozenset()
    #: whether it is as it was, and was not sent therefore
    same: bool = False
    #: whether it was changed by somebody else before
    moved: bool = False
    #: whether who asks may push to it
    writable: bool = True


# -- on the client


def encode(query: Query) -> dict[str, bytes]:
    """Return the arguments of the command that reads."""
    args: dict[str, bytes] = {}
    for name, value in query._asdict().items():
        if name in _FLAGS:
            args.update({name: b'1'} if value else {})
        elif value is not None:
            args[name] = util.urlreq.quote(
                str(value).encode('utf-8', 'replace')
            )
    return args


def ask(peer, query: Query) -> bytes:
    """Have a server answer a question."""
    mine = query.owner is None and not query.everybody
    if exchange.ishttp(peer) and (
        mine or query.writing or exchange.haslogin(peer)
    ):
        return _send(peer, {'ask': query._asdict()})
    return exchange.call(peer, names.VIEWS, encode(query))


def send(peer, change: Change) -> Answer:
    """Have a server change a view; raises ``error.RemoteError``."""
    return decode(_send(peer, _raw(change)))


def _send(peer, raw: dict[str, Any]) -> bytes:
    wraps.apply('ask')
    data = json.dumps(raw, separators=(',', ':')).encode()
    said: bytes
    if exchange.ishttp(peer):
        said = peer._call(names.VIEW, data=data)
    else:
        # the second is what came in the place of an empty answer
        _nothing, said = peer._callpush(names.VIEW, io.BytesIO(data))
    return said


def _raw(change: Change) -> dict[str, Any]:
    return {
        **change._asdict(),
        'added': [node.hex() for node in change.added],
        'removed': [node.hex() for node in change.removed],
        'bookmarks': {
            name: None if node is None else node.hex()
            for name, node in change.bookmarks
        },
    }


def decode(data: bytes) -> Answer:
    """Return the answer about one view; raises ``error.RemoteError``."""

    def read(raw: dict[str, Any]) -> Answer:
        return Answer(
            values.optional(_view, raw.get('view')),
            frozenset(map(_node, raw.get('gone', ()))),
            bool(raw.get('same')),
            bool(raw.get('moved')),
            bool(raw.get('writable', True)),
        )

    return exchange.decode(data, read)


def _node(raw: Any) -> bytes:
    return bytes.fromhex(values.node(raw))


def _view(raw: dict[str, Any]) -> viewmodel.View:
    view = viewmodel.View(
        owner=values.text(raw['owner']),
        name=values.text(raw['name']),
        heads=tuple(map(_node, raw['heads'])),
        bookmarks=tuple(
            (values.text(name), _node(node))
            for name, node in raw['bookmarks'].items()
        ),
        state=values.text(raw['state']),
        writers=tuple(map(values.text, raw['writers'])),
        dropped=bool(raw['dropped']),
        version=values.number(raw['version']),
        time=values.time(raw['time']),
        user=values.text(raw['user']),
        machine=values.text(raw['machine']),
        uid=values.text(raw.get('uid', '')),
        private=bool(raw.get('private')),
        readers=tuple(map(values.text, raw.get('readers', ()))),
    )
    view.check()
    return view


def decodelist(data: bytes) -> dict[str, Any]:
    """Return a page of a list of views; raises ``error.RemoteError``."""

    def page(raw: dict[str, Any]) -> dict[str, Any]:
        return {
            'views': [
                {
                    **_texts(one, 'owner', 'name', 'user', 'machine'),
                    'version': values.number(one['version']),
                    'time': values.time(one['time']),
                    **_rights(one),
                    'dropped': bool(one['dropped']),
                    'heads': values.number(one['heads']),
                    'bookmarks': values.number(one['bookmarks']),
                }
                for one in raw['views']
            ],
            'next': values.optional(
                lambda pair: tuple(map(values.text, pair)), raw.get('next')
            ),
        }

    return exchange.decode(data, page)


def decodelog(data: bytes) -> dict[str, Any]:
    """Return a page of the versions of a view; raises
    ``error.RemoteError``."""

    def page(raw: dict[str, Any]) -> dict[str, Any]:
        return {
            'versions': [
                {
                    **_texts(one, 'owner', 'name', 'user', 'machine'),
                    'version': values.number(one['version']),
                    'time': values.time(one['time']),
                    **_rights(one),
                    'dropped': bool(one['dropped']),
                    'added': [*map(values.node, one['added'])],
                    'removed': [*map(values.node, one['removed'])],
                    'bookmarks': [
                        {
                            'bookmark': values.text(name),
                            'old': values.optional(values.node, old),
                            'node': values.optional(values.node, new),
                        }
                        for name, old, new in one['bookmarks']
                    ],
                }
                for one in raw['versions']
            ],
            'next': values.optional(values.number, raw.get('next')),
        }

    return exchange.decode(data, page)


def _rights(raw: dict[str, Any]) -> dict[str, Any]:
    return {
        'writers': [*map(values.text, raw['writers'])],
        'private': bool(raw.get('private')),
        'readers': [*map(values.text, raw.get('readers', ()))],
    }


def _texts(raw: dict[str, Any], *fields: str) -> dict[str, str]:
    return {field: values.text(raw[field]) for field in fields}


# -- on the server


def read(args: Mapping[bytes, bytes]) -> Query:
    """Return what the arguments ask; raises ``error.InputError``."""
    found: dict[str, Any] = {}
    for field in Query._fields:
        name = field.encode()
        if field in _FLAGS:
            found[field] = name in args
        elif field in _NUMBERS:
            found[field] = values.numberof(args, name)
        else:
            found[field] = values.textof(args, name)
    return Query(**found)


def readbody(chunks: Iterable[bytes]) -> Union[Change, Query]:
    """Return what a body asks for; raises ``error.InputError``."""
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > MAX_CHANGE:
            raise error.InputError(_(b'the change of a view is too large'))
    try:
        raw = json.loads(data.decode('utf-8'))
        if 'ask' in raw:
            return _readquery(raw['ask'])
        change = Change(
            action=values.text(raw['action']),
            owner=values.optional(values.text, raw['owner']),
            name=values.text(raw['name']),
            expected=values.number(raw['expected']),
            added=tuple(map(_node, raw['added'])),
            removed=tuple(map(_node, raw['removed'])),
            bookmarks=tuple(
                (values.text(name), values.optional(_node, node))
                for name, node in raw['bookmarks'].items()
            ),
            state=values.optional(values.text, raw['state']),
            machine=values.text(raw['machine']),
            argument=values.text(raw['argument']),
            private=bool(raw.get('private')),
        )
        if change.action not in ('put', *ACTIONS):
            raise ValueError(change.action)
    except values.NONSENSE:
        raise error.InputError(_(b'the change of a view makes no sense'))
    return change


def _readquery(raw: dict[str, Any]) -> Query:
    def checked(field: str) -> Any:
        value = raw.get(field)
        if field in _FLAGS:
            return bool(value)
        check = values.number if field in _NUMBERS else values.text
        return values.optional(check, value)

    return Query(**{field: checked(field) for field in Query._fields})


def told(answer: Answer) -> dict[str, Any]:
    """Return an answer as it goes over the wire."""
    raw: dict[str, Any] = {'view': None}
    if answer.view is not None:
        raw['view'] = toldview(answer.view)
    if answer.gone:
        raw['gone'] = [node.hex() for node in sorted(answer.gone)]
    raw.update(
        (flag, True) for flag in ('same', 'moved') if getattr(answer, flag)
    )
    if not answer.writable:
        raw['writable'] = False
    return raw


def toldview(view: viewmodel.View) -> dict[str, Any]:
    return {
        **view._asdict(),
        'heads': [node.hex() for node in view.heads],
        'bookmarks': {name: node.hex() for name, node in view.bookmarks},
        'time': int(view.time),
    }
