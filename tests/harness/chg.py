"""``hg`` by way of ``chg``: a client in C, and a server that forks."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path

import environments

from .hg import Hg
from .servers import patiently

#: where this is set, a ``chg`` that is missing is a failure
REQUIRED = 'BUNDLESTORE_REQUIRE_CHG'


def missing() -> str | None:
    """Return what is missing, if anything is."""
    if environments.chg().exists():
        return None
    return 'no chg: it is compiled where there are cc and make'


class Chg(Hg):
    """A Mercurial with this project, with servers of its own."""

    def __init__(
        self, version: str, environ: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(version, True, environ)
        # the folder of a test may be too long a name for a socket
        self.sockets = Path(tempfile.mkdtemp(prefix='chg-'))
        self.environ['CHGHG'] = str(self.executable)
        self.environ['CHGSOCKNAME'] = str(self.sockets / 'server')
        self.executable = environments.chg()

    def servers(self) -> list[int]:
        """Return the processes that listen, without those that they forked."""
        address = str(self.sockets / 'server').encode()
        found: dict[int, int] = {}
        for folder in Path('/proc').glob('[0-9]*'):
            try:
                words = (folder / 'cmdline').read_bytes()
                # the name in it may hold anything
                fields = (folder / 'stat').read_text().rpartition(')')[2]
            except OSError:
                continue
            if address in words and b'chgunix' in words:
                found[int(folder.name)] = int(fields.split()[1])
        return [pid for pid, parent in found.items() if parent not in found]

    def openfiles(self) -> set[str]:
        """Return what the listening processes have open."""
        found = set()
        for pid in self.servers():
            for path in Path(f'/proc/{pid}/fd').iterdir():
                try:
                    found.add(os.readlink(path))
                except FileNotFoundError:
                    continue
        return found

    def close(self) -> None:
        for pid in self.servers():
            os.kill(pid, signal.SIGTERM)
        for _ in patiently():
            if not self.servers():
                break
        shutil.rmtree(self.sockets)
