"""Several servers of one store and one index, each with a copy of the base
repository of its own.

What lands on ``base`` comes to ``mirror`` when somebody pulls there.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mercurial import hg as hgmod, ui as uimod

import environments
from harness import balancer, blobs, history, matrix, servers, web
from harness.backends import PostgreSQL, Rclone
from harness.hg import Repo
from harness.servers import (
    Transport,
    WebTransport,
    WsgiTransport,
    patiently,
)
from harness.snapshot import untouched
from harness.store import folder, tryurl
from hgext3rd.bundlestore import backends, cachefolder, model
from hgext3rd.bundlestore.bundle import replica
from hgext3rd.bundlestore.request import Request

pytestmark = pytest.mark.slow('several servers')

LACKS = (
    "this server's copy of the repository lacks {}; try again, or use another "
    'server'
)
UNKNOWN = '0123456789abcdef' * 2 + '01234567'
VERIFY = 'admin::bundlestore-verify'
GC = ('admin::bundlestore-gc', '--grace', '0 days')


@pytest.fixture
def storeconfig(
    request: pytest.FixtureRequest, tmp_path: Path
) -> dict[str, str]:
    shared = tmp_path / 'shared'
    shared.mkdir()
    return {
        **getattr(request, 'param', {}),
        'store': f'file:{shared}/store',
        'index': f'file:{shared}/index.sqlite3',
    }


def makereplica(transport: Transport, base: Repo, name: str) -> Repo:
    made = Repo(base.hg, transport.root / name)
    history.copy(base.path, made.path)
    return made


@pytest.fixture
def mirror(transport: Transport, base: Repo) -> Repo:
    """A replica of the base repository, with the same store and index."""
    return makereplica(transport, base, 'mirror')


def onmissing(mirror: Repo, command: str) -> Path:
    """Have a server run ``command``, also one that has read its configuration
    before; the file has a line for each time."""
    ran = mirror.path / '.hg' / 'ran'
    ran.write_text('')
    script = mirror.path / '.hg' / 'missing.sh'
    script.write_text(f'echo $HG_NODE >> {ran}\n{command}\n')
    mirror.configure('bundlestore', {'on-missing-base': f'. {script}'})
    return ran


def pulling(base: Repo) -> str:
    return f'{base.hg.executable} pull {base.path}'


class Pushed:
    """What landed on the base repository, and what is stored on top of it."""

    def __init__(self, client: Repo, text: str = 'x\n') -> None:
        self.landed = client.commit({'landed': text}, 'landed')
        client.run('push', '-r', self.landed)
        self.stored = client.commit({'stored': text}, 'stored')
        client.run(
            *('push', '--bundle-store', '-r', self.stored, '-B', 'scratch/x')
        )
        self.message = LACKS.format(self.landed[:12])

    def refused(self, err: str) -> None:
        """The client is told in one line what the server lacks."""
        lines = [line for line in err.splitlines() if 'lacks' in line]
        wanted = f'abort: {self.message}'
        assert lines in ([wanted], [f'remote: {wanted}']), err
        assert f'push {self.stored[:12]} again' in err


@matrix.each_version('server_version')
@matrix.over('ssh')
def test_lagging(
    transport: Transport,
    base: Repo,
    mirror: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
) -> None:
    """Who pulls from a replica that lags is told so, and when it has caught
    up is served, as a client of any other server is."""
    pushed = Pushed(client)
    url = transport.url(mirror)
    other = newclient('other')
    vanilla = newclient('vanilla', ext=False)
    other.configure('paths', {'default': url})
    with untouched(mirror.path):
        for repo, *args in (
            (other, 'pull', '-r', 'scratch/x'),
            (vanilla, 'pull', '-r', pushed.stored[:12], url),
            (other, 'update', pushed.stored),
        ):
            pushed.refused(repo.run(*args, ok=(255,)).err)
        # the replica's own matters are as ever
        vanilla.run('pull', url)
        assert vanilla.run('id', '-r', 'tip', url).out
    ran = onmissing(mirror, pulling(base))
    vanilla.run('pull', '-r', pushed.stored[:12], url)
    assert vanilla.phase(pushed.stored) == 'draft'
    assert vanilla.phase(pushed.landed) == 'public'
    assert ran.read_text() == f'{pushed.landed}\n'
    other.run('update', pushed.stored)
    assert other.node('.') == pushed.stored
    assert mirror.nodes() == base.nodes()
    assert len(ran.read_text().split()) == 1


@pytest.mark.slow('three pushes')
@matrix.over('ssh')
def test_landed_elsewhere(
    transport: Transport,
    base: Repo,
    mirror: Repo,
    client: Repo,
    vanilla: Repo,
) -> None:
    """What landed is served from the store until the replica has it, and is
    the base's from then on."""
    node = client.commit({'new': 'x\n'}, 'new')
    client.run('push', '--bundle-store', '-r', node)
    client.run('push', '-r', node)
    top = client.commit({'top': 'x\n'}, 'top')
    client.run('push', '--bundle-store', '-r', top)
    url = transport.url(mirror)
    # the stored bundle takes the place of the base
    vanilla.run('pull', '-r', top, url)
    assert vanilla.phase(node) == 'draft'
    mirror.run('pull', base.path)
    vanilla.run('pull', '-r', top, url)
    assert vanilla.phase(node) == 'public'
    assert vanilla.phase(top) == 'draft'


