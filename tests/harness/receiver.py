"""Who is told by web hooks: keeps what comes, and answers as it is told to."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from .hg import Repo
from .listener import HOST

#: a secret, as the specification of Standard Webhooks has one
SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
#: seconds to wait for what a process in the background does
PATIENCE = 20.0


class Message(NamedTuple):
    """What came."""

    path: str
    heads: dict[str, str]
    body: bytes

    @property
    def push(self) -> int:
        id: int = self.json()['data']['pushid']
        return id

    @property
    def id(self) -> str:
        return self.heads['webhook-id']

    def json(self) -> Any:
        return json.loads(self.body)

    def signatures(self, secret: str = SECRET) -> bool:
        """Whether one of the signatures is that of who knows the secret."""
        key = base64.b64decode(secret.partition('_')[2])
        seconds = self.heads['webhook-timestamp']
        assert abs(int(seconds) - time.time()) < 300
        signed = f'{self.id}.{seconds}.'.encode() + self.body
        mac = hmac.new(key, signed, hashlib.sha256).digest()
        wanted = 'v1,' + base64.b64encode(mac).decode()
        return wanted in self.heads['webhook-signature'].split(' ')


class Receiver:
    """``answer`` is called with each message, and returns the status."""

    def __init__(self, tls: Any = None) -> None:
        self.messages: list[Message] = []
        self.answer: Callable[[Message], int] = lambda message: 204
        #: heads of the answer
        self.more: dict[str, str] = {}
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers['Content-Length'])
                heads = {k.lower(): v for k, v in self.headers.items()}
                message = Message(self.path, heads, self.rfile.read(size))
                receiver._keep(message)
                status = receiver.answer(message)
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in receiver.more.items():
                        self.send_header(name, value)
                    self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True
            )
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=lambda: self._server.serve_forever(0.02), daemon=True
        )
        self._thread.start()

    def _keep(self, message: Message) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    @property
    def pushes(self) -> list[int]:
        """The numbers of the pushes it was told of."""
        return [message.push for message in self.messages]

    def wait(self, count: int) -> list[Message]:
        """Wait for so many messages, and return all that came."""
        with self._changed:
            came = self._changed.wait_for(
                lambda: len(self.messages) >= count, PATIENCE
            )
        assert came, self.messages
        return self.messages

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextlib.contextmanager
def receiving(tls: Any = None) -> Iterator[Receiver]:
    made = Receiver(tls)
    try:
        yield made
    finally:
        made.close()


def hooked(
    repo: Repo, receiver: Receiver, name: str = 'ci', secrets: str = SECRET
) -> Path:
    """Have pushes to ``repo`` told; return the file of the secrets."""
    path = repo.path.parent / f'{name}.secret'
    path.write_text(secrets)
    path.chmod(0o600)
    items = {
        f'webhook.{name}': f'http://{HOST}:{receiver.port}/hooks/{name}?a=b',
        f'webhook.{name}:secret-file': f'{path}',
        f'webhook.{name}:allow-private': 'yes',
    }
    repo.configure('bundlestore', items)
    return path
