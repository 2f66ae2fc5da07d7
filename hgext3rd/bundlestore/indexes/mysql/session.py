"""A connection to MariaDB or MySQL, by the driver PyMySQL.

The driver is loaded when the first connection is opened.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from typing import TYPE_CHECKING, Any

from ... import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..remote.server import Script
    from ..sql.dialect import Row, Values
    from .login import Login

#: how the driver is installed
INSTALL = "install it: pip install 'hg-bundlestore[mysql]'"

#: Seconds: until a connection is there, and until an answer is. The server
#: itself ends a statement sooner, see ``server.py``, unless it stands still.
_CONNECT = 5
_ANSWER = 90

#: After so many seconds without a sign of life from the other machine a
#: connection is lost: a probe after ten seconds, then each five.
_SILENT = 20
_PROBES = {'TCP_KEEPIDLE': 10, 'TCP_KEEPINTVL': 5, 'TCP_KEEPCNT': 2}

#: what tells the server that a message has several statements
_SCRIPTS = 1 << 16

#: TLS is required, and the server has none
_NOTLS = 2026
#: there is no such database
NODATABASE = 1049

#: a message is larger than the server allows
TOO_LARGE = 1153

#: bytes of a message that are not the statements'
_SPARE = 1024


def driver() -> Any:
    """Return the module of the driver; raises ``BackendUnavailable``."""
    try:
        import pymysql

        # Mercurial puts imports off until what they import is used
        pymysql.connect  # noqa: B018
    except ImportError as exc:
        raise errors.BackendUnavailable(
            f'bundle index needs PyMySQL, which cannot be loaded: {exc}',
            INSTALL,
        ) from exc
    return pymysql


def connect(login: Login) -> Any:
    """Return a connection of the driver's; raises what that raises. Where the
    database is not there, it is one without."""
    module = driver()
    arguments = {
        **login.arguments(),
        'charset': 'utf8mb4',
        'autocommit': True,
        'connect_timeout': _CONNECT,
        # until somebody is logged in
        'read_timeout': _CONNECT,
        'write_timeout': _ANSWER,
        'client_flag': _SCRIPTS,
    }
    database = {'database': login.database}
    while True:
        try:
            made = module.connect(**arguments, **database)
            made._read_timeout = _ANSWER
            return made
        except module.Error as exc:
            code = exc.args[0] if exc.args else None
            if code == NODATABASE and database:
                database = {}
            elif code == _NOTLS and login.istls and not login.needstls:
                arguments.pop('ssl')
                arguments['ssl_disabled'] = True
                login = login._replace(mode='disabled')
            else:
                raise


class Session:
    """A connection, see ``remote/server.py``. ``settings`` is a statement."""

    def __init__(self, login: Login, settings: str) -> None:
        self._error = driver().Error
        self._connection = connect(login)
        #: the lock that goes with its lease
        self._held = ''
        #: whether there is a database that it uses
        self._isplaced = self._connection.db is not None
        #: how many bytes go into one message
        self._largest = 1 << 20
        try:
            if login.needstls and not self._connection._secure:
                # a release of the driver that does not mind
                raise self._error(_NOTLS, 'the server has no TLS')
            self._watch()
            self._cursor = self._connection.cursor()
            (row,) = self.fetch(
                [(settings, ()), ('SELECT @@max_allowed_packet', ())]
            )
            self._largest = int(row[0])
        except BaseException:
            self.close()
            raise

    def _watch(self) -> None:
        """Have this machine notice when the other one is no more."""
        sock = self._connection._sock
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return
        for name, value in (
            *_PROBES.items(),
            ('TCP_USER_TIMEOUT', _SILENT * 1000),
        ):
            # not every system has all of them
            with contextlib.suppress(AttributeError, OSError):
                option = getattr(socket, name)
                sock.setsockopt(socket.IPPROTO_TCP, option, value)

    @property
    def patient(self) -> bool:
        """Whether an answer may take as long as it takes."""
        return self._connection._read_timeout is None

    @patient.setter
    def patient(self, patient: bool) -> None:
        self._connection._read_timeout = None if patient else _ANSWER

    def fetch(self, script: Script) -> list[Row]:
        rows: list[Row] = []
        try:
            for text in self._messages(script):
                self._cursor.execute(text)
                while self._cursor.nextset():
                    pass
                rows = list(self._cursor.fetchall())
        except self._error:
            raise
        except BaseException:
            # interrupted: the rest of an answer may still come
            self.close()
            raise
        return rows

    def _messages(self, script: Script) -> Iterator[str]:
        """Yield the script as one message, or more if it were too large."""
        waiting: list[str] = []
        length = 0
        for statement, values in script:
            text = self._filled(statement, values)
            # what is no ASCII takes up to four bytes
            size = len(text) if text.isascii() else len(text.encode('utf-8'))
            if size > self._largest - _SPARE:
                # the server would hang up
                raise self._error(TOO_LARGE, 'a statement is too large')
            if waiting and length + size > self._largest - _SPARE:
                yield '; '.join(waiting)
                waiting, length = [], 0
            waiting.append(text)
            length += size + 2
        yield '; '.join(waiting)

    def _filled(self, statement: str, values: Values) -> str:
        """Return a statement with values in the place of its marks."""
        if not values:
            return statement
        parts = _parts(statement)
        words = [self._literal(value) for value in values]
        assert len(parts) == len(words) + 1
        words.append('')
        return ''.join(word for both in zip(parts, words) for word in both)

    def _literal(self, value: Any) -> str:
        if isinstance(value, bytes):
            return f"x'{value.hex()}'"
        found: str = self._connection.escape(value)
        return found

    def hold(self, name: str, seconds: int) -> bool:
        """Wait for a lock that goes with the lease of the session; tell
        whether it came."""
        rows = self.fetch([('SELECT GET_LOCK(?, ?)', (name, seconds))])
        if rows[0][0] == 1:
            self._held = name
        return bool(self._held)

    def use(self, database: str) -> None:
        """Have statements mean the tables of this database."""
        self._connection.select_db(database)
        self._isplaced = True

    def rollback(self) -> None:
        script: list[tuple[str, Values]] = []
        if self._isopen:
            script.append(('ROLLBACK', ()))
        if self._held:
            script.append(('DO RELEASE_LOCK(?)', (self._held,)))
            self._held = ''
        if script:
            try:
                self.fetch(script)
            except self._error:
                self.close()

    @property
    def _isopen(self) -> bool:
        """Whether a transaction may be open."""
        connection = self._connection
        status = connection.server_status
        return bool(connection.open and (status is None or status & 1))

    @property
    def lost(self) -> bool:
        # one without a database would not notice when somebody makes it
        return not self._isplaced or not self._connection.open or self._isopen

    def close(self) -> None:
        with contextlib.suppress(self._error):
            if self._connection.open:
                self._connection.close()

    def disarm(self) -> None:
        sock = self._connection._sock
        if sock is None or sock.fileno() < 0:
            return
        null = os.open(os.devnull, os.O_RDWR)
        try:
            os.dup2(null, sock.fileno(), inheritable=False)
        finally:
            os.close(null)


@functools.lru_cache(maxsize=256)
def _parts(statement: str) -> list[str]:
    return statement.split('?')
