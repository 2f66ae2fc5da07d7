"""Tests of a store: threads and processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ... import model
from .. import processes
from .base import StoreTests
from .data import MEGABYTE, chunks, content, keyof, readwhole


class ConcurrencyTests(StoreTests):
    """Several users at once."""

    # -- several at once

    def test_threads(self, store: Any) -> None:
        def work(thread: int) -> None:
            for number in range(10):
                own = content((thread, number), 1000)
                for data in (content(number, 100000), own):
                    key = store.put(chunks(data, 30000))
                assert readwhole(store, key) == own

        with processes.threads(8, work):
            pass
        keys = list(store.keys())
        assert len(keys) == 90
        for key in keys:
            assert keyof(readwhole(store, key)) == key

    def test_threads_read_what_others_put_again(self, store: Any) -> None:
        def work(_thread: int) -> None:
            for number in range(10):
                data = content(number, 100000)
                key = store.put(chunks(data, 30000))
                assert readwhole(store, key) == data

        with processes.threads(8, work):
            pass

    @pytest.mark.parametrize('method', processes.METHODS)
    def test_processes(
        self, place: model.Place, store: Any, method: str
    ) -> None:
        processes.run(
            method,
            _putsome,
            [(type(self), place, number) for number in range(2)],
        )
        expected = {keyof(data) for n in range(2) for data in _bundles(n)}
        assert set(store.keys()) == expected
        for key in expected:
            assert keyof(readwhole(store, key)) == key

    def test_readers_while_others_publish(
        self, place: model.Place, store: Any
    ) -> None:
        known = {
            keyof(data) for number in range(2) for data in _bundles(number)
        }
        writers = processes.start(
            'fork',
            _putsome,
            [(type(self), place, number, 3) for number in range(2)],
        )
        try:
            while any(writer.is_alive() for writer in writers):
                for key in list(store.keys()):
                    assert key in known
                    assert keyof(readwhole(store, key)) == key
        finally:
            codes = processes.join(writers)
        assert codes == [0, 0]
        assert set(store.keys()) == known

    def test_store_survives_a_fork(self, store: Any) -> None:
        before = store.put([b'before'])
        processes.run('fork', _useinherited, [(store, before)] * 2)
        assert readwhole(store, before) == b'before'
        assert readwhole(store, keyof(b'child')) == b'child'
        store.put([b'after'])
        assert len(list(store.keys())) == 3

    def test_killed_writer(self, place: model.Place, store: Any) -> None:
        kept = store.put([b'kept'])
        codes = processes.join(
            processes.start(
                'fork',
                _diewhilewriting,
                [(type(self), place, staged) for staged in (False, True)],
            )
        )
        assert all(code < 0 for code in codes)
        assert list(store.keys()) == [kept]
        assert keyof(_KILLED) == store.put([_KILLED])
        assert readwhole(store, keyof(_KILLED)) == _KILLED


# -- what other processes do

_KILLED = content('killed', MEGABYTE)


def _bundles(writer: int) -> list[bytes]:
    """Return what one writer stores: some of it is what others do, too."""
    own = [content((writer, number), 30000) for number in range(5)]
    return own + [content(number, 200000) for number in range(5)]


def _putsome(
    suite: type[StoreTests],
    place: model.Place,
    writer: int,
    repeat: int = 1,
) -> None:
    store = suite().makestore(place)
    for _time in range(repeat):
        for data in _bundles(writer):
            assert store.put(chunks(data, 10000)) == keyof(data)
    store.close()


def _useinherited(store: Any, key: str) -> None:
    assert readwhole(store, key) == b'before'
    store.put([b'child'])
    store.close()


def _diewhilewriting(
    suite: type[StoreTests], place: model.Place, staged: bool
) -> None:
    store = suite().makestore(place)
    if staged:
        store.stage([_KILLED])
        processes.killself()

    def dying() -> Iterator[bytes]:
        yield from chunks(_KILLED, 65536)
        processes.killself()

    store.stage(dying())
