"""Runs ``hg`` of a given version, and repositories to run it in."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Union

import environments

from . import forked
from .inspector import Inspector

CONFIG = Path(__file__).with_name('hg.rc')

#: A date for every commit, so that equal histories have equal hashes
DATE = '1700000000 0'

#: what commit says in the end
COMMITTED = re.compile(
    r'^committed changeset \d+:([0-9a-f]{40})$', re.MULTILINE
)

# A process that hangs must not take the whole run with it. Nothing is
# measured by this: it is far above what the slowest machine needs.
PATIENCE = 300

Argument = Union[str, Path]


class Result(NamedTuple):
    """What one process said."""

    code: int
    out: str
    err: str
    args: tuple[str, ...]

    def __str__(self) -> str:
        words = ' '.join(self.args)
        return (
            f'$ {words}\n[exit {self.code}]\n'
            f'--- stdout\n{self.out}\n--- stderr\n{self.err}'
        )


class Hg:
    """One Mercurial: a version, with this project installed or without.

    ``environ`` is put on top of the clean environment of every process.
    """

    def __init__(
        self,
        version: str,
        ext: bool,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.version = version
        self.ext = ext
        self.environ = dict(environ or {})
        kind = 'ext' if ext else 'plain'
        folder: Path = environments.Environment(kind, version).path
        self.executable = folder / 'bin' / 'hg'
        self.python = folder / 'bin' / 'python'

    def __repr__(self) -> str:
        return f'Hg({self.version!r}, ext={self.ext})'

    def plain(self) -> Hg:
        """Return the same version without this project."""
        return Hg(self.version, False, self.environ)

    def cleanenviron(self) -> dict[str, str]:
        """Return the whole environment of a process: nothing of the
        developer's own configuration gets in."""
        return {
            'PATH': os.environ.get('PATH', os.defpath),
            'USER': 'alice',
            'LOGNAME': 'alice',
            'HGRCPATH': str(CONFIG),
            **forked.FIXED,
            **self.environ,
        }

    def start(
        self,
        *args: Argument,
        cwd: Argument | None = None,
        config: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> forked.Process:
        """Start a process without waiting for it, in a session of its own."""
        command = [str(self.executable), *(str(arg) for arg in args)]
        for item in config:
            command += ['--config', item]
        return forked.start(
            command,
            cwd=cwd,
            env={**self.cleanenviron(), **(env or {})},
            stdin=stdin,
        )

    def run(
        self,
        *args: Argument,
        cwd: Argument | None = None,
        config: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        ok: Sequence[int] | None = (0,),
        crash: bool = False,
    ) -> Result:
        """Run to the end and return what came.

        The exit code must be among ``ok`` (None: any will do). A traceback,
        of the client or of the server, is a failure unless ``crash``.
        """
        process = self.start(
            *args,
            cwd=cwd,
            config=config,
            env=env,
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
        )
        return finish(process, input=input, ok=ok, crash=crash)

    def init(self, path: Path) -> Repo:
        code, out, err = Inspector.of(self).run(path.parent, 'init', str(path))
        assert code == 0, str(Result(code, out, err, ('init', str(path))))
        return Repo(self, path)

    def clone(
        self,
        source: Argument,
        path: Path,
        *args: Argument,
        config: Sequence[str] = (),
    ) -> Repo:
        self.run('clone', '--quiet', *args, source, path, config=config)
        return Repo(self, path)


def withevolve(version: str, ext: bool, environ: Mapping[str, str]) -> Hg:
    """Return the Mercurial of the tools: the one that has hg-evolve."""
    made = Hg(version, ext, environ)
    folder: Path = environments.Environment('tools', version).path
    made.executable = folder / 'bin' / 'hg'
    made.python = folder / 'bin' / 'python'
    return made


def finish(
    process: forked.Process,
    *,
    input: str | None = None,
    ok: Sequence[int] | None = (0,),
    crash: bool = False,
) -> Result:
    """Wait for a process of :meth:`Hg.start`, with the checks of ``run``."""
    assert isinstance(process.args, list)
    words = tuple(str(word) for word in process.args)
    try:
        out, err = process.communicate(input, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        # its own session, hence its own group: the server end goes, too
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        hung = Result(-1, out, err, words)
        raise AssertionError(f'no end after {PATIENCE} s\n{hung}') from None
    result = Result(process.wait(), out, err, words)
    if ok is not None and result.code not in ok:
        raise AssertionError(f'expected exit code in {tuple(ok)}\n{result}')
    if not crash:
        assert 'Traceback (most recent call last)' not in out + err, str(result)
        assert '** Unknown exception' not in out + err, str(result)
    return result


class Repo:
    """A repository and the ``hg`` that works in it."""

    def __init__(self, hg: Hg, path: Path) -> None:
        self.hg = hg
        self.path = path

    def __repr__(self) -> str:
        return f'Repo({self.hg!r}, {str(self.path)!r})'

    @property
    def hgrc(self) -> Path:
        return self.path / '.hg' / 'hgrc'

    def configure(self, section: str, items: Mapping[str, str]) -> None:
        """Append to the repository's own configuration."""
        with open(self.hgrc, 'a', encoding='utf-8') as file:
            file.write(f'[{section}]\n')
            for key, value in items.items():
                file.write(f'{key} = {value}\n')

    def enable(self) -> None:
        """Turn the extension on."""
        assert self.hg.ext
        self.configure('extensions', {'bundlestore': ''})

    def run(
        self,
        *args: Argument,
        config: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        ok: Sequence[int] | None = (0,),
        crash: bool = False,
    ) -> Result:
        return self.hg.run(
            *args,
            cwd=self.path,
            config=config,
            env=env,
            input=input,
            ok=ok,
            crash=crash,
        )

    def start(
        self, *args: Argument, config: Sequence[str] = ()
    ) -> forked.Process:
        return self.hg.start(*args, cwd=self.path, config=config)

    def write(self, files: Mapping[str, str | bytes | None]) -> None:
        """Write files of the working folder; None deletes one."""
        for name, content in files.items():
            path = self.path / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                content = content.encode()
            path.write_bytes(content)

    # What follows is for setting up and for looking, and does not load the
    # extension (see inspector.py). What is to be tested goes through run().

    def inspect(self, *args: str) -> str:
        """Return what a command prints; it must succeed."""
        # lfs has bundles be made in another format, from then on
        lfs = self.hgrc.exists() and b'\nlfs' in self.hgrc.read_bytes()
        inspector = Inspector.of(self.hg, 'lfs' if lfs else '')
        code, out, err = inspector.run(self.path, *args)
        assert code == 0, str(Result(code, out, err, args))
        return out

    def commit(
        self,
        files: Mapping[str, str | bytes | None],
        message: str,
        *,
        parent: str | None = None,
        branch: str | None = None,
        user: str | None = None,
        date: str = DATE,
        amend: bool = False,
        secret: bool = False,
    ) -> str:
        """Commit with these files changed (on ``parent``, if named) and
        return the full hash."""
        if parent is not None:
            self.inspect('update', '--quiet', '--clean', '--rev', parent)
        if branch is not None:
            self.inspect('branch', '--quiet', '--force', branch)
        self.write(files)
        # with --debug it tells the hash, so nobody has to ask
        args = ['commit', '--debug', '--addremove', '-m', message]
        args += ['--date', date]
        if user is not None:
            args += ['--user', user]
        if amend:
            args.append('--amend')
        if secret:
            args.append('--secret')
        (node,) = COMMITTED.findall(self.inspect(*args))
        return str(node)

    def log(self, template: str, revs: str = 'all()') -> str:
        return self.inspect('log', '-r', revs, '-T', template)

    def nodes(self, revs: str = 'all()') -> list[str]:
        return self.log('{node}\n', revs).split()

    def node(self, rev: str) -> str:
        """Return the full hash of exactly one changeset."""
        (node,) = self.nodes(rev)
        return node

    def phase(self, rev: str) -> str:
        return self.log('{phase}', rev)

    def phases(self, revs: str = 'all()') -> dict[str, str]:
        """Return the phase of each changeset by full hash."""
        lines = self.log('{node} {phase}\n', revs).splitlines()
        return dict(line.split() for line in lines)

    def knows(self, node: str) -> bool:
        """Tell whether the changeset is here."""
        return bool(self.nodes(f'present({node})'))

    def cat(self, name: str, rev: str) -> str:
        return self.inspect('cat', '-r', rev, name)

    def verify(self) -> None:
        self.inspect('verify', '--quiet')
