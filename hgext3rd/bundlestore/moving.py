"""The mark that a bundle store is being moved to another place.

It is a note of the store that is moved, so all servers see it, whatever their
index is. While it says *closed*, nobody changes anything: what is changed then
would not get to the other place. There is no Mercurial in here.

Nobody takes a lock for that, as stores have none. Who changes something looks
at the mark before and again when it is done; who moves the store writes the
mark, and reads everything after that. So a change is either seen by who moves
the store, or its maker sees the mark and is told that it failed.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from typing import Any, Optional

from . import errors
from .declaring import Interfaces
from .records import NamedTuple

#: the note, and another that tells whose copy the target is
NAME = 'state/moving.json'
COPY = 'state/copy.json'
_VERSION = 1

#: seconds for which it is known that the store was open, for who is about to
#: change something
_FRESH = 1.0

_WRITES = frozenset(
    (
        *('record', 'movebookmarks', 'forgetmoves', 'remove', 'discard'),
        *('pin', 'restore', 'restoremany', 'restoremove', 'reserve'),
        *('setaside', 'setstatus', 'setdelivery', 'setlanding'),
        *('putview', 'forgetviews', 'removeview', 'restoreview'),
    )
)


class Move(NamedTuple):
    """Where a store is being moved to."""

    #: of this move, random
    id: str
    #: URLs as the configuration will have them, None for what stays
    newstore: Optional[str]
    newindex: Optional[str]
    #: nothing may be changed
    closed: bool = False
    #: everything has been copied
    done: bool = False
    #: who is at it, 0 for nobody, and since when
    host: str = ''
    pid: int = 0
    time: float = 0.0

    def byme(self, **changes: Any) -> Move:
        """Return it with changes, made now by this process."""
        now = {'host': _host(), 'pid': os.getpid(), 'time': time.time()}
        return self._replace(**{**now, **changes})

    @property
    def isother(self) -> bool:
        """Whether another process of this machine is at it."""
        return self.pid != os.getpid() and self.host == _host() and self.isalive

    @property
    def isalive(self) -> bool:
        """Whether the process that is at it may be there."""
        if not self.pid:
            return False
        if self.host != _host():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass  # another user's
        return True

    def isclosed(self, storeurl: str, indexurl: str) -> bool:
        """Whether who is configured so may change nothing."""
        if not self.closed or not (self.done or self.isalive):
            return False
        # The half that stays is shared with those that use the copy.
        return (self.newstore or storeurl, self.newindex or indexurl) != (
            storeurl,
            indexurl,
        )


def read(store: Any) -> Optional[Move]:
    """Return where a store is being moved to, None if it is not; raises
    ``BackendUnavailable``, ``CorruptNote``, ``UnsupportedFormat``."""
    try:
        data = store.note(NAME)
    except errors.UnknownNote:
        return None
    try:
        fields = json.loads(data)
        version = fields.pop('version')
        if version == _VERSION:
            return Move(**fields)
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise errors.CorruptNote(f'note {NAME} cannot be understood') from exc
    raise errors.UnsupportedFormat(
        f'note {NAME} has format {version}, but this release of'
        f' hg-bundlestore knows only {_VERSION}',
        'upgrade hg-bundlestore',
    )


def write(store: Any, move: Move) -> None:
    """Say where a store is being moved to; raises ``BackendUnavailable``."""
    fields = {'version': _VERSION, **move._asdict()}
    text = json.dumps(fields, separators=(',', ':'))
    store.putnote(NAME, text.encode('ascii') + b'\n')


def _host() -> str:
    """Return what a process id is good for, containers apart."""
    try:
        namespace = os.stat('/proc/self/ns/pid').st_ino
    except OSError:
        return socket.gethostname()
    return f'{socket.gethostname()}/{namespace:x}'


class Guard:
    """An index that nobody changes while its store is closed.

    ``check`` raises if it is. What was changed just when it was closed raises,
    too: nobody knows whether it is in the copy.
    """

    def __init__(self, index: Any, check: Callable[[], None]) -> None:
        self._index = index
        self._check = check
        self._checked = -_FRESH

    def seen(self, user: str, uid: Optional[str] = None) -> Guard:
        """Return the index as somebody sees it, see ``IPrivacy``."""
        return type(self)(self._index.seen(user, uid), self._check)

    def checkopen(self) -> None:
        """Raise ``StoreMoving`` if the store is closed."""
        if time.monotonic() - self._checked > _FRESH:
            self._check()
            self._checked = time.monotonic()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._index, name)
        if name not in _WRITES:
            return method

        def guarded(*args: Any, **kwargs: Any) -> Any:
            self.checkopen()
            result = method(*args, **kwargs)
            try:
                self._check()
            except errors.StoreMoving:
                raise
            except errors.BackendUnavailable as exc:
                raise _unsure(exc) from exc
            return result

        return guarded


def _unsure(exc: errors.BackendUnavailable) -> errors.BackendUnavailable:
    """Return what to raise where nobody can be asked after a change."""
    return errors.BackendUnavailable(
        'this was done, but nobody knows whether the bundle store is being'
        f' moved elsewhere without it: {exc.message}',
        'do it again, to be sure',
    )


def guarded(index: Any, check: Callable[[], None]) -> Guard:
    """Return an index with a guard, which can do all that it can."""
    declared = vars(type(index)).get('__implemented__')
    if not isinstance(declared, Interfaces):
        from zope.interface import providedBy

        declared = Interfaces(*(i.__name__ for i in providedBy(index)))
    kind = type('GuardedIndex', (Guard,), {'__implemented__': declared})
    made: Guard = kind(index, check)
    return made
