"""hgweb: the page of one push, and the links to it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from harness import history, matrix, servers, store
from harness.hg import Repo
from harness.shelf import Shelf
from harness.web import Response, get

STYLES = ('paper', 'gitweb', 'monoblue', 'coal', 'spartan')
ATOM = '{http://www.w3.org/2005/Atom}'
CI = 'https://ci.example.org'

#: templates and the index of repositories differ between releases
RELEASES = pytest.mark.parametrize(
    ('transport_name', 'server_version'),
    [
        pytest.param(
            'wsgi',
            version,
            marks=[] if version == matrix.NEWEST else [matrix.ANOTHER],
        )
        for version in (matrix.VERSIONS[0], matrix.NEWEST)
    ],
)


@pytest.fixture
def webconfig() -> dict[str, str]:
    return {'allow-archive': 'gz', 'name': 'parser'}


@pytest.fixture
def storeconfig() -> dict[str, str]:
    return {'changeset-url': f'{CI}/{{node}}'}


@pytest.fixture
def pushed(
    transport: servers.WebTransport,
    base: Repo,
    client: Repo,
    hashes: history.History,
    shelf: Shelf,
) -> list[str]:
    """The changesets of push 1, of alice: two on each other, and another head
    on a branch."""

    base.configure('push', {'pushvars.server': 'yes'})

    def push() -> list[str]:
        one = client.commit({'one': '1'}, 'first <b>', parent=hashes.merged)
        two = client.commit({'two': '2'}, 'second', parent=one, user='bob')
        side = client.commit(
            {'side': '3'}, 'aside', parent=hashes.merged, branch='other'
        )
        client.run(
            *('push', '--bundle-store', base.path),
            *('-r', two, '-r', side, '--pushvars', 'BUDGET=<5>'),
            env={'REMOTE_USER': 'alice'},
        )
        client.run(
            *('push', '--bundle-store', '-r', one, '-B', 'scratch/x'),
            base.path,
            env={'REMOTE_USER': 'bob'},
        )
        return [one, two, side]

    return shelf.once('push page', [base, client], push)


def page(site: str, path: str, status: int = 200) -> Response:
    found = get(f'{site}/{path}')
    assert found.status == status, found
    return found


@RELEASES
def test_page(
    transport: servers.WebTransport, base: Repo, pushed: list[str]
) -> None:
    """Everything that is known of a push, in each style."""
    site = transport.url(base)
    one, two, side = pushed
    for style in STYLES:
        text = page(site, f'push/1?style={style}').text
        for node in pushed:
            assert f'/rev/{node}?style={style}"' in text, style
        assert text.count(f'href="{CI}/') == 2, style
        assert f'href="{CI}/{two}"' in text
        assert 'first &lt;b&gt;' in text
        assert '>alice</a>' in text
        assert '>bob</td>' in text.replace('\n', '')
        assert '>other</td>' in text
        assert '3 changesets, 2 heads' in text
        pull = re.search(r'hg pull( -r \w{40}){2} http://\S+/base<', text)
        assert pull, style
        assert {two, side} < set(pull[0].split()), style
        assert re.search(r'hg unbundle http://\S+/base/bundle/1<', text)
        assert f'archive/{two}.tar.gz' in text
        # in the menu, and in what some styles have above their pages
        above = 0 if style in ('paper', 'coal') else 1
        assert text.count('pushes</a>') == 1 + above, style
    marked = page(site, 'push/2').text
    assert 'scratch/x</a>' in marked
    assert ' 1 changeset<' in marked.replace('>1', '> 1')
    assert f'pull -r {one} ' in marked


@servers.overweb('wsgi')
def test_links_to_it(
    transport: servers.WebTransport, base: Repo, pushed: list[str]
) -> None:
    site = transport.url(base)
    for style in STYLES:
        log = page(site, f'pushes?style={style}').text
        assert f'/push/2?style={style}" aria-label="push 2">2</a>' in log
        own = page(site, f'rev/{pushed[2]}?style={style}').text
        assert f'/push/1?style={style}">push 1</a>' in own, style
        # the last changeset of a bundle is not the tip of the repository
        assert '>tip</' not in own, style
    feed = ElementTree.fromstring(page(site, 'atom-pushes').body)
    links = {
        link.get('href')
        for link in feed.iter(f'{ATOM}link')
        if link.get('rel') == 'alternate'
    }
    assert any(str(link).endswith('/push/1') for link in links), links


@pytest.mark.slow('many pages')
@servers.overweb('wsgi', later=['http'])
def test_unknown(
    transport: servers.WebTransport, base: Repo, pushed: list[str]
) -> None:
    site = transport.url(base)
    base.hg.run('-R', base.path, 'admin::bundlestore-remove', '2')
    for name in ('2', '77', '0', '-1', 'x', '1/2', '9' * 20, ''):
        missing = page(site, f'push/{name}', 404).text
        assert f'no push {name}' in missing
        assert '>pushes</a>' in missing
    assert page(site, 'raw-push/1', 404)


@servers.overweb('wsgi')
def test_without_its_bundle(
    transport: servers.WebTransport, base: Repo, pushed: list[str]
) -> None:
    """What the index knows is there; the rest is the store's trouble."""
    transport.maycrash = True
    for path in store.bundles(base):
        path.unlink()
    text = page(transport.url(base), 'push/1').text
    assert 'cannot be read' in text
    assert all(node in text for node in pushed)
    assert 'second' in text  # a head


