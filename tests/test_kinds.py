"""Every kind of repository: tests/kinds tells how, ``make matrix`` does all.

In CI each kind is tried once; in turn over each transport and with each
version on either side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import environments
from harness import matrix, pool
from harness.nightly import NIGHTLY
from kinds import known, making, page, playing, scene, steps
from kinds.kind import Kind
from kinds.playing import Outcome
from kinds.scene import Bases, Row
from kinds.steps import STEPS, Step
from kinds.table import BY_NAME, KINDS

#: in the quick loop, which has the plain kind in all other tests
QUICK = ('tree manifests',)
CI = [*scene.one_each([kind for kind in KINDS if not kind.slow])]
#: of which each has a third of the steps, in turn
THIRDS = (
    (steps.push, steps.pull, steps.pages, steps.archive),
    (steps.vanilla, steps.clone, steps.verify),
    (steps.push, steps.ondemand, steps.verify),
)
#: at night
PAIRS: list[Row] = []
if NIGHTLY:
    PAIRS += scene.mixed([*KINDS])
    PAIRS += scene.rows(
        [kind for kind in KINDS if kind.slow or len(kind.versions()) == 1]
    )


def rows(chosen: list[Row]) -> Iterator[Any]:
    for row in chosen:
        marks = [] if row.kind in QUICK else [matrix.ANOTHER]
        yield pytest.param(row, marks=marks, id=str(row))


@pytest.fixture(scope='module')
def bases(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    return Bases(tmp_path_factory.mktemp('bases'))


def play(
    row: Row,
    tmp_path: Path,
    bases: Bases,
    servers: pool.Pool,
    some: Sequence[Step] = STEPS,
) -> None:
    if row.kind == 'git subrepositories' and not making.hasgit():
        pytest.skip('there is no git here')
    outcomes = playing.play(row, tmp_path, bases, servers, steps=some)
    wrong = known.judge(outcomes)
    assert not wrong, '\n'.join(wrong)


@pytest.mark.parametrize('row', list(rows(CI)))
def test_one_row_of_each(
    row: Row, tmp_path: Path, bases: Bases, sharedservers: pool.Pool
) -> None:
    third = THIRDS[CI.index(row) % len(THIRDS)]
    few = [step for step in STEPS if step.run in third]
    play(row, tmp_path, bases, sharedservers, few if row != CI[0] else STEPS)


@pytest.mark.nightly('each kind is in CI, and each version, and each wire')
@pytest.mark.parametrize('row', [r for r in PAIRS if r not in CI], ids=str)
def test_pairs(
    row: Row, tmp_path: Path, bases: Bases, sharedservers: pool.Pool
) -> None:
    play(row, tmp_path, bases, sharedservers)


def test_rows_have_everything() -> None:
    """One row of each has every transport, and every version on each side."""
    assert {row.transport for row in CI} == {*matrix.TRANSPORTS}
    for side in ('client', 'server'):
        assert {getattr(row, side) for row in CI} == {*matrix.VERSIONS}


def test_pairwise() -> None:
    factors = [['a', 'b'], ['x', 'y', 'z'], ['1', '2']]
    found = [
        *matrix.pairwise(factors, lambda row: row[:2] != ('a', 'x')),
    ]
    pairs = {pair for row in found for pair in matrix.pairs(row)}
    assert len(found) == 6
    assert len(pairs) == 5 + 4 + 6


def outcome(kind: str, step: str, word: str, text: str = '') -> Outcome:
    return Outcome(Row(kind, 'ssh', 'x', 'x'), step, word, text)


def test_judgement() -> None:
    """Neither what fails nor what is better than known goes unseen."""
    works, failed = playing.WORKS, playing.FAILED
    text = 'abort: cannot create shared repository'
    assert not known.judge([outcome('plain', 'push', works)])
    assert known.judge([outcome('plain', 'push', failed, text)])
    there = outcome('no store', 'push, vanilla', playing.REFUSED, text)
    assert not known.judge([there])
    assert known.judge([there._replace(text='abort: another')])
    assert known.judge([there._replace(word=works)])
    text = 'abort: lfs.url needs to be configured'
    nowhere = outcome('lfs', 'push, vanilla', playing.REFUSED, text)
    assert not known.judge([nowhere._replace(plain=False)])
    assert known.judge([nowhere._replace(plain=True)])


def test_page_has_each_kind() -> None:
    """What ``make matrix`` wrote is about the kinds, and the faults, that are
    known."""
    text = page.DOCUMENT.read_text('utf-8')
    for kind in KINDS:
        assert text.count(f'\n{kind.name}  ') >= 2, kind.name
    flat = ' '.join(text.split())
    for reason in known.REASONS:
        assert ' '.join(page.explained(reason).split()) in flat, reason.why
    assert 'RED' not in text


def test_reasons_are_of_kinds_and_steps() -> None:
    names = {step.name for step in STEPS} | {'base', 'server'}
    for reason in known.REASONS:
        kind: Kind = BY_NAME[reason.kind]
        assert names.issuperset(reason.steps), kind.name
    assert environments.ROOT in page.DOCUMENT.parents
