"""Copies of bundles at hand: ``stores/cache.py``."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.backends.objects import ObjectStore
from harness.rights import asnobody, publicfolder
from harness.smalldisk import fill, mounted
from hgext3rd.bundlestore import backends, errors, model
from hgext3rd.bundlestore.bundle import container, reading
from hgext3rd.bundlestore.declaring import Interfaces, provides
from hgext3rd.bundlestore.stores import cache, cachefiles
from hgext3rd.bundlestore.stores.file import FileStore
from hgext3rd.bundlestore.testing import processes
from hgext3rd.bundlestore.testing.store import (
    StoreConformance,
    content,
    flipped,
    keyof,
    readwhole,
)

pytestmark = [
    pytest.mark.slow('the whole suite, and many processes'),
    pytest.mark.filterwarnings(processes.IGNOREFORKS),
]


class Remote(FileStore):
    """A store that is elsewhere: it has no local paths. What is read of it is
    noted in a file, and ``reading`` is called before."""

    __implemented__ = Interfaces('IBundleStore', 'ISelfCheck')

    reading: Callable[[], object] = staticmethod(lambda: None)

    def __init__(self, folder: bytes) -> None:
        super().__init__(folder)
        self._log = Path(os.fsdecode(folder) + '.reads')

    def open(self, key: str) -> Any:
        reader = super().open(key)
        with self._log.open('a') as fp:
            fp.write(f'{key}\n')
        self.reading()
        return reader

    def reads(self) -> list[str]:
        """Return what was read since the last time."""
        with contextlib.suppress(FileNotFoundError):
            found = self._log.read_text().splitlines()
            self._log.unlink()
            return found
        return []


def makestore(place: model.Place, limit: int = 1 << 30) -> Any:
    remote = Remote(os.path.join(place.directory, b'remote'))
    folder = os.path.join(place.directory, b'cache', b'bundles')
    return cache.caching(remote, folder, place.createmode, limit)


class TestCachingStore(StoreConformance):
    def makestore(self, place: model.Place) -> Any:
        return makestore(place)

    def damage(self, store: Any, key: str, data: bytes | None) -> None:
        store._files.drop(key)
        path = Path(os.fsdecode(store.uncached._path(key)))
        path.unlink()
        if data is not None:
            path.write_bytes(data)


@pytest.fixture
def place(tmp_path: Path) -> model.Place:
    return model.Place(os.fsencode(tmp_path / 'bundlestore'))


@pytest.fixture
def store(place: model.Place) -> Any:
    return makestore(place)


@pytest.fixture
def remote(store: Any) -> Remote:
    found: Remote = store.uncached
    return found


def copies(place: model.Place) -> dict[str, Path]:
    """Return the files of the copies, by key."""
    folder = Path(os.fsdecode(place.directory)) / 'cache' / 'bundles'
    return {path.name: path for path in folder.glob('??/*')}


# -- what is read, and how often


def test_a_bundle_is_fetched_once(
    place: model.Place, store: Any, remote: Remote
) -> None:
    data = content('some', 300000)
    key = remote.put([data])
    for _time in range(3):
        assert readwhole(store, key) == data
        assert readwhole(makestore(place), key) == data
    assert remote.reads() == [key]
    store.delete(key)
    assert copies(place) == {}
    with pytest.raises(errors.UnknownKey):
        store.open(key)


def test_what_is_pushed_is_not_fetched(
    place: model.Place, tmp_path: Path
) -> None:
    """Its file becomes the copy, and is not written again."""
    name = f'{tmp_path}/$HGBS_KEY'
    put = f'mkdir -p $(dirname {name}) && cp $HGBS_FILE {name}'
    place = place._replace(config={'put-command': put})
    store = backends.openstore('command', place, 1 << 30)
    with store.stage([b'some']) as staged:
        path = Path(os.fsdecode(staged.localpath(staged.key)))
        inode = path.stat().st_ino
        staged.publish()
        # the index waits for this; the cache does not have it wait
        assert copies(place) == {}
    assert copies(place)[staged.key].stat().st_ino == inode
    assert not path.exists()
    assert readwhole(store, staged.key) == b'some'
    with store.stage([b'dropped']):
        pass
    failing = place._replace(config={'put-command': 'false'})
    with pytest.raises(errors.BackendUnavailable, match='exit code 1'):
        backends.openstore('command', failing, 1 << 30).put([b'failed'])
    assert [*copies(place)] == [staged.key]
    assert [*Path(os.fsdecode(place.directory)).rglob('tmp/*')] == []


def test_many_processes_fetch_once(
    place: model.Place, store: Any, remote: Remote
) -> None:
    data = content('some', 300000)
    key = remote.put([data])

    def work(number: int) -> None:
        Remote.reading = staticmethod(lambda: time.sleep(0.3))
        with processes.threads(3, lambda thread: check()):
            check()

    def check() -> None:
        assert readwhole(makestore(place), key) == data

    processes.run('fork', work, [(number,) for number in range(12)])
    assert remote.reads() == [key]


def test_who_fetches_is_killed(
    place: model.Place, store: Any, remote: Remote
) -> None:
    data = content('some', 300000)
    key = remote.put([data])

    def work() -> None:
        Remote.reading = staticmethod(processes.killself)
        store.open(key)

    assert processes.join(processes.start('fork', work, [()])) == [-9]
    assert readwhole(store, key) == data
    assert readwhole(store, key) == data
    assert remote.reads() == [key, key]


def test_who_fetches_takes_too_long(
    place: model.Place, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = store.uncached.put([b'some'])
    monkeypatch.setattr(cache, 'WAIT', 0.05)
    with store._files.fetching(key, 1) as alone:
        assert alone
        for _time in range(2):
            assert readwhole(store, key) == b'some'
    assert store.uncached.reads() == [key, key]
    assert copies(place) == {}


def test_a_store_that_fails_while_it_is_read(
    place: model.Place,
    store: Any,
    remote: Remote,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is the store that is told of, and nothing is kept."""
    key = remote.put([content('some', 300000)])

    class Failing:
        size = 300000

        def read(self, size: int) -> bytes:
            raise errors.BackendUnavailable('the line is dead')

        def close(self) -> None:
            pass

    with monkeypatch.context() as patch:
        patch.setattr(Remote, 'open', lambda self, key: Failing())
        with pytest.raises(errors.BackendUnavailable, match='line is dead'):
            store.open(key)
    assert copies(place) == {}
    assert len(readwhole(store, key)) == 300000


