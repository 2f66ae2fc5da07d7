"""Commands that are run in turn, so that a noisy machine is as unfair to one
as to the other; figures with their spread; budgets, held or missed."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Cost(NamedTuple):
    """What one run of a command took, in seconds."""

    wall: float
    #: user and system time of the process and of the children it waited for
    processor: float


def once(
    command: Sequence[str | Path],
    environ: Mapping[str, str],
    *,
    cwd: Path | None = None,
    input: bytes = b'',
    ok: Sequence[int] = (0,),
) -> Cost:
    """Run a command to its end and return what it took."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command],
        env=dict(environ),
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(input)
    process.stdin.close()
    output = process.stdout.read()
    _pid, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in ok:
        words = ' '.join(map(str, command))
        raise RuntimeError(f'$ {words}\n{output.decode(errors="replace")}')
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def inturn(
    rounds: int, runs: Mapping[str, Callable[[], Cost]]
) -> dict[str, list[Cost]]:
    """Run all of ``runs`` one after the other, ``rounds`` times. Where these
    are several, one more round comes first, and does not count."""
    found: dict[str, list[Cost]] = {name: [] for name in runs}
    for number in range(-1 if rounds > 1 else 0, rounds):
        for name, run in runs.items():
            cost = run()
            if number >= 0:
                found[name].append(cost)
    return found


class Figure(NamedTuple):
    """Median and quartiles, in milliseconds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Figure:
        if len(seconds) == 1:
            seconds = [*seconds] * 2
        low, median, high = statistics.quantiles(seconds, n=4)
        return cls(median * 1000, low * 1000, high * 1000)

    def __str__(self) -> str:
        return f'{self.median:6.1f} ({self.low:.1f} to {self.high:.1f})'


def more(field: str, these: Sequence[Cost], those: Sequence[Cost]) -> Figure:
    """Return how much more ``these`` took than those of the same rounds."""
    return Figure.of(
        [
            getattr(this, field) - getattr(that, field)
            for this, that in zip(these, those)
        ]
    )


def figures(
    costs: Mapping[str, Sequence[Cost]], field: str
) -> dict[str, Figure]:
    return {
        name: Figure.of([getattr(cost, field) for cost in found])
        for name, found in costs.items()
    }


class Budget(NamedTuple):
    """What was promised, and what was found, in milliseconds."""

    what: str
    limit: float
    value: float

    @property
    def held(self) -> bool:
        return self.value <= self.limit

    def __str__(self) -> str:
        verdict = 'held' if self.held else 'MISSED'
        return (
            f'{verdict:6}  {self.what}: {self.value:.1f} ms of at most'
            f' {self.limit:g} ms'
        )


def finish(
    budgets: Sequence[Budget],
    costs: Mapping[str, Mapping[str, Sequence[Cost]]],
    path: Path | None,
) -> None:
    """Print the budgets; write them and all figures as JSON if a path is
    given."""
    print()
    for budget in budgets:
        print(budget)
    if path is None:
        return
    data: dict[str, Any] = {
        'budgets': [{**b._asdict(), 'held': b.held} for b in budgets],
        'milliseconds': {
            group: {
                field: {
                    name: figure._asdict()
                    for name, figure in figures(found, field).items()
                }
                for field in Cost._fields
            }
            for group, found in costs.items()
        },
    }
    path.write_text(json.dumps(data, indent=2) + '\n')
