"""Base repository and stored bundles as one read-only repository.

Mercurial's own ``bundlerepo`` does the work. It is meant for a user at a
terminal, though: over a served repository it writes caches that speak of
changesets that are not there, takes locks, and hides what is obsolete. The
overlay of this module does none of that.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Optional

from mercurial import (
    bundlerepo,
    error,
    localrepo,
    phases,
)
from mercurial.i18n import _
from mercurial.node import short

from .. import model
from ..server import of, servedview
from ..start.wraps import inplaceof
from . import caches, complete, container, graph, instances, reading, sound

# what it is mixed into: classes that are known only at run time
_Unknown: Any = object


class _Lockless(_Unknown):
    """What sets apart what only looks: Mercurial would take the lock of the
    base to write a cache, and goes without where it cannot."""

    def lock(self, wait=True, *args, **kwargs):
        raise error.LockUnavailable(
            errno.EROFS, 'read-only', b'store', _(b'bundle store overlay')
        )

    wlock = lock


class _Overlay(_Lockless):
    """What sets an overlay apart from the ``bundlerepository`` it is."""

    #: the revisions of the bundle; the base may hold some of them itself
    heldrevs: frozenset[int] = frozenset()
    #: those of them that the base does not show, see ``Server.locate``
    scratchrevs: frozenset[int] = frozenset()
    #: whether not everybody may see them all
    isprivate = False
    #: gives the tags of a view of it, or None, see ``lent.py``
    lenttags: Optional[Callable[[Any], Any]] = None

    def transaction(self, *args, **kwargs):
        raise error.Abort(_(b'a stored push is read-only'))

    def _findtags(self):
        lent = self.unfiltered().lenttags
        return (lent and lent(self)) or super()._findtags()

    def nodetags(self, node):
        found = super().nodetags(node)
        # the last changeset of a bundle is the tip of nothing but the overlay
        # a view by a filter has what the class has, not what the overlay has
        scratchrevs = self.unfiltered().scratchrevs
        if b'tip' in found and self.changelog.rev(node) in scratchrevs:
            return [tag for tag in found if tag != b'tip']
        return found

    def close(self):
        if not self.__dict__:
            return  # again
        super().close()
        # A repository refers to itself in many ways, and would keep its
        # memory and the files of its caches until Python looks for such
        # cycles. A server has closed hundreds of overlays by then.
        self.__dict__.clear()


class _OverlayChangelog(_Unknown):
    """What sets its changelog apart from the ``bundlechangelog`` it is."""

    def deltaparent(self, rev):
        # A changelog takes the revision before for the base of each delta,
        # and Mercurial 7.2 asks for its hash. That of the first scratch
        # changeset may be hidden.
        if rev > self.repotiprev:
            return self.index[rev][3]
        return super().deltaparent(rev)


def readonly(repo):
    """Return the served view of ``repo`` alone, without a bundle store, in an
    instance that writes no caches and takes no locks."""
    base = repo.unfiltered()
    view = localrepo.instance(base.baseui, base.root, create=False)
    instances.mixin(_Lockless, view)
    caches.protect(view, base, of(repo))
    return servedview(view)


def openfile(repo, path: bytes):
    """Return the overlay of ``repo`` and the bundle file at ``path``.

    The caller closes it. The file is open from here on, so that it may be
    removed.
    """
    base = repo.unfiltered()
    overlay = bundlerepo.makebundlerepository(base.baseui, base.root, path)
    instances.mixin(_Overlay, overlay)
    instances.mixin(_OverlayChangelog, overlay.changelog)
    caches.protect(overlay, base, of(repo))
    isshown = servedview(repo).changelog.hasnode
    try:
        overlay.heldrevs = _heldrevs(repo, overlay)
        overlay.scratchrevs = _scratchrevs(overlay, isshown)
        instances.setupextensions(overlay)
        instances.loglike(overlay.ui, base.ui)
        _addmarkers(overlay, path)
        if base.publishing():
            _publishbase(overlay, isshown)
        _unveil(overlay)
    except BaseException:
        overlay.close()
        raise
    return overlay


def _addmarkers(overlay, path: bytes) -> None:
    """Give the overlay the obsolescence markers that the bundle holds."""
    with reading.File(overlay.ui, path) as bundle:
        payloads = bundle.markers
    if payloads:
        container.addmarkers(overlay.obsstore, payloads)
        overlay.invalidatevolatilesets()


def _heldrevs(repo, overlay) -> frozenset[int]:
    """Return the revisions of the bundle.

    They are not just those that bundlerepo adds: the base may hold some of
    them, too. Of these bundlerepo reads what the base has, so a push that was
    not hashed could name a secret changeset and get at it.
    """
    revs = overlay.changelog.bundlerevs
    server = of(repo)
    if server is not None and server.settings.verify == 'none':
        return frozenset(rev for rev in revs if rev >= overlay.firstnewrev)
    return frozenset(revs)


def _scratchrevs(overlay, isshown) -> frozenset[int]:
    """Return the revisions of the bundle that the base does not show."""
    node = overlay.changelog.node
    first = overlay.firstnewrev
    return frozenset(
        rev
        for rev in overlay.heldrevs
        if rev >= first or not isshown(node(rev))
    )


def _publishbase(overlay, isshown) -> None:
    """Make the base's drafts public in the overlay: to clients of a
    publishing repository they are, only the scratch changesets are not.

    Those that the base hides stay drafts, or they would be hidden no more.
    """
    node = overlay.changelog.node
    drafts = overlay._phasecache.getrevset(overlay, (phases.draft,))
    nodes = [node(rev) for rev in drafts if rev < overlay.firstnewrev]
    nodes = [n for n in nodes if isshown(n)]
    if nodes:
        phases.advanceboundary(overlay, None, phases.public, nodes)


def _unveil(overlay) -> None:
    """Make drafts of those changesets of the bundle that the base holds in
    the secret phase: they were pushed by somebody who had them as drafts.

    One that rests on a secret changeset which the bundle does not hold stays
    secret, as that one must.
    """
    cl = overlay.changelog
    secret = set(
        overlay._phasecache.getrevset(overlay, phases.remotehiddenphases)
    )
    nodes = []
    for rev in sorted(secret.intersection(overlay.heldrevs)):
        if secret.isdisjoint(cl.parentrevs(rev)):
            secret.remove(rev)
            nodes.append(cl.node(rev))
    if nodes:
        phases.advanceboundary(overlay, None, phases.draft, nodes)
        overlay.invalidatevolatilesets()


@inplaceof('repoview.pinnedrevs')
def pinnedrevs(orig, repo):
    """Keep the changesets of an overlay's bundle visible.

    A client asked for them by hash, and may have pushed them together with
    the marker that makes them obsolete, or they may be obsolete in the base.
    Hidden, they would end the request with an error no client expects.
    """
    pinned = orig(repo)
    if isinstance(repo, _Overlay):
        pinned = set(pinned)
        pinned.update(repo.heldrevs)
    return pinned


def openbundles(repo, server, keys: list[str]):
    """Return the overlay of ``repo`` and the stored bundles ``keys``, all of
    them checked against their keys; the caller closes it."""
    with sound.reading():
        last = container.checkedfile(server.store, keys[-1])
        with complete.completefile(
            repo.ui, server.store, keys[:-1], last
        ) as path:
            return openfile(repo, path)


def opennodes(repo, server, nodes: Iterable[bytes]):
    """Return the overlay of ``repo`` that holds the scratch changesets
    ``nodes``, or None if none of them is one; the caller closes it."""
    nodes = list(nodes)
    try:
        return _opennodes(repo, server, nodes)
    except sound.Lacking as exc:
        sound.catchup(repo, server, exc)
    return _opennodes(repo, server, nodes)


def _opennodes(repo, server, nodes: list[bytes]):
    located = server.locate(repo, nodes)
    if not located:
        return None
    return sound.serving(
        repo,
        server,
        located,
        lambda keys: openlocated(repo, server, located, keys),
    )


def openlocated(
    repo, server, located: Mapping[bytes, model.Location], keys: list[str]
):
    """Return the overlay of ``repo`` and the stored bundles ``keys``; raises
    ``Unserved`` if it does not show all changesets in ``located``."""
    overlay = openbundles(repo, server, keys)
    hasnode = servedview(overlay).changelog.hasnode
    lost = [node for node in located if not hasnode(node)]
    if not lost:
        overlay.isprivate = any(where.private for where in located.values())
        return overlay
    # What a push rests on may have become secret later.
    overlay.close()
    raise sound.Unserved(
        _(b'changeset %s is not in the bundle that the index names')
        % short(lost[0]),
        hint=_(b'push it again'),
    )


def scratchroots(view) -> list[bytes]:
    """Return those scratch changesets of an overlay that rest on the base."""
    cl = view.unfiltered().changelog
    scratch = {rev: cl.parentrevs(rev) for rev in sorted(view.scratchrevs)}
    return [cl.node(rev) for rev in graph.roots(scratch)]
