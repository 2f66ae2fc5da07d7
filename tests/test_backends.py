"""The store ``file``, the index ``file``, and how a backend is found."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import io
import multiprocessing
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from zope.interface import implementer

from harness.rights import (
    Refused,
    asnobody,
    files,
    mode,
    protect,
    publicfolder,
)
from harness.thirdparty import install
from hgext3rd.bundlestore import (
    backends,
    declaring,
    errors,
    interfaces,
    model,
)
from hgext3rd.bundlestore.indexes.sql import labels, pushes
from hgext3rd.bundlestore.indexes.sqlite import (
    connections,
    database,
    dialect,
    file as indexfile,
    schema,
)
from hgext3rd.bundlestore.stores.file import FileStore
from hgext3rd.bundlestore.stores.reader import VerifyingReader
from hgext3rd.bundlestore.testing import processes
from hgext3rd.bundlestore.testing.index import IndexConformance, newpush
from hgext3rd.bundlestore.testing.store import (
    GOOD,
    Failure,
    StoreConformance,
    content,
    drain,
    failing,
    keyof,
    readwhole,
)
from hgext3rd.bundlestore.viewmodel import View

pytestmark = pytest.mark.filterwarnings(processes.IGNOREFORKS)


class TestFileStore(StoreConformance):
    def makestore(self, place: model.Place) -> Any:
        return backends.openstore('file', place)


class TestFileIndex(IndexConformance):
    def makeindex(self, place: model.Place) -> Any:
        return backends.openindex('file', place)

    @pytest.fixture
    def place(self, folder: Path) -> model.Place:
        return model.Place(os.fsencode(folder / 'of' / 'repository'))


# -- fixtures and helpers


@pytest.fixture
def folder() -> Iterator[Path]:
    with publicfolder() as path:
        yield path


@pytest.fixture
def place(folder: Path) -> model.Place:
    return model.Place(os.fsencode(folder / 'repo' / 'bundlestore'))


@pytest.fixture
def store(place: model.Place) -> Any:
    return backends.openstore('file', place)


@pytest.fixture
def index(place: model.Place) -> Iterator[Any]:
    index = backends.openindex('file', place)
    yield index
    index.close()


@pytest.fixture
def smalldisk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 320 kB."""
    if os.geteuid() != 0:
        pytest.skip('only root can mount a small disk')
    path = tmp_path / 'disk'
    path.mkdir()
    options = ['-t', 'tmpfs', '-o', 'size=320k']
    mounted = subprocess.run(
        ['mount', *options, 'bundlestore-test', path],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f'a small disk cannot be mounted: {mounted.stderr}')
    yield path
    subprocess.run(['umount', path], check=True)


@pytest.fixture
def protected(folder: Path) -> Callable[[], None]:
    """A function that takes the right to write from everybody."""
    return lambda: protect(folder)


# -- URLs


@pytest.mark.parametrize(
    ('url', 'path'),
    [
        ('file:{}/x', b'x'),
        ('file://{}/x', b'x'),
        ('file://localhost{}/x', b'x'),
        ('file:{}/x/', b'x'),
        ('file:{}/a%20b%2Fc', b'a b/c'),
        ('file:{}/50%', b'50%'),
        ('file:{}/\u00e4', b'\xc3\xa4'),
        ('file:{}/%ff%3f', b'\xff?'),
        ('file:{}/\udcff#?', b'\xff#?'),
    ],
)
def test_url_with_a_path(folder: Path, url: str, path: bytes) -> None:
    place = model.Place(b'/nonexistent')
    expected = os.path.join(os.fsencode(folder), path)
    url = url.format(folder)
    store = backends.openstore(url, place)
    key = store.put([b'some'])
    assert store.localpath(key).startswith(expected + b'/')
    shutil.rmtree(expected)
    index = backends.openindex(url, place)
    index.record(newpush('one'))
    index.close()
    assert os.path.isfile(expected)
    assert backends.openindex(url, place).lastid() == 1


@pytest.mark.parametrize(
    'url', ['file:', 'file:x', 'file://host/x', 'file://x', 'file:/x%00y']
)
def test_url_without_absolute_path(place: model.Place, url: str) -> None:
    for function in (backends.openstore, backends.openindex):
        with pytest.raises(errors.UnknownScheme, match='absolute path'):
            function(url, place)


def test_default_places(place: model.Place, store: Any, index: Any) -> None:
    key = store.put([b'some'])
    index.record(newpush('one'))
    index.close()
    fanout = os.path.join(place.directory, b'bundles', key[:2].encode())
    assert store.localpath(key) == os.path.join(fanout, key.encode())
    assert sorted(os.listdir(place.directory)) == [b'bundles', b'index.sqlite3']


# -- schemes


def test_unknown_scheme(place: model.Place) -> None:
    with pytest.raises(errors.UnknownScheme) as caught:
        backends.openstore('s4://bucket', place)
    assert str(caught.value) == 'unknown bundle store scheme: s4'
    assert caught.value.hint is not None
    assert caught.value.hint.startswith('known schemes: ')
    assert 'file' in caught.value.hint
    with pytest.raises(errors.UnknownScheme) as caught:
        backends.openindex('', place)
    assert str(caught.value) == 'unknown bundle index scheme: '


