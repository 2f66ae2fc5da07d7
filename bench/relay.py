#!/usr/bin/env python3
"""Count what goes over a wire, and what the server at its end spends.

    relay.py FILE COMMAND…

Stands between the stand-in for ssh and a server, hands on what comes from
either side, and adds a line of JSON to the file: bytes to the server and from
it, and seconds of processor time of the server and of the relay itself. For
http there is tests/harness/proxy.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from typing import Callable

_BLOCK = 256 * 1024


def _copy(
    read: Callable[[int], bytes], write: Callable[[bytes], object]
) -> int:
    """Hand all on; return how many bytes came."""
    count = 0
    with contextlib.suppress(OSError):
        while data := read(_BLOCK):
            count += len(data)
            write(data)
    return count


def _writer(fd: int) -> Callable[[bytes], object]:
    def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    return write


def main(path: str, words: list[str]) -> int:
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin.fileno(), process.stdout.fileno()
    counts = {'up': 0}

    def upload() -> None:
        counts['up'] = _copy(lambda size: os.read(0, size), _writer(stdin))
        assert process.stdin is not None
        process.stdin.close()

    thread = threading.Thread(target=upload, daemon=True)
    thread.start()
    counts['down'] = _copy(lambda size: os.read(stdout, size), _writer(1))
    os.close(1)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    # the client has nothing more to say to a server that has ended
    thread.join(5)
    own = os.times()
    line = {
        **counts,
        'server': usage.ru_utime + usage.ru_stime,
        'relay': own.user + own.system,
    }
    with open(path, 'a') as file:
        file.write(json.dumps(line) + '\n')
    return process.returncode


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2:]))
