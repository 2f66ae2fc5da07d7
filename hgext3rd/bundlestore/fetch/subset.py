"""Some of the changesets of stored bundles, without an overlay: the lower half
of a stack, its new top without the old one, one of several heads.

The revisions that these changesets need are copied as they are stored into a
changegroup of their own, before anything of the answer is sent. Which they are
is told by the manifests: what a changeset's own one has and that of its first
parent has not, of the files that it says it changed. The link of a revision
does not tell: it names the first of the changesets with that revision, and
that may be left out.

A delta may be made from a revision that is left out, too. The text is rebuilt
then, from the bundles, hashed, and sent as a delta from its first parent.

Whatever the client might lack has :class:`Unfit` raised: an overlay knows how
to get at it.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Callable, Optional

from mercurial import mdiff

from ..bundle import (
    changegroup,
    graph,
    manifests,
    reading,
    revisions,
    sound,
)
from ..bundle.changegroup import END, Entry, Layout
from ..bundle.graph import NULLID
from ..records import NamedTuple
from ..server import hasnode

#: the most bytes of texts and deltas that are in memory to rebuild a revision
MOST = 16 * 1024 * 1024
#: the most bytes that are gone through to rebuild all of them
_ALLOWED = 1024 * 1024 * 1024
#: the most bytes of texts that are kept, as others may be made from them
_KEPT = 8 * 1024 * 1024

#: a changegroup as a file, where its groups are, and the first chunk of one
_Group = tuple[BinaryIO, Layout, int]


class Unfit(Exception):
    """It takes an overlay."""


class _Place(NamedTuple):
    """Where the delta of a revision is."""

    entry: Entry
    fh: BinaryIO
    offset: int
    length: int

    def delta(self) -> bytes:
        self.fh.seek(self.offset)
        return changegroup.readexactly(self.fh.read, self.length)


class _Revisions:
    """The revisions of the changelog, of the manifest or of a file.

    ``storage()`` is what the base has of them, and ``isbelow(node)`` whether
    the client has one of these.
    """

    def __init__(
        self,
        groups: Iterable[_Group],
        storage: Callable[[], Any],
        isbelow: Callable[[bytes], bool],
        allowance: sound.Allowance,
    ) -> None:
        self._places: dict[bytes, _Place] = {}
        for fh, layout, start in groups:
            for entry, offset, length in changegroup.places(
                fh, layout.version, start
            ):
                place = _Place(entry, fh, offset, length)
                self._places.setdefault(entry.node, place)
        self._storage = storage
        self._isbelow = isbelow
        self._allowance = allowance
        self._sent: set[bytes] = {NULLID}
        self._texts = revisions.Recent(_KEPT)

    def __contains__(self, node: bytes) -> bool:
        return node in self._places

    def isthere(self, node: bytes) -> bool:
        """Whether the client has a revision, or will have it by now."""
        return node in self._sent or self._isbelow(node)

    def text(self, node: bytes) -> bytes:
        """Return the text of a revision."""
        chain: list[_Place] = []
        size = 0
        base = node
        while base in self._places and base not in self._texts:
            place = self._places[base]
            chain.append(place)
            size += place.length
            # a hostile one may be made from itself, by a detour or not
            endless = len(chain) > len(self._places)
            if place.entry.flags or size > MOST or endless:
                raise Unfit
            base = place.entry.base
        text = self._basetext(base)
        if size + len(text) > MOST:
            raise Unfit
        try:
            self._allowance.take(size + len(text))
        except sound.TooMuch as exc:
            raise Unfit from exc
        if chain:
            deltas = [place.delta() for place in reversed(chain)]
            text = _patched(chain[0].entry, text, deltas)
        self._texts.add(node, text)
        return text

    def _basetext(self, node: bytes) -> bytes:
        if node == NULLID:
            return b''
        if node in self._texts:
            return self._texts.get(node)
        text, flags = revisions.text(self._storage(), node)
        if flags:
            raise Unfit
        return text

    def change(self, node: bytes, before: bytes) -> bytes:
        """Return the delta that makes a revision of the one ``before``."""
        place = self._places[node]
        if place.entry.base == before and place.length <= MOST:
            return place.delta()
        old = self.text(before)
        delta: bytes = mdiff.textdiff(old, self.text(node))
        return delta

    def copied(
        self, wanted: dict[bytes, bytes], version: bytes
    ) -> Iterator[bytes]:
        """Yield those revisions in ``wanted``, which has the changeset of
        each, that the bundles have."""
        for node, place in self._places.items():
            if node in wanted:
                yield from self._copy(place, wanted[node], version)
                self._sent.add(node)

    def _copy(
        self, place: _Place, link: bytes, version: bytes
    ) -> Iterator[bytes]:
        entry = place.entry._replace(link=link)
        parents = (entry.p1, entry.p2)
        if not all(map(self.isthere, parents)):
            raise Unfit
        if entry.base in self._sent or entry.base in parents:
            yield from changegroup.copied(
                entry, place.fh, place.offset, place.length, version
            )
            return
        text = self.text(entry.node)
        entry = entry._replace(base=entry.p1)
        if entry.p1 == NULLID:
            delta = revisions.whole(text)
        else:
            delta = mdiff.textdiff(self.text(entry.p1), text)
        yield from changegroup.revision(entry, delta, version)


def _patched(entry: Entry, base: bytes, deltas: list[bytes]) -> bytes:
    try:
        text = bytes(mdiff.patches(base, deltas))
    except Exception as exc:
        # of a kind that depends on the build of Mercurial
        raise Unfit from exc
    if not revisions.istrue(entry, text):
        raise Unfit
    return text


class Subset:
    """Some changesets of bundles, to be sent as those of ``sources.Joint``."""

    def __init__(self, repo, joint: Any, chosen: graph.Graph) -> None:
        self.version: bytes = joint.version
        self.trees = False
        self.markers: list[bytes] = joint.markers
        self.size: int = joint.size
        self.parents = chosen
        self._file = tempfile.SpooledTemporaryFile(max_size=reading.KEEP)
        try:
            for chunk in _Choice(repo, joint, chosen).changegroup():
                self._file.write(chunk)
            joint.check()
            self._file.seek(0)
            fh: Any = self._file
            self._part = (fh, changegroup.layout(fh, self.version))
        except BaseException:
            self.close()
            raise

    def chunks(
        self, target: bytes, front: Optional[changegroup.Read] = None
    ) -> Iterator[bytes]:
        """Do as ``sources.Joint.chunks``."""
        return changegroup.concatenate([self._part], target, front)

    def check(self) -> None:
        """Do nothing: all was read before."""

    def close(self) -> None:
        self._file.close()


class _Choice:
    """Chooses what the changesets ``chosen`` need of what bundles hold."""

    def __init__(self, repo, joint: Any, chosen: graph.Graph) -> None:
        self._repo = repo
        self._version: bytes = joint.version
        self._parts: list[tuple[BinaryIO, Layout]] = joint.parts()
        self._chosen = chosen
        changelog = repo.unfiltered().changelog
        self._below = revisions.Below(repo, graph.below(chosen))
        self._allowance = sound.Allowance(_ALLOWED)
        self._changesets = _Revisions(
            [(fh, layout, layout.changelog) for fh, layout in self._parts],
            lambda: changelog,
            lambda node: hasnode(repo, node),
            self._allowance,
        )
        manifeststorage = repo.manifestlog.getstorage(b'')
        self._manifests = _Revisions(
            [(fh, layout, layout.manifest) for fh, layout in self._parts],
            lambda: manifeststorage,
            lambda node: self._hasbelow(manifeststorage, node),
            self._allowance,
        )
        #: the manifests of changesets
        self._manifestof: dict[bytes, bytes] = {NULLID: NULLID}

    def _hasbelow(self, storage: Any, node: bytes) -> bool:
        """Whether the base has a revision below what was chosen."""
        try:
            link = storage.linkrev(storage.rev(node))
        except LookupError:
            return False
        return self._below.brought(link)

    def changegroup(self) -> Iterator[bytes]:
        """Yield a changegroup with all that is needed, and no more."""
        version = self._version
        wanted: dict[bytes, bytes] = {}
        files: dict[bytes, dict[bytes, bytes]] = {}
        for node in self._chosen:
            self._need(node, wanted, files)
        yield from self._changesets.copied(
            {node: node for node in self._chosen}, version
        )
        yield END
        yield from self._manifests.copied(wanted, version)
        yield END
        if version == b'03':
            yield END
        yield from self._copiedfiles(files)
        yield END

    def _need(
        self,
        node: bytes,
        wanted: dict[bytes, bytes],
        files: dict[bytes, dict[bytes, bytes]],
    ) -> None:
        """Add what a changeset needs that its ancestors do not."""
        manifest, changed = revisions.summary(self._changesets.text(node))
        self._manifestof[node] = manifest
        before = [self._manifest(parent) for parent in self._chosen[node]]
        if manifest in before or manifest in wanted:
            return
        if manifest not in self._manifests:
            raise Unfit
        wanted[manifest] = node
        names = set(changed)
        for name, digits, _kind in manifests.inserted(
            self._manifests.change(manifest, before[0])
        ):
            if name in names:
                revision = manifests.node(digits)
                files.setdefault(name, {}).setdefault(revision, node)

    def _manifest(self, node: bytes) -> bytes:
        """Return the manifest of a parent."""
        if node not in self._manifestof:
            found: bytes = self._repo.changelog.read(node)[0]
            self._manifestof[node] = found
        return self._manifestof[node]

    def _copiedfiles(
        self, files: dict[bytes, dict[bytes, bytes]]
    ) -> Iterator[bytes]:
        groups: dict[bytes, list[_Group]] = {}
        for fh, layout in self._parts:
            for name, offset in layout.files:
                groups.setdefault(name, []).append((fh, layout, offset))
        for name in sorted(files):
            storage = self._repo.file(name)
            found = _Revisions(
                groups.get(name, ()),
                functools.partial(self._repo.file, name),
                functools.partial(self._hasbelow, storage),
                self._allowance,
            )
            wanted = files[name]
            head = changegroup.opening(name)
            for chunk in found.copied(wanted, self._version):
                yield head + chunk
                head = b''
            if not head:
                yield END
            if not all(map(found.isthere, wanted)):
                raise Unfit
