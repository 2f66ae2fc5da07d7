"""Pages that keep themselves up to date.

A page has a print of what it shows of the index. A script on it asks for the
page with that print (``?live=PRINT``): the answer is empty while it is the
same, else the page, of which the script takes over what is marked. So there is
one renderer, and a page without scripts lacks nothing.

A page waits for its answer where there is room, and always leaves a place to
the machines that wait (``waiting.py``). Where nothing is likely to change it is
answered at once. Who is answered at once asks less and less often.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Optional

from ..bundle import telling
from . import scratch, waiting

#: most seconds that a page waits for its answer
_SECONDS = 25.0
#: places that a page leaves to others
_SPARE = 1

#: how pushes went, as ``telling.statusesof`` has it
Statuses = dict[int, list[dict[str, Any]]]


def printof(ids: Iterable[int], statuses: Statuses) -> bytes:
    """Return the print of a page that shows these pushes, and how they
    went."""
    text = repr([(id, statuses.get(id)) for id in ids])
    digest = hashlib.sha256(text.encode('utf-8', 'replace'))
    return digest.hexdigest()[:32].encode()


def isasked(web) -> bool:
    """Whether it is a script that asks."""
    return bool(web.req.qsparams.get(b'live'))


def issame(
    web, server, find: Callable[[], list[int]], waits: bool = True
) -> bool:
    """Whether the page of the script that asks is what it was, to the end of
    the time that it ``waits``. It shows the pushes that ``find`` returns the
    ids of, which is called again when there is a new push."""
    last: Optional[int] = None
    ids: list[int] = []

    def look(server) -> bytes:
        nonlocal last, ids
        now = waiting.lastid(server)
        if now != last:
            last, ids = now, find()
        return printof(ids, telling.statusesof(server, ids))

    seconds = _SECONDS if waits else 0
    with contextlib.closing(
        waiting.looks(web, server, seconds, look, _SPARE)
    ) as looks:
        return all(found == web.req.qsparams[b'live'] for found in looks)


def same(web):
    """Answer such a script."""
    web.res.headers[b'Cache-Control'] = b'no-store'
    return scratch.send(web, b'text/plain', b'')
