"""``admin::bundlestore-migrate``: a store and an index move elsewhere."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Union

import pytest

from harness import indexes, matrix
from harness.backends import (
    MariaDB,
    ObjectStore,
    PostgreSQL,
    Rclone,
    SeaweedFS,
    session as sessions,
)
from harness.changegroups import node
from harness.filled import BEGIN, DAY, UI, Filled, Killed, Mortal
from harness.hg import Hg, Repo
from harness.nightly import upto
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import folder
from hgext3rd.bundlestore import backends, errors, model, moving
from hgext3rd.bundlestore.declaring import Interfaces
from hgext3rd.bundlestore.keep import migrate, passes, walk
from hgext3rd.bundlestore.stores import notes

pytestmark = pytest.mark.slow('stores are copied whole')

MIGRATE = 'admin::bundlestore-migrate'
VERIFY = 'admin::bundlestore-verify'
Database = Union[PostgreSQL, MariaDB]
#: both halves, and each
HALVES = [(True, True), (True, False), (False, True)]


def _passes(
    source: Filled,
    target: Filled,
    store: bool = True,
    index: bool = True,
    dry: bool = False,
    wrap: Callable[[Any], Any] = lambda backend: backend,
    of: Any = None,
) -> passes.Passes:
    return passes.Passes(
        source.store,
        of or source.index,
        wrap(target.store) if store else None,
        wrap(target.index) if index else None,
        lambda kind, done, total: None,
        dry,
    )


def _settle(copying: passes.Passes) -> None:
    """Make passes until one changes nothing."""
    for _number in range(5):
        if not copying.run().changes:
            return
    raise AssertionError('it never ends')


def _notes(store: Any) -> dict[str, bytes]:
    return {name: store.note(name) for name in store.notes()}


def _sameindex(source: Filled, target: Filled) -> None:
    found = [
        (
            [p._replace(rests=tuple(sorted(p.rests))) for p in s.pushes],
            s.bookmarks,
            s.lastid,
            s.outcomes,
            s.views,
        )
        for s in (source.state(), target.state())
    ]
    assert found[0] == found[1]
    told = [
        {
            name: d._replace(edition=0)
            for name, d in made.index.deliveries().items()
        }
        for made in (source, target)
    ]
    assert told[0] == told[1]
    kept = [
        set(made.index.bundles(source.store.keys()))
        for made in (source, target)
    ]
    assert kept[0] == kept[1]
    listed = [made.index.listbookmarks() for made in (source, target)]
    assert listed[0] == listed[1]
    users = [made.index.users() for made in (source, target)]
    assert users[0] == users[1]
    assert list(target.index.problems()) == []


def _samestore(source: Filled, target: Filled) -> None:
    assert sorted(target.store.keys()) == sorted(source.store.keys())
    assert _notes(target.store) == _notes(source.store)


@pytest.fixture
def source(tmp_path: Path) -> Filled:
    """Pushes that rest on others, of which some are removed."""
    made = Filled(tmp_path / 'source')
    one = made.begin()
    made.push([3], 'bob', day=6, rests=[one], bookmarks=[('scratch/c', 3)])
    made.pin(4)
    for id in (1, 4, 5):
        made.setstatus(id, 'linux')
    for id in (1, 3):
        made.setlanding(id, 1)
    made.tell('ci', 3)
    made.tell('mail', 4)
    made.gc(before=2)
    made.putview('parser', [4], day=5)
    made.putview('parser', [4, 5], day=6, state='a state')
    made.putview('lexer', [3], 'bob', day=6, dropped=True)
    made.putview('lexer', [3], 'alice', day=6)
    made.movebookmark('scratch/b', 4)
    made.movebookmark('scratch/d', 5)
    made.movebookmark('scratch/a', 5)
    made.movebookmark('scratch/a', None)
    assert made.ids() == [3, 4, 5]
    return made


@pytest.fixture
def target(tmp_path: Path) -> Filled:
    return Filled(tmp_path / 'target')


# -- copying


@pytest.mark.parametrize(('store', 'index'), HALVES)
def test_everything_is_copied(
    source: Filled, target: Filled, store: bool, index: bool
) -> None:
    foreseen = _passes(source, target, store, index, dry=True).run()
    assert not target.folder.exists()
    copying = _passes(source, target, store, index)
    assert copying.run() == foreseen
    assert copying.run().changes == 0
    assert list(copying.differences()) == []
    assert copying.problems == []
    # who is interrupted begins with what is there
    assert _passes(source, target, store, index).run().changes == 0
    if store:
        _samestore(source, target)
    if index:
        _sameindex(source, target)
    if store and index:
        assert target.verify() == source.verify() == []
        # they go the same way from here on
        for made in (source, target):
            made.push([6], rests=[made.index.push(3)])
            made.gc(before=7)
            made.push([3])
        _sameindex(source, target)
        _samestore(source, target)


@pytest.mark.parametrize('seed', range(upto(4, 60)))
def test_whatever_is_done_between_the_passes(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, 'PAGE', 4)
    chance = random.Random(seed)
    source, target = Filled(tmp_path / 'source'), Filled(tmp_path / 'target')
    copying = _passes(source, target)
    for _pass in range(6):
        for _step in range(chance.randrange(12)):
            _something(chance, source)
        if chance.random() < 0.3:
            copying = _passes(source, target)
        copying.run()
    _settle(copying)
    assert copying.problems == []
    assert list(copying.differences()) == []
    _sameindex(source, target)
    _samestore(source, target)
    assert target.verify() == source.verify()


def _something(chance: random.Random, made: Filled) -> None:
    """Do what clients and administrators do."""
    pushes = made.index.pushes()
    what = chance.randrange(11)
    name = f'scratch/{chance.choice("abc")}'
    if what < 5 or not pushes:
        rests = []
        if pushes and chance.random() < 0.6:
            below = chance.choice(pushes)
            held = {push.key: push for push in pushes}
            # all that it rests on are pushes still
            if set(below.rests) <= held.keys():
                rests = [*(held[key] for key in below.rests), below]
        number = made.index.lastid() + 1
        moves = [(name, number)] if chance.random() < 0.4 else []
        made.push(
            [number], chance.choice(['alice', 'bob']), number, rests, moves
        )
    elif what < 6:
        again = chance.choice(pushes)
        made.index.record(
            model.NewPush(*again[1:7], (), again.text, again.rests, again.below)
        )
        latest = made.index.push(made.index.lastid())
        notes.write(made.store, made.index, latest)
    elif what < 7:
        context = chance.choice('ab')
        state = chance.choice(model.STATES)
        made.setstatus(chance.choice(pushes).id, context, state)
        made.setlanding(chance.choice(pushes).id, chance.randrange(9))
        made.tell(chance.choice(['ci', 'mail']), chance.choice(pushes).id)
    elif what < 8:
        made.remove(chance.choice(pushes).id, evenpinned=True)
    elif what < 9:
        push = chance.choice(pushes)
        made.index.pin(push.id, not push.pinned)
        notes.keep(made.store, made.index, made.index.push(push.id))
    elif what < 10:
        called = chance.choice('abc')
        with contextlib.suppress(errors.ViewExists):
            new = chance.choice('abc')
            made.putview(called, [chance.randrange(99)], name=new)
    else:
        heads = [push.heads[0].node for push in pushes]
        numberof = {node(n): n for n in range(1000)}
        where = chance.choice([None, numberof[chance.choice(heads)]])
        if where is not None or made.index.bookmark(name):
            made.movebookmark(name, where)


def test_nothing_is_searched_for_what_is_new(
    target: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To restore a push that is there takes a look at all changesets."""

    def restore(*args: object) -> None:
        raise AssertionError(args)

    monkeypatch.setattr(target.index, 'restore', restore)
    source = Filled(tmp_path / 'source')
    copying = _passes(source, target)
    for number in (1, 2, 3):
        marks = [('scratch/a', number), (f'scratch/{number}', number)]
        source.push([number], bookmarks=marks)
        source.push([number + 10])
        copying.run()
        source.pin(source.ids()[-1])
    _settle(copying)
    _sameindex(source, target)


