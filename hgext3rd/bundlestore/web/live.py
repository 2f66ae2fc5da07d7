"""Pages that keep themselves up to date.

A page has a print of what it shows of the index. A script on it asks for the
page with that print (``?live=PRINT``): the answer is empty while it is the
same, else the page, of which the script takes over what is marked, or says that
it is to ask again at once. So there is one renderer, and a page without scripts
lacks nothing.

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
from ..declaring import provides
from ..server import aborting
from . import scratch, waiting

#: most seconds that a page waits for its answer
_SECONDS = 25.0
#: places that a page leaves to others
_SPARE = 1
#: what a script is told that is to ask again
_AGAIN = b'again'

#: how pushes went, as ``telling.statusesof`` has it
Statuses = dict[int, list[dict[str, Any]]]


def look(server, ids: Iterable[int]) -> tuple[bytes, Statuses]:
    """Return the print of a page that shows these pushes, and how they
    went."""
    wanted = list(ids)
    statuses = telling.statusesof(server, wanted)
    landings: dict[int, Any] = {}
    if wanted and provides(server.index, 'ILandings'):
        with aborting():
            landings = server.index.landings(wanted)
    text = repr([(id, statuses.get(id), landings.get(id)) for id in wanted])
    digest = hashlib.sha256(text.encode('utf-8', 'replace'))
    return digest.hexdigest()[:32].encode(), statuses


def answer(web, server, find: Callable[[], list[int]], waits: bool = True):
    """Answer a script that asks whether its page is what it was; return None
    if nobody asks, or is to be answered with the page.

    It is asked to the end of the time that the page ``waits``. The page shows
    the pushes that ``find`` returns the ids of, which is called again when
    there is a new push.
    """
    seen = web.req.qsparams.get(b'live')
    if not seen:
        return None
    last: Optional[int] = None
    ids: list[int] = []

    def now(server) -> bytes:
        nonlocal last, ids
        given = waiting.lastid(server)
        if given != last:
            last, ids = given, find()
        return look(server, ids)[0]

    seconds = _SECONDS if waits else 0
    body = b''
    with contextlib.closing(
        waiting.looks(web, server, seconds, now, _SPARE)
    ) as looks:
        if next(looks) != seen:
            return None
        if any(found != seen for found in looks):
            # The repository of this request is as old as the page.
            body = _AGAIN
    web.res.headers[b'Cache-Control'] = b'no-store'
    return scratch.send(web, b'text/plain', body)
