"""The stored bundle: what is in the file, how it is written and got at.

It is a plain Mercurial bundle (HG20, see ``hg help internals.bundle2``) with
one ``changegroup`` part in version 02 (03 only for repositories that need it)
and, where the push had any, one ``obsmarkers`` part. It is not packed unless
``bundlestore.compression`` asks for that. One that is private begins with the
part ``bundlestore:private``, which others pass over. ``hg unbundle`` takes it,
``bundle:BASE+FILE`` opens it.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable, Iterator
from typing import Any, Callable

from mercurial import bundle2, error, obsolete, util

from .. import errors, names
from ..declaring import provides
from ..stores import fileops, localfiles
from . import frames, unbundle

_MAGIC = b'HG20'
_SIZE = struct.Struct('>i')
_EMPTY = _SIZE.pack(0)
_PARAMETERS = b'Compression=ZS'
#: how one begins that is packed
_PACKED = _MAGIC + _SIZE.pack(len(_PARAMETERS)) + _PARAMETERS

#: bytes that are read at once where a file is copied or read through
BLOCK = 256 * 1024

#: more markers than any honest push has; they are parsed in memory
MAX_MARKERS = 8 * 1024 * 1024


def changegrouppart(chunks: Iterable[bytes], version: bytes, trees: bool):
    """Return the part that holds a changegroup of that version."""
    part = frames.Part(b'changegroup', data=chunks)
    part.addparam(b'version', version)
    if trees:
        part.addparam(b'treemanifest', b'1')
    return part


def markerspart(data: bytes):
    """Return the part that holds encoded obsolescence markers.

    It is advisory, as in the bundles that ``hg bundle`` writes: a reader
    without support for the markers can still have the changesets.
    """
    return bundle2.bundlepart(b'obsmarkers', data=data, mandatory=False)


def privatepart(uid: str):
    """Return the part that tells of which private view a bundle is."""
    return bundle2.bundlepart(names.PRIVATE, data=uid.encode(), mandatory=False)


def container(
    ui, parts: Iterable, compression: str = 'none'
) -> Iterator[bytes]:
    """Yield the bytes of a bundle with ``parts``, which are asked for one
    after the other, so that a later one may depend on an earlier one.
    ``compression`` is ``none`` or ``zstd``."""
    if compression == 'none':
        yield _MAGIC + _EMPTY
        yield from _payload(ui, parts)
    else:
        yield _PACKED
        yield from _engine().compressstream(_payload(ui, parts))


def _payload(ui, parts: Iterable) -> Iterator[bytes]:
    listener = unbundle.listener(ui)
    for number, part in enumerate(parts):
        part.id = number
        yield from part.getchunks(ui=listener)
    yield _EMPTY


def _engine() -> Any:
    return util.compengines[b'zstd']


def decodemarkers(data: bytes) -> list:
    """Return the obsolescence markers in the payload of a part; raises
    ``error.Abort`` or another exception for nonsense."""
    return list(obsolete._readmarkers(data)[1])


def addmarkers(obsstore, payloads: Iterable[bytes]) -> None:
    """Give ``obsstore``, in memory only, the markers in the payloads of
    parts."""
    for data in payloads:
        obsstore._addmarkers(
            set(decodemarkers(data)).difference(obsstore), data
        )


def opened(store: Any, key: str) -> Any:
    """Return a reader of the stored bundle; raises ``BundleStoreError``, with
    a hint for users where there is none."""
    try:
        return store.open(key)
    except errors.UnknownKey as exc:
        raise errors.UnknownKey(
            f'bundle {key[:12]} is missing from the bundle store',
            'push the same changesets again to bring it back',
        ) from exc


def drain(reader: Any) -> None:
    """Read to the end: raises ``CorruptBundle`` if the bundle is not what it
    was."""
    for _block in blocks(reader):
        pass


def blocks(stream: Any) -> Iterator[bytes]:
    """Yield what a stream (``read``) gives."""
    return iter(lambda: stream.read(BLOCK), b'')


@contextlib.contextmanager
def checkedfile(store: Any, key: str) -> Iterator[bytes]:
    """Give the path of a plain file with the bytes of a stored bundle, read
    through and found true."""
    if provides(store, 'ILocalPath'):
        with opened(store, key) as reader:
            drain(reader)
    with plainfile(store, key, lambda: opened(store, key)) as path:
        yield path


@contextlib.contextmanager
def plainfile(
    source: Any, key: str, reader: Callable[[], Any]
) -> Iterator[bytes]:
    """Give the path of a plain file with the bytes of the bundle ``key``,
    unpacked: its own where ``source``, a store or a staged bundle, has one
    (``ILocalPath``), else that of what ``reader()`` opens (``IPlainReader``)
    or a temporary copy.

    The bytes of the first are not checked, those of the others are.
    """
    if provides(source, 'ILocalPath'):
        path = source.localpath(key)
        if not _ispacked(path):
            yield path
            return
    with reader() as stream:
        if provides(stream, 'IPlainReader') and not _ispacked(stream.path):
            yield stream.path
            return
        path = writetemp(_unpacked(stream))
    try:
        yield path
    finally:
        localfiles.tryunlink(path)


def _ispacked(path: bytes) -> bool:
    with open(path, 'rb') as fh:
        return fh.read(len(_PACKED)) == _PACKED


def _unpacked(stream: Any) -> Iterator[bytes]:
    """Yield the bytes of a bundle as they would be if it were not packed."""
    buffered = util.chunkbuffer(blocks(stream))
    head = buffered.read(len(_PACKED))
    if head != _PACKED:
        yield head
        yield from blocks(buffered)
        return
    yield _MAGIC + _EMPTY
    try:
        yield from blocks(unbundle.unpacked(buffered, _engine()))
    except error.Abort:
        # rather that it is damaged than that it cannot be unpacked
        drain(stream)
        raise
    drain(stream)


def writetemp(chunks: Iterable[bytes], directory: bytes | None = None) -> bytes:
    """Write ``chunks`` into a new temporary file and return its path."""
    fd, path = fileops.createtemporary(b'hg-bundlestore-', b'.hg', directory)
    try:
        try:
            for block in localfiles.gathered(chunks):
                fileops.write(fd, block)
        finally:
            fileops.close(fd)
    except BaseException:
        localfiles.tryunlink(path)
        raise
    return path
