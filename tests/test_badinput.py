"""Bad input: a clear error, nothing stored, nothing left, still serving."""

from __future__ import annotations

import io
import os
import random
import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from mercurial import bundle2, ui as uimod

from harness import matrix, rawpush
from harness.hg import Repo, finish
from harness.history import History
from harness.servers import Transport, patiently
from harness.smalldisk import fill, mounted
from harness.snapshot import untouched
from harness.store import bundles, folder, leftovers, tryurl
from hgext3rd.bundlestore.push import route

#: sends pushes and returns why they were refused
Refused = Callable[[Sequence[bytes]], list[str]]


@pytest.fixture
def stack(client: Repo) -> list[str]:
    """Two changesets to push, with contents of some size."""
    lines = ''.join(f'{n} {n * n}\n' for n in range(300))
    return [
        client.commit({'src/main.txt': lines, 'new': 'new\n'}, 'first'),
        client.commit({'new': 'newer\n', 'more': lines}, 'second'),
    ]


@pytest.fixture
def good(client: Repo, stack: list[str], hashes: History) -> bytes:
    """The push of ``stack``."""
    return rawpush.make(client, [stack[-1]], [hashes.tagged])


@pytest.fixture
def refused(
    transport: Transport,
    base: Repo,
    client: Repo,
    tempfolder: Path,
    good: bytes,
) -> Refused:
    """Send pushes that must all be refused; return the messages."""

    def send(pushes: Sequence[bytes]) -> list[str]:
        url = transport.url(base)
        with untouched(base.path):
            answers = rawpush.send(client, url, pushes)
            for number, answer in enumerate(answers):
                assert answer, f'push {number} was taken'
                assert answer['message']
                assert answer['hint']
            assert not bundles(base)
            assert not leftovers(base, tempfolder)
            # the server still serves
            assert rawpush.send(client, url, [good]) == [{}]
        assert len(bundles(base)) == 1
        return [answer['message'] for answer in answers]

    return send


def boundaries(data: bytes) -> list[int]:
    """Return the offsets in a push where a part header, a part's parameters
    or a chunk of its payload begin or end."""
    (size,) = struct.unpack_from('>i', data, 4)
    offset = 8 + size
    found = [0, 4, 8, offset]
    while True:
        (size,) = struct.unpack_from('>i', data, offset)
        offset += 4
        found.append(offset)
        if not size:
            return found
        offset += size
        found.append(offset)
        while True:
            (size,) = struct.unpack_from('>i', data, offset)
            offset += 4 + size
            found.append(offset)
            if not size:
                break


def test_truncated_at_every_boundary(refused: Refused, good: bytes) -> None:
    where = sorted({*boundaries(good)} - {len(good)})
    assert len(where) > 10
    refused([good[:n] for n in where if n >= 4])


@pytest.mark.slow('a dozen pushes')
def test_truncated_anywhere(refused: Refused, good: bytes) -> None:
    numbers = random.Random(1)
    cuts = [numbers.randrange(4, len(good)) for _ in range(12)]
    refused([good[:cut] for cut in cuts])


@pytest.mark.slow('a push for each of many bytes')
@matrix.over('path')
def test_truncated_at_each_of_many_bytes(refused: Refused, good: bytes) -> None:
    refused([good[:cut] for cut in range(4, len(good), 61)])


@pytest.mark.slow('a push for each bit')
@pytest.mark.parametrize('storeconfig', [{'verify': 'full'}])
@matrix.over('path')
def test_flipped_bits(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    good: bytes,
    stack: list[str],
    tempfolder: Path,
) -> None:
    """With ``verify = full``, what is taken is true to the last byte."""
    numbers = random.Random(2)
    pushes = []
    for _ in range(250):
        data = bytearray(good)
        data[numbers.randrange(len(data))] ^= 1 << numbers.randrange(8)
        pushes.append(bytes(data))
    with untouched(base.path):
        answers = rawpush.send(client, transport.url(base), pushes)
    taken = [answer for answer in answers if not answer]
    # a bit in an advisory part or in the order of names does no harm
    assert len(taken) < 25, len(taken)
    assert len(bundles(base)) <= 1
    assert not leftovers(base, tempfolder)
    assert rawpush.send(client, transport.url(base), [good]) == [{}]
    vanilla.run('pull', '-r', stack[-1])
    vanilla.verify()
    assert len(bundles(base)) == 1


