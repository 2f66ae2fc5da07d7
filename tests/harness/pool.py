"""Servers of web pages that one test after the other uses.

To start a server takes longer than most tests need it for. ``hgwebdir`` reads
its list of repositories, and the configuration of each, at every request: so
one process serves the folder of one test, and then that of the next. A test
sees the log, the processor time and the memory of its own time.

What stays in the process is what is the process's own: its environment, the
configuration that it was started with, and the extensions that it has loaded.
There is a server for each of these, so that where the extension is to be off,
the server never saw it on. A test that changes or measures the process asks
for a server of its own, with the fixture ``ownserver``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from . import cost, forked
from .sockets import connections

if TYPE_CHECKING:
    from .servers import WebTransport

#: how many servers are kept running
MOST = 5
#: extensions that do nothing to other repositories of the same process
HARMLESS = ('blackbox',)
#: seconds in which a server ends what a test has left under way
UNDERWAY = 10

Key = tuple[object, ...]


class Pool:
    """The servers of one process of the tests. ``makefolder()`` makes a
    folder for another one."""

    def __init__(self, makefolder: Callable[[], Path]) -> None:
        self._makefolder = makefolder
        self.idle: dict[Key, WebTransport] = {}

    def borrow(self, guest: WebTransport) -> Lease | None:
        """Have a server serve the folder of ``guest``; return None if it has
        to be the guest's own."""
        key = keyof(guest)
        if key is None:
            return None
        host = self.idle.pop(key, None)
        if host is None:
            while len(self.idle) >= MOST:
                # the one that was not used for longest
                self.idle.pop(next(iter(self.idle))).discard()
            host = type(guest)(guest.hg, self._makefolder())
        link = host.root / 'link'
        link.symlink_to(guest.webconf)
        link.replace(host.webconf)
        host.start()
        return Lease(self, key, host)

    def close(self) -> None:
        while self.idle:
            self.idle.popitem()[1].discard()


class Lease:
    """The use of a server by one test."""

    def __init__(self, pool: Pool, key: Key, host: WebTransport) -> None:
        assert host.process is not None
        self._pool = pool
        self.key = key
        self.host = host
        #: the seconds of processor time that it had taken before
        self.before = cost.renew(host.process.pid)
        #: how long its logs were before
        self.logs = {
            path: path.stat().st_size if path.exists() else 0
            for path in (host.output, host.errorlog)
        }

    def end(self, fit: bool) -> None:
        """Give the server back; it is stopped unless it is ``fit`` for
        others."""
        if fit:
            self._pool.idle[self.key] = self.host
        else:
            self.host.discard()


def keyof(guest: WebTransport) -> Key | None:
    """Return what a server has in common with all that may use it, None if
    nobody else may."""
    if guest.rc.stat().st_size:
        return None
    turnedon = extensions(guest.root)
    if {value for _, value in turnedon} - {'', '!'}:
        # a file of the test
        return None
    environ = tuple(sorted(guest.hg.environ.items()))
    real = forked.real
    return type(guest), guest.hg.executable, environ, turnedon, real


def extensions(root: Path) -> frozenset[tuple[str, str]]:
    """Return the extensions that repositories below ``root`` turn on, and the
    values by which they do."""
    found: set[tuple[str, str]] = set()
    for hgrc in root.glob('*/.hg/hgrc'):
        section = ''
        for line in hgrc.read_text('utf-8', 'replace').splitlines():
            if line.startswith('['):
                section = line
            elif section == '[extensions]' and '=' in line:
                name, _, value = line.partition('=')
                # "bundlestore:required = yes" turns on nothing
                if ':' not in name and name.strip() not in HARMLESS:
                    found.add((name.strip(), value.strip()))
    return frozenset(found)


def quiet(port: int) -> bool:
    """Wait until a server has no connection any more; tell whether that came
    to pass."""
    end = time.monotonic() + UNDERWAY
    while connections(port):
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
