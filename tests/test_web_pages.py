"""hgweb: the pages of scratch changesets."""

from __future__ import annotations

import itertools
import re
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from harness import history, matrix, servers, store
from harness.hg import Repo
from harness.shelf import Shelf
from harness.snapshot import untouched
from harness.web import get

STYLES = ('paper', 'gitweb', 'monoblue', 'json')

#: what hgweb shows of a changeset ({0}); the changeset has the file
#: src/main.txt and changes it
PAGES = (
    'rev/{0}',
    'raw-rev/{0}',
    'json-rev/{0}',
    'changeset/{0}',
    'file/{0}',
    'file/{0}/src',
    'file/{0}/src/main.txt',
    'raw-file/{0}/src/main.txt',
    'json-file/{0}/src/main.txt',
    'diff/{0}/src/main.txt',
    'comparison/{0}/src/main.txt',
    'annotate/{0}/src/main.txt',
    'filelog/{0}/src/main.txt',
    'log/{0}/src/main.txt',
    'log/{0}',
    'shortlog/{0}',
    'changelog/{0}',
    'json-changelog/{0}',
    'graph/{0}',
    'json-graph/{0}',
    'log?rev={0}',
    'graph?graphtop={0}',
    'atom-log/{0}/src/main.txt',
    'rss-log/{0}/src/main.txt',
    'archive/{0}.tar.gz',
    'archive/{0}.zip',
    'archive/{0}.zip/src',
)

ALLSERVERS = pytest.mark.parametrize(
    ('transport_name', 'server_version'),
    [
        pytest.param(
            name,
            version,
            marks=[]
            if (name, version) == ('wsgi', matrix.NEWEST)
            else [matrix.ANOTHER],
        )
        for version in matrix.VERSIONS
        for name in ('http', 'wsgi')
    ],
)


@pytest.fixture
def webconfig() -> dict[str, str]:
    return {'allow-archive': 'gz, zip'}


@pytest.fixture
def site(transport: servers.Transport, base: Repo) -> str:
    """The address of the base repository's pages."""
    return transport.url(base) + '/'


@pytest.fixture
def push(
    transport: servers.Transport,
    base: Repo,
    client: Repo,
    hashes: history.History,
    shelf: Shelf,
) -> Callable[..., str]:
    """``push(name)`` pushes a changeset of that name and returns its hash."""

    def make(name: str, *args: str, parent: str = '') -> str:
        if pushed:
            return one(name, *args, parent=parent)
        pushed.append(name)
        return shelf.once(
            f'{transport.name} page {name} {parent} {args}',
            [base, client],
            lambda: one(name, *args, parent=parent),
        )

    def one(name: str, *args: str, parent: str) -> str:
        node = client.commit(
            {'src/main.txt': f'{name}\n', 'new.txt': name},
            f'{name}: a try\n\nwith more words',
            parent=parent or hashes.merged,
        )
        client.run('push', '--bundle-store', '-r', node, *args)
        return node

    pushed: list[str] = []
    return make


def landed(transport: servers.Transport, client: Repo) -> str:
    """Serve a repository that holds what the client has, without a bundle
    store, and return the address of its pages."""
    name = transport.root / 'landed'
    history.copy(client.path, name)
    (name / '.hg' / 'hgrc').write_text('[web]\nallow-archive = gz, zip\n')
    return transport.url(name) + '/'


