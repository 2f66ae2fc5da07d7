"""``hg pushes`` and the wire command behind it."""

from __future__ import annotations

import ast
import functools
import json
import os
import re
import types
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from mercurial import encoding, error, localrepo, ui

from harness import matrix, servers, wire as wiremod
from harness.hg import PATIENCE, Hg, Repo
from harness.snapshot import untouched
from harness.store import bundles, folder, tryurl
from hgext3rd.bundlestore import backends, model, users
from hgext3rd.bundlestore.client import listing
from hgext3rd.bundlestore.fetch import pushlist
from hgext3rd.bundlestore.wire import pushes

NAME = 'scratch/alice/parser'
#: what a command may end with that aborts
ABORTED = (10, 100, 255)


def listed(repo: Repo, *args: str, ok: Sequence[int] = (0,)) -> Any:
    """Return what ``hg pushes -T json`` lists."""
    return json.loads(repo.run('pushes', '-T', 'json', *args, ok=ok).out)


#: of a push without any
NOTHING: dict[str, Any] = {'pushvars': {}, 'statuses': [], 'landings': []}


def ids(repo: Repo, *args: str) -> list[int]:
    out = repo.run('pushes', '-T', '{push}\n', *args, ok=(0, 1)).out
    return [int(line) for line in out.split()]


def made(
    number: int,
    user: str = 'alice',
    heads: int = 1,
    inner: int = 0,
    moves: Iterable[model.BookmarkMove] = (),
    title: str | None = None,
) -> model.NewPush:
    """Make up a push. Its changesets are ``node(number, 0)``, …; the heads
    come last."""
    nodes = [node(number, position) for position in range(inner + heads)]
    return model.NewPush(
        1700000000.75 + number,
        user,
        f'{number:064x}',
        1000 + number,
        tuple(nodes),
        tuple(
            model.Head(head, title or f'change {number}')
            for head in nodes[inner:]
        ),
        tuple(moves),
    )


def node(number: int, position: int = 0) -> bytes:
    return bytes.fromhex(f'{number:08x}{position:04x}{0:028x}')


def fill(base: Repo, pushes: Iterable[model.NewPush]) -> None:
    """Record pushes in the index; there are no bundles for them."""
    place = model.Place(os.fsencode(folder(base)))
    index = backends.openindex('file', place)
    for push in pushes:
        index.record(push)
    index.close()


# -- what is shown


@matrix.every_version
def test_what_was_pushed(
    transport: servers.Transport,
    base: Repo,
    client: Repo,
    tempfolder: Path,
) -> None:
    with untouched(base.path):
        result = client.run('pushes', ok=(1,))
        assert (result.out, result.err) == ('no pushes found\n', '')
        assert listed(client, ok=(1,)) == []
    first = client.commit({'a': 'a\n'}, 'first\n\nwith more lines')
    second = client.commit({'a': 'b\n'}, 'second')
    client.run('push', '--bundle-store', '-r', first)
    client.run('push', '-r', second, '-B', NAME)
    with untouched(base.path):
        result = client.run('pushes')
        found = listed(client)
    assert result.err == ''
    # hgweb has no logins here
    user = '' if transport.name == 'http' else 'alice'
    line = user and f'user:        {user}\n'
    assert re.sub('(?m)^(date|size): .*$', r'\1', result.out) == (
        'push:        2\n'
        f'bookmark:    {NAME}\n'
        f'{line}'
        'date\n'
        'changesets:  2\n'
        'size\n'
        f'head:        {second[:12]} second\n'
        '\n'
        'push:        1\n'
        f'{line}'
        'date\n'
        'changesets:  1\n'
        'size\n'
        f'head:        {first[:12]} first\n'
        '\n'
    )
    sizes = {path.name: path.stat().st_size for path in bundles(base)}
    for push in found:
        moment, zone = push.pop('date')
        assert moment > 1700000000
        assert zone == 0
        assert push.pop('size') == sizes[push.pop('bundle')]
    assert re.search(r'(?m)^size:        \d+ bytes$', result.out)
    assert found == [
        {
            'push': 2,
            'user': user,
            'count': 2,
            'heads': [{'node': second, 'desc': 'second'}],
            'bookmarks': [{'bookmark': NAME, 'node': second}],
            **NOTHING,
        },
        {
            'push': 1,
            'user': user,
            'count': 1,
            'heads': [{'node': first, 'desc': 'first'}],
            'bookmarks': [],
            **NOTHING,
        },
    ]
    assert ids(client, '-r', first[:6]) == [2, 1]
    assert ids(client, '-r', NAME) == [2]
    assert not list(tempfolder.iterdir())


