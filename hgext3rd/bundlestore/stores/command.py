"""The store ``command``: bundles are put, got, listed and deleted by commands
of the administrator.

A command finds in its environment what it is about, ``HGBS_KEY``, and the file
to read or to write, ``HGBS_FILE``. Keys are paths of lower-case letters,
digits, dots and slashes: ``bundles/ab/ab12…``, so that no folder is too large
to be listed, and ``notes/FOLDER/NAME``. What a command must promise is told in
``docs/backends.rst``.

What is staged waits in a file of this machine until it is put.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Optional

from .. import errors, model
from ..declaring import Interfaces
from ..records import NamedTuple
from . import fileops, localfiles
from .file import FileStore, StagedFile
from .reader import VerifyingReader
from .running import Command

_PUT = 'put-command'
_GET = 'get-command'
_DELETE = 'delete-command'
_LIST = 'list-command'

#: seconds that a command may take, unless configured otherwise
_PATIENCE = 600.0

_NOTES = 'notes/'
_FOLDER = re.compile(r'[a-z0-9]{2,16}', re.A)
#: the longest line of a list that is looked at
_LINE = 1000


def open_store(url: str, place: model.Place) -> CommandStore:
    """Return the store of the URL ``command``, which is all that it says."""
    if url != 'command':
        raise errors.UnknownScheme(
            f'URL of a bundle store says too much: {url}', "use 'command'"
        )
    return CommandStore(place)


class _Entry(NamedTuple):
    """A line of a list."""

    name: str
    #: None where the command does not say
    size: Optional[int]
    time: Optional[float]


class CommandStore:
    """The store whose commands the configuration of ``place`` has."""

    __implemented__ = Interfaces('IBundleStore', 'ISelfCheck')

    def __init__(self, place: model.Place) -> None:
        self._config = place.config
        spool = os.path.join(place.directory, b'spool')
        # what is not published need not survive anything
        self._spool = FileStore(spool, place.createmode, durable=False)

    # -- bundles

    def stage(self, chunks: Iterable[bytes]) -> StagedUpload:
        self._command(_PUT)
        return StagedUpload(self, self._spool.stage(chunks))

    def put(self, chunks: Iterable[bytes]) -> str:
        with self.stage(chunks) as staged:
            staged.publish()
            return staged.key

    def open(self, key: str) -> VerifyingReader:
        fp = self._get(_name(key))
        if fp is None:
            raise _unknown(key)
        return VerifyingReader(fp, key, os.fstat(fp.fileno()).st_size)

    def size(self, key: str) -> int:
        size = self._entry(key).size
        if size is None:
            with self.open(key) as reader:
                size = reader.size
        return size

    def modified(self, key: str) -> float:
        found = self._entry(key).time
        # who says nothing has nothing removed for its age
        return time.time() if found is None else found

    def delete(self, key: str) -> None:
        if not self._run(_DELETE, _name(key)):
            raise _unknown(key)

    def keys(self) -> Iterator[str]:
        for entry in self._list('bundles'):
            key = entry.name.rpartition('/')[2]
            with contextlib.suppress(errors.InvalidKey):
                if _name(key) == entry.name:
                    yield key

    def _entry(self, key: str) -> _Entry:
        name = _name(key)
        for entry in self._list(name):
            if entry.name == name:
                return entry
        raise _unknown(key)

    # -- strays

    def strays(self, age: float) -> Iterator[model.Stray]:
        return self._spool.strays(age)

    def deletestray(self, name: str) -> None:
        self._spool.deletestray(name)

    # -- notes

    def putnote(self, name: str, data: bytes) -> None:
        key = _NOTES + model.checknotename(name)
        self._command(_PUT)
        with self._spool.stage([data]) as staged:
            self._put(staged, key)

    def note(self, name: str) -> bytes:
        fp = self._get(_NOTES + model.checknotename(name))
        if fp is None:
            raise _unknownnote(name)
        with fp:
            try:
                return fp.read()
            except OSError as exc:
                raise _unreadable(exc) from exc

    def notes(self, prefix: str = '') -> Iterator[str]:
        folder, slash, _rest = prefix.partition('/')
        if slash and not _FOLDER.fullmatch(folder):
            return
        for entry in self._list(_NOTES + folder if slash else 'notes'):
            name = entry.name.removeprefix(_NOTES)
            if name.startswith(prefix):
                with contextlib.suppress(errors.InvalidKey):
                    yield model.checknotename(name)

    def deletenote(self, name: str) -> None:
        if not self._run(_DELETE, _NOTES + model.checknotename(name)):
            raise _unknownnote(name)

    # -- its state

    def troubles(self) -> Iterator[errors.BundleStoreError]:
        for name in (_PUT, _GET, _DELETE, _LIST):
            try:
                self._command(name)
            except errors.BackendUnavailable as exc:
                yield exc
        yield from self._spool.troubles()

    def close(self) -> None:
        """Nothing stays open between two calls."""

    # -- commands

    def _command(self, name: str) -> Command:
        text = self._config.get(name)
        if not text:
            raise errors.BackendUnavailable(
                f'bundlestore.{name} is not set',
                "'store = command' needs put-command, get-command,"
                ' delete-command and list-command',
            )
        patience = _PATIENCE
        with contextlib.suppress(ValueError):
            patience = float(self._config.get('command-timeout', patience))
        return Command(name, text, patience)

    def _run(self, command: str, key: str, path: bytes = b'') -> bool:
        """Run a command; return whether there is what it is about."""
        variables = {'HGBS_KEY': key, 'HGBS_FILE': os.fsdecode(path)}
        return self._command(command).run(variables)

    def _put(self, staged: StagedFile, key: str) -> None:
        try:
            path = staged.localpath(staged.key)
        except errors.UnknownKey as exc:
            raise errors.BackendUnavailable(
                'what was staged is gone', 'push again'
            ) from exc
        if not self._run(_PUT, key, path):
            raise errors.BackendUnavailable(
                f'{_PUT} of the bundle store found no place for {key}',
                f"the administrator should look at 'bundlestore.{_PUT}'",
            )

    def _get(self, key: str) -> Optional[BinaryIO]:
        """Return a file that goes when it is closed; None if there is none of
        that key."""
        folder = None
        try:
            folder = fileops.createfolder(b'hg-bundlestore-')
            path = os.path.join(folder, b'file')
            if not self._run(_GET, key, path):
                return None
            return open(path, 'rb', buffering=0)
        except FileNotFoundError as exc:
            raise errors.BackendUnavailable(
                f'{_GET} of the bundle store left no file for {key}',
                f"the administrator should look at 'bundlestore.{_GET}'",
            ) from exc
        except OSError as exc:
            raise _unreadable(exc) from exc
        finally:
            if folder is not None:
                fileops.removefolder(folder)

    def _list(self, key: str) -> Iterator[_Entry]:
        """Yield what is there: ``key`` itself, or what is below it. Nothing
        is, before the command has ended well."""
        try:
            with fileops.createnameless() as fp:
                variables = {'HGBS_KEY': key, 'HGBS_FILE': ''}
                if not self._command(_LIST).run(variables, fp):
                    return
                fp.seek(0)
                for line in iter(lambda: fp.readline(_LINE), b''):
                    entry = _parsed(line)
                    if entry is not None and _isbelow(entry.name, key):
                        yield entry
        except OSError as exc:
            raise _unreadable(exc) from exc


class StagedUpload:
    """A bundle that is to be put: ``staged`` is its file."""

    __implemented__ = Interfaces('IStagedBundle', 'ILocalPath')

    def __init__(self, store: CommandStore, staged: StagedFile) -> None:
        self.key = staged.key
        self.size = staged.size
        self._store = store
        self._staged = staged
        self._published = False

    def __enter__(self) -> StagedUpload:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()

    def open(self) -> VerifyingReader:
        if self._published:
            return self._store.open(self.key)
        return self._staged.open()

    def localpath(self, key: str) -> bytes:
        return self._staged.localpath(key)

    def publish(self) -> None:
        if not self._published:
            with contextlib.suppress(OSError, errors.UnknownKey):
                # a command may keep it as that of the bundle
                fileops.touch(self._staged.localpath(self.key))
            self._store._put(self._staged, _name(self.key))
            self._published = True
            self._staged.discard()

    def discard(self) -> None:
        self._staged.discard()


def _name(key: str) -> str:
    return f'bundles/{model.checkkey(key)[:2]}/{key}'


def _parsed(line: bytes) -> Optional[_Entry]:
    """Return what a line says: a name, perhaps a size in bytes, and perhaps a
    time in seconds since the epoch. None if it is nothing of the kind."""
    try:
        words = line.decode('ascii').split()
        if not 1 <= len(words) <= 3:
            return None
        size = int(words[1]) if len(words) > 1 else None
        when = float(words[2]) if len(words) > 2 else None
    except ValueError:
        return None
    return _Entry(words[0], size, when)


def _isbelow(name: str, key: str) -> bool:
    return name == key or name.startswith(key + '/')


def _unknown(key: str) -> errors.UnknownKey:
    return errors.UnknownKey(
        f'bundle {key} is not in the store',
        'pushing its changesets again brings it back',
    )


def _unknownnote(name: str) -> errors.UnknownNote:
    return errors.UnknownNote(f'no note {name} in the store')


def _unreadable(exc: OSError) -> errors.BackendUnavailable:
    return localfiles.unavailable(
        'bundle store cannot be read', b'the folder of temporary files', exc
    )