@pytest.mark.slow('every page there is')
@ALLSERVERS
def test_every_page(
    transport: servers.Transport,
    base: Repo,
    site: str,
    client: Repo,
    push: Callable[..., str],
) -> None:
    """Each page is there, in each style, and shows what the same page shows
    of a repository that holds the changeset."""
    parent = push('first')
    node = push('second', parent=parent)
    other = landed(transport, client)
    with untouched(base.path):
        for page in PAGES:
            path = page.format(node)
            ours, theirs = get(site + path), get(other + path)
            assert theirs.status == 200, f'{page}\n{theirs}'
            assert ours.status == 200, f'{page}\n{ours}'
            assert ours.type == theirs.type, page
            if 'raw-' in page:
                assert ours.body == theirs.body, page
            elif ours.type == 'application/zip':
                assert unpacked(ours.body) == unpacked(theirs.body), page
            elif ours.type == 'application/json':
                assert nodes(ours.text) == nodes(theirs.text), page
            elif ours.type == 'text/html':
                assert node in nodes(ours.text), page
        # templates know nothing of what kind of server it is
        for style in STYLES if transport.name == 'wsgi' else ():
            for page in PAGES:
                if '-' in page or 'archive' in page:
                    continue
                path = page.format(node) + ('&' if '?' in page else '?')
                response = get(f'{site}{path}style={style}')
                # the style json has no such page
                missing = style == 'json' and page == 'graph?graphtop={0}'
                if not missing:
                    assert response.status == 200, f'{style} {page}\n{response}'


