"""What a client of Mercurial sends over http, to be sent again by hand: a
client in Python would cost more than the server that is measured."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .measure import CommandFailed

_HOST = '127.0.0.1'
_BLOCK = 256 * 1024
_COMMAND = re.compile(rb'[?&]cmd=(\w+)')
_REFUSED = re.compile(rb'error:\w+', re.IGNORECASE)
_LENGTH = re.compile(rb'^content-length: *(\d+)', re.IGNORECASE | re.MULTILINE)


class Request(NamedTuple):
    """A request, byte for byte."""

    head: bytes
    body: bytes

    @property
    def command(self) -> str:
        """What it asks, in the words of Mercurial's wire protocol."""
        found = _COMMAND.search(self.head.partition(b'\r\n')[0])
        return found[1].decode() if found else ''

    def about(self, one: Change, other: Change) -> Request:
        """Return the same request about another changeset."""
        head, body = self.head, self.body
        for old, new in zip(one.changegroups, other.changegroups):
            # small, so it is a part of a bundle in one piece
            body = body.replace(_framed(old), _framed(new))
        if body != self.body:
            head = _LENGTH.sub(b'Content-Length: %d' % len(body), head)
        return Request(_renamed(head, one, other), _renamed(body, one, other))


class Change(NamedTuple):
    """A changeset, and what a push of it sends, by version."""

    node: bytes
    changegroups: Sequence[bytes]


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(4, 'big') + data


def _renamed(data: bytes, one: Change, other: Change) -> bytes:
    data = data.replace(one.node, other.node)
    return data.replace(one.node.hex().encode(), other.node.hex().encode())


class Recorder:
    """Passes connections on to a server, and keeps what clients send."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._socket = socket.create_server((_HOST, 0))
        self.url = f'http://{_HOST}:{self._socket.getsockname()[1]}'
        self._sent: list[bytearray] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def requests(self) -> list[Request]:
        """Return what was asked since the last time."""
        sent, self._sent = self._sent, []
        return [one for data in sent for one in _split(bytes(data))]

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self._socket.accept()
                server = socket.create_connection((_HOST, self._target))
                kept = bytearray()
                self._sent.append(kept)
                for source, target, to in (
                    (client, server, kept),
                    (server, client, bytearray()),
                ):
                    threading.Thread(
                        target=_copy, args=(source, target, to), daemon=True
                    ).start()
        except OSError:
            pass


def _copy(source: socket.socket, target: socket.socket, to: bytearray) -> None:
    try:
        while data := source.recv(_BLOCK):
            to += data
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _split(data: bytes) -> Iterator[Request]:
    while data:
        head, _, data = data.partition(b'\r\n\r\n')
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        yield Request(head, data[:length])
        data = data[length:]


class Connection:
    """A connection to a server that stays open."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((_HOST, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._socket.close()

    def ask(self, request: Request) -> bytes:
        """Send a request; return the answer's body. Raises
        ``CommandFailed``."""
        self._socket.sendall(request.head + b'\r\n\r\n' + request.body)
        answer = http.client.HTTPResponse(self._socket)
        answer.begin()
        body = answer.read()
        if answer.status != 200 or _REFUSED.search(body):
            raise CommandFailed(f'{request.command}: {answer.status} {body!r}')
        return body
