"""hgweb: the push log, as a page, as JSON and as a feed."""

from __future__ import annotations

import html
import re
import time
import urllib.parse
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from harness import history, servers, store
from harness.hg import Hg, Repo
from harness.shelf import Shelf
from harness.web import crawl, get

STYLES = ('paper', 'gitweb', 'monoblue', 'coal', 'spartan')
ATOM = '{http://www.w3.org/2005/Atom}'

# What pushes in a test are: (user, names of changesets on top of each other).
# Pushed over ssh, where users have names without passwords.
PUSHES = (
    ('alice', ('one',)),
    ('bob', ('two', 'three')),
    ('alice', ('four',)),
    ('bob', ('five', 'six', 'seven')),
)


class Log:
    """A push log and where to read it."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.nodes: dict[str, str] = {}

    def json(self, query: str = '') -> Any:
        answer = get(f'{self.site}/json-pushes?{query}')
        assert answer.status == 200, answer
        assert answer.type == 'application/json'
        return answer.json()

    def ids(self, query: str = '') -> list[int]:
        """Return the ids in JSON, in their order there."""
        return [int(id) for id in self.json(query)]

    def shown(self, query: str = '') -> list[int]:
        """Return the ids on the page, in their order there."""
        page = get(f'{self.site}/pushes?{query}')
        assert page.status == 200, page
        return [int(id) for id in re.findall(r'id="push-(\d+)"', page.text)]

    def fed(self, query: str = '') -> list[int]:
        feed = get(f'{self.site}/atom-pushes?{query}')
        assert feed.status == 200, feed
        root = ElementTree.fromstring(feed.body)
        ids = [
            entry.findtext(f'{ATOM}id') for entry in root.iter(f'{ATOM}entry')
        ]
        return [int(str(id).rpartition('-')[2]) for id in ids]


@pytest.fixture
def log(
    transport: servers.WebTransport,
    base: Repo,
    client: Repo,
    hashes: history.History,
    shelf: Shelf,
) -> Log:
    """The push log of ``PUSHES``."""

    def push() -> dict[str, str]:
        nodes: dict[str, str] = {}
        for user, names in PUSHES:
            parent = hashes.merged
            for name in names:
                parent = client.commit(
                    {name: name},
                    f'{name} parser\n\nbody of {name}',
                    parent=parent,
                    user=f'{user} <{user}@example.org>',
                )
                nodes[name] = parent
            client.run(
                *('push', '--bundle-store', '-r', parent, base.path),
                env={'REMOTE_USER': user},
            )
        return nodes

    log = Log(transport.url(base))
    log.nodes = shelf.once('push log', [base, client], push)
    return log


@servers.overweb()
def test_json(log: Log) -> None:
    nodes = log.nodes
    everything = log.json()
    assert list(everything) == ['1', '2', '3', '4']
    second = everything['2']
    assert second['changesets'] == [nodes['two'], nodes['three']]
    assert second['user'] == 'bob'
    assert abs(second['date'] - time.time()) < 10_000
    assert isinstance(second['date'], int)
    assert set(second) == {'changesets', 'date', 'user'}
    versioned = log.json('version=2')
    assert versioned == {'lastpushid': 4, 'pushes': everything}
    assert log.json('version=1') == everything
    tips = log.json('tipsonly=1')
    assert tips['4']['changesets'] == [nodes['seven']]
    assert log.json('tipsonly=0') == everything


@servers.overweb()
def test_json_full(log: Log, hashes: history.History) -> None:
    nodes = log.nodes
    full = log.json('full=1&changeset=' + nodes['two'])
    assert full['2']['changesets'] == [
        {
            'node': nodes[name],
            'author': 'bob <bob@example.org>',
            'branch': 'default',
            'desc': f'{name} parser\n\nbody of {name}',
            'files': [name],
            'parents': [parent],
            'tags': [],
        }
        for name, parent in (('two', hashes.merged), ('three', nodes['two']))
    ]
    tips = log.json('full&tipsonly=1&version=2')['pushes']
    assert [entry['changesets'][0]['desc'][:5] for entry in tips.values()] == [
        'one p',
        'three',
        'four ',
        'seven',
    ]


@pytest.mark.slow('a request for each bound')
@servers.overweb()
def test_bounds(log: Log) -> None:
    """As Mozilla has them: all lower bounds exclusive, upper ones inclusive
    but for the date."""
    nodes, ids = log.nodes, log.ids
    assert ids('startID=0') == [1, 2, 3, 4]
    assert ids('startID=2') == [3, 4]
    assert ids('startID=4') == []
    assert ids('startID=1&endID=3') == [2, 3]
    assert ids('endID=2') == [1, 2]
    assert ids('startID=3&endID=1') == []
    assert ids(f'fromchange={nodes["two"]}') == [3, 4]
    assert ids(f'fromchange={nodes["three"]}') == [3, 4]
    assert ids(f'fromchange={nodes["one"]}&tochange={nodes["four"]}') == [2, 3]
    assert ids(f'tochange={nodes["two"][:12]}') == [1, 2]
    assert ids('user=bob') == [2, 4]
    assert ids('user=bob&user=alice') == [1, 2, 3, 4]
    assert ids('user=bob&startID=2') == [4]
    assert ids('user=nobody') == []
    assert ids(f'changeset={nodes["six"]}') == [4]
    assert ids(f'changeset={nodes["six"]}&changeset={nodes["one"]}') == [1, 4]
    assert ids(f'changeset={nodes["six"]}&user=alice') == []
    assert ids('text=five') == []  # of heads only
    assert ids('text=seven') == [4]
    assert ids('text=PARSER+body') == [1, 2, 3, 4]
    assert ids('text=body+of+thr') == [2]
    # dates
    dates = [entry['date'] for entry in log.json().values()]
    assert ids(f'startdate={dates[0] - 5}') == [1, 2, 3, 4]
    assert ids(f'startdate={dates[-1] + 5}') == []
    assert ids(f'enddate={dates[0] - 5}') == []
    assert ids(
        f'startdate={dates[0] - 5}&enddate={dates[-1] + 5}&user=bob'
    ) == [
        2,
        4,
    ]
    assert ids('startdate=2001-02-03') == [1, 2, 3, 4]
    assert ids('enddate=2001-02-03+04:05:06') == []
    # zero is a bound like any other
    for query in ('enddate=0', 'endID=0', 'startdate=0&endID=0'):
        assert ids(query) == [], query
        assert log.shown(query) == [], query
    assert ids('startdate=0') == ids('startdate=0.0') == [1, 2, 3, 4]
    # an empty field of a form restricts nothing
    assert ids('user=&changeset=&text=&startID=&endID=') == [1, 2, 3, 4]


@servers.overweb()
def test_page_and_feed_select_alike(log: Log) -> None:
    nodes = log.nodes
    for query in (
        '',
        'user=alice',
        f'changeset={nodes["six"][:8]}',
        'text=three',
        'startID=2',
        'endID=3',
        'user=bob&text=parser',
    ):
        expected = sorted(log.ids(query), reverse=True)
        assert log.shown(query) == expected, query
        assert log.fed(query) == expected, query
    # by another name
    query = f'fromchange={nodes["one"]}&tochange={nodes["four"]}'
    page = get(f'{log.site}/pushloghtml?{query}')
    assert page.body == get(f'{log.site}/pushes?{query}').body
    assert 'id="push-2"' in page.text


@servers.overweb()
@pytest.mark.parametrize(
    'query',
    [
        'version=3',
        'version=x',
        'startID=x',
        'startID=-1',
        'startID=1;DROP+TABLE+push',
        'endID=99999999999999999999',
        'startdate=nonsense',
        'text=' + '+'.join('abcdefghijk'),
        '&'.join(f'user={n}' for n in range(101)),
        '&'.join(f'user={n}&changeset={n:040x}' for n in range(11)),
    ],
)
def test_bad_parameters(
    transport: servers.WebTransport, base: Repo, query: str
) -> None:
    answer = get(f'{transport.url(base)}/json-pushes?{query}')
    assert answer.status == 400, answer
    assert 'error' in answer.json()


@servers.overweb()
def test_nothing_there(transport: servers.WebTransport, base: Repo) -> None:
    """An empty store, and none at all."""
    log = Log(transport.url(base))
    assert log.json() == {}
    assert log.json('version=2&startID=0') == {'lastpushid': 0, 'pushes': {}}
    assert log.shown() == []
    assert log.fed() == []
    for query in ('changeset=' + 'f' * 40, 'changeset=abcdefabcdef'):
        assert log.shown(query) == []
        assert get(f'{log.site}/json-pushes?{query}').status == 404
    assert get(f'{log.site}/json-pushes?fromchange=abcdef').status == 404
    assert get(f'{log.site}/json-pushes?fromchange=' + '1' * 40).status == 404
    assert store.bundles(base) == []
    (transport.root / 'plain').mkdir()
    base.hg.run('init', transport.root / 'plain')
    plain = Repo(base.hg, transport.root / 'plain')
    plain.enable()
    for path in (
        *('pushes', 'json-pushes', 'atom-pushes', 'pushloghtml', 'bundle/1'),
        'json-automationrelevance/tip',
    ):
        assert get(f'{transport.url(plain)}/{path}').status == 404


@servers.overweb()
def test_pages(
    transport: servers.WebTransport, base: Repo, hg: Callable[..., Hg]
) -> None:
    """Fifty on a page, in both directions, by push id."""
    fill(base, 120)
    log = Log(transport.url(base))
    url: str | None = f'{log.site}/pushes?user=alice&style=gitweb'
    seen = []
    urls = []
    while url:
        urls.append(url)
        page = get(url).text
        seen.append([int(id) for id in re.findall(r'id="push-(\d+)"', page)])
        url = linked(page, url, 'older')
    assert [len(ids) for ids in seen] == [50, 50, 20]
    # the first of them has 15 bookmarks
    page = get(urls[-1]).text
    assert page.count('scratch/') == 10
    assert 'and 5 more bookmarks' in page
    # as with "hg log -u", but machines name users
    assert 'id="push-120"' in get(f'{log.site}/pushes?user=LIC').text
    assert 'id="push-120"' not in get(f'{log.site}/pushes?user=bob').text
    assert get(f'{log.site}/pushes?user=re:a').status == 200
    assert log.ids('user=LIC') == []
    assert [id for ids in seen for id in ids] == list(range(120, 0, -1))
    # and back: no gaps, no matter how pages are cut
    back: list[int] = []
    url = urls[-1]
    while True:
        url = linked(get(url).text, url, 'newer')
        if url is None:
            break
        page = get(url).text
        ids = [int(id) for id in re.findall(r'id="push-(\d+)"', page)]
        assert ids == sorted(ids, reverse=True)
        back = ids + back
    assert back == list(range(120, 20, -1))
    assert linked(page, urls[-1], 'newest')
    # 10 for who does not say more, 50 in a feed
    assert log.ids() == list(range(111, 121))
    assert log.ids('startID=0') == list(range(1, 121))
    assert log.fed() == list(range(120, 70, -1))


def linked(page: str, url: str, label: str) -> str | None:
    found = re.search(f'<a [^>]*href="([^"]*)">{label}</a>', page)
    return found and urllib.parse.urljoin(url, html.unescape(found[1]))


def fill(base: Repo, count: int, user: str = 'alice') -> None:
    """Record pushes in the index alone."""
    script = base.path.parent / 'fill.py'
    script.write_text(FILL)
    done = base.hg.run(
        'version',
        config=['extensions.bundlestore=', f'extensions.fill={script}'],
        env={
            'FILL_FOLDER': str(store.folder(base)),
            'FILL_COUNT': str(count),
            'FILL_USER': user,
        },
    )
    assert 'filled' in done.out


FILL = """\
import hashlib, os
from hgext3rd.bundlestore import backends, model

