"""Pushes that are removed by name: by who runs the store, and by who made
them."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import matrix, web
from harness.changegroups import node
from harness.filled import Filled, Killed, Mortal
from harness.hg import Repo
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import bundles, folder
from hgext3rd.bundlestore import errors
from hgext3rd.bundlestore.stores import notes

NAME = 'scratch/x'
#: what a command may end with that aborts
ABORTED = (10, 100, 255)


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    """Four pushes: the second and third rest on the first, the fourth is the
    first again."""
    made = Filled(tmp_path / 'bundlestore')
    base = made.push([1], bookmarks=[('scratch/one', 1)])
    made.push([2], 'bob', 1, [base], bookmarks=[(NAME, 2)])
    made.push([3], 'alice', 2, [base])
    made.push([1], day=3)
    return made


# -- what goes


@pytest.mark.parametrize('thorough', [True, False])
def test_what_others_rest_on_stays(filled: Filled, thorough: bool) -> None:
    def remove(id: int) -> list[tuple[str, str]]:
        foreseen = filled.remove(id, dry=True)
        gone = filled.remove(id, thorough=thorough)
        assert sorted(foreseen) == sorted(gone)
        return gone

    pushed = ('push', 'asked')
    bundle = ('bundle', 'removed')
    assert remove(1) == [pushed]
    assert filled.index.bookmark('scratch/one') is None
    assert remove(4) == [pushed]
    assert remove(2) == [pushed, bundle]
    assert filled.index.bookmark(NAME) is None
    assert filled.ids() == [3]
    assert filled.verify() == []
    # what it rested on goes with it, and all notes
    gone = remove(3)
    assert sorted(gone) == [bundle, bundle, pushed]
    assert list(filled.store.keys()) == []
    assert [*filled.store.notes()] == ['state/lastid.json']
    assert filled.verify() == []
    assert filled.push([5]).id == 5


def test_pinned_pushes(filled: Filled) -> None:
    filled.pin(2)
    for thorough, dry in itertools.product((True, False), repeat=2):
        with pytest.raises(errors.PinnedPush):
            filled.remove(2, thorough=thorough, dry=dry)
    assert filled.ids() == [1, 2, 3, 4]
    assert filled.gc() == []
    assert filled.verify() == []
    assert filled.remove(2, evenpinned=True)[0] == ('push', 'asked')


@pytest.mark.parametrize('thorough', [True, False])
def test_bundles_of_lost_pushes_stay(filled: Filled, thorough: bool) -> None:
    """They may come back."""
    filled.remove(2, 3)
    lost = filled.index.push(4)
    filled.index.remove(4)
    assert notes.pushname(lost.key, 4) in filled.store.notes()
    filled.remove(1, thorough=thorough)
    assert list(filled.store.keys()) == [lost.key]
    filled.verify(repair=True)
    assert filled.ids() == [4]


@pytest.mark.slow('a removal that ends at each moment')
@pytest.mark.parametrize('thorough', [True, False])
def test_removal_that_is_killed(
    tmp_path: Path, filled: Filled, thorough: bool
) -> None:
    """The next gc ends what was begun; a push is there whole or not at all."""
    filled.movebookmark(NAME, 1)
    filled.push([2], bookmarks=[(NAME, 2)], day=4)
    for count in itertools.count(1):
        copy = filled.copy(tmp_path / f'{count}')
        killed = True
        with contextlib.suppress(Killed):
            copy.remove(2, 6, wrap=Mortal(count), thorough=thorough)
            killed = False
        for also in (copy, copy.copy(tmp_path / f'{count}.anew')):
            if also is not copy:
                also.loseindex()
                also.verify(repair=True)
            also.gc()
            assert also.verify() == []
            there = set(also.ids())
            assert {1, 3, 4} <= there <= {1, 2, 3, 4, 6}
            if not killed:
                assert there == {1, 3, 4}
            expected = node(2) if 6 in there else None
            if 2 not in there or 6 in there:
                assert also.index.bookmark(NAME) == expected
        if not killed:
            assert count > 5
            break


@pytest.mark.parametrize(
    'wish',
    [
        {'before': 2.5},
        {'before': 0.5},
        {'quota': 1},
        {'before': 1.5, 'quota': 1},
        {'before': 9},
        {'forget': True},
        {'before': 2.5, 'forget': True},
    ],
)
def test_dry_run_tells_what_will_go(filled: Filled, wish: Any) -> None:
    filled.movebookmark('scratch/dangling', 2)
    filled.movebookmark('scratch/held', 1)
    filled.movebookmark(NAME, 3)
    filled.push([6], day=5, bookmarks=[(NAME, 6)])
    filled.remove(filled.push([7], 'bob', 1, [filled.index.push(1)]).id)
    filled.store.delete(filled.index.push(3).key)
    filled.gc()
    filled.bundle([50])
    foreseen = filled.gc(dry=True, grace=-1e9, **wish)
    gone = filled.gc(grace=-1e9, **wish)
    assert sorted(foreseen) == sorted(gone)


# -- by its command

REMOVE = 'admin::bundlestore-remove'


@matrix.over('ssh')
def test_by_the_administrator(
    transport: Transport, base: Repo, client: Repo
) -> None:
    for number in range(3):
        client.commit({'a': f'{number}\n'}, f'push {number}')
        client.run('push', '-r', '.', '-B', f'scratch/{number}')
    keys = [path.name for path in bundles(base)]
    assert len(keys) == 3
    base.run('admin::bundlestore-pin', '3')
    with untouched(base.path):
        err = base.run(REMOVE, '2', '3', ok=ABORTED).err
        assert 'abort: push 3 is pinned\n' in err
        assert '-pin -d 3' in err
        err = base.run(REMOVE, '2', '9', ok=ABORTED).err
        assert "abort: no push '9'\n" in err
        assert 'name the pushes' in base.run(REMOVE, ok=ABORTED).err
        shown = base.run(REMOVE, '-n', 'scratch/1', '-f', '3').out.splitlines()
        assert len(shown) == 5
        assert shown[0].startswith('would remove push 2 (alice, ')
        assert shown[0].endswith(': it was named')
        assert shown[-1].startswith('would remove 2 pushes, 2 bundles (')
        assert len(bundles(base)) == 3
        said = json.loads(base.run(REMOVE, '3', '--force', '-Tjson').out)
        assert [one['kind'] for one in said] == ['push', 'bundle']
        assert said[0]['push'] == 3
        out = base.run(REMOVE, '2').out
        assert out.startswith('removed 1 push, 1 bundle (')
    assert len(bundles(base)) == 1
    listed = client.run('pushes', '-T', '{push} {bookmarks}\n')
    assert listed.out == '1 scratch/0\n'


@pytest.mark.parametrize(
    'transport_name',
    ['ssh', pytest.param('wsgi', marks=matrix.ANOTHER)],
)
@pytest.mark.parametrize('webconfig', [{'allow-push': 'alice, bob'}])
def test_by_who_made_it(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
) -> None:
    client.commit({'a': 'a\n'}, 'mine')
    urls = {user: transport.url(base, user) for user in ('alice', 'bob')}
    client.run('push', '-r', '.', '-B', NAME, urls['alice'])
    base.run('admin::bundlestore-pin', '1')

    def remove(*args: str, **more: Any) -> str:
        with untouched(base.path):
            return str(client.run('pushes', '--remove', *args, **more))

    text = remove('1', urls['alice'], ok=ABORTED)
    assert 'abort: push 1 is pinned' in text
    base.run('admin::bundlestore-pin', '-d', '1')
    text = remove('1', urls['bob'], ok=ABORTED)
    assert "abort: push 1 is not of user 'bob'" in text
    assert 'abort: there is no push 2' in remove('2', urls['alice'], ok=ABORTED)
    assert "abort: 'x' is not the number of a push" in remove(
        'x', urls['alice'], ok=ABORTED
    )
    assert len(bundles(base)) == 1
    if transport.url(base).startswith('http'):
        # no page of another site can have it done by who visits that
        url = f'{urls["alice"]}?cmd=bundlestoreremove&push=1'
        assert web.get(url, user='alice').status in (401, 405)
        remove('1', transport.url(base, 'nobody'), ok=ABORTED)
        assert len(bundles(base)) == 1
    text = remove('1', urls['alice'])
    assert 'removed push 1, 1 bundle (' in text
    assert not bundles(base)
    client.run('pushes', urls['alice'], ok=(1,))
    result = client.run('pull', '-B', NAME, urls['alice'], ok=ABORTED)
    assert f"unknown revision '{NAME}'" in result.err


@matrix.over('path')
def test_of_a_repository_on_this_machine(
    transport: Transport, base: Repo, client: Repo
) -> None:
    client.commit({'a': 'a\n'}, 'mine')
    client.run('push', '--bundle-store')
    assert len(bundles(base)) == 1
    client.run('pushes', '--remove', '1')
    assert not bundles(base)
    store = folder(base) / 'bundles'
    assert [*store.glob('??/*')] == []
