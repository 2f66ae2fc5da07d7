"""Changegroups as plain values: made up, encoded, and read by Mercurial."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Iterator, Sequence
from typing import Callable, NamedTuple, Optional

from hypothesis import HealthCheck, settings, strategies as st
from mercurial import changegroup
from mercurial.interfaces import repository

from hgext3rd.bundlestore.bundle import changegroup as cgstream
from hgext3rd.bundlestore.bundle.changegroup import Entry, Visitor

from .nightly import upto

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
QUICK = settings(
    max_examples=upto(20, 60), suppress_health_check=list(HealthCheck)
)


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
