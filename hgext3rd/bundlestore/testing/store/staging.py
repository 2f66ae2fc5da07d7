"""Tests of a store: what is staged, and what rots."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from ... import errors
from ...interfaces import IAhead
from .base import StoreTests
from .data import (
    MEGABYTE,
    Failure,
    assertraises,
    can,
    content,
    drain,
    failing,
    flipped,
    keyof,
    methodswithkey,
    readwhole,
)


class StagingTests(StoreTests):
    """``stage``, and bundles that are damaged behind the store's back."""

    # -- staging

    def test_staged_bundle_is_invisible(self, store: Any) -> None:
        with store.stage([b'sta', b'ged']) as staged:
            assert staged.key == keyof(b'staged')
            assert staged.size == 6
            assert list(store.keys()) == []
            with pytest.raises(errors.UnknownKey):
                store.open(staged.key)
            with staged.open() as reader:
                assert reader.size == 6
                assert reader.read() == b'staged'
            staged.publish()
            assert list(store.keys()) == [staged.key]
        assert readwhole(store, staged.key) == b'staged'

    def test_unpublished_bundle_is_discarded(self, store: Any) -> None:
        with store.stage([b'some']):
            pass
        with pytest.raises(Failure), store.stage([b'some']):
            raise Failure
        staged = store.stage([b'some'])
        staged.discard()
        staged.discard()
        assert list(store.keys()) == []
        assert list(store.strays(0)) == []

    def test_published_bundle_is_not_discarded(self, store: Any) -> None:
        with store.stage([b'some']) as staged:
            staged.publish()
            staged.publish()
            staged.discard()
        staged.discard()
        assert readwhole(store, staged.key) == b'some'
        assert list(store.strays(0)) == []

    def test_what_is_done_ahead(self, store: Any) -> None:
        """It may be undone before the bundle is published."""
        for gone in (False, True):
            with store.stage([b'some']) as staged:
                if not can(IAhead, staged):
                    return
                named = staged.ahead()
                assert not staged.ahead()
                if named and gone:
                    store.delete(staged.key)
                staged.publish()
                assert readwhole(store, staged.key) == b'some'
            assert list(store.strays(0)) == []
            assert list(store.keys()) == [staged.key]
            store.delete(staged.key)

    def test_same_bundle_staged_twice(self, store: Any) -> None:
        with store.stage([b'same']) as first, store.stage([b'same']) as second:
            first.publish()
            second.discard()
        assert readwhole(store, first.key) == b'same'
        with store.stage([b'same']) as first, store.stage([b'same']) as second:
            first.publish()
            second.publish()
        assert readwhole(store, first.key) == b'same'
        assert list(store.keys()) == [first.key]

    @pytest.mark.parametrize(
        'error',
        [Failure(), OSError(28, 'of mine'), KeyboardInterrupt(), ValueError()],
        ids=repr,
    )
    @pytest.mark.parametrize('after', [0, 5])
    def test_failing_iterator_leaves_nothing(
        self, store: Any, error: BaseException, after: int
    ) -> None:
        for method in (store.stage, store.put):
            with pytest.raises(type(error)) as caught:
                method(failing(error, after))
            assert caught.value is error
        assert list(store.keys()) == []
        assert list(store.strays(0)) == []

    def test_chunks_are_taken_one_by_one(self, store: Any) -> None:
        alive = 0
        most = 0

        class Chunk(bytes):
            def __del__(self) -> None:
                nonlocal alive
                alive -= 1

        def many() -> Iterator[bytes]:
            nonlocal alive, most
            for _number in range(100):
                alive += 1
                most = max(alive, most)
                yield Chunk(MEGABYTE)

        key = store.put(many())
        assert store.size(key) == 100 * MEGABYTE
        assert most < 16

    def test_memory(self, store: Any) -> None:
        block = content('memory', MEGABYTE)
        # what is loaded once does not count
        readwhole(store, store.put([b'first']))
        tracemalloc.start()
        try:
            key = store.put(block for _number in range(64))
            with store.open(key) as reader:
                total = 0
                while True:
                    piece = reader.read(MEGABYTE)
                    if not piece:
                        break
                    total += len(piece)
            _now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert total == 64 * MEGABYTE
        assert peak < 8 * MEGABYTE

    # -- rot

    @pytest.mark.parametrize('size', [1, 1000, 262144, 262145, 600000])
    def test_rot_is_never_handed_out_whole(self, store: Any, size: int) -> None:
        data = content('rot', size)
        key = store.put([data])
        for rotten in (
            flipped(data, 0),
            flipped(data, size // 2),
            flipped(data, size - 1),
            data[:-1],
            data + b'\0',
            b'',
            content('other', size),
        ):
            self.damage(store, key, rotten)
            for step in (-1, 1000, 65536, 1 << 30):
                pieces: list[bytes] = []
                with store.open(key) as reader:
                    with pytest.raises(errors.CorruptBundle):
                        drain(reader, step, pieces)
                    # it does not end well later either
                    with pytest.raises(errors.CorruptBundle):
                        reader.read(step)
                assert len(b''.join(pieces)) < max(len(rotten), 1)

    def test_rotten_bundle_heals(self, store: Any) -> None:
        key = store.put([b'healthy'])
        self.damage(store, key, b'unhealthy')
        assert store.put([b'healthy']) == key
        assert readwhole(store, key) == b'healthy'
        assert store.size(key) == len(b'healthy')

    def test_lost_bundle_heals(self, store: Any) -> None:
        key = store.put([b'healthy'])
        self.damage(store, key, None)
        for method in methodswithkey(store):
            assertraises(errors.UnknownKey, method, key)
        assert store.put([b'healthy']) == key
        assert readwhole(store, key) == b'healthy'
