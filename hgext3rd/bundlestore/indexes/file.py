"""The index ``file``: one SQLite file on this machine.

The tables stand in ``schema.py``. A changeset has a row for each push that
brought it, so that the pushes which hold it can be listed page by page.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Optional

from zope.interface import implementer

from .. import errors, localfiles, model
from ..interfaces import IBundleIndex
from . import pushlog, search
from .connections import TIMEOUT
from .database import Database

_LAST = (1 << 63) - 1
_NODE = 20
_HEXDIGITS = frozenset('0123456789abcdef')
# The longest pattern that SQLite takes, in bytes. Nobody has a bookmark whose
# name is as long as what that matches.
_LONGEST_PATTERN = 50000

_LOCATE = """
WITH wanted (node) AS (VALUES {marks}),
    found (node, place) AS (
        SELECT node, (
            SELECT (n.push << 1) | n.inner FROM node AS n
            WHERE n.node = wanted.node ORDER BY n.inner, n.push LIMIT 1
        ) FROM wanted
    )
SELECT found.node, bundle.key, bundle.size, found.place & 1
FROM found
CROSS JOIN push ON push.id = found.place >> 1
CROSS JOIN bundle ON bundle.id = push.bundle
"""

# Each step seeks the next node, whatever number of pushes brought the last.
_NODES = """
WITH RECURSIVE found (node) AS (
    SELECT min(node) FROM node WHERE node BETWEEN :first AND :last
    UNION ALL
    SELECT (
        SELECT min(n.node) FROM node AS n
        WHERE n.node > found.node AND n.node <= :last
    ) FROM found WHERE found.node IS NOT NULL
    LIMIT :limit
)
SELECT node FROM found WHERE node IS NOT NULL
"""


def open_index(url: str, place: model.Place) -> FileIndex:
    """Return the index of a URL ``file`` or ``file:/path``.

    Raises ``UnknownScheme`` for a path that is not absolute.
    """
    path = localfiles.urlpath(url, place, b'index.sqlite3')
    return FileIndex(path, place.createmode)


@implementer(IBundleIndex)
class FileIndex:
    """The index in the file ``path``; arguments as for ``Database``."""

    def __init__(
        self,
        path: bytes,
        createmode: Optional[int] = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._database = Database(path, createmode, timeout)

    # -- writing

    def record(self, push: model.NewPush) -> model.Push:
        model.checkkey(push.key)
        if any(len(node) != _NODE for node in push.nodes):
            raise ValueError('a node has 20 bytes')
        id = self._database.write(lambda sql: _record(sql, push))
        return model.Push(
            id,
            float(push.time),
            push.user,
            push.key,
            push.size,
            tuple(push.nodes),
            tuple(push.heads),
            tuple((move.name, move.new) for move in push.moves),
            push.text,
        )

    def movebookmarks(self, moves: Iterable[model.BookmarkMove]) -> None:
        wanted = tuple(moves)
        if wanted:
            self._database.write(lambda sql: _move(sql, wanted, None))

    def remove(self, id: int) -> list[str]:
        # An absent index is not created only to find nothing in it.
        if not self._database.read(lambda sql: _exists(sql, id), False):
            raise _unknown(id)
        return self._database.write(lambda sql: _remove(sql, id))

    # -- changesets

    def locate(self, nodes: Iterable[bytes]) -> dict[bytes, model.Location]:
        wanted = list(dict.fromkeys(nodes))
        if not wanted:
            return {}
        return self._database.read(lambda sql: _locate(sql, wanted), {})

    def nodes(self, prefix: str, limit: int = 10) -> list[bytes]:
        if (
            not isinstance(prefix, str)
            or not 1 <= len(prefix) <= 2 * _NODE
            or not _HEXDIGITS.issuperset(prefix)
        ):
            raise ValueError('a prefix is 1 to 40 hexadecimal digits')
        values = {
            'first': bytes.fromhex(prefix.ljust(2 * _NODE, '0')),
            'last': bytes.fromhex(prefix.ljust(2 * _NODE, 'f')),
            'limit': _sqllimit(limit),
        }
        rows = self._rows(_NODES, values)
        return [node for (node,) in rows]

    # -- bookmarks

    def bookmark(self, name: str) -> Optional[bytes]:
        if not _istext(name):
            return None
        rows = self._rows('SELECT node FROM bookmark WHERE name = ?', [name])
        return rows[0][0] if rows else None

    def bookmarks(
        self, pattern: str = '*', limit: Optional[int] = None
    ) -> list[model.Bookmark]:
        glob = _glob(pattern)
        if not _ispattern(glob):
            return []
        conditions = ['name GLOB ?']
        values = [glob]
        prefix = pattern.split('*')[0].split('?')[0]
        if prefix:
            conditions.append('name >= ?')
            values.append(prefix)
        beyond = _beyond(prefix)
        if beyond:
            conditions.append('name < ?')
            values.append(beyond)
        rows = self._rows(
            'SELECT name, node, push FROM bookmark'
            f' WHERE {" AND ".join(conditions)} ORDER BY name LIMIT ?',
            [*values, _sqllimit(limit)],
        )
        return [model.Bookmark(*row) for row in rows]

    # -- pushes

    def push(self, id: int) -> model.Push:
        found = self.pushes(first=id, last=id) if id > 0 else []
        if not found:
            raise _unknown(id)
        return found[0]

    def lastid(self) -> int:
        rows = self._rows("SELECT seq FROM sqlite_sequence WHERE name = 'push'")
        return rows[0][0] if rows else 0

    def pushes(
        self,
        first: int = 1,
        last: Optional[int] = None,
        user: Optional[str] = None,
        node: Optional[bytes] = None,
        text: Optional[str] = None,
        since: Optional[float] = None,
        until: Optional[float] = None,
        limit: Optional[int] = None,
        newestfirst: bool = False,
    ) -> list[model.Push]:
        if first > _LAST or (user is not None and not _istext(user)):
            return []
        wanted = pushlog.Filter(
            max(first, 1),
            _LAST if last is None else max(min(last, _LAST), 0),
            user,
            node,
            search.wanted(text or ''),
            None if since is None else float(since),
            None if until is None else float(until),
            _sqllimit(limit),
            newestfirst,
        )
        return self._database.read(lambda sql: pushlog.find(sql, wanted), [])

    def close(self) -> None:
        self._database.close()

    def _rows(self, statement: str, values: Any = ()) -> list[Any]:
        return self._database.read(
            lambda sql: sql.execute(statement, values).fetchall(), []
        )


# -- inside a transaction


def _record(sql: sqlite3.Connection, push: model.NewPush) -> int:
    found = _findbundle(sql, push.key)
    bundle, nodes = found or _addbundle(sql, push)
    # What an older release recorded is found by its titles.
    text = pushlog.texts(sql, [bundle])[bundle] if found else push.text
    id = sql.execute(
        'INSERT INTO push (time, user, bundle, moves) VALUES (?, ?, ?, ?)',
        (float(push.time), push.user, bundle, len(push.moves)),
    ).lastrowid
    assert id is not None
    heads = {head.node for head in push.heads}
    # In the order of the table, as large ones are filled faster that way.
    sql.executemany(
        'INSERT INTO node VALUES (?, ?, ?)',
        [
            (node, node not in heads, id)
            for node in sorted(set(pushlog.split(nodes)))
        ],
    )
    search.add(sql, id, push.user, text)
    _move(sql, push.moves, id)
    sql.executemany(
        'INSERT INTO move VALUES (?, ?, ?, ?)',
        [
            (id, position, move.name, move.new)
            for position, move in enumerate(push.moves)
        ],
    )
    return id


def _findbundle(
    sql: sqlite3.Connection, key: str
) -> Optional[tuple[int, bytes]]:
    """Return the id of a bundle, and its changesets in one."""
    found: Optional[tuple[int, bytes]] = sql.execute(
        'SELECT id, nodes FROM bundle WHERE key = ?', (bytes.fromhex(key),)
    ).fetchone()
    return found


def _addbundle(
    sql: sqlite3.Connection, push: model.NewPush
) -> tuple[int, bytes]:
    nodes = b''.join(push.nodes)
    bundle = sql.execute(
        'INSERT INTO bundle (key, size, nodes) VALUES (?, ?, ?)',
        (bytes.fromhex(push.key), push.size, nodes),
    ).lastrowid
    assert bundle is not None
    sql.executemany(
        'INSERT INTO head VALUES (?, ?, ?, ?)',
        [
            (bundle, position, head.node, head.title)
            for position, head in enumerate(push.heads)
        ],
    )
    if push.text != pushlog.titles(push.heads):
        sql.execute(
            'INSERT INTO description VALUES (?, ?)', (bundle, push.text)
        )
    return bundle, nodes


def _move(
    sql: sqlite3.Connection,
    moves: Sequence[model.BookmarkMove],
    push: Optional[int],
) -> None:
    for move in moves:
        row = sql.execute(
            'SELECT node FROM bookmark WHERE name = ?', (move.name,)
        ).fetchone()
        actual = row and row[0]
        if not move.force and actual != move.old:
            raise errors.BookmarkMoved(move.name, actual)
        if move.new is None:
            sql.execute('DELETE FROM bookmark WHERE name = ?', (move.name,))
        elif push is not None or actual != move.new:
            # Otherwise the push that brought it there still stands for it.
            sql.execute(
                'INSERT OR REPLACE INTO bookmark VALUES (?, ?, ?)',
                (move.name, move.new, push),
            )


def _exists(sql: sqlite3.Connection, id: int) -> bool:
    if not 0 < id <= _LAST:
        return False
    row = sql.execute('SELECT 1 FROM push WHERE id = ?', (id,)).fetchone()
    return row is not None


def _remove(sql: sqlite3.Connection, id: int) -> list[str]:
    row = sql.execute('SELECT bundle FROM push WHERE id = ?', (id,)).fetchone()
    if row is None:
        raise _unknown(id)
    (bundle,) = row
    key, nodes = sql.execute(
        'SELECT key, nodes FROM bundle WHERE id = ?', (bundle,)
    ).fetchone()
    # With the whole primary key, as other pushes may have the node too.
    sql.executemany(
        'DELETE FROM node WHERE node = ? AND inner IN (0, 1) AND push = ?',
        [(node, id) for node in pushlog.split(nodes)],
    )
    sql.execute(
        """DELETE FROM bookmark WHERE push = :id
        AND name IN (SELECT name FROM move WHERE push = :id)""",
        {'id': id},
    )
    search.remove(sql, id)
    sql.execute('DELETE FROM move WHERE push = ?', (id,))
    sql.execute('DELETE FROM push WHERE id = ?', (id,))
    other = sql.execute(
        'SELECT 1 FROM push WHERE bundle = ? LIMIT 1', (bundle,)
    ).fetchone()
    if other is not None:
        return []
    sql.execute('DELETE FROM description WHERE bundle = ?', (bundle,))
    sql.execute('DELETE FROM head WHERE bundle = ?', (bundle,))
    sql.execute('DELETE FROM bundle WHERE id = ?', (bundle,))
    return [key.hex()]


def _locate(
    sql: sqlite3.Connection, nodes: list[bytes]
) -> dict[bytes, model.Location]:
    found = {}
    for batch in pushlog.batches(nodes, pushlog.BATCH):
        marks = ', '.join(['(?)'] * len(batch))
        for node, key, size, inner in sql.execute(
            _LOCATE.format(marks=marks), batch
        ):
            found[node] = model.Location(node, key.hex(), size, not inner)
    return found


# -- values


def _sqllimit(limit: Optional[int]) -> int:
    # To SQLite a negative one means no limit.
    return -1 if limit is None else min(max(limit, 0), _LAST)


def _istext(text: str) -> bool:
    """Whether SQLite can hold the text."""
    try:
        text.encode('utf-8')
    except UnicodeEncodeError:
        return False
    return True


def _ispattern(glob: str) -> bool:
    """Whether a name may match; SQLite would stop at a NUL."""
    if not _istext(glob) or '\0' in glob:
        return False
    return len(glob.encode('utf-8')) <= _LONGEST_PATTERN


def _glob(pattern: str) -> str:
    """Return what GLOB takes for ``pattern``: it knows brackets too."""
    while '**' in pattern:
        pattern = pattern.replace('**', '*')
    return pattern.replace('[', '[[]')


def _beyond(prefix: str) -> Optional[str]:
    """Return the least text above all that begin with ``prefix``, None if
    there is none."""
    prefix = prefix.rstrip('\U0010ffff')
    if not prefix:
        return None
    code = ord(prefix[-1]) + 1
    # Surrogates are no characters.
    return prefix[:-1] + chr(0xE000 if code == 0xD800 else code)


def _unknown(id: int) -> errors.UnknownPush:
    return errors.UnknownPush(f'no push {id} in the index')
