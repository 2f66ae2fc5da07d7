"""Connections to the SQLite file of the index ``file``.

Nothing but SQLite may open the file. The locks that keep processes apart
belong to a process and a file, and the system drops them all when the process
closes any descriptor of that file. For the same reason no connection may be
open while the process forks: SQLite in the child would believe that it holds
the locks of its parent, and what the child writes could be lost. So idle
connections are closed before a fork, which waits for those that are in use.

To open the file for each call would save some sixty lines and none of what is
about forks. A look-up would take fifteen times as long, a push twice.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sqlite3
import threading
import time
import urllib.parse
import weakref
from collections.abc import Iterator
from typing import Any, Optional

from ... import errors
from ...stores import fileops, localfiles

#: how long to wait for other writers, in seconds
TIMEOUT = 30.0

# sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, in Python >= 3.12
_NO_CHECKPOINT = 1006
_setconfig: Any = getattr(sqlite3.Connection, 'setconfig', None)
# How long SQLite's log may be, in bytes: some ten pushes, which take less than
# a millisecond to read.
_LONGLOG = 1 << 20

# Guards the lists of connections of all files of this process, as a fork
# concerns them all.
_lock = threading.Condition()
_pools: weakref.WeakSet[Connections] = weakref.WeakSet()
# How many threads are about to fork. Nothing is lent while there are any.
_forking = 0
# Connections that must be neither used nor closed: those of another process,
# and those of a file that is no longer the one of that name.
_untouchable: list[sqlite3.Connection] = []
# What is open when the process ends, which Python cannot close without SQLite
# writing its log into the file. The list is in itself, so nothing but a search
# for garbage takes it away. Where none comes (``start/loading.py``), the system
# closes the files, as those of a process that is killed.
_left: list[Any] = []
_left.append(_left)
# The process that all this belongs to, and the files that its parent had open
# when it came into being without the functions below that go with a fork.
_pid = os.getpid()
_unsafe: set[tuple[int, int]] = set()
# How long each thread waits for other writers, if it is in a hurry.
_hurry = threading.local()


@contextlib.contextmanager
def hurried(seconds: float) -> Iterator[None]:
    """Have this thread wait no longer than that for other processes."""
    before = getattr(_hurry, 'seconds', None)
    _hurry.seconds = seconds
    try:
        yield
    finally:
        _hurry.seconds = before


#: of how many files connections are kept that nobody holds at the moment
_KEPT = 16
_kept: dict[tuple[bytes, Optional[int], float], Connections] = {}


def shared(
    path: bytes, createmode: Optional[int], timeout: float
) -> Connections:
    """Return the connections to a file. They are those of who asked before: a
    web server may open a repository, and with it an index, for each request."""
    key = (path, createmode, timeout)
    with _lock:
        found = _kept.pop(key, None) or Connections(*key)
        # the last to go
        _kept[key] = found
        while len(_kept) > _KEPT:
            del _kept[next(iter(_kept))]
    return found


class Connections:
    """The connections of this process to the file ``path`` (absolute).

    The arguments are those of ``Database``. Any thread may call any method;
    besides ``BackendUnavailable`` they raise ``OSError`` and
    ``sqlite3.Error``.
    """

    def __init__(
        self, path: bytes, createmode: Optional[int], timeout: float
    ) -> None:
        self._path = path
        self._createmode = createmode
        self._timeout = timeout
        self._idle: list[sqlite3.Connection] = []
        self._busy: list[sqlite3.Connection] = []
        # the threads that have a lease, once for each
        self._holders: list[int] = []
        self._file: Optional[tuple[int, int]] = None
        #: the version of the index's tables when they were looked at last, 0
        #: if nobody has looked at this file
        self.version = 0
        self._foundlonglog = False
        self._turn = threading.Lock()
        with _lock:
            _pools.add(self)

    @property
    def anyidle(self) -> bool:
        """Whether there is a connection that was of use before."""
        return bool(self._idle)

    @property
    def timeout(self) -> float:
        """How many seconds this thread waits for other processes."""
        seconds = getattr(_hurry, 'seconds', None)
        return self._timeout if seconds is None else min(seconds, self._timeout)

    def wait(self, connection: sqlite3.Connection) -> None:
        """Have a connection wait as long as this thread does."""
        _wait(connection, self.timeout)

    def identify(self) -> Optional[tuple[int, int]]:
        """Return what tells the file from all others, None if absent."""
        try:
            info = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return info.st_dev, info.st_ino

    def create(self) -> None:
        """Create the file, empty, where it is absent.

        SQLite gives its other files the permissions of this one, and makes
        their names durable with the first that it writes to them. The name of
        this one is durable after :meth:`settle`.
        """
        # The lock keeps the threads of this process from opening the file
        # before its descriptor here is closed.
        with _lock:
            if self.identify() is not None:
                return
            folder = os.path.dirname(self._path)
            localfiles.makefolders(folder, self._createmode)
            try:
                fd = localfiles.createfile(self._path, self._createmode)
            except FileExistsError:
                return
            fileops.close(fd)

    def settle(self) -> None:
        """Make the file durable, as the empty one that it is."""
        folder = os.path.dirname(self._path)
        fileops.syncfolder(folder)
        # Another process may have made the folder a moment ago.
        with contextlib.suppress(PermissionError):
            fileops.syncfolder(os.path.dirname(folder))

    @contextlib.contextmanager
    def lease(
        self, parameters: Optional[str] = None
    ) -> Iterator[sqlite3.Connection]:
        """Lend a connection; one that met an error is not used again.

        With ``parameters`` for SQLite it is a new one, which is not kept.
        """
        thread = threading.get_ident()
        with _lock:
            # A fork waits for the leases of other threads, so a thread that
            # has one must not wait for the fork.
            if not _hasleases(thread):
                _lock.wait_for(lambda: not _forking)
            self._checkfile()
            file = self._file
            connection = None
            if self._idle and parameters is None:
                connection = self._idle.pop()
            self._holders.append(thread)
        reuse = False
        try:
            if connection is None:
                connection = self._connect(parameters or 'mode=rw')
            self._busy.append(connection)
            ishurried = self.timeout < self._timeout
            if ishurried:
                _wait(connection, self.timeout)
            yield connection
            if ishurried:
                # the next thread may have more time
                _wait(connection, self._timeout)
            reuse = parameters is None
        finally:
            with _lock:
                # None of it is there any more where this is the child of a
                # process that forked meanwhile.
                if thread in self._holders:
                    self._holders.remove(thread)
                if connection in self._busy:
                    self._busy.remove(connection)
                    self._takeback(connection, file, reuse)
                _lock.notify_all()

    @contextlib.contextmanager
    def turn(self, deadline: float) -> Iterator[None]:
        """Have one thread of the process write at a time, in the order in
        which they came: who waits for SQLite's lock gets it by chance."""
        turn = self._turn
        if not turn.acquire(timeout=max(deadline - time.monotonic(), 0)):
            # what SQLite would say
            raise sqlite3.OperationalError('database is locked')
        try:
            yield
        finally:
            turn.release()

    def _checkfile(self) -> None:
        """Forget connections to what is not the file any more."""
        _noticefork()
        found = self.identify()
        if found in _unsafe:
            raise errors.BackendUnavailable(
                'bundle index was in use when this process was forked',
                'let the server open repositories after it forks',
            )
        if found != self._file:
            # Somebody put another file there.
            _untouchable.extend(self._idle)
            self._idle.clear()
            self._file = found
            self.version = 0

    def _takeback(
        self,
        connection: sqlite3.Connection,
        file: Optional[tuple[int, int]],
        reuse: bool,
    ) -> None:
        if file != self._file:
            # To close it would remove what SQLite keeps beside the new file.
            _untouchable.append(connection)
        elif reuse:
            self._idle.append(connection)
        else:
            _tidyonclose(connection, True)
            connection.close()

    def _connect(self, parameters: str) -> sqlite3.Connection:
        path = urllib.parse.quote_from_bytes(self._path)
        connection = sqlite3.connect(
            f'file://{path}?{parameters}',
            uri=True,
            timeout=self.timeout,
            isolation_level=None,
            # The lease sees to it that one thread at a time uses it.
            check_same_thread=False,
        )
        try:
            connection.execute('PRAGMA synchronous = FULL')
            _tidyonclose(connection, False)
            self._foundlonglog |= self._haslonglog()
        except BaseException:
            connection.close()
            raise
        return connection

    def shortenlog(self, connection: sqlite3.Connection) -> None:
        """Have SQLite write its log into the file, if it was long when the
        file was opened, and nobody is reading it.

        SQLite does it by itself, but forgets how far it got when no process
        has the file open. So the log would grow for ever where each process
        records a single push, and be read by each.
        """
        if not self._foundlonglog:
            return
        self._foundlonglog = False
        # What was recorded is in the log, which is as good.
        with contextlib.suppress(sqlite3.DatabaseError):
            connection.execute('PRAGMA busy_timeout = 0')
            connection.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        self.wait(connection)

    def _haslonglog(self) -> bool:
        with contextlib.suppress(OSError):
            return os.stat(self._path + b'-wal').st_size > _LONGLOG
        return False

    def _closeidle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _walkaway(self) -> None:
        """Leave connections alone that the parent process opened."""
        if self._file and (self._holders or self._idle):
            _unsafe.add(self._file)
        _untouchable.extend(self._idle)
        _untouchable.extend(self._busy)
        self._idle.clear()
        self._busy.clear()
        self._holders.clear()
        self._turn = threading.Lock()

    def close(self) -> None:
        """Close the connections that no thread is using just now."""
        with _lock:
            _noticefork()
            for connection in self._idle:
                _tidyonclose(connection, True)
            self._closeidle()


