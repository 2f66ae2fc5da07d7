"""What takes large bundles from here to there: frames, hashes, pipes."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from mercurial import bundle2, ui as uimod, util

from hgext3rd.bundlestore import errors, pipes
from hgext3rd.bundlestore.bundle import container, frames, unbundle
from hgext3rd.bundlestore.client import largereads
from hgext3rd.bundlestore.stores import fileops, hashing
from hgext3rd.bundlestore.stores.file import FileStore

UI: Any = uimod.ui()
MB = 1 << 20


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[n : n + size] for n in range(0, len(data), size)]


# -- frames


@given(
    st.lists(st.binary(max_size=30)),
    st.integers(min_value=1, max_value=20),
)
def test_recut(chunks: list[bytes], size: int) -> None:
    assert list(frames.recut(chunks, size)) == cut(b''.join(chunks), size)


def test_frames_do_not_hang_on_how_a_push_comes() -> None:
    """Else the same push would have a new key each time."""
    data = os.urandom(frames.FRAME * 2 + 5)
    found = set()
    for size in (len(data), 1000, frames.FRAME, frames.FRAME + 1):
        part = container.changegrouppart(iter(cut(data, size)), b'02', False)
        found.add(b''.join(container.container(UI, [part])))
    (bundle,) = found
    part = next(iter(reader(bundle, bundle2.unbundle20).iterparts()))
    assert (part.type, part.read()) == (b'changegroup', data)


def reader(data: bytes, cls: Any = unbundle.Unbundler) -> Any:
    chunks = util.chunkbuffer(iter(cut(data, 3000)))
    assert chunks.read(4) == b'HG20'
    return cls(UI, chunks)


def framed(*pieces: bytes) -> bytes:
    """Return a bundle with one part in these frames, and one without any."""
    part = bundle2.bundlepart(b'changegroup', data=b'')
    part.id = 0
    head = b''.join(part.getchunks(UI))[:-4]
    body = b''.join(len(p).to_bytes(4, 'big') + p for p in (*pieces, b''))
    return b'HG20' + bytes(4) + head + body + head + bytes(4) + bytes(4)


def test_part_gives_what_it_has() -> None:
    """All of it, in order, and nothing of the next part."""
    pieces = (b'a' * 10, b'b' * 700_000, b'c')
    parts = iter(reader(framed(*pieces)).iterparts())
    part = next(parts)
    got = [part.some(7), part.read(5)]
    assert got == [b'a' * 7, b'aaabb']
    assert list(iter(lambda: part.some(MB), b''))[-1] == b'c'
    assert part.tell() == 700_011
    assert part.some(1) == part.read(1) == part.read() == b''
    second = next(parts)
    assert (second.read(), list(parts)) == (b'', [])


def test_part_that_ends_too_early() -> None:
    part = next(iter(reader(framed(b'a' * 10_000)[:5000]).iterparts()))
    with pytest.raises(Exception, match='ends too early'):
        part.read()


# -- hashes


@pytest.fixture
def quiet() -> Iterator[None]:
    """Nothing that hashes is left behind."""
    yield
    assert not hashers()


def hashers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == 'bundlestore-hash']


@pytest.mark.parametrize('size', [0, 1, hashing.BESIDE, hashing.BESIDE + 1])
@pytest.mark.parametrize('step', [100_000, 3 * MB])
def test_hash(quiet: None, size: int, step: int) -> None:
    data = os.urandom(size) + bytes(step)
    hasher = hashing.Hasher()
    for block in cut(data, step):
        hasher.update(block)
    assert len(hashers()) == (len(data) > hashing.BESIDE)
    expected = hashlib.sha256(data).hexdigest()
    assert [hasher.hexdigest(), hasher.hexdigest()] == [expected] * 2


def test_hash_without_a_thread(
    quiet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that lets nobody start any still takes pushes."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, 'start', start)
    hasher = hashing.Hasher()
    for _block in range(10):
        hasher.update(bytes(MB))
    expected = hashlib.sha256(bytes(10 * MB)).hexdigest()
    assert hasher.hexdigest() == expected


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(os.fsencode(tmp_path / 'store'))


class _Broken(Exception):
    pass


def test_push_that_breaks_off(quiet: None, store: FileStore) -> None:
    def chunks() -> Iterator[bytes]:
        for _block in range(40):
            yield bytes(MB)
        raise _Broken

    with pytest.raises(_Broken):
        store.put(chunks())
    assert (list(store.strays(0)), list(store.keys())) == ([], [])


def test_disk_that_fills_up(
    quiet: None, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = fileops.write, 0

    def failing(fd: int, data: bytes) -> None:
        nonlocal written
        written += len(data)
        if written > 20 * MB:
            raise OSError(28, 'No space left on device')
        write(fd, data)

    monkeypatch.setattr(fileops, 'write', failing)
    with pytest.raises(errors.NoRoom):
        store.put(bytes(MB) for _block in range(40))
    assert (list(store.strays(0)), list(store.keys())) == ([], [])


def test_reader_that_is_closed_early(quiet: None, store: FileStore) -> None:
    key = store.put(bytes(MB) for _block in range(10))
    with store.open(key) as stream:
        assert stream.read(8 * MB) == bytes(8 * MB)
        assert hashers()


def test_damage_far_behind(quiet: None, store: FileStore) -> None:
    """What is hashed beside the reading is still known before its end."""
    key = store.put(bytes(MB) for _block in range(10))
    path = os.fsdecode(store.localpath(key))
    with open(path, 'r+b') as file:
        file.seek(6 * MB)
        file.write(b'x')
    got = 0
    with store.open(key) as stream:
        for _block in range(9 * MB // 100_000):
            got += len(stream.read(100_000))
        with pytest.raises(errors.CorruptBundle):
            stream.read()
        with pytest.raises(errors.CorruptBundle):
            stream.read(1)
    assert got > 8 * MB


def test_disk_begins_early(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the last of a large bundle is on its way before the push waits
    for the disk; nothing of a small one, or of what need not last."""
    told: list[object] = []
    monkeypatch.setattr(
        fileops, 'writeback', lambda fd, begin, end: told.append((begin, end))
    )
    monkeypatch.setattr(fileops, 'fsync', lambda fd: told.append('fsync'))
    store.put(bytes(MB) for _block in range(40))
    assert told == [(0, 16 * MB), (16 * MB, 32 * MB), 'fsync']
    told.clear()
    store.put([b'some'])
    assert told == ['fsync']
    told.clear()
    copies = FileStore(store._folder + b'-copies', durable=False)
    copies.put(bytes(MB) for _block in range(40))
    assert told == []


