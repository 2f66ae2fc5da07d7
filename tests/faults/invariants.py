"""What must hold of a bundle store, whatever has happened to its servers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from hgext3rd.bundlestore import errors, model
from hgext3rd.bundlestore.indexes.sqlite.file import FileIndex, open_index
from hgext3rd.bundlestore.stores.file import FileStore, open_store

if TYPE_CHECKING:
    from .site import Expected, Site, Viewed


#: what is raised here where something does not hold
BROKEN = (AssertionError, errors.BundleStoreError, sqlite3.Error)


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[tuple[FileStore, FileIndex]]:
    """Open the store and the index in ``.hg/bundlestore``."""
    place = model.Place(os.fsencode(folder))
    store, index = open_store('file', place), open_index('file', place)
    try:
        yield store, index
    finally:
        index.close()
        store.close()


def check(
    folder: Path,
    acknowledged: Sequence[Expected],
    doubtful: Optional[Expected] = None,
    removed: Sequence[Expected] = (),
) -> bool:
    """Check a store that must hold the pushes ``acknowledged``, in this
    order, and may hold one more, whose client got no answer: whole or not at
    all. Return whether it does.

    Of ``acknowledged`` those in ``removed`` may be gone: they were being
    removed.
    """
    with opened(folder) as (store, index):
        pushes = index.pushes()
        keys = [push.key for push in pushes]
        expected = [
            wanted
            for wanted in acknowledged
            if wanted not in removed or wanted.key in keys
        ]
        there = doubtful is not None and len(pushes) > len(expected)
        if doubtful is not None and there:
            expected.append(doubtful)
        assert keys == [e.key for e in expected], (
            [key[:8] for key in keys],
            [f'{e.name} {e.key[:8]}' for e in expected],
        )
        ids = [push.id for push in pushes]
        assert ids == sorted(set(ids))
        assert index.lastid() >= max(ids, default=0)
        for push, wanted in zip(pushes, expected):
            _checkpush(index, push, wanted)
        _checkbookmarks(index, pushes)
        if doubtful is not None and not there:
            _checkabsent(index, doubtful, expected)
        for wanted in expected:
            _checkbytes(store, wanted)
        for key in list(store.keys()):
            # there may be a bundle that the index does not know, but only whole
            with store.open(key) as reader:
                data = reader.read()
            assert hashlib.sha256(data).hexdigest() == key
    checkdatabase(folder)
    return there


def viewed(folder: Path) -> list[Viewed]:
    """Return all views of a store, and how they came about."""
    with opened(folder) as (_, index):
        views = [index.viewbyid(found.uid) for found in index.views()]
        return [(view, index.viewlog(view.uid)) for view in views if view]


def _checkpush(index: FileIndex, push: model.Push, wanted: Expected) -> None:
    assert tuple(node.hex() for node in push.nodes) == wanted.nodes
    assert push.size == len(wanted.data)
    assert [head.node.hex() for head in push.heads] == [wanted.head]
    assert len(push.rests) == wanted.rests
    assert (
        tuple((name, node.hex()) for name, node in push.bookmarks if node)
        == wanted.bookmarks
    )
    located = index.locate(push.nodes)
    assert set(located) == set(push.nodes)
    assert {place.key for place in located.values()} == {wanted.key}
    assert set(index.bundles([push.key, *push.rests])) == {
        push.key,
        *push.rests,
    }
    for node in push.nodes:
        assert index.nodes(node.hex()[:12]) == [node]
        assert push.id in {p.id for p in index.pushes(node=node)}
    assert push.id in {p.id for p in index.pushes(text=push.heads[0].title)}


def _checkbookmarks(index: FileIndex, pushes: Sequence[model.Push]) -> None:
    marks = {}
    for push in pushes:
        for name, node in push.bookmarks:
            marks[name] = model.Bookmark(name, node or b'', push.id)
    assert index.bookmarks() == sorted(marks.values())


def _checkabsent(
    index: FileIndex, absent: Expected, expected: Sequence[Expected]
) -> None:
    """Nothing of a push that is not there may be found."""
    others = {node for wanted in expected for node in wanted.nodes}
    nodes = [bytes.fromhex(n) for n in absent.nodes if n not in others]
    assert index.locate(nodes) == {}
    for node in nodes:
        assert index.nodes(node.hex()) == []
        assert index.pushes(node=node) == []
    if all(wanted.key != absent.key for wanted in expected):
        assert index.bundles([absent.key]) == {}


def checkprivate(folder: Path, push: Expected) -> None:
    """Check that nothing of a push of alice to her workspace ``plan`` is seen
    by others."""
    nodes = [bytes.fromhex(node) for node in push.nodes]
    with opened(folder) as (_, whole):
        for user in ('', 'bob'):
            index = whole.seen(user)
            assert index.locate(nodes) == {}
            assert index.bundles([push.key]) == {}
            for node in nodes:
                assert index.nodes(node.hex()) == []
                assert index.pushes(node=node) == []
            assert push.key not in [found.key for found in index.pushes()]
            assert 'plan' not in [view.name for view in index.views()]


def _checkbytes(store: FileStore, wanted: Expected) -> None:
    try:
        with store.open(wanted.key) as reader:
            data = reader.read()
    except errors.UnknownKey:
        raise AssertionError(f'lost: {wanted.name} {wanted.key}') from None
    assert data == wanted.data


def checkdatabase(folder: Path) -> None:
    """Have SQLite look at all of the index."""
    path = folder / 'index.sqlite3'
    if not path.exists() or not path.stat().st_size:
        return
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute('PRAGMA integrity_check').fetchall()
        assert rows == [('ok',)], rows
        rows = connection.execute('PRAGMA foreign_key_check').fetchall()
        assert rows == [], rows


def checkpulled(
    site: Site, pushes: Sequence[Expected], verify: bool = False
) -> None:
    """Pull all heads into a fresh clone, which ``verify`` has look at all that
    came."""
    done = site.pull(sorted({push.head for push in pushes}))
    assert (done.code, done.err) == (0, ''), done
    nodes = sorted({node for push in pushes for node in push.nodes})
    here = site.clone.nodes(f'present({")+present(".join(nodes)})')
    assert sorted(here) == nodes
    if verify:
        site.clone.verify()


#: remarks of ``admin::bundlestore-verify`` that a fault may leave behind
REMARKS = ('orphan', 'stray', 'note')


def checknoted(folder: Path, wanted: Expected) -> None:
    """Check that what only the push knew is beside its bundle."""
    with opened(folder) as (store, index):
        notes = list(store.notes())
        for push in index.pushes():
            if push.key == wanted.key:
                name = f'{push.key[:2]}/{push.key}.{push.id}.json'
                assert name in notes, f'no note: {name}'


def checkverified(site: Site, remarks: Container[str] = REMARKS) -> None:
    """Have ``admin::bundlestore-verify`` look at the store."""
    done, _ = site.command('admin::bundlestore-verify', '-T', 'json')
    assert (done.code, done.err) == (0, ''), done
    for finding in json.loads(done.out):
        assert finding['severity'] == 'remark', finding
        assert finding['kind'] in remarks, finding
