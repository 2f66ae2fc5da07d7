"""Databases and object stores that are down, slow, break off or were tampered
with: what a server with a bundle store does then.

The servers are real, the network in between is ``harness/proxy.py``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from faults import blindkills
from harness import matrix, servers, web
from harness.backends import (
    MariaDB,
    ObjectStore,
    PostgreSQL,
    Rclone,
    SeaweedFS,
)
from harness.backends.session import Getter
from harness.hg import Repo, Result, finish
from harness.nightly import upto
from harness.proxy import HOST, Proxy
from harness.servers import SshTransport, Transport
from harness.snapshot import untouched
from hgext3rd.bundlestore import backends, model

pytestmark = pytest.mark.slow('databases and object stores of others')

UNKNOWN = '0123456789abcdef' * 2 + '01234567'
CHECK = ('admin::bundlestore-stats', '--check')
VERIFY = 'admin::bundlestore-verify'
GC = ('admin::bundlestore-gc', '--grace', '0 days')


class Network:
    """What is between a server and its database and object store."""

    def __init__(
        self,
        database: PostgreSQL | MariaDB,
        objects: ObjectStore,
        newproxy: Callable[[int], Proxy],
    ) -> None:
        self.index = newproxy(database.port)
        self.store = newproxy(objects.port)
        self.database = database
        self.indexurl = self.renewed()
        self.storeurl = objects.fresh(self.store.port)
        self._objects = objects
        self.forget()

    def renewed(self) -> str:
        """Return the address of an empty index."""
        url = self.database.fresh(self.index.port)
        made: Any = backends.openindex(url, model.Place(b''))
        made.schema(create=True)
        made.close()
        return url

    def forget(self) -> None:
        self.index.connections = self.store.connections = 0

    @property
    def connections(self) -> tuple[int, int]:
        """How many there were to the index and to the store."""
        return self.index.connections, self.store.connections

    def heal(self) -> None:
        for proxy in (self.index, self.store):
            proxy.cutafter = None
            proxy.refuse = proxy.swallow = False
            proxy.cut()

    def objects(self) -> list[str]:
        """Return the names of all bundles that are in the object store."""
        prefix = self.storeurl.partition('?')[0].split('/', 3)[3]
        listed = self._objects.client().list_objects_v2(
            Bucket='bundles', Prefix=f'{prefix}/'
        )
        names = [found['Key'] for found in listed.get('Contents', ())]
        return [name for name in names if re.search('/[0-9a-f]{64}$', name)]

    def delete(self, name: str) -> None:
        self._objects.client().delete_object(Bucket='bundles', Key=name)


@pytest.fixture
def network(
    request: pytest.FixtureRequest,
    backend: Getter,
    newproxy: Callable[[int], Proxy],
) -> Network:
    database, objects = getattr(request, 'param', (PostgreSQL, Rclone))
    return Network(backend(database), backend(objects), newproxy)


#: decorates a test that is to run with others at night
over_all = pytest.mark.parametrize(
    'network',
    [
        pytest.param((PostgreSQL, Rclone), id='postgresql-rclone'),
        pytest.param(
            (MariaDB, SeaweedFS),
            id='mariadb-seaweedfs',
            marks=pytest.mark.nightly('PostgreSQL and rclone are in CI'),
        ),
    ],
    indirect=True,
)


@pytest.fixture
def storeconfig(network: Network) -> dict[str, str]:
    # what is kept on this machine would hide what happens elsewhere
    return {
        'store': network.storeurl,
        'index': network.indexurl,
        'cache-size': '0',
    }


#: marks what is much like another one
_LIKE = pytest.mark.nightly('each kind has its tests with the backend')


def refused(result: Result) -> None:
    """One line says what happened, another one what to do."""
    assert result.code, result
    assert len(re.findall(r'^abort: ', result.err, re.MULTILINE)) == 1, result
    assert re.search(r'^\(.+\)$', result.err, re.MULTILINE), result
    assert 'secret' not in str(result)


@matrix.over('ssh')
def test_base_asks_nobody(
    transport: Transport,
    base: Repo,
    network: Network,
    vanilla: Repo,
    client: Repo,
) -> None:
    """What the base can answer alone costs no request to a backend."""
    url = transport.url(base)
    landed = vanilla.commit({'landed': 'x\n'}, 'landed')
    vanilla.hg.run(
        *('clone', '-q', url, vanilla.path.parent / 'clone'),
        config=transport.commandline(),
    )
    client.run('pull', '-B', 'x', ok=(255,))
    client.run('incoming', ok=(1,))
    for rev in ('default', 'v1', base.node('tip'), base.node('tip')[:8]):
        vanilla.run('id', '-r', rev, url)
    vanilla.run('push', '-r', landed)
    client.run('pull', '-r', landed[:12])
    assert base.knows(landed)
    assert network.connections == (0, 0)


@servers.overweb('wsgi')
def test_pages_of_the_base_ask_nobody(
    transport: Transport, base: Repo, network: Network
) -> None:
    url = transport.url(base)
    for page in (
        *('', 'log', 'graph', 'file/tip', 'rev/tip', 'branches', 'tags'),
        *('bookmarks', f'rev/{base.node("tip")}', 'rev/v1'),
        *('raw-rev/tip', 'json-log', 'atom-log', 'help', 'rev/1'),
    ):
        assert web.get(f'{url}/{page}').status == 200, page
    assert network.connections == (0, 0)
    network.index.swallow = network.store.swallow = True
    # and so is what nobody is asked for
    assert web.get(f'{url}/log').status == 200
    assert web.get(f'{url}/rev/{UNKNOWN}').status == 404
    first = network.connections
    assert first[1] == 0
    assert web.get(f'{url}/bundlestore-health').status == 503
    assert web.get(f'{url}/rev/{UNKNOWN}').status == 404
    assert web.get(f'{url}/rev/tip').status == 200


@contextlib.contextmanager
def blackhole() -> Iterator[int]:
    """Give a port at which nobody answers, not even by refusing."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((HOST, 0))
        listener.listen(0)
        for _filling in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    'how',
    [
        'closed',
        pytest.param('blackhole', marks=matrix.ANOTHER),
        *(pytest.param(how, marks=_LIKE) for how in ('refused', 'silent')),
    ],
)
@over_all
@matrix.over('ssh')
def test_index_is_away(
    transport: Transport,
    base: Repo,
    network: Network,
    vanilla: Repo,
    client: Repo,
    how: str,
) -> None:
    """One short time-out a process, and only where the index is needed."""
    node = client.commit({'new': 'x\n'}, 'new')
    url = transport.url(base)
    with contextlib.ExitStack() as stack:
        port = network.index.port
        if how == 'closed':
            with socket.create_server((HOST, 0)) as gone:
                port = gone.getsockname()[1]
        elif how == 'blackhole':
            port = stack.enter_context(blackhole())
        elif how == 'silent':
            network.index.swallow = True
        else:
            network.index.refuse = True
        elsewhere = network.indexurl.replace(
            f':{network.index.port}/', f':{port}/'
        )
        base.configure('bundlestore', {'index': elsewhere})
        begin = time.monotonic()
        result = vanilla.run('id', '-r', UNKNOWN, url, ok=(255,))
        # two seconds, and all that a busy machine needs besides
        assert time.monotonic() - begin < 12
        assert 'the bundle store could not be asked' in result.err
        refused(client.run('push', '--bundle-store', '-r', node, ok=(255,)))
        (found,) = base.run(*CHECK, ok=(1,)).out.splitlines()
        assert found.startswith('index: ')
    assert network.connections[1] <= 1
    assert not network.objects()


