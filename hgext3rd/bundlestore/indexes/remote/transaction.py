"""A transaction on a server: what is asked, and what waits to be told.

Each message to the server and its answer is a round trip, which is what a
network makes dear. So changes wait until something is asked, and go along.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Optional

from ...batches import batches
from . import tables

if TYPE_CHECKING:
    from ..sql.dialect import Query, Row, Values
    from .server import Script, Server, Session

#: how many values go into one statement, and wait to be told in all
_BATCH = 3000
_WAITING = 60_000


class Another(Exception):
    """A second statement, where there was to be one."""


class Sql:
    """A transaction, see ``sql/dialect.py``. What ``first`` has goes along
    with the first statement. With ``only`` that is the last one, too."""

    #: an older release's tables are not used
    version = tables.VERSION

    def __init__(
        self,
        server: Server,
        session: Session,
        first: Script = (),
        only: bool = False,
    ) -> None:
        self.dialect = server
        self._session = session
        self._waiting = list(first)
        self._values = 0
        self._only = only
        self._asked = False

    # -- asking

    def one(self, statement: str, values: Values = ()) -> Optional[Row]:
        rows = self.all(statement, values)
        return rows[0] if rows else None

    def all(self, statement: str, values: Values = ()) -> list[Row]:
        if self._only and self._asked:
            raise Another
        self._asked = True
        self.later(self.dialect.words(statement), values)
        return self.flush()

    def many(
        self, statement: str, values: Iterable[Any], first: Values = ()
    ) -> list[Row]:
        found: list[Row] = []
        for batch in batches(values, _BATCH):
            found += self.all(_marked(statement, batch), [*first, *batch])
        return found

    def together(self, queries: Sequence[Query]) -> list[list[Row]]:
        found: list[list[Row]] = [[] for _query in queries]
        parts = []
        values: list[Any] = []
        for number, (statement, first, its) in enumerate(queries):
            for batch in batches(its, _BATCH):
                part = _marked(statement, batch)
                parts.append(f'SELECT {number}, part.* FROM ({part}) AS part')
                values += [*first, *batch]
        if parts:
            for number, *row in self.all(' UNION ALL '.join(parts), values):
                found[number].append(tuple(row))
        return found

    # -- telling

    def lock(self, names: Iterable[str]) -> None:
        stripes = {
            zlib.crc32(name.encode('utf-8')) % tables.STRIPES for name in names
        }
        if stripes:
            # all in the same order, so that nobody waits for who waits for him
            those = ', '.join(map(str, sorted(stripes)))
            self.later(
                f'SELECT id FROM stripe WHERE id IN ({those}) ORDER BY id'
                f' {self.dialect.forupdate}'
            )

    def run(self, statement: str, values: Values = ()) -> None:
        self.later(self.dialect.words(statement), values)

    def each(
        self, statement: str, values: Iterable[Any], first: Values = ()
    ) -> None:
        for batch in batches(values, _BATCH):
            self.run(_marked(statement, batch), [*first, *batch])

    def insert(self, table: str, rows: Sequence[Values]) -> None:
        if not rows:
            return
        marks = f'({", ".join("?" * len(rows[0]))})'
        for batch in batches(rows, _BATCH // len(rows[0])):
            self.run(
                f'INSERT INTO {table} VALUES {", ".join([marks] * len(batch))}',
                [value for row in batch for value in row],
            )

    def later(self, statement: str, values: Values = ()) -> None:
        """Have a statement, in the words of the database, go along with what
        comes next."""
        self._waiting.append((statement, values))
        self._values += len(values)
        if self._values > _WAITING:
            self.flush()

    def flush(self) -> list[Row]:
        """Tell the server what waits; return the rows of the last of it."""
        script, self._waiting, self._values = self._waiting, [], 0
        return self._session.fetch(script) if script else []


def _marked(statement: str, batch: Sequence[Any]) -> str:
    return statement.format(marks=', '.join(['(?)'] * len(batch)))
