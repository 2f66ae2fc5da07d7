"""What a user may push: so many bytes at once and in all, so often.

Refused is as early as can be: who pushes too often before anything is read,
who has no room left before the changesets are, and whatever has a known size
before it is read. What turns out to be too large is refused while it streams.
``index.record`` has the last word on the quota, as it sees what others of the
same user stored meanwhile.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from typing import Optional

from .. import config, errors, model
from ..words import counted
from . import check

#: What comes with a push and is not stored, in bytes: capabilities, bookmarks,
#: variables. And changegroup 03 takes two bytes more for each delta, of which
#: the header alone has a hundred.
_UNSTORED = 64 * 1024
_UNSTORED_SHARE = 1.02

#: characters of a user's name that a message has
_LONGEST = 50

_UNITS = (('day', 86400), ('hour', 3600), ('minute', 60), ('second', 1))


class Limits:
    """The limits on one push by ``user``, who is empty if nobody knows.

    ``announced`` is how many bytes the client says that it is going to send,
    None if it does not say. Methods raise ``check.Refused`` and what the
    index raises.
    """

    def __init__(
        self, server, user: str, announced: Optional[int] = None
    ) -> None:
        self._server = server
        self._user = user
        self._announced = announced
        self._maxsize: int = server.settings.maxbundlesize
        self._held: Optional[int] = None
        #: bytes that the user may hold, for ``index.record``; None: any
        self.quota: Optional[int] = server.settings.quota

    def beforeall(self) -> None:
        """Refuse what can be refused before anything is read."""
        self._checkrate()
        if self._maxsize:
            self._checkannounced(
                self._maxsize, lambda size: _toolarge(self._maxsize, size)
            )

    def beforechangesets(self) -> None:
        """Refuse what can be refused before the changesets are read. A push
        without any may still move bookmarks."""
        if self.quota is None:
            return
        held = self._held = self._server.index.usage(self._user).size
        if held >= self.quota:
            announced = self._announced
            raise self._overquota(
                held, None if announced is None else _announced(announced)
            )
        self._checkannounced(
            self.quota - held,
            lambda size: self._overquota(held, size),
        )

    def _checkannounced(self, limit: int, refusal) -> None:
        announced = self._announced
        if announced is None:
            return
        if announced > limit * _UNSTORED_SHARE + _UNSTORED:
            raise refusal(_announced(announced))

    def _checkrate(self) -> None:
        rate = self._server.settings.maxrate
        if rate is None:
            return
        index = self._server.index
        now = time.time()
        since = now - rate.seconds
        made = index.times(self._user, since, rate.pushes)
        if len(made) < rate.pushes:
            return
        left = made[0] + rate.seconds - now if made else rate.seconds
        raise check.Refused(
            f'push exceeds the limit of {counted(rate.pushes, "push")} in '
            f'{timeleft(rate.seconds)} '
            f'({_called(self._user)} made {len(made)})',
            f'try again in {timeleft(left)}',
        )

    def toolarge(self, size: int) -> check.Refused:
        """Return what refuses a push of which so many bytes came."""
        return _toolarge(self._maxsize, f'got {config.formatsize(size)} so far')

    def stream(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass the bytes of the bundle on as long as they are within the
        limits."""
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if self._maxsize and size > self._maxsize:
                raise self.toolarge(size)
            if self._held is not None and self._held + size > (self.quota or 0):
                raise self._overquota(
                    self._held, f'got {config.formatsize(size)} so far'
                )
            yield chunk

    def exceeded(self, exc: errors.QuotaExceeded) -> check.Refused:
        """Return what to raise when ``index.record`` finds the quota
        exceeded."""
        if exc.bookmarks is None:
            return self._overquota(
                exc.held, f'this push has {config.formatsize(exc.size)}'
            )
        return self._overquota(
            exc.held,
            f'of them {config.formatsize(model.MARK_SIZE)} for each of '
            f'{counted(exc.bookmarks, "bookmark")}, this would be '
            f'{exc.size // model.MARK_SIZE} more',
        )

    def _overquota(self, held: int, present: Optional[str]) -> check.Refused:
        verb = 'has' if self._user else 'have'
        figures = f'{_called(self._user)} {verb} {config.formatsize(held)}'
        if present is not None:
            figures += f', {present}'
        hint = "ask the administrator, who can run 'hg admin::bundlestore-gc'"
        if self._user:
            # a client may lack the extension, and these commands
            hint = (
                'make room, with the bundlestore extension: '
                f"'hg pushes -u {self._user[:_LONGEST]}' lists "
                "your pushes, 'hg pushes --remove PUSH' removes one"
            )
        return check.Refused(
            f'push exceeds the quota of {config.formatsize(self.quota or 0)} '
            f'({figures})',
            hint,
        )


def _announced(size: int) -> str:
    return f'{config.formatsize(size)} announced'


def _toolarge(limit: int, present: str) -> check.Refused:
    return check.Refused(
        f'push exceeds the limit of {config.formatsize(limit)} ({present})',
        'push fewer changesets, or ask for a higher '
        'bundlestore.max-bundle-size',
    )


def _called(user: str) -> str:
    """Return what a message calls a user."""
    if not user:
        return 'users who are not logged in'
    return f"user '{user[:_LONGEST]}'"


def timeleft(seconds: float) -> str:
    """Return a length of time for people, in whole units and not too short."""
    for unit, length in _UNITS:
        if seconds == length:
            return f'1 {unit}'
        if seconds >= 2 * length:
            return f'{math.ceil(seconds / length)} {unit}s'
    return '2 seconds'
