"""Pushes to a store in a bucket, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness import history, matrix, servers, store
from harness.backends import ObjectStore, PostgreSQL, Rclone, SeaweedFS
from harness.backends.session import Getter
from harness.hg import Repo
from harness.servers import Transport, WebTransport
from harness.snapshot import untouched
from harness.web import get

pytestmark = pytest.mark.slow('an object store of others')

VERIFY = 'admin::bundlestore-verify'
GC = ('admin::bundlestore-gc', '--grace', '0 days')

_LIKE = pytest.mark.nightly('goes the way of the other tests here')

#: an extension that notes what is sent to the server, and what is loaded
WATCH = """\
import atexit, sys

def extsetup(ui):
    from hgext3rd.bundlestore.stores.s3 import client
    send = client.Client._send
    def watched(self, function, arguments):
        with open({path!r}, 'a') as fp:
            fp.write(function.__name__ + '\\n')
        return send(self, function, arguments)
    client.Client._send = watched

    @atexit.register
    def tell():
        kind = type(sys.modules.get('botocore.session')).__name__
        with open({path!r}, 'a') as fp:
            fp.write('loaded\\n' * (kind == 'module'))
"""


@pytest.fixture(
    params=[
        Rclone,
        pytest.param(
            SeaweedFS,
            marks=pytest.mark.nightly('its answers are compared by the suite'),
        ),
    ],
    ids=lambda kind: kind.name,
)
def objects(request: pytest.FixtureRequest, backend: Getter) -> ObjectStore:
    """An object store."""
    return backend(request.param)


@pytest.fixture
def storeconfig(objects: ObjectStore) -> dict[str, str]:
    return {'store': objects.fresh()}


@pytest.fixture
def asked(base: Repo, tmp_path: Path) -> Callable[[], list[str]]:
    """Return what was asked of the object store since the last time."""
    path = tmp_path / 'asked'
    path.touch()
    script = tmp_path / 'watch.py'
    script.write_text(WATCH.format(path=str(path)))
    base.configure('extensions', {'watch': str(script)})

    def ask() -> list[str]:
        found = path.read_text().split()
        path.write_text('')
        return found

    return ask


def clients(objects: ObjectStore, base: Repo) -> list[str]:
    """Return the names of all objects."""
    url = base.hgrc.read_text().partition('store = s3://')[2]
    bucket, _, prefix = url.partition('?')[0].partition('/')
    page = objects.client().list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [found['Key'] for found in page.get('Contents', ())]


@matrix.over('ssh')
def test_push_and_pull(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    hashes: history.History,
    objects: ObjectStore,
) -> None:
    node = client.commit({'a': 'a'}, 'one', parent=hashes.tagged)
    with untouched(base.path):
        client.run('push', '--bundle-store', '-r', node, '-B', 'scratch/x')
    assert not store.bundles(base)
    assert len(clients(objects, base)) == 2
    vanilla.run('pull', '-r', node)
    assert vanilla.cat('a', node) == 'a'
    above = client.commit({'b': 'b'}, 'two', parent=node)
    client.run('push', '--bundle-store', '-r', above)
    # rests on the first
    assert len(clients(objects, base)) == 4
    vanilla.run('pull', '-r', above)
    assert vanilla.cat('b', above) == 'b'
    assert '2 pushes and 2 bundles' in base.run(VERIFY).out
    base.run('admin::bundlestore-stats', '--check')
    assert base.run(*GC).out == 'nothing to remove\n'
    base.run('admin::bundlestore-remove', '2')
    base.run('admin::bundlestore-remove', '1')
    base.run(*GC)
    assert [
        name for name in clients(objects, base) if '/bundles/' in name
    ] == []


@matrix.over('ssh')
def test_requests(
    asked: Callable[[], list[str]],
    base: Repo,
    client: Repo,
    vanilla: Repo,
    hashes: history.History,
) -> None:
    """What a network multiplies; and what the index knows, or the base, needs
    nothing of the store, not even that it is loaded."""
    for number in range(2):
        node = client.commit({'a': f'{number}'}, 'one', parent=hashes.tagged)
        asked()
        client.run('push', '--bundle-store', '-r', node)
    # Whether the store is moving (see moving.py) is asked before and after.
    assert asked() == ['get_object', 'put_object'] * 2 + ['loaded']
    # what was pushed here is at hand here
    vanilla.run('pull', '-r', node)
    assert asked() == []
    client.run('identify', '-r', node[:12], 'default')
    client.run('pushes', 'default')
    vanilla.run('incoming', ok=[1])
    vanilla.run('pull')
    assert asked() == []
    base.configure('bundlestore', {'cache-size': '0'})
    vanilla.run('--config', 'extensions.strip=', 'strip', '--no-backup', node)
    vanilla.run('pull', '-r', node)
    assert asked() == ['get_object', 'loaded']
    # however many bundles there are, if less than a thousand
    base.run(*GC)
    listed = ['list_objects_v2'] * 2 + ['list_multipart_uploads']
    assert asked() == ['get_object', *listed, 'get_object', 'loaded']


@_LIKE
@matrix.over('ssh')
def test_lost_index(
    base: Repo, client: Repo, vanilla: Repo, hashes: history.History
) -> None:
    node = client.commit({'a': 'a'}, 'one', parent=hashes.tagged)
    client.run('push', '--bundle-store', '-r', node, '-B', 'scratch/x')
    for path in store.folder(base).glob('index.sqlite3*'):
        path.unlink()
    base.run(VERIFY, ok=[1])
    base.run(VERIFY, '--repair')
    vanilla.run('pull', '-r', 'scratch/x')
    assert vanilla.knows(node)


@matrix.over('ssh')
def test_deleted_behind_our_back(
    base: Repo,
    client: Repo,
    vanilla: Repo,
    hashes: history.History,
    objects: ObjectStore,
) -> None:
    base.configure('bundlestore', {'cache-size': '0'})
    node = client.commit({'a': 'a'}, 'one', parent=hashes.tagged)
    client.run('push', '--bundle-store', '-r', node)
    (name,) = (n for n in clients(objects, base) if '/bundles/' in n)
    bucket = 'bundles'
    objects.client().delete_object(Bucket=bucket, Key=name)
    failed = vanilla.run('pull', '-r', node, ok=[255])
    assert 'is missing from the bundle store' in failed.err
    base.run(VERIFY, ok=[1])
    client.run('push', '--bundle-store', '-r', node)
    vanilla.run('pull', '-r', node)
    assert vanilla.knows(node)
    base.run(VERIFY)


@matrix.over('ssh')
def test_stopped_server(
    privateserver: Getter,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    hashes: history.History,
) -> None:
    server = privateserver(Rclone)
    base.configure('bundlestore', {'store': server.fresh(), 'cache-size': '0'})
    node = client.commit({'a': 'a'}, 'one', parent=hashes.tagged)
    server.stop()
    failed = client.run('push', '--bundle-store', '-r', node, ok=[255])
    assert f'{server.endpoint} cannot be reached' in failed.err
    assert failed.err.count('abort:') == 1
    vanilla.run('pull')
    server.start()
    client.run('push', '--bundle-store', '-r', node)
    vanilla.run('pull', '-r', node)


@servers.overweb('wsgi')
def test_web(
    transport: WebTransport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    hashes: history.History,
    objects: ObjectStore,
) -> None:
    node = client.commit({'a': 'a'}, 'one', parent=hashes.tagged)
    client.run('push', '--bundle-store', '-r', node)
    above = client.commit({'b': 'b'}, 'two', parent=node)
    client.run('push', '--bundle-store', '-r', above)
    site = transport.url(base)
    answer = get(f'{site}/bundle/1')
    assert answer.status == 302
    elsewhere = answer.headers['location']
    assert elsewhere.startswith(f'{objects.endpoint}/bundles/')
    data = get(elsewhere).body
    head = get(f'{site}/bundle/1', method='HEAD')
    assert head.status == 200
    assert head.headers['content-length'] == f'{len(data)}'
    vanilla.run('unbundle', f'{site}/bundle/1')
    # complete, so it comes from here
    assert get(f'{site}/bundle/2').status == 200
    vanilla.run('unbundle', f'{site}/bundle/2')
    assert vanilla.cat('b', above) == 'b'
    assert get(f'{site}/rev/{above}').status == 200

    name = elsewhere.partition('?')[0].partition('/bundles/')[2]
    objects.client().delete_object(Bucket='bundles', Key=name)
    gone = get(f'{site}/bundle/1')
    # there is a copy of it here
    assert (gone.status, gone.body) == (200, data)
    # neither the key nor a signature is in the log
    for log in (transport.errorlog, transport.accesslog, transport.output):
        if log.exists():
            assert 'X-Amz-' not in log.read_text()


@_LIKE
@servers.overweb('wsgi')
def test_tryurl(
    transport: WebTransport,
    base: Repo,
    vanilla: Repo,
    hashes: history.History,
    objects: ObjectStore,
) -> None:
    tryurl = store.tryurl(transport, base)
    node = vanilla.commit({'a': 'a'}, 'one', parent=hashes.tagged)
    vanilla.run('push', '-r', node, transport.url(tryurl))
    assert len(clients(objects, base)) == 2
    base.run(VERIFY)


@_LIKE
@matrix.over('path')
def test_landing(
    transport: Transport,
    base: Repo,
    client: Repo,
    postgresql: PostgreSQL,
) -> None:
    """From a bucket, and the index in a database keeps where."""
    base.configure('bundlestore', {'index': postgresql.fresh()})
    base.run('admin::bundlestore-migrate', '--schema')
    for name in 'ab':
        node = client.commit({name: name}, name)
        client.run('push', '--bundle-store', '-r', node, base.path)
    base.run('admin::bundlestore-land', node)
    assert base.phase(node) == 'public'
    assert f'landed:      {node[:12]}\n' in base.run('pushes').out
    assert '0 problems' in base.run(VERIFY).out
