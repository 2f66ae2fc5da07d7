"""The frames of a changegroup in a bundle: its pieces, each with its length.

Mercurial cuts at 32 kB, and half of what a large bundle costs whoever writes
or reads it is what is done for each frame, in each layer. The format has no
limit; readers, Mercurial's too, have a frame in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mercurial import bundle2

#: Bytes of a frame. Keys of stored bundles hang on it: what was pushed before
#: it changed has another key when it is pushed again.
FRAME = 256 * 1024


class Part(bundle2.bundlepart):
    """A part with large frames, however its ``data``, an iterator, is cut."""

    def _payloadchunks(self) -> Iterator[bytes]:
        return recut(self.data, FRAME)


def recut(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the bytes of ``chunks`` in pieces of ``size`` bytes; the last one
    may be shorter."""
    pieces: list[memoryview] = []
    missing = size
    for chunk in chunks:
        rest = memoryview(chunk)
        while len(rest) >= missing:
            pieces.append(rest[:missing])
            rest = rest[missing:]
            yield b''.join(pieces)
            pieces.clear()
            missing = size
        if rest:
            pieces.append(rest)
            missing -= len(rest)
    if pieces:
        yield b''.join(pieces)
