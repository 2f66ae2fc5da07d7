"""Tests of a store: notes beside the bundles, and strays."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from ... import errors, model
from .. import processes
from .base import StoreTests
from .data import GOOD, HOSTILE, assertraises, content, keyof, readwhole

#: what is no name of a note, each in a way that another check may miss
HOSTILE_NAMES = [
    *HOSTILE,
    'a/x.json',
    'ab/x',
    'ab/.json',
    'ab/..json',
    'ab/.x.json',
    'ab/../x.json',
    '../x.json',
    '/ab/x.json',
    'ab//x.json',
    'ab/c/x.json',
    'ab/x.json/',
    'ab/x.json\n',
    'ab/x.JSON',
    'AB/x.json',
    'ab/x.json\0',
    'ab/x\0.json',
    'ab/x y.json',
    'ab\\x.json',
    'ab/\u0661.json',
    'ab/\udc80.json',
    b'ab/x.json',
    'ab/' + 'x' * 110 + '.json',
    'a' * 17 + '/x.json',
    GOOD[:2] + '/' + GOOD,
]


class NoteTests(StoreTests):
    """``putnote``, ``note``, ``notes``, ``deletenote``, ``modified``,
    ``strays`` and ``deletestray``."""

    # -- notes

    def test_notes(self, store: Any) -> None:
        key = store.put([b'bundle'])
        names = {
            f'{key[:2]}/{key}.1.json': b'{}',
            f'{key[:2]}/{key}.23.json': b'',
            'bookmarks/' + 64 * 'e' + '.json': bytes(range(256)),
            'state/lastid.json': content('note', 300000),
            'tmp/0.json': b'this is no stray',
        }
        for name, data in names.items():
            store.putnote(name, b'what it was before')
            store.putnote(name, data)
        assert {name: store.note(name) for name in names} == names
        found = list(store.notes())
        assert sorted(found) == sorted(names)
        assert {type(name) for name in found} == {str}
        assert type(store.note('state/lastid.json')) is bytes
        # neither is taken for the other
        assert list(store.keys()) == [key]
        assert list(store.strays(0)) == []
        store.delete(key)
        assert len(list(store.notes())) == len(names)
        for name in names:
            store.deletenote(name)
            for method in (store.note, store.deletenote):
                assertraises(errors.UnknownNote, method, name)
        assert list(store.notes()) == []

    def test_notes_that_begin_alike(self, store: Any) -> None:
        names = ['ab/one.json', 'ab/one.1.json', 'ab/two.json', 'abc/one.json']
        for name in names:
            store.putnote(name, b'x')
        for prefix in ('', 'a', 'ab', 'ab/', 'ab/one.', 'abc/', 'ab/x', 'x/'):
            expected = [name for name in names if name.startswith(prefix)]
            assert sorted(store.notes(prefix)) == sorted(expected), prefix

    @pytest.mark.parametrize('empty', [True, False])
    def test_unknown_note(
        self, place: model.Place, store: Any, empty: bool
    ) -> None:
        if not empty:
            store.putnote('ab/y.json', b'{}')
        for method in (store.note, store.deletenote):
            assertraises(errors.UnknownNote, method, 'ab/x.json')
        store.deletestray('0' * 32)
        assert list(store.strays(0)) == []
        assert list(store.notes()) == ([] if empty else ['ab/y.json'])
        store.close()
        if empty:
            assert not os.path.exists(place.directory)

    def test_hostile_names(self, store: Any) -> None:
        store.putnote('ab/x.json', b'{}')
        methods = [store.note, store.deletenote]
        for method in [*methods, lambda name: store.putnote(name, b'')]:
            for name in HOSTILE_NAMES:
                assertraises(errors.InvalidKey, method, name)
        assert list(store.notes()) == ['ab/x.json']

    def test_note_of_another_object(
        self, place: model.Place, store: Any
    ) -> None:
        other = self.makestore(place)
        store.putnote('ab/x.json', b'first')
        assert other.note('ab/x.json') == b'first'
        other.putnote('ab/x.json', b'second')
        store.close()
        assert store.note('ab/x.json') == b'second'
        other.close()

    def test_readers_of_a_note_that_changes(
        self, place: model.Place, store: Any
    ) -> None:
        """They see one of its states."""
        store.putnote('ab/x.json', content(0, 100000))
        states = {content(number, 100000) for number in range(_STATES)}
        (writer,) = processes.start('fork', _rewrite, [(type(self), place)])
        try:
            while writer.is_alive():
                assert store.note('ab/x.json') in states
                assert list(store.notes()) == ['ab/x.json']
        finally:
            codes = processes.join([writer])
        assert codes == [0]
        assert store.note('ab/x.json') == content(_STATES - 1, 100000)

    def test_killed_writer_of_a_note(
        self, place: model.Place, store: Any
    ) -> None:
        store.putnote('ab/x.json', content(0, 100000))
        (writer,) = processes.start(
            'fork', _rewrite, [(type(self), place, 1 << 40)]
        )
        first = store.note('ab/x.json')
        deadline = time.monotonic() + processes.PATIENCE
        while store.note('ab/x.json') == first and time.monotonic() < deadline:
            time.sleep(0.001)
        writer.kill()
        processes.join([writer])
        assert len(store.note('ab/x.json')) == 100000
        store.putnote('ab/x.json', b'after')
        assert store.note('ab/x.json') == b'after'

    # -- times and strays

    def test_modified(self, store: Any) -> None:
        assertraises(errors.UnknownKey, store.modified, GOOD)
        with store.stage([b'some']) as staged:
            assertraises(errors.UnknownKey, store.modified, staged.key)
            # the clocks of store and test are two
            time.sleep(0.05)
            between = time.time()
            time.sleep(0.05)
            staged.publish()
        first = store.modified(staged.key)
        assert isinstance(first, float)
        assert abs(first - time.time()) < 3600
        if abs(first - between) < 1:
            assert first > between - self.resolution
        time.sleep(self.resolution + 0.05)
        store.put([b'some'])
        assert store.modified(staged.key) > first
        store.put([b'other'])
        assert store.modified(keyof(b'other')) >= store.modified(staged.key)

    def test_strays(self, place: model.Place, store: Any) -> None:
        """What a killed process left can be removed, and nothing else is."""
        kept = store.put([b'kept'])
        codes = processes.join(
            processes.start('fork', _leave, [(type(self), place)] * 2)
        )
        assert all(code < 0 for code in codes)
        found = list(store.strays(0))
        if not found:
            pytest.skip('killed processes leave nothing in this store')
        assert list(store.strays(3600)) == []
        for stray in found:
            assert isinstance(stray, model.Stray)
            assert abs(stray.time - time.time()) < 3600
        assert sum(stray.size for stray in found) >= 2 * len(b'staged')
        for stray in found:
            store.deletestray(stray.name)
            store.deletestray(stray.name)
        assert list(store.strays(0)) == []
        assert list(store.keys()) == [kept]
        assert readwhole(store, kept) == b'kept'

    def test_hostile_strays(self, store: Any) -> None:
        store.put([b'kept'])
        for name in [*HOSTILE_NAMES, f'../{GOOD[:2]}/{GOOD}']:
            try:
                store.deletestray(name)
            except errors.InvalidKey:
                continue
        assert readwhole(store, keyof(b'kept')) == b'kept'

    def test_stray_of_a_staging_that_goes_on(self, store: Any) -> None:
        with store.stage([b'slow']) as staged:
            for stray in store.strays(0):
                store.deletestray(stray.name)
            try:
                staged.publish()
            except errors.BackendUnavailable:
                assertraises(errors.UnknownKey, store.open, staged.key)
                return
        assert readwhole(store, staged.key) == b'slow'


# -- what other processes do

_STATES = 30


def _rewrite(
    suite: type[StoreTests], place: model.Place, count: int = _STATES
) -> None:
    store = suite().makestore(place)
    for number in range(count):
        store.putnote('ab/x.json', content(number, 100000))
    store.close()


def _leave(suite: type[StoreTests], place: model.Place) -> None:
    suite().makestore(place).stage([b'staged'])
    processes.killself()
