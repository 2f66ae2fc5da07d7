"""Reads a stored bundle and believes nothing before its hash matched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Protocol

from .. import errors
from ..declaring import Interfaces
from .hashing import Hasher
from .localfiles import reason

#: how much is read at a time; at least as much is held back at the end
BLOCK = 1 << 18


if TYPE_CHECKING:

    class RawFile(Protocol):
        """What is read of a raw binary file."""

        @property
        def closed(self) -> bool: ...

        def read(self, size: int = -1, /) -> Optional[bytes]: ...

        def close(self) -> None: ...


class VerifyingReader:
    """Reads ``fp``, a raw binary file that is closed with the reader.

    ``key`` and ``size`` are what the whole must hash to and amount to. A read
    returns fewer bytes than asked for only at the end, so that code which
    expects a file can be given this. About three blocks are held in memory.
    """

    __implemented__ = Interfaces('IBundleReader')

    def __init__(self, fp: RawFile, key: str, size: int) -> None:
        self.size = size
        self._fp = fp
        self._key = key
        self._hash = Hasher()
        self._count = 0
        # The block that may be handed out, with the position reached in it;
        # then the one behind it, which waits for what comes next.
        self._ready = b''
        self._position = 0
        self._held = b''
        self._verified = False

    def __enter__(self) -> VerifyingReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._hash.close()
        self._fp.close()

    def read(self, size: int = -1) -> bytes:
        if self._fp.closed:
            raise ValueError('read from a closed bundle')
        if size < 0:
            return self._readall()
        pieces = []
        while size and (self._position < len(self._ready) or self._advance()):
            pieces.append(self._take(size))
            size -= len(pieces[-1])
        return b''.join(pieces)

    def _readall(self) -> bytes:
        pieces = [self._take(len(self._ready))]
        while self._advance():
            pieces.append(self._take(len(self._ready)))
        return b''.join(pieces)

    def _take(self, size: int) -> bytes:
        """Return up to ``size`` bytes of the block that is ready."""
        begin = self._position
        data = self._ready[begin : begin + size]
        self._position = begin + len(data)
        return data

    def _advance(self) -> bool:
        """Make the next block ready; False if there is none.

        Called only when the last one that was ready is used up.
        """
        while not self._verified:
            block = self._readblock()
            if not block:
                self._verify()
                self._verified = True
                break
            self._hash.update(block)
            self._count += len(block)
            if len(block) < BLOCK:
                # The last one may be a single byte, which is too little to
                # hold back: a consumer would have all but that.
                self._held += block
                continue
            previous, self._held = self._held, block
            if previous:
                return self._makeready(previous)
        last, self._held = self._held, b''
        return self._makeready(last)

    def _makeready(self, block: bytes) -> bool:
        self._ready = block
        self._position = 0
        return bool(block)

    def _readblock(self) -> bytes:
        """Return one block; a shorter one only at the end of the file."""
        try:
            pieces = [self._fp.read(BLOCK) or b'']
            left = BLOCK - len(pieces[0])
            while left and pieces[-1]:
                pieces.append(self._fp.read(left) or b'')
                left -= len(pieces[-1])
        except OSError as exc:
            raise errors.BackendUnavailable(
                f'bundle {self._key} cannot be read: {reason(exc)}',
                'look for failures of the disk in the system log',
            ) from exc
        return b''.join(pieces)

    def _verify(self) -> None:
        if self._count == self.size and self._hash.hexdigest() == self._key:
            return
        # What is held back stays so: reading on comes here again.
        raise errors.CorruptBundle(
            f'stored bundle {self._key} is corrupt',
            'pushing its changesets again repairs it',
        )
