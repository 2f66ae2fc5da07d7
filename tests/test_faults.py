"""What goes wrong around a bundle store: each time a clear error, nobody else
is in trouble, and it comes right by itself or by one command."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults import fixtures, invariants, realclient
from faults.forking import Done
from faults.site import Site
from harness import matrix, servers, web
from harness.hg import Repo
from harness.store import folder

pytestmark = [
    pytest.mark.slow('dozens of servers whose file operations fail'),
    pytest.mark.realstarts('servers that are killed'),
]

REPAIR = ('admin::bundlestore-verify', '--repair')


@pytest.fixture(scope='module')
def _site() -> Iterator[Site]:
    with fixtures.site() as made:
        yield made


@pytest.fixture
def site(_site: Site) -> Iterator[Site]:
    """A store with the pushes ``one`` and ``two``."""
    _site.restore('prepared')
    yield _site
    _site.checkbase()


def pushes(site: Site, *names: str) -> list[str]:
    """Return the heads of these pushes."""
    return [site.expected[name].head for name in names]


def refused(done: Done) -> str:
    """Return what a command said that must have failed with one line and a
    hint, at most."""
    assert done.code == 255, done
    assert 'Traceback' not in done.err
    assert done.err.count('abort: ') == 1, done
    return done.err


def check(site: Site, *names: str) -> None:
    """These pushes are there and can be pulled, and nothing is wrong."""
    wanted = [site.expected[name] for name in names]
    invariants.check(site.store, wanted)
    invariants.checkpulled(site, wanted)
    invariants.checkverified(site)


def test_readonly(site: Site) -> None:
    """Where nothing can be written a push is refused; reading goes on."""
    run = site.send('new', site.plan('readonly', 1))
    assert run.reply.abort, run
    assert run.reply.hint
    assert 'Traceback' not in run.done.err
    plan = site.plan('readonly', 1)
    assert site.pull(pushes(site, 'one', 'two'), plan).code == 0
    listed, _ = site.command('pushes', '-T', 'json', plan=plan)
    assert [push['push'] for push in json.loads(listed.out)] == [2, 1]
    assert site.send('new').reply.stored
    check(site, 'one', 'two', 'new')


def test_unreadable_bundle(site: Site) -> None:
    """A bundle that the disk does not give back: its pull aborts."""
    plan = site.plan()._replace(unreadable=site.expected['two'].key)
    (head,) = pushes(site, 'two')
    message = refused(site.pull([head], plan))
    assert 'input/output error' in message.lower()
    assert not site.clone.knows(head)
    result = realclient.pull(site, head, plan)
    assert result.code == 255
    assert 'Traceback' not in result.err
    assert not site.clone.knows(head)
    assert site.pull(pushes(site, 'one'), plan).code == 0
    assert site.send('new', plan).reply.stored
    check(site, 'one', 'two', 'new')


def test_locked_index(site: Site) -> None:
    """Another process writes for long: a push waits, and then says so."""
    with contextlib.closing(
        sqlite3.connect(site.store / 'index.sqlite3', isolation_level=None)
    ) as other:
        other.execute('BEGIN EXCLUSIVE')
        run = site.send('new', site.plan()._replace(haste=True))
        assert run.reply.abort, run
        assert 'locked for too long' in run.reply.abort
        assert 'try again later' in run.reply.hint
        assert site.pull(pushes(site, 'one', 'two')).code == 0
        other.execute('ROLLBACK')
    assert site.send('new').reply.stored
    check(site, 'one', 'two', 'new')


@matrix.over('http')
def test_deleted_index(
    transport: servers.HttpTransport, base: Repo, client: Repo
) -> None:
    """While a server runs, its index is deleted."""
    heads = []
    for number in range(3):
        heads.append(client.commit({f'{number}.txt': 'text\n'}, f'{number}'))
        if number == 2:
            for path in folder(base).glob('index.sqlite3*'):
                path.unlink()
            result = client.run('push', '--bundle-store', ok=(255,))
            assert 'bundle index is empty' in result.err
            assert ' '.join(REPAIR) in result.err
            base.run(*REPAIR)
        client.run('push', '--bundle-store', '-r', heads[-1])
    listed = web.get(transport.url(base) + '/json-pushes?version=2')
    assert json.loads(listed.body)['lastpushid'] == 3
    clone = client.hg.clone(base.path, client.path.parent / 'clone')
    transport.connect(clone, base)
    clone.run('pull', '-r', heads[-1])
    clone.verify()


def _truncate(size: float) -> Callable[[bytearray], None]:
    def damage(data: bytearray) -> None:
        del data[int(len(data) * size) :]

    return damage


def _flip(place: float) -> Callable[[bytearray], None]:
    def damage(data: bytearray) -> None:
        data[int(len(data) * place)] ^= 4

    return damage


def _blank(page: int) -> Callable[[bytearray], None]:
    def damage(data: bytearray) -> None:
        data[4096 * page : 4096 * (page + 1)] = bytes(4096)

    return damage


def _damage(path: Path, damage: Callable[[bytearray], None]) -> None:
    data = bytearray(path.read_bytes())
    damage(data)
    path.write_bytes(data)


@pytest.mark.parametrize(
    'damage',
    [
        *(_truncate(size) for size in (0, 0.001, 0.1, 0.5, 0.95)),
        *(_flip(place) for place in (0, 0.0012, 0.3)),
        *(_blank(page) for page in range(0, 20, 4)),
    ],
)
def test_damaged_index(site: Site, damage: Callable[[bytearray], None]) -> None:
    """It is used as far as it can be read, or not at all; and made anew."""
    _damage(site.store / 'index.sqlite3', damage)
    pulled = site.pull(pushes(site, 'one', 'two'))
    if pulled.code:
        refused(pulled)
    run = site.send('new')
    assert 'Traceback' not in run.done.err
    if not run.reply.stored:
        assert run.reply.abort
        assert run.reply.hint
    done, _ = site.command(*REPAIR)
    assert (done.code, done.err) == (0, ''), done
    if not run.reply.stored:
        assert site.send('new').reply.stored
    check(site, 'one', 'two', 'new')


def _delete(data: bytearray) -> None:
    del data[:]


@pytest.mark.parametrize(
    'damage',
    [
        _delete,
        *(_truncate(size) for size in (0.1, 0.9999)),
        *(_flip(place) for place in (0, 0.0005, 0.002, 0.5, 0.9999)),
    ],
)
def test_damaged_bundle(
    site: Site, damage: Callable[[bytearray], None]
) -> None:
    """It is never served, ``verify`` finds it, and pushing it again heals."""
    key, (head,) = site.expected['two'].key, pushes(site, 'two')
    path = site.store / 'bundles' / key[:2] / key
    path.chmod(0o644)
    if damage is _delete:
        path.unlink()
    else:
        _damage(path, damage)
    refused(site.pull([head]))
    assert not site.clone.knows(head)
    assert site.pull(pushes(site, 'one')).code == 0
    done, _ = site.command('admin::bundlestore-verify', '-T', 'json')
    assert done.code == 1
    (finding,) = json.loads(done.out)
    assert (finding['severity'], finding['pushes']) == ('problem', [2])
    assert site.send('two').reply.stored
    check(site, 'one', 'two', 'two')


def test_clock_set_back(site: Site) -> None:
    """Pushes follow each other by number, whatever the clock says."""
    days = 86400.0
    site.restore(None)
    for name, clock in (('one', 0), ('two', -400 * days), ('new', 2 * days)):
        assert site.send(name, site.plan(clock=clock)).reply.stored
    check(site, 'one', 'two', 'new')
    listed, _ = site.command('pushes', '-T', 'json')
    assert [push['push'] for push in json.loads(listed.out)] == [3, 2, 1]
    collect = ('admin::bundlestore-gc', '--older-than', '30 days')
    # to who lives in the past, nothing is old
    done, _ = site.command(*collect, plan=site.plan(clock=-400 * days))
    assert (done.code, done.err) == (0, ''), done
    check(site, 'one', 'two', 'new')
    done, _ = site.command(*collect)
    assert (done.code, done.err) == (0, ''), done
    check(site, 'one', 'new')
