"""Runs a command of the administrator, to its end or to that of our patience.

What it prints never gets into the way of a server that talks over its own
standard output, and nothing of it is taken for more than it says: the exit code
counts, and the last line of its standard error is for people.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from typing import IO, Any, Optional

from .. import errors
from ..records import NamedTuple
from .localfiles import reason

#: The exit codes that say: what this is about is not there. They are those of
#: rclone, for a folder and for a file. Any other but 0 is a failure.
ABSENT = (3, 4)

#: bytes of what a command says of its failure that are read, and characters of
#: it that are told
_TAIL = 4096
_LONGEST = 200
#: seconds to wait for what a command left behind, which may go on to print
_PAUSE = 1.0


class Command(NamedTuple):
    """A command for the shell."""

    #: the item of the configuration that it comes from
    name: str
    text: str
    #: seconds that it may take
    patience: float

    def run(
        self, variables: Mapping[str, str], output: Optional[IO[bytes]] = None
    ) -> bool:
        """Run it with ``variables`` in its environment, and with what it
        prints in the file ``output``, if given. Return False if what it is
        about is not there; raises ``BackendUnavailable`` if it fails."""
        try:
            process = subprocess.Popen(
                self.text.encode('utf-8', 'surrogateescape'),
                shell=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if output is None else output,
                stderr=subprocess.PIPE,
                env={**os.environ, **variables},
                # so that all that it starts can be ended with it
                start_new_session=True,
            )
        except OSError as exc:
            raise self._failed(f'cannot be run: {reason(exc)}') from exc
        with process:
            try:
                said = _listen(process, self.patience)
            except BaseException:
                _end(process)
                raise
            if said is None:
                _end(process)
                raise self._failed(f'took longer than {self.patience:g} s')
        code = process.returncode
        if code and code not in ABSENT:
            how = f'failed with exit code {code}'
            if code < 0:
                how = f'was ended by signal {-code}'
            line = _lastline(said)
            raise self._failed(f'{how}: {line}' if line else how)
        return not code

    def _failed(self, how: str) -> errors.BackendUnavailable:
        return errors.BackendUnavailable(
            f'{self.name} of the bundle store {how}',
            f"the administrator should look at 'bundlestore.{self.name}'",
        )


def _listen(process: Any, patience: float) -> Optional[bytes]:
    """Return the end of what a process says until it is done; None if it is
    not within so many seconds."""
    said = b''
    deadline = time.monotonic() + patience
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            if not selector.select(min(left, _PAUSE)):
                if process.poll() is not None:
                    return said
                continue
            data = os.read(process.stderr.fileno(), _TAIL)
            if not data:
                break
            said = (said + data)[-_TAIL:]
    try:
        process.wait(max(deadline - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        return None
    return said


def _end(process: Any) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _lastline(said: bytes) -> str:
    """Return the last line of what a command said, for people."""
    lines = said.decode('utf-8', 'replace').split('\n')
    for line in reversed(lines):
        text = ''.join(c if c.isprintable() else ' ' for c in line).strip()
        if text:
            return text[:_LONGEST]
    return ''
