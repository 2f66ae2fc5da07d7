"""A workspace is made, or changed, while one file operation after the other
goes wrong, or the power is lost."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hgext3rd.bundlestore.stores import viewnotes
from hgext3rd.bundlestore.viewmodel import View

from . import invariants, losses, powerloss
from .site import Changing, Site
from .sweep import operation

#: the state with a workspace that ``CHANGE`` begins with, see ``prepare``
STATE = 'views'
_NAME = 'parser'


class Scenario(NamedTuple):
    """A change of a workspace, or the first."""

    name: str
    #: the store to begin with (``Site.keep``)
    store: str
    #: how many versions the workspace has there
    versions: int


NEW = Scenario('a new workspace', 'prepared', 0)
CHANGE = Scenario('a change of a workspace', STATE, 2)
SCENARIOS = (NEW, CHANGE)


def _steps(site: Site) -> list[dict[str, Any]]:
    """Return what makes each version of the workspace."""
    one, two = (site.expected[name].head for name in ('one', 'two'))
    fixed = site.hashes.fixed
    marks = {'idea': one, 'other': one}
    return [
        {'added': [one], 'bookmarks': marks, 'state': 'first'},
        {'added': [two], 'bookmarks': {'other': two}},
        {
            'added': [fixed],
            'removed': [one],
            'bookmarks': {'idea': two, 'other': None},
            'state': 'last',
        },
    ]


def _versions(site: Site) -> list[View]:
    """Return how the workspace must look, version by version."""
    heads: set[bytes] = set()
    marks: dict[str, bytes] = {}
    state = ''
    found = []
    for step in _steps(site):
        heads.difference_update(map(bytes.fromhex, step.get('removed', ())))
        heads.update(map(bytes.fromhex, step['added']))
        for name, node in step['bookmarks'].items():
            marks.pop(name, None)
            if node is not None:
                marks[name] = bytes.fromhex(node)
        state = step.get('state', state)
        found.append(
            View(
                *('alice', _NAME, tuple(sorted(heads))),
                *(tuple(sorted(marks.items())), state),
            )
        )
    return found


def _change(site: Site, version: int, plan: Any = None) -> Changing:
    """Send what makes that version."""
    step: Mapping[str, Any] = _steps(site)[version - 1]
    wanted = {**step, 'name': _NAME, 'expected': version - 1}
    return site.change(wanted, plan)


def prepare(site: Site) -> None:
    """Make a store with a workspace."""
    if (site.top / STATE).exists():
        return
    site.restore('prepared')
    for version in range(1, CHANGE.versions + 1):
        done = _change(site, version)
        assert _told(done) == version, done
    site.keep(STATE)


def _told(run: Changing) -> int:
    """Return which version the client was told that there is now, 0 for
    none."""
    view = (run.answer or {}).get('view')
    return int(view['version']) if view else 0


# -- what must hold


def _check(
    site: Site, scenario: Scenario, told: bool, repaired: bool = False
) -> bool:
    """Check a store in which the workspace must have its new version, if the
    client was told so, or may have it, whole or not at all. Return whether it
    has.

    Where it was ``repaired`` from notes, it may have the state of a version
    whose note is missing: of that there is no more than one.
    """
    before = [site.expected[name] for name in ('one', 'two')]
    invariants.check(site.store, before)
    new = scenario.versions + 1
    wanted = _versions(site)
    with invariants.opened(site.store) as (_, index):
        view = index.view('alice', _NAME)
        version = view.version if view else 0
        assert version in ([new] if told else [new - 1, new])
        assert len(index.views()) == bool(version)
        if view is None:
            return False
        if repaired and version < new:
            view = view._replace(state=wanted[version - 1].state)
        assert view.what == wanted[version - 1].what
        log = index.viewlog(view.uid)
        assert [one.version for one in log] == [*range(version, 0, -1)]
        # each earlier one is kept
        for number in range(1, version):
            earlier = index.viewat(view.uid, number)
            assert earlier is not None
            assert earlier.what[:4] == wanted[number - 1].what[:4]
    return version == new


def _noted(site: Site) -> int:
    """Return up to which version there are notes."""
    with invariants.opened(site.store) as (store, _):
        numbers = [n for its in viewnotes.versions(store).values() for n in its]
    return max(numbers, default=0)


def _checkrepaired(site: Site, scenario: Scenario, told: bool) -> None:
    """Lose the index: what is noted comes back."""
    noted = _noted(site)
    assert noted >= scenario.versions + told
    for path in site.store.glob('index.sqlite3*'):
        path.unlink()
    done, _ = site.command('admin::bundlestore-verify', '--repair')
    assert (done.code, done.err) == (0, ''), done
    there = _check(site, scenario, told, repaired=True)
    assert there == (noted > scenario.versions)


def _checkagain(site: Site, scenario: Scenario) -> None:
    """The same change is taken when it comes again, and makes no version more
    than it should."""
    new = scenario.versions + 1
    again = _change(site, new)
    assert _told(again) == new, again
    assert _check(site, scenario, True)
    invariants.checkverified(site)


# -- one operation after the other


class Tally(NamedTuple):
    """What became of the changes of a sweep."""

    scenario: str
    kind: str
    runs: int
    #: the client was told that it is changed, that it is not, nothing
    changed: int
    refused: int
    broken: int
    #: of the last two: it was changed
    there: int

    def __str__(self) -> str:
        return (
            f'{self.scenario}, {self.kind}: {self.runs} runs,'
            f' {self.changed} changed, {self.refused} refused,'
            f' {self.broken} without an answer; {self.there} of these there'
        )


def sweep(
    site: Site,
    scenario: Scenario,
    kinds: Sequence[str],
    thorough: int = 1,
    step: int = 1,
) -> Tally:
    """Have operation 1, 1 + step, … of the change go wrong, each in a run of
    its own with the next of ``kinds``, until one reaches its end. Every
    ``thorough``-th store then loses its index."""
    prepare(site)
    counts: collections.Counter[str] = collections.Counter()
    for turn, number in enumerate(itertools.count(1, step)):
        kind = kinds[turn % len(kinds)]
        site.restore(scenario.store)
        plan = site.plan(kind, number, log=True)
        run = _change(site, scenario.versions + 1, plan)
        end = run.state.done < number
        where = f'{scenario.name}, {kind} at {number} ({operation(site)})'
        try:
            said = _said(run, kind)
            site.checkbase()
            there = _check(site, scenario, said == 'changed')
            invariants.checkverified(site)
            if end or turn % thorough == 0:
                _checkrepaired(site, scenario, _isnoted(run))
            _checkagain(site, scenario)
            site.checkbase()
        except invariants.BROKEN as exc:
            raise AssertionError(f'{where}: {exc}\n{run}') from exc
        counts.update(['runs', said])
        counts['there'] += there and said != 'changed'
        if end:
            assert said == 'changed', run
            break
    return Tally(
        scenario.name,
        kinds[0] if len(kinds) == 1 else 'in turn',
        *(counts[n] for n in ('runs', 'changed', 'refused', 'broken', 'there')),
    )


def _said(run: Changing, kind: str) -> str:
    """Return what the client was told."""
    assert 'Traceback' not in run.done.err
    assert '** Unknown exception' not in run.done.err
    if kind.startswith('kill') and run.state.fired:
        assert run.done.code == -9
    else:
        assert run.done.code >= 0
        # a server that is alive says what became of the change
        assert run.answer is not None
    if run.answer is None:
        return 'broken'
    if 'error' in run.answer:
        assert run.answer['hint']
        return 'refused'
    assert not run.answer.get('moved')
    return 'changed'


def _isnoted(run: Changing) -> bool:
    """Whether the client was told that it is changed, and of no trouble with
    the note."""
    return bool(_told(run)) and 'not noted' not in run.done.err


# -- the power is lost


def lose(
    site: Site,
    scenario: Scenario,
    seeds: Sequence[int] = (),
    thorough: int = 1,
    step: int = 1,
) -> losses.Count:
    """Have the power fail at the moments of a change, see
    :func:`losses.search`. Every ``thorough``-th store then loses its index,
    too."""
    prepare(site)
    site.restore(scenario.store)
    disk = powerloss.Disk(site.base.path)
    run = _change(site, scenario.versions + 1, site.plan(log=True))
    assert _told(run) == scenario.versions + 1, run

    def check(told: bool, number: int) -> bool:
        there = _check(site, scenario, told)
        if number % thorough == 0:
            invariants.checkverified(site)
            _checkrepaired(site, scenario, told)
            _checkagain(site, scenario)
        site.checkbase()
        return there

    return losses.search(site, disk, scenario.name, check, seeds, step)
