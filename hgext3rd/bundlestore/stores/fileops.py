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

import os
import stat
from typing import Optional, Union

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


def write(fd: int, data: Union[bytes, bytearray, memoryview]) -> None:
    """Write all of ``data``."""
    written = os.write(fd, data)
    if written != len(data):
        rest = memoryview(data)
        while written < len(rest):
            rest = rest[written:]
            written = os.write(fd, rest)


def allocate(fd: int, size: int) -> None:
    """Take so much room for a file."""
    if hasattr(os, 'posix_fallocate'):
        os.posix_fallocate(fd, 0, size)
    else:
        write(fd, bytes(size))


def fsync(fd: int) -> None:
    """Make what was written durable."""
    os.fsync(fd)


def close(fd: int) -> None:
    """Close a descriptor. It is closed even if this raises."""
    os.close(fd)


def rename(source: bytes, target: bytes) -> None:
    """Give a file another name, in the place of what has that."""
    os.replace(source, target)


def unlink(path: bytes) -> None:
    os.unlink(path)


def mkdir(path: bytes) -> None:
    os.mkdir(path)


def chmod(place: Union[bytes, int], mode: int) -> None:
    """Set the permissions of a path or of what a descriptor has open."""
    os.chmod(place, stat.S_IMODE(mode))


def touch(path: bytes) -> None:
    """Set the time of the last change to now."""
    os.utime(path)


def syncfolder(path: bytes) -> None:
    """Make the names in a folder durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
