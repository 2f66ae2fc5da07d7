"""What machines run that want a changeset: with Mercurial, with git."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Callable

from .measure import Argument, Command
from .place import Place
from .systems.hg import HgSystem

#: fetches and unpacks an archive: URL, folder
_UNPACK = """\
import sys, tarfile, urllib.request
with urllib.request.urlopen(sys.argv[1]) as answer:
    with tarfile.open(fileobj=answer, mode='r|gz') as archive:
        archive.extractall(sys.argv[2])
"""

#: given the URL, a folder, the changeset, and whether there is to be a
#: working folder
First = Callable[[str, Path, str, bool], list[Command]]
#: the same for one more changeset
More = Callable[[str, Path, str], list[Command]]


class HgMachine:
    """With a Mercurial that has no extension of the server's; ``config`` are
    options of all commands."""

    def __init__(self, place: Place, system: HgSystem, *config: str) -> None:
        self._place = place
        self._system = system
        self._config = config

    def _hg(self, *words: Argument) -> Command:
        config = [
            f'ui.ssh={self._place.relayssh}',
            f'ui.remotecmd={self._system.mercurial.hg}',
            *self._config,
        ]
        options = [option for one in config for option in ('--config', one)]
        return self._command(self._system.maker.hg, *options, *words, '--quiet')

    def _command(self, *words: Argument) -> Command:
        return Command(words, self._place.run, self._place.environ())

    def clone(self, *words: str) -> First:
        def first(url: str, path: Path, node: str, work: bool) -> list[Command]:
            more = [] if work else ['--noupdate']
            return [
                self._hg('clone', *words, *more, '--rev', node, url, path),
            ]

        return first

    def more(self, *words: str) -> More:
        def more(url: str, path: Path, node: str) -> list[Command]:
            return [
                self._hg('pull', '-R', path, *words, '--rev', node, url),
                self._update(path, node),
            ]

        return more

    def _update(self, path: Path, node: str) -> Command:
        return self._hg('update', '-R', path, '--rev', node)

    def pull(
        self, url: str, path: Path, node: str, work: bool
    ) -> list[Command]:
        """Into a clone."""
        pull = self._hg('pull', '-R', path, '--rev', node, url)
        return [pull, self._update(path, node)] if work else [pull]

    def stream(
        self, url: str, path: Path, node: str, work: bool
    ) -> list[Command]:
        clone = self._hg('clone', '--stream', '--noupdate', url, path)
        return [clone, *self.pull(url, path, node, work)]

    def pool(self, pool: Path) -> First:
        """By way of a pool of this machine."""
        config = (*self._config, 'extensions.share=', f'share.pool={pool}')
        return HgMachine(self._place, self._system, *config).stream

    def bundle(
        self, url: str, path: Path, node: str, work: bool
    ) -> list[Command]:
        """With ``curl``, into a clone."""
        file = path / 'push.hg'
        commands = [
            self._command('curl', '-fsS', '-o', file, f'{url}/bundle/{node}'),
            self._hg('unbundle', '-R', path, file),
        ]
        return [*commands, self._update(path, node)] if work else commands

    def archive(
        self, url: str, path: Path, node: str, work: bool
    ) -> list[Command]:
        url = f'{url}/archive/{node}.tar.gz'
        if work:
            return [self._command(sys.executable, '-c', _UNPACK, url, path)]
        return [self._command('curl', '-fsS', '-o', '/dev/null', url)]


class GitMachine:
    def __init__(self, place: Place) -> None:
        self._place = place

    def _git(self, *words: Argument) -> Command:
        environ = {
            **self._place.environ(),
            'GIT_SSH': str(self._place.relayssh),
            'GIT_SSH_VARIANT': 'ssh',
        }
        return Command(['git', *words], self._place.run, environ)

    def clone(
        self, url: str, path: Path, node: str, work: bool
    ) -> list[Command]:
        words = ['--quiet', '--depth', '1', '--branch', f'try/{node}']
        more = [] if work else ['--no-checkout']
        return [self._git('clone', *words, *more, url, path)]

    def more(self, url: str, path: Path, node: str) -> list[Command]:
        return self._fetch(url, path, node, '--depth', '1')

    def fetch(
        self, url: str, path: Path, node: str, work: bool
    ) -> list[Command]:
        """Into a clone that has all history."""
        return self._fetch(url, path, node)[: 2 if work else 1]

    def _fetch(
        self, url: str, path: Path, node: str, *words: str
    ) -> list[Command]:
        here = ('-C', path)
        return [
            self._git(*here, 'fetch', '--quiet', *words, url, f'try/{node}'),
            self._git(*here, 'checkout', '--quiet', 'FETCH_HEAD'),
        ]
