"""How often a command asks a server: who sits far from it waits each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from harness import matrix
from harness.hg import Repo
from harness.servers import Transport, serve_bundlestore
from harness.store import folder, tryurl
from harness.trips import Trips
from hgext3rd.bundlestore.indexes.sqlite.file import FileIndex

#: what comes before the first question
HELLO = {'http': ['capabilities'], 'ssh': ['hello', 'between']}

OLDEST, NEWEST = matrix.VERSIONS[0], matrix.NEWEST

#: over each wire, and with old ones at either end
WIRES = pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version'),
    [
        ('http', NEWEST, NEWEST),
        pytest.param('http', OLDEST, NEWEST, marks=matrix.ANOTHER),
        pytest.param('http', NEWEST, OLDEST, marks=matrix.ANOTHER),
        pytest.param('ssh', NEWEST, NEWEST, marks=matrix.ANOTHER),
        pytest.param('ssh', OLDEST, OLDEST, marks=matrix.ANOTHER),
    ],
)

Count = Callable[..., list[str]]


@pytest.fixture
def count(transport: Transport, base: Repo) -> Iterator[Count]:
    """``count(client, …)``: run a command, which has one connection, and
    return what it sends behind the hello. ``URL`` is the server's."""
    trips = Trips(transport, base)

    def run(client: Repo, *args: str) -> list[str]:
        client.configure('paths', {'default': trips.url})
        words = [trips.url if word == 'URL' else word for word in args]
        seen = trips.of(client, *words)
        hello = HELLO[transport.name]
        assert seen.connections == 1, seen
        assert seen.commands[: len(hello)] == hello
        return seen.commands[len(hello) :]

    yield run
    trips.close()


@pytest.fixture
def index(base: Repo) -> FileIndex:
    return FileIndex(bytes(folder(base) / 'index.sqlite3'))


@WIRES
def test_pushes(
    transport: Transport,
    base: Repo,
    client: Repo,
    index: FileIndex,
    count: Count,
) -> None:
    client.configure(
        'paths', {'try': 'path://default', 'try:bundle-store': 'yes'}
    )
    client.commit({'a': 'a\n'}, 'new')
    assert count(client, 'push', '--bundle-store') == ['batch', 'unbundle']
    client.commit({'a': 'b\n'}, 'rests on it')
    assert count(client, 'push', 'try') == ['batch', 'unbundle']
    assert len(index.push(2).rests) == 1
    assert count(client, 'push', '--bundle-store') == ['batch', 'unbundle']
    assert index.push(3).key == index.push(2).key
    # others were quicker
    base.commit({'news': 'news\n'}, 'news')
    top = client.commit({'a': 'c\n'}, 'rests on both')
    args = ('push', '-r', '.', '-B', 'scratch/x')
    assert count(client, *args) == ['batch', 'unbundle']
    assert len(index.push(4).rests) == 2
    assert index.bookmark('scratch/x') == bytes.fromhex(top)


class Ends(NamedTuple):
    """A client, what it has of its own, and what it lacks."""

    client: Repo
    mine: str
    #: a stack with the bookmark scratch/x, and what the base has got
    nodes: list[str]
    news: str


@pytest.fixture
def ends(base: Repo, newclient: Callable[..., Repo]) -> Ends:
    author, client = newclient('author'), newclient('client')
    nodes = [author.commit({'a': f'{n}\n'}, 'change') for n in range(3)]
    author.run('push', '--bundle-store', '-r', '.', '-B', 'scratch/x')
    news = base.commit({'news': 'news\n'}, 'news')
    mine = client.commit({'mine': 'mine\n'}, 'mine')
    return Ends(client, mine, nodes, news)


@WIRES
def test_on_demand_pulls(ends: Ends, count: Count) -> None:
    client, mine, nodes, news = ends
    assert count(client, 'update', nodes[0]) == ['batch', 'getbundle']
    assert client.node('.') == nodes[0]
    assert count(client, 'update', nodes[2][:9]) == ['batch', 'getbundle']
    assert client.node('.') == nodes[2]
    assert client.nodes('draft()') == [mine, *nodes]
    assert not client.knows(news)


@WIRES
def test_pulls_by_name(ends: Ends, count: Count) -> None:
    """What a name means, and what both ends have, is one question."""
    client, mine, nodes, news = ends
    once = ['batch', 'getbundle']
    assert count(client, 'pull', '-r', nodes[0]) == once
    assert client.nodes('draft()') == [mine, nodes[0]]
    assert count(client, 'pull', '-r', nodes[1][:9], '-r', nodes[0]) == once
    assert count(client, 'pull', '-B', 'scratch/x') == once
    assert client.nodes('draft()') == [mine, *nodes]
    assert not client.knows(news)
    assert count(client, 'pull', '-r', news) == once
    assert client.nodes('not public()') == [mine, *nodes]
    client.verify()


@WIRES
def test_clones_of_a_name(
    transport: Transport, base: Repo, client: Repo, count: Count
) -> None:
    node = client.commit({'a': 'a\n'}, 'change')
    client.run('push', '--bundle-store')
    path = client.path.parent / 'clone'
    every = [*transport.commandline(), 'extensions.bundlestore=']
    config = [word for one in every for word in ('--config', one)]
    sent = count(client, 'clone', *config, '-r', node, 'URL', str(path))
    assert sent == ['batch', 'getbundle']
    clone = Repo(client.hg, path)
    assert clone.nodes('draft()') == [node]
    clone.verify()