@pytest.mark.slow('dozens of pushes')
def test_flipped_bits_of_changesets(refused: Refused, good: bytes) -> None:
    """Found without ``verify = full``, too."""
    start = good.index(b'first')
    pushes = []
    for offset in range(start - 80, start + 5, 7):
        data = bytearray(good)
        data[offset] ^= 4
        pushes.append(bytes(data))
    for message in refused(pushes):
        assert 'malformed changegroup' in message or 'hash' in message


def test_wrong_hash(refused: Refused, good: bytes) -> None:
    data = good.replace(b'first', b'First', 1)
    assert data != good
    (message,) = refused([data])
    assert 'does not match its hash' in message


def test_unknown_parent(
    refused: Refused, client: Repo, stack: list[str], base: Repo
) -> None:
    (message,) = refused([rawpush.make(client, [stack[1]], [stack[0]])])
    assert message.startswith(f'unknown parent {stack[0][:12]} of changeset')


def test_secret_parent(
    transport: Transport,
    base: Repo,
    client: Repo,
    refused: Refused,
    hashes: History,
) -> None:
    """One that the server has, but does not show."""
    secret = base.commit(
        {'s': 's\n'}, 'secret', parent=hashes.start, secret=True
    )
    base.inspect('update', '-q', 'null')
    bundle = client.path.parent / 'secret.hg'
    base.inspect('bundle', '-q', '-r', secret, '--base', 'null', str(bundle))
    client.inspect('unbundle', '-q', str(bundle))
    child = client.commit({'s': 'ss\n'}, 'child', parent=secret)
    (message,) = refused([rawpush.make(client, [child], [secret])])
    assert message.startswith(f'unknown parent {secret[:12]} of changeset')


def test_no_changesets(refused: Refused, client: Repo, good: bytes) -> None:
    (message,) = refused([rawpush.make(client, [], [])])
    assert message == 'push has no changesets'


def test_garbage_behind_the_changesets(refused: Refused, good: bytes) -> None:
    """A part that goes on after the changegroup has ended."""
    # the last chunk of the part is followed by: end of part, end of stream
    assert good.endswith(b'\0' * 8)
    data = good[:-8] + struct.pack('>i', 5) + b'extra' + b'\0' * 8
    (message,) = refused([data])
    assert 'data after its end' in message


@pytest.mark.parametrize('storeconfig', [{'max-changesets': '1'}])
def test_too_many_changesets(
    transport: Transport,
    base: Repo,
    client: Repo,
    stack: list[str],
    tempfolder: Path,
) -> None:
    with untouched(base.path):
        result = client.run('push', '--bundle-store', ok=(100, 255))
    assert 'push exceeds the limit of 1 changeset (got 2 so far)' in result.err
    assert 'bundlestore.max-changesets' in result.err
    assert result.err.count('abort: ') == 1
    assert not bundles(base)
    assert not leftovers(base, tempfolder)
    client.run('push', '--bundle-store', '-r', stack[0])


@pytest.mark.parametrize('storeconfig', [{'max-changesets': '1'}])
def test_bundle1_client_is_told(
    transport: Transport, base: Repo, vanilla: Repo, stack: list[str]
) -> None:
    url = transport.url(tryurl(transport, base))
    vanilla.commit({'a': 'a\n'}, 'one')
    vanilla.commit({'a': 'b\n'}, 'two')
    result = vanilla.run(
        'push', url, config=['devel.legacy.exchange=bundle1'], ok=None
    )
    assert result.code
    assert str(result).count('abort: push exceeds the limit of 1 ') == 1
    assert not bundles(base)


