"""Stored bundles as they are read for sending, without a server."""

from __future__ import annotations

import io
import os
import struct
import tempfile
import tracemalloc
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from mercurial import ui as uimod
from mercurial.error import Abort, BundleValueError

from harness.changegroups import (
    QUICK,
    Revision,
    Stream,
    encode,
    mercurials,
    node,
)
from hgext3rd.bundlestore.bundle import container, reading
from hgext3rd.bundlestore.bundle.changegroup import Entry, MalformedChangegroup
from hgext3rd.bundlestore.errors import BundleStoreError, CorruptBundle
from hgext3rd.bundlestore.fetch import sources
from hgext3rd.bundlestore.stores.file import FileStore

UI: Any = uimod.ui()


class RemoteStore:
    """A store that has its bundles elsewhere: it can do no more than open
    them."""

    def __init__(self, store: FileStore) -> None:
        self.open = store.open


def group(first: int, size: int = 20) -> tuple[Revision, ...]:
    """Return two revisions, the second on top of the first."""
    return tuple(
        Revision(
            Entry(node(n), node(n - 1), node(0), node(0), node(n), 0),
            b'%d' % (n % 10) * size,
        )
        for n in (first, first + 1)
    )


#: of changesets, manifests and files; the second is larger than what is read
#: at once, and than what is kept in memory
STREAMS = (
    Stream(group(2), group(2), (), ((b'a', group(2)), (b'c', group(2)))),
    Stream(group(4), group(4), (), ((b'b', group(4, 3 << 20)),)),
)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(os.fsencode(tmp_path / 'bundles'))


def put(store: FileStore, streams: Iterable[Stream]) -> list[str]:
    return [
        store.put(
            container.container(
                UI,
                [
                    container.changegrouppart(
                        iter([encode(stream, b'02')]), b'02', False
                    )
                ],
            )
        )
        for stream in streams
    ]


@pytest.mark.parametrize('remote', [False, True])
def test_whole(store: FileStore, remote: bool) -> None:
    """A bundle as it is, or in the newer version."""
    for key, stream in zip(put(store, STREAMS), STREAMS):
        for version in (b'02', b'03'):
            source = sources.Whole(
                UI, RemoteStore(store) if remote else store, key
            )
            expected = [revision.entry for revision in stream.changesets]
            assert list(source.parents.items()) == [
                (entry.node, (entry.p1, entry.p2)) for entry in expected
            ]
            data = b''.join(source.chunks(version))
            assert data == encode(stream, version)
            source.close()


@pytest.mark.parametrize('remote', [False, True])
def test_joint(store: FileStore, remote: bool) -> None:
    keys = put(store, STREAMS)
    source = sources.Joint(UI, RemoteStore(store) if remote else store, keys)
    data = b''.join(source.chunks(b'02'))
    source.close()
    first, second = STREAMS
    assert mercurials(data, b'02') == Stream(
        first.changesets + second.changesets,
        first.manifests + second.manifests,
        (),
        tuple(sorted(first.files + second.files)),
    )
    assert list(source.parents) == [node(n) for n in (2, 3, 4, 5)]


def test_joint_that_is_written_to(store: FileStore) -> None:
    """It was hashed before; the end does not come then."""
    keys = put(store, STREAMS)
    source = sources.Joint(UI, store, keys)
    path = store.localpath(keys[1])
    os.chmod(path, 0o644)
    os.utime(path, (1, 1))
    with pytest.raises(CorruptBundle):
        list(source.chunks(b'02'))
    source.close()