def render(repo: Repo, template: str, *args: str) -> str:
    return repo.run('pushes', '-T', template, *args).out


def test_templates(
    transport: servers.Transport, base: Repo, client: Repo
) -> None:
    first, second = node(1).hex(), node(1, 1).hex()
    moves = [
        model.BookmarkMove('scratch/new', node(1)),
        model.BookmarkMove('scratch/gone', None, force=True),
    ]
    fill(base, [made(1, inner=0, heads=2, moves=moves, user='zoë')])
    out = render(
        client,
        '{push} {user} {date|hgdate} {bundle} {size} {count}\n'
        '{heads}\n'
        '{heads % "{push}:{node|short} {desc}\n"}'
        '{bookmarks}\n'
        '{bookmarks % "{bookmark}={node}\n"}'
        '{nodes}\n'
        '{nodes % "<{node}>"}\n',
    )
    assert out == (
        f'1 zoë 1700000001 0 {1:064x} 1001 2\n'
        f'{first[:12]} {second[:12]}\n'
        f'1:{first[:12]} change 1\n'
        f'1:{second[:12]} change 1\n'
        'scratch/new scratch/gone\n'
        f'scratch/new={first}\n'
        'scratch/gone=\n'
        f'{first} {second}\n'
        f'<{first}><{second}>\n'
    )
    (found,) = listed(client)
    assert found['bookmarks'] == [
        {'bookmark': 'scratch/new', 'node': first},
        {'bookmark': 'scratch/gone', 'node': None},
    ]
    assert found['user'] == 'zoë'
    assert 'nodes' not in found
    assert json.loads(render(client, 'json(nodes, bookmarks)')) == [
        {'nodes': [first, second], 'bookmarks': found['bookmarks']}
    ]
    assert render(client, '{date|isodate}') == '2023-11-14 22:13 +0000'


@pytest.fixture
def asked(base: Repo) -> Callable[[], list[dict[bytes, bytes]]]:
    """Return what the server was asked since the last time."""
    spy = base.path.parent / 'spy.py'
    spy.write_text(SPY)
    base.configure('extensions', {'spy': str(spy)})
    file = base.path / '.hg' / 'asked'

    def look() -> list[dict[bytes, bytes]]:
        lines = file.read_text().splitlines()
        file.unlink()
        return [ast.literal_eval(line) for line in lines]

    return look


#: an extension of the server that writes down what it is asked
SPY = """\
from mercurial import wireprotov1server
def reposetup(ui, repo):
    if not repo.local():
        return
    command = wireprotov1server.commands[b'bundlestorepushes']
    def func(repo, proto, args, orig=command.func):
        with open(repo.vfs.join(b'asked'), 'a') as file:
            file.write('%r\\n' % args)
        return orig(repo, proto, args)
    command.func = func
"""


@pytest.mark.slow('a detail of the list')
@matrix.over('ssh')
def test_what_is_asked(
    transport: servers.Transport,
    base: Repo,
    client: Repo,
    asked: Callable[[], list[dict[bytes, bytes]]],
) -> None:
    move = model.BookmarkMove('scratch/x', node(1), force=True)
    fill(base, [made(1, moves=[move]) for _ in range(201)])
    render(client, '{push}', '-l', '1')
    assert asked() == [{b'limit': b'1'}]
    # all changesets only if they are to be shown
    render(client, '{nodes}', '-l', '1')
    assert asked() == [{b'limit': b'1', b'nodes': b'1'}]
    # a bookmark may move from one page to the next
    render(client, '{push}', '-r', 'scratch/x', '-u', 'alice')
    assert asked() == [
        {b'rev': b'scratch/x', b'user': b'alice'},
        {b'rev': node(1).hex().encode(), b'user': b'alice', b'last': b'1'},
    ]


@matrix.over('ssh')
def test_users_as_in_log(
    transport: servers.Transport, base: Repo, client: Repo
) -> None:
    """A part of a name will do, in whatever case."""
    names = ('Alice Smith', 'bob', 'alice', 're:bob', 'Zoë', '')
    fill(base, [made(n, user=name) for n, name in enumerate(names, 1)])
    for pattern, expected in (
        *(('alice', [3, 1]), ('ALICE S', [1]), ('zOË', [5])),
        *(('bob', [4, 2]), ('literal:re:', [4]), ('nobody', []), ('i', [3, 1])),
    ):
        assert ids(client, '-u', pattern) == expected, pattern
    assert ids(client, '-u', 'i', '-l', '1') == [3]
    result = client.run('pushes', '-u', 're:^b', ok=ABORTED)
    assert 'abort: a server takes no regular expression\n' in result.err
    # where the store is on this machine
    assert ids(client, '-u', 're:^B.b', str(base.path)) == [2]
    result = client.run('pushes', '-u', 're:(', str(base.path), ok=ABORTED)
    assert "abort: 're:(' is no regular expression: " in result.err