def _wait(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f'PRAGMA busy_timeout = {int(seconds * 1000)}')


def _tidyonclose(connection: sqlite3.Connection, tidy: bool) -> None:
    """Say whether SQLite is to write its log into the file and to remove it
    when the last connection is closed.

    That takes several times what it takes to record a push, and adds nothing
    to what is durable: whoever opens the file next reads the log.
    """
    # Python <= 3.11 cannot say so, see ``_left``
    if _setconfig is not None:
        _setconfig(connection, _NO_CHECKPOINT, not tidy)


# -- forks


def _beforefork() -> None:
    global _forking
    _lock.acquire()
    _noticefork()
    _forking += 1
    # What this very thread has leased stays so: it is in the midst of a
    # transaction that calls foreign code, which forks. The child will not use
    # that file.
    thread = threading.get_ident()
    _lock.wait_for(lambda: not _hasleases(but=thread), TIMEOUT)
    for pool in _pools:
        pool._closeidle()


def _hasleases(thread: Optional[int] = None, but: Optional[int] = None) -> bool:
    """Whether a thread, or any one but another, has leased a connection."""
    holders = {holder for pool in _pools for holder in pool._holders}
    return bool(holders - {but}) if thread is None else thread in holders


def _afterforkinparent() -> None:
    global _forking
    _forking -= 1
    _lock.notify_all()
    _lock.release()


def _afterforkinchild() -> None:
    global _forking, _lock
    _forking = 0
    # Where something else than os.fork called this, anything may hold it.
    _lock = threading.Condition()
    _noticefork()


def _noticefork() -> None:
    global _pid
    if _pid != os.getpid():
        _pid = os.getpid()
        for pool in _pools:
            pool._walkaway()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(
        before=_beforefork,
        after_in_parent=_afterforkinparent,
        after_in_child=_afterforkinchild,
    )


# -- the end of the process


@atexit.register
def _atend() -> None:
    """Close what is open: a process may end without a search for garbage."""
    with _lock:
        _noticefork()
        for pool in _pools:
            if _setconfig is None:
                _left.extend(pool._idle)
                pool._idle.clear()
            pool._closeidle()
