"""The hash of a bundle, made beside the reading or writing of it.

Of a large bundle it takes as long as all the rest. Python lets go of its lock
while it hashes, so a second thread does that on a processor of its own. What
has a few blocks, as nearly every push has, never starts one.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from typing import TYPE_CHECKING, Optional, Union

if TYPE_CHECKING:
    import queue

    Block = Union[bytes, bytearray]
    Queue = queue.Queue[list[Block]]

#: bytes from which on a thread is worth its start
BESIDE = 4 * 1024 * 1024
#: bytes that are handed over at once, as that costs more than to hash a block,
#: and how often that is done before the thread has to keep up
_BATCH = 1024 * 1024
_WAITING = 2
#: see :func:`_keepmemory`
_KEPT = 4 * 1024 * 1024


class Hasher:
    """SHA-256 of the blocks that it is given, which nobody changes any more.

    Who does not ask for the result has to :meth:`close` it, as its thread
    waits for more.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        # bytes that may come before the thread is started, or gets a batch
        self._left = BESIDE
        self._batch: list[Block] = []
        self._queue: Optional[Queue] = None
        self._thread: Optional[threading.Thread] = None

    def update(self, block: Block) -> None:
        self._left -= len(block)
        alone = self._queue is None
        if alone and (self._left >= 0 or not self._start()):
            self._hash.update(block)
            return
        self._batch.append(block)
        if self._left < 0:
            self._handover()

    def _handover(self) -> None:
        assert self._queue is not None
        self._queue.put(self._batch)
        self._batch = []
        self._left = _BATCH

    def _start(self) -> bool:
        """Start the thread; return whether the system lets it."""
        import queue  # few processes need it

        _keepmemory()
        self._queue = queue.Queue(_WAITING)
        self._thread = threading.Thread(
            target=self._work,
            args=(self._queue,),
            name='bundlestore-hash',
            daemon=True,
        )
        try:
            self._thread.start()
        except RuntimeError:
            self._queue = self._thread = None
            self._left = sys.maxsize
            return False
        return True

    def _work(self, queue: Queue) -> None:
        while batch := queue.get():
            while batch:
                self._hash.update(batch.pop(0))

    def hexdigest(self) -> str:
        """Return the hash of all blocks, of which no more come."""
        self.close()
        return self._hash.hexdigest()

    def close(self) -> None:
        """End the thread, when it is done with what it was given."""
        if self._thread is not None and self._queue is not None:
            if self._batch:
                self._handover()
            self._queue.put([])
            self._thread.join()
        self._queue = self._thread = None


def _keepmemory() -> None:
    """Have blocks that come and go stay in the process.

    The C library of Linux gives memory back to the system as soon as half a
    megabyte of it is free, and gets it again, page after page, for the next
    blocks. It stops doing so for as much as was ever freed in one piece. This
    piece is never touched, so it takes no memory.
    """
    bytes(_KEPT)