def test_too_many_users(tmp_path: Path) -> None:
    class Index:
        def users(self) -> list[model.Usage]:
            return [model.Usage(f'user{n:03}', 1, 1) for n in range(101)]

    server = types.SimpleNamespace(index=Index())
    assert len(users.matching(server, 'user0')) == 100
    with pytest.raises(error.InputError, match='names of 101 users'):
        users.matching(server, 'USER')


@pytest.mark.slow('a detail of the list')
@matrix.over('ssh')
def test_many_heads(
    transport: servers.Transport, base: Repo, client: Repo
) -> None:
    moves = [model.BookmarkMove('scratch/gone', None, force=True)]
    moves += [
        model.BookmarkMove(f'scratch/{n:03}', node(2, 1)) for n in range(110)
    ]
    fill(
        base,
        [made(1, heads=10), made(2, inner=1, heads=13, moves=moves)],
    )
    result = client.run('pushes')
    assert result.out.count('\nbookmark: ') == 10
    assert result.out.count('\n             and 101 more\n') == 1
    assert result.out.count('\nhead: ') == 20
    assert result.out.count('\n             and 3 more\n') == 1
    assert 'bookmark:    scratch/gone (deleted)\n' in result.out
    assert 'bundle' not in result.out
    result = client.run('pushes', '--verbose')
    assert result.out.count('\nhead: ') == 23
    assert result.out.count('\nbookmark: ') == 111
    assert ' more\n' not in result.out
    assert f'bundle:      {2:064x}\n' in result.out
    result = client.run('pushes', '--quiet')
    assert result.out == (
        f'2:{node(2, 13).hex()[:12]}\n1:{node(1, 9).hex()[:12]}\n'
    )
    result = client.run('pushes', '--limit', '1', '--color', 'debug')
    assert '[log.changeset changeset.draft|push:        2]\n' in result.out
    assert '[log.user|user:        alice]\n' in result.out
    # as with hg log, the reader's zone has its say
    result = client.run('pushes', '-l', '1', env={'TZ': 'UTC-2'})
    assert 'date:        Wed Nov 15 00:13:22 2023 +0200\n' in result.out


@pytest.mark.slow('a detail of the list')
@matrix.over('ssh', 'http')
def test_text_that_does_not_fit(
    transport: servers.Transport, base: Repo, client: Repo
) -> None:
    """Names that the terminal or a transport cannot take as they are."""
    fill(base, [made(1, user='zoë'), made(2, user='bob\nuser: root\r')])
    result = client.run('pushes', '-r', node(2).hex())
    assert 'user:        bob user: root \n' in result.out
    result = client.run('pushes', '-r', node(1).hex(), '--encoding', 'ascii')
    assert 'user:        zo?\n' in result.out
    assert ids(client, '--user', 'zoë') == [1]
    assert ids(client, '--user', 'bob\nuser: root\r') == [2]
    result = client.run('pushes', '-r', 'scratch/ü%20', ok=ABORTED)
    assert (
        "abort: unknown revision 'scratch/ü%20': no such scratch bookmark\n"
        in result.err
    )


def test_options_are_in_the_encoding_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoding, 'encoding', b'latin-1')
    assert listing.text(b'zo\xeb') == 'zoë'
    assert listing.text(b'') is None


# -- pages


@pytest.fixture
def many(base: Repo) -> None:
    """450 pushes; every third is bob's."""
    fill(
        base,
        [made(n, user='alice' if n % 3 else 'bob') for n in range(1, 451)],
    )


def test_several_pages(
    transport: servers.Transport, base: Repo, client: Repo, many: None
) -> None:
    assert ids(client) == list(range(450, 0, -1))
    assert ids(client, '--limit', '201') == list(range(450, 249, -1))
    assert ids(client, '--user', 'bob') == list(range(450, 0, -3))


@pytest.mark.slow('a list of many pages')
@matrix.over('http')
def test_no_more_pages_than_wanted(
    transport: servers.HttpTransport, base: Repo, client: Repo, many: None
) -> None:
    def requests(*args: str) -> int:
        before = asked()
        ids(client, *args)
        return asked() - before

    def asked() -> int:
        return transport.accesslog.read_text().count('bundlestorepushes')

    assert requests() == 3
    assert requests('--limit', '3') == 1
    assert requests('--limit', '200') == 1
    assert requests('--limit', '201') == 2
    assert requests('--user', 'bob') == 1


