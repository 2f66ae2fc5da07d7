"""Bundles in the tables of the index: what is known of each, what
they rest on, and how they come and go.

All of it happens in the transaction of the caller. A bundle is named by its
row's id here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Optional, Union

from ... import errors, model
from ...records import NamedTuple
from . import privacy

if TYPE_CHECKING:
    from .dialect import Sql

#: the length of a node
NODE = 20

# An id is larger than those of what the bundle rests on, so their order is
# that of the contract. Nothing can rest on what rests on it.
RESTS = """
WITH RECURSIVE chain (bundle, base) AS (
    SELECT bundle, base FROM rest WHERE bundle IN ({{marks}})
    UNION
    SELECT chain.bundle, rest.base FROM chain
    CROSS JOIN rest ON rest.bundle = chain.base
)
SELECT chain.bundle, {columns} FROM chain
CROSS JOIN bundle ON bundle.id = chain.base
"""
_RESTS = RESTS.format(columns='chain.base, bundle.digest')

_ISBASE = 'SELECT 1 FROM rest WHERE base = ? LIMIT 1'
#: removes what other tables have of a bundle, see :func:`addparts`
PARTS = (
    'DELETE FROM rest WHERE bundle = ?',
    'DELETE FROM below WHERE bundle = ?',
    'DELETE FROM description WHERE bundle = ?',
    'DELETE FROM head WHERE bundle = ?',
    'DELETE FROM private WHERE bundle = ?',
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
    #: the view that it is of, see ``privacy.py``
    private: str = ''


# -- what is known of them


def find(sql: Sql, key: str) -> Optional[Found]:
    row = sql.one(
        f'SELECT id, size, nodes, {privacy.uidof(sql, "bundle.id")} FROM bundle'
        ' WHERE digest = ?',
        (bytes.fromhex(key),),
    )
    if row is None:
        return None
    id, size, nodes, private = row
    lower = below(sql, [id]).get(id, b'')
    return Found(id, size, nodes, lower, private or '')


def ids(sql: Sql, keys: Iterable[str]) -> list[int]:
    """Return the ids of those of the bundles that are recorded."""
    statement = 'SELECT id FROM bundle WHERE digest IN ({marks})'
    rows = sql.many(statement, [bytes.fromhex(key) for key in keys])
    return [id for (id,) in rows]


def describe(
    sql: Sql, keys: Iterable[str], viewer: Optional[privacy.Viewer]
) -> dict[str, model.Bundle]:
    """Return those of the bundles that are recorded, and seen."""
    rows = sql.many(
        'SELECT id, digest, size, nodes,'
        f' {privacy.uidof(sql, "bundle.id")} FROM bundle'
        ' WHERE digest IN ({marks})',
        [bytes.fromhex(key) for key in keys],
    )
    private = {row[4] for row in rows if row[4]}
    if viewer is not None and private:
        hidden = private - viewer.sees(sql, private)
        rows = [row for row in rows if row[4] not in hidden]
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
            uid or '',
        )
        for id, key, size, nodes, uid in rows
    }


def heads(sql: Sql, bundles: list[int]) -> dict[int, list[model.Head]]:
    """Return the heads of each bundle."""
    found: dict[int, list[model.Head]] = {id: [] for id in bundles}
    for bundle, node, title in sql.many(
        """SELECT bundle, node, title FROM head WHERE bundle IN ({marks})
        ORDER BY bundle, position""",
        bundles,
    ):
        found[bundle].append(model.Head(node, title))
    return found


def rests(sql: Sql, bundles: list[int]) -> dict[int, dict[int, str]]:
    """Return the ids and keys of all that the bundles rest on, in the order
    of the contract; those that rest on nothing are absent."""
    found: dict[int, dict[int, str]] = {}
    for bundle, base, key in sorted(sql.many(_RESTS, bundles)):
        found.setdefault(bundle, {})[base] = key.hex()
    return found


def below(sql: Sql, bundles: list[int]) -> dict[int, bytes]:
    """Return the changesets that the bundles' pushes have and they do not
    hold, see :func:`split`; bundles without any are absent."""
    rows = sql.many(
        'SELECT bundle, nodes FROM below WHERE bundle IN ({marks})', bundles
    )
    return {row[0]: row[1] for row in rows}


def texts(sql: Sql, bundles: Iterable[int]) -> dict[int, str]:
    """Return the text of each bundle."""
    ids = sorted(bundles)
    found = descriptions(sql, ids)
    rest = [id for id in ids if id not in found]
    for id, its in heads(sql, rest).items():
        found[id] = model.titles(its)
    return found


def descriptions(sql: Sql, bundles: list[int]) -> dict[int, str]:
    """Return the texts of those bundles of which one is kept."""
    rows = sql.many(
        'SELECT bundle, text FROM description WHERE bundle IN ({marks})',
        bundles,
    )
    return {row[0]: row[1] for row in rows}


# -- how they come and go


class Bases(NamedTuple):
    """What a bundle rests on."""

    #: the ids of those that do not follow from the others
    direct: list[int]
    #: the keys of all, in the order of the contract
    keys: tuple[str, ...]


def basesof(sql: Sql, keys: Iterable[str], private: str = '') -> Bases:
    """Return what a bundle rests on, of a view if it is ``private``, that is
    said to rest on these; raises ``BundleGone``, also where one of these is
    another view's."""
    wanted = list(dict.fromkeys(keys))
    rows = sql.many(
        f'SELECT digest, id, {privacy.uidof(sql, "bundle.id")} FROM bundle'
        ' WHERE digest IN ({marks})',
        map(bytes.fromhex, wanted),
    )
    found = {key.hex(): id for key, id, uid in rows if uid in (None, private)}
    for key in wanted:
        if key not in found:
            raise errors.BundleGone(key)
    everything = {id: key for key, id in found.items()}
    implied: set[int] = set()
    for its in rests(sql, sorted(everything)).values():
        implied.update(its)
        everything.update(its)
    return Bases(
        sorted(set(found.values()) - implied),
        tuple(key for _id, key in sorted(everything.items())),
    )


