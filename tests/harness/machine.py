"""The machine that ``docs/deployment.rst`` sets up, in a folder.

Files are copied and commands run as the page has them, but for this: what the
page puts into ``/srv``, ``/etc`` and so on is below the folder, addresses are
on loopback, and what would change the real machine (packages, accounts,
services) is noted in ``calls`` and not done. A test starts itself what the page
starts as a service, by the command of its unit.
"""

from __future__ import annotations

import functools
import getpass
import grp
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import environments

from .hg import CONFIG, PATIENCE
from .servers import PASSWORDS

PAGE = environments.ROOT / 'docs' / 'deployment.rst'
FILES = environments.ROOT / 'docs' / 'deployment'
#: where this is set, a program that is missing is a failure
REQUIRED = 'BUNDLESTORE_REQUIRE_DEPLOYMENT'
#: where hg, gunicorn and uwsgi are
BIN = Path(sys.executable).parent
HOST = 'hg.example.org'
#: the repository of the page
BASE = '/srv/hg/project'

#: what is below the folder
_OURS = re.compile(
    r'(?<![\w.}-])/(?=(?:srv/hg|run/hg|etc|var/lib|usr/local/bin)\b)'
)
#: how a file begins, where a command would
_FILE = re.compile(r'\[|command=|listen |[\w.]+:[0-9]+:')
#: what is not to be done to the machine that the tests run on
_NOTDONE = ('a2enmod', 'adduser', 'apt-get', 'docker', 'systemctl')


@functools.cache
def _canmount() -> bool:
    """Whether a process may see the file system in a way of its own."""
    probe = ['unshare', '--mount', 'mount', '--bind', '/tmp', '/tmp']
    try:
        return not subprocess.run(probe, capture_output=True).returncode
    except OSError:
        return False


class Block(NamedTuple):
    """An indented block of the page."""

    #: the paragraph above it
    above: str
    text: str

    @property
    def isuser(self) -> bool:
        return self.text.startswith('$ ')

    @property
    def isfile(self) -> bool:
        return not self.isuser and bool(_FILE.match(self.text))

    @property
    def lines(self) -> list[str]:
        return [line.removeprefix('$ ') for line in self.text.splitlines()]

    @property
    def target(self) -> str | None:
        """The path that the paragraph above names last, for a file."""
        return ([None, *re.findall(r'``(/[^`]*)``', self.above)])[-1]


def sections(page: Path = PAGE) -> dict[str, list[Block]]:
    """Return the blocks of a page by the heading that they stand below."""
    found: dict[str, list[Block]] = {}
    blocks: list[Block] = []
    above = ''
    for chunk in re.split(r'\n\n+', page.read_text('utf-8').strip('\n')):
        heading = re.fullmatch(r'(.+)\n(=+|-+)', chunk)
        if heading:
            blocks = found.setdefault(heading[1], [])
        if not chunk.startswith('    '):
            above = chunk
            continue
        text = textwrap.dedent(chunk)
        if above:
            blocks.append(Block(above, text))
            above = ''
        else:
            # a blank line within
            blocks[-1] = Block(blocks[-1].above, f'{blocks[-1].text}\n\n{text}')
    return found


