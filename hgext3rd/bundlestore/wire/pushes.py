"""The command ``bundlestorepushes``: a list of pushes, or of bookmarks.

``last`` and ``limit`` are numbers, ``user`` and ``rev`` text in UTF-8, quoted
as in a URL (hgweb takes nothing but ASCII for an argument), ``nodes`` and
``statuses`` are ``1`` or not there. ``bookmarks``, a pattern, and ``after``, a
name, ask for scratch bookmarks instead. The answer is a page, the one that
``fetch/pushlist.py`` makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from mercurial import util

from ..records import NamedTuple
from . import exchange, values

#: what else a status has
_TEXTS = ('context', 'state', 'url', 'description', 'user')


class Query(NamedTuple):
    """Which pushes somebody wants to see; None is no limit."""

    #: those with this id or a lower one
    last: Optional[int] = None
    #: so many at most
    limit: Optional[int] = None
    #: those of these users, see ``users.matching``
    user: Optional[str] = None
    #: those with this changeset in them, as for ``lookup.pushed``
    rev: Optional[str] = None
    #: whether all changesets of each are wanted, too
    nodes: bool = False
    #: whether this is about statuses: refused where nobody can set any
    statuses: bool = False
    #: not pushes, but scratch bookmarks of this form, with ``*`` and ``?``
    bookmarks: Optional[str] = None
    #: those behind this name
    after: Optional[str] = None


# -- on the client


def encode(query: Query) -> dict[str, bytes]:
    """Return the arguments of the command."""
    args: dict[str, bytes] = {
        name: util.urlreq.quote(str(value).encode('utf-8', 'replace'))
        for name, value in query._asdict().items()
        if not isinstance(value, bool) and value is not None
    }
    args.update((name, b'1') for name, value in _flags(query))
    return args


def _flags(query: Query) -> list[tuple[str, bool]]:
    return [item for item in query._asdict().items() if item[1] is True]


def decodepage(data: bytes) -> dict[str, Any]:
    """Return a page as ``pushlist.page`` does, whatever the server sent;
    raises ``error.RemoteError``."""

    def page(raw: dict[str, Any]) -> dict[str, Any]:
        return {
            'pushes': [_record(push) for push in raw['pushes']],
            'next': values.optional(values.number, raw.get('next')),
            'node': values.optional(values.node, raw.get('node')),
        }

    return exchange.decode(data, page)


def decodebookmarks(data: bytes) -> dict[str, Any]:
    """The same for a page of scratch bookmarks."""

    def page(raw: dict[str, Any]) -> dict[str, Any]:
        return {
            'bookmarks': [
                {
                    'bookmark': values.text(mark['bookmark']),
                    'node': values.node(mark['node']),
                    'push': values.optional(values.number, mark['push']),
                    'user': values.text(mark['user']),
                    'time': values.optional(values.time, mark['time']),
                }
                for mark in raw['bookmarks']
            ],
            'next': values.optional(values.text, raw.get('next')),
        }

    return exchange.decode(data, page)


def _record(raw: Any) -> dict[str, Any]:
    result = {
        'push': values.number(raw['push']),
        'time': values.time(raw['time']),
        'user': values.text(raw['user']),
        'bundle': values.text(raw['bundle']),
        'size': values.number(raw['size']),
        'count': values.number(raw['count']),
        'heads': [
            {
                'node': values.node(head['node']),
                'desc': values.text(head['desc']),
            }
            for head in raw['heads']
        ],
        'bookmarks': [
            {
                'bookmark': values.text(mark['bookmark']),
                'node': values.optional(values.node, mark['node']),
            }
            for mark in raw['bookmarks']
        ],
    }
    if 'pushvars' in raw:
        result['pushvars'] = {
            values.text(name): values.text(value)
            for name, value in raw['pushvars'].items()
        }
    if 'statuses' in raw:
        result['statuses'] = [
            {
                **{name: values.text(status[name]) for name in _TEXTS},
                'time': values.time(status['time']),
            }
            for status in raw['statuses']
        ]
    if 'landings' in raw:
        result['landings'] = [
            {
                'node': values.node(landing['node']),
                'landed': values.node(landing['landed']),
                'time': values.optional(values.time, landing['time']),
                'user': values.text(landing['user']),
            }
            for landing in raw['landings']
        ]
    if 'nodes' in raw:
        result['nodes'] = [values.node(node) for node in raw['nodes']]
    return result


# -- on the server


def read(args: Mapping[bytes, bytes]) -> Query:
    """Return what the arguments ask for; raises ``error.InputError``."""
    return Query(
        last=values.numberof(args, b'last'),
        limit=values.numberof(args, b'limit'),
        user=values.textof(args, b'user'),
        rev=values.textof(args, b'rev'),
        nodes=args.get(b'nodes') == b'1',
        statuses=args.get(b'statuses') == b'1',
        bookmarks=values.textof(args, b'bookmarks'),
        after=values.textof(args, b'after'),
    )