def knownbases(sql: Sql, id: int) -> Bases:
    """Return what a bundle rests on that is recorded."""
    found = rests(sql, [id]).get(id, {})
    return Bases([], tuple(found.values()))


def add(
    sql: Sql,
    push: Union[model.NewPush, model.Push],
    id: int,
    bases: list[int],
) -> Found:
    """Add the bundle of a push, with that id."""
    nodes = b''.join(push.nodes)
    sql.insert('bundle', [(id, bytes.fromhex(push.key), push.size, nodes)])
    lower = addparts(sql, id, push, bases)
    return Found(id, push.size, nodes, lower, push.private)


def addparts(
    sql: Sql,
    id: int,
    push: Union[model.NewPush, model.Push],
    bases: list[int],
) -> bytes:
    """Add what other tables have of a bundle; return what it does not hold."""
    sql.insert(
        'head',
        [
            (id, position, head.node, head.title)
            for position, head in enumerate(push.heads)
        ],
    )
    sql.insert('rest', [(id, base) for base in bases])
    lower = b''.join(push.below)
    if lower:
        sql.insert('below', [(id, lower)])
    if push.text != model.titles(push.heads):
        sql.insert('description', [(id, push.text)])
    if push.private:
        sql.insert('private', [(id, push.private)])
    return lower


def directbases(sql: Sql, id: int) -> list[int]:
    """Return what is kept of what a bundle rests on."""
    rows = sql.all(
        'SELECT base FROM rest WHERE bundle = ? ORDER BY base', (id,)
    )
    return [base for (base,) in rows]


def highest(sql: Sql, table: str, column: str) -> int:
    """Return the highest number in a column, 0 if there is none."""
    row = sql.one(f'SELECT max({column}) FROM {table}')
    return (row and row[0]) or 0


def places(bundle: Found, heads: Iterable[bytes]) -> dict[bytes, int]:
    """Return what a push of the bundle has in ``node``: changesets, each with
    its ``place``."""
    found = dict.fromkeys(split(bundle.below), 2)
    found.update(dict.fromkeys(split(bundle.nodes), 1))
    found.update((head, 0) for head in heads if head in found)
    return found


def addnodes(
    sql: Sql,
    bundle: Found,
    heads: Iterable[model.Head],
    push: int,
) -> None:
    """Have the changesets of a push found."""
    its = places(bundle, [head.node for head in heads])
    # In the order of the table, as large ones are filled faster that way.
    sql.insert('node', [(node, its[node], push) for node in sorted(its)])


def removenodes(sql: Sql, bundle: Found, push: int) -> None:
    # With the whole primary key, as other pushes may have the node too.
    sql.each(
        """DELETE FROM node WHERE push = ? AND place IN (0, 1, 2)
        AND node IN ({marks})""",
        itertools.chain(split(bundle.nodes), split(bundle.below)),
        (push,),
    )


def pushed(sql: Sql, bundle: Found) -> None:
    """Note that a bundle which is there already gets one more push."""
    push = _kept(sql, bundle.id)
    if push is not None:
        removenodes(sql, bundle, push)
        sql.run('DELETE FROM kept WHERE push = ?', (push,))


def unpushed(sql: Sql, id: int, push: int) -> list[str]:
    """Note that a push of a bundle is no push any more.

    Its changesets are still found if it was the last one and others rest on
    the bundle. Returns the keys of the bundles that are there no more.
    """
    if _exists(sql, 'SELECT 1 FROM push WHERE bundle = ? LIMIT 1', id):
        _key, bundle = _content(sql, id)
        removenodes(sql, bundle, push)
        return []
    if _exists(sql, _ISBASE, id):
        sql.insert('kept', [(push, id)])
        return []
    gone = []
    needless = [(id, push)]
    while needless:
        id, push = needless.pop()
        key, bundle = _content(sql, id)
        removenodes(sql, bundle, push)
        bases = directbases(sql, id)
        for statement in _REMOVAL:
            sql.run(statement, (id,))
        gone.append(key)
        for base in bases:
            last = _kept(sql, base)
            if last is not None and not _exists(sql, _ISBASE, base):
                needless.append((base, last))
    return gone


def _content(sql: Sql, id: int) -> tuple[str, Found]:
    row = sql.one('SELECT digest, size, nodes FROM bundle WHERE id = ?', (id,))
    if row is None:
        raise sql.dialect.damage(f'there is no bundle {id}')
    key, size, nodes = row
    return key.hex(), Found(id, size, nodes, below(sql, [id]).get(id, b''))


def _kept(sql: Sql, id: int) -> Optional[int]:
    """Return the push that a bundle without pushes had last."""
    row = sql.one('SELECT push FROM kept WHERE bundle = ?', (id,))
    return row[0] if row else None


def _exists(sql: Sql, statement: str, id: int) -> bool:
    return sql.one(statement, (id,)) is not None


def split(nodes: bytes) -> Iterator[bytes]:
    """Return the changesets of a bundle."""
    for begin in range(0, len(nodes), NODE):
        yield nodes[begin : begin + NODE]
