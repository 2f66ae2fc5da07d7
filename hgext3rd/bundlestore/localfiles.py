"""What the backends that live on this machine's file system share.

Permissions follow Mercurial: new files and folders of a repository get their
mode from ``model.Place.createmode``, as its own ``vfs`` gives it to them.
"""

from __future__ import annotations

import errno
import os
import stat
import urllib.parse
from typing import Optional

from . import errors, model

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


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
        hint = f'make room for {name}'
    elif exc.errno in _FORBIDDEN:
        hint = f'look at the permissions of {name}'
    else:
        hint = f'look at {name}'
    return errors.BackendUnavailable(f'{what}: {reason(exc)}', hint)


def reason(exc: OSError) -> str:
    """Return the cause of ``exc``, beginning in lower case."""
    text = str(exc) if exc.errno is None else os.strerror(exc.errno)
    return text[:1].lower() + text[1:]


def createfile(path: bytes, createmode: Optional[int]) -> int:
    """Create a file and return a descriptor that can write it.

    Raises ``OSError``, among others where the file exists.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    if createmode is not None:
        try:
            os.fchmod(fd, createmode & 0o666)
        except OSError:
            os.close(fd)
            os.unlink(path)
            raise
    return fd


def makefolders(path: bytes, createmode: Optional[int]) -> None:
    """Create a folder (``path`` is absolute) and those above it, so that they
    survive the loss of power. Does nothing if it exists; raises ``OSError``.
    """
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    makefolders(parent, createmode)
    try:
        os.mkdir(path)
    except FileExistsError:
        return
    if createmode is not None:
        os.chmod(path, stat.S_IMODE(createmode))
    syncfolder(parent)


def syncfolder(path: bytes) -> None:
    """Make the names in a folder durable. Raises ``OSError``."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
