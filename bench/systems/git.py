"""git: each push makes a reference."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import environments

from ..measure import Argument, Command
from ..place import Mercurial, Place, filebytes, linktree
from ..repositories import Template, heads, remove
from .base import System, Unavailable


class Git(System):
    key = 'git'

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        #: makes the changesets, which git then imports
        self.maker = Mercurial(environments.supported()[-1], 'plain')
        self._version = ''
        self._sources: dict[Path, Path] = {}

    @property
    def title(self) -> str:
        return f'git {self._version}'.strip()

    def prepare(self) -> None:
        if shutil.which('git') is None:
            raise Unavailable('git is not installed')
        words = self.place.quietly('git', '--version').split()
        self._version = words[2]

    def server(self, name: str, template: Template, stored: int = 0) -> Path:
        path = self._copy(self._filled(template, stored), name, template)
        self._git(path, 'config', 'uploadpack.allowAnySHA1InWant', 'true')
        return path

    def client(self, name: str, template: Template) -> Path:
        path = self._copy(self._filled(template, 0), name, template)
        # changesets are made in Mercurial, and imported
        self._sources[path] = template.path
        return path

    def twin(self, client: Path, name: str) -> Path:
        path = super().twin(client, name)
        self._sources[path] = self._sources[client]
        return path

    def _filled(self, template: Template, stored: int) -> Path:
        """Return a repository to copy, with so many references."""

        def make(path: Path) -> None:
            if not stored:
                self._git(None, 'init', '--quiet', '--bare', path)
                self._git(path, 'symbolic-ref', 'HEAD', 'refs/heads/master')
                self._import(path, template.path, [], '')
            else:
                shutil.copytree(self._filled(template, 0), path)
                source = heads(self.place, self.maker, template, stored)
                order = {'do': 'drafts', 'repo': str(source)}
                nodes = self.place.hgwork(self.maker, order)
                self._import(path, source, nodes, 'refs/heads/try')
                # as git gc does, which runs after some pushes
                self._git(path, 'pack-refs', '--all')

        return self.place.build(f'git-{stored}-of-{template.name}', make)

    def changes(self, client: Path, seed: int, count: int) -> list[str]:
        return self._new(client, do='one', seed=seed, count=count)

    def big(self, client: Path, size: int) -> str:
        (revision,) = self._new(client, do='big', seed=1, size=size)
        return revision

    def stack(self, client: Path, height: int, count: int) -> list[str]:
        return self._new(client, do='stack', seed=1, height=height, count=count)

    def make(self, client: Path, **order: object) -> list[str]:
        """Make changesets in a client, as ``hgwork.py`` has it, each head with
        a reference; return them."""
        revisions = self._new(client, seed=1, **order)
        known = self.place.quietly(
            *('git', 'for-each-ref', '--format=%(refname) %(objectname)'),
            'refs/bench',
            cwd=client,
        )
        for line in known.splitlines():
            name, revision = line.split()
            if revision not in revisions:
                self._git(client, 'update-ref', '-d', name)
        self._git(client, 'pack-refs', '--all')
        return revisions

    def mirror(self, client: Path, server: Path) -> Command:
        """Return the command that makes a server hold all that is here."""
        words = ['git', 'push', '--quiet', '--mirror', self._url(server)]
        return Command(words, client, self._environ(None))

    def mirrored(self, server: Path, path: Path) -> Command:
        """Return the command that makes a clone of all that is there."""
        words = ['git', 'clone', '--quiet', '--mirror', self._url(server)]
        return Command([*words, path], self.folder, self._environ(None))

    def _new(self, client: Path, **order: object) -> list[str]:
        refs = f'refs/bench/{order["seed"]}'
        return self._make(client, self._sources[client], refs, **order)

    def _make(
        self, path: Path, template: Path, refs: str, **order: object
    ) -> list[str]:
        """Make changesets in a copy of a Mercurial repository, and import
        them into that of git at ``path``; return their hashes there."""
        source = self.folder / 'source'
        shutil.rmtree(source, ignore_errors=True)
        linktree(template, source)
        try:
            nodes: list[str] = self.place.hgwork(
                self.maker, {'repo': str(source), **order}
            )
            return self._import(path, source, nodes, refs)
        finally:
            shutil.rmtree(source)

    def _import(
        self, path: Path, source: Path, nodes: list[str], refs: str
    ) -> list[str]:
        stream = self.folder / 'stream'
        marks = self.folder / 'marks'
        order = {
            'do': 'export',
            'repo': str(source),
            'out': str(stream),
            'nodes': nodes,
            'refs': refs,
        }
        numbers = self.place.hgwork(self.maker, order)
        with open(stream, 'rb') as file:
            self.place.quietly(
                *('git', 'fast-import', '--quiet', f'--export-marks={marks}'),
                cwd=path,
                stdin=file,
            )
        found = dict(line.split() for line in marks.read_text().splitlines())
        stream.unlink()
        marks.unlink()
        return [found[f':{number}'] for number in numbers]

    def push(
        self,
        client: Path,
        server: Argument,
        revision: str | None,
        ssh: Path | None = None,
    ) -> Command:
        what = 'master:master'
        if revision is not None:
            what = f'{revision}:refs/heads/try/{revision}'
        return self._command(client, ['push', '--quiet'], server, what, ssh)

    def pull(
        self,
        client: Path,
        server: Argument,
        revision: str | None,
        ssh: Path | None = None,
    ) -> Command:
        what = revision or 'master'
        return self._command(client, ['fetch', '--quiet'], server, what, ssh)

    def _command(
        self,
        client: Path,
        words: Sequence[str],
        server: Argument,
        what: str,
        ssh: Path | None,
    ) -> Command:
        words = ['git', *words, self._url(server), what]
        return Command(words, client, self._environ(ssh))

    def _environ(self, ssh: Path | None) -> dict[str, str]:
        return {
            **self.place.environ(),
            'GIT_SSH': str(ssh or self.place.ssh),
            'GIT_SSH_VARIANT': 'ssh',
        }

    @staticmethod
    def _url(server: Argument) -> str:
        if isinstance(server, Path):
            return f'ssh://bench.example.org{server}'
        return server

    def clone(
        self,
        name: str,
        server: Argument,
        revision: str,
        ssh: Path | None = None,
    ) -> Command:
        remove(self.folder / name)
        words = ['clone', '--quiet', '--bare', '--single-branch']
        words += ['--branch', f'try/{revision}', self._url(server), name]
        return Command(['git', *words], self.folder, self._environ(ssh))

    def update(
        self,
        client: Path,
        server: Argument,
        revision: str,
        ssh: Path | None = None,
    ) -> Command:
        # clients are without a working folder
        fetch = self.pull(client, server, revision, ssh)
        folder = client / 'work'
        folder.mkdir()
        where = ('--git-dir', client, '--work-tree', folder)
        words = ('checkout', '--quiet', '--detach', revision)
        return self._then(fetch, 'git', *where, *words)

    def lower(self, client: Path, top: str, count: int) -> list[str]:
        words = ('rev-list', '--reverse', f'--max-count={count}', top)
        return self.place.quietly('git', *words, cwd=client).split()

    def storedbytes(self, server: Path) -> int:
        return filebytes(server / 'objects')

    def _git(self, path: Path | None, *words: Argument) -> None:
        self.place.quietly('git', *words, cwd=path)
