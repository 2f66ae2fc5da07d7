"""Labels: by what pushes are listed besides user, words, time and changeset.

A push has one for how it went, ``s`` and a number that is the higher the worse
it went, and one for each of its branches, ``t`` and the name.

All of it happens in the transaction of the caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Optional

from ...model import OUTCOMES
from . import details

if TYPE_CHECKING:
    from .dialect import Sql

#: the version of the tables that this came with
SINCE = 3

_NOTHING = 's0'
#: the label for how the push ``push.id`` went
OUTCOME = (
    "coalesce((SELECT max(CASE status.state WHEN 'success' THEN 's1'"
    " WHEN 'pending' THEN 's2' WHEN 'failure' THEN 's3' ELSE 's4' END)"
    f" FROM status WHERE status.push = push.id), '{_NOTHING}')"
)
#: gives pushes of an older release one for how they went; where their heads
#: are nobody knows before their bundles are read
FILL = f'INSERT INTO label SELECT {OUTCOME}, push.id FROM push'
#: selects branches as ``Sql.together`` wants it
BRANCHES = (
    'SELECT push, 0, ? AS one, ? AS other, name FROM label'
    " WHERE push IN ({marks}) AND name >= 't'"
)

# So many pushes are few.
_FEW = 1000


def branch(label: str) -> str:
    """Return the name of the branch that a label is for."""
    return label[1:]


def wanted(status: Optional[str], branch: Optional[str]) -> list[str]:
    """Return the labels of pushes of one of ``model.OUTCOMES`` and of a
    branch; None is any. Raises ``ValueError``."""
    found = []
    if status is not None:
        if status not in OUTCOMES:
            raise ValueError(f'no push can go like this: {status!a}')
        found.append(f's{OUTCOMES.index(status)}')
    if branch is not None:
        found.append(f't{branch}')
    return found


def add(sql: Sql, id: int, branches: Iterable[str]) -> None:
    """Give a push its labels that has no statuses."""
    labels = [_NOTHING, *(f't{name}' for name in branches)]
    sql.insert('label', [(label, id) for label in labels])


def restore(sql: Sql, id: int, branches: Iterable[str]) -> None:
    """Give a push its labels, whatever it has."""
    sql.run('DELETE FROM label WHERE push = ?', (id,))
    add(sql, id, branches)
    setoutcome(sql, id)


def setoutcome(sql: Sql, id: int) -> None:
    """Have a push listed by how it went."""
    sql.run("DELETE FROM label WHERE push = ? AND name < 't'", (id,))
    sql.run(f'{FILL} WHERE push.id = ?', (id,))


def condition(sql: Sql, label: str, id: str) -> str:
    """Return the condition that a push has the label, which is the value in
    it; ``id`` is that of the push."""
    if sql.version >= SINCE:
        return (
            'EXISTS (SELECT 1 FROM label AS other'
            f' WHERE other.name = ? AND other.push = {id})'
        )
    # a file of an older release, until something is written
    if label.startswith('t'):
        return "? = ''"
    return f'{OUTCOME if sql.version >= details.SINCE else repr(_NOTHING)} = ?'


def israre(sql: Sql, label: str, first: int, last: int) -> bool:
    """Whether few pushes in a range of ids have the label."""
    ((count,),) = sql.all(
        'SELECT count(*) FROM (SELECT 1 FROM label WHERE name = ?'
        f' AND push BETWEEN ? AND ? LIMIT {_FEW}) AS few',
        (label, first, last),
    )
    return bool(count < _FEW)
