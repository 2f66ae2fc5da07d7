"""Many requests at once to one server, and what they cost it for good."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from .servers import patiently


class Sample(NamedTuple):
    """What a process holds at one moment."""

    descriptors: int
    #: resident memory, in bytes
    memory: int


def sample(pid: int) -> Sample:
    """Look at a process when it has closed the connections of clients that
    went away."""
    last = None
    for _ in patiently():
        now = look(pid)
        if last is not None and now.descriptors == last.descriptors:
            return now
        last = now
    raise AssertionError(f'process {pid} does not come to rest')


def look(pid: int) -> Sample:
    """Look at a process as it is."""
    status = Path(f'/proc/{pid}/status').read_text()
    (line,) = (x for x in status.splitlines() if x.startswith('VmRSS:'))
    _, size, unit = line.split()
    assert unit == 'kB'
    return Sample(len(os.listdir(f'/proc/{pid}/fd')), int(size) * 1024)


class Figures(NamedTuple):
    """Samples of each process, one after the warm-up and one after each
    round of requests."""

    requests: int
    threads: int
    samples: dict[int, list[Sample]]

    @property
    def descriptors(self) -> int:
        """How many more are open at the end than after the warm-up, in the
        process where it is worst."""
        return max(s[-1].descriptors - s[0].descriptors for s in self._all())

    @property
    def memory(self) -> int:
        """The same of resident memory, in bytes."""
        return max(s[-1].memory - s[0].memory for s in self._all())

    def _all(self) -> list[list[Sample]]:
        return list(self.samples.values())

    def __str__(self) -> str:
        lines = [f'{self.requests} requests from {self.threads} threads']
        for pid, samples in self.samples.items():
            open = ' '.join(str(s.descriptors) for s in samples)
            size = ' '.join(f'{s.memory / 1e6:.1f}' for s in samples)
            lines.append(f'process {pid}: descriptors {open}; MB {size}')
        return '\n'.join(lines)


def soak(
    pids: Sequence[int],
    requests: Sequence[Callable[[], Any]],
    count: int = 5000,
    threads: int = 8,
    warmup: int = 500,
    rounds: int = 5,
) -> Figures:
    """Call ``requests`` in turn, ``count`` times in all, from ``threads``
    threads, after ``warmup`` calls that do not count.

    The processes ``pids`` are looked at in between, while nothing is under
    way. An exception of a request ends it all.
    """
    work = itertools.cycle(requests)
    samples: dict[int, list[Sample]] = {pid: [] for pid in pids}
    with ThreadPoolExecutor(threads) as pool:
        for size in (warmup, *_shares(count, rounds)):
            futures = [
                pool.submit(request) for request in itertools.islice(work, size)
            ]
            for future in futures:
                future.result()
            for pid in pids:
                samples[pid].append(sample(pid))
    return Figures(count, threads, samples)


def _shares(count: int, rounds: int) -> Iterator[int]:
    for number in range(rounds):
        yield count * (number + 1) // rounds - count * number // rounds
