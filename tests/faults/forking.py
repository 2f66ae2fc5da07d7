"""A process that has Mercurial loaded and forks for each command, as ``chg``
does, so that a sweep does not wait for Python to start a thousand times.

The child is an ``hg`` like any other: it reads its configuration, loads the
extension and opens the repository itself. What goes wrong in it is told to the
library by the environment (see shim.py), which it reads again after the fork.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

if __name__ != '__main__':
    from harness.hg import Hg

    from .shim import Plan


class Done(NamedTuple):
    """What one command said. A negative ``code`` is the signal that ended
    it."""

    code: int
    out: bytes
    err: str


class Forking:
    """Runs commands of ``hg``, with ``library`` (shim.c) loaded; their files
    go to ``folder``."""

    def __init__(self, hg: Hg, library: Path, folder: Path) -> None:
        self.hg = hg
        self.folder = folder
        self.out = folder / 'out'
        self._environ = hg.cleanenviron()
        self._process = subprocess.Popen(
            [str(hg.python), __file__],
            env={**self._environ, 'LD_PRELOAD': str(library)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self,
        *args: str | Path,
        input: bytes = b'',
        plan: Optional[Plan] = None,
        environ: Sequence[tuple[str, str]] = (),
    ) -> Done:
        """Run ``hg`` with these arguments; any end will do."""
        files = {
            'in': self.folder / 'in',
            'out': self.out,
            'err': self.folder / 'err',
        }
        files['in'].write_bytes(input)
        files['out'].write_bytes(b'')
        files['err'].write_bytes(b'')
        variables = Plan(()) if plan is None else plan
        order = {
            'args': list(map(str, args)),
            'environ': {**variables.environ(), **dict(environ)},
            **{name: str(path) for name, path in files.items()},
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + '\n')
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, 'the process that forks died'
        status = int(line)
        code = (
            -os.WTERMSIG(status)
            if os.WIFSIGNALED(status)
            else os.WEXITSTATUS(status)
        )
        return Done(
            code,
            files['out'].read_bytes(),
            files['err'].read_text('utf-8', 'replace'),
        )

    def close(self) -> None:
        # the end of its input is its end
        self._process.communicate()


# what follows runs in the Python of that hg


def _main() -> None:
    orders = os.fdopen(os.dup(0), encoding='utf-8')
    answers = os.fdopen(os.dup(1), 'w', encoding='utf-8')
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    _load()
    for line in orders:
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            orders.close()
            answers.close()
            _child(order)  # exits
        _, status = os.waitpid(pid, 0)
        print(status, file=answers, flush=True)


def _load() -> None:
    import importlib
    import pkgutil

    import hgext3rd.bundlestore as package

    names = ['importlib.metadata', 'json', 'sqlite3', 'zope.interface']
    names += [
        f'mercurial.{name}'
        for name in (
            *('bundlerepo', 'commands', 'dispatch', 'exchange', 'hg'),
            *('localrepo', 'sshpeer', 'streamclone', 'wireprotoserver'),
            *('tags', 'treediscovery', 'verify', 'wireprotov1server'),
        )
    ]
    names += [
        info.name
        for info in pkgutil.walk_packages(
            package.__path__, 'hgext3rd.bundlestore.'
        )
        # with those for the web it would take itself for a web server
        if not {'testing', 'web'}.intersection(info.name.split('.'))
    ]
    for name in names:
        # one that is missing is another release's
        try:
            importlib.import_module(name)
        except ImportError as exc:
            print(f'{name}: {exc}', file=sys.stderr)
    # the children need not copy what they do not change
    gc.freeze()


def _child(order: dict[str, Any]) -> None:
    import ctypes

    for fd, name, flags in (
        (0, 'in', os.O_RDONLY),
        (1, 'out', os.O_WRONLY | os.O_APPEND),
        (2, 'err', os.O_WRONLY | os.O_APPEND),
    ):
        opened = os.open(order[name], flags)
        os.dup2(opened, fd)
        os.close(opened)
    os.environ.update(order['environ'])

    from mercurial import dispatch, pycompat

    ctypes.CDLL(None).bundlestore_faults()
    pycompat.sysargv[1:] = map(os.fsencode, order['args'])
    try:
        dispatch.run()
    except SystemExit as exc:
        code = exc.code
    # What Python does at its end, but for taking all of Mercurial apart, which
    # would take half of the time.
    atexit._run_exitfuncs()
    gc.collect()
    os._exit(code if isinstance(code, int) else 1)


if __name__ == '__main__':
    _main()
