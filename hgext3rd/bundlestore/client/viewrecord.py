"""What this clone has seen of views: of workspaces, and of its own backup.

A file among the caches of the repository, one for each view: whoever reads it
asks nobody. What is in a view that was seen and is not here any more was
removed here, by an amend say. Where there is no file, nothing was seen. Users
of one clone have views of the same name, and a view may be gone and another one
made; so a file is of the view with that id.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import Optional

from mercurial.node import bin, hex

from ..records import NamedTuple
from ..viewmodel import BACKUP, View
from . import noted

#: the number is that of the format
_NAME = 'view-2-%s'


class Record(NamedTuple):
    """A view, as it was when it was changed or seen from here last."""

    #: ``USER/NAME``, or the name alone for the user's own
    name: str
    #: the address of the server, without user and password
    server: str
    #: what the view has all its life, empty for one that is not there yet
    uid: str
    #: which version of the view it is
    version: int
    #: seconds since the epoch
    time: int
    heads: list[bytes]
    #: name and changeset
    bookmarks: dict[str, bytes]
    #: see ``backup.State``
    state: str
    #: whether its owner did away with it
    dropped: bool = False

    @property
    def nodes(self) -> set[bytes]:
        """All changesets that it names."""
        return {*self.heads, *self.bookmarks.values()}


def of(location: bytes, name: str, view: View) -> Record:
    """Return the record of a view that a server has now."""
    return Record(
        name,
        noted.key(location),
        view.uid,
        view.version,
        int(time.time()),
        list(view.heads),
        dict(view.bookmarks),
        view.state,
        view.dropped,
    )


def read(
    repo, location: bytes, name: str, uid: Optional[str] = None
) -> Optional[Record]:
    """Return what is known of a view on a server, if anything: of the one with
    that id, or of the one of that name that was seen or changed last."""
    folder = noted.folder(repo)
    for file in folder.names(_name(noted.key(location), name, uid)):
        data = folder.read(file)
        if data is not None:
            return _load(data)
    return None


def backups(repo) -> list[Record]:
    """Return what is known of the backups on all servers, the newest
    first."""
    folder = noted.folder(repo)
    found = [folder.read(n) for n in folder.names(_NAME.partition('%')[0])]
    records = [_load(data) for data in found if data is not None]
    records = [one for one in records if one.name.startswith(BACKUP)]
    return sorted(records, key=lambda record: record.time, reverse=True)


def write(repo, record: Record) -> None:
    """Keep it. Where it cannot be written, what is known of an earlier version
    stays; the server is asked what came since."""
    raw = record._replace(
        heads=[hex(node).decode() for node in record.heads],
        bookmarks={
            name: hex(node).decode() for name, node in record.bookmarks.items()
        },
    )
    name = _name(record.server, record.name, record.uid)
    noted.folder(repo).write(name, [json.dumps(raw._asdict()).encode()])


def _name(server: str, name: str, uid: Optional[str] = None) -> str:
    """Return the name of a file, or what it begins with, whatever the id."""
    text = f'{server}\n{name}'.encode('utf-8', 'surrogateescape')
    begin = _NAME % hashlib.sha256(text).hexdigest()[:32]
    return begin if uid is None else f'{begin}-{uid}.json'


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
        for record in backups(repo)[:1]
        for node in record.heads
        if hasnode(node)
    ]
