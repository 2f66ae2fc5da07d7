"""Base repository and stored bundles as one read-only repository.

Mercurial's own ``bundlerepo`` does the work. It is meant for a user at a
terminal, though: over a served repository it writes caches that speak of
changesets that are not there, takes locks, and hides what is obsolete. The
overlay of this module does none of that.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from typing import Any

from mercurial import (
    bundlerepo,
    error,
    extensions,
    exthelper,
    localrepo,
    phases,
    repoview,
    vfs as vfsmod,
)
from mercurial.i18n import _
from mercurial.node import short

from . import bundlefile, compat, errors, interfaces
from .server import aborting, servedview

eh = exthelper.exthelper()


class _ReadonlyVfs(vfsmod.readonlyvfs):
    """A cache folder that cannot be written.

    It fails as a read-only file system does: all of Mercurial's caches expect
    that and go without, while core's own ``readonlyvfs`` aborts.
    """

    def __call__(self, path, mode=b'r', *args, **kwargs):
        if mode not in (b'r', b'rb'):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return self.vfs(path, mode, *args, **kwargs)

    def _refuse(self, *args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    append = write = writelines = _refuse
    unlink = tryunlink = unlinkpath = rename = rmtree = _refuse
    mkdir = makedir = makedirs = mkstemp = utime = chmod = _refuse


# what it is mixed into: any class of repository
_Repository: Any = object


class _Overlay(_Repository):
    """What sets an overlay apart from the ``bundlerepository`` it is."""

    def lock(self, wait=True, *args, **kwargs):
        raise error.LockUnavailable(
            errno.EROFS, 'read-only', b'store', _(b'bundle store overlay')
        )

    wlock = lock

    def transaction(self, *args, **kwargs):
        raise error.Abort(_(b'a stored push is read-only'))


def readonly(repo):
    """Return the served view of ``repo`` alone, without a bundle store, in an
    instance that writes no caches."""
    base = repo.unfiltered()
    view = localrepo.instance(base.baseui, base.root, create=False)
    _protect(view)
    return servedview(view)


def _protect(view) -> None:
    view.cachevfs = _ReadonlyVfs(view.cachevfs)
    view.wcachevfs = _ReadonlyVfs(view.wcachevfs)


def openfile(repo, path: bytes):
    """Return the overlay of ``repo`` and the bundle file at ``path``.

    The caller closes it. The file is open from here on, so that it may be
    removed.
    """
    base = repo.unfiltered()
    overlay = bundlerepo.makebundlerepository(base.baseui, base.root, path)
    overlay.__class__ = type(
        'overlayrepository', (_Overlay, overlay.__class__), {}
    )
    _protect(overlay)
    try:
        _setupextensions(overlay)
        _addmarkers(overlay, path)
        if base.publishing():
            _publishbase(overlay)
    except BaseException:
        overlay.close()
        raise
    return overlay


def _setupextensions(overlay) -> None:
    """Let the other extensions of the repository prepare the overlay, as
    ``hg.repository`` does: lfs, for one, must."""
    for _name, module in extensions.extensions(overlay.ui):
        hook = getattr(module, 'reposetup', None)
        if hook:
            hook(overlay.ui, overlay)


def _addmarkers(overlay, path: bytes) -> None:
    """Give the overlay the obsolescence markers that the bundle holds."""
    bundle = bundlefile.BundleFile(overlay.ui, path)
    try:
        payloads = bundle.markers
    finally:
        bundle.close()
    if payloads:
        obsstore = overlay.obsstore
        for data in payloads:
            new = set(bundlefile.decodemarkers(data)).difference(obsstore)
            obsstore._addmarkers(new, data)
        overlay.invalidatevolatilesets()


def _publishbase(overlay) -> None:
    """Make the base's drafts public in the overlay: to clients of a
    publishing repository they are, only the scratch changesets are not."""
    node = overlay.changelog.node
    drafts = overlay._phasecache.getrevset(overlay, (phases.draft,))
    nodes = [node(rev) for rev in drafts if rev < overlay.firstnewrev]
    if nodes:
        phases.advanceboundary(overlay, None, phases.public, nodes)


@eh.wrapfunction(repoview, 'pinnedrevs')
def _pinnedrevs(orig, repo):
    """Keep the scratch changesets of an overlay visible.

    A client asked for them by hash, and may have pushed them together with
    the marker that makes them obsolete. Hidden, they would end the request
    with an error no client expects.
    """
    pinned = orig(repo)
    if isinstance(repo, _Overlay):
        pinned = set(pinned)
        pinned.update(range(repo.firstnewrev, len(repo)))
    return pinned


def openbundles(repo, server, keys: Iterable[str]):
    """Return the overlay of ``repo`` and the stored bundles ``keys``, all of
    them checked against their keys; the caller closes it."""
    with aborting(), contextlib.ExitStack() as temporaries:
        paths = []
        for key in keys:
            path, istemp = _checkedfile(server.store, key)
            if istemp:
                temporaries.callback(compat.tryunlink, path)
            paths.append(path)
        if len(paths) > 1:
            paths = [bundlefile.join(repo.ui, paths)]
            temporaries.callback(compat.tryunlink, paths[0])
        return openfile(repo, paths[0])


def _checkedfile(store, key: str) -> tuple[bytes, bool]:
    """Return a file with the bundle's bytes, read through and found true, and
    whether it is a temporary one."""
    with _opened(store, key) as reader:
        if not interfaces.ILocalPath.providedBy(store):
            return bundlefile.copytemp(reader), True
        while reader.read(bundlefile.BLOCK):
            pass
    return store.localpath(key), False


def _opened(store, key: str):
    try:
        return store.open(key)
    except errors.UnknownKey as exc:
        raise errors.BundleStoreError(
            f'bundle {key[:12]} is missing from the bundle store',
            'push the same changesets again to bring it back',
        ) from exc


def opennodes(repo, server, nodes: Iterable[bytes]):
    """Return the overlay of ``repo`` that holds the scratch changesets
    ``nodes``, or None if none of them is one; the caller closes it."""
    located = server.locate(repo, nodes)
    if not located:
        return None
    keys = dict.fromkeys(where.key for where in located.values())
    overlay = openbundles(repo, server, keys)
    view = servedview(overlay)
    for node in located:
        if not view.changelog.hasnode(node):
            overlay.close()
            raise error.Abort(
                _(b'changeset %s is not in the bundle that the index names')
                % short(node),
                hint=_(b'push it again'),
            )
    return overlay


def scratchroots(view) -> list[bytes]:
    """Return those scratch changesets of an overlay that rest on the base."""
    cl = view.unfiltered().changelog
    first = view.firstnewrev
    return [
        cl.node(rev)
        for rev in range(first, len(cl))
        if max(cl.parentrevs(rev)) < first
    ]