@pytest.fixture
def server(base: Repo) -> Iterator[Any]:
    """The server's half, without a server: gives a page for a query."""

    class Server:
        index = backends.openindex(
            'file', model.Place(os.fsencode(folder(base)))
        )

        @staticmethod
        def isscratchbookmark(name: bytes) -> bool:
            return name.startswith(b'scratch/')

        maybescratchbookmark = isscratchbookmark
        trouble = None

        @classmethod
        def ask(
            cls, question: Callable[[Any], Any], *_args: Any, **_more: Any
        ) -> Any:
            return question(cls.index)

        @staticmethod
        def checktrouble() -> None:
            pass

    repo = localrepo.instance(ui.ui(), os.fsencode(base.path), create=False)
    yield functools.partial(pushlist.page, repo, Server)
    Server.index.close()


@matrix.over('path')
def test_pages_of_large_pushes(
    transport: servers.Transport,
    base: Repo,
    client: Repo,
    server: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pushlist, 'MAX_ITEMS', 20)
    moves = [model.BookmarkMove(f'scratch/{n}', node(4)) for n in range(6)]
    fill(
        base,
        [
            *(made(1, inner=9), made(2, inner=29), made(3, inner=9)),
            *(made(4, inner=4, moves=moves), made(5, inner=4)),
        ],
    )

    def pages(**wanted: Any) -> list[list[int]]:
        query = pushes.Query(**wanted)
        found = []
        for _ in range(6):
            page = server(query)
            found.append([push['push'] for push in page['pushes']])
            if page['next'] is None:
                break
            query = query._replace(last=page['next'])
        return found

    # changesets count only where they are shown, and no push is too large
    assert pages(nodes=True) == [[5, 4], [3], [2], [1]]
    assert pages() == [[5, 4, 3, 2, 1]]
    monkeypatch.setattr(pushlist, 'MAX_ITEMS', 7)
    assert pages() == [[5], [4], [3, 2, 1]]
    monkeypatch.setattr(pushlist, 'PAGE', 2)
    monkeypatch.setattr(pushlist, 'MAX_ITEMS', 100)
    assert pages() == [[5, 4], [3, 2], [1]]
    monkeypatch.setattr(pushlist, 'PAGE', 5)
    assert pages(last=4, limit=2) == [[4, 3], [2, 1]]
    monkeypatch.setattr(pushlist, '_CHUNK', 2)
    assert pages() == [[5, 4, 3, 2, 1]]


# -- filters


@pytest.fixture
def named(base: Repo) -> None:
    """Pushes whose hashes begin alike, and a bookmark."""
    move = model.BookmarkMove('scratch/alice/x', node(0xABCDEF01))
    fill(
        base,
        [
            made(0xABCDEF01, inner=1, moves=[move]),
            made(0xABCDEF02),
            made(0x12345601),
        ],
    )


@matrix.over('path')
def test_revisions(
    transport: servers.Transport, named: None, server: Any
) -> None:
    def found(word: str, user: str | None = None) -> list[int]:
        page = server(pushes.Query(rev=word, user=user))
        assert page['next'] is None
        return [push['push'] for push in page['pushes']]

    # an inner changeset, a head, a prefix, a bookmark
    assert found(node(0xABCDEF01).hex()) == [1]
    assert found(node(0xABCDEF01, 1).hex()) == [1]
    assert found('123456') == [3]
    assert found('abcdef02') == [2]
    assert found('scratch/alice/x') == [1]
    assert found('abcdef02', 'bob') == []
    # nobody pushed that
    assert found('9' * 40) == []
    assert found('999999') == []


@pytest.mark.slow('a detail of the list')
@pytest.mark.parametrize(
    ('word', 'message'),
    [
        ('abcdef', "ambiguous prefix 'abcdef': abcdef010000"),
        ('12344', "unknown revision '12344': no such scratch bookmark"),
        ('12345', "unknown revision '12345': fewer than 6 digits"),
        (
            'scratch/bob/x',
            "unknown revision 'scratch/bob/x': no such scratch",
        ),
        ('12345G', "unknown revision '12345G': no such scratch bookmark"),
    ],
)
def test_revisions_that_name_nothing(
    transport: servers.Transport,
    named: None,
    client: Repo,
    word: str,
    message: str,
) -> None:
    """The command says so before it prints anything."""
    result = client.run('pushes', '-T', 'json', '-r', word, ok=ABORTED)
    assert f'abort: {message}' in result.err
    assert result.out == ''
    if message.startswith('no '):
        assert 'a prefix of at least 6 digits' in result.err
    elif message.startswith('ambiguous'):
        assert f', {node(0xABCDEF02).hex()}\n' in result.err


