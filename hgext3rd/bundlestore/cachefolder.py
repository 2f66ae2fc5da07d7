"""Files that can be made anew: the folder ``cache`` beside the default store.

It is ``.hg/bundlestore/cache/`` of the repository that owns the store, also
where store and index are elsewhere; ``Server.cache`` gives it. Whoever needs a
file makes it from the base and the store. So all of it may be removed at any
time, while servers run, and ``gc`` and ``verify`` do not look at it. ::

    fh = server.cache.open('snapshot-…')       # None: make it
    server.cache.write('snapshot-…', chunks)   # False: go without

A name has to say all that its file depends on, such as the hash of a changeset
and the version of the format: nobody else tells whether it is still true. The
folder sees to the rest. A file has its name when it is whole, and is read only
if it is what was written; the oldest go when they are too many; and whatever
is wrong (a disk that is full or may not be written, a file that is damaged),
nothing is raised, and there is no file.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Optional

from mercurial import error, lock, vfs as vfsmod

from .stores import localfiles

#: most bytes of all files, and of one
MOST = 512 << 20
MOST_OF_ONE = 256 << 20
#: bytes of the disk that are left to others: pushes need them more
SPARE = 4 * localfiles.LOW

#: seconds to wait for one who makes a file, and until one looks again
WAIT = 30.0
_AGAIN = 0.05

#: the folder is flat, and Mercurial's temporary files begin with a dot
_NAME = re.compile(r'[a-z0-9][a-z0-9._-]{0,199}', re.A)
#: what comes before the content: the kind of file, a checksum of name and
#: content
_HEADER = struct.Struct('>4sI')
_KIND = b'hbc1'
#: what is added to the name of a file that is being made
_LOCK = b'.lock'
_BLOCK = 1 << 18
#: seconds in which it is not noted again that a file was read
_NOTED = 86400.0

#: what Mercurial raises for files
_FAILURES = (OSError, error.Abort)


class CacheFolder:
    """The folder at the absolute path ``directory``, which is made with the
    first file; ``createmode`` is as in ``model.Place``, and ``spare`` are the
    bytes of the disk that are not taken. A name is text, of a-z, 0-9, dot, _
    and -, at most 200 of them."""

    def __init__(
        self,
        directory: bytes,
        createmode: Optional[int] = None,
        spare: int = SPARE,
    ) -> None:
        self._vfs: Any = vfsmod.vfs(directory)
        self._vfs.createmode = createmode
        self._spare = spare

    def open(self, name: str) -> Any:
        """Return a file, open at the beginning of its content, or None if
        there is none; the caller closes it.

        All of it was read and compared with its checksum, which takes a
        second for some gigabytes. What was opened can be read to its end even
        if the file is replaced or removed meanwhile.
        """
        path = _path(name)
        with contextlib.suppress(*_FAILURES), contextlib.ExitStack() as stack:
            fh = stack.enter_context(self._vfs(path, b'rb'))
            header = fh.read(_HEADER.size)
            checksum = zlib.crc32(path)
            while block := fh.read(_BLOCK):
                checksum = zlib.crc32(block, checksum)
            if header == _HEADER.pack(_KIND, checksum):
                self._note(path, fh)
                fh.seek(_HEADER.size)
                stack.pop_all()
                return fh
        return None

    def read(self, name: str) -> Optional[bytes]:
        """Return the content of a file, or None if there is none."""
        fh = self.open(name)
        if fh is None:
            return None
        with contextlib.suppress(OSError), fh:
            content: bytes = fh.read()
            return content
        return None

    def write(self, name: str, chunks: Iterable[bytes]) -> bool:
        """Write a file, in the place of what has its name; return whether it
        is there now.

        It is not if it is too large, or would take room that pushes need:
        ``chunks`` is not read to its end then. What reading it raises is
        raised here, and nothing is written.
        """
        path = _path(name)
        try:
            fh = self._vfs(path, b'wb', atomictemp=True)
            free = localfiles.room(self._vfs.base) - self._spare
        except _FAILURES:
            return False
        try:
            if not _fill(fh, path, chunks, min(free, MOST_OF_ONE)):
                return False
        finally:
            # does nothing to what is complete
            _tried(fh.discard)
        self._dropold()
        return True

    def made(self, name: str, make: Callable[[], Iterable[bytes]]) -> Any:
        """Return a file as :meth:`open` does; ``make`` gives the content where
        there is none. Others who want the same file meanwhile wait for it, up
        to some seconds."""
        fh = self.open(name)
        if fh is not None:
            return fh
        with self.alone(name, WAIT):
            # by another one meanwhile
            fh = self.open(name)
            if fh is None and self.write(name, make()):
                fh = self.open(name)
        return fh

    @contextlib.contextmanager
    def alone(self, name: str, seconds: float) -> Iterator[bool]:
        """Keep others from the same work while the body runs, if that can be
        done, and tell whether it is; one who is at it is waited for so
        long."""
        held = None
        end = time.monotonic() + seconds
        with contextlib.suppress(*_FAILURES, error.LockError):
            self._vfs.makedirs(mode=self._vfs.createmode)
            held = self._lock(_path(name) + _LOCK, end)
        try:
            yield held is not None
        finally:
            if held is not None:
                held.release()

    def _lock(self, path: bytes, end: float) -> Any:
        while True:
            try:
                # left to itself, it looks once a second
                return lock.lock(self._vfs, path, 0, signalsafe=False)
            except error.LockHeld:
                if time.monotonic() >= end:
                    raise
            time.sleep(_AGAIN)

    def names(self, begin: str) -> list[str]:
        """Return the names that begin so, that of the newest file first."""
        found = sorted(self._files(), reverse=True)
        names = [
            path.decode('latin-1')
            for _mtime, _size, path in found
            if not path.endswith(_LOCK)
        ]
        return [
            name
            for name in names
            if name.startswith(begin) and _NAME.fullmatch(name)
        ]

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        _tried(self._vfs.unlink, _path(name))

    def _note(self, path: bytes, fh) -> None:
        """Note that a file is needed, once a day."""
        if os.fstat(fh.fileno()).st_mtime < time.time() - _NOTED:
            _tried(self._vfs.utime, path)

    def _dropold(self) -> None:
        """Remove the files that were not needed for longest, if they are too
        many; among them may be what a killed process left unfinished."""
        left = MOST
        for _mtime, size, path in sorted(self._files(), reverse=True):
            left -= size
            if left < 0:
                _tried(self._vfs.unlink, path)

    def _files(self) -> Iterator[tuple[float, int, bytes]]:
        """Yield time, size and path of all files."""
        with contextlib.suppress(*_FAILURES):
            for path in self._vfs.listdir():
                with contextlib.suppress(FileNotFoundError):
                    stat = self._vfs.lstat(path)
                    yield stat.st_mtime, stat.st_size, path


def _path(name: str) -> bytes:
    if not _NAME.fullmatch(name):
        raise ValueError(f'no name for a file of the cache: {name!r}')
    return name.encode('ascii')


def _tried(action: Callable[..., object], *args: object) -> bool:
    """Do something; return whether the file system let it be done."""
    try:
        action(*args)
    except _FAILURES:
        return False
    return True


def _fill(fh, path: bytes, chunks: Iterable[bytes], room: int) -> bool:
    """Write a file and give it its name, if that can be done."""
    checksum = zlib.crc32(path)
    if not _tried(fh.write, bytes(_HEADER.size)):
        return False
    for chunk in chunks:
        room -= len(chunk)
        if room < 0 or not _tried(fh.write, chunk):
            return False
        checksum = zlib.crc32(chunk, checksum)
    header = _HEADER.pack(_KIND, checksum)
    # The first of these writes what is still in memory; should there be no
    # room for it, the last would forget the temporary file.
    return _tried(fh.seek, 0) and _tried(fh.write, header) and _tried(fh.close)
