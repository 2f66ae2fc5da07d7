"""The same in repositories with many files, or with many changesets."""

from __future__ import annotations

import contextlib
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from .. import measure, repositories
from ..measure import Sample
from ..place import say
from ..repositories import Template, remove
from ..results import Sizes
from ..systems.base import System
from ..systems.git import Git
from ..systems.hg import HgSystem
from .context import Context, Entry, alternate, each
from .small import pulls
from .web import serving

#: what is done in each
ACTIONS = {
    'floor': 'push of nothing',
    'push': 'push of one changeset',
    'pullfloor': 'pull of nothing',
    'pull': 'pull -r of it',
    'workfloor': 'push of nothing, with a working folder',
    'update': 'update to it, which fetches it',
}
#: pages of a server, and how often each is asked for in a round
PAGES = {'rev': 'rev/{}', 'file': 'file/{}/', 'pushes': 'pushes'}
ASKED = 5
#: changesets that git imports; more take longer than all the rest
IMPORTED = 10_000


def groups(sizes: Sizes) -> dict[str, str]:
    """Return what rows begin with, and their titles."""
    found = {f'files-{count}': f'{count:,} files' for count in sizes.files}
    for count in sizes.changesets:
        found[f'changesets-{count}'] = f'{count:,} changesets'
    return found


def rows(group: str) -> dict[str, str]:
    """Return the rows of a group, and what they are."""
    return {
        **{f'{group}/{name}': title for name, title in ACTIONS.items()},
        **{
            f'{group}/{name}': f'a page, /{page.format("HASH")}'
            for name, page in PAGES.items()
        },
    }


def measure_many(context: Context) -> None:
    """Rows ``files-…`` and ``changesets-…``. All run in the same rounds."""
    entries: list[Entry] = []
    served: list[tuple[str, HgSystem, Path, str]] = []
    rounds = context.sizes.manyrounds
    for template in context.many:
        for system in context.systems:
            if isinstance(system, Git) and template.changesets > IMPORTED:
                continue
            with context.results.trying(system.key, *rows(template.name)):
                say(f'{system.key}: {template.name}')
                found = _Group(context, system, template, rounds)
                entries += found.entries()
                if system in (context.ours, context.plain):
                    assert isinstance(system, HgSystem)
                    entries += found.workentries()
                    page = (template.name, system, found.server, found.first)
                    served.append(page)
    say(f'{rounds} rounds with many files and changesets')
    alternate(context, entries, rounds)
    for group, system, server, node in served:
        with context.results.trying(
            system.key, *(f'{group}/{name}' for name in PAGES)
        ):
            _pages(context, group, system, server, node)
    for template in context.many:
        for system in context.systems:
            remove(*system.folder.glob(f'*-{template.name}'))


class _Group:
    """One system with one of the repositories."""

    def __init__(
        self, context: Context, system: System, template: Template, rounds: int
    ) -> None:
        self._context = context
        self._system = system
        self._template = template
        self._rounds = rounds
        self.server = system.server(f'server-{template.name}', template)
        self._client = system.client(f'client-{template.name}', template)
        count = rounds + 1
        made = system.changes(self._client, 1, 2 * count + 1)
        self.first, *others = made
        self._pushed, self._fetched = others[:count], others[count:]

    def entries(self) -> Iterator[Entry]:
        system, name = self._system, self._template.name
        give = each(self._pushed)

        yield Entry(
            f'{name}/floor',
            system.key,
            lambda _: system.push(self._client, self.server, None),
        )
        yield Entry(
            f'{name}/push',
            system.key,
            lambda _: system.push(self._client, self.server, give()),
        )
        yield from pulls(
            *(system, self._template, self.server, self._client, self.first),
            f'{name}/',
        )

    def workentries(self) -> Iterator[Entry]:
        """Yield what needs a working folder."""
        system, name = self._system, self._template.name
        maker = self._context.plain.maker
        checkout = repositories.checkout(system.place, maker, self._template)
        worker = system.client(f'worker-{name}', checkout)
        for revision in self._fetched:
            measure.run(system.push(self._client, self.server, revision))
        give = each(self._fetched)
        yield Entry(
            f'{name}/workfloor',
            system.key,
            lambda _: system.push(worker, self.server, None),
        )
        # each time another one, as a copy of the folder takes long
        yield Entry(
            f'{name}/update',
            system.key,
            lambda _: system.update(worker, self.server, give()),
        )


def _pages(
    context: Context, group: str, system: HgSystem, server: Path, node: str
) -> None:
    """Ask a server for each page, at first once to warm up."""
    with serving(system, server) as (url, pid):
        for number in range(-context.sizes.warmup, context.sizes.manyrounds):
            for name, page in PAGES.items():
                row = f'{group}/{name}'
                if name == 'pushes' and system is not context.ours:
                    context.results.lack(row, system.key, '–')
                    continue
                sample = _ask(f'{url}/{page.format(node)}', pid)
                if number >= 0:
                    context.results.addrun(row, system.key, sample)


def _ask(url: str, pid: int) -> Sample:
    """Return what one of some requests takes, and of the server's processor."""
    before, spent = time.perf_counter(), _processor(pid)
    for _ in range(ASKED):
        with contextlib.closing(urllib.request.urlopen(url)) as answer:
            answer.read()
    wall = time.perf_counter() - before
    spent = _processor(pid) - spent
    return Sample(wall / ASKED, spent / ASKED, '')


def _processor(pid: int) -> float:
    """Return what a process has had of the processor."""
    # the clock of another process, as clock_getcpuclockid gives it
    return time.clock_gettime((~pid << 3) | 2)
