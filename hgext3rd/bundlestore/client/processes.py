"""Ends a process with all that it has started.

The command in ``ui.ssh`` runs in a shell and may be a script. Only on a system
with process groups could it be told apart from the user's own processes, and
then it could ask for no password on the terminal. So its descendants are looked
up.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time

#: seconds for a process to end by itself
_GRACE = 1.0


def end(process: subprocess.Popen) -> None:
    """End a process and its descendants, as far as they can be found."""
    family = [process.pid, *_descendants(process.pid)]
    # ssh gives the terminal back when it is told to end
    _send(family, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    _finish(family[1:])
    if process.poll() is None:
        process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)


def endchildren() -> None:
    """End the descendants of this process, as far as they can be found."""
    family = _descendants(os.getpid())
    _send(family, signal.SIGTERM)
    _finish(family)


def _finish(pids: list[int]) -> None:
    """Wait a while for processes to end, then have them end."""
    until = time.monotonic() + _GRACE
    while any(map(_lives, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    _send(
        [pid for pid in pids if _lives(pid)],
        getattr(signal, 'SIGKILL', signal.SIGTERM),
    )


def _send(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    # whoever has to read how it ended may take a while
    return _status(pid)[:1] != [b'Z']


def _status(pid: int) -> list[bytes]:
    """Return the fields of Linux about a process that follow its name: its
    state, its parent and others. None where there are none."""
    with contextlib.suppress(OSError), open(f'/proc/{pid}/stat', 'rb') as file:
        # the name of the command may hold anything
        return file.read().rpartition(b')')[2].split()
    return []


def _descendants(pid: int) -> list[int]:
    """Return the descendants of a process, parents first."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found = list(children.get(pid, ()))
    for each in found:
        found.extend(children.get(each, ()))
    return found


def _parents() -> list[tuple[int, int]]:
    """Return the processes of this machine with their parents, or none where
    they cannot be had."""
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir('/proc'):
            fields = _status(int(name)) if name.isdigit() else []
            if fields:
                found.append((int(name), int(fields[1])))
    if found:
        return found
    with contextlib.suppress(OSError):
        listed = subprocess.run(
            ['ps', '-A', '-o', 'pid=', '-o', 'ppid='],
            capture_output=True,
            check=False,
        ).stdout
        for pid, parent in re.findall(rb'^\s*(\d+)\s+(\d+)\s*$', listed, re.M):
            found.append((int(pid), int(parent)))
    return found
