"""Private workspaces: what others see of them, by whatever way they ask."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness import servers, wire
from harness.hg import Repo
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import bundles, tryurl
from harness.web import get
from hgext3rd.bundlestore import backends, model
from test_workspaces import ABORTED, heads, loggedin, named, shown


@pytest.fixture
def urls(transport: Transport, base: Repo) -> dict[str, str]:
    users = ('alice', 'bob', 'carol')
    return {user: transport.url(base, user) for user in users}


def private(client: Repo, name: str, url: str) -> None:
    out = client.run('workspace', '--private', name, '-s', url).out
    assert f"made private workspace 'alice/{name}'" in out


_USERS = 'alice, bob, carol'
#: over http, who reads is known where reading takes a password
everybody = pytest.mark.parametrize(
    'webconfig', [{'allow-push': _USERS, 'allow_read': _USERS}]
)


@named
@everybody
def test_only_who_may_look_sees(
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    urls: dict[str, str],
) -> None:
    alice = urls['alice']
    open_ = client.commit({'a': 'a\n'}, 'open')
    client.run('push', '--bundle-store', alice)
    private(client, 'plan', alice)
    first = client.commit({'b': 'b\n'}, 'first')
    with untouched(base.path):
        out = client.run('push', '--workspace', 'plan', alice).out
    assert "workspace 'alice/plan' is at version 2: 1 head (+1/-0)\n" in out
    second = client.commit({'b': 'c\n'}, 'second')
    client.run('push', '--workspace', 'plan', alice)
    # it rests on what is everybody's, and on itself
    assert len(bundles(base)) == 3
    # another machine of hers
    laptop = newclient('laptop')
    laptop.run('pull', '--workspace', 'plan', alice)
    assert laptop.knows(second)
    assert laptop.phase(second) == 'draft'
    again = newclient('again')
    again.run('pull', '-r', first[:12], alice)
    assert again.knows(first)
    # others
    bob = newclient('bob')
    url = urls['bob']
    for node in (first, second, second[:12]):
        err = bob.run('pull', '-r', node, url, ok=ABORTED).err
        assert re.search(f"abort: unknown revision '{node[:12]}", err), err
        err = bob.run('identify', '-r', node, url, ok=ABORTED).err
        assert 'unknown revision' in err
    assert shown(bob, '-u', 'alice', '-s', url) == []
    assert shown(bob, '--all', '-s', url) == []
    for args in (
        ('workspace', 'alice/plan', '-s', url),
        ('workspace', '--log', 'alice/plan', '-s', url),
        ('pull', '--workspace', 'alice/plan', url),
        ('pull', '--workspace', 'alice/plan@2', url),
        ('push', '--workspace', 'alice/plan', '-r', 'null', url),
    ):
        err = bob.run(*args, ok=ABORTED).err
        assert "abort: there is no workspace 'alice/plan'\n" in err, args
    both: list[tuple[str, ...]] = [(), ('-r', first), ('--rev', second)]
    for which in both:
        out = bob.run('pushes', '-T', '{push} ', *which, url, ok=(0, 1)).out
        assert out == ('' if which else '1 ')
        # nor is it in her own list
        out = client.run(
            'pushes', '-T', '{push} ', *which, alice, ok=(0, 1)
        ).out
        assert out == ('' if which else '1 ')
    err = bob.run('pushes', '--remove', '2', url, ok=ABORTED).err
    assert 'abort: there is no push 2\n' in err
    # who may look at it
    client.run('workspace', '--share', 'bob', 'plan', '-s', alice)
    (one,) = shown(bob, '-u', 'alice', '-s', url)
    assert (one['name'], one['private'], one['readers']) == (
        *('plan', True),
        ['bob'],
    )
    bob.run('pull', '--workspace', 'alice/plan', url)
    assert bob.knows(second)
    bob.commit({'c': 'c\n'}, 'his', parent=second)
    err = bob.run('push', '--workspace', 'alice/plan', url, ok=ABORTED).err
    assert "abort: workspace 'alice/plan' is not yours\n" in err
    client.run('workspace', '--share', 'bob:write', 'plan', '-s', alice)
    bob.run('push', '--workspace', 'alice/plan', url)
    (his,) = heads(client, 'plan', '-s', alice)
    client.run('workspace', '--unshare', 'bob', 'plan', '-s', alice)
    carol = newclient('carol')
    for repo, name in ((newclient('bob2'), 'bob'), (carol, 'carol')):
        err = repo.run('pull', '-r', his, urls[name], ok=ABORTED).err
        assert 'unknown revision' in err
    # what is everybody's is found as ever
    carol.run('pull', '-r', open_, urls['carol'])
    base.run('admin::bundlestore-verify', '--full')


@pytest.mark.slow('many pushes by two users')
@named
@everybody
def test_nothing_open_rests_on_what_is_private(
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    urls: dict[str, str],
) -> None:
    """What was pushed to a private workspace and then for everybody is
    everybody's; what comes after it in the workspace is not."""
    alice, bob = urls['alice'], newclient('bob')
    private(client, 'one', alice)
    private(client, 'two', alice)
    first = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'one', alice)
    second = client.commit({'a': 'b\n'}, 'second')
    client.run('push', '--workspace', 'two', alice)
    bob.run('pull', '-r', first, urls['bob'], ok=ABORTED)
    client.run('push', '--bundle-store', '-r', first, alice)
    bob.run('pull', '-r', first, urls['bob'])
    bob.run('pull', '-r', second, urls['bob'], ok=ABORTED)
    # the very same once more
    client.run(
        *('push', '--workspace', 'one', '--force', '-r', first, alice),
        ok=(0, 1),
    )
    client.run('push', '--bundle-store', '-r', first, alice, ok=(0, 1))
    found = client.run('pushes', '-T', '{push} ', alice).out
    assert len(found.split()) == 2
    # all of it, at last
    client.run('push', '--bundle-store', '-r', second, alice)
    fresh = newclient('fresh')
    fresh.run('pull', '-r', second, urls['bob'])
    base.run('admin::bundlestore-verify', '--full')
    # and in a workspace that is not private
    third = client.commit({'a': 'c\n'}, 'third')
    client.run('push', '--workspace', 'one', alice)
    fresh.run('pull', '-r', third, urls['bob'], ok=ABORTED)
    client.run('push', '--workspace', 'open', '-r', third, alice)
    fresh.run('pull', '--workspace', 'alice/open', urls['bob'])
    assert fresh.knows(third)


