"""The changegroup parser, without a process that would hide its faults.

What it writes is read by Mercurial's own reader, and what it reads is written
by the few lines of :func:`chunks`, after ``hg help internals.changegroups``.
"""

from __future__ import annotations

import io
import itertools
import struct
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings, strategies as st
from mercurial import changegroup

from harness import matrix
from harness.changegroups import (
    CENSORED,
    HEADERSIZES,
    KNOWNFLAGS,
    QUICK,
    SMALL,
    VERSIONS,
    WAYS,
    Group,
    Named,
    Reader,
    Revision,
    Stream,
    chunks,
    encode,
    framed,
    implied,
    mercurials,
    node,
    sayable,
    streams,
    transcoded,
)
from harness.nightly import upto
from hgext3rd.bundlestore.bundle import changegroup as cgstream
from hgext3rd.bundlestore.bundle.changegroup import (
    Entry,
    MalformedChangegroup,
    UnsupportedFlags,
    Visitor,
)
from hgext3rd.bundlestore.errors import BundleStoreError
from hgext3rd.bundlestore.push.check import Refused

#: for what looks at each byte: from and to each version once in the quick loop
DETAILS = [
    pytest.param(
        *way,
        marks=[]
        if way in {(b'01', b'02'), (b'02', b'03'), (b'03', b'03')}
        else matrix.ANOTHER,
    )
    for way in WAYS
]

# transcode