def test_killed_at_any_moment(source: Filled, tmp_path: Path) -> None:
    for count in itertools.count(1):
        target = Filled(tmp_path / f'target{count}')
        fate = Mortal(count)
        try:
            _passes(source, target, wrap=fate).run()
        except Killed:
            _settle(_passes(source, target))
            _sameindex(source, target)
            _samestore(source, target)
            target.index.close()
        else:
            break
    assert count > 30


def test_damaged_and_missing_bundles(source: Filled, target: Filled) -> None:
    kept, rotten = source.index.push(3).rests[0], source.index.push(4).key
    path = Path(os.fsdecode(source.store.localpath(rotten)))
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b'?')
    gone = Path(os.fsdecode(source.store.localpath(kept)))
    gone.rename(tmp := gone.with_suffix('.away'))
    copying = _passes(source, target)
    for _pass in range(2):
        copying.run()
        assert [
            (problem.kind, problem.key, problem.pushes)
            for problem in copying.problems
        ] == [('missing', kept, (3, 5)), ('corrupt', rotten, (4,))]
    _sameindex(source, target)
    # they come back
    path.write_bytes(good)
    tmp.rename(gone)
    _settle(copying)
    assert copying.problems == []
    _samestore(source, target)


def test_removed_push_without_a_note(source: Filled, target: Filled) -> None:
    """What others rest on is copied though nothing tells what push had it."""
    for name in list(source.store.notes()):
        push = notes.parsename(name)
        if push is not None and push.id < 3:
            source.store.deletenote(name)
    copying = _passes(source, target)
    _settle(copying)
    assert list(copying.differences()) == []
    _sameindex(source, target)


