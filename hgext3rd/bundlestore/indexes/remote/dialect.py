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
    #: what the server calls an error, and those that mean damage
    code: Callable[[Exception], object]
    damages: Collection[object]

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


def like(pattern: str) -> str:
    """Return the value of a LIKE that finds what a pattern of bookmarks
    matches."""
    escaped = re.sub(r'([\\%_])', r'\\\1', pattern)
    return re.sub(r'\*+', '%', escaped).replace('?', '_')