def uisetup(ui):
    place = model.Place(os.environb[b'FILL_FOLDER'])
    index = backends.openindex('file', place)
    for number in range(int(os.environ['FILL_COUNT'])):
        digest = hashlib.sha256(b'%d' % number)
        node = digest.digest()[:20]
        title = f'number {number}'
        index.record(model.NewPush(
            1700000000.0 + number, os.environ['FILL_USER'],
            digest.hexdigest(), 100, (node,), (model.Head(node, title),),
            moves=[
                model.BookmarkMove(f'scratch/{n}', node, force=True)
                for n in range(15) if number == 0
            ],
            text=title,
        ))
    ui.write(b'filled')
"""


@servers.overweb()
def test_bounded_answers(transport: servers.WebTransport, base: Repo) -> None:
    """A poller that asks for everything gets the oldest, and all of them if
    it goes on from the last."""
    fill(base, 1100)
    # there are no bundles
    transport.maycrash = True
    log = Log(transport.url(base))
    first = log.json('startID=0&version=2')
    assert list(map(int, first['pushes'])) == list(range(1, 1001))
    assert first['lastpushid'] == 1100
    assert log.ids('startID=1000') == list(range(1001, 1101))
    # without a lower bound the newest
    assert log.ids('user=alice') == list(range(101, 1101))
    full = log.json('startID=0&full=1')
    assert list(map(int, full)) == list(range(1, 101))


@pytest.mark.slow('every page, in every style')
@servers.overweb('http', 'wsgi')
def test_every_link(log: Log, client: Repo, base: Repo) -> None:
    """Nothing that the pages link to is broken, in any style."""
    for style in ('paper', 'gitweb', 'monoblue'):
        found = crawl(
            f'{log.site}/pushes?style={style}', f'{log.site}/', limit=120
        )
        faults = [str(f) for f in found.faults if not foreign(f.url, f.what)]
        assert not faults, '\n'.join(faults)
        assert len(found.visited) > 60


def foreign(url: str, what: str) -> bool:
    """Whether a fault is one of Mercurial's own pages."""
    return 'help/' in url or 'help?' in url


