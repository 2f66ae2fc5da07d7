"""Finds pushes by the beginnings of the words in their texts.

A word is a run of letters and digits. Case, accents and other marks do not
count, nor does the form of a letter (full width, ligature).

The work is SQLite's FTS5, which every Python that we know of has.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
import zlib
from collections.abc import Iterable
from typing import Optional

from . import schema

#: how many words of a query SQLite looks for; the others are only compared
_MOST_WORDS = 20

_WORD = re.compile(r'[^\W_]+')


# -- words


def plain(text: str) -> str:
    """Return the words of a text, in the form in which they are compared,
    each behind a space."""
    if not text.isascii():
        text = text.translate(
            {ord(c): _letters(c) for c in set(text) if not c.isascii()}
        )
    return ''.join(f' {word}' for word in _WORD.findall(text.casefold()))


def _letters(character: str) -> str:
    return ''.join(
        c
        for c in unicodedata.normalize('NFKD', character)
        if not unicodedata.category(c).startswith('M')
    )


def wanted(text: str) -> list[str]:
    """Return what the words of a query begin with, without what follows from
    the others."""
    words = sorted(set(plain(text).split()))
    return [
        word
        for word, following in zip(words, [*words[1:], ''])
        if not following.startswith(word)
    ]


def holds(text: str, words: Iterable[str]) -> bool:
    """Whether ``text`` has words that begin with each of ``words``."""
    held = plain(text)
    return all(f' {word}' in held for word in words)


# -- the table


def add(sql: sqlite3.Connection, id: int, user: str, text: str) -> None:
    words = sorted(
        {word[: schema.LONGEST_WORD] for word in plain(text).split()}
    )
    sql.execute(
        'INSERT INTO search (rowid, words) VALUES (?, ?)',
        (id, ' '.join([_userword(user), *words])),
    )


def remove(sql: sqlite3.Connection, id: int) -> None:
    sql.execute('DELETE FROM search WHERE rowid = ?', (id,))


def query(words: list[str], user: Optional[str]) -> str:
    """Return what the table is asked for: pushes with such words, and of such
    a user. It may find more; see :func:`isexact` and :func:`_userword`."""
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
