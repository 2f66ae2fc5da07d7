"""What an overlay of one page need not find out again: it is lent by the base
repository, which a web server has open for many pages.

A manifest has a line for each file. Mercurial keeps those that it read last
with the repository; an overlay would read and check its own each time, half a
second for a million files. What the hash of a manifest says is the same
whoever asks, and what is kept here was read and checked. Whether an overlay
has a manifest of that hash is still for the overlay to say.

Tags are what the ``.hgtags`` of all heads say, and the cache of that holds for
the base alone. Where a bundle brings no ``.hgtags``, an overlay has the tags of
the base.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from mercurial import bundlerepo, error, manifest, revlog, util
from mercurial.node import nullrev

from ..server import servedview
from .overlay import readonly

#: Manifests of bundles that are kept. Of those of the base Mercurial keeps
#: some itself.
MOST = 2


def lend(repo, server, overlay) -> None:
    """Lend to ``overlay`` what was found out for earlier ones of ``repo``.
    With trees of manifests it is none of these, as none is large."""
    overlay.lenttags = functools.partial(_tags, repo, server)
    scratch = server.kept.setdefault('manifests', util.lrucachedict(MOST))
    log = overlay.manifestlog
    storage = log.getstorage(b'')
    loan = _Loan(repo.unfiltered(), storage, scratch)
    log.bundlestoreloan = storage.bundlestoreloan = loan
    # It would be read from a file, all of it, for one manifest or none.
    storage._fulltextcache = manifest.manifestfulltextcache(1)
    kinds: tuple[Any, Any] = type(log), type(storage)
    log.__class__ = _lending(kinds[0])
    storage.__class__ = _borrowing(kinds[1])


def _tags(repo, server, view) -> Any:
    """Return the tags of a view of an overlay, as ``_findtags`` of Mercurial
    does; None if they have to be searched for."""
    overlay = view.unfiltered()
    base = servedview(repo)
    before = overlay.changelog.node(overlay.firstnewrev - 1)
    state = _state(base)
    if (
        view.filtername != base.filtername
        or (before, view.changelog.filteredrevs) != state
        or isinstance(overlay.file(b'.hgtags'), bundlerepo.bundlefilelog)
    ):
        return None
    known, found = server.kept.get('tags', (None, None))
    if known != state:
        # it writes no caches
        fresh = readonly(repo)
        if fresh.filtername != view.filtername or _state(fresh) != state:
            return None
        found = fresh._findtags()
        server.kept['tags'] = state, found
    tags, kinds = found
    return {**tags, b'tip': view.changelog.tip()}, dict(kinds)


def _state(view) -> tuple[bytes, frozenset[int]]:
    """Return what the tags of the base depend on."""
    return view.unfiltered().changelog.tip(), view.changelog.filteredrevs


class _Loan:
    """What is lent to one overlay, whose manifests ``storage`` has."""

    def __init__(self, base, storage, scratch) -> None:
        self._base = base
        self._storage = storage
        self._scratch = scratch
        #: of the text that the manifest is made from which is read now
        self.node = b''
        self.text = b''

    def manifest(self, node: bytes, read: Callable[[], Any]) -> Any:
        """Return the manifest of that hash, which the overlay has; ``read``
        is how it finds it by itself."""
        storage = self._storage
        rev = storage.rev(node)
        if rev <= storage.repotiprev:
            found = self._ofbase(node)
            return read() if found is None else found
        found = self._scratch.get(node)
        if found is None:
            found = self._scratch[node] = self._made(rev, read)
        return found

    def _ofbase(self, node: bytes) -> Any:
        try:
            return self._base.manifestlog[node].read()
        except error.LookupError:
            # it has come since the base was opened
            return None

    def _made(self, rev: int, read: Callable[[], Any]) -> Any:
        storage = self._storage
        while rev > storage.repotiprev:
            rev = storage.index[rev][3]
        below = None
        if rev != nullrev:
            self.node = storage.node(rev)
            below = self._ofbase(self.node)
        if below is None:
            return read()
        self.text = below.text()
        try:
            return read()
        finally:
            self.node = self.text = b''


@functools.lru_cache(maxsize=4)
def _lending(kind: type) -> type:
    """Return the class of the manifests of an overlay that are lent."""

    class Lending(kind):
        def get(self, tree, node, *args, **kwargs):
            found = super().get(tree, node, *args, **kwargs)
            if type(found) is manifest.manifestctx:
                found.__class__ = _Manifest
            return found

    return Lending


class _Manifest(manifest.manifestctx):
    """One of them."""

    _data: Any

    def read(self):
        if self._data is None:
            self._data = self._manifestlog.bundlestoreloan.manifest(
                self._node, super().read
            )
        return self._data


class _Texts(revlog.revlog):
    """What sets the revisions of the base apart in an overlay."""

    bundlestoreloan: _Loan

    def _rawtext(self, node, rev, *args, **kwargs):
        loan = self.bundlestoreloan
        if loan.text and node == loan.node:
            return rev, loan.text, True
        return super()._rawtext(node, rev, *args, **kwargs)


@functools.lru_cache(maxsize=4)
def _borrowing(kind: type) -> type:
    """Return the class of what has their revisions. ``_Texts`` comes behind
    the class that puts deltas of the bundle on texts of the base."""
    return type(kind.__name__, (kind, _Texts), {})
