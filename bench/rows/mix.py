"""A mix of fetches such as people and their machines make, and how they are
answered: stored bytes as they are, a part of them, or by Mercurial's code over
an overlay."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from .. import measure, wires
from ..place import rewrite, say
from ..repositories import remove
from ..systems.ours import Ours
from .context import Context

_LOG = """
[extensions]
blackbox =
[blackbox]
track = bundlestore
"""

#: as the log calls them
WAYS = ('verbatim', 'subset', 'overlay')
SERIES = 5


def measure_mix(context: Context) -> None:
    """The section ``mix`` of the results."""
    with context.results.trying('ours', 'extra/mix'):
        mix = _Mix(context)
        for number in range(context.sizes.people):
            say(f'person {number + 1} of {context.sizes.people}')
            mix.person(number)
        context.results.data['mix'] = mix.found()
    remove(*context.ours.folder.glob('mix-*'))


class _Mix:
    """A server, and what was fetched from it."""

    def __init__(self, context: Context) -> None:
        self._system: Ours = context.ours
        self._template = context.releases
        self._people = context.sizes.people
        self._server = self._system.server('mix-server', self._template)
        rewrite(self._server / '.hg' / 'hgrc', _LOG)
        self._counts: dict[str, Counter[str]] = {}

    def person(self, number: int) -> None:
        """Three changes by themselves; a series whose top is amended twice."""
        system = self._system
        author = system.client('mix-author', self._template)
        changes = system.changes(author, 100 + number, 3)
        for node in changes:
            self._push(author, node)
            self._pull('a change, by a machine', self._machine(), node)
        both = self._machine()
        for node in changes[:2]:
            self._pull('changes, by one machine after another', both, node)
        self._pull('two changes at once', self._machine(), *changes[1:])
        self._clone('a change, with `clone -r`', changes[0])
        top, *amended = system.stack(author, SERIES, 3, 200 + number)
        lower = system.lower(author, top, SERIES)
        self._push(author, top)
        self._pull('a series, by a machine', self._machine(), top)
        reviewer = self._machine('mix-reviewer')
        self._pull('the lower half of a series', reviewer, lower[2])
        self._pull('then the rest', reviewer, top)
        for node in amended:
            self._push(author, node)
            title = 'a series with its top amended, by a machine'
            self._pull(title, self._machine(), node)
            title = 'an amended top, by who has the series'
            self._pull(title, reviewer, node)

    def found(self) -> dict[str, object]:
        """Return the table, and what is to be said of it."""
        total = sum(self._counts.values(), Counter())
        ways = [*WAYS, *sorted(total.keys() - set(WAYS))]
        lines = [['fetched', 'times', *ways]]
        for title, counts in self._counts.items():
            cells = [str(counts[way] or '') for way in ways]
            lines.append([title, str(sum(counts.values())), *cells])
        count = sum(total.values())
        shares = [f'{total[way] * 100 / (count or 1):.0f} %' for way in ways]
        lines.append(['all', str(count), *shares])
        title = (
            f'{self._people} people, each with three changes by themselves and'
            f' a series of {SERIES}, whose top is amended twice; each fetch is'
            ' of a clone of the base over ssh. Counted by the log of the'
            ' server.'
        )
        return {'title': title, 'table': lines}

    def _push(self, author: Path, node: str) -> None:
        measure.run(self._system.push(author, self._server, node))

    def _machine(self, name: str = 'mix-machine') -> Path:
        """Return a new clone of the base."""
        return self._system.bareclient(name, self._template)

    def _pull(self, title: str, client: Path, node: str, *others: str) -> None:
        command = self._system.pull(client, self._server, node)
        more = [word for other in others for word in ('--rev', other)]
        self._count(title, command._replace(words=[*command.words, *more]))

    def _clone(self, title: str, node: str) -> None:
        made = self._system.bareclone('mix-clone', self._server, node)
        self._count(title, made)

    def _count(self, title: str, command: measure.Command) -> None:
        before = wires.answers(self._server)
        measure.run(command)
        counts = self._counts.setdefault(title, Counter())
        counts.update(wires.answers(self._server) - before)
