"""Lets several processes or threads at once use one backend."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.process import BaseProcess
from typing import Any

#: how the processes come into being
METHODS = ('fork', 'spawn')

#: a warning to filter: Python 3.12 sees threads of the test runner
IGNOREFORKS = 'ignore:.*fork:DeprecationWarning'

#: seconds after which a process is taken to hang
PATIENCE = 60


def start(
    method: str, target: Callable[..., None], arguments: Iterable[Any]
) -> list[BaseProcess]:
    """Start one process for each of ``arguments``, each a tuple."""
    context: Any = multiprocessing.get_context(method)
    processes = [context.Process(target=target, args=a) for a in arguments]
    for process in processes:
        process.start()
    return processes


def join(processes: Iterable[BaseProcess]) -> list[int]:
    """Wait for processes and return what they exited with.

    One that hangs is killed; it exits with a negative number, as one does
    that was killed otherwise.
    """
    deadline = time.monotonic() + PATIENCE
    codes = []
    for process in processes:
        process.join(max(deadline - time.monotonic(), 0.1))
        if process.is_alive():
            process.kill()
            process.join()
        assert process.exitcode is not None
        codes.append(process.exitcode)
        process.close()
    return codes


def run(
    method: str, target: Callable[..., None], arguments: Iterable[Any]
) -> None:
    """Start processes and fail unless all of them end well."""
    codes = join(start(method, target, arguments))
    assert not any(codes), f'exit codes of the processes: {codes}'


def killself() -> None:
    """End this process as ``kill -9`` does."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(PATIENCE)


# -- threads


@contextlib.contextmanager
def threads(count: int, work: Callable[[int], None]) -> Iterator[None]:
    """Call ``work`` in ``count`` threads, with the number of each, while the
    context is open; wait for them, and fail unless all of them end well."""
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as exc:
            failures.append(exc)

    started = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in started:
        thread.start()
    try:
        yield
    finally:
        for thread in started:
            thread.join()
    if failures:
        # the first tells more than a list of all
        raise failures[0]
