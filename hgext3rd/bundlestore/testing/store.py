"""Certifies a bundle store.

Subclass :class:`StoreConformance` in a test module; see the package.
"""

from __future__ import annotations

import abc
import hashlib
import os
import random
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from zope.interface import providedBy
from zope.interface.verify import verifyObject

from .. import errors, model
from ..interfaces import (
    IBundleReader,
    IBundleStore,
    IDownloadURL,
    ILocalPath,
    IStagedBundle,
)
from . import processes

GOOD = 'ab' * 32

#: what is no key, each in a way that another check may miss
HOSTILE = [
    '',
    '.',
    '..',
    'tmp',
    '/' + GOOD[1:],
    '../../' + GOOD[6:],
    GOOD[:2] + '/' + GOOD[3:],
    GOOD[:2] + '\\' + GOOD[3:],
    GOOD[:2] + '\0' + GOOD[3:],
    GOOD[:-1] + '\n',
    GOOD + '\n',
    GOOD + '\0',
    ' ' + GOOD[1:],
    GOOD[:-1],
    GOOD + 'a',
    GOOD.upper(),
    GOOD[:-1] + 'B',
    'g' * 64,
    '-' * 64,
    '*' * 64,
    '%2e%2e%2f' + GOOD[9:],
    '\u0661' * 64,
    '\uff41' * 64,
    '\udc80' * 64,
    'a' * 1000000,
    GOOD.encode('ascii'),
    bytearray(GOOD.encode('ascii')),
    bytes.fromhex(GOOD),
    list(GOOD),
    Path(GOOD),
    None,
    0,
    True,
]

MEGABYTE = 1 << 20
SIZES = [0, 1, 65535, 65536, 65537, 131072, 3 * MEGABYTE + 1]


def content(seed: object, size: int = 1000) -> bytes:
    """Return bytes that differ from seed to seed."""
    return random.Random(f'{seed}').randbytes(size)


def keyof(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    for begin in range(0, len(data), size):
        yield data[begin : begin + size]


def flipped(data: bytes, position: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def readwhole(store: Any, key: str) -> bytes:
    with store.open(key) as reader:
        data: bytes = reader.read()
        return data


def can(ability: Any, thing: Any) -> bool:
    return bool(ability.providedBy(thing))


def methodswithkey(store: Any) -> list[Callable[[Any], object]]:
    methods = [store.open, store.size, store.delete]
    if can(ILocalPath, store):
        methods.append(store.localpath)
    if can(IDownloadURL, store):
        methods.append(store.downloadurl)
    return methods


def assertraises(
    error: type[BaseException], method: Callable[[Any], object], key: Any
) -> None:
    try:
        method(key)
    except error:
        return
    pytest.fail(f'{method} takes {key!a:.80}')


def drain(reader: Any, size: int, pieces: list[bytes]) -> None:
    """Read to the end, in reads of ``size``, and add the results to
    ``pieces``."""
    while True:
        piece = reader.read(size)
        if not piece:
            return
        pieces.append(piece)


class Failure(Exception):
    """What only an iterator of the tests raises."""


def failing(error: BaseException, after: int = 3) -> Iterator[bytes]:
    for number in range(after):
        yield content(number, 100000)
    raise error


class StoreConformance(abc.ABC):
    """Every store passes these tests."""

    pytestmark = pytest.mark.filterwarnings(processes.IGNOREFORKS)

    @abc.abstractmethod
    def makestore(self, place: model.Place) -> Any:
        """Return a new object for the store of ``place``.

        Two calls for one place, perhaps in two processes, return two objects
        that show the same store; another place has another, empty store.
        """

    def damage(self, store: Any, key: str, data: Optional[bytes]) -> None:
        """Replace the bytes that are stored under ``key`` behind the store's
        back, or lose them where ``data`` is None.

        A store without ``ILocalPath`` overrides this, or does without the
        tests that need it.
        """
        if not can(ILocalPath, store):
            pytest.skip('this store cannot be damaged from outside')
        path = store.localpath(key)
        os.unlink(path)
        if data is not None:
            with open(path, 'wb') as fp:
                fp.write(data)

    @pytest.fixture
    def place(self, tmp_path: Path) -> model.Place:
        return model.Place(os.fsencode(tmp_path / 'of' / 'repository'))

    @pytest.fixture
    def store(self, place: model.Place) -> Iterator[Any]:
        store = self.makestore(place)
        yield store
        store.close()

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

    @pytest.mark.parametrize('size', [1, 7, 65535, 65536, 65537, 1 << 30])
    def test_reading_in_pieces(self, store: Any, size: int) -> None:
        data = content('pieces', 200001 if size > 7 else 1000)
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

    def test_published_bundle_is_not_discarded(self, store: Any) -> None:
        with store.stage([b'some']) as staged:
            staged.publish()
            staged.publish()
            staged.discard()
        staged.discard()
        assert readwhole(store, staged.key) == b'some'

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

    @pytest.mark.parametrize('size', [1, 1000, 65536, 65537, 300000])
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

    def test_download_url(self, store: Any) -> None:
        if not can(IDownloadURL, store):
            pytest.skip('this store has no URLs for its bundles')
        url = store.downloadurl(store.put([b'some']))
        assert url.partition(':')[0] in ('http', 'https')

    # -- several at once

    def test_threads(self, store: Any) -> None:
        def work(thread: int) -> None:
            for number in range(10):
                shared = content(number, 100000)
                own = content((thread, number), 1000)
                for data in (shared, own):
                    key = store.put(chunks(data, 30000))
                    assert readwhole(store, key) == data

        with processes.threads(8, work):
            pass
        assert len(list(store.keys())) == 90

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
    suite: type[StoreConformance],
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
    suite: type[StoreConformance], place: model.Place, staged: bool
) -> None:
    store = suite().makestore(place)
    if staged:
        store.stage([_KILLED])
        processes.killself()

    def dying() -> Iterator[bytes]:
        yield from chunks(_KILLED, 65536)
        processes.killself()

    store.stage(dying())
