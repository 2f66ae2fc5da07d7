"""Pushes in the tables of the index: how they come and go, with the
bookmarks that they move.

All of it happens in the transaction of the caller. What is known of bundles is
in ``bundles.py``, what users hold in ``usage.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

from ... import errors, model
from ...records import NamedTuple
from . import bundles, details, labels, privacy, usage

if TYPE_CHECKING:
    from .dialect import Sql

#: the highest id that a database knows
LAST = (1 << 63) - 1

_REMOVAL = (
    'DELETE FROM move WHERE push = ?',
    'DELETE FROM pushvar WHERE push = ?',
    'DELETE FROM label WHERE push = ?',
    'DELETE FROM pin WHERE push = ?',
    'DELETE FROM push WHERE id = ?',
)


# -- new ones


class Checked(NamedTuple):
    """A push that nothing speaks against."""

    #: its bundle, if that is recorded
    bundle: Optional[bundles.Found]
    bases: bundles.Bases
    plan: Plan


def check(sql: Sql, push: model.NewPush, quota: Optional[int]) -> Checked:
    """Refuse a push that cannot be recorded. What this looks at stays as it is
    until the end of the transaction."""
    sql.lock(
        [
            *(push.key, *push.rests),
            *_marks(push.moves, push.user, quota),
        ]
    )
    known = bundles.find(sql, push.key)
    bases = bundles.Bases([], ())
    if known is not None:
        if known.private != push.private:
            raise ValueError(f'bundle {push.key} is not of that view')
        bases = bundles.knownbases(sql, known.id)
    elif push.rests:
        bases = bundles.basesof(sql, push.rests, push.private)
    held = None
    if quota is not None:
        held = usage.held(sql, push.user, known.id if known else 0)
        held = held.more(push.user, known.size if known else push.size, quota)
    moves = plan(sql, push.moves, push.user, bypush=True)
    if held is not None and quota is not None:
        held.checkmarks(push.user, moves.more, quota)
    return Checked(known, bases, moves)


def record(
    sql: Sql, push: model.NewPush, checked: Checked
) -> tuple[int, tuple[str, ...], tuple[bytes, ...]]:
    """Record a push; return its id, what its bundle rests on, and what it has
    of that."""
    known = checked.bundle
    now = state(sql, push.user, known.id if known else 0)
    id = now.id
    text = push.text
    if known is None:
        bundle = bundles.add(sql, push, now.bundle, checked.bases.direct)
    else:
        bundle = known
        bundles.pushed(sql, bundle)
        # It keeps what it was recorded with first.
        text = bundles.texts(sql, [bundle.id])[bundle.id]
    more = 0 if now.haspush else bundle.size
    usage.pushed(sql, push.user, more, now.isholder)
    sql.run('UPDATE counter SET given = ?', (id,))
    rows = len(push.moves) + len(push.pushvars)
    its = (id, float(push.time), push.user, bundle.id, rows)
    sql.insert('push', [its])
    bundles.addnodes(sql, bundle, push.heads, id)
    sql.dialect.search.add(sql, id, push.user, text)
    move(sql, checked.plan, push.user, push.time, push=id)
    addmoves(sql, id, [(move.name, move.new) for move in push.moves])
    details.addpushvars(sql, id, push.pushvars)
    labels.add(sql, id, push.branches)
    return id, checked.bases.keys, tuple(bundles.split(bundle.below))


def isrecorded(sql: Sql, push: model.NewPush, id: int) -> bool:
    """Whether it is that push which has the id."""
    row = sql.one(
        """SELECT bundle.digest, push.time, push.username FROM push
        CROSS JOIN bundle ON bundle.id = push.bundle WHERE push.id = ?""",
        (id,),
    )
    return row == (bytes.fromhex(push.key), float(push.time), push.user)


class State(NamedTuple):
    """What must be known to record a push."""

    #: of the push
    id: int
    #: the id of a bundle that is new
    bundle: int
    #: whether the user holds anything, and has a push of the bundle
    isholder: bool
    haspush: bool


def state(sql: Sql, user: str, bundle: int) -> State:
    row = sql.one(
        """SELECT (SELECT given FROM counter), (SELECT max(id) FROM bundle),
            EXISTS (SELECT 1 FROM holder WHERE username = ?),
            EXISTS (SELECT 1 FROM push WHERE bundle = ? AND username = ?)""",
        (user, bundle, user),
    )
    given, highest, isholder, haspush = row or (0, 0, False, False)
    return State(
        (given or 0) + 1, (highest or 0) + 1, bool(isholder), bool(haspush)
    )


# -- bookmarks


class Plan(NamedTuple):
    """What moves of bookmarks come to."""

    #: where those go that move
    changed: dict[str, Optional[bytes]]
    #: those that an event put where they were, with its id
    replaced: dict[str, int]
    #: those of them that are somewhere now
    there: list[str]
    #: how many more the user has then
    more: int


def plan(
    sql: Sql,
    moves: Sequence[model.BookmarkMove],
    user: str,
    bypush: bool = False,
) -> Plan:
    """Find out what moves come to; raises ``BookmarkMoved``."""
    if not moves:
        return Plan({}, {}, [], 0)
    names = list(dict.fromkeys(move.name for move in moves))
    rows = {
        name: (node, event, owner)
        for name, node, event, owner in sql.many(
            """SELECT name, node, move, username FROM bookmark
            WHERE name IN ({marks})""",
            names,
        )
    }
    now = {name: row[0] for name, row in rows.items()}
    changed: dict[str, Optional[bytes]] = {}
    for move in moves:
        actual = now.get(move.name)
        if not move.force and actual != move.old:
            raise errors.BookmarkMoved(move.name, actual)
        if not bypush and actual == move.new:
            # What brought it there still stands for it.
            continue
        now[move.name] = changed[move.name] = move.new
    there = [name for name in changed if name in rows]
    before = sum(rows[name][2] == user for name in there)
    after = sum(node is not None for node in changed.values())
    replaced = {name: rows[name][1] for name in there if rows[name][1]}
    return Plan(changed, replaced, there, after - before)


def move(
    sql: Sql,
    plan: Plan,
    user: str,
    time: float,
    push: Optional[int] = None,
    event: Optional[int] = None,
) -> model.Moved:
    """Move bookmarks by a push or an event."""
    if not plan.changed:
        return model.Moved(push or event or 0)
    sql.each('DELETE FROM bookmark WHERE name IN ({marks})', plan.there)
    sql.insert(
        'bookmark',
        [
            (name, node, push, event, user, float(time))
            for name, node in plan.changed.items()
            if node is not None
        ],
    )
    return model.Moved(
        push or event or 0,
        tuple(plan.changed.items()),
        tuple(plan.replaced.items()),
    )


def planevent(
    sql: Sql,
    moves: Sequence[model.BookmarkMove],
    user: str,
    quota: Optional[int],
) -> Plan:
    """Find out what moves without a push come to, which stays so until the
    end of the transaction; raises ``BookmarkMoved`` and ``QuotaExceeded``."""
    sql.lock(_marks(moves, user, quota))
    found = plan(sql, moves, user)
    if quota is not None:
        usage.held(sql, user).checkmarks(user, found.more, quota)
    return found


def movebookmarks(sql: Sql, plan: Plan, time: float, user: str) -> model.Moved:
    """Move bookmarks without a push."""
    id = _nextid(sql)
    sql.insert('event', [(id, float(time), user)])
    return move(sql, plan, user, time, event=id)


def _marks(
    moves: Sequence[model.BookmarkMove], user: str, quota: Optional[int]
) -> list[str]:
    """Return what to lock where bookmarks are moved."""
    names = [_mark(move.name) for move in moves]
    return names if quota is None else [*names, f'user {user}']


def _mark(name: str) -> str:
    return f'bookmark {name}'


def moved(sql: Sql, names: Sequence[str]) -> set[str]:
    """Return those of the names that pushes have moved to changesets."""
    rows = sql.many(
        """SELECT DISTINCT name FROM move
        WHERE name IN ({marks}) AND node IS NOT NULL""",
        names,
    )
    return {name for (name,) in rows}


def addmoves(
    sql: Sql,
    id: int,
    moves: Sequence[tuple[str, Optional[bytes]]],
) -> None:
    sql.insert(
        'move', [(id, position, *some) for position, some in enumerate(moves)]
    )


# -- those that are there


def exists(sql: Sql, id: int, public: bool = False) -> bool:
    if not 0 < id <= LAST:
        return False
    statement = 'SELECT 1 FROM push WHERE id = ?'
    if public:
        statement += f' AND {privacy.ispublic(sql, "push.bundle")}'
    return sql.one(statement, (id,)) is not None


def unknown(id: int) -> errors.UnknownPush:
    return errors.UnknownPush(f'no push {id} in the index')


def lockone(sql: Sql, id: int) -> None:
    """See to it that nobody else pins or removes that push meanwhile, or sets
    its statuses and landings."""
    sql.lock([_one(id)])


def _one(id: int) -> str:
    return f'push {id}'


def pin(sql: Sql, id: int, pinned: bool) -> None:
    if not exists(sql, id):
        raise unknown(id)
    sql.run('DELETE FROM pin WHERE push = ?', (id,))
    if pinned:
        sql.insert('pin', [(id,)])


def setstatus(sql: Sql, id: int, status: model.Status) -> None:
    if not exists(sql, id):
        raise unknown(id)
    details.setstatus(sql, id, status)
    labels.setoutcome(sql, id)


def setlanding(sql: Sql, id: int, landing: model.Landing) -> None:
    if not exists(sql, id):
        raise unknown(id)
    details.setlanding(sql, id, landing)


def choose(sql: Sql, id: int, evenpinned: bool) -> tuple[str, int]:
    """Return the user and the bundle of a push that is about to be removed;
    raises ``UnknownPush`` and ``PinnedPush``. What goes with it stays as it is
    until the end of the transaction."""
    keys = sql.all(
        """SELECT bundle.digest, bundle.id FROM push
        CROSS JOIN bundle ON bundle.id = push.bundle WHERE push.id = ?""",
        (id,),
    )
    names = sql.all('SELECT name FROM move WHERE push = ?', (id,))
    below = bundles.rests(sql, [bundle for _key, bundle in keys])
    sql.lock(
        [
            _one(id),
            *(key.hex() for key, _bundle in keys),
            *(key for its in below.values() for key in its.values()),
            *(_mark(name) for (name,) in names),
        ]
    )
    # Now that nobody else does, is it still there?
    row = sql.one(
        """SELECT username, bundle,
            EXISTS (SELECT 1 FROM pin WHERE pin.push = push.id)
        FROM push WHERE id = ?""",
        (id,),
    )
    if row is None:
        raise unknown(id)
    user, bundle, pinned = row
    if pinned and not evenpinned:
        raise errors.PinnedPush(f'push {id} is pinned')
    return user, bundle


def remove(sql: Sql, id: int, user: str, bundle: int) -> list[str]:
    removebookmarks(sql, id)
    removerows(sql, id)
    details.drop(sql, id)
    usage.unpushed(sql, user, bundle)
    return bundles.unpushed(sql, bundle, id)


def removebookmarks(sql: Sql, id: int) -> None:
    sql.run(
        """DELETE FROM bookmark WHERE push = ?
        AND name IN (SELECT name FROM move WHERE push = ?)""",
        (id, id),
    )


def removerows(sql: Sql, id: int) -> None:
    """Remove what a push restored brings itself."""
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
