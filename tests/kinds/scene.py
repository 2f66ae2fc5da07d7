"""The repositories of one row: a base, its try URL, and clients."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Optional

import environments
from harness import history, matrix, pool, servers
from harness.hg import Hg, Repo
from harness.servers import Transport
from harness.snapshot import STORE, Entry, Snapshot, differences, snapshot
from harness.store import tryurl

from .kind import Config, Kind, Member
from .table import BY_NAME

#: what servers without the extension write as well when they are read
_CACHES = ('.hg/remotefilelogcache',)
#: a subrepository of the base, with a bundle store of its own
_NESTED = 'nested/.hg/bundlestore'


class Row(NamedTuple):
    """One kind of repository, and who talks to whom."""

    kind: str
    transport: str
    client: str
    server: str

    def __str__(self) -> str:
        versions = f'{self.client}-to-{self.server}'
        return f'{self.kind}-{self.transport}-{versions}'


def mercurial(kind: Kind, version: str, ext: bool, temp: Path) -> Hg:
    hg = Hg(version, ext, {'TMPDIR': str(temp)})
    if kind.tools:
        folder: Path = environments.Environment('tools', version).path
        hg.executable = folder / 'bin' / 'hg'
        hg.python = folder / 'bin' / 'python'
    return hg


def configure(repo: Member, config: Config) -> None:
    for item, value in config.items():
        section, _, name = item.partition('.')
        repo.configure(section, {name: value})


def words(config: Config) -> list[str]:
    return [f'{item}={value}' for item, value in config.items()]


def placed(config: Config, root: Path, path: Path) -> Config:
    """Put in where repositories are served, and a cache for the one at
    ``path``."""
    places = {'{root}': str(root), '{cache}': f'{path}-cache'}
    found = dict(config)
    for word, place in places.items():
        found = {k: v.replace(word, place) for k, v in found.items()}
    return found


class Content(NamedTuple):
    """Changesets, and the files of the last one."""

    changesets: str
    tree: dict[str, bytes]


class Bases:
    """Bases, built once for each kind and version, below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._built: dict[tuple[str, str], Path] = {}

    def get(self, kind: Kind, version: str) -> Path:
        """Return a folder to copy: ``base``, and what it needs beside."""
        key = kind.name, version
        if key not in self._built:
            folder = Path(tempfile.mkdtemp(dir=self._folder))
            self._build(kind, version, folder)
            self._built[key] = folder
        return self._built[key]

    def _build(self, kind: Kind, version: str, folder: Path) -> None:
        hg = mercurial(kind, version, False, folder)
        path = folder / 'base'
        config = placed(kind.server, folder, path)
        off = {'extensions.bundlestore': '!'}
        hg.run('init', path, config=words({**off, **config}))
        repo = Member(kind, hg, path)
        configure(repo, config)
        if kind.after:
            kind.after(repo)
        kind.build(repo)
        if repo.nodes():
            history.warm(repo)


