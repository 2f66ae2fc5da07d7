"""Has a push all that it names? One from a narrow clone may not.

Such a clone has some of the files only. It sends changesets that are stored
already, as any client without the extension does, but without the files that
it lacks. So where a changeset says that it changes a file of which no revision
came, its manifest is looked at: what that names must be in the base (the bundle
gets it from there where it has to, see ``borrowed.py``) or in a bundle that
holds one of the changesets, and the push rests on that bundle.

No more is read of a push than its manifests, and nothing if all files came.
Those that the push removes are in no manifest, so it costs little. All of it is
for the sake of honest clients: ``fullcheck.py`` is for the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Optional

from ..bundle import changegroup, container, manifests, reading
from ..bundle.changegroup import Read
from . import borrowed
from .borrowed import Revision
from .check import Refused, checkfilename


def complete(
    repo, server, foundation, staged, checker
) -> Optional[Iterator[bytes]]:
    """Have a push rest on bundles with what it lacks. Return the bytes of the
    bundle to store instead, if it is to have more (see ``borrowed.py``).

    ``staged`` is its bundle, ``checker`` has seen it. Raises ``Refused`` if
    something is nowhere.
    """
    with container.plainfile(staged, staged.key, staged.open) as path:
        named = _named(repo.ui, path, checker.unsent)
    inbase = {
        revision: link
        for revision, link in named.items()
        if _isinbase(repo, *revision)
    }
    lacking = {r: link for r, link in named.items() if r not in inbase}
    if lacking:
        _reston(repo.ui, server, foundation, staged, checker, lacking)
    if not inbase:
        return None
    below = foundation.inbase(checker.parents)
    found = borrowed.find(repo, below, inbase)
    if not found:
        return None
    return _withborrowed(repo, staged, found, server.settings.compression)


def _withborrowed(
    repo, staged, found: borrowed.Borrowed, compression: str
) -> Iterator[bytes]:
    with container.plainfile(staged, staged.key, staged.open) as path:
        yield from borrowed.added(repo, path, found, compression)


def _reston(
    ui, server, foundation, staged, checker, lacking: dict[Revision, bytes]
) -> None:
    """Have a push rest on bundles that hold what is ``lacking``."""
    # what a bundle rests on is recorded once
    same = server.index.bundles([staged.key]).get(staged.key)
    if same is None:
        bundles = foundation.holding(checker.nodes)
    else:
        bundles = iter(server.index.bundles(same.rests).values())
    for bundle in bundles:
        held = _held(ui, server.store, bundle.key, lacking)
        if held:
            foundation.use(bundle)
        for revision in held:
            del lacking[revision]
        if not lacking:
            return
    (name, _node), link = next(iter(lacking.items()))
    raise Refused(
        f'changeset {link.hex()[:12]} lacks the content of '
        f'{name.decode("utf-8", "replace")[:100]}',
        'this clone does not have all files, and the server lacks that one, '
        'too; push the changeset from one that does'
        if same is None
        else 'it was stored like that before; amend a changeset and push again',
    )


def _named(ui, path: bytes, names: set[bytes]) -> dict[Revision, bytes]:
    """Return the revisions of the files ``names``, and of folders above them,
    which manifests of the bundle at ``path`` bring, with the changesets of
    these. Those of folders that the bundle holds are not among them."""
    with reading.File(ui, path) as bundle:
        read, version = bundle.payload.read, bundle.version
        for _changeset in changegroup.changesets(read, version):
            pass
        found: dict[Revision, bytes] = {}
        if not bundle.trees:
            _addbrought(found, read, version, b'', names)
            return found
        wanted = names.union(*map(_folders, names))
        _addbrought(found, read, version, b'', wanted)
        trees = dict(bundle.layout().trees)
        for name, offset in trees.items():
            bundle.payload.seek(offset)
            _addbrought(found, read, version, name, wanted)
        held = _revisions(bundle, trees, {name for name, _node in found})
        return {r: link for r, link in found.items() if r not in held}


def _folders(name: bytes) -> Iterator[bytes]:
    for at, byte in enumerate(name):
        if byte == 0x2F:
            yield name[: at + 1]


def _addbrought(
    found: dict[Revision, bytes],
    read: Read,
    version: bytes,
    folder: bytes,
    names: set[bytes],
) -> None:
    """Add the revisions of ``names`` which the manifests of a group bring,
    each with the first changeset that has it."""
    for entry, delta in changegroup.revisions(read, version):
        for name, digits, kind in manifests.inserted(delta):
            name = folder + name
            if kind == b't':
                name += b'/'
            if name in names:
                node = manifests.node(digits)
                found.setdefault((name, node), entry.link)


def _isinbase(repo, name: bytes, node: bytes) -> bool:
    if not name.endswith(b'/'):
        checkfilename(name)
    storage = borrowed.storage(repo, name)
    try:
        storage.rev(node)
    except LookupError:
        return False
    return True


def _held(
    ui, store: Any, key: str, wanted: Iterable[Revision]
) -> set[Revision]:
    """Return which of the revisions are in a stored bundle."""
    with (
        container.checkedfile(store, key) as path,
        reading.File(ui, path) as bundle,
    ):
        layout = bundle.layout()
        groups = dict((*layout.trees, *layout.files))
        names = {name for name, _node in wanted}
        return _revisions(bundle, groups, names).intersection(wanted)


def _revisions(
    bundle: reading.File, groups: dict[bytes, int], names: Iterable[bytes]
) -> set[Revision]:
    """Return the revisions of ``names`` in a bundle; ``groups`` tells where
    each has its own."""
    found: set[Revision] = set()
    for name in names:
        if name in groups:
            bundle.payload.seek(groups[name])
            found.update(
                (name, entry.node)
                for entry, _delta in changegroup.revisions(
                    bundle.payload.read, bundle.version
                )
            )
    return found