# pushes


class Pushing:
    """Pushes to a server whose network breaks, and what came of them."""

    def __init__(self, base: Repo, client: Repo, network: Network) -> None:
        self.base = base
        self.client = client
        self.network = network
        self._count = 0
        #: heads of what was acknowledged
        self.stored: list[str] = []

    def commit(self) -> str:
        self._count += 1
        return self.client.commit(
            {f'file{self._count}': 'x\n'}, f'{self._count}', parent='v1'
        )

    def push(self, node: str, ok: tuple[int, ...] | None = (0,)) -> Result:
        result = self.client.run(
            *('push', '--bundle-store', '-r', node),
            *('-B', f'scratch/{node[:6]}'),
            ok=ok,
        )
        if result.code:
            refused(result)
        else:
            self.stored.append(node)
        return result

    def listed(self) -> list[str]:
        """Return the heads of all pushes that are there, oldest first."""
        text = self.base.run('pushes', '-T', '{heads % "{node}\\n"}').out
        return text.split()[::-1]

    def verify(self, *args: str, ok: tuple[int, ...] = (0,)) -> set[str]:
        """Return the kinds of what is found."""
        words = (VERIFY, '-T', '{kind}\n', *args)
        return set(self.base.run(*words, ok=ok).out.split())

    def check(self) -> None:
        """All is in order, but for bundles that nobody knows."""
        assert self.verify() <= {'orphan', 'stray', 'note'}
        self.verify('--repair')
        self.base.run(*GC)
        assert not self.verify()
        assert len(self.network.objects()) == len(set(self.listed()))


