"""The changegroup parser, without a process that would hide its faults.

What it writes is read by Mercurial's own reader, and what it reads is written
by the few lines of :func:`chunks`, after ``hg help internals.changegroups``.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import struct
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Callable, NamedTuple, Optional

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from mercurial import changegroup, mdiff
from mercurial.interfaces import repository

from hgext3rd.bundlestore import cgstream, verify
from hgext3rd.bundlestore.cgstream import (
    Entry,
    MalformedChangegroup,
    UnsupportedFlags,
    Visitor,
)
from hgext3rd.bundlestore.errors import BundleStoreError
from hgext3rd.bundlestore.verify import ChangesetChecker, Refused

NULL = b'\0' * 20
CENSORED: int = repository.REVISION_FLAG_CENSORED
VERSIONS = [b'01', b'02', b'03']
WAYS = [(source, target) for source in VERSIONS for target in (b'02', b'03')]
HEADERSIZES = {b'01': 80, b'02': 100, b'03': 102}

# changegroups


class Revision(NamedTuple):
    entry: Entry
    delta: bytes


Group = tuple[Revision, ...]
Named = tuple[tuple[bytes, Group], ...]


class Stream(NamedTuple):
    """The content of a changegroup."""

    changesets: Group = ()
    manifests: Group = ()
    trees: Named = ()
    files: Named = ()

    def map(self, change: Callable[[Group], Group]) -> Stream:
        """Return the same with each group changed."""
        return Stream(
            change(self.changesets),
            change(self.manifests),
            tuple((name, change(group)) for name, group in self.trees),
            tuple((name, change(group)) for name, group in self.files),
        )

    def groups(self) -> list[Group]:
        named = [*self.trees, *self.files]
        return [self.changesets, self.manifests, *(g for _, g in named)]


def node(number: int) -> bytes:
    return hashlib.sha1(b'%d' % number).digest() if number else NULL


def chunks(stream: Stream, version: bytes) -> Iterator[bytes]:
    """Yield what is in each chunk; b'' ends a group or section."""
    for group in (stream.changesets, stream.manifests):
        yield from groupchunks(group, version)
    for named in [stream.trees] * (version == b'03') + [stream.files]:
        for name, group in named:
            yield name
            yield from groupchunks(group, version)
        yield b''


def groupchunks(group: Group, version: bytes) -> Iterator[bytes]:
    for entry, delta in group:
        header = entry.node + entry.p1 + entry.p2
        if version != b'01':
            header += entry.base
        header += entry.link
        if version == b'03':
            header += entry.flags.to_bytes(2, 'big')
        yield header + delta
    yield b''


def framed(chunk: bytes) -> bytes:
    length = len(chunk) + 4 if chunk else 0
    return length.to_bytes(4, 'big') + chunk


def encode(stream: Stream, version: bytes) -> bytes:
    return b''.join(map(framed, chunks(stream, version)))


def implied(group: Group) -> Group:
    """Return the group with the delta bases that version 01 implies."""
    result: list[Revision] = []
    for entry, delta in group:
        base = result[-1].entry.node if result else entry.p1
        result.append(Revision(entry._replace(base=base), delta))
    return tuple(result)


def withoutflags(group: Group) -> Group:
    return tuple(Revision(e._replace(flags=0), delta) for e, delta in group)


def sayable(stream: Stream, version: bytes) -> Stream:
    """Return what is left of ``stream`` in ``version``."""
    if version == b'03':
        return stream
    stream = stream.map(withoutflags)._replace(trees=())
    return stream.map(implied) if version == b'01' else stream


def mercurials(data: bytes, version: bytes) -> Stream:
    """Return the content as Mercurial reads it."""
    fh = io.BytesIO(data)
    reader = changegroup.getunbundler(version, fh, b'UN')

    def group() -> Group:
        return tuple(
            Revision(
                Entry(
                    *(r.node, r.p1, r.p2, r.delta_base, r.link_node, r.flags)
                ),
                bytes(r.delta),
            )
            for r in reader.deltaiter()
        )

    def named() -> Named:
        headers = iter(reader.filelogheader, {})
        return tuple((header[b'filename'], group()) for header in headers)

    reader.changelogheader()
    changesets = group()
    reader.manifestheader()
    manifests = group()
    trees = named() if version == b'03' else ()
    files = named()
    assert not fh.read(1)
    return Stream(changesets, manifests, trees, files)


NODES = st.integers(0, 30).map(node)
BLOCK = cgstream.BLOCK
DELTAS = st.one_of(
    st.binary(max_size=40),
    # around the size of the pieces that are copied
    st.builds(
        lambda size, byte: byte * size,
        st.sampled_from([BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3]),
        st.binary(min_size=1, max_size=1),
    ),
)
NAMES = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.sampled_from([b'a' * 255, b'x/' * 500 + b'y', b'\xff\0\n', b'a', b'b']),
    st.just(b'n' * cgstream.MAX_PATH),
)


NOFLAGS = st.just(0)


def streams(
    flags: st.SearchStrategy[int] = NOFLAGS,
    deltas: st.SearchStrategy[bytes] = DELTAS,
    names: st.SearchStrategy[bytes] = NAMES,
    trees: bool = True,
) -> st.SearchStrategy[Stream]:
    entries = st.builds(Entry, NODES, NODES, NODES, NODES, NODES, flags)
    groups = st.lists(st.builds(Revision, entries, deltas), max_size=4).map(
        tuple
    )
    named = st.lists(st.tuples(names, groups), max_size=3).map(tuple)
    return st.builds(
        Stream, groups, groups, named if trees else st.just(()), named
    )


SMALL = streams(
    deltas=st.binary(max_size=20), names=st.binary(min_size=1, max_size=9)
)
KNOWNFLAGS = st.sampled_from([0, 0, CENSORED])
QUICK = settings(max_examples=60, suppress_health_check=list(HealthCheck))

# transcode


class Recorder(Visitor):
    """Remembers all it was shown."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def changeset(self, entry: Entry, delta: bytes) -> None:
        self.seen.append((entry, delta))

    def endchangesets(self) -> None:
        self.seen.append('end')

    def revision(self, entry: Entry) -> None:
        self.seen.append(entry)


