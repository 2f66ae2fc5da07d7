"""A real Buildbot: a master with the configuration of ``docs/examples``, and
workers."""

from __future__ import annotations

import base64
import contextlib
import hmac
import http.client
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import environments

from . import machine
from .hg import CONFIG, PATIENCE, Hg
from .receiver import SECRET
from .servers import PASSWORDS, patiently
from .web import get

DOCS = environments.ROOT / 'docs'
PAGE = DOCS / 'ci.rst'
#: what the package index has, for ``others.frompypi``
NAMES = ('buildbot', 'buildbot-www', 'buildbot-worker')
PYTHON = environments.ENVS / 'pip' / 'bin' / 'python'


class Buildbot:
    """``packages`` is the folder with :data:`NAMES`, ``folder`` a new one,
    ``words`` what the configuration says otherwise here, ``password`` that of
    its user at the server, which signs with ``secret``."""

    def __init__(
        self,
        packages: Path,
        folder: Path,
        words: dict[str, str],
        password: str = PASSWORDS['carol'],
        secret: str = SECRET,
    ) -> None:
        self._packages = packages
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        self.port = 0
        self._words = words
        self._password = password
        #: further variables of all processes
        self.environ: dict[str, str] = {}
        self._secret = secret
        self.master = folder / 'master'

    def _command(self, program: str, *words: str | Path) -> list[str | Path]:
        return [PYTHON, self._packages / 'bin' / program, *words]

    def _environ(self, path: str = '') -> dict[str, str]:
        return {
            'PATH': f'{path}{self._packages}/bin:{os.environ["PATH"]}',
            'PYTHONPATH': str(self._packages),
            'HOME': str(self._folder),
            'HGRCPATH': f'{CONFIG}:{self._folder}/.hgrc',
            'LC_ALL': 'C.UTF-8',
            **self.environ,
        }

    def _do(self, *command: str | Path) -> None:
        done = subprocess.run(
            command,
            env=self._environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout

    def _start(
        self, log: Path, environ: dict[str, str], *command: str | Path
    ) -> subprocess.Popen[bytes]:
        with open(log, 'ab') as output:
            process = subprocess.Popen(
                command,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def start(self) -> None:
        """Start the master, and wait for its first poll."""
        (self._folder / 'docs').symlink_to(DOCS)
        (block,) = (
            block
            for block in machine.sections(PAGE)['Buildbot']
            if block.text.startswith('pip ')
        )
        for line in block.lines[1:]:
            self._do('sh', '-c', f'cd {self._folder} && {line}')
        config = self.master / 'master.cfg'
        text = config.read_text()
        for word, other in {
            'tcp:8010:interface': 'tcp:0:interface',
            'tcp:9989': 'tcp:0:interface=127.0.0.1',
            'pollInterval=30': 'pollInterval=1',
            **self._words,
        }.items():
            assert word in text, word
            text = text.replace(word, other)
        config.write_text(text)
        for name, text in {
            'hg-password': self._password,
            'webhook-secret': self._secret,
            'worker-password': 'some-password\n',
        }.items():
            (self.master / name).write_text(text)
        self._do(*self._command('buildbot', 'checkconfig', self.master))
        words = ('start', '--nodaemon', self.master)
        process = self._start(
            self._folder / 'master.log',
            self._environ(),
            *self._command('buildbot', *words),
        )
        for _ in patiently():
            assert process.poll() is None, self.log()
            found = self._ports()
            if found:
                self.port = found
                break
        self.until(lambda: 'BuildMaster is running' in self.log())
        self.until(lambda: 'the log ends with push' in self.log())

    def _ports(self) -> int:
        found = re.search(r'Site starting on (\d+)', self.log())
        return int(found[1]) if found else 0

    def log(self) -> str:
        paths = [self._folder / 'master.log', self.master / 'twistd.log']
        return ''.join(p.read_text() for p in paths if p.exists())

    def worker(self, hg: Hg) -> Path:
        """Start the worker with that Mercurial; return the folder of its
        builders."""
        path = self._folder / 'worker'
        bin = self._folder / 'bin'
        bin.mkdir()
        (bin / 'hg').symlink_to(hg.executable)
        found = re.search(r'PBServerFactory starting on (\d+)', self.log())
        assert found, self.log()
        login = (f'127.0.0.1:{found[1]}', 'worker', 'some-password')
        self._do(
            *self._command('buildbot-worker', 'create-worker', path, *login)
        )
        self._start(
            self._folder / 'worker.log',
            self._environ(f'{bin}:'),
            *self._command('buildbot-worker', 'start', '--nodaemon', path),
        )
        return path

    def until(self, test: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not test():
            assert time.monotonic() < end, self.log()
            assert all(p.poll() is None for p in self._started), self.log()
            time.sleep(0.2)

    # its API

    def get(self, path: str) -> Any:
        url = f'http://127.0.0.1:{self.port}/api/v2/{path}'
        for _ in range(5):
            # Buildbot 4.3 writes answers from a thread, which its web server
            # does not allow for: now and then one comes without its body
            with contextlib.suppress(http.client.IncompleteRead):
                answer = get(url)
                assert answer.status == 200, answer
                return answer.json()
        raise AssertionError(f'no whole answer from {url}')

    def force(self, scheduler: str = 'hash', **params: str) -> Any:
        """Ask a force scheduler; return its answer."""
        data = {
            'id': 1,
            'jsonrpc': '2.0',
            'method': 'force',
            'params': {'builderid': '1', **params},
        }
        answer = get(
            f'http://127.0.0.1:{self.port}/api/v2/forceschedulers/{scheduler}',
            {'Content-Type': 'application/json'},
            'POST',
            body=json.dumps(data).encode(),
        )
        return answer.json()

    def hook(self, secret: str) -> int:
        """Send its web hook something that is signed with this secret; return
        the status of the answer."""
        told = {
            'webhook-id': 'some-id',
            'webhook-timestamp': f'{time.time():.0f}',
        }
        key = base64.b64decode(secret.removeprefix('whsec_'))
        text = f'{".".join(told.values())}.{{}}'.encode()
        digest = base64.b64encode(hmac.digest(key, text, 'sha256')).decode()
        # of several secrets any will do
        told['webhook-signature'] = f'v1,AAAA v1,{digest}'
        url = f'http://127.0.0.1:{self.port}/change_hook/push'
        return get(url, told, 'POST', body=b'{}').status

    def builds(self, count: int) -> list[Any]:
        """Return that many builds, when they have ended, with their
        properties."""

        def ended() -> list[Any]:
            query = 'builds?complete=true&property=*&order=number'
            builds: list[Any] = self.get(query)['builds']
            return builds if len(builds) >= count else []

        self.until(ended)
        found = ended()
        assert len(found) == count, found
        return found

    def steps(self, build: Any) -> dict[str, str]:
        """Return what the steps of a build have said, by name."""
        steps = self.get(f'builds/{build["buildid"]}/steps')['steps']
        said = {}
        for step in steps:
            logs = self.get(f'steps/{step["stepid"]}/logs')['logs']
            said[step['name']] = ''.join(
                chunk['content']
                for each in logs
                for chunk in self.get(f'logs/{each["logid"]}/contents')[
                    'logchunks'
                ]
            )
        return said

    def stop(self) -> None:
        for process in reversed(self._started):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