def unpacked(data: bytes) -> dict[str, bytes]:
    """Return the files of an archive. Their folder and the description in it
    tell which repository it is from."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return {
            name.partition('/')[2]: archive.read(name)
            for name in archive.namelist()
            if not name.endswith('.hg_archival.txt')
        }


def nodes(text: str) -> set[str]:
    return set(re.findall(r'\b[0-9a-f]{40}\b', text))


@servers.overweb()
def test_names(site: str, push: Callable[..., str]) -> None:
    """A prefix and a scratch bookmark do for a hash."""
    node = push('named', '-B', 'scratch/alice/x')
    for name in (
        node[:12],
        node[:6],
        'scratch/alice/x',
        'scratch%2Falice%2Fx',
        # what hgweb makes of a slash in its own links
        'scratch%252Falice%252Fx',
    ):
        assert node in nodes(get(f'{site}rev/{name}').text), name
        raw = get(f'{site}raw-file/{name}/src/main.txt')
        assert raw.body == b'named\n', f'{name}\n{raw}'
        packed = get(f'{site}archive/{name}.zip')
        assert unpacked(packed.body)['new.txt'] == b'named', f'{name}\n{packed}'


@servers.overweb()
def test_mark(
    site: str, push: Callable[..., str], hashes: history.History
) -> None:
    """The page of a scratch changeset says so: who, when, how to get it."""
    node = push('marked')
    for style in ('paper', 'gitweb', 'monoblue', 'coal'):
        page = get(f'{site}rev/{node}?style={style}').text
        assert 'scratch changeset' in page, style
        assert f'hg pull -r {node} http://' in page, style
        assert re.search(r'pushed( by <a .*>)?\s+<span class="age">', page)
        assert '>push 1</a>' in page, style
        log = get(f'{site}log/{node}?style={style}').text
        assert log.count('>scratch</span>') == 1, style
        for path in (f'rev/{hashes.merged}', 'log'):
            page = get(f'{site}{path}?style={style}').text
            assert '>scratch</span>' not in page, f'{style} {path}'
            assert 'scratch changeset' not in page, f'{style} {path}'


@servers.overweb()
def test_navigation(site: str, push: Callable[..., str]) -> None:
    push('any')
    for style in ('paper', 'gitweb', 'monoblue', 'coal'):
        for page in ('log', 'tags', 'file', 'graph', 'help'):
            text = get(f'{site}{page}?style={style}').text
            assert f'pushes?style={style}">pushes</a>' in text, (style, page)


@servers.overweb()
def test_difference_of_two(
    site: str, push: Callable[..., str], hashes: history.History
) -> None:
    """hgweb shows the difference FROM:TO; either may be a scratch changeset."""
    one = push('one', parent=hashes.left)
    two = push('two', parent=hashes.right)
    for a, b, removed, added in (
        (one, two, '-one', '+two'),
        (hashes.left, two, '-line ten', '+two'),
        (one, hashes.left, '-one', '+line ten'),
    ):
        page = get(f'{site}raw-rev/{a}:{b}')
        assert page.status == 200, page
        text = re.sub(r'\r', '', page.text)
        assert f'\n{removed}\n' in text, text
        assert f'\n{added}\n' in text, text


@servers.overweb('http', 'wsgi', later=['wsgi-hgweb'])
def test_not_found_and_not_cached(
    site: str, client: Repo, hashes: history.History
) -> None:
    """An unknown hash is a page that a person understands, and no browser
    keeps it once the changeset has been pushed."""
    node = client.commit({'a': 'a'}, 'later', parent=hashes.tagged)
    url = f'{site}rev/{node}'
    missing = get(url)
    assert missing.status == 404
    assert re.search(
        r'unknown revision \S*[0-9a-f]{40}\S*: not in', missing.text
    )
    assert 'expired' in missing.text
    seen = {'If-None-Match': missing.headers.get('etag', 'W/"0"')}
    assert get(url, seen).status == 404
    client.run('push', '--bundle-store', '-r', node)
    page = get(url, seen)
    assert page.status == 200
    # nor the page itself, for the time when the push has expired
    assert 'etag' not in page.headers
    known = get(f'{site}rev/{hashes.merged}')
    if 'etag' in known.headers:
        again = get(
            f'{site}rev/{hashes.merged}',
            {'If-None-Match': known.headers['etag']},
        )
        assert again.status == 304


@servers.overweb()
def test_ambiguous_prefix(
    site: str, base: Repo, client: Repo, push: Callable[..., str]
) -> None:
    """The base goes first, and what only the store knows must be one."""
    node = push('unlike')
    unknown = get(f'{site}rev/scratch/nothing')
    assert unknown.status == 404, unknown
    short = get(f'{site}rev/{node[:5]}')
    assert short.status == 404, short


@servers.overweb()
@pytest.mark.parametrize('harm', ['flip', 'cut', 'lose'])
def test_broken_bundle(
    transport: servers.WebTransport,
    base: Repo,
    site: str,
    push: Callable[..., str],
    hashes: history.History,
    harm: str,
) -> None:
    """The user sees a sentence, the server's log the traceback; nobody else
    is harmed."""
    node = push('broken')
    (path,) = store.bundles(base)
    spoil(path, harm)
    transport.maycrash = True
    for style in STYLES:
        page = get(f'{site}rev/{node}?style={style}')
        assert page.status == 500, page
        assert 'Traceback' not in page.text
        assert 'bundle' in page.text, page
    assert 'Traceback (most recent call last)' in transport.log()
    assert get(f'{site}rev/{hashes.merged}').status == 200
    assert get(f'{site}pushes').status == 200
    full = get(f'{site}json-pushes?full=1&version=2').json()
    assert full['pushes']['1']['changesets'] == [{'node': node}]


def spoil(path: Path, harm: str) -> None:
    if harm == 'lose':
        path.unlink()
        return
    data = bytearray(path.read_bytes())
    path.chmod(0o600)
    if harm == 'flip':
        data[len(data) // 2] ^= 1
    else:
        del data[len(data) // 2 :]
    path.write_bytes(data)


@servers.overweb('wsgi', 'wsgi-hgweb')
def test_seen_at_once_by_all(
    transport: servers.WsgiTransport,
    base: Repo,
    site: str,
    push: Callable[..., str],
) -> None:
    """Each process of the server sees what another one has stored."""
    with untouched(base.path):
        for number in range(3):
            node = push(f'number {number}')
            answered = set()
            for worker in transport.workers():
                with transport.only(worker):
                    page = get(f'{site}raw-rev/{node}')
                    assert page.status == 200, page
                    assert f'number {number}: a try' in page.text
                    answered.add(page.headers['x-worker'])
            assert len(answered) == 2
        assert get(f'{site}rev/{node}').status == 200
    # what was opened for a page is closed with it
    for worker in transport.workers():
        for _attempt in itertools.islice(servers.patiently(), 200):
            files = Path(f'/proc/{worker}/fd').iterdir()
            if not any('bundles' in file.resolve().parts for file in files):
                break
        else:
            pytest.fail('a stored bundle is open')
