"""One server of each kind for all tests of a session.

The first test that asks for one starts it, in whatever worker of xdist it
runs; the others find it. The folder of all is named by the process that has
started the workers, or is the only one, and they end with that.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Protocol, TypeVar

from .daemon import Daemon, locked, stopped

#: tells the workers of xdist of the folder, and of the process that ends it all
_VARIABLE = 'BUNDLESTORE_TEST_SERVERS'

_PREFIX = 'hgbs-'

D = TypeVar('D', bound=Daemon)


class Getter(Protocol):
    """A fixture that returns a running server of a kind, and, if it is the
    test's own, one that was started with these words, too."""

    def __call__(self, kind: type[D], *more: str) -> D: ...


_attached: dict[str, Daemon] = {}


def begin(folder: str | None) -> None:
    """Name the folder of this session, in ``folder`` or where temporary files
    go. It is made when something is started."""
    parent = Path(folder or tempfile.gettempdir())
    for path in parent.glob(f'{_PREFIX}*'):
        # killed before there was a server, with which all of it would go
        if not Path('/proc', path.name.split('-')[1]).exists():
            shutil.rmtree(path, ignore_errors=True)
    # the path of a socket may not be long
    path = parent / f'{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}'
    os.environ[_VARIABLE] = f'{os.getpid()}:{path}'


def _session() -> tuple[int, Path]:
    pid, _, path = os.environ[_VARIABLE].partition(':')
    return int(pid), Path(path)


def end() -> None:
    """Stop all that was started."""
    pid, folder = _session()
    if pid != os.getpid():
        return
    for path in folder.glob('*/pids'):
        with contextlib.suppress(FileNotFoundError):
            stopped(int(path.read_text().split()[0]))
    shutil.rmtree(folder, ignore_errors=True)


def shared(kind: type[D]) -> D:
    """Return the server of a kind that all tests share."""
    found = _attached.get(kind.name)
    if found is None:
        pid, folder = _session()
        found = kind(folder / kind.name, pid)
        with locked(folder / f'{kind.name}.start'):
            if not found.attach():
                found.start()
        _attached[kind.name] = found
    assert isinstance(found, kind)
    return found


def private(kind: type[D], *more: str) -> D:
    """Return a server for one test, started with these words, too. It ends
    with this process, if the test does not discard it before."""
    _, folder = _session()
    name = f'{kind.name}-{os.getpid()}-{secrets.token_hex(4)}'
    made = kind(folder / name, more=more)
    made.start()
    return made