@pytest.mark.slow('a replica alone is enough for a quick look')
@matrix.over('ssh')
def test_try_url(
    transport: Transport, base: Repo, mirror: Repo, client: Repo, vanilla: Repo
) -> None:
    """That of a replica, which takes no changes itself, has its base catch
    up."""
    pushed = Pushed(client)
    other = tryurl(transport, mirror)
    onmissing(mirror, pulling(base))
    command = mirror.hgrc.read_text('utf-8').partition('on-missing-base = ')[2]
    other.configure('bundlestore', {'on-missing-base': command.splitlines()[0]})
    vanilla.run('pull', '-r', pushed.stored, transport.url(other))
    assert mirror.knows(pushed.landed)


@matrix.over('ssh')
def test_of_no_use(
    transport: Transport, base: Repo, mirror: Repo, client: Repo, vanilla: Repo
) -> None:
    """A command that is of no use is run once, and never for a hash that
    nobody stored."""
    pushed = Pushed(client)
    url = transport.url(mirror)
    mirror.configure('extensions', {'blackbox': ''})
    mirror.configure('blackbox', {'track': 'bundlestore'})
    ran = onmissing(mirror, 'echo no such host >&2; exit 3')
    vanilla.run('pull', '-r', UNKNOWN, url, ok=(255,))
    vanilla.run('id', '-r', pushed.stored, url)
    assert not ran.read_text()
    for _again in range(2):
        result = vanilla.run('pull', '-r', pushed.stored, url, ok=(255,))
        pushed.refused(result.err)
        assert 'no such host' not in result.err
    assert ran.read_text() == f'{pushed.landed}\n'
    logged = (mirror.path / '.hg' / 'blackbox.log').read_text('utf-8')
    assert f' catchup node={pushed.landed[:12]} code=3 ' in logged
    assert 'output="no such host\\x0a"' in logged
    # what nobody may see is not what it lacks
    mirror.run('pull', base.path)
    mirror.inspect('phase', '--force', '--secret', pushed.landed)
    (mirror.path / '.hg/bundlestore/cache/on-missing-base').unlink()
    result = vanilla.run('pull', '-r', pushed.stored, url, ok=(255,))
    pushed.refused(result.err)
    assert len(ran.read_text().split()) == 1


