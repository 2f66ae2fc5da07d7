"""No process of a test computes without bound, and no server grows without.

Processor time is counted, not the time on a clock, so that a busy machine does
not matter. Both bounds are far above what any test needs. What the tests cost
in all is counted here, too, and shown by spent.py.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

#: seconds of processor time that a process may take
SECONDS = 300
#: bytes that a server may have resident at any moment
RESIDENT = 1 << 30

_SUBREAPER = 36
_TICKS = os.sysconf('SC_CLK_TCK')


def spent() -> float:
    """Return the seconds of processor time that this process took, and all
    that are or were below it."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = own() + children.ru_utime + children.ru_stime
    for pid in _children(os.getpid()):
        for one in _family(pid):
            # it may have ended just now
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                seconds += sum(_times(one))
    return seconds


def own() -> float:
    """Return the seconds of processor time that this process itself took."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def adopt() -> None:
    """Have what a process leaves behind when it ends come to this one, so that
    it is counted: the server at the other end of a client's pipe (Linux; a
    no-op elsewhere)."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def reap() -> None:
    """Wait for what was left behind, and has ended.

    That is known by its session: it is the one of the client that started it.
    What this process starts shares the session of this process, or has one of
    its own.
    """
    for pid in _children(os.getpid()):
        with contextlib.suppress(OSError):
            if os.getsid(pid) not in (os.getsid(0), pid):
                os.waitpid(pid, os.WNOHANG)


def bound(pid: int, seconds: int = SECONDS) -> None:
    """Have the system end a process, and each that it starts, that takes more
    processor time."""
    # it may have ended before
    with contextlib.suppress(ProcessLookupError):
        _, most = resource.prlimit(pid, resource.RLIMIT_CPU)
        # only the superuser could raise the other one again
        resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, most))


def renew(pid: int) -> float:
    """Have both bounds begin anew for a running server, and what it started.
    Return the seconds of processor time that they took until now."""
    seconds = 0.0
    for one in _family(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            used, _ = _took(one)
            seconds += used
            bound(one, int(used) + SECONDS)
            # the most memory is what there is now
            Path(f'/proc/{one}/clear_refs').write_text('5')
    return seconds


def check(pid: int, seconds: float = SECONDS, resident: int = RESIDENT) -> None:
    """Complain about a running server, and what it started, if it took more
    than that."""
    for one in _family(pid):
        try:
            used, most = _took(one)
        except (FileNotFoundError, ProcessLookupError):
            continue
        assert used <= seconds, f'a server computed for {used:.0f} seconds'
        assert most <= resident, f'a server took {most >> 20} MB of memory'


def _family(pid: int) -> Iterator[int]:
    yield pid
    for child in _children(pid):
        yield from _family(child)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    ended = contextlib.suppress(FileNotFoundError, ProcessLookupError)
    # it may end meanwhile, and so may a thread of it
    with ended:
        for task in os.listdir(f'/proc/{pid}/task'):
            with ended:
                children = _read(f'/proc/{pid}/task/{task}/children')
                found.extend(map(int, children.split()))
    return found


def _took(pid: int) -> tuple[float, int]:
    """Return the seconds of processor time that a process took, and the most
    bytes that it had resident."""
    seconds = sum(_times(pid)[:2])
    for line in _read(f'/proc/{pid}/status').splitlines():
        if line.startswith(b'VmHWM:'):
            return seconds, int(line.split()[1]) * 1024
    return seconds, 0  # it has ended, and nobody has waited for it


def _times(pid: int) -> tuple[float, ...]:
    """Return the seconds of processor time that a process took, as user and
    as system, and the same of the children that it has waited for."""
    # behind the name, which may have anything in it
    fields = _read(f'/proc/{pid}/stat').rpartition(b')')[2].split()
    return tuple(int(field) / _TICKS for field in fields[11:15])


def _read(path: str) -> bytes:
    # some ten thousand times in the course of the suite, so nothing dearer
    with open(path, 'rb', buffering=0) as file:
        return file.read()
