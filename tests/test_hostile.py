"""Pushes by somebody who means harm: refused with one line, or harmless.

Each goes to a real server, over ssh byte for byte. test_badinput.py has those
that are merely damaged, test_check.py what the checks of changesets say.
"""

from __future__ import annotations

import bz2
import contextlib
import http.client
import json
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from harness import forgery, matrix, rawpush, servers, web, wire
from harness.changegroups import (
    NULL,
    Revision,
    Stream,
    encode,
    node as othernode,
)
from harness.hg import Repo
from harness.history import History
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import bundles, leftovers, tryurl
from harness.wire import Part

#: bytes of memory that a server may take, whatever is pushed. It begins with
#: a third of that; what is read as a whole would take gigabytes.
MEMORY = 150 * 1024 * 1024

#: notes how much memory each process has taken
METER = """\
import atexit

def note():
    with open('/proc/self/status') as status, open({path!r}, 'a') as notes:
        notes.writelines(l for l in status if l.startswith('VmHWM:'))

def extsetup(ui):
    atexit.register(note)
"""

EMPTY = b'\0\0\0\0'
GB2 = struct.pack('>i', 0x7FFFFFFF)


@pytest.fixture
def meter(transport: Transport) -> Callable[[], int]:
    """Returns the most memory that a process of the server took, in bytes."""
    notes = transport.root / 'memory'
    script = transport.root / 'meter.py'
    script.write_text(METER.format(path=str(notes)))
    with open(transport.rc, 'a') as rc:
        rc.write(f'[extensions]\nmeter = {script}\n')

    def most() -> int:
        lines = notes.read_text().splitlines()
        return max(int(line.split()[1]) for line in lines) * 1024

    return most


@pytest.fixture
def pushed(client: Repo) -> str:
    """A changeset that an honest user has to push."""
    return client.commit({'honest': 'yes\n'}, 'honest')


@pytest.fixture
def honest(client: Repo, pushed: str, hashes: History) -> bytes:
    return rawpush.make(client, [pushed], [hashes.tagged])


#: sends pushes that must be refused and returns the messages
Refused = Callable[[Sequence[bytes]], list[str]]


@pytest.fixture
def refused(
    transport: Transport,
    base: Repo,
    client: Repo,
    tempfolder: Path,
    honest: bytes,
    meter: Callable[[], int],
) -> Refused:
    """Nothing is stored, nothing left, no memory taken; the honest push that
    follows is stored."""

    def send(pushes: Sequence[bytes]) -> list[str]:
        url = transport.url(base)
        before = bundles(base)
        with untouched(base.path):
            # the connection is good for the next one
            answers = rawpush.send(client, url, pushes, together=True)
            assert bundles(base) == before
            assert not leftovers(base, tempfolder)
            for number, answer in enumerate(answers):
                assert answer, f'push {number} was taken'
                assert answer['message']
                assert '\n' not in answer['message']
                assert answer['hint']
            assert meter() < MEMORY
            assert rawpush.send(client, url, [honest]) == [{}]
        return [answer['message'] for answer in answers]

    return send


# -- the stream and its parts


def zeros(kind: bytes) -> Iterator[bytes]:
    """Yield some 200 MB of zeros behind the header of a part, compressed."""
    start = forgery.rawpart(b'\4junk\0\0\0\1\0\0', GB2)
    if kind == b'GZ':
        packer = zlib.compressobj(6)
        yield packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
        block = packer.compress(bytes(1 << 20))
        yield (block + packer.flush(zlib.Z_FULL_FLUSH)) * 200
    elif kind == b'BZ':
        bzip = bz2.BZ2Compressor(9)
        yield bzip.compress(start)
        for _ in range(20):
            yield bzip.compress(bytes(10 << 20))
        yield bzip.flush()
    else:
        # a frame with a window of 8 MB; each block repeats a byte
        yield b'\x28\xb5\x2f\xfd\0' + bytes([13 << 3])
        yield (len(start) << 3).to_bytes(3, 'little') + start
        yield (((128 << 10) << 3 | 2).to_bytes(3, 'little') + b'\0') * 2400