class Reader:
    """Gives ``data`` in pieces of at most ``sizes``, in turn."""

    def __init__(self, data: bytes, sizes: Sequence[int] = (2**31,)) -> None:
        self._fh = io.BytesIO(data)
        self._sizes = itertools.cycle(sizes)
        self._attheend = 0

    def __call__(self, count: int) -> bytes:
        data = self._fh.read(min(count, next(self._sizes)))
        if not data and count:
            # who goes on asking asks for ever
            self._attheend += 1
            assert self._attheend < 10
        return data

    def rest(self) -> bytes:
        return self._fh.read()


def transcoded(
    data: bytes,
    source: bytes,
    target: bytes,
    visitor: Optional[Visitor] = None,
    sizes: Sequence[int] = (2**31,),
) -> bytes:
    read = Reader(data, sizes)
    result = cgstream.transcode(read, source, target, visitor or Visitor())
    return b''.join(result)


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


@pytest.mark.parametrize(('source', 'target'), WAYS)
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
        def revision(self, entry: Entry) -> None:
            raise Refused('no')

    stream = one(manifests=True)
    read = Reader(encode(stream, b'02'))
    result = cgstream.transcode(read, b'02', b'02', Refusing())
    written = io.BytesIO()
    with pytest.raises(Refused):
        written.writelines(result)
    assert written.getvalue() == framed(b'')
    assert len(read.rest()) == len(b'delta') + 2 * len(framed(b''))


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
@settings(QUICK, max_examples=12)
@given(stream=SMALL)
def test_truncated_anywhere(version: bytes, stream: Stream) -> None:
    data = encode(sayable(stream, version), version)
    for end in range(len(data)):
        with pytest.raises(MalformedChangegroup):
            transcoded(data[:end], version, b'03')
        with pytest.raises(MalformedChangegroup):
            cgstream.layout(io.BytesIO(data[:end]), version)


@pytest.mark.parametrize(('source', 'target'), WAYS)
@settings(QUICK, max_examples=150)
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


@pytest.mark.parametrize(('source', 'target'), WAYS)
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


def concatenated(parts: list[tuple[bytes, Stream]]) -> tuple[bytes, bytes]:
    opened: list[tuple[BinaryIO, cgstream.Layout]] = []
    for version, stream in parts:
        fh = io.BytesIO(encode(stream, version))
        opened.append((fh, cgstream.layout(fh, version)))
    version = cgstream.jointversion([layout for _fh, layout in opened])
    return version, b''.join(cgstream.concatenate(opened))


@settings(QUICK, max_examples=120)
@given(parts=sources())
def test_concatenate(parts: list[tuple[bytes, Stream]]) -> None:
    version, data = concatenated(parts)
    assert version == max(b'02', *(version for version, _ in parts))
    whole = mercurials(data, version)
    streams = [stream for _, stream in parts]
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


