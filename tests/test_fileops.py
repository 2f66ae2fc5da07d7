"""What is written, in what order, and what happens where that fails."""

from __future__ import annotations

import ast
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from harness.rights import publicfolder
from hgext3rd.bundlestore import backends, errors, model
from hgext3rd.bundlestore.indexes.sqlite import database
from hgext3rd.bundlestore.stores import fileops
from hgext3rd.bundlestore.testing.index import newpush

PACKAGE = Path(backends.__file__).parent

#: what changes files, in the words of the module
OPERATIONS = (
    *('create', 'write', 'fsync', 'close', 'rename', 'unlink', 'mkdir'),
    *('chmod', 'touch', 'syncfolder', 'allocate', 'link'),
)


@pytest.fixture
def place() -> Iterator[model.Place]:
    with publicfolder() as path:
        yield model.Place(os.fsencode(path / 'repo' / 'bundlestore'))


# -- one seam

#: what may be asked of the system besides: all of it only looks, or has nothing
#: to do with files of ours
LOOKS = {
    *('environ', 'fsdecode', 'killpg', 'pread', 'read', 'stat_result'),
    *('O_RDONLY', 'R_OK', 'W_OK', 'X_OK', 'access', 'fsencode', 'fstat'),
    *('getpid', 'listdir', 'scandir', 'statvfs'),
    *('path', 'register_at_fork', 'stat', 'strerror'),
    *('supports_effective_ids', 'urandom'),
}


@pytest.mark.parametrize(
    'path',
    [
        *sorted(set(PACKAGE.glob('stores/*.py')) - {Path(fileops.__file__)}),
        # those of a database server have no files
        *sorted(PACKAGE.glob('indexes/sql*/*.py')),
        PACKAGE / 'bundle' / 'container.py',
    ],
    ids=lambda path: path.name,
)
def test_nothing_goes_around_the_seam(path: Path) -> None:
    tree = ast.parse(path.read_text('utf-8'))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names}
            assert not names & {'shutil', 'tempfile', 'fcntl', 'pathlib', 'io'}
        elif isinstance(node, ast.ImportFrom):
            # functions are called as attributes of their module
            assert node.module not in ('os', 'shutil', 'tempfile', 'fileops')
        elif isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id == 'os':
                assert node.attr in LOOKS, f'line {node.lineno}'
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == 'open':
            assert ast.unparse(node.args[1]) == "'rb'", f'line {node.lineno}'


