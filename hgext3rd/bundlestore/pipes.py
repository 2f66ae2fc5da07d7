"""Pipes that hold more: with the common 64 kB, whoever writes much and whoever
reads it wait for each other all the time."""

from __future__ import annotations

import contextlib
from typing import Any

#: what any user of Linux may ask for, in bytes
_ROOM = 1024 * 1024


def enlarge(file: Any) -> None:
    """Let a pipe hold more: that of a descriptor, or of what has one. Does
    nothing where it is no pipe, or the system cannot do that."""
    # Python has names for these from 3.10 on, and on Windows no such module
    getsize, setsize = 1032, 1031
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        if fcntl.fcntl(file, getsize) < _ROOM:
            fcntl.fcntl(file, setsize, _ROOM)
