"""A server of others, in a folder of its own.

What all kinds have in common: a port that nobody else takes, a start that is
waited for, and an end that comes for sure (see keeper.py). A server that all
tests share must stay as it is: one that is to be stopped or frozen a test
starts for itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import itertools
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

#: where this is set, a program that is missing is a failure
REQUIRED = 'BUNDLESTORE_REQUIRE_BACKENDS'

#: Below the ports that systems give to connections and to those who bind to
#: any, so that none of these is in the way; and SeaweedFS takes the one that
#: is ten thousand above, too.
PORTS = range(20000, 22700)
ABOVE = 10000

#: seconds in which a server is there
PATIENCE = 60
#: how often a start is tried, as a port may be taken in the meantime
TRIES = 5

_KEEPER = Path(__file__).with_name('keeper.py')


class NotStarted(Exception):
    """A server did not come up; says what it printed."""


class Daemon:
    """``folder`` is the server's own, and ``more`` are words for its command
    line. It ends with this process; where ``watched`` is the process that all
    tests end with, with that, and then the folder around goes, too."""

    name: ClassVar[str]
    #: whether it refuses to run as root
    timid: ClassVar[bool] = False
    #: by what it ends at once and leaves nothing behind
    signal: ClassVar[int] = signal.SIGKILL
    #: how many ports it listens on
    ports: ClassVar[int] = 1
    #: what a process needs in its environment to log in
    environ: ClassVar[dict[str, str]]

    def __init__(
        self,
        folder: Path,
        watched: int | None = None,
        more: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self._more = more
        self._watched = watched or os.getpid()
        self._rubbish = folder.parent if watched else folder
        self.log = folder / 'log'
        self._pids = folder / 'pids'
        self._ports: list[int] = []
        # where the output of the last start begins
        self._begin = 0
        self._names = itertools.count(1)

    # what each kind tells of itself

    @classmethod
    def missing(cls) -> str | None:
        """Return what is not installed here, if anything is."""
        raise NotImplementedError

    def prepare(self, template: Path) -> None:
        """Make in ``template`` what a start needs: the same for each server,
        so it is made once and copied."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def ready(self) -> bool:
        """Tell whether it answers by now."""
        raise NotImplementedError

    def begin(self) -> None:
        """Make, in a server that has just come up for the first time, what
        tests take for granted."""

    def leftovers(self) -> list[str]:
        """Return files elsewhere that it leaves behind when it is killed."""
        return []

    # what tests ask

    @property
    def port(self) -> int:
        assert self._ports, f'{self.name} was not started'
        return self._ports[-1]

    def fresh(self, port: int | None = None) -> str:
        """Return the URL, as ``[bundlestore]`` has it, of an empty place that
        nobody has used yet. ``port`` is that of a proxy, say."""
        raise NotImplementedError

    def newname(self) -> str:
        """Return a word that no other test, in no other process, is given."""
        return f't{os.getpid()}_{next(self._names)}'

    # life

    @property
    def data(self) -> Path:
        return self.folder / 'data'

    def start(self) -> None:
        """Start it, for the first time or again, on the same port."""
        again = bool(self._ports)
        if not self.data.exists():
            self._copytemplate()
        for left in reversed(range(TRIES)):
            if not again:
                self._ports = freeports(self.ports)
            try:
                self._launch()
                break
            except NotStarted:
                if not left:
                    raise
        if not again:
            self.begin()
            self._note().write_text(json.dumps(self._ports))

    def attach(self) -> bool:
        """Use the one that another process has started in this folder; tell
        whether there is one."""
        with contextlib.suppress(FileNotFoundError):
            self._ports = json.loads(self._note().read_text())
            return True
        return False

    def stop(self) -> None:
        """End it at once, as a machine that dies does."""
        with contextlib.suppress(FileNotFoundError):
            keeper, _ = self._running()
            self._pids.unlink()
            stopped(keeper)

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Have it take connections and answer nothing."""
        for pid in family(self._running()[1]):
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in family(self._running()[1]):
            # one may end meanwhile
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def discard(self) -> None:
        """Stop it, and remove all that it had."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        return self._running()[1]

    def printed(self) -> str:
        """Return what it has said since it was started."""
        return self.log.read_bytes()[self._begin :].decode('utf-8', 'replace')

    # how

    def _note(self) -> Path:
        return self.folder / 'ports'

    def _running(self) -> tuple[int, int]:
        keeper, server = map(int, self._pids.read_text().split())
        return keeper, server

    def _runas(self) -> dict[str, Any]:
        """Return the arguments of ``Popen`` that name who runs it."""
        if os.geteuid() or not self.timid:
            return {}
        found = pwd.getpwnam('nobody')
        ids = {'user': found.pw_uid, 'group': found.pw_gid}
        return {**ids, 'extra_groups': ()}

    def _copytemplate(self) -> None:
        template = self.folder.parent / f'{self.name}.template'
        with locked(template.with_suffix('.lock')):
            self.folder.mkdir()
            self._own(self.folder)
            if not template.exists():
                fresh = template.with_suffix('.new')
                shutil.rmtree(fresh, ignore_errors=True)
                fresh.mkdir(parents=True)
                self._own(fresh)
                self.prepare(fresh)
                fresh.rename(template)
        part = self.folder / 'data.new'
        # keeps owners, which shutil does not
        subprocess.run(['cp', '-a', template, part], check=True)
        part.rename(self.data)

    def _own(self, path: Path) -> None:
        whom = self._runas()
        if whom:
            shutil.chown(path, whom['user'], whom['group'])

    def run(self, words: Sequence[str | Path], input: str = '') -> None:
        """Run a program to its end, as the user of the server."""
        done = subprocess.run(
            words,
            cwd='/',
            env=self._cleanenviron(),
            input=input,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **self._runas(),
        )
        if done.returncode:
            raise NotStarted(f'{words[0]}: {done.returncode}\n{done.stdout}')

    def _cleanenviron(self) -> dict[str, str]:
        return {
            'PATH': f'{os.environ.get("PATH", os.defpath)}:/usr/sbin',
            'HOME': str(self.folder),
            'TMPDIR': str(self.folder),
            'LC_ALL': 'C',
            'TZ': 'UTC',
        }

    def _launch(self) -> None:
        """Start a process, and wait until it answers."""
        order = {
            'command': [*self.command(), *self._more],
            'environ': self._cleanenviron(),
            'leftovers': self.leftovers(),
            'pids': str(self._pids),
            'rubbish': str(self._rubbish),
            'signal': int(self.signal),
            'runas': self._runas(),
            'watched': self._watched,
        }
        path = self.folder / 'order'
        path.write_text(json.dumps(order))
        with open(self.log, 'ab') as log:
            self._begin = log.tell()
            keeper = subprocess.Popen(
                [sys.executable, '-IS', str(_KEEPER), str(path)],
                cwd='/',
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + PATIENCE
        while not (self._pids.exists() and self.ready()):
            if keeper.poll() is not None:
                self._pids.unlink(missing_ok=True)
                raise NotStarted(f'{self.name} ended:\n{self.printed()}')
            if time.monotonic() > end:
                self.stop()
                raise AssertionError(f'no {self.name}:\n{self.printed()}')
            time.sleep(0.02)


# processes


def stopped(keeper: int) -> None:
    """Have a keeper end its server, and wait until it has."""
    try:
        handle = os.pidfd_open(keeper)
    except ProcessLookupError:
        return
    try:
        words = Path(f'/proc/{keeper}/cmdline').read_bytes()
        if os.fsencode(_KEEPER) not in words:
            # another one has the id by now
            return
        os.kill(keeper, signal.SIGTERM)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(keeper, os.WNOHANG)
            try:
                state = Path(f'/proc/{keeper}/stat').read_text()
            except (FileNotFoundError, ProcessLookupError):
                return
            if state.rpartition(')')[2].split()[0] == 'Z':
                return
            time.sleep(0.005)
    finally:
        os.close(handle)


def family(pid: int) -> Iterator[int]:
    """Return a process and all below it, the eldest first."""
    yield pid
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f'/proc/{pid}/task').iterdir():
            for child in (task / 'children').read_text().split():
                yield from family(int(child))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time is in the body."""
    path.parent.mkdir(exist_ok=True)
    # those who run servers get through
    path.parent.chmod(0o711)
    with open(path, 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# what there is


@functools.cache
def program(name: str, *folders: str) -> str | None:
    """Return where a program is; one that came as a package of Python lies
    beside pytest."""
    beside = str(Path(sys.executable).parent)
    places = (beside, os.environ.get('PATH', os.defpath), *folders)
    return shutil.which(name, path=os.pathsep.join(places))


def freeports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        if _free(port) and _free(port + ABOVE):
            found.append(port)
            if len(found) == count:
                return found
    raise NotStarted('all ports are taken')


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # as servers do it: what was closed a moment ago is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(('127.0.0.1', port))
        except OSError:
            return False
        return True
