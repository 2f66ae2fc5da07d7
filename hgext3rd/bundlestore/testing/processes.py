"""Lets several processes at once use one backend."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable
from multiprocessing.process import BaseProcess
from typing import Any

#: how the processes come into being
METHODS = ('fork', 'spawn')

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