@pytest.fixture
def thirdparty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution of somebody else, with backends."""
    entrypoints = """\
        [hg_bundlestore.stores]
        fake = bundlestore_fake:makestore
        file = bundlestore_fake:makestore
        absent = bundlestore_fake_absent:makestore
        broken = bundlestore_fake_broken:makestore
        nameless = bundlestore_fake:nothing
        late = bundlestore_fake:late
        [hg_bundlestore.indexes]
        other = bundlestore_fake:makestore
        """
    fake = """\
        def makestore(url, place):
            return url, place

        def late(url, place):
            import bundlestore_fake_absent
        """
    folder = install(
        tmp_path / 'thirdparty',
        entrypoints,
        bundlestore_fake=fake,
        bundlestore_fake_broken='1 / 0',
    )
    monkeypatch.syspath_prepend(folder)


@pytest.mark.usefixtures('thirdparty')
def test_scheme_of_somebody_else(place: model.Place) -> None:
    found = backends.openstore('fake://x', place)
    assert found == ('fake://x', place)
    assert backends.openindex('other:x', place) == ('other:x', place)
    # our own cannot be replaced
    assert isinstance(backends.openstore('file', place), FileStore)
    with pytest.raises(errors.UnknownScheme) as caught:
        backends.openstore('other:x', place)
    assert caught.value.hint is not None
    schemes = caught.value.hint.partition(': ')[2].split(', ')
    assert schemes == sorted(set(schemes))
    assert {'absent', 'fake', 'file'} < set(schemes)


@pytest.mark.usefixtures('thirdparty')
@pytest.mark.parametrize('scheme', ['absent', 'broken', 'nameless', 'late'])
def test_scheme_that_does_not_load(place: model.Place, scheme: str) -> None:
    with pytest.raises(errors.BackendUnavailable) as caught:
        backends.openstore(f'{scheme}:x', place)
    assert f'scheme {scheme} cannot be loaded' in str(caught.value)
    assert caught.value.hint is not None
    assert 'bundlestore_fake' in caught.value.hint


def test_own_scheme_loads_nothing_slow(place: model.Place) -> None:
    package = str(Path(backends.__file__).parent)
    code = f"""
import sys, types
# The front page of the package imports Mercurial, the backends must not.
stub = types.ModuleType('hgext3rd.bundlestore')
stub.__path__ = [{package!r}]
sys.modules['hgext3rd'] = types.ModuleType('hgext3rd')
sys.modules['hgext3rd.bundlestore'] = stub
from hgext3rd.bundlestore import backends, declaring, model
place = model.Place({place.directory!r})
store = backends.openstore('file', place, 1 << 30)
index = backends.openindex('file', place)
key = store.put([b'some'])
node = b'n' * 20
index.record(model.NewPush(1.0, '', key, 4, (node,), (model.Head(node, ''),)))
index.close()
assert declaring.provides(store, 'ILocalPath')
assert not declaring.provides(store, 'IDownloadURL')
for name in ('importlib.metadata', 'mercurial', 'zope', 'json'):
    assert name not in sys.modules, name
for name in ('cache', 'cachefiles', 'command', 'running'):
    assert 'hgext3rd.bundlestore.stores.' + name not in sys.modules, name
"""
    subprocess.run([sys.executable, '-c', code], check=True)


# -- what is declared


class Declaring:
    __implemented__ = declaring.Interfaces('ILocalPath', 'IReserve')


class Inheriting(Declaring):
    pass


@implementer(interfaces.ILocalPath, interfaces.IReserve)
class WithZope:  # type: ignore[misc]
    pass


class Silent:
    def keepreserve(self) -> None:
        raise AssertionError


def test_abilities_are_those_that_are_declared() -> None:
    names = [name for name in vars(interfaces) if re.match('I[A-Z]', name)]
    for kind in (Declaring, Inheriting, WithZope, Silent):
        thing = kind()
        expected = {'ILocalPath', 'IReserve'} if kind is not Silent else set()
        for _time in range(2):
            found = {n for n in names if declaring.provides(thing, n)}
            assert found == expected, kind
            # after this zope.interface has put its own word in that place
            asked = {
                n for n in names if getattr(interfaces, n).providedBy(thing)
            }
            assert asked == expected, kind


# -- the reader


class Dribble(io.BytesIO):
    """A file that gives what it has in small pieces, as sockets do."""

    def read(self, size: Optional[int] = -1) -> bytes:
        assert size is not None
        assert size > 0
        return super().read(min(size, 999))


class Broken(io.BytesIO):
    def read(self, size: Optional[int] = -1) -> bytes:
        raise OSError(errno.EIO, 'of the disk')


@pytest.mark.parametrize('size', [0, 1, 262144, 262145, 600000])
@pytest.mark.parametrize('step', [-1, 1000, 70000])
def test_reader_of_a_slow_file(size: int, step: int) -> None:
    data = content('slow', size)
    pieces: list[bytes] = []
    with VerifyingReader(Dribble(data), keyof(data), size) as reader:
        drain(reader, step, pieces)
    assert b''.join(pieces) == data
    # fewer than asked for only at the end, which callers build on
    if step > 0:
        assert {len(piece) for piece in pieces[:-1]} <= {step}


@pytest.mark.parametrize('size', [0, 999, 1001])
def test_reader_of_wrong_size(size: int) -> None:
    data = content('size', 1000)
    reader = VerifyingReader(io.BytesIO(data), keyof(data), size)
    with pytest.raises(errors.CorruptBundle):
        reader.read()


def test_reader_holds_back_a_block() -> None:
    data = content('held', 262145)
    pieces: list[bytes] = []
    reader = VerifyingReader(io.BytesIO(data), keyof(b'other'), 262145)
    with pytest.raises(errors.CorruptBundle):
        drain(reader, 1, pieces)
    assert pieces == []


def test_reader_of_a_broken_disk() -> None:
    reader = VerifyingReader(Broken(), keyof(b'x'), 1)
    with pytest.raises(errors.BackendUnavailable, match='input/output error'):
        reader.read(1)
    reader.close()
    with pytest.raises(ValueError, match='closed'):
        reader.read(1)


# -- the store on disk


def test_order_of_publishing(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has the name of a key is durable before it has that name."""
    events: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def logged(fd: int) -> None:
        name = os.readlink(f'/proc/self/fd/{fd}')
        kind = 'folder' if os.path.isdir(name) else 'file'
        events.append((kind, os.path.basename(name)))
        fsync(fd)

    def logreplace(source: bytes, target: bytes) -> None:
        events.append(('replace', ''))
        replace(source, target)

    with store.stage([b'some']) as staged:
        staged.publish()
    folder = staged.key[:2]
    monkeypatch.setattr(os, 'fsync', logged)
    monkeypatch.setattr(os, 'replace', logreplace)
    with store.stage([b'some']) as staged:
        assert [kind for kind, _name in events] == ['file']
        staged.publish()
    assert events[1:3] == [('replace', ''), ('folder', folder)]