@pytest.fixture
def pushing(base: Repo, client: Repo, network: Network) -> Pushing:
    return Pushing(base, client, network)


def sent(proxy: Proxy, push: Callable[[], object]) -> int:
    """Return how many bytes a push sends by way of ``proxy``."""
    before = proxy.cutafter = 1 << 30
    push()
    left = proxy.cutafter
    proxy.cutafter = None
    assert left is not None
    return before - left


#: what breaks off, and how many moments of a push are tried at night
_HOW = [
    pytest.param('lasting', 40),
    pytest.param(
        *('briefly', 40),
        marks=pytest.mark.nightly('most is done once more, and goes well'),
    ),
    pytest.param(
        *('silently', 6),
        marks=pytest.mark.nightly('half a minute each, for nothing'),
    ),
]


@pytest.mark.slow('many pushes')
@pytest.mark.parametrize('which', ['index', 'store'])
@pytest.mark.parametrize(('how', 'moments'), _HOW)
@over_all
@matrix.over('ssh')
def test_cut_off(
    pushing: Pushing, network: Network, which: str, how: str, moments: int
) -> None:
    """Connections break off at any moment of a push, and perhaps no others can
    be made, or nobody answers any more: what was told to the client is true,
    and nothing is there by halves."""
    proxy: Proxy = getattr(network, which)
    proxy.lasting = how == 'lasting'
    proxy.silently = how == 'silently'
    size = sent(proxy, lambda: pushing.push(pushing.commit()))
    steps = upto(1, moments)
    refusals = 0
    with untouched(pushing.base.path):
        for step in range(steps):
            node = pushing.commit()
            proxy.cutafter = size * (2 * step + 1) // (2 * steps)
            result = pushing.push(node, ok=None)
            network.heal()
            there = pushing.listed()
            if result.code:
                refusals += 1
                # the answer may have been lost on its way
                assert node not in there or 'nobody knows' in result.err
                pushing.push(node)
            assert set(pushing.listed()) == set(pushing.stored)
    assert refusals or how == 'briefly'
    pushing.check()


