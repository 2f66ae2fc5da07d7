"""hgweb: the stored bundles to download."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import history, servers, store
from harness.hg import Repo
from harness.shelf import Shelf
from harness.web import get


@pytest.fixture
def pushed(
    transport: servers.WebTransport,
    base: Repo,
    client: Repo,
    hashes: history.History,
    shelf: Shelf,
) -> Callable[..., str]:
    """``pushed(name)`` pushes some changesets, the first of the test, and
    returns the last."""

    def make(name: str, *args: str) -> str:
        return shelf.once(
            f'{transport.name} bundle {name} {args}',
            [base, client],
            lambda: one(name, *args),
        )

    def one(name: str, *args: str) -> str:
        parent = hashes.merged
        for number in range(3):
            parent = client.commit(
                {f'{name}{number}': bytes(range(256)) * 400},
                f'{name} {number}',
                parent=parent,
            )
        client.run('push', '--bundle-store', '-r', parent, *args)
        return parent

    return make


@servers.overweb()
def test_whole(
    transport: servers.WebTransport,
    base: Repo,
    pushed: Callable[..., str],
    hg: Callable[..., object],
    tmp_path: Path,
) -> None:
    """The stored file, by the push's id, or a changeset's name."""
    node = pushed('file', '-B', 'scratch/a/b')
    (path,) = store.bundles(base)
    data = path.read_bytes()
    site = transport.url(base)
    for name in ('1', node, node[:12], 'scratch/a/b'):
        answer = get(f'{site}/bundle/{name}')
        assert answer.status == 200, f'{name}\n{answer}'
        assert answer.body == data, name
    key = hashlib.sha256(data).hexdigest()
    assert answer.headers['etag'] == f'"{key}"'
    assert answer.headers['content-length'] == str(len(data))
    assert answer.headers['accept-ranges'] == 'bytes'
    head = get(f'{site}/bundle/1', method='HEAD')
    assert head.status == 200
    assert head.body == b''
    assert head.headers['content-length'] == str(len(data))


@servers.overweb()
def test_unbundle_url(
    transport: servers.WebTransport,
    base: Repo,
    pushed: Callable[..., str],
    vanilla: Repo,
    tmp_path: Path,
) -> None:
    """``hg unbundle URL`` and ``curl -O`` work, without the extension."""
    node = pushed('file')
    url = f'{transport.url(base)}/bundle/1'
    (tmp_path / 'copy').mkdir()
    shutil.copytree(vanilla.path, tmp_path / 'copy' / 'second')
    vanilla.run('unbundle', url)
    assert vanilla.phase(node) == 'draft'
    vanilla.verify()
    subprocess.run(['curl', '-sSfO', url], cwd=tmp_path, check=True)
    second = Repo(vanilla.hg, tmp_path / 'copy' / 'second')
    second.run('unbundle', tmp_path / '1')
    assert second.knows(node)


@servers.overweb()
def test_ranges(
    transport: servers.WebTransport, base: Repo, pushed: Callable[..., str]
) -> None:
    pushed('file')
    (path,) = store.bundles(base)
    data = path.read_bytes()
    size = len(data)
    # more than one block, so that a range can lie across two
    assert size > 200_000
    url = f'{transport.url(base)}/bundle/1'
    for first, end in (
        (0, 1),
        (0, size),
        (1, size),
        (100, 70_000),
        (65_535, 65_537),
        (65_536, 131_072),
        (size - 1, size),
    ):
        answer = get(url, {'Range': f'bytes={first}-{end - 1}'})
        expected = f'bytes {first}-{end - 1}/{size}'
        if (first, end) == (0, size):
            assert answer.status == 200
        else:
            assert answer.status == 206, answer
            assert answer.headers['content-range'] == expected
        assert answer.body == data[first:end], (first, end)
        assert answer.headers['content-length'] == str(end - first)
    assert get(url, {'Range': 'bytes=-10'}).body == data[-10:]
    assert get(url, {'Range': 'bytes=10-'}).body == data[10:]
    assert get(url, {'Range': f'bytes=5-{size * 9}'}).body == data[5:]
    beyond = get(url, {'Range': f'bytes={size}-'})
    assert beyond.status == 416
    assert beyond.headers['content-range'] == f'bytes */{size}'
    for strange in ('bytes=5-2', 'bytes=1-2,4-5', 'bytes=a-b', 'lines=1-2'):
        answer = get(url, {'Range': strange})
        assert answer.status == 200, strange
        assert answer.body == data, strange
    etag = get(url).headers['etag']
    resumed = {'Range': 'bytes=10-', 'If-Range': etag}
    assert get(url, resumed).body == data[10:]
    # what it began with is another bundle: all of this one
    resumed['If-Range'] = '"' + '0' * 64 + '"'
    assert get(url, resumed).body == data
    same = get(url, {'If-None-Match': f'"x", {etag}'})
    assert same.status == 304
    assert same.body == b''
    assert get(url, {'If-None-Match': 'W/"0"'}).status == 200


@servers.overweb()
def test_resume(
    transport: servers.WebTransport,
    base: Repo,
    pushed: Callable[..., str],
    tmp_path: Path,
) -> None:
    """A download that broke off goes on where it stopped."""
    pushed('file')
    (path,) = store.bundles(base)
    data = path.read_bytes()
    (tmp_path / '1').write_bytes(data[:100_000])
    subprocess.run(
        ['curl', '-sSfO', '-C', '-', f'{transport.url(base)}/bundle/1'],
        cwd=tmp_path,
        check=True,
    )
    assert (tmp_path / '1').read_bytes() == data


@servers.overweb()
def test_unknown(
    transport: servers.WebTransport, base: Repo, hashes: history.History
) -> None:
    site = transport.url(base)
    for name in ('1', '0', '9' * 30, 'f' * 40, 'abc', '../hgrc', hashes.start):
        answer = get(f'{site}/bundle/{name}')
        assert answer.status == 404, f'{name}\n{answer}'
        assert 'Traceback' not in answer.text
    assert 'expired' in get(f'{site}/bundle/12').text
    assert get(f'{site}/bundle').status == 404


@servers.overweb('wsgi', later=['http'])
def test_old_not_found(
    transport: servers.WebTransport,
    base: Repo,
    client: Repo,
    pushed: Callable[..., str],
    hashes: history.History,
) -> None:
    """Who was told that there is no such bundle is not told so again, on the
    grounds that the base is what it was."""
    pushed('first')
    site = transport.url(base)
    page = get(f'{site}/rev/{hashes.merged}')
    seen = {'If-None-Match': page.headers['etag']}
    node = client.commit({'later': 'a'}, 'later', parent=hashes.merged)
    paths = [f'bundle/{name}' for name in (node, node[:12], '2', 'scratch/b')]
    paths += [f'rev/{node}', 'rev/scratch/b', f'json-pushes?changeset={node}']
    for path in paths:
        for headers in ({}, seen):
            missing = get(f'{site}/{path}', headers)
            assert missing.status in (200, 404), missing
            assert 'etag' not in missing.headers, missing
    client.run('push', '--bundle-store', '-r', node, '-B', 'scratch/b')
    for path in paths:
        found = get(f'{site}/{path}', seen)
        assert found.status == 200, found
        assert found.headers.get('etag') != page.headers['etag']


@servers.overweb('http', 'wsgi')
def test_not_joined_for_nothing(
    transport: servers.WebTransport,
    base: Repo,
    pushed: Callable[..., str],
    client: Repo,
) -> None:
    """HEAD, and who has the bundle, are answered without making one of
    several: where that is impossible, they are none the worse."""
    node = pushed('file')
    above = client.commit({'above': 'a'}, 'above', parent=node)
    client.run('push', '--bundle-store', '-r', above)
    url = f'{transport.url(base)}/bundle/2'
    whole = get(url)
    assert whole.status == 200
    etag = whole.headers['etag']
    # joining them would find this out
    for path in store.bundles(base):
        path.chmod(0o600)
        data = bytearray(path.read_bytes())
        data[100] ^= 1
        path.write_bytes(data)
    head = get(url, method='HEAD')
    assert head.status == 200
    assert head.headers['etag'] == etag
    assert 'content-length' not in head.headers
    for method in ('GET', 'HEAD'):
        same = get(url, {'If-None-Match': etag}, method)
        assert same.status == 304
        assert same.body == b''
    for path in store.bundles(base):
        path.unlink()
    assert get(url, method='HEAD').status == 404
    assert get(url).status == 404


@servers.overweb('http', 'wsgi')
def test_rot_is_told(
    transport: servers.WebTransport, base: Repo, pushed: Callable[..., str]
) -> None:
    """Of a damaged bundle nothing is sent but a sentence; a part of one, or
    one that rests on it, is no better."""
    node = pushed('file')
    spoil(base)
    transport.maycrash = True
    url = f'{transport.url(base)}/bundle/'
    for name in ('1', node, node[:12]):
        answer = get(url + name)
        assert answer.status == 500, answer
        assert 'is corrupt' in answer.text
        assert 'etag' not in answer.headers
    assert get(f'{url}1', {'Range': 'bytes=0-99'}).status == 500


def spoil(base: Repo) -> None:
    """Change a byte in the middle of each bundle."""
    for path in store.bundles(base):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)


@servers.overweb('wsgi', later=['http'])
def test_rot_is_not_served(
    transport: servers.WebTransport,
    base: Repo,
    pushed: Callable[..., str],
    tmp_path: Path,
) -> None:
    """Of a bundle that is too large to be read before, the connection breaks
    off before the last byte, so that a client knows that it has nothing; the
    log has the reason."""
    impatient = tmp_path / 'impatient.py'
    impatient.write_text(
        'from hgext3rd.bundlestore.bundle import reading\n'
        'from hgext3rd.bundlestore.web import download\n'
        'download._KEEP = reading.ADVANCE = 0\n'
    )
    base.configure('extensions', {'impatient': str(impatient)})
    pushed('file')
    spoil(base)
    transport.maycrash = True
    url = f'{transport.url(base)}/bundle/1'
    for extra in (
        [],
        # the rot is not in what is asked for, but who knows
        ['-r', '0-99'],
        ['-r', '150000-200000'],
    ):
        done = subprocess.run(
            ['curl', '-sS', '-o', 'got', '--max-time', '60', *extra, url],
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
        )
        # 18: a part of it only; 56, 52: the connection was closed
        assert done.returncode in (18, 52, 56), done
    clone = base.hg.plain().clone(base.path, tmp_path / 'clone')
    before = clone.nodes()
    failed = clone.run('unbundle', url, ok=None)
    assert failed.code == 255, failed
    assert clone.nodes() == before
    assert 'does not match' in transport.log() or re.search(
        'CorruptBundle', transport.log()
    )


@servers.overweb('http', 'wsgi')
@pytest.mark.parametrize('webconfig', [{'allow-pull': 'no'}])
def test_not_for_those_who_may_not_pull(
    transport: servers.WebTransport,
    base: Repo,
    client: Repo,
    hashes: history.History,
) -> None:
    node = client.commit({'a': 'a'}, 'a', parent=hashes.tagged)
    # into the same store, by path
    client.run('push', '--bundle-store', '-r', node, base.path)
    site = transport.url(base)
    assert get(f'{site}/bundle/1').status == 401
    assert get(f'{site}/rev/{node}').status == 200


@servers.overweb('http')
def test_elsewhere(
    transport: servers.WebTransport,
    base: Repo,
    pushed: Callable[..., str],
    tmp_path: Path,
) -> None:
    """A store that has an address for a bundle spares the server the work."""
    pushed('file')
    backend = tmp_path / 'elsewhere.py'
    backend.write_text(ELSEWHERE)
    base.configure('extensions', {'elsewhere': str(backend)})
    transport.restart()
    answer = get(f'{transport.url(base)}/bundle/1')
    assert answer.status == 302, answer
    (path,) = store.bundles(base)
    key = hashlib.sha256(path.read_bytes()).hexdigest()
    assert answer.headers['location'] == f'http://127.0.0.1:9/{key}?signed=1'


#: an extension that lets the file store give addresses
ELSEWHERE = """\
from zope.interface import classImplements
from hgext3rd.bundlestore.interfaces import IDownloadURL
from hgext3rd.bundlestore.stores import file

def downloadurl(self, key):
    self.size(key)
    return f'http://127.0.0.1:9/{key}?signed=1'

file.FileStore.downloadurl = downloadurl
classImplements(file.FileStore, IDownloadURL)
"""