@pytest.mark.parametrize(
    'transport_name',
    [
        'wsgi',
        pytest.param(
            'wsgi-hgweb', marks=pytest.mark.nightly('it has one repository')
        ),
    ],
)
def test_pages(
    transport: WebTransport, base: Repo, mirror: Repo, client: Repo
) -> None:
    """All pages answer 503, for who asks at once and again, and the command
    is run for the first; then each is as on other servers."""
    pushed = Pushed(client)
    node = pushed.stored
    pages = [
        f'{page}/{node}'
        for page in ('rev', 'file', 'log', 'raw-rev', 'json-rev', 'bundle')
    ]
    pages += [
        f'archive/{node}.tar.gz',
        f'raw-file/{node}/stored',
        'bundle/1',
        'rev/scratch/x',
    ]
    mirror.configure('web', {'allow-archive': 'gz'})
    ran = onmissing(mirror, 'exit 1')
    url = transport.url(mirror)
    for page in pages:
        answer = web.get(f'{url}/{page}')
        assert answer.status == 503, answer
        assert answer.headers['retry-after'] == '10'
        assert pushed.message in answer.reason or len(answer.reason) < 20
    assert len(ran.read_text().split()) == 1
    described = web.get(f'{url}/json-pushes?full=1').json()
    assert described['1']['changesets'] == [{'node': node}]
    assert web.get(f'{url}/rev/tip').status == 200
    (mirror.path / '.hg/bundlestore/cache/on-missing-base').unlink()
    onmissing(mirror, f'sleep 0.3; {pulling(base)}')
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda page: web.get(f'{url}/{page}'), pages))
    assert [answer.status for answer in answers] == [200] * len(pages)
    assert len(ran.read_text().split()) == 1
    described = web.get(f'{url}/json-pushes?full=1').json()
    assert described['1']['changesets'][0]['desc'] == 'stored'


@servers.overweb('wsgi')
def test_pushes_by_a_balancer(
    transport: WebTransport, base: Repo, mirror: Repo, client: Repo
) -> None:
    """The server that takes a push lacks what others told the client of."""
    pushed = Pushed(client)
    top = client.commit({'top': 'x\n'}, 'top')
    there = {'unbundle': transport.url(mirror)}
    with balancer.balancing(transport.url(base), there) as url:
        result = client.run(
            *('push', '--bundle-store', '-r', top, url), ok=(255,)
        )
        pushed.refused(result.err)
        onmissing(mirror, pulling(base))
        result = client.run('push', '--bundle-store', '-r', top, url)
    # what it rests on was not sent again
    assert '1 of 2 changesets is in the bundle store already' in result.out


@matrix.over('ssh')
def test_push_to_one_that_lags(
    transport: Transport, base: Repo, mirror: Repo, client: Repo
) -> None:
    """Asked what need not be sent, a server catches up first."""
    Pushed(client)
    top = client.commit({'top': 'x\n'}, 'top')
    url = transport.url(mirror)
    ran = onmissing(mirror, 'exit 1')
    client.run('push', '--bundle-store', '-r', top, url)
    assert len(ran.read_text().split()) == 1


@matrix.over('ssh')
def test_keeping_order(
    transport: Transport, base: Repo, mirror: Repo, client: Repo
) -> None:
    """What keeps order finds nothing wrong, and removes nothing, that is only
    not yet here."""
    pushed = Pushed(client)
    client.run(
        *('push', '--bundle-store', '-r', pushed.landed, '-B', 'scratch/y'),
        ok=(1,),
    )
    marks = bookmarks(base)
    assert len(marks) == 2
    # it cannot be told from what was lost
    result = mirror.run(VERIFY, ok=(1,))
    assert f'{pushed.landed[:12]}, which the repository lacks' in result.out
    assert 'scratch' not in mirror.run('admin::bundlestore-gc').out
    assert bookmarks(base) == marks
    ran = onmissing(mirror, 'exit 1')
    result = mirror.run(VERIFY)
    assert 'could not be brought up to date' in result.out
    assert 'points to nothing' not in result.out
    result = mirror.run(*GC)
    assert 'kept all scratch bookmarks' in result.err
    assert bookmarks(base) == marks
    assert len(ran.read_text().split()) == 2
    onmissing(mirror, pulling(base))
    assert 'parent' not in mirror.run(VERIFY).out
    mirror.run(*GC)
    assert bookmarks(base) == marks


def bookmarks(repo: Repo) -> dict[str, str]:
    text = repo.run(
        *('pushes', '--bookmarks', '*', '-T', '{bookmark} {node}\n'),
        ok=(0, 1),
    ).out
    return dict(line.split() for line in text.splitlines())


