"""What a clone knows of pushes without asking: in ``hg log``, and on disk."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mercurial import vfs as vfsmod
from mercurial.node import bin

from harness import matrix
from harness.hg import Repo
from harness.servers import Transport
from harness.store import tryurl
from harness.web import get
from hgext3rd.bundlestore import cachefolder
from hgext3rd.bundlestore.client import noted
from hgext3rd.bundlestore.wire import stored

STATUS = 'admin::bundlestore-status'
SHORT = '{pushid};{pushstatus};{pushurl}\n'
LONG = '{pushes % "{push} {status} {source} {url} {date|isodate}\\n"}'


def logged(repo: Repo, rev: str, template: str = SHORT) -> str:
    """Return what the log says, of which no server is asked."""
    nowhere = ['paths.default=/nowhere']
    return repo.run('log', '-r', rev, '-T', template, config=nowhere).out


def pushed(repo: Repo, revset: str = 'pushed()') -> list[str]:
    return logged(repo, revset, '{node}\n').split()


def folder(repo: Repo) -> Path:
    return repo.path / '.hg' / 'cache' / 'bundlestore'


def notes(repo: Repo) -> list[list[Any]]:
    """Return what the file says."""
    (path,) = folder(repo).iterdir()
    assert path.name == 'pushes-1.json'
    found: list[list[Any]] = json.loads(path.read_bytes()[8:])
    return found


@matrix.each_version('client_version')
@matrix.over('ssh')
def test_pushes_in_the_log(
    transport: Transport, base: Repo, client: Repo
) -> None:
    link = 'https://ci.example.org/{push}/{node|short}'
    base.configure('bundlestore', {'changeset-url': link})
    first = client.commit({'a': 'a\n'}, 'first')
    second = client.commit({'a': 'aa\n'}, 'second')
    mine = client.commit({'a': 'aaa\n'}, 'not pushed')
    assert pushed(client) == []
    client.run('push', '--bundle-store', '-r', second)
    url = f'https://ci.example.org/1/{second[:12]}'
    for node in (first, second):
        assert logged(client, node) == f'1;;{url}\n'
    assert logged(client, mine, f'{SHORT}{LONG}') == ';;\n'
    assert pushed(client) == [first, second]
    assert pushed(client, 'pushed(success)') == []
    # how it goes is known when somebody has asked
    base.run(STATUS, '1', '--context', 'a', '--state', 'success')
    base.run(STATUS, '1', '--context', 'b', '--state', 'pending')
    assert pushed(client, 'pushed(pending)') == []
    client.run('pushes')
    assert pushed(client, 'pushed("pending")') == [first, second]
    client.run('push', '--bundle-store', '-r', mine)
    told = logged(client, first, f'{SHORT}{LONG}').splitlines()
    assert told[0].startswith('2;;https://ci.example.org/2/')
    address = noted.key(transport.url(base).encode())
    for line, begin in zip(
        told[1:], (f'2  {address} ', f'1 pending {address} ')
    ):
        assert line.startswith(begin)
    refused = client.run('log', '-r', 'pushed(great)', ok=(10, 255))
    assert "parse error: a push has no status 'great'\n" in refused.err


@matrix.over('http')
def test_pages_of_the_web(
    transport: Transport, base: Repo, client: Repo
) -> None:
    """A push has a page there, and who looks at those is not told where
    somebody has pushed to."""
    node = client.commit({'a': 'a\n'}, 'experiment')
    client.run('push', '--bundle-store', '-r', node)
    url = logged(client, node, '{pushurl}')
    assert url == f'{transport.url(base)}/push/1'
    assert get(url).status == 200
    client.run('push', '-r', node)
    base.run('pushes', base.path)
    assert pushed(base) == [node]
    found = get(f'{transport.url(base)}/log?rev=pushed()').text
    assert 'searching for pushed()' in found
    assert node[:12] not in found
    described = get(f'{transport.url(base)}/json-rev/{node}').text
    assert 'pushid' not in described


@matrix.over('ssh')
def test_try_url(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    """It tells of pushes that go Mercurial's own way, if it is asked."""
    made = tryurl(transport, base)
    node = client.commit({'a': 'a\n'}, 'experiment')
    told = client.run('push', '--debug', '-r', node, transport.url(made)).out
    assert 'bundlestore:stored' in told
    assert logged(client, node) == '1;;\n'
    (note,) = notes(client)
    assert note[0] == noted.key(transport.url(made).encode())
    node = vanilla.commit({'a': 'b\n'}, 'another')
    told = vanilla.run('push', '--debug', '-r', node, transport.url(made)).out
    assert 'stored 1 changeset as push 2' in told
    assert 'bundlestore:stored' not in told


