"""What an error of MariaDB or MySQL means, by its number, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from ... import errors
from ..remote.dialect import damage, late, locked, lost
from .session import NODATABASE, TOO_LARGE, driver

if TYPE_CHECKING:
    from .server import Server

#: a deadlock, and a row that another transaction has changed
IN_THE_WAY = frozenset([1213, 1020])
#: no database, no such database, table or column; two rows are the guard's
FOREIGN = frozenset([1046, NODATABASE, 1146, 1054, 1242])
#: rows that are there twice or empty, and files that are not as they were
DAMAGE = frozenset([1062, 1048, 126, 127, 1034, 1194, 1712, 1815, 1877, 1932])
#: the server went down, or ended the connection
_LOST = frozenset([2006, 2013, 2055, 1053, 1077, 1152, 1184, 1927, 4031])
#: values that do not fit
_VALUES = frozenset([1264, 1265, 1292, 1366, 1406])
_FORBIDDEN = frozenset([1044, 1142, 1143, 1227])
_FULL = frozenset([1021, 1037, 1038, 1114])
_READONLY = frozenset([1290, 1792, 1836])
_TOO_LONG = frozenset([1317, 1969, 3024])

_LOGIN = (
    'look at the user in bundlestore.index, and at the password below [client]'
    ' in ~/.my.cnf or in the file that defaults-file=PATH names'
)
_PLACE = (
    'look whether MariaDB or MySQL runs, and at the host and port in'
    ' bundlestore.index'
)
_UNREACHABLE = {
    1040: 'raise max_connections of the server, or try again later',
    1045: _LOGIN,
    1129: 'the administrator can unblock it: mariadb-admin flush-hosts',
    1130: 'the administrator must allow this host: CREATE USER …@…',
    1203: 'raise max_user_connections of the server, or try again later',
    1698: _LOGIN,
    2026: 'look at ssl-mode and ssl-ca in bundlestore.index',
}


def code(exc: Exception) -> Optional[int]:
    found = exc.args[0] if exc.args else None
    return found if isinstance(found, int) else None


def islost(exc: Exception) -> bool:
    return code(exc) in _LOST or isinstance(exc, driver().InterfaceError)


def unreachable(exc: Exception, server: Server) -> errors.BackendUnavailable:
    """Return what it means that a connection could not be opened."""
    found = code(exc)
    if found in _FORBIDDEN:
        return forbidden(_sentence(exc), server)
    hint = _UNREACHABLE.get(found or 0, _PLACE)
    text = _sentence(exc)
    if 'CERTIFICATE' in text or 'certificate' in text:
        hint = _UNREACHABLE[2026]
    elif isinstance(exc, RuntimeError):
        # the driver has to encrypt a password by itself
        hint = 'add &ssl-mode=required to bundlestore.index'
    return errors.BackendUnavailable(
        f'bundle index cannot be reached: {text}', hint
    )


def forbidden(text: str, server: Server) -> errors.BackendUnavailable:
    return errors.BackendUnavailable(
        f'bundle index cannot be used: {text}',
        'the administrator can give the right: GRANT SELECT, INSERT, UPDATE,'
        f' DELETE, CREATE, INDEX ON {server.database}.* TO …',
    )


def trouble(
    exc: Exception, server: Server
) -> Optional[errors.BundleStoreError]:
    """Return what an error means, None if the caller made a mistake."""
    found = code(exc)
    text = _sentence(exc)
    if islost(exc):
        return lost(text)
    if found is None or found in _VALUES:
        return None
    if found in DAMAGE:
        return damage(text)
    if found in _FORBIDDEN:
        return forbidden(text, server)
    if found in _READONLY:
        return errors.BackendUnavailable(
            'bundle index cannot be written: the server is read-only',
            'it is a replica, or under maintenance; let bundlestore.index'
            ' name the primary',
        )
    if found == 1205:
        return locked()
    if found in _TOO_LONG:
        return late()
    if found in _FULL:
        return errors.NoRoom(
            f'bundle index cannot be written: {text}',
            'the administrator can make room for the database',
        )
    if found == TOO_LARGE:
        return errors.BackendUnavailable(
            'bundle index cannot be written: the push is larger than'
            ' max_allowed_packet of the server',
            'the administrator can raise it, to 16M',
        )
    return errors.BackendUnavailable(
        f'bundle index cannot be used: {text}',
        "look at the database's log",
    )


def _sentence(exc: Exception) -> str:
    """Return what the server or the driver says, in one line."""
    text: Any = exc.args[1] if len(exc.args) > 1 else exc
    lines = str(text).split('\n')
    return (lines[0] or type(exc).__name__).rstrip('.')
