"""Workspaces: ``hg push --workspace``, ``hg pull --workspace`` and ``hg
workspace``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import matrix, wire
from harness.hg import Hg, Repo
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import bundles

#: what a command may end with that aborts
ABORTED = (10, 20, 30, 100, 255)

#: over each wire on which a user has a name
named = pytest.mark.parametrize(
    'transport_name', ['ssh', pytest.param('wsgi', marks=matrix.ANOTHER)]
)
loggedin = pytest.mark.parametrize('webconfig', [{'allow-push': 'alice, bob'}])


def shown(repo: Repo, *args: str) -> list[dict[str, Any]]:
    """Return what ``hg workspace -T json`` shows."""
    result = repo.run('workspace', '-T', 'json', *args, ok=(0, 1))
    found: list[dict[str, Any]] = json.loads(result.out)
    return found


def heads(repo: Repo, name: str, *args: str) -> set[str]:
    (one,) = shown(repo, name, *args)
    return set(one['heads'])


SOME_VERSIONS = pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version'),
    [
        ('ssh', matrix.NEWEST, matrix.NEWEST),
        *(
            pytest.param(wire, version, matrix.NEWEST, marks=matrix.ANOTHER)
            for wire, version in (
                ('ssh', matrix.VERSIONS[0]),
                ('wsgi', matrix.VERSIONS[1]),
                ('path', matrix.NEWEST),
            )
        ),
    ],
)


@pytest.fixture
def urls(transport: Transport, base: Repo) -> dict[str, str]:
    return {user: transport.url(base, user) for user in ('alice', 'bob')}


# -- one person, two machines


@named
@loggedin
def test_there_and_back(
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    urls: dict[str, str],
) -> None:
    first = client.commit({'a': 'a\n'}, 'first')
    second = client.commit({'a': 'b\n'}, 'second', parent=f'{first}^')
    client.inspect('bookmark', '-r', second, 'idea')
    client.inspect('bookmark', '-r', 'null', 'elsewhere')
    with untouched(base.path):
        out = client.run('push', '--workspace', 'parser', urls['alice']).out
    assert "workspace 'alice/parser' is at version 1: 2 heads (+2/-0)\n" in out
    out = client.run(
        'push', '--workspace', 'parser', urls['alice'], ok=(0, 1)
    ).out
    assert "workspace 'alice/parser' has not changed (version 1)\n" in out
    assert len(shown(client, '--log', 'parser', '-s', urls['alice'])) == 1
    pushes = ('pushes', '-T', '{push} ', urls['alice'])
    assert client.run(*pushes).out == '1 '
    other = newclient('other')
    out = other.run('pull', '--workspace', 'parser', urls['alice']).out
    assert 'adding remote bookmark idea\n' in out
    assert other.phase(first) == other.phase(second) == 'draft'
    assert other.log('{bookmarks}', second) == 'idea'
    assert 'elsewhere' not in other.inspect('bookmarks')
    # all is there, so nothing more comes
    with untouched(base.path):
        other.run('pull', '--workspace', 'parser', urls['alice'])
    third = other.commit({'c': 'c\n'}, 'third', parent=first)
    other.run('push', '--workspace', 'parser', '-r', third, urls['alice'])
    assert heads(other, 'parser', '-s', urls['alice']) == {second, third}
    # what is there is not here
    fourth = client.commit({'d': 'd\n'}, 'fourth', parent=second)
    err = client.run(
        'push', '--workspace', 'parser', urls['alice'], ok=ABORTED
    ).err
    assert (
        "abort: workspace 'alice/parser' has a changeset that is not here\n"
        in err
    )
    assert 'pull --workspace alice/parser' in err
    assert len(bundles(base)) == 2
    client.run('pull', '--workspace', 'parser', urls['alice'])
    assert client.knows(third)
    client.run('push', '--workspace', 'parser', urls['alice'])
    assert heads(client, 'parser', '-s', urls['alice']) == {third, fourth}


@matrix.over('ssh')
def test_force_replaces(base: Repo, client: Repo, newclient: Any) -> None:
    first = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'w')
    other = newclient('other')
    mine = other.commit({'b': 'b\n'}, 'mine')
    other.run('push', '--workspace', 'w', ok=ABORTED)
    other.run('push', '--workspace', 'w', '--force')
    assert heads(other, 'w') == {mine}
    # the store has it still, and so has the version before
    other.run('pull', '--workspace', 'w@1')
    assert other.knows(first)
    err = other.run('pull', '--workspace', 'w@7', ok=ABORTED).err
    assert "abort: workspace 'alice/w' has no version 7\n" in err
    err = other.run('push', '--workspace', 'w@1', ok=ABORTED).err
    assert 'earlier version' in err


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_amended(base: Repo, client: Repo, newclient: Any) -> None:
    """What is obsolete leaves the workspace, and markers go along."""
    for repo in (base, client, other := newclient('other')):
        repo.configure('experimental', {'evolution': 'all'})
    first = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'w')
    other.run('pull', '--workspace', 'w')
    second = client.commit({'a': 'b\n'}, 'second', amend=True)
    client.run('push', '--workspace', 'w')
    assert heads(client, 'w') == {second}
    other.run('pull', '--workspace', 'w')
    assert other.nodes('draft()') == [second]
    assert first not in other.nodes()


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_what_a_push_names(base: Repo, client: Repo) -> None:
    first = client.commit({'a': 'a\n'}, 'first')
    client.inspect('bookmark', '-r', first, 'one')
    second = client.commit({'b': 'b\n'}, 'second', parent=f'{first}^')
    client.inspect('bookmark', '-r', second, 'two')
    secret = client.commit({'c': 'c\n'}, 'third', secret=True)
    client.run('push', '--workspace', 'w', '-r', first)
    assert heads(client, 'w') == {first}
    client.run('push', '--workspace', 'w', '-r', second)
    (one,) = shown(client, 'w')
    assert set(one['heads']) == {first, second}
    assert [mark['bookmark'] for mark in one['bookmarks']] == ['one', 'two']
    # all that is not secret; a bookmark that is gone goes there, too
    client.inspect('bookmark', '-d', 'one')
    client.run('push', '--workspace', 'w')
    (one,) = shown(client, 'w')
    assert set(one['heads']) == {first, second}
    assert [mark['bookmark'] for mark in one['bookmarks']] == ['two']
    assert secret not in client.run('workspace', '-v', 'w').out
    log = shown(client, '--log', 'w')
    assert [entry['version'] for entry in log] == [3, 2, 1]
    assert log[1]['added'] == [second]
    assert [entry['user'] for entry in log] == ['alice'] * 3


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_path_option(base: Repo, client: Repo, newclient: Any) -> None:
    for repo in (client, other := newclient('other')):
        url = repo.inspect('paths', 'default').strip()
        repo.configure('paths', {'mine': url, 'mine:workspace': 'w'})
    first = client.commit({'a': 'a\n'}, 'first')
    with untouched(base.path):
        client.run('push', 'mine')
    other.run('pull', 'mine')
    assert other.knows(first)
    # with a revision, it is that
    other.run('pull', '-r', first, 'mine')


@SOME_VERSIONS
@loggedin
def test_incoming_and_clone(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Any,
    hg: Callable[..., Hg],
    client_version: str,
    tmp_path: Path,
) -> None:
    """What a pull would bring is shown; a clone has that, and all the rest."""
    first = client.commit({'a': 'a\n'}, 'first')
    second = client.commit({'b': 'b\n'}, 'second', parent=f'{first}^')
    client.inspect('bookmark', '-r', second, 'idea')
    url = transport.url(base, 'alice')
    client.run('push', '--workspace', 'w', url)
    other = newclient('other')
    landed = other.commit({'c': 'c\n'}, 'landed')
    other.run('push', url)
    other.configure('paths', {'mine': url, 'mine:workspace': 'w'})
    show = ('incoming', '-T', '{node}\n')
    with untouched(base.path):
        both = ('-r', first, '--workspace', 'alice/w')
        for words in (('mine',), both[2:], both):
            found = other.run(*show, '-q', *words).out.split()
            assert sorted(found) == sorted([first, second])
        found = other.run(*show, '-q', '-r', first, 'mine').out.split()
        assert found == [first]
        assert not other.knows(first)
        clone = hg(client_version).clone(
            'mine',
            tmp_path / 'clone',
            config=[
                *transport.commandline(),
                *('extensions.bundlestore=', f'paths.mine={url}'),
                'paths.mine:workspace=w',
            ],
        )
    assert clone.knows(landed)
    found = clone.log('{node} {phase} {bookmarks}\n', 'draft()').splitlines()
    assert {*found} == {f'{first} draft ', f'{second} draft idea'}
    clone.verify()
    other.run('pull', 'mine')
    out = other.run(*show, 'mine', ok=(1,)).out
    assert 'no changes found\n' in out


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_workspace_that_is_not_there(
    transport: Transport,
    base: Repo,
    client: Repo,
    hg: Callable[..., Hg],
    tmp_path: Path,
) -> None:
    client.configure('paths', {'default:workspace': 'none'})
    err = client.run('incoming', ok=ABORTED).err
    assert "abort: there is no workspace 'none'\n" in err
    err = client.run('incoming', '-B', '--workspace', 'x', ok=ABORTED).err
    assert 'abort: cannot specify both --workspace and --bookmarks\n' in err
    url = client.inspect('paths', 'default').strip()
    result = hg().run(
        *('clone', 'mine', tmp_path / 'clone'),
        config=[
            *transport.commandline(),
            *('extensions.bundlestore=', f'paths.mine={url}'),
            'paths.mine:workspace=none',
        ],
    )
    assert "(not pulled: there is no workspace 'none')\n" in result.err
    assert Repo(hg(), tmp_path / 'clone').node('.') == base.node('tip')


# -- others


@named
@loggedin
@pytest.mark.slow('others look at the same, in less time')
def test_of_others(
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    urls: dict[str, str],
) -> None:
    mine = client.commit({'a': 'a\n'}, 'mine')
    client.run('push', '--workspace', 'w', urls['alice'])
    bob = newclient('bob')
    bob.run('pull', '--workspace', 'alice/w', urls['bob'])
    assert bob.knows(mine)
    his = bob.commit({'b': 'b\n'}, 'his', parent=mine)
    err = bob.run('push', '--workspace', 'alice/w', urls['bob'], ok=ABORTED).err
    assert "abort: workspace 'alice/w' is not yours\n" in err
    for action in (
        ('--share', 'bob:write'),
        ('--rename', 'x'),
        ('--drop',),
        ('--unshare', 'carol'),
    ):
        err = bob.run(
            'workspace', *action, 'alice/w', '-s', urls['bob'], ok=ABORTED
        ).err
        assert "abort: workspace 'alice/w' is not yours\n" in err, action
    # there is none of that name that is bob's
    err = bob.run('pull', '--workspace', 'w', urls['bob'], ok=ABORTED).err
    assert "abort: there is no workspace 'w'\n" in err
    source = ('-s', urls['alice'])
    err = client.run(
        'workspace', '--share', 'bob', 'w', *source, ok=ABORTED
    ).err
    assert 'say USER:write' in err
    client.run('workspace', '--share', 'bob:write', 'w', *source)
    bob.run('push', '--workspace', 'alice/w', urls['bob'])
    assert heads(client, 'w', *source) == {his}
    client.run('workspace', '--unshare', 'bob', 'w', *source)
    bob.commit({'b': 'c\n'}, 'more')
    bob.run('push', '--workspace', 'alice/w', urls['bob'], ok=ABORTED)
    (one,) = shown(bob, '-u', 'alice', '-s', urls['bob'])
    assert (one['owner'], one['name'], one['version']) == ('alice', 'w', 4)
    assert shown(bob, '-s', urls['bob']) == []


@pytest.mark.parametrize('transport_name', ['wsgi'])
@loggedin
@matrix.ANOTHER
def test_nobody(transport: Transport, base: Repo, client: Repo) -> None:
    client.commit({'a': 'a\n'}, 'first')
    url = transport.url(base, 'nobody')
    with untouched(base.path):
        err = client.run('push', '--workspace', 'w', url, ok=ABORTED).err
    assert 'abort: http authorization required' in err


# -- manage


@matrix.over('ssh')
@pytest.mark.slow('others look at the same, in less time')
def test_manage(base: Repo, client: Repo) -> None:
    assert client.run('workspace', ok=(1,)).out == 'no workspaces found\n'
    first = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'one')
    client.run('push', '--workspace', 'two')
    assert [one['name'] for one in shown(client)] == ['one', 'two']
    err = client.run('workspace', '--rename', 'two', 'one', ok=ABORTED).err
    assert "abort: there is a workspace 'alice/two' already\n" in err
    client.run('workspace', '--rename', 'three', 'one')
    assert client.run('workspace', '-q').out == 'alice/three\nalice/two\n'
    out = client.run('workspace', '--drop', 'two').out
    assert "dropped workspace 'alice/two'" in out
    assert [one['name'] for one in shown(client)] == ['three']
    client.run('pull', '--workspace', 'two', ok=ABORTED)
    client.run('workspace', '--restore', 'two')
    assert heads(client, 'two') == {first}
    count = len(bundles(base))
    client.commit({'b': 'b\n'}, 'second')
    for name in ('a/b/c', 'x@y', '/x', 'x/', 'backup', ' x', 'x' * 300):
        client.run('push', '--workspace', name, ok=ABORTED)
    # that was seen before anything was pushed
    assert len(bundles(base)) == count
    assert [one['name'] for one in shown(client)] == ['three', 'two']
    err = client.run('workspace', '--drop', ok=ABORTED).err
    assert 'abort: --drop needs a workspace\n' in err
    err = client.run('workspace', '--drop', 'four', ok=ABORTED).err
    assert "abort: there is no workspace 'alice/four'\n" in err


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_user_with_an_address(base: Repo, client: Repo) -> None:
    first = client.commit({'a': 'a\n'}, 'first')
    for user in ('alice@example.org', 'example/alice'):
        mine = {'LOGNAME': user, 'USER': user}
        path = str(base.path)
        client.run('push', '--workspace', 'w', path, env=mine)
        client.run('backup', path, env=mine)
        for name in (f'{user}/w', f'{user}/w@1'):
            assert heads(client, name) == {first}
            client.run('pull', '--workspace', name)
        backup = shown(client, '--user', user, '-v')[0]['name']
        assert backup.startswith('backup/')
        assert heads(client, f'{user}/{backup}') == {first}


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_what_no_clone_can_have(
    transport: Transport, base: Repo, client: Repo
) -> None:
    first = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'w')
    change: dict[str, Any] = {
        'action': 'put',
        'owner': None,
        'name': 'w',
        'expected': 1,
        'added': [],
        'removed': [],
        'bookmarks': {},
        'state': None,
        'machine': '',
        'argument': '',
    }
    null = '0' * 40
    for wrong, why in (
        ({'bookmarks': {f'a\n{first} b': first}}, 'invalid name of a bookmark'),
        ({'added': [null]}, 'has no changeset 000000'),
        ({'bookmarks': {'a': null}}, 'has no changeset 000000'),
    ):
        said = wire.Wire(transport, base, 'alice').call(
            *('bundlestoreview', [('*', '')]),
            json.dumps({**change, **wrong}).encode(),
        )
        assert why in said
    assert shown(client, 'w')[0]['version'] == 1


@matrix.every_version
def test_versions(
    transport: Transport, base: Repo, client: Repo, newclient: Any
) -> None:
    first = client.commit({'a': 'a\n'}, 'first')
    if transport.name == 'http':
        err = client.run('push', '--workspace', 'w', ok=ABORTED).err
        assert 'only who is logged in' in err
        return
    client.run('push', '--workspace', 'w')
    other = newclient('other')
    other.run('pull', '--workspace', 'w')
    assert other.knows(first)
    text = client.run('workspace', 'w').out
    assert f'head:        {first[:12]}\n' in text
