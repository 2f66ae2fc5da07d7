"""What a push leaves out as the base has it, though not below the push.

A client does not send a revision of a file that a changeset of the base has
brought, whichever it is: often one that landed the same change under another
name. The base has the revision, but who pulls the push alone, or takes its
bundle, need not. So the bundle gets it from the base.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..bundle import changegroup, container, reading, revisions
from ..bundle.changegroup import END, Entry
from ..bundle.graph import NULLID
from ..server import servedview

#: a file, or a folder (a tree manifest) with a slash at its end, and a hash
Revision = tuple[bytes, bytes]
#: revisions by file, each with the changeset that it is for
Borrowed = dict[bytes, dict[bytes, bytes]]


def storage(repo, name: bytes) -> Any:
    """Return what has the revisions of a file or folder."""
    if name.endswith(b'/'):
        return repo.manifestlog.getstorage(name)
    return repo.file(name)


def find(
    repo, parents: Iterable[bytes], named: Mapping[Revision, bytes]
) -> Borrowed:
    """Return those of the revisions in ``named``, all of which the base has,
    that none of the changesets below ``parents`` brought; with each those that
    it is made from. What the base does not show stays where it is."""
    unfiltered = repo.unfiltered().changelog
    shown = servedview(repo).changelog
    below = revisions.Below(repo, parents)

    def isneeded(store: Any, node: bytes) -> bool:
        link = store.linkrev(store.rev(node))
        if not shown.hasnode(unfiltered.node(link)):
            return False
        return not below.brought(link)

    found: Borrowed = {}
    for (name, node), link in named.items():
        store = storage(repo, name)
        needed: dict[bytes, bytes] = {}
        pending = [node]
        while pending:
            node = pending.pop()
            if node != NULLID and node not in needed and isneeded(store, node):
                needed[node] = link
                pending += store.parents(node)
        if needed:
            found.setdefault(name, {}).update(needed)
    return found


def added(
    repo, path: bytes, borrowed: Borrowed, compression: str
) -> Iterator[bytes]:
    """Yield the bytes of the bundle at ``path`` with those revisions;
    ``compression`` is as in ``container.container``."""
    with (
        reading.File(repo.ui, path) as bundle,
        tempfile.TemporaryFile() as more,
    ):
        flags = 0
        for chunk, flag in _changegroup(repo, borrowed):
            more.write(chunk)
            flags |= flag
        more.seek(0)
        sources = [
            (bundle.payload, bundle.layout()),
            (more, changegroup.layout(more, b'03')),
        ]
        version = b'03' if flags else bundle.version
        yield from container.container(
            repo.ui,
            [
                *map(container.privatepart, filter(None, [bundle.private])),
                container.changegrouppart(
                    changegroup.concatenate(sources, version),
                    version,
                    bundle.trees,
                ),
                *map(container.markerspart, bundle.markers),
            ],
            compression,
        )


def _changegroup(repo, borrowed: Borrowed) -> Iterator[tuple[bytes, int]]:
    """Yield a changegroup, version 03, with nothing but these revisions, and
    the flags of each."""
    folders = sorted(name for name in borrowed if name.endswith(b'/'))
    # neither changesets nor manifests of the root
    yield END + END, 0
    for names in (folders, sorted(borrowed.keys() - set(folders))):
        for name in names:
            yield changegroup.opening(name), 0
            store = storage(repo, name)
            for node in sorted(borrowed[name], key=store.rev):
                text, flags = revisions.text(store, node)
                p1, p2 = store.parents(node)
                link = borrowed[name][node]
                entry = Entry(node, p1, p2, NULLID, link, flags)
                for chunk in changegroup.revision(entry, revisions.whole(text)):
                    yield chunk, flags
            yield END, 0
        yield END, 0
