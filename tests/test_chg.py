"""Mercurial's own chg on either side: one process that forks for each push."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import environments
from harness import chg as chgmod, history, matrix
from harness.chg import Chg
from harness.hg import Hg, Repo, finish
from harness.servers import SshTransport, serve_bundlestore
from harness.snapshot import untouched
from harness.store import bundles, folder

pytestmark = pytest.mark.realstarts('chg starts its servers itself')

#: kills the process that receives a push, when the bundle is staged
KILLER = """\
import os, signal

def hook(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def chg(tempfolder: Path) -> Iterator[Callable[[], Chg]]:
    """``chg()``: a Mercurial that runs as a server of chg."""
    why = chgmod.missing()
    if why is not None:
        if os.environ.get(chgmod.REQUIRED):
            pytest.fail(why)
        pytest.skip(why)
    made: list[Chg] = []

    def make() -> Chg:
        made.append(Chg(matrix.NEWEST, {'TMPDIR': str(tempfolder)}))
        return made[-1]

    yield make
    for each in made:
        each.close()


class Site:
    """A server that ``chg`` runs for ssh, and clients of it."""

    def __init__(
        self,
        top: Path,
        source: Path,
        server: Hg,
        forced: bool = False,
    ) -> None:
        self.top = top
        self.source = source
        self.server = server
        root = top / 'served'
        root.mkdir()
        self.transport = SshTransport(server, root)
        self.base = self.serve('base')
        if forced:
            # as ``command=`` in authorized_keys: what the client asks for
            # does not matter
            command = f'{server.executable} -R {self.base.path} serve --stdio'
            script = self.transport.script
            text = script.read_text()
            assert '"$2"' in text
            script.write_text(text.replace('"$2"', shlex.quote(command)))

    def serve(self, name: str) -> Repo:
        path = self.transport.root / name
        history.copy(self.source, path)
        repo = Repo(self.server, path)
        repo.inspect('update', '--quiet', 'null')
        serve_bundlestore(repo, {})
        return repo

    def client(self, hg: Hg, name: str) -> Repo:
        repo = Repo(hg, self.top / name)
        history.copy(self.source, repo.path)
        self.transport.connect(repo, self.base)
        if hg.ext:
            repo.enable()
        return repo


@pytest.fixture
def source(
    template: Callable[[str], tuple[Path, history.History]],
) -> Path:
    return template(matrix.NEWEST)[0]


@pytest.fixture
def site(chg: Callable[[], Chg], source: Path, tmp_path: Path) -> Site:
    return Site(tmp_path, source, chg())


def check_index(base: Repo) -> None:
    database = sqlite3.connect(folder(base) / 'index.sqlite3')
    assert list(database.execute('PRAGMA integrity_check')) == [('ok',)]
    database.close()


@pytest.mark.parametrize(
    ('client_is_chg', 'server_is'),
    [
        pytest.param(False, 'chg', marks=matrix.ANOTHER),
        pytest.param(True, 'hg', marks=matrix.ANOTHER),
        (True, 'chg'),
        pytest.param(True, 'forced', marks=matrix.ANOTHER),
    ],
)
def test_push_and_pull(
    chg: Callable[[], Chg],
    hg: Callable[..., Hg],
    source: Path,
    tmp_path: Path,
    client_is_chg: bool,
    server_is: str,
) -> None:
    server = hg() if server_is == 'hg' else chg()
    site = Site(tmp_path, source, server, forced=server_is == 'forced')
    user = chg() if client_is_chg else hg()
    alice = site.client(user, 'alice')
    bob = site.client(user, 'bob')
    vanilla = site.client(hg(ext=False), 'vanilla')
    node = alice.commit({'a': 'a\n'}, 'scratch')
    with untouched(site.base.path):
        pushed = alice.run('push', '--bundle-store')
        assert f'remote:   {node[:12]} scratch' in pushed.out
        listed = bob.run('pushes', '-T', '{heads % "{node}"}').out
        assert listed == node
        vanilla.run('pull', '-r', node)
        assert bob.run('log', '-r', node, '-T', '{desc}').out.endswith(
            'scratch'
        )
        # nothing is kept from one request to the next
        again = alice.commit({'a': 'b\n'}, 'more')
        alice.run('push', '--bundle-store')
        bob.run('update', '-q', again)
    assert vanilla.phase(node) == 'draft'
    assert len(bundles(site.base)) == 2
    check_index(site.base)
    if isinstance(user, Chg):
        assert len(user.servers()) == 1


@pytest.mark.slow('many clients at once')
def test_many_at_once(
    site: Site, chg: Callable[[], Chg], hg: Callable[..., Hg]
) -> None:
    # which Mercurial then opens in the process that forks
    with open(site.transport.rc, 'a', encoding='utf-8') as file:
        file.write('[cmdserver]\nmax-repo-cache = 4\n')
    client = site.client(chg(), 'client')
    (parent,) = client.nodes('tip')
    nodes = [
        client.commit({'a': f'{n}\n'}, f'push {n}', parent=parent)
        for n in range(30)
    ]
    # the servers are up
    client.run('push', '--bundle-store', '-r', nodes[0])
    with untouched(site.base.path):
        running = [
            client.start('push', '--bundle-store', '-r', node)
            for node in nodes[1:]
        ]
        for process in running:
            finish(process)
    check_index(site.base)
    listed = client.run('pushes', '-T', '{push} {heads % "{node}"}\n').out
    pushes = dict(line.split() for line in listed.splitlines())
    assert sorted(pushes, key=int) == [str(n) for n in range(1, 31)]
    assert sorted(pushes.values()) == sorted(nodes)
    vanilla = site.client(hg(ext=False), 'vanilla')
    revs = [word for node in nodes for word in ('-r', node)]
    with untouched(site.base.path):
        vanilla.run('pull', *revs)
    assert all(map(vanilla.knows, nodes))
    vanilla.verify()
    for each in (client.hg, site.server):
        assert isinstance(each, Chg)
        assert len(each.servers()) == 1
        assert not [f for f in each.openfiles() if 'bundlestore' in f]


@pytest.mark.slow('real starts, of chg and of its servers')
def test_two_repositories(site: Site, hg: Callable[..., Hg]) -> None:
    """In one server, and each has a configuration of its own."""
    other = site.serve('other')
    other.configure('bundlestore', {'changeset-url': 'https://ci/{node}'})
    client = site.client(hg(), 'client')
    url = site.transport.url(other)
    here = client.commit({'a': 'a\n'}, 'one', parent='tip')
    there = client.commit({'a': 'b\n'}, 'other', parent='tip^')
    for _ in range(2):
        first = client.run('push', '--bundle-store', '-r', here)
        second = client.run('push', '--bundle-store', '-r', there, url)
        assert 'https://ci' not in first.out
        assert f'https://ci/{there}' in second.out
    assert len(bundles(site.base)) == len(bundles(other)) == 1
    # who pushes stands in the environment, and each request has its own
    bob = site.transport.url(site.base, 'bob')
    client.run('push', '--bundle-store', '-r', here, bob)
    users = client.run('pushes', '-T', '{push} {user}\n').out.splitlines()
    assert users == ['3 bob', '2 alice', '1 alice']
    unknown = client.run('pull', '-r', there, ok=(255,))
    assert f"unknown revision '{there}'" in str(unknown)
    assert isinstance(site.server, Chg)
    assert len(site.server.servers()) == 1


@pytest.mark.slow('real starts, of chg and of its servers')
def test_changes_are_seen(site: Site, hg: Callable[..., Hg]) -> None:
    """Of the repository's configuration, and of the extension itself."""
    client = site.client(hg(), 'client')
    package = site.top / 'package' / 'bundlestore'
    shutil.copytree(environments.ROOT / 'hgext3rd' / 'bundlestore', package)
    site.base.configure('extensions', {'bundlestore': str(package)})

    def push(number: int, ok: tuple[int, ...] = (0,)) -> str:
        client.commit({'a': f'{number}\n'}, f'number {number}')
        return str(client.run('push', '--bundle-store', '-r', '.', ok=ok))

    assert 'stored 1 changeset as push 1' in push(1)
    site.base.configure('bundlestore', {'deny-push': 'alice'})
    assert "user 'alice' may not push" in push(2, ok=(100, 255))
    site.base.configure('bundlestore', {'deny-push': 'bob'})
    assert 'as push 2' in push(3)
    # an upgrade may replace any file
    room = package / 'push' / 'reply.py'
    text = room.read_text()
    assert "b'stored %s as push" in text
    room.write_text(text.replace("b'stored %s as", "b'now stored %s as"))
    assert 'now stored' in push(4)


@pytest.mark.slow('real starts, of chg and of its servers')
def test_killed_while_receiving(site: Site, hg: Callable[..., Hg]) -> None:
    client = site.client(hg(), 'client')
    kept = client.commit({'a': 'a\n'}, 'kept')
    client.run('push', '--bundle-store')
    node = client.commit({'a': 'b\n'}, 'lost')
    hook = site.top / 'killer.py'
    hook.write_text(KILLER)
    hgrc = site.base.hgrc.read_text()
    site.base.configure('hooks', {'prebundlestore': f'python:{hook}:hook'})
    with untouched(site.base.path):
        client.run('push', '--bundle-store', ok=(255,))
    site.base.hgrc.write_text(hgrc)
    assert client.run('pushes', '-T', '{heads % "{node}"}').out == kept
    result = client.run('pull', '-r', node, ok=(255,))
    assert 'unknown revision' in str(result)
    check_index(site.base)
    assert 'as push 2' in client.run('push', '--bundle-store').out
    assert isinstance(site.server, Chg)
    assert len(site.server.servers()) == 1


@pytest.mark.slow('five commands, and each loads all extensions')
def test_help(site: Site, chg: Callable[[], Chg]) -> None:
    """It looks into all extensions, and some of them ask what a function is
    that we have replaced."""
    client = site.client(chg(), 'client')
    assert '--bundle-store' in client.run('help', 'push').out
    for words in (['-c'], ['-e'], ['-k', 'bundlestore']):
        out = client.run('help', *words).out
        assert 'bundlestore' in out or words == ['-c'], words