@pytest.mark.slow('a detail of what the quick loop sees')
@servers.overweb('wsgi')
@pytest.mark.parametrize(
    'webconfig', [{'allow-push': 'alice, bob', 'allow-archive': 'gz'}]
)
def test_web(transport: servers.WebTransport, base: Repo, client: Repo) -> None:
    alice = transport.url(base, 'alice')
    private(client, 'plan', alice)
    node = client.commit({'secretfile': 'text\n'}, 'quite hidden')
    client.run('push', '--workspace', 'plan', alice)
    other = client.commit({'b': 'b\n'}, 'open', parent=f'{node}^')
    client.run('push', '--bundle-store', '-r', other, alice)
    site = transport.url(base, 'nobody')

    def pages(user: str | None) -> list[Any]:
        return [
            get(f'{site}/{path}', user=user)
            for path in (
                *(f'rev/{node}', f'rev/{node[:12]}', f'graph/{node}'),
                *(f'file/{node}/secretfile', f'raw-rev/{node}'),
                *(f'archive/{node}.tar.gz', f'json-rev/{node}'),
                *(f'log/{node}', f'comparison/{node}/secretfile'),
                *('workspace/alice/plan', 'json-workspace/alice/plan'),
            )
        ]

    def lists(user: str | None) -> list[Any]:
        return [
            get(f'{site}/{path}', user=user)
            for path in (
                *('pushloghtml', 'json-pushes?full=1&version=2'),
                *('pushloghtml?text=hidden', f'json-pushes?changeset={node}'),
                *('atom-pushes', 'rss-pushes'),
                *('push/1', 'json-push/1', 'bundle/1', 'status?push=1'),
            )
        ]

    for user in (None, 'bob'):
        for answer in pages(user):
            assert answer.status == 404, answer.text
            assert 'quite hidden' not in answer.text
        assert 'quite hidden' not in get(f'{site}/log?rev={node}').text
    for answer in pages('alice'):
        assert answer.status == 200, answer.text
        # no proxy keeps it for others
        assert answer.headers['cache-control'] == 'private'
    page = get(f'{site}/workspace/alice/plan', user='alice').text
    assert 'quite hidden' in page
    assert 'not there any more' not in page
    for user in (None, 'bob', 'alice'):
        for answer in lists(user):
            assert 'quite hidden' not in answer.text
            assert f'/rev/{node[:12]}' not in answer.text
            assert 'secretfile' not in answer.text
    assert get(f'{site}/bundle/1', user='alice').status == 404
    for user in (None, 'bob', 'alice'):
        found = [
            view['name']
            for view in get(f'{site}/json-workspaces', user=user).json()[
                'views'
            ]
        ]
        assert found == (['plan'] if user == 'alice' else [])
    # once more, after she was there: nothing of it was kept for others
    for answer in pages(None):
        assert answer.status == 404


