"""One folder of repositories, served by path, over ssh and over http.

A transport is made for a folder (``root``) whose repositories it serves, so
one server does for a base repository and its try URL. ``rc`` is the
configuration of the server processes on top of the repositories' own.

Over http there is ``hg serve``, where nobody has a name, and a WSGI server of
several processes with threads, where users log in (see wsgi.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from . import cost, forked, matrix, others, pool, tls
from .hg import CONFIG, PATIENCE, Hg, Repo

#: not resolved by anything: the stand-in for ssh drops it
HOST = 'server.example.org'

#: the users and their passwords, where one logs in
PASSWORDS = {
    'alice': 'password-of-alice',
    'bob': 'password-of-bob',
    'carol': 'password-of-carol',
}
#: who does not
NOBODY = 'nobody'


def serve_bundlestore(
    repo: Repo,
    config: Mapping[str, str],
    web: Mapping[str, str] | None = None,
) -> None:
    """Make ``repo`` a bundle store server; ``config`` is further items of
    ``[bundlestore]``, ``web`` those of ``[web]``."""
    repo.enable()
    repo.configure('bundlestore', {'server': 'yes', **config})
    if web:
        repo.configure('web', web)


class Transport:
    """How clients get to the repositories below ``root``."""

    name: str

    def __init__(self, hg: Hg, root: Path) -> None:
        self.hg = hg
        self.root = root
        self.rc = root / 'server.rc'
        self.rc.touch()

    @property
    def serverenviron(self) -> dict[str, str]:
        """The whole environment of a server process."""
        environ = self.hg.cleanenviron()
        environ['HGRCPATH'] = f'{CONFIG}:{self.rc}'
        return environ

    def url(self, repo: Repo | Path, user: str = 'alice') -> str:
        """Return the address of a repository below ``root``. ``user`` is who
        pushes, where the transport can tell."""
        raise NotImplementedError

    def clientconfig(self) -> dict[str, str]:
        """Return items of ``[ui]`` that the client needs."""
        return {}

    def commandline(self) -> list[str]:
        """Return the same as values of ``--config``."""
        return [f'ui.{k}={v}' for k, v in self.clientconfig().items()]

    def connect(self, client: Repo, repo: Repo | Path) -> None:
        """Have ``client`` use this transport, to ``repo`` by default."""
        client.configure('ui', self.clientconfig())
        client.configure('paths', {'default': self.url(repo)})

    def share(self, servers: pool.Pool) -> None:
        """Use one of ``servers`` if that will do."""

    def restart(self) -> None:
        """Have the server read its configuration again."""

    def close(self) -> None:
        """Stop what was started; complain if it did not run well."""

    def discard(self) -> None:
        """Stop what was started, in whatever state it is."""


def patiently() -> Iterator[None]:
    """Let the body try again and again, as long as there is hope."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        yield
        time.sleep(0.02)


def _path(repo: Repo | Path) -> Path:
    return repo.path if isinstance(repo, Repo) else repo


class PathTransport(Transport):
    """The client's own process opens the served repository. So the client
    must be an ``hg`` that has the extension installed, and ``rc`` is not
    read."""

    name = 'path'

    def url(self, repo: Repo | Path, user: str = 'alice') -> str:
        return str(_path(repo))


class SshTransport(Transport):
    """A script in the place of ``ssh``: it runs the command right here, but
    with the environment of the server and nothing of the client's."""

    name = 'ssh'

    SCRIPT = """\
#!/bin/sh
# arguments: [user@]host command
exec env -i {environ} USER="${{1%%@*}}" LOGNAME="${{1%%@*}}" sh -c "$2"
"""

    def __init__(self, hg: Hg, root: Path) -> None:
        super().__init__(hg, root)
        self.script = root / 'ssh'
        self.serve({})

    def serve(self, more: Mapping[str, str]) -> None:
        """Have ``more`` in the environment of the server."""
        hg = self.hg
        environ = {**self.serverenviron, **more}
        environ.pop('USER')
        environ.pop('LOGNAME')
        server = forked.of(hg.executable, environ)
        program = forked.standin() if server is not None else None
        if server is None or program is None:
            words = [shlex.quote(f'{k}={v}') for k, v in environ.items()]
            text = self.SCRIPT.format(environ=' '.join(words))
        else:
            # the same, where the server is forked
            words = [f'{k}={v}' for k, v in environ.items()]
            parts = [server.path, str(hg.executable), *words, '']
            text = f'#!{program}\n' + '\0'.join(parts)
        self.script.write_text(text)
        self.script.chmod(0o755)

    def url(self, repo: Repo | Path, user: str = 'alice') -> str:
        return f'ssh://{user}@{HOST}/{_path(repo)}'

    def clientconfig(self) -> dict[str, str]:
        return {
            'ssh': shlex.quote(str(self.script)),
            'remotecmd': shlex.quote(str(self.hg.executable)),
        }


