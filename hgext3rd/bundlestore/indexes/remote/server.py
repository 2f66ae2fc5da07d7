"""What the rooms here ask of a server of databases, and of its driver.

The classes are there for who reads, and for mypy: nothing loads this room.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional, Protocol

from ... import errors
from ..sql.dialect import Row, Search, Sql, Values

#: a statement in the words of the database, with its values
Told = tuple[str, Values]
Script = Sequence[Told]


class Session(Protocol):
    """A connection. One thread at a time uses it. What the driver raises comes
    out; the server is asked what it means. One that does not answer at all is
    ``silence.Silent``."""

    #: whether an answer may take as long as it takes
    patient: bool

    def fetch(self, script: Script) -> list[Row]:
        """Run statements in one round trip, and return the rows of the last
        one, if it has any."""

    def rollback(self) -> None:
        """End the transaction, if there is one. Whatever is wrong, nothing
        comes out: the connection is lost then."""

    @property
    def lost(self) -> bool:
        """Whether it is of no use any more."""

    def close(self) -> None:
        """End it."""

    def disarm(self) -> None:
        """See to it that nothing this process does reaches the server, as the
        connection is that of its parent."""


class Server(Protocol):
    """A database on a server: how it is reached, and what is particular about
    it. It has what ``sql/dialect.py`` asks of a dialect, and this."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def key(self) -> object:
        """What tells it from others, for those that share connections."""

    # -- its words

    #: what the types of columns are called, see ``tables.py``
    types: Mapping[str, str]
    #: whether a table is made with its indexes, and not they after it
    keysinside: bool
    #: begins to read, all of it at one point in time
    snapshot: Script
    #: begins to write, where each statement sees what others committed
    begin: Script
    #: follows a SELECT whose rows nobody else may lock, and one whose rows
    #: others may lock so, too
    forupdate: str
    forshare: str
    #: a SELECT that fails unless ``gate`` has the version of the tables
    guard: str
    #: have the rest of a transaction take its time, and not wait for the disk
    patience: Script
    haste: Script

    def words(self, statement: str) -> str:
        """Put a statement into the words of the database."""

    # -- sessions

    def connect(self) -> Session:
        """Raises ``BackendUnavailable``."""

    @property
    def error(self) -> type[Exception]:
        """What the driver raises."""

    def islost(self, exc: Exception) -> bool:
        """Whether an error means that the connection was lost."""

    def mayretry(self, exc: Exception) -> bool:
        """Whether an error means that a transaction was in the way of
        another, and may be tried again."""

    def isforeign(self, exc: Exception) -> bool:
        """Whether an error may mean that the tables are not those that this
        release knows."""

    def trouble(self, exc: Exception) -> Optional[errors.BundleStoreError]:
        """Return what an error means, None if the caller made a mistake."""

    # -- tables

    #: a SELECT of a row where there is a table ``gate``
    exists: str

    def absence(self, session: Session) -> errors.BundleStoreError:
        """Return what is to be said where there are no tables."""

    def prepare(self, session: Session) -> None:
        """See to it that there is a place for the tables, and that nobody
        else makes them at the same time; a transaction is open."""

    def size(self) -> str:
        """A SELECT of how many bytes the tables take."""

    # -- see ``sql/dialect.py``

    @property
    def search(self) -> Search:
        """What finds texts: ``search.py``."""

    @property
    def skips(self) -> bool:
        """Whether SELECT DISTINCT skips what comes again."""

    def glob(self, column: str, pattern: str) -> Optional[tuple[str, Any]]:
        """Return a condition for names that match."""

    def integrity(self, sql: Sql, most: int) -> Iterator[str]:
        """Return what is wrong with the database itself."""

    def isdamage(self, exc: Exception) -> bool:
        """Whether an error means damage."""

    def damage(self, text: str) -> Exception:
        """Return such an error."""
