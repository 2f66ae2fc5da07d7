"""MariaDB's and MySQL's way of what ``remote/server.py`` asks for.

Where the two differ, a statement has both: ``/*M! … */`` is for MariaDB, what
is in ``/*!80000 … */`` for MySQL from 8.0 on.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Optional

from ... import errors, model
from ..remote import search as searching
from ..remote.database import MAKE
from ..remote.dialect import Dialect, like
from ..remote.tables import VERSION
from . import login, troubles
from .session import Session, driver

if TYPE_CHECKING:
    from ..remote.address import Address
    from ..remote.server import Script, Session as AnySession

#: Seconds: how long others may hold a lock that is needed, how long a
#: statement may take, and how long a transaction may stand still, as it does
#: while a bundle is published.
LOCK = 30
_STATEMENT = 60
_IDLE = 90

_UNBOUND = (1 << 32) - 1
# What differs from the server's defaults, or may. Recursion is not cut off: a
# bundle may rest on any number of others. EXISTS is asked row by row: to make
# a table of all that would, first, takes long where a page is enough. MySQL has
# no bound for transactions that stand still, but one for sessions.
_SETTINGS = f"""
SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',
    innodb_lock_wait_timeout = {LOCK}, lock_wait_timeout = {LOCK},
    default_storage_engine = InnoDB
    /*M! , max_recursive_iterations = {_UNBOUND},
    optimizer_switch = 'exists_to_in=off',
    idle_transaction_timeout = {_IDLE} */
    /*!80000 , cte_max_recursion_depth = {_UNBOUND},
    optimizer_switch = 'semijoin=off', wait_timeout = {_IDLE} */
"""
_TIMEOUT = (
    'SET SESSION /*M! max_statement_time = {0} */'
    ' /*!80000 max_execution_time = {0}000 */'
)
# Texts are sorted by the numbers of their characters, and a space at the end
# counts.
_TEXT = (
    'CHARACTER SET utf8mb4'
    ' COLLATE /*M! utf8mb4_nopad_bin */ /*!80000 utf8mb4_0900_bin */'
)
#: of those who make tables
_LOCKNAME = 'hg-bundlestore tables'

_HINTS = re.compile(r' INDEXED BY (\w+)')
_ROWS = re.compile(r'(?<=\(VALUES )\(\?\)(, \(\?\))*(?=\))')


class Server(Dialect):
    """The database of a URL."""

    name = 'MariaDB'
    skips = True

    types: Mapping[str, str] = {
        'id': 'bigint',
        'number': 'bigint',
        'small': 'smallint',
        'time': 'double',
        'node': 'binary(20)',
        'digest': 'binary(32)',
        'blob': 'longblob',
        'text': f'mediumtext {_TEXT}',
        'name': f'varchar({model.NAME_LENGTH}) {_TEXT}',
        'word': f'varchar({searching.LONGEST}) {_TEXT}',
    }
    code = staticmethod(troubles.code)
    damages = troubles.DAMAGE
    intheway = troubles.IN_THE_WAY
    foreign = troubles.FOREIGN
    keysinside = True
    snapshot: Script = (
        (_TIMEOUT.format(_STATEMENT), ()),
        ('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ', ()),
        ('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY', ()),
    )
    begin: Script = (
        (_TIMEOUT.format(_STATEMENT), ()),
        ('SET TRANSACTION ISOLATION LEVEL READ COMMITTED', ()),
        ('START TRANSACTION READ WRITE', ()),
    )
    forupdate = 'FOR UPDATE'
    forshare = 'LOCK IN SHARE MODE'
    # a division by zero is no error, two rows in the place of one are
    guard = f"""SELECT (
        SELECT n FROM (SELECT 1 AS n UNION ALL SELECT 2) AS two
        WHERE 1 <> (SELECT count(*) FROM gate WHERE version = {VERSION})
    )"""
    patience: Script = ((_TIMEOUT.format(0), ()),)
    #: a session cannot say so
    haste: Script = ()
    exists = (
        'SELECT 1 FROM information_schema.tables'
        " WHERE table_schema = database() AND table_name = 'gate'"
    )

    def __init__(self, address: Address) -> None:
        login.check(address)
        self.database = address.database
        self._address = address
        self.key = repr(address)

    @staticmethod
    @functools.lru_cache(maxsize=256)
    def words(statement: str) -> str:
        found = statement.replace('CROSS JOIN', 'STRAIGHT_JOIN')
        found = _HINTS.sub(r' FORCE INDEX (\1)', found)
        found = _ROWS.sub(
            lambda rows: rows[0].replace('(?)', '/*!80000 ROW */(?)'), found
        )
        # what is shifted or combined bit by bit has no sign there
        return found.replace(
            '(n.push << 1) | n.place', 'n.push * 2 + n.place'
        ).replace(
            'found.place >> 1',
            '((found.place - abs(found.place % 2)) DIV 2)',
        )

    # -- sessions

    def connect(self) -> Session:
        try:
            return Session(login.find(self._address), _SETTINGS)
        except (driver().Error, RuntimeError, ValueError) as exc:
            # the two others are the driver's, too
            raise troubles.unreachable(exc, self) from exc

    @property
    def error(self) -> type[Exception]:
        found: type[Exception] = driver().Error
        return found

    def islost(self, exc: Exception) -> bool:
        return troubles.islost(exc)

    def trouble(self, exc: Exception) -> Optional[errors.BundleStoreError]:
        return troubles.trouble(exc, self)

    # -- tables

    def absence(self, session: AnySession) -> errors.BundleStoreError:
        what = f'tables in the database {self.database}'
        if not self._isthere(session):
            what = f'database {self.database}'
        return errors.BackendUnavailable(f'bundle index has no {what}', MAKE)

    def prepare(self, session: AnySession) -> None:
        assert isinstance(session, Session)
        if not session.hold(_LOCKNAME, LOCK):
            raise errors.BackendUnavailable(
                'bundle index was locked for too long',
                'try again later; another process is making its tables',
            )
        if not self._isthere(session):
            name = self.database.replace('`', '``')
            session.fetch([(f'CREATE DATABASE `{name}`', ())])
        session.use(self.database)

    def _isthere(self, session: AnySession) -> bool:
        statement = (
            'SELECT 1 FROM information_schema.schemata WHERE schema_name = ?'
        )
        return bool(session.fetch([(statement, (self.database,))]))

    def size(self) -> str:
        return (
            'SELECT sum(data_length + index_length)'
            ' FROM information_schema.tables WHERE table_schema = database()'
        )

    # -- statements

    def glob(self, column: str, pattern: str) -> Optional[tuple[str, str]]:
        # Of a column itself, MariaDB would look up a range for it, in which
        # characters from U+10000 on are not; a range is asked for anyway.
        return f"concat({column}, '') LIKE ?", like(pattern)