# A client closes the connection when it has what it wants, which may be before
# the last byte; http.server then complains with a traceback of its own.
_HANGUPS = ('ConnectionResetError', 'BrokenPipeError')


def crashes(log: str) -> list[str]:
    """Return the last line of each traceback that is the server's fault."""
    # hgweb puts address and time before each line that goes through it
    log = re.sub(
        r'^\S+ - - \[.*?\] +(HG error:  )?', '', log, flags=re.MULTILINE
    )
    lasts = re.findall(
        r'^Traceback \(most recent call last\):\n(?:[ \t].*\n)+(.*)$',
        log,
        re.MULTILINE,
    )
    return [last for last in lasts if not last.startswith(_HANGUPS)]


class WebTransport(Transport):
    """A server of all repositories below ``root``, started when the first
    address is asked for."""

    scheme = 'http'

    def __init__(self, hg: Hg, root: Path) -> None:
        super().__init__(hg, root)
        self._shared: pool.Pool | None = None
        self._lease: pool.Lease | None = None
        self.webconf = root / 'web.conf'
        self._ownfiles()
        self.process: forked.Process | None = None
        self.port = 0
        #: a test that has the server crash on purpose sets this
        self.maycrash = False
        # where in the output that began which the running server writes
        self._begin = 0
        # what it complains to, and from which position on
        self._logs: dict[Path, int] = {}
        self.webconf.write_text(
            f'[paths]\n/ = {root}/*\n'
            '[web]\n'
            'push_ssl = no\n'
            'allow-push = *\n'
            # look for new repositories at each request
            'refreshinterval = 0\n'
        )

    def share(self, servers: pool.Pool) -> None:
        self._shared = servers

    def _ownfiles(self) -> None:
        self.accesslog = self.root / 'access.log'
        self.errorlog = self.root / 'error.log'
        self.output = self.root / 'serve.out'

    def _command(self) -> list[str]:
        """Return what starts the server, on ``port`` or, if that is 0, on any
        that is free."""
        raise NotImplementedError

    def _readport(self, output: str) -> int | None:
        """Return the port, once the ``output`` tells and all is started."""
        raise NotImplementedError

    def url(self, repo: Repo | Path, user: str = 'alice') -> str:
        self.start()
        name = _path(repo).relative_to(self.root)
        login = self._login(user)
        return f'{self.scheme}://{login}127.0.0.1:{self.port}/{name}'

    def _login(self, user: str) -> str:
        return ''

    def start(self) -> None:
        if self.process is not None:
            self.assertalive()
            return
        if self._shared is not None:
            self._lease = self._shared.borrow(self)
        if self._lease is None:
            self._launch()
        else:
            self._join(self._lease)

    def _join(self, lease: pool.Lease) -> None:
        host = lease.host
        self.process, self.port = host.process, host.port
        self.output, self._begin = host.output, host._begin
        self.errorlog, self.accesslog = host.errorlog, host.accesslog
        self._logs = lease.logs

    def _launch(self) -> None:
        self._ownfiles()
        for log in (self.output, self.errorlog):
            self._logs.setdefault(log, 0)
        # restarted, it adds to what is there: the log is looked at in the end
        with open(self.output, 'ab') as output:
            self._begin = output.tell()
            self.process = forked.start(
                self._command(),
                cwd=self.root,
                env=self.serverenviron,
                stdout=output.fileno(),
                stderr=subprocess.STDOUT,
            )
        for _ in patiently():
            port = self._readport(self._printed())
            if port is not None:
                self.port = port
                break
            self.assertalive()
        for _ in patiently():
            self.assertalive()
            if self._answers():
                return
        raise AssertionError(f'no answer from the server\n{self.log()}')

    def _answers(self) -> bool:
        url = f'{self.scheme}://127.0.0.1:{self.port}/?style=json'
        try:
            with urllib.request.urlopen(
                url, timeout=PATIENCE, context=self._context()
            ):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def _context(self) -> ssl.SSLContext | None:
        """Return how to know the server, over TLS."""
        return None

    def _printed(self) -> str:
        """Return what the running server has printed so far."""
        return self.output.read_bytes()[self._begin :].decode('utf-8')

    def log(self) -> str:
        """Return all that the server said about trouble."""
        return ''.join(
            path.read_bytes()[begin:].decode('utf-8')
            for path, begin in self._logs.items()
            if path.exists()
        )

    def assertalive(self) -> None:
        assert self.process is not None
        code = self.process.poll()
        assert code is None, f'the server died ({code})\n{self.log()}'

    def restart(self) -> None:
        if self.process is None:
            return
        if self._lease is not None and pool.keyof(self) == self._lease.key:
            # what the repositories say, it reads anyway
            self.assertalive()
            return
        self._leave(last=False)
        # on the same port: clients have the address in their configuration
        self._launch()

    def close(self) -> None:
        if self.process is not None:
            self._leave(last=True)

    def discard(self) -> None:
        if self.process is not None:
            process, self.process = self.process, None
            self._stop(process)

    def _leave(self, last: bool) -> None:
        lease, self._lease = self._lease, None
        assert self.process is not None
        fit = False
        try:
            # what is still under way may go wrong yet
            idle = lease is None or pool.quiet(self.port)
            self.assertalive()
            before = 0 if lease is None else lease.before
            cost.check(self.process.pid, before + cost.SECONDS)
            if last and not self.maycrash:
                log = self.log()
                assert not crashes(log), log
            fit = last and idle
        finally:
            if lease is None:
                self.discard()
            else:
                self.process = None
                lease.end(fit and pool.keyof(self) == lease.key)

    def _stop(self, process: forked.Process) -> None:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class HttpTransport(WebTransport):
    """``hg serve``."""

    name = 'http'
    EXTENSION: ClassVar[Path] = Path(__file__).with_name('nodelay.py')

    def _command(self) -> list[str]:
        return [
            str(self.hg.executable),
            'serve',
            *('--web-conf', str(self.webconf)),
            *('--address', '127.0.0.1', '--port', str(self.port)),
            *('--accesslog', str(self.accesslog)),
            *('--errorlog', str(self.errorlog)),
            '--print-url',
            *('--config', f'extensions.nodelay={self.EXTENSION}'),
        ]

    def _readport(self, output: str) -> int | None:
        if not output.endswith('/\n'):
            return None
        return int(output.rstrip('/\n').rpartition(':')[2])


