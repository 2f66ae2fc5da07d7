"""Pushes in the tables of the index: how they come and go, with the
bookmarks that they move.

All of it happens in the transaction of the caller. What is known of bundles is
in ``bundles.py``, what users hold in ``usage.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

from ... import errors, model
from . import bundles, usage

if TYPE_CHECKING:
    from .dialect import Sql

#: the highest id that a database knows
LAST = (1 << 63) - 1

_REMOVAL = (
    'DELETE FROM move WHERE push = ?',
    'DELETE FROM pin WHERE push = ?',
    'DELETE FROM push WHERE id = ?',
)


# -- new ones


def record(
    sql: Sql, push: model.NewPush, quota: Optional[int]
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
    id = _nextid(sql)
    its = (id, float(push.time), push.user, bundle.id, len(push.moves))
    sql.insert('push', [its])
    bundles.addnodes(sql, bundle, push.heads, id)
    sql.dialect.search.add(sql, id, push.user, text)
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
    sql: Sql,
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
        row = sql.one(
            'SELECT node, move FROM bookmark WHERE name = ?', (move.name,)
        )
        actual, before = row or (None, None)
        if not move.force and actual != move.old:
            raise errors.BookmarkMoved(move.name, actual)
        if push is None and actual == move.new:
            # What brought it there still stands for it.
            continue
        if row:
            sql.run('DELETE FROM bookmark WHERE name = ?', (move.name,))
        if move.new is not None:
            its = (move.name, move.new, push, event, user, float(time))
            sql.insert('bookmark', [its])
        changed[move.name] = move.new
        if before is not None:
            replaced.setdefault(move.name, before)
    return model.Moved(
        push or event or 0, tuple(changed.items()), tuple(replaced.items())
    )


def movebookmarks(
    sql: Sql,
    moves: Sequence[model.BookmarkMove],
    time: float,
    user: str,
    quota: Optional[int],
) -> model.Moved:
    """Move bookmarks without a push."""
    id = _nextid(sql)
    sql.insert('event', [(id, float(time), user)])
    marks = usage.marks(sql, user) if quota is not None else 0
    moved = move(sql, moves, user, time, event=id)
    if quota is not None:
        usage.checkmarks(sql, user, marks, quota)
    return moved


def moved(sql: Sql, names: Sequence[str]) -> set[str]:
    """Return those of the names that pushes have moved to changesets."""
    return {
        name
        for name in names
        if sql.one(
            'SELECT 1 FROM move WHERE name = ? AND node IS NOT NULL LIMIT 1',
            (name,),
        )
    }


def addmoves(
    sql: Sql,
    id: int,
    moves: Sequence[tuple[str, Optional[bytes]]],
) -> None:
    sql.insert(
        'move', [(id, position, *some) for position, some in enumerate(moves)]
    )


# -- those that are there


def exists(sql: Sql, id: int) -> bool:
    if not 0 < id <= LAST:
        return False
    return sql.one('SELECT 1 FROM push WHERE id = ?', (id,)) is not None


def unknown(id: int) -> errors.UnknownPush:
    return errors.UnknownPush(f'no push {id} in the index')


def pin(sql: Sql, id: int, pinned: bool) -> None:
    if not exists(sql, id):
        raise unknown(id)
    sql.run('DELETE FROM pin WHERE push = ?', (id,))
    if pinned:
        sql.insert('pin', [(id,)])


def _ispinned(sql: Sql, id: int) -> bool:
    return sql.one('SELECT 1 FROM pin WHERE push = ?', (id,)) is not None


def remove(sql: Sql, id: int, evenpinned: bool) -> list[str]:
    row = sql.one('SELECT username, bundle FROM push WHERE id = ?', (id,))
    if row is None:
        raise unknown(id)
    if not evenpinned and _ispinned(sql, id):
        raise errors.PinnedPush(f'push {id} is pinned')
    user, bundle = row
    removebookmarks(sql, id)
    removerows(sql, id)
    usage.unpushed(sql, user, bundle)
    return bundles.unpushed(sql, bundle, id)


def removebookmarks(sql: Sql, id: int) -> None:
    sql.run(
        """DELETE FROM bookmark WHERE push = ?
        AND name IN (SELECT name FROM move WHERE push = ?)""",
        (id, id),
    )


def removerows(sql: Sql, id: int) -> None:
    sql.dialect.search.remove(sql, id)
    for statement in _REMOVAL:
        sql.run(statement, (id,))


# -- ids


def lastid(sql: Sql) -> int:
    """Return the highest id that was ever given."""
    row = sql.one('SELECT given FROM counter')
    return row[0] if row else 0


def reach(sql: Sql, id: int) -> None:
    """See to it that this was given, or a higher one."""
    if id > lastid(sql):
        reserve(sql, id)


def reserve(sql: Sql, id: int) -> None:
    id = max(id, lastid(sql))
    # SQLite would write nothing where nothing changes, but what this makes
    # durable is all that came before, too.
    sql.run('DELETE FROM counter')
    sql.insert('counter', [(id,)])


def _nextid(sql: Sql) -> int:
    id = lastid(sql) + 1
    sql.run('UPDATE counter SET given = ?', (id,))
    return id
