"""The caches of the base, as overlays have them.

Mercurial keeps in ``.hg/cache`` which branches and which ``.hgtags`` the
changesets have. An overlay reads that and adds what is in its bundles, but it
must not write there. So where the caches of the base are missing or lag
behind, each request would compute all of it anew, and throw it away.

Here it is computed once, by a second instance of the base alone, and kept in
the folder of ``cachefolder.py``: one file with what that instance would have
written into ``.hg/cache``. Mercurial checks what it reads of it as it checks
its own caches, by the hash of the tip and of what is hidden.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import struct
from collections.abc import Iterator
from typing import Any, Optional

from mercurial import branchmap, localrepo, obsolete, util, vfs as vfsmod

from .. import compat

#: So many changesets a cache may lag behind, and so many heads may be missing
#: in it: what is not worth a file. Mercurial does not look at the .hgtags of
#: what is pushed to it.
FEW = 100
FEW_HEADS = 4

#: of each revision, four bytes of its hash and the file revision of .hgtags
_FNODES = b'hgtagsfnodes1'
_FNODES_RECORD = 24

_PREFIX = 'caches-'
#: what comes before each file: the length of its name, and of the rest
_ENTRY = struct.Struct('>HQ')

#: What is kept where the folder cannot be written, by the path of the
#: repository. Of this process, as each request to ``hgwebdir`` makes objects
#: of its own.
_remembered: dict[bytes, tuple[str, dict[bytes, bytes]]] = {}
_MOST_REMEMBERED = 8

# what it is mixed into: classes that are known only at run time
_Unknown: Any = object


class ReadonlyVfs(vfsmod.readonlyvfs):
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


class _KeptVfs(ReadonlyVfs):
    """The same, with what is kept of the caches in front of them."""

    def __init__(self, vfs, kept: Kept) -> None:
        super().__init__(vfs)
        self._kept = kept

    def __call__(self, path, mode=b'r', *args, **kwargs):
        isread = mode in (b'r', b'rb')
        if isread and path == _FNODES:
            self._kept.needfnodes()
        content = self._kept.files.get(path)
        if content is None or not isread:
            return super().__call__(path, mode, *args, **kwargs)
        return io.BytesIO(content)

    def is_mmap_safe(self, path=None) -> bool:
        return path not in self._kept.files and super().is_mmap_safe(path)


class _BranchMaps(_Unknown):
    """What sets the branch maps of an overlay apart from others."""

    kept: Optional[Kept] = None

    def updatecache(self, view):
        kept, self.kept = self.kept, None
        if kept is not None:
            name, found = _nearest(view)
            if kept.islate(found):
                kept.need()
            elif found is not None:
                # it need not be read again
                self._per_filter[name] = found
        return super().updatecache(view)


def protect(view, base, server) -> None:
    """Give ``view``, an overlay of the repository ``base`` or another instance
    of it, caches that it does not write; ``server`` is the bundle store of
    ``base``, if it has one."""
    view.wcachevfs = ReadonlyVfs(view.wcachevfs)
    if server is None:
        view.cachevfs = ReadonlyVfs(view.cachevfs)
        return
    kept = Kept(base.unfiltered(), server.cache)
    view.cachevfs = _KeptVfs(view.cachevfs, kept)
    maps = view._branchcaches
    view._branchcaches = type('_branchmaps', (_BranchMaps, type(maps)), {})()
    vars(view._branchcaches).update(vars(maps), kept=kept)


def isdue(repo) -> bool:
    """Whether the caches of a repository lag so far behind that they are worth
    updating."""
    kept = Kept(repo.unfiltered(), None)
    _name, found = _nearest(repo.filtered(b'served'))
    return kept.islate(found) or (
        len(repo.file(b'.hgtags')) > 0 and kept.lacksheads(FEW)
    )


class Kept:
    """What is kept of the caches of the repository ``base`` in ``folder``;
    nothing is looked for before it is needed."""

    def __init__(self, base, folder) -> None:
        self._base = base
        self._folder = folder
        self._isread = False
        self._hasfnodes = False
        #: contents by name of the file in ``.hg/cache``
        self.files: dict[bytes, bytes] = {}

    @property
    def _changelog(self):
        return self._base.filtered(b'served').changelog

    def islate(self, branches) -> bool:
        """Whether much is to be added to a branch map; None is an empty
        one."""
        known = -1 if branches is None else branches.tiprev
        late: bool = known < self._changelog.tiprev() - FEW
        return late

    def lacksheads(self, few: int) -> bool:
        """Whether there are more than ``few`` heads whose ``.hgtags`` the base
        does not know."""
        changelog = self._changelog
        heads = changelog.headrevs()
        if len(heads) <= few:
            return False
        try:
            fh = self._base.cachevfs(_FNODES, b'rb')
        except OSError:
            return True
        missing = 0
        with fh:
            for rev in heads:
                fh.seek(rev * _FNODES_RECORD)
                missing += fh.read(4) != changelog.node(rev)[:4]
        return missing > few

    def needfnodes(self) -> None:
        """Read what is kept if the base does not know the ``.hgtags`` of its
        heads."""
        if not self._hasfnodes:
            self._hasfnodes = True
            if self.lacksheads(FEW_HEADS):
                self.need()

    def need(self) -> None:
        """Read what is kept; compute and keep it if there is nothing."""
        if self._isread:
            return
        self._isread = True
        name = _name(self._base)
        known, files = _remembered.get(self._base.root, ('', {}))
        if known == name:
            self.files = files
            return
        fh = self._folder.made(name, self._make)
        if fh is not None:
            with fh:
                self.files = dict(_unpacked(fh.read()))
            return
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        _remembered[self._base.root] = name, self.files

    def _make(self) -> Iterator[bytes]:
        # those of another state may be a good beginning
        old = self._folder.names(_PREFIX)
        begin = (self._folder.read(old[0]) if old else None) or b''
        self.files = _computed(self._base, dict(_unpacked(begin)))
        return self._replacing(old)

    def _replacing(self, old: list[str]) -> Iterator[bytes]:
        yield from _packed(self.files)
        for name in old:
            self._folder.remove(name)


def _nearest(view) -> tuple[Any, Any]:
    """Return the branch map with which Mercurial begins, as it is in a file:
    that of the view, or of one that shows less; and its name. The map is None
    if there is none."""
    while True:
        name = view.filtername
        found = compat.cachedbranchmap(view)
        if found is not None or name not in branchmap.subsettable:
            return name, found
        view = view.filtered(branchmap.subsettable[name])


# -- computing


class _Written(ReadonlyVfs):
    """A cache folder whose files, once they are read or written, are in memory,
    by name."""

    def __init__(self, vfs, files: dict[bytes, bytes]) -> None:
        super().__init__(vfs)
        self.files = files

    def __call__(self, path, mode=b'r', *args, **kwargs):
        if b'w' in mode:
            return _File(b'', self.files, path)
        if path not in self.files:
            try:
                self.files[path] = self.vfs.read(path)
            except FileNotFoundError:
                if b'a' not in mode:
                    raise
                self.files[path] = b''
        if mode in (b'r', b'rb'):
            return io.BytesIO(self.files[path])
        fh = _File(self.files[path], self.files, path)
        if b'a' in mode:
            fh.seek(0, os.SEEK_END)
        return fh

    def is_mmap_safe(self, path=None) -> bool:
        return False

    def _empty(self, path=None, *args, **kwargs) -> None:
        # as good as none, to Mercurial
        self.files[path] = b''

    unlink = tryunlink = unlinkpath = _empty


class _File(io.BytesIO):
    """A file that is written."""

    def __init__(self, content: bytes, files: dict[bytes, bytes], path) -> None:
        super().__init__(content)
        self._files = files
        self._path = path

    def close(self) -> None:
        if not self.closed:
            self._files[self._path] = self.getvalue()
        super().close()


class _NoLock(contextlib.nullcontext):
    """The lock of what only this process has."""

    def release(self) -> None:
        pass


def _computed(base, files: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the caches of a repository; ``files`` are some from which
    Mercurial may begin."""
    instance = localrepo.instance(base.baseui, base.root, create=False)
    written = _Written(instance.cachevfs, files)
    instance.cachevfs = written
    instance.wcachevfs = ReadonlyVfs(instance.wcachevfs)
    instance.lock = instance.wlock = lambda *args, **kwargs: _NoLock()
    view = instance.filtered(b'served')
    view.branchmap()
    view.tags()
    _writebranches(instance)
    return written.files


def _writebranches(repo) -> None:
    """Write the branches of all revisions."""
    branches = repo.revbranchcache()
    # without a file it looks at nothing but the changelog, each time
    vars(branches).pop('branchinfo', None)
    for rev in repo.changelog:
        branches.branchinfo(rev)
    branches.write()


def _name(repo) -> str:
    """Return the name for the caches of a repository in this state."""
    served = repo.filtered(b'served')
    digest = hashlib.sha1(util.version() + repo.changelog.tip())
    for revs in (
        served.changelog.filteredrevs,
        obsolete.getrevs(served, b'obsolete'),
    ):
        digest.update(b'%r' % sorted(revs))
    return _PREFIX + digest.hexdigest()


def _packed(files: dict[bytes, bytes]) -> Iterator[bytes]:
    for name, content in files.items():
        yield _ENTRY.pack(len(name), len(content)) + name
        yield content


def _unpacked(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names of files and what is in them."""
    start = 0
    while start < len(data):
        name, content = _ENTRY.unpack_from(data, start)
        start += _ENTRY.size
        middle = start + name
        end = middle + content
        yield data[start:middle], data[middle:end]
        start = end
