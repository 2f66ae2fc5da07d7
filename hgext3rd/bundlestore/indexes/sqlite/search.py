"""Finds pushes by the beginnings of the words in their texts.

The work is SQLite's FTS5, which every Python that we know of has.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Optional

from ..sql.words import plain
from . import schema

if TYPE_CHECKING:
    from ..sql.dialect import Match, Sql

#: how many words of a query SQLite looks for; the others are only compared
_MOST_WORDS = 20


def add(sql: Sql, id: int, user: str, text: str) -> None:
    words = sorted({w[: schema.LONGEST_WORD] for w in plain(text).split()})
    sql.run(
        'INSERT INTO search (rowid, words) VALUES (?, ?)',
        (id, ' '.join([_userword(user), *words])),
    )


def remove(sql: Sql, id: int) -> None:
    sql.run('DELETE FROM search WHERE rowid = ?', (id,))


def ids() -> str:
    return 'SELECT rowid FROM search'


def match(sql: Sql, words: list[str], user: Optional[str]) -> Match:
    """Return what finds pushes with such words, and of such a user. It may
    find more; see :func:`isexact` and :func:`_userword`."""
    asked = query(words, user)
    return 'search', 'search.rowid', 'search MATCH ?', (asked,)


def query(words: list[str], user: Optional[str]) -> str:
    """Return what the table is asked for."""
    terms = [
        f'"{word}" *'
        if len(word) < schema.LONGEST_WORD
        else f'"{word[: schema.LONGEST_WORD]}"'
        # the longest first, as they are the rarest
        for word in sorted(words, key=len, reverse=True)[:_MOST_WORDS]
    ]
    if user is not None:
        terms.append(f'"{_userword(user)}"')
    return ' AND '.join(terms)


def isexact(words: list[str]) -> bool:
    """Whether the query finds nothing but texts that hold the words."""
    return len(words) <= _MOST_WORDS and all(
        len(word) <= schema.LONGEST_WORD for word in words
    )


def _userword(user: str) -> str:
    """Return what stands for a user among the words, and for few others.

    So SQLite can skip from one push that has both to the next, where neither
    the pushes of the user nor those with the words are few.
    """
    return f'={zlib.crc32(user.encode("utf-8")):08x}'
