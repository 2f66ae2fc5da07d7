"""The bytes of a push, read so that nobody can make them take memory.

Mercurial's reader of bundle2 trusts who sends: the header of a part, a chunk
of its payload and what one block of compressed data unfolds to are read as a
whole, and each may say that it has two gigabytes. A part may also be
interrupted by another, which may be interrupted in turn. :func:`tame` gives
an unbundler that reads the same bytes in pieces and aborts where a limit is
passed; no push of a real client comes near one.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterator
from typing import Any, Callable, Optional

from mercurial import bundle2, changegroup, error, util
from mercurial.i18n import _

#: the most of a payload or of unpacked data that is in memory at once
BLOCK = 256 * 1024
#: The header of a part has up to 510 parameters with names and values of up
#: to 255 bytes. Stream parameters are far shorter.
MAX_HEADER = 300 * 1024
#: what the headers of all parts may have together
MAX_HEADERS = 16 * 1024 * 1024
#: a vanilla client may send one for each bookmark
MAX_PARTS = 20000
#: zstd unpacks with as much memory as the data asks for
MAX_WINDOW = 8 * 1024 * 1024

_PACKED = 64 * 1024
_SIZE = struct.Struct('>i')

Read = Callable[[int], bytes]


def _abort(message: bytes) -> error.Abort:
    return error.Abort(
        _(b'malformed push: %s') % message,
        hint=_(b'the push was damaged on its way; push again'),
    )


class _Silent:
    """A ``ui`` that says nothing, for Mercurial's code for bundle2: it asks the
    configuration before each of the many things that it might say."""

    debugflag = False

    def debug(self, *_messages: bytes) -> None:
        """Say nothing."""

    def configbool(self, *_item: Any) -> bool:
        # all that is asked for would make it talk
        return False


SILENT: Any = _Silent()


def listener(ui: Any) -> Any:
    """Return ``ui``, or one that says nothing if nobody would hear it."""
    return ui if ui.debugflag else SILENT


class TooLarge(Exception):
    """A push has more bytes than a limit allows."""


class Unbundler(bundle2.unbundle20):
    """Mercurial's reader of bundle2, with limits.

    ``limit`` is how many bytes its parts may have in all, unpacked, 0 for no
    limit; beyond it ``refuse`` gives the exception.
    """

    limit = 0
    refuse: Callable[[], Exception] = TooLarge

    def __init__(self, ui: Any, fp: Any) -> None:
        super().__init__(listener(ui), fp)
        self._spokento = ui

    def _readexact(self, size: int) -> bytes:
        # the parameters of the stream, and the header of each part
        if size > MAX_HEADER:
            raise _abort(_(b'a header of %d bytes') % size)
        data: bytes = super()._readexact(size)
        return data

    def _readpartheader(self) -> Optional[bytes]:
        (size,) = _SIZE.unpack(self._readexact(_SIZE.size))
        if size < 0:
            raise _abort(_(b'a header of %d bytes') % size)
        return self._readexact(size) if size else None

    def iterparts(self, seekable: bool = False) -> Iterator[Any]:
        self.params  # noqa: B018  they tell how the rest is packed
        stream: Any = unpacked(self._fp, self._compengine)
        if self.limit:
            stream = _Limited(stream, self.limit, self.refuse)
        self._fp: Any = stream
        total = 0
        for _number in range(MAX_PARTS):
            header = self._readpartheader()
            if header is None:
                return
            total += len(header)
            if total > MAX_HEADERS:
                raise _abort(_(b'headers of more than %d bytes') % MAX_HEADERS)
            part = _part(self.ui, header, stream)
            yield part
            part.consume()
        raise _abort(_(b'more than %d parts') % MAX_PARTS)

    def over(self, fp: Any, cls: Optional[type] = None) -> Any:
        """Return an unbundler like this one, or of another class, that reads
        from ``fp``: what comes behind the parameters of the stream."""
        new: Any = (cls or type(self))(self._spokento, fp)
        new.__dict__['params'] = self.params
        new._compengine = self._compengine
        new._compressed = self._compressed
        return new


def tame(cg: Any) -> Any:
    """Return an unbundler that reads what ``cg`` would, which was not read
    from yet: for ``exchange.unbundle``'s ``unbundle20`` an
    :class:`Unbundler`, for its ``cg1unpacker`` another one.

    Raises ``error.Abort`` and ``error.BundleValueError``.
    """
    if isinstance(cg, bundle2.unbundle20):
        tamed = Unbundler(cg.ui, cg._fp)
        try:
            tamed.params  # noqa: B018  read and kept
        except error.BundleUnknownFeatureError:
            raise
        except (TypeError, ValueError) as exc:
            # Mercurial stumbles over one without a value, too
            raise _abort(_(b'its parameters cannot be read')) from exc
        return tamed
    if isinstance(cg, changegroup.cg1unpacker):
        if not cg.compressed():
            return cg
        # It has a reader which was made for this, but not used yet.
        packed = _Reading(cg._stream._reader)
        engine = util.compengines.forbundletype(cg._type)
        return changegroup.cg1unpacker(unpacked(packed, engine), b'UN')
    raise error.Abort(
        _(b'this is not a push'), hint=_(b"use 'hg push' to push")
    )


class _Reading:
    """A stream that is known by its function to read."""

    def __init__(self, read: Read) -> None:
        self.read = read


class _Limited:
    """Counts what is read from ``fp``."""

    def __init__(
        self, fp: Any, limit: int, refuse: Callable[[], Exception]
    ) -> None:
        self._read = fp.read
        self._left = limit
        self._refuse = refuse

    def read(self, size: int) -> bytes:
        data: bytes = self._read(size)
        self._left -= len(data)
        if self._left < 0:
            raise self._refuse()
        return data


def _part(ui: Any, header: bytes, stream: Any) -> _Part:
    try:
        part = _Part(ui, header, stream)
    except struct.error as exc:
        raise _abort(_(b'the header of a part cannot be read')) from exc
    return part


class _Part(bundle2.unbundlepart):
    """A part whose payload comes in pieces, however it was cut."""

    #: what is to come of the frame
    _left = 0
    #: the payload has come to its end
    consumed: bool

    def some(self, size: int) -> bytes:
        """Return up to so many bytes of the payload, and none at its end only.

        What comes goes on as it is: a large push is copied less often.
        """
        if not self._left and not self.consumed:
            self._left = self._nextframe()
            self.consumed = not self._left
        if self.consumed:
            return b''
        data: bytes = self._fp.read(min(size, self._left, BLOCK))
        if not data:
            raise _abort(_(b'it ends too early'))
        self._left -= len(data)
        self._pos += len(data)
        return data

    def _nextframe(self) -> int:
        (size,) = _SIZE.unpack(changegroup.readexactly(self._fp, _SIZE.size))
        if size == bundle2.flaginterrupt:
            self._interrupted()
        if size < 0:
            raise _abort(_(b'a chunk of %d bytes') % size)
        if not size and self._pos:
            self.ui.debug(
                b'bundle2-input-part: total payload size %i\n' % self._pos
            )
        return int(size)

    def read(self, size: Optional[int] = None) -> bytes:
        pieces = []
        left = sys.maxsize if size is None else size
        while left and (piece := self.some(left)):
            pieces.append(piece)
            left -= len(piece)
        return b''.join(pieces)

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.some(BLOCK), b'')

    def tell(self) -> int:
        return int(self._pos)

    def _interrupted(self) -> None:
        """Raise what a client says that cannot go on. It says nothing else,
        so nothing else is listened to."""
        header = Unbundler(self.ui, self._fp)._readpartheader()
        if header is not None:
            part = _part(self.ui, header, self._fp)
            if part.type == b'error:abort':
                raise bundle2.AbortFromPart(
                    part.params.get(b'message', _(b'push was interrupted')),
                    hint=part.params.get(b'hint'),
                )
        raise _abort(_(b'push was interrupted'))


# -- compressed streams


def unpacked(fp: Any, engine: Any) -> Any:
    """Return a stream (``read``) of what is packed in ``fp`` with one of
    Mercurial's compression engines."""
    kind = engine.bundletype()[1]
    if kind == b'UN':
        return fp
    return util.chunkbuffer(_blocks(fp.read, kind))


