"""SQLite's way of what ``sql/dialect.py`` asks for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Optional

from ...batches import batches
from . import schema, search

if TYPE_CHECKING:
    from ..sql import dialect
    from ..sql.dialect import Query, Row, Search, Values

#: how many values go into one statement; SQLite's least limit is 999
BATCH = 500
# The longest pattern that SQLite takes, in bytes. Nobody has a bookmark whose
# name is as long as what that matches.
_LONGEST_PATTERN = 50000


class Dialect:
    """What is particular about SQLite."""

    name = 'SQLite'
    search: Search = search
    skips = False

    def glob(self, column: str, pattern: str) -> Optional[tuple[str, str]]:
        while '**' in pattern:
            pattern = pattern.replace('**', '*')
        # GLOB knows brackets, too
        pattern = pattern.replace('[', '[[]')
        if len(pattern.encode('utf-8')) > _LONGEST_PATTERN:
            return None
        return f'{column} GLOB ?', pattern

    def integrity(self, sql: dialect.Sql, most: int) -> Iterator[str]:
        for (text,) in sql.all(f'PRAGMA integrity_check({most})'):
            if text != 'ok':
                yield text

    def isdamage(self, exc: Exception) -> bool:
        # Nothing comes twice unless rows were lost, there is no text where
        # bytes are expected, and the table of words is ours.
        signs = (
            'malformed',
            'UNIQUE',
            'Could not decode',
            'vtable constructor failed',
        )
        return isinstance(exc, sqlite3.DatabaseError) and any(
            some in str(exc) for some in signs
        )

    def damage(self, text: str) -> Exception:
        return sqlite3.DatabaseError(f'malformed: {text}')


DIALECT = Dialect()


class Sql:
    """A transaction of a connection."""

    dialect = DIALECT

    def __init__(
        self, connection: sqlite3.Connection, version: int = schema.VERSION
    ) -> None:
        self.connection = connection
        self.version = version

    def one(self, statement: str, values: Values = ()) -> Optional[Row]:
        row: Optional[Row] = self.connection.execute(
            statement, values
        ).fetchone()
        return row

    def all(self, statement: str, values: Values = ()) -> list[Row]:
        return self.connection.execute(statement, values).fetchall()

    def together(self, queries: Sequence[Query]) -> list[list[Row]]:
        return [
            self.many(statement, values, first)
            for statement, first, values in queries
        ]

    def lock(self, names: Iterable[str]) -> None:
        """One lock is enough for all, and the transaction has it."""

    def run(self, statement: str, values: Values = ()) -> None:
        self.connection.execute(statement, values)

    def each(
        self, statement: str, values: Iterable[Any], first: Values = ()
    ) -> None:
        self.many(statement, values, first)

    def many(
        self, statement: str, values: Iterable[Any], first: Values = ()
    ) -> list[Row]:
        if isinstance(values, list) and len(values) <= BATCH:
            # as a rule
            return self._some(statement, first, values) if values else []
        found: list[Row] = []
        for batch in batches(values, BATCH):
            found += self._some(statement, first, batch)
        return found

    def _some(
        self, statement: str, first: Values, batch: list[Any]
    ) -> list[Row]:
        marks = ', '.join(['(?)'] * len(batch))
        return self.connection.execute(
            statement.format(marks=marks), [*first, *batch]
        ).fetchall()

    def insert(self, table: str, rows: Sequence[Values]) -> None:
        if rows:
            marks = ', '.join('?' * len(rows[0]))
            self.connection.executemany(
                f'INSERT INTO {table} VALUES ({marks})', rows
            )


class BriefSql(Sql):
    """A connection without a transaction, and how many questions it was
    asked."""

    count = 0

    def one(self, statement: str, values: Values = ()) -> Optional[Row]:
        self.count += 1
        return super().one(statement, values)

    def all(self, statement: str, values: Values = ()) -> list[Row]:
        self.count += 1
        return super().all(statement, values)

    def _some(
        self, statement: str, first: Values, batch: list[Any]
    ) -> list[Row]:
        self.count += 1
        return super()._some(statement, first, batch)