HOSTILE = '<script>alert("x")</script>\'"&<img src=x onerror=alert(1)>'


@pytest.mark.slow('every page, with names that nobody would choose')
@servers.overweb()
@pytest.mark.parametrize(
    'webconfig',
    [{'allow-archive': 'gz, zip', 'csp': "script-src 'nonce-%nonce%'"}],
)
def test_markup_is_text(
    transport: servers.WebTransport,
    base: Repo,
    client: Repo,
    hashes: history.History,
) -> None:
    """Whatever a user controls is shown, and never understood."""
    hostile = HOSTILE.replace('/', '\u2215')
    node = client.commit(
        {f'dir{hostile}/{hostile}': f'{HOSTILE}\n'},
        f'{HOSTILE}\n\n{HOSTILE}',
        parent=hashes.merged,
        user=f'{HOSTILE}',
        branch=f'{hostile}',
    )
    bookmark = f'scratch/{hostile}'
    client.run(
        *('push', '--bundle-store', '-r', node, '-B', bookmark, base.path),
        env={'REMOTE_USER': HOSTILE},
    )
    site = transport.url(base)
    quoted = urllib.parse.quote(HOSTILE)
    file = urllib.parse.quote(f'dir{hostile}/{hostile}')
    found: list[str] = []
    for style in STYLES:
        for path in (
            'pushes',
            'push/1',
            f'push/{quoted}',
            f'pushes?user={quoted}',
            f'pushes?changeset={quoted}&text={quoted}',
            f'pushes?startID={quoted}',
            f'pushes?user={quoted}&style={quoted}',
            f'rev/{node}',
            f'rev/{urllib.parse.quote(bookmark)}',
            f'rev/scratch/{quoted}',
            f'log/{node}',
            f'shortlog/{node}',
            f'graph/{node}',
            f'file/{node}',
            f'file/{node}/{file}',
            f'diff/{node}/{file}',
            f'annotate/{node}/{file}',
            f'log/{node}/{file}',
            f'comparison/{node}/{file}',
            f'bundle/{quoted}',
        ):
            joint = '&' if '?' in path else '?'
            if style == 'spartan' and 'comparison' in path:
                continue  # Mercurial has no template for it
            if 'style=' not in path:
                path = f'{path}{joint}style={style}'
            page = get(f'{site}/{path}')
            assert page.status in (200, 400, 404), f'{path}\n{page}'
            if re.search('<script>alert|<img src=x', page.text):
                lines = page.text.splitlines()
                found += [f'{path}:\n{x}' for x in lines if 'src=x' in x]
    assert not found, '\n'.join(found)
    feed = get(f'{site}/atom-pushes')
    entry = ElementTree.fromstring(feed.body).find(f'{ATOM}entry')
    assert entry is not None
    assert str(entry.findtext(f'{ATOM}title')).strip() == HOSTILE
    assert entry.findtext(f'{ATOM}author/{ATOM}name') == HOSTILE
    assert Log(site).json()['1']['user'] == HOSTILE


@pytest.mark.slow('several clients at the same moment')
@servers.overweb('wsgi')
def test_order_of_ids(
    transport: servers.WsgiTransport,
    base: Repo,
    newclient: Callable[..., Repo],
    hashes: history.History,
) -> None:
    """A poller that goes on from the highest id it has seen misses no push,
    while several clients push at the same moment."""
    site = transport.url(base)
    clients = [newclient(f'client{number}') for number in range(4)]
    pushers = []
    for repo in clients:
        for number in range(2):
            repo.commit(
                {repo.path.name: str(number)}, 'try', parent=hashes.merged
            )
    for repo in clients:
        for node in repo.nodes('draft()'):
            pushers.append(repo.start('push', '--bundle-store', '-r', node))
    seen: list[int] = []
    log = Log(site)
    while True:
        running = any(pusher.poll() is None for pusher in pushers)
        news = log.ids(f'startID={max(seen, default=0)}')
        assert news == sorted(news)
        seen += news
        if not running:
            break
    for pusher in pushers:
        out, err = pusher.communicate()
        assert pusher.returncode == 0, out + err
    assert seen == log.ids('startID=0')
    assert len(seen) == 8
