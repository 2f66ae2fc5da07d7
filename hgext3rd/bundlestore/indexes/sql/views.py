"""Views: named records of what somebody looks at, see ``viewmodel.py``.

What a view is now has a row for each head and each bookmark, so that a change
writes what changed. Of each version is kept how it came about; earlier ones
are found from there backwards.

Loaded late: most processes need none of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Optional, Union

from ... import errors, model, viewmodel
from ...records import NamedTuple
from ...viewmodel import View, ViewChange, ViewCounts, ViewSummary
from . import bundles, lookups, privacy, viewrows

if TYPE_CHECKING:
    from .dialect import Database, Sql, Values

#: no view is older
_EVER = -1e300

# However many views have the same head, one is enough. With a limit, each node
# is looked up, and the tables are not read from end to end.
_VIEWED = """
WITH bound (since) AS (SELECT ?), wanted (node) AS (VALUES {marks})
SELECT node FROM wanted WHERE (
    SELECT 1 FROM viewnode INDEXED BY viewnode_node
    CROSS JOIN viewnow ON viewnow.id = viewnode.viewid
    WHERE viewnode.node = wanted.node AND viewnow.dropped = 0
    AND viewnow.time >= (SELECT since FROM bound) LIMIT 1
) = 1
"""
_OLD = """
SELECT (SELECT uid FROM viewnow WHERE viewnow.id = viewid), max(version)
FROM viewlog WHERE time < ? GROUP BY viewid HAVING count(*) > 1
"""

_COUNT = """
SELECT count(*), coalesce(sum(dropped), 0), coalesce(sum(
    CASE WHEN dropped = 0 AND name >= ? AND name < ? THEN 1 ELSE 0 END
), 0) FROM viewnow
"""


class _Plan(NamedTuple):
    """A change that is about to be made."""

    #: the number of the view in the tables, 0 for a new one
    id: int
    before: Optional[View]
    after: View

    @property
    def isnothing(self) -> bool:
        return self.before is self.after


class Views:
    """The views of an index, see ``interfaces.IViews``."""

    def __init__(
        self, database: Database, viewer: Optional[privacy.Viewer]
    ) -> None:
        self._database = database
        self._viewer = viewer

    def put(self, view: View, expected: int) -> View:
        view.check()
        new = view._replace(
            uid=view.uid or os.urandom(model.UID_LENGTH // 2).hex(),
            version=expected + 1,
            time=float(view.time),
        )
        done = self._database.share(
            lambda sql: _plan(sql, new, expected, isnew=not view.uid),
            None,
            _apply,
            _isapplied,
        )
        return done.after

    def forget(self, uid: str, before: int) -> None:
        if self.get(uid) is not None:
            self._database.share(
                lambda sql: _locked(sql, uid),
                None,
                lambda sql, found: _forget(sql, found, before),
            )

    def remove(self, uid: str, version: Optional[int]) -> None:
        if self.get(uid) is not None:
            self._database.share(
                lambda sql: _locked(sql, uid, version),
                None,
                lambda sql, found: (
                    viewrows.remove(sql, found[0]) if found else None
                ),
            )

    def restore(self, view: View, log: Sequence[ViewChange]) -> None:
        view.check()
        if not model.isuid(view.uid):
            raise ValueError('a view that is restored has an id')
        self._database.write(lambda sql: _restore(sql, view, log))

    def get(self, uid: str) -> Optional[View]:
        return self._get('uid = ?', (uid,)) if model.isuid(uid) else None

    def named(self, owner: str, name: str) -> Optional[View]:
        if not model.istext(owner + name):
            return None
        return self._get('owner = ? AND name = ?', (owner, name))

    def _get(self, condition: str, values: Values) -> Optional[View]:
        found = self._database.read(
            lambda sql: viewrows.find(sql, condition, values), None
        )
        return found[1] if found and self._isseen(found[1]) else None

    def _isseen(self, view: Union[View, ViewSummary]) -> bool:
        viewer = self._viewer
        return viewer is None or viewmodel.maylook(view, viewer.user)

    def at(self, uid: str, version: int) -> Optional[View]:
        def find(sql: Sql) -> Optional[View]:
            found = viewrows.find(sql, 'uid = ?', (uid,))
            if found is None:
                return None
            id, now = found
            if not self._isseen(now):
                return None
            changes = viewrows.changes(sql, id, now.owner, since=version)
            return viewmodel.before(now, changes, version)

        if not model.isuid(uid) or not 0 < version <= viewrows.LAST:
            return None
        return self._database.read(find, None)

    def log(
        self, uid: str, before: Optional[int], limit: Optional[int]
    ) -> list[ViewChange]:
        def find(sql: Sql) -> list[ViewChange]:
            if sql.version < viewrows.SINCE:
                return []
            row = sql.one('SELECT id, owner FROM viewnow WHERE uid = ?', (uid,))
            its = viewrows.summaries(sql, [uid])
            if row is None or not all(map(self._isseen, its)):
                return []
            id, owner = row
            return viewrows.changes(sql, id, owner, before, limit=limit)

        return self._database.read(find, []) if model.isuid(uid) else []

    def every(
        self,
        owner: Optional[str],
        prefix: str,
        after: Optional[tuple[str, str]],
        limit: Optional[int],
    ) -> list[ViewSummary]:
        most = viewrows.number(limit)
        texts = (owner or '', prefix, *(after or ()))
        if not all(map(model.istext, texts)):
            return []
        found: list[ViewSummary] = []
        while len(found) < most:
            left = most - len(found)
            page = self._page(owner, prefix, after, left)
            found += filter(self._isseen, page)
            if len(page) < left:
                break
            after = page[-1].owner, page[-1].name
        return found

    def _page(
        self,
        owner: Optional[str],
        prefix: str,
        after: Optional[tuple[str, str]],
        most: int,
    ) -> list[ViewSummary]:
        return self._database.read(
            lambda sql: _every(sql, owner, prefix, after, most),
            [],
            brief=owner is not None or after is None,
        )

    def viewed(
        self, nodes: Iterable[bytes], since: Optional[float]
    ) -> set[bytes]:
        wanted = list(dict.fromkeys(nodes))
        least = _EVER if since is None else float(since)

        def find(sql: Sql) -> set[bytes]:
            if sql.version < viewrows.SINCE:
                return set()
            return {node for (node,) in sql.many(_VIEWED, wanted, (least,))}

        return self._database.read(find, set(), brief=True) if wanted else set()

    def count(self) -> ViewCounts:
        def find(sql: Sql) -> ViewCounts:
            if sql.version < viewrows.SINCE:
                return ViewCounts(0, 0, 0)
            prefix = viewmodel.BACKUP
            values = (prefix, lookups.beyond(prefix))
            every, dropped, backups = map(int, sql.all(_COUNT, values)[0])
            return ViewCounts(every - dropped - backups, backups, dropped)

        return self._database.read(find, ViewCounts(0, 0, 0), patient=True)

    def old(self, before: float) -> dict[str, int]:
        def find(sql: Sql) -> dict[str, int]:
            if sql.version < viewrows.SINCE:
                return {}
            rows = sql.all(_OLD, (float(before),))
            return {uid: version for uid, version in rows if uid}

        return self._database.read(find, {}, patient=True)


def _plan(sql: Sql, view: View, expected: int, isnew: bool) -> _Plan:
    sql.lock([f'view {view.uid}', f'view {view.owner}/{view.name}'])
    id, before = viewrows.find(sql, 'uid = ?', (view.uid,)) or (0, None)
    if before is not None:
        if before.owner != view.owner:
            raise ValueError('a view keeps its owner')
        if before.private != view.private:
            raise ValueError('a view stays private, or stays not private')
        if before.what == view.what:
            return _Plan(id, before, before)
    elif not isnew:
        raise errors.ViewMoved(None)
    if expected != (before.version if before else 0):
        raise errors.ViewMoved(before)
    _checkname(sql, view)
    return _Plan(id, before, view)


def _checkname(sql: Sql, view: View) -> None:
    row = sql.one(
        'SELECT uid FROM viewnow WHERE owner = ? AND name = ?',
        (view.owner, view.name),
    )
    if row is not None and row[0] != view.uid:
        found = viewrows.find(sql, 'uid = ?', row)
        assert found is not None
        raise errors.ViewExists(found[1])


def _apply(sql: Sql, plan: _Plan) -> _Plan:
    if plan.isnothing:
        return plan
    id, before, after = plan
    if before is None:
        id = bundles.highest(sql, 'viewnow', 'id') + 1
    viewrows.replace(sql, id, before, after)
    return plan._replace(id=id)


def _isapplied(sql: Sql, plan: _Plan) -> bool:
    """Whether a change was made whose end nobody saw."""
    found = viewrows.find(sql, 'uid = ?', (plan.after.uid,))
    if found is None:
        return False
    id, now = found
    changes = viewrows.changes(
        sql, id, now.owner, plan.after.version + 1, limit=1
    )
    return changes == [viewmodel.change(plan.before, plan.after)]


def _forget(sql: Sql, found: Optional[tuple[int, View]], before: int) -> None:
    if found is None:
        return
    id, now = found
    its = (sql, id, now.owner)
    changes = viewrows.changes(*its, since=min(before, now.version))
    oldest = changes[-1].version if changes else now.version
    kept = viewmodel.before(now, changes, oldest)
    if kept is None or not viewrows.changes(*its, before=oldest, limit=1):
        return
    # the oldest that stays comes from nothing
    sql.run(
        'DELETE FROM viewlog WHERE viewid = ? AND version <= ?', (id, oldest)
    )
    viewrows.addlog(sql, id, viewmodel.change(None, kept))


def _locked(
    sql: Sql, uid: str, version: Optional[int] = None
) -> Optional[tuple[int, View]]:
    """Return a view that nobody else changes meanwhile."""
    sql.lock([f'view {uid}'])
    found = viewrows.find(sql, 'uid = ?', (uid,))
    if found and version is not None and found[1].version != version:
        raise errors.ViewMoved(found[1])
    return found


def _restore(sql: Sql, view: View, log: Sequence[ViewChange]) -> None:
    _checkname(sql, view)
    row = sql.one('SELECT id FROM viewnow WHERE uid = ?', (view.uid,))
    id = row[0] if row else bundles.highest(sql, 'viewnow', 'id') + 1
    # whatever is left there by damage, too
    viewrows.remove(sql, id)
    viewrows.add(sql, id, view, log)


def _every(
    sql: Sql,
    owner: Optional[str],
    prefix: str,
    after: Optional[tuple[str, str]],
    most: int,
) -> list[ViewSummary]:
    if sql.version < viewrows.SINCE:
        return []
    if owner is not None:
        if after is None or after[0] < owner:
            return _listed(sql, prefix, most, 'owner = ?', owner)
        if after[0] > owner:
            return []
        return _listed(
            sql, prefix, most, 'owner = ? AND name > ?', owner, after[1]
        )
    if after is None:
        return _listed(sql, prefix, most, '1 = 1')
    # each part in the order of the rows, from a place on
    found = _listed(sql, prefix, most, 'owner = ? AND name > ?', *after)
    most -= len(found)
    return found + _listed(sql, prefix, most, 'owner > ?', after[0])


def _listed(
    sql: Sql, prefix: str, most: int, condition: str, *values: str
) -> list[ViewSummary]:
    if prefix:
        condition += ' AND name >= ?'
        values += (prefix,)
    beyond = lookups.beyond(prefix)
    if beyond:
        condition += ' AND name < ?'
        values += (beyond,)
    rows = sql.all(
        f'SELECT {viewrows.SUMMARY} FROM viewnow WHERE {condition}'
        ' ORDER BY owner, name LIMIT ?',
        (*values, most),
    )
    return [viewrows.summary(row) for row in rows]