@pytest.mark.slow('many pages')
@servers.overweb('wsgi')
def test_variables_and_statuses(
    transport: servers.WebTransport, base: Repo, pushed: list[str]
) -> None:
    """What was pushed along, and how it went, on all pages and in the feed."""
    for context, state in (
        ('linux/<i>', 'success'),
        ('mac', 'failure'),
        ('win', 'success'),
    ):
        base.hg.run(
            *('-R', base.path, 'admin::bundlestore-status', '1'),
            *('--context', context, '--state', state),
            *('--url', f'{CI}/?a=1&b=2', '--description', 'it <b>ended</b>'),
        )
    site = transport.url(base)
    for style in STYLES:
        text = page(site, f'push/1?style={style}').text
        assert 'BUDGET=&lt;5&gt;</code>' in text
        assert f'<a href="{CI}/?a=1&amp;b=2">linux/&lt;i&gt;</a>' in text
        assert 'it &lt;b&gt;ended&lt;/b&gt;' in text
        log = page(site, f'pushes?style={style}').text
        for what in ('2 success', '1 failure'):
            assert f'/push/1?style={style}">{what}</a>' in log
        own = page(site, f'rev/{pushed[2]}?style={style}').text
        assert f'/push/1?style={style}">1 failure</a>' in own
        other = page(site, f'push/2?style={style}').text
        assert 'hidden="hidden"><th scope="row">how it went' in other
    assert '1 failure 2 success' in page(site, 'atom-pushes').text


MANY = """\
import hashlib, os
from hgext3rd.bundlestore import backends, model

def uisetup(ui):
    place = model.Place(os.environb[b'FILL_FOLDER'])
    index = backends.openindex('file', place)
    nodes = tuple(hashlib.sha1(b'%d' % n).digest() for n in range(10000))
    index.record(model.NewPush(
        1700000000.0, 'alice', hashlib.sha256(b'x').hexdigest(), 100,
        nodes, (model.Head(nodes[-1], 'the last'),), text='the last',
    ))
    ui.write(b'filled')
"""


