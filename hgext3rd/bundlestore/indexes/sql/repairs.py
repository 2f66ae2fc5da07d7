"""Puts pushes back into the tables of the index, exactly.

All of it happens in the transaction of the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

from ... import model
from . import bundles, details, labels, pushes, usage

if TYPE_CHECKING:
    from .dialect import Sql

_ABOVE = """
WITH RECURSIVE above (bundle) AS (
    SELECT id FROM bundle WHERE id = ?
    UNION
    SELECT rest.bundle FROM rest CROSS JOIN above ON rest.base = above.bundle
)
SELECT bundle FROM above ORDER BY bundle
"""
_IDS = (
    *(('bundle', 'id'), ('push', 'bundle'), ('kept', 'bundle')),
    *(('rest', 'bundle'), ('rest', 'base'), ('below', 'bundle')),
    *(('description', 'bundle'), ('head', 'bundle'), ('private', 'bundle')),
)
_RENUMBERING = tuple(
    f'UPDATE {table} SET {column} = ? WHERE {column} = ?'
    for table, column in _IDS
)


def restore(sql: Sql, push: model.Push, bookmarks: bool) -> None:
    """Record a push under its id, in the place of what has that id."""
    # Whatever is wrong with it, nothing may be left of what it replaces.
    replaced, users = _clear(sql, push.id, push.bookmarks, bookmarks)
    bundle, others = _restorebundle(sql, push)
    users |= others
    if users:
        users.add(push.user)
    else:
        now = pushes.state(sql, push.user, bundle.id)
        more = 0 if now.haspush else bundle.size
        usage.pushed(sql, push.user, more, now.isholder)
    moves = push.bookmarks
    more = len(moves) + len(push.pushvars)
    its = (push.id, float(push.time), push.user, bundle.id, more)
    sql.insert('push', [its])
    pushes.reach(sql, push.id)
    bundles.addnodes(sql, bundle, push.heads, push.id)
    sql.dialect.search.add(sql, push.id, push.user, push.text)
    pushes.addmoves(sql, push.id, moves)
    details.addpushvars(sql, push.id, push.pushvars)
    if push.pinned:
        pushes.pin(sql, push.id, True)
    if bookmarks:
        forced = [model.BookmarkMove(*move, force=True) for move in moves]
        plan = pushes.plan(sql, forced, push.user, bypush=True)
        pushes.move(sql, plan, push.user, push.time, push=push.id)
    if replaced not in ('', push.key):
        details.drop(sql, push.id)
        _leave(sql, replaced)
    labels.restore(sql, push.id, push.branches)
    for user in users:
        usage.recount(sql, user)


def restoremany(sql: Sql, many: Sequence[model.Push]) -> None:
    """Record pushes under their ids."""
    if not _arenew(sql, many):
        for push in many:
            restore(sql, push, True)
        return
    ids = [push.id for push in many]
    sql.each('DELETE FROM event WHERE id IN ({marks})', ids)
    first = _freeid(sql)
    for bundle, push in enumerate(many, first):
        bases: list[int] = []
        if push.rests:
            bases = bundles.basesof(sql, push.rests, push.private).direct
        found = bundles.add(sql, push, bundle, bases)
        bundles.addnodes(sql, found, push.heads, push.id)
        sql.dialect.search.add(sql, push.id, push.user, push.text)
        pushes.addmoves(sql, push.id, push.bookmarks)
        details.addpushvars(sql, push.id, push.pushvars)
        labels.add(sql, push.id, push.branches)
    sql.insert(
        'push',
        [
            (
                *(push.id, float(push.time), push.user, bundle),
                len(push.bookmarks) + len(push.pushvars),
            )
            for bundle, push in enumerate(many, first)
        ],
    )
    sql.insert('pin', [(push.id,) for push in many if push.pinned])
    usage.pushedmany(sql, [(push.user, push.size) for push in many])
    pushes.reach(sql, max(ids))
    moved = {name: (node, p) for p in many for name, node in p.bookmarks}
    sql.each('DELETE FROM bookmark WHERE name IN ({marks})', moved)
    sql.insert(
        'bookmark',
        [
            (name, node, push.id, None, push.user, float(push.time))
            for name, (node, push) in moved.items()
            if node is not None
        ],
    )


def _arenew(sql: Sql, many: Sequence[model.Push]) -> bool:
    """Whether there is nothing of these pushes, nor of their bundles."""
    ids = [push.id for push in many]
    keys = [bytes.fromhex(push.key) for push in many]
    if len(set(ids)) < len(ids) or len(set(keys)) < len(keys):
        return False
    return not any(
        sql.many(
            f'SELECT {column} FROM {table} WHERE {column} IN ({{marks}})', its
        )
        for table, column, its in (
            ('push', 'id', ids),
            ('kept', 'push', ids),
            ('bundle', 'digest', keys),
        )
    )


def restoremove(sql: Sql, move: model.RestoredMove) -> None:
    """Put a bookmark where an event put it."""
    if not pushes.exists(sql, move.id):
        sql.run('DELETE FROM event WHERE id = ?', (move.id,))
        sql.insert('event', [(move.id, float(move.time), move.user)])
    sql.run('DELETE FROM bookmark WHERE name = ?', (move.name,))
    if move.node is not None:
        its = (move.name, move.node, None, move.id, move.user, float(move.time))
        sql.insert('bookmark', [its])
    pushes.reach(sql, move.id)


def _clear(
    sql: Sql,
    id: int,
    moves: Sequence[tuple[str, Optional[bytes]]],
    bookmarks: bool,
) -> tuple[str, set[str]]:
    """Remove all rows of a push except its bundle; return the key of that,
    empty if there is none, and the user whose push it was."""
    users: set[str] = set()
    sql.run('DELETE FROM event WHERE id = ?', (id,))
    row = sql.one('SELECT bundle, username FROM push WHERE id = ?', (id,))
    if row is not None:
        users.add(row[1])
        if bookmarks:
            pushes.removebookmarks(sql, id)
        else:
            _disown(sql, id, moves)
        pushes.removerows(sql, id)
    else:
        row = sql.one('SELECT bundle FROM kept WHERE push = ?', (id,))
        if row is None:
            return '', users
        sql.run('DELETE FROM kept WHERE push = ?', (id,))
    # Whatever is there, also what should not be: all rows are looked at.
    sql.run('DELETE FROM node WHERE push = ?', (id,))
    key = sql.one('SELECT digest FROM bundle WHERE id = ?', row[:1])
    return key[0].hex() if key else '', users


def _disown(
    sql: Sql,
    id: int,
    moves: Sequence[tuple[str, Optional[bytes]]],
) -> None:
    """Leave bookmarks where they are, but moved by nobody, that a push will
    not have moved there if it has made only these moves."""
    rows = sql.all(
        """SELECT name, node FROM bookmark WHERE push = ?
        AND name IN (SELECT name FROM move WHERE push = ?)""",
        (id, id),
    )
    sql.each(
        'UPDATE bookmark SET push = NULL WHERE name IN ({marks})',
        [name for name, node in rows if (name, node) not in moves],
    )


# -- bundles


def _restorebundle(
    sql: Sql, push: model.Push
) -> tuple[bundles.Found, set[str]]:
    """See to it that the bundle of a push is recorded as the push has it.

    Raises ``BundleGone``. Returns the bundle, and users for whom it is another
    now.
    """
    known = bundles.find(sql, push.key)
    below = bundles.basesof(sql, push.rests, push.private)
    bases = below.direct
    if known is None:
        return bundles.add(sql, push, _freeid(sql), bases), set()
    bundles.pushed(sql, known)
    if push.key in below.keys:
        raise ValueError('a bundle cannot rest on itself')
    if (
        (known.size, known.nodes, known.below, known.private)
        == (
            *(push.size, b''.join(push.nodes), b''.join(push.below)),
            push.private,
        )
        and bundles.heads(sql, [known.id])[known.id] == list(push.heads)
        and bundles.texts(sql, [known.id])[known.id] == push.text
        and bundles.directbases(sql, known.id) == bases
    ):
        return known, set()
    return _replace(sql, known, push, bases)


def _replace(
    sql: Sql,
    known: bundles.Found,
    push: model.Push,
    bases: list[int],
) -> tuple[bundles.Found, set[str]]:
    others = sql.all(
        'SELECT id, username FROM push WHERE bundle = ?', (known.id,)
    )
    for statement in bundles.PARTS:
        sql.run(statement, (known.id,))
    nodes = b''.join(push.nodes)
    sql.run(
        'UPDATE bundle SET size = ?, nodes = ? WHERE id = ?',
        (push.size, nodes, known.id),
    )
    lower = bundles.addparts(sql, known.id, push, bases)
    new = bundles.Found(known.id, push.size, nodes, lower, push.private)
    search = sql.dialect.search
    for id, user in others:
        bundles.removenodes(sql, known, id)
        bundles.removenodes(sql, new, id)
        bundles.addnodes(sql, new, push.heads, id)
        search.remove(sql, id)
        search.add(sql, id, user, push.text)
    if bases and bases[-1] > known.id:
        new = new._replace(id=_renumber(sql, known.id))
    return new, {user for _id, user in others}


def _freeid(sql: Sql) -> int:
    """Return an id that no bundle has, nor one had of which something is left.

    Where rows are missing, others may still be there.
    """
    return 1 + max(bundles.highest(sql, *where) for where in _IDS)


def _renumber(sql: Sql, id: int) -> int:
    """Give a bundle an id after all others, and then those that rest on it;
    return the id."""
    first = None
    for (old,) in sql.all(_ABOVE, (id,)):
        new = _freeid(sql)
        for statement in _RENUMBERING:
            sql.run(statement, (new, old))
        first = first or new
    assert first is not None
    return first


def _leave(sql: Sql, key: str) -> None:
    """Note that a bundle lost a push to another, which took over its id."""
    bundle = bundles.find(sql, key)
    assert bundle is not None
    # If it is only there because others rest on it, it needs one in ``kept``.
    push = -bundle.id
    bundles.addnodes(
        sql, bundle, bundles.heads(sql, [bundle.id])[bundle.id], push
    )
    bundles.unpushed(sql, bundle.id, push)
