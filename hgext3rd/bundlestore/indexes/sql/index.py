"""The index ``file``: one SQLite file on this machine.

The tables stand in ``schema.py``. A changeset has a row for each push that
brought it, so that the pushes which hold it can be listed page by page.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Callable, Optional, Union

from ... import errors, model
from ...declaring import Interfaces
from ...stores import localfiles
from ..sqlite import search
from ..sqlite.connections import TIMEOUT
from ..sqlite.database import Database
from . import bundles, lists, problems, pushes, repairs, usage

_LAST = pushes.LAST
_NODE = bundles.NODE
_HEXDIGITS = frozenset('0123456789abcdef')
# The longest pattern that SQLite takes, in bytes. Nobody has a bookmark whose
# name is as long as what that matches.
_LONGEST_PATTERN = 50000

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


class FileIndex:
    """The index in the file ``path``; arguments as for ``Database``."""

    __implemented__ = Interfaces(
        'IBundleIndex', 'ISetAside', 'IReserve', 'ISelfCheck'
    )

    def __init__(
        self,
        path: bytes,
        createmode: Optional[int] = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._path = path
        self._database = Database(path, createmode, timeout)

    # -- writing

    def record(
        self,
        push: model.NewPush,
        publish: Optional[Callable[[], object]] = None,
        quota: Optional[int] = None,
    ) -> model.Push:
        _check(push)
        id, rests, below = self._database.write(
            lambda sql: pushes.record(sql, push, quota),
            None if publish is None else lambda _recorded: publish(),
        )
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
            rests,
            below,
        )

    def movebookmarks(
        self,
        moves: Iterable[model.BookmarkMove],
        time: float = 0.0,
        user: str = '',
        quota: Optional[int] = None,
    ) -> model.Moved:
        wanted = tuple(moves)
        if not wanted:
            return model.Moved(self.lastid())
        return self._database.write(
            lambda sql: pushes.movebookmarks(sql, wanted, time, user, quota)
        )

    def forgetmoves(self, before: float) -> None:
        def forget(sql: sqlite3.Connection) -> None:
            sql.execute('DELETE FROM event WHERE time < ?', (float(before),))

        if self.lastid():
            self._database.write(forget)

    def remove(self, id: int, evenpinned: bool = True) -> list[str]:
        self._require(id)
        return self._database.write(
            lambda sql: pushes.remove(sql, id, evenpinned)
        )

    def discard(self, key: str, delete: Callable[[], object]) -> bool:
        model.checkkey(key)

        def needless(sql: sqlite3.Connection) -> bool:
            return bundles.find(sql, key) is None

        return self._database.write(
            needless, lambda isneedless: isneedless and delete()
        )

    def pin(self, id: int, pinned: bool = True) -> None:
        self._require(id)
        self._database.write(lambda sql: pushes.pin(sql, id, pinned))

    def _require(self, id: int) -> None:
        # An absent index is not created only to find nothing in it.
        if not self._database.read(lambda sql: pushes.exists(sql, id), False):
            raise pushes.unknown(id)

    # -- repairs

    def restore(self, push: model.Push, bookmarks: bool = True) -> None:
        _check(push)
        _checkid(push.id)
        # What makes it durable is the ``reserve`` at the end of a repair.
        self._database.write(
            lambda sql: repairs.restore(sql, push, bookmarks), durable=False
        )

    def restoremove(self, move: model.RestoredMove) -> None:
        _checkid(move.id)
        self._database.write(
            lambda sql: repairs.restoremove(sql, move), durable=False
        )

    def reserve(self, id: int) -> None:
        _checkid(id)
        self._database.write(lambda sql: pushes.reserve(sql, id))

    def problems(self) -> Iterator[str]:
        found: list[str] = self._database.read(problems.find, [])
        return iter(found)

    def setaside(self) -> str:
        return self._database.setaside()

    # -- changesets

    def locate(
        self, nodes: Iterable[bytes], without: Collection[str] = ()
    ) -> dict[bytes, model.Location]:
        wanted = list(dict.fromkeys(nodes))
        if not wanted:
            return {}
        passed = [key for key in without if _iskey(key)]
        return self._database.read(lambda sql: _locate(sql, wanted, passed), {})

    def bundles(self, keys: Iterable[str]) -> dict[str, model.Bundle]:
        wanted = [key for key in dict.fromkeys(keys) if _iskey(key)]
        if not wanted:
            return {}
        return self._database.read(
            lambda sql: bundles.describe(sql, wanted), {}
        )

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
        def find(sql: sqlite3.Connection) -> list[model.Bookmark]:
            columns = 'name, node, push, move'
            rows = _bookmarks(sql, columns, pattern, '', limit)
            return [model.Bookmark(*row) for row in rows]

        return self._database.read(find, [])

    def listbookmarks(
        self, pattern: str = '*', after: str = '', limit: Optional[int] = None
    ) -> list[model.ListedBookmark]:
        def find(sql: sqlite3.Connection) -> list[model.ListedBookmark]:
            columns = 'name, node, push, username, time'
            rows = _bookmarks(sql, columns, pattern, after, limit)
            return [model.ListedBookmark(*row) for row in rows]

        return self._database.read(find, []) if _istext(after) else []

    def moved(self, names: Iterable[str]) -> set[str]:
        wanted = [name for name in names if _istext(name)]
        if not wanted:
            return set()
        return self._database.read(lambda sql: pushes.moved(sql, wanted), set())

    # -- pushes

    def push(self, id: int) -> model.Push:
        found = self.pushes(first=id, last=id) if id > 0 else []
        if not found:
            raise pushes.unknown(id)
        return found[0]

    def lastid(self) -> int:
        return self._database.read(pushes.lastid, 0)

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
        wanted = lists.Filter(
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
        return self._database.read(lambda sql: lists.find(sql, wanted), [])

    # -- what there is

    def usage(self, user: str) -> model.Usage:
        nothing = model.Usage(user, 0, 0)
        if not _istext(user):
            return nothing
        return self._database.read(lambda sql: usage.of(sql, user), nothing)

    def users(self) -> list[model.Usage]:
        return self._database.read(usage.everybody, [])

    def times(self, user: str, since: float, limit: int) -> list[float]:
        if not _istext(user):
            return []
        most = max(_sqllimit(limit), 0)
        return self._database.read(
            lambda sql: usage.times(sql, user, float(since), most), []
        )

    def statistics(self) -> model.Statistics:
        size = self._database.size()
        return self._database.read(
            lambda sql: usage.statistics(sql, size),
            model.Statistics(0, 0, 0, 0, 0, 0, 0, None, None, size),
        )

    def keepreserve(self) -> None:
        """The store has one, which is beside the index as a rule."""

    def makeroom(self) -> bool:
        return self._database.shorten()

    def troubles(self) -> Iterator[errors.BackendUnavailable]:
        return localfiles.troubles(
            'bundle index cannot be written',
            os.path.dirname(self._path),
            self._path,
        )

    def close(self) -> None:
        self._database.close()

    def _rows(self, statement: str, values: Any = ()) -> list[Any]:
        return self._database.read(
            lambda sql: sql.execute(statement, values).fetchall(), []
        )


# -- inside a transaction


def _locate(
    sql: sqlite3.Connection, nodes: list[bytes], without: list[str]
) -> dict[bytes, model.Location]:
    ids = bundles.ids(sql, without)
    # numbers of our own: there may be more of them than SQLite takes values
    condition = _NOTOF.format(ids=', '.join(map(str, ids))) if ids else ''
    rows: list[Any] = []
    for batch in bundles.batches(nodes, bundles.BATCH):
        marks = ', '.join(['(?)'] * len(batch))
        statement = _LOCATE.format(marks=marks, condition=condition)
        rows += sql.execute(statement, batch)
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


def _bookmarks(
    sql: sqlite3.Connection,
    columns: str,
    pattern: str,
    after: str,
    limit: Optional[int],
) -> list[Any]:
    """Return rows of bookmarks that match a pattern, sorted by name, from
    behind ``after`` on."""
    glob = _glob(pattern)
    if not _ispattern(glob):
        return []
    conditions = ['name GLOB ?']
    values: list[Any] = [glob]
    prefix = pattern.split('*')[0].split('?')[0]
    if prefix:
        conditions.append('name >= ?')
        values.append(prefix)
    beyond = _beyond(prefix)
    if beyond:
        conditions.append('name < ?')
        values.append(beyond)
    if after:
        conditions.append('name > ?')
        values.append(after)
    return sql.execute(
        f'SELECT {columns} FROM bookmark'
        f' WHERE {" AND ".join(conditions)} ORDER BY name LIMIT ?',
        [*values, _sqllimit(limit)],
    ).fetchall()


# -- values


def _check(push: Union[model.NewPush, model.Push]) -> None:
    for key in (push.key, *push.rests):
        model.checkkey(key)
    if any(len(node) != _NODE for node in push.changesets):
        raise ValueError('a node has 20 bytes')


def _checkid(id: int) -> None:
    # There must be ids for pushes that come later.
    if not 0 < id < _LAST >> 1:
        raise ValueError(f'no push can have the id {id}')


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


def _iskey(key: object) -> bool:
    with contextlib.suppress(errors.InvalidKey):
        model.checkkey(key)
        return True
    return False


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