def _masked(text: str, node: str) -> str:
    """Return an answer without the hash that was asked for, and without what
    changes anyway."""
    for digits in (40, 12, 6, 5):
        text = text.replace(node[:digits], 'NODE')
    text = re.sub(r'(?m)^(date|x-worker|content-length): .*$', '', text)
    return re.sub(r'nonce[-=]"?[\w+/=-]*', '', text)


def _questions(node: str, open_: str) -> Iterator[tuple[str, wire.Arguments]]:
    for key in (node, node[:12], node[:6], node[:5]):
        yield 'lookup', [('key', key)]
        yield 'bundlestorepushes', [('rev', key)]
    yield 'known', [('nodes', f'{node} {open_}')]
    yield 'bundlestoreknown', [('nodes', node), ('heads', node)]
    for name in ('bookmarks', 'phases', 'obsolete'):
        yield 'listkeys', [('namespace', name)]
    # of heads that nobody knows Mercurial tells in a traceback
    yield 'getbundle', [('heads', open_), ('common', node), ('cg', '1')]
    yield 'batch', wire.batch(('lookup', [('key', node)]), ('heads', []))


def _places(node: str, open_: str) -> Iterator[str]:
    for page in ('rev', 'raw-rev', 'json-rev', 'graph', 'archive', 'diff'):
        yield f'{page}/{node}'
    yield f'rev/{open_}:{node}'
    for page in ('log', 'graph', 'json-log'):
        yield f'{page}?rev={node}'
    for page in ('file', 'raw-file', 'annotate', 'comparison'):
        yield f'{page}?node={node}&file=secretfile'
    yield f'file/{open_}/secretfile?node={node}'
    yield f'json-automationrelevance/{node}'
    yield f'bundle/{node}'
    for name in ('changeset', 'fromchange', 'tochange'):
        yield f'json-pushes?version=2&full=1&{name}={node}'
    yield f'pushloghtml?changeset={node}'


