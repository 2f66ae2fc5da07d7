"""Lists pushes: which, in what order, and all that is known of each.

What a list costs depends on what it returns, not on what it skips, for any
combination of these:

* a range of ids;
* a user, with words of a text or without;
* a label (see ``labels.py``); of several, or with a user, what none has is not
  skipped where many have each of them;
* a range of times, but ids that are in it and not wanted are skipped one by
  one, and with words all that it finds is sorted (see ``_narrowed``);
* a changeset, where it depends on how many pushes hold it, whatever else is
  asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Optional

from ... import model
from ...records import NamedTuple
from . import bundles, details, labels, privacy
from .words import holds

if TYPE_CHECKING:
    from .dialect import Sql

# How many texts are looked at together: those of a page, as often most of them
# hold the words, and more where they turn out to be rare.
_TEXTS = 50
_MOST_TEXTS = 1600

# All but the id, which comes first, from where it costs least.
_COLUMNS = 'push.time, push.username, push.bundle, push.moves'

Row = tuple[int, float, str, int, int]


class Filter(NamedTuple):
    """What pushes are wanted, see ``IBundleIndex.pushes``."""

    #: between 1 and ``LAST``
    first: int
    last: int
    user: Optional[str]
    node: Optional[bytes]
    #: as ``words.wanted`` returns them
    words: list[str]
    since: Optional[float]
    until: Optional[float]
    limit: int
    newestfirst: bool
    #: as ``labels.wanted`` returns them
    labels: list[str]
    #: none that is private, see ``privacy.py``
    public: bool
    #: in a list by time: only what comes behind that time and id
    behind: Optional[tuple[float, int]] = None

    @property
    def timed(self) -> bool:
        return self.since is not None or self.until is not None


def find(sql: Sql, wanted: Filter) -> list[model.Push]:
    """Return the pushes, as ``IBundleIndex.pushes`` does."""
    page = _withoutwords
    isexact = not wanted.words
    if wanted.words and wanted.node is None:
        page = _withwords
        isexact = sql.dialect.search.isexact(wanted.words)
    if isexact:
        return _complete(sql, page(sql, wanted))
    held = _holding(sql, wanted, page)
    return _complete(sql, list(itertools.islice(held, wanted.limit)))


# -- which pushes


def _holding(
    sql: Sql, wanted: Filter, page: Callable[[Sql, Filter], list[Row]]
) -> Iterator[Row]:
    """Pass on the pushes whose texts hold the words, some at a time."""
    limit = _TEXTS
    while True:
        rows = page(sql, wanted._replace(limit=limit))
        texts = bundles.texts(sql, {row[3] for row in rows})
        yield from (row for row in rows if holds(texts[row[3]], wanted.words))
        if len(rows) < limit:
            return
        wanted = _behind(wanted, rows[-1])
        limit = min(2 * limit, _MOST_TEXTS)


def _behind(wanted: Filter, row: Row) -> Filter:
    """Leave out what comes before a row, and the row."""
    id, time = row[:2]
    if wanted.timed:
        return wanted._replace(behind=(time, id))
    if wanted.newestfirst:
        return wanted._replace(last=id - 1)
    return wanted._replace(first=id + 1)


def _withwords(sql: Sql, wanted: Filter) -> list[Row]:
    if wanted.timed:
        wanted = _narrowed(sql, wanted)
    source, id, condition, asked = sql.dialect.search.match(
        sql, wanted.words, wanted.user
    )
    where, values = _where(sql, wanted, id)
    joined = f'FROM {source} CROSS JOIN push ON push.id = {id}'
    return _ordered(
        sql,
        wanted,
        f'SELECT {id}, {_COLUMNS} {joined if source else _frompush(wanted)}'
        f' WHERE {condition} AND {where}',
        [*asked, *values],
    )


def _narrowed(sql: Sql, wanted: Filter) -> Filter:
    """Leave out ids before and after all that are in the range of times.

    What has the words in between is sorted by time. This takes some tenths of
    a second for each million pushes in the range, and a second or two for
    each million of them that have the words.
    """
    where, values = _where(sql, wanted, 'push.id')
    row = sql.one(
        f'SELECT min(push.id), max(push.id) {_frompush(wanted)} WHERE {where}',
        values,
    )
    if row is None or row[0] is None:
        return wanted._replace(last=0)
    return wanted._replace(first=row[0], last=row[1])


def _withoutwords(sql: Sql, wanted: Filter) -> list[Row]:
    if wanted.node is None:
        label = _rarest(sql, wanted)
        if label is not None:
            return _labelled(sql, wanted, label)
        where, values = _where(sql, wanted, 'push.id')
        source = f'SELECT push.id, {_COLUMNS} {_frompush(wanted)} WHERE {where}'
        return _ordered(sql, wanted, source, values)
    # All three come in the order of the primary key, so a database merges
    # them and stops at the limit, whatever number of pushes has the node.
    where, values = _where(sql, wanted, 'node.push')
    source = ' UNION ALL '.join(
        f'SELECT node.push, {_COLUMNS} FROM node'
        ' CROSS JOIN push ON push.id = node.push'
        f' WHERE node.node = ? AND node.place = {place} AND {where}'
        for place in (0, 1, 2)
    )
    return _ordered(sql, wanted, source, 3 * [wanted.node, *values])


def _rarest(sql: Sql, wanted: Filter) -> Optional[str]:
    """Return the label whose pushes are to be gone through, if they are."""
    if wanted.timed or not wanted.labels or sql.version < labels.SINCE:
        return None
    if len(wanted.labels) == 1 and wanted.user is None:
        return wanted.labels[0]
    for label in wanted.labels:
        if labels.israre(sql, label, wanted.first, wanted.last):
            return label
    return wanted.labels[0] if wanted.user is None else None


def _labelled(sql: Sql, wanted: Filter, label: str) -> list[Row]:
    others = [other for other in wanted.labels if other != label]
    where, values = _where(sql, wanted._replace(labels=others), 'label.push')
    return _ordered(
        sql,
        wanted,
        f'SELECT label.push, {_COLUMNS} FROM label'
        ' CROSS JOIN push ON push.id = label.push'
        f' WHERE label.name = ? AND {where}',
        [label, *values],
    )


def _frompush(wanted: Filter) -> str:
    # The index is named, so that no database thinks of another.
    index = ''
    if wanted.user is not None:
        index = 'push_user'
    if wanted.timed:
        index = 'push_time' if wanted.user is None else 'push_user_time'
    return f'FROM push {index and f"INDEXED BY {index}"}'


def _where(sql: Sql, wanted: Filter, id: str) -> tuple[str, list[Any]]:
    """Return a condition for what is wanted, where ``id`` is that of a push,
    and the values in it."""
    conditions = [f'{id} BETWEEN ? AND ?']
    values: list[Any] = [wanted.first, wanted.last]
    if wanted.public:
        conditions.append(privacy.ispublic(sql, 'push.bundle'))
    since, until = wanted.since, wanted.until
    if wanted.user is not None:
        conditions.append('push.username = ?')
        values.append(wanted.user)
    for label in wanted.labels:
        conditions.append(labels.condition(sql, label, id))
        values.append(label)
    if wanted.behind is not None:
        # one bound instead of the one that it makes needless
        if wanted.newestfirst:
            until, sign = None, '<'
        else:
            since, sign = None, '>'
        conditions.append(f'(push.time, push.id) {sign} (?, ?)')
        values += wanted.behind
    if since is not None:
        conditions.append('push.time > ?')
        values.append(since)
    if until is not None:
        conditions.append('push.time < ?')
        values.append(until)
    return ' AND '.join(conditions), values


def _ordered(
    sql: Sql, wanted: Filter, select: str, values: list[Any]
) -> list[Row]:
    direction = 'DESC' if wanted.newestfirst else 'ASC'
    columns = [2, 1] if wanted.timed else [1]
    order = ', '.join(f'{column} {direction}' for column in columns)
    found: list[Any] = sql.all(
        f'{select} ORDER BY {order} LIMIT ?', [*values, wanted.limit]
    )
    return found


# -- all about them


_PRIVATE = (
    'SELECT bundle, 0, ? AS one, ? AS other, uid FROM private'
    ' WHERE bundle IN ({marks})'
)
_RESTS = bundles.RESTS.format(
    columns="""chain.base, bundle.digest,
    (SELECT nodes FROM below WHERE below.bundle = chain.bundle), ''"""
)
_PARTS = (
    (
        "SELECT id, size, digest, nodes, '' FROM bundle WHERE id IN ({marks})",
        (),
    ),
    (
        'SELECT bundle, position, node, node AS same, title FROM head'
        ' WHERE bundle IN ({marks})',
        (),
    ),
    (
        'SELECT bundle, 0, ? AS one, ? AS other, text FROM description'
        ' WHERE bundle IN ({marks})',
        (b'', b''),
    ),
    (_RESTS, ()),
)
_PINS = (
    "SELECT push, 0, ? AS one, ? AS other, '' FROM pin WHERE push IN ({marks})"
)
_MOVES = (
    'SELECT push, position, node, node AS same, name FROM move'
    ' WHERE push IN ({marks})'
)
_PUSHVARS = (
    'SELECT push, position, ? AS one, ? AS other, text FROM pushvar'
    ' WHERE push IN ({marks})'
)


def _complete(sql: Sql, rows: list[Row]) -> list[model.Push]:
    """Make pushes of rows of the table ``push``."""
    ids = sorted({row[3] for row in rows})
    pushes = [row[0] for row in rows]
    more = [row[0] for row in rows if row[4]]
    found = sql.together(
        [
            *((statement, first, ids) for statement, first in _PARTS),
            (_PINS, (b'', b''), pushes),
            (_MOVES, (), more),
            (
                _PUSHVARS,
                (b'', b''),
                more if sql.version >= details.SINCE else [],
            ),
            (
                labels.BRANCHES,
                (b'', b''),
                pushes if sql.version >= labels.SINCE else [],
            ),
            (
                _PRIVATE,
                (b'', b''),
                ids if sql.version >= privacy.SINCE else [],
            ),
        ]
    )
    parts, its, descriptions, resting, *others = found
    pinned, moved, along, on, hidden = others
    contents = {
        id: (key.hex(), size, tuple(bundles.split(nodes)))
        for id, size, key, nodes, _text in parts
    }
    heads: dict[int, list[model.Head]] = {id: [] for id in ids}
    for bundle, _position, node, _node, title in sorted(its):
        heads[bundle].append(model.Head(node, title))
    texts = {row[0]: row[4] for row in descriptions}
    rests: dict[int, dict[int, str]] = {}
    below: dict[int, bytes] = {}
    resting.sort(key=_first)
    for bundle, base, key, nodes, _text in resting:
        rests.setdefault(bundle, {})[base] = key.hex()
        below[bundle] = nodes or b''
    private = {row[0]: row[4] for row in hidden}
    pins = {row[0] for row in pinned}
    moves: dict[int, list[tuple[str, Optional[bytes]]]] = {}
    moved.sort(key=_first)
    for push, _position, new, _node, name in moved:
        moves.setdefault(push, []).append((name, new))
    pushvars: dict[int, list[tuple[str, str]]] = {}
    for push, _position, _one, _other, text in sorted(along):
        pushvars.setdefault(push, []).append(details.pushvar(text))
    branches: dict[int, list[str]] = {}
    for push, _position, _one, _other, label in sorted(on):
        branches.setdefault(push, []).append(labels.branch(label))
    return [
        model.Push(
            id,
            time,
            user,
            *contents[bundle],
            tuple(heads[bundle]),
            tuple(moves.get(id, ())),
            texts.get(bundle, model.titles(heads[bundle])),
            tuple(rests.get(bundle, {}).values()),
            tuple(bundles.split(below.get(bundle, b''))),
            id in pins,
            tuple(pushvars.get(id, ())),
            tuple(branches.get(id, ())),
            private.get(bundle, ''),
        )
        for id, time, user, bundle, _moves in rows
    ]


def _first(row: Any) -> Any:
    return row[:2]