def test_concatenate_01() -> None:
    """Version 01 cannot hold revisions from several sources: a base is the
    revision before, whichever that is."""
    stream = sayable(one(True, True, files=True), b'01')
    version, data = concatenated([(b'01', stream), (b'01', stream)])
    assert version == b'02'
    assert revisions([mercurials(data, b'02')]) == revisions([stream, stream])


# the checks of changesets


def text(
    description: bytes = b'description',
    files: Sequence[bytes] = (),
    user: bytes = b'alice',
    date: bytes = b'0 0',
    manifest: bytes = b'0' * 40,
) -> bytes:
    lines = [manifest, user, date, *files]
    return b'\n'.join(lines) + b'\n\n' + description


def hashed(data: bytes, p1: bytes = NULL, p2: bytes = NULL) -> bytes:
    return hashlib.sha1(b''.join(sorted([p1, p2])) + data).digest()


def full(data: bytes, old: bytes = b'') -> bytes:
    """Return the delta that puts ``data`` in the place of all of ``old``."""
    return struct.pack('>lll', 0, len(old), len(data)) + data


class Base:
    """What the checks see of the repository."""

    def __init__(self, *texts: bytes) -> None:
        self.texts = {hashed(text): text for text in texts}
        self.asked: list[bytes] = []

    def hasnode(self, node: bytes) -> bool:
        self.asked.append(node)
        return node in self.texts

    def text(self, node: bytes) -> bytes:
        return self.texts[node]


def entry(
    data: bytes, p1: bytes = NULL, p2: bytes = NULL, base: bytes = NULL
) -> Entry:
    node = hashed(data, p1, p2)
    return Entry(node, p1, p2, base, node, 0)


def test_right_hash_is_accepted() -> None:
    checker = ChangesetChecker(Base())
    first, second = text(b'first'), text(b'second')
    one = entry(first)
    two = entry(second, one.node)
    checker.changeset(one, full(first))
    checker.changeset(two, full(second))
    checker.endchangesets()
    checker.close()
    assert checker.nodes == (one.node, two.node)
    assert checker.parents == {
        one.node: (NULL, NULL),
        two.node: (one.node, NULL),
    }
    assert [tuple(head) for head in checker.heads()] == [(two.node, 'second')]


LINES = st.binary(max_size=20).map(lambda b: b.replace(b'\n', b''))


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[bytes, int, int, int]]:
    """Changesets: text, and which are its parents and delta base; those
    below 0 are in the base repository, 0 is none."""
    result = []
    for number in range(1, draw(st.integers(1, 8)) + 1):
        earlier = st.integers(-2, number - 1)
        words = text(draw(st.binary(max_size=60)), draw(st.lists(LINES)))
        result.append((words, draw(earlier), draw(earlier), draw(earlier)))
    return result


@QUICK
@given(history=histories())
def test_any_history(history: list[tuple[bytes, int, int, int]]) -> None:
    base = Base(text(b'one of the base'), text(b'another one'))
    known = dict(zip([-1, -2], base.texts.items()))
    known[0] = (NULL, b'')
    checker = ChangesetChecker(base)
    heads: dict[bytes, None] = {}
    for number, (words, p1, p2, old) in enumerate(history, 1):
        header = entry(words, known[p1][0], known[p2][0], known[old][0])
        known[number] = (header.node, words)
        if header.node in checker.parents:
            continue
        checker.changeset(header, mdiff.textdiff(known[old][1], words))
        for parent in (header.p1, header.p2):
            heads.pop(parent, None)
        heads[header.node] = None
    checker.endchangesets()
    assert set(checker.nodes) == {
        node for number, (node, _) in known.items() if number > 0
    }
    assert [head.node for head in checker.heads()] == list(heads)


@QUICK
@given(
    history=histories(),
    flips=st.lists(st.tuples(st.integers(0, 2**16), st.integers(1, 255))),
)
def test_flipped_bytes_in_changesets(
    history: list[tuple[bytes, int, int, int]], flips: list[tuple[int, int]]
) -> None:
    """Whatever is wrong with a delta, it is refused; so are all hashes that
    do not fit. What passes was not changed."""
    known: dict[int, tuple[bytes, bytes]] = {}
    base = Base(text(b'one of the base'), text(b'another one'))
    known = dict(zip([-1, -2], base.texts.items()))
    known[0] = (NULL, b'')
    group: list[Revision] = []
    for number, (words, p1, p2, old) in enumerate(history, 1):
        header = entry(words, known[p1][0], known[p2][0], known[old][0])
        delta = mdiff.textdiff(known[old][1], words)
        known[number] = (header.node, words)
        group.append(Revision(header, delta))
    good = {revision.entry.node for revision in group}
    data = bytearray(encode(Stream(tuple(group)), b'02'))
    for where, bits in flips:
        data[where % len(data)] ^= bits
    checker = ChangesetChecker(base)
    try:
        transcoded(bytes(data), b'02', b'02', checker)
    except BundleStoreError:
        return
    assert set(checker.nodes) <= good


