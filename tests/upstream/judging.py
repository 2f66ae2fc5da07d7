"""Says of each test whether it came out as it should."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import comparing, running
from .runs import Run

SAME = 'same'
SKIPPED = 'skipped'
EXPECTED = 'differs as expected'
MACHINE = 'differs here without the extension, too'
UNEXPECTED = 'DIFFERS'
UNEXPLAINED = 'DIFFERS, and no reason is given'

BAD = (UNEXPECTED, UNEXPLAINED)


class Verdict(NamedTuple):
    """On a test, or on one of its cases."""

    name: str
    word: str
    #: lines that should differ, and that do
    expected: list[str]
    found: list[str]

    def __str__(self) -> str:
        text = f'{self.name}: {self.word}'
        if self.word == UNEXPECTED:
            for title, lines in (
                ('expected', self.expected),
                ('found', self.found),
            ):
                shown = [f'    {line}\n' for line in lines or ['nothing']]
                text += f'\n  {title} to differ:\n{"".join(shown)}'
        return text


def judge(run: Run, top: Path, jobs: int = 2) -> list[Verdict]:
    """Run the tests; what differs that should not is run once more without
    the extension, as it may be the machine."""
    results = {r.name: r for r in running.execute(run, top / 'ours', jobs)}
    verdicts = {name: _judge(run, r) for name, r in results.items()}
    bad = {n: v for n, v in verdicts.items() if v.word == UNEXPECTED}
    if bad:
        names = {n.partition('#')[0][len('test-') : -len('.t')] for n in bad}
        for plain in running.execute(
            run.only(names), top / 'plain', jobs, ours=False
        ):
            if plain.name in bad and plain.found != plain.wanted:
                ours = results[plain.name]._replace(wanted=plain.found)
                verdict = _judge(run, ours)
                if verdict.word != UNEXPECTED:
                    verdicts[plain.name] = verdict._replace(word=MACHINE)
    return [verdicts[name] for name in sorted(verdicts)]


def _judge(run: Run, result: running.Result) -> Verdict:
    reason, expected = comparing.read(comparing.path(run, result.name))
    found = comparing.difference(result)
    if result.skipped:
        word = SKIPPED
    elif found != expected:
        word = UNEXPECTED
    elif not found:
        word = SAME
    else:
        word = EXPECTED if reason else UNEXPLAINED
    return Verdict(result.name, word, expected, found)


def update(run: Run, verdicts: list[Verdict]) -> Iterator[Path]:
    """Have what differs be expected, and yield where a reason is missing."""
    for verdict in verdicts:
        if verdict.word == UNEXPECTED:
            path = comparing.path(run, verdict.name)
            reason, _ = comparing.read(path)
            comparing.write(path, reason, verdict.found)
            if verdict.found and not reason:
                yield path
