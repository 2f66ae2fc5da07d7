"""The store ``file``: each bundle is a file in a folder of this machine.

A bundle with the key ``ab12…`` is ``ab/ab12…``, a plain file that Mercurial
can read as it is. A note is the file of its name. Either is written in the
folder ``tmp`` and moved from there when it is complete, so what has its name
is whole. What a killed process leaves in ``tmp`` is never shown and may be
deleted when it is older than any push can be.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Optional

from .. import errors, model
from ..declaring import Interfaces
from . import fileops, localfiles
from .reader import VerifyingReader
from .spool import CANNOT_READ, CANNOT_WRITE, Spool

_TEMPORARY = b'tmp'
#: what only takes room, so that ``gc`` finds some on a full disk
_RESERVE = b'reserve'


def open_store(url: str, place: model.Place) -> FileStore:
    """Return the store of a URL ``file`` or ``file:/path``.

    Raises ``UnknownScheme`` for a path that is not absolute.
    """
    folder = localfiles.urlpath(url, place, b'bundles')
    return FileStore(folder, place.createmode)


class FileStore:
    """The bundles in ``folder``, an absolute path; ``createmode`` is as in
    ``model.Place``. Without ``durable`` what is written may not survive the
    loss of power: that is for what can be had again."""

    __implemented__ = Interfaces(
        *('IBundleStore', 'ILocalPath', 'IReserve', 'ISelfCheck')
    )

    def __init__(
        self,
        folder: bytes,
        createmode: Optional[int] = None,
        durable: bool = True,
    ) -> None:
        self._folder = folder
        self._createmode = createmode
        self._sync = durable
        self._spool = Spool(os.path.join(folder, _TEMPORARY), createmode)
        # the folders in it whose names are known to be durable
        self._durable: set[bytes] = set()

    # -- bundles

    def stage(self, chunks: Iterable[bytes]) -> StagedFile:
        temporary = self._spool.write(chunks, durable=self._sync)
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
        with _lookingup(self._folder, key, CANNOT_WRITE):
            fileops.unlink(path)

    def keys(self) -> Iterator[str]:
        for name in self._list(self._folder):
            # Whatever else there is (``tmp``) cannot begin a key.
            if len(name) == 2:
                yield from self._keysin(name)

    def _keysin(self, name: bytes) -> Iterator[str]:
        for entry in self._list(os.path.join(self._folder, name)):
            key = localfiles.display(entry)
            if entry.startswith(name) and model.iskey(key):
                yield key

    def modified(self, key: str) -> float:
        with _lookingup(self._folder, key):
            return os.stat(self._path(key)).st_mtime

    def localpath(self, key: str) -> bytes:
        self.size(key)
        return self._path(key)

    def _path(self, key: str) -> bytes:
        name = model.checkkey(key).encode('ascii')
        return os.path.join(self._folder, name[:2], name)

    def _publish(self, temporary: bytes, key: str) -> bytes:
        """Move a file of ``tmp`` to where the bundle ``key`` lives; return
        its new path."""
        path = self._path(key)
        self._touch(temporary)
        self._move(temporary, path)
        return path

    def _touch(self, temporary: bytes) -> None:
        """Have the time of the store's last change to a file be this."""
        try:
            fileops.touch(temporary)
        except OSError as exc:
            raise self._cannotwrite(exc) from exc

    def _nameahead(self, temporary: bytes, key: str) -> bool:
        """Give a file of ``tmp`` the name of the bundle ``key`` besides its
        own; return whether that was free."""
        path = self._path(key)
        self._touch(temporary)
        with (
            contextlib.suppress(_CannotLink),
            self._naming(os.path.dirname(path)),
        ):
            try:
                fileops.link(temporary, path)
            except OSError as exc:
                raise _CannotLink from exc
            return True
        return False

    # -- strays

    def strays(self, age: float) -> Iterator[model.Stray]:
        return self._spool.strays(age)

    def deletestray(self, name: str) -> None:
        self._spool.deletestray(name)

    # -- notes

    def putnote(self, name: str, data: bytes) -> None:
        path = self._notepath(name)
        temporary = self._spool.write([data], durable=self._sync)
        try:
            self._move(temporary.path, path)
        except BaseException:
            temporary.abandon()
            raise

    def note(self, name: str) -> bytes:
        path = self._notepath(name)
        with _lookingupnote(path, name), open(path, 'rb') as fp:
            return fp.read()

    def notes(self, prefix: str = '') -> Iterator[str]:
        folders: Iterable[bytes] = self._list(self._folder)
        if '/' in prefix:
            wanted = os.fsencode(prefix.split('/')[0])
            folders = [folder for folder in folders if folder == wanted]
        for folder in folders:
            for entry in self._list(os.path.join(self._folder, folder)):
                name = localfiles.display(b'%s/%s' % (folder, entry))
                if name.startswith(prefix) and model.isnotename(name):
                    yield name

    def deletenote(self, name: str) -> None:
        path = self._notepath(name)
        with _lookingupnote(path, name, CANNOT_WRITE):
            fileops.unlink(path)

    def _notepath(self, name: str) -> bytes:
        relative = model.checknotename(name).encode('ascii')
        return os.path.join(self._folder, relative)

    # -- its state

    @property
    def _reserve(self) -> bytes:
        return os.path.join(self._folder, _RESERVE)

    def keepreserve(self) -> None:
        localfiles.keepreserve(self._reserve)

    def makeroom(self) -> bool:
        return localfiles.giveback(self._reserve)

    def troubles(self) -> Iterator[errors.BackendUnavailable]:
        return localfiles.troubles(
            CANNOT_WRITE, self._folder, self._spool.folder
        )

    # -- files

    def close(self) -> None:
        """Nothing stays open between two calls."""

    def _move(self, temporary: bytes, path: bytes) -> None:
        """Give a file of ``tmp`` a name that is as durable as it is."""
        with self._naming(os.path.dirname(path)):
            fileops.rename(temporary, path)

    @contextlib.contextmanager
    def _naming(self, folder: bytes) -> Iterator[None]:
        """Have a name durable that a file gets in a folder."""
        try:
            if folder not in self._durable or not os.path.isdir(folder):
                self._settle(folder)
            yield
            if self._sync:
                fileops.syncfolder(folder)
        except OSError as exc:
            raise self._cannotwrite(exc) from exc

    def _settle(self, folder: bytes) -> None:
        """Have a folder in that of the store, with a durable name.

        Whoever puts the first file there has seen to that before, so there is
        nothing to do where one is. The store's own folder has a durable name
        as long as there is ``tmp`` in it, see ``localfiles.makefolders``.
        """
        try:
            with os.scandir(folder) as entries:
                isused = any(True for _entry in entries)
        except FileNotFoundError:
            isused = False
            localfiles.makefolder(folder, self._createmode)
        if self._sync and not isused:
            fileops.syncfolder(self._folder)
        self._durable.add(folder)

    def _cannotwrite(self, exc: OSError) -> errors.BackendUnavailable:
        return localfiles.unavailable(CANNOT_WRITE, self._folder, exc)

    def _list(self, folder: bytes) -> list[bytes]:
        try:
            return os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as exc:
            raise localfiles.unavailable(CANNOT_READ, folder, exc) from exc


