"""Reads stored bundles for sending: their changegroups as they are.

One bundle is read once from front to end (:class:`Whole`), straight from any
store: the changelog, which tells what the bundle rests on, is kept aside while
the answer is being decided on, and goes out in front of the rest. Several
bundles are joined group by group, so they are read at random places
(:class:`Joint`), from a file.

Nothing of a bundle counts before all of it was hashed. ``Whole`` hashes what
it sends and holds the last piece back until then. As a client may stumble over
damaged bytes before it is told, a bundle of common size is hashed in advance.
``Joint`` hashes each file first and reads on in the same open file: the store
replaces files and never writes into one, so that a bundle which is stored
again meanwhile does not matter, and the time stamp of the file gives away
anybody else who does.
"""

from __future__ import annotations

import bisect
import contextlib
import io
import os
import struct
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Optional, cast

from mercurial import bundle2, exchange

from .. import errors
from ..declaring import provides
from ..stores.reader import VerifyingReader
from . import changegroup, container, graph

_FRAME = struct.Struct('>i')
#: the most of a frame that is in memory
_PIECE = 64 * 1024
#: bundles up to this size, in bytes, are hashed before they are sent
ADVANCE = 32 * 1024 * 1024
#: bundles and changelogs up to this size, in bytes, are kept in memory
_KEEP = 4 * 1024 * 1024


class Unusual(Exception):
    """A stored bundle of a form that is not sent as it is."""


class Whole:
    """The changegroup of one bundle, to be read once, from any store."""

    def __init__(self, ui, store: Any, key: str) -> None:
        self.key = key
        #: what the bundle holds besides, known after :meth:`chunks`
        self.markers: list[bytes] = []
        self._reader, self.size = _checked(store, key)
        self._kept = tempfile.SpooledTemporaryFile(max_size=_KEEP)
        try:
            bundle = exchange.readbundle(ui, self._reader, b'')
            self._parts = bundle.iterparts()
            self._part: Any = next(self._parts, None)
            if self._part is None or self._part.type != b'changegroup':
                raise Unusual
            self.version = self._part.params.get(b'version', b'01')
            self.trees = b'treemanifest' in self._part.params
            if self.version not in (b'02', b'03'):
                raise Unusual
            self.parents = graph.read(self._keptread, self.version)
        except BaseException:
            self.close()
            raise

    def _keptread(self, size: int) -> bytes:
        data: bytes = self._part.read(size)
        self._kept.write(data)
        return data

    def chunks(self, target: bytes) -> Iterator[bytes]:
        """Yield the changegroup in version ``target``.

        Raises ``CorruptBundle`` or, where the damage does not let it come to
        that, another exception, before it has yielded the last of it.
        """
        chunks = self._stream()
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
        self.markers += _markers(self._parts)
        self.check()
        yield held

    def _stream(self) -> Iterator[bytes]:
        self._kept.seek(0)
        yield from iter(lambda: self._kept.read(container.BLOCK), b'')
        yield from iter(lambda: self._part.read(container.BLOCK), b'')

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
        self._files: list[_File] = []
        try:
            for key in keys:
                self._add(ui, store, key)
        except BaseException:
            self.close()
            raise
        layouts = [file.layout for file in self._files]
        self.version = changegroup.jointversion(layouts)
        self.trees = any(file.trees for file in self._files)

    def _add(self, ui, store, key: str) -> None:
        path = self._stack.enter_context(
            container.plainfile(
                store, key, lambda: container.opened(store, key)
            )
        )
        file = self._stack.enter_context(_File(ui, path, key))
        self._files.append(file)
        self.markers += file.markers
        self.parents.update(file.parents)
        self.size += file.size

    def chunks(
        self, target: bytes, front: Optional[changegroup.Read] = None
    ) -> Iterator[bytes]:
        """Yield the joint changegroup in version ``target``; ``front`` is as
        in ``changegroup.concatenate``."""
        sources = [(f.payload, f.layout) for f in self._files]
        held = b''
        for chunk in changegroup.concatenate(sources, target, front):
            if held:
                yield held
            held = chunk
        self.check()
        yield held

    def check(self) -> None:
        """Raise ``CorruptBundle`` if a file was written to after it was
        hashed."""
        for file in self._files:
            file.check()

    def close(self) -> None:
        self._stack.close()


