"""What a server knows of the one request that it answers."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, Optional


def nothing() -> None:
    """Do nothing."""


def ishttp(client: bytes) -> bool:
    """Whether one who is called so, as in the url of a push, speaks http (see
    ``hgweb.httpservice.client``)."""
    return client.startswith((b'remote:http:', b'remote:https:'))


class Request:
    """A request over a wire, or what takes the place of one by path."""

    def __init__(
        self,
        client: bytes = b'',
        announced: Optional[int] = None,
        storeonly: bool = False,
    ) -> None:
        #: who the wire protocol serves, as in the url of a push
        self.client = client
        #: bytes that the request has, None if it does not say
        self.announced = announced
        #: whether the client may push to the store but not to the base (see
        #: ``web/permissions.py``)
        self.storeonly = storeonly
        #: whether what lfs and largefiles keep outside of changesets is for
        #: the store, by path where the client says so
        self.blobs = False
        #: Where it pushes to, if it does: the ``uid`` of a view that is
        #: private, else empty. What is seen then is what others see as well
        #: who get the push, and not all that its user may look at.
        self.pushesto: Optional[str] = None
        #: what the log calls it, once somebody has asked (see ``log.py``)
        self.id: Optional[bytes] = None
        #: how many bytes of bundles it may have read to learn what need not
        #: be pushed (see ``push/known.py``)
        self.allowance: Any = None
        #: lifts the limit on the time that a client may take to push (see
        #: ``push/pace.py``)
        self.lifttimeout: Callable[[], None] = nothing

    @functools.cached_property
    def user(self) -> str:
        """Who asks, empty if nobody knows."""
        from . import access

        return access.username(self.client)

    @contextlib.contextmanager
    def pushing(self, uid: str) -> Iterator[None]:
        """Have it be a push to a view that is private, to none if empty."""
        before, self.pushesto = self.pushesto, uid
        try:
            yield
        finally:
            self.pushesto = before

    @property
    def ishttp(self) -> bool:
        """Whether the client speaks http: each request stands alone then."""
        return ishttp(self.client)
