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
from ..viewmodel import BACKUP, SECRET, View
from . import noted

#: what the names of the files begin with; the number is that of the format
PREFIX = 'view-2-'
_NAME = PREFIX + '%s'


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
    #: whether others see it
    private: bool = False

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
        view.private,
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
    first, with those of what is secret."""
    found = [one for one in _all(repo) if one.name.startswith(BACKUP)]
    return sorted(found, key=lambda record: record.time, reverse=True)


def private(repo) -> list[Record]:
    """Return what is known of private workspaces, on whichever server."""
    return [
        one
        for one in _all(repo)
        if one.private and not one.name.startswith(BACKUP)
    ]


def _all(repo) -> list[Record]:
    folder = noted.folder(repo)
    found = [folder.read(name) for name in folder.names(PREFIX)]
    return [_load(data) for data in found if data is not None]


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
    found = backups(repo)
    # the last, and what goes with it
    newest = [*drafts(found)[:1], *secrets(found)[:1]]
    return [n for one in newest for n in one.heads if hasnode(n)]


def drafts(records: list[Record]) -> list[Record]:
    """Return those of some backups that hold drafts."""
    return [one for one in records if not one.name.endswith(SECRET)]


def secrets(records: list[Record]) -> list[Record]:
    """Return those of some backups that hold what is secret."""
    return [one for one in records if one.name.endswith(SECRET)]
