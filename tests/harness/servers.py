"""One folder of repositories, served by path, over ssh and over http.

A transport is made for a folder (``root``) whose repositories it serves, so
one server does for a base repository and its try URL. ``rc`` is the
configuration of the server processes on top of the repositories' own.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from .hg import CONFIG, PATIENCE, Hg, Repo

#: not resolved by anything: the stand-in for ssh drops it
HOST = 'server.example.org'


def serve_bundlestore(repo: Repo, config: Mapping[str, str]) -> None:
    """Make ``repo`` a bundle store server; ``config`` is further items of
    ``[bundlestore]``."""
    repo.enable()
    repo.configure('bundlestore', {'server': 'yes', **config})


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

    def restart(self) -> None:
        """Have the server read its configuration again."""

    def close(self) -> None:
        """Stop what was started; complain if it did not run well."""


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
        environ = self.serverenviron
        environ.pop('USER')
        environ.pop('LOGNAME')
        words = [shlex.quote(f'{k}={v}') for k, v in environ.items()]
        self.script.write_text(self.SCRIPT.format(environ=' '.join(words)))
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


class HttpTransport(Transport):
    """``hg serve`` of all repositories below ``root``, started when the first
    address is asked for."""

    name = 'http'

    def __init__(self, hg: Hg, root: Path) -> None:
        super().__init__(hg, root)
        self.webconf = root / 'web.conf'
        self.accesslog = root / 'access.log'
        self.errorlog = root / 'error.log'
        self.output = root / 'serve.out'
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        #: a test that has the server crash on purpose sets this
        self.maycrash = False
        self.webconf.write_text(
            f'[paths]\n/ = {root}/*\n'
            '[web]\n'
            'push_ssl = no\n'
            'allow-push = *\n'
            # look for new repositories at each request
            'refreshinterval = 0\n'
        )

    def url(self, repo: Repo | Path, user: str = 'alice') -> str:
        self.start()
        name = _path(repo).relative_to(self.root)
        return f'http://127.0.0.1:{self.port}/{name}'

    def start(self) -> None:
        if self.process is not None:
            self.assertalive()
            return
        with open(self.output, 'wb') as output:
            self.process = subprocess.Popen(
                [
                    str(self.hg.executable),
                    'serve',
                    *('--web-conf', str(self.webconf)),
                    *('--address', '127.0.0.1', '--port', str(self.port)),
                    *('--accesslog', str(self.accesslog)),
                    *('--errorlog', str(self.errorlog)),
                    '--print-url',
                ],
                cwd=self.root,
                env=self.serverenviron,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        # port 0 had the system choose a free one; the server tells which
        line = ''
        for _ in patiently():
            line = self.output.read_text()
            if line.endswith('/\n'):
                break
            self.assertalive()
        self.port = int(line.rstrip('/\n').rpartition(':')[2])
        for _ in patiently():
            self.assertalive()
            if self._answers():
                return
        raise AssertionError(f'no answer from the server\n{self.log()}')

    def _answers(self) -> bool:
        url = f'http://127.0.0.1:{self.port}/?style=json'
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def log(self) -> str:
        """Return all that the server said about trouble."""
        logs = (self.output, self.errorlog)
        return ''.join(p.read_text('utf-8') for p in logs if p.exists())

    def assertalive(self) -> None:
        assert self.process is not None
        code = self.process.poll()
        assert code is None, f'the server died ({code})\n{self.log()}'

    def restart(self) -> None:
        # on the same port: clients have the address in their configuration
        if self.process is not None:
            self.assertalive()
            self._stop(self.process)
            self.process = None
            self.start()

    @staticmethod
    def _stop(process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        if self.process is None:
            return
        try:
            self.assertalive()
            if not self.maycrash:
                log = self.log()
                assert not crashes(log), log
        finally:
            self._stop(self.process)
            self.process = None


BY_NAME: dict[str, type[Transport]] = {
    cls.name: cls for cls in (PathTransport, SshTransport, HttpTransport)
}
