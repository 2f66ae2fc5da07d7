"""Mercurial's command server."""

from __future__ import annotations

import struct
import subprocess

from .hg import Repo


class CommandServer:
    """``hg serve --cmdserver pipe``: one process and one repository object for
    many commands, as editors use it."""

    def __init__(self, repo: Repo) -> None:
        self._process = subprocess.Popen(
            [repo.hg.executable, 'serve', '--cmdserver', 'pipe'],
            cwd=repo.path,
            env=repo.hg.cleanenviron(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._receive()[0] == b'o', 'no hello'

    def _receive(self) -> tuple[bytes, bytes]:
        """Return a channel and what came by it."""
        assert self._process.stdout
        header = self._process.stdout.read(5)
        assert len(header) == 5, 'the server died'
        channel, size = struct.unpack('>cI', header)
        return channel, self._process.stdout.read(size)

    def run(self, *args: str) -> tuple[int, str]:
        """Run a command; return its exit code and its output."""
        data = b'\0'.join(arg.encode() for arg in args)
        assert self._process.stdin
        self._process.stdin.write(b'runcommand\n')
        self._process.stdin.write(struct.pack('>I', len(data)) + data)
        self._process.stdin.flush()
        text = b''
        while True:
            channel, data = self._receive()
            if channel == b'r':
                return struct.unpack('>i', data)[0], text.decode()
            assert channel in (b'o', b'e'), 'asked for input'
            text += data

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
