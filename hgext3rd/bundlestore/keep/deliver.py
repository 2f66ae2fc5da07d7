"""Tells one web hook of the pushes that it was not told of: in their order,
each at least once, and one process at a time.

How far it was told is in the index, and each change of that is one of what was
read (``IDeliveries``). So whoever stood still for longer than a lease lasts
finds out that another went on, and what a killed process has sent and not
noted is sent again, with the same id.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Optional

from .. import config, errors, model
from ..declaring import provides
from ..push import announce
from ..records import NamedTuple
from ..server import totext
from ..stores import deliverynotes

#: A push that is older is not told of any more, in seconds.
AGE = 3 * 86400.0
#: seconds before it is tried again, the first time and at most
FIRST = 30.0
LONGEST = 3600.0

#: a state of HTTP: never to be told again
GONE = 410


class Told(NamedTuple):
    """What came of telling of one push."""

    push: model.Push
    #: ``delivered``, ``failed`` or ``expired``
    result: str
    #: why it failed
    trouble: str = ''
    #: how often it has been tried
    attempt: int = 0


class Deliverer:
    """Tells the web hook ``name``. ``send`` is called with a push, and returns
    the status of HTTP (0 if there was none) and why it was in vain, if so.

    With ``force`` it tells at once what it would try later on, or never. With
    ``dry`` nothing is changed, and it can only be asked what is owed.
    """

    def __init__(
        self,
        store: Any,
        index: Any,
        name: str,
        send: Callable[[model.Push], tuple[int, str]],
        force: bool = False,
        dry: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._index = index
        self._name = name
        self._send = send
        self._force = force
        self._dry = dry
        self._clock = clock
        self._worker = f'{socket.gethostname()[:200]} {os.getpid()}'
        #: how far it was told, when this was last known
        self.state = self._known()

    def _known(self) -> model.Delivery:
        if self._dry:
            new = model.Delivery(self._name, self._index.lastid())
            found = self._index.deliveries().get(self._name, new)
        else:
            (found,) = announce.known(self._index, [self._name]).values()
        noted = deliverynotes.read(self._store, self._name)
        if noted > found.told:
            # the index was lost
            return found._replace(told=noted)
        return found

    # -- what there is to do

    @property
    def isbusy(self) -> bool:
        """Whether another process is at it."""
        return announce.isheld(self.state, self._clock())

    @property
    def isdue(self) -> bool:
        """Whether it is time to tell it."""
        now = self._clock()
        again = self.state.again
        return (
            self._force
            or announce.isdue(self.state, now)
            or (again is not None and again > now + LONGEST)
        )

    def failing(self) -> Optional[model.Push]:
        """Return the push that it could not be told of, if that is still
        there."""
        return self._next() if self.state.attempts else None

    def owed(self) -> Iterator[model.Push]:
        """Yield the pushes that it is to be told of."""
        after = self.state.told
        while True:
            found = self._index.pushes(first=after + 1, limit=1)
            if not found:
                return
            if found[0].time >= self._clock() - AGE:
                yield found[0]
            after = found[0].id

    # -- telling

    def run(self) -> Iterator[Told]:
        """Tell of all that is owed, up to the first failure, and yield each.
        Raises ``BundleStoreError``, and what ``send`` raises."""
        # Once more when the lease is back: of what came meanwhile, another
        # process may have thought that this one tells.
        while self._next() is not None and not self.isbusy and self.isdue:
            if not self._keep(self._leased()):
                return
            try:
                yield from self._tellall()
            finally:
                if self.state.worker == self._worker:
                    with contextlib.suppress(errors.BundleStoreError):
                        self._keep(self.state._replace(worker='', lease=0.0))
            self.note()
            if self.state.attempts:
                return

    def _next(self) -> Optional[model.Push]:
        found: list[model.Push] = self._index.pushes(
            first=self.state.told + 1, limit=1
        )
        return found[0] if found else None

    def _leased(self) -> model.Delivery:
        until = self._clock() + announce.LEASE
        return self.state._replace(worker=self._worker, lease=until)

    def _keep(self, state: model.Delivery) -> bool:
        """Note how far it was told, unless another process did."""
        if self._index.setdelivery(state):
            self.state = state._replace(edition=state.edition + 1)
            return True
        self.state = self._known()
        return False

    def _tellall(self) -> Iterator[Told]:
        while True:
            push = self._next()
            if push is None:
                return
            if push.time < self._clock() - AGE:
                self.state = self.state._replace(told=push.id)
                yield Told(push, 'expired', self.state.trouble)
                continue
            status, trouble = self._send(push)
            told = self._told(push, status, trouble)
            if not self._keep(self._after(push, status, trouble)):
                # another one took over; what was sent is sent twice
                return
            yield told
            if trouble:
                return

    def _told(self, push: model.Push, status: int, trouble: str) -> Told:
        attempt = self.state.attempts + 1
        result = 'failed' if trouble else 'delivered'
        return Told(push, result, trouble, attempt)

    def _after(
        self, push: model.Push, status: int, trouble: str
    ) -> model.Delivery:
        if not trouble:
            return self._leased()._replace(
                told=push.id, attempts=0, again=0.0, trouble=''
            )
        before = self.state.attempts
        pause = min(FIRST * 2 ** min(before, 20), LONGEST)
        return self.state._replace(
            attempts=before + 1,
            again=None if status == GONE else self._clock() + pause,
            trouble=model.totext(trouble)[: model.DESCRIPTION_LENGTH],
            worker='',
            lease=0.0,
        )

    def note(self) -> None:
        """Have the store know it, too, for the day when the index is lost."""
        if deliverynotes.read(self._store, self._name) != self.state.told:
            deliverynotes.write(self._store, self._name, self.state.told)


def owed(ui, index: Any) -> dict[str, int]:
    """Return of how many pushes each web hook is to be told, those included
    that are too old by now."""
    names = [totext(name) for name in config.webhooks(ui)]
    if not names or not provides(index, 'IDeliveries'):
        return {}
    known = index.deliveries()
    return {
        name: index.owed(known[name].told) if name in known else 0
        for name in sorted(names)
    }
