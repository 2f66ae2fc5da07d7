"""Bundles in the tables of the index ``file``: what is known of each, what
they rest on, and how they come and go.

All of it happens in the transaction of the caller. A bundle is named by its
row's id here.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Optional, Union

from ... import errors, model
from ...batches import batches as batches

#: how many values go into one statement; SQLite's least limit is 999
BATCH = 500

#: the length of a node
NODE = 20

# An id is larger than those of what the bundle rests on, so their order is
# that of the contract. Nothing can rest on what rests on it.
_RESTS = """
WITH RECURSIVE below (bundle, base) AS (
    SELECT bundle, base FROM rest WHERE bundle IN ({marks})
    UNION
    SELECT below.bundle, rest.base FROM below
    CROSS JOIN rest ON rest.bundle = below.base
)
SELECT below.bundle, below.base, bundle.digest FROM below
CROSS JOIN bundle ON bundle.id = below.base
"""

_ISBASE = 'SELECT 1 FROM rest WHERE base = ? LIMIT 1'
#: removes what other tables have of a bundle, see :func:`addparts`
PARTS = (
    'DELETE FROM rest WHERE bundle = ?',
    'DELETE FROM below WHERE bundle = ?',
    'DELETE FROM description WHERE bundle = ?',
    'DELETE FROM head WHERE bundle = ?',
)
_REMOVAL = (
    'DELETE FROM kept WHERE bundle = ?',
    *PARTS,
    'DELETE FROM bundle WHERE id = ?',
)


class Found(NamedTuple):
    """A bundle that is recorded."""

    id: int
    size: int
    #: its changesets in one, see :func:`split`, and those of its pushes that
    #: what it rests on holds
    nodes: bytes
    below: bytes


# -- what is known of them


def find(sql: sqlite3.Connection, key: str) -> Optional[Found]:
    row = sql.execute(
        'SELECT id, size, nodes FROM bundle WHERE digest = ?',
        (bytes.fromhex(key),),
    ).fetchone()
    if row is None:
        return None
    id, size, nodes = row
    return Found(id, size, nodes, below(sql, [id]).get(id, b''))


def ids(sql: sqlite3.Connection, keys: Iterable[str]) -> list[int]:
    """Return the ids of those of the bundles that are recorded."""
    statement = 'SELECT id FROM bundle WHERE digest IN ({marks})'
    rows = select(sql, statement, [bytes.fromhex(key) for key in keys])
    return [id for (id,) in rows]


def describe(
    sql: sqlite3.Connection, keys: Iterable[str]
) -> dict[str, model.Bundle]:
    """Return those of the bundles that are recorded."""
    rows = list(
        select(
            sql,
            'SELECT id, digest, size, nodes FROM bundle'
            ' WHERE digest IN ({marks})',
            [bytes.fromhex(key) for key in keys],
        )
    )
    ids = [row[0] for row in rows]
    found = heads(sql, ids)
    below = rests(sql, ids)
    return {
        key.hex(): model.Bundle(
            key.hex(),
            size,
            tuple(split(nodes)),
            tuple(head.node for head in found[id]),
            tuple(below.get(id, {}).values()),
        )
        for id, key, size, nodes in rows
    }


def heads(
    sql: sqlite3.Connection, bundles: list[int]
) -> dict[int, list[model.Head]]:
    """Return the heads of each bundle."""
    found: dict[int, list[model.Head]] = {id: [] for id in bundles}
    for bundle, node, title in select(
        sql,
        """SELECT bundle, node, title FROM head WHERE bundle IN ({marks})
        ORDER BY bundle, position""",
        bundles,
    ):
        found[bundle].append(model.Head(node, title))
    return found


def rests(
    sql: sqlite3.Connection, bundles: list[int]
) -> dict[int, dict[int, str]]:
    """Return the ids and keys of all that the bundles rest on, in the order
    of the contract; those that rest on nothing are absent."""
    found: dict[int, dict[int, str]] = {}
    for bundle, base, key in sorted(select(sql, _RESTS, bundles)):
        found.setdefault(bundle, {})[base] = key.hex()
    return found


def below(sql: sqlite3.Connection, bundles: list[int]) -> dict[int, bytes]:
    """Return the changesets that the bundles' pushes have and they do not
    hold, see :func:`split`; bundles without any are absent."""
    return dict(
        select(
            sql,
            'SELECT bundle, nodes FROM below WHERE bundle IN ({marks})',
            bundles,
        )
    )


def texts(sql: sqlite3.Connection, bundles: Iterable[int]) -> dict[int, str]:
    """Return the text of each bundle."""
    ids = sorted(bundles)
    found = descriptions(sql, ids)
    rest = [id for id in ids if id not in found]
    for id, its in heads(sql, rest).items():
        found[id] = titles(its)
    return found


def descriptions(sql: sqlite3.Connection, bundles: list[int]) -> dict[int, str]:
    """Return the texts of those bundles of which one is kept."""
    return dict(
        select(
            sql,
            'SELECT bundle, text FROM description WHERE bundle IN ({marks})',
            bundles,
        )
    )


def titles(heads: Iterable[model.Head]) -> str:
    """Return the text of a bundle of which none is kept."""
    return '\n'.join(head.title for head in heads)[: model.TEXT_LENGTH]


# -- how they come and go


def add(
    sql: sqlite3.Connection,
    push: Union[model.NewPush, model.Push],
    newid: Optional[int] = None,
) -> Found:
    """Add the bundle of a push, with that id or the next; raises
    ``BundleGone``."""
    its = basesof(sql, push.rests) if push.rests else []
    nodes = b''.join(push.nodes)
    id = sql.execute(
        'INSERT INTO bundle VALUES (?, ?, ?, ?)',
        (newid, bytes.fromhex(push.key), push.size, nodes),
    ).lastrowid
    assert id is not None
    return Found(id, push.size, nodes, addparts(sql, id, push, its))


def addparts(
    sql: sqlite3.Connection,
    id: int,
    push: Union[model.NewPush, model.Push],
    bases: list[int],
) -> bytes:
    """Add what other tables have of a bundle; return what it does not hold."""
    sql.executemany(
        'INSERT INTO head VALUES (?, ?, ?, ?)',
        [
            (id, position, head.node, head.title)
            for position, head in enumerate(push.heads)
        ],
    )
    if bases:
        sql.executemany(
            'INSERT INTO rest VALUES (?, ?)', [(id, base) for base in bases]
        )
    lower = b''.join(push.below)
    if lower:
        sql.execute('INSERT INTO below VALUES (?, ?)', (id, lower))
    if push.text != titles(push.heads):
        sql.execute('INSERT INTO description VALUES (?, ?)', (id, push.text))
    return lower


def basesof(sql: sqlite3.Connection, keys: Iterable[str]) -> list[int]:
    """Return what a bundle rests on, without what follows from that."""
    ids = []
    for key in keys:
        row = sql.execute(
            'SELECT id FROM bundle WHERE digest = ?', (bytes.fromhex(key),)
        ).fetchone()
        if row is None:
            raise errors.BundleGone(key)
        ids.append(row[0])
    implied = set(itertools.chain.from_iterable(rests(sql, ids).values()))
    return sorted(set(ids) - implied)


def places(bundle: Found, heads: Iterable[bytes]) -> dict[bytes, int]:
    """Return what a push of the bundle has in ``node``: changesets, each with
    its ``place``."""
    found = dict.fromkeys(split(bundle.below), 2)
    found.update(dict.fromkeys(split(bundle.nodes), 1))
    found.update((head, 0) for head in heads if head in found)
    return found


def addnodes(
    sql: sqlite3.Connection,
    bundle: Found,
    heads: Iterable[model.Head],
    push: int,
) -> None:
    """Have the changesets of a push found."""
    its = places(bundle, [head.node for head in heads])
    # In the order of the table, as large ones are filled faster that way.
    sql.executemany(
        'INSERT INTO node VALUES (?, ?, ?)',
        [(node, its[node], push) for node in sorted(its)],
    )


def removenodes(sql: sqlite3.Connection, bundle: Found, push: int) -> None:
    # With the whole primary key, as other pushes may have the node too.
    sql.executemany(
        'DELETE FROM node WHERE node = ? AND place IN (0, 1, 2) AND push = ?',
        [
            (node, push)
            for nodes in (bundle.nodes, bundle.below)
            for node in split(nodes)
        ],
    )


def pushed(sql: sqlite3.Connection, bundle: Found) -> None:
    """Note that a bundle which is there already gets one more push."""
    push = _kept(sql, bundle.id)
    if push is not None:
        removenodes(sql, bundle, push)
        sql.execute('DELETE FROM kept WHERE push = ?', (push,))


def unpushed(sql: sqlite3.Connection, id: int, push: int) -> list[str]:
    """Note that a push of a bundle is no push any more.

    Its changesets are still found if it was the last one and others rest on
    the bundle. Returns the keys of the bundles that are there no more.
    """
    if _exists(sql, 'SELECT 1 FROM push WHERE bundle = ? LIMIT 1', id):
        _key, bundle = _content(sql, id)
        removenodes(sql, bundle, push)
        return []
    if _exists(sql, _ISBASE, id):
        sql.execute('INSERT INTO kept VALUES (?, ?)', (push, id))
        return []
    gone = []
    needless = [(id, push)]
    while needless:
        id, push = needless.pop()
        key, bundle = _content(sql, id)
        removenodes(sql, bundle, push)
        bases = [
            base
            for (base,) in sql.execute(
                'SELECT base FROM rest WHERE bundle = ?', (id,)
            )
        ]
        for statement in _REMOVAL:
            sql.execute(statement, (id,))
        gone.append(key)
        for base in bases:
            last = _kept(sql, base)
            if last is not None and not _exists(sql, _ISBASE, base):
                needless.append((base, last))
    return gone


def _content(sql: sqlite3.Connection, id: int) -> tuple[str, Found]:
    row = sql.execute(
        'SELECT digest, size, nodes FROM bundle WHERE id = ?', (id,)
    ).fetchone()
    if row is None:
        raise sqlite3.DatabaseError(f'malformed: there is no bundle {id}')
    key, size, nodes = row
    return key.hex(), Found(id, size, nodes, below(sql, [id]).get(id, b''))


def _kept(sql: sqlite3.Connection, id: int) -> Optional[int]:
    """Return the push that a bundle without pushes had last."""
    row = sql.execute(
        'SELECT push FROM kept WHERE bundle = ?', (id,)
    ).fetchone()
    return row and row[0]


def _exists(sql: sqlite3.Connection, statement: str, id: int) -> bool:
    return sql.execute(statement, (id,)).fetchone() is not None


# -- rows and values


def select(
    sql: sqlite3.Connection, statement: str, values: Iterable[Any]
) -> Iterator[tuple[Any, ...]]:
    """Run ``statement`` with ``values`` in place of ``{marks}``."""
    for batch in batches(values, BATCH):
        marks = ', '.join('?' * len(batch))
        yield from sql.execute(statement.format(marks=marks), batch)


def split(nodes: bytes) -> Iterator[bytes]:
    """Return the changesets of a bundle."""
    for begin in range(0, len(nodes), NODE):
        yield nodes[begin : begin + NODE]
