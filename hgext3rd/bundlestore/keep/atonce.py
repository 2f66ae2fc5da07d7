"""Does several things at once, where each waits for another machine. There is
no Mercurial in here."""

from __future__ import annotations

import collections
import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

S = TypeVar('S')
T = TypeVar('T')


def atonce(
    function: Callable[[S], T], items: Iterable[S], threads: int
) -> Iterator[T]:
    """Yield what ``function`` returns for each of ``items``, in their order,
    with little of it under way; what it raises comes out."""
    if threads < 2:
        yield from map(function, items)
        return
    pool = concurrent.futures.ThreadPoolExecutor(threads)
    try:
        waiting: collections.deque[concurrent.futures.Future[T]]
        waiting = collections.deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