@pytest.mark.parametrize('storeconfig', [{'max-bundle-size': '64 kB'}])
def test_too_large(
    transport: Transport, base: Repo, client: Repo, tempfolder: Path
) -> None:
    small = client.commit({'small': 'x\n'}, 'small')
    client.commit({'large': os.urandom(300_000)}, 'large')
    with untouched(base.path):
        result = client.run('push', '--bundle-store', ok=(100, 255))
    assert 'push exceeds the limit of 64.0 KB (' in result.err
    assert 'bundlestore.max-bundle-size' in result.err
    assert result.err.count('abort: ') == 1
    assert not bundles(base)
    assert not leftovers(base, tempfolder)
    client.run('push', '--bundle-store', '-r', small)


def test_store_that_cannot_be_written(
    transport: Transport,
    base: Repo,
    client: Repo,
    stack: list[str],
    tempfolder: Path,
) -> None:
    """The tests may run as root, whom no mode stops, so a file is in the way
    of the folder."""
    folder(base).write_text('in the way')
    result = client.run('push', '--bundle-store', ok=(100, 255))
    assert result.err.count('abort: ') == 1
    assert 'Traceback' not in result.err
    assert not list(tempfolder.glob('*'))
    folder(base).unlink()
    client.run('push', '--bundle-store')


