"""Where the changegroup and the markers of a stored bundle are.

A bundle is read from front to end (:class:`Stream`), or from a file at random
places (:class:`File`). Neither believes a size that it is told, as
``unbundle.py`` says: much is read before all of a bundle was hashed.
"""

from __future__ import annotations

import bisect
import io
import os
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, Optional, cast

from mercurial import bundle2, exchange

from .. import model, names
from ..declaring import provides
from ..stores.reader import VerifyingReader
from . import changegroup, container, graph, unbundle

_FRAME = struct.Struct('>i')
#: the most of a frame that is in memory
_PIECE = 64 * 1024
#: bundles up to this size, in bytes, are hashed before they are sent
ADVANCE = 32 * 1024 * 1024
#: bundles and changelogs up to this size, in bytes, are kept in memory
KEEP = 4 * 1024 * 1024


class Stream:
    """What is in a bundle, read once from front to end; ``stream`` has
    ``read``.

    Whatever the bytes are, this and ``read`` raise nothing but
    ``BundleStoreError``, ``error.Abort`` and ``error.BundleValueError``.
    """

    def __init__(self, ui, stream: Any) -> None:
        #: the payloads of the parts with markers, see :meth:`readmarkers`
        self.markers: list[bytes] = []
        #: the view that it is private to, empty for none
        self.private = ''
        self._bundle = unbundle.tame(exchange.readbundle(ui, stream, b''))
        self._parts: Iterator[Any] = iter(())
        if isinstance(self._bundle, bundle2.unbundle20):
            self._parts = self._bundle.iterparts()
        self._part: Any = self._find(b'changegroup')
        if self._part is None:
            raise changegroup.MalformedChangegroup('there is none')
        self.version: bytes = self._part.params.get(b'version', b'01')
        self.trees = b'treemanifest' in self._part.params
        if self.version not in changegroup.VERSIONS:
            raise changegroup.MalformedChangegroup('its version is not known')
        #: reads the changegroup: gives fewer bytes than asked for as it likes
        self.read: changegroup.Read = self._part.some

    def _find(self, kind: bytes) -> Any:
        """Return the next part of that kind, None if there is none."""
        for part in self._parts:
            if part.type == kind:
                return part
            if part.type == b'obsmarkers':
                self.markers.append(part.read())
            elif part.type == names.PRIVATE:
                uid = part.read(model.UID_LENGTH + 1).decode('ascii', 'replace')
                if not model.isuid(uid):
                    raise changegroup.MalformedChangegroup("it is nobody's")
                self.private = uid
        return None

    def readmarkers(self) -> None:
        """Read what comes behind the changegroup."""
        self._find(b'')

    def seekable(self, fh: Any) -> Payload:
        """Return the changegroup as a file, in place of ``read``; ``fh`` is
        the unbuffered file that this reads, and not packed."""
        if self._bundle.compressed():
            raise changegroup.MalformedChangegroup('it is packed')
        payload = Payload(fh)
        # the file is behind the part's end now
        self._part.consumed = True
        return payload


def readgraph(ui, stream: Any) -> graph.Graph:
    """Return the graph of the bundle that ``stream`` reads; raises what
    :class:`Stream` does."""
    found = Stream(ui, stream)
    return graph.read(found.read, found.version)


class File:
    """A bundle in a file, read at random places: ``payload`` is the
    changegroup. With a ``key`` all of it is hashed first."""

    def __init__(self, ui, path: bytes, key: Optional[str] = None) -> None:
        self._fh = open(path, 'rb', buffering=0)
        try:
            self._before = os.fstat(self._fh.fileno())
            self.size = self._before.st_size
            if key is not None:
                container.drain(VerifyingReader(self._fh, key, self.size))
                self._fh.seek(0)
            stream = Stream(ui, self._fh)
            self.version, self.trees = stream.version, stream.trees
            self.private = stream.private
            self.payload = cast(BinaryIO, stream.seekable(self._fh))
            # as much of a file as is needed
            stream.readmarkers()
            self.markers = stream.markers
        except BaseException:
            self._fh.close()
            raise

    def __enter__(self) -> File:
        return self

    def __exit__(self, *exc: object) -> None:
        self._fh.close()

    def readgraph(self) -> graph.Graph:
        """Read the changesets, see :func:`graph.read`."""
        self.payload.seek(0)
        return graph.read(self.payload.read, self.version)

    def layout(self) -> changegroup.Layout:
        """Scan the changegroup, see :func:`changegroup.layout`."""
        self.payload.seek(0)
        return changegroup.layout(self.payload, self.version)

    def waswritten(self) -> bool:
        """Whether the file was written to after it was opened."""
        now, before = os.fstat(self._fh.fileno()), self._before
        return (now.st_mtime_ns, now.st_size) != (
            before.st_mtime_ns,
            before.st_size,
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
            # something else is put in between
            raise changegroup.MalformedChangegroup('it is interrupted')
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


class _Kept(io.BytesIO):
    """A small bundle, read and found true."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.size = len(data)


def hashed(store: Any, key: str, keep: int = KEEP) -> tuple[Any, bool]:
    """Return a reader of a stored bundle, and whether all of it was read once
    and found true; raises ``BundleStoreError``.

    Up to ``keep`` bytes are in memory then, where the reader can ``seek``.
    """
    reader = container.opened(store, key)
    if reader.size <= keep:
        with reader:
            return _Kept(reader.read()), True
    if provides(reader, 'IPlainReader'):
        return reader, True
    # elsewhere than in a local file, to read twice may mean to wait twice
    if reader.size > ADVANCE or not provides(store, 'ILocalPath'):
        return reader, False
    with reader:
        container.drain(reader)
    return container.opened(store, key), True
