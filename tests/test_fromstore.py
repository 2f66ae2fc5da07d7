"""What came from a bundle store lands only where that is meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness import matrix
from harness.hg import Repo
from harness.history import History
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import tryurl

REFUSED = 'that came from a bundle store would land: '


def fromstore(repo: Repo) -> list[str]:
    return repo.run('log', '-r', 'fromstore()', '-T', '{node}\n').out.split()


def remembered(repo: Repo) -> list[str]:
    """Return what the file says."""
    path = repo.path / '.hg' / 'store' / 'bundlestore-fromstore'
    version, *nodes = path.read_text().splitlines()
    assert version == '1'
    return nodes


@matrix.every_version
def test_plain_push(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
) -> None:
    node = client.commit({'a': 'a\n'}, 'experiment')
    client.run('push', '--bundle-store', '-r', node)
    bob = newclient('bob')
    bob.run('pull', '-r', node)
    assert fromstore(bob) == [node]
    mine = bob.commit({'a': 'aa\n'}, 'mine', parent=node)
    template = '{desc} {if(fromstore, "fetched")}\n'
    told = bob.run('log', '-r', 'draft()', '-T', template).out
    assert told == 'experiment fetched\nmine \n'
    # nor in another repository, without a bundle store
    other = newclient('other', ext=False)
    for dest in (base, other):
        url = transport.url(base) if dest == base else str(other.path)
        with untouched(dest.path):
            refused = bob.run('push', url, ok=(20, 255))
        assert f'abort: 1 changeset {REFUSED}{node[:12]}\n' in refused.err
        assert '(name what shall land with -r, or use --force)' in refused.err
    bob.run('push', '-r', mine)
    assert base.knows(mine)
    assert fromstore(bob) == []


@matrix.over('ssh', later=['path', 'http'])
def test_other_pushes(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
) -> None:
    """What does not land, and what is meant to."""
    for n in range(6):
        client.commit({'a': f'{n}\n'}, f'experiment {n}')
    tip = client.node('.')
    client.run('push', '--bundle-store', '-r', tip)
    bob = newclient('bob')
    bob.run('update', tip)  # fetches it
    bob.configure('paths', {'default:pushrev': '.'})
    with untouched(base.path):
        refused = bob.run('push', ok=(20, 255))
        assert f'abort: 6 changesets {REFUSED}' in refused.err
        assert ' and 2 others\n' in refused.err
        bob.run('push', '--bundle-store')
        bob.configure('paths', {'store': transport.url(base)})
        bob.configure('paths', {'store:bundle-store': 'yes'})
        bob.run('push', 'store')
        made = tryurl(transport, base)
        bob.run('push', transport.url(made))
    bob.run('push', '--branch', 'default')
    assert base.knows(tip)


@matrix.over('ssh')
def test_force(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    tmp_path: Path,
) -> None:
    first = client.commit({'a': 'a\n'}, 'first')
    second = client.commit({'a': 'aa\n'}, 'second')
    client.run('push', '--bundle-store', '-r', second)
    # some of the bundle only: by way of an overlay, and what is not fetched
    # is not remembered
    config = [*transport.commandline(), 'extensions.bundlestore=']
    url = transport.url(base)
    bob = client.hg.clone(url, tmp_path / 'bob', '-r', first, config=config)
    assert remembered(bob) == [first]
    transport.connect(bob, base)
    bob.enable()
    # what was here before does not come from there
    carol = newclient('carol')
    carol.inspect('pull', '-q', '-r', first, str(client.path))
    told = carol.run('pull', '--debug', '-r', second).out
    assert 'bundlestore:fromstore' in told
    assert fromstore(carol) == [second]
    vanilla = newclient('vanilla', ext=False)
    told = vanilla.run('pull', '--debug', '-r', second).out
    assert 'fromstore' not in told
    # what was made of it is the user's own
    amended = bob.commit({'a': 'b\n'}, 'amended', parent=first, amend=True)
    bob.run('push', '--force')
    assert base.knows(amended)
    carol.run('push', '--force')
    assert base.knows(second)


@matrix.over('path')
def test_what_is_forgotten(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    hashes: History,
) -> None:
    nodes = [
        client.commit({'a': f'{n}\n'}, f'{n}', parent=hashes.start)
        for n in range(4)
    ]
    client.run('push', '--bundle-store', *(f'-r{node}' for node in nodes))
    bob = newclient('bob')
    bob.run('pull', '-r', nodes[0], '-r', nodes[1])
    assert sorted(nodes[:2]) == remembered(bob)
    # a pull that fails
    failing = ['hooks.pretxnclose=exit 1']
    bob.run('pull', '-r', nodes[2], config=failing, ok=(40, 255))
    assert sorted(nodes[:2]) == remembered(bob)
    # what landed, or was stripped
    bob.inspect('phase', '--public', nodes[0])
    bob.inspect('--config', 'extensions.strip=', 'strip', '-q', nodes[1])
    assert fromstore(bob) == []
    bob.run('pull', '-r', nodes[3])
    assert remembered(bob) == [nodes[3]] == fromstore(bob)
    rev = bob.run('log', '-r', nodes[3], '-T', '{rev}\n').out
    assert bob.run('debugrevspec', 'fromstore()').out == rev
    if bob.hg.version == matrix.NEWEST:
        # a template reads the language by itself, too
        template = '{revset("mine")}\n'
        config = ['revsetalias.mine=fromstore()']
        told = bob.run('log', '-l', '1', '-T', template, config=config)
        assert told.out == rev
    # a later release has its reasons
    path = bob.path / '.hg' / 'store' / 'bundlestore-fromstore'
    path.write_text('2\n')
    result = bob.run('push', ok=(255,))
    assert 'was written by a newer release of hg-bundlestore' in result.err


@matrix.over('path')
def test_subrepository(
    transport: Transport, base: Repo, client: Repo, tmp_path: Path
) -> None:
    """It is pushed whole, whatever is named in the outer repository."""
    node = client.commit({'a': 'a\n'}, 'experiment')
    client.run('push', '--bundle-store', '-r', node)
    outer = client.hg.init(tmp_path / 'outer')
    outer.enable()
    dest = client.hg.init(tmp_path / 'dest')
    for repo in (outer, dest):
        repo.inspect('clone', '-q', str(base.path), 'sub')
    inner = Repo(client.hg, outer.path / 'sub')
    inner.enable()
    inner.run('update', node)
    assert fromstore(inner) == [node]
    outer.commit({'.hgsub': 'sub = sub\n'}, 'outer')
    with untouched(dest.path):
        refused = outer.run('push', '-r', '.', str(dest.path), ok=(20, 255))
    assert f'1 changeset {REFUSED}{node[:12]} (in subrepo' in refused.err
