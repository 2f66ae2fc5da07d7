"""``compression = zstd``: what is stored is packed, and nobody sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import matrix, web
from harness.answers import Log
from harness.hg import Repo
from harness.history import History
from harness.servers import HttpTransport, Transport
from harness.store import bundles, leftovers

PACKED = b'HG20\0\0\0\x0eCompression=ZS'


@pytest.fixture
def base(base: Repo) -> Repo:
    base.configure('bundlestore', {'compression': 'zstd'})
    return base


def text(seed: int) -> str:
    return ''.join(f'a line, number {seed * n}\n' for n in range(3000))


@matrix.over('ssh', later=['http'])
def test_every_way(
    tmp_path: Path,
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    hashes: History,
    log: Log,
    tempfolder: Path,
) -> None:
    """Whole bundles, several, a part of one; hooks and overlays; downloads."""
    seen = tmp_path / 'seen'
    hook = f'"$HG" -R "$HG_BUNDLEREPO" log -r "$HG_NODE" >> "{seen}"'
    base.configure('hooks', {'prebundlestore': hook})
    transport.restart()
    one = client.commit({'large': text(1)}, 'one', parent=hashes.tagged)
    two = client.commit({'large': text(2)}, 'two')
    client.run('push', '-q', '--bundle-store', '-r', two)
    three = client.commit({'more': text(3)}, 'three', parent=one)
    client.run('push', '-q', '--bundle-store', '-r', three)
    for bundle in bundles(base):
        data = bundle.read_bytes()
        assert data.startswith(PACKED)
        assert hashlib.sha256(data).hexdigest() == bundle.name
        assert len(data) < len(text(1)) / 3
    assert seen.read_text().count('summary:') == 2

    vanilla = newclient('vanilla', ext=False)
    for node, way in ((one, 'some 1'), (three, 'some 2'), (two, '2')):
        vanilla.run('pull', '-q', '-r', node)
        assert log.new() == [way]
    assert vanilla.cat('large', two) == text(2)
    vanilla.verify()
    if isinstance(transport, HttpTransport):
        for push, count in ((1, 2), (2, 3)):
            other = newclient(f'other{push}', ext=False)
            other.run('unbundle', f'{transport.url(base)}/bundle/{push}')
            assert len(other.nodes('draft()')) == count
        page = web.get(f'{transport.url(base)}/rev/{three}')
        assert page.status == 200
    assert not leftovers(base, tempfolder)


@pytest.mark.parametrize('transport_name', ['ssh'])
def test_switched(
    base: Repo,
    client: Repo,
    vanilla: Repo,
    transport: Transport,
    log: Log,
) -> None:
    """Bundles of both kinds lie in one store, and are of use together."""
    one = client.commit({'large': text(1)}, 'one')
    client.run('push', '-q', '--bundle-store', '-r', one)
    base.configure('bundlestore', {'compression': 'none'})
    transport.restart()
    two = client.commit({'large': text(2)}, 'two')
    client.run('push', '-q', '--bundle-store', '-r', two)
    packed = [b.read_bytes().startswith(PACKED) for b in bundles(base)]
    assert sorted(packed) == [False, True]
    vanilla.run('pull', '-q', '-r', two)
    assert log.new() == ['2']
    vanilla.verify()
    base.run('admin::bundlestore-verify', config=['bundlestore.verify=full'])


@pytest.mark.slow('a detail of what the quick loop sees')
@pytest.mark.parametrize('transport_name', ['ssh'])
def test_damage(base: Repo, client: Repo, vanilla: Repo, log: Log) -> None:
    """A packed bundle that rots, at whatever place, is never served."""
    one = client.commit({'large': text(1)}, 'one')
    two = client.commit({'large': text(2)}, 'two')
    client.run('push', '-q', '--bundle-store', '-r', two)
    (bundle,) = bundles(base)
    good = bundle.read_bytes()
    bundle.chmod(0o644)
    for place in (20, 30, len(good) // 2, len(good) - 1):
        rotten = bytearray(good)
        rotten[place] ^= 255
        bundle.write_bytes(bytes(rotten))
        for node in (one, two):
            result = vanilla.run('pull', '-r', node, ok=(255,))
            assert 'abort: ' in result.err, place
            assert not vanilla.knows(node)
        result = base.run('admin::bundlestore-verify', ok=(1,))
        assert 'is damaged' in result.out
    bundle.write_bytes(good)
    vanilla.run('pull', '-q', '-r', two)
    vanilla.verify()
