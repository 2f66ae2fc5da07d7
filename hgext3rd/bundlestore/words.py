"""Words for people that depend on a number. There is no Mercurial in here."""

from __future__ import annotations


def counted(number: int, one: str) -> str:
    """Return how many there are: ``1 push``, ``2 pushes``."""
    if number == 1:
        return f'1 {one}'
    ending = 'es' if one.endswith(('s', 'sh', 'ch', 'x')) else 's'
    return f'{number} {one}{ending}'