@pytest.mark.slow('a server for each of many bombs')
@pytest.mark.parametrize('storeconfig', [{'max-bundle-size': '1 MB'}])
@matrix.over('ssh')
def test_compression_bombs(refused: Refused) -> None:
    """The limit holds for what they unpack to, as it is unpacked."""
    pushes = [
        forgery.raw([*zeros(kind)], b'BUNDLESTORE=1 Compression=' + kind)
        for kind in (b'GZ', b'BZ', b'ZS')
    ]
    assert max(map(len, pushes)) < 1 << 20
    for message in refused(pushes):
        assert 'exceeds the limit of 1.00 MB' in message


def huge(size: int) -> Stream:
    """Return a changeset with a manifest that is as long as that."""
    top = forgery.changeset([], othernode(1))
    link = top.entry.node
    return Stream((top,), (forgery.revision(bytes(size), link),))


@pytest.mark.slow('a server for each of many bombs')
@pytest.mark.parametrize(
    'storeconfig', [{'max-bundle-size': '1 MB', 'route': 'all'}]
)
@matrix.over('ssh')
def test_compressed_bundle1(
    transport: Transport,
    base: Repo,
    client: Repo,
    tempfolder: Path,
    meter: Callable[[], int],
) -> None:
    """An old client may pack what it pushes."""
    good = encode(forgery.commit({b'a': b'a\n'}), b'01')
    bomb = encode(huge(60 << 20), b'01')
    wirepush = wire.Wire(transport, base, 'alice')
    # Mercurial leaves the first two letters of a bzip2 stream away
    for packed, data in [
        (b'GZ' + zlib.compress(bomb, 1), None),
        (bz2.compress(bomb, 1), None),
        (b'GZ' + zlib.compress(good), good),
        (bz2.compress(good), good),
        (b'GZ' + zlib.compress(good)[:-20], None),
        (b'GZ' + b'no such thing', None),
        (None, None),
    ]:
        count = len(bundles(base))
        said = wirepush.unbundle(b'HG10' + packed if packed else b'HGS1' * 9)
        assert not leftovers(base, tempfolder)
        if data is None:
            assert said.count('abort: ') == 1, said
            assert len(bundles(base)) == count
        else:
            assert 'stored 1 changeset' in said
    assert len(bundles(base)) == 1
    assert meter() < MEMORY


def interrupted(payload: bytes) -> bytes:
    """Return a push whose first part is interrupted by ``payload``."""
    return forgery.raw(
        [forgery.rawpart(b'\4junk\0\0\0\1\0\0', b'\xff' * 4 + payload)]
    )


def junk(count: int, data: bytes = b'', kind: bytes = b'junk') -> bytes:
    header = bytes([len(kind)]) + kind + b'\0\0\0\1\0\0'
    payload = struct.pack('>i', len(data)) + data + EMPTY if data else EMPTY
    return forgery.rawpart(header, payload) * count


