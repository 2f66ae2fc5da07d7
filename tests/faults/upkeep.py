"""The same for commands of an administrator: ``gc``, ``verify --repair``, and
``migrate``."""

from __future__ import annotations

import collections
import contextlib
import itertools
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hgext3rd.bundlestore import errors, moving
from hgext3rd.bundlestore.stores import viewnotes

from . import invariants
from .site import Site
from .sweep import operation

#: the state that all begin with, see ``prepare``
STATE = 'upkeep'

_DAY = 86400.0
_PUSHES = ('one', 'two', 'top', 'secret')


class Tally(NamedTuple):
    """What became of the runs of a sweep."""

    name: str
    kind: str
    runs: int
    #: the command ended well, said why it did not, was killed
    done: int
    refused: int
    killed: int

    def __str__(self) -> str:
        return (
            f'{self.name}, {self.kind}: {self.runs} runs, {self.done} done,'
            f' {self.refused} aborted, {self.killed} killed'
        )


def prepare(site: Site) -> None:
    """Make a store with two old pushes, of which ``one`` has a bundle that a
    young one rests on, a private one, an orphan, an unfinished file, and two
    workspaces more, of which one was dropped."""
    if (site.top / STATE).exists():
        return
    site.restore(None)
    for name, days in (('one', 100), ('two', 100), ('top', 0)):
        run = site.send(name, site.plan(clock=-days * _DAY))
        assert run.reply.stored, run
    top, two = site.expected['top'].head, site.expected['two'].head
    changes: list[dict[str, Any]] = [
        {'name': 'parser', 'added': [top]},
        {'name': 'parser', 'expected': 1, 'state': 'x', 'added': [two]},
        {'name': 'parser', 'expected': 2, 'removed': [two]},
        {'name': 'dropped', 'added': [two]},
        {'name': 'dropped', 'action': 'drop'},
    ]
    for wanted in changes:
        done = site.change(wanted, site.plan(clock=-days * _DAY))
        assert 'view' in (done.answer or {}), done
    site.addprivate('secret', site.makeprivate())
    site.views[STATE] = invariants.viewed(site.store)
    with invariants.opened(site.store) as (store, _):
        store.put([site.expected['new'].data])
    (site.store / 'bundles' / 'tmp' / ('0' * 32)).write_bytes(b'unfinished')
    site.keep(STATE)


class Command(NamedTuple):
    """A command, and how to look at what it left."""

    name: str
    args: tuple[str, ...]
    #: makes the store worse before the command
    damage: Callable[[Site], None]
    #: checks what a run left that was cut short
    check: Callable[[Site], None]
    #: checks what a run left that came to its end
    finished: Callable[[Site], None]


def _nothing(site: Site) -> None:
    pass


def _midcollection(site: Site) -> None:
    """What is to go is there as a whole, or gone; the rest is untouched."""
    pushes = [site.expected[name] for name in _PUSHES]
    invariants.check(site.store, pushes, removed=pushes[:2])
    dropped, *others = site.views[STATE]
    assert invariants.viewed(site.store) in ([dropped, *others], others)
    _checkprivate(site)
    invariants.checkpulled(site, [site.expected['top']])


def _collected(site: Site) -> None:
    one, _two, top, secret = [site.expected[name] for name in _PUSHES]
    invariants.check(site.store, [top, secret])
    with invariants.opened(site.store) as (store, index):
        assert set(store.keys()) == {top.key, one.key, secret.key}
        assert set(index.bundles([top.key, one.key])) == {top.key, one.key}
        assert list(store.strays(0)) == []
        assert len(viewnotes.versions(store)) == 2
    assert invariants.viewed(site.store) == site.views[STATE][1:]
    invariants.checkpulled(site, [top])
    invariants.checkverified(site, ())


def _checkprivate(site: Site) -> None:
    """Others see nothing of it, here or in a copy, where there is anything to
    see."""
    for folder in (site.store, site.store / 'moved'):
        with contextlib.suppress(errors.BundleStoreError):
            invariants.checkprivate(folder, site.expected['secret'])


def _loseindex(site: Site) -> None:
    for path in site.store.glob('index.sqlite3*'):
        path.unlink()


def _damageindex(site: Site) -> None:
    path = site.store / 'index.sqlite3'
    # what is in the log would take the place of what is damaged
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    data = bytearray(path.read_bytes())
    data[4096 : 4096 * 6] = bytes(4096 * 5)
    path.write_bytes(data)


def _midrepair(site: Site) -> None:
    """Bundles are as they were, and others see nothing that is private."""
    _checkprivate(site)
    with invariants.opened(site.store) as (store, _):
        for name in (*_PUSHES, 'new'):
            with store.open(site.expected[name].key) as reader:
                assert reader.read() == site.expected[name].data