@matrix.over('ssh')
def test_all_kinds_of_pushes(
    transport: Transport,
    base: Repo,
    client: Repo,
    index: FileIndex,
    count: Count,
) -> None:
    """Several heads, a merge, what landed, what is secret."""
    public = client.node('.')

    def push(*revs: str) -> tuple[int, int]:
        """Return how many changesets were sent, and on how many bundles they
        rest."""
        named = [word for rev in revs for word in ('-r', rev)]
        sent = count(client, 'push', '--bundle-store', *named)
        assert sent == ['batch', 'unbundle']
        made = index.pushes()[-1]
        return len(made.nodes), len(made.rests)

    def commit(name: str, parent: str) -> str:
        return client.commit({name: f'{name}\n'}, name, parent=parent)

    one = commit('one', public)
    two = commit('two', public)
    assert push(one) == (1, 0)
    assert push(two) == (1, 0)
    tops = commit('one top', one), commit('two top', two)
    assert push(*tops) == (2, 2)
    # a head is sent again, so that the push has its heads
    third = commit('one third', one)
    assert push(third, tops[1]) == (2, 2)
    client.inspect('update', '--quiet', tops[0])
    client.inspect('merge', '--quiet', tops[1])
    merged = client.commit({}, 'merge')
    assert push(merged)[0] == 1
    # stored, but the base has it by now
    base.inspect('pull', '--quiet', '-r', one, str(client.path))
    assert push(commit('one fourth', one)) == (1, 0)
    secret = commit('secret', merged)
    client.inspect('phase', '--force', '--secret', secret)
    push()
    assert bytes.fromhex(secret) not in index.pushes()[-1].changesets


@matrix.over('ssh')
def test_base_that_lacks_what_is_public(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    index: FileIndex,
    count: Count,
) -> None:
    """A replica that lags, say: Mercurial's discovery finds out."""
    public = client.commit({'a': 'a\n'}, 'public')
    client.inspect('phase', '--public', public)
    top = client.commit({'a': 'b\n'}, 'top')
    # all that the base has for heads is known here
    sent = count(client, 'push', '--bundle-store')
    assert sent == ['batch', 'unbundle']
    assert len(index.push(1).nodes) == 2
    base.commit({'news': 'news\n'}, 'news')
    again = client.commit({'a': 'c\n'}, 'again', amend=True)
    sent = count(client, 'push', '--bundle-store')
    assert sent[:2] == ['batch', 'batch']
    assert len(index.push(2).changesets) == 2
    assert len(index.push(2).nodes) == 1
    other = newclient('other')
    for node in top, again:
        assert count(other, 'update', node) == ['batch', 'getbundle']
    other.verify()


@matrix.over('ssh')
def test_markers_that_nobody_wants(
    transport: Transport, base: Repo, client: Repo, count: Count
) -> None:
    """A server without obsolescence markers is not asked whether it has any."""
    client.configure('experimental', {'evolution': 'all'})
    client.commit({'a': 'a\n'}, 'change')
    client.commit({'a': 'b\n'}, 'amended', amend=True)
    assert count(client, 'push', '--bundle-store') == ['batch', 'unbundle']


OLDER = """\
from hgext3rd.bundlestore import names

names.CAPABILITIES = tuple(c.partition(b'=')[0] for c in names.CAPABILITIES)
"""


@matrix.over('ssh')
def test_older_server(
    transport: Transport,
    base: Repo,
    client: Repo,
    index: FileIndex,
    count: Count,
) -> None:
    """It is asked as it has always been."""
    script = transport.root / 'older.py'
    script.write_text(OLDER)
    transport.rc.write_text(f'[extensions]\nolder = {script}\n')
    client.commit({'a': 'a\n'}, 'new')
    push = ('push', '--bundle-store')
    known = 'bundlestoreknown'
    assert count(client, *push) == ['batch', known, 'unbundle']
    client.commit({'a': 'b\n'}, 'rests on it')
    assert count(client, *push) == ['batch', known, known, 'unbundle']
    assert len(index.push(2).rests) == 1


@pytest.mark.parametrize('transport_name', ['http', 'ssh'])
def test_pushes_that_are_none_of_ours(
    transport: Transport,
    plainbase: Repo,
    client: Repo,
    vanilla: Repo,
) -> None:
    """A base, or a client, that has the extension on costs nobody more."""
    vanilla.commit({'a': 'a\n'}, 'change')
    client.inspect('pull', '--quiet', str(vanilla.path))
    bare = _pushed(transport, plainbase, vanilla)
    serve_bundlestore(plainbase, {})
    shared = tryurl(transport, plainbase)
    plainbase.inspect(
        *('--config', 'extensions.strip=', 'strip', '--no-backup', 'tip')
    )
    client.inspect('update', '--quiet', 'tip')
    vanilla.inspect('phase', '--force', '--draft', 'tip')
    assert _pushed(transport, shared, vanilla) <= bare
    assert _pushed(transport, plainbase, client) <= bare


def _pushed(transport: Transport, repo: Repo, client: Repo) -> tuple[int, int]:
    """Return how many commands, and connections, a push takes."""
    trips = Trips(transport, repo)
    seen = trips.of(client, 'push', '-r', 'tip', trips.url)
    trips.close()
    return len(seen.commands), seen.connections
