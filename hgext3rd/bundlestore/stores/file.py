"""The store ``file``: each bundle is a file in a folder of this machine.

A bundle with the key ``ab12…`` is ``ab/ab12…``, a plain file that Mercurial
can read as it is. It is written in the folder ``tmp`` and moved from there
when it is complete, so what has a key for a name is whole. What a killed
process leaves in ``tmp`` is never shown and may be deleted when it is older
than any push can be.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from typing import Optional

from .. import errors, localfiles, model
from ..declaring import Interfaces
from .reader import VerifyingReader

#: smaller chunks are gathered before they are written
BUFFER = 1 << 18

_CANNOT_READ = 'bundle store cannot be read'
_CANNOT_WRITE = 'bundle store cannot be written'


def open_store(url: str, place: model.Place) -> FileStore:
    """Return the store of a URL ``file`` or ``file:/path``.

    Raises ``UnknownScheme`` for a path that is not absolute.
    """
    folder = localfiles.urlpath(url, place, b'bundles')
    return FileStore(folder, place.createmode)


class FileStore:
    """The bundles in ``folder``, an absolute path; ``createmode`` is as in
    ``model.Place``."""

    __implemented__ = Interfaces('IBundleStore', 'ILocalPath')

    def __init__(self, folder: bytes, createmode: Optional[int] = None) -> None:
        self._folder = folder
        self._createmode = createmode

    def stage(self, chunks: Iterable[bytes]) -> StagedFile:
        temporary = _TemporaryFile(
            os.path.join(self._folder, b'tmp'), self._createmode
        )
        try:
            for chunk in chunks:
                temporary.write(chunk)
            temporary.finish()
        except BaseException:
            temporary.abandon()
            raise
        return StagedFile(
            self, temporary.path, temporary.hash.hexdigest(), temporary.size
        )

    def put(self, chunks: Iterable[bytes]) -> str:
        with self.stage(chunks) as staged:
            staged.publish()
            return staged.key

    def open(self, key: str) -> VerifyingReader:
        return openbundle(self._path(key), key)

    def size(self, key: str) -> int:
        with _lookingup(self._folder, key):
            return os.stat(self._path(key)).st_size

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _lookingup(self._folder, key, _CANNOT_WRITE):
            os.unlink(path)

    def keys(self) -> Iterator[str]:
        for name in self._list(self._folder):
            # Whatever else there is (``tmp``) cannot begin a key.
            if len(name) == 2:
                yield from self._keysin(name)

    def _keysin(self, name: bytes) -> Iterator[str]:
        for entry in self._list(os.path.join(self._folder, name)):
            key = localfiles.display(entry)
            if entry.startswith(name) and _iskey(key):
                yield key

    def _list(self, folder: bytes) -> list[bytes]:
        try:
            return os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as exc:
            raise localfiles.unavailable(_CANNOT_READ, folder, exc) from exc

    def localpath(self, key: str) -> bytes:
        self.size(key)
        return self._path(key)

    def close(self) -> None:
        """Nothing stays open between two calls."""

    def _path(self, key: str) -> bytes:
        name = model.checkkey(key).encode('ascii')
        return os.path.join(self._folder, name[:2], name)

    def _publish(self, temporary: bytes, key: str) -> bytes:
        """Move a file of ``tmp`` to where the bundle ``key`` lives; return
        its new path."""
        path = self._path(key)
        folder = os.path.dirname(path)
        try:
            localfiles.makefolders(folder, self._createmode)
            os.replace(temporary, path)
            localfiles.syncfolder(folder)
            # Another process may have made that folder a moment ago.
            localfiles.syncfolder(self._folder)
        except OSError as exc:
            raise localfiles.unavailable(
                _CANNOT_WRITE, self._folder, exc
            ) from exc
        return path


class StagedFile:
    """A bundle that is complete in the folder ``tmp`` of ``store``."""

    __implemented__ = Interfaces('IStagedBundle', 'ILocalPath')

    def __init__(
        self, store: FileStore, path: bytes, key: str, size: int
    ) -> None:
        self.key = key
        self.size = size
        self._store = store
        self._path = path
        self._published = False

    def __enter__(self) -> StagedFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()

    def open(self) -> VerifyingReader:
        return openbundle(self._path, self.key)

    def localpath(self, key: str) -> bytes:
        if model.checkkey(key) != self.key or not os.path.exists(self._path):
            raise _unknown(key)
        return self._path

    def publish(self) -> None:
        if not self._published:
            self._path = self._store._publish(self._path, self.key)
            self._published = True

    def discard(self) -> None:
        if not self._published:
            _removequietly(self._path)


class _TemporaryFile:
    """A file in ``folder`` while it is being written."""

    def __init__(self, folder: bytes, createmode: Optional[int]) -> None:
        self.hash = hashlib.sha256()
        self.size = 0
        self._folder = folder
        name = os.urandom(16).hex().encode('ascii')
        self.path = os.path.join(folder, name)
        try:
            localfiles.makefolders(folder, createmode)
            fd = localfiles.createfile(self.path, createmode)
        except OSError as exc:
            raise self._cannotwrite(exc) from exc
        self._fp = os.fdopen(fd, 'wb', buffering=BUFFER)

    def write(self, chunk: bytes) -> None:
        self.hash.update(chunk)
        self.size += len(chunk)
        try:
            self._fp.write(chunk)
        except OSError as exc:
            raise self._cannotwrite(exc) from exc

    def finish(self) -> None:
        """Make the bytes durable."""
        try:
            self._fp.flush()
            os.fsync(self._fp.fileno())
            self._fp.close()
        except OSError as exc:
            raise self._cannotwrite(exc) from exc

    def abandon(self) -> None:
        # Closing tries to write what is buffered, which fails again where
        # the disk is full, but it does close.
        with contextlib.suppress(OSError):
            self._fp.close()
        _removequietly(self.path)

    def _cannotwrite(self, exc: OSError) -> errors.BackendUnavailable:
        return localfiles.unavailable(_CANNOT_WRITE, self._folder, exc)


def openbundle(path: bytes, key: str) -> VerifyingReader:
    """Return a reader of the bundle ``key`` in a file.

    Raises ``UnknownKey`` or ``BackendUnavailable``.
    """
    with _lookingup(path, key):
        fp = open(path, 'rb', buffering=0)
        return VerifyingReader(fp, key, os.fstat(fp.fileno()).st_size)


@contextlib.contextmanager
def _lookingup(
    path: bytes, key: str, what: str = _CANNOT_READ
) -> Iterator[None]:
    """Raise ``UnknownKey`` for a file that is not there."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise _unknown(key) from exc
    except OSError as exc:
        raise localfiles.unavailable(what, path, exc) from exc


def _unknown(key: str) -> errors.UnknownKey:
    return errors.UnknownKey(
        f'bundle {key} is not in the store',
        'pushing its changesets again brings it back',
    )


def _iskey(name: str) -> bool:
    try:
        model.checkkey(name)
    except errors.InvalidKey:
        return False
    return True


def _removequietly(path: bytes) -> None:
    # A file that cannot be removed is a stray like that of a killed process.
    with contextlib.suppress(OSError):
        os.unlink(path)
