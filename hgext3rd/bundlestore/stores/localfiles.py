"""What the backends that live on this machine's file system share.

Permissions follow Mercurial: new files and folders of a repository get their
mode from ``model.Place.createmode``, as its own ``vfs`` gives it to them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Optional, Union

from .. import errors, model
from . import fileops

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)

#: smaller chunks are gathered before they are written
BUFFER = 1 << 18


def urlpath(url: str, place: model.Place, default: bytes) -> bytes:
    """Return the absolute path that a ``file`` URL names.

    The URL ``file`` alone means the file or folder ``default`` of ``place``.
    A path may hold percent escapes; bytes that are not UTF-8 may also stand
    in it as surrogate escapes. Raises ``UnknownScheme``.
    """
    if url == 'file':
        return os.path.join(place.directory, default)
    rest = url[len('file:') :]
    for root in ('///', '//localhost/'):
        if rest.startswith(root):
            rest = rest[len(root) - 1 :]
            break
    path = urllib.parse.unquote_to_bytes(encode(rest))
    if not path.startswith(b'/') or rest.startswith('//') or b'\0' in path:
        raise errors.UnknownScheme(
            f'URL names no absolute path: {url}',
            "use 'file', or 'file:' and an absolute path",
        )
    return path.rstrip(b'/') or b'/'


def encode(text: str) -> bytes:
    """Return the bytes of a path that :func:`display` made text of."""
    return text.encode('utf-8', 'surrogateescape')


def display(path: bytes) -> str:
    """Return a path as text for a message."""
    return path.decode('utf-8', 'surrogateescape')


def unavailable(
    what: str, path: bytes, exc: OSError
) -> errors.BackendUnavailable:
    """Return what to raise for ``exc``, met while doing something to ``path``.

    ``what`` begins the message, e.g. 'bundle store cannot be written'.
    """
    name = display(path)
    if exc.errno in _FULL:
        return noroom(f'{what}: {reason(exc)}', path)
    if exc.errno in _FORBIDDEN:
        hint = f'look at the permissions of {name}'
    else:
        hint = f'look at {name}'
    return errors.BackendUnavailable(f'{what}: {reason(exc)}', hint)


def noroom(message: str, path: bytes) -> errors.NoRoom:
    """Return what to raise where there is no room for ``path``."""
    return errors.NoRoom(
        message,
        f'the administrator can make room for {display(path)}:'
        " 'hg admin::bundlestore-gc'",
    )


#: bytes that must be free, lest the next push meets a full disk
LOW = 16 << 20


def troubles(
    what: str, path: bytes, *more: bytes
) -> Iterator[errors.BackendUnavailable]:
    """Yield what keeps files from being written in the folder ``path``, or
    where it will be made, and ``more`` of it that is there."""
    while not os.path.lexists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    effective = os.access in os.supports_effective_ids
    for place in (path, *more):
        rights = os.R_OK | os.W_OK | (os.X_OK if place == path else 0)
        if os.path.lexists(place) and not os.access(
            place, rights, effective_ids=effective
        ):
            error = OSError(errno.EACCES, os.strerror(errno.EACCES))
            yield unavailable(what, place, error)
    if not os.path.isdir(path):
        error = OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        yield unavailable(what, path, error)
        return
    free = room(path)
    if free < LOW:
        yield errors.NoRoom(
            f'{what}: no space left, or nearly so ({free} bytes)',
            f'make room for {display(path)}',
        )


def room(path: bytes) -> int:
    """Return how many bytes may still be written."""
    if not hasattr(os, 'statvfs'):
        # Windows, where clients run, and nobody who has to save
        return sys.maxsize
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


#: bytes of the file that is deleted where there is no room to delete others
_RESERVE = 1 << 20
#: ... of a small file system it is such a share, and it is not made of the last
#: that is left
_SHARE = 16


def keepreserve(path: bytes) -> None:
    """Have a file that takes room, unless there is little."""
    with contextlib.suppress(OSError):
        if os.path.lexists(path):
            return
        found = os.statvfs(os.path.dirname(path))
        size = min(_RESERVE, found.f_blocks * found.f_frsize // _SHARE)
        if found.f_bavail * found.f_frsize < size * 2:
            return
        fd = fileops.create(path)
        try:
            fileops.allocate(fd, size)
        except OSError:
            fileops.unlink(path)
            raise
        finally:
            fileops.close(fd)


def giveback(path: bytes) -> bool:
    """Delete the file that takes room; return whether there was one."""
    try:
        fileops.unlink(path)
    except OSError:
        return False
    return True


def reason(exc: OSError) -> str:
    """Return the cause of ``exc``, beginning in lower case."""
    text = str(exc) if exc.errno is None else os.strerror(exc.errno)
    return text[:1].lower() + text[1:]


def createfile(path: bytes, createmode: Optional[int]) -> int:
    """Create a file and return a descriptor that can write it.

    Raises ``OSError``, among others where the file exists.
    """
    fd = fileops.create(path)
    if createmode is not None:
        try:
            fileops.chmod(fd, createmode & 0o666)
        except OSError:
            fileops.close(fd)
            fileops.unlink(path)
            raise
    return fd


def makefolders(path: bytes, createmode: Optional[int]) -> bool:
    """Create a folder (``path`` is absolute) and those above it, so that they
    survive the loss of power, and return whether it was created here. Does
    nothing if it exists; raises ``OSError``.

    What is not durable when this returns is at most the name of the folder
    itself: another process may have created it a moment ago.
    """
    if os.path.isdir(path):
        return False
    parent = os.path.dirname(path)
    if not makefolders(parent, createmode):
        # Its name may be as young. Who may not look at that did not make it.
        with contextlib.suppress(PermissionError):
            fileops.syncfolder(os.path.dirname(parent))
    if not makefolder(path, createmode):
        return False
    fileops.syncfolder(parent)
    return True


def makefolder(path: bytes, createmode: Optional[int]) -> bool:
    """Create a folder in one that is there, and return whether it was created
    here; raises ``OSError``."""
    try:
        fileops.mkdir(path)
    except FileExistsError:
        return False
    if createmode is not None:
        fileops.chmod(path, createmode)
    return True


def gathered(chunks: Iterable[bytes]) -> Iterator[Union[bytes, bytearray]]:
    """Yield the bytes of ``chunks`` in blocks that are worth a write each."""
    buffer = bytearray()
    for chunk in chunks:
        if buffer and len(buffer) + len(chunk) > BUFFER:
            yield buffer
            buffer = bytearray()
        if len(chunk) < BUFFER:
            buffer += chunk
        else:
            yield chunk
    if buffer:
        yield buffer


def tryunlink(path: bytes) -> None:
    """Remove a file that may not be there."""
    with contextlib.suppress(FileNotFoundError):
        fileops.unlink(path)
