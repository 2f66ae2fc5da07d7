"""Goes through all that an index or a store holds, with little of it in
memory at a time, while others write. There is no Mercurial in here.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Optional

from .. import errors, model

if TYPE_CHECKING:
    from ..viewmodel import ViewSummary

#: pushes that are in memory at once: one may have 10,000 changesets
PAGE = 50
#: names and keys that are asked for at once
BATCH = 400

_LONG = array('Q').itemsize


def pushes(
    index: Any,
    user: Optional[str] = None,
    first: int = 1,
    last: Optional[int] = None,
) -> Iterator[list[model.Push]]:
    """Yield all pushes (of a user), from ``first`` on, in pages, oldest
    first."""
    while True:
        page = index.pushes(first=first, last=last, user=user, limit=PAGE)
        if page:
            yield page
        if len(page) < PAGE:
            return
        first = page[-1].id + 1


def older(index: Any, time: float) -> Iterator[list[model.Push]]:
    """Yield all pushes from before ``time`` in pages, in order of their
    time."""
    since: Optional[float] = None
    seen: set[int] = set()
    limit = PAGE
    while True:
        found = index.pushes(since=since, until=time, limit=limit)
        page = [push for push in found if push.id not in seen]
        if page:
            yield page
        if len(found) < limit:
            return
        # The next page begins with all of the very time at which this one
        # ends, as there may be more.
        last = found[-1].time
        begin = math.nextafter(last, -math.inf)
        if begin == since:
            limit *= 2
        else:
            since, limit = begin, PAGE
        seen = {push.id for push in found if push.time == last}


def views(index: Any) -> Iterator[ViewSummary]:
    """Iterate over all views, sorted by owner and name, dropped ones, too."""
    after: Optional[tuple[str, str]] = None
    while True:
        page = index.views(after=after, limit=BATCH)
        yield from page
        if len(page) < BATCH:
            return
        after = page[-1].owner, page[-1].name


def push(index: Any, id: int) -> Optional[model.Push]:
    """Return a push, None if there is none of that id (any more)."""
    try:
        found: model.Push = index.push(id)
    except errors.UnknownPush:
        return None
    return found


def isthere(store: Any, key: str) -> bool:
    """Whether the store has a bundle."""
    try:
        store.size(key)
    except errors.UnknownKey:
        return False
    return True


class Prints:
    """Remembers a number for each id, in little memory where the ids are
    dense: 64 bits, and 0 for what is not remembered."""

    _BLOCK = 4096

    def __init__(self) -> None:
        self._blocks: dict[int, array[int]] = {}

    def set(self, id: int, number: int) -> None:
        block, place = divmod(id, self._BLOCK)
        if block not in self._blocks:
            self._blocks[block] = array('Q', bytes(self._BLOCK * _LONG))
        self._blocks[block][place] = number

    def get(self, id: int) -> int:
        block, place = divmod(id, self._BLOCK)
        found = self._blocks.get(block)
        return 0 if found is None else found[place]

    def ids(self) -> Iterator[int]:
        """Iterate over the ids with a number, which may be set meanwhile."""
        for block in sorted(self._blocks):
            for place, number in enumerate(self._blocks[block]):
                if number:
                    yield block * self._BLOCK + place


class Seen:
    """Remembers ids of pushes, each with the bundle of the push."""

    def __init__(self) -> None:
        self._prints = Prints()

    def add(self, id: int, key: str) -> None:
        self._prints.set(id, self._mark(key))

    def has(self, id: int, key: str) -> bool:
        return self._prints.get(id) == self._mark(key)

    def hasid(self, id: int) -> bool:
        return bool(self._prints.get(id))

    @staticmethod
    def _mark(key: str) -> int:
        # never 0
        return int(key[:7], 16) + 1