def test_damaged_elsewhere(store: FileStore) -> None:
    """Where a bundle cannot be read twice, all but the end may go out."""
    key = put(store, STREAMS)[1]
    path = store.localpath(key)
    data = bytearray(Path(os.fsdecode(path)).read_bytes())
    data[len(data) // 2] ^= 1
    os.chmod(path, 0o644)
    Path(os.fsdecode(path)).write_bytes(data)
    with pytest.raises(CorruptBundle):
        sources.Whole(UI, store, key)
    source = sources.Whole(UI, RemoteStore(store), key)
    sent = io.BytesIO()
    with pytest.raises(CorruptBundle):
        sent.writelines(source.chunks(b'02'))
    source.close()
    assert 0 < sent.tell() < len(encode(STREAMS[1], b'02'))


MARKERS = (b'first', b'second')


def bundled(version: bytes = b'02') -> list[Any]:
    """Return the parts of a bundle: markers in front of the changesets, and
    behind them."""
    first, second = map(container.markerspart, MARKERS)
    data = iter([encode(STREAMS[0], b'02')])
    return [first, container.changegrouppart(data, version, False), second]


@pytest.mark.parametrize('file', [False, True])
def test_parts_in_any_order(tmp_path: Path, file: bool) -> None:
    data = b''.join(container.container(UI, bundled()))
    found: Any
    if file:
        path = tmp_path / 'bundle'
        path.write_bytes(data)
        with reading.File(UI, os.fsencode(path)) as found:
            found.payload.seek(0)
            changesets = found.payload.read(1 << 20)
    else:
        found = reading.Stream(UI, io.BytesIO(data))
        changesets = found.read(1 << 20)
        found.readmarkers()
    assert changesets == encode(STREAMS[0], b'02')
    assert tuple(found.markers) == MARKERS
    assert (found.version, found.trees) == (b'02', False)


NONSENSE = {
    'nothing': b'',
    'no parameters': b'HG20',
    'bundle1': b'HG10UN' + encode(STREAMS[0], b'02'),
    'no part': b'HG20' + bytes(8),
    'no changesets': b''.join(
        container.container(UI, [container.markerspart(b'data')])
    ),
    'a newer version': b''.join(container.container(UI, bundled(b'07'))),
    # they say that they have two gigabytes
    'a long header': b'HG20' + bytes(4) + struct.pack('>i', 2**31 - 1),
    'a long chunk': b''.join(container.container(UI, bundled())).replace(
        struct.pack('>i', 6) + b'second', struct.pack('>i', 2**31 - 1)
    ),
}


def readall(path: Path, file: bool) -> None:
    if file:
        reading.File(UI, os.fsencode(path))
    else:
        reading.Stream(UI, io.BytesIO(path.read_bytes())).readmarkers()


@pytest.mark.parametrize('what', NONSENSE)
@pytest.mark.parametrize('file', [False, True])
def test_nonsense(tmp_path: Path, what: str, file: bool) -> None:
    """It costs no memory, and ends in an exception that is expected."""
    path = tmp_path / 'bundle'
    path.write_bytes(NONSENSE[what])
    tracemalloc.start()
    try:
        with pytest.raises((BundleStoreError, Abort, BundleValueError)):
            readall(path, file)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_packed_file(tmp_path: Path) -> None:
    """It is read from front to end only."""
    parts = b''.join(container.container(UI, bundled()))[8:]
    data = b'HG20' + struct.pack('>i', 14) + b'Compression=GZ'
    path = tmp_path / 'bundle'
    path.write_bytes(data + zlib.compress(parts))
    with path.open('rb') as fh:
        found = reading.readgraph(UI, fh)
    assert set(found) == {node(2), node(3)}
    with pytest.raises(MalformedChangegroup, match='packed'):
        reading.File(UI, os.fsencode(path))


# the payload of a bundle2 part


@QUICK
@given(
    frames=st.lists(st.binary(min_size=1, max_size=90), max_size=6),
    moves=st.lists(
        st.tuples(st.integers(0, 300), st.integers(0, 200)), max_size=8
    ),
    large=st.booleans(),
)
def test_payload(
    frames: list[bytes], moves: list[tuple[int, int]], large: bool
) -> None:
    """It reads like a file with what is in the frames."""
    scale = 1000 if large else 1
    frames = [frame * scale for frame in frames]
    expected = io.BytesIO(b''.join(frames))
    with tempfile.TemporaryFile(buffering=0) as fh:
        fh.write(b'before')
        for frame in frames:
            fh.write(struct.pack('>i', len(frame)) + frame)
        fh.write(bytes(4) + b'behind')
        fh.seek(6)
        payload = reading.Payload(fh)
        assert fh.read() == b'behind'
        assert payload.read(10**6) == expected.read()
        for offset, size in moves:
            for file in (payload, expected):
                file.seek(offset * scale)
            assert payload.read(size) == expected.read(size)
            for file in (payload, expected):
                file.seek(size, 1)
            assert payload.tell() == expected.tell()
            assert payload.read(size * scale) == expected.read(size * scale)


@pytest.mark.parametrize(
    ('data', 'error'),
    [
        (b'', MalformedChangegroup),
        (struct.pack('>i', 5) + b'12345', MalformedChangegroup),
        # something put in between, as bundle2 has it
        (struct.pack('>i', -1), MalformedChangegroup),
    ],
)
def test_payload_that_is_damaged(data: bytes, error: type[Exception]) -> None:
    with tempfile.TemporaryFile(buffering=0) as fh:
        fh.write(data)
        fh.seek(0)
        with pytest.raises(error):
            reading.Payload(fh)
