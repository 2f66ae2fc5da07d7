"""One push after the other, in each of which another operation goes wrong."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

from . import invariants
from .powerloss import readlog
from .site import Run, Site


class Scenario(NamedTuple):
    """A push into a store that holds others."""

    name: str
    #: the store to begin with (``Site.keep``), None for none
    store: Optional[str]
    #: the pushes that are in it
    before: tuple[str, ...]
    #: the push that is sent
    push: str
    #: whether it goes to a private workspace, see ``prepare``
    private: bool = False


PUSH = Scenario('a push', 'prepared', ('one', 'two'), 'new')
FIRST = Scenario('the first push', None, (), 'new')
RESTING = Scenario(
    'a push that rests on another', 'prepared', ('one', 'two'), 'top'
)
PRIVATE = Scenario('a private push', 'plan', ('one', 'two'), 'private', True)
OPEN = (PUSH, FIRST, RESTING)
SCENARIOS = (*OPEN, PRIVATE)


def prepare(site: Site, scenario: Scenario) -> None:
    """Make the store that a scenario begins with, where it is one of its
    own."""
    if not scenario.private or scenario.push in site.messages:
        return
    site.restore('prepared')
    uid = site.makeprivate()
    site.keep('plan')
    site.addprivate(scenario.push, uid)


def checkprivate(site: Site, scenario: Scenario) -> None:
    """Others see nothing of a private push, be it there or half there."""
    if scenario.private:
        invariants.checkprivate(site.store, site.expected[scenario.push])


def _loseindex(site: Site, scenario: Scenario) -> bool:
    """A private push is so in an index that is made anew, too. Return whether
    it is there."""
    for path in site.store.glob('index.sqlite3*'):
        path.unlink()
    done, _ = site.command('admin::bundlestore-verify', '--repair')
    assert (done.code, done.err) == (0, ''), done
    checkprivate(site, scenario)
    with invariants.opened(site.store) as (_, index):
        keys = [push.key for push in index.pushes()]
    return site.expected[scenario.push].key in keys


class Tally(NamedTuple):
    """What became of the pushes of a sweep."""

    scenario: str
    kind: str
    runs: int
    #: the client was told that it is stored, that it is not, nothing
    stored: int
    refused: int
    broken: int
    #: of those that were not told that it is stored: it was there
    there: int

    def __str__(self) -> str:
        return (
            f'{self.scenario}, {self.kind}: {self.runs} runs,'
            f' {self.stored} stored, {self.refused} refused,'
            f' {self.broken} without an answer; {self.there} of these there'
        )


#: what goes wrong in turn, where each operation is to go wrong once
TURNS = ('killbefore', 'eio', 'full', 'killafter', 'short', 'eacces')


def sweep(site: Site, scenario: Scenario, kind: str) -> Tally:
    """Have operation 1, 2, 3 … of the scenario's push go wrong, each in a run
    of its own, until one reaches its end."""
    return _sweep(site, scenario, (kind,), kind, 1)


def turns(
    site: Site, scenario: Scenario, thorough: int, step: int = 1
) -> Tally:
    """The same with operation 1, 1 + step, … and another kind of fault each
    time. Every ``thorough``-th store is pushed to and pulled from
    afterwards."""
    return _sweep(site, scenario, TURNS, 'in turn', thorough, step)


def _sweep(
    site: Site,
    scenario: Scenario,
    kinds: Sequence[str],
    title: str,
    thorough: int,
    step: int = 1,
) -> Tally:
    prepare(site, scenario)
    counts: collections.Counter[str] = collections.Counter()
    for turn, number in enumerate(itertools.count(1, step)):
        kind = kinds[turn % len(kinds)]
        run = _send(site, scenario, kind, number)
        # a disk may be full from an operation on after which nothing is
        # written
        end = run.state.done < number
        where = f'{scenario.name}, {kind} at {number} ({operation(site)})'
        try:
            counts[_answer(run, kind)] += 1
            there = _afterwards(
                site, scenario, run, end or turn % thorough == 0
            )
        except invariants.BROKEN as exc:
            raise AssertionError(f'{where}: {exc}\n{run}') from exc
        counts['runs'] += 1
        counts['there'] += there and not run.reply.stored
        if end:
            assert run.reply.stored, run
            break
    site.clone.verify()
    return Tally(
        scenario.name,
        title,
        *(counts[n] for n in ('runs', 'stored', 'refused', 'broken', 'there')),
    )


def _send(site: Site, scenario: Scenario, kind: str, number: int) -> Run:
    site.restore(scenario.store)
    return site.send(scenario.push, site.plan(kind, number, log=True))


def operation(site: Site) -> str:
    """Return the last operation that did not go wrong."""
    last = 'before the first'
    for entry in readlog(site.log):
        if entry.what != 'reply':
            last = f'after {entry.what} {entry.path}'
    return last


def _answer(run: Run, kind: str) -> str:
    """Return what the client was told."""
    assert 'Traceback' not in run.done.err
    assert '** Unknown exception' not in run.done.err
    if kind.startswith('kill') and run.state.fired:
        assert run.done.code == -9
    else:
        assert run.done.code >= 0
        # a server that is alive says what became of the push
        assert run.reply.stored or run.reply.abort
    if run.reply.stored:
        return 'stored'
    if run.reply.abort:
        assert run.reply.hint
        assert '\n' not in run.reply.abort
        return 'refused'
    return 'broken'


def _afterwards(
    site: Site, scenario: Scenario, run: Run, thorough: bool
) -> bool:
    """Check the store after a run, as the next to come find it. Return
    whether the push is there."""
    before = [site.expected[name] for name in scenario.before]
    push = site.expected[scenario.push]
    site.checkbase()
    if run.reply.stored:
        before.append(push)
    there = invariants.check(
        site.store, before, None if run.reply.stored else push
    )
    if there:
        before.append(push)
    checkprivate(site, scenario)
    invariants.checkverified(site)
    if thorough and scenario.private and not _loseindex(site, scenario):
        assert not run.reply.stored or 'not noted' in run.done.err
        before = [wanted for wanted in before if wanted is not push]
    if thorough:
        again = site.send(scenario.push)
        assert again.reply.stored, f'not taken when pushed again: {again}'
        before.append(push)
        invariants.check(site.store, before)
        invariants.checkpulled(site, before)
    site.checkbase()
    return there or run.reply.stored


def everything(site: Site, kinds: Sequence[str]) -> Iterator[Tally]:
    """Yield the tally of each scenario with each kind of fault."""
    for scenario in SCENARIOS:
        for kind in kinds:
            yield sweep(site, scenario, kind)