@matrix.over('ssh')
def test_pushes_of_others(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
) -> None:
    """They are noted by those who list them, if the changesets are here."""
    first = client.commit({'a': 'a\n'}, 'first')
    second = client.commit({'a': 'aa\n'}, 'second')
    client.run('push', '--bundle-store', '-r', second)
    other = client.commit({'b': 'b\n'}, 'other', parent=first)
    client.run('push', '--bundle-store', '-r', other)
    bob = newclient('bob')
    bob.run('pull', '-r', second)
    bob.run('pushes', '-q')
    assert pushed(bob) == [second]
    bob.run('pushes', '-T', '{nodes}')
    assert logged(bob, first, '{pushes}') == '2 1'
    assert [note[1] for note in notes(bob)] == [2, 1]
    # no push of this working copy
    assert {note[6] for note in notes(bob)} == {''}
    assert notes(client)[0][6] == str(client.path)
    # what was removed is forgotten
    client.run('pushes', '--remove', '2')
    assert logged(client, first, '{pushes}') == '1'


@matrix.over('ssh')
def test_file_that_cannot_be_written(
    transport: Transport, base: Repo, client: Repo
) -> None:
    """It costs what it would say, and no more."""
    node = client.commit({'a': 'a\n'}, 'experiment')
    folder(client).parent.mkdir(exist_ok=True)
    folder(client).write_text('in the way')
    told = client.run('push', '--bundle-store', '-r', node)
    assert told.err == ''
    client.run('pushes')
    assert logged(client, node) == ';;\n'
    # damaged, or by another release
    folder(client).unlink()
    client.run('pushes')
    assert logged(client, node) == '1;;\n'
    path = folder(client) / 'pushes-1.json'
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    assert pushed(client) == []
    path.rename(path.with_name('pushes-2.json'))
    assert pushed(client) == []
    assert list(folder(client).iterdir()) == [path.with_name('pushes-2.json')]


# -- the file, in this process


@pytest.fixture
def repo(tmp_path: Path) -> SimpleNamespace:
    """What there is to a repository."""
    return SimpleNamespace(
        root=b'/alice/clone',
        cachevfs=vfsmod.vfs(bytes(tmp_path / 'cache')),
        store=SimpleNamespace(createmode=None),
    )


def tell(id: int, nodes: int = 1) -> list[dict[bytes, Any]]:
    """Return what a server tells of a push."""
    data = b''.join(b'%08d%012d' % (id, n) for n in range(nodes))
    return [{b'push': id, b'nodes': data, b'url': b''}]


SERVER = b'https://alice:secret@hg.example.org/project/'


def test_addresses() -> None:
    assert noted.key(SERVER) == 'https://hg.example.org/project'
    assert noted.key(b'ssh://alice@hg.example.org//srv/x/') == (
        'ssh://hg.example.org//srv/x'
    )
    for location in (b'file:/srv/x', b'/srv/x', b'/srv/y/../x/'):
        assert noted.key(location) == '/srv/x'


def test_clock_that_is_behind(repo: Any) -> None:
    """What was pushed last is the last, whatever the server's clock says."""
    noted.made(repo, SERVER, tell(1))
    seen = noted.Seen(repo, SERVER)
    head = {'node': tell(1)[0][b'nodes'].hex(), 'desc': ''}
    list(seen.see([{'push': 1, 'time': 250_000_000_000, 'heads': [head]}]))
    seen.note()
    noted.made(repo, SERVER, tell(2))
    assert [push.id for push in noted.mine(repo)] == [2, 1]


