"""Changegroups as streams: parse, transcode while copying.

The format is described in Mercurial's ``hg help internals.changegroups``. A
changegroup is a sequence of *groups* (changelog, manifest, in version 03 any
number of tree manifests, any number of files). A group is a sequence of
*chunks*, each one revision: a fixed header and a delta; it ends with an empty
chunk. What differs between the versions:

====  ======================================================================
01    the delta base is implied: the previous revision of the group, for the
      first one its first parent
02    the delta base is part of the header
03    two bytes of flags follow, and a section of tree manifests comes between
      the manifest group and the files
====  ======================================================================

Versions above 03 are not stored: their header differs between releases of
Mercurial that call it by the same number.

Nothing in here holds more than one block of a delta, but for changesets,
which are small and which the visitor gets whole.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Callable

from .. import names
from ..errors import BundleStoreError
from ..records import NamedTuple

#: versions this module reads; it writes 02 and 03
VERSIONS = names.CHANGEGROUPS

#: bytes of a delta that are in memory at once
BLOCK = 256 * 1024

#: A changelog entry names each file it touches: 32 MiB are half a million
#: long paths. More is refused, as an entry is held in memory.
MAX_CHANGESET = 32 * 1024 * 1024
MAX_PATH = 64 * 1024

#: revision flags, from ``revlogutils/constants.py``
FLAG_CENSORED = 1 << 15
#: the revision of a clone without all history: the text is what it was, the
#: parents are others, or none
FLAG_ELLIPSIS = 1 << 14
FLAG_EXTSTORED = 1 << 13

_LENGTH = struct.Struct('>l')
_V1 = struct.Struct('>20s20s20s20s')
_V2 = struct.Struct('>20s20s20s20s20s')
_V3 = struct.Struct('>20s20s20s20s20sH')
#: the end of a group, or of a section of named ones
END = _END = _LENGTH.pack(0)
#: a chunk gets longer when it is transcoded, and its length must still fit
_MAX_LENGTH = 2**31 - 1 - (_V3.size - _V1.size)

Read = Callable[[int], bytes]


class MalformedChangegroup(BundleStoreError):
    """The stream is not a changegroup of the version it claims to be."""

    def __init__(self, message: str) -> None:
        super().__init__(
            f'malformed changegroup: {message}',
            'the push was damaged on its way; push again',
        )


class Entry(NamedTuple):
    """The header of one revision in a changegroup."""

    node: bytes
    p1: bytes
    p2: bytes
    base: bytes
    #: the changeset that introduced the revision
    link: bytes
    flags: int


class Visitor:
    """What may look at a changegroup while :func:`transcode` copies it.

    Any exception that a method raises ends the copy and comes out of it.
    """

    def changeset(self, entry: Entry, delta: bytes) -> bool:
        """A changeset, with its whole delta; returns whether it is copied."""
        return True

    def endchangesets(self) -> None:
        """The changelog group is over."""

    def group(self, name: bytes) -> None:
        """The revisions of a file or of a folder (a tree manifest) follow.

        An empty name tells that no more of either do.
        """

    def revision(self, entry: Entry) -> bool:
        """A manifest, tree manifest or file revision; returns whether it is
        copied."""
        return True


class Layout(NamedTuple):
    """Where the groups of a seekable changegroup lie: offsets of the first
    chunk of each group."""

    version: bytes
    changelog: int
    manifest: int
    #: (name, offset), in the order of the stream
    trees: tuple[tuple[bytes, int], ...]
    files: tuple[tuple[bytes, int], ...]
    #: for each of these offsets, the one behind the last revision
    ends: dict[int, int]


def readexactly(read: Read, count: int) -> bytes:
    """Return ``count`` bytes; a shorter stream is malformed."""
    data = read(count)
    if len(data) == count:
        return data
    pieces = [data]
    while data and (count := count - len(data)):
        data = read(count)
        pieces.append(data)
    if count:
        raise _endsearly()
    return b''.join(pieces)


def _endsearly() -> MalformedChangegroup:
    return MalformedChangegroup('it ends too early')


def _chunklength(read: Read) -> int:
    """Return the number of payload bytes of the next chunk, 0 at an end."""
    length: int = _LENGTH.unpack(readexactly(read, 4))[0]
    if length == 0:
        return 0
    if length <= 4 or length > _MAX_LENGTH:
        raise MalformedChangegroup(f'chunk length {length}')
    return length - 4


def _named(read: Read) -> bytes:
    """Return the name that opens a tree or file group, b'' at the end."""
    length = _chunklength(read)
    if length > MAX_PATH:
        raise MalformedChangegroup(f'a path of {length} bytes')
    return readexactly(read, length) if length else b''


def _header(read: Read, version: bytes, prev: bytes | None) -> Entry:
    if version == b'02':
        node, p1, p2, base, link = _V2.unpack(readexactly(read, _V2.size))
        return Entry(node, p1, p2, base, link, 0)
    if version == b'03':
        return Entry(*_V3.unpack(readexactly(read, _V3.size)))
    node, p1, p2, link = _V1.unpack(readexactly(read, _V1.size))
    return Entry(node, p1, p2, p1 if prev is None else prev, link, 0)


_HEADERSIZE = {b'01': _V1.size, b'02': _V2.size, b'03': _V3.size}


def _entries(read: Read, version: bytes) -> Iterator[tuple[Entry, int]]:
    """Yield (header, length of the delta) up to the end of the group.

    The consumer reads the delta before it asks for the next one.
    """
    headersize = _HEADERSIZE[version]
    prev = None
    while True:
        length = _chunklength(read)
        if not length:
            return
        if length < headersize:
            raise MalformedChangegroup(f'chunk length {length + 4}')
        entry = _header(read, version, prev)
        prev = entry.node
        yield entry, length - headersize


def _packed(entry: Entry, deltalength: int, version: bytes) -> bytes:
    if version == b'03':
        length = _LENGTH.pack(deltalength + _V3.size + 4)
        return length + _V3.pack(*entry)
    if entry.flags & ~FLAG_CENSORED:
        # A censored revision is recognised by its text too, so version 02
        # may carry it; other flags change how the text is read.
        raise UnsupportedFlags(entry.flags)
    return _LENGTH.pack(deltalength + _V2.size + 4) + _V2.pack(*entry[:5])


def revision(
    entry: Entry, delta: bytes, version: bytes = b'03'
) -> Iterator[bytes]:
    """Yield a revision of a group; raises ``UnsupportedFlags``."""
    yield _packed(entry, len(delta), version)
    yield delta


def copied(
    entry: Entry, fh: BinaryIO, place: int, length: int, version: bytes
) -> Iterator[bytes]:
    """Yield a revision whose delta is at a place of a file, see
    :func:`places`; raises ``UnsupportedFlags``."""
    yield _packed(entry, length, version)
    fh.seek(place)
    yield from _copydelta(fh.read, length)


def opening(name: bytes) -> bytes:
    """Return what opens the group of the file or folder ``name``."""
    return _LENGTH.pack(len(name) + 4) + name


class UnsupportedFlags(BundleStoreError):
    """A revision with flags that version 02 cannot carry."""

    def __init__(self, flags: int) -> None:
        super().__init__(
            f'a revision has flags 0x{flags:04x} that this server does not '
            'know',
            'the server may need the extension that the client uses, such as '
            'lfs',
        )


def _copydelta(read: Read, length: int) -> Iterator[bytes]:
    while length:
        block = read(min(length, BLOCK))
        if not block:
            raise _endsearly()
        length -= len(block)
        yield block


def _copygroup(read: Read, source: bytes, target: bytes) -> Iterator[bytes]:
    """Copy the revisions of one group, without the end of it."""
    for entry, length in _entries(read, source):
        yield _packed(entry, length, target)
        yield from _copydelta(read, length)


def _copyvisited(
    read: Read, source: bytes, target: bytes, visitor: Visitor, name: bytes
) -> Iterator[bytes]:
    """Copy one group with its name, if it has one, and its end. One with a
    name of which the visitor has left nothing over goes, too: Mercurial does
    not take it."""
    head = opening(name) if name else b''
    dropped = False
    for entry, length in _entries(read, source):
        if visitor.revision(entry):
            yield head + _packed(entry, length, target)
            head = b''
            yield from _copydelta(read, length)
        else:
            dropped = True
            for _block in _copydelta(read, length):
                pass
    if not (head and dropped):
        yield head + _END


def _copychangesets(
    read: Read, source: bytes, target: bytes, visitor: Visitor
) -> Iterator[bytes]:
    for entry, delta in changesets(read, source):
        if visitor.changeset(entry, delta):
            yield _packed(entry, len(delta), target)
            yield delta
    visitor.endchangesets()


def _copynamed(
    read: Read, source: bytes, target: bytes, visitor: Visitor
) -> Iterator[bytes]:
    """Copy a section of named groups, with the end of it."""
    name = _named(read)
    while name:
        visitor.group(name)
        yield from _copyvisited(read, source, target, visitor, name)
        name = _named(read)
    visitor.group(name)
    yield _END


def revisions(read: Read, version: bytes) -> Iterator[tuple[Entry, bytes]]:
    """Yield the revisions of a group with their deltas, whatever their size,
    and read nothing behind them; raises ``MalformedChangegroup``."""
    for entry, length in _entries(read, version):
        yield entry, readexactly(read, length)


def places(
    fh: BinaryIO, version: bytes, offset: int
) -> Iterator[tuple[Entry, int, int]]:
    """Yield the revisions of the group at ``offset`` of a seekable
    changegroup, each with the place of its delta and the length of that; the
    caller may move in the file meanwhile."""
    fh.seek(offset)
    for entry, length in _entries(fh.read, version):
        place = fh.tell()
        yield entry, place, length
        fh.seek(place + length)


def changesets(read: Read, version: bytes) -> Iterator[tuple[Entry, bytes]]:
    """Yield the changesets of a changegroup with their deltas, and read
    nothing behind them; raises ``MalformedChangegroup``."""
    for entry, length in _entries(read, version):
        if length > MAX_CHANGESET:
            raise MalformedChangegroup(f'a changeset of {length} bytes')
        yield entry, readexactly(read, length)


def filedeltas(
    read: Read,
    version: bytes,
    wanted: Callable[[bytes, Entry], bool],
    most: int,
) -> Iterator[bytes]:
    """Yield the deltas of those file revisions that ``wanted`` tells by the
    name of the file and the header, unless they have more than ``most`` bytes.
    All of the changegroup is read; raises ``MalformedChangegroup``."""

    def deltas(name: bytes) -> Iterator[bytes]:
        for entry, length in _entries(read, version):
            if name and length <= most and wanted(name, entry):
                yield readexactly(read, length)
            else:
                for _block in _copydelta(read, length):
                    pass

    for _changelogandmanifest in range(2):
        yield from deltas(b'')
    for trees in (True, False) if version == b'03' else (False,):
        name = _named(read)
        while name:
            yield from deltas(b'' if trees else name)
            name = _named(read)


def transcode(
    read: Read, source: bytes, target: bytes, visitor: Visitor
) -> Iterator[bytes]:
    """Yield the changegroup that ``read`` gives, in version ``target``.

    ``read(n)`` returns up to n bytes, b'' at the end. ``source`` is one of
    :data:`VERSIONS`, ``target`` 02 or 03. Raises ``MalformedChangegroup``,
    ``UnsupportedFlags``, and whatever the visitor raises. Nothing is read
    behind the end of the changegroup.
    """
    yield from _copychangesets(read, source, target, visitor)
    yield _END
    yield from _copyvisited(read, source, target, visitor, b'')
    yield from _copytrees(read, source, target, visitor)
    yield from _copynamed(read, source, target, visitor)


def _copytrees(
    read: Read, source: bytes, target: bytes, visitor: Visitor
) -> Iterator[bytes]:
    if source == b'03' and target == b'03':
        yield from _copynamed(read, source, target, visitor)
    elif source == b'03':
        if _named(read):
            raise MalformedChangegroup('unannounced tree manifests')
    elif target == b'03':
        yield _END


def layout(fh: BinaryIO, version: bytes) -> Layout:
    """Scan a seekable changegroup (``read``, ``seek``, ``tell``; positioned at
    its start) and return where its groups are."""
    ends = {}

    def skipgroup() -> int:
        start: int = fh.tell()
        for _entry, length in _entries(fh.read, version):
            fh.seek(length, 1)
        ends[start] = fh.tell() - len(_END)
        return start

    def skipnamed() -> tuple[tuple[bytes, int], ...]:
        found = []
        name = _named(fh.read)
        while name:
            found.append((name, skipgroup()))
            name = _named(fh.read)
        return tuple(found)

    changelog = skipgroup()
    manifest = skipgroup()
    trees = skipnamed() if version == b'03' else ()
    return Layout(version, changelog, manifest, trees, skipnamed(), ends)


def concatenate(
    sources: list[tuple[BinaryIO, Layout]],
    target: bytes | None = None,
    front: Read | None = None,
) -> Iterator[bytes]:
    """Yield one changegroup with the revisions of all ``sources``.

    Each source is a seekable stream and its :func:`layout`. Groups of the
    same name are joined. Revisions that several sources hold come several
    times, which every reader of version 02 and 03 takes: a delta names its
    base, so none depends on its neighbours.

    ``target`` is the version of the result, by default what
    :func:`jointversion` gives. ``front`` reads a changegroup of that version
    whose revisions come before the others of their groups. It is read once,
    as it comes, so its groups come first, in its order: Mercurial sorts files
    but not the directories of tree manifests, and reads either in any order.
    """
    if target is None:
        target = jointversion([layout for _fh, layout in sources])

    def copy(fh: BinaryIO, lay: Layout, offset: int) -> Iterator[bytes]:
        fh.seek(offset)
        if lay.version == target:
            yield from _copydelta(fh.read, lay.ends[offset] - offset)
        else:
            yield from _copygroup(fh.read, lay.version, target)

    def copyfront() -> Iterator[bytes]:
        if front is not None:
            yield from _copygroup(front, target, target)

    def copynamed(attr: str) -> Iterator[bytes]:
        where: dict[bytes, list[tuple[BinaryIO, Layout, int]]] = {}
        for fh, lay in sources:
            for name, offset in getattr(lay, attr):
                where.setdefault(name, []).append((fh, lay, offset))
        while front is not None and (name := _named(front)):
            yield _LENGTH.pack(len(name) + 4) + name
            yield from copyfront()
            for group in where.pop(name, ()):
                yield from copy(*group)
            yield _END
        for name in sorted(where):
            yield _LENGTH.pack(len(name) + 4) + name
            for group in where[name]:
                yield from copy(*group)
            yield _END
        yield _END

    yield from copyfront()
    for fh, lay in sources:
        yield from copy(fh, lay, lay.changelog)
    yield _END
    yield from copyfront()
    for fh, lay in sources:
        yield from copy(fh, lay, lay.manifest)
    yield _END
    if target == b'03':
        yield from copynamed('trees')
    yield from copynamed('files')


def jointversion(layouts: list[Layout]) -> bytes:
    """Return the version, 02 or 03, that can hold the changegroups of all
    ``layouts``."""
    return max(b'02', *(lay.version for lay in layouts))