@servers.overweb('wsgi')
@everybody
def test_no_answer_tells(
    transport: servers.WebTransport, base: Repo, client: Repo
) -> None:
    """What is hidden is answered as what nobody ever had."""
    site, alice = transport.url(base, 'nobody'), transport.url(base, 'alice')
    open_ = client.commit({'o': 'o\n'}, 'open')
    client.run('push', '--bundle-store', alice)
    private(client, 'plan', alice)
    node = client.commit({'secretfile': 'text\n'}, 'quite hidden')
    client.run('push', '--workspace', 'plan', alice)
    # no digits of it are something else in HTML, be they taken for bytes
    nothing = 'a1b2c3d4e5f6a7b8c9dae1f2a3b4c5d6e7f8a9ba'
    asked = wire.Wire(transport, base, 'bob')
    for question, other in zip(
        _questions(node, open_), _questions(nothing, open_)
    ):
        wire.Wire(transport, base, 'alice').call(*question)
        found = _masked(asked.call(*question), node)
        assert found == _masked(asked.call(*other), nothing), question
    for page, place in zip(_places(node, open_), _places(nothing, open_)):
        get(f'{site}/{page}', user='alice')
        # which a browser has that was there before
        had = {'If-None-Match': get(site, user='bob').headers['etag']}
        answers = [
            get(f'{site}/{where}', had, user='bob') for where in (page, place)
        ]
        found, wanted = (
            _masked(
                str(answer._replace(body=b''))
                + str(answer.body.replace(bytes.fromhex(what), b'NODE')),
                what,
            )
            for answer, what in zip(answers, (node, nothing))
        )
        assert found == wanted, page


@pytest.mark.slow('a detail of what the quick loop sees')
@pytest.mark.parametrize('transport_name', ['ssh'])
def test_try_url(
    transport: Transport, base: Repo, client: Repo, newclient: Any
) -> None:
    made = tryurl(transport, base)
    urls = {user: transport.url(made, user) for user in ('alice', 'bob')}
    private(client, 'plan', urls['alice'])
    node = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'plan', urls['alice'])
    bob = newclient('bob')
    for url in (urls['bob'], transport.url(base, 'bob')):
        err = bob.run('pull', '-r', node, url, ok=ABORTED).err
        assert 'unknown revision' in err
        assert shown(bob, '--all', '-s', url) == []
    # nothing shows it by mistake
    err = client.run('push', '-f', urls['alice'], ok=ABORTED).err
    assert "abort: a draft of private workspace 'alice/plan'" in err
    newclient('laptop').run('pull', '-r', node, transport.url(base, 'alice'))


@servers.overweb('wsgi')
@loggedin
def test_what_need_not_be_pushed(
    transport: servers.WebTransport, base: Repo, client: Repo
) -> None:
    """To whom a view is not shown it does not exist."""
    private(client, 'plan', transport.url(base))
    node = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'plan', transport.url(base))
    (uid,) = {
        view.uid
        for view in backends.openindex(
            'file', model.Place(os.fsencode(base.path / '.hg/bundlestore'))
        ).views()
    }
    bob = wire.Wire(transport, base, 'bob')
    alice = wire.Wire(transport, base, 'alice')
    args = [('nodes', node)]
    assert '"known":"0"' in bob.call('bundlestoreknown', args)
    assert '"known":"0"' in alice.call('bundlestoreknown', args)
    args.append(('private', uid))
    assert '"known":"0"' in bob.call('bundlestoreknown', args)
    assert '"known":"1"' in alice.call('bundlestoreknown', args)
    args[1] = ('private', '0' * 32)
    assert '"known":"0"' in alice.call('bundlestoreknown', args)
    args[1] = ('private', 'x')
    assert 'makes no sense' in alice.call('bundlestoreknown', args)


@pytest.mark.slow('a detail of what the quick loop sees')
@pytest.mark.parametrize('transport_name', ['ssh'])
def test_bookmark_elsewhere(
    transport: Transport, base: Repo, client: Repo, urls: dict[str, str]
) -> None:
    """Everybody sees a bookmark, so it is on what everybody sees."""
    alice = urls['alice']
    private(client, 'plan', alice)
    node = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'plan', alice)
    asked = wire.Wire(transport, base, 'alice')
    asked.pushkey('bookmarks', 'scratch/x', '', node)
    out = client.run('pushes', '--bookmarks', '*', alice, ok=(0, 1)).out
    assert node[:12] not in out
    client.run('push', '-r', node, '-B', 'scratch/x', alice)
    out = client.run('pushes', '--bookmarks', '*', alice).out
    assert node[:12] in out


