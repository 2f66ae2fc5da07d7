"""The notes of pushes: what they say, and that it is enough."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from harness.changegroups import node
from harness.filled import Filled
from hgext3rd.bundlestore import errors, model
from hgext3rd.bundlestore.stores import notes

#: of one of many pushes of a stack, but for what a user types
MOST = 200


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    """A stack of twenty, amended twice, the last time on a stored middle."""
    made = Filled(tmp_path / 'bundlestore')
    one = made.push(range(1, 21))
    two = made.push(range(21, 41), 'bob', rests=[one], bookmarks=[('b', 40)])
    record = made.index.record(
        model.NewPush(
            2.5e9,
            'alice',
            made.bundle([50], 30),
            made.store.size(two.key),
            (node(50),),
            (model.Head(node(50), 'title'),),
            text='title\nand more',
            rests=(one.key, two.key),
            below=(*one.nodes[5:], *two.nodes[:10], one.nodes[2]),
            branches=('default',),
        )
    )
    notes.write(made.store, made.index, record)
    # the index does not know either that it is as large as its bundle
    made.index.restore(record._replace(size=made.store.size(record.key)), False)
    assert made.verify() == []
    return made


def _name(push: model.Push) -> str:
    return notes.pushname(push.key, push.id)


def _older(push: model.Push) -> bytes:
    """Return the note as the first release wrote it."""
    fields = {
        'version': 1,
        'push': push.id,
        'time': push.time,
        'user': push.user,
        'key': push.key,
        'size': push.size,
        'heads': [[head.node.hex(), head.title] for head in push.heads],
        'bookmarks': [[name, at and at.hex()] for name, at in push.bookmarks],
        'text': push.text,
        'rests': push.rests,
        'below': [below.hex() for below in push.below],
        'pinned': push.pinned,
        'removed': False,
        'branches': push.branches,
    }
    return json.dumps(fields).encode()


def _sorted(pushes: list[model.Push]) -> list[model.Push]:
    return [push._replace(below=tuple(sorted(push.below))) for push in pushes]


def test_small(filled: Filled) -> None:
    """No hash of a changeset is in it, and it is enough."""
    for push in filled.index.pushes():
        note = filled.store.note(_name(push))
        typed = sum(len(name) + 60 for name, _node in push.bookmarks)
        assert len(note) < MOST + 67 * len(push.rests) + typed
        held = (*push.nodes, *push.below)
        marked = {at for _name, at in push.bookmarks}
        assert not any(n.hex().encode() in note for n in {*held} - marked)
    state = filled.state()
    filled.loseindex()
    assert filled.verify(repair=True) == [('lost', True)] * 3
    assert _sorted(filled.index.pushes()) == _sorted(list(state.pushes))
    assert filled.state()[1:] == state[1:]
    assert filled.verify() == []


@pytest.mark.parametrize('older', [{1, 2, 3}, {1}, {3}])
def test_older_notes(filled: Filled, older: set[int]) -> None:
    pushes = filled.index.pushes()
    for push in pushes:
        if push.id in older:
            filled.store.putnote(_name(push), _older(push))
    assert filled.verify() == []
    filled.loseindex()
    assert filled.verify(repair=True) == [('lost', True)] * 3
    assert _sorted(filled.index.pushes()) == _sorted(pushes)
    # one that is written again is a new one
    filled.pin(max(older))
    pushes = filled.index.pushes()
    found = notes.read(filled.store, pushes[-1].key, 3)
    assert found.push.pinned == (3 in older)
    assert filled.verify() == []


def test_note_of_another_push(filled: Filled) -> None:
    """Of an older one this can be seen."""
    one, two, _three = filled.index.pushes()
    filled.store.putnote(_name(one), _older(two))
    with pytest.raises(errors.CorruptNote):
        notes.read(filled.store, one.key, one.id)
    assert filled.verify(repair=True) == [('note', True)]


@pytest.mark.parametrize('indexed', [True, False])
def test_bundle_below_is_lost(filled: Filled, indexed: bool) -> None:
    """It is said, nothing else is lost, and all is back with the bundle."""
    filled.push([60], 'bob')
    state = filled.state()
    path = Path(os.fsdecode(filled.store.localpath(state.pushes[0].key)))
    data = path.read_bytes()
    path.unlink()
    if indexed:
        # of the others, the index has no push, but knows the bundles
        for push in state.pushes[1:3]:
            filled.index.remove(push.id)
        found = filled.verify(repair=True)
        assert found == [('missing', False), *[('lost', True)] * 2]
        assert _sorted(filled.index.pushes()) == _sorted(list(state.pushes))
    else:
        filled.loseindex()
        for _time in range(2):
            found = filled.verify(repair=True)
            assert found.count(('lost', False)) == 3
            assert filled.ids() == [4]
    path.write_bytes(data)
    filled.verify(repair=True)
    assert filled.verify() == []
    assert _sorted(filled.index.pushes()) == _sorted(list(state.pushes))


def test_index_that_is_wrong_about_a_bundle_below(filled: Filled) -> None:
    """What is on top of it stays what it was."""
    pushes = filled.index.pushes()
    filled.index.close()
    sql = sqlite3.connect(filled.folder / 'index.sqlite3')
    sql.execute("UPDATE bundle SET nodes = x'00' || substr(nodes, 2)")
    sql.commit()
    sql.close()
    assert filled.verify()
    filled.verify(repair=True)
    assert _sorted(filled.index.pushes()) == _sorted(pushes)
    assert filled.verify() == []


def test_bundle_that_is_not_recorded(filled: Filled) -> None:
    """Then the note has the hashes, as it would be no use without."""
    push = filled.index.push(2)
    for id in (3, 1, 2):
        filled.index.remove(id)
    notes.write(filled.store, filled.index, push, removed=True)
    found = notes.read(filled.store, push.key, push.id)
    assert (found.push.below, found.removed) == (push.below, True)


@pytest.mark.parametrize(
    'places', [[0], [0, 21], [0, 10**18], [-1, 3], [True, 2], [0, 'x'], 'ab']
)
def test_places_that_are_nonsense(filled: Filled, places: object) -> None:
    push = filled.index.push(2)
    good = json.loads(filled.store.note(_name(push)))
    assert good['below'] == [0, 20]
    data = json.dumps({**good, 'below': places}).encode()
    filled.store.putnote(_name(push), data)
    state = filled.state()
    assert len(filled.verify()) == 1
    filled.verify(repair=True)
    assert filled.verify() == []
    assert filled.state() == state