#: what is wrong, by the message that tells it
STREAMS: dict[str, Sequence[Callable[[], bytes]]] = {
    'a header of 2147483647 bytes': [
        lambda: b'HG20' + GB2 + b'A' * 100_000,
        lambda: forgery.raw([GB2, b'A' * 100_000]),
        lambda: interrupted(GB2),
    ],
    'header': [
        # with more parameters than there are
        lambda: forgery.raw([forgery.rawpart(b'\4junk\0\0\0\1\xff\xff')]),
        lambda: forgery.raw([forgery.rawpart(b'\xff')]),
        lambda: forgery.raw([b'\x80\0\0\0']),
    ],
    'more than 20000 parts': [
        lambda: forgery.raw([junk(300_000), EMPTY]),
    ],
    'headers of more than': [
        lambda: forgery.raw(
            [
                forgery.rawpart(
                    b'\4junk\0\0\0\1\0\xff'
                    + b'\xff\xff' * 255
                    + b'x' * 510 * 255
                )
                * 200
            ]
        ),
    ],
    'interrupted': [
        lambda: interrupted(EMPTY),
        # one that is interrupted in turn, and so on
        lambda: interrupted(
            (forgery.rawpart(b'\6OUTPUT\0\0\0\1\0\0', b'\xff' * 4)) * 50_000
        ),
        lambda: interrupted(junk(1, b'x', b'output')),
    ],
    'too early': [
        lambda: forgery.raw([forgery.rawpart(b'\4junk\0\0\0\1\0\0', GB2)]),
    ],
    'chunk of': [
        lambda: forgery.raw(
            [forgery.rawpart(b'\4junk\0\0\0\1\0\0', b'\x80\0\0\0')]
        ),
    ],
    'parameters cannot be read': [
        lambda: forgery.raw([EMPTY], b'BUNDLESTORE=1 %'),
        lambda: forgery.raw([EMPTY], b'BUNDLESTORE=1 Compression'),
    ],
    'too much in its part': [
        lambda: forgery.push(Part('replycaps', b'x\n' * 100_000)),
        lambda: forgery.push(Part('bookmarks', bytes(22) * 100_000)),
        lambda: forgery.push(Part('check:bookmarks', bytes(22) * 100_000)),
    ],
    'more than 10000 bookmarks': [
        lambda: forgery.push(
            Part('bookmarks', (bytes(20) + b'\0\1s') * 10_001)
        ),
    ],
    'not a hash': [
        lambda: forgery.push(
            wire.pushkey('bookmarks', 'scratch/x', '', 'abcd')
        ),
    ],
    'obsolescence markers': [
        lambda: forgery.push(Part('obsmarkers', b'\1' + bytes(10 << 20))),
        lambda: forgery.push(Part('obsmarkers', b'\1' + b'\xff' * 1000)),
    ],
    'invalid pushvar': [
        lambda: forgery.push(Part('pushvars', b'', [('A\0B', 'x')])),
        lambda: forgery.push(Part('pushvars', b'', [('A', 'x\0')])),
        lambda: forgery.push(Part('pushvars', b'', [('A=B', 'x')])),
    ],
    'more than one changegroup': [
        lambda: forgery.push(
            *[forgery.changegroup(forgery.commit({b'a': b'a\n'}))] * 2
        ),
    ],
}


@pytest.mark.slow('a server for each of many streams')
@matrix.over('ssh')
def test_streams(refused: Refused, base: Repo) -> None:
    base.configure('push', {'pushvars.server': 'yes'})
    pairs = [(text, make) for text, many in STREAMS.items() for make in many]
    said = refused([make() for _text, make in pairs])
    for (text, _make), message in zip(pairs, said):
        assert text in message


@matrix.over('ssh')
def test_more_than_anybody_asked_for(
    transport: Transport,
    base: Repo,
    client: Repo,
    honest: bytes,
    pushed: str,
    meter: Callable[[], int],
) -> None:
    """What is beyond the end, and parts of no meaning, change nothing."""
    tiny = b''.join(struct.pack('>i', 1) + b'x' for _ in range(300_000))
    parts = forgery.rawpart(b'\4junk\0\0\0\1\0\0', tiny + EMPTY)
    parts += junk(100, b'x' * 10_000) + junk(10_000)
    assert honest[4:8] == struct.pack('>i', len(b'BUNDLESTORE=1'))
    more = honest[:21] + parts + honest[21:]
    url = transport.url(base)
    answers = rawpush.send(client, url, [honest, honest + more, more])
    assert answers == [{}, {}, {}]
    assert len(bundles(base)) == 1
    assert meter() < MEMORY


# -- changegroups


def lines(count: int) -> bytes:
    return b''.join(b'%d\n' % number for number in range(count))


GOOD = forgery.commit({b'a': b'a\n', b'b': lines(1000)})
LINK = GOOD.changesets[0].entry.node


def withfile(*revisions: Revision, name: bytes = b'a') -> Stream:
    """Return ``GOOD`` with other revisions of its first file."""
    (_old, *others) = GOOD.files
    return GOOD._replace(files=((name, revisions), *others))


