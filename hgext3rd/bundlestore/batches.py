"""Much, some of it at a time. There is no Mercurial in here."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar('T')


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield ``items``, so many at a time."""
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