def refused(
    reason: str,
    header: Entry,
    delta: bytes,
    checker: Optional[ChangesetChecker] = None,
    kind: type[BundleStoreError] = MalformedChangegroup,
) -> None:
    checker = checker or ChangesetChecker(Base())
    before = checker.nodes
    with pytest.raises(kind, match=reason):
        checker.changeset(header, delta)
    assert checker.nodes == before


def test_wrong_hash() -> None:
    words = text()
    header = entry(words)
    refused('does not match its hash', header, full(words + b'!'))
    moved = header._replace(p1=hashed(text(b'base')))
    checker = ChangesetChecker(Base(text(b'base')))
    refused('does not match its hash', moved, full(words), checker)
    # unless it is not to be checked
    checker = ChangesetChecker(Base(), hashes=False)
    checker.changeset(header, full(words + b'!'))
    assert checker.nodes == (header.node,)


def test_duplicate() -> None:
    checker = ChangesetChecker(Base())
    checker.changeset(entry(text()), full(text()))
    refused('comes twice', entry(text()), full(text()), checker)


@pytest.mark.parametrize('hashes', [True, False])
def test_strange_header(hashes: bool) -> None:
    header = entry(text())
    for changed in (
        header._replace(link=node(1)),
        header._replace(flags=CENSORED),
        header._replace(flags=1),
    ):
        checker = ChangesetChecker(Base(), hashes=hashes)
        refused('strange header', changed, full(text()), checker)


def test_unknown_parent() -> None:
    known, words = text(b'in the base'), text()
    for parents in [(node(1), NULL), (NULL, node(1)), (hashed(known), node(1))]:
        checker = ChangesetChecker(Base(known))
        refused(
            f'unknown parent {node(1).hex()[:12]} of changeset',
            entry(words, *parents),
            full(words),
            checker,
            Refused,
        )
    checker.changeset(entry(words, hashed(known)), full(words))
    assert checker.parents == {
        hashed(words, hashed(known)): (hashed(known), NULL)
    }


@pytest.mark.parametrize(
    'words',
    [
        b'',
        b'no changeset',
        text(manifest=b'0' * 39),
        text(manifest=b'G' * 40),
        text(user=b''),
        text(date=b'yesterday'),
        text(date=b'0'),
        b'0' * 40 + b'\nalice\n0 0',
    ],
)
def test_unreadable(words: bytes) -> None:
    refused('cannot be read', entry(words), full(words))


@pytest.mark.parametrize(
    'words',
    [
        # Mercurial looks for the empty line that ends the list of files, and
        # for the colon after the key of an extra
        b'0' * 40 + b'\nalice\n0 0\n',
        b'0' * 40 + b'\nalice\n0 0\nfile\ndescription',
        text(date=b'0 0 extra'),
    ],
)
def test_unreadable_by_mercurial(words: bytes) -> None:
    refused('cannot be read', entry(words), full(words))


@pytest.mark.parametrize(
    'words',
    [
        text(date=b'1700000000 -7200 branch:stable\0close:1'),
        text(date=b'-1 0'),
        text(date=b'1.5 0'),
        text(user=b'al\xefce', files=[b'n\xefce']),
        text(b''),
    ],
)
def test_readable(words: bytes) -> None:
    checker = ChangesetChecker(Base())
    checker.changeset(entry(words), full(words))
    assert len(checker.nodes) == 1


def test_delta_against_unknown() -> None:
    header = entry(text(), base=node(1))
    refused(f'against unknown {node(1).hex()[:12]}', header, full(text()))
    # itself is not known yet
    refused('unknown', header._replace(base=header.node), full(text()))


@pytest.mark.parametrize(
    'delta',
    [
        b'x',
        struct.pack('>lll', 0, 0, 100),
        struct.pack('>lll', 0, 10, 0),
        struct.pack('>lll', 5, 2, 0),
        struct.pack('>lll', -1, 0, 0),
        struct.pack('>lll', 0, 0, -1),
        struct.pack('>lll', 0, 0, 2**31 - 1),
        full(text())[:-1],
        full(text()) + b'x',
    ],
)
def test_broken_delta(delta: bytes) -> None:
    for hashes in (True, False):
        header = entry(text())
        checker = ChangesetChecker(Base(), hashes=hashes)
        with pytest.raises(MalformedChangegroup):
            checker.changeset(header, delta)


