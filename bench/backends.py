#!/usr/bin/env python3
"""What it costs to have the store or the index elsewhere.

    python -m bench.backends [--rounds N] [--quick] [--only WORD] [--json FILE]

Each pair of a store and an index is that of a server of its own; all take the
same pushes in turn, so what they cost can be compared with what the pair
``file file`` of the same round cost. Databases and object stores are the real
programs, on loopback: what a network adds is a matter of the round trips, which
tests count.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'tools'), str(ROOT / 'tests')]

from bench import measure, repositories  # noqa: E402
from bench.__main__ import workfolder  # noqa: E402
from bench.alternating import Budget  # noqa: E402
from bench.measure import Command, Sample  # noqa: E402
from bench.place import Place, rewrite, say  # noqa: E402
from bench.repositories import Template, remove  # noqa: E402
from bench.rows.context import each  # noqa: E402
from bench.rows.web import serving  # noqa: E402
from bench.systems.ours import Ours  # noqa: E402
from harness.backends import (  # noqa: E402
    Daemon,
    MariaDB,
    PostgreSQL,
    Rclone,
    SeaweedFS,
)

STORES: dict[str, type[Daemon] | None] = {
    'file': None,
    'rclone': Rclone,
    'seaweedfs': SeaweedFS,
}
INDEXES: dict[str, type[Daemon] | None] = {
    'file': None,
    'postgresql': PostgreSQL,
    'mariadb': MariaDB,
}

#: a store and an index
Pair = tuple[str, str]
BASE: Pair = ('file', 'file')

#: bytes of a large push
LARGE = 100_000_000
QUICKLARGE = 10_000_000

#: what the databases may add to a push, in milliseconds
BUDGETS = (('ssh push', 60), ('http push', 5))


class Bench:
    """Servers of all pairs, clients, and what was measured: samples by row and
    pair, one a round."""

    def __init__(
        self,
        ours: Ours,
        template: Template,
        daemons: dict[str, Daemon],
        pairs: Sequence[Pair],
    ) -> None:
        self._ours = ours
        self._template = template
        self._daemons = daemons
        self._pairs = pairs
        self._servers = {pair: self._server(pair) for pair in pairs}
        self.samples: dict[str, dict[Pair, list[Sample]]] = defaultdict(dict)

    def _server(self, pair: Pair) -> Path:
        path = self._ours.server('server-' + '-'.join(pair), self._template)
        config = ['', '[bundlestore]']
        for item, kind in zip(('store', 'index'), pair):
            if kind in self._daemons:
                config.append(f'{item} = {self._daemons[kind].fresh()}')
        rewrite(path / '.hg' / 'hgrc', '\n'.join([*config, '']))
        if pair[1] in self._daemons:
            hg = self._ours.mercurial.hg
            words = ('admin::bundlestore-migrate', '--schema')
            self._ours.place.quietly(hg, *words, cwd=path)
        return path

    def _rounds(
        self, row: str, rounds: int, command: Callable[[Pair], Command]
    ) -> None:
        """Run a command for each pair in turn. One more round comes first."""
        say(f'{row}: {rounds} rounds')
        found = self.samples[row]
        for number in range(rounds + 1):
            turned = number % len(self._pairs)
            for pair in (*self._pairs[turned:], *self._pairs[:turned]):
                made = command(pair)
                sample = measure.run(made)
                if number:
                    found.setdefault(pair, []).append(sample)

    def small(self, rounds: int) -> None:
        """Pushes and pulls of one changeset, over ssh and over http."""
        ours = self._ours
        client = ours.client('client', self._template)
        changes = ours.changes(client, 1, 2 * rounds + 4)
        gives = {pair: each(changes) for pair in self._pairs}
        last: dict[Pair, str] = {}

        def push(pair: Pair) -> Command:
            last[pair] = gives[pair]()
            return ours.push(client, self._servers[pair], last[pair])

        def pull(pair: Pair) -> Command:
            reader = ours.client('reader', self._template)
            return ours.pull(reader, self._servers[pair], last[pair])

        def nothing(pair: Pair) -> Command:
            return ours.push(client, self._servers[pair], None)

        self._rounds('ssh push', rounds, push)
        self._rounds('ssh pull', rounds, pull)
        self._rounds('ssh nothing', rounds, nothing)
        with contextlib.ExitStack() as stack:
            urls = {
                pair: stack.enter_context(serving(ours, server))[0]
                for pair, server in self._servers.items()
            }

            def webpush(pair: Pair) -> Command:
                last[pair] = gives[pair]()
                return ours.push(client, urls[pair], last[pair])

            def webpull(pair: Pair) -> Command:
                reader = ours.client('reader', self._template)
                return ours.pull(reader, urls[pair], last[pair])

            self._rounds('http push', rounds, webpush)
            self._rounds('http pull', rounds, webpull)

    def large(self, rounds: int, size: int) -> None:
        """A push of much, and a pull of it."""
        ours = self._ours
        client = ours.client('large-client', self._template)
        nodes = [ours.big(client, size) for _ in range(rounds + 1)]
        gives = {pair: each(nodes) for pair in self._pairs}

        def push(pair: Pair) -> Command:
            measure.settle()
            return ours.push(client, self._servers[pair], gives[pair]())

        def pull(pair: Pair) -> Command:
            reader = ours.client('large-reader', self._template)
            measure.settle()
            return ours.pull(reader, self._servers[pair], nodes[-1])

        self._rounds('large push', rounds, push)
        self._rounds('large pull', rounds, pull)
        remove(client)


# -- what is printed


def median(samples: Sequence[Sample], field: str = 'wall') -> float:
    return statistics.median(getattr(sample, field) for sample in samples)


def ratio(
    these: Sequence[Sample], those: Sequence[Sample], field: str
) -> float:
    """Return by how much more ``these`` took than those of the same rounds."""
    return statistics.median(
        getattr(this, field) / getattr(that, field)
        for this, that in zip(these, those)
    )


def table(bench: Bench) -> Iterator[str]:
    """Yield a row for each pair: of ``file file`` seconds, of the others how
    much more it is, by the clock and of processor time of client and server."""
    rows = list(bench.samples)
    yield '| store | index | ' + ' | '.join(rows) + ' |'
    yield '|---|---|' + '--:|' * len(rows)
    pairs = {pair: None for row in rows for pair in bench.samples[row]}
    for pair in pairs:
        cells = []
        for row in rows:
            found, base = (bench.samples[row][each] for each in (pair, BASE))
            if pair == BASE:
                wall, cpu = median(base), median(base, 'cpu')
                cells.append(f'{wall:.3f} s ({cpu:.3f})')
            else:
                wall = ratio(found, base, 'wall')
                cpu = ratio(found, base, 'cpu')
                cells.append(f'{wall:.2f} × ({cpu:.2f})')
        yield f'| {pair[0]} | {pair[1]} | ' + ' | '.join(cells) + ' |'


def verdicts(bench: Bench) -> Iterator[Budget]:
    for row, most in BUDGETS:
        for index in INDEXES:
            found = bench.samples.get(row, {}).get(('file', index))
            if index != 'file' and found:
                base = bench.samples[row][BASE]
                more = [
                    this.wall - that.wall for this, that in zip(found, base)
                ]
                value = 1000 * statistics.median(more)
                yield Budget(f'{row}, {index} over file', most, value)


@contextlib.contextmanager
def running(
    folder: Path, kinds: Sequence[type[Daemon]]
) -> Iterator[dict[str, Daemon]]:
    """Start the servers that are installed."""
    daemons: dict[str, Daemon] = {}
    try:
        for kind in kinds:
            reason = kind.missing()
            if reason:
                say(f'left out, {reason}')
                continue
            daemon = kind(folder / kind.name)
            daemon.start()
            daemons[kind.name] = daemon
        # they are children of ours that no command waits for
        measure.spare()
        yield daemons
    finally:
        for daemon in daemons.values():
            daemon.discard()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--rounds', type=int)
    parser.add_argument('--quick', action='store_true', help='few, and small')
    parser.add_argument('--only', help='pairs with a name that has this in it')
    parser.add_argument('--work', type=Path, help='keeps what is built')
    parser.add_argument('--json', type=Path, help='the samples, too')
    options = parser.parse_args()
    rounds, largerounds, size = options.rounds or 20, 3, LARGE
    if options.quick:
        rounds, largerounds, size = options.rounds or 3, 1, QUICKLARGE
    kinds = [*STORES.values(), *INDEXES.values()]
    measure.setup()
    started = time.monotonic()
    with (
        workfolder(options.work) as folder,
        # what a start is made of is not to be kept with what is built
        tempfile.TemporaryDirectory(dir=folder) as fresh,
        running(Path(fresh), [kind for kind in kinds if kind]) as daemons,
    ):
        more: dict[str, str] = {}
        for daemon in daemons.values():
            more.update(daemon.environ)
        place = Place(folder / 'backends', more)
        ours = Ours(place)
        template = repositories.releases(place, ours.maker, 20)
        there = {'file', *daemons}
        pairs = [
            pair
            for pair in itertools.product(STORES, INDEXES)
            if there.issuperset(pair)
            and (
                pair == BASE
                or not options.only
                or options.only in ' '.join(pair)
            )
        ]
        bench = Bench(ours, template, daemons, pairs)
        bench.small(rounds)
        bench.large(largerounds, size)
        remove(place.run)
    print(f'{template.title}; {rounds} rounds; {size / 1e6:.0f} MB is large')
    print('\n'.join(['', *table(bench), '', *map(str, verdicts(bench))]))
    say(f'{time.monotonic() - started:.0f} s')
    if options.json:
        options.json.write_text(
            json.dumps(
                {
                    row: {
                        ' '.join(pair): [sample[:2] for sample in samples]
                        for pair, samples in found.items()
                    }
                    for row, found in bench.samples.items()
                },
                indent=1,
            )
        )


if __name__ == '__main__':
    main()
