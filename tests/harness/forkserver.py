"""A warm interpreter: it has loaded modules, and forks for each ``hg``.

Run by the Python of an environment (see forked.py): ``-m harness.forkserver
SOCKET HG``. It has loaded modules and nothing else: no configuration is read,
no extension set up, and no environment seen but the one that it was started
with. So each child does by itself whatever a new ``hg`` does.

Its standard input is a pipe from the tests. When that ends so have they, and
it ends with all that it has started.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import os
import pkgutil
import select
import shutil
import signal
import socket
import sys
import threading
import types
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from harness import forkwire

#: what clients and ssh servers load sooner or later, beside what these load
MODULES = (
    'concurrent.futures.thread',
    'hgext3rd.bundlestore',
    'importlib.metadata',
    'json',
    'mercurial.bundlerepo',
    'mercurial.commands',
    'mercurial.dispatch',
    'mercurial.httppeer',
    'mercurial.localrepo',
    'mercurial.sshpeer',
    'mercurial.statichttprepo',
    'mercurial.streamclone',
    'mercurial.wireprotoserver',
    'sqlite3',
    'zope.interface',
)

#: By these modules the extension knows that it serves pages (see compat.py):
#: children that do load them.
COLD = ('mercurial.hgweb', 'hgext3rd.bundlestore.web')


def load() -> None:
    """Load modules, all that they import at once or lazily."""
    hgdemandimport = importlib.import_module('hgdemandimport')
    hgdemandimport.enable()
    for name in MODULES:
        # there is no extension in half of the environments
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    package = sys.modules.get('hgext3rd.bundlestore')
    if package is not None:
        for name in _rooms(package.__path__, f'{package.__name__}.'):
            importlib.import_module(name)
    waiting = _waiting()
    while waiting:
        for module in waiting:
            # one for another system fails, say
            with contextlib.suppress(Exception):
                module.__doc__  # noqa: B018  any attribute loads it
        waiting = [m for m in _waiting() if m not in waiting]
    # What this compiles, Python remembers.
    config = importlib.import_module('mercurial.config')
    config.config().parse(b'', b'[section]\n')


def _rooms(path: Iterable[str], prefix: str) -> Iterator[str]:
    for info in pkgutil.iter_modules(path, prefix):
        if info.name in COLD or info.name.endswith('.testing'):
            continue
        yield info.name
        if info.ispkg:
            name = info.name[len(prefix) :]
            inside = [os.path.join(folder, name) for folder in path]
            yield from _rooms(inside, f'{info.name}.')


def _waiting() -> list[types.ModuleType]:
    return [
        module
        for name, module in list(sys.modules.items())
        if type(module).__name__ == '_LazyModule' and not name.startswith(COLD)
    ]


class Child:
    """A process, and who wants to know how it ends."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self.handle = os.pidfd_open(pid)
        self.connection = connection

    def kill(self) -> None:
        # first itself: it may not have got a group of its own yet
        os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        with contextlib.suppress(OSError):
            forkwire.tell(self.connection, status)

    def forget(self) -> None:
        os.close(self.handle)
        self.connection.close()


class Server:
    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(path)
        self._socket.listen(64)
        self._children: list[Child] = []

    def serve(self) -> list[str]:
        """Fork for each request. In the child, return its arguments."""
        while True:
            poll = select.poll()
            poll.register(0, select.POLLIN)
            poll.register(self._socket, select.POLLIN)
            for child in self._children:
                poll.register(child.handle, select.POLLIN)
                poll.register(child.connection, select.POLLIN)
            ready = {fd for fd, _ in poll.poll()}
            for child in list(self._children):
                if child.handle not in ready:
                    if child.connection.fileno() not in ready:
                        continue
                    # nobody waits for it any more
                    child.kill()
                child.wait()
                child.forget()
                self._children.remove(child)
            if 0 in ready:
                self._end()
            if self._socket.fileno() in ready:
                arguments = self._accept()
                if arguments is not None:
                    return arguments

    def _accept(self) -> list[str] | None:
        connection, _ = self._socket.accept()
        try:
            files, arguments, environ, cwd, umask = forkwire.receive(connection)
        except (EOFError, OSError):
            connection.close()
            return None
        pid = os.fork()
        if pid:
            for fd in files:
                os.close(fd)
            self._children.append(Child(pid, connection))
            with contextlib.suppress(OSError):
                forkwire.tell(connection, pid)
            return None
        os.setsid()
        connection.close()
        self._socket.close()
        for child in self._children:
            child.forget()
        for number, fd in enumerate(files):
            os.dup2(fd, number)
            os.close(fd)
        os.umask(umask)
        os.chdir(cwd)
        os.environb.clear()
        os.environb.update(environ)
        return [os.fsdecode(argument) for argument in arguments]

    def _end(self) -> NoReturn:
        for child in self._children:
            child.kill()
            child.wait()
        shutil.rmtree(os.path.dirname(self._path), ignore_errors=True)
        os._exit(0)


def freshen(hg: str, arguments: list[str]) -> types.ModuleType:
    """Have the interpreter as Python hands it to a script; return what is to
    be its ``__main__``."""
    # Other files than those that they were made for. Modules know the buffers,
    # and the objects below have noted what can be done with a file.
    for number, stream, mode in (
        (0, sys.stdin, 'r'),
        (1, sys.stdout, 'w'),
        (2, sys.stderr, 'w'),
    ):
        buffer: Any = stream.buffer
        raw: Any = io.FileIO(number, mode, closefd=False)
        raw.name = stream.name
        buffer.__init__(raw)
    sys.argv[:] = [hg, *arguments]
    from mercurial import pycompat

    pycompat.sysargv[:] = [os.fsencode(word) for word in sys.argv]
    main = types.ModuleType('__main__')
    main.__file__ = hg
    sys.modules['__main__'] = main
    return main


def run() -> None:
    path, hg = sys.argv[1:]
    # a script finds modules beside it
    sys.path[0] = os.path.dirname(hg)
    with open(hg, 'rb') as file:
        code = compile(file.read(), hg, 'exec')
    load()
    server = Server(path)
    print('ready', flush=True)
    gc.collect()
    gc.freeze()
    arguments = server.serve()
    # from here on it is the child
    main = freshen(hg, arguments)
    try:
        exec(code, vars(main))
    except SystemExit as exc:
        if not isinstance(exc.code, int):
            raise
        status = exc.code
    else:
        status = 0
    # What is open is closed, as at the end of any process. To take all those
    # modules apart would be two thirds of the work.
    vars(threading)['_shutdown']()
    atexit._run_exitfuncs()
    gc.collect()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


if __name__ == '__main__':
    run()