@pytest.mark.nightly('pushes that break off, and a disk that does, are in CI')
@pytest.mark.parametrize('which', ['index', 'store'])
@over_all
@matrix.over('ssh')
def test_workspace_is_cut_off(
    pushing: Pushing, network: Network, which: str
) -> None:
    """The same for a change of a workspace: it is there as a whole, or not at
    all, and all earlier versions, also in a new database."""
    client, base = pushing.client, pushing.base

    def push(node: str, ok: tuple[int, ...] | None = (0,)) -> Result:
        return client.run('push', '--workspace', 'w', '-r', node, ok=ok)

    def look() -> list[list[str]]:
        """Return what each version has added, the first one first."""
        log = client.run('workspace', '--log', 'w', '-T', 'json').out
        return [entry['added'] for entry in json.loads(log)][::-1]

    proxy: Proxy = getattr(network, which)
    proxy.lasting = True
    nodes = [pushing.commit()]
    size = sent(proxy, lambda: push(nodes[0]))
    steps = 20
    refusals = 0
    for step in range(steps):
        node = pushing.commit()
        # the last half of it changes the workspace
        proxy.cutafter = size * (2 * steps + 2 * step + 1) // (4 * steps)
        result = push(node, ok=None)
        network.heal()
        if result.code:
            refusals += 1
            refused(result)
            push(node, ok=(0, 1))
        nodes.append(node)
        assert look() == [[node] for node in nodes]
    assert refusals
    assert pushing.verify() <= {'orphan', 'stray', 'note'}
    pushing.verify('--repair')
    before = look()
    base.configure('bundlestore', {'index': network.renewed()})
    pushing.verify('--repair')
    assert look() == before


@pytest.mark.realstarts('servers that are killed')
@pytest.mark.nightly('make kills SEVERAL=1 does it at random, CI in the file')
@pytest.mark.parametrize('which', ['index', 'store'])
@over_all
@matrix.over('ssh')
def test_killed(pushing: Pushing, network: Network, which: str) -> None:
    """The server is killed at any moment of a push at which it has something
    to say."""
    proxy: Proxy = getattr(network, which)
    size = sent(proxy, lambda: pushing.push(pushing.commit()))
    steps = 40
    for step in range(steps):
        node = pushing.commit()
        process = pushing.client.start(
            *('push', '--bundle-store', '-r', node),
            *('-B', f'scratch/{node[:6]}'),
        )

        def kill(client: int = process.pid) -> None:
            for pid in blindkills.below(client):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

        proxy.action = kill
        proxy.cutafter = size * (2 * step + 1) // (2 * steps)
        result = finish(process, ok=None)
        network.heal()
        if result.code:
            assert 'stored' not in result.out
            pushing.push(node)
        else:
            pushing.stored.append(node)
        assert set(pushing.listed()) == set(pushing.stored)
    pushing.check()


def droptable(network: Network) -> None:
    place = network.indexurl.rpartition('=')[2].rpartition('/')[2]
    with contextlib.closing(network.database.connect()) as session:
        session.cursor().execute(f'DROP TABLE {place}.bundle CASCADE')


@pytest.mark.parametrize(
    'what',
    [
        'password',
        *(pytest.param(w, marks=matrix.ANOTHER) for w in ('bucket', 'table')),
        *(pytest.param(what, marks=_LIKE) for what in ('secret', 'schema')),
    ],
)
@over_all
@matrix.over('ssh')
def test_wrong_configuration(
    transport: SshTransport,
    base: Repo,
    network: Network,
    vanilla: Repo,
    client: Repo,
    what: str,
) -> None:
    """Pushes are refused in one line, and the base does not notice."""
    node = client.commit({'new': 'x\n'}, 'new')
    if what == 'password':
        transport.serve({'PGPASSWORD': 'x', 'MYSQL_PWD': 'x'})
        told = 'password authentication failed|Access denied'
    elif what == 'secret':
        transport.serve({'AWS_SECRET_ACCESS_KEY': 'x'})
        told = 'the credentials are refused'
    elif what == 'schema':
        base.configure('bundlestore', {'index': f'{network.indexurl}x'})
        told = 'bundle index has no (schema|database)|Access denied'
    elif what == 'bucket':
        other = network.storeurl.replace('s3://bundles/', 's3://absent/')
        base.configure('bundlestore', {'store': other})
        told = 'there is no such bucket'
    else:
        droptable(network)
        told = 'bundle index cannot be used'
    result = client.run('push', '--bundle-store', '-r', node, ok=(255,))
    refused(result)
    assert re.search(told, result.err), result
    landed = vanilla.commit({'landed': 'x\n'}, 'landed')
    vanilla.run('push', '-r', landed)
    assert base.knows(landed)
    if what not in ('password', 'secret'):
        (found,) = base.run(*CHECK, ok=(1,)).out.splitlines()
        assert re.search(told, found), found
    assert not network.objects()