class Scene:
    """Makes them in ``folder``, which is empty. If ``plain``, the base has no
    bundle store and a push is a push: what Mercurial does by itself."""

    def __init__(
        self,
        row: Row,
        folder: Path,
        bases: Bases,
        shared: Optional[pool.Pool] = None,
        plain: bool = False,
    ) -> None:
        self.row = row
        self.kind = BY_NAME[row.kind]
        self.plain = plain
        self._folder = folder
        self.temp = folder / 'tmp'
        self.temp.mkdir()
        root = folder / 'served'
        shutil.copytree(bases.get(self.kind, row.server), root, symlinks=True)
        hg = mercurial(self.kind, row.server, True, self.temp)
        self.transport: Transport = servers.BY_NAME[row.transport](hg, root)
        #: values for ``--config``: subrepositories do not read the outer hgrc
        self.wire = self.transport.commandline()
        if shared is not None:
            self.transport.share(shared)
        if isinstance(self.transport, servers.WebTransport):
            # subrepositories inside of others, too
            conf = self.transport.webconf
            conf.write_text(conf.read_text().replace('/*', '/**'))
        self.base = Member(self.kind, hg, root / 'base')
        self._configure(self.base, self.kind.server)
        self.base.configure('web', {'allow-archive': 'gz'})
        if plain:
            # whoever pushes wants drafts there, too
            self.base.configure('phases', {'publish': 'no'})
        else:
            for repo in self._served():
                servers.serve_bundlestore(repo, {})
        #: changesets that were pushed, by who pushed them
        self.pushed: dict[str, list[str]] = {}
        #: what is in them, and which files the last one has changed
        self.made: dict[str, Content] = {}
        self.changed: dict[str, list[str]] = {}
        self._count = 0
        try:
            hg = self._mercurial(False)
            self._clone = self.cloned(hg, folder / 'clone').path
        except BaseException:
            self.transport.discard()
            raise
        self.before = self._snapshot()

    @property
    def bypath(self) -> bool:
        return self.row.transport == 'path'

    def _mercurial(self, ext: bool) -> Hg:
        installed = ext or self.bypath
        return mercurial(self.kind, self.row.client, installed, self.temp)

    def client(self, name: str, ext: bool) -> Member:
        """Return a new clone. By path, its ``hg`` is the server, too: who has
        not turned the extension on has it installed then."""
        hg = self._mercurial(ext)
        self._count += 1
        path = self._folder / f'{name}{self._count}'
        shutil.copytree(self._clone, path, symlinks=True)
        repo = Member(self.kind, hg, path)
        repo.bypath = self.bypath
        self._configure(repo, self.kind.client)
        if ext:
            repo.enable()
        return repo

    def _configure(self, repo: Member, config: Config) -> None:
        configure(repo, placed(config, self.transport.root, repo.path))

    def cloned(self, hg: Hg, path: Path, *args: str) -> Member:
        """Clone over the transport, by a client without the extension."""
        own = placed(self.kind.client, self.transport.root, path)
        config = {'extensions.bundlestore': '!', **own}
        wire = [*self.wire, *words(config)]
        if self.bypath:
            # the base is a server, whoever reads it
            wire.remove('extensions.bundlestore=!')
            args = (*args, '--pull')
        url = self.transport.url(self.base)
        args = ('-q', *self.kind.clone, *args)
        hg.run('clone', *args, url, path, config=wire)
        repo = Member(self.kind, hg, path)
        repo.bypath = self.bypath
        self.transport.connect(repo, self.base)
        configure(repo, own)
        return repo

    def _served(self) -> list[Repo]:
        """Return the base and, if there is one, its subrepository."""
        nested = Repo(self.base.hg, self.base.path / 'nested')
        return [self.base, *([nested] if nested.hgrc.parent.exists() else [])]

    def tryurl(self) -> str:
        """Return the address for clients without the extension."""
        if self.plain:
            return self.transport.url(self.base)
        names = ('try', 'try/nested')
        for repo, name in zip(self._served(), names):
            made = tryurl(self.transport, repo, name)
            self._configure(
                Member(self.kind, repo.hg, made.path), self.kind.server
            )
        return self.transport.url(self.transport.root / 'try')

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Fail if the body changes a byte of the base."""
        yield
        if not self.plain:
            after = self._snapshot()
            changes = differences(self.before, after)
            self.before = after
            assert not changes, 'the base was changed:\n' + '\n'.join(changes)

    def _snapshot(self) -> Snapshot:
        found = snapshot(self.base.path, (*STORE, *_CACHES, _NESTED))
        for name, entry in found.items():
            # who clones a subrepository by path locks it
            if name.startswith('nested/') and entry.mode.startswith('d'):
                found[name] = entry._replace(mtime=0)
        # where a git subrepository comes from
        path = self.transport.root / 'base-sub' / 'refs/heads/main'
        if path.exists():
            data = path.read_text('ascii')
            found['../base-sub/refs/heads/main'] = Entry('', 0, 0, data)
        return found

    def close(self) -> None:
        self.transport.close()


def rows(kinds: list[Kind]) -> Iterator[Row]:
    """Every kind with the two servers that most have, over each transport, and
    what is common with the others."""
    for kind in kinds:
        for version in kind.versions():
            main = version in (matrix.NEWEST, matrix.VERSIONS[1])
            if main or kind.common:
                for transport in ('ssh',) if kind.slow else matrix.TRANSPORTS:
                    yield Row(kind.name, transport, version, version)


def mixed(kinds: list[Kind]) -> Iterator[Row]:
    """Kinds, transports, clients and servers of different versions: any two
    values together."""
    factors: list[list[str]] = [
        [kind.name for kind in kinds if not kind.slow],
        ['ssh', 'http'],
        list(matrix.VERSIONS),
        list(matrix.VERSIONS),
    ]

    def fits(values: tuple[str, ...]) -> bool:
        row = Row(*values)
        has = BY_NAME[row.kind].versions()
        if row.client == row.server:
            return False
        return row.client in has and row.server in has

    for values in matrix.pairwise(factors, fits):
        yield Row(*values)


def one_each(kinds: list[Kind]) -> Iterator[Row]:
    """One row of each kind, so that all together have each transport and each
    version on either side."""
    wires = ('http', 'ssh', 'ssh', 'http', 'path', 'ssh')
    for number, kind in enumerate(kinds):
        has = kind.versions()
        wire = wires[number % len(wires)]
        client = has[number % len(has)]
        server = has[(number // len(has) + number) % len(has)]
        if wire == 'path':
            server = client
        yield Row(kind.name, wire, client, server)
