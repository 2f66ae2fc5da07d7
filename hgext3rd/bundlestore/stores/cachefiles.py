"""The folder in which copies of bundles are kept, see ``cache.py``.

It is a store of files in which nothing is durable and everything may go: what
was not used for longest goes first where the copies are more than they may be,
or the disk is nearly full. How much there is stands in the file ``usage``, so
that the folder is looked through only when that says too much.

Who reads a copy has it locked (``flock``), and it stays until the last reader
is done. A lock goes with its process, so nothing has to be tidied up after one
that was killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from typing import BinaryIO, Optional

from .. import errors, model
from . import fileops, localfiles
from .file import FileStore

#: bytes of the disk that are left to others: pushes need them more
SPARE = 4 * localfiles.LOW

#: what a small file takes on a disk, in bytes
_LEAST = 4096
#: seconds to wait until somebody has counted
_WAIT = 10.0
#: seconds after which nobody writes a temporary file any more
_OLD = 86400.0
#: seconds in which it is not noted again that a bundle was read
_NOTED = 60.0
_BLOCK = 1 << 20


class CacheFiles(FileStore):
    """The copies in ``folder``, at most ``limit`` bytes of them; the rest is
    as in ``FileStore``."""

    def __init__(
        self, folder: bytes, createmode: Optional[int], limit: int
    ) -> None:
        super().__init__(folder, createmode, durable=False)
        self._limit = limit

    def isthere(self) -> bool:
        """Whether there is the folder itself."""
        return os.path.isdir(self._folder)

    def pathof(self, key: str) -> bytes:
        """Return where a bundle is, or would be."""
        return self._path(key)

    # -- reading

    def take(self, key: str, checked: bool = False) -> Optional[BinaryIO]:
        """Return the file of a bundle, at its beginning, or None if it is not
        here. It was read and found true, unless ``checked``; one that is not
        true is dropped. It has its name until it is closed, if only in the
        last process that has it."""
        path = self._path(key)
        try:
            fp = open(path, 'rb')
        except OSError:
            return None
        with contextlib.ExitStack() as stack:
            stack.callback(fp.close)
            if not _lock(fp.fileno(), alone=False) or not _isat(fp, path):
                return None  # it goes at this very moment
            if not checked and not _istrue(fp, key):
                self.drop(key)
                return None
            self._note(path, fp)
            stack.pop_all()
        return fp

    def _note(self, path: bytes, fp: BinaryIO) -> None:
        """Note that a file is used, by the time of its last access: to change
        the other one looks as though somebody had written to it."""
        info = os.fstat(fp.fileno())
        now = time.time()
        if _lastuse(info) < now - _NOTED:
            with contextlib.suppress(OSError):
                times = (int(now * 1e9), info.st_mtime_ns)
                fileops.touchaccess(path, times)

    @contextlib.contextmanager
    def fetching(self, key: str, seconds: float) -> Iterator[bool]:
        """Keep others from fetching the same bundle. Give whether that could
        be done, within so many seconds."""
        folder = os.path.join(self._folder, b'locks')
        name = model.checkkey(key)[:3].encode('ascii')
        with self._locked(folder, name, seconds) as fd:
            yield fd is not None

    # -- writing

    def admit(self, size: int) -> bool:
        """Make room for a bundle; return whether it may be kept."""
        if size > self._limit:
            return False
        with self._locked(self._folder, b'usage', _WAIT) as fd:
            if fd is None:
                return False
            total = _count(fd) + max(size, _LEAST)
            if total > self._limit:
                # more than is needed, so as not to come here each time
                total = self._shrink(self._limit * 4 // 5 - size)
                total += max(size, _LEAST)
            admitted = total <= self._limit
            if not admitted:
                # somebody reads what would have to go
                total -= max(size, _LEAST)
            fileops.overwrite(fd, b'%020d' % total)
        return admitted and self.giveway(size)

    def link(self, path: bytes) -> Optional[bytes]:
        """Give a file a second name, a temporary one; return it, or None if
        that cannot be had, such as from another disk."""
        folder = os.path.join(self._folder, b'tmp')
        name = os.path.join(folder, os.urandom(16).hex().encode('ascii'))
        try:
            localfiles.makefolders(folder, self._createmode)
            fileops.link(path, name)
        except OSError:
            return None
        return name

    def enter(self, temporary: bytes, key: str) -> None:
        """Keep a file with a temporary name as that of the bundle ``key``, if
        it may be kept."""
        with contextlib.suppress(OSError, errors.BackendUnavailable):
            # not in the place of one that somebody reads by its name
            if not os.path.exists(self._path(key)) and self.admit(
                os.stat(temporary).st_size
            ):
                self._publish(temporary, key)
                return
        self.forget(temporary)

    def forget(self, temporary: bytes) -> None:
        """Remove a temporary name."""
        with contextlib.suppress(OSError):
            fileops.unlink(temporary)

    # -- giving way

    def drop(self, key: str) -> None:
        """Remove a bundle, if it is here. Who reads it may go on."""
        with contextlib.suppress(OSError):
            fileops.unlink(self._path(key))

    def giveway(self, size: int) -> bool:
        """Remove bundles until so many bytes can be written, and others have
        room; return whether that is so."""
        missing = size + SPARE - self._room()
        if missing > 0:
            for _time, freed, path in self._oldest():
                if self._evict(path):
                    missing -= freed
                if missing <= 0:
                    break
        return missing <= 0

    def clear(self) -> bool:
        """Remove all that nobody reads; return whether there was any."""
        found = [self._evict(path) for _time, _size, path in self._oldest()]
        return any(found)

    def _shrink(self, most: int) -> int:
        """Remove bundles until there are at most so many bytes of them;
        return how many there are."""
        with contextlib.suppress(errors.BackendUnavailable):
            for stray in self.strays(_OLD):
                self.deletestray(stray.name)
        files = self._oldest()
        total = sum(size for _time, size, _path in files)
        for _time, size, path in files:
            if total <= most:
                break
            if self._evict(path):
                total -= size
        return total

    def _oldest(self) -> list[tuple[float, int, bytes]]:
        """Return last use, size and path of all bundles."""
        found = []
        with contextlib.suppress(errors.BackendUnavailable):
            for key in self.keys():
                path = self._path(key)
                with contextlib.suppress(OSError):
                    info = os.stat(path)
                    size = max(info.st_size, _LEAST)
                    found.append((_lastuse(info), size, path))
        return sorted(found)

    def _evict(self, path: bytes) -> bool:
        """Remove a file unless somebody reads it."""
        with contextlib.suppress(OSError), open(path, 'rb') as fp:
            if _lock(fp.fileno(), alone=True):
                fileops.unlink(path)
                return True
        return False

    def _room(self) -> int:
        folder = self._folder
        while not os.path.isdir(folder) and folder != os.path.dirname(folder):
            folder = os.path.dirname(folder)
        try:
            return localfiles.room(folder)
        except OSError:
            return 0

    # -- locks

    @contextlib.contextmanager
    def _locked(
        self, folder: bytes, name: bytes, seconds: float
    ) -> Iterator[Optional[int]]:
        """Give the descriptor of a file that is locked, None if it cannot be
        within so many seconds."""
        path = os.path.join(folder, name)
        fd = None
        with contextlib.suppress(OSError):
            localfiles.makefolders(folder, self._createmode)
            with contextlib.suppress(FileExistsError):
                fileops.close(localfiles.createfile(path, self._createmode))
            fd = fileops.reopen(path)
        if fd is None:
            yield None
            return
        try:
            yield fd if _waited(fd, seconds) else None
        finally:
            fileops.close(fd)


def _lock(fd: int, alone: bool) -> bool:
    """Lock a file at once, or not; a file system without locks has no
    others."""
    try:
        fileops.lock(fd, alone)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _waited(fd: int, seconds: float) -> bool:
    """Lock a file for this process alone; return whether it could be done."""
    deadline = time.monotonic() + seconds
    pause = 0.01
    while not _lock(fd, alone=True):
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.2)
    return True


def _lastuse(info: os.stat_result) -> float:
    return max(info.st_atime, info.st_mtime)


def _isat(fp: BinaryIO, path: bytes) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(fp.fileno()), os.stat(path))
    except OSError:
        return False


def _istrue(fp: BinaryIO, key: str) -> bool:
    """Whether a file has the bytes of that key; it is at its beginning before
    and after."""
    digest = hashlib.sha256()
    try:
        while block := fp.read(_BLOCK):
            digest.update(block)
        fp.seek(0)
    except OSError:
        return False
    return digest.hexdigest() == key


def _count(fd: int) -> int:
    """Return how many bytes there are; more than may be if nobody knows."""
    text = os.pread(fd, 32, 0)
    if not text:
        return 0
    return int(text) if text.isdigit() else 1 << 62
