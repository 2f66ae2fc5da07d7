"""Servers that are no help: silent, closed, full, or wary of strangers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

HOST = '127.0.0.1'

#: what an HTTP server says to whom it does not know
LOGIN = (
    b'HTTP/1.1 401 Unauthorized\r\n'
    b'WWW-Authenticate: Basic realm="x"\r\n'
    b'Content-Length: 0\r\nConnection: close\r\n\r\n'
)


class Listener:
    """Takes connections, and counts them."""

    def __init__(self, answer: bytes | None) -> None:
        #: what it says to a request before it hangs up; None for ever nothing
        self.answer = answer
        #: how many clients have connected
        self.count = 0
        self._kept: list[socket.socket] = []
        self._socket = socket.create_server((HOST, 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection = self._socket.accept()[0]
            except OSError:
                return
            self.count += 1
            if self.answer is None:
                self._kept.append(connection)
                continue
            with contextlib.suppress(OSError), connection:
                if self.answer:
                    connection.recv(65536)
                    connection.sendall(self.answer)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            # wakes the thread
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for connection in self._kept:
            connection.close()


@contextlib.contextmanager
def listening(answer: bytes | None) -> Iterator[Listener]:
    made = Listener(answer)
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def blackhole(answer: bytes | None = None) -> Iterator[int]:
    """Give a port to which nobody can connect, and nobody is told so: what
    waits to be accepted is as much as there may be. With ``answer``, the first
    one is told that."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind((HOST, 0))
        full.listen(0)

        def fill() -> None:
            for _ in range(3):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(full.getsockname())

        def serve() -> None:
            with full.accept()[0] as connection:
                connection.recv(65536)
                fill()
                connection.sendall(answer or b'')

        if answer is None:
            fill()
        else:
            threading.Thread(target=serve, daemon=True).start()
        yield full.getsockname()[1]