@matrix.over('path')
def test_the_first_page_tells_what_a_bookmark_names(
    transport: servers.Transport, base: Repo, server: Any
) -> None:
    """It may move from one page to the next."""
    move = model.BookmarkMove('scratch/x', node(1), force=True)
    fill(base, [made(1, moves=[move]), made(1), made(2)])
    query = pushes.Query(rev='scratch/x', limit=1)
    page = server(query)
    assert [push['push'] for push in page['pushes']] == [2]
    assert page['node'] == node(1).hex()
    assert page['next'] == 1


@pytest.mark.slow('a detail of the list')
@matrix.over('ssh')
def test_bad_options(
    transport: servers.Transport, base: Repo, client: Repo
) -> None:
    for limit in ('0', '-1', 'x'):
        result = client.run('pushes', '--limit', limit, ok=ABORTED)
        assert 'limit must be' in result.err
    result = client.run('pushes', '-T', 'list', ok=ABORTED)
    assert 'available styles: ' in result.out
    assert 'abort: specify a template\n' in result.err


# -- sources


def test_sources(
    transport: servers.Transport,
    base: Repo,
    client: Repo,
    hg: Callable[..., Hg],
    tmp_path: Path,
) -> None:
    fill(base, [made(1)])
    url = transport.url(base)
    client.configure('paths', {'try': transport.url(tryurl(transport, base))})
    for source in (url, f'{url}#stable', 'default', 'try'):
        assert ids(client, source) == [1]
    # outside of a repository
    outside = tmp_path / 'outside'
    outside.mkdir()
    config = ['extensions.bundlestore=']
    words = ['pushes', '-q', url]
    for item, value in transport.clientconfig().items():
        words += [f'--{item}', value]
    result = hg().run(*words, cwd=outside, config=config)
    assert result.out == f'1:{node(1).hex()[:12]}\n'
    result = hg().run('pushes', cwd=outside, config=config, ok=ABORTED)
    assert 'default repository not configured!' in result.err


@pytest.mark.slow('a detail of the list')
@matrix.over('ssh')
def test_the_own_store(
    transport: servers.Transport, base: Repo, client: Repo
) -> None:
    fill(base, [made(1)])
    assert ids(base) == [1]
    assert ids(base, '.') == [1]
    # a repository that has a default path asks there, whatever it has itself
    client.configure('bundlestore', {'server': 'yes'})
    assert ids(client) == [1]
    assert ids(client, '.') == []
    # and one without either has nobody to ask
    base.configure('bundlestore', {'server': 'no'})
    result = base.run('pushes', ok=ABORTED)
    assert 'default repository not configured!' in result.err


@pytest.mark.slow('a detail of the list')
@matrix.over('ssh')
def test_several_urls(
    transport: servers.Transport, base: Repo, client: Repo
) -> None:
    client.configure(
        'paths',
        {
            'both': f'{client.path},{transport.url(base)}',
            'both:multi-urls': 'yes',
        },
    )
    result = client.run('pushes', 'both', ok=ABORTED)
    assert 'path points to 2 urls while pushes only supports one' in result.err


def test_no_bundle_store(
    transport: servers.Transport, plainbase: Repo, client: Repo
) -> None:
    result = client.run('pushes', '-T', 'json', ok=ABORTED)
    assert result.out == ''
    # the end of it, as the name of the user goes in between
    place = str(plainbase.path) if transport.name != 'http' else '/base'
    assert re.search(
        f'(?m)^abort: .*{re.escape(place)} has no bundle store$', result.err
    )
    assert "'bundlestore.server = yes'" in result.err
    # nor has one that merely has the extension
    plainbase.enable()
    transport.restart()
    again = client.run('pushes', ok=ABORTED)
    assert ' has no bundle store' in again.err


def test_unknown_server(
    transport: servers.Transport, base: Repo, client: Repo
) -> None:
    url = transport.url(transport.root / 'missing')
    result = client.run('pushes', url, ok=ABORTED)
    assert 'abort: ' in result.err
    assert result.out == ''


@pytest.mark.slow('a server of its own')
@matrix.over('http')
@pytest.mark.parametrize('item', ['deny_read', 'allow_read'])
def test_who_may_not_read(
    transport: servers.HttpTransport, base: Repo, client: Repo, item: str
) -> None:
    fill(base, [made(1, title='secret plan')])
    value = '*' if item == 'deny_read' else 'bob'
    base.configure('web', {item: value})
    transport.restart()
    result = client.run('pushes', ok=ABORTED)
    assert 'abort: authorization failed' in result.err
    url = transport.url(base)
    for query in (
        {'cmd': 'bundlestorepushes'},
        {'cmd': 'batch', 'cmds': 'bundlestorepushes '},
    ):
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(f'{url}?{urllib.parse.urlencode(query)}')
        assert caught.value.code == 401
        assert b'secret' not in caught.value.read()


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        data: bytes = answer.read()
        return data


