"""The index ``file`` finds what is wrong with it, and begins anew."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.rights import publicfolder
from hgext3rd.bundlestore import backends, errors, model
from hgext3rd.bundlestore.indexes.sql import problems as looking
from hgext3rd.bundlestore.testing.index import moveto, newpush
from hgext3rd.bundlestore.testing.reference import pushof
from hgext3rd.bundlestore.viewmodel import View


@pytest.fixture
def place() -> Iterator[model.Place]:
    with publicfolder() as path:
        yield model.Place(os.fsencode(path / 'bundlestore'))


@pytest.fixture
def index(place: model.Place) -> Iterator[Any]:
    index = backends.openindex('file', place)
    yield index
    index.close()


def fileof(place: model.Place) -> Path:
    return Path(os.fsdecode(place.directory)) / 'index.sqlite3'


def fill(index: Any) -> None:
    """Record three pushes, of which the second rests on the first, which is
    then removed; the third is pinned."""
    base = newpush('base', count=3)
    index.record(base)
    top = newpush('top', moves=[moveto('x', b'x' * 20)])
    index.record(top._replace(rests=(base.key,), below=base.nodes))
    index.record(newpush('other', user='bob'))
    index.remove(1)
    index.pin(3)
    view = View('alice', 'x', (base.nodes[0],), (('m', base.nodes[1]),))
    index.putview(view, 0)


TOP = newpush('top').key[:12]
BASE = newpush('base').key[:12]
OTHER = newpush('other').key[:12]


@pytest.mark.parametrize(
    ('damage', 'problems'),
    [
        ('UPDATE push SET bundle = 9 WHERE id = 3', ['push 3 names', OTHER]),
        (
            "INSERT INTO viewnode VALUES (1, '', x'00')",
            ['has not as many heads and bookmarks'],
        ),
        ('UPDATE viewlog SET version = 7', ['how view', 'came about']),
        (
            "INSERT INTO viewstate VALUES (7, 'x')",
            ['something of a view 7 that is not recorded'],
        ),
        ('DELETE FROM push WHERE id = 3', ['push 3', 'bob', OTHER]),
        ('DELETE FROM bundle WHERE id = 1', [f'{TOP} rests on one']),
        ('DELETE FROM kept', [f'{BASE} has no push', 'changesets of push 1']),
        ('DELETE FROM rest', [f'{BASE} is kept']),
        ('INSERT INTO kept VALUES (2, 3)', ['removed push 2', f'{OTHER} is']),
        ('UPDATE rest SET base = 3', [f'{TOP} is in the wrong order', BASE]),
        ('DELETE FROM head WHERE bundle = 3', [f'{OTHER} has no heads']),
        ("UPDATE head SET node = x'00'", [f'{OTHER} has a head', TOP, BASE]),
        ('DELETE FROM node WHERE push = 3', ['changesets of push 3']),
        ('UPDATE node SET place = 1 WHERE push = 3', ['changesets of push 3']),
        ('DELETE FROM node WHERE place = 2', ['changesets of push 2']),
        ('DELETE FROM below', ['changesets of push 2']),
        (
            "INSERT INTO node VALUES (x'00', 0, 77)",
            ['changesets of push 77, which is not recorded'],
        ),
        (
            "INSERT INTO node VALUES (x'00', 1, 2)",
            ['the changesets of push 2 are not'],
        ),
        (
            "UPDATE bundle SET nodes = x'0011' WHERE id = 3",
            [f'changesets of bundle {OTHER} are cut off', 'of push 3'],
        ),
        ('DELETE FROM move', ['push 2 has bookmark moves']),
        ('UPDATE move SET push = 77', ['push 2', 'moves of push 77']),
        ('UPDATE bookmark SET push = 77', ['bookmark x']),
        ('UPDATE counter SET given = 2', ['the id 3 would']),
        ('UPDATE holder SET size = 1 WHERE username = "bob"', ["user 'bob'"]),
        ('DELETE FROM holder', ["user 'alice'", "user 'bob'"]),
        ("INSERT INTO holder VALUES ('eve', 1, 5)", ["user 'eve'"]),
        ('UPDATE pin SET push = 77', ['push 77 is pinned']),
        ('DELETE FROM search WHERE rowid = 3', ['push 3 is not found']),
        ("INSERT INTO search (rowid, words) VALUES (9, 'x')", ['push 9 is']),
    ],
)
def test_problems(
    place: model.Place,
    index: Any,
    damage: str,
    problems: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # as if there were many changesets
    monkeypatch.setattr(looking, '_ATONCE', 2)
    fill(index)
    assert list(index.problems()) == []
    index.close()
    connection = sqlite3.connect(fileof(place), isolation_level=None)
    connection.execute(damage.replace('"bob"', "'bob'"))
    connection.close()
    found = list(index.problems())
    for problem in problems:
        assert any(problem in some for some in found), found
    assert len(set(found)) == len(found)
    for some in found:
        assert not some.endswith('.')


def test_damaged_file(place: model.Place, index: Any) -> None:
    """What SQLite finds is told of, and what it cannot read."""
    for number in range(300):
        index.record(newpush(number, count=20))
    index.close()
    path = fileof(place)
    with path.open('r+b') as fp:
        for page in range(2, path.stat().st_size // 4096, 7):
            fp.seek(4096 * page)
            fp.write(b'\xff' * 4096)
    found = list(index.problems())
    assert any(some.startswith('SQLite') for some in found), found
    index.close()
    with path.open('r+b') as fp:
        fp.write(b'\xff' * 8192)
    for _time in range(2):
        with pytest.raises(errors.BackendUnavailable):
            list(index.problems())


@pytest.mark.parametrize('garbage', [False, True])
def test_set_aside(place: model.Place, index: Any, garbage: bool) -> None:
    """All of it moves, and nothing of it comes back."""
    index.record(newpush('one'))
    path = fileof(place)
    if garbage:
        index.close()
        path.write_bytes(b'garbage' * 10000)
        with pytest.raises(errors.BackendUnavailable):
            index.pushes()
    content = path.read_bytes()
    aside = Path(index.setaside())
    assert aside.name == 'index.sqlite3.damaged-1'
    assert garbage is (aside.read_bytes() == content == b'garbage' * 10000)
    assert not path.exists()
    assert index.pushes() == []
    assert index.record(newpush('two')).id == 1
    assert Path(index.setaside()).name == 'index.sqlite3.damaged-2'


def test_set_aside_is_killed(place: model.Place, index: Any) -> None:
    """What is left of the old one's log is not taken for that of the next."""
    path = fileof(place)
    wal = Path(f'{path}-wal')
    for number in range(20):
        index.record(newpush(number))
    left = wal.read_bytes()
    assert left
    index.close()
    path.rename(f'{path}.damaged-1')
    wal.write_bytes(left)
    assert index.pushes() == []
    wal.write_bytes(left)
    recorded = index.record(newpush('new'))
    assert recorded.id == 1
    assert index.pushes() == [recorded]
    index.close()
    assert index.pushes() == [recorded]
    assert list(index.problems()) == []


def test_push_without_its_bundle(place: model.Place, index: Any) -> None:
    """Who runs into damage is told what to do."""
    fill(index)
    index.close()
    connection = sqlite3.connect(fileof(place), isolation_level=None)
    connection.execute('DELETE FROM bundle WHERE id = 3')
    connection.close()
    with pytest.raises(errors.BackendUnavailable, match='damaged') as caught:
        index.remove(3)
    assert caught.value.hint is not None
    assert 'bundlestore-verify --repair' in caught.value.hint
    assert index.lastid() == 3
    restored = pushof(3, newpush('other', user='bob'))
    index.restore(restored)
    assert index.push(3) == restored
    assert list(index.problems()) == []