@pytest.mark.slow('bundles that are gone are in test_healing.py')
@over_all
@matrix.over('ssh')
def test_object_is_gone(
    pushing: Pushing, network: Network, vanilla: Repo
) -> None:
    """Somebody deleted a bundle behind our back."""
    node = pushing.commit()
    pushing.push(node)
    (name,) = network.objects()
    network.delete(name)
    result = vanilla.run('pull', '-r', node, ok=(255,))
    assert f'bundle {name[-64:-52]} is missing from the' in result.err
    assert 'push the same changesets again' in result.err
    assert pushing.verify(ok=(1,)) == {'missing'}
    pushing.push(node)
    assert network.objects() == [name]
    vanilla.run('pull', '-r', node)


@pytest.mark.nightly('nothing but slower')
@over_all
@matrix.over('ssh')
def test_slow_network(
    pushing: Pushing, network: Network, vanilla: Repo
) -> None:
    network.index.delay = network.store.delay = 0.05
    node = pushing.commit()
    pushing.push(node)
    vanilla.run('pull', '-r', f'scratch/{node[:6]}')
    assert vanilla.knows(node)


# servers that are stopped and frozen, not just the network


@pytest.fixture
def private(privateserver: Getter) -> tuple[PostgreSQL, Rclone]:
    return privateserver(PostgreSQL), privateserver(Rclone)


@pytest.fixture
def resident(base: Repo, private: tuple[PostgreSQL, Rclone]) -> Repo:
    """A base whose backends are the test's own."""
    postgresql, rclone = private
    url = postgresql.fresh()
    made: Any = backends.openindex(url, model.Place(b''))
    made.schema(create=True)
    made.close()
    base.configure(
        'bundlestore',
        {'index': url, 'store': rclone.fresh(), 'cache-size': '0'},
    )
    return base


@pytest.mark.nightly('servers of its own')
@pytest.mark.usefixtures('ownserver')
@pytest.mark.parametrize('storeconfig', [{}])
@pytest.mark.parametrize('how', ['stop', 'freeze'])
@servers.overweb('wsgi')
def test_stopped(
    transport: Transport,
    resident: Repo,
    private: tuple[PostgreSQL, Rclone],
    client: Repo,
    vanilla: Repo,
    how: str,
) -> None:
    """A web server that stays outlives its database and its object store: its
    base is served all the time, and pushes are as soon as they are back."""
    url = transport.url(resident)

    def push(ok: tuple[int, ...] = (0,)) -> tuple[str, bool]:
        node = client.commit({'file': f'{time.monotonic()}\n'}, 'new')
        result = client.run('push', '--bundle-store', '-r', node, url, ok=ok)
        if result.code:
            refused(result)
        return node, not result.code

    push()
    for server in private:
        if how == 'stop':
            server.stop()
        else:
            server.freeze()
        assert web.get(f'{url}/log').status == 200
        vanilla.run('pull', url)
        assert web.get(f'{url}/bundlestore-health').status == 503
        push(ok=(255,))
        assert web.get(f'{url}/rev/tip').status == 200
        if how == 'stop':
            server.start()
        else:
            server.thaw()
        for _again in servers.patiently():
            health = web.get(f'{url}/bundlestore-health').status
            # what took long to find out a process believes for ten seconds
            if health == 200 and (how == 'stop' or push((0, 255))[1]):
                break
        # at the first attempt, though connections are old
        node, _stored = push()
        vanilla.run('pull', '-r', node, url)
    assert not resident.run(VERIFY, '-T', '{kind}').out.replace('stray', '')
