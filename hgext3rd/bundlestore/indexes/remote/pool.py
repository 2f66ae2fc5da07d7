"""The sessions of this process, for those of its threads that need one.

All objects for one database share them, as a web server may make such objects
for each request.

A session belongs to the process that opened it. To close it in a forked child
would end the parent's, and to use it would mix up what both are told. So there
the files of all sessions are exchanged for one that leads nowhere, and they
are put aside for ever: the driver may hold a lock on one that was in use.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .server import Server, Session

#: sessions of a database that nobody uses just now, and are kept nevertheless
_MOST_IDLE = 8

_lock = threading.Lock()
_pools: dict[object, Pool] = {}
_pid = os.getpid()
#: those of another process
_untouchable: list[Session] = []


def of(server: Server) -> Pool:
    """Return the sessions of a database."""
    with _lock:
        return _pools.setdefault(server.key, Pool())


class Pool:
    """The sessions of a database."""

    def __init__(self) -> None:
        self._idle: list[Session] = []
        self._busy: list[Session] = []

    @contextlib.contextmanager
    def lease(self, server: Server) -> Iterator[Session]:
        """Lend a session, without a transaction; whatever happens, it has none
        when it comes back."""
        _noticefork()
        session = None
        with _lock:
            if self._idle:
                session = self._idle.pop()
                self._busy.append(session)
        if session is None:
            session = server.connect()
            with _lock:
                self._busy.append(session)
        session.patient = False
        try:
            yield session
        finally:
            # not there any more if this is a child that was forked meanwhile
            _noticefork()
            if session in self._busy:
                session.rollback()
                with _lock:
                    self._busy.remove(session)
                    keep = not session.lost and len(self._idle) < _MOST_IDLE
                    if keep:
                        self._idle.append(session)
                if not keep:
                    session.close()

    def closeidle(self) -> None:
        """Close the sessions that nobody is using just now."""
        _noticefork()
        with _lock:
            idle = [*self._idle]
            self._idle.clear()
        for session in idle:
            session.close()

    def walkaway(self) -> None:
        for session in (*self._idle, *self._busy):
            session.disarm()
            _untouchable.append(session)
        self._idle.clear()
        self._busy.clear()


def _noticefork() -> None:
    global _lock, _pid
    if _pid != os.getpid():
        _pid = os.getpid()
        # some other thread may have held it when the process forked
        _lock = threading.Lock()
        for pool in _pools.values():
            pool.walkaway()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_noticefork)


@atexit.register
def _atend() -> None:
    """Take leave of the servers: a process may end without a search for
    garbage (``start/loading.py``)."""
    for pool in [*_pools.values()]:
        pool.closeidle()