# -- the store itself


def test_the_store_is_asked_for_all_else(store: Any, remote: Remote) -> None:
    key = store.put([b'some'])
    readwhole(store, key)
    remote.delete(key)
    assert [*store.keys()] == []
    for method in (store.size, store.modified):
        with pytest.raises(errors.UnknownKey):
            method(key)
    assert store.uncached is remote


def test_abilities_are_those_of_the_store(place: model.Place) -> None:
    class Linking(Remote):
        __implemented__ = Interfaces('IBundleStore', 'IDownloadURL')

        def downloadurl(self, key: str) -> str:
            return f'https://example.org/{key}'

    for kind, names in (
        (Remote, ['ISelfCheck']),
        (Linking, ['IDownloadURL']),
    ):
        made: Any = cache.caching(kind(place.directory), b'/x', None, 1)
        for name in ('IDownloadURL', 'ISelfCheck', 'ILocalPath'):
            assert provides(made, name) is (name in names), (kind, name)
        assert provides(made, 'ICached')
    assert made.downloadurl('a') == 'https://example.org/a'


# -- rot


def test_a_rotten_copy_is_fetched_again(
    place: model.Place, store: Any, remote: Remote
) -> None:
    data = content('some', 300000)
    key = remote.put([data])
    readwhole(store, key)
    for rotten in (flipped(data, 0), flipped(data, 299999), data[:-1], b''):
        copies(place)[key].write_bytes(rotten)
        remote.reads()
        with store.open(key) as reader:
            assert reader.read() == data
        assert remote.reads() == [key]
        assert copies(place)[key].read_bytes() == data


def test_a_copy_is_written_to_while_it_is_read(
    place: model.Place, store: Any
) -> None:
    data = content('some', 300000)
    key = store.uncached.put([data])
    with store.open(key) as reader:
        reader.read(1000)
        time.sleep(0.01)
        copies(place)[key].write_bytes(flipped(data, 299999))
        with pytest.raises(errors.CorruptBundle):
            reader.read()
    with store.open(key) as reader:
        assert reader.read() == data