def _repaired(site: Site) -> None:
    pushes = [site.expected[name] for name in _PUSHES]
    invariants.check(site.store, pushes)
    with invariants.opened(site.store) as (_, index):
        assert [push.id for push in index.pushes()] == [1, 2, 3, 4]
        assert {push.user for push in index.pushes()} == {'alice'}
        old, young = index.pushes()[0], index.pushes()[2]
        assert young.time - old.time > 99 * _DAY
    assert invariants.viewed(site.store) == site.views[STATE]
    invariants.checkprivate(site.store, site.expected['secret'])
    invariants.checkpulled(site, pushes)
    invariants.checkverified(site)
    run = site.send('new')
    assert run.reply.push == 5, run


def _mended(site: Site) -> None:
    assert list(site.store.glob('index.sqlite3.damaged-*'))
    _repaired(site)


def _midmove(site: Site) -> None:
    """What is to be moved is untouched, and who was killed keeps it open."""
    pushes = [site.expected[name] for name in _PUSHES]
    invariants.check(site.store, pushes)
    _checkprivate(site)
    with invariants.opened(site.store) as (store, _):
        move = moving.read(store)
        assert move is None or move.done or not move.isclosed('file', 'file')


def _moved(site: Site) -> None:
    pushes = [site.expected[name] for name in _PUSHES]
    for folder in (site.store, site.store / 'moved'):
        invariants.check(folder, pushes)
        assert invariants.viewed(folder) == site.views[STATE]
        invariants.checkprivate(folder, site.expected['secret'])
    with (
        invariants.opened(site.store) as (_, source),
        invariants.opened(site.store / 'moved') as (_, target),
    ):
        assert target.pushes() == source.pushes()
        assert target.bookmarks() == source.bookmarks()
    run = site.send('new')
    assert run.reply.abort == 'the bundle store is being moved', run


COLLECTION = Command(
    'gc',
    (
        'admin::bundlestore-gc',
        *('--older-than', '90 days', '--grace', '0 seconds'),
    ),
    _nothing,
    _midcollection,
    _collected,
)
REPAIR = Command(
    'repair of a lost index',
    ('admin::bundlestore-verify', '--repair'),
    _loseindex,
    _midrepair,
    _repaired,
)
MENDING = Command(
    'repair of a damaged index',
    ('admin::bundlestore-verify', '--repair'),
    _damageindex,
    _midrepair,
    _mended,
)
MOVING = Command(
    'move to other files',
    (
        'admin::bundlestore-migrate',
        *('--store', 'file:{store}/moved/bundles'),
        *('--index', 'file:{store}/moved/index.sqlite3'),
    ),
    _nothing,
    _midmove,
    _moved,
)
COMMANDS = (COLLECTION, REPAIR, MENDING, MOVING)


def sweep(
    site: Site,
    command: Command,
    kinds: Sequence[str],
    step: int = 1,
) -> Tally:
    """Have operation 1, 1 + step, … of the command go wrong, each in a run of
    its own with the next of ``kinds``, until one reaches its end. After each
    the same command must make everything good."""
    prepare(site)
    counts: collections.Counter[str] = collections.Counter()
    for turn, number in enumerate(itertools.count(1, step)):
        kind = kinds[turn % len(kinds)]
        site.restore(STATE)
        command.damage(site)
        args = [arg.format(store=site.store) for arg in command.args]
        done, state = site.command(
            *args, plan=site.plan(kind, number, log=True)
        )
        where = f'{command.name}, {kind} at {number} ({operation(site)})'
        try:
            counts[_end(done.code, done.err, state.fired, kind)] += 1
            site.checkbase()
            command.check(site)
            again, _ = site.command(*args)
            assert (again.code, again.err) == (0, ''), again
            command.finished(site)
            site.checkbase()
        except invariants.BROKEN as exc:
            raise AssertionError(f'{where}: {exc}\n{done}') from exc
        if state.done < number:
            assert done.code == 0, done
            break
    return Tally(
        command.name,
        kinds[0] if len(kinds) == 1 else 'in turn',
        sum(counts.values()),
        *(counts[name] for name in ('done', 'refused', 'killed')),
    )


def _end(code: int, err: str, fired: bool, kind: str) -> str:
    assert 'Traceback' not in err
    assert '** Unknown exception' not in err
    if code == -9:
        assert kind.startswith('kill')
        assert fired
        return 'killed'
    if code == 255:
        assert err.count('abort: ') == 1, err
        return 'refused'
    assert code in (0, 1)
    return 'done'
