"""Looks for what is wrong with the tables of the index.

The database finds out whether it is what was written. The rest is whether the
tables agree with each other, which they do whatever process was killed.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...batches import batches
from . import bundles, labels, pushes, usage

if TYPE_CHECKING:
    from .dialect import Sql

#: how many problems of one kind are told of
_MOST = 50
#: how many pushes have their changesets looked at together; their sums are in
#: memory, and each time all changesets are read
_TOGETHER = 200_000
#: how many rows of changesets are read at once
_ATONCE = 20_000
#: how many are compared by the same statements
_COMPARED = 500

_HOLDERS = """
SELECT id, bundle FROM push UNION ALL SELECT push, bundle FROM kept ORDER BY 1
"""

# Each finds what its text is about: an id, a name, or the key of a bundle.
_CHECKS = (
    (
        'push {} names a bundle that is not recorded',
        """SELECT push.id FROM push
        LEFT JOIN bundle ON bundle.id = push.bundle WHERE bundle.id IS NULL""",
    ),
    (
        'bundle {} has no push, and nothing rests on it',
        """SELECT bundle.digest FROM bundle
        WHERE NOT EXISTS (SELECT 1 FROM push WHERE push.bundle = bundle.id)
        AND NOT EXISTS (SELECT 1 FROM kept WHERE kept.bundle = bundle.id)""",
    ),
    (
        'bundle {} has no heads',
        """SELECT bundle.digest FROM bundle
        WHERE NOT EXISTS (SELECT 1 FROM head WHERE head.bundle = bundle.id)""",
    ),
    (
        'there are bookmark moves of push {}, which is not recorded',
        """SELECT DISTINCT push FROM move
        WHERE NOT EXISTS (SELECT 1 FROM push WHERE push.id = move.push)""",
    ),
    (
        'bookmark {} is said to have been moved by a push that is not recorded',
        """SELECT name FROM bookmark WHERE push IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM push WHERE push.id = bookmark.push)""",
    ),
    (
        'the id {} would be given again',
        """SELECT id FROM (SELECT max(id) AS id FROM push) AS highest
        WHERE id > coalesce((SELECT max(given) FROM counter), 0)""",
    ),
    (
        'a move of bookmarks has the id of push {}',
        'SELECT id FROM event WHERE id IN (SELECT id FROM push)',
    ),
    (
        'the id {} of a move of bookmarks would be given again',
        """SELECT id FROM (SELECT max(id) AS id FROM event) AS highest
        WHERE id > coalesce((SELECT max(given) FROM counter), 0)""",
    ),
    (
        'bookmark {} was moved by a push and without one',
        """SELECT name FROM bookmark
        WHERE push IS NOT NULL AND move IS NOT NULL""",
    ),
    (
        'bundle {} rests on one that is not recorded',
        """SELECT bundle.digest FROM rest
        CROSS JOIN bundle ON bundle.id = rest.bundle
        WHERE base NOT IN (SELECT id FROM bundle)""",
    ),
    (
        'bundle {} is in the wrong order with one that it rests on',
        """SELECT DISTINCT bundle.digest FROM rest
        CROSS JOIN bundle ON bundle.id = rest.bundle
        WHERE rest.base >= rest.bundle""",
    ),
    (
        'bundle {} is kept, though it has pushes or nothing rests on it',
        """SELECT bundle.digest FROM kept
        CROSS JOIN bundle ON bundle.id = kept.bundle
        WHERE EXISTS (SELECT 1 FROM push WHERE push.bundle = kept.bundle)
        OR NOT EXISTS (SELECT 1 FROM rest WHERE base = kept.bundle)""",
    ),
    (
        'removed push {} has the id of one that is recorded',
        'SELECT push FROM kept WHERE push IN (SELECT id FROM push)',
    ),
    (
        'push {} is pinned but not recorded',
        'SELECT push FROM pin WHERE push NOT IN (SELECT id FROM push)',
    ),
    (
        "what user '{}' holds is not what the pushes say",
        f"""SELECT DISTINCT username FROM (
            SELECT * FROM (SELECT * FROM holder EXCEPT {usage.HELD}) AS more
            UNION ALL
            SELECT * FROM ({usage.HELD} EXCEPT SELECT * FROM holder) AS less
        ) AS differing ORDER BY username""",
    ),
)
_DETAILCHECKS = (
    (
        'push {} has bookmark moves that do not match their number',
        """SELECT id FROM push WHERE moves <> (
            SELECT count(*) FROM move WHERE move.push = push.id
        ) + (
            SELECT count(*) FROM pushvar WHERE pushvar.push = push.id
        )""",
    ),
    (
        'there are variables of push {}, which is not recorded',
        """SELECT DISTINCT push FROM pushvar
        WHERE NOT EXISTS (SELECT 1 FROM push WHERE push.id = pushvar.push)""",
    ),
    (
        'there are statuses of push {}, which is not recorded',
        """SELECT DISTINCT push FROM status
        WHERE NOT EXISTS (SELECT 1 FROM push WHERE push.id = status.push)""",
    ),
)
_LANDINGCHECKS = (
    (
        'there are landings of push {}, which is not recorded',
        """SELECT DISTINCT push FROM landing
        WHERE NOT EXISTS (SELECT 1 FROM push WHERE push.id = landing.push)""",
    ),
)
_LABELCHECKS = (
    (
        'push {} is not listed by how it went',
        f"""SELECT push.id FROM push WHERE NOT EXISTS (
            SELECT 1 FROM label
            WHERE label.push = push.id AND label.name = {labels.OUTCOME}
        )""",
    ),
    (
        'push {} is listed as though it went otherwise',
        f"""SELECT label.push FROM label
        LEFT JOIN push ON push.id = label.push WHERE push.id IS NULL
        OR label.name < 't' AND label.name <> {labels.OUTCOME}""",
    ),
)
_VIEWCHECKS = (
    (
        'view {} has not as many heads and bookmarks as it should',
        """SELECT uid FROM viewnow WHERE heads <> (
            SELECT count(*) FROM viewnode
            WHERE viewnode.viewid = viewnow.id AND viewnode.name = ''
        ) OR bookmarks <> (
            SELECT count(*) FROM viewnode
            WHERE viewnode.viewid = viewnow.id AND viewnode.name > ''
        )""",
    ),
    (
        'how view {} came about is not recorded',
        """SELECT uid FROM viewnow WHERE version <> coalesce((
            SELECT max(viewlog.version) FROM viewlog
            WHERE viewlog.viewid = viewnow.id
        ), 0)""",
    ),
    (
        'there is something of a view {} that is not recorded',
        """SELECT DISTINCT viewid FROM (
            SELECT viewid FROM viewnode UNION SELECT viewid FROM viewlog
            UNION SELECT viewid FROM viewstate
        ) AS every
        WHERE NOT EXISTS (SELECT 1 FROM viewnow WHERE viewnow.id = viewid)""",
    ),
)
_PRIVATECHECKS = (
    (
        'bundle {} is said to be private, and is not recorded',
        """SELECT bundle FROM private
        WHERE bundle NOT IN (SELECT id FROM bundle)""",
    ),
    (
        'bundle {} is not of the view whose bundles it rests on',
        """SELECT DISTINCT bundle.digest FROM rest
        CROSS JOIN bundle ON bundle.id = rest.bundle
        CROSS JOIN private ON private.bundle = rest.base
        WHERE NOT EXISTS (
            SELECT 1 FROM private AS its
            WHERE its.bundle = rest.bundle AND its.uid = private.uid
        )""",
    ),
)
#: those of tables that came later, by the version that they came with
_LATERCHECKS = {
    2: _DETAILCHECKS,
    3: (*_LANDINGCHECKS, *_LABELCHECKS),
    4: _VIEWCHECKS,
    5: _PRIVATECHECKS,
}
_SEARCHCHECKS = (
    (
        'push {} is not found by its words',
        'SELECT id FROM push WHERE id NOT IN ({found})',
    ),
    (
        'push {} is found by its words but not recorded',
        '{found} EXCEPT SELECT id FROM push',
    ),
)


def find(sql: Sql) -> list[str]:
    """Return what is wrong, in sentences."""
    found: list[str] = []
    with _noting(sql, found):
        for text in sql.dialect.integrity(sql, _MOST):
            found.append(f'{sql.dialect.name} finds damage: {text}')
    for text, statement in _checks(sql):
        with _noting(sql, found):
            rows = sql.all(f'{statement} LIMIT {_MOST}')
            found += [text.format(_shown(row[0])) for row in rows]
    with _noting(sql, found):
        found += itertools.islice(_contents(sql), _MOST)
    return list(dict.fromkeys(found))


@contextlib.contextmanager
def _noting(sql: Sql, found: list[str]) -> Iterator[None]:
    """Go on after what cannot be read."""
    try:
        yield
    except Exception as exc:
        if not sql.dialect.isdamage(exc):
            raise
        found.append(f'{sql.dialect.name} cannot read all of it: {exc}')


def _checks(sql: Sql) -> Iterator[tuple[str, str]]:
    yield from _CHECKS
    for version, checks in _LATERCHECKS.items():
        if sql.version >= version:
            yield from checks
    # the last, as the table may be too damaged to be looked at
    ids = sql.dialect.search.ids()
    for text, statement in _SEARCHCHECKS:
        yield text, statement.format(found=ids)


def _shown(value: object) -> object:
    """Return what stands for an id, a name or the key of a bundle."""
    return value.hex()[:12] if isinstance(value, bytes) else value


# -- changesets


def _contents(sql: Sql) -> Iterator[str]:
    """Compare what finds changesets with what the bundles hold."""
    holders = batches(sql.all(_HOLDERS), _TOGETHER)
    first = -pushes.LAST
    # once more for what comes after the last
    for batch in itertools.chain(holders, [[]]):
        last = batch[-1][0] if batch else pushes.LAST
        found = _sums(sql, first, last)
        for some in batches(batch, _COMPARED):
            yield from _compared(sql, some, found)
        for push in sorted(found):
            yield (
                f'there are changesets of push {push}, which is not recorded'
            )
        first = last + 1


def _sums(sql: Sql, first: int, last: int) -> dict[int, int]:
    """Return for each push what shows whether two sets of rows differ."""
    found: dict[int, int] = {}
    bounds = [b'', b'\xff' * 99]
    row = sql.one(
        f'SELECT count(*) FROM (SELECT 1 FROM node LIMIT {_ATONCE}) AS few'
    )
    if row and row[0] == _ATONCE:
        # not all rows at once, as there may be millions
        bounds[1:1] = [bytes([n]) for n in range(1, 256)]
    for least, beyond in zip(bounds, bounds[1:]):
        for node, place, push in sql.all(
            """SELECT node, place, push FROM node
            WHERE node >= ? AND node < ? AND push BETWEEN ? AND ?""",
            (least, beyond, first, last),
        ):
            found[push] = found.get(push, 0) + hash((node, place))
    return found


def _compared(
    sql: Sql,
    holders: list[tuple[int, int]],
    found: dict[int, int],
) -> Iterator[str]:
    """Take what is expected out of ``found``, and tell what is not."""
    ids = sorted({bundle for _push, bundle in holders})
    below = bundles.below(sql, ids)
    heads = bundles.heads(sql, ids)
    expected = {}
    for id, digest, size, nodes in sql.many(
        'SELECT id, digest, size, nodes FROM bundle WHERE id IN ({marks})', ids
    ):
        key = _shown(digest)
        if len(nodes) % bundles.NODE:
            yield f'the changesets of bundle {key} are cut off'
        bundle = bundles.Found(id, size, nodes, below.get(id, b''))
        places = bundles.places(bundle, [head.node for head in heads[id]])
        if any(places.get(head.node) != 0 for head in heads[id]):
            yield f'bundle {key} has a head that it does not hold'
        expected[id] = sum(hash(place) for place in places.items())
    for push, id in holders:
        its = found.pop(push, 0)
        if id in expected and its != expected[id]:
            yield (
                f'the changesets of push {push} are not found as they should be'
            )
