"""Tests of a store: what is written, read and removed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from zope.interface import providedBy
from zope.interface.verify import verifyObject

from ... import errors, model
from ...interfaces import (
    IBundleReader,
    IBundleStore,
    IDownloadURL,
    ILocalPath,
    IPlainReader,
    IStagedBundle,
)
from .base import StoreTests
from .data import (
    GOOD,
    HOSTILE,
    MEGABYTE,
    SIZES,
    assertraises,
    can,
    chunks,
    content,
    drain,
    keyof,
    methodswithkey,
    readwhole,
)


class BundleTests(StoreTests):
    """What stands in the contract of a single user."""

    # -- what is declared

    def test_store_provides_what_it_declares(self, store: Any) -> None:
        assert IBundleStore.providedBy(store)
        for interface in providedBy(store):
            verifyObject(interface, store)

    def test_staged_bundle_provides_what_it_declares(self, store: Any) -> None:
        with store.stage([b'some']) as staged:
            assert IStagedBundle.providedBy(staged)
            for interface in providedBy(staged):
                verifyObject(interface, staged)

    def test_readers_provide_what_they_declare(self, store: Any) -> None:
        with store.stage([b'some']) as staged:
            staged.publish()
            with store.open(staged.key) as reader:
                assert IBundleReader.providedBy(reader)
                for interface in providedBy(reader):
                    verifyObject(interface, reader)
        with store.stage([b'other']) as staged, staged.open() as reader:
            assert IBundleReader.providedBy(reader)
            for interface in providedBy(reader):
                verifyObject(interface, reader)

    # -- keys

    @pytest.mark.parametrize('empty', [True, False])
    def test_hostile_keys(self, store: Any, empty: bool) -> None:
        if not empty:
            store.put([b'something'])
        for method in methodswithkey(store):
            for key in HOSTILE:
                assertraises(errors.InvalidKey, method, key)

    def test_hostile_keys_of_staged_bundle(self, store: Any) -> None:
        with store.stage([b'something']) as staged:
            if not can(ILocalPath, staged):
                pytest.skip('a staged bundle has no local path')
            for key in HOSTILE:
                assertraises(errors.InvalidKey, staged.localpath, key)

    @pytest.mark.parametrize('empty', [True, False])
    def test_unknown_key(self, store: Any, empty: bool) -> None:
        if not empty:
            store.put([b'something'])
        for method in methodswithkey(store):
            assertraises(errors.UnknownKey, method, GOOD)

    def test_reading_creates_nothing(
        self, place: model.Place, store: Any
    ) -> None:
        assert list(store.keys()) == []
        for method in methodswithkey(store):
            assertraises(errors.UnknownKey, method, GOOD)
        store.close()
        assert not os.path.exists(place.directory)

    def test_keys(self, store: Any) -> None:
        stored = {store.put([content(number)]) for number in range(50)}
        with store.stage([b'staged']):
            found = list(store.keys())
        assert set(found) == stored
        assert len(found) == 50
        assert {type(key) for key in found} == {str}

    # -- writing and reading

    @pytest.mark.parametrize('size', SIZES)
    @pytest.mark.parametrize('chunk', [4099, 65536, 10 * MEGABYTE])
    def test_roundtrip(self, store: Any, size: int, chunk: int) -> None:
        data = content('roundtrip', size)
        key = store.put(chunks(data, chunk))
        assert key == keyof(data)
        assert store.size(key) == size
        with store.open(key) as reader:
            assert reader.size == size
            assert reader.read() == data
            assert reader.read() == b''
            assert reader.read(1) == b''

    @pytest.mark.parametrize('kind', [list, tuple, iter])
    @pytest.mark.parametrize(
        'given', [[], [b''], [b'', b'a', b''], [b'x' * 70000, b'', b'y']]
    )
    def test_chunks_of_any_length(
        self,
        store: Any,
        given: list[bytes],
        kind: Callable[[list[bytes]], Iterable[bytes]],
    ) -> None:
        key = store.put(kind(given))
        assert readwhole(store, key) == b''.join(given)

    @pytest.mark.parametrize('size', [1, 7, 262143, 262144, 262145, 1 << 30])
    def test_reading_in_pieces(self, store: Any, size: int) -> None:
        data = content('pieces', 600001 if size > 7 else 1000)
        key = store.put([data])
        pieces: list[bytes] = []
        with store.open(key) as reader:
            assert reader.read(0) == b''
            drain(reader, size, pieces)
        assert b''.join(pieces) == data
        assert max(map(len, pieces)) <= size

    def test_readers_are_independent(self, store: Any) -> None:
        data = content('independent', 300000)
        key = store.put([data])
        with store.open(key) as first, store.open(key) as second:
            begin = first.read(10)
            assert second.read() == data
            assert begin + first.read() == data

    def test_reader_closes_twice(self, store: Any) -> None:
        reader = store.open(store.put([b'some']))
        reader.close()
        reader.close()

    def test_same_bundle_twice(self, store: Any) -> None:
        first = store.put([b'same', b'bundle'])
        second = store.put([b'samebundle'])
        assert first == second
        assert list(store.keys()) == [first]
        assert readwhole(store, first) == b'samebundle'

    def test_another_object_shows_the_same_store(
        self, place: model.Place, store: Any
    ) -> None:
        other = self.makestore(place)
        key = store.put([b'some'])
        assert readwhole(other, key) == b'some'
        other.delete(key)
        assert list(store.keys()) == []
        other.close()

    def test_closed_store_opens_again(self, store: Any) -> None:
        key = store.put([b'some'])
        store.close()
        store.close()
        assert readwhole(store, key) == b'some'
        store.close()
        store.put([b'more'])

    # -- removal

    def test_delete(self, store: Any) -> None:
        kept = store.put([b'kept'])
        key = store.put([b'some'])
        store.delete(key)
        for method in methodswithkey(store):
            assertraises(errors.UnknownKey, method, key)
        assert list(store.keys()) == [kept]
        assert store.put([b'some']) == key
        assert readwhole(store, key) == b'some'

    def test_delete_while_it_is_read(self, store: Any) -> None:
        data = content('delete', MEGABYTE)
        key = store.put([data])
        with store.open(key) as reader:
            begin = reader.read(1000)
            store.delete(key)
            try:
                rest = reader.read()
            except errors.BundleStoreError:
                return
        assert begin + rest == data

    # -- abilities

    def test_local_path(self, store: Any) -> None:
        if not can(ILocalPath, store):
            pytest.skip('this store has no local paths')
        data = content('path', 100000)
        key = store.put([data])
        path = store.localpath(key)
        assert isinstance(path, bytes)
        assert os.path.isabs(path)
        with open(path, 'rb') as fp:
            assert fp.read() == data

    def test_local_path_of_staged_bundle(self, store: Any) -> None:
        data = content('path', 100000)
        with store.stage([data]) as staged:
            if not can(ILocalPath, staged):
                pytest.skip('a staged bundle has no local path')
            path = staged.localpath(staged.key)
            assert isinstance(path, bytes)
            assert os.path.isabs(path)
            with open(path, 'rb') as fp:
                assert fp.read() == data
            with pytest.raises(errors.UnknownKey):
                staged.localpath(keyof(b'not that'))
        with pytest.raises(errors.UnknownKey):
            staged.localpath(staged.key)

    def test_plain_file_of_a_reader(self, store: Any) -> None:
        data = content('path', 100000)
        key = store.put([data])
        with store.open(key) as reader:
            if not can(IPlainReader, reader):
                pytest.skip('what reads this store has no plain files')
            assert isinstance(reader.path, bytes)
            assert os.path.isabs(reader.path)
            with open(reader.path, 'rb') as fp:
                assert fp.read() == data
            assert reader.read() == data
            assert os.path.exists(reader.path)

    def test_download_url(self, store: Any) -> None:
        if not can(IDownloadURL, store):
            pytest.skip('this store has no URLs for its bundles')
        url = store.downloadurl(store.put([b'some']))
        assert url.partition(':')[0] in ('http', 'https')
