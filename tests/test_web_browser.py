"""The push log and the pages of scratch changesets, in a real browser."""

from __future__ import annotations

import tarfile
import urllib.parse

import pytest

from harness import servers
from harness.browser import DESKTOP, PHONE, Browser, Size
from harness.hg import Repo
from harness.history import History
from harness.servers import WsgiTransport
from harness.shelf import Shelf

pytestmark = pytest.mark.slow('starts a browser')

STYLES = ('paper', 'gitweb', 'monoblue')
HOSTILE = '<script>alert(1)</script>"\'><img src=x onerror=alert(2)>'


@pytest.fixture
def webconfig() -> dict[str, str]:
    return {'allow-archive': 'gz', 'name': 'the base'}


def push(
    client: Repo, base: Repo, hashes: History, name: str, user: str
) -> str:
    node = client.commit(
        {'src/main.txt': f'{name}\n', f'{name}.txt': name},
        f'{name}: change the main file of a project with a long description',
        parent=hashes.merged,
        user=f'{user} <{user}@example.org>',
    )
    client.run(
        *('push', '--bundle-store', '-r', node, base.path),
        *('-B', f'scratch/{user}/{name}'),
        env={'REMOTE_USER': user},
    )
    return node


@servers.overweb('wsgi')
@pytest.mark.parametrize('style', STYLES)
@pytest.mark.parametrize(
    ('size', 'scripts'),
    [(DESKTOP, True), (PHONE, True), (PHONE, False)],
    ids=['desktop', 'phone', 'phone-nojs'],
)
def test_from_the_push_log(
    transport: WsgiTransport,
    base: Repo,
    client: Repo,
    hashes: History,
    shelf: Shelf,
    browser: Browser,
    size: Size,
    style: str,
    scripts: bool,
) -> None:
    """Search, and follow the links to a changeset, its diff, its archive."""
    users = {'wanted': 'alice', 'other': 'alice', 'third': 'bob'}
    wanted, _, _ = shelf.once(
        'three to look at',
        [base, client],
        lambda: [push(client, base, hashes, *item) for item in users.items()],
    )
    browser.javascript(scripts)
    browser.resize(size)
    site = transport.url(base, 'nobody')
    label = f'{style}-{"phone" if size.phone else "desktop"}'
    browser.open(f'{site}/log?style={style}')
    browser.follow(browser.link('pushes'))
    assert 'pushes' in browser.title.lower()
    for name in ('wanted:', 'other:', 'third:'):
        assert name in browser.text
    assert browser.overflow() == 0
    if scripts:
        browser.screenshot(f'pushes-{label}')
    browser.search('input[name=user]', 'alice')
    assert 'wanted:' in browser.text
    assert 'third:' not in browser.text
    browser.search('input[name=text]', 'main want')
    assert 'wanted:' in browser.text
    assert 'other:' not in browser.text
    # the search is still by user, too, and in the same style
    assert 'user=alice' in browser.url
    assert f'style={style}' in browser.url
    browser.search('input[name=text]', 'nonsense')
    assert 'no push found' in browser.text
    browser.open(f'{site}/pushes?style={style}')
    browser.search('input[name=changeset]', wanted[:12])
    assert 'wanted:' in browser.text
    assert 'other:' not in browser.text
    archive = browser.download(browser.link('gz'))
    with tarfile.open(archive) as tar:
        assert any(name.endswith('/wanted.txt') for name in tar.getnames())
    bundle = browser.download(browser.find('a[href*="/bundle/"]'))
    assert bundle.read_bytes().startswith(b'HG20')
    browser.follow(browser.find('a[href*="/rev/"]'))
    assert wanted in browser.url
    assert 'scratch changeset, pushed by alice' in browser.text
    assert f'hg pull -r {wanted} http' in browser.text
    if scripts:
        browser.screenshot(f'changeset-{label}')
    browser.open(f'{site}/pushes?style={style}')
    browser.follow(browser.link('diff'))
    assert '+third' in browser.text
    assert browser.errors() == []


@servers.overweb('wsgi')
@pytest.mark.parametrize('style', [*STYLES, 'coal', 'spartan'])
def test_markup_does_nothing(
    transport: WsgiTransport,
    base: Repo,
    client: Repo,
    hashes: History,
    shelf: Shelf,
    browser: Browser,
    style: str,
) -> None:
    """No script of a pusher runs, on no page."""
    hostile = HOSTILE.replace('/', '\u2215')

    def push() -> str:
        node = client.commit(
            {f'dir{hostile}/{hostile}': f'{HOSTILE}\n'},
            f'{HOSTILE}\n\n{HOSTILE}',
            parent=hashes.merged,
            user=HOSTILE,
            branch=hostile,
        )
        client.run(
            *('push', '--bundle-store', '-r', node),
            *('-B', f'scratch/{hostile}', base.path),
            env={'REMOTE_USER': HOSTILE},
        )
        return node

    node = shelf.once('hostile', [base, client], push)
    site = transport.url(base, 'nobody')
    quoted = urllib.parse.quote(HOSTILE)
    file = urllib.parse.quote(f'dir{hostile}/{hostile}')
    for path in (
        'pushes',
        'push/1',
        f'pushes?user={quoted}&text={quoted}&changeset={quoted}',
        f'rev/{node}',
        f'rev/{quoted}',
        f'log/{node}',
        f'graph/{node}',
        f'file/{node}',
        f'file/{node}/{file}',
        f'annotate/{node}/{file}',
        f'log/{node}/{file}',
        f'diff/{node}/{file}',
    ):
        joint = '&' if '?' in path else '?'
        browser.open(f'{site}/{path}{joint}style={style}')
        assert browser.dialog() is None, path
    browser.open(f'{site}/pushes?style={style}')
    assert HOSTILE in browser.text
    browser.screenshot(f'markup-{style}')


