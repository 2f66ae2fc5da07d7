"""The interface of a system: Mercurial with this project, or a peer."""

from __future__ import annotations

import abc
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..measure import Argument, Command
from ..place import Place, linktree
from ..repositories import Template, remove


class Unavailable(Exception):
    """The system cannot be had here; the message tells why."""


class System(abc.ABC):
    """Makes servers and clients (folders), and the commands to run.

    A *revision* is what the system calls a changeset: a hash.
    """

    #: its key in results
    key = ''

    def __init__(self, place: Place) -> None:
        self.place = place
        self.folder = place.run / self.key
        self.folder.mkdir()

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """What it is, and of what version."""

    def prepare(self) -> None:  # noqa: B027  some are there already
        """Install it; raises :class:`Unavailable`."""

    @abc.abstractmethod
    def server(self, name: str, template: Template, stored: int = 0) -> Path:
        """Make a server's repository in which that many pushes are stored
        (heads or references, for those that have no store)."""

    @abc.abstractmethod
    def client(self, name: str, template: Template) -> Path:
        """Make a clone of what is in ``template``."""

    def twin(self, client: Path, name: str) -> Path:
        """Copy a client with all that it has."""
        path = self.folder / name
        shutil.copytree(client, path)
        return path

    @abc.abstractmethod
    def changes(self, client: Path, seed: int, count: int) -> list[str]:
        """Make changesets beside each other in a client; return them."""

    @abc.abstractmethod
    def big(self, client: Path, size: int) -> str:
        """Make a changeset with one file of ``size`` random bytes."""

    @abc.abstractmethod
    def stack(self, client: Path, height: int, count: int) -> list[str]:
        """Make a stack and ``count`` - 1 amended tops; return all tops."""

    @abc.abstractmethod
    def push(
        self,
        client: Path,
        server: Argument,
        revision: str | None,
        ssh: Path | None = None,
    ) -> Command:
        """Return the command that pushes a revision, or, without one, what
        the server has already. ``server`` is a folder, taken by ssh, or a
        URL; ``ssh`` another script in place of the usual one."""

    @abc.abstractmethod
    def pull(
        self,
        client: Path,
        server: Argument,
        revision: str | None,
        ssh: Path | None = None,
    ) -> Command:
        """Return the command that fetches a revision, or, without one, what
        the client has already."""

    @abc.abstractmethod
    def clone(
        self,
        name: str,
        server: Argument,
        revision: str,
        ssh: Path | None = None,
    ) -> Command:
        """Return the command that makes a clone with a revision and all that
        it rests on, without a working folder, in the place of what was
        there."""

    @abc.abstractmethod
    def update(
        self,
        client: Path,
        server: Argument,
        revision: str,
        ssh: Path | None = None,
    ) -> Command:
        """Return what gets the files of a revision that the client does not
        have yet: one command, or where that cannot be, two."""

    @abc.abstractmethod
    def lower(self, client: Path, top: str, count: int) -> list[str]:
        """Return the upper ``count`` changesets of a stack, ``top`` the
        last."""

    def serve(self, server: Path) -> Sequence[Argument]:
        """Return the command that serves a repository by http, and prints
        its URL."""
        raise Unavailable('not measured')

    @abc.abstractmethod
    def storedbytes(self, server: Path) -> int:
        """Return how many bytes of changesets a server holds."""

    def indexbytes(self, server: Path) -> int:
        """Return the bytes on disk of what finds the changesets."""
        raise Unavailable('–')

    def _then(self, command: Command, *words: Argument) -> Command:
        """Return a command with one more after it."""
        both = [shlex.join(map(str, each)) for each in (command.words, words)]
        return command._replace(words=['sh', '-c', ' && '.join(both)])

    def _copy(self, source: Path, name: str, template: Template) -> Path:
        """Copy a repository to a new place of this system, in the place of
        what was there."""
        path = self.folder / name
        remove(path)
        copy = linktree if template.large else shutil.copytree
        copy(source, path)
        return path
