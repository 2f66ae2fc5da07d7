"""Private bundles: which of them somebody sees.

A bundle is that of one view, or everybody's: bundles of different views are
never the same, see ``model.NewPush.private``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Optional

from ...records import NamedTuple

if TYPE_CHECKING:
    from .dialect import Sql

#: the version of the tables that this came with
SINCE = 5

_HOLDING = """
SELECT DISTINCT private.uid FROM node AS n
LEFT JOIN push ON push.id = n.push
LEFT JOIN kept ON kept.push = n.push AND push.id IS NULL
CROSS JOIN private ON private.bundle = coalesce(push.bundle, kept.bundle)
WHERE n.node IN ({marks})
"""
_UNSEEN = """
SELECT push.id FROM private CROSS JOIN push ON push.bundle = private.bundle
WHERE push.id >= ?
AND NOT EXISTS (SELECT 1 FROM viewnow WHERE viewnow.uid = private.uid)
ORDER BY push.id LIMIT ?
"""


class Viewer(NamedTuple):
    """Who looks at an index."""

    #: empty: nobody in particular
    user: str
    #: nothing private but what is of this view
    only: Optional[str] = None

    def sees(self, sql: Sql, uids: Iterable[str]) -> set[str]:
        """Return those of the views whose bundles this one sees."""
        wanted = set(uids)
        if self.only is not None:
            wanted &= {self.only}
        if not wanted or not self.user:
            return set()
        # most processes need neither
        from ... import viewmodel
        from . import viewrows

        found = viewrows.summaries(sql, wanted)
        return {v.uid for v in found if viewmodel.maylook(v, self.user)}


def uidof(sql: Sql, bundle: str) -> str:
    """Return what selects the view of a bundle, whose number is ``bundle``."""
    if sql.version < SINCE:
        return 'NULL'
    return f'(SELECT uid FROM private WHERE private.bundle = {bundle})'


def ispublic(sql: Sql, bundle: str) -> str:
    """Return a condition for a bundle that everybody sees."""
    if sql.version < SINCE:
        return '1 = 1'
    return f'NOT EXISTS (SELECT 1 FROM private WHERE private.bundle = {bundle})'


def isseen(sql: Sql, bundle: str, uids: Iterable[str]) -> str:
    """Return a condition for a bundle that one sees who sees what is of these
    views."""
    shown = ', '.join(f"'{uid}'" for uid in sorted(uids))
    its = f'SELECT 1 FROM private WHERE private.bundle = {bundle}'
    if shown:
        its += f' AND private.uid NOT IN ({shown})'
    return f'NOT EXISTS ({its})'


def holding(sql: Sql, nodes: Iterable[bytes]) -> set[str]:
    """Return the views of which there are private bundles with one of these
    changesets."""
    return {uid for (uid,) in sql.many(_HOLDING, nodes)}


def unseen(sql: Sql, first: int, limit: int) -> list[int]:
    """Return the pushes of which nobody sees anything, as their views are not
    recorded."""
    if sql.version < SINCE:
        return []
    return [id for (id,) in sql.all(_UNSEEN, (first, limit))]


def hides(sql: Sql) -> str:
    """Return what selects whether any bundle is private."""
    if sql.version < SINCE:
        return '0'
    # the end of an index, which is less to look for than any row
    return '(SELECT max(bundle) FROM private) > 0'