class Late:
    """An index to which something happens before a call of a method with such
    arguments."""

    __implemented__ = Interfaces(
        *('IBundleIndex', 'IStatuses', 'ILandings', 'IDeliveries'),
        'IViews',
    )

    def __init__(self, index: Any) -> None:
        self._index = index
        self._then: Callable[[], object] | None = None

    def before(
        self, name: str, then: Callable[[], object], **arguments: Any
    ) -> None:
        self._name, self._then = name, then
        self._arguments = arguments.items()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._index, name)
        if self._then is None or name != self._name:
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._then is not None and self._arguments <= kwargs.items():
                then, self._then = self._then, None
                then()
            return method(*args, **kwargs)

        return call


@pytest.mark.parametrize(
    'name', ['statistics', 'pushes', 'bookmarks', 'lastid']
)
def test_push_in_between(source: Filled, target: Filled, name: str) -> None:
    """It is there, or comes with the next pass, and nothing is missing."""

    def then() -> None:
        below = source.push([7])
        marks = [('scratch/x', 8), ('scratch/d', 8)]
        source.push([8], rests=[below], bookmarks=marks)

    late = Late(source.index)
    late.before(name, then)
    copying = _passes(source, target, of=late)
    for _pass in range(2):
        copying.run()
        assert copying.problems == []
    _sameindex(source, target)
    _samestore(source, target)


