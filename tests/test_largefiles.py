"""What largefiles keeps outside of changesets goes to the bundle store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness import blobs, matrix
from harness.hg import Repo
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import tryurl

KIND = 'largefiles'

#: a server that has loaded largefiles says so to the clients of all
#: repositories
pytestmark = pytest.mark.usefixtures('ownserver')


@pytest.fixture
def largebase(base: Repo) -> Repo:
    blobs.enable(KIND, base)
    return base


@pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version'),
    [
        ('ssh', matrix.VERSIONS[0], matrix.NEWEST),
        pytest.param(
            *('http', matrix.NEWEST, matrix.VERSIONS[0]), marks=matrix.ANOTHER
        ),
        pytest.param(
            *('path', matrix.NEWEST, matrix.NEWEST), marks=matrix.ANOTHER
        ),
    ],
)
def test_push_and_pull(
    transport: Transport,
    largebase: Repo,
    client: Repo,
    vanilla: Repo,
    newclient: Callable[..., Repo],
) -> None:
    """With the extension to the repository, without it to a try URL; both are
    pulled from the repository, by whom it may be, and land there."""
    other = newclient('other', ext=False)
    blobs.enable(KIND, client, vanilla, other)
    made = tryurl(transport, largebase)
    with untouched(largebase.path):
        first = blobs.commit(client, KIND, {'a': 'one\n', 'b': ''})
        result = client.run('push', '--bundle-store')
        assert 'go to the repository' not in result.out
        second = blobs.commit(vanilla, KIND, {'a': 'two\n'})
        vanilla.run('push', transport.url(made))
        assert blobs.stored(largebase, KIND) == ['', 'one\n', 'two\n']
        for node, text in ((first, 'one\n'), (second, 'two\n')):
            other.run('pull', '-r', node)
            other.run('update', node)
            assert (other.path / 'a').read_text() == text
    # who pushed it before is told that it is there
    client.run('push', '-f', '-r', first)
    assert blobs.landed(largebase, KIND) == ['', 'one\n']


@pytest.mark.parametrize(
    'storeconfig',
    [{'deny-push': '*'}, {'max-bundle-size': '2 kB'}],
    ids=['denied', 'too-large'],
)
@matrix.over('ssh')
def test_uploads_that_are_refused(
    transport: Transport,
    largebase: Repo,
    client: Repo,
    vanilla: Repo,
    storeconfig: dict[str, str],
) -> None:
    blobs.enable(KIND, client, vanilla)
    made = tryurl(transport, largebase)
    made.configure('bundlestore', storeconfig)
    for repo in (client, vanilla):
        blobs.commit(repo, KIND, {'a': 'x' * 3000})
    why = 'may not push' if 'deny-push' in storeconfig else 'is larger than'
    with untouched(largebase.path):
        result = client.run('push', '--bundle-store', ok=(255,))
        assert why in result.err
        assert result.err.count('abort:') == 1
        result = vanilla.run('push', transport.url(made), ok=(255,))
        assert f'{why} ' in result.err + result.out
        assert 'remotestore: could not put' in result.err
    assert blobs.stored(largebase, KIND) == []
    assert blobs.stored(largebase, KIND) == []


@pytest.mark.slow('as that of lfs')
@matrix.over('ssh')
def test_gc(transport: Transport, largebase: Repo, client: Repo) -> None:
    """What a copy or a merge names is named."""
    blobs.enable(KIND, client)
    blobs.commit(client, KIND, {'a': 'one\n', 'b': 'two\n'})
    client.run('push', '--bundle-store')
    client.run('rename', 'a', 'c')
    client.run('commit', '-m', 'renamed')
    client.run('push', '--bundle-store')
    gc = ('admin::bundlestore-gc', '--grace', '0')
    assert largebase.run(*gc).out == 'nothing to remove\n'
    largebase.run('admin::bundlestore-remove', '1', '2')
    assert '2 contents (8 bytes)' in largebase.run(*gc).out
    assert blobs.stored(largebase, KIND) == []
