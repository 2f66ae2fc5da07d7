"""``admin::bundlestore-verify``: what it finds, and what it repairs."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import matrix
from harness.changegroups import node
from harness.filled import Filled, Killed, Mortal
from harness.hg import Repo
from harness.servers import Transport
from harness.shelf import Shelf
from harness.snapshot import untouched
from harness.store import folder
from hgext3rd.bundlestore import errors, model
from hgext3rd.bundlestore.stores import marks, notes

VERIFY = 'admin::bundlestore-verify'


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    """Pushes of two users, some resting on others, one of them removed."""
    made = Filled(tmp_path / 'bundlestore')
    one = made.begin()
    for id in (2, 4):
        made.setstatus(id, 'linux')
        made.setlanding(id, id)
    made.putview('parser', [4, 5], day=6)
    made.putview('parser', [4], day=7, state='a state')
    # the same bundle again, which others rest on
    made.push([3], 'bob', day=6, rests=[one], bookmarks=[('scratch/c', 3)])
    made.pin(4)
    made.gc(before=2)
    made.movebookmark('scratch/b', 4)
    made.movebookmark('scratch/d', 5)
    assert made.ids() == [3, 4, 5]
    assert made.verify() == []
    return made


def _change(filled: Filled, *statements: str) -> None:
    """Change the index behind its back."""
    filled.index.close()
    sql = sqlite3.connect(filled.folder / 'index.sqlite3')
    for statement in statements:
        assert sql.execute(statement).rowcount
    sql.commit()
    sql.close()


def _statusnote(filled: Filled) -> str:
    (name,) = (n for n in filled.store.notes() if n.startswith('status/'))
    return name


def _path(filled: Filled, id: int) -> Path:
    push = filled.index.push(id)
    return Path(os.fsdecode(filled.store.localpath(push.key)))


def _flip(path: Path, place: int = -20) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


# -- what it finds


def test_damaged_and_missing_bundles(filled: Filled) -> None:
    """They cannot be repaired, but come back when they are pushed again."""
    path = _path(filled, 4)
    good = path.read_bytes()
    for damage in (
        lambda: _flip(path),
        lambda: _flip(path, 40),
        lambda: path.write_bytes(good[:-1]),
        lambda: path.write_bytes(b''),
    ):
        damage()
        assert filled.verify() == [('corrupt', False)]
        assert filled.verify(repair=True) == [('corrupt', False)]
        path.write_bytes(good)
    path.unlink()
    assert filled.verify(quick=True) == [('missing', False)]
    filled.bundle([5])
    assert filled.verify() == []
    # one that others rest on is missing to each of them
    _path(filled, 5).unlink()
    assert filled.verify() == [('missing', False)] * 2


def test_quick_does_not_read(filled: Filled) -> None:
    _flip(_path(filled, 4))
    assert filled.verify(quick=True) == []
    assert filled.verify() == [('corrupt', False)]


@pytest.mark.parametrize(
    'statement',
    [
        'UPDATE bundle SET nodes = nodes || zeroblob(20) WHERE id = 4',
        'UPDATE bundle SET size = size + 1 WHERE id = 4',
        "UPDATE head SET node = x'00' || substr(node, 2) WHERE bundle = 4",
        "UPDATE push SET username = 'mallory' WHERE id = 4",
        'UPDATE push SET bundle = 3 WHERE id = 4',
        'DELETE FROM node WHERE push = 4',
        'DELETE FROM push WHERE id = 4',
        'DELETE FROM rest WHERE bundle = 3',
        'DELETE FROM pin',
        "UPDATE move SET name = 'scratch/x' WHERE push = 4",
        'DELETE FROM kept',
    ],
)
def test_index_that_is_wrong(filled: Filled, statement: str) -> None:
    state = filled.state()
    note = statement == 'DELETE FROM pin'
    _change(filled, statement)
    found = filled.verify()
    assert found
    assert not any(repaired for _kind, repaired in found)
    if note:
        # of the two, the index is right
        assert found == [('note', False)]
    found = filled.verify(repair=True)
    assert any(repaired for _kind, repaired in found), found
    assert filled.verify() == []
    if not note:
        assert _plain(filled.state().pushes) == _plain(state.pushes)
        assert filled.state()[1:] == state[1:]


def _plain(pushes: Any) -> list[model.Push]:
    """An index that was made anew may name what a bundle rests on in another
    order, and so their changesets."""
    return [
        push._replace(
            rests=tuple(sorted(push.rests)), below=tuple(sorted(push.below))
        )
        for push in pushes
    ]


def test_notes_that_are_wrong(filled: Filled) -> None:
    name = notes.pushname(filled.index.push(4).key, 4)
    good = filled.store.note(name)
    spoils: list[Callable[[], None]] = [
        lambda: filled.store.deletenote(name),
        lambda: filled.store.putnote(name, good[:-9]),
        lambda: filled.store.putnote(name, good.replace(b'true', b'false')),
    ]
    for spoil in spoils:
        spoil()
        # these are remarks, and the index is right
        assert filled.verify() == [('note', False)]
        assert filled.verify(repair=True) == [('note', True)]
        assert filled.store.note(name) == good
    (mark,) = [
        name
        for name in filled.store.notes()
        if notes.parsebookmarkname(name)
        and marks.read(filled.store, name).name == 'scratch/d'
    ]
    filled.store.deletenote(mark)
    assert filled.verify() == [('note', False)]
    assert filled.verify(repair=True) == [('note', True)]
    assert filled.verify() == []


def test_parent_that_the_repository_lost(filled: Filled) -> None:
    """Here it never had it."""
    key = filled.bundle([7], 6)
    filled.index.record(
        model.NewPush(
            1.7e9,
            'alice',
            key,
            filled.store.size(key),
            (node(7),),
            (model.Head(node(7), ''),),
        )
    )
    assert ('parent', False) in filled.verify()


# -- the index made anew


def _spoil(path: Path) -> None:
    """Damage the middle of an SQLite file."""
    data = bytearray(path.read_bytes())
    for place in range(4096, len(data), 4096):
        data[place : place + 100] = b'\xff' * 100
    path.write_bytes(data)


def test_statuses_that_are_not_as_noted(filled: Filled) -> None:
    name = _statusnote(filled)
    before, good = filled.state(), filled.store.note(name)
    spoils: list[Callable[[], None]] = [
        lambda: filled.store.deletenote(name),
        lambda: filled.store.putnote(name, good[:-9]),
        lambda: filled.store.putnote(name, good.replace(b'success', b'passed')),
        lambda: filled.store.putnote(
            name.replace('.4.', '.3.'), good.replace(b'4', b'3')
        ),
        lambda: filled.store.putnote(name, good.replace(b'"bob"', b'7')),
        lambda: filled.store.putnote(name, good.replace(b'"landed', b'"x')),
        lambda: _change(
            filled,
            'DELETE FROM status',
            "UPDATE label SET name = 's0' WHERE name = 's1'",
        ),
        lambda: _change(filled, 'DELETE FROM landing'),
    ]
    for spoil in spoils:
        spoil()
        assert filled.verify() == [('note', False)]
        assert filled.verify(repair=True) == [('note', True)]
        assert filled.verify() == []
        assert filled.store.note(_statusnote(filled)) == good
        assert filled.state() == before
    filled.setstatus(4, 'mac', 'failure')
    filled.remove(4, evenpinned=True)
    assert not list(filled.store.notes('status/'))
    assert ('note', False) not in filled.verify()


@pytest.mark.parametrize(
    'lose',
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b'no index at all'),
        lambda path: path.write_bytes(b''),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        _spoil,
    ],
    ids=['absent', 'nonsense', 'empty', 'truncated', 'damaged'],
)
def test_index_that_is_lost(
    filled: Filled, lose: Callable[[Path], None]
) -> None:
    state = filled.state()
    filled.index.close()
    lose(filled.folder / 'index.sqlite3')
    found = filled.verify(repair=True)
    assert found.count(('lost', True)) == 3
    assert all(repaired for _kind, repaired in found)
    assert _plain(filled.state().pushes) == _plain(state.pushes)
    assert filled.state()[1:] == state[1:]
    assert filled.verify() == []
    assert filled.push([8]).id == state.lastid + 1


def test_index_that_never_had_a_push(tmp_path: Path) -> None:
    filled = Filled(tmp_path / 'bundlestore')
    filled.folder.mkdir(exist_ok=True)
    (filled.folder / 'index.sqlite3').write_bytes(b'no index at all' * 100)
    found = filled.verify(repair=True)
    assert found
    assert all(repaired for _kind, repaired in found)
    assert filled.verify(repair=True) == []
    assert not list(filled.store.notes())
    assert filled.push([1]).id == 1


def test_index_that_is_another_file(filled: Filled) -> None:
    """It is not ours to move away."""
    filled.loseindex()
    sql = sqlite3.connect(filled.folder / 'index.sqlite3')
    sql.execute('CREATE TABLE mine (value)')
    sql.commit()
    sql.close()
    with pytest.raises(errors.BackendUnavailable, match='not a bundle index'):
        filled.verify(repair=True)
    assert len(list(filled.folder.glob('index*'))) == 1


def test_pushes_that_cannot_be_brought_back(filled: Filled) -> None:
    """The others are. These are when their bundles are pushed again."""
    path = _path(filled, 5)
    good = path.read_bytes()
    _flip(path)
    state = filled.state()
    filled.loseindex()
    found = filled.verify(repair=True)
    assert found.count(('lost', False)) == 2
    assert found.count(('lost', True)) == 1
    # nor is anything removed that they need
    filled.gc(day=10**5, grace=0)
    assert filled.ids() == [4]
    assert filled.verify().count(('lost', False)) == 2
    path.write_bytes(good)
    found = filled.verify(repair=True)
    assert found.count(('lost', True)) == len(found) == 2
    assert _plain(filled.state().pushes) == _plain(state.pushes)
    assert filled.index.bookmarks() == list(state.bookmarks)
    assert filled.verify() == []


@pytest.mark.slow('a process for each moment')
def test_repair_that_is_killed_at_any_moment(
    filled: Filled, tmp_path: Path
) -> None:
    state = filled.state()
    filled.index.close()
    (filled.folder / 'index.sqlite3').write_bytes(b'nonsense')
    for number in itertools.count(1):
        some = filled.copy(tmp_path / f'{number}')
        fate = Mortal(number)
        with contextlib.suppress(Killed):
            some.verify(fate, repair=True)
        if fate.count > 0:
            break
        some.index.close()
        some.verify(repair=True)
        assert _plain(some.state().pushes) == _plain(state.pushes), number
        assert some.state()[1:] == state[1:], number
        assert some.verify() == []
    assert number > 20


# -- the command


@pytest.fixture
def stored(base: Repo, client: Repo, shelf: Shelf) -> list[str]:
    """A client that pushed a stack in two pushes, with a bookmark."""

    def push() -> list[str]:
        nodes = []
        for number in range(2):
            nodes.append(client.commit({'new': f'{number}\n'}, f'n {number}'))
            client.run(
                *('push', '-q', '--bundle-store', '-r', '.', '-B', 'scratch/x')
            )
        return nodes

    return shelf.once('two pushes', [base, client], push)


@matrix.over('ssh')
def test_verify_by_its_command(
    transport: Transport, base: Repo, client: Repo, stored: list[str]
) -> None:
    with untouched(base.path):
        assert base.run(VERIFY, '--full').out.startswith(
            'checked 2 pushes and 2 bundles'
        )
    filled = Filled(folder(base))
    path = _path(filled, 1)
    good = path.read_bytes()
    _flip(path)
    said = base.run(VERIFY, ok=[1]).out.splitlines()
    assert said[0] == (f'problem: bundle {path.name} (push 1, 2) is damaged')
    assert said[1].endswith(': 1 problem, 0 remarks')
    (found,) = json.loads(base.run(VERIFY, '-Tjson', ok=[1]).out)
    assert found == {
        'bundle': path.name,
        'kind': 'corrupt',
        'message': f'bundle {path.name} (push 1, 2) is damaged',
        'pushes': [1, 2],
        'repaired': False,
        'severity': 'problem',
    }
    path.write_bytes(good)
    index = folder(base) / 'index.sqlite3'
    # as after a restore: the bundles are there
    for file in folder(base).glob('index.sqlite3*'):
        file.unlink()
    said = base.run(VERIFY, '--quick', ok=[1]).out.splitlines()
    assert sorted(line for line in said if 'index yet' in line) == [
        'problem: push 1: it is not in the index yet',
        'problem: push 2: it is not in the index yet',
    ]
    index.write_bytes(b'nonsense')
    said2 = base.run(VERIFY, ok=[255]).err
    assert said2 == (
        f'abort: not a bundle index: {index}\n'
        '(move it away, or let bundlestore.index name another file)\n'
    )
    out = base.run(VERIFY, '--repair').out.splitlines()
    assert out[:4] == [
        f'repaired: not a bundle index: {index}',
        f'repaired: bundle index: made anew; the old one is {index}.damaged-1',
        'repaired: push 1: it was lost',
        'repaired: push 2: it was lost',
    ]
    assert base.run(VERIFY, '-q', '--full').out == ''
    other = client.hg.clone(base.path, client.path.with_name('other'))
    transport.connect(other, base)
    other.run('pull', '-q', '-r', 'scratch/x')
    other.verify()
    assert other.knows(stored[1])
    # what the repository must have is not there any more
    base.configure('extensions', {'strip': ''})
    base.run('strip', '-q', '--no-backup', '-r', 'all()')
    said = base.run(VERIFY, ok=[1]).out.splitlines()
    assert 'rests on changeset ' in said[0]
    assert ', which the repository lacks' in said[0]
