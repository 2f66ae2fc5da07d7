"""Takes rights away, and looks at them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hgext3rd.bundlestore import errors
from hgext3rd.bundlestore.testing import processes

from .hg import Hg
from .servers import patiently

NOBODY = 65534


class Refused(Exception):
    """What went wrong in :func:`asnobody`."""


def asnobody(function: Callable[[], Any]) -> Any:
    """Call ``function`` in a process that may write only what all may.

    Returns what it returns; raises ``Refused`` with its error, as text.
    """
    receiver, sender = multiprocessing.Pipe(duplex=False)

    def work() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        try:
            sender.send((function(), None))
        except errors.BundleStoreError as exc:
            text = f'{type(exc).__name__}: {exc} ({exc.hint})'
            sender.send((None, text))

    started = processes.start('fork', work, [()])
    assert receiver.poll(processes.PATIENCE)
    result, error = receiver.recv()
    assert processes.join(started) == [0]
    if error:
        raise Refused(error)
    return result


@contextlib.contextmanager
def publicfolder() -> Iterator[Path]:
    """Make a folder that every user of the machine can get to.

    It is in memory where it can be, so that a test of an index does not wait
    for a disk each time that something is made durable.
    """
    memory = '/dev/shm'
    path = Path(
        tempfile.mkdtemp(
            prefix='bundlestore-test-',
            dir=memory if os.access(memory, os.W_OK) else None,
        )
    )
    path.chmod(0o755)
    try:
        yield path
    finally:
        # what a push has started may be at work in it for a moment
        for _again in patiently():
            with contextlib.suppress(OSError):
                unprotect(path)
                shutil.rmtree(path)
            if not path.exists():
                break


def protect(folder: Path) -> None:
    """Leave everybody only the right to read."""
    for path in [folder, *folder.rglob('*')]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def unprotect(folder: Path) -> None:
    for path in [folder, *folder.rglob('*')]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def powerless(hg: Hg, folder: Path) -> Hg:
    """Return an ``hg`` that heeds the rights of files even if root runs it;
    what it takes goes into ``folder``."""
    if os.geteuid() != 0:
        return hg
    if shutil.which('setpriv') is None:
        pytest.skip('no setpriv')
    script = folder / 'powerless'
    script.write_text(
        '#!/bin/sh\nexec setpriv --bounding-set=-dac_override'
        f' {hg.executable} "$@"\n'
    )
    script.chmod(0o755)
    made = Hg(hg.version, hg.ext, hg.environ)
    made.executable = script
    return made


def mode(path: Any) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def files(folder: Any) -> list[Path]:
    return sorted(path for path in Path(os.fsdecode(folder)).rglob('*'))
