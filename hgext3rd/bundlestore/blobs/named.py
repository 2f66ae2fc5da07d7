"""Which blobs the changesets of a stored bundle name.

A file revision that lfs keeps elsewhere has a few lines in its place, of which
one names the blob; for largefiles it is a file of its own with nothing but the
name. Mercurial makes deltas of whole lines, so a revision that names another
blob than the one it is a delta against has that name in its delta, and no text
need be rebuilt. What a revision in *another* bundle or in the base names is
that one's matter.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any, Optional

from .. import errors, model
from ..bundle import changegroup, container, reading, sound
from ..stores import fileops, localfiles
from . import place

#: (kind, name)
Blob = tuple[str, str]

#: revision flag of what is stored elsewhere, from Mercurial's
#: ``revlogutils/constants.py``
_EXTSTORED = 1 << 13
#: folder of the files that stand in for those of largefiles
_STANDINS = b'.hglf/'

_OID = re.compile(rb'sha256:([0-9a-f]{64})(?![0-9a-f])')
_STANDIN = re.compile(rb'(?<![0-9a-f])([0-9a-f]{40})(?![0-9a-f])')
#: bytes of the largest delta that is looked at: they have some hundred
_MOST = 1 << 20


def read(ui: Any, store: Any, key: str) -> frozenset[Blob]:
    """Return the blobs that a stored bundle names; raises
    ``BundleStoreError`` and ``error.Abort`` if it cannot be read."""
    found: set[Blob] = set()

    def wanted(name: bytes, entry: changegroup.Entry) -> bool:
        return bool(entry.flags & _EXTSTORED) or name.startswith(_STANDINS)

    with sound.reading(), container.opened(store, key) as reader:
        stream = reading.Stream(ui, reader)
        for delta in changegroup.filedeltas(
            stream.read, stream.version, wanted, _MOST
        ):
            found.update((place.LFS, n.decode()) for n in _OID.findall(delta))
            found.update(
                (place.LARGEFILES, n.decode()) for n in _STANDIN.findall(delta)
            )
        # it is hashed to its end
        container.drain(reader)
    return frozenset(found)


class Remembered:
    """Keeps what was read of bundles in small files, so that each is read
    once. What cannot be made sense of is read anew."""

    _FOLDER = b'blobnames'
    # a file that was not written whole lacks it
    _END = 'end'

    def __init__(self, where: model.Place) -> None:
        self._root = os.path.join(where.directory, self._FOLDER)
        self._createmode = where.createmode

    def _path(self, key: str) -> bytes:
        key = model.checkkey(key)
        return os.path.join(self._root, key[:2].encode(), key.encode())

    def get(self, key: str) -> Optional[frozenset[Blob]]:
        """Return what the bundle names, None if that is not known."""
        try:
            with open(self._path(key), encoding='ascii') as fh:
                lines = fh.read().split('\n')
            if lines[-2:] != [self._END, '']:
                return None
            words = [line.split(' ') for line in lines[:-2]]
            return frozenset((kind, name) for kind, name in words)
        except (OSError, ValueError):
            return None

    def put(self, key: str, blobs: frozenset[Blob]) -> None:
        """Remember what the bundle names, if that is possible."""
        path = self._path(key)
        lines = [f'{kind} {name}' for kind, name in sorted(blobs)]
        data = '\n'.join([*lines, self._END, '']).encode('ascii')
        temporary = b'%s.%s' % (path, os.urandom(8).hex().encode())
        with contextlib.suppress(OSError):
            localfiles.makefolders(os.path.dirname(path), self._createmode)
            fd = localfiles.createfile(temporary, self._createmode)
            try:
                try:
                    fileops.write(fd, data)
                finally:
                    fileops.close(fd)
                fileops.rename(temporary, path)
            except BaseException:
                localfiles.tryunlink(temporary)
                raise

    def forget(self, key: str) -> None:
        """Forget a bundle that is gone."""
        with contextlib.suppress(OSError):
            fileops.unlink(self._path(key))

    def bundles(self) -> Iterator[str]:
        """Yield the bundles that are known of."""
        root = os.fsdecode(self._root)
        with contextlib.suppress(FileNotFoundError):
            for folder in sorted(os.listdir(root)):
                for name in sorted(os.listdir(os.path.join(root, folder))):
                    with contextlib.suppress(errors.InvalidKey):
                        yield model.checkkey(name)