# -- pager


@pytest.mark.slow('a detail of the list')
@matrix.over('ssh')
def test_pager(
    transport: servers.Transport, base: Repo, client: Repo, tmp_path: Path
) -> None:
    fill(base, [made(1)])
    pager = tmp_path / 'pager'
    pager.write_text('#!/bin/sh\nexec sed "s/^/paged: /"\n')
    pager.chmod(0o755)
    terminal = [f'pager.pager={pager}', 'ui.formatted=yes', 'ui.color=no']
    result = client.run('pushes', '-T', 'json(push)', config=terminal)
    assert result.out == 'paged: [\npaged:  {"push": 1}\npaged: ]\n'
    assert (
        'paged: push:        1\n' in client.run('pushes', config=terminal).out
    )
    # it can be turned off, for this command alone too, and does not come
    # before something goes wrong
    for config in (
        [*terminal, 'pager.attend-pushes=no'],
        [*terminal, 'pager.ignore=pushes'],
    ):
        assert 'paged: ' not in client.run('pushes', config=config).out
    result = client.run('pushes', '-r', 'x', config=terminal, ok=ABORTED)
    assert 'paged: ' not in str(result)
    out = client.run('pushes', '--pager', 'always', config=terminal[:1]).out
    assert 'paged: push:        1\n' in out


# -- a client that lies

PUSHES = 'bundlestorepushes'

#: what is refused, with a sentence
BAD = [
    *({b'last': value} for value in (b'', b'0', b'-1', b'x', b'1.5', b'1e3')),
    *({b'last': value} for value in (b'9' * 30, b' 1', b'1_0', b'\0')),
    *({b'last': value} for value in ('\uff11'.encode(), b'\xb2')),
    *({b'limit': value} for value in (b'0', b'-1', b'9' * 5000, b'none')),
    *({name: b'\xff\xfe'} for name in (b'user', b'rev')),
    *({name: b'\xed\xa0\x80'} for name in (b'user', b'rev')),
    *({name: b'%FF%FE'} for name in (b'user', b'rev')),
    *({name: b'%ED%A0%80'} for name in (b'user', b'rev')),
    *({b'rev': value} for value in (b'', b'.', b'tip', b'all()', b'12345')),
    *({b'rev': value} for value in (b'x' * 3000, b'\0', b'%', b'scratch/*')),
    *({b'rev': value} for value in (b"' OR 1 = 1 --", b'0' * 41)),
]
#: what does no harm, and the pushes that it gives
HARMLESS: list[tuple[dict[bytes, bytes], list[int]]] = [
    ({}, [3, 2, 1]),
    ({b'nodes': b'yes', b'unknown': b'\xff'}, [3, 2, 1]),
    ({b'last': b'9' * 15, b'limit': b'9' * 15}, [3, 2, 1]),
    ({b'last': b'2'}, [2, 1]),
    ({b'user': b''}, []),
    ({b'user': b"alice' --"}, []),
    ({b'user': b'alice\0'}, []),
    ({b'user': b'%'}, []),
    ({b'user': b'alice'}, [3, 2, 1]),
    ({b'rev': b'f' * 40}, []),
]


def isascii(args: dict[bytes, bytes]) -> bool:
    return all(value.isascii() for value in args.values())


@matrix.over('ssh', 'http')
def test_hostile_arguments(transport: servers.Transport, base: Repo) -> None:
    fill(base, [made(1), made(1), made(0x1FFFF)])
    bad, harmless = BAD, HARMLESS
    if transport.name == 'http':
        # to any other hgweb itself answers with an error
        bad = [args for args in bad if isascii(args)]
        harmless = [(args, ids) for args, ids in harmless if isascii(args)]
    questions = [*bad, *(args for args, _ in harmless)]
    with untouched(base.path):
        if transport.name == 'ssh':
            found = wiremod.overssh(base, PUSHES, questions)
        else:
            url = transport.url(base)
            found = wiremod.overhttp(url, PUSHES, questions)
    assert len(found) == len(questions)
    for args, answer in zip(bad, found):
        assert set(answer) <= {'error', 'hint'}, args
        assert answer['error'], args
    for (args, expected), answer in zip(harmless, found[len(bad) :]):
        assert [push['push'] for push in answer['pushes']] == expected, args
        assert not any('nodes' in push for push in answer['pushes'])


