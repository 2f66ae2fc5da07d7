"""Changesets that are in no repository: they are in this process alone.

A second instance of the repository, which cannot write any of its files, makes
them with Mercurial's own code for commits. What that would add to the
ends of the revlogs goes to a temporary file that has no name, and into the
indexes in memory, as with ``bundlerepo``, whose code reads it. The instance
can then be pushed from like any repository, and when the process ends, however
it does, nothing is left. Only blobs of lfs need names: they are in a temporary
folder meanwhile.

No file of the repository is touched, not even for a moment: other processes
may read and write it meanwhile, and no lock is taken.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import importlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO, Optional

from mercurial import (
    bundlerepo,
    error,
    extensions,
    localrepo,
    mdiff,
    phases,
    pycompat,
)
from mercurial.i18n import _
from mercurial.interfaces import repository

from .. import names, unfit
from . import caches, changegroup, container, instances, reading
from .graph import NULLID
from .memorylogs import (
    Changelog,
    Revlog,
    keep,
    keepmanifest,
    revlogof,
    unfitted,
)

#: bytes of new revisions that are kept in memory, before there is a file
_IN_MEMORY = 8 << 20

# what it is mixed into: classes that are known only at run time
_Unknown: Any = object


@contextlib.contextmanager
def opened(repo) -> Iterator[Any]:
    """Open a further instance of ``repo``, unfiltered, that cannot write; for
    :func:`commit`."""
    base = repo.unfiltered()
    # bundlerepo walks along the deltas of some changelogs for ever
    if unfit.isunfit(base) or names.SHALLOW in base.requirements:
        raise unfitted()
    with contextlib.ExitStack() as stack:
        spool = stack.enter_context(
            tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)
        )
        view = localrepo.instance(base.baseui, base.root, create=False)
        # before extensions prepare it: some of them write, if they can
        instances.mixin(_Readonly, view)
        caches.protect(view, base, None)
        view.vfs = caches.ReadonlyVfs(view.vfs)
        view.svfs = caches.ReadonlyVfs(view.svfs)
        _tellabilities(view)
        # where changelog and manifests come from
        view.store.vfs = view.store.opener = view.svfs
        with _keywords():
            instances.setupextensions(view, leftout=(b'bundlestore',))
        instances.loglike(view.ui, base.ui)
        # "committing files" would be wrong
        view.ui.setconfig(b'ui', b'verbose', False, b'bundlestore')
        # after them: some make files of their own
        instances.mixin(_Memory, view)
        view.memory = _State(spool)
        if hasattr(view.svfs, 'lfslocalblobstore'):
            _keepblobs(view, stack)
        yield view


def commit(view, ctx) -> bytes:
    """Make the changeset ``ctx``, of ``view``, a draft; return its hash.

    What was written into the working copy by ``view.wwrite`` is part of a
    ``workingcommitctx``.
    """
    memory = view.memory
    if memory.written:
        flagsof = ctx._flagfunc
        ctx._flagfunc = lambda path: (
            memory.written[path][1] if path in memory.written else flagsof(path)
        )
    with (
        writing(view),
        view.ui.configoverride({(b'phases', b'new-commit'): b'draft'}),
    ):
        node: bytes = view.commitctx(ctx, error=True)
    if getattr(getattr(view.svfs, 'lfslocalblobstore', None), 'new', None):
        _requirelfs(view)
    return node


def add(view, bundle: reading.File) -> None:
    """Have ``view`` hold the changesets of a bundle, as drafts, and its
    obsolescence markers."""
    places = bundle.layout()
    with writing(view):
        manifests = view.manifestlog._rootstore
        new = _addgroup(view, view.changelog, bundle, places.changelog)
        _addgroup(view, revlogof(manifests), bundle, places.manifest)
        for name, offset in places.trees:
            log = revlogof(manifests.dirlog(name))
            _addgroup(view, log, bundle, offset)
        for name, offset in places.files:
            _addgroup(view, revlogof(view.file(name)), bundle, offset)
        phases.retractboundary(view, None, phases.draft, new)
    container.addmarkers(view.obsstore, bundle.markers)
    view.invalidatevolatilesets()


def _addgroup(view, log, bundle: reading.File, offset: int) -> list[bytes]:
    """Add what a revlog lacks of a group of revisions; return their
    hashes."""
    added = []
    bundle.payload.seek(offset)
    for entry, delta in changegroup.revisions(
        bundle.payload.read, bundle.version
    ):
        if log.hasnode(entry.node):
            continue
        base = b'' if entry.base == NULLID else log.rawdata(entry.base)
        rev = len(log)
        log.addrawrevision(
            bytes(mdiff.patches(base, [delta])),
            None,
            rev if log is view.changelog else view.changelog.rev(entry.link),
            *(entry.p1, entry.p2, entry.node, entry.flags),
        )
        added.append(entry.node)
    return added


@contextlib.contextmanager
def writing(view) -> Iterator[None]:
    """Have what the body adds to ``view``, or merges, be kept in memory."""
    memory = view.memory
    if not memory.iskept:
        memory.iskept = True
        keep(view.changelog, Changelog, memory.spool)
        keepmanifest(view.manifestlog._rootstore, memory.spool)
        view._phasecache.__class__ = bundlerepo.bundlephasecache
    before, memory.iswriting = memory.iswriting, True
    try:
        yield
    finally:
        memory.iswriting = before
        view.invalidatevolatilesets()


def _tellabilities(view) -> None:
    """Tell whether files can be executable, and links: Mercurial makes some in
    ``.hg/wcache`` to see, unless they are there from before."""
    if pycompat.iswindows:
        return

    def has(name: bytes, test, otherwise: bool) -> bool:
        try:
            return bool(test(view.wcachevfs.lstat(name).st_mode))
        except OSError:
            return otherwise

    isprogram = 0o111.__and__
    view.dirstate._checkexec = has(b'checkisexec', isprogram, True) and not has(
        b'checknoexec', isprogram, False
    )
    view.dirstate._checklink = has(b'checklink', stat.S_ISLNK, True)


@contextlib.contextmanager
def _keywords() -> Iterator[None]:
    """Have the extension keyword read files as it does for a commit: in a push
    it stays out of the way."""
    try:
        tools = extensions.find(b'keyword').kwtools
    except KeyError:
        yield
        return
    before = tools[b'hgcmd']
    tools[b'hgcmd'] = b'commit'
    try:
        yield
    finally:
        tools[b'hgcmd'] = before


# -- what the instance is


class _NoLock(contextlib.nullcontext):
    """The lock of what only this process has."""

    held = 1

    def release(self, *args) -> None:
        pass


class _NoTransaction(contextlib.nullcontext):
    """A transaction in which nothing is written."""

    def __init__(self) -> None:
        super().__init__(self)
        self.changes: dict[bytes, Any] = {}
        self.hookargs: dict[bytes, Any] = {}

    def __getattr__(self, name: str) -> Any:
        # what writes a file in the end, when it goes wrong, or for hooks
        return lambda *args, **kwargs: None


class _Readonly(_Unknown):
    """An instance of a repository that cannot write."""

    def wlock(self, wait=True, *args, **kwargs):
        # whatever notes what is clean goes without
        raise error.LockUnavailable(
            errno.EROFS, 'read-only', b'working directory', self.root
        )

    def lock(self, wait=True, *args, **kwargs):
        return _NoLock()

    def transaction(self, *args, **kwargs):
        return _NoTransaction()

    def hook(self, *args, **kwargs):
        # of a commit: the changeset is not where a hook would look for it
        return False

    def register_changeset(self, rev, changelogrevision):
        pass

    def invalidate(self, clearfilecache=False):
        # what is in memory cannot be read again
        pass

    def _refreshchangelog(self):
        pass


class _State:
    """What an instance has in memory."""

    def __init__(self, spool) -> None:
        #: new revisions
        self.spool = spool
        #: the revlogs of files that were added to, by path
        self.files: dict[bytes, Any] = {}
        #: texts and flags in the place of those of the working copy, by path
        self.written: dict[bytes, tuple[bytes, bytes]] = {}
        self.iswriting = False
        #: whether changelog and manifests keep what is added in memory
        self.iskept = False


class _Memory(_Unknown):
    """An instance that writes into memory."""

    def wlock(self, wait=True, *args, **kwargs):
        if self.memory.iswriting:
            return _NoLock()
        return super().wlock(wait, *args, **kwargs)

    def file(self, path, *args, **kwargs):
        # the other arguments say that it is going to be written
        memory = self.memory
        log = memory.files.get(path)
        if log is None:
            log = super().file(path)
            if memory.iswriting:
                keep(revlogof(log), Revlog, memory.spool)
                memory.files[path] = log
        return log

    def wread(self, filename):
        if filename in self.memory.written:
            return self.memory.written[filename][0]
        return super().wread(filename)

    def wwrite(self, filename, data, flags, *args, **kwargs):
        self.memory.written[filename] = data, flags
        return len(data)


# -- blobs of lfs


def _requirelfs(view) -> None:
    """Have blobs be pushed along, be they the first of the repository: the
    extension sees to that in a hook of the commit."""
    if b'lfs' not in view.requirements:
        view.requirements.add(b'lfs')
        view.features.add(repository.REPO_FEATURE_LFS)
        wrapper = importlib.import_module('hgext.lfs.wrapper')
        view.prepushoutgoinghooks.add(b'lfs', wrapper.prepush)


def _keepblobs(view, stack: contextlib.ExitStack) -> None:
    @functools.cache
    def folder() -> bytes:
        made = tempfile.mkdtemp(prefix='hg-bundlestore-')
        stack.callback(shutil.rmtree, made, ignore_errors=True)
        return os.fsencode(made)

    before = view.svfs.lfslocalblobstore
    view.svfs.lfslocalblobstore = _Blobs(before, folder)


class _Blobs:
    """The blobs of a repository, and those that a changeset in memory adds; as
    ``hgext.lfs.blobstore.local`` gives them."""

    def __init__(self, before, folder) -> None:
        self._before = before
        self._folder = folder
        self.new: dict[bytes, bytes] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._before, name)

    def write(self, oid: bytes, data: bytes) -> None:
        path = os.path.join(self._folder(), oid)
        with open(path, 'wb') as fh:
            fh.write(data)
        self.new[oid] = path

    def hadbefore(self, oid: bytes) -> bool:
        return bool(self._before.has(oid))

    def has(self, oid: bytes) -> bool:
        return oid in self.new or bool(self._before.has(oid))

    def path(self, oid: bytes) -> bytes:
        found: Optional[bytes] = self.new.get(oid)
        return found or self._before.path(oid)

    def open(self, oid: bytes) -> BinaryIO:
        return open(self.path(oid), 'rb')

    def read(self, oid: bytes, verify: bool = True) -> bytes:
        # the repository would keep what it finds in the cache of the account
        with self.open(oid) as fh:
            data = fh.read()
        if verify and hashlib.sha256(data).hexdigest().encode() != oid:
            blobstore = importlib.import_module('hgext.lfs.blobstore')
            raise blobstore.LfsCorruptionError(
                _(b'detected corrupt lfs object: %s') % oid
            )
        return data

    def verify(self, oid: bytes) -> bool:
        return oid in self.new or bool(self._before.verify(oid))
