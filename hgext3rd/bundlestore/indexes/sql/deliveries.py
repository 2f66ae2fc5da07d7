"""How far others were told of the pushes: the state of web hooks.

All of it happens in the transaction of the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import model
from . import privacy

if TYPE_CHECKING:
    from .dialect import Sql

#: the version of the tables that this came with
SINCE = 3

_ALL = """
SELECT name, told, attempts, again, trouble, worker, lease, edition
FROM delivery
"""


def find(sql: Sql) -> dict[str, model.Delivery]:
    if sql.version < SINCE:
        return {}
    return {row[0]: model.Delivery(*row) for row in sql.all(_ALL)}


def edition(sql: Sql, name: str) -> int:
    """Return how often that one was changed, which it will not be until the
    end of the transaction."""
    sql.lock([f'delivery {name}'])
    row = sql.one('SELECT edition FROM delivery WHERE name = ?', (name,))
    return row[0] if row else 0


def put(sql: Sql, delivery: model.Delivery, found: int) -> bool:
    """Put it there if it has the edition that was found."""
    if delivery.edition != found:
        return False
    sql.run('DELETE FROM delivery WHERE name = ?', (delivery.name,))
    again = delivery.again
    new = delivery._replace(
        again=None if again is None else float(again),
        lease=float(delivery.lease),
        edition=found + 1,
    )
    sql.insert('delivery', [new])
    return True


def owed(sql: Sql, told: int, public: bool) -> int:
    condition = privacy.ispublic(sql, 'push.bundle') if public else '1 = 1'
    row = sql.one(
        f'SELECT count(*) FROM push WHERE id > ? AND {condition}', (told,)
    )
    return row[0] if row else 0
