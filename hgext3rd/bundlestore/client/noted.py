"""What this clone knows of pushes, without asking a server.

A small file among the caches of the repository, which its shares have in
common, has a line of data for each push: those that were made from here, and
those that ``hg pushes`` has shown and that hold a changeset which is here, each
as it was when it was last seen. Whoever reads it waits for nobody, and is
content with none: it is damaged, say, or by another release, whose file has
another name.

``hg pushes --wait`` asks which push was made from here last. An answer of
before would be a wrong one. So who cannot write the file removes it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional

from mercurial.node import bin, hex
from mercurial.utils import urlutil

from ..cachefolder import CacheFolder
from ..records import NamedTuple

_FOLDER = b'bundlestore'
#: the number is that of the format
_NAME = 'pushes-1.json'
#: seconds to wait for another process that writes
_PATIENCE = 5.0

#: Pushes that are kept, and changesets of them: of those made from here, and
#: of others. Of a push, the last so many changesets.
_PUSHES = 250
_NODES = 5000
_NODES_OF_ONE = 1000

#: what a status may say, the worst last
STATES = ('success', 'pending', 'error', 'failure')


class Push(NamedTuple):
    """A push, as it was when it was last seen."""

    #: the address of the server, without user and password
    server: str
    id: int
    #: seconds since the epoch
    time: int
    #: changesets, in hexadecimal digits: all, or the heads if no more is known
    nodes: list[str]
    #: the worst of its statuses, empty if it had none
    status: str = ''
    #: where it can be looked at, empty if nobody knows
    url: str = ''
    #: the working copy that it was made from, empty for others
    root: str = ''


def key(location: bytes) -> str:
    """Return what stands for the address of a server."""
    url = urlutil.url(location)
    if url.islocal():
        # of a peer, a path in the configuration, or one that was typed
        return os.path.realpath(url.localpath()).decode('latin-1')
    url.user = url.passwd = url.fragment = None
    return bytes(url).decode('latin-1').rstrip('/')


def read(repo) -> list[Push]:
    """Return the pushes that are known, the newest first."""
    return _read(folder(repo))


def bychangeset(repo) -> dict[str, list[Push]]:
    """Return the pushes of each changeset, the newest first."""
    found: dict[str, list[Push]] = {}
    for push in read(repo):
        for node in push.nodes:
            found.setdefault(node, []).append(push)
    return found


def mine(repo) -> list[Push]:
    """Return those that were made from this working copy."""
    root = _root(repo)
    return [push for push in read(repo) if push.root == root]


# -- what is noted


def made(repo, location: bytes, told: Iterable[dict[bytes, Any]]) -> bool:
    """Note pushes that were made from here, as servers tell of them (see
    ``wire.stored``); return False if an answer of before may be taken for
    one."""
    server = key(location)
    new = []
    for one in told:
        data = one[b'nodes']
        nodes = [data[i : i + 20] for i in range(0, len(data), 20)]
        if not nodes:
            continue
        url = one[b'url'].decode('latin-1') or _page(server, one[b'push'])
        new.append(
            Push(
                server,
                one[b'push'],
                int(time.time()),
                [hex(node).decode() for node in nodes[-_NODES_OF_ONE:]],
                url=url,
                root=_root(repo),
            )
        )

    def change(known: list[Push]) -> list[Push]:
        # what was seen has the time of the server: the clocks may differ
        least = max((p.time for p in known if p.server == server), default=0)
        late = [p._replace(time=max(p.time, least)) for p in new]
        return _merged(known, late)

    return not new or _change(repo, change)


class Seen:
    """Notes what goes by: records of pushes that the server at ``location``
    has, as ``fetch.pushlist`` gives them."""

    def __init__(self, repo, location: bytes) -> None:
        self._repo = repo
        self._server = key(location)
        self._known = {p.id for p in read(repo) if p.server == self._server}
        self._seen: list[dict[str, Any]] = []

    def see(
        self, records: Iterable[dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        """Yield the same records."""
        for record in records:
            if record['push'] in self._known or self._ishere(record):
                self._seen.append(record)
            yield record

    def _ishere(self, record: dict[str, Any]) -> bool:
        hasnode = self._repo.unfiltered().changelog.hasnode
        return any(hasnode(bin(node)) for node in _nodes(record))

    def note(self) -> None:
        """Write it down."""
        _change(self._repo, self._merged)

    def _merged(self, known: list[Push]) -> list[Push]:
        found = {push.id: push for push in known if push.server == self._server}
        return _merged(
            known, [self._push(r, found.get(r['push'])) for r in self._seen]
        )

    def _push(self, record: dict[str, Any], known: Optional[Push]) -> Push:
        nodes = _nodes(record)
        if known is None or not holds(known, record):
            url = _page(self._server, record['push'])
            known = Push(self._server, record['push'], 0, nodes, url=url)
        return known._replace(
            time=record['time'],
            nodes=nodes if 'nodes' in record else known.nodes,
            status=_worst(record.get('statuses', ())),
        )


def _nodes(record: dict[str, Any]) -> list[str]:
    """Return the changesets that a record names, or the last of them."""
    heads = [head['node'] for head in record['heads']]
    nodes: list[str] = record.get('nodes', heads)
    return nodes[-_NODES_OF_ONE:]


def holds(push: Push, record: dict[str, Any]) -> bool:
    """Whether a record is that of a push: the server may have begun anew
    meanwhile, or be another one."""
    heads = {head['node'] for head in record['heads']}
    return not heads.isdisjoint(push.nodes)


def forget(repo, location: bytes, id: int) -> None:
    """Forget a push that was removed."""
    gone = key(location), id
    _change(repo, lambda known: [p for p in known if p[:2] != gone])


def _worst(statuses: Iterable[dict[str, Any]]) -> str:
    """Return how a push went, empty if there are no statuses."""
    states = {status['state'] for status in statuses}
    # nobody knows what a later release calls well
    if not states.issubset(STATES):
        states.add('error')
    return next((s for s in reversed(STATES) if s in states), '')


def _page(server: str, id: int) -> str:
    """Return the address of the page of a push, where there are pages."""
    if server.startswith(('http://', 'https://')):
        return f'{server}/push/{id}'
    return ''


def _root(repo) -> str:
    root: bytes = repo.root
    return root.decode('latin-1')


# -- the file


def folder(repo) -> CacheFolder:
    """Return where files are kept that can be made anew, by asking."""
    # they are small, and no push here needs the room
    return CacheFolder(
        repo.cachevfs.join(_FOLDER), repo.store.createmode, spare=0
    )


def _read(place: CacheFolder) -> list[Push]:
    data = place.read(_NAME)
    if data is None:
        return []
    return [Push(*row) for row in json.loads(data)]


def _change(repo, change: Callable[[list[Push]], list[Push]]) -> bool:
    """Change what is known; return False if it could not be written and is
    there as it was."""
    place = folder(repo)
    before = _read(place)
    if _kept(change(before)) == before:
        return True
    with place.alone(_NAME, _PATIENCE):
        after = _kept(change(_read(place)))
        if place.write(_NAME, [json.dumps(after).encode()]):
            return True
        place.remove(_NAME)
    return place.read(_NAME) is None


def _merged(known: Iterable[Push], new: Iterable[Push]) -> list[Push]:
    """Return all, the new ones in the place of those with their number."""
    found = {push[:2]: push for push in (*known, *new)}
    return list(found.values())


def _kept(found: list[Push]) -> list[Push]:
    """Return what is kept of the pushes, the newest first."""
    found = sorted(found, key=lambda p: (p.time, p.id), reverse=True)
    mine = set(_first(p for p in found if p.root))
    others = set(_first(p for p in found if not p.root))
    return [push for push in found if push[:2] in mine | others]


def _first(found: Iterable[Push]) -> Iterator[tuple[str, int]]:
    room = _NODES
    for count, push in enumerate(found):
        room -= len(push.nodes)
        if count == _PUSHES or room < 0:
            return
        yield push[:2]
