#!/usr/bin/env python3
"""What it costs a server that a CI machine wants one pushed changeset.

    python -m bench.ci [--repo PATH] [--work FOLDER] [--quick] [--only WORD]

Each way is that of a client without this project, with a working folder at its
end. It starts with an empty cache of the bundle store (the *first* machine);
then more machines come (the *next* ones), one of which then wants another
changeset on the same parent; then, after one more, many at once, without a
working folder.
Bytes are those of both directions, seconds of server and client those of their
processors.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'tools'), str(ROOT / 'tests')]

import environments  # noqa: E402
from bench import measure, repositories  # noqa: E402
from bench.__main__ import workfolder  # noqa: E402
from bench.measure import CommandFailed  # noqa: E402
from bench.place import Place, say  # noqa: E402
from bench.report import asmarkdown  # noqa: E402
from bench.repositories import remove  # noqa: E402
from bench.systems import infinitepush  # noqa: E402
from bench.systems.ours import Ours  # noqa: E402
from bench.ways import PULL, Servers, Way  # noqa: E402
from bench.wires import Cost, Wire  # noqa: E402

#: of the repository that is made up: changesets, files, bytes in these
SIZES = (8400, 1270, 10_000_000)
QUICKSIZES = (800, 300, 1_000_000)
SMOKESIZES = (20, 10, 10_000)


class Many(NamedTuple):
    """What many machines at once cost: seconds of the server for each, seconds
    until all were done, and how often the server answered in which way."""

    server: float
    wall: float
    answers: Counter[str]


class Costs(NamedTuple):
    """What a way cost, by round."""

    first: list[Cost]
    following: list[Cost]
    more: list[Cost]
    many: list[Many]


class Run:
    """One run of the bench."""

    def __init__(self, servers: Servers, count: int, only: str = '') -> None:
        self._servers = servers
        self._count = count
        self._folders = 0
        ways = [way for way in servers.ways() if only in str(way)]
        self.costs = {way: Costs([], [], [], []) for way in ways}
        self.failed: dict[Way, str] = {}

    def go(self, rounds: int) -> None:
        ways = list(self.costs)
        chance = random.Random(1)
        for number in range(rounds):
            for way in chance.sample(ways, len(ways)):
                say(f'{number + 1} of {rounds}: {way}')
                self._trying(way, self._some)
        for way in ways:
            say(f'{self._count} at once: {way}')
            self._trying(way, self._many)

    def _trying(self, way: Way, step: Callable[[Way, Wire], None]) -> None:
        if way in self.failed:
            return
        try:
            with self._servers.wire(way) as wire:
                step(way, wire)
        except CommandFailed as exc:
            say(str(exc))
            self.failed[way] = str(exc)

    def _newfolder(self, way: Way, many: bool = False) -> Path:
        self._folders += 1
        path = self._servers.place.run / f'machine{self._folders}'
        self._servers.ready(way, path, many)
        return path

    def _some(self, way: Way, wire: Wire) -> None:
        node, other = self._servers.nodes(way)
        costs = self.costs[way]
        for found in (costs.first, costs.following, costs.following):
            path = self._newfolder(way)
            found.append(wire.spend(way.first(wire.url, path, node, True)))
            if found is costs.first or not way.more:
                remove(path)
        if way.more and len(costs.following) % 2 == 0:
            costs.more.append(wire.spend(way.more(wire.url, path, other)))
        measure.settle()

    def _many(self, way: Way, wire: Wire) -> None:
        node = self._servers.nodes(way)[0]

        def machine(path: Path) -> None:
            for command in way.first(wire.url, path, node, False):
                measure.runalone(command)

        # plain Mercurial's server does not survive that they are the first
        warming = self._newfolder(way, True)
        machine(warming)
        remove(warming)
        paths = [self._newfolder(way, True) for _ in range(self._count)]
        measure.settle()
        answers, before = self._servers.answers(), wire.read()
        start = time.monotonic()
        with ThreadPoolExecutor(self._count) as pool:
            list(pool.map(machine, paths))
        took = time.monotonic() - start
        measure.settle()
        server = (wire.read().server - before.server) / self._count
        found = self._servers.answers() - answers
        self.costs[way].many.append(Many(server, took, found))
        remove(*paths)


# -- what is printed


def _median(costs: Sequence[Cost], name: str) -> float:
    return statistics.median(getattr(cost, name) for cost in costs)


def _size(value: float) -> str:
    return f'{value / 1e6:.2f} MB' if value >= 1e5 else f'{value / 1e3:.1f} kB'


def _ms(seconds: float) -> str:
    return f'{seconds * 1000:.0f} ms'


def _share(answers: Counter[str]) -> str:
    """Return how many of the answers were stored bytes as they are."""
    total = sum(answers.values())
    return f'{answers["verbatim"]} of {total}' if total else ''


def table(run: Run, count: int, titles: dict[str, str]) -> list[list[str]]:
    """Return a row for each way, the head first."""
    lines = [
        [
            *('from', 'way', 'over', 'bytes', 'server, first', 'next'),
            *('client', 'whole', f'{count} at once: server, each', 'whole'),
            'sent as stored',
        ]
    ]
    for way, costs in run.costs.items():
        name, _, _ = titles[way.system].partition(' (')
        names = [name, way.title, way.over]
        if way in run.failed:
            lines.append([*names, run.failed[way]])
        if not costs.following:
            continue
        cells = [
            _size(_median(costs.first, 'bytes')),
            _ms(_median(costs.first, 'server')),
            _ms(_median(costs.following, 'server')),
            _ms(_median(costs.following, 'client')),
            _ms(_median(costs.following, 'wall')),
        ]
        for found in costs.many:
            cells += [_ms(found.server), f'{found.wall:.1f} s']
            cells.append(_share(found.answers))
        lines.append([*names, *cells])
        if costs.more:
            cells = [
                _size(_median(costs.more, 'bytes')),
                *('', _ms(_median(costs.more, 'server'))),
                _ms(_median(costs.more, 'client')),
                _ms(_median(costs.more, 'wall')),
            ]
            lines.append([names[0], '… then another', way.over, *cells])
    width = len(lines[0])
    return [line + [''] * (width - len(line)) for line in lines]


def verdicts(run: Run) -> Iterator[str]:
    """Yield the goals, and whether they are held."""
    ways = {
        (way.system, way.title, way.over): costs
        for way, costs in run.costs.items()
        if way not in run.failed and costs.following
    }
    for over in ('http', 'wsgi', 'hgwebdir', 'ssh'):
        pulled = ways.get(('ours', PULL, over))
        if pulled and pulled.many:
            answers = pulled.many[0].answers
            share = _share(answers)
            held = set(answers) == {'verbatim'}
            yield _goal(
                f'pulls into a clone are verbatim ({over})', share, held
            )
    ours = ways.get(('ours', '`clone --narrow --depth 1 -r`', 'http'))
    git = ways.get(('git', '`clone --depth 1`', 'ssh'))
    if ours is None or git is None:
        return
    size = _median(ours.first, 'bytes')
    least = _median(git.first, 'bytes')
    yield _goal('no more bytes than git', _size(size), size <= least)
    first, following = (
        _median(costs, 'server') for costs in (ours.first, ours.following)
    )
    yield _goal('first machine at most 500 ms', _ms(first), first <= 0.5)
    yield _goal('the next at most 100 ms', _ms(following), following <= 0.1)
    whole = _median(ours.following, 'wall')
    theirs = _median(git.following, 'wall')
    text = f'{whole:.1f} s'
    yield _goal("at most 1.5 × git's time", text, whole <= 1.5 * theirs)


def _goal(what: str, figure: str, held: bool) -> str:
    return f'* {what}: {figure}: {"held" if held else "**missed**"}'


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--repo',
        default=os.environ.get('BUNDLESTORE_BENCH_REPO') or None,
        help='a repository of your own, in place of the one that is made up',
    )
    parser.add_argument(
        '--work',
        type=Path,
        default=os.environ.get('BUNDLESTORE_BENCH_WORK') or None,
        help='the folder to work in, which keeps what is built',
    )
    parser.add_argument('--quick', action='store_true', help='small sizes')
    parser.add_argument(
        '--smoke', action='store_true', help='tiny ones: does each way work?'
    )
    parser.add_argument('--rounds', type=int)
    parser.add_argument('--machines', type=int)
    parser.add_argument('--only', default='', help='ways with this in them')
    parser.add_argument(
        '--json', type=Path, help='the table, for the report of make bench'
    )
    options = parser.parse_args()
    sizes, rounds, count, version = SIZES, 3, 50, infinitepush.VERSION
    if options.quick:
        sizes, rounds, count = QUICKSIZES, 1, 5
    if options.smoke:
        # the oldest Mercurial has infinitepush, too, and is there for the tests
        sizes, rounds, count = SMOKESIZES, 1, 2
        version = environments.supported()[0]
    rounds = options.rounds or rounds
    count = options.machines or count
    measure.setup()
    with workfolder(options.work) as folder:
        place = Place(folder / 'ci')
        maker = Ours(place).maker
        remove(place.run / Ours.key)
        if options.repo:
            template = repositories.copied(place, maker, options.repo)
        else:
            template = repositories.history(place, maker, *sizes)
        servers = Servers(place, template, version)
        run = Run(servers, count, options.only)
        try:
            run.go(rounds)
        except KeyboardInterrupt:
            say('interrupted: this is what there is')
        finally:
            remove(place.run)
    lines = table(run, count, servers.titles())
    title = f'{template.title}; {rounds} rounds; {count} machines at once'
    title += f'; {", ".join(servers.titles().values())}'
    goals = list(verdicts(run))
    print('\n'.join([title, '', asmarkdown(lines), '', *goals]))
    if options.json:
        found = {'title': '\n'.join([title, '', *goals]), 'table': lines}
        options.json.write_text(json.dumps(found, indent=1) + '\n')
    return 1 if run.failed else 0


if __name__ == '__main__':
    sys.exit(main())
