"""Which clone this is, in the names of backups.

Clones may have their place in common: one is made anew where another was lost,
or containers share the name of their machine and all paths. So each has a
number, made up when it is backed up for the first time, and a backup of its
own: ``backup/HOST/``, then eight digits of the hash of its path, then its
number. What another clone has backed up it neither changes nor removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import tempfile
from collections.abc import Callable

from ..viewmodel import BACKUP

#: beside the store, so that shares are one with their source
_FILE = b'bundlestore-clone'
#: hexadecimal digits of the hash of a path, and of a number
_DIGITS = 8
_NUMBER = re.compile(r'[0-9a-f]{8}', re.A)
#: of clones in which no number can be written
NOBODY = '0' * _DIGITS


def place(repo) -> bytes:
    """Return where a clone is."""
    path: bytes = repo.sharedpath
    if path.endswith(b'/.hg'):
        path = path[: -len(b'/.hg')]
    return path


def pathhash(path: bytes) -> str:
    """Return what stands for a path in the name of a backup."""
    return hashlib.sha256(path).hexdigest()[:_DIGITS]


def placename(repo) -> str:
    """Return what the names of all backups of this place begin with."""
    host = socket.gethostname().replace('/', '_').replace('@', '_')
    return f'{BACKUP}{host or "localhost"}/{pathhash(place(repo))}'


def viewname(repo) -> str:
    """Return what the backup of a clone is called."""
    return placename(repo) + number(repo)


def split(name: str) -> tuple[str, str]:
    """Return the host in the name of a backup, and what comes behind."""
    host, _slash, rest = name[len(BACKUP) :].partition('/')
    return host, rest


def placeof(name: str) -> str:
    """Return what the names of all backups of the same place begin with."""
    return name[:-_DIGITS]


def number(repo) -> str:
    """Return the number of a clone, which is made if it has none yet;
    ``NOBODY`` if that cannot be written."""
    found = _read(_path(repo))
    if not found:
        _write(repo, _new(), _publish)
        # another process may have made one
        found = _read(_path(repo))
    return found or NOBODY


def renew(repo) -> bool:
    """Give a clone another number; return whether that could be done."""
    return _write(repo, _new())


def adopt(repo, name: str) -> bool:
    """Have a clone carry on with the backup of that name, of its place;
    return whether that can be done."""
    found = name[len(placename(repo)) :]
    if not name.startswith(placename(repo)) or not _NUMBER.fullmatch(found):
        return False
    return found != NOBODY and _write(repo, found)


def _new() -> str:
    return os.urandom(_DIGITS // 2).hex()


def _path(repo) -> bytes:
    return os.path.join(repo.sharedpath, _FILE)


def _read(path: bytes) -> str:
    with contextlib.suppress(OSError), open(path, 'rb') as fh:
        text = fh.read(100).decode('latin-1').strip()
        if _NUMBER.fullmatch(text):
            return text
    return ''


def _publish(temporary: bytes, path: bytes) -> None:
    """Give a file its name, unless another process has made one."""
    try:
        os.link(temporary, path)
    except OSError:
        # damaged, or where there are no links
        if not _read(path):
            os.replace(temporary, path)


def _write(
    repo, text: str, publish: Callable[[bytes, bytes], None] = os.replace
) -> bool:
    path = _path(repo)
    try:
        fd, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    except OSError:
        return False
    try:
        with os.fdopen(fd, 'wb') as fh:
            fh.write(text.encode() + b'\n')
        os.chmod(temporary, 0o666 & (repo.store.createmode or 0o644))
        publish(temporary, path)
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
    return True