@pytest.mark.parametrize('transport_name', ['ssh'])
@pytest.mark.slow('others look at the same, in less time')
def test_kept_private(
    base: Repo, client: Repo, newclient: Any, urls: dict[str, str]
) -> None:
    """An index that is made anew, or elsewhere, hides the same; and what
    nobody can see any more is removed."""
    private(client, 'plan', urls['alice'])
    node = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'plan', urls['alice'])
    bob, carol = newclient('bob'), newclient('carol')
    client.run('workspace', '--share', 'bob', 'plan', '-s', urls['alice'])

    def check() -> None:
        carol.run('pull', '-r', node, urls['carol'], ok=ABORTED)
        assert shown(carol, '-u', 'alice', '-s', urls['carol']) == []
        out = bob.run('identify', '--id', '-r', node, urls['bob']).out
        assert out == f'{node[:12]}\n'
        assert client.run('pushes', urls['alice'], ok=(1,)).out == (
            'no pushes found\n'
        )
        base.run('admin::bundlestore-verify', '--full')

    check()
    store = base.path / '.hg' / 'bundlestore'
    for file in store.glob('index.sqlite3*'):
        file.unlink()
    base.run('admin::bundlestore-verify', '--repair', ok=(0, 1))
    check()
    # the note forgets it, the bundle does not
    (note,) = (
        file
        for file in store.glob('bundles/**/*.1.json')
        if '"private":"' in file.read_text()
    )
    text = re.sub(r',"private":"[0-9a-f]*"', '', note.read_text())
    note.write_text(text)
    for file in store.glob('index.sqlite3*'):
        file.unlink()
    base.run('admin::bundlestore-verify', '--repair', ok=(0, 1))
    base.run('admin::bundlestore-verify', '--repair', ok=(0, 1))
    check()
    client.run('workspace', '--drop', 'plan', '-s', urls['alice'])
    base.run('admin::bundlestore-gc')
    bob.run('identify', '-r', node, urls['bob'], ok=ABORTED)
    assert bundles(base) == []


# -- backup --secret


def _state(repo: Repo) -> list[str]:
    """Return what a backup has to bring back."""
    return [
        *repo.log('{node} {phase} {bookmarks}\n', 'not public()').splitlines(),
        repo.inspect('bookmarks'),
        repo.log('{node}', '.'),
    ]


@pytest.mark.slow('a detail of what the quick loop sees')
@named
@everybody
def test_secret_backup(
    base: Repo, client: Repo, newclient: Any, urls: dict[str, str]
) -> None:
    alice = urls['alice']
    first = client.commit({'a': 'a\n'}, 'first')
    hidden = client.commit({'b': 'b\n'}, 'hidden', secret=True)
    client.inspect('bookmark', '-r', first, 'open')
    client.inspect('bookmark', '-r', hidden, 'idea')
    client.inspect('update', '-q', 'idea')
    with untouched(base.path):
        out = client.run('backup', '--secret', alice).out
    assert out == (
        'backed up 1 changeset (1 head, +1/-0)\n'
        'backed up 1 changeset in private (1 head)\n'
    )
    out = client.run('backup', '--secret', alice).out
    assert out == (
        'nothing to back up (1 head)\nnothing to back up in private (1 head)\n'
    )
    assert client.phase(hidden) == 'secret'
    shown_ = client.run('log', '-r', 'backedup()', '-T', '{node}\n').out
    assert shown_.split() == [first, hidden]
    # nobody else sees anything of it, not even what it is called
    bob = newclient('bob')
    for node in (hidden, hidden[:12]):
        err = bob.run('pull', '-r', node, urls['bob'], ok=ABORTED).err
        assert 'unknown revision' in err
    out = bob.run(
        *('workspace', '-T', '{name}\n', '--all', '-v', '-s', urls['bob'])
    ).out
    (backup,) = re.findall('^backup/.*', out, re.MULTILINE)
    assert not backup.endswith('-secret')
    whole = bob.run(
        *('workspace', f'alice/{backup}', '-T', 'json', '-s', urls['bob'])
    ).out
    assert 'idea' not in whole
    text = ''.join(
        file.read_text()
        for file in (base.path / '.hg/bundlestore').rglob('*.state.json')
        if '"secret' not in file.read_text()
    )
    assert 'idea' not in text
    assert hidden not in text
    before = _state(client)
    laptop = newclient('laptop')
    with untouched(base.path):
        laptop.run('backup', '--restore', alice)
    assert _state(laptop) == before
    assert laptop.phase(hidden) == 'secret'
    assert laptop.phase(first) == 'draft'
    # one that is secret no more goes to the other one, for all to see
    client.inspect('phase', '--draft', '-r', hidden)
    client.run('backup', '--secret', alice)
    bob.run('pull', '-r', hidden, urls['bob'])
    base.run('admin::bundlestore-verify', '--full')