@pytest.mark.slow('a list of many pages')
@matrix.over('ssh')
def test_pages_are_bounded(
    transport: servers.Transport, base: Repo, many: None
) -> None:
    asked: list[dict[bytes, bytes]] = [{}, {b'limit': b'400'}, {b'last': b'50'}]
    pages = wiremod.overssh(base, PUSHES, asked)
    assert [len(page['pushes']) for page in pages] == [200, 200, 50]
    assert [page['next'] for page in pages] == [250, 250, None]


@pytest.mark.slow('a detail of the list')
@matrix.over('ssh')
def test_server_whose_index_fails(
    transport: servers.Transport, base: Repo, client: Repo
) -> None:
    folder(base).mkdir()
    (folder(base) / 'index.sqlite3').write_text('this is no database' * 100)
    result = client.run('pushes', ok=ABORTED)
    assert 'abort: not a bundle index: ' in result.err
    base.configure('bundlestore', {'index': 'carrier-pigeon://x'})
    result = client.run('pushes', ok=ABORTED)
    assert 'abort: unknown bundle index scheme: carrier-pigeon' in result.err
    assert 'known schemes: file' in result.err


# -- a server that lies

PUSH = {
    'push': 7,
    'time': 1700000000,
    'user': 'alice',
    'bundle': 'b' * 64,
    'size': 10,
    'count': 1,
    'heads': [{'node': 'a' * 40, 'desc': 'text'}],
    'bookmarks': [{'bookmark': 'scratch/x', 'node': None}],
}
PAGE = {'pushes': [PUSH], 'next': None, 'node': None}


def test_answers_of_later_releases() -> None:
    assert pushes.decodepage(json.dumps(PAGE).encode()) == PAGE
    later = {
        **PAGE,
        'pushes': [
            {
                **PUSH,
                'pinned': [True],
                'heads': [{'node': 'a' * 40, 'desc': 'text', 'phase': 'draft'}],
            }
        ],
        'hint': 'none',
    }
    assert pushes.decodepage(json.dumps(later).encode()) == PAGE


def broken() -> Iterator[Any]:
    """Yield pages with one mistake each."""
    yield from ([], {}, None, 7, 'error', ['error'], {'error': 7})
    mistakes: dict[str, list[Any]] = {
        'pushes': [None, 7, [7], [[]], 'x'],
        'next': ['7', -1, 1.5, 10**20],
        'node': ['abc', 7],
    }
    for name, values in mistakes.items():
        for value in values:
            yield {**PAGE, name: value}
    mistakes = {
        'push': [None, '7', -7, 1.0, 10**30],
        'time': [None, -1, 1e300],
        'size': [-1],
        'count': ['x'],
        'user': [7],
        'bundle': [None],
        'heads': [
            *(None, 7, [7], [{}], 'ab'),
            [{'node': 'a' * 39 + ' ', 'desc': ''}],
            [{'node': 'a' * 40, 'desc': None}],
        ],
        'bookmarks': [[{'bookmark': 'x'}], [{'bookmark': 'x', 'node': 'x'}]],
        'nodes': [None, ['x'], [7], 7],
    }
    for name, values in mistakes.items():
        for value in values:
            yield {**PAGE, 'pushes': [{**PUSH, name: value}]}
        if name != 'nodes':
            without = {key: PUSH[key] for key in PUSH if key != name}
            yield {**PAGE, 'pushes': [without]}


@pytest.mark.parametrize('page', list(broken()))
def test_answers_that_make_no_sense(page: Any) -> None:
    with pytest.raises(error.RemoteError):
        pushes.decodepage(json.dumps(page).encode())


@pytest.mark.parametrize('data', [b'', b'\xff', b'{', b'[' * 100000, b'NaN'])
def test_answers_that_are_no_json(data: bytes) -> None:
    with pytest.raises(error.RemoteError):
        pushes.decodepage(data)


@pytest.mark.slow('a server for each lie')
@matrix.over('ssh')
def test_lying_server(
    transport: servers.Transport, base: Repo, client: Repo
) -> None:
    """What is odd but not wrong is shown, in any zone."""
    (base.path / 'liar.py').write_text(LIAR)
    base.configure('extensions', {'liar': str(base.path / 'liar.py')})
    odd = {
        **PUSH,
        'time': 10**14,
        'user': '\ud800',
        'heads': [],
        'size': 10**14,
    }

    def answer(page: Any) -> None:
        (base.path / '.hg' / 'lie').write_text(json.dumps(page))

    answer({**PAGE, 'pushes': [odd]})
    for zone in ('UTC-14', 'UTC+12'):
        result = client.run('pushes', env={'TZ': zone})
        assert 'push:        7\nbookmark: ' in result.out
        assert 'user:        ?\n' in result.out
    assert client.run('pushes', '-q').out == '7\n'
    assert listed(client)[0]['heads'] == []
    answer({**PAGE, 'next': 7})
    result = client.run('pushes', '-q', ok=ABORTED)
    assert 'abort: the server gives the same page again\n' in result.err
    answer({'error': 'no \ud800', 'hint': 'go away'})
    result = client.run('pushes', ok=ABORTED)
    assert result.err == 'abort: no ?\n(go away)\n'
    answer({'pushes': 7})
    result = client.run('pushes', ok=ABORTED)
    assert 'makes no sense' in result.err


