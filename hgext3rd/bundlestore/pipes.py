"""Pipes that hold more: with the common 64 kB, whoever writes much and whoever
reads it wait for each other all the time."""

from __future__ import annotations

import contextlib

#: what any user of Linux may ask for, in bytes
_ROOM = 1024 * 1024


def enlarge(fd: int) -> None:
    """Let a pipe hold more, where it is one and the system can do that."""
    # Python has names for these from 3.10 on, and on Windows no such module
    getsize, setsize = 1032, 1031
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        if fcntl.fcntl(fd, getsize) < _ROOM:
            fcntl.fcntl(fd, setsize, _ROOM)