def _blocks(read: Read, kind: bytes) -> Iterator[bytes]:
    if kind == b'GZ':
        return _sound(_zlib(read), zlib.error)
    if kind in (b'BZ', b'_truncatedBZ'):
        return _sound(_bz2(read, b'BZ' if kind != b'BZ' else b''), OSError)
    if kind == b'ZS':
        from mercurial import zstd

        return _sound(_zstd(read, zstd), zstd.ZstdError)
    raise error.Abort(_(b'a push cannot be packed as %s') % kind)


def _sound(
    blocks: Iterator[bytes], complaint: type[Exception]
) -> Iterator[bytes]:
    while True:
        try:
            block = next(blocks, None)
        except complaint as exc:
            raise _abort(_(b'it cannot be unpacked')) from exc
        if block is None:
            return
        if block:
            yield block


def _zlib(read: Read) -> Iterator[bytes]:
    unpacker = zlib.decompressobj()
    while not unpacker.eof:
        data = unpacker.unconsumed_tail or read(_PACKED)
        if not data:
            # what it had no room for is less than a block
            yield unpacker.flush()
            return
        yield unpacker.decompress(data, BLOCK)


def _bz2(read: Read, start: bytes) -> Iterator[bytes]:
    import bz2

    unpacker = bz2.BZ2Decompressor()
    data = start
    while not unpacker.eof:
        if unpacker.needs_input and not data:
            data = read(_PACKED)
            if not data:
                return
        yield unpacker.decompress(data, BLOCK)
        data = b''


def _zstd(read: Read, zstd: Any) -> Iterator[bytes]:
    unpacker = zstd.ZstdDecompressor(max_window_size=MAX_WINDOW)
    with unpacker.stream_reader(_Reading(read), read_size=_PACKED) as reader:
        yield from iter(lambda: reader.read(BLOCK), b'')