class Watch:
    """Keeps the order of operations, and lets one of them fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, str]] = []
        self.fails: Callable[[str, str], bool] = lambda name, what: False
        for name in OPERATIONS:
            monkeypatch.setattr(fileops, name, self._watched(name))

    def _watched(self, name: str) -> Callable[..., Any]:
        operation = getattr(fileops, name)

        def watched(target: Any, *arguments: Any) -> Any:
            what = target
            if isinstance(what, int):
                link = f'/proc/self/fd/{what}'
                what = b'what is closed'
                if os.path.lexists(link):
                    what = os.readlink(link).encode()
            if name == 'rename':
                what = arguments[0]
            what = os.path.basename(what).decode()
            self.events.append((name, what))
            fails = self.fails(name, what)
            if name == 'close' or not fails:
                # whatever it says, a descriptor is closed
                result = operation(target, *arguments)
            if fails:
                raise OSError(errno.EIO, 'of the test')
            return result

        return watched

    def of(self, *names: str) -> list[tuple[str, str]]:
        return [event for event in self.events if event[0] in names]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


# -- order


def test_first_push(place: model.Place, watch: Watch) -> None:
    """Each name is durable before anything builds on it."""
    store = backends.openstore('file', place)
    index = backends.openindex('file', place)
    with store.stage([b'some']) as staged:
        key = staged.key
        index.record(newpush('one'), staged.publish)
    store.putnote(f'{key[:2]}/{key}.1.json', b'{}')
    index.close()
    found = watch.of('mkdir', 'syncfolder', 'fsync', 'rename')
    temporary, note = [what for name, what in found if name == 'fsync']
    root = os.path.dirname(os.path.dirname(place.directory))
    below, above = (
        os.path.basename(path).decode()
        for path in (root, os.path.dirname(root))
    )
    assert found == [
        # who made the folder that is there may not have come so far
        *(('syncfolder', above), ('mkdir', 'repo'), ('syncfolder', below)),
        *(('mkdir', 'bundlestore'), ('syncfolder', 'repo')),
        *(('mkdir', 'bundles'), ('syncfolder', 'bundlestore')),
        *(('mkdir', 'tmp'), ('syncfolder', 'bundles')),
        ('fsync', temporary),
        # the file of the index, before it has its tables
        *(('syncfolder', 'bundlestore'), ('syncfolder', 'repo')),
        *(('mkdir', key[:2]), ('syncfolder', 'bundles'), ('rename', key)),
        *(('syncfolder', key[:2]), ('fsync', note)),
        *(('rename', f'{key}.1.json'), ('syncfolder', key[:2])),
    ]


def test_ahead(place: model.Place, watch: Watch) -> None:
    """Nothing is waited for while the index is locked, but for its own log."""
    store = backends.openstore('file', place)
    index = backends.openindex('file', place)
    index.record(newpush('before'))
    with store.stage([b'some']) as staged:
        assert staged.ahead()
        (temporary,) = os.listdir(_tmp(place))
        assert watch.of('link', 'syncfolder')[-2:] == [
            ('link', temporary),
            ('syncfolder', staged.key[:2]),
        ]
        assert not staged.ahead()
        watch.events.clear()
        index.record(newpush('one'), staged.publish)
        assert watch.events == []
        assert staged.localpath(staged.key) == store.localpath(staged.key)
    assert watch.of('unlink', 'rename', 'syncfolder') == [('unlink', temporary)]
    assert list(store.strays(0)) == []
    with store.open(staged.key) as reader:
        assert reader.read() == b'some'
    index.close()


def test_undone_after_it_was_done_ahead(place: model.Place) -> None:
    """As by gc, which sees that no push has it."""
    store = backends.openstore('file', place)
    with store.stage([b'some']) as staged, store.stage([b'some']) as other:
        assert staged.ahead()
        # it has the name, so the other one does without
        assert not other.ahead()
        store.delete(staged.key)
        staged.publish()
        with store.open(staged.key) as reader:
            assert reader.read() == b'some'
        store.delete(staged.key)
        other.publish()
    with store.open(staged.key) as reader:
        assert reader.read() == b'some'
    assert list(store.strays(0)) == []


def test_folder_that_another_process_made(
    place: model.Place, watch: Watch
) -> None:
    """It may have done so a moment ago, and nobody but who puts something
    there makes sure of its name, before that."""
    key = backends.openstore('file', place).put([b'some'])
    folder = Path(os.fsdecode(place.directory)) / 'bundles' / key[:2]
    for name, before in (
        ('empty', ['syncfolder bundles']),
        ('missing', [f'mkdir {key[:2]}', 'syncfolder bundles']),
        ('used', []),
    ):
        store = backends.openstore('file', place)
        if name != 'used':
            folder.joinpath(key).unlink()
        if name == 'missing':
            folder.rmdir()
        for more in (before, []):
            watch.events.clear()
            store.put([b'some'])
            found = watch.of('mkdir', 'rename', 'syncfolder')
            assert [' '.join(event) for event in found] == [
                *(*more, f'rename {key}', f'syncfolder {key[:2]}'),
            ]
    # somebody took it away
    folder.joinpath(key).unlink()
    folder.rmdir()
    store.put([b'some'])
    assert list(store.keys()) == [key]


def test_folder_whose_name_cannot_be_made_durable(
    place: model.Place, watch: Watch
) -> None:
    """Then nothing gets into it, and who comes later does not trust it."""
    store = backends.openstore('file', place)
    store.putnote('state/x.json', b'{}')
    watch.fails = lambda name, what: (name, what) == ('syncfolder', 'bundles')
    for _time in range(2):
        with pytest.raises(errors.BackendUnavailable):
            store.put([b'some'])
        assert not list(store.keys())
    watch.fails = lambda name, what: False
    watch.events.clear()
    store.put([b'some'])
    assert ('syncfolder', 'bundles') in watch.events


# -- failures


@pytest.mark.parametrize('name', ['create', 'write', 'fsync', 'close'])
def test_staging_fails(place: model.Place, watch: Watch, name: str) -> None:
    store = backends.openstore('file', place)
    kept = store.put([b'kept'])
    descriptors = len(os.listdir('/proc/self/fd'))
    watch.events.clear()
    watch.fails = lambda operation, what: operation == name
    puts: list[Callable[[], object]] = [
        lambda: store.put([b'some']),
        lambda: store.putnote('ab/x.json', b'{}'),
    ]
    for put in puts:
        with pytest.raises(errors.BackendUnavailable, match='output error'):
            put()
    # nothing is tried again, nor closed again
    assert len(watch.of(name)) == 2
    assert len(watch.of('close')) == (0 if name == 'create' else 2)
    assert len(os.listdir('/proc/self/fd')) == descriptors
    assert list(store.strays(0)) == []
    assert list(store.keys()) == [kept]
    assert list(store.notes()) == []


@pytest.mark.parametrize('name', ['touch', 'syncfolder'])
def test_ahead_fails(place: model.Place, watch: Watch, name: str) -> None:
    store = backends.openstore('file', place)
    with store.stage([b'some']) as staged:
        names = {staged.key[:2], *os.listdir(_tmp(place))}
        watch.fails = lambda operation, what: (
            operation == name and what in names
        )
        with pytest.raises(errors.BackendUnavailable):
            staged.ahead()
        watch.fails = lambda operation, what: False
    assert list(store.strays(0)) == []
    # it may have its name
    assert len(list(store.keys())) == (name == 'syncfolder')


def test_files_with_one_name_each(place: model.Place, watch: Watch) -> None:
    store = backends.openstore('file', place)
    with store.stage([b'some']) as staged:
        watch.fails = lambda operation, what: operation == 'link'
        assert not staged.ahead()
        assert watch.of('syncfolder')[-1] != ('syncfolder', staged.key[:2])
        staged.publish()
    with store.open(staged.key) as reader:
        assert reader.read() == b'some'


@pytest.mark.parametrize('name', ['touch', 'rename', 'syncfolder'])
def test_publishing_fails(place: model.Place, watch: Watch, name: str) -> None:
    """Nothing is recorded, nor is it enough to call it again."""
    store = backends.openstore('file', place)
    index = backends.openindex('file', place)
    index.record(newpush('before'))
    with store.stage([b'some']) as staged:
        names = {staged.key, staged.key[:2], *os.listdir(_tmp(place))}
        watch.fails = lambda operation, what: (
            operation == name and what in names
        )
        for _time in range(2):
            with pytest.raises(errors.BackendUnavailable):
                index.record(newpush('one'), staged.publish)
            if name == 'syncfolder':
                # it has its name by now, which may not be durable
                watch.fails = lambda operation, what: False
    watch.fails = lambda operation, what: False
    assert index.lastid() == 1
    assert list(store.strays(0)) == []
    with store.stage([b'some']) as staged:
        assert index.record(newpush('one'), staged.publish).id == 2
    with store.open(staged.key) as reader:
        assert reader.read() == b'some'
    index.close()


def _tmp(place: model.Place) -> str:
    return os.path.join(os.fsdecode(place.directory), 'bundles', 'tmp')


def test_short_writes(
    place: model.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, 'write', lambda fd, data: write(fd, data[:7]))
    store = backends.openstore('file', place)
    key = store.put([b'x' * 1000, b'y' * 300000])
    with store.open(key) as reader:
        assert reader.read() == b'x' * 1000 + b'y' * 300000


@pytest.mark.parametrize('name', ['begin', 'commit'])
def test_transaction_fails(
    place: model.Place, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    store = backends.openstore('file', place)
    index = backends.openindex('file', place)
    index.record(newpush('before'))

    def fail(*_arguments: Any) -> None:
        raise sqlite3.OperationalError('disk I/O error')

    monkeypatch.setattr(database, name, fail)
    refused = pytest.raises(errors.BackendUnavailable, match='disk I/O error')
    with store.stage([b'some']) as staged, refused:
        index.record(newpush('one'), staged.publish)
    monkeypatch.undo()
    assert index.lastid() == 1
    assert index.record(newpush('one')).id == 2
    # what was published without being recorded is an orphan
    assert len(list(store.keys())) == (name == 'commit')
    index.close()