class _File:
    """One bundle of several: hashed, then read where it is needed."""

    def __init__(self, ui, path: bytes, key: str) -> None:
        self.key = key
        self.markers: list[bytes] = []
        self.trees = False
        self._fh = open(path, 'rb', buffering=0)
        try:
            self._before = os.fstat(self._fh.fileno())
            self.size = self._before.st_size
            container.drain(VerifyingReader(self._fh, key, self.size))
            self._readparts(ui)
        except BaseException:
            self._fh.close()
            raise

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *exc: object) -> None:
        self._fh.close()

    def _readparts(self, ui) -> None:
        self._fh.seek(0)
        parts = exchange.readbundle(ui, self._fh, b'').iterparts()
        part = next(parts, None)
        if part is None or part.type != b'changegroup':
            raise Unusual
        self.version = part.params.get(b'version', b'01')
        self.trees = b'treemanifest' in part.params
        if self.version not in (b'02', b'03'):
            raise Unusual
        # as much of a file as is needed
        self.payload = cast(BinaryIO, Payload(self._fh))
        # the file is behind the part's end now
        part.consumed = True
        self.markers += _markers(parts)
        self.parents = graph.read(self.payload.read, self.version)
        self.payload.seek(0)
        self.layout = changegroup.layout(self.payload, self.version)

    def check(self) -> None:
        now, before = os.fstat(self._fh.fileno()), self._before
        if (now.st_mtime_ns, now.st_size) != (
            before.st_mtime_ns,
            before.st_size,
        ):
            raise errors.CorruptBundle(
                f'stored bundle {self.key} was written to while it was read'
            )


class Payload:
    """The payload of a bundle2 part as a file (``read``, ``seek``, ``tell``).

    ``fh`` is an unbuffered file at the first frame of the payload; it is put
    behind the last one. Mercurial has seekable parts, too, but looks at every
    frame for each move.
    """

    def __init__(self, fh) -> None:
        self._fh = fh
        self._position = 0
        self._begin = 0
        self._data = b''
        # where each piece begins in the payload, and in the file
        self._begins: list[int] = []
        self._offsets: list[int] = []
        begin, offset = 0, fh.tell()
        while True:
            length = _FRAME.unpack(self._at(offset, _FRAME.size))[0]
            offset += _FRAME.size
            if length <= 0:
                break
            end = offset + length
            while offset < end:
                self._begins.append(begin)
                self._offsets.append(offset)
                step = min(_PIECE, end - offset)
                begin += step
                offset += step
        if length < 0:
            raise Unusual  # something else is put in between
        self._size = begin
        fh.seek(offset)

    def _at(self, offset: int, size: int) -> bytes:
        data = os.pread(self._fh.fileno(), size, offset)
        if len(data) < size:
            raise changegroup.MalformedChangegroup('it ends too early')
        return data

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> None:
        if whence == os.SEEK_CUR:
            offset += self._position
        self._position = offset

    def read(self, size: int) -> bytes:
        data = self._some(size)
        if len(data) == size:
            return data
        pieces = [data]
        while pieces[-1]:
            size -= len(pieces[-1])
            pieces.append(self._some(size))
        return b''.join(pieces)

    def _some(self, size: int) -> bytes:
        skip = self._position - self._begin
        if not 0 <= skip < len(self._data):
            if self._position >= self._size:
                return b''
            self._load()
            skip = self._position - self._begin
        data = self._data[skip : skip + size]
        self._position += len(data)
        return data

    def _load(self) -> None:
        """Read the piece that the position is in."""
        number = bisect.bisect_right(self._begins, self._position) - 1
        begins = self._begins
        self._begin = begins[number]
        following = number + 1
        end = begins[following] if following < len(begins) else self._size
        self._data = self._at(self._offsets[number], end - self._begin)


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


def _checked(store: Any, key: str) -> tuple[Any, int]:
    """Return a reader of a stored bundle, and its size; raises
    ``BundleStoreError``."""
    reader = container.opened(store, key)
    size: int = reader.size
    if size <= _KEEP:
        with reader:
            return io.BytesIO(reader.read()), size
    # elsewhere than in a local file, to read twice may mean to wait twice
    if size <= ADVANCE and provides(store, 'ILocalPath'):
        with reader:
            container.drain(reader)
        reader = container.opened(store, key)
    return reader, size


def _markers(parts: Iterable[bundle2.unbundlepart]) -> list[bytes]:
    return [part.read() for part in parts if part.type == b'obsmarkers']
