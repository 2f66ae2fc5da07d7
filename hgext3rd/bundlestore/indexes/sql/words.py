"""The words of a text, by the beginnings of which a push is found.

A word is a run of letters and digits. Case, accents and other marks do not
count, nor does the form of a letter (full width, ligature).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_WORD = re.compile(r'[^\W_]+')


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
