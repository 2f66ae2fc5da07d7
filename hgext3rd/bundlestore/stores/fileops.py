"""The operations by which files of the bundle store come, change and go.

All that Python writes for a push, for housekeeping and for repairs passes
here, called as ``fileops.NAME``, so that whoever wants to watch the order of
these operations, or to have one fail, finds them in one place. What SQLite
writes does not: it has calls of its own to the system.

Each function is one operation, and raises ``OSError``. An error is final: to
call ``fsync`` once more could succeed without a byte being durable, as the
system tells of each failure only once.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import IO, Optional, Union

# Python has no descriptor inherited. Windows would translate line ends.
_BINARY = getattr(os, 'O_BINARY', 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY


def create(path: bytes) -> int:
    """Create a file, which must not exist; return a descriptor that can write
    it."""
    return os.open(path, _NEW, 0o666)


def createtemporary(
    prefix: bytes, suffix: bytes, directory: Optional[bytes]
) -> tuple[int, bytes]:
    """Create a file that nobody else can read, with a name of its own in
    ``directory`` (None: where temporary files go); return a descriptor that
    can write it, and its path."""
    import tempfile  # few processes need it

    return tempfile.mkstemp(suffix, prefix, directory)


def createfolder(prefix: bytes) -> bytes:
    """Create a folder in which nobody else can do anything, where temporary
    files go; return its path."""
    import tempfile

    return tempfile.mkdtemp(prefix=prefix)


def createnameless() -> IO[bytes]:
    """Create a file without a name, to be written and read."""
    import tempfile

    return tempfile.TemporaryFile()


def reopen(path: bytes) -> int:
    """Open a file that is there; return a descriptor that can write it."""
    return os.open(path, os.O_RDWR | _BINARY)


def write(fd: int, data: Union[bytes, bytearray, memoryview]) -> None:
    """Write all of ``data``."""
    written = os.write(fd, data)
    if written != len(data):
        rest = memoryview(data)
        while written < len(rest):
            rest = rest[written:]
            written = os.write(fd, rest)


def overwrite(fd: int, data: bytes) -> None:
    """Write some bytes over the first of a file."""
    os.pwrite(fd, data, 0)


def lock(fd: int, alone: bool) -> None:
    """Lock a file at once, for this descriptor alone or for all who want it
    so; raises ``BlockingIOError`` if others have it locked."""
    import fcntl  # few processes need it

    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    fcntl.flock(fd, kind | fcntl.LOCK_NB)


def allocate(fd: int, size: int) -> None:
    """Take so much room for a file."""
    if hasattr(os, 'posix_fallocate'):
        os.posix_fallocate(fd, 0, size)
    else:
        write(fd, bytes(size))


def writeback(fd: int, begin: int, end: int) -> None:
    """Have the system begin to write these bytes to the disk, and wait for
    nothing. It promises nothing either; where it cannot, nothing happens."""
    if hasattr(os, 'posix_fadvise'):
        # What Linux does for that first is to write what is not written yet;
        # it forgets only what is on the disk by then, which is next to nothing.
        with contextlib.suppress(OSError):
            os.posix_fadvise(fd, begin, end - begin, os.POSIX_FADV_DONTNEED)


def fsync(fd: int) -> None:
    """Make what was written durable."""
    os.fsync(fd)


def close(fd: int) -> None:
    """Close a descriptor. It is closed even if this raises."""
    os.close(fd)


def rename(source: bytes, target: bytes) -> None:
    """Give a file another name, in the place of what has that."""
    os.replace(source, target)


def link(source: bytes, target: bytes) -> None:
    """Give a file another name besides, one that nothing has."""
    os.link(source, target)


def unlink(path: bytes) -> None:
    os.unlink(path)


def removefolder(path: bytes) -> None:
    """Remove a folder with all that is in it, as far as that can be done."""
    import shutil

    shutil.rmtree(path, ignore_errors=True)


def mkdir(path: bytes) -> None:
    os.mkdir(path)


def chmod(place: Union[bytes, int], mode: int) -> None:
    """Set the permissions of a path or of what a descriptor has open."""
    os.chmod(place, stat.S_IMODE(mode))


def touch(path: bytes) -> None:
    """Set the time of the last change to now."""
    os.utime(path)


def touchaccess(path: bytes, times: tuple[int, int]) -> None:
    """Set the times of the last access and of the last change, in
    nanoseconds."""
    os.utime(path, ns=times)


def syncfolder(path: bytes) -> None:
    """Make the names in a folder durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
