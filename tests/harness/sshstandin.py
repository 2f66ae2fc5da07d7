"""The ssh of the tests: it has the forkserver run what is to run elsewhere.

A script of a transport's calls this (see ``SshTransport``). It runs for as
long as the command does, as ssh would, and the command dies with it.
"""

from __future__ import annotations

import os
import signal
import sys

from harness import forkwire

_PLAIN = frozenset(
    'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%_+=:,./- '
)


def main(environ: dict[str, str], path: str, hg: str) -> None:
    """``[user@]host command``, with the forkserver of ``hg`` at ``path``.

    What else than a plain command of this ``hg`` comes, a shell runs.
    """
    host, command = sys.argv[1:]
    user = host.partition('@')[0]
    environ = {**environ, 'USER': user, 'LOGNAME': user}
    words = command.split(' ')
    if words[0] != hg or not _PLAIN.issuperset(command):
        os.execve('/bin/sh', ['sh', '-c', command], environ)
    umask = os.umask(0)
    message = forkwire.request(
        [os.fsencode(word) for word in words[1:]],
        {os.fsencode(k): os.fsencode(v) for k, v in environ.items()},
        os.getcwdb(),
        umask,
    )
    try:
        connection = forkwire.ask(path, message, [0, 1, 2])
    except OSError:
        os.umask(umask)
        os.execve('/bin/sh', ['sh', '-c', command], environ)
    # the other end of a pipe is to notice when the command closes its own
    os.closerange(0, 3)
    forkwire.hear(connection)
    code = os.waitstatus_to_exitcode(forkwire.hear(connection))
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