class WsgiTransport(WebTransport):
    """gunicorn with ``hgwebdir``: two processes of four threads each. Users
    log in by HTTP authentication, ``nobody`` does not.

    gunicorn is one of the tests' tools. It is put at the end of what the
    server's Python knows, so it serves every Mercurial.
    """

    name = 'wsgi'
    #: the class of hgweb that serves (see wsgi.py)
    application: ClassVar[str] = 'hgwebdir'

    WORKERS = 2
    THREADS = 4

    def __init__(self, hg: Hg, root: Path) -> None:
        super().__init__(hg, root)
        #: whether the WSGI file has Mercurial import its modules when they
        #: are needed. The one that comes with Mercurial does, but before
        #: Python 3.13 threads stumble over each other then.
        self.lazy = False

    def _login(self, user: str) -> str:
        if user == NOBODY:
            return ''
        return f'{user}:{PASSWORDS[user]}@'

    def _command(self) -> list[str]:
        order = {
            'packages': str(others.gunicorn(self.root / 'packages')),
            'application': self.application,
            'lazy': self.lazy,
            'root': str(self.root),
            'webconf': str(self.webconf),
            'passwords': PASSWORDS,
            'settings': self._settings(),
        }
        script = Path(__file__).with_name('wsgi.py')
        return [str(self.hg.python), '-I', str(script), json.dumps(order)]

    def _settings(self) -> dict[str, Any]:
        return {
            'bind': f'127.0.0.1:{self.port}',
            'workers': self.WORKERS,
            'threads': self.THREADS,
            'worker_class': 'gthread',
            'accesslog': str(self.accesslog),
            'errorlog': '-',
            # a worker that a test has stopped is not to be replaced
            'timeout': 2 * PATIENCE,
            # nothing is under way any more when a test ends
            'graceful_timeout': 2,
        }

    def _readport(self, output: str) -> int | None:
        found = re.search(r'Listening at: https?://127\.0\.0\.1:(\d+) ', output)
        if found is None or len(self._booted(output)) < self.WORKERS:
            return None
        return int(found[1])

    @staticmethod
    def _booted(output: str) -> list[int]:
        return [
            int(pid)
            for pid in re.findall(r'Booting worker with pid: (\d+)', output)
        ]

    def workers(self) -> list[int]:
        """Return the ids of the processes that answer requests."""
        if self.process is None:
            self.start()
        return self._booted(self._printed())

    @contextlib.contextmanager
    def only(self, worker: int) -> Iterator[None]:
        """Have all requests of the body answered by this process."""
        others = [pid for pid in self.workers() if pid != worker]
        # stopped while it closes the index, one would keep the others out
        pool.quiet(self.port)
        try:
            for pid in others:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)

    def assertalive(self) -> None:
        super().assertalive()
        # gunicorn starts another one in the place of one that dies
        booted = len(self._booted(self._printed()))
        assert booted <= self.WORKERS, f'a worker died\n{self.log()}'

    def _stop(self, process: forked.Process) -> None:
        # the graceful way waits for connections that browsers keep open
        process.send_signal(signal.SIGQUIT)
        super()._stop(process)


