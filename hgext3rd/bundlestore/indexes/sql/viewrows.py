"""The rows of views in the tables of the index.

All of it happens in the transaction of the caller. A view is named by its
row's id here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from ... import viewmodel
from ...viewmodel import View, ViewChange, ViewSummary
from . import bundles

if TYPE_CHECKING:
    from .dialect import Row, Sql, Values

#: the version of the tables that this came with
SINCE = 4

#: the highest number
LAST = (1 << 63) - 1

_COLUMNS = (
    'uid, owner, name, version, time, username, machine, writers, dropped'
)
#: the columns of what a list shows
SUMMARY = f'{_COLUMNS}, heads, bookmarks'
_NOW = f"""
SELECT id, {_COLUMNS},
    (SELECT text FROM viewstate WHERE viewstate.viewid = viewnow.id)
FROM viewnow WHERE
"""
_NODES = 'SELECT name, node FROM viewnode WHERE viewid = ?'
_LOG = """
SELECT version, time, username, machine, added, removed, bookmarks, name,
    writers, dropped
FROM viewlog WHERE viewid = ? AND version < ? AND version >= ?
ORDER BY version DESC LIMIT ?
"""


# -- what is written


def add(sql: Sql, id: int, view: View, log: Iterable[ViewChange]) -> None:
    """Add a view, and how it came about."""
    _addnow(sql, id, view)
    _addstate(sql, id, view.state, '')
    _addnodes(sql, id, view.heads, view.bookmarks)
    for change in log:
        addlog(sql, id, change)


def replace(sql: Sql, id: int, before: Optional[View], after: View) -> None:
    """Make the next version of a view."""
    sql.run('DELETE FROM viewnow WHERE id = ?', (id,))
    _addnow(sql, id, after)
    _addstate(sql, id, after.state, before.state if before else '')
    change = viewmodel.change(before, after)
    sql.each(
        "DELETE FROM viewnode WHERE viewid = ? AND name = ''"
        ' AND node IN ({marks})',
        change.removed,
        (id,),
    )
    sql.each(
        'DELETE FROM viewnode WHERE viewid = ? AND name IN ({marks})',
        [name for name, old, _new in change.bookmarks if old is not None],
        (id,),
    )
    marks = [(name, new) for name, _old, new in change.bookmarks if new]
    _addnodes(sql, id, change.added, marks)
    addlog(sql, id, change)


def remove(sql: Sql, id: int) -> None:
    sql.run('DELETE FROM viewnow WHERE id = ?', (id,))
    for table in ('viewstate', 'viewnode', 'viewlog'):
        sql.run(f'DELETE FROM {table} WHERE viewid = ?', (id,))


def _addnow(sql: Sql, id: int, view: View) -> None:
    its = (view.uid, view.owner, view.name, view.version, float(view.time))
    counts = (len(view.heads), len(view.bookmarks))
    more = (view.user, view.machine, _dumpothers(view), int(view.dropped))
    sql.insert('viewnow', [(id, *its, *more, *counts)])


def _addstate(sql: Sql, id: int, state: str, before: str) -> None:
    if state == before:
        return
    sql.run('DELETE FROM viewstate WHERE viewid = ?', (id,))
    if state:
        sql.insert('viewstate', [(id, state)])


def _addnodes(
    sql: Sql,
    id: int,
    heads: Iterable[bytes],
    bookmarks: Iterable[tuple[str, bytes]],
) -> None:
    rows = [(id, '', node) for node in heads]
    sql.insert('viewnode', [*rows, *((id, *mark) for mark in bookmarks)])


def addlog(sql: Sql, id: int, change: ViewChange) -> None:
    marks = [
        (name, old and old.hex(), new and new.hex())
        for name, old, new in change.bookmarks
    ]
    row = (
        *(id, change.version, float(change.time), change.user, change.machine),
        *(b''.join(change.added), b''.join(change.removed), _dump(marks)),
        *(change.name, _dumpothers(change), int(change.dropped)),
    )
    # each a statement of its own, as it may be long
    sql.insert('viewlog', [row])


def _dump(values: Sequence[Any]) -> str:
    if not values:
        return ''
    return json.dumps(values, ensure_ascii=False, separators=(',', ':'))


def _load(text: str) -> list[Any]:
    return json.loads(text) if text else []


def _dumpothers(view: Union[View, ViewChange]) -> str:
    """Return what a row has for ``writers``: with a view that is private, for
    its readers as well."""
    if not view.private:
        return _dump(view.writers)
    return _dump([{'writers': view.writers, 'readers': view.readers}])


def _others(text: str) -> dict[str, Any]:
    """Return the fields of a record that :func:`_dumpothers` wrote."""
    found = _load(text)
    if not found or isinstance(found[0], str):
        return {'writers': tuple(found)}
    return {
        'writers': tuple(found[0]['writers']),
        'readers': tuple(found[0]['readers']),
        'private': True,
    }


# -- what is there


def find(
    sql: Sql, condition: str, values: Values
) -> Optional[tuple[int, View]]:
    """Return a view as it is, and its number in the tables."""
    if sql.version < SINCE:
        return None
    row = sql.one(_NOW + condition, values)
    if row is None:
        return None
    id, uid, owner, name, *its, writers, dropped, state = row
    version, time, user, machine = its
    nodes = sorted(sql.all(_NODES, (id,)))
    return id, View(
        owner,
        name,
        tuple(node for mark, node in nodes if not mark),
        tuple((mark, node) for mark, node in nodes if mark),
        state or '',
        dropped=bool(dropped),
        version=version,
        time=time,
        user=user,
        machine=machine,
        uid=uid,
        **_others(writers),
    )


def changes(
    sql: Sql,
    id: int,
    owner: str,
    before: Optional[int] = None,
    since: int = 0,
    limit: Optional[int] = None,
) -> list[ViewChange]:
    """Return how versions came about, from ``since`` to ``before``, newest
    first."""
    rows = sql.all(_LOG, (id, number(before), since, number(limit)))
    return [_change(owner, row) for row in rows]


def _change(owner: str, row: Row) -> ViewChange:
    *its, added, removed, marks, name, writers, dropped = row
    version, time, user, machine = its
    return ViewChange(
        version,
        time,
        user,
        machine,
        tuple(bundles.split(added)),
        tuple(bundles.split(removed)),
        tuple(
            (mark, old and bytes.fromhex(old), new and bytes.fromhex(new))
            for mark, old, new in _load(marks)
        ),
        owner=owner,
        name=name,
        dropped=bool(dropped),
        **_others(writers),
    )


def number(value: Optional[int]) -> int:
    return LAST if value is None else max(min(value, LAST), 0)


def summary(row: Row) -> ViewSummary:
    """Return what a row of ``SUMMARY`` tells."""
    made = ViewSummary._make(row)
    return made._replace(dropped=bool(made.dropped), **_others(row[7]))


def summaries(sql: Sql, uids: Iterable[str]) -> list[ViewSummary]:
    """Return what lists show of some views."""
    statement = f'SELECT {SUMMARY} FROM viewnow WHERE uid IN ({{marks}})'
    return [summary(row) for row in sql.many(statement, uids)]
