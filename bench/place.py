"""Where the bench works, and what its processes have around them."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import environments

from .measure import Argument, CommandFailed

ROOT = Path(__file__).resolve().parent.parent

#: a change to what is built makes old copies of it useless
FORMAT = 1

CONFIG = """\
[ui]
username = bench <bench@example.org>
interactive = no
"""

#: In the place of ssh: the command is the last word, and runs right here with
#: nothing of the client's environment. git's protocol 2 asks by a variable.
SSH = """\
#!/bin/sh
for command; do :; done
exec env -i GIT_PROTOCOL="$GIT_PROTOCOL" {environ} {wrapper} sh -c "$command"
"""

_started = time.monotonic()


def say(text: str) -> None:
    """Tell on standard error how far it has got."""
    took = int(time.monotonic() - _started)
    print(f'bench {took // 60}:{took % 60:02} {text}', file=sys.stderr)


class Mercurial(NamedTuple):
    """One environment with Mercurial, see tools/environments.py."""

    version: str
    kind: str

    @property
    def hg(self) -> Path:
        return self._folder / 'bin' / 'hg'

    @property
    def python(self) -> Path:
        return self._folder / 'bin' / 'python'

    @property
    def _folder(self) -> Path:
        path: Path = environments.Environment(self.kind, self.version).path
        return path


class Place:
    """A folder with what is built once (``built``) and what one run makes
    (``run``). ``more`` is what servers have in their environment beside the
    usual."""

    def __init__(
        self, folder: Path, more: Mapping[str, str] | None = None
    ) -> None:
        self._more = dict(more or {})
        self.built = folder / 'built'
        self.run = folder / 'run'
        self.built.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.run, ignore_errors=True)
        self.run.mkdir()
        self.config = self.run / 'hg.rc'
        self.config.write_text(CONFIG)
        #: of peak.py, where a script was asked for that uses it
        self.peak = self.run / 'peak.json'
        #: what came in on standard input of a server, likewise
        self.record = self.run / 'record'
        self.ssh = self._ssh('ssh', '')
        wrapper = f'{sys.executable} {ROOT / "bench" / "peak.py"} {self.peak}'
        self.peakssh = self._ssh('ssh-peak', wrapper)
        #: what relay.py counted, likewise, a line for each connection
        self.relayed = self.run / 'relayed'
        relay = f'{sys.executable} -IS {ROOT / "bench" / "relay.py"}'
        self.relayssh = self._ssh('ssh-relay', f'{relay} {self.relayed}')
        recorder = self.run / 'recorder'
        recorder.write_text(f'#!/bin/sh\ntee {self.record} | "$@"\n')
        recorder.chmod(0o755)
        self.recordssh = self._ssh('ssh-record', str(recorder))

    def environ(self) -> dict[str, str]:
        """Return the whole environment of a process: nothing of the user's
        own configuration gets in."""
        return {
            'PATH': os.environ.get('PATH', os.defpath),
            'HOME': str(self.run),
            'USER': 'bench',
            'LOGNAME': 'bench',
            'LANG': 'C.UTF-8',
            'LC_ALL': 'C.UTF-8',
            'TZ': 'UTC',
            'HGRCPATH': str(self.config),
            'GIT_CONFIG_NOSYSTEM': '1',
            **self._more,
        }

    def _ssh(self, name: str, wrapper: str) -> Path:
        path = self.run / name
        words = [shlex.quote(f'{k}={v}') for k, v in self.environ().items()]
        text = SSH.format(environ=' '.join(words), wrapper=wrapper)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def build(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return the folder ``name`` of what is built; ``make`` is called
        with the path of one that is moved there when it is complete."""
        path = self.built / f'{name}-{FORMAT}'
        if not path.exists():
            say(f'building {name}')
            part = path.with_name(f'{path.name}.part')
            shutil.rmtree(part, ignore_errors=True)
            make(part)
            part.rename(path)
        return path

    def finished(self) -> Any:
        """Return what peak.py wrote, once."""
        # the client may end before the server does
        found = json.loads(self.peak.read_text())
        self.peak.unlink()
        return found

    def quietly(
        self, *words: Argument, cwd: Path | None = None, stdin: Any = None
    ) -> str:
        """Run something that is not measured; return its output."""
        done = subprocess.run(
            [str(word) for word in words],
            cwd=cwd or self.run,
            env=self.environ(),
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding='utf-8',
            errors='replace',
            check=False,
        )
        if done.returncode:
            raise CommandFailed(f'{shlex.join(map(str, words))}: {done.stdout}')
        return done.stdout

    def hgwork(self, mercurial: Mercurial, order: Mapping[str, Any]) -> Any:
        """Give an order to hgwork.py; return the answer."""
        done = subprocess.run(
            [str(mercurial.python), str(ROOT / 'bench' / 'hgwork.py')],
            env=self.environ(),
            input=json.dumps(order),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CommandFailed(done.stderr)
        return json.loads(done.stdout)


def linktree(source: Path, target: Path) -> None:
    """Copy a folder as hard links. Neither Mercurial nor git changes a file
    that has another name."""

    # five times as fast as Python; not every system has these options
    done = subprocess.run(
        ['cp', '-al', str(source), str(target)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, symlinks=True, copy_function=_link)


def _link(source: str, target: str) -> None:
    # os.link has options that shutil does not know
    os.link(source, target)


def rewrite(path: Path, text: str) -> None:
    """Append to a file that may have another name elsewhere."""
    before = path.read_text() if path.exists() else ''
    path.unlink(missing_ok=True)
    path.write_text(before + text)


def digest(paths: Sequence[Path]) -> str:
    """Return a short hash over the contents of files."""
    found = hashlib.sha256()
    for path in paths:
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def filebytes(folder: Path) -> int:
    """Return the bytes in all files below a folder."""
    return sum(p.stat().st_size for p in folder.rglob('*') if p.is_file())


def diskbytes(folder: Path) -> int:
    """Return what a folder takes on disk, with its names."""
    paths = [folder, *folder.rglob('*')]
    return sum(path.lstat().st_blocks * 512 for path in paths)
