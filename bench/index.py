#!/usr/bin/env python3
"""What the index ``file``, or another, takes to find things when it is large.

    python bench/index.py [--pushes N] [--changesets N] [--json FILE]
                          [--index URL URL]

Fills an index through the interface of the backends, and an empty one beside
it, and prints how long look-ups, lists and records take, with the budget of
each. ``--full`` is the size of the budgets: 100,000 pushes of 1 to 1,000
changesets, 10 million in all. It is filled in memory where there is room, as
no disk need be waited for there; what is measured is a copy in ``--folder``.
With ``--index`` it is the first of two indexes that are there and empty, and
the other one is that beside it; the budgets are those of a database server.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

from hgext3rd.bundlestore import backends, model

FULL = (100_000, 10_000_000)
DEFAULT = (10_000, 1_000_000)
#: changesets of the largest push
LARGEST = 1000
#: pushes in a list
PAGE = 50
#: how many bundles the last of a chain rests on
CHAIN = 7

#: in ms; the last two in bytes, and in the time in an empty index
LOOKUP, LIST, BYTES, RECORD = 1.0, 5.0, 120.0, 1.10
#: the first two for a database server
SERVER = 2.0, 10.0

MEMORY = Path('/dev/shm')
_USERS = 200
#: every push has the word, so many have the other
_COMMON, _RARE, _FEW = 'bug', 'zebra', 200


class Row(NamedTuple):
    """One line of the table."""

    what: str
    unit: str
    #: the median, what one in a hundred is above, and of the processor's time
    figure: float
    worst: Optional[float] = None
    spent: Optional[float] = None
    limit: Optional[float] = None

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ''
        return 'held' if self.figure <= self.limit else 'MISSED'


class Took(NamedTuple):
    """How long something took, and how long the processor, in ms."""

    time: float
    spent: float


class Source:
    """Makes pushes; ``mean`` is how many changesets they have, and every
    so manyth (``every``) has the rare word."""

    def __init__(self, seed: int, mean: float = 1.0, every: int = 0) -> None:
        self._chance = random.Random(seed)
        self._exponent = _exponent(mean)
        letters = 'abcdefghijklmnopqrstuvwxy'
        self._words = [
            ''.join(
                self._chance.choices(letters, k=self._chance.randint(3, 10))
            )
            for _word in range(20_000)
        ]
        self._every = every
        self.count = 0

    def push(self, size: Optional[int] = None) -> model.NewPush:
        chance = self._chance
        self.count += 1
        if size is None:
            size = round(_size(chance.random(), self._exponent))
        nodes = tuple(chance.randbytes(20) for _node in range(size))
        title = f'Bug {chance.randrange(2_000_000)}: {self._sentence(8)}'
        israre = self._every and self.count % self._every == 0
        rare = f' {_RARE}' if israre else ''
        return model.NewPush(
            time=1.7e9 + 60 * self.count,
            user=f'user{chance.randrange(_USERS)}',
            key=chance.randbytes(32).hex(),
            size=1000 * size,
            nodes=nodes,
            heads=(model.Head(nodes[-1], title),),
            text=f'{title}\n\n{self._sentence(20)}{rare}',
        )

    def _sentence(self, length: int) -> str:
        return ' '.join(self._chance.choices(self._words, k=length))


def _size(chance: float, exponent: float) -> float:
    """Small pushes are many and large ones few."""
    return float(LARGEST ** (chance**exponent))


def _exponent(mean: float) -> float:
    """Return what makes sizes have that mean."""
    low, high = 0.0, 1000.0
    steps = [(n + 0.5) / 1000 for n in range(1000)]
    for _step in range(60):
        middle = (low + high) / 2
        if statistics.fmean(_size(step, middle) for step in steps) > mean:
            low = middle
        else:
            high = middle
    return high


def fill(index: Any, pushes: int, changesets: int) -> tuple[int, list[bytes]]:
    """Fill an index; return how many changesets it holds, about as many as
    wanted, and some of them."""
    source = Source(1, changesets / pushes, max(pushes // _FEW, 1))
    chance = random.Random(2)
    some: list[bytes] = []
    count = 0
    started = time.monotonic()
    for number in range(1, pushes + 1):
        push = source.push()
        index.record(push)
        if chance.random() < 20_000 / pushes:
            some.append(chance.choice(push.nodes))
        count += len(push.nodes)
        if number % max(pushes // 20, 1) == 0:
            took = time.monotonic() - started
            print(f'{number:,} pushes in {took:.0f} s', file=sys.stderr)
    # SQLite writes its log into the file when it is closed
    index.close()
    return count, some


def _place(folder: Path) -> model.Place:
    return model.Place(os.fsencode(folder))


@contextlib.contextmanager
def _workfolder(bytes: int, folder: Path) -> Iterator[Path]:
    """Give a temporary folder, in memory if there is room."""
    inmemory = (
        MEMORY.is_dir()
        and os.access(MEMORY, os.W_OK)
        and shutil.disk_usage(MEMORY).free > 2 * bytes
    )
    with tempfile.TemporaryDirectory(
        prefix='bundlestore-bench-', dir=MEMORY if inmemory else folder
    ) as found:
        yield Path(found)


# -- what is measured


def _timed(call: Callable[..., Any], *some: Any, **more: Any) -> Took:
    before = time.perf_counter()
    spent = time.process_time()
    call(*some, **more)
    took = time.perf_counter() - before
    return Took(took * 1000, (time.process_time() - spent) * 1000)


def _row(what: str, found: list[Took], limit: Optional[float] = None) -> Row:
    times = sorted(took.time for took in found)
    worst = times[int(len(times) * 0.99)]
    spent = statistics.median(took.spent for took in found)
    return Row(what, 'ms', statistics.median(times), worst, spent, limit)


def lookups(index: Any, held: list[bytes], count: int) -> Iterator[Row]:
    chance = random.Random(3)
    hits = [chance.choice(held) for _number in range(count)]
    absent = [chance.randbytes(20) for _number in range(count)]
    assert len(index.locate(hits)) == len(set(hits))
    assert not index.locate(absent)
    for what, nodes in (('hit', hits), ('miss', absent)):
        times = [_timed(index.locate, [node]) for node in nodes]
        yield _row(what, times, LOOKUP)
    for length in (12, 6, 1):
        prefixes = [node.hex()[:length] for node in hits]
        times = [_timed(index.nodes, prefix) for prefix in prefixes]
        yield _row(f'prefix of {length} digits', times, LOOKUP)
    times = []
    for node in hits[:100]:
        index.close()
        times.append(_timed(index.locate, [node]))
    yield _row('hit, in a connection of its own', times)
    batches = [chance.sample(held, min(500, len(held))) for _batch in range(20)]
    times = [_timed(index.locate, some) for some in batches]
    yield _row(f'hit, {len(batches[0])} at once', times)


def chains(index: Any, count: int) -> Iterator[Row]:
    source = Source(4)
    tops = []
    for _chain in range(20):
        rests: tuple[str, ...] = ()
        for _number in range(CHAIN + 1):
            push = source.push()._replace(rests=rests)
            rests = (*index.record(push).rests, push.key)
        tops.append(push.nodes[0])
    assert len(index.locate(tops)[tops[0]].rests) == CHAIN
    times = [
        _timed(index.locate, [node]) for node in tops * (count // len(tops))
    ]
    yield _row(f'hit in a bundle that rests on {CHAIN}', times, LOOKUP)


def lists(index: Any, count: int) -> Iterator[Row]:
    last = index.lastid()
    filters: dict[str, dict[str, Any]] = {
        'all': {},
        'a user': {'user': 'user7'},
        'a common word': {'text': _COMMON},
        'a rare word': {'text': _RARE},
        'a beginning': {'text': 'zeb'},
        'a user, a common word': {'user': 'user7', 'text': _COMMON},
        'a user, a rare word': {'user': 'user7', 'text': _RARE},
    }
    places: dict[str, dict[str, Any]] = {
        'newest': {'newestfirst': True},
        'middle': {'newestfirst': True, 'last': last // 2},
        'oldest': {},
    }
    for what, some in filters.items():
        for where, bounds in places.items():
            wanted = {**some, **bounds, 'limit': PAGE}
            index.pushes(**wanted)
            times = [_timed(index.pushes, **wanted) for _number in range(count)]
            yield _row(f'{PAGE} {where}: {what}', times, LIST)


def records(
    large: Any, empty: Any, count: int, reopening: bool
) -> Iterator[Row]:
    """Record the same pushes in both, in turn."""
    source = Source(5 + reopening)
    found: dict[str, list[Took]] = {'large': [], 'empty': []}
    for number in range(count):
        push = source.push(1)
        both = [('large', large), ('empty', empty)]
        for name, index in both if number % 2 else both[::-1]:
            took = _timed(index.record, push)
            if reopening:
                closed = _timed(index.close)
                took = Took(took.time + closed.time, took.spent + closed.spent)
            found[name].append(took)
    what = 'open, record, close' if reopening else 'record'
    means: dict[str, Took] = {}
    for name, some in found.items():
        means[name] = Took(*map(statistics.fmean, zip(*some)))
        yield _row(f'{what}, {name} index', some)
        mean, spent = means[name]
        yield Row(f'{what}, {name} index: mean', 'ms', mean, None, spent)
    medians = [
        statistics.median(took.time for took in found[name])
        for name in ('large', 'empty')
    ]
    spents = [
        statistics.median(took.spent for took in found[name])
        for name in ('large', 'empty')
    ]
    yield Row(
        f'{what}, large : empty',
        '×',
        medians[0] / medians[1],
        None,
        spents[0] / spents[1],
        RECORD,
    )
    yield Row(
        f'{what}, large : empty, means',
        '×',
        means['large'].time / means['empty'].time,
        None,
        means['large'].spent / means['empty'].spent,
    )


def measure(
    large: Any, empty: Any, held: list[bytes], changesets: int, count: int
) -> Iterator[Row]:
    size = large.statistics().indexsize
    yield Row('bytes a changeset', '', size / changesets, limit=BYTES)
    yield from lookups(large, held, count)
    yield from lists(large, max(count // 20, 5))
    for reopening in (False, True):
        yield from records(large, empty, max(count // 2, 10), reopening)
    yield from chains(large, count)
    large.close()
    empty.close()


def _show(row: Row) -> str:
    worst = '' if row.worst is None else f'{row.worst:.3f}'
    spent = '' if row.spent is None else f'{row.spent:.3f}'
    limit = '' if row.limit is None else f'{row.limit:g}'
    return (
        f'{row.what:42}{row.figure:9.3f} {row.unit:2}{worst:>9}{spent:>10}'
        f'{limit:>8}  {row.verdict}'.rstrip()
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--full', action='store_true')
    parser.add_argument('--pushes', type=int)
    parser.add_argument('--changesets', type=int)
    parser.add_argument('--count', type=int, default=1000, help='of look-ups')
    parser.add_argument('--folder', type=Path, help='a disk to measure on')
    parser.add_argument('--json', type=Path, help='write the figures there too')
    parser.add_argument(
        '--index', nargs=2, metavar='URL', help='two that are empty'
    )
    options = parser.parse_args()
    pushes, changesets = FULL if options.full else DEFAULT
    pushes = options.pushes or pushes
    changesets = options.changesets or changesets
    if not pushes <= changesets <= pushes * LARGEST // 2:
        parser.error('a push has 1 to 1,000 changesets')
    with tempfile.TemporaryDirectory(
        prefix='bundlestore-bench-', dir=options.folder
    ) as name:
        folder = Path(name)
        started = time.monotonic()
        if options.index:
            global LOOKUP, LIST
            LOOKUP, LIST = SERVER
            large, empty = [
                backends.openindex(url, _place(folder)) for url in options.index
            ]
            changesets, held = fill(large, pushes, changesets)
        else:
            with _workfolder(200 * changesets, folder) as work:
                index = backends.openindex('file', _place(work / 'large'))
                changesets, held = fill(index, pushes, changesets)
                shutil.copytree(work / 'large', folder / 'large')
            large, empty = [
                backends.openindex('file', _place(folder / name))
                for name in ('large', 'empty')
            ]
        os.sync()
        took = time.monotonic() - started
        title = (
            f'{pushes:,} pushes, {changesets:,} changesets, filled in'
            f' {took:.0f} s; Python {platform.python_version()}, SQLite'
            f' {sqlite3.sqlite_version}, load {os.getloadavg()[0]:.1f}'
        )
        print(title)
        head = f'{"median":>9} {"":2}{"99 %":>9}{"processor":>10}{"budget":>8}'
        print(f'{"":42}{head}')
        rows = []
        for row in measure(large, empty, held, changesets, options.count):
            rows.append(row)
            print(_show(row), flush=True)
    if options.json:
        found = [{**row._asdict(), 'verdict': row.verdict} for row in rows]
        document = {'title': title, 'filled': took, 'rows': found}
        options.json.write_text(json.dumps(document, indent=1) + '\n')


if __name__ == '__main__':
    main()