def test_rot_in_the_store_is_told(place: model.Place, store: Any) -> None:
    data = content('some', 300000)
    key = store.uncached.put([data])
    Path(os.fsdecode(store.uncached._path(key))).write_bytes(flipped(data, 5))
    with (
        store.open(key) as reader,
        pytest.raises(errors.CorruptBundle),
    ):
        reader.read()
    assert copies(place) == {}


# -- plain files


def test_a_plain_file_of_a_bundle(
    place: model.Place, store: Any, remote: Remote
) -> None:
    data = content('some', 5 << 20)
    key = remote.put([data])

    def plain() -> contextlib.AbstractContextManager[bytes]:
        return container.checkedfile(store, key)

    with plain() as path:
        assert path == os.fsencode(copies(place)[key])
        # who needs its name needs it for a while
        assert not store.makeroom()
        with store.open(key) as reader:
            assert reader.path == path
        assert not store.makeroom()
        assert Path(os.fsdecode(path)).read_bytes() == data
    reader, wasread = reading.hashed(store, key)
    with reader:
        assert wasread
        assert reader.read() == data
    assert remote.reads() == [key]
    assert store.makeroom()
    assert copies(place) == {}


def test_a_bundle_that_is_too_large(place: model.Place) -> None:
    """It is read from the store, and a plain file of it is a temporary one."""
    store = makestore(place, limit=100000)
    data = content('large', 100001)
    with store.stage([data]) as staged:
        staged.publish()
    key = staged.key
    assert readwhole(store, key) == data
    with container.checkedfile(store, key) as path:
        file = Path(os.fsdecode(path))
        assert file.read_bytes() == data
    assert not file.exists()
    assert copies(place) == {}
    assert store.uncached.reads() == [key, key]


# -- the bound


def test_what_was_not_used_for_longest_goes(
    place: model.Place,
) -> None:
    store = makestore(place, limit=100000)
    bundles = [content(number, 20000) for number in range(7)]
    keys = [store.uncached.put([data]) for data in bundles]
    now = time.time()
    for age, key in enumerate(reversed(keys[:5]), 1):
        readwhole(store, key)
        times = (now - age * 1000, now - age * 1000)
        os.utime(copies(place)[key], times)
    assert set(copies(place)) == set(keys[:5])
    # used, or in use
    readwhole(store, keys[0])
    with store.open(keys[1]) as reader:
        os.utime(copies(place)[keys[1]], (0, 0))
        for key in keys[5:]:
            readwhole(store, key)
            total = sum(p.stat().st_size for p in copies(place).values())
            assert total <= 100000
        assert reader.read(10) == bundles[1][:10]
    assert {keys[0], keys[1], *keys[5:]} <= set(copies(place))
    assert keys[2] not in copies(place)
    store.uncached.reads()
    assert readwhole(store, keys[2]) == bundles[2]
    assert store.uncached.reads() == [keys[2]]


