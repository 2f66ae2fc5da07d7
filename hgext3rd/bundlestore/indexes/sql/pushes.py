"""Pushes in the tables of the index ``file``: how they come and go, with the
bookmarks that they move.

All of it happens in the transaction of the caller. What is known of bundles is
in ``bundles.py``, what users hold in ``usage.py``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Optional

from ... import errors, model
from ..sqlite import search
from . import bundles, usage

#: the highest id that SQLite knows
LAST = (1 << 63) - 1

_HIGHEST = "SELECT seq FROM sqlite_sequence WHERE name = 'push'"
_REMOVAL = (
    'DELETE FROM move WHERE push = ?',
    'DELETE FROM pin WHERE push = ?',
    'DELETE FROM push WHERE id = ?',
)


# -- new ones


def record(
    sql: sqlite3.Connection, push: model.NewPush, quota: Optional[int]
) -> tuple[int, tuple[str, ...], tuple[bytes, ...]]:
    """Return the id of the push, what its bundle rests on, and what it has of
    that."""
    known = bundles.find(sql, push.key)
    bundle = known or bundles.add(sql, push)
    text = push.text
    if known:
        bundles.pushed(sql, bundle)
        # It keeps what it was recorded with first.
        text = bundles.texts(sql, [bundle.id])[bundle.id]
    usage.pushed(sql, push.user, bundle, not known, quota)
    id = sql.execute(
        'INSERT INTO push (time, username, bundle, moves) VALUES (?, ?, ?, ?)',
        (float(push.time), push.user, bundle.id, len(push.moves)),
    ).lastrowid
    assert id is not None
    bundles.addnodes(sql, bundle, push.heads, id)
    search.add(sql, id, push.user, text)
    marks = usage.marks(sql, push.user) if quota is not None else 0
    move(sql, push.moves, push.user, push.time, push=id)
    if quota is not None:
        usage.checkmarks(sql, push.user, marks, quota)
    addmoves(sql, id, [(move.name, move.new) for move in push.moves])
    if not known and not push.rests:
        return id, (), ()
    rests = bundles.rests(sql, [bundle.id]).get(bundle.id, {})
    return id, tuple(rests.values()), tuple(bundles.split(bundle.below))


def move(
    sql: sqlite3.Connection,
    moves: Sequence[model.BookmarkMove],
    user: str,
    time: float,
    push: Optional[int] = None,
    event: Optional[int] = None,
) -> model.Moved:
    """Move bookmarks by a push or an event."""
    changed: dict[str, Optional[bytes]] = {}
    replaced: dict[str, int] = {}
    for move in moves:
        row = sql.execute(
            'SELECT node, move FROM bookmark WHERE name = ?', (move.name,)
        ).fetchone()
        actual, before = row or (None, None)
        if not move.force and actual != move.old:
            raise errors.BookmarkMoved(move.name, actual)
        if push is None and actual == move.new:
            # What brought it there still stands for it.
            continue
        if move.new is None:
            sql.execute('DELETE FROM bookmark WHERE name = ?', (move.name,))
        else:
            sql.execute(
                'INSERT OR REPLACE INTO bookmark VALUES (?, ?, ?, ?, ?, ?)',
                (move.name, move.new, push, event, user, float(time)),
            )
        changed[move.name] = move.new
        if before is not None:
            replaced.setdefault(move.name, before)
    return model.Moved(
        push or event or 0, tuple(changed.items()), tuple(replaced.items())
    )


def movebookmarks(
    sql: sqlite3.Connection,
    moves: Sequence[model.BookmarkMove],
    time: float,
    user: str,
    quota: Optional[int],
) -> model.Moved:
    """Move bookmarks without a push."""
    id = lastid(sql) + 1
    reserve(sql, id)
    sql.execute('INSERT INTO event VALUES (?, ?, ?)', (id, float(time), user))
    marks = usage.marks(sql, user) if quota is not None else 0
    moved = move(sql, moves, user, time, event=id)
    if quota is not None:
        usage.checkmarks(sql, user, marks, quota)
    return moved


def moved(sql: sqlite3.Connection, names: Sequence[str]) -> set[str]:
    """Return those of the names that pushes have moved to changesets."""
    return {
        name
        for name in names
        if sql.execute(
            'SELECT 1 FROM move WHERE name = ? AND node IS NOT NULL LIMIT 1',
            (name,),
        ).fetchone()
    }


def addmoves(
    sql: sqlite3.Connection,
    id: int,
    moves: Sequence[tuple[str, Optional[bytes]]],
) -> None:
    sql.executemany(
        'INSERT INTO move VALUES (?, ?, ?, ?)',
        [(id, position, *some) for position, some in enumerate(moves)],
    )


# -- those that are there


def exists(sql: sqlite3.Connection, id: int) -> bool:
    if not 0 < id <= LAST:
        return False
    row = sql.execute('SELECT 1 FROM push WHERE id = ?', (id,)).fetchone()
    return row is not None


def unknown(id: int) -> errors.UnknownPush:
    return errors.UnknownPush(f'no push {id} in the index')


def pin(sql: sqlite3.Connection, id: int, pinned: bool) -> None:
    if not exists(sql, id):
        raise unknown(id)
    statement = 'DELETE FROM pin WHERE push = ?'
    if pinned:
        statement = 'INSERT OR IGNORE INTO pin VALUES (?)'
    sql.execute(statement, (id,))


def _ispinned(sql: sqlite3.Connection, id: int) -> bool:
    row = sql.execute('SELECT 1 FROM pin WHERE push = ?', (id,)).fetchone()
    return row is not None


def remove(sql: sqlite3.Connection, id: int, evenpinned: bool) -> list[str]:
    row = sql.execute(
        'SELECT username, bundle FROM push WHERE id = ?', (id,)
    ).fetchone()
    if row is None:
        raise unknown(id)
    if not evenpinned and _ispinned(sql, id):
        raise errors.PinnedPush(f'push {id} is pinned')
    user, bundle = row
    removebookmarks(sql, id)
    removerows(sql, id)
    usage.unpushed(sql, user, bundle)
    return bundles.unpushed(sql, bundle, id)


def removebookmarks(sql: sqlite3.Connection, id: int) -> None:
    sql.execute(
        """DELETE FROM bookmark WHERE push = :id
        AND name IN (SELECT name FROM move WHERE push = :id)""",
        {'id': id},
    )


def removerows(sql: sqlite3.Connection, id: int) -> None:
    search.remove(sql, id)
    for statement in _REMOVAL:
        sql.execute(statement, (id,))


# -- ids


def lastid(sql: sqlite3.Connection) -> int:
    """Return the highest id that was ever given."""
    row = sql.execute(_HIGHEST).fetchone()
    return row[0] if row else 0


def reserve(sql: sqlite3.Connection, id: int) -> None:
    id = max(id, lastid(sql))
    # SQLite would write nothing where nothing changes, but what this makes
    # durable is all that came before, too.
    sql.execute("DELETE FROM sqlite_sequence WHERE name = 'push'")
    sql.execute("INSERT INTO sqlite_sequence VALUES ('push', ?)", (id,))