#: an extension of a server that answers what is in a file
LIAR = """\
from mercurial import wireprototypes, wireprotov1server
def reposetup(ui, repo):
    def func(repo, proto, args):
        return wireprototypes.bytesresponse(repo.vfs.read(b'lie'))
    if repo.local():
        wireprotov1server.commands[b'bundlestorepushes'].func = func
"""


# -- help


@pytest.mark.slow('a detail of the list')
@matrix.over('ssh')
def test_help(transport: servers.Transport, client: Repo) -> None:
    out = client.run('help', '--verbose').out
    category = re.split(r'(?m)^(?=\S)', out)
    (remote,) = [c for c in category if c.startswith('Remote repository')]
    assert ' pushes ' in remote
    out = client.run('help', 'pushes', '--verbose').out
    for keyword in ('push', 'user', 'date', 'count', 'bundle', 'size'):
        assert re.search(f'(?m)^{keyword} ', out), keyword
    for keyword in (
        *('heads', 'bookmarks', 'nodes', 'pushvars', 'statuses', 'landings'),
    ):
        assert re.search(f'(?m)^{keyword} ', out), keyword
    words = (
        'Returns 0 if there is something to show, a push was removed, or all'
    )
    assert words in ' '.join(out.split())


# -- scratch bookmarks


@pytest.fixture
def marked(base: Repo) -> None:
    """Bookmarks of pushes, and one that was moved without."""
    moves = [
        model.BookmarkMove(f'scratch/alice/{n:03}', node(1)) for n in range(9)
    ]
    fill(base, [made(1, moves=moves)])
    name = 'scratch/b\u00e9a'
    fill(base, [made(2, 'bob', moves=[model.BookmarkMove(name, node(2))])])
    index = backends.openindex('file', model.Place(os.fsencode(folder(base))))
    move = model.BookmarkMove('scratch/alice/004', node(2), force=True)
    index.movebookmarks([move], 1700000099.0, 'bob')
    index.close()


def test_scratch_bookmarks(
    transport: servers.Transport, marked: None, client: Repo
) -> None:
    found = listed(client, '--bookmarks', '*')
    assert len(found) == 10
    assert found[4] == {
        'bookmark': 'scratch/alice/004',
        'node': node(2).hex(),
        'push': None,
        'user': 'bob',
        'date': [1700000099, 0],
    }
    assert found[0]['push'] == 1
    assert found[0]['date'] == [1700000001, 0]
    assert found[9]['bookmark'] == 'scratch/b\u00e9a'
    out = client.run('pushes', '--bookmarks', 'scratch/b?a').out
    assert out == (
        'bookmark:    scratch/b\u00e9a\n'
        f'changeset:   {node(2).hex()[:12]}\n'
        'push:        2\n'
        'user:        bob\n'
        'date:        Tue Nov 14 22:13:22 2023 +0000\n\n'
    )
    out = client.run('pushes', '-q', '-l', '2', '--bookmarks', '*alice*').out
    assert out == 'scratch/alice/000\nscratch/alice/001\n'
    result = client.run('pushes', '--bookmarks', 'bob', ok=(1,))
    assert result.out == 'no scratch bookmarks found\n'


@matrix.over('path')
def test_pages_of_scratch_bookmarks(
    transport: servers.Transport,
    base: Repo,
    marked: None,
    server: Any,
    client: Repo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pushlist, 'PAGE', 4)
    query = pushes.Query(bookmarks='scratch/*')
    names = []
    sizes = []
    while True:
        page = server(query)
        names += [mark['bookmark'] for mark in page['bookmarks']]
        sizes.append(len(page['bookmarks']))
        if page['next'] is None:
            break
        query = query._replace(after=page['next'])
    assert len(names) == 10
    assert names == sorted(names)
    assert sizes == [4, 4, 2]
    with pytest.raises(error.InputError, match='longer than any name'):
        server(pushes.Query(bookmarks='*' * 201))
    for option in ('-u', '-r'):
        args = ('pushes', '--bookmarks', '*', option, 'x')
        assert 'cannot specify both' in client.run(*args, ok=ABORTED).err