def test_the_folder_is_looked_through_now_and_then(
    place: model.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small bundles count as what they take on a disk."""
    shrunk = []
    shrink = cachefiles.CacheFiles._shrink

    def noting(self: cachefiles.CacheFiles, most: int) -> int:
        shrunk.append(most)
        return shrink(self, most)

    monkeypatch.setattr(cachefiles.CacheFiles, '_shrink', noting)
    store = makestore(place, limit=20 * 4096)
    for number in range(60):
        readwhole(store, store.uncached.put([b'%d' % number]))
        assert len(copies(place)) <= 20
    assert len(shrunk) <= 10
    # nobody can tell what such a file says
    usage = Path(os.fsdecode(place.directory)) / 'cache/bundles/usage'
    usage.write_bytes(b'nonsense')
    before = len(shrunk)
    readwhole(store, store.uncached.put([b'more']))
    assert len(shrunk) == before + 1
    assert int(usage.read_bytes()) <= 20 * 4096


# -- the disk


@pytest.fixture
def disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[model.Place]:
    """A place on a disk of 4 MB, of which 1 MB is spared."""
    monkeypatch.setattr(cachefiles, 'SPARE', 1 << 20)
    with mounted(tmp_path / 'disk', '4m') as path:
        yield model.Place(os.fsencode(path / 'bundlestore'))


def elsewhere(place: model.Place, remote: Path) -> Any:
    folder = os.path.join(place.directory, b'cache', b'bundles')
    return cache.caching(Remote(os.fsencode(remote)), folder, None, 1 << 30)


def test_a_full_disk(disk: model.Place, tmp_path: Path) -> None:
    store = elsewhere(disk, tmp_path / 'remote')
    bundles = [content(number, 1 << 20) for number in range(5)]
    keys = [store.uncached.put([data]) for data in bundles]
    for key, data in zip(keys, bundles):
        assert readwhole(store, key) == data
    assert keys[0] not in copies(disk)
    assert keys[4] in copies(disk)
    filler = fill(tmp_path / 'disk')
    for key, data in zip(keys, bundles):
        assert readwhole(store, key) == data
    with store.stage([b'some']) as staged:
        staged.publish()
    assert readwhole(store, staged.key) == b'some'
    filler.unlink()
    assert readwhole(store, keys[0]) == bundles[0]
    assert keys[0] in copies(disk)


def test_a_push_gets_the_room(
    disk: model.Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, '_STEP', 1 << 18)
    path = Path(os.fsdecode(disk.directory))
    store = elsewhere(disk, path / 'remote')
    other = FileStore(os.fsencode(tmp_path / 'other'))
    # what it holds already is on that disk, too
    for number in range(3):
        key = other.put([content(number, 900000)])
        with other.open(key) as reader:
            assert store._files.admit(900000)
            store._files.put([reader.read()])
    assert len(copies(disk)) >= 2
    data = content('push', 3 << 20)
    step = 1 << 16
    key = store.put(data[n : n + step] for n in range(0, len(data), step))
    assert key == keyof(data)
    assert readwhole(store, key) == data
    assert copies(disk) == {}


def test_who_may_not_write() -> None:
    with publicfolder() as public:
        place = model.Place(os.fsencode(public / 'bundlestore'))
        store = makestore(place)
        kept, other = map(store.uncached.put, ([b'kept'], [b'other']))
        readwhole(store, kept)

        def work() -> list[bytes]:
            # notes no reads
            Remote.open = FileStore.open  # type: ignore[method-assign]
            return [readwhole(store, key) for key in (kept, other)]

        assert asnobody(work) == [b'kept', b'other']
        assert [*copies(place)] == [kept]


# -- where it is used


def test_which_stores_have_one(
    place: model.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = backends.openstore('file', place, 1 << 30)
    assert isinstance(file, FileStore)
    assert not provides(file, 'ICached')
    assert provides(backends.openstore('command', place, 1), 'ICached')
    assert not provides(backends.openstore('command', place), 'ICached')
    monkeypatch.setattr(
        backends, '_open', lambda kind, group, url, place: FileStore(b'/x')
    )
    assert not provides(backends.openstore('own:x', place, 1), 'ICached')


def test_in_front_of_a_bucket(place: model.Place, rclone: ObjectStore) -> None:
    url = rclone.fresh()
    store = backends.openstore(url, place, 1 << 30)
    large = content('large', 9 << 20)
    keys = [store.put([b'small']), store.put([large])]
    # what was staged is what is kept, also where it was sent in parts
    assert set(copies(place)) == set(keys)
    other = model.Place(place.directory + b'-other')
    for replica in (place, other):
        with_copies = backends.openstore(url, replica, 1 << 30)
        assert readwhole(with_copies, keys[0]) == b'small'
        assert readwhole(with_copies, keys[1]) == large
    assert set(copies(other)) == set(keys)
    for key in keys:
        store.delete(key)
    assert copies(place) == {}
    # those of another machine stay: nothing tells it
    assert set(copies(other)) == set(keys)


def test_the_folder_goes_meanwhile(
    place: model.Place, store: Any, remote: Remote
) -> None:
    """While servers run, as docs/backends.rst says."""
    bundles = [content(number, 100000) for number in range(4)]
    keys = [remote.put([data]) for data in bundles]
    folder = Path(os.fsdecode(place.directory)) / 'cache'
    until = time.monotonic() + 0.5

    def read(thread: int) -> None:
        while time.monotonic() < until:
            for key, data in zip(keys, bundles):
                assert readwhole(store, key) == data
            store.put([b'%d' % thread])

    with processes.threads(4, read):
        while time.monotonic() < until:
            shutil.rmtree(folder, ignore_errors=True)
            time.sleep(0.002)
