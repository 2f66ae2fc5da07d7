"""Scratch bookmarks that move without a push: events with a number, notes of
their own, within the limits, with hooks, and without a bundle."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Optional

import pytest

from harness import matrix
from harness.changegroups import node
from harness.filled import BEGIN, Filled, Killed, Mortal
from harness.hg import Repo
from harness.history import History
from harness.servers import SshTransport, Transport
from harness.snapshot import untouched
from harness.store import bundles, folder
from harness.wire import Wire
from hgext3rd.bundlestore import model
from hgext3rd.bundlestore.stores import marks, notes

NAME = 'scratch/x'

#: the answer to a ``pushkey`` that did what it should, over ssh
TAKEN = '2\n1\n'

#: writes down that a server stages a bundle
PROBE = """\
from hgext3rd.bundlestore.stores.file import FileStore

def stage(self, chunks, orig=FileStore.stage):
    open({path!r}, 'a').write('staged ')
    return orig(self, chunks)

FileStore.stage = stage
"""


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    made = Filled(tmp_path / 'bundlestore')
    made.push([1])
    made.push([2])
    return made


def move(
    filled: Filled, number: Optional[int], name: str = NAME
) -> Callable[[], None]:
    """Record a move; return what notes it."""
    new = None if number is None else node(number)
    wanted = model.BookmarkMove(name, new, force=True)
    moved = filled.index.movebookmarks([wanted], BEGIN, 'alice')
    return lambda: marks.write(
        filled.store, filled.index, moved, BEGIN, 'alice'
    )


def marknotes(filled: Filled) -> list[str]:
    return [n for n in filled.store.notes() if notes.parsebookmarkname(n)]


def anew(filled: Filled) -> list[model.Bookmark]:
    """Return the bookmarks of an index that is made anew."""
    last = filled.index.lastid()
    filled.loseindex()
    filled.verify(repair=True)
    assert filled.index.lastid() == last
    assert filled.verify() == []
    return filled.index.bookmarks()


# -- notes


@pytest.mark.parametrize('last', [2, None])
@pytest.mark.parametrize('order', [*itertools.permutations(range(3))])
def test_several_moves_at_once(
    filled: Filled, order: tuple[int, ...], last: Optional[int]
) -> None:
    """Whoever notes last, where the last one moved it is where it is."""
    note = [move(filled, number) for number in (1, 2, 1, last)]
    for number in order:
        note[number]()
    note[3]()
    before = filled.index.bookmarks()
    assert [mark.node for mark in before] == [node(2)] * bool(last)
    assert anew(filled) == before
    # the last one to note need not be the last one
    note = [move(filled, number) for number in (1, last)]
    for number in (1, 0):
        note[number]()
    before = filled.index.bookmarks()
    assert anew(filled) == before


def test_notes_do_not_pile_up(filled: Filled) -> None:
    for number in range(20):
        filled.movebookmark(NAME, 1 + number % 2)
        filled.movebookmark(f'scratch/{number}', 1)
        filled.movebookmark(f'scratch/{number}', None)
        assert len(marknotes(filled)) == 1
    filled.movebookmark(NAME, None)
    assert marknotes(filled) == []
    assert anew(filled) == []
    assert filled.ids() == [1, 2]


def test_notes_that_a_push_made_needless_go(filled: Filled) -> None:
    for number in (1, 2):
        move(filled, number)()
        filled.push([number + 2], bookmarks=[(NAME, number + 2)])
    (before,) = filled.index.bookmarks()
    assert len(marknotes(filled)) == 2
    assert filled.gc(dry=True) == filled.gc() == [('note', 'superseded')] * 2
    assert marknotes(filled) == []
    assert anew(filled) == [before]
    # what keeps it from coming back stays, until no push would bring it
    filled.movebookmark(NAME, None)
    filled.gc()
    assert len(marknotes(filled)) == 1
    assert anew(filled) == []
    for push in filled.index.pushes()[2:]:
        filled.index.remove(push.id)
        notes.delete(filled.store, push.key, push.id)
    filled.gc()
    assert marknotes(filled) == []


def test_bookmark_that_goes_with_a_push(filled: Filled) -> None:
    """An earlier move without a push does not bring it back."""
    filled.movebookmark(NAME, 1)
    filled.push([3], bookmarks=[(NAME, 3)], day=-9)
    assert filled.gc(before=-1).count(('push', 'age')) == 1
    assert anew(filled) == []
    filled.gc()
    assert marknotes(filled) == []
    assert anew(filled) == []


def test_last_move_of_a_slow_writer(filled: Filled) -> None:
    """It was deleted before the move was noted."""
    filled.push([3], bookmarks=[('scratch/pushed', 3)])
    for name in (NAME, 'scratch/pushed'):
        slow = move(filled, 1, name)
        filled.movebookmark(name, None)
        slow()
    assert anew(filled) == []


def test_index_that_held_nothing_but_moves(tmp_path: Path) -> None:
    made = Filled(tmp_path / 'bundlestore')
    made.movebookmark(NAME, None)
    assert not notes.anyids(made.store)
    made.movebookmark(NAME, None)
    wanted = model.BookmarkMove(NAME, node(1))
    moved = made.index.movebookmarks([wanted], BEGIN, 'alice')
    marks.write(made.store, made.index, moved, BEGIN, 'alice')
    made.loseindex()
    assert notes.isindexlost(made.store, made.index)
    assert ('index', False) in made.verify()
    made.verify(repair=True)
    assert not notes.isindexlost(made.store, made.index)
    assert made.index.lastid() == moved.id


@pytest.mark.parametrize(('first', 'second'), [(1, 2), (None, 2), (1, None)])
def test_death_at_each_step(
    tmp_path: Path,
    filled: Filled,
    first: Optional[int],
    second: Optional[int],
) -> None:
    """What was acknowledged is there, before and after the index is lost."""
    filled.push([3], bookmarks=[(NAME, 3)])
    filled.movebookmark(NAME, first)
    for count in itertools.count(1):
        copy = filled.copy(tmp_path / str(count))
        fate = Mortal(count)
        new = None if second is None else node(second)
        wanted = model.BookmarkMove(NAME, new, force=True)
        dead = True
        with contextlib.suppress(Killed):
            moved = fate(copy.index).movebookmarks([wanted], BEGIN, 'alice')
            marks.write(
                fate(copy.store), fate(copy.index), moved, BEGIN, 'alice'
            )
            dead = False
        copy.gc()
        copy.loseindex()
        copy.verify(repair=True)
        found = copy.index.bookmark(NAME)
        places = [second] if not dead else [first, second]
        assert found in [None if n is None else node(n) for n in places]
        if not dead:
            assert count > 3
            break


# -- over the wire


def _limits(base: Repo, **values: str) -> None:
    base.configure(
        'bundlestore', {k.replace('_', '-'): v for k, v in values.items()}
    )


@matrix.over('ssh')
def test_moves_have_limits_and_hooks(
    transport: Transport,
    base: Repo,
    client: Repo,
    hashes: History,
) -> None:
    log = transport.root / 'hooks.log'
    words = ('COUNT', 'BOOKMARK', 'NODE', 'PUSHID', 'BUNDLEID', 'HOOKTYPE')
    line = '|'.join(f'${{HG_{word}}}' for word in words)
    command = f'echo "{line}" >> {log}'
    base.configure('hooks', {'prebundlestore': command, 'bundlestore': command})
    _limits(base, quota='3 kB', max_rate='5/hour')
    said = Wire(transport, base, 'alice')

    def key(name: str, old: str = '', new: str = hashes.tagged) -> str:
        return said.pushkey('bookmarks', f'scratch/{name}', old, new)

    with untouched(base.path):
        assert TAKEN in key('one')
        assert TAKEN in key('one', hashes.tagged, hashes.merged)
        args = ('push', '-r', hashes.tagged, '-B')
        # as a push with nothing but bookmarks in it
        client.run(*args, 'scratch/two', transport.url(base), ok=(1,))
        assert TAKEN in key('three')
        refused = key('four')
        assert TAKEN not in refused
        assert 'exceeds the quota of 3.00 KB' in refused
        assert TAKEN in key('three', hashes.tagged, '')
        refused = key('two', hashes.tagged, '')
        assert TAKEN not in refused
        assert 'exceeds the limit of 5 pushes in 1 hour' in refused
    # neither a push nor a bundle, nor was one begun
    result = client.run('pushes', transport.url(base), ok=(1,))
    assert result.out == 'no pushes found\n'
    assert not bundles(base)
    store = folder(base) / 'bundles'
    assert sorted(p.name for p in store.iterdir()) == [
        *('bookmarks', 'state', 'tmp')
    ]
    assert len(list((store / 'bookmarks').iterdir())) == 2
    lines = [line.split('|') for line in log.read_text().splitlines()]
    assert [some[-1] for some in lines[:2]] == ['prebundlestore', 'bundlestore']
    # the refused one had been asked about
    assert len(lines) == 11
    assert lines[1] == [
        *('0', 'scratch/one', hashes.tagged, '1', '', 'bundlestore')
    ]
    deleted = lines[-1]
    assert deleted[:4] == ['0', 'scratch/three', '', '5']
    # one that fails keeps it from moving
    base.configure('hooks', {'prebundlestore': 'echo not now; exit 1'})
    _limits(base, max_rate='100/hour')
    refused = key('two', hashes.tagged, '')
    assert TAKEN not in refused
    assert 'prebundlestore hook exited with status 1' in refused
    result = client.run(
        *('push', '-f', '-r', hashes.merged, '-B', 'scratch/two'),
        ok=(255, 100),
    )
    assert 'prebundlestore hook exited with status 1' in str(result)
    found = client.run('identify', '-r', 'scratch/two', transport.url(base))
    assert found.out.startswith(hashes.tagged[:12])


@matrix.over('ssh')
def test_what_brings_no_changesets_stages_nothing(
    transport: Transport, base: Repo, client: Repo, hashes: History
) -> None:
    assert isinstance(transport, SshTransport)
    staged = transport.root / 'staged'
    probe = transport.root / 'probe.py'
    probe.write_text(PROBE.format(path=str(staged)))
    transport.rc.write_text(f'[extensions]\nprobe = {probe}\n')
    node = client.commit({'a': 'a\n'}, 'stored')
    client.run('push', '--bundle-store', '-r', node)
    # what is stored, bookmarks alone, and one with pushkey
    client.run('push', '-r', node, '-B', NAME)
    client.run('push', '-r', hashes.tagged, '-B', 'scratch/y', ok=(1,))
    said = Wire(transport, base, 'alice')
    assert TAKEN in said.pushkey('bookmarks', 'scratch/z', '', node)
    assert staged.read_text() == 'staged '
