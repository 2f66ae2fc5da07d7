"""The changegroups of stored bundles, for sending: they are taken as they are.

That of one bundle is read once (:class:`Whole`), straight from any store: the
changelog, which tells what the bundle rests on, is kept aside while the answer
is being decided on, and goes out in front of the rest. Those of several bundles
are joined group by group, so they are read at random places (:class:`Joint`).

Nothing of a bundle counts before all of it was hashed. ``Whole`` hashes what
it sends and holds the last piece back until then. As a client may stumble over
damaged bytes before it is told, a bundle of common size is hashed in advance.
``Joint`` hashes each file of the store first and reads on in the same open
file, but for those that are packed, which are unpacked elsewhere: the store
replaces files and never writes into one, so that a bundle which is stored
again meanwhile does not matter, and the time stamp of the file gives away
anybody else who does.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Optional

from .. import errors
from ..bundle import changegroup, container, graph, reading
from ..declaring import provides


class Whole:
    """The changegroup of one bundle, to be read once, from any store."""

    def __init__(self, ui, store: Any, key: str) -> None:
        self.key = key
        self._reader, _wasread = reading.hashed(store, key)
        self.size = self._reader.size
        self._kept = tempfile.SpooledTemporaryFile(max_size=reading.KEEP)
        try:
            self._stream = reading.Stream(ui, self._reader)
            self.version = self._stream.version
            self.trees = self._stream.trees
            #: what the bundle holds besides, known after :meth:`chunks`
            self.markers = self._stream.markers
            self.parents = graph.read(self._keptread, self.version)
        except BaseException:
            self.close()
            raise

    def _keptread(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._kept.write(data)
        return data

    def chunks(self, target: bytes) -> Iterator[bytes]:
        """Yield the changegroup in version ``target``.

        Raises ``CorruptBundle`` or, where the damage does not let it come to
        that, another exception, before it has yielded the last of it.
        """
        chunks = self._plain()
        if target != self.version:
            chunks = changegroup.transcode(
                _Reading(chunks).read,
                self.version,
                target,
                changegroup.Visitor(),
            )
        held = b''
        for chunk in chunks:
            if held:
                yield held
            held = chunk
        self._stream.readmarkers()
        self.check()
        yield held

    def _plain(self) -> Iterator[bytes]:
        self._kept.seek(0)
        yield from container.blocks(self._kept)
        yield from container.blocks(self._stream)

    def check(self) -> None:
        """Read to the very end; raises ``CorruptBundle`` if the bundle is not
        what it was."""
        container.drain(self._reader)

    def close(self) -> None:
        self._kept.close()
        self._reader.close()


class Joint:
    """The changegroups of some bundles, joined: they come in the order of
    ``keys``, in which each comes after what it rests on."""

    def __init__(self, ui, store: Any, keys: Iterable[str]) -> None:
        self.markers: list[bytes] = []
        self.parents: graph.Graph = {}
        self.size = 0
        self._stack = contextlib.ExitStack()
        self._files: dict[str, reading.File] = {}
        self._layouts: list[changegroup.Layout] = []
        try:
            for key in keys:
                self._add(ui, store, key)
        except BaseException:
            self.close()
            raise
        self.version = changegroup.jointversion(self._layouts)
        self.trees = any(file.trees for file in self._files.values())

    def _add(self, ui, store, key: str) -> None:
        path = self._stack.enter_context(
            container.plainfile(
                store, key, lambda: container.opened(store, key)
            )
        )
        # another file than the store's own was read and found true already
        isown = provides(store, 'ILocalPath') and path == store.localpath(key)
        file = self._stack.enter_context(
            reading.File(ui, path, key if isown else None)
        )
        self._files[key] = file
        self._layouts.append(file.layout())
        self.markers += file.markers
        self.parents.update(file.readgraph())
        self.size += file.size

    def chunks(
        self, target: bytes, front: Optional[changegroup.Read] = None
    ) -> Iterator[bytes]:
        """Yield the joint changegroup in version ``target``; ``front`` is as
        in ``changegroup.concatenate``."""
        held = b''
        for chunk in changegroup.concatenate(self.parts(), target, front):
            if held:
                yield held
            held = chunk
        self.check()
        yield held

    def parts(self) -> list[tuple[BinaryIO, changegroup.Layout]]:
        """Return the changegroups, each as a file."""
        payloads = [file.payload for file in self._files.values()]
        return list(zip(payloads, self._layouts))

    def check(self) -> None:
        """Raise ``CorruptBundle`` if a file was written to after it was
        hashed."""
        for key, file in self._files.items():
            if file.waswritten():
                raise errors.CorruptBundle(
                    f'stored bundle {key} was written to while it was read'
                )

    def close(self) -> None:
        self._stack.close()


class _Reading:
    """Reads what an iterator of chunks gives."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._data = b''
        self._position = 0

    def read(self, size: int) -> bytes:
        if self._position == len(self._data):
            self._data, self._position = next(self._chunks, b''), 0
        data = self._data[self._position : self._position + size]
        self._position += len(data)
        return data
