"""Stored changegroups go out as they are, where they can.

A server with an ``outgoing`` hook opens an overlay for each pull, so the one
can be compared with the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import matrix
from harness.answers import Log
from harness.hg import Hg, Repo
from harness.history import History
from harness.servers import HttpTransport, Transport
from harness.shelf import Shelf
from harness.store import bundles, folder, leftovers
from hgext3rd.bundlestore import backends, model

#: over each wire, with several versions
quick_combinations = pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version'),
    [
        pytest.param(
            *(transport, client, server),
            marks=[] if transport == 'ssh' else matrix.ANOTHER,
        )
        for transport, pairs in matrix.QUICKPAIRS.items()
        for client, server in pairs
    ],
)


def forceoverlays(transport: Transport, base: Repo) -> None:
    base.configure('hooks', {'outgoing.overlay': 'true'})
    transport.restart()


def state(repo: Repo) -> tuple[list[str], list[str], list[str]]:
    """Return all that a pull brings: changesets (whose hashes stand for all
    that is in them) with phases, markers, bookmarks."""
    changesets = repo.inspect(
        *('log', '--hidden', '-r', 'all()', '-T', '{node} {phase}\n')
    )
    markers = repo.inspect('debugobsolete')
    bookmarks = repo.inspect('bookmarks', '-T', '{bookmark} {node}\n')
    return (
        sorted(changesets.splitlines()),
        sorted(markers.splitlines()),
        sorted(bookmarks.splitlines()),
    )


@pytest.fixture
def scratch(
    transport: Transport,
    base: Repo,
    log: Log,
    client: Repo,
    hashes: History,
    shelf: Shelf,
) -> dict[str, str]:
    """Pushes of all kinds, by name; what landed since is not in ``vanilla``."""
    for repo in (base, client):
        repo.configure('experimental', {'evolution': 'all'})
    transport.restart()
    return shelf.once(
        f'{transport.name} pushes of all kinds',
        [base, client],
        lambda: _scratch(client, hashes),
    )


def _scratch(client: Repo, hashes: History) -> dict[str, str]:
    made: dict[str, str] = {}

    def commit(name: str, parent: str) -> None:
        made[name] = client.commit(
            {'src/main.txt': f'{name}\n', f'{name}.txt': f'{name}\n'},
            name,
            parent=parent,
        )

    def push(*names: str) -> None:
        args = [x for name in names for x in ('-r', made[name])]
        client.run('push', '-q', '--bundle-store', *args)

    commit('stack1', hashes.tagged)
    commit('stack2', made['stack1'])
    commit('stack3', made['stack2'])
    push('stack3')
    commit('fork', hashes.left)
    commit('fork1', made['fork'])
    commit('fork2', made['fork'])
    push('fork1', 'fork2')
    # made obsolete by what comes with it
    commit('old', hashes.fixed)
    commit('new', hashes.fixed)
    client.inspect('debugobsolete', made['old'], made['new'])
    push('new')
    client.inspect('update', '-q', '--clean', made['new'])
    client.inspect('merge', '-q', hashes.right, '--tool', ':local')
    made['merge'] = client.commit({}, 'scratch and base')
    push('merge')
    commit('landed', hashes.tagged)
    client.run('push', '-q', '-r', made['landed'])
    commit('onlanded', made['landed'])
    push('onlanded')
    return made


@matrix.over('ssh')
@pytest.mark.parametrize('client_version', [matrix.VERSIONS[0]])
def test_same_as_an_overlay(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    scratch: dict[str, str],
    hashes: History,
    log: Log,
    tempfolder: Path,
) -> None:
    pulls = [
        # (what is asked for, answer): each into the clone of the one before
        (['stack2'], 'some 2'),
        (['stack3'], '3'),
        (['fork1'], 'some 2'),
        (['fork1', 'fork2'], '3'),
        (['new'], '1'),
        (['merge'], '2'),
        (['onlanded', 'merge'], '4 behind'),
        (['onlanded'], '1'),
    ]
    fast = newclient('fast', ext=False)
    slow = newclient('slow', ext=False)
    for repo in (fast, slow):
        repo.configure('experimental', {'evolution': 'all'})
    log.new()

    def pull(repo: Repo, names: list[str]) -> list[str]:
        # a changeset that is here already is not asked for
        strip = [scratch[n] for n in names if repo.knows(scratch[n])]
        if strip:
            revs = [x for node in strip for x in ('-r', node)]
            repo.inspect(
                *('--config', 'extensions.strip=', 'strip', '--no-backup'),
                *revs,
            )
        args = [x for name in names for x in ('-r', scratch[name])]
        repo.run('pull', '-q', *args)
        return log.new()

    states = []
    for names, expected in pulls:
        assert pull(fast, names) == [expected], names
        states.append(state(fast))
    # a head of the base that is not here yet, and several bundles
    other = newclient('other', ext=False)
    args = [scratch['fork1'], scratch['fork2'], scratch['new'], hashes.tagged]
    other.run('pull', '-q', *(x for node in args for x in ('-r', node)))
    assert log.new() == ['4']
    other.verify()
    fast.verify()
    forceoverlays(transport, base)
    for (names, _expected), before in zip(pulls, states):
        assert pull(slow, names) == ['overlay'], names
        assert state(slow) == before, names
    assert not leftovers(base, tempfolder)


@quick_combinations
def test_clone_and_pull(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    tmp_path: Path,
    scratch: dict[str, str],
    hashes: History,
    log: Log,
) -> None:
    """Over each transport: in one part, several parts, and with all of the
    base in front of it."""
    vanilla = newclient('vanilla', ext=False)
    log.new()
    vanilla.run('pull', '-r', scratch['stack3'])
    assert log.new() == ['3']
    args = [scratch['fork1'], scratch['fork2'], scratch['new']]
    vanilla.run('pull', *(x for node in args for x in ('-r', node)))
    assert log.new() == ['4']
    vanilla.run('pull', '-r', scratch['onlanded'])
    assert log.new() == ['2 behind']
    assert vanilla.phase(scratch['landed']) == 'public'
    assert len(vanilla.nodes('draft()')) == 8
    # what is here already
    for name in ('stack3', 'stack2'):
        vanilla.run('pull', '-r', scratch[name])
        assert log.new()[0].split()[-1] == '0'
    vanilla.verify()
    clone = vanilla.hg.clone(
        transport.url(base),
        tmp_path / 'clone',
        *('-r', scratch['merge']),
        config=transport.commandline(),
    )
    assert log.new() == ['6 behind']
    assert clone.nodes('draft()') == [scratch['new'], scratch['merge']]
    assert clone.knows(hashes.right)
    assert not clone.knows(hashes.tagged)
    clone.verify()


@pytest.mark.slow('repositories in another format')
@pytest.mark.parametrize('transport_name', ['ssh'])
@pytest.mark.parametrize(
    ('client_version', 'server_version'),
    [
        (matrix.VERSIONS[0], matrix.NEWEST),
        pytest.param(matrix.NEWEST, matrix.VERSIONS[0], marks=matrix.ANOTHER),
    ],
)
def test_tree_manifests(
    transport: Transport,
    base: Repo,
    hg: Callable[..., Hg],
    client_version: str,
    tmp_path: Path,
) -> None:
    """The base in front of a bundle, and of several: what both have of a
    directory is one group."""
    tree = Repo(transport.hg, transport.root / 'tree')
    trees = 'experimental.treemanifest=yes'
    transport.hg.run('init', tree.path, config=[trees])
    first = tree.commit(
        {'a/b/c/d.txt': '1\n', 'a/e.txt': '1\n', 'f/g.txt': '1\n'}, 'first'
    )
    left = tree.commit({'a/b/c/d.txt': '2\n', 'h/i/j.txt': '2\n'}, 'left')
    tree.commit({'f/k/l.txt': '3\n', 'a/e.txt': '3\n'}, 'right', parent=first)
    tree.inspect('merge', '-q', left)
    tree.inspect('commit', '-m', 'merged')
    tree.inspect('phase', '--public', 'all()')
    serving = base.hgrc.read_text()

    def clone(name: str, source: Repo | str, *args: str) -> Repo:
        repo = hg(client_version).clone(
            source.path if isinstance(source, Repo) else source,
            tmp_path / name,
            *args,
            config=[trees, *transport.commandline()],
        )
        transport.connect(repo, tree)
        return repo

    client = clone('client', tree)
    client.enable()
    early = clone('early', client, '-r', first)
    slow = clone('slow', client, '-r', left)
    tree.hgrc.write_text(serving)
    log = Log(tree)

    one = client.commit({'a/b/c/d.txt': 'one\n', 'm/n/o.txt': 'one\n'}, 'one')
    client.run('push', '-q', '--bundle-store', '-r', one)
    early.run('pull', '-q', '-r', one)
    assert log.new() == ['4 behind']
    early.verify()
    # it rests on that
    client.commit({'a/b/p.txt': 'two\n'}, 'two', parent=left)
    client.inspect('merge', '-q', one)
    two = client.commit({'h/i/j.txt': 'two\n', 'f/g.txt': None}, 'merge')
    client.run('push', '-q', '--bundle-store', '-r', two)
    whole = clone('whole', transport.url(tree), '-r', two)
    assert log.new() == ['7 behind']
    slow.run('pull', '-q', '-r', two)
    assert log.new() == ['5 behind']
    # a file that is as it was is not sent again
    client.commit({'a/b/c/d.txt': None}, 'removed')
    back = client.commit({'a/b/c/d.txt': '1\n'}, 'back')
    client.run('push', '-q', '--bundle-store', '-r', back)
    for repo in (whole, slow):
        repo.run('pull', '-q', '-r', back)
        assert log.new() == ['5']
        repo.verify()
        assert state(repo) == state(client)
        assert repo.cat('a/b/c/d.txt', back) == '1\n'
        for node in (two, back):
            files = client.inspect('manifest', '--debug', '-r', node)
            assert repo.inspect('manifest', '--debug', '-r', node) == files


@matrix.over('ssh')
def test_drafts_of_the_base(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo, log: Log
) -> None:
    """Their phase is that of the base, and public where the base publishes;
    so is that of a changeset that landed with the bundle still there."""
    base.configure('phases', {'publish': 'no'})
    first = client.commit({'a': 'a\n'}, 'landed')
    second = client.commit({'b': 'b\n'}, 'landed later')
    third = client.commit({'c': 'c\n'}, 'scratch')
    client.run('push', '-r', first)
    client.run('push', '--bundle-store', '-r', third)
    vanilla.run('pull', '-r', third)
    assert log.new() == ['3 behind']
    assert vanilla.nodes('draft()') == [first, second, third]
    client.run('push', '-r', second)
    base.inspect('phase', '--public', first)
    for publish, drafts in (('no', [second, third]), ('yes', [third])):
        base.configure('phases', {'publish': publish})
        vanilla.inspect(
            *('--config', 'extensions.strip=', 'strip', '--no-backup'),
            *('-r', second),
        )
        vanilla.run('pull', '-r', third)
        assert log.new() == ['2']
        assert vanilla.nodes('draft()') == drafts


@matrix.over('ssh')
def test_bundle_on_bundle(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    hashes: History,
    log: Log,
) -> None:
    """Those that a bundle rests on come with it, if nothing comes that was
    not asked for."""
    store = backends.openstore('file', model.Place(bytes(folder(base))))
    index = backends.openindex('file', model.Place(bytes(folder(base))))
    nodes: dict[str, str] = {}
    keys: dict[str, str] = {}
    for name, parent, rests in (
        ('first', None, []),
        ('second', 'first', ['first']),
        ('third', 'second', ['first', 'second']),
        ('aside', 'first', ['first']),
    ):
        below = nodes[parent] if parent else hashes.tagged
        nodes[name] = client.commit(
            {'src/main.txt': f'{name}\n', name: 'x' * 1000}, name, parent=below
        )
        bundle = client.path / 'part.hg'
        bundle.unlink(missing_ok=True)
        client.inspect(
            *('bundle', '-q', '-t', 'none-v2', '--base', below),
            *('-r', nodes[name], str(bundle)),
        )
        data = bundle.read_bytes()
        keys[name] = store.put([data])
        node = bytes.fromhex(nodes[name])
        index.record(
            model.NewPush(
                time=1.0,
                user='alice',
                key=keys[name],
                size=len(data),
                nodes=(node,),
                heads=(model.Head(node, name),),
                rests=tuple(keys[other] for other in rests),
            )
        )
    vanilla.run('pull', '-r', nodes['third'])
    assert log.new() == ['3']
    vanilla.run('pull', '-r', nodes['aside'])
    assert log.new() == ['2']
    assert len(vanilla.nodes('draft()')) == 4
    assert vanilla.cat('src/main.txt', nodes['third']) == 'third\n'
    vanilla.verify()


def flipped(data: bytes, position: int) -> bytes:
    damaged = bytearray(data)
    damaged[position] ^= 1
    return bytes(damaged)


def assertrefused(repo: Repo, nodes: list[str], text: str) -> None:
    """Check that a pull ends with one message, and leaves nothing."""
    before = state(repo)
    args = [x for node in nodes for x in ('-r', node)]
    result = repo.run('pull', *args, ok=(100, 255))
    output = result.out + result.err
    assert output.count('\nabort: ') == 1, output
    assert text in output, output
    assert state(repo) == before


@matrix.over('ssh', later=['http', 'path'])
def test_rot_is_never_served(
    transport: Transport,
    base: Repo,
    log: Log,
    client: Repo,
    vanilla: Repo,
    hashes: History,
) -> None:
    """Wherever it is, and whether one bundle or several are sent."""
    pushed = []
    for name, parent in (('a', hashes.tagged), ('b', hashes.fixed)):
        content: dict[str, str | bytes | None] = {
            name: bytes(range(256)) * 4000,
            f'{name}2': name,
        }
        pushed.append(client.commit(content, name, parent=parent))
        client.run('push', '-q', '--bundle-store', '-r', pushed[-1])
    # keys, and with them the order of the files, are nobody's choice
    path = bundles(base)[0]
    whole = path.read_bytes()
    (single,) = [node for node in pushed if bytes.fromhex(node) in whole]
    log.new()
    path.chmod(0o644)
    half = len(whole) // 2
    for data, nodes in (
        (flipped(whole, 40), [single]),
        (flipped(whole, half), pushed),
        (flipped(whole, len(whole) - 1), [single]),
        (whole[:half], [single]),
    ):
        path.write_bytes(data)
        assertrefused(vanilla, nodes, 'is corrupt')
    path.unlink()
    assertrefused(vanilla, pushed, 'is missing')
    assert not log.new()
    path.write_bytes(whole)
    vanilla.run('pull', '-q', '-r', pushed[0], '-r', pushed[1])
    assert log.new() == ['2']


@pytest.mark.slow('megabytes of pushes')
@matrix.over('ssh', 'http')
def test_rot_in_a_large_bundle(
    transport: Transport,
    base: Repo,
    log: Log,
    client: Repo,
    vanilla: Repo,
) -> None:
    """It is hashed while it is sent, and the answer breaks off."""
    node = client.commit({'zeros': bytes(36 << 20), 'two': '2\n'}, 'large')
    client.run('push', '-q', '--bundle-store', '-r', node)
    (path,) = bundles(base)
    whole = path.read_bytes()
    log.new()
    path.chmod(0o644)
    for position in (len(whole) // 2, len(whole) - 1):
        path.write_bytes(flipped(whole, position))
        assertrefused(vanilla, [node], 'is corrupt')
    path.write_bytes(whole[: len(whole) // 2])
    assertrefused(vanilla, [node], 'is corrupt')
    assert not log.new()
    path.write_bytes(whole)
    vanilla.run('pull', '-q', '-r', node)
    assert log.new() == ['1']


MEASURE = """\
import atexit, os, re
def report():
    with open('/proc/self/status') as file:
        peak = re.search(r'VmHWM:\\s+(\\d+) kB', file.read())[1]
    with open({path!r}, 'w') as file:
        file.write(peak)
