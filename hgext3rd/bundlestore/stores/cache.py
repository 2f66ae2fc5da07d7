"""Copies of bundles at hand, for any store that is elsewhere.

A bundle is fetched from the store once, into a folder of this machine that all
processes share (see ``cachefiles.py``), and read from there. Who wants one that
another is fetching waits for it. What a push stages enters the folder when it
is published, without being written again.

A copy is hashed each time before a byte of it is handed out. One that is not
what it was is dropped and fetched again, so that nobody is told of damage that
is none of the store's. Whatever is wrong with the folder, no space, no right to
write, the store is read as though there were none; so are bundles that are
larger than all of it may be.

Only what is in a bundle comes from here, and it cannot change. All else, what
there is, how large and how old, is asked of the store itself; to see whether a
bundle is there as it should be, read it by way of ``uncached``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Optional

from .. import errors, model
from ..declaring import Interfaces, provides
from .cachefiles import CacheFiles
from .localfiles import reason

#: seconds to wait for one who fetches the same bundle; then it is read from
#: the store without being kept
WAIT = 60.0

#: bytes that a push writes before the disk is looked at again
_STEP = 8 << 20
_BLOCK = 1 << 18

#: what the store behind may be able to do besides
_PASSED = ('IDownloadURL', 'ISelfCheck')


def caching(
    store: Any, folder: bytes, createmode: Optional[int], limit: int
) -> Any:
    """Return ``store`` with copies of its bundles in ``folder``, at most
    ``limit`` bytes of them; ``createmode`` is as in ``model.Place``."""
    passed = [name for name in _PASSED if provides(store, name)]
    declared = Interfaces('IBundleStore', 'ICached', 'IReserve', *passed)
    kind = type('CachingStore', (_CachingStore,), {'__implemented__': declared})
    return kind(store, CacheFiles(folder, createmode, limit))


class _CachingStore:
    """What it does not do itself, the store behind it does."""

    def __init__(self, store: Any, files: CacheFiles) -> None:
        self.uncached = store
        self._files = files

    def __getattr__(self, name: str) -> Any:
        if name == 'uncached':
            # it is not made yet
            raise AttributeError(name)
        return getattr(self.uncached, name)

    # -- reading

    def open(self, key: str) -> Any:
        model.checkkey(key)
        return self._cached(key) or self._fetched(key)

    def _cached(self, key: str, checked: bool = False) -> Any:
        fp = self._files.take(key, checked)
        return None if fp is None else CachedBundle(fp, self._files.pathof(key))

    def _fetched(self, key: str) -> Any:
        if not self._files.isthere():
            # no folder comes into being for a bundle that is not there
            self.uncached.size(key)
        with self._files.fetching(key, WAIT) as alone:
            if alone:
                return self._cached(key) or self._fetch(key)
        return self.uncached.open(key)

    def _fetch(self, key: str) -> Any:
        """Return a reader of a bundle that is in the folder now, or comes from
        the store as it is read."""
        reader = self.uncached.open(key)
        try:
            if not self._files.admit(reader.size):
                return reader
            kept = self._keep(key, reader)
        except BaseException:
            reader.close()
            raise
        reader.close()
        cached = self._cached(key, checked=True) if kept else None
        return cached or self.uncached.open(key)

    def _keep(self, key: str, reader: Any) -> bool:
        """Write a bundle into the folder; return whether it could be done."""
        failures: list[BaseException] = []

        def chunks() -> Iterator[bytes]:
            try:
                yield from iter(lambda: reader.read(_BLOCK), b'')
            except BaseException as exc:
                failures.append(exc)
                raise

        try:
            with self._files.stage(chunks()) as staged:
                if staged.key == key:
                    staged.publish()
                    return True
        except errors.CorruptBundle:
            # who reads it is to be told as by any other store
            pass
        except errors.BackendUnavailable:
            if failures:
                raise
        return False

    # -- writing and removing

    def stage(self, chunks: Iterable[bytes]) -> Any:
        staged = self.uncached.stage(self._givingway(chunks))
        if provides(staged, 'ILocalPath'):
            return CachedStaging(staged, self._files)
        return staged

    def _givingway(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the chunks of a push. It may be written to the same disk, and
        needs it more."""
        left = 0
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                left = _STEP
                self._files.giveway(2 * _STEP)
            yield chunk

    def put(self, chunks: Iterable[bytes]) -> str:
        with self.stage(chunks) as staged:
            staged.publish()
            key: str = staged.key
            return key

    def delete(self, key: str) -> None:
        model.checkkey(key)
        try:
            self.uncached.delete(key)
        finally:
            self._files.drop(key)

    # -- the reserve: all of the folder is one

    def keepreserve(self) -> None:
        if provides(self.uncached, 'IReserve'):
            self.uncached.keepreserve()

    def makeroom(self) -> bool:
        cleared = self._files.clear()
        if provides(self.uncached, 'IReserve'):
            return bool(self.uncached.makeroom()) or cleared
        return cleared


class CachedStaging:
    """A staged bundle, ``staged``, whose file becomes that of the cache."""

    __implemented__ = Interfaces('IStagedBundle', 'ILocalPath')

    def __init__(self, staged: Any, files: CacheFiles) -> None:
        self.key: str = staged.key
        self.size: int = staged.size
        self._staged = staged
        self._files = files
        # another name of its file, once it is published
        self._linked: Optional[bytes] = None

    def __enter__(self) -> CachedStaging:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()

    def open(self) -> Any:
        return self._staged.open()

    def localpath(self, key: str) -> bytes:
        path: bytes = self._staged.localpath(key)
        return path

    def publish(self) -> None:
        linked = None if self._linked else self._link()
        try:
            self._staged.publish()
        except BaseException:
            if linked is not None:
                self._files.forget(linked)
            raise
        self._linked = self._linked or linked

    def _link(self) -> Optional[bytes]:
        try:
            path = self._staged.localpath(self.key)
        except errors.BundleStoreError:
            return None
        return self._files.link(path)

    def discard(self) -> None:
        # The index has done with the push by now: it waits for nothing here.
        self._staged.discard()
        linked, self._linked = self._linked, None
        if linked is not None:
            self._files.enter(linked, self.key)


class CachedBundle:
    """Reads ``fp``, the file of a copy, which has been hashed."""

    __implemented__ = Interfaces('IPlainReader', 'IBundleReader')

    def __init__(self, fp: BinaryIO, path: bytes) -> None:
        self.path = path
        self._fp = fp
        self._before = os.fstat(fp.fileno())
        self.size = self._left = self._before.st_size

    def __enter__(self) -> CachedBundle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._fp.close()

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._fp.read(size)
        except OSError as exc:
            raise errors.BackendUnavailable(
                f'copy of a bundle cannot be read: {reason(exc)}',
                'look for failures of the disk in the system log',
            ) from exc
        self._left -= len(data)
        if self._left <= 0 or (not data and size):
            self._checkuntouched()
        return data

    def _checkuntouched(self) -> None:
        """Raise ``CorruptBundle`` if somebody wrote to the file meanwhile."""
        now = os.fstat(self._fp.fileno())
        if self._left or (now.st_mtime_ns, now.st_size) != (
            self._before.st_mtime_ns,
            self._before.st_size,
        ):
            raise errors.CorruptBundle(
                'copy of a bundle was written to while it was read'
            )
