"""No process of a test computes without bound, and no server grows without.

Processor time is counted, not the time on a clock, so that a busy machine does
not matter. Both bounds are far above what any test needs.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

#: seconds of processor time that a process may take
SECONDS = 300
#: bytes that a server may have resident at any moment
RESIDENT = 1 << 30

_TICKS = os.sysconf('SC_CLK_TCK')

#: what ``add`` was told of
_told = 0.0


def add(seconds: float) -> None:
    """Count the processor time of a process that ran for a test, but is no
    child of the tests' own process that they wait for."""
    global _told
    _told += seconds


def spent() -> float:
    """Return the seconds of processor time that this process took, all of its
    children that it has waited for, and those that it was told of."""
    mine = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return _told + sum(
        used.ru_utime + used.ru_stime for used in (mine, children)
    )


def bound(pid: int, seconds: int = SECONDS) -> None:
    """Have the system end a process, and each that it starts, that takes more
    processor time."""
    # it may have ended before
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, seconds + 5))


def check(pid: int, seconds: int = SECONDS, resident: int = RESIDENT) -> None:
    """Complain about a running server, and what it started, if it took more
    than that."""
    for one in _family(pid):
        try:
            took, most = _took(one)
        except (FileNotFoundError, ProcessLookupError):
            continue
        assert took <= seconds, f'a server computed for {took:.0f} seconds'
        assert most <= resident, f'a server took {most >> 20} MB of memory'


def _family(pid: int) -> Iterator[int]:
    yield pid
    for path in Path(f'/proc/{pid}/task').glob('*/children'):
        for child in path.read_text().split():
            yield from _family(int(child))


def _took(pid: int) -> tuple[float, int]:
    """Return the seconds of processor time that a process took, and the most
    bytes that it had resident."""
    folder = Path(f'/proc/{pid}')
    # behind the name, which may have anything in it
    fields = (folder / 'stat').read_text().rpartition(')')[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / _TICKS
    for line in (folder / 'status').read_text().splitlines():
        if line.startswith('VmHWM:'):
            return seconds, int(line.split()[1]) * 1024
    return seconds, 0  # it has ended, and nobody has waited for it
