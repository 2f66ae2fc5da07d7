"""Looks into repositories, and commits to them, without a process each time.

Half of what a test asks of Mercurial is how things stand. That goes to one
plain command server for each version, which takes a tenth of the time. What
is under test never runs there: the extension is off, so looking for a
changeset does not fetch it.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from . import cost, forked

if TYPE_CHECKING:
    from .hg import Hg


#: seconds of processor time that one may take: all tests of a night ask it
SECONDS = 10 * cost.SECONDS


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
        stdin, mine = os.pipe()
        self._input = open(mine, 'wb')
        mine, stdout = os.pipe()
        self._output = open(mine, 'rb')
        # whatever the encoding of those that are under test
        environ = {**hg.cleanenviron(), **forked.FIXED}
        environ.pop('HGENCODING', None)
        self._process = forked.start(
            [
                str(hg.executable),
                *('serve', '--cmdserver', 'pipe'),
                *('--config', 'extensions.bundlestore=!'),
            ],
            cwd='/',
            env=environ,
            stdin=stdin,
            stdout=stdout,
            stderr=2,
        )
        os.close(stdin)
        os.close(stdout)
        cost.bound(self._process.pid, SECONDS)
        self._readframe()

    def stop(self) -> None:
        # the end of its input is the end of the server
        self._input.close()
        self._process.wait()
        self._output.close()

    def _readframe(self) -> tuple[bytes, bytes]:
        header = self._output.read(5)
        assert len(header) == 5, 'the command server died'
        channel, length = struct.unpack('>cI', header)
        # upper-case channels ask for input; nothing here gives any
        assert channel.islower(), channel
        return channel, self._output.read(length)

    def run(self, path: Path, *args: str) -> tuple[int, str, str]:
        """Run a command with ``path`` as current folder and return exit
        code, output and errors."""
        data = '\0'.join(['--cwd', str(path), *args]).encode(
            'utf-8', 'surrogateescape'
        )
        length = struct.pack('>I', len(data))
        self._input.write(b'runcommand\n' + length + data)
        self._input.flush()
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
