"""gc, pins and statistics: what goes, what stays, and what a user is told."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import matrix
from harness.changegroups import node
from harness.filled import DAY, Filled, Killed, Mortal
from harness.hg import Hg, Repo
from harness.servers import Transport
from harness.smalldisk import fill, mounted
from harness.snapshot import untouched
from harness.store import folder, tryurl
from hgext3rd.bundlestore import errors, model
from hgext3rd.bundlestore.keep import walk
from hgext3rd.bundlestore.stores import notes


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    return Filled(tmp_path / 'bundlestore')


# -- what goes


def test_pushes_that_are_too_old_go(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, 'PAGE', 4)
    for number in range(20):
        # many at the same time, and more than are read at once
        filled.push([number + 1], day=number // 15)
    filled.pin(3)
    foreseen = filled.gc(before=1, dry=True)
    gone = filled.gc(before=1)
    assert sorted(foreseen) == sorted(gone)
    assert gone.count(('push', 'age')) == 14
    assert gone.count(('bundle', 'removed')) == 14
    assert filled.ids() == [3, *range(16, 21)]
    assert filled.verify() == []
    assert filled.gc(before=1) == []


@pytest.mark.parametrize('help', ['reserve', 'stray', None])
def test_full_disk(tmp_path: Path, help: str | None) -> None:
    """There is room for gc where there is none for anybody else."""
    with mounted(tmp_path / 'disk', '8m') as disk:
        filled = Filled(disk / 'bundlestore')
        for number in range(60):
            filled.push([number + 1], day=number // 50)
        if help == 'reserve':
            filled.store.keepreserve()
            filled.store.keepreserve()
        if help == 'stray':
            stray = disk / 'bundlestore' / 'bundles' / 'tmp' / ('a' * 32)
            stray.write_bytes(bytes(500_000))
            os.utime(stray, (1, 1))
        filled.index.close()
        filler = fill(disk)
        before = list(range(1, 61))
        if help is None:
            with pytest.raises(errors.NoRoom, match='no space left') as caught:
                filled.gc(before=1)
            assert 'admin::bundlestore-gc' in str(caught.value.hint)
        else:
            gone = filled.gc(before=1)
            # some of it by a run that began once more
            assert sum(kind == 'push' for kind, _reason in gone) <= 50
            before = before[50:]
        filler.unlink()
        assert filled.ids() == before
        kept = {push.key for push in filled.index.pushes()}
        assert set(filled.store.keys()) == kept
        assert filled.verify() == []
        filled.index.close()
        del filled


def test_who_holds_too_much_loses_the_oldest(filled: Filled) -> None:
    for number in range(1, 7):
        filled.push([number], 'alice')
    for number in range(7, 9):
        filled.push([number], 'bob')
    size = filled.index.push(1).size
    # again, so nothing is won by the first of them
    filled.push([1], 'alice')
    filled.pin(2)
    for told in (filled.gc(quota=3 * size, dry=True), None):
        assert told is None or told.count(('push', 'quota')) == 4
        assert told is None or len(filled.ids()) == 9
        told = told or filled.gc(quota=3 * size)
    assert filled.ids() == [2, 6, 7, 8, 9]
    assert filled.index.usage('alice') == model.Usage('alice', 3, 3 * size)
    assert filled.gc(quota=3 * size) == []
    assert filled.verify() == []


def test_dry_run_reckons_with_what_goes_by_age(filled: Filled) -> None:
    for number in range(1, 7):
        filled.push([number], day=number)
    size = filled.index.push(1).size
    wish: dict[str, Any] = {'before': 3, 'quota': 3 * size}
    assert filled.gc(dry=True, **wish) == [
        *[('push', 'age')] * 2,
        ('push', 'quota'),
        *[('bundle', 'removed')] * 3,
    ]
    filled.gc(**wish)
    assert filled.ids() == [4, 5, 6]


def test_bundle_stays_while_others_rest_on_it(filled: Filled) -> None:
    one = filled.push([1, 2])
    two = filled.push([3], rests=[one], day=1)
    filled.push([4], rests=[one, two], day=2)
    assert filled.gc(before=2) == [('push', 'age')] * 2
    assert filled.ids() == [3]
    assert len(filled.state().stored) == 3
    assert filled.verify() == []
    assert filled.gc(before=2) == []
    filled.loseindex()
    filled.verify(repair=True)
    assert filled.ids() == [3]
    assert filled.verify() == []
    gone = filled.gc(before=3)
    assert gone.count(('bundle', 'removed')) == 3
    assert filled.state().stored == ()
    # nor is there a note left
    assert not list(notes.pushes(filled.store))
    assert filled.gc() == []


def test_ids_are_not_given_again(filled: Filled) -> None:
    """Not even when nothing is left of a push, and the index is lost."""
    filled.push([1])
    filled.push([2])
    filled.gc(before=1)
    filled.loseindex()
    with pytest.raises(errors.BackendUnavailable, match='is empty'):
        filled.gc()
    assert filled.verify() == [('index', False)]
    assert filled.verify(repair=True) == [('index', True)]
    assert filled.push([3]).id == 3
    assert filled.verify() == []


def test_pin_at_the_last_moment(filled: Filled) -> None:
    filled.push([1])

    class Pinning:
        def __init__(self, backend: Any) -> None:
            self._backend = backend

        def __getattr__(self, name: str) -> Any:
            if name == 'remove':
                self._backend.pin(1)
            return getattr(self._backend, name)

    assert filled.gc(Pinning, before=1) == []
    assert filled.ids() == [1]
    record = notes.read(filled.store, filled.index.push(1).key, 1)
    assert (record.push.pinned, record.removed) == (True, False)


def test_very_first_push_is_no_lost_index(filled: Filled) -> None:
    class Late:
        """An index that records the first push just after it was asked."""

        @staticmethod
        def lastid() -> int:
            last = filled.index.lastid()
            if not last:
                filled.push([1])
            return last

    assert not notes.isindexlost(filled.store, Late())
    assert filled.ids() == [1]


def test_bookmarks_go_with_their_push(filled: Filled) -> None:
    filled.push([1], bookmarks=[('scratch/a', 1), ('scratch/b', 1)], day=9)
    filled.push([2], bookmarks=[('scratch/a', 2), ('scratch/c', 2)])
    filled.push([3], bookmarks=[('scratch/c', 3)], day=9)
    # without a push: these would point to nothing
    filled.movebookmark('scratch/d', 2)
    filled.movebookmark('scratch/b', 3)
    gone = filled.gc(before=1)
    # the base may have what it points to, on another server
    assert ('bookmark', 'dangling') not in gone
    gone = filled.gc(before=1, day=2)
    assert gone.count(('bookmark', 'dangling')) == 1
    marks = [
        model.Bookmark('scratch/b', node(3), None, 5),
        model.Bookmark('scratch/c', node(3), 3),
    ]
    assert filled.index.bookmarks() == marks
    # and they do not come back
    filled.loseindex()
    filled.verify(repair=True)
    assert filled.index.bookmarks() == marks
    assert filled.index.lastid() == 6


def test_orphans_and_strays_go_after_a_time(filled: Filled) -> None:
    filled.push([1])
    key = filled.bundle([2])
    stray = filled.folder / 'bundles' / 'tmp' / ('0' * 32)
    stray.write_bytes(b'left by a push that was killed')
    now = time.time()
    day = (now - 1.7e9) / DAY
    assert filled.gc(day=day) == []
    os.utime(stray, (now - 2 * DAY, now - 2 * DAY))
    path = filled.store.localpath(key)
    os.utime(path, (now - 2 * DAY, now - 2 * DAY))
    wanted = [('bundle', 'orphan'), ('stray', 'leftover')]
    assert filled.gc(day=day, dry=True) == wanted
    assert filled.gc(day=day, grace=3 * DAY) == []
    assert filled.gc(day=day) == wanted
    assert not stray.exists()
    assert filled.state().stored == (filled.index.push(1).key,)


def test_lost_pushes_are_left_alone(filled: Filled) -> None:
    """The index is that of a backup, the store is newer."""
    one = filled.push([1])
    filled.push([2])
    filled.index.close()
    backup = filled.folder.with_name('backup')
    shutil.copytree(filled.folder, backup)
    filled.push([3], rests=[one])
    filled.push([4])
    filled.loseindex()
    for path in backup.glob('index*'):
        shutil.copy(path, filled.folder)
    # what the lost ones rest on stays, too
    assert filled.gc(before=1, grace=0, day=10**5) == [
        *[('push', 'age')] * 2,
        ('bundle', 'removed'),
    ]
    assert filled.ids() == []
    assert len(filled.state().stored) == 3
    # ids that were given again
    filled.push([5])
    found = filled.verify(repair=True)
    assert [kind for kind, repaired in found if repaired] == ['lost'] * 2
    assert [push.heads[0].node for push in filled.index.pushes()] == [
        *map(node, [5, 4, 3])
    ]
    assert filled.ids() == [3, 4, 5]
    assert filled.verify() == []


def test_what_cannot_be_brought_back_is_given_up(filled: Filled) -> None:
    one = filled.push([1])
    filled.push([2], rests=[one])
    filled.push([3])
    filled.store.delete(one.key)
    assert ('missing', False) in filled.verify()
    expected = [('bundle', 'removed'), *[('push', 'lost')] * 2]
    assert sorted(filled.gc(forget=True, dry=True)) == expected
    assert sorted(filled.gc(forget=True)) == expected
    assert filled.ids() == [3]
    assert filled.verify() == []
    # and where the index does not have them
    filled.store.delete(filled.index.push(3).key)
    filled.loseindex()
    filled.push([4])
    assert filled.verify(repair=True) == [('lost', False)]
    assert filled.gc(forget=True) == [('push', 'lost')]
    assert filled.verify() == []


# -- who is interrupted


def _prepare(filled: Filled) -> None:
    one = filled.push([1, 2], bookmarks=[('scratch/a', 1)])
    two = filled.push([3], rests=[one], day=1, bookmarks=[('scratch/a', 3)])
    filled.push([4], rests=[one, two], day=5)
    filled.push([5], user='bob', bookmarks=[('scratch/b', 5)])
    filled.push([6], user='bob', day=6)
    filled.push([7], user='bob', day=6)
    filled.bundle([8])


@pytest.mark.slow('a process for each moment')
def test_gc_that_is_killed_at_any_moment(
    filled: Filled, tmp_path: Path
) -> None:
    """The next run ends what it began, and until then, all that is there is
    also what the notes tell."""
    _prepare(filled)
    size = filled.index.push(6).size
    wish: dict[str, Any] = {
        'before': 2,
        'quota': size,
        'grace': 0,
        'day': 10**5,
    }
    whole = filled.copy(tmp_path / 'whole')
    whole.gc(**wish)
    wanted = whole.state()
    assert [push.id for push in wanted.pushes] == [3, 6]
    for number in itertools.count(1):
        some = filled.copy(tmp_path / f'{number}')
        fate = Mortal(number)
        with contextlib.suppress(Killed):
            some.gc(fate, **wish)
        if fate.count > 0:
            break
        assert not [kind for kind, _r in some.verify() if _isproblem(kind)]
        if number % 3 == 0:  # as it takes its time
            _checkrebuilt(some, tmp_path / f'{number}-rebuilt')
        # what was begun is ended, whatever else is wanted
        some.gc(grace=0, day=10**5)
        assert some.verify() == [], number
        some.gc(**wish)
        assert some.state() == wanted, number
        assert some.verify() == []
        assert not list((some.folder / 'bundles' / 'state').glob('gc*'))
    assert number > 40


def _isproblem(kind: str) -> bool:
    return kind not in ('orphan', 'leftover', 'unfinished', 'note', 'stray')


def _checkrebuilt(filled: Filled, where: Path) -> None:
    """Check that the notes tell what the index has, but for a push that is
    being removed."""
    removed = [
        name.id
        for name in notes.pushes(filled.store)
        if notes.read(filled.store, *name).removed
    ]
    state = filled.state()
    other = filled.copy(where)
    other.loseindex()
    other.verify(repair=True)
    expected = [push for push in state.pushes if push.id not in removed]
    assert _plain(other.index.pushes()) == _plain(expected)
    assert other.index.lastid() == state.lastid
    names = {mark.name for mark in other.index.bookmarks()}
    assert names <= {mark.name for mark in state.bookmarks}


def _plain(pushes: Any) -> list[model.Push]:
    return [
        push._replace(rests=tuple(sorted(push.rests)), below=())
        for push in pushes
    ]


# -- the commands


@pytest.fixture
def server(hg: Callable[..., Hg], tmp_path: Path) -> Repo:
    repo = hg().init(tmp_path / 'base')
    repo.enable()
    repo.configure('bundlestore', {'server': 'yes'})
    return repo


def _filled(repo: Repo) -> Filled:
    return Filled(folder(repo))


def _json(repo: Repo, *args: str, ok: tuple[int, ...] = (0,)) -> Any:
    return json.loads(repo.run(*args, '-T', 'json', ok=ok).out)


GC = 'admin::bundlestore-gc'
PIN = 'admin::bundlestore-pin'
STATS = 'admin::bundlestore-stats'
VERIFY = 'admin::bundlestore-verify'


def test_commands_without_a_bundle_store(
    hg: Callable[..., Hg], tmp_path: Path
) -> None:
    repo = hg().init(tmp_path / 'none')
    repo.enable()
    for command in (GC, PIN, STATS, VERIFY):
        result = repo.run(command, ok=[255])
        assert result.err == (
            'abort: this repository has no bundle store\n'
            "(turn it on in its hgrc: 'bundlestore.server = yes')\n"
        )
    assert not (repo.path / '.hg' / 'bundlestore').exists()


def test_commands_on_an_empty_store(server: Repo) -> None:
    with untouched(server.path):
        assert server.run(GC, '--older-than', '0').out == 'nothing to remove\n'
        assert server.run(VERIFY, '--quiet').out == ''
        assert _json(server, VERIFY) == []
        assert server.run(PIN).out == ''
        (stats,) = _json(server, STATS)
    assert (stats['pushes'], stats['oldest']) == (0, None)


@matrix.over('ssh')
def test_gc_by_its_command(transport: Transport, base: Repo) -> None:
    made = tryurl(transport, base)
    filled = _filled(base)
    filled.push([1], bookmarks=[('scratch/a', 1)])
    filled.push([2])
    filled.pin(2)
    key = filled.index.push(1).key
    base.configure('bundlestore', {'retention': '90 days'})
    with untouched(base.path):
        shown = base.run(GC, '--dry-run').out.splitlines()
        assert shown == [
            'would remove push 1 (alice, Tue Nov 14 22:13:20 2023 +0000):'
            ' too old',
            f'would remove bundle {key} ({filled.store.size(key)} bytes)',
            f'would remove 1 push, 1 bundle ({filled.store.size(key)} bytes)',
        ]
        assert base.run(GC, '-n', '--older-than', '99 years').out == (
            'nothing to remove\n'
        )
        nonsense = base.run(GC, '--grace', 'soon', ok=[255]).err
        assert "abort: --grace is not a length of time ('soon')" in nonsense
    # by way of the try URL
    made.configure('bundlestore', {'retention': '90 days'})
    assert _json(made, GC)[:2] == [
        {
            'bundle': key,
            'date': [1700000000, 0],
            'kind': 'push',
            'push': 1,
            'reason': 'age',
            'size': filled.index.usage('alice').size,
            'user': 'alice',
        },
        {
            'bundle': key,
            'kind': 'bundle',
            'reason': 'removed',
            'size': filled.index.usage('alice').size,
        },
    ]
    assert filled.ids() == [2]
    assert filled.index.bookmarks() == []
    assert base.run(GC, '--quiet').out == ''


def test_views_by_their_commands(server: Repo) -> None:
    filled = _filled(server)
    filled.push([1])
    filled.push([2])
    filled.putview('parser', [1])
    filled.putview('parser', [1], day=1, state='another')
    filled.putview('old', [2], dropped=True)
    server.configure('bundlestore', {'retention': '90 days'})
    date = 'Tue Nov 14 22:13:20 2023 +0000'
    push = f'would remove push %d (alice, {date}): too old\n'
    # as old as the pushes may be
    shown = server.run(GC, '--dry-run').out
    assert shown.startswith(
        "would remove view 'alice/old': too old\n"
        "would remove view 'alice/parser': too old\n" + push % 1 + push % 2
    )
    assert '2 pushes, 2 bundles, 2 views' in shown
    server.configure('bundlestore', {'workspace-retention': '99 years'})
    shown = server.run(GC, '--dry-run').out
    assert shown.startswith(
        "would remove view 'alice/old': it was dropped\n" + push % 2
    )
    assert '1 push, 1 bundle, 1 view' in shown
    assert _json(server, GC)[:1] == [
        {'kind': 'view', 'reason': 'dropped', 'name': 'alice/old'}
    ]
    assert filled.ids() == [1]
    (view,) = filled.views()
    filled.index.removeview(view.uid)
    lost = "view 'alice/parser': it is lost, only its notes are left\n"
    assert lost in server.run(VERIFY, ok=[1]).out
    assert f'repaired: {lost}' in server.run(VERIFY, '--repair').out
    assert filled.views() == [view]


def test_pins_by_their_command(server: Repo) -> None:
    filled = _filled(server)
    one = filled.push([1, 2], bookmarks=[('scratch/a', 2)])
    filled.push([1, 2, 3])
    filled.push([1, 2], user='bob')
    head = node(2).hex()
    date = 'Tue Nov 14 22:13:20 2023 +0000'
    # of several pushes with that head it is the newest
    assert server.run(PIN, head[:10], '2').out == (
        f'pinned push 3 (bob, {date})\npinned push 2 (alice, {date})\n'
    )
    assert server.run(PIN, 'scratch/a').out == (
        f'pinned push 1 (alice, {date})\n'
    )
    assert server.run(PIN, '--delete', '2', '-q').out == ''
    assert _json(server, PIN) == [
        {
            'date': [1700000000, 0],
            'heads': [head],
            'pinned': True,
            'push': id,
            'user': user,
        }
        for id, user in ((1, 'alice'), (3, 'bob'))
    ]
    note = notes.read(filled.store, one.key, 1)
    assert note.push.pinned
    said = server.run(PIN, node(1).hex(), ok=[255]).err
    assert f"abort: '{node(1).hex()}' is no head of a push" in said
    assert '(name a push that holds it by its number: 3, 2, 1)' in said
    # none is pinned where one is wrong
    assert "no push '9'" in server.run(PIN, '2', '9', ok=[255]).err
    assert len(_json(server, PIN)) == 2
    assert server.run(VERIFY, '-q').out == ''


def test_statistics_by_their_command(server: Repo) -> None:
    filled = _filled(server)
    one = filled.push([1, 2], bookmarks=[('scratch/a', 2)])
    two = filled.push([3], user='bob', rests=[one], day=1)
    filled.pin(1)
    (folder(server) / 'bundles' / 'tmp' / ('0' * 32)).write_bytes(b'12345')
    for name, dropped in (
        *(('parser', False), ('lexer', False), ('old', True)),
        *(('backup/a/b', False), ('backup/a/c', True)),
    ):
        filled.putview(name, [1], dropped=dropped)
    (stats,) = _json(server, STATS)
    assert stats.pop('indexsize') > 10000
    assert stats == {
        'backups': 1,
        'bookmarks': 1,
        'bundles': 2,
        'changesets': 3,
        'dropped': 2,
        'newest': [1700086400, 0],
        'oldest': [1700000000, 0],
        'owed': {},
        'pinned': 1,
        'pushes': 2,
        'size': one.size + two.size,
        'strays': 1,
        'straysize': 5,
        'users': 2,
        'workspaces': 2,
    }
    assert _json(server, STATS, '--users') == [
        {'user': 'alice', 'pushes': 1, 'size': one.size},
        {'user': 'bob', 'pushes': 1, 'size': two.size},
    ]
    shown = server.run(STATS).out.splitlines()
    assert shown[:2] == ['pushes:      2', 'pinned:      1']
    assert shown[4:7] == ['workspaces:  2', 'backups:     1', 'dropped:     2']


# -- while others push and pull


@pytest.mark.slow('several clients push and pull for a while')
@matrix.over('ssh')
def test_gc_while_clients_push_and_pull(
    transport: Transport, base: Repo, hg: Callable[..., Hg], tmp_path: Path
) -> None:
    """Four clients push stacks that rest on each other, while two gc at a time
    remove what is a second old. What is pinned stays."""
    failures: list[BaseException] = []
    done = threading.Event()
    # there is one command server
    looking = threading.Lock()

    def push(mine: Repo, number: int, step: int) -> str:
        with looking:
            name = mine.commit({f'{number}': f'{step}\n'}, f'{number} {step}')
        words = ('push', '-q', '--bundle-store', '-r', '.')
        while (result := mine.run(*words, ok=(0, 255))).code:
            # gc was entitled to take that, too, when it was known already
            assert (
                'push the parent along' in result.err
                or 'was removed meanwhile' in result.err
            ), result
        return name

    clients = []
    pinned = []
    for number in range(4):
        mine = hg().clone(base.path, tmp_path / f'client{number}')
        mine.enable()
        transport.connect(mine, base)
        mine.configure('paths', {'default': transport.url(base, f'u{number}')})
        clients.append(mine)
        pinned.append(push(mine, number, 0))
    base.run(PIN, *pinned)

    def client(number: int) -> None:
        for step in (1, 2):
            name = push(clients[number], number, step)
            # there unless gc was entitled to take it just now
            found = clients[number].run(
                'identify', '-r', name, 'default', ok=None
            )
            assert found.code in (0, 255), found

    def guarded(run: Callable[[], object]) -> None:
        try:
            run()
        except BaseException as exc:
            failures.append(exc)

    def collector() -> None:
        while not done.is_set():
            base.run(GC, '--older-than', '1 second', '--grace', '1 second')

    pushers = [
        threading.Thread(target=guarded, args=(functools.partial(client, n),))
        for n in range(4)
    ]
    collectors = [
        threading.Thread(target=guarded, args=(collector,)) for _ in range(2)
    ]
    for thread in (*pushers, *collectors):
        thread.start()
    for thread in pushers:
        thread.join()
    done.set()
    for thread in collectors:
        thread.join()
    assert not failures, failures[0]
    assert base.run(VERIFY).out.endswith(': 0 problems, 0 remarks\n')
    filled = _filled(base)
    kept = {push.heads[0].node.hex() for push in filled.index.pushes()}
    assert kept.issuperset(pinned)
    assert filled.index.lastid() == 12
    other = hg().clone(base.path, tmp_path / 'other')
    transport.connect(other, base)
    for name in pinned:
        other.run('pull', '-q', '-r', name)
    other.verify()
