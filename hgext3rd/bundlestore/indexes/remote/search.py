"""Finds pushes by the beginnings of the words in their texts.

The table ``word`` has a row for each word of a push, and one for the empty
word, so that no push is without. If few rows begin as a word of the query does,
those pushes are looked at. If many do, the pushes are gone through in their
order: it does not take long until enough of them have the words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from ..sql.words import plain

if TYPE_CHECKING:
    from ..sql.dialect import Match, Sql

#: as much of a word is kept, in characters
LONGEST = 40
#: how many words of a query are looked for; the others are only compared
_MOST_WORDS = 20
#: so many rows are few
_FEW = 1000


def add(sql: Sql, id: int, user: str, text: str) -> None:
    words = sorted({'', *(word[:LONGEST] for word in plain(text).split())})
    sql.insert('word', [(word, id) for word in words])


def remove(sql: Sql, id: int) -> None:
    sql.run('DELETE FROM word WHERE push = ?', (id,))


def ids() -> str:
    return "SELECT push FROM word WHERE word = ''"


def match(sql: Sql, words: list[str], user: Optional[str]) -> Match:
    """Return what finds pushes with such words, see ``sql/dialect.py``."""
    asked = [word[:LONGEST] for word in _asked(words)]
    for position, word in enumerate(asked):
        condition, values = _begins('word', word)
        (count,) = sql.all(
            'SELECT count(*) FROM (SELECT 1 FROM word'
            f' WHERE {condition} LIMIT {_FEW}) AS few',
            values,
        )[0]
        if count < _FEW:
            del asked[position]
            source = (
                f'(SELECT DISTINCT push AS id FROM word WHERE {condition})'
                ' AS matched'
            )
            return _with('matched.id', source, values, asked)
    return _with('push.id', '', [], asked)


def _with(id: str, source: str, first: list[Any], words: list[str]) -> Match:
    conditions = ['1 = 1']
    values = first
    for word in words:
        condition, more = _begins('w.word', word)
        conditions.append(
            f'EXISTS (SELECT 1 FROM word AS w WHERE w.push = {id}'
            f' AND {condition})'
        )
        values = [*values, *more]
    return source, id, ' AND '.join(conditions), values


def _asked(words: list[str]) -> list[str]:
    # the longest first, as they are the rarest
    return sorted(words, key=len, reverse=True)[:_MOST_WORDS]


def _begins(column: str, word: str) -> tuple[str, list[str]]:
    """Return a condition for words that begin so, and its values."""
    if len(word) >= LONGEST:
        return f'{column} = ?', [word]
    # no word has a character behind this one
    return f'{column} >= ? AND {column} < ?', [word, word + '\U0010ffff']


def isexact(words: list[str]) -> bool:
    """Whether the query finds nothing but texts that hold the words."""
    return len(words) <= _MOST_WORDS and all(
        len(word) <= LONGEST for word in words
    )
