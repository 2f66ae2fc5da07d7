"""What is fuzzed. Each target takes any bytes and returns, or raises what a
user sees as one ``abort:`` line (``world.isrefusal``); anything else, such as
an ``AssertionError``, is a fault."""

from __future__ import annotations

import hashlib
import io
import os
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Optional

from mercurial import error, exchange, wireprototypes

from harness.changegroups import Reader, Stream, mercurials, sayable
from hgext3rd.bundlestore import model
from hgext3rd.bundlestore.bundle import (
    changegroup as cgstream,
    overlay,
    reading,
    unbundle,
)
from hgext3rd.bundlestore.fetch import pushlist, sources
from hgext3rd.bundlestore.push import check, known, limits, parts, route
from hgext3rd.bundlestore.push.below import Foundation
from hgext3rd.bundlestore.testing.reference import ReferenceIndex

from . import pages
from .world import TITLE, isrefusal, world

Target = Callable[[bytes], None]

# its commands take what Mercurial gives them
_knownroom: Any = known
_pushesroom: Any = pushlist

#: what a push may take in the tests: far more than any input of the corpus
_LIMIT = 4 * 1024 * 1024


# -- a push as it comes in


def push(data: bytes) -> None:
    """The first byte says: 1, whether it is routed as one of a vanilla
    client; 2, that nothing is hashed; 4, that the result is opened."""
    made = world()
    flags, stream = data[:1] or b'\0', io.BytesIO(data[1:])
    cg = unbundle.tame(exchange.readbundle(made.ui, stream, None))
    with route.decide(
        made.base, made.server, cg, bool(flags[0] & 1)
    ) as decision:
        cg = decision.cg
        if not decision.scratch:
            return
        result = _received(cg, not flags[0] & 2)
    if result is not None:
        _readback(result, bool(flags[0] & 4))


def _received(cg: Any, hashes: bool) -> Optional[bytes]:
    """Return the bundle to store, None if there is none."""
    made = world()
    below = Foundation(made.base, made.server)
    checker = check.ChangesetChecker(below, 50, _LIMIT, hashes)
    limit = limits.Limits(made.server, 'alice')
    coming = parts.Incoming(made.base, made.server, cg, checker, limit)
    try:
        result = b''.join(coming.chunks())
        assert len(result) <= _LIMIT
        if not coming.haschangegroup:
            return None
        nodes = checker.nodes
        assert nodes
        assert len(set(nodes)) == len(nodes) <= 50
        heads = checker.heads()
        assert {head.node for head in heads} <= set(nodes)
        assert all(len(head.title) <= TITLE for head in heads)
        assert len(checker.text()) <= model.TEXT_LENGTH
        for text in (checker.text(), *(head.title for head in heads)):
            text.encode('utf-8')
        rests = below.rests()
        below.below(rests, [p for two in checker.parents.values() for p in two])
        for name, node in coming.bookmarks:
            assert isinstance(name, bytes)
            assert node is None or len(node) == 20
    finally:
        below.close()
        checker.close()
    stored = reading.readgraph(made.ui, io.BytesIO(result))
    assert tuple(stored) == nodes
    return result


def _readback(result: bytes, deep: bool) -> None:
    """Read a stored bundle in all ways that there are."""
    made = world()
    path = _file(result)
    with reading.File(made.ui, path) as file:
        layout = file.layout()
        file.payload.seek(0)
        plain = file.payload.read(1 << 30)
    # Mercurial reads the same, and so do those who send it
    whole = mercurials(plain, layout.version)
    again = b''.join(cgstream.concatenate([(io.BytesIO(plain), layout)]))
    joined = mercurials(again, layout.version)
    assert joined.changesets == whole.changesets
    assert joined.manifests == whole.manifests
    assert sorted(n for n, g in joined.files) == sorted(
        {n for n, g in whole.files}
    )
    sent = sources.Whole(made.ui, _Memory(result), _key(result))
    try:
        assert b''.join(sent.chunks(layout.version)) == plain
    finally:
        sent.close()
    if not deep:
        return
    view = overlay.openfile(made.base, path)
    try:
        for rev in sorted(view.scratchrevs):
            ctx = view.unfiltered()[rev]
            assert ctx.user() is not None
            # both are shown on every page
            ctx.date()
            ctx.branch()
            try:
                sorted(ctx.manifest())
            except Exception as exc:
                # nobody has looked at that; fullcheck.py says so too
                if not isinstance(exc, AssertionError):
                    continue
                raise
    finally:
        view.close()


