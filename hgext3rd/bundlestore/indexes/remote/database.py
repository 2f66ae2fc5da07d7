"""Transactions on a server of databases.

Who writes locks the row in ``gate``: alone, or together with others that
lock in ``stripe`` what they look at. So pushes of different bundles go on side
by side, however long it takes to publish one. Who begins to make changes locks
``counter`` until the end, so one transaction commits after the other, and what
was committed is what the next one reads. All take these locks in this order,
so nobody waits for who waits for him.

After a lost connection, as where the server was started anew, a transaction
is tried again, unless foreign code was called in it, or its end was begun.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Optional, TypeVar

from ... import errors
from . import pool, tables
from .silence import Silent
from .transaction import Another, Sql

if TYPE_CHECKING:
    from .server import Server, Session, Told

#: how tables are made
MAKE = "run 'hg admin::bundlestore-migrate --schema' on the server"

#: how often a transaction is tried
_ATTEMPTS = 4

T = TypeVar('T')
U = TypeVar('U')


class Database:
    """A database, see ``sql/dialect.py``. Any thread may call any method."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._pool = pool.of(server)

    # -- what the index calls

    def read(
        self,
        query: Callable[[Sql], T],
        absent: T,
        brief: bool = False,
        patient: bool = False,
    ) -> T:
        server = self._server
        if brief:
            with contextlib.suppress(Another):
                return self._tried(
                    lambda session: query(
                        Sql(server, session, [(server.guard, ())], only=True)
                    )
                )
        first: list[Told] = [*server.snapshot, (server.guard, ())]
        if patient:
            first.extend(server.patience)

        def work(session: Session) -> T:
            session.patient = patient
            return query(Sql(server, session, first))

        return self._tried(work)

    def write(self, change: Callable[[Sql], T], durable: bool = True) -> T:
        # repairs take their time
        first = [*self._begun(self._server.forupdate), *self._server.patience]
        if not durable:
            first.extend(self._server.haste)
        progress = _Progress()

        def work(session: Session) -> T:
            session.patient = True
            sql = Sql(self._server, session, first)
            result = change(sql)
            self._commit(sql, progress)
            return result

        return self._tried(work, progress)

    def share(
        self,
        look: Callable[[Sql], T],
        foreign: Optional[Callable[[T], object]],
        change: Callable[[Sql, T], U],
        ischanged: Optional[Callable[[Sql, U], bool]] = None,
    ) -> U:
        first = self._begun(self._server.forshare)
        progress = _Progress()
        changed: list[U] = []

        def work(session: Session) -> U:
            sql = Sql(self._server, session, first)
            found = look(sql)
            # what locks names may be waiting
            sql.flush()
            if foreign is not None:
                with progress.calling():
                    foreign(found)
            self._lockcounter(sql)
            changed[:] = [change(sql, found)]
            self._commit(sql, progress)
            return changed[0]

        try:
            return self._tried(work, progress)
        except _Unknown:
            its = changed[0]
            if ischanged is not None and self._came(
                lambda sql: ischanged(sql, its)
            ):
                return its
            raise

    def size(self) -> int:
        (row,) = self._tried(
            lambda session: session.fetch([(self._server.size(), ())])
        )
        return int(row[0] or 0)

    def close(self) -> None:
        self._pool.closeidle()

    # -- the tables

    def version(self) -> int:
        """Return the version of the tables, 0 if there are none."""
        return self._tried(self._version)

    def create(self) -> None:
        """Make the tables that are not there."""

        def work(session: Session) -> None:
            session.fetch(self._server.begin)
            self._server.prepare(session)
            # another process may have been quicker
            version = self._version(session)
            if version >= tables.VERSION:
                return
            for statement in tables.statements(
                self._server.types, self._server.keysinside, version
            ):
                session.fetch([(statement, ())])
            session.fetch([('COMMIT', ())])

        self._tried(work)

    def _version(self, session: Session) -> int:
        if not session.fetch([(self._server.exists, ())]):
            return 0
        rows = session.fetch([('SELECT version FROM gate', ())])
        return int(rows[0][0]) if rows else 0

    # -- transactions

    def _begun(self, lock: str) -> list[Told]:
        return [
            *self._server.begin,
            (f'SELECT 1 FROM gate {lock}', ()),
            (self._server.guard, ()),
        ]

    def _lockcounter(self, sql: Sql) -> None:
        sql.later(f'SELECT 1 FROM counter {self._server.forupdate}')

    def _commit(self, sql: Sql, progress: _Progress) -> None:
        sql.later('COMMIT')
        progress.committing = True
        sql.flush()
        progress.committing = False

    def _came(self, ischanged: Callable[[Sql], bool]) -> bool:
        """Whether a transaction whose end nobody saw came to it."""

        def work(session: Session) -> bool:
            sql = Sql(self._server, session, self._begun(self._server.forshare))
            # for as long as that transaction has not ended
            self._lockcounter(sql)
            return ischanged(sql)

        with contextlib.suppress(errors.BundleStoreError):
            return self._tried(work)
        return False

    def _tried(
        self,
        work: Callable[[Session], T],
        progress: Optional[_Progress] = None,
    ) -> T:
        progress = progress or _Progress()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._pool.lease(self._server) as session:
                    return work(session)
            except Silent as exc:
                if progress.raised is exc or not progress.committing:
                    raise
                raise _Unknown from exc
            except self._server.error as exc:
                if progress.raised is exc:
                    raise
                lost = self._server.islost(exc)
                if lost and progress.committing:
                    self._pool.closeidle()
                    raise _Unknown from exc
                again = lost or self._server.mayretry(exc)
                if not again or progress.called or attempt == _ATTEMPTS:
                    self._fail(exc)
                if lost:
                    # the others are, too, if the server was started anew
                    self._pool.closeidle()
        raise AssertionError

    def _fail(self, exc: Exception) -> None:
        trouble = self._server.trouble(exc)
        if self._server.isforeign(exc):
            trouble = self._mismatch() or trouble
        if trouble is None:
            raise exc
        raise trouble from exc

    def _mismatch(self) -> Optional[errors.BundleStoreError]:
        """Return what is wrong with the version of the tables, if it is."""
        version = self.version()
        if version > tables.VERSION:
            return errors.UnsupportedFormat(
                f'bundle index has format {version}, but this release of'
                f' hg-bundlestore knows only {tables.VERSION}',
                'upgrade hg-bundlestore',
            )
        if version == tables.VERSION:
            return None
        if not version:
            return self._tried(self._server.absence)
        return errors.BackendUnavailable(
            f'bundle index has format {version}, of an older release',
            MAKE,
        )


class _Unknown(errors.BackendUnavailable):
    """Nobody knows whether a transaction came to its end."""

    def __init__(self) -> None:
        super().__init__(
            'bundle index was lost at the last moment: nobody knows whether'
            ' this was recorded',
            "look at 'hg pushes' before you try again",
        )


class _Progress:
    """How far a transaction is."""

    def __init__(self) -> None:
        #: whether foreign code was called, and what it raised
        self.called = False
        self.raised: Optional[BaseException] = None
        #: whether the server was told to end it, and has not answered
        self.committing = False

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        self.called = True
        try:
            yield
        except BaseException as exc:
            self.raised = exc
            raise
