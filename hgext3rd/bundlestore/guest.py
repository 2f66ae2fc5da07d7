"""The store is a guest of the base: its trouble is not the base's.

What the base repository can answer alone must not fail, nor wait, because the
store is in trouble. So what is asked of the index for such an answer goes by
way of ``server.Server.ask``, which has little patience, and remembers trouble
in here: for some seconds nobody in this process asks again, whatever
repository object a web server makes for the next request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Optional, TypeVar

from . import errors
from .records import NamedTuple

T = TypeVar('T')

#: seconds that an answer of the base waits for the index, and seconds that
#: somebody waits who needs the store
PATIENCE = 2.0
NEED = 30.0
#: seconds in which nobody asks again
PAUSE = 10.0

#: threads that wait for a backend which does not answer
_MOST_WAITING = 32

#: what tells the store of a repository from others
Key = tuple[object, ...]


class Trouble(NamedTuple):
    """Why a store or an index cannot be used."""

    message: str
    hint: Optional[str]
    #: by the monotonic clock: when to try again
    until: float
    #: whether it took long to find out
    slow: bool


# Of this process, as each request to ``hgwebdir`` makes objects of its own.
_troubles: dict[Key, Trouble] = {}
_waiting: set[threading.Thread] = set()


def current(key: Key) -> Optional[Trouble]:
    """Return the trouble that was met a moment ago, if any."""
    found = _troubles.get(key)
    if found is not None and found.until <= time.monotonic():
        _troubles.pop(key, None)
        return None
    return found


def met(key: Key, what: str, exc: BaseException, seconds: float) -> Trouble:
    """Remember trouble that took so long to find out, and return it."""
    if isinstance(exc, errors.BundleStoreError):
        message, hint = exc.message, exc.hint
    else:
        # foreign code, which does not keep to the contract
        message = f'{what} failed: {type(exc).__name__}: {exc}'
        hint = 'the administrator should look at it'
    trouble = Trouble(
        message, hint, time.monotonic() + PAUSE, slow=seconds > PATIENCE / 2
    )
    _troubles[key] = trouble
    return trouble


def over(key: Key) -> None:
    """Forget trouble: an answer came."""
    _troubles.pop(key, None)


def within(seconds: float, what: str, question: Callable[[], T]) -> T:
    """Return what ``question`` returns, or raise what it raises.

    Raises ``BackendUnavailable`` if that takes longer. A thread then goes on
    to wait, which is the only thing that can be done with code that hangs.
    """
    hanging = [thread for thread in _waiting if thread.is_alive()]
    if len(hanging) >= _MOST_WAITING:
        raise _silent(what, seconds)
    found: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(question())
        except BaseException as exc:
            failed.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not found:
        _waiting.intersection_update(hanging)
        _waiting.add(thread)
        raise _silent(what, seconds)
    return found[0]


def _silent(what: str, seconds: float) -> errors.BackendUnavailable:
    return errors.BackendUnavailable(
        f'{what} did not answer within {seconds:g} seconds',
        'try again later',
    )