@pytest.mark.parametrize(
    ('umask', 'createmode', 'file', 'directory'),
    [
        (0o022, None, 0o644, 0o755),
        (0o077, None, 0o600, 0o700),
        (0o022, 0o040775, 0o664, 0o775),
        (0o077, 0o042775, 0o664, 0o2775),
        (0o022, 0o040700, 0o600, 0o700),
    ],
)
def test_modes(
    place: model.Place,
    umask: int,
    createmode: Optional[int],
    file: int,
    directory: int,
) -> None:
    place = place._replace(createmode=createmode)
    before = os.umask(umask)
    try:
        store = backends.openstore('file', place)
        index = backends.openindex('file', place)
        path = store.localpath(store.put([b'some']))
        with store.stage([b'more']) as staged:
            temporary = staged.localpath(staged.key)
            assert mode(temporary) == file
        index.record(newpush('one'))
    finally:
        os.umask(before)
    assert mode(path) == file
    assert mode(os.path.dirname(path)) == directory
    assert mode(os.path.dirname(temporary)) == directory
    assert mode(place.directory) == directory
    assert mode(os.path.dirname(place.directory)) == directory
    database = os.path.join(place.directory, b'index.sqlite3')
    for suffix in (b'', b'-wal', b'-shm'):
        assert mode(database + suffix) == file
    index.close()


def test_existing_folders_keep_their_mode(place: model.Place) -> None:
    os.makedirs(place.directory)
    os.chmod(place.directory, 0o711)
    store = backends.openstore('file', place._replace(createmode=0o040775))
    store.put([b'some'])
    assert mode(place.directory) == 0o711


def test_nothing_stays_in_tmp(store: Any, place: model.Place) -> None:
    tmp = os.path.join(place.directory, b'bundles', b'tmp')
    for error in (Failure(), KeyboardInterrupt(), OSError()):
        with pytest.raises(type(error)):
            store.put(failing(error))
        assert os.listdir(tmp) == []
    with pytest.raises(TypeError):
        store.put([b'bytes', 'text'])
    with store.stage([b'some']):
        assert len(os.listdir(tmp)) == 1
    assert os.listdir(tmp) == []


def test_strays_are_not_shown(store: Any, place: model.Place) -> None:
    key = store.put([b'some'])
    bundles = Path(os.fsdecode(place.directory)) / 'bundles'
    for name in (
        f'tmp/{GOOD}',
        f'ab/{GOOD}.tmp',
        f'cd/{GOOD}',
        'ab/' + 'AB' * 32,
        'ab/\udcff',
        GOOD,
        'zz',
    ):
        path = bundles / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b'stray')
    (bundles / 'ef').mkdir()
    assert list(store.keys()) == [key]


def test_store_on_full_disk(smalldisk: Path) -> None:
    folder = smalldisk / 'bundles'
    store = FileStore(os.fsencode(folder))
    key = store.put([content('first', 10000)])
    with pytest.raises(errors.BackendUnavailable) as caught:
        store.put(content(n, 1000) for n in range(1000))
    assert str(caught.value) == (
        'bundle store cannot be written: no space left on device'
    )
    assert caught.value.hint == (
        f'the administrator can make room for {folder / "tmp"}:'
        " 'hg admin::bundlestore-gc'"
    )
    assert os.listdir(folder / 'tmp') == []
    assert list(store.keys()) == [key]
    # what is only buffered fails as well
    filler = smalldisk / 'filler'
    with pytest.raises(OSError, match='No space'):
        filler.write_bytes(bytes(1 << 20))
    with pytest.raises(errors.BackendUnavailable):
        store.put([b'small'])
    assert os.listdir(folder / 'tmp') == []
    assert readwhole(store, key) == content('first', 10000)
    filler.unlink()
    store.put([b'small'])


def test_store_without_the_right_to_write(
    store: Any, protected: Callable[[], None]
) -> None:
    data = content('protected')
    key = store.put([data])
    protected()
    assert asnobody(lambda: readwhole(store, key)) == data
    assert asnobody(lambda: list(store.keys())) == [key]
    for change in (lambda: store.put([b'new']), lambda: store.delete(key)):
        with pytest.raises(Refused, match='be written: permission denied'):
            asnobody(change)


def test_absent_store_without_the_right_to_write(
    folder: Path, store: Any, index: Any, protected: Callable[[], None]
) -> None:
    protected()
    assert asnobody(lambda: list(store.keys())) == []
    assert asnobody(index.pushes) == []
    with pytest.raises(Refused, match=r'permission denied.*permissions of'):
        asnobody(lambda: store.put([b'new']))
    with pytest.raises(Refused, match=r'permission denied.*permissions of'):
        asnobody(lambda: index.record(newpush('one')))
    assert files(folder) == []


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can give away rights')
def test_without_the_right_to_read(
    folder: Path, store: Any, index: Any
) -> None:
    key = store.put([b'some'])
    index.record(newpush('one'))
    index.close()
    calls = [
        lambda: readwhole(store, key),
        lambda: list(store.keys()),
        index.lastid,
        index.pushes,
    ]
    for path in (folder / 'repo', *files(folder / 'repo')):
        before = mode(path)
        path.chmod(0)
        if path == folder / 'repo':
            for call in calls:
                with pytest.raises(Refused, match='permission denied'):
                    asnobody(call)
        path.chmod(before)


def test_where_a_folder_should_be(folder: Path) -> None:
    (folder / 'file').write_text('text')
    place = model.Place(os.fsencode(folder / 'file' / 'bundlestore'))
    store = backends.openstore('file', place)
    index = backends.openindex('file', place)
    assert list(store.keys()) == []
    assert index.pushes() == []
    with pytest.raises(errors.BackendUnavailable, match='not a directory'):
        store.put([b'some'])
    with pytest.raises(errors.BackendUnavailable, match='not a directory'):
        index.record(newpush('one'))


# -- the index on disk


def test_index_without_the_right_to_write(
    place: model.Place, index: Any, protected: Callable[[], None]
) -> None:
    recorded = index.record(newpush('one', count=3))
    index.close()
    before = files(place.directory)
    protected()
    assert asnobody(index.pushes) == [recorded]
    assert len(asnobody(lambda: index.locate(recorded.nodes))) == 3
    assert asnobody(index.lastid) == 1
    for change in (
        lambda: index.record(newpush('two')),
        lambda: index.remove(1),
    ):
        with pytest.raises(Refused, match='written: permission denied'):
            asnobody(change)
    assert files(place.directory) == before