class _CannotLink(Exception):
    """Something has the name, or files have but one here."""


class StagedFile:
    """A bundle that is complete in the folder ``tmp`` of ``store``."""

    __implemented__ = Interfaces('IStagedBundle', 'ILocalPath', 'IAhead')

    def __init__(
        self, store: FileStore, path: bytes, key: str, size: int
    ) -> None:
        self.key = key
        self.size = size
        self._store = store
        self._path = path
        self._published = False
        # its name in ``tmp``, if it has another one
        self._spare: Optional[bytes] = None

    def __enter__(self) -> StagedFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()

    def open(self) -> VerifyingReader:
        return openbundle(self._path, self.key)

    def localpath(self, key: str) -> bytes:
        if model.checkkey(key) != self.key or not os.path.exists(self._path):
            raise unknown(key)
        return self._path

    def ahead(self) -> bool:
        if self._published or self._spare:
            return False
        if not self._store._nameahead(self._path, self.key):
            return False
        self._spare = self._path
        return True

    def publish(self) -> None:
        if self._published:
            return
        if self._spare is None or not self._isthere():
            self._spare = None
            self._path = self._store._publish(self._path, self.key)
        self._published = True

    def _isthere(self) -> bool:
        """Whether the name that it got is still its own: nobody had to know
        that the bundle is needed."""
        path = self._store._path(self.key)
        with contextlib.suppress(OSError):
            if os.path.samefile(self._path, path):
                self._path = path
                return True
        return False

    def discard(self) -> None:
        if not self._published:
            _removequietly(self._path)
        elif self._spare is not None:
            _removequietly(self._spare)
            self._spare = None


def openbundle(path: bytes, key: str) -> VerifyingReader:
    """Return a reader of the bundle ``key`` in a file.

    Raises ``UnknownKey`` or ``BackendUnavailable``.
    """
    with _lookingup(path, key):
        fp = open(path, 'rb', buffering=0)
        return VerifyingReader(fp, key, os.fstat(fp.fileno()).st_size)


@contextlib.contextmanager
def _lookingup(
    path: bytes, key: str, what: str = CANNOT_READ
) -> Iterator[None]:
    """Raise ``UnknownKey`` for a file that is not there."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise unknown(key) from exc
    except OSError as exc:
        raise localfiles.unavailable(what, path, exc) from exc


@contextlib.contextmanager
def _lookingupnote(
    path: bytes, name: str, what: str = CANNOT_READ
) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise errors.UnknownNote(f'no note {name} in the store') from exc
    except OSError as exc:
        raise localfiles.unavailable(what, path, exc) from exc


def unknown(key: str) -> errors.UnknownKey:
    """Return what to raise where a store has no bundle of that key."""
    return errors.UnknownKey(
        f'bundle {key} is not in the store',
        'pushing its changesets again brings it back',
    )


def _removequietly(path: bytes) -> None:
    # A file that cannot be removed is a stray like that of a killed process.
    with contextlib.suppress(OSError):
        fileops.unlink(path)
