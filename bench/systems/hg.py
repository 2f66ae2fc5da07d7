"""What the systems have in common that are a Mercurial."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..measure import Argument, Command
from ..place import Mercurial, Place, filebytes, rewrite
from ..repositories import Template, remove
from .base import System

WEB = """
[web]
push_ssl = no
allow-push = *
"""

#: the exit code of a push that found nothing to push
NOTHING = 1


class HgSystem(System):
    """A Mercurial on both sides. ``maker`` makes changesets for it."""

    #: what a push is told, apart from a revision, and without one
    pushwords: Sequence[str] = ()
    nothingwords: Sequence[str] = ()
    clientconfig = ''
    #: whether ``hg update`` fetches what the client does not have
    ondemand = False
    serverconfig = ''

    maker: Mercurial
    mercurial: Mercurial

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        #: of each client, the last changeset that everybody has
        self._tips: dict[Path, str] = {}

    def server(self, name: str, template: Template, stored: int = 0) -> Path:
        source = template.path
        if stored:
            source = self.filled(template, stored)
        path = self._copy(source, name, template)
        rewrite(path / '.hg' / 'hgrc', self.serverconfig + WEB)
        self.fill(path, stored)
        return path

    def filled(self, template: Template, stored: int) -> Path:
        """Return a repository with that many pushes to copy."""
        return template.path

    def fill(self, server: Path, stored: int) -> None:
        """Have that many pushes in a server that was just made."""

    def client(self, name: str, template: Template) -> Path:
        path = self._copy(template.path, name, template)
        self._tips[path] = template.tip
        rewrite(path / '.hg' / 'hgrc', self.clientconfig)
        return path

    def bareclient(self, name: str, template: Template) -> Path:
        """Make a clone as of somebody who lacks the extension."""
        return self._copy(template.path, name, template)

    def twin(self, client: Path, name: str) -> Path:
        path = super().twin(client, name)
        self._tips[path] = self._tips[client]
        return path

    def changes(self, client: Path, seed: int, count: int) -> list[str]:
        return self._work(client, do='one', seed=seed, count=count)

    def big(self, client: Path, size: int) -> str:
        (node,) = self._work(client, do='big', seed=1, size=size)
        return node

    def stack(
        self, client: Path, height: int, count: int, seed: int = 1
    ) -> list[str]:
        return self._work(
            client, do='stack', seed=seed, height=height, count=count
        )

    def _work(self, client: Path, **order: object) -> list[str]:
        nodes: list[str] = self.place.hgwork(
            self.maker, {'repo': str(client), **order}
        )
        return nodes

    def make(self, client: Path, **order: object) -> list[str]:
        """Make changesets in a client, as ``hgwork.py`` has it; return
        them."""
        return self._work(client, **order)

    def command(
        self, client: Path, server: Argument, words: Sequence[str]
    ) -> Command:
        """Return the command with these words and the address of a server."""
        return self._command(client, server, words, 'any', None)

    def alone(self, client: Path, words: Sequence[Argument]) -> Command:
        """Return the command with these words, which asks no server."""
        return Command(
            [self.mercurial.hg, *words], client, self.place.environ()
        )

    def push(
        self,
        client: Path,
        server: Argument,
        revision: str | None,
        ssh: Path | None = None,
    ) -> Command:
        words = ['push', *(self.pushwords if revision else self.nothingwords)]
        words += ['--rev', revision or self._tips[client]]
        return self._command(client, server, words, revision, ssh)

    def pull(
        self,
        client: Path,
        server: Argument,
        revision: str | None,
        ssh: Path | None = None,
    ) -> Command:
        words = ['pull', '--rev', revision or self._tips[client]]
        return self._command(client, server, words, 'pull', ssh)

    def _command(
        self,
        client: Path,
        server: Argument,
        words: Sequence[str],
        revision: str | None,
        ssh: Path | None,
    ) -> Command:
        return Command(
            [*self._hg(ssh), *words, self._url(server)],
            client,
            self.place.environ(),
            (0,) if revision else (NOTHING,),
        )

    def _hg(self, ssh: Path | None) -> list[Argument]:
        return [
            self.mercurial.hg,
            *('--config', f'ui.ssh={ssh or self.place.ssh}'),
            *('--config', f'ui.remotecmd={self.mercurial.hg}'),
        ]

    @staticmethod
    def _url(server: Argument) -> str:
        if isinstance(server, Path):
            return f'ssh://bench.example.org/{server}'
        return server

    def clone(
        self,
        name: str,
        server: Argument,
        revision: str,
        ssh: Path | None = None,
    ) -> Command:
        found = self.bareclone(name, server, revision, ssh)
        return found._replace(words=[*found.words, *self._options()])

    def _options(self) -> list[str]:
        """Return what a user has set for all repositories."""
        options, section = [], ''
        for line in self.clientconfig.splitlines():
            key, equals, value = line.partition('=')
            if equals:
                item = f'{section}.{key.strip()}={value.strip()}'
                options += ['--config', item]
            else:
                section = line.strip('[]')
        return options

    def bareclone(
        self,
        name: str,
        server: Argument,
        revision: str,
        ssh: Path | None = None,
    ) -> Command:
        """As ``clone``, of somebody who lacks the extension."""
        remove(self.folder / name)
        words = ['clone', '--noupdate', '--rev', revision, self._url(server)]
        return Command(
            [*self._hg(ssh), *words, name], self.folder, self.place.environ()
        )

    def update(
        self,
        client: Path,
        server: Argument,
        revision: str,
        ssh: Path | None = None,
    ) -> Command:
        words = [*self._hg(ssh), 'update', '--rev', revision]
        if not self.ondemand:
            pull = self.pull(client, server, revision, ssh)
            return self._then(pull, *words)
        words += ['--config', f'paths.default={self._url(server)}']
        return Command(words, client, self.place.environ())

    def lower(self, client: Path, top: str, count: int) -> list[str]:
        revset = f'last(ancestors({top}), {count})'
        words = ('log', '--rev', revset, '--template', '{node}\n')
        hg = self.mercurial.hg
        return self.place.quietly(hg, *words, cwd=client).split()

    def serve(self, server: Path) -> Sequence[Argument]:
        return [
            *(self.mercurial.hg, 'serve', '--repository', server),
            *('--address', '127.0.0.1', '--port', '0', '--print-url'),
            *('--accesslog', '/dev/null'),
        ]

    def storedbytes(self, server: Path) -> int:
        return filebytes(server / '.hg' / 'store')
