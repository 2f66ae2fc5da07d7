"""Finds changesets and bookmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from ... import model
from . import bundles

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
    EXISTS (SELECT 1 FROM rest WHERE rest.bundle = bundle.id)
FROM found
LEFT JOIN push ON push.id = found.place >> 1
LEFT JOIN kept ON kept.push = found.place >> 1 AND push.id IS NULL
CROSS JOIN bundle ON bundle.id = coalesce(push.bundle, kept.bundle)
"""
# for bundles that are passed over
_NOTOF = """
AND coalesce(
    (SELECT bundle FROM push WHERE push.id = n.push),
    (SELECT bundle FROM kept WHERE kept.push = n.push)
) NOT IN ({ids})
"""

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
SELECT node FROM found WHERE node IS NOT NULL LIMIT ?
"""
# The same for a database that makes these steps by itself, but not the others:
# it would go through all of them, and each from the beginning of the table.
_DISTINCT = """
SELECT DISTINCT node FROM node WHERE node BETWEEN ? AND ? ORDER BY node LIMIT ?
"""


def locate(
    sql: Sql, nodes: list[bytes], without: list[str]
) -> dict[bytes, model.Location]:
    ids = bundles.ids(sql, without) if without else []
    # numbers of our own: there may be more of them than SQLite takes values
    condition = _NOTOF.format(ids=', '.join(map(str, ids))) if ids else ''
    rows = sql.many(_LOCATE.replace('{condition}', condition), nodes)
    below = bundles.rests(sql, sorted({row[4] for row in rows if row[5]}))
    return {
        node: model.Location(
            node,
            key.hex(),
            size,
            not inner,
            tuple(below.get(bundle, {}).values()),
        )
        for node, key, size, inner, bundle, _rests in rows
    }


def nodes(sql: Sql, first: bytes, last: bytes, limit: int) -> list[bytes]:
    """Return the nodes from one to another."""
    if sql.dialect.skips:
        rows = sql.all(_DISTINCT, (first, last, limit))
    else:
        rows = sql.all(_NODES, (first, last, last, limit))
    return [node for (node,) in rows]


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
