"""Builds ``shim.c`` and says what it is to do."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple, Optional

SOURCE = Path(__file__).with_name('shim.c')

#: where this is set, a compiler that is missing is a failure
REQUIRED = 'BUNDLESTORE_REQUIRE_FAULTS'

#: what can go wrong, see shim.c
KINDS = (
    'killbefore',
    'killafter',
    'eio',
    'enospc',
    'eacces',
    'short',
    'full',
    'readonly',
    'dead',
)

_VARIABLE = 'BUNDLESTORE_FAULT_'


def missing() -> Optional[str]:
    """Return what is missing, if anything is."""
    if os.uname().sysname != 'Linux':
        return 'the library that makes file operations fail is for Linux'
    if shutil.which('cc') is None:
        return 'no C compiler for the library that makes file operations fail'
    return None


def build() -> Path:
    """Compile the library; return the file. The caller removes its folder."""
    folder = Path(tempfile.mkdtemp(prefix='bundlestore-faults-'))
    library = folder / 'shim.so'
    command = ['cc', '-shared', '-fPIC', '-O1', '-Wall', '-o', str(library)]
    subprocess.run([*command, str(SOURCE), '-ldl', '-lpthread'], check=True)
    return library


class Plan(NamedTuple):
    """What is to go wrong in a process, and what to note."""

    #: the folders that are watched
    roots: tuple[Path, ...]
    #: one of KINDS, at operation number ``at``
    kind: str = 'none'
    at: int = 0
    #: where the process counts
    state: Optional[Path] = None
    log: Optional[Path] = None
    #: a file whose growth is logged, too
    reply: Optional[Path] = None
    #: what the path of a file that cannot be read contains
    unreadable: str = ''
    #: how fast the clock is, in seconds
    clock: float = 0
    #: whether it does not sleep
    haste: bool = False

    def environ(self) -> dict[str, str]:
        """Return the variables for shim.c, all of them."""
        return {
            _VARIABLE + 'ROOT': ':'.join(map(str, self.roots)),
            _VARIABLE + 'KIND': self.kind,
            _VARIABLE + 'AT': str(self.at),
            _VARIABLE + 'STATE': str(self.state or ''),
            _VARIABLE + 'LOG': str(self.log or ''),
            _VARIABLE + 'REPLY': str(self.reply or ''),
            _VARIABLE + 'READ': self.unreadable,
            _VARIABLE + 'CLOCK': str(self.clock),
            _VARIABLE + 'HASTE': '1' if self.haste else '',
        }


class State(NamedTuple):
    """What became of a plan."""

    #: how many operations there were
    done: int
    #: whether something went wrong on purpose
    fired: bool


def readstate(path: Path) -> State:
    count, fired, _spare = struct.unpack('=3I', path.read_bytes())
    return State(count, bool(fired))