# the command itself, in this process


class Place:
    """A repository, and the bundle store of one, as far as it matters."""

    def __init__(self, folder: Path, command: str) -> None:
        ui = uimod.ui()
        self.folder = folder
        self.repo: Any = hgmod.repository(ui, os.fsencode(folder), create=True)
        self.server: Any = types.SimpleNamespace(
            settings=types.SimpleNamespace(onmissingbase=command.encode()),
            cache=cachefolder.CacheFolder(os.fsencode(folder / 'cache')),
            request=Request(),
            basevfs=None,
        )

    def catchup(self, number: int = 1) -> bool:
        return replica.catchup(self.repo, self.server, bytes([number]) * 20)


def test_it_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked to end, and not run again for longer."""
    monkeypatch.setattr(replica, 'PATIENCE', 0.2)
    command = "trap 'echo > ended; exit' TERM; echo >> ran; sleep 60 & wait"
    place = Place(tmp_path / 'repo', command)
    assert not place.catchup()
    assert (place.folder / 'ended').exists()
    later = time.time() + 50
    monkeypatch.setattr(time, 'time', lambda: later)
    assert not place.catchup(2)
    assert (place.folder / 'ran').read_text() == '\n'


def test_one_at_a_time(tmp_path: Path) -> None:
    place = Place(tmp_path / 'repo', 'echo >> ran; sleep 0.3')
    others = [Place.__new__(Place) for _ in range(3)]
    for other in others:
        other.repo = hgmod.repository(uimod.ui(), os.fsencode(place.folder))
        other.server = place.server
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(Place.catchup, [place, *others]))
    assert found == [False] * 4
    assert (place.folder / 'ran').read_text() == '\n'


def test_not_while_it_writes(tmp_path: Path) -> None:
    place = Place(tmp_path / 'repo', 'echo >> ran')
    with place.repo.wlock():
        assert not place.catchup()
    with place.repo.lock():
        assert not place.catchup()
    assert not (place.folder / 'ran').exists()
    assert not place.catchup()
    assert (place.folder / 'ran').exists()


def test_clock_that_was_set_back(tmp_path: Path) -> None:
    """Nobody waits for a time that is far away."""
    place = Place(tmp_path / 'repo', 'echo >> ran')
    later = f'{time.time() + 3600:.1f}'.encode()
    assert place.server.cache.write('on-missing-base', [later])
    assert not place.catchup()
    assert not place.catchup(2)
    assert (place.folder / 'ran').read_text() == '\n'


@pytest.mark.nightly('the same with servers is in CI')
@pytest.mark.usefixtures('ownserver')
@servers.overweb('wsgi', 'wsgi-hgweb')
def test_visible_at_once(
    transport: WsgiTransport,
    base: Repo,
    mirror: Repo,
    client: Repo,
    vanilla: Repo,
) -> None:
    visible(transport, base, mirror, client, vanilla)


@pytest.mark.slow('a database, an object store and a server of its own')
@pytest.mark.usefixtures('ownserver')
@servers.overweb('wsgi')
def test_visible_at_once_on_servers(
    transport: WsgiTransport,
    base: Repo,
    mirror: Repo,
    client: Repo,
    vanilla: Repo,
    postgresql: PostgreSQL,
    rclone: Rclone,
) -> None:
    """The same with an index in PostgreSQL, and a store that speaks S3."""
    url = postgresql.fresh()
    index: Any = backends.openindex(url, model.Place(b''))
    index.schema(create=True)
    index.close()
    config = {'index': url, 'store': rclone.fresh()}
    for repo in (base, mirror):
        repo.configure('bundlestore', config)
    visible(transport, base, mirror, client, vanilla)


def visible(
    transport: WsgiTransport,
    base: Repo,
    mirror: Repo,
    client: Repo,
    vanilla: Repo,
) -> None:
    """What one process stored, by way of one repository, all others see by way
    of another: at once, whatever they, or a browser, have seen before."""
    url = transport.url(mirror)
    nodes = [client.commit({f'{n}': 'x\n'}, f'{n}') for n in range(2)]
    pages = [f'rev/{nodes[0]}', 'rev/scratch/x', 'pushes', f'log/{nodes[0]}']
    pages += [f'rev/{nodes[0][:12]}', 'bundle/1', 'json-pushes?version=2']
    tags = {}
    for worker in transport.workers():
        with transport.only(worker):
            for page in pages:
                answer = web.get(f'{url}/{page}')
                assert answer.status == (200 if 'pushes' in page else 404)
                tags[page] = answer.headers.get('etag', '"none"')
            etag = web.get(f'{url}/log').headers['etag']

    def push(node: str) -> None:
        client.run(
            *('push', '--bundle-store', '-r', node, '-B', 'scratch/x'),
            str(base.path),
        )

    push(nodes[0])
    for worker in transport.workers():
        with transport.only(worker):
            for page in pages:
                for tag in (tags[page], etag):
                    answer = web.get(f'{url}/{page}', {'If-None-Match': tag})
                    # S3 serves bundles itself
                    assert answer.status in (200, 302), page
                if 'pushes' in page:
                    assert nodes[0].encode() in answer.body
    push(nodes[1])
    for worker in transport.workers():
        with transport.only(worker):
            shown = web.get(f'{url}/raw-rev/scratch/x')
            assert nodes[1].encode() in shown.body
            assert (
                web.get(f'{url}/json-pushes?version=2').json()['lastpushid']
                == 2
            )
            found = vanilla.run('id', '-r', 'scratch/x', url).out.strip()
            assert found == nodes[1][:12]
    # and the same when it is gone
    base.run('admin::bundlestore-remove', '2')
    for worker in transport.workers():
        with transport.only(worker):
            assert web.get(f'{url}/rev/{nodes[1]}').status == 404
            assert web.get(f'{url}/rev/scratch/x').status == 404
            assert web.get(f'{url}/rev/{nodes[0]}').status == 200


# what docs/replicas.rst shows


def shown(begin: str) -> str:
    """Return the line of docs/replicas.rst that begins so."""
    text = (environments.ROOT / 'docs/replicas.rst').read_text('utf-8')
    found = re.search(rf'^ +({re.escape(begin)}.*)$', text, re.MULTILINE)
    assert found, begin
    return found[1]


def instead(line: str, base: Repo, mirror: Repo, programs: Path) -> str:
    """Put what is here in the place of what is shown, ``ssh`` included."""
    programs.mkdir(exist_ok=True)
    ssh = programs / 'ssh'
    ssh.write_text('#!/bin/sh\nshift; exec "$@"\n')
    ssh.chmod(0o755)
    value = line.partition(' = ')[2] or line
    for old, new in (
        ('ssh ', f'{ssh} '),
        ('ssh://primary.example.org//srv/hg/project', str(base.path)),
        ('/srv/hg/project', str(mirror.path)),
        ('hg -R', f'{mirror.hg.executable} -R'),
        ('hg pull', f'{mirror.hg.executable} pull'),
    ):
        value = value.replace(old, new)
    return value


@pytest.mark.slow('two ways of replication')
@pytest.mark.parametrize('way', ['hook', 'timer'])
@matrix.over('ssh')
def test_replication(
    transport: Transport,
    base: Repo,
    mirror: Repo,
    client: Repo,
    vanilla: Repo,
    tmp_path: Path,
    way: str,
) -> None:
    def here(begin: str) -> str:
        return instead(shown(begin), base, mirror, tmp_path / 'programs')

    mirror.configure(
        'paths',
        {
            'default': here('default = '),
            'default:bookmarks.mode': here('default:bookmarks.mode'),
        },
    )
    mirror.configure(
        'hooks',
        {'pretxnchangegroup.replica': here('pretxnchangegroup.replica')},
    )
    onmissing = {'on-missing-base': here('on-missing-base')}
    mirror.configure('bundlestore', onmissing)
    if way == 'hook':
        base.configure('hooks', {'txnclose.mirror1': here('txnclose.mirror1')})
    client.inspect('bookmark', 'release')
    landed = client.commit({'landed': 'x\n'}, 'landed')
    client.run('push', '-r', landed, '-B', 'release')
    if way == 'timer':
        assert not mirror.knows(landed)
        words = here('* * * * * ').removeprefix('* * * * * ')
        subprocess.run(
            ['sh', '-c', words], env=mirror.hg.cleanenviron(), check=True
        )
    for _again in patiently():
        if mirror.log('{bookmarks}', 'all()') == 'release':
            break
    assert mirror.nodes() == base.nodes()
    assert mirror.phase(landed) == 'public'
    # nothing lands there by mistake, and scratch pushes go there
    new = client.commit({'new': 'x\n'}, 'new')
    url = transport.url(mirror)
    result = client.run('push', '-r', new, url, ok=(255,))
    assert 'pretxnchangegroup.replica hook' in result.err
    client.run('push', '--bundle-store', '-r', new, url)
    # until the next time, a replica looks after itself
    base.configure('hooks', {'txnclose.mirror1': ''})
    pushed = Pushed(client, 'again\n')
    vanilla.run('pull', '-r', pushed.stored, url)


@pytest.mark.slow('large files by one server are in test_lfs.py')
@pytest.mark.usefixtures('ownserver')
@matrix.over('ssh')
def test_contents_of_lfs(
    transport: Transport,
    base: Repo,
    mirror: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
) -> None:
    """They are on the machine that they were sent to, and nowhere else."""
    other = newclient('other')
    other.configure('paths', {'default': transport.url(mirror)})
    blobs.enable('lfs', base, mirror, client, other)
    node = blobs.commit(client, 'lfs', {'a': 'one\n'})
    client.run('push', '--bundle-store', '-r', node)
    other.run('pull', '-r', node)
    assert other.run('update', node, ok=(255,)).err.count('abort: ') == 1
    alone = 'contents of lfs are on this machine alone'
    assert alone in base.run(VERIFY).out
    assert alone not in mirror.run(VERIFY).out
    mirror.run(*GC)
    base.run(*GC)
    place = folder(base) / 'lfs'
    assert blobs.stored(base, 'lfs') == ['one\n']
    # what the documentation says to do
    common = transport.root / 'common'
    place.rename(common)
    for repo in (base, mirror):
        folder(repo).mkdir(exist_ok=True)
        (folder(repo) / 'lfs').symlink_to(common)
    other.run('update', node)
    assert alone not in base.run(VERIFY).out


# clocks


@pytest.fixture
def wrongclock(tmp_path: Path) -> str:
    """An extension for a machine whose clock is ten days ahead."""
    path = tmp_path / 'wrongclock.py'
    path.write_text(
        'import time\n'
        'right = time.time\n'
        'time.time = lambda: right() + 10 * 86400\n'
    )
    return str(path)


@pytest.mark.slow('all of it is by design')
@pytest.mark.parametrize('storeconfig', [{'max-rate': '2/hour'}], indirect=True)
@matrix.over('ssh')
def test_clock(
    transport: Transport,
    base: Repo,
    mirror: Repo,
    client: Repo,
    vanilla: Repo,
    wrongclock: str,
) -> None:
    """A clock has no say in which push is newer, nor in what a bookmark
    points to; ages are what the machines think."""
    mirror.configure('extensions', {'wrongclock': wrongclock})
    urls = [transport.url(repo) for repo in (mirror, base)]
    nodes = [client.commit({f'{n}': 'x\n'}, f'{n}') for n in range(3)]
    for node, url in zip(nodes, urls):
        client.run(
            *('push', '--bundle-store', '-r', node, '-B', 'scratch/x', url)
        )
    listed = base.run('pushes', '-T', '{push} {node}\n').out
    assert listed.splitlines()[0].startswith('2 ')
    vanilla.run('pull', '-r', 'scratch/x')
    assert vanilla.knows(nodes[1])
    # the other's are ten days away
    client.run('push', '--bundle-store', '-r', nodes[2], urls[0])
    removed = mirror.run(
        *('admin::bundlestore-gc', '--older-than', '5 days')
    ).out
    assert '1 push' in removed
    assert bookmarks(base) == {}
    assert not mirror.run(VERIFY, '-T', '{kind}').out