class HttpsTransport(WsgiTransport):
    """The same over TLS, with a certificate that nobody else knows."""

    name = 'https'
    scheme = 'https'
    WORKERS = 1

    def __init__(self, hg: Hg, root: Path) -> None:
        super().__init__(hg, root)
        self.cert, self._key = root / 'cert.pem', root / 'key.pem'
        tls.certify(self.cert, self._key)

    def share(self, servers: pool.Pool) -> None:
        pass

    def connect(self, client: Repo, repo: Repo | Path) -> None:
        super().connect(client, repo)
        client.configure('web', {'cacerts': str(self.cert)})

    def _settings(self) -> dict[str, Any]:
        more = {'certfile': str(self.cert), 'keyfile': str(self._key)}
        return {**super()._settings(), **more}

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.cert))


class WsgiRepositoryTransport(WsgiTransport):
    """The same with one ``hgweb`` for each repository. It stays for good and
    keeps repositories open, where ``hgwebdir`` opens one for each request."""

    name = 'wsgi-hgweb'
    application = 'hgweb'

    def share(self, servers: pool.Pool) -> None:
        pass


BY_NAME: dict[str, type[Transport]] = {
    cls.name: cls
    for cls in (
        PathTransport,
        SshTransport,
        HttpTransport,
        WsgiTransport,
        WsgiRepositoryTransport,
        HttpsTransport,
    )
}


def overweb(*names: str, later: Sequence[str] = ()) -> pytest.MarkDecorator:
    """Decorate a test that is to run over these servers of web pages, and, but
    not in the quick loop, those of ``later``: by default under WSGI, and later
    over ``hg serve``."""
    if not names:
        names, later = ('wsgi',), ('http',)
    return pytest.mark.parametrize(
        'transport_name',
        [
            *names,
            *(pytest.param(name, marks=matrix.ANOTHER) for name in later),
        ],
    )
