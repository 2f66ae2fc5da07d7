"""Runs commands and takes the time, the processor's and the memory.

The process that measures makes itself the reaper of all that it starts, so
that what a client leaves behind when it ends (the server at the other end of
its pipe) is waited for, counted, and out of the way of the next command.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Union

#: how long one command may take, in seconds: far above what any needs
PATIENCE = 900

_SUBREAPER = 36

_FAILURES = ('abort: ', 'fatal: ', 'error: ')

Argument = Union[str, Path]


class CommandFailed(Exception):
    """A command did not end as it should."""


class Command(NamedTuple):
    """What to run, and the exit codes that mean that it went well."""

    words: Sequence[Argument]
    cwd: Path
    environ: Mapping[str, str]
    good: Sequence[int] = (0,)
    #: a file for standard input
    stdin: Path | None = None


class Sample(NamedTuple):
    """What one run of a command cost."""

    #: seconds until it ended
    wall: float
    #: seconds of processor time, with that of all that it started
    cpu: float
    output: str


#: processes that live longer than a command, such as servers
_residents: set[int] = set()


def setup() -> None:
    """Have orphans come to this process (Linux; a no-op elsewhere)."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def run(command: Command) -> Sample:
    """Run to the end; raises :class:`CommandFailed`. For one command at a
    time: what it leaves behind is waited for, too, but only its own end is
    timed."""
    sample = runalone(command)
    return sample._replace(cpu=sample.cpu + _reap())


def runalone(command: Command) -> Sample:
    """As :func:`run`, for several threads at once: what is left behind is not
    waited for; :func:`settle` does that later."""
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(tempfile.TemporaryFile())
        stdin: int | BinaryIO = subprocess.DEVNULL
        if command.stdin is not None:
            stdin = stack.enter_context(open(command.stdin, 'rb'))
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command.words],
            cwd=command.cwd,
            env=command.environ,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        killer = threading.Timer(PATIENCE, _killgroup, [process.pid])
        killer.daemon = True
        killer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            _killgroup(process.pid)
            process.wait()
            raise
        finally:
            killer.cancel()
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode('utf-8', 'replace')
    if process.returncode not in command.good:
        raise CommandFailed(_reason(process.returncode, text))
    return Sample(wall, usage.ru_utime + usage.ru_stime, text)


def _reason(code: int, text: str) -> str:
    """Return in one line why a command failed."""
    lines = [line.removeprefix('remote: ').strip() for line in text.split('\n')]
    lines = [line for line in lines if line] or ['no output']
    told = [n for n, line in enumerate(lines) if line.startswith(_FAILURES)]
    where = told[0] if told else len(lines) - 1
    if where and lines[where].endswith('push failed on remote'):
        # the line before tells why
        where -= 1
    return f'exit {code}: {lines[where][:160]}'


def _killgroup(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _children() -> list[int]:
    found = []
    for path in Path('/proc/self/task').glob('*/children'):
        with contextlib.suppress(OSError):
            found += [int(word) for word in path.read_text().split()]
    return [pid for pid in found if pid not in _residents]


def _reap() -> float:
    """Wait for all that was left behind; return its processor time."""
    spent = 0.0
    while pids := _children():
        for pid in pids:
            with contextlib.suppress(ChildProcessError):
                _, _, usage = os.wait4(pid, 0)
                spent += usage.ru_utime + usage.ru_stime
    return spent


def settle() -> None:
    """Wait for what is left behind, and for the disk to have all."""
    _reap()
    os.sync()


def spare() -> None:
    """Take all that runs now for something that outlives commands."""
    _residents.update(_children())


@contextlib.contextmanager
def resident(
    words: Sequence[Argument],
    cwd: Path,
    environ: Mapping[str, str],
    output: Path,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server, and stop it afterwards."""
    with open(output, 'wb') as file:
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=cwd,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _residents.add(process.pid)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _residents.discard(process.pid)


def highwater(pid: int) -> float:
    """Return the most memory that a running process ever had, in MB."""
    for line in Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('VmHWM:'):
            return int(line.split()[1]) * 1024 / 1e6
    raise CommandFailed('no VmHWM in /proc')


class Spread(NamedTuple):
    """Some figures in short."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return median and quartiles; the extremes where there are few."""
    if len(values) < 5:
        return Spread(statistics.median(values), min(values), max(values))
    low, median, high = statistics.quantiles(values, method='inclusive')
    return Spread(median, low, high)
