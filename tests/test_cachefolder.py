"""The folder for what can be made anew, without a server."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.rights import asnobody, publicfolder
from harness.smalldisk import fill, mounted
from hgext3rd.bundlestore import cachefolder
from hgext3rd.bundlestore.cachefolder import CacheFolder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'bundlestore' / 'cache'


@pytest.fixture
def folder(path: Path) -> CacheFolder:
    return CacheFolder(os.fsencode(path))


def test_what_is_written_is_read(folder: CacheFolder) -> None:
    assert folder.open('a') is None
    assert folder.read('a') is None
    assert folder.write('a', [b'first ', b'', b'text'])
    assert folder.read('a') == b'first text'
    with folder.open('a') as fh:
        assert folder.write('a', [])
        assert fh.read() == b'first text'
    assert folder.read('a') == b''


def test_modes_are_those_of_the_repository(path: Path) -> None:
    folder = CacheFolder(os.fsencode(path), 0o2770)
    with folder.made('a', lambda: [b'text']) as fh:
        assert fh.read() == b'text'
    assert stat.S_IMODE((path / 'a').stat().st_mode) == 0o660
    assert stat.S_IMODE(path.stat().st_mode) == 0o2770
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o2770


def test_what_there_is(path: Path, folder: CacheFolder) -> None:
    for name in ('a-1', 'b-1', 'a-2'):
        assert folder.write(name, [name.encode()])
        os.utime(path / name, (int(name[-1]), int(name[-1])))
    for foreign in ('a-3.lock', 'a-4~', '.a-5'):
        (path / foreign).touch()
    assert folder.names('a-') == ['a-2', 'a-1']
    folder.remove('a-2')
    folder.remove('a-2')
    assert folder.names('') == ['b-1', 'a-1']


def test_the_folder_may_go(path: Path, folder: CacheFolder) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'first'
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
        yield b'second'

    assert not folder.write('a', chunks())
    assert folder.read('a') is None
    assert folder.write('a', [b'text'])
    assert folder.read('a') == b'text'


@pytest.mark.parametrize('name', ['', '.a', '../a', 'a/b', 'A', 'a' * 201, 'ü'])
def test_other_names_are_a_mistake(folder: CacheFolder, name: str) -> None:
    with pytest.raises(ValueError, match='no name'):
        folder.read(name)


def test_damaged_files_are_not_there(path: Path, folder: CacheFolder) -> None:
    assert folder.write('a', [b'some text'])
    good = (path / 'a').read_bytes()
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 4
        (path / 'a').write_bytes(bad)
        assert folder.open('a') is None, position
        (path / 'a').write_bytes(good[:position])
        assert folder.open('a') is None, position
    (path / 'a').write_bytes(bytes(len(good)))
    assert folder.read('a') is None
    # one file in the place of another
    (path / 'b').write_bytes(good)
    assert folder.read('b') is None
    assert folder.write('a', [b'other text'])
    assert folder.read('a') == b'other text'


def test_an_error_of_who_writes(path: Path, folder: CacheFolder) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'first'
        raise OSError('of the base')

    with pytest.raises(OSError, match='of the base'):
        folder.write('a', chunks())
    assert [*path.iterdir()] == []


def test_what_may_not_be_written() -> None:
    with publicfolder() as public:
        folder = CacheFolder(os.fsencode(public / 'cache'))
        assert folder.write('a', [b'text'])

        def work() -> tuple[bool, bytes | None]:
            return folder.write('b', [b'text']), folder.read('a')

        assert asnobody(work) == (False, b'text')
        blocked = CacheFolder(os.fsencode(public / 'cache' / 'a' / 'cache'))
        assert not blocked.write('a', [b'text'])
        assert blocked.open('a') is None


def test_a_disk_that_gets_full(tmp_path: Path) -> None:
    with mounted(tmp_path / 'disk', '1m') as disk:
        path = disk / 'cache'
        folder = CacheFolder(os.fsencode(path))
        # pushes need it more
        assert not folder.write('a', [b'text'])
        folder = CacheFolder(os.fsencode(path), spare=-(1 << 30))
        assert folder.write('a', [b'text'])
        for size in (100, 1 << 16, 4 << 20):
            filler = fill(disk)
            assert not folder.write('a', [b'x' * size]), size
            filler.unlink()
            assert [*path.iterdir()] == [path / 'a']
        assert not folder.write('a', [b'x' * (1 << 16)] * 20)
        assert [*path.iterdir()] == [path / 'a']
        assert folder.read('a') == b'text'


def test_the_oldest_go(
    path: Path, folder: CacheFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cachefolder, 'MOST', 180)
    monkeypatch.setattr(cachefolder, 'MOST_OF_ONE', 90)
    assert not folder.write('a', [b'x' * 91])
    now = time.time()
    for age, name in enumerate('cba', 1):
        assert folder.write(name, [b'x' * 40])
        os.utime(path / name, (now - age * 86500, now - age * 86500))
    (path / '.unfinished-0123~').write_bytes(b'x' * 50)
    os.utime(path / '.unfinished-0123~', (0, 0))
    # what is read stays longer
    assert folder.read('a')
    assert folder.write('d', [b'x' * 40])
    assert {file.name for file in path.iterdir()} == {'a', 'c', 'd'}
