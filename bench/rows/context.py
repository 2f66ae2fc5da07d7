"""What all rows are measured with."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Callable, NamedTuple

from .. import measure
from ..measure import Command
from ..place import Place
from ..repositories import Template
from ..results import Results, Sizes
from ..systems.base import System
from ..systems.ours import Ours
from ..systems.plain import Plain


class Context(NamedTuple):
    place: Place
    sizes: Sizes
    results: Results
    #: those that are there
    systems: Sequence[System]
    ours: Ours
    plain: Plain
    releases: Template
    #: with many files, or with many changesets
    many: Sequence[Template]
    #: ours with the Mercurial of a peer, where it can be had
    matched: Sequence[System] = ()

    @property
    def columns(self) -> list[System]:
        return [*self.systems, *self.matched]


class Entry(NamedTuple):
    """Something to run once a round: ``command(round)`` makes ready what a
    round needs and says what to run."""

    row: str
    column: str
    command: Callable[[int], Command]


def alternate(context: Context, entries: Sequence[Entry], rounds: int) -> None:
    """Run all entries in turn, round by round, each round in another order.
    What comes first to warm up is not counted."""
    results = context.results
    order = list(entries)
    chance = random.Random(1)
    for number in range(-context.sizes.warmup, rounds):
        chance.shuffle(order)
        for entry in order:
            if results.failed(entry.row, entry.column):
                continue
            with results.trying(entry.column, entry.row):
                command = entry.command(number)
                sample = measure.run(command)
                if number >= 0:
                    results.addrun(entry.row, entry.column, sample)


def each(values: Sequence[str]) -> Callable[[], str]:
    """Return a function that gives one value after the other."""
    iterator: Iterator[str] = iter(values)
    return lambda: next(iterator)
