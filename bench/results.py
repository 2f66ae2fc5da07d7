"""What a run found: a table of cells by row and column.

A cell is a dict: ``samples``, one figure a round, in the unit of its row;
perhaps ``cpu``, seconds of processor time a round; perhaps ``note``; or only
``error``, why there is nothing, or ``lack``, why there cannot be. Rounds line
up between the cells of a run, so that differences and ratios can be taken
round by round.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, NamedTuple

from .measure import CommandFailed, Sample
from .place import say

#: what may go wrong in a row without the others
_TROUBLE = (
    CommandFailed,
    OSError,
    ValueError,
    LookupError,
    subprocess.SubprocessError,
)

#: the columns: systems, and what no system can be better than
COLUMNS = ('ours', 'oursold', 'infinitepush', 'plain', 'git', 'limit')


class Sizes(NamedTuple):
    """How much a run does."""

    rounds: int = 12
    #: pushes (heads, references) that are stored
    levels: tuple[int, ...] = (1_000, 10_000)
    #: the same, only for what is measured to have no such limit
    highlevels: tuple[int, ...] = (100_000, 1_000_000)
    #: bytes of large pushes
    medium: int = 90_000_000
    large: int = 500_000_000
    largerounds: int = 2
    #: clients at once, and how often each pushes in a round
    clients: int = 16
    pushes: int = 3
    crowdrounds: int = 1
    #: clients that keep their connections, and how many seconds they push
    connections: int = 64
    connectionseconds: float = 12
    #: of repositories with many files, or with many changesets
    files: tuple[int, ...] = (10_000, 100_000, 400_000)
    changesets: tuple[int, ...] = (200_000,)
    manyrounds: int = 4
    #: how often all is done over each slow network
    slowrounds: int = 3
    #: pushes and pulls of a server that stays, and how often so many
    requests: int = 200
    requestrounds: int = 5
    #: drafts of a laptop, their heads, and how often it is backed up
    drafts: int = 2_000
    heads: int = 300
    laptoprounds: int = 2
    #: workspaces in the index, and heads of a large one
    views: int = 100_000
    viewheads: int = 10_000
    #: changesets of a stack, and how often it is pushed
    height: int = 20
    tops: int = 21
    #: people whose fetches are counted by the way of the answer
    people: int = 3
    #: of a package; none: made up, and nothing is downloaded
    releases: int = 100
    #: rounds before those that count
    warmup: int = 1
    #: of startup.py and chg.py; none: as they do
    extrarounds: int = 0


QUICK = Sizes(
    rounds=3,
    levels=(100, 1_000),
    highlevels=(10_000,),
    medium=10_000_000,
    # infinitepush refuses what is larger than 100 * 2**20
    large=110_000_000,
    largerounds=1,
    clients=6,
    pushes=1,
    crowdrounds=1,
    connections=64,
    connectionseconds=6,
    files=(2_000, 20_000),
    changesets=(10_000,),
    manyrounds=1,
    slowrounds=1,
    requestrounds=1,
    views=5_000,
    releases=25,
    extrarounds=3,
)

#: each row once, with hardly anything in it
SMOKE = Sizes(
    rounds=1,
    levels=(5,),
    highlevels=(20,),
    medium=100_000,
    large=1_000_000,
    largerounds=1,
    clients=2,
    pushes=1,
    crowdrounds=1,
    connections=3,
    connectionseconds=0.4,
    files=(50,),
    changesets=(30,),
    manyrounds=1,
    slowrounds=1,
    requests=2,
    requestrounds=1,
    drafts=6,
    heads=3,
    laptoprounds=1,
    views=20,
    viewheads=30,
    people=1,
    height=3,
    tops=2,
    releases=0,
    warmup=0,
    extrarounds=1,
)

SIZES = {'full': Sizes(), 'quick': QUICK, 'smoke': SMOKE}


class Results:
    """The results of a run, as they are written into a file."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.cells: dict[str, dict[str, dict[str, Any]]] = data.setdefault(
            'cells', {}
        )

    @classmethod
    def load(cls, path: Path) -> Results:
        return cls(json.loads(path.read_text()))

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.data, indent=1) + '\n')

    @property
    def sizes(self) -> Sizes:
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in self.data['sizes'].items()
        }
        return Sizes(**values)

    # -- while a run goes on

    def add(self, row: str, column: str, value: float) -> None:
        cell = self._cell(row, column)
        cell.setdefault('samples', []).append(round(value, 6))

    def addrun(self, row: str, column: str, sample: Sample) -> None:
        """Add a run of a command: its time."""
        self.add(row, column, sample.wall)
        cell = self._cell(row, column)
        cell.setdefault('cpu', []).append(round(sample.cpu, 3))

    def note(self, row: str, column: str, text: str) -> None:
        self._cell(row, column)['note'] = text

    def fail(self, row: str, column: str, reason: str) -> None:
        reason = ' '.join(reason.split())[:200]
        self.cells.setdefault(row, {})[column] = {'error': reason}

    def lack(self, row: str, column: str, reason: str) -> None:
        """Say why a system cannot have a figure, which is no failure."""
        self.cells.setdefault(row, {})[column] = {'lack': reason}

    def failed(self, row: str, column: str) -> bool:
        return 'error' in self.cells.get(row, {}).get(column, {})

    def _cell(self, row: str, column: str) -> dict[str, Any]:
        return self.cells.setdefault(row, {}).setdefault(column, {})

    @contextlib.contextmanager
    def trying(self, column: str, *rows: str) -> Iterator[None]:
        """Let one system fail in some rows, and the others go on."""
        try:
            yield
        except _TROUBLE as exc:
            say(f'{column}, {", ".join(rows)}: {exc!r:.300}')
            for row in rows:
                self.fail(row, column, str(exc))

    # -- afterwards

    def samples(self, row: str, column: str) -> list[float]:
        """Return the figures of a cell, none where it failed."""
        found: list[float] = (
            self.cells.get(row, {}).get(column, {}).get('samples', [])
        )
        return found

    def median(self, row: str, column: str) -> float | None:
        values = self.samples(row, column)
        return statistics.median(values) if values else None

    def processor(self, row: str, column: str) -> float | None:
        """Return the median of the processor time."""
        found = self.cells.get(row, {}).get(column, {}).get('cpu')
        return statistics.median(found) if found else None

    def paired(
        self,
        one: tuple[str, str],
        other: tuple[str, str],
        combine: Callable[[float, float], float],
    ) -> list[float]:
        """Combine two cells (row, column) round by round."""
        return [
            combine(a, b)
            for a, b in zip(self.samples(*one), self.samples(*other))
        ]

    def more(
        self, one: tuple[str, str], other: tuple[str, str]
    ) -> float | None:
        """Return the median of the differences, None without any."""
        values = self.paired(one, other, lambda a, b: a - b)
        return statistics.median(values) if values else None

    def ratio(
        self, one: tuple[str, str], other: tuple[str, str]
    ) -> float | None:
        """Return the median of the ratios, None without any."""
        values = self.paired(one, other, lambda a, b: a / b if b else 0.0)
        return statistics.median(values) if values else None
