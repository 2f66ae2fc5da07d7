"""The ways by which a CI machine gets a pushed changeset, and their servers."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Callable, NamedTuple

from harness.proxy import Proxy

from . import measure
from .measure import Argument, Command
from .place import Place, rewrite, say
from .repositories import Template, remove
from .rows.web import serving
from .systems.base import Unavailable
from .systems.git import Git
from .systems.ours import Ours

SERVER = """
[extensions]
narrow =
[experimental]
narrowservebrokenellipses = yes
[web]
allow-archive = gz
"""

#: fetches and unpacks an archive: URL, folder
UNPACK = """\
import sys, tarfile, urllib.request
with urllib.request.urlopen(sys.argv[1]) as answer:
    with tarfile.open(fileobj=answer, mode='r|gz') as archive:
        archive.extractall(sys.argv[2])
"""
READ = """\
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1]) as answer:
    while answer.read(1 << 20):
        pass
"""


class Cost(NamedTuple):
    """What a machine cost: bytes, and seconds."""

    bytes: float
    server: float
    client: float
    wall: float


class Meter(NamedTuple):
    """What was counted up to a moment: bytes, and seconds of the server and
    of what does the counting."""

    bytes: float
    server: float
    relay: float = 0


class Wire:
    """How a way gets to its server: ``url``, and ``read`` for the meter."""

    def __init__(self, url: str, read: Callable[[], Meter]) -> None:
        self.url = url
        self.read = read

    def spend(self, commands: Sequence[Command]) -> Cost:
        """Run commands one after the other, alone; return their cost."""
        before = self.read()
        samples = [measure.run(command) for command in commands]
        after = self.read()
        server = after.server - before.server
        relay = after.relay - before.relay
        client = sum(sample.cpu for sample in samples)
        if relay:
            # over ssh all of them are the client's children
            client -= server + relay
        wall = sum(sample.wall for sample in samples)
        return Cost(after.bytes - before.bytes, server, client, wall)


class Way(NamedTuple):
    """A way to get a changeset. ``first`` and ``more`` return the commands,
    given the URL, a folder, and the changeset; ``first`` also whether there
    is to be a working folder."""

    title: str
    #: ``http``, ``ssh`` or ``git``
    over: str
    first: Callable[[str, Path, str, bool], list[Command]]
    more: Callable[[str, Path, str], list[Command]] | None = None


class Servers:
    """The servers, both with the same pushes, and what clients say there."""

    def __init__(self, place: Place, template: Template) -> None:
        self.place = place
        self.ours = Ours(place)
        self._server = self.ours.server('server', template)
        rewrite(self._server / '.hg' / 'hgrc', SERVER)
        client = self.ours.client('client', template)
        self.nodes = self.ours.changes(client, 1, 1)
        self.nodes += self.ours.changes(client, 2, 1)
        for node in self.nodes:
            measure.run(self.ours.push(client, self._server, node))
        self.folder = self._largest(client)
        self.git: Git | None = Git(place)
        try:
            self.git.prepare()
        except Unavailable as exc:
            say(str(exc))
            self.git = None
            return
        self._gitserver = self.git.server('server', template)
        client = self.git.client('client', template)
        self.revisions = self.git.changes(client, 1, 1)
        self.revisions += self.git.changes(client, 2, 1)
        for revision in self.revisions:
            measure.run(self.git.push(client, self._gitserver, revision))

    def _largest(self, client: Path) -> str:
        """Return the folder with the most files, of those at the top."""
        words = (self.ours.maker.hg, 'files', '--rev', self.nodes[0])
        counts: dict[str, int] = defaultdict(int)
        for name in self.place.quietly(*words, cwd=client).splitlines():
            first, slash, _ = name.partition('/')
            counts[first] += bool(slash)
        return max(counts, key=lambda name: counts[name])

    @contextlib.contextmanager
    def wire(self, over: str) -> Iterator[Wire]:
        """Serve, with an empty cache."""
        remove(self.ours.folderof(self._server) / 'cache')
        if over == 'git':
            host = 'ssh://bench.example.org'
            yield Wire(f'{host}{self._gitserver}', self._readssh)
        elif over == 'ssh':
            host = 'ssh://bench.example.org/'
            yield Wire(f'{host}{self._server}', self._readssh)
        else:
            with serving(self.ours, self._server) as (url, pid):
                proxy = Proxy(int(url.rpartition(':')[2]))
                with contextlib.closing(proxy):
                    yield Wire(
                        f'http://127.0.0.1:{proxy.port}',
                        lambda: Meter(proxy.count, _seconds(pid)),
                    )

    def _readssh(self) -> Meter:
        path = self.place.relayed
        lines = path.read_text().splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines]
        return Meter(
            sum(line['up'] + line['down'] for line in found),
            sum(line['server'] for line in found),
            sum(line['relay'] for line in found),
        )

    def hg(self, *words: Argument) -> Command:
        config = [
            *('--config', f'ui.ssh={self.place.relayssh}'),
            *('--config', f'ui.remotecmd={self.ours.mercurial.hg}'),
            *('--config', 'extensions.narrow='),
        ]
        return Command(
            [self.ours.maker.hg, *config, *words, '--quiet'],
            self.place.run,
            self.place.environ(),
        )

    def gitcommand(self, *words: Argument) -> Command:
        environ = {
            **self.place.environ(),
            'GIT_SSH': str(self.place.relayssh),
            'GIT_SSH_VARIANT': 'ssh',
        }
        return Command(['git', *words], self.place.run, environ)

    def ways(self) -> Iterator[Way]:
        for over in ('http', 'ssh'):
            yield Way('`clone -r`', over, self._clone(), self._pull())
        yield Way('`clone --stream`, `pull -r`', 'http', self._stream)
        yield Way('`archive/…tar.gz`', 'http', self._archive)
        shallow = ['--narrow', '--depth', '1']
        inside = ['--include', f'path:{self.folder}']
        for over in ('http', 'ssh'):
            for words, title in ((shallow, ''), (shallow + inside, ' …')):
                extra = f' --include {self.folder}' if title else ''
                yield Way(
                    f'`clone --narrow --depth 1{extra} -r`',
                    over,
                    self._clone(*words),
                    self._pull('--depth', '1'),
                )
        if self.git:
            title = f'{self.git.title}: `clone --depth 1`'
            yield Way(title, 'git', self._gitclone, self._gitfetch)

    def _clone(self, *words: str) -> Callable[..., list[Command]]:
        def first(url: str, path: Path, node: str, work: bool) -> list[Command]:
            more = [] if work else ['--noupdate']
            return [
                self.hg('clone', *words, *more, '--rev', node, url, path),
            ]

        return first

    def _pull(self, *words: str) -> Callable[..., list[Command]]:
        def more(url: str, path: Path, node: str) -> list[Command]:
            return [
                self.hg('pull', '-R', path, *words, '--rev', node, url),
                self.hg('update', '-R', path, '--rev', node),
            ]

        return more

    def _stream(
        self, url: str, path: Path, node: str, work: bool
    ) -> list[Command]:
        clone = self.hg('clone', '--stream', '--noupdate', url, path)
        pull, update = self._pull()(url, path, node)
        return [clone, pull, update] if work else [clone, pull]

    def _archive(
        self, url: str, path: Path, node: str, work: bool
    ) -> list[Command]:
        words = [sys.executable, '-c', UNPACK if work else READ]
        words += [f'{url}/archive/{node}.tar.gz', str(path)]
        return [Command(words, self.place.run, self.place.environ())]

    def _gitclone(
        self, url: str, path: Path, node: str, work: bool
    ) -> list[Command]:
        words = ['--quiet', '--depth', '1', '--branch', f'try/{node}']
        more = [] if work else ['--no-checkout']
        return [self.gitcommand('clone', *words, *more, url, path)]

    def _gitfetch(self, url: str, path: Path, node: str) -> list[Command]:
        here = ('-C', path)
        words = ('fetch', '--quiet', '--depth', '1', url, f'try/{node}')
        return [
            self.gitcommand(*here, *words),
            self.gitcommand(*here, 'checkout', '--quiet', 'FETCH_HEAD'),
        ]


def _seconds(pid: int) -> float:
    """Return the processor time of another process, all of its threads."""
    # clock_getcpuclockid(3), which Python does not have
    return time.clock_gettime((~pid << 3) | 2)
