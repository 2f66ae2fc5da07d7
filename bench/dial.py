#!/usr/bin/env python3
"""In the place of ssh, by way of a port of this machine: what stands between
the two is for the bench to choose.

    dial.py PORT COMMAND

:class:`Exchange` is the other end: it runs the command, with the connection for
its standard input and output.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping

_BLOCK = 256 * 1024


class Exchange:
    """Runs what is dialled, each with ``environ``."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)
        self._socket = socket.create_server(('127.0.0.1', 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # wakes up the thread that accepts
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    self._run(connection)

    def _run(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        words = b''
        # not a byte of what comes after it
        while not words.endswith(b'\0'):
            byte = connection.recv(1)
            if not byte:
                return
            words += byte
        protocol, _, command = words[:-1].decode().partition(' ')
        # whoever measures waits for it, as for all that a command leaves
        subprocess.Popen(
            ['sh', '-c', command],
            stdin=connection.fileno(),
            stdout=connection.fileno(),
            stderr=subprocess.DEVNULL,
            env={**self._environ, 'GIT_PROTOCOL': protocol},
        )


def main(port: str, command: str) -> None:
    with socket.create_connection(('127.0.0.1', int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        protocol = os.environ.get('GIT_PROTOCOL', '')
        connection.sendall(f'{protocol} {command}\0'.encode())

        def upload() -> None:
            with contextlib.suppress(OSError):
                while data := os.read(0, _BLOCK):
                    connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)

        threading.Thread(target=upload, daemon=True).start()
        with contextlib.suppress(OSError):
            while data := connection.recv(_BLOCK):
                view = memoryview(data)
                while view:
                    view = view[os.write(1, view) :]
    # not to wait for who still reads
    os._exit(0)


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2])
