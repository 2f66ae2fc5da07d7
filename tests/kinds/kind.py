"""What a kind of repository is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Callable, NamedTuple

from harness import matrix
from harness.hg import Hg, Repo, Result
from harness.inspector import Inspector

#: values by ``section.name``
Config = Mapping[str, str]

#: adds the history of a base
Build = Callable[[Repo], None]
#: ``work(client, name)`` makes scratch changesets and returns them, parents
#: first
Work = Callable[[Repo, str], list[str]]


class Kind(NamedTuple):
    name: str
    #: what is special about it, for the documentation
    about: str
    build: Build
    work: Work
    #: how the base is made, and configured from then on
    server: Config = {}
    #: the same for clones
    client: Config = {}
    #: further words for ``hg clone``
    clone: tuple[str, ...] = ()
    #: the oldest Mercurial that has it
    since: str = matrix.VERSIONS[0]
    #: whether it is tried with all servers, as it is met every day
    common: bool = False
    #: in the environment of the tools, which has hg-evolve, too
    tools: bool = False
    #: takes too long for CI, and over each transport
    slow: bool = False
    #: changes the base before anything else is done
    after: Callable[[Repo], None] | None = None

    @property
    def extensions(self) -> bool:
        """Whether it turns on some that a shared process should not load."""
        return any(
            item.startswith('extensions.')
            for item in (*self.server, *self.client)
        )

    def versions(self) -> tuple[str, ...]:
        """Return those that have this kind, oldest first."""
        if self.tools:
            return (matrix.NEWEST,)
        return matrix.VERSIONS[matrix.VERSIONS.index(self.since) :]


class Member(Repo):
    """A repository of a kind. Where that turns on extensions, what looks at
    it is a process for this kind alone."""

    #: whether what looks at it opens the base, too, which is to be a server
    #: then
    bypath = False

    def __init__(self, kind: Kind, hg: Hg, path: Path) -> None:
        super().__init__(hg, path)
        self._own = kind.name if kind.extensions else ''

    def inspect(self, *args: str) -> str:
        result = self._inspected(*args)
        assert result.code == 0, str(result)
        return result.out

    def _inspected(self, *args: str) -> Result:
        if self.bypath and self._own:
            return self.run(*args, ok=None)
        inspector = Inspector.of(self.hg, self._own)
        return Result(*inspector.run(self.path, *args), args)

    def check(self) -> Result:
        """Return what ``hg verify`` says."""
        return self._inspected('verify', '-q')