class _Memory:
    """A store of one bundle."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self, key: str) -> Any:
        reader: Any = _Bytes(self._data)
        reader.size = len(self._data)
        return reader


class _Bytes(io.BytesIO):
    size = 0


def _key(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _file(data: bytes) -> bytes:
    path = os.fsencode(world().folder / 'bundle.hg')
    with open(path, 'wb') as fh:
        fh.write(data)
    return path


# -- changegroups


_VERSIONS = (b'01', b'02', b'03')


def changegroup(data: bytes) -> None:
    """The first byte says: 3, the version; 4, to which one it is transcoded;
    8, that it comes in pieces; 64, that nothing is hashed; 128, that nothing
    is checked at all."""
    made = world()
    flags = data[0] if data else 0
    source = _VERSIONS[(flags & 3) % 3]
    target = b'03' if flags & 4 else b'02'
    read = Reader(data[1:], (1, 3, 7, 1000) if flags & 8 else (2**31,))
    below = Foundation(made.base, made.server)
    checker: Any = check.ChangesetChecker(below, 50, _LIMIT, not flags & 64)
    visitor = cgstream.Visitor() if flags & 128 else checker
    try:
        result = b''.join(cgstream.transcode(read, source, target, visitor))
    finally:
        checker.close()
        below.close()
    rest = read.rest()
    sent = data[1 : len(data) - len(rest)]
    before = _mercurials(sent, source)
    after = mercurials(result, target)
    assert after == sayable(before, target)
    layout = cgstream.layout(io.BytesIO(result), target)
    assert len(layout.files) == len(after.files)
    twice: Any = [(io.BytesIO(result), layout)] * 2
    joined = mercurials(b''.join(cgstream.concatenate(twice)), target)
    assert joined.changesets == after.changesets * 2
    assert joined.manifests == after.manifests * 2
    assert sum(len(g) for _n, g in joined.files) == 2 * sum(
        len(g) for _n, g in after.files
    )


def _mercurials(data: bytes, version: bytes) -> Stream:
    if version == b'01':
        # Mercurial takes the first parent of the first one for its base
        return mercurials(data, version)
    return mercurials(data, version)


# -- arguments of wire commands


def arguments(data: bytes) -> None:
    """A command and its arguments, each behind a zero byte."""
    command, *words = data.split(b'\0')
    args = dict(zip(words[::2], words[1::2]))
    handler = _COMMANDS.get(command)
    if handler is not None:
        handler(args)


def _pushes(args: dict[bytes, bytes]) -> None:
    _pushesroom.serve(world().base, None, args)


def _known(args: dict[bytes, bytes]) -> None:
    _knownroom.serve(world().base, None, args)


def _lookup(args: dict[bytes, bytes]) -> None:
    node = world().base.lookup(args.get(b'key', b''))
    assert len(node) == 20


def _listkeys(args: dict[bytes, bytes]) -> None:
    found = world().base.listkeys(args.get(b'namespace', b''))
    for key, value in found.items():
        assert isinstance(key, bytes)
        assert isinstance(value, bytes)


def _pushkey(args: dict[bytes, bytes]) -> None:
    made = world()
    key = args.get(b'key', b'')
    namespace = args.get(b'namespace', b'')
    if namespace != b'bookmarks' or not made.server.isscratchbookmark(key):
        return  # Mercurial's own affair
    if made.base.pushkey(
        namespace, key, args.get(b'old', b''), args.get(b'new', b'')
    ):
        name = key.decode('utf-8')
        made.server.index.movebookmarks(
            [model.BookmarkMove(name, None, force=True)]
        )


def _getbundle(args: dict[bytes, bytes]) -> None:
    made = world()
    try:
        heads, common = (
            wireprototypes.decodelist(args.get(name, b''))
            for name in (b'heads', b'common')
        )
    except ValueError:
        return  # Mercurial's own affair
    if any(len(node) != 20 for node in (*heads, *common)):
        return  # likewise
    caps = set(args.get(b'bundlecaps', b'').split(b','))
    _info, chunks = exchange.getbundlechunks(
        made.base, b'serve', heads=heads, common=common, bundlecaps=caps
    )
    for _chunk in chunks:
        pass


_COMMANDS: dict[bytes, Callable[[dict[bytes, bytes]], None]] = {
    b'pushes': _pushes,
    b'known': _known,
    b'lookup': _lookup,
    b'listkeys': _listkeys,
    b'pushkey': _pushkey,
    b'getbundle': _getbundle,
}


# -- stored bundles


def storedbundle(data: bytes) -> None:
    """What is read of a bundle before all of it was hashed."""
    reading.readgraph(world().ui, io.BytesIO(data))


# -- words, patterns and prefixes


_WORDS = ('fix', 'fixes', 'bug', 'Z\xfcrich', 'ZURICH', 'na\u00efve', '\ufb01x')
_PREFIX = re.compile('[0-9a-f]{1,40}')
_indexes: list[Any] = []


def _records() -> Iterator[model.NewPush]:
    for number in range(40):
        node = hashlib.sha1(b'%d' % number).digest()
        words = [_WORDS[(number * n) % len(_WORDS)] for n in (1, 2, 3)]
        yield model.NewPush(
            time=float(number),
            user=('alice', 'bob', 'J\xf6rg', '')[number % 4],
            key=hashlib.sha256(b'%d' % number).hexdigest(),
            size=100,
            nodes=(node,),
            heads=(model.Head(node, words[0]),),
            moves=(model.BookmarkMove(f'scratch/{words[0]}{number}', node),),
            text=' '.join(words),
        )


def _bothindexes() -> list[Any]:
    if not _indexes:
        from hgext3rd.bundlestore.indexes.sqlite.file import open_index

        place = model.Place(os.fsencode(world().folder / 'searched'))
        _indexes.extend([open_index('file', place), ReferenceIndex()])
        for record in _records():
            for index in _indexes:
                index.record(record)
    return _indexes


def search(data: bytes) -> None:
    """What to look for (``t``ext, ``b``ookmarks, ``n``odes, ``u``ser), a zero
    byte, and the words; the same as an index finds that is too simple to be
    wrong."""
    kind, _zero, raw = data.partition(b'\0')
    word = raw.decode('utf-8', 'replace')
    limit = 1 + zlib.crc32(raw) % 30
    answers = []
    for index in _bothindexes():
        try:
            if kind == b't':
                found = index.pushes(text=word, limit=limit)
            elif kind == b'u':
                found = index.pushes(user=word, text='fix', limit=limit)
            elif kind == b'b':
                found = index.bookmarks(word, limit=limit)
            elif kind == b'B':
                found = index.bookmark(word)
            elif kind == b'n':
                found = index.nodes(word, limit=limit)
            else:
                return
        except ValueError:
            assert kind == b'n'
            assert not _PREFIX.fullmatch(word)
            return
        answers.append(found)
    assert answers[0] == answers[1], (kind, word)


# -- what a browser asks for


def web(data: bytes) -> None:
    """``METHOD TARGET``, and a line for each header. The answer is well formed
    whatever was asked for, and no error of the server."""
    pages.check(data)


TARGETS: dict[str, Target] = {
    'push': push,
    'changegroup': changegroup,
    'arguments': arguments,
    'stored': storedbundle,
    'search': search,
    'web': web,
}


def run(name: str, data: bytes) -> Optional[BaseException]:
    """Give ``data`` to a target and return the refusal, if it was refused;
    raises whatever else comes."""
    try:
        TARGETS[name](data)
    except (error.Abort, Exception) as exc:
        if not isrefusal(exc):
            raise
        return exc
    finally:
        world().ui.popbuffer()
        world().ui.pushbuffer(error=True, subproc=True)
    return None
