"""What users hold, and what the index holds in all.

A bundle counts once for each user that has a push of it, and for nobody when
it is only there because others rest on it. All of it happens in the
transaction of the caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ... import errors, model
from ...records import NamedTuple
from . import bundles, privacy

if TYPE_CHECKING:
    from .dialect import Sql

#: What a user holds, computed from the pushes.
HELD = """
SELECT held.username AS username, sum(held.pushes) AS pushes,
    sum(bundle.size) AS size
FROM (
    SELECT username, bundle, count(*) AS pushes FROM push
    GROUP BY bundle, username
) AS held
CROSS JOIN bundle ON bundle.id = held.bundle
GROUP BY held.username
"""
_HAS = 'SELECT 1 FROM push WHERE bundle = ? AND username = ? LIMIT 1'


# -- how it changes


def pushed(sql: Sql, user: str, more: int, isholder: bool) -> None:
    """Note that a user gets one more push, and holds so many bytes more."""
    if not isholder:
        sql.insert('holder', [(user, 1, more)])
        return
    sql.run(
        'UPDATE holder SET pushes = pushes + 1, size = size + ?'
        ' WHERE username = ?',
        (more, user),
    )


def pushedmany(sql: Sql, many: Iterable[tuple[str, int]]) -> None:
    """Note pushes of bundles that are new, each with its user and size."""
    more: dict[str, tuple[int, int]] = {}
    for user, size in many:
        count, total = more.get(user, (0, 0))
        more[user] = count + 1, total + size
    rows = sql.many(
        'SELECT username, pushes, size FROM holder WHERE username IN ({marks})',
        more,
    )
    sql.each('DELETE FROM holder WHERE username IN ({marks})', more)
    for user, count, size in rows:
        before = more[user]
        more[user] = before[0] + count, before[1] + size
    sql.insert('holder', [(user, *its) for user, its in more.items()])


def unpushed(sql: Sql, user: str, bundle: int) -> None:
    """Note that a user has one push of a bundle less; its row is gone."""
    less = 0
    if not _has(sql, user, bundle):
        row = sql.one('SELECT size FROM bundle WHERE id = ?', (bundle,))
        less = row[0] if row else 0
    sql.run(
        'UPDATE holder SET pushes = pushes - 1, size = size - ?'
        ' WHERE username = ?',
        (less, user),
    )
    sql.run('DELETE FROM holder WHERE username = ? AND pushes < 1', (user,))


def recount(sql: Sql, user: str) -> None:
    """Compute what a user holds from the pushes."""
    sql.run('DELETE FROM holder WHERE username = ?', (user,))
    row = sql.one(
        """SELECT sum(held.pushes), sum(bundle.size)
        FROM (
            SELECT bundle, count(*) AS pushes FROM push
            WHERE username = ? GROUP BY bundle
        ) AS held
        CROSS JOIN bundle ON bundle.id = held.bundle""",
        (user,),
    )
    if row and row[0]:
        # some databases have other numbers for sums
        sql.insert('holder', [(user, int(row[0]), int(row[1]))])


class Held(NamedTuple):
    """What a user holds, where there is a quota."""

    size: int
    #: scratch bookmarks
    marks: int
    #: whether the user has a push of the bundle that is to come
    has: bool

    def more(self, user: str, size: int, quota: int) -> Held:
        """Return what it would be with a bundle of that size; raises
        ``QuotaExceeded``."""
        if self.has or not size:
            return self
        if self.size + size > quota:
            raise errors.QuotaExceeded(user, quota, self.size, size)
        return self._replace(size=self.size + size)

    def checkmarks(self, user: str, more: int, quota: int) -> None:
        """Raise ``QuotaExceeded`` if there would be more scratch bookmarks,
        and there is no room for them."""
        if more <= 0:
            return
        held = self.size + self.marks * model.MARK_SIZE
        size = more * model.MARK_SIZE
        if held + size > quota:
            raise errors.QuotaExceeded(user, quota, held, size, self.marks)


def held(sql: Sql, user: str, bundle: int = 0) -> Held:
    """Return what a user holds, and whether that bundle is among it."""
    row = sql.one(
        """SELECT (SELECT size FROM holder WHERE username = ?),
            (SELECT count(*) FROM bookmark WHERE username = ?),
            EXISTS (SELECT 1 FROM push WHERE bundle = ? AND username = ?)""",
        (user, user, bundle, user),
    )
    size, marks, has = row or (0, 0, False)
    return Held(size or 0, marks, bool(has))


def _has(sql: Sql, user: str, bundle: int) -> bool:
    return sql.one(_HAS, (bundle, user)) is not None


# -- what it is


def of(sql: Sql, user: str) -> model.Usage:
    row = sql.one('SELECT pushes, size FROM holder WHERE username = ?', (user,))
    return model.Usage(user, *(row or (0, 0)))


def everybody(sql: Sql, public: bool) -> list[model.Usage]:
    """Return what users hold; with ``public``, of those who made a push that
    everybody sees."""
    condition = ''
    if public:
        condition = (
            ' WHERE EXISTS (SELECT 1 FROM push'
            ' WHERE push.username = holder.username'
            f' AND {privacy.ispublic(sql, "push.bundle")})'
        )
    rows = sql.all(
        f'SELECT username, pushes, size FROM holder{condition}'
        ' ORDER BY size DESC, username'
    )
    return [model.Usage(*row) for row in rows]


def times(sql: Sql, user: str, since: float, limit: int) -> list[float]:
    rows = sql.all(
        ' UNION ALL '.join(
            f'SELECT * FROM (SELECT time FROM {table}'
            f' INDEXED BY {table}_user_time WHERE username = ? AND time > ?'
            f' ORDER BY time LIMIT ?) AS {table}_times'
            for table in ('push', 'event')
        ),
        2 * (user, since, limit),
    )
    return sorted(time for (time,) in rows)[:limit]


def statistics(sql: Sql, indexsize: int) -> model.Statistics:
    def one(statement: str) -> Any:
        return sql.one(statement)

    (pushes,) = one('SELECT count(*) FROM push')
    (users,) = one('SELECT count(*) FROM holder')
    (bookmarks,) = one('SELECT count(*) FROM bookmark')
    (pinned,) = one('SELECT count(*) FROM pin')
    # The length of a blob is known without reading it, to SQLite.
    count, size, nodes = one(
        'SELECT count(*), coalesce(sum(size), 0),'
        ' coalesce(sum(length(nodes)), 0) FROM bundle'
    )
    oldest, newest = one(
        'SELECT (SELECT min(time) FROM push), (SELECT max(time) FROM push)'
    )
    return model.Statistics(
        pushes,
        pinned,
        users,
        bookmarks,
        count,
        int(size),
        int(nodes) // bundles.NODE,
        oldest,
        newest,
        indexsize,
    )
