"""Changesets without all of their history, as a changegroup.

Mercurial calls a revision an *ellipsis* whose parents are not all there; it has
a flag of that name, its text whole, and those of its parents that are there.
What a client is going to have is complete all the same: each file of each
changeset that it asked for (and of the folders that it wants).

The revisions to send are found by what the manifests name, not by which
changeset brought them: that one may be part of the history that is left out.
What a client has already is known by the manifests of changesets that it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mercurial.node import bin

from ..bundle import changegroup, revisions
from ..bundle.changegroup import Entry
from ..bundle.graph import NULLID
from ..records import NamedTuple


class Change(NamedTuple):
    """A changeset as a client is to get it."""

    node: bytes
    #: those of its parents that the client has or gets, or what takes their
    #: place
    parents: tuple[bytes, ...]
    #: whether that are its parents
    iswhole: bool
    #: changesets whose files the client has or gets before
    known: tuple[bytes, ...]


class _Revision(NamedTuple):
    """A revision of a manifest or a file to send."""

    node: bytes
    #: revisions of the same manifest or file that the client has
    known: frozenset[bytes]
    #: the changeset that it is sent for
    link: bytes


class Pack:
    """The changegroup, version 03, of ``changes``, each after those that it
    names. ``repo`` holds them, ``match`` is for the files that are wanted."""

    def __init__(self, repo, changes: Iterable[Change], match) -> None:
        self._repo = repo.unfiltered()
        self._match = match
        self._changes = list(changes)
        self._folders: dict[bytes, list[_Revision]] = {}
        self._files: dict[bytes, list[_Revision]] = {}
        self._found: set[tuple[bytes, bytes]] = set()

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes of the changegroup."""
        changelog = self._repo.changelog
        for change in self._changes:
            yield from _changeset(changelog, change)
        yield changegroup.END
        for change in self._changes:
            self._findroot(change)
        root = self._folders.pop(b'', [])
        yield from _group(self._storage(b''), root)
        for folder in sorted(self._folders):
            yield changegroup.opening(folder)
            yield from _group(self._storage(folder), self._folders[folder])
        yield changegroup.END
        for path in sorted(self._files):
            yield changegroup.opening(path)
            yield from _group(self._repo.file(path), self._files[path])
        yield changegroup.END

    def _storage(self, folder: bytes) -> Any:
        return self._repo.manifestlog.getstorage(folder)

    def _manifestof(self, node: bytes) -> bytes:
        manifest: bytes = self._repo.changelog.read(node)[0]
        return manifest

    def _findroot(self, change: Change) -> None:
        known = frozenset(map(self._manifestof, change.known))
        self._find(b'', self._manifestof(change.node), known, change.node)

    def _find(
        self,
        folder: bytes,
        node: bytes,
        known: frozenset[bytes],
        link: bytes,
    ) -> None:
        """Find what to send of a manifest, or of a folder of one; ``known``
        are the revisions of it that the client has."""
        if node in known or node == NULLID or (folder, node) in self._found:
            return
        self._found.add((folder, node))
        revision = _Revision(node, known, link)
        self._folders.setdefault(folder, []).append(revision)
        read = self._storage(folder).rawdata
        lines = set(read(node).splitlines())
        known = known.difference([NULLID])
        old = {line for one in known for line in read(one).splitlines()}
        former: dict[bytes, set[bytes]] = {}
        for line in old.difference(lines):
            name, there, _flag = _parsed(line)
            former.setdefault(name, set()).add(there)
        for line in lines.difference(old):
            name, wanted, flag = _parsed(line)
            path = folder + name
            had = frozenset(former.get(name, ()))
            if flag == b't':
                if self._match.visitdir(path):
                    self._find(path + b'/', wanted, had, link)
            elif wanted not in had and self._match(path):
                self._addfile(path, _Revision(wanted, had, link))

    def _addfile(self, path: bytes, revision: _Revision) -> None:
        if (path, revision.node) not in self._found:
            self._found.add((path, revision.node))
            self._files.setdefault(path, []).append(revision)


def _parsed(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the name, the node and the flag in a line of a manifest."""
    name, _zero, rest = line.partition(b'\0')
    return name, bin(rest[:40]), rest[40:]


def _changeset(changelog, change: Change) -> Iterator[bytes]:
    p1, p2 = (*change.parents, NULLID, NULLID)[:2]
    text, flags = revisions.text(changelog, change.node)
    if not change.iswhole:
        flags |= changegroup.FLAG_ELLIPSIS
    entry = Entry(change.node, p1, p2, NULLID, change.node, flags)
    return changegroup.revision(entry, revisions.whole(text))


def _group(storage, found: Iterable[_Revision]) -> Iterator[bytes]:
    """Yield the group of a manifest or a file."""
    there: set[bytes] = set()
    for revision in found:
        there |= revision.known
        text, flags = revisions.text(storage, revision.node)
        parents = [p for p in storage.parents(revision.node) if p != NULLID]
        left = [p for p in parents if p in there]
        if len(left) < len(parents):
            flags |= changegroup.FLAG_ELLIPSIS
        p1, p2 = (*left, NULLID, NULLID)[:2]
        base, delta = revisions.delta(
            storage, text, flags, left or revision.known
        )
        entry = Entry(revision.node, p1, p2, base, revision.link, flags)
        yield from changegroup.revision(entry, delta)
        there.add(revision.node)
    yield changegroup.END
