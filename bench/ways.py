"""The ways by which a CI machine gets a pushed changeset, and the servers."""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from . import measure, wires
from .machines import First, GitMachine, HgMachine, More
from .place import Place, linktree, rewrite, say
from .repositories import Template, remove
from .systems.base import System, Unavailable
from .systems.git import Git
from .systems.hg import HgSystem
from .systems.infinitepush import InfinitePush
from .systems.ours import Ours
from .systems.plain import Plain
from .wires import Wire

ARCHIVES = """
[web]
allow-archive = gz
"""
SERVER = """
[extensions]
narrow =
blackbox =
[experimental]
narrowservebrokenellipses = yes
[blackbox]
track = bundlestore
"""

CLONE = '`clone -r`'
PULL = '`pull -r` into a clone'


class _Serve(Protocol):
    def __call__(
        self, system: HgSystem, path: Path
    ) -> contextlib.AbstractContextManager[Wire]: ...


_SERVE: dict[str, _Serve] = {
    'http': wires.web,
    'wsgi': wires.gunicorn,
    'hgwebdir': functools.partial(wires.gunicorn, application='hgwebdir'),
}


class Way(NamedTuple):
    """A way to get a changeset, and to get one more."""

    title: str
    #: the key of the system
    system: str
    #: ``ssh``, ``http`` (``hg serve``), ``wsgi`` or ``hgwebdir`` (gunicorn)
    over: str
    first: First
    more: More | None = None
    #: whether the machine has a clone of the base repository before
    kept: bool = False

    def __str__(self) -> str:
        return f'{self.system}: {self.title}, {self.over}'


class _Peer(NamedTuple):
    """A system with a server, on which the pushes are."""

    system: System
    server: Path
    #: two changesets beside each other
    nodes: list[str]
    #: a clone without them, to be copied
    kept: Path


class Servers:
    """The servers, all with the same pushes."""

    def __init__(self, place: Place, template: Template, version: str) -> None:
        """``version`` is that of a Mercurial with infinitepush."""
        self.place = place
        self._ours = Ours(place)
        self._peers: dict[str, _Peer] = {}
        self._serve(self._ours, template, ARCHIVES + SERVER)
        self._serve(Plain(place), template, ARCHIVES)
        self._serve(InfinitePush(place, version), template)
        self._serve(Git(place), template)

    def _serve(
        self, system: System, template: Template, config: str = ''
    ) -> None:
        try:
            system.prepare()
        except Unavailable as exc:
            say(str(exc))
            return
        server = system.server('server', template)
        kept = template.path
        if isinstance(system, Git):
            kept = system.folder / 'kept'
            words = ('git', 'clone', '--quiet', '--no-checkout')
            self.place.quietly(*words, server, kept)
        client = system.client('client', template)
        nodes = system.changes(client, 1, 1) + system.changes(client, 2, 1)
        for node in nodes:
            measure.run(system.push(client, server, node))
        if config:
            rewrite(server / '.hg' / 'hgrc', config)
        self._peers[system.key] = _Peer(system, server, nodes, kept)

    def titles(self) -> dict[str, str]:
        """Return what the systems are, by their keys."""
        return {key: peer.system.title for key, peer in self._peers.items()}

    def nodes(self, way: Way) -> list[str]:
        return self._peers[way.system].nodes

    def ready(self, way: Way, path: Path, many: bool = False) -> None:
        """Give a machine what it has before it begins."""
        if way.kept:
            copy = linktree if many else shutil.copytree
            copy(self._peers[way.system].kept, path)

    def answers(self) -> Counter[str]:
        """Return how often stored changesets were served, by way."""
        return wires.answers(self._peers[Ours.key].server)

    @contextlib.contextmanager
    def wire(self, way: Way) -> Iterator[Wire]:
        """Serve, with an empty cache and an empty pool."""
        system, server, _, _ = self._peers[way.system]
        remove(self._pool, self._ours.folderof(server) / 'cache')
        if way.over == 'ssh':
            slash = '' if way.system == Git.key else '/'
            yield wires.ssh(self.place, server, slash)
            return
        assert isinstance(system, HgSystem)
        with _SERVE[way.over](system, server) as wire:
            yield wire

    @property
    def _pool(self) -> Path:
        return self.place.run / 'pool'

    # -- the ways

    def ways(self) -> Iterator[Way]:
        for key, ways in (
            ('ours', self._stored),
            ('plain', self._heads),
            ('infinitepush', self._infinitepush),
        ):
            if key in self._peers:
                system = self._peers[key].system
                assert isinstance(system, HgSystem)
                yield from ways(HgMachine(self.place, system))
        if 'git' in self._peers:
            git = GitMachine(self.place)
            yield Way('`clone --depth 1`', 'git', 'ssh', git.clone, git.more)
            yield Way(
                '`fetch` into a clone', 'git', 'ssh', git.fetch, None, True
            )

    def _stored(self, machine: HgMachine) -> Iterator[Way]:
        yield from self._heads(machine, 'ours')
        yield Way(CLONE, 'ours', 'ssh', machine.clone(), machine.more())
        title = 'clone with `share.pool`, `pull -r`'
        yield Way(title, 'ours', 'http', machine.pool(self._pool))
        yield Way('`/archive/`', 'ours', 'wsgi', machine.archive)
        title = '`/bundle/` into a clone'
        for over in ('http', 'wsgi'):
            yield Way(title, 'ours', over, machine.bundle, None, True)
        narrow = HgMachine(self.place, self._ours, 'extensions.narrow=')
        shallow = ['--narrow', '--depth', '1']
        folder = self._largest()
        for over in ('http', 'ssh'):
            for more in ([], ['--include', f'path:{folder}']):
                words = ' '.join([*shallow, *more])
                yield Way(
                    f'`clone {words} -r`',
                    'ours',
                    over,
                    narrow.clone(*shallow, *more),
                    narrow.more('--depth', '1'),
                )

    def _heads(self, machine: HgMachine, key: str = 'plain') -> Iterator[Way]:
        more = machine.more()
        for over in ('http', 'wsgi', 'hgwebdir', 'ssh'):
            yield Way(PULL, key, over, machine.pull, more, True)
        yield Way('`clone --stream`, `pull -r`', key, 'http', machine.stream)
        yield Way(CLONE, key, 'http', machine.clone(), more)
        yield Way('`/archive/`', key, 'http', machine.archive)

    def _infinitepush(self, machine: HgMachine) -> Iterator[Way]:
        yield Way(
            PULL, 'infinitepush', 'ssh', machine.pull, machine.more(), True
        )

    def _largest(self) -> str:
        """Return the folder with the most files, of those at the top."""
        node = self._peers[Ours.key].nodes[0]
        client = self._ours.folder / 'client'
        words = (self._ours.maker.hg, 'files', '--rev', node)
        counts: dict[str, int] = defaultdict(int)
        for name in self.place.quietly(*words, cwd=client).splitlines():
            first, slash, _ = name.partition('/')
            counts[first] += bool(slash)
        return max(counts, key=lambda name: counts[name])
