#!/usr/bin/env python3
"""What it costs a server that a CI machine wants one pushed changeset.

    python -m bench.ci [--repo PATH] [--work FOLDER] [--quick]

Each way is that of a client without this project, with a working folder at its
end. It starts with an empty cache of the bundle store (the *first* machine);
then more machines come (the *next* ones), one of which then wants another
changeset on the same parent; then many at once, without a working folder.
Bytes are those of both directions.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'tools')]

from bench import measure, repositories  # noqa: E402
from bench.__main__ import workfolder  # noqa: E402
from bench.measure import CommandFailed  # noqa: E402
from bench.place import Place, say  # noqa: E402
from bench.repositories import remove  # noqa: E402
from bench.systems.ours import Ours  # noqa: E402
from bench.ways import Cost, Servers, Way, Wire  # noqa: E402

#: of the repository that is made up: changesets, files, bytes in these
SIZES = (8400, 1270, 10_000_000)
QUICKSIZES = (800, 300, 1_000_000)
#: how many of many machines are there at the same time
ATONCE = 4


class Costs(NamedTuple):
    """What a way cost, by round."""

    first: list[Cost]
    following: list[Cost]
    more: list[Cost]
    #: seconds of the server for all of many, and until all were done
    many: list[tuple[float, float]]


class Run:
    """One run of the bench."""

    def __init__(self, servers: Servers, count: int) -> None:
        self._servers = servers
        self._count = count
        self._folders = 0
        self.costs: dict[Way, Costs] = {}
        self.failed: dict[Way, str] = {}

    def go(self, rounds: int) -> None:
        ways = list(self._servers.ways())
        self.costs = {way: Costs([], [], [], []) for way in ways}
        chance = random.Random(1)
        for number in range(rounds):
            for way in chance.sample(ways, len(ways)):
                say(f'{number + 1} of {rounds}: {way.title} {way.over}')
                self._trying(way, self._some)
        for way in ways:
            say(f'{self._count}: {way.title} {way.over}')
            self._trying(way, self._many)

    def _trying(self, way: Way, step: Callable[[Way, Wire], None]) -> None:
        if way in self.failed:
            return
        try:
            with self._servers.wire(way.over) as wire:
                step(way, wire)
        except CommandFailed as exc:
            say(str(exc))
            self.failed[way] = str(exc)

    def _newfolder(self) -> Path:
        self._folders += 1
        return self._servers.place.run / f'machine{self._folders}'

    def _nodes(self, way: Way) -> list[str]:
        servers = self._servers
        return servers.revisions if way.over == 'git' else servers.nodes

    def _some(self, way: Way, wire: Wire) -> None:
        node, other = self._nodes(way)
        costs = self.costs[way]
        for found in (costs.first, costs.following, costs.following):
            path = self._newfolder()
            found.append(wire.spend(way.first(wire.url, path, node, True)))
            if found is costs.first or not way.more:
                remove(path)
        if way.more and len(costs.following) % 2 == 0:
            costs.more.append(wire.spend(way.more(wire.url, path, other)))
        measure.settle()

    def _many(self, way: Way, wire: Wire) -> None:
        node = self._nodes(way)[0]

        def machine(path: Path) -> None:
            for command in way.first(wire.url, path, node, False):
                measure.runalone(command)
            remove(path)

        before, start = wire.read(), time.monotonic()
        with ThreadPoolExecutor(ATONCE) as pool:
            paths = [self._newfolder() for _ in range(self._count)]
            list(pool.map(machine, paths))
        took = time.monotonic() - start
        measure.settle()
        server = wire.read().server - before.server
        self.costs[way].many.append((server, took))


# -- what is printed


def _median(costs: Sequence[Cost], name: str) -> float:
    return statistics.median(getattr(cost, name) for cost in costs)


def _size(value: float) -> str:
    return f'{value / 1e6:.2f} MB' if value >= 1e5 else f'{value / 1e3:.1f} kB'


def table(run: Run, count: int) -> list[str]:
    lines = [
        f'| way | over | bytes | server, first | next | client | whole '
        f'| {count}: server | whole |',
        '|---|---|--:|--:|--:|--:|--:|--:|--:|',
    ]
    for way, costs in run.costs.items():
        over = 'ssh' if way.over == 'git' else way.over
        if way in run.failed:
            lines.append(f'| {way.title} | {over} | {run.failed[way]} |')
        if not costs.following:
            continue
        cells = [
            _size(_median(costs.first, 'bytes')),
            f'{_median(costs.first, "server"):.2f} s',
            f'{_median(costs.following, "server"):.2f} s',
            f'{_median(costs.following, "client"):.2f} s',
            f'{_median(costs.following, "wall"):.2f} s',
            *(f'{value:.1f} s' for found in costs.many for value in found),
        ]
        lines.append(f'| {way.title} | {over} | ' + ' | '.join(cells) + ' |')
        if costs.more:
            cells = [
                _size(_median(costs.more, 'bytes')),
                *('', f'{_median(costs.more, "server"):.2f} s'),
                f'{_median(costs.more, "client"):.2f} s',
                f'{_median(costs.more, "wall"):.2f} s',
            ]
            lines.append(f'| … then another | {over} | {" | ".join(cells)} |')
    return lines


def verdicts(run: Run) -> Iterator[str]:
    """Yield the goals, and whether they are held."""
    ways = {
        (re.sub(r'.*`(.*)`', r'\1', way.title), way.over): costs
        for way, costs in run.costs.items()
        if way not in run.failed and costs.following
    }
    ours = ways.get(('clone --narrow --depth 1 -r', 'http'))
    git = ways.get(('clone --depth 1', 'git'))
    if ours is None or git is None:
        return
    size = _median(ours.first, 'bytes')
    least = _median(git.first, 'bytes')
    first, following = (
        _median(costs, 'server') for costs in (ours.first, ours.following)
    )
    whole = _median(ours.following, 'wall')
    theirs = _median(git.following, 'wall')
    for text, ishled in (
        (f'no more bytes than git: {_size(size)}', size <= least),
        (f'first machine at most 0.5 s: {first:.3f} s', first <= 0.5),
        (f'the next at most 0.1 s: {following:.3f} s', following <= 0.1),
        (f"at most 1.5 × git's time: {whole:.1f} s", whole <= 1.5 * theirs),
    ):
        yield f'* {text}: {"held" if ishled else "**missed**"}'


def main() -> None:
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
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--machines', type=int, default=50)
    options = parser.parse_args()
    count = 5 if options.quick else options.machines
    measure.setup()
    with workfolder(options.work) as folder:
        place = Place(folder / 'ci')
        maker = Ours(place).maker
        remove(place.run / Ours.key)
        if options.repo:
            template = repositories.copied(place, maker, options.repo)
        else:
            sizes = QUICKSIZES if options.quick else SIZES
            template = repositories.history(place, maker, *sizes)
        try:
            run = Run(Servers(place, template), count)
            run.go(1 if options.quick else options.rounds)
        finally:
            remove(place.run)
    print(template.title)
    print('\n'.join(['', *table(run, count), '', *verdicts(run)]))


if __name__ == '__main__':
    main()