def stack(texts: Sequence[bytes]) -> tuple[list[bytes], Stream]:
    """Return links and stream of changesets that each change one file."""
    changesets, manifests, nodes = [], [], []
    parent = manifest = old = NULL
    for text in texts:
        node = forgery.hashed(text, old)
        row = b'a\0%s\n' % node.hex().encode()
        top = forgery.changeset([b'a'], forgery.hashed(row, manifest), parent)
        parent = top.entry.node
        manifests.append(forgery.revision(row, parent, manifest))
        manifest, old = manifests[-1].entry.node, node
        changesets.append(top)
        nodes.append(parent)
    return nodes, Stream(tuple(changesets), tuple(manifests))


def deltabomb() -> Stream:
    """Return a file of 300 kB in 200 revisions of which each changes a byte:
    they are 60 MB, of which 310 kB are sent."""
    start = lines(50_000)
    texts = [b'%c' % (65 + n % 26) + start for n in range(200)]
    links, stream = stack(texts)
    old = forgery.revision(texts[0], links[0])
    group = [old]
    for link, text in zip(links[1:], texts[1:]):
        delta = forgery.replaced(0, 1, text[:1])
        base = group[-1].entry.node
        group.append(forgery.revision(text, link, base, delta, base))
    return stream._replace(files=((b'a', tuple(group)),))


(FIRST,) = dict(GOOD.files)[b'a']
CHILD = forgery.revision(b'b\n', LINK, FIRST.entry.node)
OWN = othernode(7)

#: refused in every mode
ALWAYS: dict[str, Sequence[Stream]] = {
    'its own parent or base': [
        withfile(forgery.revision(b'a\n', LINK, OWN, node=OWN)),
        withfile(forgery.revision(b'a\n', LINK, base=OWN, node=OWN)),
    ],
    'more revisions than changesets': [
        withfile(FIRST, CHILD),
        GOOD._replace(manifests=GOOD.manifests * 2),
    ],
    'a file without a revision': [
        withfile(),
        GOOD._replace(files=((b'x', ()),) * 100_000),
    ],
    'belongs to unknown': [
        withfile(forgery.revision(b'a\n', othernode(3))),
    ],
    'cannot be the name of a file': [
        withfile(FIRST, name=name)
        for name in (
            *(b'../a', b'x/../../a', b'..', b'/etc/passwd', b'x//a', b'./a'),
            *(b'.hg/hgrc', b'.HG/hgrc', b'x/.hg/hgrc', b'HG~1/hgrc'),
            *('.h\u200cg/hgrc'.encode(), b'a\nb', b'a\rb', b'a\0b'),
        )
    ],
    'comes twice': [GOOD._replace(changesets=GOOD.changesets * 2)],
    'unknown parent': [
        Stream((forgery.changeset([b'a'], NULL, OWN),)),
        # the child first
        stack([b'1', b'2'])[1]._replace(
            changesets=stack([b'1', b'2'])[1].changesets[::-1]
        ),
    ],
    'cannot be read': [forgery.commit({b'a': b'a\n'}, date=b'9' * 400 + b' 0')],
}

TWO, TWOSTREAM = stack([b'a\n', b'b\n'])
#: refused where everything is rebuilt
FULL: dict[str, Sequence[Stream]] = {
    'does not match its hash': [
        withfile(forgery.revision(b'b\n', LINK, node=FIRST.entry.node)),
        GOOD._replace(
            manifests=(
                forgery.revision(b'', LINK, node=GOOD.manifests[0].entry.node),
            )
        ),
    ],
    'comes twice': [GOOD._replace(files=GOOD.files * 2)],
    'unknown parent': [
        # the child first
        TWOSTREAM._replace(
            files=(
                (
                    b'a',
                    (
                        forgery.revision(b'b\n', TWO[1], FIRST.entry.node),
                        forgery.revision(b'a\n', TWO[0]),
                    ),
                ),
            )
        ),
    ],
    ': no node': [
        withfile(forgery.revision(b'a\n', LINK, base=othernode(9))),
    ],
    'does not belong to changeset': [
        withfile(FIRST)._replace(
            files=(*GOOD.files, (b'other', (FIRST,))),
        ),
        TWOSTREAM._replace(
            manifests=tuple(
                r._replace(entry=r.entry._replace(link=TWO[0]))
                for r in TWOSTREAM.manifests
            ),
            files=(
                (
                    b'a',
                    (
                        forgery.revision(b'a\n', TWO[0]),
                        forgery.revision(b'b\n', TWO[1], FIRST.entry.node),
                    ),
                ),
            ),
        ),
    ],
    'lacks the content': [GOOD._replace(files=GOOD.files[:1])],
    'unfolds to more': [deltabomb()],
    'is a file and a folder': [forgery.commit({b'd': b'x', b'd/a': b'y'})],
}