def test_protected_index_while_it_is_written(
    folder: Path, index: Any, protected: Callable[[], None]
) -> None:
    first = index.record(newpush('one'))
    protected()
    assert asnobody(index.pushes) == [first]
    if os.geteuid() != 0:
        return
    second = index.record(newpush('two'))
    assert asnobody(index.pushes) == [first, second]


def test_protected_index_of_a_killed_writer(
    place: model.Place, index: Any, protected: Callable[[], None]
) -> None:
    def die() -> None:
        index.record(newpush('one'))
        processes.killself()

    processes.join(processes.start('fork', die, [()]))
    assert b'index.sqlite3-wal' in os.listdir(place.directory)
    protected()
    assert [push.id for push in asnobody(index.pushes)] == [1]


def test_protected_index_that_changes(
    place: model.Place, index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a log it is read unlocked, and again if it was written to."""
    index.record(newpush('one'))
    index.close()
    reader = backends.openindex('file', place)
    monkeypatch.setattr(reader._database, '_writable', lambda: False)
    looks = 0

    def query(sql: dialect.Sql) -> Any:
        nonlocal looks
        looks += 1
        (found,) = sql.all('SELECT max(id) FROM push')[0]
        if looks < 3:
            index.record(newpush(looks))
            index.close()
        return found

    assert reader._database.read(query, None) == 3
    assert looks == 3


def test_protected_index_that_never_rests(
    place: model.Place, index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.record(newpush('one'))
    index.close()
    monkeypatch.setattr(index._database, '_writable', lambda: False)
    monkeypatch.setattr(database, '_ATTEMPTS', 3)
    monkeypatch.setattr(database, '_CLOCKTICK', 1000)
    with pytest.raises(errors.BackendUnavailable, match='too often'):
        index.pushes()


def sql(place: model.Place, *statements: str) -> None:
    path = os.path.join(place.directory, b'index.sqlite3')
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def everything(place: model.Place) -> dict[bytes, bytes]:
    return {
        name: Path(
            os.fsdecode(os.path.join(place.directory, name))
        ).read_bytes()
        for name in os.listdir(place.directory)
    }


def assertrefused(
    place: model.Place, index: Any, error: type[Exception], match: str
) -> None:
    """Neither reading nor writing is possible, nor does it change anything."""
    before = everything(place)
    for call in (
        index.lastid,
        index.pushes,
        lambda: index.locate([b'n' * 20]),
        lambda: index.record(newpush('new')),
        lambda: index.movebookmarks([model.BookmarkMove('x', b'n' * 20)]),
        lambda: index.remove(1),
    ):
        with pytest.raises(error, match=match):
            call()
    index.close()
    assert everything(place) == before


@pytest.mark.parametrize('version', [schema.VERSION + 1, 2**31 - 1])
def test_newer_format(place: model.Place, index: Any, version: int) -> None:
    index.record(newpush('one'))
    index.close()
    sql(place, f'PRAGMA user_version = {version}')
    assertrefused(place, index, errors.UnsupportedFormat, f'format {version},')
    with pytest.raises(errors.UnsupportedFormat) as caught:
        index.pushes()
    assert caught.value.hint == 'upgrade hg-bundlestore'


_VIEWS = tuple(
    f'DROP TABLE {name}'
    for name in ('viewnow', 'viewstate', 'viewnode', 'viewlog', 'private')
)


def test_older_format(place: model.Place, index: Any) -> None:
    """It is read as it is, and gets the new tables when something is
    written."""
    index.setdelivery(model.Delivery('ci', 0))
    moved = newpush('one', moves=[model.BookmarkMove('x', b'n' * 20)])
    recorded = index.record(moved)
    sql(
        place,
        'DROP TABLE pushvar',
        'DROP TABLE status',
        'DROP TABLE delivery',
        'DROP TABLE landing',
        'DROP TABLE label',
        *_VIEWS,
        'PRAGMA user_version = 1',
    )
    assert index.pushes() == [recorded]
    assert index.statuses([1]) == index.landings([1]) == {}
    assert index.deliveries() == {}
    assert list(index.problems()) == []
    assert _version(index) == 1
    status = model.Status('test', 'success')
    index.setstatus(1, status)
    assert _version(index) == schema.VERSION
    index.record(newpush('two')._replace(pushvars=(('A', '1'),)))
    assert [push.pushvars for push in index.pushes()] == [(), (('A', '1'),)]
    assert index.statuses([1, 2]) == {1: [status]}
    assert index.setdelivery(model.Delivery('ci', 1))
    assert list(index.problems()) == []


_TO_FORMAT_2 = (
    'DROP TABLE delivery',
    'DROP TABLE landing',
    'DROP TABLE label',
    *_VIEWS,
    'PRAGMA user_version = 2',
)


def test_format_3(place: model.Place, index: Any) -> None:
    recorded = index.record(newpush('one'))
    sql(place, *_VIEWS, 'PRAGMA user_version = 3')
    view = View('alice', 'parser', (b'n' * 20,), uid='0' * 32)
    assert index.view('alice', 'parser') is None
    assert index.viewbyid(view.uid) is None
    assert index.viewat(view.uid, 1) is None
    assert index.viewlog(view.uid) == index.views() == []
    assert index.viewed(view.heads) == set()
    assert index.oldviews(9e9) == {}
    index.forgetviews(view.uid, 1)
    index.removeview(view.uid)
    assert list(index.problems()) == []
    assert _version(index) == 3
    made = index.putview(view._replace(uid=''), 0)
    assert _version(index) == schema.VERSION
    assert index.view('alice', 'parser') == made
    assert index.pushes() == [recorded]
    assert list(index.problems()) == []


def test_format_4(place: model.Place, index: Any) -> None:
    """Nothing is private there."""
    recorded = index.record(newpush('one'))
    view = index.putview(View('alice', 'parser', recorded.nodes), 0)
    sql(place, 'DROP TABLE private', 'PRAGMA user_version = 4')
    for seen in (index, index.seen('bob'), index.seen('')):
        assert seen.pushes() == [recorded]
        assert set(seen.locate(recorded.nodes)) == {*recorded.nodes}
        assert seen.nodes(recorded.nodes[0].hex()) == [*recorded.nodes]
        assert seen.bundles([recorded.key])[recorded.key].private == ''
        assert seen.viewbyid(view.uid) == view
        assert seen.owed(0) == 1
        assert list(seen.problems()) == []
    assert _version(index) == 4
    private = index.putview(View('alice', 'mine', private=True), 0)
    assert _version(index) == schema.VERSION
    hidden = index.record(newpush('two')._replace(private=private.uid))
    assert index.seen('bob').locate(hidden.nodes) == {}
    assert list(index.problems()) == []


def test_format_2(place: model.Place, index: Any) -> None:
    recorded = index.record(newpush('one'))
    status = model.Status('test', 'success')
    index.setstatus(1, status)
    sql(place, *_TO_FORMAT_2)
    assert index.deliveries() == index.landings([1]) == {}
    assert index.statuses([1]) == {1: [status]}
    assert _version(index) == 2
    assert index.setdelivery(model.Delivery('ci', 1))
    assert _version(index) == schema.VERSION
    landing = model.Landing(b'n' * 20, b'm' * 20)
    index.setlanding(1, landing)
    assert index.pushes() == [recorded]
    assert index.landings([1]) == {1: [landing]}
    assert index.statuses([1]) == {1: [status]}
    assert list(index.problems()) == []


def test_labels_of_format_2(place: model.Place, index: Any) -> None:
    """Pushes are found by how they went before something is written, too, and
    by branch those that come."""
    for name in 'abc':
        index.record(newpush(name))
    index.setstatus(2, model.Status('test', 'success'))
    index.setstatus(2, model.Status('more', 'failure'))
    sql(place, *_TO_FORMAT_2)
    for version in (2, schema.VERSION):
        for status, expected in (('none', [1, 3]), ('failure', [2])):
            found = index.pushes(status=status, user='alice')
            assert [push.id for push in found] == expected
        assert index.pushes(status='success') == []
        assert index.pushes(branch='stable') == []
        assert _version(index) == version
        index.pin(1)
    index.record(newpush('d')._replace(branches=('stable',)))
    assert [push.id for push in index.pushes(branch='stable')] == [4]
    assert list(index.problems()) == []


def _version(index: Any) -> int:
    (connection,) = index._database._connections._idle
    return schema.version(connection)


def test_a_single_statement_takes_no_transaction(index: Any) -> None:
    base = index.record(newpush('base'))
    push = index.record(newpush('one')._replace(rests=(base.key,)))
    asked: list[str] = []
    (connection,) = index._database._connections._idle
    connection.set_trace_callback(asked.append)
    assert index.lastid() == push.id
    assert [text.split()[0] for text in asked] == ['SELECT', 'PRAGMA']
    asked.clear()
    assert index.locate(base.nodes)[base.nodes[0]].key == base.key
    assert [text.split()[0] for text in asked] == ['WITH', 'PRAGMA']
    # this one asks once more, and both must see the same
    asked.clear()
    assert index.locate(push.nodes)[push.nodes[0]].rests == (base.key,)
    assert [text.split()[0] for text in asked][-5:] == [
        *('BEGIN', 'PRAGMA', 'WITH', 'WITH', 'ROLLBACK')
    ]


def test_format_changes_while_index_is_open(
    place: model.Place, index: Any
) -> None:
    index.record(newpush('one'))
    sql(place, f'PRAGMA user_version = {schema.VERSION + 1}')
    with pytest.raises(errors.UnsupportedFormat):
        index.lastid()
    with pytest.raises(errors.UnsupportedFormat):
        index.record(newpush('two'))


@pytest.mark.parametrize(
    'data',
    [
        b'xy',
        b'some text\n' * 1000,
        bytes(100),
        bytes(8192),
        b'SQLite format 3\0',
    ],
    ids=len,
)
def test_garbage_for_an_index(
    place: model.Place, index: Any, data: bytes
) -> None:
    os.makedirs(place.directory)
    path = Path(os.fsdecode(place.directory)) / 'index.sqlite3'
    path.write_bytes(data)
    assertrefused(
        place, index, errors.BackendUnavailable, f'not a bundle index: {path}'
    )


@pytest.mark.parametrize(
    'statement',
    [
        'CREATE TABLE push (id)',
        'PRAGMA application_id = 77',
        f'PRAGMA application_id = {schema.APPLICATION_ID}',
        'PRAGMA user_version = 1',
    ],
)
def test_database_of_somebody_else(
    place: model.Place, index: Any, statement: str
) -> None:
    os.makedirs(place.directory)
    sql(place, statement)
    assertrefused(place, index, errors.BackendUnavailable, 'not a bundle index')


def test_damaged_index(place: model.Place, index: Any) -> None:
    for number in range(20):
        index.record(newpush(number, count=200))
    index.close()
    path = os.path.join(place.directory, b'index.sqlite3')
    with open(path, 'r+b') as fp:
        fp.seek(4096)
        fp.write(b'\xff' * (os.path.getsize(path) - 4096))
    with pytest.raises(errors.BackendUnavailable, match='damaged') as caught:
        index.pushes()
    assert caught.value.hint is not None
    assert 'bundlestore-verify --repair' in caught.value.hint


def test_folder_in_place_of_index(place: model.Place, index: Any) -> None:
    os.makedirs(os.path.join(place.directory, b'index.sqlite3'))
    for call in (index.pushes, lambda: index.record(newpush('one'))):
        with pytest.raises(errors.BackendUnavailable, match='cannot be'):
            call()


def test_empty_file_is_an_empty_index(place: model.Place, index: Any) -> None:
    """A process that was killed early leaves one, or an administrator."""
    os.makedirs(place.directory)
    path = os.path.join(place.directory, b'index.sqlite3')
    os.close(os.open(path, os.O_CREAT, 0o640))
    assert index.pushes() == []
    with pytest.raises(errors.UnknownPush):
        index.remove(1)
    assert os.path.getsize(path) == 0
    assert index.record(newpush('one')).id == 1
    assert mode(path) == 0o640


def test_settings_of_the_database(place: model.Place, index: Any) -> None:
    index.record(newpush('one'))
    (connection,) = index._database._connections._idle
    for pragma, value in [
        ('journal_mode', 'wal'),
        ('synchronous', 2),
        ('application_id', schema.APPLICATION_ID),
        ('user_version', schema.VERSION),
        ('integrity_check', 'ok'),
    ]:
        row = connection.execute(f'PRAGMA {pragma}').fetchone()
        assert row[0] == value, pragma
    index.close()
    assert b'hgBS' in everything(place)[b'index.sqlite3'][:100]


def test_locked_index(place: model.Place, index: Any) -> None:
    index.record(newpush('one'))
    path = os.path.join(place.directory, b'index.sqlite3')
    impatient = indexfile.FileIndex(path, timeout=0.2)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute('BEGIN IMMEDIATE')
    began = time.monotonic()
    with pytest.raises(errors.BackendUnavailable, match='for too long'):
        impatient.record(newpush('two'))
    assert 0.1 < time.monotonic() - began < 10
    assert impatient.lastid() == 1
    other.execute('ROLLBACK')
    assert impatient.record(newpush('two')).id == 2
    impatient.close()
    other.close()


def test_lock_is_had_soon_after_it_is_free(
    place: model.Place, index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite would sleep for a tenth of a second at a time."""
    index.record(newpush('one'))
    other = sqlite3.connect(os.fsdecode(place.directory) + '/index.sqlite3')
    other.isolation_level = None
    other.execute('BEGIN IMMEDIATE')
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 20:
            other.execute('ROLLBACK')

    monkeypatch.setattr(time, 'sleep', sleep)
    with connections.hurried(0.5):
        assert index.record(newpush('two')).id == 2
    other.close()
    assert len(pauses) == 20
    assert max(pauses) < 0.01


def test_threads_write_in_the_order_in_which_they_came(index: Any) -> None:
    index.record(newpush('one'))
    given: dict[int, int] = {}

    def work(number: int) -> None:
        # one is asleep for long when the other one comes
        time.sleep(0.3 * number)
        given[number] = index.record(newpush(f'of {number}')).id

    def publish() -> None:
        stack.enter_context(processes.threads(2, work))
        time.sleep(0.31)

    with contextlib.ExitStack() as stack:
        for _time in range(3):
            index.record(newpush('that all wait for'), publish)
            stack.close()
            assert given[0] < given[1]


def test_index_on_full_disk(smalldisk: Path) -> None:
    place = model.Place(os.fsencode(smalldisk / 'bundlestore'))
    index = backends.openindex('file', place)
    filler = smalldisk / 'filler'
    filler.write_bytes(bytes(60000))
    recorded: list[model.Push] = []

    def fill() -> None:
        for number in range(1000):
            recorded.append(index.record(newpush(number, count=20)))

    with pytest.raises(errors.BackendUnavailable, match='no space left'):
        fill()
    assert recorded
    assert index.pushes() == recorded
    filler.unlink()
    recorded.append(index.record(newpush('after')))
    assert index.pushes() == recorded
    index.close()


def test_writer_is_killed_while_it_records(index: Any) -> None:
    moves = [model.BookmarkMove('x', b'x' * 20)]
    first = index.record(newpush('one', moves=moves))

    def die(*arguments: Any, **_more: Any) -> None:
        # by now the changesets are in the database, not committed
        processes.killself()

    def work() -> None:
        pushes.move = die  # type: ignore[assignment]
        index.record(newpush('two', count=1000))

    (code,) = processes.join(processes.start('fork', work, [()]))
    assert code < 0
    assert index.pushes() == [first]
    assert index.locate(newpush('two', count=1000).nodes) == {}
    assert index.record(newpush('two', count=1000)).id == 2


def test_writer_is_killed_while_it_creates(
    place: model.Place, index: Any
) -> None:
    def die(*arguments: Any) -> None:
        processes.killself()

    def attheoutset() -> None:
        database.Database._begin = die  # type: ignore
        index.record(newpush('one'))

    def halfway() -> None:
        schema.STATEMENTS = (*schema.STATEMENTS[:3], 'not SQL')  # type: ignore
        create = schema.create

        def createanddie(sql: sqlite3.Connection) -> None:
            with contextlib.suppress(sqlite3.OperationalError):
                create(sql)
            die()

        schema.create = createanddie
        index.record(newpush('one'))

    for work in (attheoutset, halfway):
        (code,) = processes.join(processes.start('fork', work, [()]))
        assert code < 0
        assert os.listdir(place.directory)
        assert index.pushes() == []
    assert index.record(newpush('one')).id == 1


def test_many_processes_create_the_index(
    place: model.Place, index: Any
) -> None:
    context = multiprocessing.get_context('fork')
    for number in range(5):
        shutil.rmtree(place.directory, ignore_errors=True)
        barrier = context.Barrier(4)
        processes.run('fork', _create, [(place, barrier, n) for n in range(4)])
        assert len(backends.openindex('file', place).pushes()) == 4, number


def _create(place: model.Place, barrier: Any, number: int) -> None:
    index = backends.openindex('file', place)
    barrier.wait()
    index.record(newpush(number))
    index.close()


def test_index_is_replaced_while_open(place: model.Place, index: Any) -> None:
    """As an administrator may do who restores a backup."""
    index.record(newpush('one'))
    os.rename(place.directory, place.directory + b'.old')
    assert index.pushes() == []
    recorded = index.record(newpush('new'))
    assert index.pushes() == [recorded]
    assert recorded.id == 1
    index.close()
    assert backends.openindex('file', place).pushes() == [recorded]


def test_index_is_replaced_while_it_is_read(
    place: model.Place, index: Any
) -> None:
    index.record(newpush('one'))

    def query(_sql: dialect.Sql) -> None:
        os.rename(place.directory, place.directory + b'.old')
        index.record(newpush('new'))

    index._database.read(query, None)
    # and not into what was moved away
    for number in range(3):
        index.record(newpush(number))
    assert len(backends.openindex('file', place).pushes()) == 4


def test_threads_leave_no_connections(index: Any) -> None:
    index.record(newpush('one'))

    def work() -> None:
        assert index.lastid() == 1

    for _time in range(30):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(index._database._connections._idle) == 1


def test_connections_outlive_who_opened_them(
    place: model.Place, tmp_path: Path
) -> None:
    """A web server may open a repository for each request."""

    def record(at: model.Place) -> set[sqlite3.Connection]:
        index: Any = backends.openindex('file', at)
        index.record(newpush('one'))
        return set(index._database._connections._idle)

    def other(number: int) -> model.Place:
        return model.Place(os.fsencode(tmp_path / f'other{number}'))

    kept = record(place)
    gc.collect()
    assert record(place) == kept
    for number in range(connections._KEPT):
        record(other(number))
    gc.collect()
    assert kept.isdisjoint(record(place))
    assert len(connections._kept) == connections._KEPT


def test_fork_behind_the_back_of_python(index: Any) -> None:
    """SQLite in such a child would lose what it writes: better none."""
    index.record(newpush('one'))

    def work() -> None:
        with pytest.raises(errors.BackendUnavailable, match='forked'):
            index.record(newpush('two'))
        with pytest.raises(errors.BackendUnavailable, match='forked'):
            backends.openindex(
                'file:' + index._database.path.decode(), model.Place(b'/')
            ).pushes()

    pid = ctypes.PyDLL(None).fork()
    if pid == 0:
        code = 1
        try:
            work()
            gc.collect()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    index.record(newpush('two'))
    assert index.lastid() == 2


def test_ordinary_fork_leaves_nothing_open(index: Any) -> None:
    index.record(newpush('one'))
    assert len(index._database._connections._idle) == 1
    pid = os.fork()
    if pid == 0:
        os._exit(
            bool(index._database._connections._idle or connections._unsafe)
        )
    assert os.waitpid(pid, 0)[1] == 0
    assert index._database._connections._idle == []
    assert index.lastid() == 1


def test_fork_does_not_wait_for_itself(
    index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would, where what publishes a bundle starts a process."""
    monkeypatch.setattr(connections, 'TIMEOUT', 0.5)
    waited: list[bool] = []
    wait = connections._lock.wait_for

    def remembering(*arguments: Any) -> bool:
        waited.append(wait(*arguments))
        return waited[-1]

    monkeypatch.setattr(connections._lock, 'wait_for', remembering)

    def publish() -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(not connections._unsafe)
        assert os.waitpid(pid, 0)[1] == 0

    assert index.record(newpush('one'), publish).id == 1
    assert all(waited)
    assert len(waited) > 1
    assert index.record(newpush('two'), publish).id == 2


def test_log_of_processes_that_do_not_close(
    place: model.Place, index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays short, though none of them writes so much that SQLite would
    see to it."""
    monkeypatch.setattr(connections, '_LONGLOG', 1 << 16)
    log = Path(os.fsdecode(place.directory)) / 'index.sqlite3-wal'
    sizes = []
    for number in range(8):
        processes.run('fork', index.record, [(newpush(number),)])
        sizes.append(log.stat().st_size)
    assert sizes[0] > 1 << 15
    assert max(sizes) < 1 << 18
    assert len(index.pushes()) == 8


@pytest.mark.parametrize('searches', [False, True])
def test_log_at_the_end_of_a_process(
    place: model.Place, index: Any, searches: bool
) -> None:
    """It stays where the process ends without a search for garbage, as one
    does that serves a client over ssh; nothing waits for the disk then."""
    index.record(newpush('one'))
    index.close()
    code = """if True:
        import atexit, gc, os, sys
        from hgext3rd.bundlestore import backends, model
        from hgext3rd.bundlestore.testing.index import newpush
        if sys.argv[2] == 'False':
            atexit.register(gc.freeze)
        place = model.Place(os.fsencode(sys.argv[1]))
        kept = backends.openindex('file', place)
        kept.record(newpush('two'))
    """
    argv = [sys.executable, '-c', code, os.fsdecode(place.directory)]
    subprocess.run([*argv, str(searches)], check=True)
    names = os.listdir(place.directory)
    said = hasattr(sqlite3.Connection, 'setconfig')
    assert (b'index.sqlite3-wal' in names) == (not searches or said)
    assert len(index.pushes()) == 2


_STATEMENTS = ('SELECT', 'WITH', 'DELETE', 'INSERT', 'UPDATE')


def test_lists_are_not_searched_from_end_to_end(
    index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every statement finds what it wants by a key."""
    moves = [model.BookmarkMove('a/x', b'x' * 20)]
    base = index.record(newpush('base', user='bob', text=''))
    push = index.record(
        newpush('one', moves=moves)._replace(
            rests=(base.key,), branches=('stable',)
        )
    )
    statements: list[str] = []
    (connection,) = index._database._connections._idle
    connection.set_trace_callback(statements.append)
    filters: list[dict[str, Any]] = [
        {},
        {'user': 'alice'},
        {'node': push.nodes[0]},
        {'node': push.nodes[0], 'user': 'alice'},
        {'text': 'title'},
        {'text': 'title', 'user': 'alice'},
        {'text': 'title', 'node': push.nodes[0]},
        {'since': 1.0},
        {'until': 2e9},
        {'since': 1.0, 'until': 2e9, 'user': 'alice'},
        {'status': 'none'},
        {'branch': 'stable'},
        {'status': 'none', 'branch': 'stable'},
        {'status': 'none', 'branch': 'stable', 'user': 'alice'},
        {'status': 'none', 'text': 'title'},
        {'branch': 'stable', 'since': 1.0},
    ]
    for some in filters:
        for newestfirst in (False, True):
            for bounds in ({}, {'first': 1, 'last': 9}):
                found = index.pushes(
                    newestfirst=newestfirst, limit=1, **some, **bounds
                )
                assert len(found) == 1
    index.locate(push.nodes)
    index.bundles([push.key])
    index.nodes('ab')
    index.bookmarks('a/*', limit=10)
    index.bookmark('a/x')
    index.usage('alice')
    index.times('alice', 1.0, 10)
    index.pin(push.id)
    index.setstatus(push.id, model.Status('test', 'success'))
    index.record(newpush('two', moves=[moves[0]._replace(force=True)]))
    index.record(newpush('two'), lambda: None, quota=1 << 40)
    index.discard(push.key, lambda: None)
    index.record(newpush('two')._replace(rests=push.rests))
    index.remove(base.id)
    index.remove(push.id)
    _useviews(index)
    connection.set_trace_callback(None)
    assert len(statements) > 100
    harmless = re.compile(
        'counter|wanted|bound|found|few|chain|sqlite_master|subquery|_times'
        # by words or id
        '|search VIRTUAL TABLE INDEX [0-9]+:[M=]'
    )
    for statement in statements:
        if statement.split()[0] in _STATEMENTS:
            plan = connection.execute(f'EXPLAIN QUERY PLAN {statement}')
            for step in [row[3] for row in plan]:
                scans = step.startswith('SCAN') and 'CONSTANT' not in step
                harmful = scans and not harmless.search(step)
                assert not harmful, (statement, step)
                assert 'TEMP B-TREE' not in step, (statement, step)


def test_change_of_a_large_view_writes_few_rows(index: Any) -> None:
    heads = sorted(bytes([n >> 8, n & 255]) * 10 for n in range(10_000))
    view = index.putview(View('alice', 'x', tuple(heads[1:]), (), 'y' * 99), 0)
    (connection,) = index._database._connections._idle
    before = connection.total_changes
    view = index.putview(view._replace(heads=tuple(heads[:-1])), 1)
    # what it is now (out and in), two heads, and what changed
    assert connection.total_changes - before == 5
    assert index.viewbyid(view.uid) == view


def _useviews(index: Any) -> None:
    view = index.putview(View('alice', 'x', (b'n' * 20,)), 0)
    mark = (('m', b'm' * 20),)
    view = index.putview(view._replace(heads=(), bookmarks=mark), 1)
    index.view('alice', 'x')
    index.viewat(view.uid, 1)
    index.viewlog(view.uid, limit=1)
    index.views('alice', limit=1)
    index.views('alice', 'x', ('alice', ''), limit=1)
    index.views(after=('alice', 'x'), limit=1)
    index.viewed([b'n' * 20], 1.0)
    index.restoreview(view, index.viewlog(view.uid))
    index.forgetviews(view.uid, 2)
    index.removeview(view.uid)


@pytest.mark.parametrize('few', [0, 3])
def test_common_and_rare_labels(
    index: Any, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """They are gone through in different ways, which find the same."""
    monkeypatch.setattr(labels, '_FEW', few)
    expected = []
    for number in range(40):
        user = 'alice' if number % 3 else 'bob'
        branch = 'rare' if number % 13 == 0 else 'common'
        push = newpush(number, user=user)._replace(branches=(branch,))
        expected.append((index.record(push), number % 5 == 0))
        if number % 5 == 0:
            index.setstatus(number + 1, model.Status('test', 'failure'))
    for user in ('alice', 'bob'):
        for branch in ('rare', 'common'):
            for status in ('none', 'failure'):
                found = index.pushes(user=user, branch=branch, status=status)
                assert found == [
                    push
                    for push, failed in expected
                    if (push.user, *push.branches) == (user, branch)
                    and failed == (status == 'failure')
                ]


def test_removal_leaves_nothing_behind(index: Any) -> None:
    moves = [model.BookmarkMove('x', b'x' * 20)]
    for _time in range(2):
        push = newpush('one', count=5, moves=[moves[0]._replace(force=True)])
        index.record(push._replace(pushvars=(('A', '1'),)))
        index.record(newpush('two', count=2)._replace(rests=(push.key,)))
    for id in (1, 3, 2, 4):
        index.pin(id)
        index.setstatus(id, model.Status('test', 'success'))
        index.setlanding(id, model.Landing(b'n' * 20, b'm' * 20))
        index.remove(id)
    nodes = (b'n' * 20,)
    view = View('alice', 'x', nodes, (('m', nodes[0]),), 'a state')
    view = index.putview(view, 0)
    view = index.putview(view._replace(name='y'), 1)
    index.removeview(view.uid)
    (connection,) = index._database._connections._idle
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table'"
    )
    tables = {name for (name,) in rows} - {'counter'}
    # FTS5 has some for itself
    tables -= {'search', 'search_data', 'search_idx', 'search_config'}
    assert tables == {
        *('bookmark', 'bundle', 'head', 'move', 'node', 'push'),
        *('description', 'search_content', 'rest', 'kept', 'below'),
        *('pin', 'holder', 'event', 'pushvar', 'status'),
        *('delivery', 'landing', 'label'),
        *('viewnow', 'viewstate', 'viewnode', 'viewlog', 'private'),
    }
    for table in tables:
        rows = connection.execute(f'SELECT count(*) FROM {table}')
        assert rows.fetchone() == (0,), table
    connection.execute(
        'CREATE VIRTUAL TABLE temp.held USING fts5vocab(main, search, row)'
    )
    assert connection.execute('SELECT * FROM held').fetchall() == []
    index.close()


def test_limits(index: Any) -> None:
    moves = [model.BookmarkMove('x', b'x' * 20)]
    push = index.record(newpush('one', moves=moves))
    prefix = push.nodes[0].hex()
    for limit, count in ((1 << 70, 1), (0, 0), (-1, 0), (-(1 << 70), 0)):
        assert len(index.pushes(limit=limit)) == count
        assert len(index.bookmarks(limit=limit)) == count
        assert len(index.nodes(prefix, limit=limit)) == count
    # the least that an SQLite may be built for
    assert dialect.BATCH <= 999


def test_node_of_another_length(index: Any) -> None:
    with pytest.raises(ValueError, match='20 bytes'):
        index.record(newpush('one', nodes=[b'n' * 20, b'n' * 32]))
    assert index.pushes() == []


def test_keys_are_those_of_the_bytes() -> None:
    # the suites would not notice if both sides were wrong
    assert keyof(b'') == (
        'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    )
