"""Lists pushes: which, in what order, and all that is known of each.

What a list costs depends on what it returns, not on what it skips, for any
combination of these:

* a range of ids;
* a user, with words of a text or without;
* a range of times, but ids that are in it and not wanted are skipped one by
  one, and with words all that it finds is sorted (see ``_narrowed``);
* a changeset, where it depends on how many pushes hold it, whatever else is
  asked for.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

from ... import model
from ..sqlite import search
from . import bundles

# How many texts are looked at together: those of a page, as often most of them
# hold the words.
_TEXTS = 50

_UNLIMITED = -1

# All but the id, which comes first, from where it costs least.
_COLUMNS = 'push.time, push.username, push.bundle, push.moves'

Row = tuple[int, float, str, int, int]


class Filter(NamedTuple):
    """What pushes are wanted, see ``IBundleIndex.pushes``."""

    #: between 1 and the highest that SQLite knows
    first: int
    last: int
    user: Optional[str]
    node: Optional[bytes]
    #: as ``search.wanted`` returns them
    words: list[str]
    since: Optional[float]
    until: Optional[float]
    #: none if negative
    limit: int
    newestfirst: bool

    @property
    def timed(self) -> bool:
        return self.since is not None or self.until is not None


def find(sql: sqlite3.Connection, wanted: Filter) -> list[model.Push]:
    """Return the pushes, as ``IBundleIndex.pushes`` does."""
    rows = (_withwords if wanted.words else _withoutwords)(sql, wanted)
    if wanted.limit != _UNLIMITED:
        rows = itertools.islice(rows, wanted.limit)
    return _complete(sql, list(rows))


# -- which pushes


def _withwords(sql: sqlite3.Connection, wanted: Filter) -> Iterator[Row]:
    # What is read without a limit ends with the last push that is taken.
    unlimited = wanted._replace(limit=_UNLIMITED)
    if wanted.node is not None:
        return _holding(sql, _withoutwords(sql, unlimited), wanted.words)
    if search.isexact(wanted.words):
        return _bywords(sql, wanted)
    return _holding(sql, _bywords(sql, unlimited), wanted.words)


def _bywords(sql: sqlite3.Connection, wanted: Filter) -> Iterator[Row]:
    if wanted.timed:
        wanted = _narrowed(sql, wanted)
    return _ordered(
        sql,
        wanted,
        f'SELECT search.rowid, {_COLUMNS} FROM search'
        ' CROSS JOIN push ON push.id = search.rowid'
        ' WHERE search MATCH :query'
        f' AND search.rowid BETWEEN :first AND :last{_conditions(wanted)}',
    )


def _narrowed(sql: sqlite3.Connection, wanted: Filter) -> Filter:
    """Leave out ids before and after all that are in the range of times.

    What has the words in between is sorted by time. This takes some tenths of
    a second for each million pushes in the range, and a second or two for
    each million of them that have the words.
    """
    first, last = sql.execute(
        f'SELECT min(push.id), max(push.id) {_frompush(sql, wanted)}',
        _values(wanted),
    ).fetchone()
    if first is None:
        return wanted._replace(last=0)
    return wanted._replace(first=first, last=last)


def _holding(
    sql: sqlite3.Connection, rows: Iterator[Row], words: list[str]
) -> Iterator[Row]:
    """Pass on the pushes whose texts hold the words."""
    for batch in bundles.batches(rows, _TEXTS):
        held = bundles.texts(sql, {row[3] for row in batch})
        yield from (row for row in batch if search.holds(held[row[3]], words))


def _withoutwords(sql: sqlite3.Connection, wanted: Filter) -> Iterator[Row]:
    if wanted.node is None:
        source = f'SELECT push.id, {_COLUMNS} {_frompush(sql, wanted)}'
    else:
        # All three come in the order of the primary key, so SQLite merges
        # them and stops at the limit, whatever number of pushes has the node.
        source = ' UNION ALL '.join(
            f'SELECT node.push, {_COLUMNS} FROM node'
            ' CROSS JOIN push ON push.id = node.push'
            f' WHERE node.node = :node AND node.place = {place}'
            f' AND node.push BETWEEN :first AND :last{_conditions(wanted)}'
            for place in (0, 1, 2)
        )
    return _ordered(sql, wanted, source)


def _frompush(sql: sqlite3.Connection, wanted: Filter) -> str:
    # The index is named, so that no SQLite thinks of another.
    index = ''
    if wanted.user is not None:
        index = 'push_user'
    if wanted.timed:
        index = 'push_time' if wanted.user is None else 'push_user_time'
    return (
        f'FROM push {index and f"INDEXED BY {index}"}'
        f' WHERE push.id BETWEEN :first AND :last{_conditions(wanted)}'
    )


def _conditions(wanted: Filter) -> str:
    conditions = ''
    if wanted.user is not None:
        conditions += ' AND push.username = :user'
    if wanted.since is not None:
        conditions += ' AND push.time > :since'
    if wanted.until is not None:
        conditions += ' AND push.time < :until'
    return conditions


def _ordered(
    sql: sqlite3.Connection, wanted: Filter, select: str
) -> Iterator[Row]:
    direction = 'DESC' if wanted.newestfirst else 'ASC'
    columns = [2, 1] if wanted.timed else [1]
    order = ', '.join(f'{column} {direction}' for column in columns)
    return sql.execute(
        f'{select} ORDER BY {order} LIMIT :limit', _values(wanted)
    )


def _values(wanted: Filter) -> dict[str, Any]:
    return {
        **wanted._asdict(),
        'query': search.query(wanted.words, wanted.user),
    }


# -- all about them


def _complete(sql: sqlite3.Connection, rows: list[Row]) -> list[model.Push]:
    """Make pushes of rows of the table ``push``."""
    ids = sorted({row[3] for row in rows})
    contents = {
        id: (key.hex(), size, tuple(bundles.split(nodes)))
        for id, key, size, nodes in bundles.select(
            sql,
            'SELECT id, digest, size, nodes FROM bundle WHERE id IN ({marks})',
            ids,
        )
    }
    heads = bundles.heads(sql, ids)
    texts = bundles.descriptions(sql, ids)
    rests = bundles.rests(sql, ids)
    below = bundles.below(sql, list(rests))
    pinned = _pinned(sql, [row[0] for row in rows])
    moves: dict[int, list[tuple[str, Optional[bytes]]]] = {}
    for push, name, node in bundles.select(
        sql,
        """SELECT push, name, node FROM move WHERE push IN ({marks})
        ORDER BY push, position""",
        [row[0] for row in rows if row[4]],
    ):
        moves.setdefault(push, []).append((name, node))
    return [
        model.Push(
            id,
            time,
            user,
            *contents[bundle],
            tuple(heads[bundle]),
            tuple(moves.get(id, ())),
            texts.get(bundle, bundles.titles(heads[bundle])),
            tuple(rests.get(bundle, {}).values()),
            tuple(bundles.split(below.get(bundle, b''))),
            id in pinned,
        )
        for id, time, user, bundle, _moves in rows
    ]


def _pinned(sql: sqlite3.Connection, ids: list[int]) -> set[int]:
    statement = 'SELECT push FROM pin WHERE push IN ({marks})'
    return {id for (id,) in bundles.select(sql, statement, ids)}
