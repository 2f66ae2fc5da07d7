"""Pushes that are sent piece by piece: the half of one, and then nothing."""

from __future__ import annotations

import base64
import contextlib
import os
import select
import shlex
import signal
import socket
import struct
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator, Sequence

from .hg import PATIENCE, Repo
from .servers import HOST, SshTransport, Transport, WebTransport

#: ``heads`` of an unbundle that does not mind who else pushed
_FORCE = b'force'.hex()


class Upload:
    """One connection that is about to push ``size`` bytes to ``repo``."""

    def send(self, data: bytes) -> bool:
        """Send some of them; return False if nobody takes them any more."""
        raise NotImplementedError

    def end(self) -> None:
        """Tell that this is all; over http, the size has told."""

    def over(self) -> bool:
        """Whether the server has closed the connection."""
        raise NotImplementedError

    def answer(self) -> str:
        """Wait for the end of the connection; return all that came."""
        raise NotImplementedError

    def vanish(self) -> None:
        """Be gone, without a word."""
        raise NotImplementedError


def start(
    transport: Transport, repo: Repo, size: int, user: str = 'alice'
) -> Upload:
    if isinstance(transport, SshTransport):
        return SshUpload(transport, repo, user)
    assert isinstance(transport, WebTransport)
    return HttpUpload(transport.url(repo, user), size)


class SshUpload(Upload):
    """Speaks to an ``hg serve --stdio`` of its own."""

    def __init__(
        self, transport: SshTransport, repo: Repo, user: str = 'alice'
    ) -> None:
        serve = [str(transport.hg.executable), '-R']
        serve += [str(repo.path), 'serve', '--stdio']
        self.process = subprocess.Popen(
            [transport.script, f'{user}@{HOST}', shlex.join(serve)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in = self.process.stdin
        self._out = self.process.stdout
        self._write(b'unbundle\nheads %d\n%s' % (len(_FORCE), _FORCE.encode()))
        # "go on"
        assert self._out.readline() == b'0\n', self._out.read()

    def _write(self, data: bytes) -> bool:
        try:
            self._in.write(data)
            self._in.flush()
        except BrokenPipeError:
            return False
        return True

    def send(self, data: bytes) -> bool:
        # one without a byte would be the last
        return not data or self._write(b'%d\n%s' % (len(data), data))

    def sendraw(self, data: bytes) -> bool:
        """Send what need not be a block."""
        return self._write(data)

    def end(self) -> None:
        self._write(b'0\n')

    def over(self) -> bool:
        return self.process.poll() is not None

    def hangup(self) -> None:
        """Close this end of the line."""
        with contextlib.suppress(BrokenPipeError):
            self._in.close()

    def answer(self) -> str:
        # closing the other end would be an answer of another kind
        timer = threading.Timer(
            PATIENCE, os.killpg, (self.process.pid, signal.SIGKILL)
        )
        timer.start()
        out = self._out.read()
        timer.cancel()
        assert self.process.wait(PATIENCE) == 0, out
        self.hangup()
        self._out.close()
        return out.decode('utf-8', 'replace')

    def vanish(self) -> None:
        """Kill the server's process: sshd does that to one whose line is
        down."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.hangup()
        self._out.close()


class HttpUpload(Upload):
    """A request whose body comes bit by bit."""

    def __init__(self, url: str, size: int) -> None:
        self._socket = connect(url)
        query = urllib.parse.urlencode({'cmd': 'unbundle', 'heads': _FORCE})
        request(
            self._socket,
            url,
            'POST',
            query,
            f'Content-Type: application/mercurial-0.1\r\n'
            f'Content-Length: {size}\r\n'
            # so that the answer ends when the connection does
            'Connection: close\r\n',
        )

    def send(self, data: bytes) -> bool:
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    def over(self) -> bool:
        # something to read: the answer, or the end
        return bool(select.select([self._socket], [], [], 0)[0])

    def answer(self) -> str:
        found = b''.join(received(self._socket))
        self._socket.close()
        return found.decode('utf-8', 'replace')

    def vanish(self) -> None:
        reset(self._socket)


def connect(url: str) -> socket.socket:
    """Return a connection to the server at ``url``."""
    parts = urllib.parse.urlsplit(url)
    return socket.create_connection(
        (parts.hostname, parts.port), timeout=PATIENCE
    )


def request(
    connection: socket.socket,
    url: str,
    method: str,
    query: str,
    headers: str = '',
) -> None:
    """Send the head of a request for ``url``, which may have a password."""
    parts = urllib.parse.urlsplit(url)
    if parts.username:
        login = f'{parts.username}:{parts.password}'.encode()
        coded = base64.b64encode(login).decode()
        headers += f'Authorization: Basic {coded}\r\n'
    connection.sendall(
        f'{method} {parts.path}?{query} HTTP/1.1\r\n'
        f'Host: {parts.hostname}\r\n{headers}\r\n'.encode()
    )


def received(connection: socket.socket) -> Iterator[bytes]:
    """Yield what comes until the other end closes the connection."""
    with contextlib.suppress(ConnectionResetError):
        while True:
            data = connection.recv(65536)
            if not data:
                return
            yield data


def reset(connection: socket.socket) -> None:
    """Break a connection: no farewell, but a reset."""
    connection.setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)
    )
    connection.close()


def trickle(uploads: Sequence[Upload], seconds: float = 0.05) -> None:
    """Send a byte now and then, until the server has had enough of all."""
    left = list(uploads)
    pause = threading.Event()
    for _ in range(int(PATIENCE / seconds)):
        left = [u for u in left if not u.over() and u.send(b'\0')]
        if not left:
            return
        pause.wait(seconds)
    raise AssertionError(f'{len(left)} uploads go on')
