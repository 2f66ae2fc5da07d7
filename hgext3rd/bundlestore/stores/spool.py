"""Files that are written before anybody may see them, in a folder of theirs.

What a killed process leaves there is a *stray*: nobody shows it, and it may be
deleted when it is older than any push can be.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from typing import Optional, Union

from .. import errors, model
from . import fileops, localfiles
from .hashing import Hasher

#: what a file in the folder is called
_NAME = r'[0-9a-f]{32}'

#: so many bytes are sent to the disk while others come in, lest all have to
#: wait for it in the end
_STEP = 16 * 1024 * 1024

CANNOT_READ = 'bundle store cannot be read'
CANNOT_WRITE = 'bundle store cannot be written'


class Spool:
    """The folder at the absolute path ``folder``, which is made with the first
    file; ``createmode`` is as in ``model.Place``."""

    def __init__(self, folder: bytes, createmode: Optional[int] = None) -> None:
        self.folder = folder
        self._createmode = createmode

    def write(self, chunks: Iterable[bytes], durable: bool) -> SpooledFile:
        """Return a new file with these bytes, which survives the loss of power
        if it is to be ``durable``.

        Raises ``BackendUnavailable``, and whatever ``chunks`` does; nothing
        is left behind then.
        """
        file = SpooledFile(self.folder, self._createmode, durable)
        try:
            for block in localfiles.gathered(chunks):
                file.write(block)
            file.finish()
        except BaseException:
            file.abandon()
            raise
        return file

    def strays(self, age: float) -> Iterator[model.Stray]:
        """As ``IBundleStore.strays``."""
        try:
            entries = os.listdir(self.folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as exc:
            raise localfiles.unavailable(CANNOT_READ, self.folder, exc) from exc
        for entry in entries:
            name = localfiles.display(entry)
            if not isstray(name):
                continue
            try:
                info = os.stat(os.path.join(self.folder, entry))
            except FileNotFoundError:
                continue
            except OSError as exc:
                raise localfiles.unavailable(
                    CANNOT_READ, self.folder, exc
                ) from exc
            if time.time() - info.st_mtime >= age:
                yield model.Stray(name, info.st_size, info.st_mtime)

    def deletestray(self, name: str) -> None:
        """As ``IBundleStore.deletestray``."""
        if not isstray(name):
            raise notstray(name)
        path = os.path.join(self.folder, name.encode('ascii'))
        try:
            fileops.unlink(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as exc:
            raise localfiles.unavailable(CANNOT_WRITE, path, exc) from exc


def isstray(name: object) -> bool:
    """Whether a file of a spool can have that name."""
    return isinstance(name, str) and bool(re.fullmatch(_NAME, name))


def notstray(name: object) -> errors.InvalidKey:
    """Return what to raise for a name that no stray can have."""
    return errors.InvalidKey(f'not the name of a stray: {ascii(name)[:80]}')


class SpooledFile:
    """A new file in ``folder``: its ``path``, ``size``, and the ``hash`` of
    what was written to it; it survives the loss of power when it is finished,
    if it is to be ``durable``."""

    def __init__(
        self, folder: bytes, createmode: Optional[int], durable: bool
    ) -> None:
        self.hash = Hasher()
        self.size = 0
        self._durable = durable
        # how much of it is on its way to the disk
        self._onitsway = 0
        self._folder = folder
        name = os.urandom(16).hex().encode('ascii')
        self.path = os.path.join(folder, name)
        try:
            localfiles.makefolders(folder, createmode)
            fd = localfiles.createfile(self.path, createmode)
        except OSError as exc:
            raise self._cannotwrite(exc) from exc
        self._fd: Optional[int] = fd

    def write(self, block: Union[bytes, bytearray]) -> None:
        assert self._fd is not None
        self.hash.update(block)
        self.size += len(block)
        try:
            fileops.write(self._fd, block)
        except OSError as exc:
            raise self._cannotwrite(exc) from exc
        if self._durable and self.size - self._onitsway >= _STEP:
            fileops.writeback(self._fd, self._onitsway, self.size)
            self._onitsway = self.size

    def finish(self) -> None:
        """All is written."""
        assert self._fd is not None
        try:
            if self._durable:
                fileops.fsync(self._fd)
            self._close()
        except OSError as exc:
            raise self._cannotwrite(exc) from exc

    def abandon(self) -> None:
        """Remove the file."""
        self.hash.close()
        with contextlib.suppress(OSError):
            self._close()
        # One that cannot be removed is a stray like that of a killed process.
        with contextlib.suppress(OSError):
            fileops.unlink(self.path)

    def _close(self) -> None:
        # It is closed even where that fails: another file may have the number
        # by the time of a second attempt.
        fd, self._fd = self._fd, None
        if fd is not None:
            fileops.close(fd)

    def _cannotwrite(self, exc: OSError) -> errors.BackendUnavailable:
        return localfiles.unavailable(CANNOT_WRITE, self._folder, exc)
