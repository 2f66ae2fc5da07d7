"""``hg`` without its start: forked off an interpreter that has loaded it.

A start of ``hg`` takes 0.2 s of processor time, nearly all of it to load
modules, and the tests start some thousands. So a forkserver (forkserver.py)
is started for each ``hg``, when it is wanted first, and forks for each that
comes after. Environment, current folder, umask and files are those that the
caller names; configuration and extensions are set up in the child, afresh.

It does not show what happens before Mercurial is called: in which order
modules are imported, which are imported late or not at all, what of the
environment is read then, and how modules that cannot be imported are met. Nor
how much memory a process takes, nor how Python takes itself apart in the end;
and the process is no child of the one that started it. Where that matters, a
test or a module is marked ``realstarts``: all it starts is real. With
``BUNDLESTORE_REAL_STARTS=1`` all starts are.

The processor time of those processes is that of children of the forkserver,
which is one of this process; so cost.py counts it.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import select
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Union, cast

from . import cost, forkwire

#: what modules may look at when they are loaded, as it is in each forkserver
FIXED = {
    'HOME': '/nonexistent',
    'LANG': 'C.UTF-8',
    'LC_ALL': 'C.UTF-8',
    'TZ': 'UTC',
}

#: what they do not look at. A process with anything else starts for real.
FREE = frozenset(
    ['HGRCPATH', 'LOGNAME', 'PATH', 'REMOTE_USER', 'TMPDIR', 'USER']
)

#: whether what is started now is to be real; the tests (conftest.py) say no
real = True

_ENVIRON = 'BUNDLESTORE_REAL_STARTS'
_CHUNK = 1 << 16


class Forked:
    """What of ``subprocess.Popen`` the tests use, with text in the pipes."""

    def __init__(
        self,
        path: str,
        args: Sequence[str],
        *,
        cwd: str | Path | None,
        env: Mapping[str, str],
        stdin: int,
        stdout: int,
        stderr: int,
    ) -> None:
        self.args = list(args)
        self.returncode: int | None = None
        self._input = b''
        self._stdin: IO[bytes] | None = None
        #: the pipes that it writes to, and what came
        self._output: dict[IO[bytes], bytearray] = {}
        with contextlib.ExitStack() as stack:
            files: list[int] = []
            for number, file in enumerate((stdin, stdout, stderr)):
                if file == subprocess.DEVNULL:
                    file = os.open(os.devnull, os.O_RDWR)
                    stack.callback(os.close, file)
                elif file == subprocess.STDOUT:
                    file = files[1]
                elif file == subprocess.PIPE:
                    ends = os.pipe()
                    file, mine = ends if number == 0 else ends[::-1]
                    stack.callback(os.close, file)
                    if number == 0:
                        self._stdin = open(mine, 'wb', buffering=0)
                    else:
                        self._output[open(mine, 'rb', buffering=0)] = (
                            bytearray()
                        )
                files.append(file)
            message = forkwire.request(
                [os.fsencode(word) for word in self.args[1:]],
                {os.fsencode(k): os.fsencode(v) for k, v in env.items()},
                os.fsencode(os.path.abspath(cwd or os.curdir)),
                _umask(),
            )
            self._connection = forkwire.ask(path, message, files)
        self.pid = forkwire.hear(self._connection)

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            status = forkwire.hear(self._connection)
            self._connection.close()
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def communicate(
        self, input: str | None = None, timeout: float | None = None
    ) -> tuple[str, str]:
        """Like that of ``Popen``: may be called again after a timeout."""
        end = None if timeout is None else time.monotonic() + timeout
        self._input += (input or '').encode('utf-8', 'surrogateescape')
        with selectors.DefaultSelector() as selector:
            for pipe in self._output:
                if not pipe.closed:
                    selector.register(pipe, selectors.EVENT_READ)
            if self._stdin is not None and not self._stdin.closed:
                selector.register(self._stdin, selectors.EVENT_WRITE)
            while selector.get_map():
                ready = selector.select(_left(end))
                if not ready:
                    raise subprocess.TimeoutExpired(self.args, timeout or 0)
                for key, _ in ready:
                    pipe = cast('IO[bytes]', key.fileobj)
                    if not self._transfer(pipe):
                        selector.unregister(pipe)
                        pipe.close()
        self.wait(_left(end))
        out, err = (
            bytes(data).decode('utf-8', 'surrogateescape')
            for data in self._output.values()
        )
        return out, err

    def _transfer(self, pipe: IO[bytes]) -> bool:
        """Do what can be done at once; tell whether there may be more."""
        if pipe is not self._stdin:
            data = pipe.read(_CHUNK)
            self._output[pipe] += data
            return bool(data)
        # more might not fit
        first = self._input[: select.PIPE_BUF]
        try:
            self._input = self._input[pipe.write(first) :]
        except BrokenPipeError:
            return False
        return bool(self._input)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _umask() -> int:
    # os.umask would have to change it to tell, under the feet of other threads
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith('Umask:'):
            return int(line.split()[1], 8)
    raise AssertionError('this kernel does not tell the umask')


def _left(end: float | None) -> float | None:
    return None if end is None else max(0, end - time.monotonic())


#: a process of a Mercurial
Process = Union['subprocess.Popen[str]', Forked]


class Server:
    """The forkserver of one ``hg``."""

    _running: dict[Path, Server] = {}
    _lock = threading.Lock()

    @classmethod
    def of(cls, hg: Path) -> Server:
        """Return the one of this ``hg``, started if need be."""
        with cls._lock:
            if hg not in cls._running:
                cls._running[hg] = cls(hg)
            return cls._running[hg]

    @classmethod
    def stopall(cls) -> None:
        while cls._running:
            _, server = cls._running.popitem()
            # the end of its input is its own
            server._process.communicate()

    def __init__(self, hg: Path) -> None:
        # the folder of a test may be too long a name for a socket
        self.path = str(Path(tempfile.mkdtemp(prefix='forks-')) / 'socket')
        self._process = subprocess.Popen(
            [
                str(hg.with_name('python')),
                *('-m', 'harness.forkserver', self.path, str(hg)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={'PATH': os.defpath, **FIXED},
            cwd=Path(__file__).parent.parent,
            # no Ctrl-C
            start_new_session=True,
        )
        # its children have this from it
        cost.bound(self._process.pid)
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), 'the forkserver died'


def of(hg: Path, env: Mapping[str, str]) -> Server | None:
    """Return what forks for this ``hg``; None if it must start for real."""
    fixed = {name: value for name, value in env.items() if name not in FREE}
    if real or os.environ.get(_ENVIRON) or fixed != FIXED:
        return None
    # another name, or one without a Python, is a script of a test
    if hg.name != 'hg' or not hg.with_name('python').exists():
        return None
    return Server.of(hg)


_STANDIN = Path(__file__).with_name('sshstandin.c')


@functools.cache
def standin() -> Path | None:
    """Return what stands in for ssh where servers are forked; None without a
    compiler."""
    if shutil.which('cc') is None:
        return None
    folder = Path(tempfile.mkdtemp(prefix='standin-'))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    program = folder / 'ssh'
    command = ['cc', '-O1', '-Wall', '-Werror', '-o', str(program)]
    subprocess.run([*command, str(_STANDIN)], check=True)
    return program


def start(
    args: Sequence[str],
    *,
    cwd: str | Path | None,
    env: Mapping[str, str],
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> Process:
    """Start ``hg`` in a session of its own, forked if that may be."""
    server = of(Path(args[0]), env)
    if server is not None:
        return Forked(
            server.path,
            args,
            cwd=cwd,
            env=env,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )
    process = subprocess.Popen(
        args,
        cwd=cwd,
        env=env,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        encoding='utf-8',
        errors='surrogateescape',
        start_new_session=True,
    )
    cost.bound(process.pid)
    return process