@pytest.mark.slow('many pages')
@servers.overweb('wsgi')
def test_many_changesets(transport: servers.WebTransport, base: Repo) -> None:
    """A hundred of ten thousand, unless more are asked for."""
    transport.maycrash = True  # there is no bundle
    script = base.path.parent / 'many.py'
    script.write_text(MANY)
    base.hg.run(
        'version',
        config=['extensions.bundlestore=', f'extensions.many={script}'],
        env={'FILL_FOLDER': str(store.folder(base))},
    )
    site = transport.url(base)
    first = page(site, 'push/1').text
    assert first.count('/rev/') == 100
    assert 'the last' in first
    assert len(first) < 64_000
    link = re.search(r'and 9900 more\s+<a href="[^"]*(push/1[^"]*)"', first)
    assert link
    whole = page(site, link[1]).text
    assert whole.count('/rev/') == 10_000
    assert 'show less</a>' in whole
    assert page(site, 'push/1?revcount=7').text.count('/rev/') == 7
    assert page(site, 'push/1?revcount=x').text.count('/rev/') == 100


@pytest.mark.slow('many pages')
@servers.overweb('wsgi')
def test_my_pushes(
    transport: servers.WebTransport, base: Repo, pushed: list[str]
) -> None:
    def ids(user: str, query: str) -> list[str]:
        found = get(f'{transport.url(base)}/pushes{query}', user=user)
        return re.findall(r'id="push-(\d+)"', found.text)

    assert ids('alice', '') == ['2', '1']
    assert ids('alice', '?mine=1') == ['1']
    assert ids('bob', '?mine=1') == ['2']
    assert ids('nobody', '?mine=1') == []
    own = get(f'{transport.url(base)}/pushes', user='bob').text
    assert 'pushes?mine=1">my pushes</a>' in own
    assert 'name="mine"' in own
    theirs = get(f'{transport.url(base, "nobody")}/pushes', user='nobody').text
    assert 'mine' not in theirs
    mine = get(f'{transport.url(base)}/pushes?mine=1', user='bob').text
    assert 'checked' in mine
    assert 'atom-pushes?user=bob"' in mine


@pytest.mark.slow('many pages')
@RELEASES
def test_menus(transport: servers.WebTransport, base: Repo) -> None:
    """Each page of each style has one link to the push log."""
    site = transport.url(base)
    for style in STYLES:
        for path in ('log', 'branches', 'rev/tip', 'file/tip', 'rev/nonesuch'):
            if style == 'spartan' and 'nonesuch' in path:
                continue  # its pages of errors have no menu
            text = get(f'{site}/{path}?style={style}').text
            assert text.count(f'pushes?style={style}">pushes</a>') == 1, (
                style,
                path,
            )


@pytest.mark.slow('many pages')
@RELEASES
def test_index_of_repositories(
    transport: servers.WsgiTransport, base: Repo
) -> None:
    """Those that have a bundle store link to their pushes, once the process
    has seen that there is such an extension."""
    for worker in transport.workers():
        with transport.only(worker):
            page(transport.url(base), 'pushes')
    plain = transport.root / 'plain'
    history.copy(base.path, plain)
    (plain / '.hg' / 'hgrc').write_text('')
    address = transport.url(base).rpartition('/')[0]
    for style in STYLES:
        text = get(f'{address}/?style={style}').text
        assert 'plain' in text
        found = re.findall(r'href="(/[^"]*/pushes\b[^"]*)">pushes</a>', text)
        assert len(found) == 1, style
        assert 'base/pushes' in found[0]


@pytest.mark.slow('many pages')
@servers.overweb('wsgi-hgweb')
@pytest.mark.parametrize('webconfig', [{'baseurl': 'https://hg.example.org/p'}])
def test_baseurl(
    transport: servers.WebTransport, base: Repo, pushed: list[str]
) -> None:
    site = transport.url(base)
    text = page(site, 'push/1').text
    assert re.search(r'hg pull .* https://hg\.example\.org/p<', text)
    own = page(site, f'rev/{pushed[0]}').text
    assert f'{pushed[0]} https://hg.example.org/p<' in own
    feed = page(site, 'atom-pushes').text
    assert 'href="https://hg.example.org/p/push/1"' in feed
    assert '127.0.0.1' not in feed
    assert 'localhost' not in feed
