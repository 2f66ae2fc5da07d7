"""The base repository of one of several servers, which may lag behind.

Where several servers share a store and an index, each has a copy of the base
repository of its own, and other tools bring these up to date. So somebody may
ask one server for a changeset that rests on what landed on another and is not
here yet. ``bundlestore.on-missing-base`` is run then, once, and the request is
answered by what is here afterwards.

One process at a time runs it for a repository. The others wait for that and
look at what came of it. If it was of no use, nobody tries again for a while.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from typing import IO, Optional

from mercurial.node import hex
from mercurial.utils import procutil, stringutil

from .. import log
from ..server import hasnode

#: seconds that the command may take, and that others wait for it
PATIENCE = 30.0
WAIT = 10.0
#: seconds that it then gets to end in an orderly way, as it writes to the base
GRACE = 10.0
#: seconds in which it is not run again if it was of no use, or took too long
PAUSE = 10.0
LONG_PAUSE = 60.0

#: bytes of its output that are logged
_OUTPUT = 400
#: the file that says when it may be run again
_NEXT = 'on-missing-base'


def catchup(repo, server, node: bytes) -> bool:
    """Try to get ``node``, on which a stored changeset rests, into the base
    repository; return whether clients are shown it by now."""
    base = repo.unfiltered()
    if _isbusy(base):
        return False
    if _ishere(repo, node):
        return True
    # what is hidden or secret is here
    if base.changelog.hasnode(node) or not server.settings.onmissingbase:
        return False
    with server.cache.alone(_NEXT, WAIT) as alone:
        if _ishere(repo, node):
            return True
        if not alone or not _maytry(server.cache):
            return False
        code = _run(repo, server, node)
        found = _ishere(repo, node)
        pause = LONG_PAUSE if code is None else PAUSE
        next = 0.0 if found else time.time() + pause
        server.cache.write(_NEXT, [b'%.1f' % next])
    return found


def update(repo, server, node: bytes) -> bool:
    """Have the base repository brought up to date for who keeps order and
    misses ``node``, whatever came of that lately; return whether it went
    well."""
    if _isbusy(repo.unfiltered()):
        return False
    with server.cache.alone(_NEXT, WAIT) as alone:
        code = _run(repo, server, node) if alone else None
    repo.unfiltered().invalidate()
    return code == 0


def _isbusy(base) -> bool:
    """Whether this very process changes the repository."""
    locks = (base._currentlock(ref) for ref in (base._lockref, base._wlockref))
    return base.currenttransaction() is not None or any(
        lock is not None for lock in locks
    )


def _ishere(repo, node: bytes) -> bool:
    """Whether clients are shown a changeset, also if it came from another
    process since this one began to read."""
    repo.unfiltered().invalidate()
    return hasnode(repo, node)


def _maytry(cache) -> bool:
    now = time.time()
    with contextlib.suppress(ValueError):
        # a clock may have been set back since
        return not now < float(cache.read(_NEXT) or 0) <= now + LONG_PAUSE
    return True


def _run(repo, server, node: bytes) -> Optional[int]:
    """Run the command, and return its exit code; None if it took too long."""
    begin = time.monotonic()
    code: Optional[int] = None
    try:
        with tempfile.TemporaryFile(prefix='hg-bundlestore-') as output:
            code = _finished(repo, server, node, output)
            size = os.fstat(output.fileno()).st_size
            output.seek(max(0, size - _OUTPUT))
            text = output.read()
    except OSError as exc:
        # what a shell says of what it cannot run
        code, text = 126, stringutil.forcebytestr(exc)
    log.event(
        repo.ui,
        server,
        'catchup',
        node=hex(node)[:12],
        code='timeout' if code is None else code,
        milliseconds=int((time.monotonic() - begin) * 1000),
        output=text,
    )
    return code


def _finished(repo, server, node: bytes, output: IO[bytes]) -> Optional[int]:
    # a share takes no changes itself
    root = os.path.dirname(repo.sharedpath)
    environ = procutil.shellenviron({b'HGPLAIN': b'1', b'HG_NODE': hex(node)})
    process = subprocess.Popen(
        procutil.tonativestr(server.settings.onmissingbase),
        shell=True,
        cwd=procutil.tonativestr(root),
        env=procutil.tonativeenv(environ),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        _end(process)
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the command to end, and wait for that a while. It is not killed: an
    ``hg pull`` would leave a repository that takes no changes until somebody
    runs ``hg recover``."""
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, 'killpg'):
            os.killpg(process.pid, signal.SIGTERM)
        else:
            process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
