"""The pushes that a bundle store holds, page by page.

What a server answers to ``hg pushes``, whatever the transport. An answer is
made of dicts, lists, text and numbers only, so that it can go over a wire as
it is::

    {'pushes': [RECORD, …], 'next': ID, 'node': HASH}

newest first. ``next`` is the id that the next page begins with, None after the
last page; ``node`` the changeset that the pushes hold, None if none was asked
for. A record::

    {'push': 16, 'time': 1700000000, 'user': 'alice', 'bundle': KEY,
     'size': 1234, 'count': 2, 'heads': [{'node': HASH, 'desc': 'one line'}],
     'bookmarks': [{'bookmark': 'scratch/x', 'node': HASH or None}]}

and ``'nodes': [HASH, …]``, parents first, if they were asked for: a push may
have many. One with pushvars has ``'pushvars': {NAME: VALUE}``, one with
statuses ``'statuses': [{'context': …, 'state': …, 'url': …, 'description': …,
'time': …, 'user': …}]``, one that landed ``'landings': [{'node': HASH,
'landed': HASH, 'time': … or None, 'user': …}]``. Times are seconds since the
epoch, sizes bytes.

Who asks for scratch bookmarks gets them sorted by name::

    {'bookmarks': [{'bookmark': 'scratch/x', 'node': HASH, 'push': 16,
                    'user': 'alice', 'time': 1700000000}, …], 'next': NAME}

``push`` is None where no push put the bookmark where it is, ``time`` where
nobody knows; the next page begins behind ``next``.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, Optional

from mercurial import error
from mercurial.i18n import _

from .. import bookmarks, lookup, model, users
from ..bundle import telling
from ..declaring import provides
from ..server import aborting, hasnode, tolocal
from ..wire import exchange
from ..wire.pushes import Query, read
from . import landed

#: most pushes on a page
PAGE = 200
#: most changesets and bookmarks on a page of more than one push
MAX_ITEMS = 20000
# Pushes that are read from the index at once. It gives whole pushes, which
# may have 10,000 changesets each.
_CHUNK = 10


def serve(repo, proto, args):
    """Answer the wire command."""
    return exchange.answer(repo, lambda server: page(repo, server, read(args)))


def page(repo, server, query: Query, trusted: bool = False) -> dict[str, Any]:
    """Return the first page of what ``query`` asks for; raises
    ``error.Abort``. Who is ``trusted`` may use regular expressions."""
    if query.bookmarks is not None:
        return _bookmarkpage(server, query, query.bookmarks)
    if query.statuses and not _keepsstatuses(server):
        raise error.Abort(_(b'the bundle index cannot keep statuses'))
    node = None
    if query.rev is not None:
        node = lookup.pushed(repo, server, tolocal(query.rev))
        if node is None:
            return {'pushes': [], 'next': None, 'node': None}
    names: list[Optional[str]] = [None]
    if query.user is not None:
        names = [*users.matching(server, query.user, trusted)]
    found: list[dict[str, Any]] = []
    answer: dict[str, Any] = {
        'pushes': found,
        'next': None,
        'node': None if node is None else node.hex(),
    }
    wanted = PAGE if query.limit is None else min(query.limit, PAGE)
    size = max(min(_CHUNK, wanted) // max(len(names), 1), 1)
    items = 0
    for push in heapq.merge(
        *(_pushes(server, name, node, query.last, size) for name in names),
        key=lambda push: push.id,
        reverse=True,
    ):
        items += len(push.changesets if query.nodes else push.heads)
        items += len(push.bookmarks)
        if found and items > MAX_ITEMS:
            answer['next'] = push.id
            break
        found.append(record(push, query.nodes))
        if len(found) == wanted:
            # whether there is one is not worth another look
            answer['next'] = push.id - 1 or None
            break
    statuses = telling.statusesof(server, [one['push'] for one in found])
    for one in found:
        if one['push'] in statuses:
            one['statuses'] = statuses[one['push']]
    heads = {
        one['push']: [bytes.fromhex(head['node']) for head in one['heads']]
        for one in found
    }
    landings = landed.landings(server, lambda n: hasnode(repo, n), heads)
    for one in found:
        if one['push'] in landings:
            one['landings'] = [*map(landed.fields, landings[one['push']])]
    return answer


def _keepsstatuses(server) -> bool:
    return provides(server.index, 'IStatuses')


def _bookmarkpage(server, query: Query, pattern: str) -> dict[str, Any]:
    if len(pattern) > bookmarks.MAX_NAME:
        raise error.InputError(_(b'the pattern is longer than any name'))
    wanted = PAGE if query.limit is None else min(query.limit, PAGE)
    with aborting():
        marks = server.index.listbookmarks(
            pattern, after=query.after or '', limit=wanted
        )
    return {
        'bookmarks': [
            {
                'bookmark': mark.name,
                'node': mark.node.hex(),
                'push': mark.push,
                'user': mark.user,
                'time': None if mark.time is None else int(mark.time),
            }
            for mark in marks
        ],
        'next': marks[-1].name if marks and len(marks) == wanted else None,
    }


def _pushes(
    server,
    user: Optional[str],
    node: Optional[bytes],
    last: Optional[int],
    size: int,
) -> Iterator[model.Push]:
    """Yield the pushes of a user, newest first, so many read at a time."""
    while True:
        with aborting():
            found = server.index.pushes(
                last=last, user=user, node=node, limit=size, newestfirst=True
            )
        yield from found
        if len(found) < size:
            return
        last = found[-1].id - 1


def record(push: model.Push, nodes: bool = False) -> dict[str, Any]:
    """Return a push as a dict, see above."""
    result = {
        'push': push.id,
        'time': int(push.time),
        'user': push.user,
        'bundle': push.key,
        'size': push.size,
        'count': len(push.changesets),
        'heads': [
            {'node': head.node.hex(), 'desc': head.title} for head in push.heads
        ],
        'bookmarks': [
            {'bookmark': name, 'node': None if node is None else node.hex()}
            for name, node in push.bookmarks
        ],
    }
    if push.pushvars:
        result['pushvars'] = dict(push.pushvars)
    if nodes:
        result['nodes'] = [node.hex() for node in push.changesets]
    return result