@servers.overweb('wsgi')
def test_scripts_of_hgweb_run(
    transport: WsgiTransport,
    base: Repo,
    client: Repo,
    hashes: History,
    browser: Browser,
) -> None:
    """The policy on pages of scratch changesets stops no script of hgweb."""
    node = push(client, base, hashes, 'one', 'alice')
    site = transport.url(base, 'nobody')
    for style in STYLES:
        for page in ('rev', 'log', 'graph', 'annotate', 'comparison'):
            path = f'{page}/{node}'
            if page in ('annotate', 'comparison'):
                path += '/src/main.txt'
            browser.open(f'{site}/{path}?style={style}')
            assert browser.errors() == [], (style, page)
        browser.open(f'{site}/rev/{node}?style={style}')
        # a script turns dates into ages
        assert 'ago' in browser.text, style


@servers.overweb('wsgi-hgweb')
@pytest.mark.parametrize(
    'size',
    [
        pytest.param(DESKTOP, id='desktop'),
        pytest.param(
            PHONE,
            id='phone',
            marks=pytest.mark.nightly('names are the same on a phone'),
        ),
    ],
)
def test_any_name(
    transport: WsgiTransport,
    base: Repo,
    client: Repo,
    hashes: History,
    shelf: Shelf,
    browser: Browser,
    size: Size,
) -> None:
    """Names and words of all scripts are shown, and found by what a user
    types; what means something to a browser is text."""
    names = ('j\xfcrgen', '\u5c71\u7530 \U0001f600', 'a+b&c=d%20', HOSTILE)
    words = ('\xc4nderung', '\u5909\u66f4', '100%', HOSTILE)

    def push() -> None:
        for number, (name, word) in enumerate(zip(names, words)):
            node = client.commit(
                {f'{number}': word},
                f'number{number} {word}',
                parent=hashes.merged,
            )
            client.run(
                *('push', '--bundle-store', '-r', node, base.path),
                env={'REMOTE_USER': name},
            )

    shelf.once('any name', [base, client], push)
    browser.resize(size)
    site = transport.url(base, 'nobody')
    for style in STYLES:
        for number, name in enumerate(names):
            browser.open(f'{site}/pushes?style={style}')
            for other in names:
                assert other in browser.text
            browser.search('input[name=user]', name)
            shown = [n for n in range(4) if f'number{n}' in browser.text]
            assert shown == [number], (style, name)
            # a link to the same user finds the same
            browser.follow(browser.link(name))
            assert f'number{number}' in browser.text
        browser.open(f'{site}/pushes?style={style}')
        browser.search('input[name=text]', '\xe4nderung')
        assert 'number0' in browser.text
        assert 'number1' not in browser.text
        assert browser.overflow() == 0
        label = f'{style}-{"phone" if size.phone else "desktop"}'
        browser.screenshot(f'any-name-{label}')
        browser.search('input[name=changeset]', HOSTILE)
        assert HOSTILE in browser.text
        quoted = urllib.parse.quote(HOSTILE)
        browser.open(f'{site}/bundle/{quoted}?style={style}')
        # hgweb cuts it at the slash
        assert 'no push <script>alert(1)< in' in browser.text
        browser.open(f'{site}/pushes?startID=a%0d%0a%0d%0a{quoted}')
        assert 'invalid parameter: startID' in browser.text
        assert 'img' not in browser.text


@servers.overweb('wsgi')
@pytest.mark.parametrize(
    'style',
    [
        'paper',
        *(
            pytest.param(style, marks=pytest.mark.nightly('paper is in CI'))
            for style in ('gitweb', 'monoblue', 'spartan')
        ),
    ],
)
def test_graph_of_a_workspace(
    transport: WsgiTransport,
    base: Repo,
    client: Repo,
    hashes: History,
    shelf: Shelf,
    browser: Browser,
    style: str,
) -> None:
    def push() -> list[str]:
        nodes: list[str] = []
        for name in ('first', 'second', 'third', 'fourth'):
            parent = nodes[0] if name == 'third' else hashes.merged
            title = f'{name}: <b>what</b> was done to a parser, and much more'
            nodes.append(client.commit({name: name}, title, parent=parent))
        client.inspect('bookmark', '-r', nodes[1], 'idea')
        client.run(
            *('push', '--workspace', 'parser', base.path),
            env={'REMOTE_USER': 'alice'},
        )
        return nodes

    nodes = shelf.once('a workspace', [base, client], push)
    site = transport.url(base, 'nobody')
    for size in (PHONE, DESKTOP):
        browser.resize(size)
        browser.open(f'{site}/workspace/alice/parser?style={style}')
        assert browser.errors() == []
        assert browser.overflow() == 0
        browser.screenshot(f'workspace-{style}{"-phone" * size.phone}')
    for node in (*nodes, hashes.merged):
        row = browser.find(f'[data-node="{node[:12]}"]')
        # the script has drawn it, and made room for that
        assert row.value_of_css_property('padding-left') > '0px'
    colors = browser.driver.execute_script(
        'const canvas = document.getElementById("graph");'
        'const data = canvas.getContext("2d").getImageData('
        '0, 0, canvas.width, canvas.height).data;'
        'return data.filter((part, i) => i % 4 == 3 && part).length'
    )
    assert colors > 100
    browser.follow(browser.find(f'[data-node="{nodes[2][:12]}"] a'))
    assert 'scratch changeset' in browser.text
