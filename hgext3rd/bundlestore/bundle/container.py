"""The stored bundle: what is in the file, how it is written and read.

It is a plain Mercurial bundle (HG20, see ``hg help internals.bundle2``),
without compression, with one ``changegroup`` part in version 02 (03 only for
repositories that need it) and, where the push had any, one ``obsmarkers``
part. ``hg unbundle`` takes it, ``bundle:BASE+FILE`` opens it.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Callable, Union

from mercurial import bundle2, exchange, obsolete

from .. import compat, errors, model
from ..declaring import provides
from ..stores import fileops, localfiles
from . import changegroup, unbundle

_EMPTY = struct.pack('>i', 0)

#: bytes that are read at once where a file is copied or read through
BLOCK = 256 * 1024

#: more markers than any honest push has; they are parsed in memory
MAX_MARKERS = 8 * 1024 * 1024


def changegrouppart(chunks: Iterable[bytes], version: bytes, trees: bool):
    """Return the part that holds a changegroup of that version."""
    part = bundle2.bundlepart(b'changegroup', data=chunks)
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


def container(ui, parts: Iterable) -> Iterator[bytes]:
    """Yield the bytes of a bundle with ``parts``, which are asked for one
    after the other, so that a later one may depend on an earlier one."""
    yield b'HG20'
    yield _EMPTY  # no stream parameters
    for number, part in enumerate(parts):
        part.id = number
        yield from part.getchunks(ui=ui)
    yield _EMPTY


def decodemarkers(data: bytes) -> list:
    """Return the obsolescence markers in the payload of a part; raises
    ``error.Abort`` or another exception for nonsense."""
    return list(obsolete._readmarkers(data)[1])


class BundleFile:
    """A stored bundle, opened for reading at random places."""

    def __init__(self, ui, path: bytes) -> None:
        self.version = b'01'
        self.trees = False
        self.markers: list[bytes] = []
        #: the changegroup part, seekable
        self.changegroup: Any = None
        self._fh = open(path, 'rb')
        try:
            self._readparts(ui, path)
        except BaseException:
            self._fh.close()
            raise

    def _readparts(self, ui, path: bytes) -> None:
        bundle = exchange.readbundle(ui, self._fh, path)
        for part in bundle.iterparts(seekable=True):
            if part.type == b'changegroup':
                self.changegroup = compat.seekablepart(part)
                self.version = part.params.get(b'version', b'01')
                self.trees = b'treemanifest' in part.params
            elif part.type == b'obsmarkers':
                self.markers.append(part.read())

    def layout(self) -> changegroup.Layout:
        """Scan the changegroup, see :func:`changegroup.layout`."""
        self.changegroup.seek(0)
        return changegroup.layout(self.changegroup, self.version)

    def close(self) -> None:
        self._fh.close()


def join(ui, paths: list[bytes], directory: bytes | None = None) -> bytes:
    """Write the bundles at ``paths`` as one into a new temporary file and
    return its path; the caller removes it."""
    files: list[BundleFile] = []
    try:
        for path in paths:
            files.append(BundleFile(ui, path))
        sources = [(f.changegroup, f.layout()) for f in files]
        layouts = [layout for _cg, layout in sources]
        parts = [
            changegrouppart(
                changegroup.concatenate(sources),
                changegroup.jointversion(layouts),
                any(f.trees for f in files),
            )
        ]
        parts += [markerspart(m) for m in _uniquemarkers(files)]
        return writetemp(container(ui, parts), directory)
    finally:
        for bundle in files:
            bundle.close()


def _uniquemarkers(files: list[BundleFile]) -> list[bytes]:
    return list(dict.fromkeys(m for f in files for m in f.markers))


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
    while reader.read(BLOCK):
        pass


def readchangegroup(ui, stream) -> tuple[changegroup.Read, bytes]:
    """Return what reads the changegroup of a bundle (``stream`` has ``read``)
    and its version.

    Whatever the bytes are, this and what it returns raise nothing but
    ``BundleStoreError``, ``error.Abort`` and ``error.BundleValueError``.
    """
    bundle = unbundle.tame(exchange.readbundle(ui, stream, b''))
    if isinstance(bundle, bundle2.unbundle20):
        for part in bundle.iterparts():
            if part.type == b'changegroup':
                version = part.params.get(b'version', b'01')
                if version in changegroup.VERSIONS:
                    return part.read, version
                break
    raise changegroup.MalformedChangegroup('there is none')


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
def completefile(
    ui, store: Any, rests: Iterable[str], file: AbstractContextManager[bytes]
) -> Iterator[bytes]:
    """Give the path of a bundle that is complete with the base repository:
    what ``file`` gives (see :func:`plainfile`), and the bundles of ``store``
    that it rests on."""
    with contextlib.ExitStack() as stack:
        paths = [stack.enter_context(checkedfile(store, key)) for key in rests]
        paths.append(stack.enter_context(file))
        if len(paths) > 1:
            paths = [join(ui, paths)]
            stack.callback(localfiles.tryunlink, paths[0])
        yield paths[0]


class _Joined:
    """A joined bundle, to be read from front to end (as ``IBundleReader``)."""

    def __init__(self, path: bytes) -> None:
        self._file = open(path, 'rb')
        self.size = os.fstat(self._file.fileno()).st_size
        self.read = self._file.read
        self.seek = self._file.seek
        self.close = self._file.close

    def __enter__(self) -> _Joined:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def opencomplete(
    ui, store: Any, bundle: Union[model.Push, model.Bundle, model.Location]
) -> Any:
    """Return a reader of a bundle and of all that it rests on, in one; raises
    ``BundleStoreError``."""
    if not bundle.rests:
        return opened(store, bundle.key)
    # the file goes with its name; what is open stays
    with completefile(
        ui, store, bundle.rests, checkedfile(store, bundle.key)
    ) as path:
        return _Joined(path)


@contextlib.contextmanager
def plainfile(
    source: Any, key: str, reader: Callable[[], Any]
) -> Iterator[bytes]:
    """Give the path of a plain file with the bytes of the bundle ``key``: its
    own where ``source``, a store or a staged bundle, has one
    (``ILocalPath``), else a temporary copy of what ``reader()`` opens.

    The bytes of the first are not checked, those of the copy are.
    """
    if provides(source, 'ILocalPath'):
        yield source.localpath(key)
        return
    with reader() as stream:
        path = copytemp(stream)
    try:
        yield path
    finally:
        localfiles.tryunlink(path)


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


def copytemp(source, directory: bytes | None = None) -> bytes:
    """Copy a stream (``read``) into a new temporary file, return its path."""
    return writetemp(iter(lambda: source.read(BLOCK), b''), directory)
