"""Has the power fail at each moment of a push, or of something else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from . import invariants, powerloss
from .site import Site
from .sweep import Scenario, checkprivate, prepare


class Count(NamedTuple):
    """What was looked at."""

    scenario: str
    #: moments, and different states of the disk
    moments: int
    states: int
    #: of these, after the client was told that its push is stored
    acknowledged: int
    #: before it was, and the push was there all the same
    there: int

    def __str__(self) -> str:
        return (
            f'{self.scenario}: power lost at {self.moments} moments,'
            f' {self.states} states of the disk, {self.acknowledged} after the'
            f' answer; of the others {self.there} with the push'
        )


def lose(
    site: Site,
    scenario: Scenario,
    killed: int = 0,
    seeds: Sequence[int] = (),
    thorough: int = 1,
    step: int = 1,
) -> Count:
    """Have the power fail at the moments of a push, as :func:`search` does.

    With ``killed`` a server that took the same push was killed at that
    operation, before it recorded anything. Every ``thorough``-th state is
    pushed to and pulled from, too.
    """
    prepare(site, scenario)
    site.restore(scenario.store)
    disk = powerloss.Disk(site.base.path)
    if killed:
        run = site.send(scenario.push, site.plan('killbefore', killed, True))
        assert run.done.code == -9, run
        for entry in powerloss.readlog(site.log):
            disk.play(entry)
    run = site.send(scenario.push, site.plan(log=True))
    assert run.reply.push == len(scenario.before) + 1, run
    try:
        return search(
            site,
            disk,
            scenario.name,
            lambda told, number: _check(
                site, scenario, told, number % thorough == 0
            ),
            seeds,
            step,
        )
    except AssertionError as exc:
        if not killed:
            raise
        raise AssertionError(f'killed before {killed}: {exc}') from exc


def search(
    site: Site,
    disk: powerloss.Disk,
    name: str,
    check: Callable[[bool, int], bool],
    seeds: Sequence[int],
    step: int = 1,
) -> Count:
    """Have the power fail after operation 1, 1 + step, … of what was done and
    logged last, before which the disk was ``disk``, and after each once it is
    answered. Have ``check`` look at the states of the disk that POLICIES and
    ``seeds`` name.

    It is told whether the client was answered, and how many there were; it
    returns whether what was asked for is there.
    """
    log = list(powerloss.readlog(site.log))
    end = powerloss.read(site.base.path)
    # the last time that something is said is the answer
    answer = max(n for n, entry in enumerate(log) if entry.what == 'reply')
    seen: set[tuple[bool, bytes]] = set()
    answered = there = 0
    for number, entry in enumerate(log):
        disk.play(entry)
        told = number >= answer
        if number % step and not told:
            continue
        for state in _states(disk, number, seeds):
            mark = told, _digest(state)
            if mark in seen:
                continue
            seen.add(mark)
            answered += told
            try:
                _write(site, state)
                found = check(told, len(seen))
            except invariants.BROKEN as exc:
                raise AssertionError(
                    f'{name}, power lost after {number}'
                    f' ({entry.what} {entry.path}): {exc}'
                ) from exc
            there += found and not told
    # this shows that there is no other way to the disk
    assert disk.now() == end
    return Count(name, len(log), len(seen), answered, there)


def _states(
    disk: powerloss.Disk, number: int, seeds: Sequence[int]
) -> Iterator[powerloss.State]:
    for names, contents in powerloss.POLICIES:
        yield disk.state(names, contents)
    for seed in seeds:
        yield disk.state('some', 'some', seed * 10000 + number)


def _digest(state: powerloss.State) -> bytes:
    hashed = hashlib.sha256()
    for name, content in state.items():
        hashed.update(repr((name, content)).encode())
    return hashed.digest()


def _write(site: Site, state: powerloss.State) -> None:
    """Make the store look like ``state``."""
    site.restore(None)
    prefix = f'{site.store.relative_to(site.base.path)}'
    if prefix in state:
        site.store.mkdir()
    powerloss.write(
        {
            name[len(prefix) + 1 :]: content
            for name, content in state.items()
            if name.startswith(f'{prefix}/')
        },
        site.store,
    )
    # the names without the store's folder are the base repository's
    rest = {name for name in state if not name.startswith(prefix)}
    assert rest == {
        name
        for name in powerloss.read(site.base.path)
        if not name.startswith(prefix)
    }


def _check(site: Site, scenario: Scenario, told: bool, thorough: bool) -> bool:
    """Check the store; return whether the push is there."""
    before = [site.expected[name] for name in scenario.before]
    push = site.expected[scenario.push]
    if told:
        before.append(push)
    there = invariants.check(site.store, before, None if told else push)
    if told:
        invariants.checknoted(site.store, push)
    if there:
        before.append(push)
    checkprivate(site, scenario)
    if thorough:
        invariants.checkverified(site)
        again = site.send(scenario.push)
        assert again.reply.stored, f'not taken when pushed again: {again}'
        invariants.check(site.store, [*before, push])
        invariants.checkpulled(site, [*before, push])
    site.checkbase()
    return there or told