def test_bounds(repo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noted, '_PUSHES', 3)
    monkeypatch.setattr(noted, '_NODES', 20)
    monkeypatch.setattr(noted, '_NODES_OF_ONE', 10)
    for id in range(1, 6):
        noted.made(repo, SERVER, tell(id))
    assert [push.id for push in noted.read(repo)] == [5, 4, 3]
    noted.made(repo, SERVER, tell(6, 30))
    # the last ones: a head is among them
    assert len(noted.read(repo)[0].nodes) == 10
    assert bin(noted.read(repo)[0].nodes[-1]) == tell(6, 30)[0][b'nodes'][-20:]
    noted.made(repo, SERVER, tell(7, 30))
    assert [push.id for push in noted.read(repo)] == [7, 6]
    # those of others take no room from one's own
    repo.unfiltered = lambda: SimpleNamespace(
        changelog=SimpleNamespace(hasnode=lambda node: True)
    )
    seen = noted.Seen(repo, SERVER)
    for id in range(8, 12):
        head = {'node': tell(id)[0][b'nodes'].hex(), 'desc': ''}
        when = 250_000_000_000 + id
        list(seen.see([{'push': id, 'time': when, 'heads': [head]}]))
    seen.note()
    assert [push.id for push in noted.read(repo)] == [11, 10, 9, 7, 6]


def test_two_at_once(repo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither forgets what the other one notes."""
    write = cachefolder.CacheFolder.write

    def slowly(*args: Any) -> bool:
        time.sleep(0.02)
        return write(*args)

    monkeypatch.setattr(cachefolder.CacheFolder, 'write', slowly)

    def push(begin: int) -> None:
        for id in range(begin, begin + 3):
            assert noted.made(repo, SERVER, tell(id))

    threads = [threading.Thread(target=push, args=(n,)) for n in (1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {push.id for push in noted.read(repo)} == set(range(1, 7))


def test_old_answers(repo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is given a push of before for the last one."""
    noted.made(repo, SERVER, tell(1))
    write = cachefolder.CacheFolder.write
    monkeypatch.setattr(cachefolder.CacheFolder, 'write', lambda *args: False)
    # a disk that is full
    assert noted.made(repo, SERVER, tell(2))
    assert noted.mine(repo) == []
    # one that cannot be written at all
    monkeypatch.setattr(cachefolder.CacheFolder, 'write', write)
    noted.made(repo, SERVER, tell(1))
    monkeypatch.setattr(cachefolder.CacheFolder, 'write', lambda *args: False)
    monkeypatch.setattr(cachefolder.CacheFolder, 'remove', lambda *args: None)
    assert not noted.made(repo, SERVER, tell(2))


@pytest.mark.parametrize(
    ('state', 'worst'),
    [
        (['success', 'pending'], 'pending'),
        (['success', 'cancelled'], 'error'),
        (['failure', 'error', 'success'], 'failure'),
        ([], ''),
    ],
)
def test_statuses(repo: Any, state: list[str], worst: str) -> None:
    noted.made(repo, SERVER, tell(1))
    seen = noted.Seen(repo, SERVER)
    head = {'node': tell(1)[0][b'nodes'].hex(), 'desc': ''}
    statuses = [{'state': one} for one in state]
    record = {'push': 1, 'time': 1, 'heads': [head], 'statuses': statuses}
    list(seen.see([record]))
    seen.note()
    assert noted.read(repo)[0].status == worst


def test_links_of_servers() -> None:
    """What is no link is not shown to a terminal."""
    assert (
        stored._url(b'https://ci.example.org/1') == b'https://ci.example.org/1'
    )
    for bad in (b'javascript:x', b'https://x/\x1b[31m', b''):
        assert stored._url(bad) == b''
