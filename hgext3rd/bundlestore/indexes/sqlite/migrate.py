"""Makes the tables of the index ``file``, new or from those of old releases.

All of it happens in the transaction of the caller.
"""

from __future__ import annotations

import sqlite3

from ..sql import bundles
from . import schema, search


def create(sql: sqlite3.Connection) -> None:
    """Make the tables in an empty database."""
    for statement in schema.STATEMENTS:
        sql.execute(statement)
    search.create(sql)


def upgrade(sql: sqlite3.Connection) -> None:
    """Bring the tables of an older version up to date; nothing is lost.

    From version 1 it takes about a minute for a million pushes, in which
    nobody else can record one; from later versions some seconds.
    """
    if schema.version(sql) == 1:
        _second(sql)
    if schema.version(sql) < schema.RESTS:
        for statement in schema.THIRD:
            sql.execute(statement)
    if schema.version(sql) < schema.USAGE:
        for statement in schema.FOURTH:
            sql.execute(statement)
    for statement in schema.FIFTH:
        sql.execute(statement)


def _second(sql: sqlite3.Connection) -> None:
    for statement in schema.SECOND:
        sql.execute(statement)
    search.create(sql)
    pushes = sql.execute('SELECT id, user, bundle FROM push ORDER BY id')
    while True:
        rows = pushes.fetchmany(bundles.BATCH)
        if not rows:
            break
        found = bundles.texts(sql, {bundle for _id, _user, bundle in rows})
        for id, user, bundle in rows:
            search.add(sql, id, user, found[bundle])
