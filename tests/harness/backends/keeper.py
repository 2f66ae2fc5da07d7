"""Keeps a server for as long as those live who want it.

    keeper.py ORDER

Starts what the order (JSON, see daemon.py) says, as the user that it names,
and writes its own id and the server's to ``pids``. When the process that it
watches is no more, or on SIGTERM, it ends the server and takes away what is
listed. So nothing is left when pytest is killed, too. Only the standard
library, as it is started without anything else.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from typing import Any

#: seconds that a server has to end by itself, where it is asked to
PATIENCE = 5


def main(path: str) -> int:
    with open(path) as file:
        order: dict[str, Any] = json.load(file)
    waking, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        watched = os.pidfd_open(order['watched'])
    except ProcessLookupError:
        return 1
    server = subprocess.Popen(
        order['command'],
        env=order['environ'],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        **order['runas'],
    )
    with open(order['pids'] + '.new', 'w') as file:
        file.write(f'{os.getpid()} {server.pid}')
    os.rename(order['pids'] + '.new', order['pids'])
    poll = select.poll()
    ended = os.pidfd_open(server.pid)
    for fd in (watched, ended, waking):
        poll.register(fd, select.POLLIN)
    ready = {fd for fd, _ in poll.poll()}
    end(server, order['signal'])
    for name in order['leftovers']:
        with contextlib.suppress(OSError):
            os.unlink(name)
    if watched in ready:
        # those whose folder it is can no longer do it
        shutil.rmtree(order['rubbish'], ignore_errors=True)
    return 0


def end(server: subprocess.Popen[bytes], number: int) -> None:
    """End a server by a signal, and with it all that it has started."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.send_signal(number)
        # it may be frozen
        server.send_signal(signal.SIGCONT)
        server.wait(PATIENCE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