atexit.register(report)
"""


@pytest.mark.realstarts('what a process takes, from its start')
@pytest.mark.usefixtures('ownserver')
@pytest.mark.slow('megabytes of pushes')
@matrix.over('ssh', 'http')
def test_memory(
    transport: Transport,
    base: Repo,
    log: Log,
    client: Repo,
    vanilla: Repo,
    hashes: History,
    tmp_path: Path,
) -> None:
    """A server holds no more of a pull than of any other request."""
    peak = tmp_path / 'peak'
    if transport.name == 'ssh':
        code = tmp_path / 'measure.py'
        code.write_text(MEASURE.format(path=str(peak)))
        base.configure('extensions', {'measure': str(code)})
    import random

    numbers = random.Random(1)
    content = [numbers.randbytes(1 << 20) for _ in range(120)]
    node = client.commit(
        {f'{n}.bin': data for n, data in enumerate(content)}, 'much of it'
    )
    client.run('push', '-q', '--bundle-store', '-r', node)
    log.new()
    vanilla.run('pull', '-q', '-r', node)
    assert log.new() == ['1']
    if isinstance(transport, HttpTransport):
        assert transport.process is not None
        status = Path(f'/proc/{transport.process.pid}/status').read_text()
        found = re.search(r'VmHWM:\s+(\d+) kB', status)
        assert found
        kilobytes = int(found[1])
    else:
        kilobytes = int(peak.read_text())
    assert kilobytes < 80 * 1024