def test_disk_that_cannot_begin_early(tmp_path: Path) -> None:
    end, other = os.pipe()
    with open(end, 'rb'), open(other, 'wb'):
        fileops.writeback(other, 0, 10)


# -- pipes


@pytest.fixture
def pipe() -> Iterator[tuple[Any, int]]:
    """The end to read from, as Mercurial has it, and the other."""
    end, other = os.pipe()
    with open(end, 'rb', buffering=0) as file, open(other, 'wb'):
        yield util.bufferedinputpipe(file), other


def read(pipe: Any, size: int) -> bytes:
    found: bytes = largereads.read(
        util.bufferedinputpipe.__dict__['read'], pipe, size
    )
    return found


def test_reads(pipe: tuple[Any, int]) -> None:
    """A pipe gives what it was asked for, whatever is in its buffer."""
    source, other = pipe
    os.write(other, b'a line\nand' + b'x' * 60_000)
    assert source.readline() == b'a line\n'
    assert read(source, 3) == b'and'
    assert read(source, 60_000) == b'x' * 60_000
    assert not source.hasbuffer
    writer = threading.Thread(target=_write, args=(other, b'y' * 300_000))
    writer.start()
    assert read(source, 200_000) == b'y' * 200_000
    assert read(source, 200_000) == b'y' * 100_000
    writer.join()
    assert read(source, 10) == b''


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
    # the fixture closes what has this number then
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, fd)
    os.close(null)


def test_pipe_holds_more(pipe: tuple[Any, int]) -> None:
    _source, other = pipe
    pipes.enlarge(other)
    os.set_blocking(other, False)
    assert os.write(other, bytes(500_000)) == 500_000


def test_what_is_no_pipe(tmp_path: Path) -> None:
    with open(tmp_path / 'file', 'wb') as file:
        pipes.enlarge(file)
    pipes.enlarge(io.BytesIO())
