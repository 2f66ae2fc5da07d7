"""Finds changesets and bookmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from ... import model
from . import bundles, privacy

if TYPE_CHECKING:
    from .dialect import Row, Sql

# The push that has it may have been removed, see the table ``kept``.
_LOCATE = """
WITH wanted (node) AS (VALUES {marks}),
    found (node, place) AS (
        SELECT node, (
            SELECT (n.push << 1) | n.place FROM node AS n
            WHERE n.node = wanted.node AND n.place < 2 {condition}
            ORDER BY n.place, n.push LIMIT 1
        ) FROM wanted
    )
SELECT found.node, bundle.digest, bundle.size, found.place & 1, bundle.id,
    EXISTS (SELECT 1 FROM rest WHERE rest.bundle = bundle.id), {uid}
FROM found
LEFT JOIN push ON push.id = found.place >> 1
LEFT JOIN kept ON kept.push = found.place >> 1 AND push.id IS NULL
CROSS JOIN bundle ON bundle.id = coalesce(push.bundle, kept.bundle)
"""
# the bundle of a row ``n``, for those that are passed over
_ITS = """coalesce(
    (SELECT bundle FROM push WHERE push.id = n.push),
    (SELECT bundle FROM kept WHERE kept.push = n.push)
)"""

# Each step seeks the next node, whatever number of pushes brought the last.
_NODES = """
WITH RECURSIVE found (node) AS (
    SELECT (
        SELECT n.node FROM node AS n WHERE n.node BETWEEN ? AND ?
        ORDER BY n.node LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT n.node FROM node AS n WHERE n.node > found.node AND n.node <= ?
        ORDER BY n.node LIMIT 1
    ) FROM found WHERE found.node IS NOT NULL
)
SELECT node, {hides} FROM found WHERE node IS NOT NULL LIMIT ?
"""
# The same for a database that makes these steps by itself, but not the others:
# it would go through all of them, and each from the beginning of the table.
_DISTINCT = """
SELECT node, {hides} FROM (
    SELECT DISTINCT node FROM node WHERE node BETWEEN ? AND ?
    ORDER BY node LIMIT ?
) AS found ORDER BY node
"""


def locate(
    sql: Sql,
    nodes: list[bytes],
    without: list[str],
    viewer: Optional[privacy.Viewer],
) -> dict[bytes, model.Location]:
    conditions = []
    ids = bundles.ids(sql, without) if without else []
    if ids:
        # numbers of our own: there may be more than SQLite takes values
        conditions = [f'{_ITS} NOT IN ({", ".join(map(str, ids))})']
    rows = _located(sql, nodes, conditions)
    private = {row[6] for row in rows if row[6]}
    if viewer is not None and private:
        hidden = private - viewer.sees(sql, private)
        again = [row[0] for row in rows if row[6] in hidden]
        rows = [row for row in rows if row[6] not in hidden]
        if again:
            seen = viewer.sees(sql, privacy.holding(sql, again))
            conditions.append(privacy.isseen(sql, _ITS, seen))
            rows += _located(sql, again, conditions)
    below = bundles.rests(sql, sorted({row[4] for row in rows if row[5]}))
    return {
        node: model.Location(
            node,
            key.hex(),
            size,
            not inner,
            tuple(below.get(bundle, {}).values()),
            uid or '',
        )
        for node, key, size, inner, bundle, _rests, uid in rows
    }


def _located(sql: Sql, nodes: list[bytes], conditions: list[str]) -> list[Row]:
    statement = _LOCATE.replace('{uid}', privacy.uidof(sql, 'bundle.id'))
    more = ''.join(f' AND {condition}' for condition in conditions)
    return sql.many(statement.replace('{condition}', more), nodes)


def nodes(
    sql: Sql,
    first: bytes,
    last: bytes,
    limit: int,
    viewer: Optional[privacy.Viewer],
) -> list[bytes]:
    """Return the nodes from one to another."""
    rows, hides = _nodes(sql, first, last, limit)
    if not hides or viewer is None:
        return rows
    found: list[bytes] = []
    while rows:
        seen = locate(sql, rows, [], viewer)
        found += [node for node in rows if node in seen]
        if len(rows) < limit or len(found) >= limit or rows[-1] >= last:
            break
        following = int.from_bytes(rows[-1], 'big') + 1
        first = following.to_bytes(len(last), 'big')
        rows, _hides = _nodes(sql, first, last, limit)
    return found[:limit]


def _nodes(
    sql: Sql, first: bytes, last: bytes, limit: int
) -> tuple[list[bytes], bool]:
    """Return nodes, and whether some of them may be hidden from some."""
    statement, values = _NODES, [first, last, last, limit]
    if sql.dialect.skips:
        statement, values = _DISTINCT, [first, last, limit]
    # one statement, as most of them are asked by themselves
    rows = sql.all(statement.replace('{hides}', privacy.hides(sql)), values)
    return [row[0] for row in rows], bool(rows and rows[0][1])


def bookmarks(
    sql: Sql, columns: str, pattern: str, after: str, limit: int
) -> list[Row]:
    """Return rows of bookmarks that match a pattern, sorted by name, from
    behind ``after`` on."""
    glob = sql.dialect.glob('name', pattern)
    if glob is None:
        return []
    conditions = [glob[0]]
    values: list[Any] = [glob[1]]
    prefix = pattern.split('*')[0].split('?')[0]
    if prefix:
        conditions.append('name >= ?')
        values.append(prefix)
    end = beyond(prefix)
    if end:
        conditions.append('name < ?')
        values.append(end)
    if after:
        conditions.append('name > ?')
        values.append(after)
    return sql.all(
        f'SELECT {columns} FROM bookmark'
        f' WHERE {" AND ".join(conditions)} ORDER BY name LIMIT ?',
        [*values, limit],
    )


def beyond(prefix: str) -> Optional[str]:
    """Return the least text above all that begin with ``prefix``, None if
    there is none."""
    prefix = prefix.rstrip('\U0010ffff')
    if not prefix:
        return None
    code = ord(prefix[-1]) + 1
    # Surrogates are no characters.
    return prefix[:-1] + chr(0xE000 if code == 0xD800 else code)
