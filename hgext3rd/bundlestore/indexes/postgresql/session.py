"""A connection to PostgreSQL, by the driver psycopg2.

The driver is loaded when the first connection is opened.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from ... import errors

if TYPE_CHECKING:
    from ..remote.server import Script
    from ..sql.dialect import Row

#: how the driver is installed
INSTALL = "install it: pip install 'hg-bundlestore[postgresql]'"

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
    """A connection, see ``remote/server.py``. ``settings`` are statements."""

    def __init__(self, arguments: dict[str, Any], settings: str) -> None:
        module = driver()
        self._connection = module.connect(**arguments)
        # transactions are begun and ended by the statements that are run
        self._connection.autocommit = True
        module.extensions.register_type(
            module.extensions.new_type((_BYTEA,), 'BYTES', _bytes),
            self._connection,
        )
        self._error = module.Error
        self._idle = module.extensions.TRANSACTION_STATUS_IDLE
        try:
            self._cursor = self._connection.cursor()
            self._cursor.execute(settings)
        except BaseException:
            self.close()
            raise

    def fetch(self, script: Script) -> list[Row]:
        cursor = self._cursor
        cursor.execute(
            b'; '.join(
                cursor.mogrify(statement, values or None)
                for statement, values in script
            )
        )
        return cursor.fetchall() if cursor.description is not None else []

    def rollback(self) -> None:
        with contextlib.suppress(self._error):
            if self._connection.info.transaction_status != self._idle:
                self._cursor.execute('ROLLBACK')

    @property
    def lost(self) -> bool:
        return (
            self._connection.closed != 0
            or self._connection.info.transaction_status != self._idle
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


def _bytes(value: Any, _cursor: Any) -> Any:
    # PostgreSQL shows bytes as \x and hexadecimal digits
    return None if value is None else bytes.fromhex(value[2:])
