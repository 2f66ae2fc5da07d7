"""A connection to PostgreSQL, by the driver psycopg2.

The driver is loaded when the first connection is opened.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import TYPE_CHECKING, Any, Optional

from ... import errors
from ..remote.silence import Silent

if TYPE_CHECKING:
    from ..remote.server import Script
    from ..sql.dialect import Row

#: how the driver is installed
INSTALL = "install it: pip install 'hg-bundlestore[postgresql]'"

#: the code of what a standby says to who writes
READONLY = '25006'

#: the type of bytes, to PostgreSQL
_BYTEA = 17


def driver() -> Any:
    """Return the module of the driver; raises ``BackendUnavailable``."""
    try:
        import psycopg2
        import psycopg2.extensions

        # Mercurial puts imports off until what they import is used
        psycopg2.extensions.parse_dsn  # noqa: B018
    except ImportError as exc:
        raise errors.BackendUnavailable(
            f'bundle index needs psycopg2, which cannot be loaded: {exc}',
            INSTALL,
        ) from exc
    return psycopg2


class Session:
    """A connection, see ``remote/server.py``.

    ``arguments`` are the driver's, ``settings`` statements that are run first.
    ``connecting`` is how many seconds the host may take to answer at all, and
    ``silent`` how many a statement may. The driver would wait for ever, with
    the signals that this process gets; so the waiting is done here.
    """

    patient = False

    def __init__(
        self,
        arguments: dict[str, Any],
        settings: str,
        connecting: float,
        silent: float,
    ) -> None:
        module = driver()
        self._error = module.Error
        self._idle = module.extensions.TRANSACTION_STATUS_IDLE
        self._silent = silent
        #: whether an answer did not come to its end, or no other is wanted
        self._unheard = False
        # transactions are begun and ended by the statements that are run
        self._connection = module.connect(**arguments, async_=True)
        try:
            _wait(self._connection, connecting)
            module.extensions.register_type(
                module.extensions.new_type((_BYTEA,), 'BYTES', _bytes),
                self._connection,
            )
            self._cursor = self._connection.cursor()
            self._run(settings)
        except BaseException:
            self.close()
            raise

    def fetch(self, script: Script) -> list[Row]:
        cursor = self._cursor
        self._run(
            b'; '.join(
                cursor.mogrify(statement, values or None)
                for statement, values in script
            )
        )
        return cursor.fetchall() if cursor.description is not None else []

    def _run(self, statements: str | bytes) -> None:
        self._unheard = True
        try:
            self._cursor.execute(statements)
            _wait(self._connection, None if self.patient else self._silent)
        except self._error as exc:
            # a server that became a standby is left for the one that is none
            self._unheard = exc.pgcode == READONLY
            raise
        self._unheard = False

    def rollback(self) -> None:
        with contextlib.suppress(self._error, Silent):
            if not self._unheard and not self._isidle():
                self._run('ROLLBACK')

    def _isidle(self) -> bool:
        return bool(self._connection.info.transaction_status == self._idle)

    @property
    def lost(self) -> bool:
        return (
            self._unheard or self._connection.closed != 0 or not self._isidle()
        )

    def close(self) -> None:
        with contextlib.suppress(self._error):
            self._connection.close()

    def disarm(self) -> None:
        # closed connections have no file
        with contextlib.suppress(self._error):
            file = self._connection.fileno()
            null = os.open(os.devnull, os.O_RDWR)
            try:
                os.dup2(null, file, inheritable=False)
            finally:
                os.close(null)


def _wait(connection: Any, seconds: Optional[float]) -> None:
    """Wait until a connection has done what it was told to; raises
    ``Silent``."""
    extensions = driver().extensions
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        state = connection.poll()
        if state == extensions.POLL_OK:
            return
        event = select.POLLIN
        if state == extensions.POLL_WRITE:
            event = select.POLLOUT
        poll = select.poll()
        poll.register(connection.fileno(), event)
        left = None
        if deadline is not None:
            left = max(deadline - time.monotonic(), 0) * 1000
        if not poll.poll(left):
            raise Silent(seconds)


def _bytes(value: Any, _cursor: Any) -> Any:
    # PostgreSQL shows bytes as \x and hexadecimal digits
    return None if value is None else bytes.fromhex(value[2:])
