"""A changeset that is in no repository: it is in this process alone.

A second instance of the repository, which cannot write any of its files, makes
the changeset with Mercurial's own code for commits. What that would add to the
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
    pycompat,
    revlog,
    revlogutils,
)
from mercurial.i18n import _
from mercurial.interfaces import repository
from mercurial.node import nullrev

from .. import unfit
from ..bundle import caches, instances

#: bytes of new revisions that are kept in memory, before there is a file
_IN_MEMORY = 8 << 20

#: of a clone that the extension remotefilelog made, without revlogs of files
_SHALLOW = b'exp-remotefilelog-repo-req-1'

# what it is mixed into: classes that are known only at run time
_Unknown: Any = object


@contextlib.contextmanager
def opened(repo) -> Iterator[Any]:
    """Open a further instance of ``repo``, unfiltered, that cannot write; for
    :func:`commit`."""
    base = repo.unfiltered()
    # bundlerepo walks along the deltas of some changelogs for ever
    if unfit.isunfit(base) or _SHALLOW in base.requirements:
        raise _unfit()
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
    """Make the changeset ``ctx``, a ``workingcommitctx`` of ``view``, a draft;
    return its hash.

    What was written into the working copy by ``view.wwrite`` is part of it.
    """
    memory = view.memory
    _keep(view.changelog, _Changelog, memory.spool)
    _keepmanifest(view.manifestlog._rootstore, memory.spool)
    view._phasecache.__class__ = bundlerepo.bundlephasecache
    flagsof = ctx._flagfunc
    ctx._flagfunc = lambda path: (
        memory.written[path][1] if path in memory.written else flagsof(path)
    )
    memory.iscommitting = True
    with view.ui.configoverride({(b'phases', b'new-commit'): b'draft'}):
        node: bytes = view.commitctx(ctx, error=True)
    memory.iscommitting = False
    view.invalidatevolatilesets()
    if getattr(getattr(view.svfs, 'lfslocalblobstore', None), 'new', None):
        _requirelfs(view)
    return node


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
        self.iscommitting = False


class _Memory(_Unknown):
    """An instance that writes into memory."""

    def file(self, path, *args, **kwargs):
        # the other arguments say that it is going to be written
        memory = self.memory
        log = memory.files.get(path)
        if log is None:
            log = super().file(path)
            if memory.iscommitting:
                _keep(_revlogof(log), _Revlog, memory.spool)
                memory.files[path] = log
        return log

    def wread(self, filename):
        if filename in self.memory.written:
            return self.memory.written[filename][0]
        return super().wread(filename)

    def wwrite(self, filename, data, flags, *args, **kwargs):
        self.memory.written[filename] = data, flags
        return len(data)


# -- what its revlogs are


class _Revlog(bundlerepo.bundlerevlog):
    """A revlog that what is added to is in memory."""

    def addrevision(self, *args, **kwargs):
        return revlog.revlog.addrevision(self, *args, **kwargs)

    def addrawrevision(
        self,
        rawtext,
        transaction,
        link,
        p1,
        p2,
        node,
        flags,
        cachedelta=None,
        deltacomputer=None,
        sidedata=None,
    ):
        base = self.rev(p1)
        if flags or (base != nullrev and self.flags(base)):
            # whose text may be another one, or none
            base = nullrev
        delta = mdiff.textdiff(self.rawdata(base), rawtext)
        self.bundle.seek(0, os.SEEK_END)
        entry = revlogutils.entry(
            flags=flags,
            data_offset=self.bundle.tell(),
            data_compressed_length=len(delta),
            data_uncompressed_length=len(rawtext),
            data_delta_base=base,
            link_rev=link,
            parent_rev_1=self.rev(p1),
            parent_rev_2=self.rev(p2),
            node_id=node,
        )
        self.bundle.write(delta)
        rev = len(self)
        self.index.append(entry)
        self.bundlerevs.add(rev)
        return rev

    def deltaparent(self, rev):
        # in old formats it would be the revision before
        if rev > self.repotiprev:
            return self.index[rev][3]
        return super().deltaparent(rev)


class _Changelog(_Revlog):
    def delayupdate(self, tr):
        pass


def _keep(log, kind: type, spool) -> None:
    """Have a revlog keep in ``spool`` what is added to it."""
    tip = len(log) - 1
    instances.mixin(kind, log)
    log.bundle = spool
    log.repotiprev = tip
    log.bundlerevs = set()


def _keepmanifest(store, spool) -> None:
    """The same for manifests, be there one for each folder."""
    # some have been read to see what has changed
    for log in list(store._dirlogcache.values()):
        _keepdirlog(log, spool)


def _keepdirlog(store, spool) -> None:
    _keep(_revlogof(store), _Revlog, spool)
    original = store.dirlog

    def dirlog(folder: bytes):
        isnew = folder not in store._dirlogcache
        found = original(folder)
        if isnew:
            _keepdirlog(found, spool)
        return found

    store.dirlog = dirlog


def _revlogof(store):
    found = getattr(store, '_revlog', None)
    if not isinstance(found, revlog.revlog):
        raise _unfit()
    return found


def _unfit() -> error.Abort:
    return error.Abort(
        _(b'this kind of repository cannot push its working copy'),
        hint=_(b'commit, and push the changeset'),
    )


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
