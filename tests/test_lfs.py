"""What lfs keeps outside of changesets goes to the bundle store and back."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import blobs, matrix, web, wire
from harness.hg import Repo
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import bundles, folder, tryurl
from hgext3rd.bundlestore import errors, model
from hgext3rd.bundlestore.blobs import named, place

#: a server that has loaded lfs says so to the clients of all repositories
pytestmark = pytest.mark.usefixtures('ownserver')


@pytest.fixture
def lfsbase(base: Repo) -> Repo:
    blobs.enable('lfs', base)
    return base


@pytest.fixture
def lfsclient(lfsbase: Repo, client: Repo) -> Repo:
    blobs.enable('lfs', client)
    return client


@pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version'),
    [
        ('ssh', matrix.VERSIONS[0], matrix.NEWEST),
        pytest.param(
            *('ssh', matrix.NEWEST, matrix.VERSIONS[0]),
            marks=pytest.mark.nightly('the other way round is in CI'),
        ),
        pytest.param(*('http', matrix.NEWEST, '6.9.5'), marks=matrix.ANOTHER),
        pytest.param(
            *('path', matrix.NEWEST, matrix.NEWEST),
            marks=pytest.mark.nightly('largefiles goes by path in CI'),
        ),
    ],
)
@pytest.mark.parametrize('storeconfig', [{'verify': 'full'}])
def test_push_and_pull(
    transport: Transport,
    lfsbase: Repo,
    lfsclient: Repo,
    newclient: Callable[..., Repo],
) -> None:
    other = newclient('other')
    blobs.enable('lfs', other)
    node = blobs.commit(lfsclient, 'lfs', {'a': 'one\n', 'b': '', 'c': 'one\n'})
    with untouched(lfsbase.path):
        result = lfsclient.run('push', '--bundle-store')
        assert 'lfs: uploaded 2 files (4 bytes)\n' in result.out
        assert 'go to the repository' not in result.out
        # it has these
        assert 'uploaded' not in lfsclient.run('push', '--bundle-store', '-f')
        other.run('update', node)
    assert (other.path / 'c').read_text() == 'one\n'
    assert blobs.stored(lfsbase, 'lfs') == ['', 'one\n']


@matrix.over('http')
def test_clients_without_the_extension(
    transport: Transport,
    lfsbase: Repo,
    vanilla: Repo,
    newclient: Callable[..., Repo],
) -> None:
    """A try URL takes blobs to the bundle store, pages and archives show
    them, and the repository has its own when the changeset lands."""
    other = newclient('other', ext=False)
    blobs.enable('lfs', vanilla, other)
    node = blobs.commit(vanilla, 'lfs', {'a': 'one\n'})
    lfsbase.configure('web', {'allow-archive': 'zip'})
    with untouched(lfsbase.path):
        vanilla.run('push', transport.url(tryurl(transport, lfsbase)))
        assert blobs.stored(lfsbase, 'lfs') == ['one\n']
        other.run('pull', '-r', node)
        other.run('update', node)
        url = transport.url(lfsbase)
        assert web.get(f'{url}/raw-file/{node}/a').text == 'one\n'
        assert web.get(f'{url}/archive/{node}.zip').status == 200
    assert (other.path / 'a').read_text() == 'one\n'
    other.run('push', '-f')
    assert blobs.landed(lfsbase, 'lfs') == ['one\n']


@matrix.over('ssh')
def test_landing_on_the_server(
    transport: Transport, lfsbase: Repo, lfsclient: Repo
) -> None:
    node = blobs.commit(lfsclient, 'lfs', {'a': 'one\n'})
    lfsclient.run('push', '--bundle-store')
    lfsbase.run('unbundle', bundles(lfsbase)[0])
    assert blobs.landed(lfsbase, 'lfs') == ['one\n']
    assert lfsbase.run('cat', '-r', node, 'a').out == 'one\n'


@matrix.over('ssh')
def test_over_ssh_without_the_extension(
    transport: Transport,
    lfsbase: Repo,
    lfsclient: Repo,
    newclient: Callable[..., Repo],
) -> None:
    """lfs itself has no way over ssh, to this server or any other."""
    vanilla = newclient('vanilla', ext=False)
    blobs.enable('lfs', vanilla)
    blobs.commit(vanilla, 'lfs', {'a': 'one\n'})
    blobs.commit(lfsclient, 'lfs', {'a': 'two\n'})
    needed = 'abort: lfs.url needs to be configured\n'
    url = transport.url(tryurl(transport, lfsbase))
    with untouched(lfsbase.path, exclude=()):
        assert vanilla.run('push', url, ok=(255,)).err == needed
        # nor has what is to land
        assert lfsclient.run('push', '-f', ok=(255,)).err == needed


@matrix.over('ssh')
def test_server_without_lfs(
    transport: Transport, base: Repo, client: Repo
) -> None:
    blobs.enable('lfs', client)
    blobs.commit(client, 'lfs', {'a': 'one\n'})
    with untouched(base.path, exclude=()):
        result = client.run('push', '--bundle-store', ok=(255,))
    assert 'not supported in the destination: lfs\n' in result.err


@pytest.mark.parametrize('storeconfig', [{'max-bundle-size': '2 kB'}])
@matrix.over('ssh')
def test_what_is_too_large(
    transport: Transport, lfsbase: Repo, lfsclient: Repo
) -> None:
    blobs.commit(lfsclient, 'lfs', {'a': 'x' * 3000})
    with untouched(lfsbase.path, exclude=()):
        result = lfsclient.run('push', '--bundle-store', ok=(255,))
    assert 'content is larger than the bundle store takes' in result.err
    assert 'bundlestore.max-bundle-size' in result.err


@pytest.mark.parametrize('storeconfig', [{'max-bundle-size': '9'}])
@matrix.over('http')
def test_requests_that_make_no_sense(
    transport: Transport, lfsbase: Repo
) -> None:
    said = wire.Wire(transport, lfsbase, 'alice')
    put, name = 'bundlestoreputblob', digest(b'one')

    def upload(kind: str, name: str, data: bytes, size: str = '') -> str:
        args = [('kind', kind), ('name', name)]
        if size:
            args.append(('size', size))
        return said.call(put, args, data)

    with untouched(lfsbase.path):
        for kind, other in (
            ('lfs', '../../hgrc'),
            ('lfs', name.upper()),
            ('', name),
            ('largefiles', name),
            ('bundles', name),
        ):
            assert 'names no content' in upload(kind, other, b'one')
        assert 'does not match its hash' in upload('lfs', name, b'two')
        assert 'is larger than' in upload('lfs', name, b'one' * 4)
        assert 'is larger than' in upload('lfs', name, b'', '12')
        assert 'not a positive number' in upload('lfs', name, b'', 'x')
        url = transport.url(lfsbase)
        assert web.get(f'{url}?cmd={put}&kind=lfs&name={name}').status == 405
        assert blobs.stored(lfsbase, 'lfs') == []
        assert upload('lfs', name, b'one').endswith('{}')
        for oid, answer in (
            (name, '3\none'),
            ('../../hgrc', '-1\n'),
            (name[1:] + '/', '-1\n'),
            (digest(b''), '-1\n'),
        ):
            given = said.call('bundlestorelfs', [('get', oid)])
            assert given.endswith(f'\n\n{answer}'), given
            there = said.call('bundlestorelfs', [('has', f'{oid},x')])
            assert there.endswith(
                f'{{"there":{[name]}}}'.replace("'", '"')
            ) == (oid == name)
    lfsbase.configure('bundlestore', {'deny-push': '*'})
    assert 'may not push' in upload('lfs', digest(b'two'), b'two')


@pytest.mark.parametrize('transport_name', ['wsgi'])
@pytest.mark.nightly('users log in; who may push is tested in CI')
def test_who_may_upload(
    transport: Transport, lfsbase: Repo, client: Repo, vanilla: Repo
) -> None:
    """Who may push to the store may upload, to the store only."""
    blobs.enable('lfs', client, vanilla)
    made = tryurl(transport, lfsbase)
    for repo in (lfsbase, made):
        repo.configure('web', {'allow-push': 'carol'})
        repo.configure('bundlestore', {'allow-push': 'alice'})
    blobs.commit(vanilla, 'lfs', {'a': 'one\n'})
    blobs.commit(client, 'lfs', {'a': 'two\n'})

    for user, code in (('bob', 255), ('alice', 0)):
        with untouched(lfsbase.path):
            url = transport.url(made, user)
            assert vanilla.run('push', url, ok=None).code == code
            url = transport.url(lfsbase, user)
            result = client.run('push', '--bundle-store', url, ok=None)
            assert result.code == code
        texts = ['one\n', 'two\n'] if user == 'alice' else []
        assert blobs.stored(lfsbase, 'lfs') == texts
    # an upload to the repository itself is for the repository
    vanilla.run('push', '-f', transport.url(lfsbase), ok=(255,))
    assert blobs.landed(lfsbase, 'lfs') == []


# -- housekeeping


@matrix.over('ssh')
def test_gc(transport: Transport, lfsbase: Repo, lfsclient: Repo) -> None:
    """Goes what no bundle names, unless it is young; comes back by a push."""
    for text in ('one\n', 'two\n'):
        blobs.commit(lfsclient, 'lfs', {'a': text})
        lfsclient.run('push', '--bundle-store', '-r', '.')

    def gc(*args: str) -> str:
        result = lfsbase.run('admin::bundlestore-gc', *args)
        return result.out + result.err

    assert gc('--grace', '0') == 'nothing to remove\n'
    lfsbase.run('admin::bundlestore-remove', '2')
    assert gc() == 'nothing to remove\n'
    told = gc('--grace', '0', '--dry-run')
    assert 'which no bundle names (4 bytes)\n' in told
    assert blobs.stored(lfsbase, 'lfs') == ['one\n', 'two\n']
    told = gc('--grace', '0')
    assert told == 'removed 0 pushes, 0 bundles, 1 content (4 bytes)\n'
    assert blobs.stored(lfsbase, 'lfs') == ['one\n']
    lfsclient.run('push', '--bundle-store')
    assert blobs.stored(lfsbase, 'lfs') == ['one\n', 'two\n']
    # a bundle that cannot be read may name any of them
    lfsbase.run('admin::bundlestore-remove', '1', '3')
    lfsclient.run('push', '--bundle-store', '-r', '.^')
    shutil.rmtree(folder(lfsbase) / 'blobnames')
    (bundle,) = bundles(lfsbase)
    bundle.write_bytes(bundle.read_bytes()[:-1])
    assert 'kept all contents' in gc('--grace', '0')
    assert blobs.stored(lfsbase, 'lfs') == ['one\n', 'two\n']


# -- the files


@pytest.fixture
def blobplace(tmp_path: Path) -> place.Place:
    where = model.Place(os.fsencode(tmp_path / 'store'))
    return place.Place(where, place.LFS)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_blob_is_what_its_name_says(
    blobplace: place.Place, tmp_path: Path
) -> None:
    def broken() -> Iterator[bytes]:
        yield b'o'
        raise ConnectionError

    name = digest(b'one')
    for chunks, error in (
        ([b'two'], errors.CorruptBundle),
        ([b'one', b'more'], errors.BundleStoreError),
        (broken(), ConnectionError),
    ):
        with pytest.raises(error):
            blobplace.put(name, chunks, limit=5)
        assert not blobplace.has(name)
        assert not blobplace.keep(name)
        assert [p for p in tmp_path.rglob('*') if p.is_file()] == []
    blobplace.put(name, [b'o', b'ne'], limit=3)
    with blobplace.open(name) as fh:
        assert fh.read() == b'one'
    assert [found.name for found in blobplace.blobs()] == [name]


@pytest.mark.parametrize(
    'name', ['', '..', 'a' * 63, 'A' * 64, 'a' * 65, 'g' * 64, '../' + 'a' * 61]
)
def test_names_that_are_none(blobplace: place.Place, name: str) -> None:
    for use in (blobplace.has, blobplace.keep, blobplace.open):
        with pytest.raises(errors.InvalidKey):
            use(name)
    assert not place.isname('other', 'a' * 64)


def test_what_was_asked_for_meanwhile_stays(blobplace: place.Place) -> None:
    name = digest(b'one')
    blobplace.put(name, [b'one'])
    os.utime(blobplace.path(name), (1000, 1000))
    assert [found.time for found in blobplace.blobs()] == [1000]
    assert blobplace.keep(name)
    assert not blobplace.remove(name, before=2000)
    assert blobplace.has(name)
    os.utime(blobplace.path(name), (1000, 1000))
    assert blobplace.remove(name, before=2000)
    assert not blobplace.remove(name, before=2000)
    assert [*blobplace.blobs(), *blobplace.strays()] == []


def test_half_a_note_of_names_is_none(tmp_path: Path) -> None:
    where = model.Place(os.fsencode(tmp_path))
    remembered = named.Remembered(where)
    key, blob = 'a' * 64, ('lfs', 'b' * 64)
    assert remembered.get(key) is None
    remembered.put(key, frozenset([blob]))
    assert remembered.get(key) == frozenset([blob])
    assert list(remembered.bundles()) == [key]
    path = tmp_path / 'blobnames' / 'aa' / key
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert remembered.get(key) is None
    remembered.forget(key)
    assert list(remembered.bundles()) == []
