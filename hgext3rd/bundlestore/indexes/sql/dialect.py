"""What the rooms here ask of a database, and where databases differ.

A statement is written in the words that SQLite takes, and in no others than
those that PostgreSQL and MariaDB take, too. So tables and columns have no
reserved words for names, and a subquery has a name. Three things a database
puts into its own words before it runs a statement:

* ``?``, which stands for a value;
* ``CROSS JOIN … ON``: a join of tables in that very order, for a database that
  would think of another;
* ``INDEXED BY name``: which index finds the rows, for a database that would
  think of another.

The classes are there for who reads, and for mypy: nothing loads this room.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable, Optional, Protocol, TypeVar

T = TypeVar('T')
U = TypeVar('U')

Row = tuple[Any, ...]
Values = Sequence[Any]
#: a statement with ``{marks}``, what goes before and what goes in there
Query = tuple[str, Values, Values]
#: Something to select from, the id of a push in it, a condition, its values.
#: Without the first it is a condition for pushes, with the id ``push.id``.
Match = tuple[str, str, str, Values]


class Sql(Protocol):
    """A transaction. What it returns is whole: no statement goes on while
    another one runs."""

    @property
    def dialect(self) -> Dialect:
        """What is particular about the database."""

    @property
    def version(self) -> int:
        """The version of the tables. A file of an older release keeps its own
        until something is written."""

    def one(self, statement: str, values: Values = ()) -> Optional[Row]:
        """Return the first row, if there is any."""

    def all(self, statement: str, values: Values = ()) -> list[Row]:
        """Return all rows."""

    def many(
        self, statement: str, values: Iterable[Any], first: Values = ()
    ) -> list[Row]:
        """Return all rows of a statement that has ``{marks}`` where any number
        of values go, each in brackets, and ``first`` before them. It runs for
        some of them at a time, each time in an order of its own."""

    def together(self, queries: Sequence[Query]) -> list[list[Row]]:
        """Return the rows of each of several queries, each in any order, and
        at the cost of one where a server is asked. They all select five
        columns of different names: two numbers, bytes twice, and a text; what
        may be NULL in one of them is so in a column of a table."""

    def lock(self, names: Iterable[str]) -> None:
        """See to it that no other transaction goes on that locks one of these
        names, until the end of this one. To be called once, and before
        anything is changed."""

    # What changes something may wait until something is asked, or the end of
    # the transaction: a server is told of some changes at once then.

    def run(self, statement: str, values: Values = ()) -> None:
        """Change something."""

    def each(
        self, statement: str, values: Iterable[Any], first: Values = ()
    ) -> None:
        """Change something, as :meth:`many` does."""

    def insert(self, table: str, rows: Sequence[Values]) -> None:
        """Add whole rows."""


class Dialect(Protocol):
    """What is particular about a database."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def search(self) -> Search:
        """What finds texts."""

    @property
    def skips(self) -> bool:
        """Whether SELECT DISTINCT with ORDER BY, of the first column of an
        index, skips what comes again, and stops at LIMIT."""

    def glob(self, column: str, pattern: str) -> Optional[tuple[str, Any]]:
        """Return a condition, with the value in it, for what
        ``IBundleIndex.bookmarks`` finds; None if that is nothing."""

    def integrity(self, sql: Sql, most: int) -> Iterator[str]:
        """Find out whether the database is what it was written to be; return
        up to so many sentences about what is wrong."""

    def isdamage(self, exc: Exception) -> bool:
        """Whether an error means that the database is not what was written."""

    def damage(self, text: str) -> Exception:
        """Return such an error, where rows do not fit together."""


class Search(Protocol):
    """Finds pushes by the words of their texts, see ``words.py``."""

    def add(self, sql: Sql, id: int, user: str, text: str) -> None:
        """Have a push found."""

    def remove(self, sql: Sql, id: int) -> None:
        """Have a push found no more."""

    def match(self, sql: Sql, words: list[str], user: Optional[str]) -> Match:
        """Return what finds pushes with such words, as ``words.wanted``
        returns them, and of such a user. It may find more of both."""

    def isexact(self, words: list[str]) -> bool:
        """Whether nothing is found but texts that hold the words."""

    def ids(self) -> str:
        """Return a statement that selects the ids of all pushes that can be
        found."""


class Database(Protocol):
    """A database and what an index needs of it.

    Nothing but the exceptions of :mod:`errors` comes out, apart from what is
    told below, and from mistakes in the values that a statement was given.
    """

    def read(
        self,
        query: Callable[[Sql], T],
        absent: T,
        brief: bool = False,
        patient: bool = False,
    ) -> T:
        """Return what ``query`` makes of the database, at one point in time.

        Returns ``absent`` and creates nothing where there is no database yet.
        ``query`` calls no foreign code, and may be called several times. A
        ``brief`` one runs a single statement as a rule; one that is
        ``patient`` may take as long as it takes.
        """

    def write(self, change: Callable[[Sql], T], durable: bool = True) -> T:
        """Apply ``change`` in one transaction, durable when this returns, and
        return what it returns; nothing is changed if it raises. Nobody else
        writes meanwhile.

        ``change`` calls no foreign code, and may be called several times.
        What is not ``durable`` may be lost with the power, until something is
        that comes after it. It is there or not, and whole.
        """

    def share(
        self,
        look: Callable[[Sql], T],
        foreign: Optional[Callable[[T], object]],
        change: Callable[[Sql, T], U],
        ischanged: Optional[Callable[[Sql, U], bool]] = None,
    ) -> U:
        """As :meth:`write`, in steps between which others may write, as long
        as they do not lock the same names.

        * ``look`` locks names and finds out what there is to do; it changes
          nothing.
        * ``foreign`` is called with what that returns, at most once, when
          nothing but a failure of the database can keep the transaction from
          its end; what that raises comes out as it is, and nothing is changed.
        * ``change`` makes the changes. The numbers of pushes that it gives
          become visible in order. It may come before ``foreign`` where there
          is but one lock for all.

        ``look`` and ``change`` are called several times, if at all, only
        before ``foreign`` was. Where nobody knows whether the transaction
        came to its end, ``ischanged`` is asked in another one, with what
        ``change`` returned.
        """

    def size(self) -> int:
        """Return how many bytes the database takes."""

    def close(self) -> None:
        """Let go of resources; they are opened anew when needed."""
