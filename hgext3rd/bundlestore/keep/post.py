"""Sends a message to where a web hook is, and nowhere else.

The name is resolved once, all addresses are looked at, and the connection goes
to one of these: who owns a name cannot have this server talk to its own
network. Redirects and proxies are not followed.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Union

from mercurial import error, sslutil
from mercurial.utils import stringutil

from .. import metadata
from ..records import NamedTuple
from ..server import totext
from .webhooks import Hook

#: seconds that all of it may take
PATIENCE = 15.0

#: the only IPv6 addresses that belong to anybody
_GLOBAL = ipaddress.ip_network('2000::/3')
#: these stand for the IPv4 address at their end
_NAT64 = ipaddress.ip_network('64:ff9b::/96')

_Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


class Answer(NamedTuple):
    """What came of a message."""

    #: of HTTP, 0 if there was none
    status: int
    #: why it was in vain; empty if it was not
    trouble: str


def post(ui, hook: Hook, body: bytes, heads: dict[str, str]) -> Answer:
    """Send a message; nothing is raised that the receiver can be the reason
    of."""
    until = time.monotonic() + PATIENCE
    connection = _Connection(ui, hook, until)
    try:
        with contextlib.closing(connection):
            connection.request(
                'POST',
                hook.target,
                body,
                {
                    'Content-Type': 'application/json',
                    'User-Agent': f'hg-bundlestore/{metadata.__version__}',
                    'Connection': 'close',
                    **heads,
                },
            )
            # what else it says is not read
            status = connection.getresponse().status
        trouble = ''
    except (OSError, http.client.HTTPException, error.Abort) as exc:
        status, trouble = 0, _reason(exc)
    if time.monotonic() >= until:
        # heads that are cut off look as though they were whole
        return Answer(0, f'no answer within {PATIENCE:g} seconds')
    if trouble:
        return Answer(status, trouble)
    if 200 <= status < 300:
        return Answer(status, '')
    more = ', and redirects are not followed' if 300 <= status < 400 else ''
    return Answer(status, f'HTTP status {status}{more}')


def _reason(exc: Exception) -> str:
    if isinstance(exc, error.Abort):
        text = totext(exc.message)
    elif isinstance(exc, OSError) and exc.strerror:
        text = totext(stringutil.forcebytestr(exc.strerror))
    else:
        text = f'{exc}' or type(exc).__name__
    return ' '.join(text.split())[:200]


class _Connection(http.client.HTTPConnection):
    def __init__(self, ui, hook: Hook, until: float) -> None:
        default = 443 if hook.istls else 80
        super().__init__(hook.host, hook.port)
        # so that it is not told where it goes without saying
        self.default_port = default
        self._ui = ui
        self._hook = hook
        self._until = until
        self._ending = contextlib.ExitStack()

    def connect(self) -> None:
        self.sock = _connected(self._hook, self._until)
        self._ending.enter_context(_ended(self.sock, self._until))
        if self._hook.istls:
            # Mercurial's own: [hostsecurity], web.cacerts
            self.sock = sslutil.wrapsocket(
                self.sock, None, None, self._ui, serverhostname=self._hook.host
            )
            sslutil.validatesocket(self.sock)

    def close(self) -> None:
        self._ending.close()
        super().close()


def _connected(hook: Hook, until: float) -> socket.socket:
    """Return a connection to one of the addresses of a host."""
    addresses = socket.getaddrinfo(
        hook.host, hook.port, type=socket.SOCK_STREAM
    )
    if not hook.allowprivate:
        for _family, _kind, _protocol, _name, address in addresses:
            _check(hook, f'{address[0]}')
    trouble: OSError = OSError('no address')
    for number, (family, kind, protocol, _name, address) in enumerate(
        addresses
    ):
        left = max(until - time.monotonic(), 0.001)
        connection = socket.socket(family, kind, protocol)
        try:
            # something is left for those that come
            connection.settimeout(left / (len(addresses) - number))
            connection.connect(address)
            connection.settimeout(left)
            return connection
        except OSError as exc:
            connection.close()
            trouble = exc
    raise trouble


def _check(hook: Hook, address: str) -> None:
    """Refuse an address that is not one of the internet."""
    # the interface is told behind a percent sign
    found = ipaddress.ip_address(address.partition('%')[0])
    if not ispublic(found):
        raise OSError(
            f'{hook.host} is {found}, which is no public address'
            f' (bundlestore.webhook.{hook.name}:allow-private)'
        )


def ispublic(address: _Address) -> bool:
    """Whether an address is one of the internet, of one machine."""
    if isinstance(address, ipaddress.IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inside is not None:
            return ispublic(inside)
        if address not in _GLOBAL or address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


@contextlib.contextmanager
def _ended(connection: socket.socket, until: float) -> Iterator[None]:
    """End a connection when the time has come, be it that something comes
    now and then."""
    # the connection may become another object
    with socket.socket(fileno=os.dup(connection.fileno())) as same:

        def end() -> None:
            with contextlib.suppress(OSError):
                same.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(max(until - time.monotonic(), 0), end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