@pytest.mark.parametrize('transport_name', ['ssh'])
@pytest.mark.slow('others look at the same, in less time')
def test_only_secrets(
    base: Repo, client: Repo, newclient: Any, urls: dict[str, str]
) -> None:
    alice = urls['alice']
    out = client.run('backup', '--secret', alice).out
    assert out == (
        'nothing to back up (0 heads)\n'
        'nothing to back up in private (0 heads)\n'
    )
    assert shown(client, '-v', '-s', alice) == []
    one = client.commit({'a': 'a\n'}, 'one', secret=True)
    two = client.commit({'b': 'b\n'}, 'two', parent=f'{one}^', secret=True)
    client.run('backup', '--secret', alice)
    laptop = newclient('laptop')
    laptop.run('backup', '--restore', alice)
    assert set(laptop.nodes('secret()')) == {one, two}
    # a clone made anew in the same place takes nothing away
    client.inspect('--config', 'extensions.strip=', 'strip', '-q', one)
    client.run('backup', '--secret', alice)
    again = newclient('again')
    again.run('backup', '--restore', alice)
    assert set(again.nodes('secret()')) == {two}


@pytest.mark.parametrize('transport_name', ['ssh'])
@pytest.mark.slow('others look at the same, in less time')
def test_nothing_is_shown_by_mistake(
    base: Repo, client: Repo, newclient: Any, urls: dict[str, str]
) -> None:
    """Neither by a backup nor by a push that names nothing."""
    alice = urls['alice']
    private(client, 'plan', alice)
    first = client.commit({'a': 'a\n'}, 'first')
    client.inspect('bookmark', '-r', first, 'idea')
    client.run('push', '--workspace', 'plan', alice)
    on_top = client.commit({'b': 'b\n'}, 'on top')
    open_ = client.commit({'c': 'c\n'}, 'open', parent=f'{first}^')
    for args in (('--bundle-store',), ('--workspace', 'other')):
        with untouched(base.path):
            err = client.run('push', *args, alice, ok=ABORTED).err
        assert (
            "abort: 2 drafts of private workspace 'alice/plan' would be for "
            'all to see\n'
        ) in err
    client.run('push', '--bundle-store', '-r', open_, alice)
    out = client.run('backup', alice).out
    assert 'backed up 2 changesets in private (1 head)\n' in out
    client.run('workspace', '-s', alice)
    bob = newclient('bob')
    bob.run('pull', '-r', open_, urls['bob'])
    for node in (first, on_top):
        bob.run('pull', '-r', node, urls['bob'], ok=ABORTED)
    laptop = newclient('laptop')
    laptop.run('backup', '--restore', alice)
    assert set(laptop.nodes('draft()')) == {first, on_top, open_}
    assert laptop.log('{bookmarks}', first) == 'idea'
    assert client.run('backup', '--status').out.endswith(
        'all drafts are backed up\n'
    )
