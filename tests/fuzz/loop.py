"""A fuzzer of our own, for where there is no atheris.

It keeps an input if it ends differently from those before: with another
refusal, raised from other lines, or accepted with another shape.
"""

from __future__ import annotations

import hashlib
import random
import resource
import signal
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import NamedTuple, Optional

from . import mutation, targets
from .world import seeds

CORPUS = Path(__file__).with_name('corpus')

#: seconds that an input may take: thousands of times what it does
PATIENCE = 20
#: bytes of memory for everything, of which Mercurial alone takes 60 MB
MEMORY = 256 * 1024 * 1024
#: bytes of the largest input that is kept
LARGEST = 6000


class Slow(Exception):
    """An input took too long."""


def corpus(name: str) -> list[bytes]:
    """Return the kept inputs of a target."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob('*'))]


def keep(name: str, data: bytes, folder: Optional[Path] = None) -> Path:
    """Write an input into the corpus and return its path."""
    path = (folder or CORPUS) / name / hashlib.sha1(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def signature(refusal: Optional[BaseException], data: bytes) -> object:
    """Return how an input ended: equal for what ends in the same way."""
    if refusal is None:
        return ('accepted', len(data).bit_length())
    frames = traceback.extract_tb(refusal.__traceback__)
    lines = [(Path(f.filename).name, f.lineno) for f in frames[-3:]]
    cause = type(refusal.__cause__).__name__
    return (type(refusal).__name__, cause, tuple(lines))


class Fault(NamedTuple):
    """An input that was not refused as it should be."""

    target: str
    data: bytes
    text: str


class Fuzzer:
    """Runs one target; ``executions`` counts."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.executions = 0
        self.kept: list[bytes] = []
        self.faults: list[Fault] = []
        self._seen: set[object] = set()
        self._faulty: set[object] = set()
        self._rng = random.Random(seed)
        self.pool = [*seeds()[name], *corpus(name)]
        for data in list(self.pool):
            self.tryout(data)
        # what is kept besides is new
        self.kept.clear()

    def run(self, seconds: float = 0, executions: int = 0) -> None:
        """Go on for so long, or for so many executions."""
        end = time.monotonic() + seconds
        count = 0
        while count < executions or (not executions and time.monotonic() < end):
            count += 1
            data = mutation.mutate(
                self._rng.choice(self.pool), self.pool, self._rng
            )
            self.tryout(data)

    def tryout(self, data: bytes) -> None:
        """Give one input to the target, and keep it if it is new."""
        self.executions += 1
        signal.alarm(PATIENCE)
        try:
            refusal = targets.run(self.name, data)
        except Exception as exc:
            self._fault(data, exc)
            return
        finally:
            signal.alarm(0)
        how = signature(refusal, data)
        if how not in self._seen:
            self._seen.add(how)
            if len(data) <= LARGEST:
                self.pool.append(data)
                self.kept.append(data)

    def _fault(self, data: bytes, exc: Exception) -> None:
        how = signature(exc, data)
        if how not in self._faulty:
            self._faulty.add(how)
            lines = traceback.format_exception(None, exc, exc.__traceback__)
            self.faults.append(Fault(self.name, data, ''.join(lines)))


def bounded() -> None:
    """Have whatever takes longer than :data:`PATIENCE` raise ``Slow``, and
    what takes more memory than :data:`MEMORY` raise ``MemoryError``."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, hard))

    def late(number: int, frame: Optional[FrameType]) -> None:
        raise Slow(f'no end after {PATIENCE} s')

    signal.signal(signal.SIGALRM, late)
