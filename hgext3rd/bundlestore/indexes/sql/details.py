"""What the index keeps of a push beside its changesets: what was pushed along,
how it went, and where it landed.

All of it happens in the transaction of the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ... import errors, model

if TYPE_CHECKING:
    from .dialect import Sql

#: the version of the tables that this came with
SINCE = 2

_STATUSES = """
SELECT push, context, state, url, description, time, username FROM status
WHERE push IN ({marks})
"""
_LANDINGS = """
SELECT push, node, landed, time, username FROM landing WHERE push IN ({marks})
"""


def addpushvars(sql: Sql, id: int, pushvars: Sequence[tuple[str, str]]) -> None:
    sql.insert(
        'pushvar',
        [
            (id, position, f'{name}={value}')
            for position, (name, value) in enumerate(pushvars)
        ],
    )


def pushvar(text: str) -> tuple[str, str]:
    """Return name and value of what the table has."""
    name, _equals, value = text.partition('=')
    return name, value


def setstatus(sql: Sql, id: int, status: model.Status) -> None:
    """Set a status of a push that is there."""
    row = sql.one(
        'SELECT count(*) FROM status WHERE push = ? AND context <> ?',
        (id, status.context),
    )
    if row and row[0] >= model.STATUSES:
        raise errors.TooManyStatuses(
            f'push {id} has {model.STATUSES} statuses already'
        )
    sql.run(
        'DELETE FROM status WHERE push = ? AND context = ?',
        (id, status.context),
    )
    sql.insert('status', [(id, *status._replace(time=float(status.time)))])


def statuses(sql: Sql, ids: Iterable[int]) -> dict[int, list[model.Status]]:
    found: dict[int, list[model.Status]] = {}
    if sql.version >= SINCE:
        for id, *its in sorted(sql.many(_STATUSES, ids)):
            found.setdefault(id, []).append(model.Status(*its))
    return found


def setlanding(sql: Sql, id: int, landing: model.Landing) -> None:
    """Note where a changeset of a push that is there landed."""
    sql.run(
        'DELETE FROM landing WHERE push = ? AND node = ?', (id, landing.node)
    )
    sql.insert('landing', [(id, *landing._replace(time=float(landing.time)))])


def landings(sql: Sql, ids: Iterable[int]) -> dict[int, list[model.Landing]]:
    found: dict[int, list[model.Landing]] = {}
    if sql.version > 2:
        for id, *its in sorted(sql.many(_LANDINGS, ids)):
            found.setdefault(id, []).append(model.Landing(*its))
    return found


def drop(sql: Sql, id: int) -> None:
    """Forget how a push went, and where it landed."""
    for table in ('status', 'landing'):
        sql.run(f'DELETE FROM {table} WHERE push = ?', (id,))