@pytest.fixture
def smalldisk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 kB."""
    with mounted(tmp_path / 'disk', '512k') as path:
        yield path


def test_full_disk(
    transport: Transport,
    base: Repo,
    client: Repo,
    smalldisk: Path,
    tempfolder: Path,
    vanilla: Repo,
) -> None:
    base.configure(
        'bundlestore',
        {
            'store': f'file:{smalldisk}/store',
            'index': f'file:{smalldisk}/index',
        },
    )
    transport.restart()
    small = client.commit({'small': 'x\n'}, 'small')
    client.run('push', '--bundle-store')
    client.commit({'large': os.urandom(1_000_000)}, 'large')
    with untouched(base.path, exclude=()):
        result = client.run('push', '--bundle-store', ok=(100, 255))
    assert 'no space left on device' in result.err.lower()
    assert result.err.count('abort: ') == 1
    files = [p for p in smalldisk.rglob('*') if p.is_file()]
    assert sum(p.parent.name == 'tmp' for p in files) == 0, files
    # what was stored before is there, and smaller pushes go through
    vanilla.run('pull', '-r', small)
    client.run('push', '--bundle-store', '-r', small)


@matrix.over('ssh')
def test_gc_makes_room(
    transport: Transport, base: Repo, client: Repo, stack: list[str]
) -> None:
    """Nothing can be written, by SQLite neither."""
    with mounted(folder(base), '4m') as disk:
        client.run('push', '--bundle-store', '-r', stack[0])
        fill(disk)
        result = client.run('push', '--bundle-store', ok=(100, 255))
        assert 'no space left on device' in result.err
        assert 'admin::bundlestore-gc' in result.err
        checked = base.run('admin::bundlestore-stats', '--check', ok=(1,))
        assert 'no space left' in checked.out
        gone = base.run('admin::bundlestore-gc', '--older-than', '0 seconds')
        assert gone.out.startswith('removed 1 push')
        client.run('push', '--bundle-store')
        assert len(bundles(base)) == 1


def test_newer_index(
    transport: Transport,
    base: Repo,
    client: Repo,
    stack: list[str],
    tempfolder: Path,
) -> None:
    client.run('push', '--bundle-store', '-r', stack[0])
    index = folder(base) / 'index.sqlite3'
    database = sqlite3.connect(index)
    (version,) = database.execute('PRAGMA user_version').fetchone()
    database.execute(f'PRAGMA user_version = {version + 1}')
    database.close()
    result = client.run('push', '--bundle-store', ok=(100, 255))
    assert result.err.count('abort: ') == 1
    assert 'bundle index has format' in result.err
    assert 'upgrade hg-bundlestore' in result.err
    assert len(bundles(base)) == 1
    assert not leftovers(base, tempfolder)
    database = sqlite3.connect(index)
    database.execute(f'PRAGMA user_version = {version}')
    database.close()
    client.run('push', '--bundle-store')


def test_unknown_scheme(
    transport: Transport, base: Repo, client: Repo, stack: list[str]
) -> None:
    base.configure('bundlestore', {'store': 'carrier-pigeon://x'})
    transport.restart()
    result = client.run('push', '--bundle-store', ok=(100, 255))
    assert 'unknown bundle store scheme: carrier-pigeon' in result.err
    assert 'known schemes: command, file, s3' in result.err


@pytest.mark.parametrize(
    ('item', 'value'),
    [
        ('route', 'everywhere'),
        ('verify', 'never'),
        ('max-bundle-size', 'big'),
        ('changeset-url', 'https://example.org/{node'),
        ('changeset-url', 'https://example.org/{nodes}'),
        ('changeset-url', 'https://example.org/{node|sqrt}'),
        ('bookmark-pattern', 're:('),
    ],
)
@matrix.over('ssh')
def test_bad_configuration(
    transport: Transport, base: Repo, client: Repo, item: str, value: str
) -> None:
    client.commit({'a': 'a\n'}, 'not stored')
    base.configure('bundlestore', {item: value})
    result = client.run('push', '--bundle-store', ok=None)
    assert result.code
    assert f'bundlestore.{item}' in result.err + result.out
    assert not bundles(base)


@pytest.mark.parametrize('storeconfig', [{'deny-push': 'alice'}])
@matrix.over('path', 'ssh')
def test_denied(
    transport: Transport, base: Repo, client: Repo, stack: list[str]
) -> None:
    result = client.run('push', '--bundle-store', ok=(100, 255))
    assert "user 'alice' may not push to the bundle store" in result.err
    assert not bundles(base)


@pytest.mark.parametrize(
    'storeconfig', [{'deny-push': 'bob'}, {'allow-push': 'bob'}]
)
@matrix.over('http')
def test_anonymous_users(
    transport: Transport, base: Repo, client: Repo, stack: list[str]
) -> None:
    """Nobody has an empty name."""
    result = client.run('push', '--bundle-store', ok=(100, 255))
    assert 'a user who is not logged in may not push to the' in result.err
    assert "''" not in result.err
    assert not bundles(base)


@pytest.mark.parametrize('storeconfig', [{'allow-push': 'bob'}])
@matrix.over('ssh')
def test_allowed(
    transport: Transport, base: Repo, client: Repo, stack: list[str]
) -> None:
    result = client.run('push', '--bundle-store', ok=(100, 255))
    assert "user 'alice' may not push to the bundle store" in result.err
    client.run('push', '--bundle-store', transport.url(base, user='bob'))


@matrix.over('ssh')
def test_client_that_vanishes(
    transport: Transport, base: Repo, client: Repo, tempfolder: Path
) -> None:
    """Killed in the middle of its upload."""
    client.commit({'large': os.urandom(20_000_000)}, 'large')
    staging = folder(base) / 'bundles' / 'tmp'
    with untouched(base.path):
        process = client.start('push', '--bundle-store')
        while not any(path.stat().st_size for path in staging.glob('*')):
            assert process.poll() is None, 'the push was too fast'
        process.kill()  # the client alone; the server is left to itself
        finish(process, ok=None)
        for _ in patiently():
            if not leftovers(base, tempfolder):
                break
    assert not bundles(base)
    assert not leftovers(base, tempfolder)
    client.run('push', '--bundle-store')


@pytest.mark.parametrize('name', [b'bundlestore', b'bUNDLESTORE'])
def test_what_asks_for_the_store_in_lower_case(name: bytes) -> None:
    """One bit makes the difference between what must be known and what may be:
    neither way it lands."""
    words = name + b'=1'
    data = b'HG20' + struct.pack('>i', len(words)) + words
    assert route.requested(bundle2.getunbundler(uimod.ui(), io.BytesIO(data)))
