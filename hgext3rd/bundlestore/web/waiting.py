"""Long polling: a request that waits until there is something to tell.

While it waits it holds a thread of the web server and the connection to its
client, and nothing else: no lock, no session of a database. It looks at the
index now and then, at as little as will do. So that threads are left for
others, few requests of a process wait at a time, and none where a thread is all
it has.
"""

from __future__ import annotations

import os
import select
import stat
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, Optional, TypeVar

#: most seconds that a request waits, whatever it asks for: many a proxy gives
#: up after a minute
LONGEST = 50.0
#: seconds between two looks at the index, at first and at last
_FIRST = 0.2
_LAST = 1.0

T = TypeVar('T')

# Of this process, as threads are.
_waiting: set[object] = set()
_lock = threading.Lock()


def looks(
    web,
    server,
    seconds: float,
    look: Callable[[Any], T],
    spare: int = 0,
) -> Generator[T, None, None]:
    """Yield what ``look(server)`` returns at once, and again each time that is
    something else, for so many seconds.

    To be closed by who has seen enough. It ends sooner if too many wait
    already (``bundlestore.max-waiting``, of which ``spare`` are for others),
    or if the client went away. Raises ``error.Abort`` where the index cannot
    be asked.
    """
    last = look(server)
    yield last
    environ = web.req.rawenv
    token = object()
    if not seconds or not environ.get(b'wsgi.multithread'):
        return
    with _lock:
        if len(_waiting) >= server.settings.maxwaiting - spare:
            return
        _waiting.add(token)
    try:
        connection = _connection(environ)
        end = time.monotonic() + min(seconds, LONGEST)
        pause = _FIRST
        while (left := end - time.monotonic()) > 0:
            if _isgone(connection, min(pause, left)):
                return
            pause = min(pause * 1.5, _LAST)
            found = look(server)
            if found != last:
                last = found
                yield last
    finally:
        with _lock:
            _waiting.discard(token)


def lastid(server) -> int:
    """Look at the last id in the index."""
    found: int = server.need(lambda index: index.lastid())
    return found


def _connection(environ: dict[bytes, Any]) -> Optional[int]:
    """Return the file descriptor of the connection to the client, None if the
    web server does not tell."""
    # gunicorn has a file of its own for the body, "hg serve" and uwsgi have
    # the connection there
    for name in (b'gunicorn.socket', b'wsgi.input'):
        try:
            found: int = environ[name].fileno()
            if stat.S_ISSOCK(os.fstat(found).st_mode):
                return found
        except (KeyError, AttributeError, OSError, ValueError):
            continue
    return None


def _isgone(connection: Optional[int], seconds: float) -> bool:
    """Sleep so many seconds, or until the client has closed the connection;
    return whether it has."""
    # Linux has it, and nobody else
    event = getattr(select, 'POLLRDHUP', None)
    if connection is None or event is None:
        time.sleep(seconds)
        return False
    poll = select.poll()
    poll.register(connection, event)
    return bool(poll.poll(seconds * 1000))