class Recorder(Visitor):
    """Remembers all it was shown."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def changeset(self, entry: Entry, delta: bytes) -> bool:
        self.seen.append((entry, delta))
        return True

    def endchangesets(self) -> None:
        self.seen.append('end')

    def revision(self, entry: Entry) -> bool:
        self.seen.append(entry)
        return True


@pytest.mark.parametrize(('source', 'target'), WAYS)
@QUICK
@given(stream=streams(KNOWNFLAGS))
def test_transcode(source: bytes, target: bytes, stream: Stream) -> None:
    if target == b'02':
        stream = stream._replace(trees=())
    stream = sayable(stream, source)
    data = encode(stream, source)
    # the measure itself: is what is fed a changegroup to Mercurial?
    assert mercurials(data, source) == stream

    result = transcoded(data, source, target)
    expected = sayable(stream, target)
    assert mercurials(result, target) == expected
    assert result == encode(expected, target)


@pytest.mark.parametrize(('source', 'target'), DETAILS)
@QUICK
@given(
    stream=SMALL,
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=5),
    rest=st.binary(max_size=5),
)
def test_short_reads_and_what_follows(
    source: bytes, target: bytes, stream: Stream, sizes: list[int], rest: bytes
) -> None:
    """The pieces that a read gives say nothing; not a byte behind the end is
    taken, as another part follows there."""
    stream = sayable(stream._replace(trees=()), source)
    data = encode(stream, source)
    read = Reader(data + rest, sizes)
    result = b''.join(cgstream.transcode(read, source, target, Visitor()))
    assert result == transcoded(data, source, target)
    assert read.rest() == rest


@QUICK
@given(stream=streams(KNOWNFLAGS))
def test_visitor_sees_everything(stream: Stream) -> None:
    recorder = Recorder()
    transcoded(encode(stream, b'03'), b'03', b'03', recorder)
    expected: list[Any] = [tuple(r) for r in stream.changesets]
    expected.append('end')
    for group in stream.groups()[1:]:
        expected += [r.entry for r in group]
    assert recorder.seen == expected


def test_visitor_comes_first() -> None:
    """What a visitor refuses is not written, and nothing more is read."""

    class Refusing(Visitor):
        def revision(self, entry: Entry) -> bool:
            raise Refused('no')

    stream = one(manifests=True)
    read = Reader(encode(stream, b'02'))
    result = cgstream.transcode(read, b'02', b'02', Refusing())
    written = io.BytesIO()
    with pytest.raises(Refused):
        written.writelines(result)
    assert written.getvalue() == framed(b'')
    assert len(read.rest()) == len(b'delta') + 2 * len(framed(b''))


class Dropping(Visitor):
    """Takes what has an even first byte of its hash."""

    def changeset(self, entry: Entry, delta: bytes) -> bool:
        return self.revision(entry)

    def revision(self, entry: Entry) -> bool:
        return entry.node[0] % 2 == 0


@QUICK
@given(stream=streams(KNOWNFLAGS))
def test_dropped(stream: Stream) -> None:
    """Nothing is left of it, nor of a group that it was all of."""

    def kept(group: tuple[Revision, ...]) -> tuple[Revision, ...]:
        return tuple(r for r in group if r.entry.node[0] % 2 == 0)

    def named(
        groups: tuple[tuple[bytes, tuple[Revision, ...]], ...],
    ) -> tuple[tuple[bytes, tuple[Revision, ...]], ...]:
        return tuple((n, kept(g)) for n, g in groups if kept(g) or not g)

    result = transcoded(encode(stream, b'03'), b'03', b'03', Dropping())
    expected = Stream(
        kept(stream.changesets),
        kept(stream.manifests),
        named(stream.trees),
        named(stream.files),
    )
    assert result == encode(expected, b'03')


def one(
    changesets: bool = False,
    manifests: bool = False,
    trees: bool = False,
    files: bool = False,
    flags: int = 0,
) -> Stream:
    """Return a stream with one revision in each of the groups named."""
    entry = Entry(node(1), node(2), node(3), node(4), node(5), flags)
    group = (Revision(entry, b'delta'),)
    return Stream(
        group if changesets else (),
        group if manifests else (),
        ((b'tree', group),) if trees else (),
        ((b'file', group),) if files else (),
    )


@pytest.mark.parametrize('group', ['changesets', 'manifests', 'files'])
@pytest.mark.parametrize('bit', range(16))
def test_flags_that_02_cannot_carry(group: str, bit: int) -> None:
    stream = one(**{group: True}, flags=1 << bit)
    data = encode(stream, b'03')
    assert transcoded(data, b'03', b'03') == data
    if 1 << bit == CENSORED:
        result = transcoded(data, b'03', b'02')
        assert result == encode(one(**{group: True}), b'02')
        stream = one(**{group: True}, flags=CENSORED | 1)
        data = encode(stream, b'03')
    with pytest.raises(UnsupportedFlags, match='flags 0x'):
        transcoded(data, b'03', b'02')


def test_trees_that_02_cannot_carry() -> None:
    data = encode(one(trees=True), b'03')
    assert transcoded(data, b'03', b'03') == data
    with pytest.raises(MalformedChangegroup):
        transcoded(data, b'03', b'02')


# what is no changegroup


@pytest.mark.parametrize('version', VERSIONS)
@settings(QUICK, max_examples=upto(4, 12))
@given(stream=SMALL)
def test_truncated_anywhere(version: bytes, stream: Stream) -> None:
    data = encode(sayable(stream, version), version)
    for end in range(len(data)):
        with pytest.raises(MalformedChangegroup):
            transcoded(data[:end], version, b'03')
        with pytest.raises(MalformedChangegroup):
            cgstream.layout(io.BytesIO(data[:end]), version)


@pytest.mark.parametrize(('source', 'target'), DETAILS)
@settings(QUICK, max_examples=upto(50, 150))
@given(
    stream=SMALL,
    flips=st.lists(
        st.tuples(st.integers(0, 2**16), st.integers(1, 255)), min_size=1
    ),
    # those of the lengths do most harm
    atlength=st.booleans(),
)
def test_flipped_bytes(
    source: bytes,
    target: bytes,
    stream: Stream,
    flips: list[tuple[int, int]],
    atlength: bool,
) -> None:
    """They pass as another changegroup, or they are refused."""
    stream = sayable(stream, source)
    data = bytearray(encode(stream, source))
    starts = list(
        itertools.accumulate(
            (len(framed(chunk)) for chunk in chunks(stream, source)),
            initial=0,
        )
    )[:-1]
    for where, bits in flips:
        start = starts[where % len(starts)] + 2 + where % 2
        data[start if atlength else where % len(data)] ^= bits
    try:
        result = transcoded(bytes(data), source, target)
    except BundleStoreError:
        return
    mercurials(result, target)


@pytest.mark.parametrize(
    ('version', 'group'),
    [
        *itertools.product(VERSIONS, ['changesets', 'manifests', 'files']),
        (b'03', 'trees'),
    ],
)
@pytest.mark.parametrize(
    'length',
    [-(2**31), -1, 1, 2, 3, 4, 5, 'less than a header', 2**31 - 1],
)
def test_invalid_length(version: bytes, group: str, length: Any) -> None:
    """Of a revision, and of the name of a group."""
    if length == 'less than a header':
        length = HEADERSIZES[version] + 3
    parts = list(chunks(one(**{group: True}), version))
    for number, chunk in enumerate(parts):
        isname = chunk in {b'tree', b'file'}
        if not chunk or (isname and 4 < length < 200):
            continue  # a name may be as short
        data = b''.join(map(framed, parts[:number]))
        data += struct.pack('>l', length) + b''.join(parts[number:])
        # enough that it does not fail for want of bytes
        data += b'more' * 100 if length < 1000 else b''
        for target in (b'02', b'03'):
            with pytest.raises(MalformedChangegroup):
                transcoded(data, version, target)
        with pytest.raises(MalformedChangegroup):
            cgstream.layout(io.BytesIO(data), version)


def endless(start: bytes, most: int) -> cgstream.Read:
    """Return a reader that goes on after ``start``, and does not expect to
    be asked for more than ``most`` bytes."""
    fh = io.BytesIO(start)
    given = 0

    def read(count: int) -> bytes:
        nonlocal given
        data = fh.read(count)
        if data:
            return data
        given += count
        assert given <= most
        return bytes(count)

    return read


def test_changeset_of_absurd_size() -> None:
    """It is refused before it is read, as it would be in memory."""
    length = 4 + 100 + cgstream.MAX_CHANGESET + 1
    read = endless(struct.pack('>l', length) + bytes(100), 0)
    with pytest.raises(MalformedChangegroup, match='a changeset of'):
        list(cgstream.transcode(read, b'02', b'02', Visitor()))


def test_path_of_absurd_size() -> None:
    start = framed(b'') * 2
    fits = start + framed(b'n' * cgstream.MAX_PATH) + framed(b'') * 2
    assert transcoded(fits, b'02', b'02') == fits
    length = 4 + cgstream.MAX_PATH + 1
    read = endless(start + struct.pack('>l', length), 0)
    with pytest.raises(MalformedChangegroup, match='a path of'):
        list(cgstream.transcode(read, b'02', b'02', Visitor()))


@pytest.mark.parametrize('section', ['manifest', 'file'])
def test_memory(section: str) -> None:
    """A delta of any size passes through in small pieces."""
    size = 200 * 1024 * 1024
    start = b'' if section == 'file' else framed(b'')
    if section == 'file':
        start = framed(b'') * 2 + framed(b'name')
    start += struct.pack('>l', 4 + 100 + size) + bytes(100)
    # zeros are ends of groups, too
    read = endless(start, size + 100)
    tracemalloc.start()
    try:
        written = sum(
            map(len, cgstream.transcode(read, b'02', b'03', Visitor()))
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert written > size
    assert peak < 20 * 1024 * 1024


# layout and concatenate


def groupat(data: bytes, offset: int, version: bytes) -> Group:
    """Return the group at ``offset``, as Mercurial reads it."""
    fh = io.BytesIO(data)
    fh.seek(offset)
    reader = changegroup.getunbundler(version, fh, b'UN')
    return tuple(
        Revision(
            Entry(r.node, r.p1, r.p2, r.delta_base, r.link_node, r.flags),
            bytes(r.delta),
        )
        for r in reader.deltaiter()
    )


@pytest.mark.parametrize(('source', 'target'), DETAILS)
@QUICK
@given(stream=streams(KNOWNFLAGS))
def test_layout_of_what_was_transcoded(
    source: bytes, target: bytes, stream: Stream
) -> None:
    if target == b'02':
        stream = stream._replace(trees=())
    stream = sayable(stream, source)
    data = transcoded(encode(stream, source), source, target)
    found = cgstream.layout(io.BytesIO(data), target)
    assert found.version == target
    assert foundin(data, found) == sayable(stream, target)


def foundin(data: bytes, layout: cgstream.Layout) -> Stream:
    def named(where: Iterable[tuple[bytes, int]]) -> Named:
        return tuple((n, groupat(data, o, layout.version)) for n, o in where)

    return Stream(
        groupat(data, layout.changelog, layout.version),
        groupat(data, layout.manifest, layout.version),
        named(layout.trees),
        named(layout.files),
    )


@QUICK
@given(stream=streams(trees=False))
def test_layout_of_01(stream: Stream) -> None:
    stream = stream.map(implied)
    data = encode(stream, b'01')
    found = cgstream.layout(io.BytesIO(data), b'01')
    assert foundin(data, found) == stream


def test_layout_starts_where_the_stream_is() -> None:
    data = encode(one(True, True, files=True), b'02')
    fh = io.BytesIO(b'before' + data)
    fh.seek(6)
    found = cgstream.layout(fh, b'02')
    assert (found.changelog, found.trees) == (6, ())


def revisions(streams: Sequence[Stream]) -> dict[Any, Counter[Revision]]:
    """Count all revisions, by the name of their group."""
    found: dict[Any, Counter[Revision]] = {}
    for stream in streams:
        groups = [('changesets', stream.changesets)]
        groups += [('manifests', stream.manifests)]
        named = [(('tree', n), group) for n, group in stream.trees]
        named += [(('file', n), group) for n, group in stream.files]
        for name, group in [*groups, *named]:
            found.setdefault(name, Counter()).update(group)
    return found


@st.composite
def sources(draw: st.DrawFn) -> list[tuple[bytes, Stream]]:
    """Several streams that share some of their groups."""
    pool = draw(st.lists(streams(KNOWNFLAGS), min_size=1, max_size=3))
    chosen = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=4))
    result = []
    for stream in chosen:
        version = draw(st.sampled_from(VERSIONS))
        result.append((version, sayable(stream, version)))
    return result


Joined = list[tuple[BinaryIO, cgstream.Layout]]


def opened(parts: list[tuple[bytes, Stream]]) -> Joined:
    result: Joined = []
    for version, stream in parts:
        fh = io.BytesIO(encode(stream, version))
        result.append((fh, cgstream.layout(fh, version)))
    return result


def concatenated(parts: list[tuple[bytes, Stream]]) -> tuple[bytes, bytes]:
    sources = opened(parts)
    version = cgstream.jointversion([layout for _fh, layout in sources])
    return version, b''.join(cgstream.concatenate(sources))


@settings(QUICK, max_examples=upto(20, 120))
@given(
    parts=sources(),
    front=streams(),
    newer=st.booleans(),
    sizes=st.lists(st.integers(1, 500), min_size=1, max_size=5),
)
def test_concatenate(
    parts: list[tuple[bytes, Stream]],
    front: Stream,
    newer: bool,
    sizes: list[int],
) -> None:
    """By themselves and behind another: most of the time goes into examples,
    so both share them."""
    joined = opened(parts)
    version = cgstream.jointversion([layout for _fh, layout in joined])
    assert version == max(b'02', *(version for version, _ in parts))
    streams = [stream for _, stream in parts]
    alone(joined, streams, version)
    behind(joined, streams, b'03' if newer else version, front, sizes)


def alone(joined: Joined, streams: list[Stream], version: bytes) -> None:
    whole = mercurials(b''.join(cgstream.concatenate(joined)), version)
    assert revisions([whole]) == revisions(streams)
    # each name once, in the order of the store
    for names in (dict(whole.trees), dict(whole.files)):
        assert list(names) == sorted(names)
    assert len(dict(whole.files)) == len(whole.files)
    assert len(dict(whole.trees)) == len(whole.trees)
    # parents stay before children
    assert whole.changesets == tuple(
        itertools.chain.from_iterable(s.changesets for s in streams)
    )


def behind(
    joined: Joined,
    streams: list[Stream],
    version: bytes,
    front: Stream,
    sizes: list[int],
) -> None:
    """It is read as it comes, and its revisions come first everywhere."""
    front = sayable(front, version)
    front = front._replace(
        trees=tuple(dict(front.trees).items()),
        files=tuple(dict(front.files).items()),
    )
    read = Reader(encode(front, version), sizes)
    data = b''.join(cgstream.concatenate(joined, version, read))
    assert not read.rest()
    whole = mercurials(data, version)
    assert revisions([whole]) == revisions([front, *streams])
    pairs = [
        (whole.changesets, front.changesets),
        (whole.manifests, front.manifests),
    ]
    for groups, before in (
        (whole.trees, front.trees),
        (whole.files, front.files),
    ):
        # each name once, with the order of what is in front
        names = [name for name, _group in groups]
        assert len({*names}) == len(names)
        assert names[: len(before)] == [name for name, _group in before]
        others = names[len(before) :]
        assert others == sorted(others)
        pairs += zip((group for _name, group in groups), dict(before).values())
    for group, first in pairs:
        assert group[: len(first)] == first


def test_concatenate_01() -> None:
    """Version 01 cannot hold revisions from several sources: a base is the
    revision before, whichever that is."""
    stream = sayable(one(True, True, files=True), b'01')
    version, data = concatenated([(b'01', stream), (b'01', stream)])
    assert version == b'02'
    assert revisions([mercurials(data, b'02')]) == revisions([stream, stream])