@pytest.mark.slow('a server for each of many changegroups')
@pytest.mark.parametrize('storeconfig', [{'verify': 'none'}])
@matrix.over('ssh')
def test_changegroups(refused: Refused) -> None:
    pairs = [(m, s) for m, streams in ALWAYS.items() for s in streams]
    said = refused([forgery.pushof(stream) for _m, stream in pairs])
    for (message, _stream), text in zip(pairs, said):
        assert message in text


@pytest.mark.slow('a server for each of many changegroups')
@pytest.mark.parametrize(
    'storeconfig', [{'verify': 'full', 'max-bundle-size': '1 MB'}]
)
@matrix.over('ssh')
def test_changegroups_in_full(
    refused: Refused, client: Repo, hashes: History
) -> None:
    pairs = [(m, s) for m, streams in FULL.items() for s in streams]
    # An overlay has the base's revision in its place, who pulls may not.
    row = client.inspect('manifest', '--debug', '-r', hashes.tagged).split()
    known, name = bytes.fromhex(row[0]), row[2].encode()
    text = b'%s\0%s\n' % (name, known.hex().encode())
    top = forgery.changeset([name], forgery.hashed(text))
    link = top.entry.node
    lie = forgery.revision(b'lie\n', link, node=known)
    stream = Stream(
        (top,), (forgery.revision(text, link),), (), ((name, (lie,)),)
    )
    pairs.append(('does not match its hash', stream))
    said = refused([forgery.pushof(stream) for _m, stream in pairs])
    for (message, _stream), answer in zip(pairs, said):
        assert message in answer


