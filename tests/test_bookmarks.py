"""Scratch bookmarks: made, moved, pulled, deleted; never in the base."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from harness import matrix
from harness.hg import Repo
from harness.history import History
from harness.servers import Transport
from harness.shelf import Shelf
from harness.snapshot import untouched
from harness.store import bundles, replace, tryurl

NAME = 'scratch/alice/some-thing'


@matrix.every_version
def test_push_and_pull(
    transport: Transport, base: Repo, newclient: Callable[..., Repo]
) -> None:
    client, ci = newclient('client'), newclient('ci')
    other = newclient('other', ext=False)
    node = client.commit({'a': 'a\n'}, 'marked')
    with untouched(base.path):
        # no local bookmark of that name is needed
        result = client.run('push', '-r', '.', '-B', NAME)
        assert f'bookmark {NAME} is at {node[:12]}\n' in result.out
        assert client.phase(node) == 'draft'
        ci.run('pull', '-B', NAME)
        assert ci.node(f'bookmark("{NAME}")') == node
        other.run('pull', '-r', NAME)
        assert other.knows(node)
        assert not other.log('{bookmarks}')
    assert ci.phase(node) == other.phase(node) == 'draft'


@pytest.fixture
def marked(transport: Transport, base: Repo, client: Repo, shelf: Shelf) -> str:
    def push() -> str:
        node = client.commit({'a': 'a\n'}, 'marked')
        client.run('push', '-r', node, '-B', NAME)
        return node

    return shelf.once(f'{transport.name} {NAME}', [base, client], push)


@matrix.every_version
def test_not_listed(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    marked: str,
) -> None:
    """Nobody has to look at the bookmarks of others, and only those that were
    asked for are made here."""
    base.inspect('bookmark', '-r', 'tip', 'main')
    client.run('push', '-r', marked, '-B', 'scratch/bob/x')
    vanilla, bob = newclient('vanilla', ext=False), newclient('bob')
    vanilla.run('pull', '-r', marked)
    assert vanilla.knows(marked)
    assert 'scratch/' not in vanilla.log('{bookmarks}\n')
    bob.run('pull', '-B', 'main', '-B', 'scratch/bob/x')
    marks = bob.log('{bookmarks % "{bookmark}\n"}').split()
    assert sorted(marks) == ['main', 'scratch/bob/x']
    assert bob.node('scratch/bob/x') == marked
    result = bob.run('pull', '-B', 'scratch/bob/y', ok=(255,))
    assert "abort: unknown revision 'scratch/bob/y'" in result.err
    # it moves there, and then here
    ahead = client.commit({'a': 'aa\n'}, 'ahead')
    client.run('push', '-r', ahead, '-B', 'scratch/bob/x')
    bob.run('pull', '--update', '-B', 'scratch/bob/x')
    assert bob.node('scratch/bob/x') == bob.node('.') == ahead


@matrix.over('http')
def test_who_pulls_from_the_base_does_not_ask_the_index(
    transport: Transport, base: Repo, vanilla: Repo, marked: str
) -> None:
    """So it costs the same with a million scratch bookmarks."""
    base.configure('extensions', {'blackbox': ''})
    base.configure('blackbox', {'track': 'bundlestore'})
    log = base.path / '.hg' / 'blackbox.log'
    node = base.commit({'b': 'b\n'}, 'landed')
    (index,) = (base.path / '.hg' / 'bundlestore').glob('index*3')
    data = index.read_bytes()
    replace(index, b'no index')
    for name in index.parent.glob('index*3-*'):
        name.unlink()
    url = transport.url(base)
    vanilla.run('identify', '-r', node[:12], url)
    vanilla.run('pull', '-r', node[:12])
    assert vanilla.knows(node)
    assert not log.exists() or 'trouble' not in log.read_text()
    # who asks for it meets the trouble
    vanilla.run('pull', '-r', NAME, ok=(255,))
    assert 'trouble' in log.read_text()
    replace(index, data)


@pytest.mark.parametrize('storeconfig', [{'list-bookmarks': 'yes'}])
@matrix.over('ssh')
def test_listed(
    transport: Transport, base: Repo, vanilla: Repo, marked: str
) -> None:
    vanilla.run('pull', '-B', NAME)
    assert vanilla.node(f'bookmark("{NAME}")') == marked


def where(transport: Transport, base: Repo, vanilla: Repo) -> str:
    """Return the full hash that the bookmark is at."""
    url = transport.url(base)
    out = vanilla.run('identify', '--debug', '--id', '-r', NAME, url).out
    (line,) = re.findall('^[0-9a-f]{40}$', out, re.M)
    return line


def test_moves_forward_only(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    hashes: History,
    marked: str,
) -> None:
    ahead = client.commit({'a': 'aa\n'}, 'ahead')
    client.run('push', '-r', ahead, '-B', NAME)
    assert where(transport, base, vanilla) == ahead
    aside = client.commit({'a': 'b\n'}, 'aside', parent=hashes.start)
    result = client.run('push', '-r', aside, '-B', NAME, ok=(100, 255))
    assert f"bookmark '{NAME}' would not move forward" in result.err
    assert result.err.count('abort: ') == 1
    assert where(transport, base, vanilla) == ahead
    result = vanilla.run('pull', '-r', aside, ok=(255,))
    assert 'unknown revision' in result.err, 'nothing of it was stored'
    client.run('push', '-f', '-r', aside, '-B', NAME)
    assert where(transport, base, vanilla) == aside
    # and back to where it came from, through the base
    client.run('push', '-f', '-r', hashes.start, '-B', NAME, ok=(1,))
    assert where(transport, base, vanilla) == hashes.start
    client.run('push', '-r', hashes.merged, '-B', NAME, ok=(1,))
    assert where(transport, base, vanilla) == hashes.merged


def test_local_bookmark(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    node = client.commit({'a': 'a\n'}, 'marked')
    client.inspect('bookmark', NAME)
    client.run('push', '-B', NAME)
    assert where(transport, base, vanilla) == node


def test_delete(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    marked: str,
) -> None:
    # without force it is a slip: the bookmark is not here, or misspelt
    result = client.run('push', '-B', NAME, ok=(10, 255))
    assert f"abort: no local bookmark '{NAME}'\n" in result.err
    assert '-r' in result.err
    assert '--force' in result.err
    result = client.run('push', '-f', '-r', 'null', '-B', NAME, ok=(10, 255))
    assert f"'{NAME}' cannot be on the null revision" in result.err
    assert where(transport, base, vanilla) == marked
    # as with any bookmark, no changeset means exit code 1
    result = client.run('push', '-f', '-B', NAME, ok=(1,))
    assert f'deleted bookmark {NAME}' in result.out
    result = vanilla.run('pull', '-r', NAME, ok=(255,))
    assert f"unknown revision '{NAME}'" in result.err
    # the changeset stays
    vanilla.run('pull', '-r', marked)
    result = client.run('push', '-f', '-B', NAME, ok=(100, 255))
    assert f"bookmark '{NAME}' does not exist" in result.err


@matrix.over('ssh')
def test_revision_says_where_it_goes(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    hashes: History,
) -> None:
    """Not a local bookmark of that name, and nothing of that is stored."""
    node = client.commit({'a': 'a\n'}, 'marked')
    other = client.commit({'b': 'b\n'}, 'elsewhere', parent=hashes.start)
    client.inspect('bookmark', '-r', other, NAME)
    both = ['-r', node, '-r', other]
    result = client.run('push', *both, '-B', NAME, ok=(10, 255))
    assert f"bookmark '{NAME}' cannot be on several changesets" in result.err
    assert not bundles(base)
    result = client.run('push', '-r', f'{node}^::{node}', '-B', NAME)
    assert f'bookmark {NAME} is at {node[:12]}\n' in result.out
    assert 'stored 1 changeset as push 1\n' in result.out
    # one that is not here does not go where another one is
    mistaken = ['-B', NAME, '-B', NAME + '2']
    result = client.run('push', *mistaken, ok=(10, 255))
    assert f"no local bookmark '{NAME}2'" in result.err
    client.run('push', '--force', '-B', NAME)
    assert where(transport, base, vanilla) == other


@matrix.over('ssh')
def test_vanilla_client_deletes_with_force_only(
    transport: Transport, base: Repo, vanilla: Repo, marked: str
) -> None:
    base.configure('bundlestore', {'list-bookmarks': 'yes'})
    url = transport.url(tryurl(transport, base))
    result = vanilla.run('push', '-B', NAME, url, ok=(100, 255))
    text = f"bookmark '{NAME}' is not deleted without force"
    assert text in result.out + result.err
    assert where(transport, base, vanilla) == marked
    result = vanilla.run('push', '--force', '-B', NAME, url, ok=(0, 1))
    assert f'deleted bookmark {NAME}' in result.out


@matrix.over('path', 'ssh')
@pytest.mark.parametrize('force', [False, True])
def test_vanilla_client_at_the_base(
    transport: Transport, base: Repo, vanilla: Repo, client: Repo, force: bool
) -> None:
    """The name alone makes it a scratch push."""
    node = vanilla.commit({'a': 'a\n'}, 'marked')
    vanilla.inspect('bookmark', NAME)
    with untouched(base.path):
        args = ['--force'] if force else []
        result = vanilla.run('push', '-B', NAME, *args)
    assert 'stored 1 changeset as push 1' in result.out
    assert vanilla.phase(node) == 'draft'
    client.run('pull', '-B', NAME)
    assert client.knows(node)


@matrix.over('http')
@pytest.mark.parametrize('force', [False, True])
def test_vanilla_client_at_the_base_over_http(
    transport: Transport, base: Repo, vanilla: Repo, force: bool
) -> None:
    vanilla.commit({'a': 'a\n'}, 'marked')
    vanilla.inspect('bookmark', NAME)
    with untouched(base.path):
        args = ['--force'] if force else []
        result = vanilla.run('push', '-B', NAME, *args, ok=(100, 255))
    assert 'try URL' in result.out + result.err
    assert not bundles(base)


def test_vanilla_client_at_a_try_url(
    transport: Transport,
    base: Repo,
    vanilla: Repo,
    client: Repo,
    hashes: History,
) -> None:
    url = transport.url(tryurl(transport, base))
    first = vanilla.commit({'a': 'a\n'}, 'marked')
    vanilla.inspect('bookmark', NAME)
    vanilla.run('push', '-B', NAME, url)
    second = vanilla.commit({'a': 'aa\n'}, 'ahead')
    vanilla.run('push', '-B', NAME, url)
    assert where(transport, base, client) == second
    aside = vanilla.commit({'a': 'b\n'}, 'aside', parent=hashes.start)
    vanilla.inspect('bookmark', '--force', NAME)
    result = vanilla.run('push', '-B', NAME, url, ok=(100, 255))
    assert 'would not move forward' in result.out + result.err
    vanilla.run('push', '--force', '-B', NAME, url)
    assert where(transport, base, client) == aside
    assert vanilla.phase(first) == 'draft'


def test_other_bookmarks_are_refused(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    client.commit({'a': 'a\n'}, 'marked')
    vanilla.commit({'a': 'a\n'}, 'marked')
    for repo in (client, vanilla):
        repo.inspect('bookmark', 'feature')
    with untouched(base.path):
        result = client.run(
            'push', '--bundle-store', '-B', 'feature', ok=(10, 255)
        )
        assert "abort: 'feature' is not a scratch bookmark" in result.err
        url = transport.url(tryurl(transport, base))
        result = vanilla.run('push', '-B', 'feature', url, ok=(100, 255))
        assert "'feature' is not a scratch bookmark" in str(result)
    assert not bundles(base)


def test_plain_push_leaves_scratch_bookmarks_alone(
    transport: Transport, base: Repo, client: Repo, marked: str
) -> None:
    """A local scratch bookmark that moved does not turn it into a scratch
    push."""
    client.inspect('bookmark', '-r', marked, NAME)
    client.inspect('update', '-q', NAME)
    node = client.commit({'a': 'aaa\n'}, 'lands')
    client.run('push')
    assert base.node('tip') == node
    assert not base.log('{bookmarks}')


@matrix.over('path', 'ssh')
def test_base_bookmark_that_moved_along(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    hashes: History,
) -> None:
    """A vanilla client pushes it, as it always does; it stays where it is."""
    base.configure('push', {'pushvars.server': 'yes'})
    base.inspect('bookmark', '-r', hashes.tagged, 'main')
    vanilla = newclient('vanilla', ext=False)
    vanilla.run('pull', '-B', 'main')
    vanilla.inspect('update', '-q', 'main')
    vanilla.commit({'a': 'a\n'}, 'ahead')
    with untouched(base.path):
        result = vanilla.run('push', '--pushvars', 'BUNDLESTORE=1')
    assert "remote: bookmark 'main' is left where it is" in result.out
    assert base.node('main') == hashes.tagged


@pytest.mark.parametrize('storeconfig', [{'bookmark-owner': 'yes'}])
@matrix.over('path', 'ssh')
def test_owner(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    node = client.commit({'a': 'a\n'}, 'marked')
    client.run('push', '-r', node, '-B', 'scratch/alice/x')
    result = client.run(
        'push', '-r', node, '-B', 'scratch/somebody/x', ok=(100, 255)
    )
    assert "'scratch/somebody/x' does not belong to" in result.err


@pytest.mark.parametrize('storeconfig', [{'bookmark-owner': 'yes'}])
@matrix.over('http')
def test_owner_who_is_nobody(
    transport: Transport, base: Repo, client: Repo
) -> None:
    client.commit({'a': 'a\n'}, 'marked')
    result = client.run('push', '-r', '.', '-B', NAME, ok=(100, 255))
    text = f"bookmark '{NAME}' does not belong to a user who is not logged in"
    assert text in result.err


@pytest.mark.parametrize('storeconfig', [{'bookmark-pattern': 're:^try-'}])
def test_another_pattern(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    client.configure('bundlestore', {'bookmark-pattern': 're:^try-'})
    node = client.commit({'a': 'a\n'}, 'marked')
    client.run('push', '-r', node, '-B', 'try-one')
    vanilla.run('pull', '-r', 'try-one')
    assert vanilla.knows(node)


@matrix.over('ssh')
def test_race(
    transport: Transport, base: Repo, newclient: Callable[..., Repo]
) -> None:
    """Of several who make a bookmark at once, one wins, and the others are
    told; nobody is overwritten unseen."""
    clients = [newclient(f'client{n}') for n in range(4)]
    nodes = [c.commit({'a': f'{c.path}\n'}, 'mine') for c in clients]
    running = [c.start('push', '-r', '.', '-B', NAME) for c in clients]
    codes = [(p.communicate(), p.returncode)[1] for p in running]
    assert codes.count(0) == 1
    winner = nodes[codes.index(0)]
    assert where(transport, base, clients[0]) == winner
