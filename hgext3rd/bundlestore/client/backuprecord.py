"""What this clone has in its backup, as far as it is known here.

A file among the caches of the repository, one for each server: whoever reads
it asks nobody. Where there is none, the server is asked for the whole of it
with the next backup.
"""

from __future__ import annotations

import hashlib
import json
from typing import Optional

from mercurial.node import bin, hex

from ..records import NamedTuple
from . import noted

#: the number is that of the format
_NAME = 'backup-1-%s.json'


class Record(NamedTuple):
    """A backup, as it was when it was made or seen last."""

    #: the address of the server, without user and password
    server: str
    #: which version of the view it is
    version: int
    #: seconds since the epoch
    time: int
    heads: list[bytes]
    #: name and changeset
    bookmarks: dict[str, bytes]
    #: see ``backup.State``
    state: str


def read(repo, location: bytes) -> Optional[Record]:
    """Return what is known of the backup on a server, if anything."""
    data = noted.folder(repo).read(_name(noted.key(location)))
    return None if data is None else _load(data)


def readall(repo) -> list[Record]:
    """Return what is known of the backups on all servers, the newest
    first."""
    folder = noted.folder(repo)
    found = [folder.read(n) for n in folder.names(_NAME.partition('%')[0])]
    records = [_load(data) for data in found if data is not None]
    return sorted(records, key=lambda record: record.time, reverse=True)


def write(repo, record: Record) -> None:
    """Keep it. What cannot be written is asked for again."""
    folder = noted.folder(repo)
    raw = record._replace(
        heads=[hex(node).decode() for node in record.heads],
        bookmarks={
            name: hex(node).decode() for name, node in record.bookmarks.items()
        },
    )
    name = _name(record.server)
    if not folder.write(name, [json.dumps(raw._asdict()).encode()]):
        folder.remove(name)


def _name(server: str) -> str:
    return _NAME % hashlib.sha256(server.encode()).hexdigest()[:32]


def _load(data: bytes) -> Record:
    raw = Record(**json.loads(data))
    return raw._replace(
        heads=[bin(node) for node in raw.heads],
        bookmarks={name: bin(node) for name, node in raw.bookmarks.items()},
    )


def backedup(repo) -> list[bytes]:
    """Return the heads that are in the newest backup, as far as they are
    here."""
    hasnode = repo.unfiltered().changelog.index.has_node
    return [
        node
        for record in readall(repo)[:1]
        for node in record.heads
        if hasnode(node)
    ]


def forget(repo, location: bytes) -> None:
    """Have the server asked for all of it with the next backup."""
    noted.folder(repo).remove(_name(noted.key(location)))
