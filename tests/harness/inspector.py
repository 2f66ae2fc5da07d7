"""Looks into repositories, and commits to them, without a process each time.

Half of what a test asks of Mercurial is how things stand. That goes to one
plain command server for each version, which takes a tenth of the time. What
is under test never runs there: the extension is off, so looking for a
changeset does not fetch it.
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .hg import Hg


class Inspector:
    """A command server: ``hg serve --cmdserver pipe``."""

    _running: dict[str, Inspector] = {}

    @classmethod
    def of(cls, hg: Hg, own: str = '') -> Inspector:
        """Return the one of this version, started if need be. ``own`` names
        one for repositories that turn on extensions, of just this ``hg``."""
        key = f'{hg.version} {own}'
        if key not in cls._running:
            cls._running[key] = cls(hg if own else hg.plain())
        return cls._running[key]

    @classmethod
    def stopall(cls) -> None:
        while cls._running:
            _, inspector = cls._running.popitem()
            inspector.stop()

    def __init__(self, hg: Hg) -> None:
        self._process = subprocess.Popen(
            [
                str(hg.executable),
                *('serve', '--cmdserver', 'pipe'),
                *('--config', 'extensions.bundlestore=!'),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**hg.cleanenviron(), 'HGENCODING': 'utf-8'},
            cwd='/',
        )
        self._readframe()

    def stop(self) -> None:
        # the end of its input is the end of the server
        self._process.communicate()

    def _readframe(self) -> tuple[bytes, bytes]:
        assert self._process.stdout is not None
        header = self._process.stdout.read(5)
        assert len(header) == 5, 'the command server died'
        channel, length = struct.unpack('>cI', header)
        # upper-case channels ask for input; nothing here gives any
        assert channel.islower(), channel
        return channel, self._process.stdout.read(length)

    def run(self, path: Path, *args: str) -> tuple[int, str, str]:
        """Run a command with ``path`` as current folder and return exit
        code, output and errors."""
        assert self._process.stdin is not None
        data = '\0'.join(['--cwd', str(path), *args]).encode(
            'utf-8', 'surrogateescape'
        )
        self._process.stdin.write(b'runcommand\n')
        self._process.stdin.write(struct.pack('>I', len(data)) + data)
        self._process.stdin.flush()
        text = {b'o': b'', b'e': b'', b'd': b''}
        while True:
            channel, data = self._readframe()
            if channel == b'r':
                break
            text[channel] += data
        (code,) = struct.unpack('>i', data)
        return (
            code,
            text[b'o'].decode('utf-8', 'surrogateescape'),
            text[b'e'].decode('utf-8', 'surrogateescape'),
        )
