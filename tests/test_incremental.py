"""A client with the extension sends what the store lacks."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness import matrix, rawpush, wire
from harness.hg import Repo
from harness.history import History
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import bundles, folder, leftovers, tryurl
from hgext3rd.bundlestore import names
from hgext3rd.bundlestore.indexes.sqlite.file import FileIndex
from hgext3rd.bundlestore.push import known
from hgext3rd.bundlestore.wire import values

#: the first and the last of what is supported, at either end
BOTHENDS = pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version'),
    [
        pytest.param('ssh', matrix.NEWEST, matrix.NEWEST),
        pytest.param(
            'ssh', matrix.VERSIONS[0], matrix.NEWEST, marks=matrix.ANOTHER
        ),
        pytest.param(
            'ssh', matrix.NEWEST, matrix.VERSIONS[0], marks=matrix.ANOTHER
        ),
        pytest.param(
            'http', matrix.NEWEST, matrix.NEWEST, marks=matrix.ANOTHER
        ),
        pytest.param(
            'path', matrix.NEWEST, matrix.NEWEST, marks=matrix.ANOTHER
        ),
    ],
)


@pytest.fixture
def index(base: Repo) -> FileIndex:
    return FileIndex(bytes(folder(base) / 'index.sqlite3'))


def makestack(repo: Repo, count: int, name: str = 'f') -> list[str]:
    """Commit a series on top of the first parent."""
    lines = ''.join(f'{n} {n * n}\n' for n in range(300))
    return [
        repo.commit({f'{name}{n}': lines + f'{n}\n'}, f'{name} {n}')
        for n in range(count)
    ]


def push(repo: Repo, *args: str) -> str:
    return repo.run('push', '--bundle-store', *args).out


def fetched(repo: Repo, node: str, nodes: Sequence[str]) -> None:
    """Pull ``node``; all of ``nodes`` must come with it, as drafts."""
    repo.run('pull', '-r', node)
    repo.verify()
    assert set(repo.phases('draft()')) >= set(nodes)


@BOTHENDS
def test_amended_stack(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    index: FileIndex,
    tempfolder: Path,
) -> None:
    client, ci = newclient('client'), newclient('ci', ext=False)
    nodes = makestack(client, 5)
    with untouched(base.path):
        assert 'already' not in push(client)
        whole = bundles(base)[0].stat().st_size
        amended = client.commit({'f4': 'amended\n'}, 'f 4 again', amend=True)
        out = push(client)
        assert '4 of 5 changesets are in the bundle store already\n' in out
        assert 'stored 5 changesets as push 2\n' in out
        first, second = index.pushes()
        assert second.rests == (first.key,)
        assert second.nodes == (bytes.fromhex(amended),)
        assert second.changesets == first.changesets[:-1] + second.nodes
        assert index.pushes(node=second.below[0]) == [first, second]
        assert second.size * 3 < whole
        fetched(ci, amended, [*nodes[:4], amended])
        assert ci.cat('f4', amended) == 'amended\n'
        assert not ci.knows(nodes[4])
        ci.run('pull', '-r', nodes[1], '-r', nodes[4])
        ci.verify()
    assert not leftovers(base, tempfolder)


@BOTHENDS
def test_unchanged_push(
    transport: Transport,
    base: Repo,
    client: Repo,
    index: FileIndex,
    tempfolder: Path,
) -> None:
    """Nothing is sent or stored, and the push is recorded."""
    nodes = makestack(client, 2)
    push(client)
    (stored,) = bundles(base)
    before = stored.stat()
    with untouched(base.path):
        out = push(client, '-r', '.', '-B', 'scratch/alice/x')
    assert 'all of 2 changesets are in the bundle store already\n' in out
    assert 'stored 2 changesets as push 2\n' in out
    assert 'bookmark scratch/alice/x is at' in out
    assert bundles(base) == [stored]
    assert stored.stat().st_mtime_ns == before.st_mtime_ns
    assert stored.stat().st_ino == before.st_ino
    one, two = index.pushes()
    assert two[3:7] == one[3:7]  # bundle, size, changesets, heads
    assert two.text == one.text
    assert index.bookmark('scratch/alice/x') == bytes.fromhex(nodes[-1])
    assert not leftovers(base, tempfolder)


@pytest.mark.slow('many pushes, one after the other')
@matrix.over('ssh')
def test_growing_series(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    index: FileIndex,
) -> None:
    """A series that grows is stored whole before the chain is too long."""
    client, ci = newclient('client'), newclient('ci', ext=False)
    nodes = []
    for n in range(known.MAX_BUNDLES + 2):
        nodes += makestack(client, 1, f'g{n}-')
        push(client)
    lengths = [len(each.rests) + 1 for each in index.pushes()]
    most = known.MAX_BUNDLES
    assert lengths == [*range(1, most + 1), 1, 2]
    longest, whole = index.pushes()[most - 1 : most + 1]
    assert len(longest.nodes) == 1
    assert len(longest.changesets) == most
    assert len(whole.nodes) == len(whole.changesets) == most + 1
    for node in (nodes[most - 1], nodes[-1]):
        fetched(ci, node, nodes[: nodes.index(node) + 1])


@matrix.over('ssh')
def test_little_of_a_large_bundle_is_sent_again(
    transport: Transport, base: Repo, client: Repo, index: FileIndex
) -> None:
    nodes = makestack(client, 12)
    push(client)
    client.commit({'other': 'other\n'}, 'on a low one', parent=nodes[1])
    assert 'already' not in push(client, '-r', '.')
    assert len(index.push(2).nodes) == 3
    client.commit({'other': 'other\n'}, 'on a high one', parent=nodes[9])
    assert '10 of 11 changesets' in push(client, '-r', '.')


@matrix.over('ssh')
def test_what_is_below_may_be_of_several_pushes(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    index: FileIndex,
) -> None:
    """A merge of what alice and bob pushed; several heads; a part of it."""
    alice, bob, ci = (newclient(name) for name in ('alice', 'bob', 'ci'))
    ours = makestack(alice, 3, 'a')
    push(alice)
    theirs = makestack(bob, 2, 'b')
    push(bob)
    bob.run('pull', '-r', ours[-1])
    bob.inspect('update', '--quiet', ours[-1])
    bob.inspect('merge', '--quiet', theirs[-1])
    merged = bob.commit({}, 'merge')
    out = push(bob)
    assert '5 of 6 changesets' in out
    assert set(index.push(3).rests) == {index.push(1).key, index.push(2).key}
    below = [node.hex() for node in index.push(3).below]
    assert sorted(below) == sorted(ours + theirs)
    assert [node for node in below if node in ours] == ours
    fetched(ci, merged, [*ours, *theirs, merged])
    # a head that is stored is sent again, so that the push has its heads
    other = bob.commit({'c': 'c\n'}, 'other', parent=ours[0])
    out = push(bob, '-r', merged, '-r', other)
    assert '5 of 7 changesets' in out
    heads = {head.node.hex() for head in index.push(4).heads}
    assert heads == {merged, other}
    fetched(newclient('late'), other, [ours[0], other])


@matrix.over('ssh')
@pytest.mark.parametrize(
    'damage',
    ['lost', 'rotten', pytest.param('truncated', marks=matrix.ANOTHER)],
)
def test_damaged_bundles_are_sent_again(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    damage: str,
) -> None:
    client, ci = newclient('client'), newclient('ci', ext=False)
    nodes = makestack(client, 2)
    push(client)
    (stored,) = bundles(base)
    data = stored.read_bytes()

    def spoil() -> None:
        stored.chmod(0o644)
        if damage == 'lost':
            stored.unlink()
        elif damage == 'rotten':
            middle = len(data) // 2
            wrong = bytes([data[middle] ^ 1])
            stored.write_bytes(data[:middle] + wrong + data[middle + 1 :])
        else:
            stored.write_bytes(data[:-9])

    spoil()
    assert 'already' not in push(client)
    assert stored.read_bytes() == data
    spoil()
    top = client.commit({'top': 'top\n'}, 'top')
    assert 'already' not in push(client)
    fetched(ci, top, [*nodes, top])


@matrix.over('ssh')
def test_force_sends_everything(
    transport: Transport, base: Repo, client: Repo, index: FileIndex
) -> None:
    makestack(client, 2)
    push(client)
    client.commit({'top': 'top\n'}, 'top')
    assert 'already' not in push(client, '--force')
    assert len(index.push(2).nodes) == 3
    assert not index.push(2).rests


@matrix.over('ssh')
def test_clients_without_the_extension_send_everything(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    index: FileIndex,
) -> None:
    vanilla = newclient('vanilla', ext=False)
    url = transport.url(tryurl(transport, base))
    makestack(vanilla, 2)
    vanilla.run('push', url)
    vanilla.commit({'top': 'top\n'}, 'top')
    assert 'stored 3 changesets as push 2\n' in vanilla.run('push', url).out
    assert not index.push(2).rests


@matrix.over('ssh')
def test_bookmarks_move_forward_over_stored_changesets(
    transport: Transport, base: Repo, client: Repo, index: FileIndex
) -> None:
    nodes = makestack(client, 3)
    push(client, '-r', nodes[0], '-B', 'scratch/x')
    push(client, '-r', nodes[2])
    top = client.commit({'top': 'top\n'}, 'top')
    push(client, '-B', 'scratch/x', '-r', top)
    assert index.bookmark('scratch/x') == bytes.fromhex(top)
    side = client.commit({'side': 'side\n'}, 'side', parent=nodes[1])
    result = client.run(
        *('push', '-r', side, '-B', 'scratch/x'), ok=(1, 20, 30, 255)
    )
    assert 'would not move forward' in result.out + result.err


@pytest.mark.slow('a detail of what the quick loop sees')
@matrix.over('ssh')
@pytest.mark.parametrize('storeconfig', [{'verify': 'full'}])
def test_full_checks_and_hooks_see_all_of_it(
    transport: Transport,
    base: Repo,
    client: Repo,
    index: FileIndex,
    tmp_path: Path,
    tempfolder: Path,
) -> None:
    """``HG_BUNDLEREPO`` is complete, for a push that rests on another."""
    log = tmp_path / 'hook.log'
    command = (
        f'{shlex.quote(str(base.hg.executable))} -R "$HG_BUNDLEREPO"'
        f' log -r "::$HG_NODE_LAST - public()" -T "{{node}}\\n" >> {log}'
    )
    base.configure(
        'hooks', {'prebundlestore.t': command, 'bundlestore.t': command}
    )
    base.configure('phases', {'publish': 'yes'})
    nodes = makestack(client, 3)
    push(client)
    log.unlink()
    top = client.commit({'f2': 'other\n'}, 'top')
    assert '3 of 4 changesets' in push(client)
    seen = log.read_text().split()
    assert len(seen) == 2 * len(set(seen))
    assert set(seen) >= {*nodes, top}
    assert not leftovers(base, tempfolder)


@matrix.over('http')
def test_download_is_complete(
    transport: Transport, base: Repo, newclient: Callable[..., Repo]
) -> None:
    client, ci = newclient('client'), newclient('ci', ext=False)
    nodes = makestack(client, 3)
    push(client)
    top = client.commit({'top': 'top\n'}, 'top')
    push(client)
    for name in ('2', top):
        ci.run('unbundle', f'{transport.url(base)}/bundle/{name}')
        assert ci.nodes(f'::{top} and not public()') == [*nodes, top]
        ci.verify()


@matrix.over('ssh')
def test_removal_keeps_what_others_rest_on(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    index: FileIndex,
) -> None:
    client, ci = newclient('client'), newclient('ci', ext=False)
    nodes = makestack(client, 3)
    push(client)
    top = client.commit({'top': 'top\n'}, 'top')
    push(client)
    keys = {each.key for each in index.pushes()}
    assert index.remove(1) == []
    fetched(ci, top, [*nodes, top])
    ci.run('pull', '-r', nodes[1])
    assert set(index.remove(2)) == keys


@matrix.over('ssh')
def test_what_it_rests_on_is_removed_meanwhile(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    index: FileIndex,
    tempfolder: Path,
    tmp_path: Path,
) -> None:
    client, ci = newclient('client'), newclient('ci', ext=False)
    nodes = makestack(client, 2)
    push(client)
    script = tmp_path / 'remove.py'
    script.write_text(
        'import sys\n'
        'from hgext3rd.bundlestore.indexes.sqlite.file import FileIndex\n'
        'FileIndex(sys.argv[1].encode()).remove(1)\n'
    )
    hook = shlex.join(
        [sys.executable, str(script), str(folder(base) / 'index.sqlite3')]
    )
    base.configure('hooks', {'prebundlestore.remove': hook})
    top = client.commit({'top': 'top\n'}, 'top')
    result = client.run('push', '--bundle-store', ok=(255,))
    assert 'was removed meanwhile' in result.err
    assert '(push again)' in result.err
    assert index.pushes() == []
    base.configure('hooks', {'prebundlestore.remove': ''})
    assert 'already' not in push(client)
    fetched(ci, top, [*nodes, top])
    assert not leftovers(base, tempfolder)


@matrix.over('ssh')
def test_nonsense_instead_of_changesets(
    transport: Transport,
    base: Repo,
    client: Repo,
    hashes: History,
    index: FileIndex,
) -> None:
    """The part that stands in for a changegroup is not believed."""
    nodes = makestack(client, 2)
    push(client)
    makestack(client, 1, 'g')
    push(client)
    key, other = (index.push(id).key for id in (1, 2))
    top = bytes.fromhex(nodes[1])

    def same(key: str, heads: bytes) -> bytes:
        part = wire.Part('bundlestore:same', heads, [('key', key)])
        return wire.bundle2([wire.replycaps(), part], BUNDLESTORE='1')

    asked = [
        same('0' * 64, top),
        same('../' + key[3:], top),
        same(other, top),
        same(key, bytes.fromhex(nodes[0])),
        same(key, top + bytes.fromhex(nodes[0])),
        same(key, bytes.fromhex(hashes.tagged)),
        same(key, b'\xff' * 20),
        same(key, top[:-1]),
        same(key, b''),
    ]
    with untouched(base.path):
        answers = rawpush.send(
            client, transport.url(base), [*asked, same(key, top)]
        )
    for answer in answers[:-1]:
        assert answer.get('message')
        assert answer.get('hint')
    assert answers[-1] == {}
    assert [each.key for each in index.pushes()] == [key, other, key]


@matrix.over('ssh', 'http')
def test_nonsense_asked(transport: Transport, base: Repo) -> None:
    """Whatever is asked, the connection goes on and the answer is one."""
    zeros, ones = b'0' * 40, b'1' * 40
    answered: list[dict[bytes, bytes]] = [
        {},
        {b'nodes': b''},
        {b'nodes': b'f' * 40, b'heads': b'f' * 40},
        {b'nodes': zeros, b'heads': zeros, b'total': b'9' * 15},
        {b'nodes': zeros, b'heads': zeros, b'parents': b'0'},
        # a head that is its own parent, in the words of a hostile client
        {b'nodes': b'%s %s' % (ones, ones), b'heads': ones, b'parents': b'0 1'},
        {b'nodes': zeros, b'heads': ones, b'parents': b'0'},
    ]
    refused: list[dict[bytes, bytes]] = [
        {b'nodes': b'xyz'},
        {b'nodes': b'00'},
        {b'nodes': zeros, b'heads': zeros[1:]},
        {b'nodes': zeros, b'heads': zeros, b'total': b'-1'},
        {b'nodes': zeros, b'parents': b'1'},
        {b'nodes': zeros, b'parents': b'0 0'},
        {b'nodes': zeros, b'parents': b'-'},
        {b'nodes': zeros, b'parents': b'0-0-0'},
        {b'nodes': zeros, b'parents': b'9' * 20},
        {b'nodes': b' '.join([zeros] * (values.MAX_NODES + 1))},
    ]
    asked = answered + refused
    if transport.name == 'ssh':
        answers = wire.overssh(base, names.KNOWN.decode(), asked)
    else:
        url = transport.url(base)
        answers = wire.overhttp(url, names.KNOWN.decode(), asked)
    nothing = {'rest': False, 'same': None}
    assert answers[: len(answered)] == [
        {'known': flags, **nothing}
        for flags in ('', '', '0', '0', '2', '00', '2')
    ]
    for answer in answers[len(answered) :]:
        assert set(answer) == {'error'}


@matrix.over('ssh')
def test_one_request_has_little_read(
    transport: Transport, base: Repo, client: Repo
) -> None:
    """All who may pull may ask, as often as they like in one request. What
    would take too long to look at is to be sent again."""
    data = os.urandom(6_000_000)
    node = client.commit({'large': data}, 'large')
    push(client)
    (stored,) = bundles(base)
    question = ('bundlestoreknown', [('nodes', node), ('heads', node)])
    said = wire.Wire(transport, base, 'alice').call(
        'batch', wire.batch(*[question] * 20)
    )
    count = said.count(stored.name)
    assert 0 < count <= 2
    assert said.count('"same":cnull') == 20 - count, said
    # another request has its own
    assert 'is in the bundle store already' in push(client)


@pytest.mark.slow('a push for each of many changesets')
@matrix.over('ssh', 'http')
def test_long_series(
    transport: Transport, base: Repo, client: Repo, index: FileIndex
) -> None:
    """More changesets than can be asked about at once."""
    count = values.MAX_NODES * 2 + 7
    client.inspect('debugbuilddag', '--from-existing', f'+{count}')
    first = client.node('tip')
    client.inspect('update', '--quiet', first)
    push(client, '-r', 'tip')
    top = client.commit({'top': 'top\n'}, 'top')
    total = len(client.nodes(f'::{top} and draft()'))
    out = push(client, '-r', top)
    assert f'{total - 1} of {total} changesets' in out
    assert len(index.push(2).nodes) == 1
    assert f'all of {total} changesets' in push(client, '-r', top)
