"""Each file operation of a push fails in turn, and the power is lost after it.

``make faults`` does all of it, see faults/README.rst; here each operation goes
wrong once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults import blindkills, fixtures, losses, realclient, sweep, upkeep
from faults.site import Site

pytestmark = pytest.mark.slow('a server for each file operation')


@pytest.fixture(scope='module')
def site() -> Iterator[Site]:
    with fixtures.site() as made:
        yield made


@pytest.mark.parametrize('scenario', sweep.SCENARIOS, ids=lambda s: s.push)
def test_push(site: Site, scenario: sweep.Scenario) -> None:
    """Whatever fails: a push that was acknowledged is there, another is whole
    or not at all, and the next one is taken."""
    tally = sweep.turns(site, scenario, thorough=5)
    # some go wrong after the push is recorded, which harms nobody
    assert tally.stored
    assert tally.refused
    assert tally.broken


def test_real_client(site: Site) -> None:
    """A client whose server is killed sees one line."""
    tally = realclient.sweep(site, sweep.PUSH, step=6)
    assert tally.stored
    assert tally.broken


@pytest.mark.parametrize('scenario', sweep.SCENARIOS, ids=lambda s: s.push)
def test_power(site: Site, scenario: sweep.Scenario) -> None:
    """What was acknowledged is durable, in whatever order the disk writes."""
    count = losses.lose(site, scenario, seeds=(1,), thorough=30)
    assert count.acknowledged > 10
    assert count.states - count.acknowledged > 10


@pytest.mark.parametrize('killed', [2, 4, 6, 10])
def test_power_after_a_kill(site: Site, killed: int) -> None:
    """What a killed server left is not taken for durable."""
    losses.lose(site, sweep.FIRST, killed, thorough=1000)


@pytest.mark.parametrize(
    ('command', 'step'),
    [(upkeep.COLLECTION, 2), (upkeep.REPAIR, 6), (upkeep.MENDING, 7)],
    ids=('gc', 'repair', 'mend'),
)
def test_upkeep(site: Site, command: upkeep.Command, step: int) -> None:
    """What was cut short, the same command ends."""
    tally = upkeep.sweep(site, command, sweep.TURNS, step)
    assert tally.killed
    assert tally.refused


def test_blind_kills(tmp_path: Path) -> None:
    """Servers of real clients are killed at any moment."""
    counts = blindkills.run(20, 5, tmp_path, print)
    assert counts.acknowledged
    assert counts.absent
