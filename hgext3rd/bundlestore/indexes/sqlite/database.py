"""The SQLite file of the index ``file``: transactions, format, errors."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Optional, TypeVar

from ... import errors
from ...records import NamedTuple
from ...stores import fileops, localfiles
from . import schema
from .connections import TIMEOUT, shared
from .dialect import DIALECT, BriefSql, Sql

#: how often and after what pause, in seconds, to try what another process
#: got in the way of
_ATTEMPTS = 50
_PAUSE = 0.02
#: how long to sleep before the next look whether another process is still
#: writing, in seconds: the first time, and at most
_BRIEF, _LONGEST = 0.0005, 0.002
#: changes that are closer together may give a file the same mtime, in seconds
_CLOCKTICK = 0.1

#: bytes of the file by which SQLite's processes share what is in its log
_SHARED = 1 << 15

#: what is appended to the name of the database for each of its files
_FILES = (b'', b'-wal', b'-shm')

T = TypeVar('T')
U = TypeVar('U')


class Database:
    """The database in the file ``path`` (absolute), see ``sql/dialect.py``.

    ``createmode`` is as in ``model.Place``; ``timeout`` is how many seconds to
    wait for the lock of another process. Any thread may call any method.
    """

    def __init__(
        self,
        path: bytes,
        createmode: Optional[int] = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self.path = path
        self._name = localfiles.display(path)
        self._connections = shared(path, createmode, timeout)

    # -- what the index calls

    def read(
        self,
        query: Callable[[Sql], T],
        absent: T,
        brief: bool = False,
        patient: bool = False,
    ) -> T:
        with self._translating():
            if self._connections.identify() is None:
                return absent
            if not self._writable():
                return self._readprotected(query, absent)
            with self._connections.lease() as connection:
                if brief:
                    found = self._quickly(connection, query)
                    if found:
                        return found[0]
                return self._query(connection, query, absent)

    def write(self, change: Callable[[Sql], T], durable: bool = True) -> T:
        with self._translating(), self._transaction(durable) as sql:
            return change(sql)

    def share(
        self,
        look: Callable[[Sql], T],
        foreign: Optional[Callable[[T], object]],
        change: Callable[[Sql, T], U],
        ischanged: Optional[Callable[[Sql, U], bool]] = None,
    ) -> U:
        with (
            self._translating() as passing,
            self._transaction(durable=True) as sql,
        ):
            found = look(sql)
            # Nothing is left to fail behind ``foreign`` but the commit.
            result = change(sql, found)
            if foreign is not None:
                with passing.whatever():
                    foreign(found)
            return result

    def size(self) -> int:
        found = 0
        with self._translating():
            for suffix in _FILES:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    found += os.stat(self.path + suffix).st_size
        return found

    def shorten(self) -> bool:
        """Have SQLite write its log into the file and give back the room that
        it takes; return whether it did."""
        before = self.size()
        # What is in the log mostly takes the place of what is in the file.
        with (
            contextlib.suppress(errors.BundleStoreError),
            self._translating(),
            self._connections.lease() as connection,
        ):
            connection.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        return self.size() < before

    def setaside(self) -> str:
        """Move the database out of the way; return where it is now."""
        with self._translating():
            self._connections.close()
            folder, name = os.path.split(self.path)
            number = 1
            taken = os.listdir(folder) if os.path.isdir(folder) else []
            while b'%s.damaged-%d' % (name, number) in taken:
                number += 1
            aside = b'%s.damaged-%d' % (self.path, number)
            # The database first: SQLite does not take what is left of the
            # others for those of a new one.
            for suffix in _FILES:
                with contextlib.suppress(FileNotFoundError):
                    fileops.rename(self.path + suffix, aside + suffix)
            if os.path.isdir(folder):
                fileops.syncfolder(folder)
        return localfiles.display(aside)

    def close(self) -> None:
        with self._translating():
            self._connections.close()

    # -- the file

    def _writable(self) -> bool:
        if self._connections.anyidle:
            return True
        # SQLite makes files of its own beside the database.
        folder = os.path.dirname(self.path)
        effective = os.access in os.supports_effective_ids
        return os.access(
            self.path, os.W_OK, effective_ids=effective
        ) and os.access(folder, os.W_OK, effective_ids=effective)

    # -- transactions

    def _quickly(
        self, connection: sqlite3.Connection, query: Callable[[Sql], T]
    ) -> Optional[tuple[T]]:
        """Return what a query gives without a transaction; None if it takes
        one. A single statement does not: what is asked around it is most of
        what a look-up costs."""
        version = self._connections.version
        if not version:
            return None
        sql = BriefSql(connection, version)
        try:
            found = query(sql)
            # Versions only grow: it was the same before.
            same = schema.version(connection) == version
        except Exception:
            # The long way tells what is wrong.
            return None
        return (found,) if same and sql.count <= 1 else None

    def _query(
        self,
        connection: sqlite3.Connection,
        query: Callable[[Sql], T],
        absent: T,
    ) -> T:
        begin(connection)
        try:
            version = self._version(connection)
            if not version:
                return absent
            return query(Sql(connection, version))
        finally:
            rollback(connection)

    @contextlib.contextmanager
    def _transaction(self, durable: bool) -> Iterator[Sql]:
        self._connections.create()
        if not self._writable():
            raise errors.BackendUnavailable(
                'bundle index cannot be written: permission denied',
                f'look at the permissions of {self._name} and its folder',
            )
        deadline = time.monotonic() + self._connections.timeout
        with (
            self._connections.lease() as connection,
            self._connections.turn(deadline),
        ):
            if not durable:
                connection.execute('PRAGMA synchronous = NORMAL')
            try:
                self._begin(connection, deadline)
                yield Sql(connection)
                commit(connection)
            except BaseException:
                rollback(connection)
                raise
            if not durable:
                connection.execute('PRAGMA synchronous = FULL')
            self._connections.shortenlog(connection)

    def _begin(self, connection: sqlite3.Connection, deadline: float) -> None:
        """Begin to write, in a database that has its tables."""
        self._lock(connection, deadline)
        version = self._version(connection)
        if not version:
            rollback(connection)
            self._connections.settle()
            self._usewal(connection)
            self._lock(connection, deadline)
            # Another process may have been quicker.
            version = self._version(connection)
        if not version:
            schema.create(connection)
        elif version < schema.VERSION:
            schema.upgrade(connection, version)

    def _lock(self, connection: sqlite3.Connection, deadline: float) -> None:
        """Begin to write, as soon as no other process does.

        SQLite would look again after more and more time, up to a tenth of a
        second, in which several others may have had the lock, and nobody.
        """
        pause = _BRIEF
        connection.execute('PRAGMA busy_timeout = 0')
        try:
            while True:
                try:
                    begin(connection, 'IMMEDIATE')
                    return
                except sqlite3.OperationalError as exc:
                    if not _islocked(exc) or time.monotonic() > deadline:
                        raise
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST)
        finally:
            self._connections.wait(connection)

    def _version(self, connection: sqlite3.Connection) -> int:
        """Return the version of the tables, 0 if there are none yet; raises
        if they are not ours.

        This is asked in each transaction: a newer release may have changed
        them while this process had the database open.
        """
        version = schema.version(connection)
        if version and version == self._connections.version:
            return version
        application = _value(connection, 'PRAGMA application_id')
        if application == schema.APPLICATION_ID and version > 0:
            if version <= schema.VERSION:
                self._connections.version = version
                return version
            raise errors.UnsupportedFormat(
                f'bundle index has format {version}, but this release of'
                f' hg-bundlestore knows only {schema.VERSION}',
                'upgrade hg-bundlestore',
            )
        tables = _value(connection, 'SELECT count(*) FROM sqlite_master')
        if application or version or tables:
            raise self._notanindex()
        return 0

    def _usewal(self, connection: sqlite3.Connection) -> None:
        """Have the file keep a write-ahead log from now on."""
        deadline = time.monotonic() + self._connections.timeout
        while True:
            try:
                connection.execute('PRAGMA journal_mode = WAL')
                return
            except sqlite3.OperationalError as exc:
                # SQLite does not always wait for other processes here.
                if not _islocked(exc) or time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE)

    # -- reading without the right to write

    def _readprotected(self, query: Callable[[Sql], T], absent: T) -> T:
        """As :meth:`read`, in a place where SQLite cannot create its files.

        While a writer has the database open those files are there and can be
        read. Otherwise SQLite is told that nobody writes, and whether that
        was true is looked at afterwards.
        """
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE)
            before = self._state()
            if before is None:
                return absent
            if not before.quiet and not before.log:
                continue
            parameters = 'mode=ro' if before.log else 'immutable=1'
            try:
                with self._connections.lease(parameters) as connection:
                    result = self._query(connection, query, absent)
            except sqlite3.DatabaseError:
                if before == self._state():
                    raise
                continue
            if before.log or before == self._state():
                return result
        raise errors.BackendUnavailable(
            'bundle index changes too often to be read without the right'
            ' to write',
            f'look at the permissions of {self._name} and its folder',
        )

    def _state(self) -> Optional[_State]:
        try:
            info = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _State(
            info.st_dev,
            info.st_ino,
            info.st_size,
            info.st_mtime_ns,
            log=os.path.exists(self.path + b'-wal'),
            quiet=abs(time.time() - info.st_mtime) > _CLOCKTICK,
        )

    # -- errors

    @contextlib.contextmanager
    def _translating(self) -> Iterator[_Passing]:
        passing = _Passing()
        try:
            yield passing
        except BaseException as exc:
            if exc is passing.exception:
                raise
            self._translate(exc)
            raise

    def _translate(self, exc: BaseException) -> None:
        """Raise what ``exc`` means, unless that may come out as it is."""
        if isinstance(exc, OSError):
            raise localfiles.unavailable(
                'bundle index cannot be used', self.path, exc
            ) from exc
        if not isinstance(exc, sqlite3.DatabaseError):
            return
        if isinstance(exc, sqlite3.ProgrammingError):
            # A mistake of the caller, such as a user that is not text.
            return
        damaged = DIALECT.isdamage(exc)
        if isinstance(exc, sqlite3.IntegrityError) and not damaged:
            return
        raise self._unavailable(exc) from exc

    def _unavailable(
        self, exc: sqlite3.DatabaseError
    ) -> errors.BundleStoreError:
        # Python tells SQLite's error codes only since 3.11.
        text = str(exc)
        if _islocked(exc):
            return errors.BackendUnavailable(
                'bundle index was locked for too long'
                f' ({self._connections.timeout:g} seconds)',
                'try again later; another process is writing to it, or stands'
                ' still while it does',
            )
        if 'not a database' in text:
            found = self._notanindex()
            return errors.DamagedIndex(found.message, found.hint)
        if DIALECT.isdamage(exc):
            return errors.DamagedIndex(
                f'bundle index is damaged: {self._name}',
                "run 'hg admin::bundlestore-verify --repair' on the server",
            )
        if 'no such module' in text:
            return errors.BackendUnavailable(
                'bundle index needs an SQLite with FTS5, which this Python'
                ' does not have',
                'use a Python with another SQLite',
            )
        if 'is full' in text or self._isfull():
            return localfiles.noroom(
                'bundle index cannot be written: no space left on device',
                os.path.dirname(self.path),
            )
        return errors.BackendUnavailable(
            f'bundle index cannot be used: {text}',
            f'look at the permissions of {self._name} and its folder, and at'
            ' the room on the disk',
        )

    def _isfull(self) -> bool:
        """Whether there is no room for what SQLite calls an I/O error, such as
        the file that its processes share."""
        with contextlib.suppress(OSError):
            return localfiles.room(os.path.dirname(self.path)) < _SHARED
        return False

    def _notanindex(self) -> errors.BackendUnavailable:
        return errors.BackendUnavailable(
            f'not a bundle index: {self._name}',
            'move it away, or let bundlestore.index name another file',
        )


class _State(NamedTuple):
    """What shows whether somebody wrote to a database."""

    device: int
    inode: int
    bytes: int
    mtime: int
    #: whether there is a write-ahead log
    log: bool
    #: whether the next change is sure to give the file another mtime
    quiet: bool


def _value(connection: sqlite3.Connection, statement: str) -> int:
    (value,) = connection.execute(statement).fetchone()
    return int(value)


def _islocked(exc: sqlite3.DatabaseError) -> bool:
    return 'locked' in str(exc)


class _Passing:
    """Remembers what foreign code raised."""

    def __init__(self) -> None:
        self.exception: Optional[BaseException] = None

    @contextlib.contextmanager
    def whatever(self) -> Iterator[None]:
        try:
            yield
        except BaseException as exc:
            self.exception = exc
            raise


# -- the ends of all transactions


def begin(connection: sqlite3.Connection, kind: str = '') -> None:
    connection.execute(f'BEGIN {kind}')


def commit(connection: sqlite3.Connection) -> None:
    connection.execute('COMMIT')


def rollback(connection: sqlite3.Connection) -> None:
    # Whatever is left of a transaction after a failure goes with the
    # connection.
    with contextlib.suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute('ROLLBACK')
