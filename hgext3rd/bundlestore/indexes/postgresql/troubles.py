"""What an error of PostgreSQL means, by its code, and what to do."""

from __future__ import annotations

import re
from typing import Optional

from ... import errors
from ..remote.dialect import damage, late, locked, lost
from ..remote.silence import Silent
from .session import READONLY, driver

#: statements that give the right to make tables, and to use them
Grants = tuple[str, str]

#: a deadlock, a transaction that another one was in the way of, and a standby:
#: there may be another server by now
AGAIN = frozenset(['40001', '40P01', READONLY])
#: what the guard fails of: a division by zero
_GUARD = '22012'
#: no such schema, table or column
FOREIGN = frozenset(['3F000', '42P01', '42703', _GUARD])
#: bytes that were not written so, and rows that are there twice
DAMAGE = frozenset(['XX001', 'XX002', '23505', '23502'])
#: the server went down, or ended the connection
_LOST = frozenset(['57P01', '57P02', '57P03', '25P03', '57P05'])

_LOGIN = (
    'look at the user in bundlestore.index, and at the password in ~/.pgpass'
    ' or the file that PGPASSFILE names'
)
#: what libpq says, which has no code then
_UNREACHABLE = (
    ('password authentication failed', _LOGIN),
    ('no password supplied', _LOGIN),
    ('authentication failed', _LOGIN),
    ('role "', 'look at the user in bundlestore.index'),
    (
        'no pg_hba.conf entry',
        "the administrator must allow it in 'pg_hba.conf'",
    ),
    (
        'database "',
        'look at the database in bundlestore.index, or make it: createdb',
    ),
    ('too many', 'raise max_connections of PostgreSQL, or try again later'),
    ('starting up', 'try again later'),
    ('shutting down', 'try again later'),
)


def code(exc: Exception) -> Optional[str]:
    found: Optional[str] = getattr(exc, 'pgcode', None)
    return found


def islost(exc: Exception) -> bool:
    found = code(exc)
    if found is None:
        module = driver()
        return isinstance(exc, (module.OperationalError, module.InterfaceError))
    return found.startswith('08') or found in _LOST


def unreachable(exc: Exception) -> errors.BackendUnavailable:
    """Return what it means that a connection could not be opened."""
    text = _sentence(exc)
    hint = (
        'look whether PostgreSQL runs, and at the host and port in'
        ' bundlestore.index'
    )
    for part, found in _UNREACHABLE:
        if part in text:
            hint = found
            break
    return errors.BackendUnavailable(
        f'bundle index cannot be reached: {text}', hint
    )


def forbidden(text: str, grants: Grants) -> errors.BackendUnavailable:
    # to make a schema is a matter of the database
    what = grants[0] if 'for database' in text else grants[1]
    return errors.BackendUnavailable(
        f'bundle index cannot be used: {text}',
        f'an administrator of PostgreSQL can run: {what}',
    )


def trouble(
    exc: Exception, grants: Grants
) -> Optional[errors.BundleStoreError]:
    """Return what an error means, None if the caller made a mistake."""
    found = code(exc)
    text = _sentence(exc)
    if islost(exc):
        return lost(text)
    if found is None:
        return None
    if found in DAMAGE:
        return damage(text)
    if found == '42501':
        return forbidden(text, grants)
    if found == READONLY:
        return errors.BackendUnavailable(
            'bundle index cannot be written: PostgreSQL there is read-only',
            'it is a standby, or under maintenance; let bundlestore.index'
            ' name the primary, or add &target_session_attrs=read-write',
        )
    if found == '55P03':
        return locked()
    if found == '57014':
        return late()
    if found in ('53100', '53200'):
        return errors.NoRoom(
            f'bundle index cannot be written: {text}',
            'the administrator can make room for PostgreSQL',
        )
    if found == _GUARD:
        return errors.BackendUnavailable(
            'bundle index is not in the schema of its connection',
            "let PgBouncer have 'pool_mode = session'",
        )
    if found.startswith('22'):
        # values that do not fit
        return None
    return errors.BackendUnavailable(
        f'bundle index cannot be used: {text}',
        "look at PostgreSQL's log",
    )


def _sentence(exc: Exception) -> str:
    """Return the first sentence of what PostgreSQL says, without where."""
    if isinstance(exc, Silent):
        return 'timeout expired'
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    text = lines[0] if lines else type(exc).__name__
    # of several hosts the last
    for line in lines:
        if 'FATAL' in line or 'failed:' in line:
            text = line
    text = re.sub(r'^.*?(FATAL|ERROR|PANIC):\s+', '', text)
    return text.rstrip('.')
