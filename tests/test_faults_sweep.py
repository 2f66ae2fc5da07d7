"""Each file operation of a push fails in turn, and the power is lost after it.

``make faults`` does all of it, see faults/README.rst; here each operation goes
wrong once in ``make nightly``, and every third in ``make test``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults import (
    blindkills,
    fixtures,
    losses,
    realclient,
    sweep,
    upkeep,
    viewchanges,
)
from faults.site import Site
from harness.backends import PostgreSQL, Rclone
from harness.nightly import upto

pytestmark = [
    pytest.mark.slow('a server for each file operation'),
    pytest.mark.realstarts('servers that are killed'),
]


@pytest.fixture(scope='module')
def site() -> Iterator[Site]:
    with fixtures.site() as made:
        yield made


@pytest.mark.parametrize('scenario', sweep.OPEN, ids=lambda s: s.push)
def test_push(site: Site, scenario: sweep.Scenario) -> None:
    """Whatever fails: a push that was acknowledged is there, another is whole
    or not at all, and the next one is taken."""
    tally = sweep.turns(site, scenario, thorough=5, step=upto(3, 1))
    # some go wrong after the push is recorded, which harms nobody
    assert tally.stored
    assert tally.refused
    assert tally.broken


def test_private_push(site: Site) -> None:
    """The same, and at no moment others see anything of it."""
    tally = sweep.turns(site, sweep.PRIVATE, thorough=4, step=upto(9, 1))
    assert tally.stored
    assert tally.refused
    assert tally.broken
    step = upto(12, 1)
    losses.lose(site, sweep.PRIVATE, seeds=(1,), thorough=30, step=step)


def test_real_client(site: Site) -> None:
    """A client whose server is killed sees one line."""
    tally = realclient.sweep(site, sweep.PUSH, step=upto(18, 6))
    # nothing is done to a file after the answer
    assert tally.broken == tally.runs


@pytest.mark.parametrize('scenario', sweep.OPEN, ids=lambda s: s.push)
def test_power(site: Site, scenario: sweep.Scenario) -> None:
    """What was acknowledged is durable, in whatever order the disk writes."""
    step = upto(3, 1)
    count = losses.lose(site, scenario, seeds=(1,), thorough=30, step=step)
    # all is durable by then, so there is no more than one state
    assert count.acknowledged
    assert count.states - count.acknowledged > 10


@pytest.mark.parametrize(
    'killed',
    [
        4,
        *(
            pytest.param(number, marks=pytest.mark.nightly('one is in CI'))
            for number in (2, 6, 10)
        ),
    ],
)
def test_power_after_a_kill(site: Site, killed: int) -> None:
    """What a killed server left is not taken for durable."""
    losses.lose(site, sweep.FIRST, killed, thorough=1000)


@pytest.mark.parametrize(
    ('command', 'step'),
    [
        (upkeep.COLLECTION, upto(8, 2)),
        (upkeep.REPAIR, upto(24, 6)),
        (upkeep.MENDING, upto(70, 7)),
        (upkeep.MOVING, upto(37, 7)),
    ],
    ids=('gc', 'repair', 'mend', 'move'),
)
def test_upkeep(site: Site, command: upkeep.Command, step: int) -> None:
    """What was cut short, the same command ends."""
    tally = upkeep.sweep(site, command, sweep.TURNS, step)
    assert tally.killed
    assert tally.refused


@pytest.mark.parametrize(
    'scenario',
    [
        pytest.param(
            viewchanges.NEW,
            id='new',
            marks=pytest.mark.nightly('a change is in CI'),
        ),
        pytest.param(viewchanges.CHANGE, id='change'),
    ],
)
def test_workspace(site: Site, scenario: viewchanges.Scenario) -> None:
    """A change of a workspace is there as a whole, or not at all, and no
    earlier version is lost, also where the index then is."""
    step = upto(6, 1)
    tally = viewchanges.sweep(site, scenario, sweep.TURNS, 3, step)
    assert tally.changed
    assert tally.refused
    assert tally.broken
    count = viewchanges.lose(site, scenario, (1,), thorough=10, step=step)
    assert count.acknowledged


def test_blind_kills(tmp_path: Path) -> None:
    """Servers of real clients are killed at any moment."""
    counts = blindkills.run(upto(7, 20), 5, tmp_path, print)
    assert counts.acknowledged
    assert counts.absent


@pytest.mark.nightly('as before, with three front ends')
def test_blind_kills_of_several(
    tmp_path: Path, postgresql: PostgreSQL, rclone: Rclone
) -> None:
    config = blindkills.elsewhere(postgresql, rclone)
    counts = blindkills.run(20, 5, tmp_path, print, config)
    assert counts.acknowledged
    assert counts.absent
