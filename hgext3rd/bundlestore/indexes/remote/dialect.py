"""What dialects of servers of databases have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from ... import errors
from . import search as searching

if TYPE_CHECKING:
    from ..sql.dialect import Search, Sql


class Dialect:
    """See ``sql/dialect.py``."""

    search: Search = searching
    #: What the server calls an error; those that mean damage; that one
    #: transaction was in the way of another; that the tables may be others.
    code: Callable[[Exception], object]
    damages: Collection[object]
    intheway: Collection[object]
    foreign: Collection[object]

    def mayretry(self, exc: Exception) -> bool:
        return self.code(exc) in self.intheway

    def isforeign(self, exc: Exception) -> bool:
        return self.code(exc) in self.foreign

    def integrity(self, sql: Sql, most: int) -> Iterator[str]:
        """The server looks after that itself."""
        return iter(())

    def isdamage(self, exc: Exception) -> bool:
        return isinstance(exc, errors.DamagedIndex) or (
            self.code(exc) in self.damages
        )

    def damage(self, text: str) -> Exception:
        return damage(text)


def damage(text: str) -> errors.DamagedIndex:
    return errors.DamagedIndex(
        f'bundle index is damaged: {text}',
        "run 'hg admin::bundlestore-verify --repair' on the server",
    )


def lost(text: str) -> errors.BackendUnavailable:
    return errors.BackendUnavailable(
        f'bundle index was lost: {text}', 'try again later'
    )


def locked() -> errors.BackendUnavailable:
    return errors.BackendUnavailable(
        'bundle index was locked for too long',
        'try again later; another process is writing to it, or stands'
        ' still while it does',
    )


def late() -> errors.BackendUnavailable:
    return errors.BackendUnavailable(
        'bundle index took too long to answer', 'try again later'
    )


def like(pattern: str) -> str:
    """Return the value of a LIKE that finds what a pattern of bookmarks
    matches."""
    escaped = re.sub(r'([\\%_])', r'\\\1', pattern)
    return re.sub(r'\*+', '%', escaped).replace('?', '_')