def test_delta_that_unfolds_to_too_much() -> None:
    start = text()
    most = start + b'd' * (cgstream.MAX_CHANGESET - len(start))
    base = Base(most)
    more = struct.pack('>lll', len(most), len(most), 1) + b'!'
    for hashes in (True, False):
        header = entry(most + b'!', base=hashed(most))
        checker = ChangesetChecker(base, hashes=hashes)
        refused('absurd size', header, more, checker)
    # one byte less is no more than it may
    replaced = struct.pack('>lll', len(most) - 1, len(most), 1) + b'!'
    checker.changeset(entry(most[:-1] + b'!', base=hashed(most)), replaced)
    assert len(checker.nodes) == 1


def test_changesets_that_unfold_to_too_much() -> None:
    base = Base(text(b'd' * 1000))
    (old,) = base.texts
    checker = ChangesetChecker(base, maxbytes=3 * len(base.texts[old]))
    for number in range(4):
        words = text(b'%d' % number + b'd' * 999)
        header = entry(words, base=old)
        delta = mdiff.textdiff(base.texts[old], words)
        if number < 3:
            checker.changeset(header, delta)
        else:
            refused('unfold to more', header, delta, checker, Refused)


def test_too_many_changesets() -> None:
    checker = ChangesetChecker(Base(), maxchangesets=3)
    for number in range(3):
        words = text(b'%d' % number)
        checker.changeset(entry(words), full(words))
    reason = r'more changesets than the bundle store accepts \(3\)'
    refused(reason, entry(text()), full(text()), checker, Refused)


def test_no_changesets() -> None:
    with pytest.raises(Refused, match='no changesets'):
        ChangesetChecker(Base()).endchangesets()


def test_links_of_revisions() -> None:
    base = Base(text(b'base'))
    (known,) = base.texts
    checker = ChangesetChecker(base)
    own = entry(text())
    checker.changeset(own, full(text()))
    checker.endchangesets()
    for link in (own.node, known, known, own.node):
        checker.revision(Entry(node(1), NULL, NULL, NULL, link, 0))
    # the repository is asked once: there may be thousands of revisions
    assert base.asked == [known]
    for link in (node(9), NULL):
        with pytest.raises(MalformedChangegroup, match='belongs to unknown'):
            checker.revision(Entry(node(1), NULL, NULL, NULL, link, 0))


def test_texts_go_to_disk() -> None:
    """Three of 4 MB: the first is in no one's memory any more when it is the
    base of a delta."""
    checker = ChangesetChecker(Base())
    texts = [text(b'%d' % number * 2**22) for number in range(3)]
    spooled: Any = checker._texts._file
    for number, words in enumerate(texts):
        assert spooled._rolled == (number * 2**22 > 2**23 - 1)
        checker.changeset(entry(words), full(words))
    assert spooled._rolled
    for number, old in enumerate(texts):
        words = old + b' and %d' % number
        delta = struct.pack('>lll', len(old), len(old), 6) + b' and %d' % number
        checker.changeset(entry(words, base=hashed(old)), delta)
    assert len(checker.nodes) == 6
    checker.endchangesets()
    assert spooled.closed


@pytest.mark.parametrize(
    ('description', 'title'),
    [
        (b'', ''),
        (b'one', 'one'),
        (b'one\ntwo', 'one'),
        (b'one\r\ntwo', 'one'),
        (b'\n\n  \n one\n\ntwo', 'one'),
        (b' \n\t\n', ''),
        ('z\u00fcrich'.encode(), 'z\u00fcrich'),
        (b'z\xfcrich', 'z\ufffdrich'),
        (b'x' * 5000, 'x' * 200),
        ('\u00fc'.encode() * 5000, '\u00fc' * 200),
    ],
)
def test_title(description: bytes, title: str) -> None:
    for files in ([], [b'a', b'b']):
        words = text(description, files)
        checker = ChangesetChecker(Base())
        checker.changeset(entry(words), full(words))
        (head,) = checker.heads()
        assert tuple(head) == (hashed(words), title)


def test_limited() -> None:
    pieces = [b'12345', b'', b'67890']

    def size(count: float) -> str:
        return f'{count} bytes'

    for limit in (0, 10, 11):
        assert list(verify.limited(pieces, limit, size)) == pieces
    passed = io.BytesIO()
    with pytest.raises(Refused, match=r'larger .* \(9 bytes\)'):
        passed.writelines(verify.limited(pieces, 9, size))
    assert passed.getvalue() == b'12345'
