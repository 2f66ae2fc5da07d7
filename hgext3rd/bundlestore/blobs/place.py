"""Where the contents lie that lfs and largefiles keep outside of changesets.

Both call a content by the hash of its bytes, a *blob* here. Those of scratch
pushes are files in ``.hg/bundlestore/lfs`` and ``.hg/bundlestore/largefiles``,
beside the bundles. Clients upload them before a push, in requests that do not
say which, so at first nobody names a blob: what tells that it is still needed
is the time of its file, which is set anew whenever a client is told that it
need not send it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Optional

from .. import errors, model
from ..records import NamedTuple
from ..stores import fileops, localfiles

LFS = 'lfs'
LARGEFILES = 'largefiles'

#: what the names of blobs are: hashes of so many hexadecimal digits
_HASHES = {LFS: ('sha256', 64), LARGEFILES: ('sha1', 40)}

_HEX = re.compile(r'[0-9a-f]+', re.A)
_TEMPORARY = b'.tmp'
#: bytes that are read at once
BLOCK = 256 * 1024


class Found(NamedTuple):
    """A blob, or what was left of one that did not come whole."""

    name: str
    #: seconds since the epoch: when it came, or was last asked for
    time: float
    size: int


class Place:
    """The blobs of one kind; ``place`` is where the store keeps its files."""

    def __init__(self, place: model.Place, kind: str) -> None:
        self.kind = kind
        self._root = os.path.join(place.directory, kind.encode())
        self._createmode = place.createmode

    def isempty(self) -> bool:
        """Whether there never was a blob."""
        return not os.path.isdir(self._root)

    def iselsewhere(self) -> bool:
        """Whether an administrator has put the folder on another file
        system."""
        return os.path.islink(self._root) or os.path.ismount(self._root)

    def path(self, name: str) -> bytes:
        """Return where the blob is or would be; raises ``InvalidKey``."""
        name = checkname(self.kind, name)
        return os.path.join(self._root, name[:2].encode(), name[2:].encode())

    def has(self, name: str) -> bool:
        """Whether the blob is here; raises ``InvalidKey``."""
        return os.path.isfile(self.path(name))

    def keep(self, name: str) -> bool:
        """The same, and have it stay for a push that is to come."""
        try:
            fileops.touch(self.path(name))
        except FileNotFoundError:
            return False
        except OSError:
            # who may only read
            return self.has(name)
        return True

    def size(self, name: str) -> int:
        """Return the bytes of a blob; raises ``UnknownKey``."""
        with self.open(name) as fh:
            return os.fstat(fh.fileno()).st_size

    def open(self, name: str) -> BinaryIO:
        """Open a blob; raises ``UnknownKey`` and ``InvalidKey``."""
        try:
            return open(self.path(name), 'rb')
        except FileNotFoundError as exc:
            raise errors.UnknownKey(
                f'there is no {self.kind} content {name[:12]}',
                'push the changeset again that needs it',
            ) from exc
        except OSError as exc:
            raise localfiles.unavailable(
                'content cannot be read', self._root, exc
            ) from exc

    def put(self, name: str, chunks: Iterable[bytes], limit: int = 0) -> None:
        """Write a blob of at most ``limit`` bytes (0: any).

        Raises ``CorruptBundle`` where the bytes have another name,
        ``BundleStoreError`` where they are too many, ``BackendUnavailable``
        and whatever ``chunks`` raises; nothing is here then that was not.
        """
        path = self.path(name)
        algorithm, _digits = _HASHES[self.kind]
        digest = hashlib.new(algorithm, usedforsecurity=False)
        temporary = b'%s.%s%s' % (
            path,
            os.urandom(8).hex().encode(),
            _TEMPORARY,
        )
        size = 0
        with self._writing():
            localfiles.makefolders(os.path.dirname(path), self._createmode)
            fd = localfiles.createfile(temporary, self._createmode)
        try:
            try:
                for block in localfiles.gathered(chunks):
                    size += len(block)
                    if limit and size > limit:
                        raise errors.BundleStoreError(
                            f'{self.kind} content is larger than the bundle '
                            f'store takes ({limit} bytes)',
                            'ask for a higher bundlestore.max-bundle-size',
                        )
                    digest.update(block)
                    with self._writing():
                        fileops.write(fd, block)
                if digest.hexdigest() != name:
                    raise errors.CorruptBundle(
                        f'{self.kind} content does not match its hash',
                        'it was damaged on its way; push again',
                    )
                with self._writing():
                    fileops.fsync(fd)
            finally:
                fileops.close(fd)
            with self._writing():
                fileops.rename(temporary, path)
                fileops.syncfolder(os.path.dirname(path))
        except BaseException:
            localfiles.tryunlink(temporary)
            raise

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise localfiles.unavailable(
                'content cannot be written', self._root, exc
            ) from exc

    # -- for who keeps order

    def blobs(self) -> Iterator[Found]:
        """Yield all that are here."""
        for folder, entry in self._entries():
            name = folder + entry.name
            if isname(self.kind, name):
                yield from _stat(name, entry)

    def strays(self) -> Iterator[Found]:
        """Yield the files of what did not come whole."""
        for folder, entry in self._entries():
            if entry.name.endswith(_TEMPORARY.decode()):
                yield from _stat(f'{folder}/{entry.name}', entry)

    def _entries(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        with contextlib.suppress(FileNotFoundError):
            for folder in sorted(os.listdir(os.fsdecode(self._root))):
                path = os.path.join(os.fsdecode(self._root), folder)
                with contextlib.suppress(FileNotFoundError):
                    for entry in sorted(os.scandir(path), key=_entryname):
                        yield folder, entry

    def remove(self, name: str, before: float) -> bool:
        """Delete a blob, unless somebody has asked for it since ``before``;
        return whether it is gone."""
        path = self.path(name)
        # Out of the way first: whoever asks for it now is told to send it,
        # and who was told that it is here has set its time before.
        aside = b'%s.%s%s' % (path, os.urandom(8).hex().encode(), _TEMPORARY)
        with self._writing():
            try:
                fileops.rename(path, aside)
            except FileNotFoundError:
                return False
            if os.stat(aside).st_mtime >= before:
                fileops.rename(aside, path)
                return False
            fileops.unlink(aside)
        return True

    def removestray(self, name: str) -> None:
        """Delete a file that :meth:`strays` named."""
        with self._writing():
            localfiles.tryunlink(os.path.join(self._root, name.encode()))


def _entryname(entry: os.DirEntry[str]) -> str:
    return entry.name


def _stat(name: str, entry: os.DirEntry[str]) -> Iterator[Found]:
    with contextlib.suppress(FileNotFoundError):
        found = entry.stat()
        yield Found(name, found.st_mtime, found.st_size)


def isname(kind: str, name: str) -> bool:
    """Whether a blob of that kind can have such a name."""
    hashes: Optional[tuple[str, int]] = _HASHES.get(kind)
    return (
        hashes is not None
        and len(name) == hashes[1]
        and _HEX.fullmatch(name) is not None
    )


def checkname(kind: str, name: str) -> str:
    """Return ``name`` if a blob of that kind can have it; raise ``InvalidKey``
    if not. Anything may be passed. What comes back is safe as a file name."""
    if isname(kind, name):
        return name
    raise errors.InvalidKey(f'not the name of a {kind[:20]} content')