def test_removed_in_between(
    source: Filled, target: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push that was copied early, as another rests on its bundle, and is
    removed before its turn comes."""
    monkeypatch.setattr(walk, 'PAGE', 1)
    late = Late(source.index)
    copying = _passes(source, target, of=late)
    copying.run()
    base = source.push([21])
    source.push([22], rests=[base])
    again = source.push([21], 'bob')
    source.remove(base.id)
    # the call that goes through all pushes
    late.before(
        *('pushes', lambda: source.remove(again.id)), first=again.id, user=None
    )
    copying.run()
    assert again.id not in source.ids()
    _settle(copying)
    _sameindex(source, target)
    _samestore(source, target)


@pytest.mark.nightly('what it finds by chance is tried one by one')
def test_changes_all_the_time(source: Filled, target: Filled) -> None:
    """Three threads change the store until it is closed."""
    closed = threading.Event()
    failures: list[BaseException] = []
    usual = (
        *(errors.UnknownPush, errors.UnknownKey, errors.UnknownNote),
        *(errors.BundleGone, errors.BookmarkMoved),
    )

    def check() -> None:
        if closed.is_set():
            raise errors.StoreMoving

    def change(seed: int) -> None:
        chance = random.Random(seed)
        mine = Filled(source.folder)
        mine.index = moving.guarded(mine.index, check)  # type: ignore[assignment]
        try:
            while mine.index.lastid() < 900:
                with contextlib.suppress(*usual):
                    _something(chance, mine)
        except errors.StoreMoving:
            pass
        except BaseException as exc:
            failures.append(exc)
        mine.index.close()

    threads = [threading.Thread(target=change, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    copying = _passes(source, target)
    while source.index.lastid() < 150 and not failures:
        copying.run()
    closed.set()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    _settle(copying)
    assert copying.problems == []
    assert list(copying.differences()) == []
    _sameindex(source, target)


def test_how_often_users_moved_bookmarks(
    source: Filled, target: Filled
) -> None:
    for hour, user in enumerate(['bob', 'alice', 'alice', 'bob', 'alice']):
        now = BEGIN + 20 * DAY + 3600 * hour
        move = model.BookmarkMove('scratch/x', node(hour), force=True)
        source.index.movebookmarks([move], now, user)
    source.push([9], day=20.1)
    copying = _passes(source, target)
    _settle(copying)
    since = BEGIN + 20 * DAY + 1800
    assert source.index.times('alice', since, 9) != (
        target.index.times('alice', since, 9)
    )
    for _again in range(2):
        copying.copyrates(since)
        for user in ('alice', 'bob'):
            made = source.index.times(user, since, 9)
            assert target.index.times(user, since, 9) == made
    _sameindex(source, target)


# -- other backends


@pytest.mark.parametrize(
    'kinds',
    [
        ((PostgreSQL, Rclone), (MariaDB, SeaweedFS)),
        pytest.param(
            ((MariaDB, Rclone), (PostgreSQL, SeaweedFS)),
            marks=pytest.mark.nightly('each of them is in CI'),
        ),
    ],
    ids=('postgresql first', 'mariadb first'),
)
def test_there_and_back(
    backend: sessions.Getter,
    source: Filled,
    tmp_path: Path,
    kinds: tuple[tuple[type[Database], type[ObjectStore]], ...],
) -> None:
    """To a database and an object store, on to others, and back to files."""
    place = model.Place(os.fsencode(tmp_path / 'place'))
    with contextlib.ExitStack() as stack:
        before = source
        for database, objects in (*kinds, (None, None)):
            after = Filled(tmp_path / f'after{database}')
            if database is not None and objects is not None:
                url = stack.enter_context(indexes.empty(backend(database)))
                after.index = backends.openindex(url, place)
                store = backend(objects).fresh()
                after.store = backends.openstore(store, place)
            copying = _passes(before, after)
            copying.run()
            # and what comes meanwhile
            before.push([before.index.lastid() + 100], day=9)
            before.remove(before.ids()[0], evenpinned=True)
            before.movebookmark('scratch/d', None)
            _settle(copying)
            assert copying.problems == []
            assert list(copying.differences()) == []
            _sameindex(before, after)
            _samestore(before, after)
            stack.callback(after.store.close)
            stack.callback(after.index.close)
            before = after
        # one that points to what was removed
        assert set(before.verify()) <= {('bookmark', False), ('view', False)}


# -- a store that is closed


def test_guard(source: Filled) -> None:
    """What was changed just when the store was closed fails, too."""
    closed = False

    def check() -> None:
        if closed:
            raise errors.StoreMoving

    index = moving.guarded(source.index, check)
    assert index.push(3) == source.index.push(3)
    index.pin(3)
    closed = True
    with pytest.raises(errors.StoreMoving):
        index.pin(3, False)
    # it was looked at a moment ago
    assert not source.index.push(3).pinned
    index = moving.guarded(source.index, check)
    with pytest.raises(errors.StoreMoving):
        index.pin(4, False)
    assert source.index.push(4).pinned
    closed = False
    index.pin(4, False)
    assert not source.index.push(4).pinned


def test_who_is_gone_keeps_nothing_closed() -> None:
    done = subprocess.run(
        [sys.executable, '-c', 'import os; print(os.getpid())'],
        capture_output=True,
        check=True,
    )
    here = moving.Move('1', 'file:/a', 'file:/b').byme(closed=True)
    gone = here._replace(pid=int(done.stdout))
    assert here.isclosed('file', 'file')
    assert not gone.isclosed('file', 'file')
    # another machine's process may be there, and all is copied by now
    assert gone._replace(host='elsewhere').isclosed('file', 'file')
    assert gone._replace(done=True).isclosed('file', 'file')
    # who uses the copy goes on; where one half stays, that is the same store
    assert not here.isclosed('file:/a', 'file:/b')
    assert here.isclosed('file', 'file:/b')
    half = here._replace(newstore=None)
    assert half.isclosed('file', 'file')
    assert not half.isclosed('file', 'file:/b')


def test_note_of_a_move(source: Filled) -> None:
    move = moving.Move('1', 'file:/a', None).byme()
    assert moving.read(source.store) is None
    moving.write(source.store, move)
    assert moving.read(source.store) == move
    data = source.store.note(moving.NAME)
    for wrong in (b'', b'[]', b'{}', data.replace(b'pid', b'dip')):
        source.store.putnote(moving.NAME, wrong)
        with pytest.raises(errors.CorruptNote):
            moving.read(source.store)
    newer = data.replace(b'"version":1', b'"version":2')
    source.store.putnote(moving.NAME, newer)
    with pytest.raises(errors.UnsupportedFormat):
        moving.read(source.store)


def _migration(source: Filled, root: Path) -> Any:
    """Return the move of a store to a folder."""
    settings = types.SimpleNamespace(
        storeurl='file', indexurl='file', maxrate=None
    )
    server = types.SimpleNamespace(
        openstore=lambda: source.store,
        index=source.index,
        wholeindex=source.index,
        settings=settings,
        place=model.Place(os.fsencode(root)),
    )
    fm = UI.formatter(b'test', {b'template': b''})
    return migrate._Migration(UI, server, fm, *_urls(root), False)


@pytest.mark.parametrize('abandoned', [True, False])
def test_somebody_else_opens_the_store(
    source: Filled,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    abandoned: bool,
) -> None:
    """What came since may not be in the copy, so this is not the end."""
    moved = moving.Move('2', 'file:/other', None, host='elsewhere', pid=1)
    original = passes.Passes.differences

    def differences(self: passes.Passes) -> Any:
        there = moving.read(source.store)
        assert there is not None
        assert there.isclosed('file', 'file')
        change = there._replace(closed=False) if abandoned else moved
        moving.write(source.store, change)
        return original(self)

    with monkeypatch.context() as patched:
        patched.setattr(passes.Passes, 'differences', differences)
        with pytest.raises(errors.BackendUnavailable, match='somebody else'):
            _migration(source, tmp_path / 'copy').run(False)
    found = moving.read(source.store)
    assert found is not None
    assert not found.done
    assert not found.closed
    if abandoned:
        assert _migration(source, tmp_path / 'copy').run(False) == 0
        found = moving.read(source.store)
        assert found is not None
        assert found.done
    else:
        # it is left to the other one
        assert found == moved


def test_what_fails_in_the_end_opens_the_store(
    source: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        passes.Passes, 'differences', lambda self: iter(['pushes: 1, 2'])
    )
    with pytest.raises(errors.BackendUnavailable, match='pushes: 1, 2'):
        _migration(source, tmp_path / 'copy').run(False)
    found = moving.read(source.store)
    assert found is not None
    assert not found.isclosed('file', 'file')
    assert not found.isalive


# -- the command


def _urls(root: Path) -> tuple[str, str]:
    return f'file:{root}/bundles', f'file:{root}/index.sqlite3'


def _migrate(repo: Repo, root: Path, *words: str, **kwargs: Any) -> Any:
    store, index = _urls(root)
    return repo.run(
        MIGRATE, '--store', store, '--index', index, *words, **kwargs
    )


@pytest.fixture
def server(hg: Callable[..., Hg], tmp_path: Path) -> Repo:
    repo = hg().init(tmp_path / 'base')
    repo.enable()
    repo.configure('bundlestore', {'server': 'yes'})
    made = Filled(folder(repo))
    one = made.push([1, 2], bookmarks=[('scratch/a', 2)])
    made.push([3], 'bob', rests=[one], day=1)
    made.index.close()
    return repo


def test_command(server: Repo, tmp_path: Path) -> None:
    root = tmp_path / 'copy'
    with untouched(server.path):
        assert _migrate(server, root, '--dry-run').out == (
            'pass 1: would copy 2 pushes, 2 bundles, 2 notes (490 bytes)\n'
        )
    assert not root.exists()
    assert _migrate(server, root, '--no-close').out.startswith('pass 1: ')
    server.run('admin::bundlestore-pin', '1')
    told = json.loads(_migrate(server, root, '-T', 'json').out)
    store, index = _urls(root)
    counts = {'bundles': 0, 'size': 0, 'bookmarks': 0, 'removed': 0}
    counts['views'] = 0
    assert told == [
        {
            'kind': 'pass',
            'number': 1,
            'closed': False,
            **counts,
            'pushes': 1,
            'notes': 1,
        },
        {
            'kind': 'pass',
            'number': 2,
            'closed': True,
            **counts,
            'pushes': 0,
            'notes': 0,
        },
        {'kind': 'moved', 'store': store, 'index': index},
    ]
    # it is said once more, and nothing is done
    again = _migrate(server, root).out
    assert again.startswith('everything is copied; this bundle store stays')
    assert f'  [bundlestore]\n  store = {store}\n  index = {index}\n' in again
    closed = 'abort: the bundle store is being moved\n(try again in a minute)\n'
    for words in (
        ('admin::bundlestore-pin', '2'),
        ('admin::bundlestore-gc',),
        ('admin::bundlestore-remove', '2'),
        (VERIFY, '--repair'),
    ):
        assert server.run(*words, ok=[255]).err == closed
    check = server.run('admin::bundlestore-stats', '--check', ok=[1]).out
    assert check.startswith('moving: the bundle store has moved: it is closed')
    # who uses the copy goes on
    server.configure('bundlestore', {'store': store, 'index': index})
    server.run('admin::bundlestore-stats', '--check')
    server.run('admin::bundlestore-pin', '2')
    assert server.run(VERIFY).out.endswith(': 0 problems, 0 remarks\n')
    there = Filled(root)
    assert [push.pinned for push in there.index.pushes()] == [True, True]
    assert not {moving.NAME, moving.COPY}.intersection(there.store.notes())
    there.index.close()


@pytest.mark.parametrize('half', ['store', 'index'])
def test_one_half(server: Repo, tmp_path: Path, half: str) -> None:
    """The other stays, and is shared by who uses the copy."""
    url = dict(zip(('store', 'index'), _urls(tmp_path / 'copy')))[half]
    out = server.run(MIGRATE, f'--{half}', url).out
    assert out.count(' = ') == 1
    assert f'  {half} = {url}\n' in out
    server.run('admin::bundlestore-pin', '2', ok=[255])
    server.configure('bundlestore', {half: url})
    server.run('admin::bundlestore-pin', '2')
    assert server.run(VERIFY).out.endswith(': 0 problems, 0 remarks\n')


def test_nothing_was_pushed_yet(hg: Callable[..., Hg], tmp_path: Path) -> None:
    repo = hg().init(tmp_path / 'base')
    repo.enable()
    repo.configure('bundlestore', {'server': 'yes', 'max-rate': '9/hour'})
    assert _migrate(repo, tmp_path / 'copy').out.count(' = ') == 2


def test_abandoned(server: Repo, tmp_path: Path) -> None:
    root = tmp_path / 'copy'
    assert server.run(MIGRATE, '--abandon').out == (
        'the bundle store is open\n'
    )
    _migrate(server, root)
    server.run('admin::bundlestore-pin', '1', ok=[255])
    elsewhere = _migrate(server, tmp_path / 'other', ok=[255]).err
    assert 'the bundle store has moved elsewhere' in elsewhere
    assert server.run(MIGRATE, '--abandon').out == 'opened the bundle store\n'
    server.run('admin::bundlestore-pin', '1')
    # somebody may have used the copy
    assert 'is not empty' in _migrate(server, root, ok=[255]).err
    _migrate(server, tmp_path / 'other')


def test_what_is_refused(server: Repo, tmp_path: Path) -> None:
    def refused(*words: str) -> str:
        with untouched(server.path):
            err: str = server.run(MIGRATE, *words, ok=[255]).err
        assert err.startswith('abort: ')
        assert err.count('\n') == 2
        return err

    assert 'nothing says where' in refused()
    assert (
        'goes with nothing else'
        in server.run(MIGRATE, '--abandon', '-n', ok=[255]).err
    )
    assert 'the bundle store is there already' in refused('--store', 'file')
    assert 'the bundle index is there already' in refused('--index', 'file')
    own = folder(server)
    # the same by another name
    assert 'not empty' in refused('--store', f'file:{own}/bundles')
    assert 'not empty' in refused('--index', f'file:{own}/index.sqlite3')
    assert 'unknown bundle store scheme' in refused('--store', 'nonsense:')
    # the arguments the wrong way round
    assert 'not a bundle index' in refused('--index', f'file:{server.hgrc}')
    other = Filled(tmp_path / 'other')
    other.push([1])
    other.index.close()
    store, index = _urls(other.folder)
    with untouched(other.folder / 'bundles'):
        assert 'no copy of this one' in refused('--store', store)
        assert 'no copy of this one' in refused('--index', index)
    # a copy that was begun, and that is another's since
    _migrate(server, tmp_path / 'copy', '--no-close')
    (tmp_path / 'copy').rename(tmp_path / 'away')
    other.folder.rename(tmp_path / 'copy')
    said = _migrate(server, tmp_path / 'copy', ok=[255]).err
    assert 'no copy of this one' in said
    said = server.run(
        *(MIGRATE, '--index', _urls(tmp_path / 'copy')[1]), ok=[255]
    ).err
    assert 'no copy of this one' in said


def test_lost_index_is_not_copied(server: Repo, tmp_path: Path) -> None:
    Filled(folder(server)).loseindex()
    said = _migrate(server, tmp_path / 'copy', ok=[255]).err
    assert 'bundle index is empty, but the store holds pushes' in said
    assert not (tmp_path / 'copy').exists()


def test_problems_by_the_command(server: Repo, tmp_path: Path) -> None:
    made = Filled(folder(server))
    key = made.index.push(2).key
    made.store.delete(key)
    made.index.close()
    out = _migrate(server, tmp_path / 'copy', ok=[1]).out
    assert f'problem: bundle {key} is missing (push 2)\n' in out
    assert 'everything else is copied' in out


@matrix.over('ssh', 'http')
def test_pushes_are_refused_while_it_is_closed(
    transport: Transport, base: Repo, client: Repo, tmp_path: Path
) -> None:
    node = client.commit({'file': 'text\n'}, 'message')
    client.run('push', '--bundle-store', '-r', node)
    _migrate(base, tmp_path / 'copy')
    other = client.commit({'file': 'more\n'}, 'more')
    with untouched(folder(base) / 'bundles', ['tmp']):
        for words in (
            ('push', '--bundle-store', '-r', other),
            ('push', '-r', node, '-B', 'scratch/x'),
            ('pushes', '--remove', '1'),
        ):
            result = client.run(*words, ok=[255])
            said = result.err + result.out
            assert said.count('abort: ') == 1
            assert 'the bundle store is being moved' in said
            assert '(try again in a minute)' in said
    made = Filled(folder(base))
    assert made.index.lastid() == 1
    made.index.close()
    # what is there is there
    client.run('identify', '-r', node, 'default')
    store, index = _urls(tmp_path / 'copy')
    base.configure('bundlestore', {'store': store, 'index': index})
    assert 'push 2' in client.run('push', '--bundle-store', '-r', other).out


@pytest.mark.slow('several clients push while the store is moved')
@matrix.over('ssh')
def test_nothing_is_lost_while_clients_push(
    transport: Transport, base: Repo, hg: Callable[..., Hg], tmp_path: Path
) -> None:
    """What a client is told to be stored is there when the store has moved,
    though all of them push until they are refused."""
    stored: list[tuple[str, str]] = []
    failures: list[BaseException] = []
    looking = threading.Lock()

    def client(number: int) -> None:
        try:
            mine = hg().clone(base.path, tmp_path / f'client{number}')
            mine.enable()
            transport.connect(mine, base)
            for step in itertools.count():
                with looking:
                    name = mine.commit({f'{number}': f'{step}\n'}, f'{step}')
                mark = f'scratch/{number}/{step}'
                words = ('push', '--bundle-store', '-r', name, '-B', mark)
                result = mine.run(*words, ok=(0, 255))
                if result.code:
                    assert 'the bundle store is being moved' in result.err
                    return
                stored.append((name, mark))
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    while len(stored) < 3 and not failures:
        threads[0].join(0.1)
    told = _migrate(base, tmp_path / 'copy').out
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    assert 'everything is copied' in told
    there = Filled(tmp_path / 'copy')
    heads = {push.heads[0].node.hex() for push in there.index.pushes()}
    assert heads.issuperset(name for name, _mark in stored)
    for name, mark in stored:
        found = there.index.bookmark(mark)
        assert found is not None
        assert found.hex() == name
    there.index.close()
    store, index = _urls(tmp_path / 'copy')
    base.configure('bundlestore', {'store': store, 'index': index})
    assert base.run(VERIFY).out.endswith(': 0 problems, 0 remarks\n')
