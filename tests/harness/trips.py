"""Counts what a command asks a server: requests, and connections."""

from __future__ import annotations

import re
from typing import NamedTuple

from .hg import Repo, Result
from .proxy import HOST, Proxy
from .servers import HttpTransport, Transport

#: in the access log of ``hg serve``
_REQUEST = re.compile(r'"(?:GET|POST) (/\S*) HTTP')
_COMMAND = re.compile(r'[?&]cmd=(\w+)')
#: what Mercurial says with --debug; a reply to the server's side of ssh
_SENDING = re.compile(r'^sending (\w+) command$', re.MULTILINE)


class Seen(NamedTuple):
    """What a server has seen of one command of a client."""

    #: commands of the wire protocol, in their order
    commands: list[str]
    connections: int
    result: Result


class Trips:
    """What clients ask ``transport``, whose server runs already.

    Over http, requests are those in the server's log, and connections those
    that a proxy in front of it takes. Over ssh the client tells what it sends:
    the server is its own, and answers one command after the other.
    """

    def __init__(self, transport: Transport, repo: Repo) -> None:
        self._transport = transport
        self.url = transport.url(repo)
        self._proxy: Proxy | None = None
        if isinstance(transport, HttpTransport):
            self._proxy = Proxy(transport.port)
            mine, theirs = f'{HOST}:{self._proxy.port}', str(transport.port)
            self.url = re.sub(rf'{HOST}:{theirs}', mine, self.url)

    def close(self) -> None:
        if self._proxy is not None:
            self._proxy.close()

    def of(self, client: Repo, *args: str, ok: tuple[int, ...] = (0,)) -> Seen:
        """Run a command and return what the server saw of it."""
        if self._proxy is None:
            result = client.run(*args, '--debug', ok=ok)
            commands = _SENDING.findall(result.out)
            return Seen(commands, commands.count('hello'), result)
        assert isinstance(self._transport, HttpTransport)
        log = self._transport.accesslog
        before = log.stat().st_size if log.exists() else 0
        connections = self._proxy.connections
        result = client.run(*args, ok=ok)
        with log.open() as file:
            file.seek(before)
            requests = _REQUEST.findall(file.read())
        commands = [_command(request) for request in requests]
        return Seen(commands, self._proxy.connections - connections, result)


def _command(request: str) -> str:
    found = _COMMAND.search(request)
    return found[1] if found else request