@pytest.mark.parametrize('storeconfig', [{'verify': 'full'}])
@matrix.over('ssh')
def test_forgeries_are_sound(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    """The measure itself: what is not spoilt is taken and read."""
    url = transport.url(base)
    assert rawpush.send(client, url, [forgery.pushof(GOOD)]) == [{}]
    vanilla.run('pull', '-f', '-r', forgery.node(GOOD))
    vanilla.verify()
    assert vanilla.cat('a', forgery.node(GOOD)) == 'a\n'


# -- what is stored stays what it is


def lying(stream: Stream) -> Stream:
    """Return the same changesets with other contents: hashes that lie."""
    return stream._replace(
        files=tuple(
            (
                name,
                tuple(r._replace(delta=forgery.full(b'lie\n')) for r in group),
            )
            for name, group in stream.files
        )
    )


@pytest.mark.slow('a server for each of many changegroups')
@pytest.mark.parametrize(
    'storeconfig', [{'verify': mode} for mode in ('none', 'changesets')]
)
@matrix.over('ssh')
def test_stored_changesets_are_not_replaced(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    """The first of two was never a head, so a push that has it as one would
    be served in its place. Only one that is true to the last byte may."""
    links, stream = stack([b'a\n', b'b\n'])
    old = forgery.revision(b'a\n', links[0])
    files = ((b'a', (old, forgery.revision(b'b\n', links[1], old.entry.node))),)
    both = stream._replace(files=files)
    lower = Stream(
        both.changesets[:1], both.manifests[:1], (), ((b'a', (old,)),)
    )
    url = transport.url(base)
    assert rawpush.send(client, url, [forgery.pushof(both)]) == [{}]
    (answer,) = rawpush.send(client, url, [forgery.pushof(lying(lower))])
    assert 'does not match its hash' in answer['message']
    assert len(bundles(base)) == 1
    # as a head that is one already, it is stored and never asked for
    rawpush.send(client, url, [forgery.pushof(lying(both))])
    vanilla.run('pull', '-f', '-r', links[1].hex())
    vanilla.verify()
    assert rawpush.send(client, url, [forgery.pushof(lower)]) == [{}]
    other = vanilla.hg.init(vanilla.path.parent / 'other')
    other.run(
        *('pull', '-r', links[0].hex(), url), config=transport.commandline()
    )
    other.verify()
    assert other.cat('a', links[0].hex()) == 'a\n'


@pytest.mark.slow('many pushes of changesets whose hashes begin alike')
@matrix.over('ssh')
def test_prefixes_that_collide(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    """Two changesets of which the first digits are equal, found by trying."""
    seen: dict[str, Stream] = {}
    for number in range(100_000):
        stream = forgery.commit({}, description=b'%d' % number)
        start = forgery.node(stream)[:7]
        if start in seen:
            break
        seen[start] = stream
    pair = [seen[start], stream]
    url = transport.url(base)
    assert rawpush.send(client, url, list(map(forgery.pushof, pair))) == [
        {},
        {},
    ]
    result = vanilla.run('pull', '-f', '-r', start, ok=(255,))
    assert f"ambiguous prefix '{start}'" in result.err
    result = client.run('log', '-r', start, ok=(10, 255))
    assert 'ambiguous' in result.err
    for one in pair:
        node = forgery.node(one)
        vanilla.run('pull', '-f', '-r', node[:12])
        assert vanilla.knows(node)


# -- names


NAMES = [
    *('tip', 'null', '.', '12', '-1', 'a:b', 'a::b', ' x', 'x ', 'a\tb'),
    *('a\nb', 'a\0b', '', 'f' * 40, '0123456789ab' * 3 + 'cdef'),
]


@pytest.mark.slow('a push for each of many names')
@pytest.mark.parametrize(
    'storeconfig', [{'bookmark-pattern': 're:.*', 'list-bookmarks': 'yes'}]
)
@matrix.over('ssh')
def test_names_of_bookmarks(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    refused: Refused,
    hashes: History,
) -> None:
    """Nothing that could stand for a changeset, even if the pattern would
    take it."""
    group = forgery.changegroup(GOOD)
    node = forgery.node(GOOD)
    refused([forgery.push(group, wire.bookmarks(name, node)) for name in NAMES])
    said = wire.Wire(transport, base, 'alice')
    for name in ('tip', '12', 'a:b', 'f' * 40):
        said.pushkey('bookmarks', name, '', hashes.tagged)
    (marks,) = [said.call('listkeys', [('namespace', 'bookmarks')])]
    assert hashes.tagged not in marks
    # hashes in part: bookmarks may be called so, but the changeset wins
    prefix = hashes.start[:12]
    push = forgery.push(group, wire.bookmarks(prefix, node))
    assert rawpush.send(client, transport.url(base), [push]) == [{}]
    found = vanilla.run('identify', '--id', '-r', prefix, transport.url(base))
    assert found.out.strip() == prefix


BAD = [
    b'\xff\xfe\x80',
    b'\x1b[31mred\x1b[0m\x07',
    'a\u202eb\u0000c\ud7ff'.replace('\0', '').encode(),
    b'</script><script>alert(1)</script>&"\'',
    b'%s %n {node} $HOME `id` ; rm',
]


@pytest.mark.slow('every page of text of any bytes')
@pytest.mark.parametrize('webconfig', [{'allow-archive': 'gz zip bz2'}])
@servers.overweb('wsgi')
def test_text_of_any_bytes(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    """In descriptions and names of users: everything that lists pushes goes
    on, with them."""
    url = transport.url(base)
    nodes, pushed = [], []
    for number, text in enumerate(BAD):
        stream = forgery.commit(
            {b'\xff%d' % number: text},
            description=text + b'\n\n' + text,
            user=text,
        )
        nodes.append(forgery.node(stream))
        pushed.append(forgery.pushof(stream))
    answers = rawpush.send(client, url, pushed, together=True)
    assert answers == [{}] * len(BAD)
    pushes = json.loads(client.run('pushes', '-T', 'json').out)
    assert len(pushes) == len(BAD)
    client.run('pushes')
    client.run('pushes', '-v')
    page = web.get(f'{url}/json-pushes?version=2&full=1')
    assert len(page.json()['pushes']) == len(BAD)
    shown = ['pushes', 'atom-pushes', 'json-pushes']
    for node in nodes:
        shown += [f'{kind}/{node}' for kind in ('rev', 'raw-rev', 'json-rev')]
        shown += [f'file/{node}', f'archive/{node}.tar.gz', f'log/{node}']
    for address in shown:
        answer = web.get(f'{url}/{address}')
        assert answer.status == 200, address
        if answer.type in ('text/html', 'application/xhtml+xml'):
            assert b'<script>alert' not in answer.body
    for node in nodes:
        vanilla.run('pull', '-f', '-r', node)
    vanilla.verify()
    vanilla.run('log', '-v')


@pytest.mark.slow('a WSGI server of its own')
@pytest.mark.parametrize('webconfig', [{'allow-archive': 'gz zip bz2'}])
@servers.overweb('wsgi')
def test_manifests_that_lead_outside(
    transport: Transport, base: Repo, client: Repo
) -> None:
    """A manifest is mostly looked at when it is shown only. Then nothing is
    found under a name that no push can have."""
    (good,) = dict(GOOD.files)[b'a']
    names = [b'../outside', b'.hg/hgrc', b'/etc/passwd', b'a']
    text = b''.join(
        b'%s\0%s\n' % (n, good.entry.node.hex().encode()) for n in sorted(names)
    )

    def made(listed: list[bytes]) -> Stream:
        top = forgery.changeset(listed, forgery.hashed(text))
        link = top.entry.node
        return Stream(
            (top,),
            (forgery.revision(text, link),),
            (),
            ((b'a', (forgery.revision(b'a\n', link),)),),
        )

    url = transport.url(base)
    # unless the changeset says that it changes such a file
    (refused,) = rawpush.send(client, url, [forgery.pushof(made(names))])
    assert 'cannot be the name of a file' in refused['message']
    stream = made([b'a'])
    assert rawpush.send(client, url, [forgery.pushof(stream)]) == [{}]
    node = forgery.node(stream)
    assert web.get(f'{url}/raw-file/{node}/a').body == b'a\n'
    for name in ('../outside', '%2e%2e/outside', '.hg/hgrc', '/etc/passwd'):
        for kind in ('raw-file', 'file', 'annotate', 'raw-annotate'):
            answer = web.get(f'{url}/{kind}/{node}/{name}')
            assert answer.status != 200 or b'root:' not in answer.body
            assert answer.status < 500, (kind, name)
    # hgweb has begun to answer when it comes across what is not there
    assert isinstance(transport, servers.WebTransport)
    transport.maycrash = True
    for kind in ('tar.gz', 'zip', 'tar.bz2'):
        with contextlib.suppress(http.client.IncompleteRead):
            answer = web.get(f'{url}/archive/{node}.{kind}')
            assert answer.status != 200, answer
    # the server goes on
    assert web.get(f'{url}/pushes').status == 200


@pytest.mark.parametrize('storeconfig', [{'route': 'all'}])
@matrix.over('ssh')
def test_heads_of_an_old_client(
    transport: Transport, base: Repo, tempfolder: Path
) -> None:
    """A try URL does not mind who else pushed."""
    say = wire.Wire(transport, tryurl(transport, base), 'alice')
    bundle = b'HG10UN' + encode(GOOD, b'01')
    for value in ('f' * 40, '0' * 40 + ' ' + 'a' * 40, b'hashed'.hex()):
        said = say.call('unbundle', [('heads', value)], bundle)
        assert 'abort' not in said or said.count('abort: ') == 1
        assert not leftovers(base, tempfolder)
    assert len(bundles(base)) <= 1
    assert 'stored 1 changeset' in say.unbundle(bundle)