class Machine:
    def __init__(self, root: Path) -> None:
        self.root = root
        #: words of the page and what takes their place, such as ports
        self.words: dict[str, str] = {}
        #: where its web server is
        self.port = 0
        #: the commands that were not done, in order
        self.calls: list[str] = []
        self._started: list[subprocess.Popen[bytes]] = []
        for folder in (
            *('etc/mercurial', 'etc/nginx/sites-enabled', 'etc/logrotate.d'),
            *('etc/apache2/sites-enabled', 'etc/ssh/sshd_config.d'),
            *('etc/ssl/certs', 'etc/ssl/private', 'etc/systemd/system'),
            *(
                'etc/haproxy',
                'run/hg',
                'usr/local/bin',
                'var/lib',
                'home',
                'bin',
            ),
            'var/lib/prometheus/node-exporter',
        ):
            (root / folder).mkdir(parents=True)
        self._source = root / 'source' / 'docs' / 'deployment'
        self._source.mkdir(parents=True)

    # words

    def here(self, text: str) -> str:
        """Return text of the page, or of a file, for this machine."""
        for word, other in self.words.items():
            text = text.replace(word, other)
        text = text.replace('/usr/bin/', f'{BIN}/')
        return _OURS.sub(f'{self.root}/', text)

    def path(self, name: str) -> Path:
        return Path(self.here(name))

    @property
    def environ(self) -> dict[str, str]:
        path = f'{self.root}/bin:{self.root}/usr/local/bin:{BIN}'
        return {
            'PATH': f'{path}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
            'HOME': str(self.root / 'srv/hg'),
            'TMPDIR': str(self.root / 'home'),
            'LC_ALL': 'C.UTF-8',
            'HGRCPATH': f'{CONFIG}:{self.root}/etc/mercurial/hgrc',
            'USER': 'alice',
            'LOGNAME': 'alice',
        }

    # what an administrator does

    def instead(self, program: str, command: str) -> None:
        """Have ``program`` be a command with further arguments."""
        script = self.root / 'bin' / program
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        script.chmod(0o755)

    def follow(self, section: str, page: Path = PAGE) -> None:
        """Write the files and run the commands of a section that are the
        administrator's, but for what pip installs, and what is done with
        that."""
        for path in FILES.iterdir():
            copy = self._source / path.name
            copy.write_text(self.here(path.read_text('utf-8')))
            shutil.copymode(path, copy)
        blocks = [each for each in sections(page)[section] if not each.isuser]
        assert blocks, f'nothing to do in {section!r}'
        for block in blocks:
            if block.text.startswith('pip '):
                self.calls.append(block.text)
            elif not block.isfile:
                for line in block.lines:
                    self._do(line)
            elif block.target:
                with open(self.here(block.target), 'a') as file:
                    file.write(self.here(block.text) + '\n')

    def _do(self, line: str) -> None:
        words = shlex.split(line)
        if words[0] in _NOTDONE:
            self.calls.append(line)
            return
        input = ''
        if words[0] == 'htpasswd':
            # it asks a terminal otherwise
            line = line.replace('htpasswd', 'htpasswd -i', 1)
            input = PASSWORDS.get(words[-1], 'some-password')
        line = line.replace('-o hg -g hg', f'-o {self.user} -g {self.group}')
        done = self.run(self.here(line), input)
        assert done.returncode == 0, f'{line}\n{done.stdout}'

    @property
    def user(self) -> str:
        return getpass.getuser()

    @property
    def group(self) -> str:
        return grp.getgrgid(os.getegid()).gr_name

    def run(
        self, line: str, input: str = '', cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ['sh', '-c', line],
            cwd=cwd or self.root / 'source',
            env=self.environ,
            input=input,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    # what runs

    def unit(self, name: str, instance: str = '') -> dict[str, str]:
        """Return the settings of a unit of systemd; of those that are there
        more than once, the last."""
        folder = self.root / 'etc/systemd/system'
        paths = [folder / name, *sorted(folder.glob(f'{name}.d/*.conf'))]
        lines = '\n'.join(path.read_text() for path in paths).splitlines()
        return {
            key: value.replace('%i', instance)
            for key, sign, value in (line.partition('=') for line in lines)
            if sign and not key.startswith('#')
        }

    def confined(self, unit: dict[str, str], instance: str = '') -> str:
        """Return the command of a unit, in a view of the folder in which only
        that may be written which the unit allows, where one may mount."""
        command = unit['ExecStart']
        if not _canmount():
            return command
        root, cwd = str(self.root), unit.get('WorkingDirectory', '/')
        mounts = [(root, 'ro'), (f'{root}/home', 'rw')]
        for key, kind in (('ReadWritePaths', 'rw'), ('ReadOnlyPaths', 'ro')):
            mounts += [(path, kind) for path in unit.get(key, '').split()]
        if 'RuntimeDirectory' in unit:
            mounts.append((f'{root}/run/{unit["RuntimeDirectory"]}', 'rw'))
        lines = [
            f'mount --bind {path} {path} && mount -o remount,bind,{kind} {path}'
            for path, kind in mounts
        ]
        script = ' && '.join([*lines, f'cd {cwd} && exec {command}'])
        return shlex.join(['unshare', '--mount', 'sh', '-c', script])

    def start(self, command: str, ready: Callable[[], bool], cwd: Path) -> None:
        """Start a server, and wait until it is there."""
        log = self.root / 'home' / f'log-{len(self._started)}'
        with open(log, 'wb') as file:
            process = subprocess.Popen(
                shlex.split(command),
                cwd=cwd,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started.append(process)
        end = time.monotonic() + PATIENCE
        while not ready():
            said = log.read_text(errors='replace')
            assert process.poll() is None, f'{command}: ended\n{said}'
            assert time.monotonic() < end, f'{command}: not there\n{said}'
            time.sleep(0.02)

    def stop(self) -> None:
        """End all that was started."""
        for process in reversed(self._started):
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._started.clear()
        for log in sorted(self.root.glob('home/log-*')):
            # pytest shows it where a test fails
            print(log.name, log.read_text(errors='replace'), sep='\n')


def shown(section: str) -> list[str]:
    """Return the commands that users type."""
    return [
        line
        for block in sections()[section]
        if block.isuser
        for line in block.lines
    ]


def needs(*programs: str) -> None:
    """Skip the test where one of the programs is not installed."""
    path = f'{BIN}:{os.environ.get("PATH", os.defpath)}:/usr/sbin'
    missing = [each for each in programs if not shutil.which(each, path=path)]
    if missing:
        assert not os.environ.get(REQUIRED), missing
        pytest.skip(f'not installed: {", ".join(missing)}')
