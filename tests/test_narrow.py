"""Pushes from clones that have some of the files, or not all of the history.

They are made with Mercurial's own extension ``narrow`` on both sides.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness import matrix, servers
from harness.hg import Hg, Repo
from harness.history import History
from harness.servers import Transport
from harness.store import bundles, folder, leftovers, tryurl
from hgext3rd.bundlestore import model
from hgext3rd.bundlestore.indexes.sqlite.file import FileIndex
from hgext3rd.bundlestore.stores.file import FileStore

NARROW = 'extensions.narrow='
#: hg <= 6.4 does not send what a narrow clone has unless it is told to
NARROWBEFORE = ('experimental.changegroup3=yes', NARROW)
#: a server that has ellipses in place of what a clone does not need
ELLIPSES = {'narrowservebrokenellipses': 'yes'}

BOTHENDS = pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version'),
    [
        pytest.param('ssh', matrix.NEWEST, matrix.NEWEST),
        pytest.param(
            'ssh', matrix.VERSIONS[0], matrix.NEWEST, marks=matrix.ANOTHER
        ),
        pytest.param(
            *('http', matrix.NEWEST, matrix.VERSIONS[0]),
            marks=pytest.mark.nightly('the older server of all that is above'),
        ),
    ],
)


@pytest.fixture
def index(base: Repo) -> FileIndex:
    return FileIndex(bytes(folder(base) / 'index.sqlite3'))


class Narrow:
    """A clone with the files below ``docs``, by a Mercurial without this
    project."""

    def __init__(self, hg: Hg, path: Path, transport: Transport) -> None:
        self.hg = hg
        self.repo = Repo(hg, path)
        self.config = [*NARROWBEFORE, *transport.commandline()]

    def clone(self, url: str, *args: str) -> None:
        self.hg.run(
            *('clone', '--quiet', '--narrow', '--include', 'docs', *args),
            url,
            self.repo.path,
            config=self.config,
        )

    def run(self, *args: str, ok: Sequence[int] = (0,)) -> str:
        return str(self.repo.run(*args, config=self.config, ok=ok))

    def commit(self, name: str, text: str, parent: str) -> str:
        """Commit a changed file on top of ``parent``; return the hash."""
        self.run('update', '--quiet', '--clean', '--rev', parent)
        self.repo.write({name: text})
        self.run('commit', '--addremove', '-m', f'narrow {name}')
        (node,) = re.findall('[0-9a-f]{40}', self.run('id', '-i', '--debug'))
        return str(node)


@pytest.fixture
def narrow(
    hg: Callable[..., Hg],
    client_version: str,
    tmp_path: Path,
    transport: Transport,
    base: Repo,
) -> Narrow:
    base.configure('extensions', {'narrow': ''})
    base.configure('experimental', {'changegroup3': 'yes'})
    return Narrow(hg(client_version, ext=False), tmp_path / 'narrow', transport)


def commitall(repo: Repo) -> str:
    """Commit a changeset inside of ``docs`` and outside."""
    return repo.commit(
        {
            'docs/manual.txt': 'new\n',
            'src/main.txt': 'new\n',
            'src/new.txt': 'new\n',
            'README': None,
        },
        'everywhere',
    )


def verified(base: Repo) -> str:
    """Return what a check of everything in the store says."""
    return str(base.run('admin::bundlestore-verify', '--full', ok=(0, 1)))


@pytest.mark.slow('a detail of what the quick loop sees')
@BOTHENDS
def test_resent_changeset(
    transport: Transport,
    base: Repo,
    narrow: Narrow,
    vanilla: Repo,
    newclient: Callable[..., Repo],
    index: FileIndex,
    tempfolder: Path,
) -> None:
    """A narrow clone sends what it pulled without the files that it lacks."""
    made = tryurl(transport, base)
    url = transport.url(made)
    first = commitall(vanilla)
    vanilla.run('push', url)
    narrow.clone(transport.url(base))
    narrow.run('pull', '-r', first, url)
    second = narrow.commit('docs/copy.txt', 'mine\n', first)
    assert 'stored 2 changesets as push 2\n' in narrow.run('push', url)
    whole, rest = index.pushes()
    assert (whole.rests, rest.rests) == ((), (whole.key,))
    assert rest.changesets == (bytes.fromhex(first), bytes.fromhex(second))
    other = newclient('other', ext=False)
    other.run('pull', '-r', second, url)
    other.verify()
    assert other.cat('src/new.txt', second) == 'new\n'
    assert other.cat('docs/copy.txt', second) == 'mine\n'
    # another on top rests on the one that has the files
    narrow.commit('docs/copy.txt', 'mine, again\n', second)
    narrow.run('push', url)
    assert index.pushes()[-1].rests == (whole.key,)
    assert ': 0 problems' in verified(base)
    # without the one that has the files, the others are of no use
    (path,) = (path for path in bundles(base) if path.name == whole.key)
    data = path.read_bytes()
    path.unlink()
    last = newclient('last', ext=False)
    said = str(last.run('pull', '-r', second, url, ok=(255,)))
    assert f'bundle {whole.key[:12]} is missing from the bundle store' in said
    path.write_bytes(data)
    # where nothing has them
    base.run('admin::bundlestore-remove', '1', '2', '3')
    said = narrow.run('push', url, ok=(255,))
    assert f'changeset {first[:12]} lacks the content of src/' in said
    assert 'this clone does not have all files' in said
    assert not bundles(base)
    assert not leftovers(base, tempfolder)


@BOTHENDS
def test_changeset_on_an_ellipsis(
    transport: Transport,
    base: Repo,
    narrow: Narrow,
    vanilla: Repo,
    index: FileIndex,
) -> None:
    """What an ellipsis stands for is in the store, or the push is refused."""
    base.configure('experimental', ELLIPSES)
    # with it Mercurial answers itself, and has ellipses of scratch changesets
    base.configure('hooks', {'outgoing': 'true'})
    url = transport.url(tryurl(transport, base))
    below = vanilla.commit({'src/main.txt': 'one\n'}, 'one')
    first = vanilla.commit({'src/main.txt': 'two\n'}, 'two')
    vanilla.run('push', url)
    narrow.clone(transport.url(base), '--depth', '1')
    narrow.run('pull', '--depth', '1', '-r', first, url)
    second = narrow.commit('docs/manual.txt', 'mine\n', first)
    assert 'stored 3 changesets as push 2\n' in narrow.run('push', url)
    whole, rest = index.pushes()
    assert rest.rests == (whole.key,)
    assert rest.nodes == (bytes.fromhex(second),)
    assert rest.below == (bytes.fromhex(below), bytes.fromhex(first))
    said = narrow.run('push', '-r', first, url, ok=(255,))
    assert 'push has no changesets that are not stored' in said
    other = transport.hg.plain().clone(
        transport.url(base),
        vanilla.path.parent / 'other',
        config=transport.commandline(),
    )
    other.run('pull', '-r', second, url, config=transport.commandline())
    other.verify()
    assert other.cat('src/main.txt', second) == 'two\n'
    assert other.cat('docs/manual.txt', second) == 'mine\n'
    base.run('admin::bundlestore-remove', '1', '2')
    said = narrow.run('push', url, ok=(255,))
    assert f'changeset {first[:12]} comes without its history' in said
    assert 'this clone is shallow' in said
    assert not bundles(base)


@matrix.over('ssh')
@pytest.mark.slow('trees are rare')
def test_tree_manifests(
    transport: Transport,
    hg: Callable[..., Hg],
    tmp_path: Path,
) -> None:
    """Where a narrow clone lacks folders as well."""
    base = Repo(transport.hg, transport.root / 'trees')
    base.hg.run('init', base.path, config=['experimental.treemanifest=yes'])
    base.commit({'docs/a': 'a\n', 'src/deep/b': 'b\n', 'c': 'c\n'}, 'start')
    base.inspect('phase', '--public', 'tip')
    servers.serve_bundlestore(base, {})
    base.configure('extensions', {'narrow': ''})
    url = transport.url(tryurl(transport, base))
    config = transport.commandline()
    plain = hg(ext=False)
    whole = plain.clone(transport.url(base), tmp_path / 'whole', config=config)
    first = whole.commit(
        {'docs/a': 'new\n', 'src/deep/b': 'new\n', 'src/new': 'n\n', 'c': None},
        'everywhere',
    )
    whole.run('push', url, config=config)
    narrow = Narrow(plain, tmp_path / 'narrow', transport)
    narrow.clone(transport.url(base))
    narrow.run('pull', '-r', first, url)
    second = narrow.commit('docs/a', 'mine\n', first)
    narrow.run('push', url)
    other = plain.clone(transport.url(base), tmp_path / 'other', config=config)
    other.run('pull', '-r', second, url, config=config)
    other.verify()
    assert other.cat('src/deep/b', second) == 'new\n'
    base.run('admin::bundlestore-remove', '1', '2')
    said = narrow.run('push', url, ok=(255,))
    assert f'changeset {first[:12]} lacks the content of src/' in said


@matrix.over('ssh')
def test_removed_and_returned_files(
    transport: Transport,
    base: Repo,
    hashes: History,
    client: Repo,
    index: FileIndex,
) -> None:
    """No revision of them is sent, and none is lacking."""
    client.commit({'README': None, 'docs/copy.txt': None}, 'removed')
    client.commit({'README': 'a base repository\n'}, 'as it was at first')
    node = client.commit({'src/main.txt': 'x\n'}, 'x', parent=hashes.fixed)
    client.inspect('merge', '-q', '--tool', ':local', '-r', hashes.merged)
    node = client.commit({'docs/manual.txt': None}, 'merged')
    assert (
        'stored 4 changesets'
        in client.run('push', '--bundle-store', '-r', 'draft()').out
    )
    assert index.pushes()[0].rests == ()
    assert client.knows(node)


@pytest.fixture
def damaged(
    transport: Transport, base: Repo, narrow: Narrow, vanilla: Repo
) -> str:
    """A changeset that was stored without some of its files, as once could
    happen."""
    first = commitall(vanilla)
    vanilla.run('push', transport.url(tryurl(transport, base)))
    narrow.clone(transport.url(base))
    narrow.run('pull', '-r', first, transport.url(transport.root / 'try'))
    node = narrow.commit('docs/copy.txt', 'mine\n', first)
    bundle = vanilla.path / 'part.hg'
    narrow.run(
        *('bundle', '-q', '-t', 'none-v2;cg.version=03'),
        *('--base', 'public()', '-r', node, str(bundle)),
    )
    data = bundle.read_bytes()
    store = FileStore(os.fsencode(folder(base) / 'bundles'))
    nodes = (bytes.fromhex(first), bytes.fromhex(node))
    FileIndex(bytes(folder(base) / 'index.sqlite3')).record(
        model.NewPush(
            time=1.0,
            user='alice',
            key=store.put([data]),
            size=len(data),
            nodes=nodes,
            heads=(model.Head(nodes[1], 'narrow'),),
        )
    )
    return node


@matrix.over('http')
def test_stored_before(
    transport: Transport,
    base: Repo,
    damaged: str,
    newclient: Callable[..., Repo],
) -> None:
    """The administrator is told, and where Mercurial makes the answer, so is
    the client: once."""
    said = verified(base)
    assert 'lacks the content of' in said
    assert ': 1 problem,' in said
    base.configure('hooks', {'outgoing': 'true'})
    url = transport.url(transport.root / 'try')
    other = newclient('other', ext=False)
    said = str(other.run('pull', '-r', damaged, url, ok=(255,)))
    assert 'remote: abort: unexpected error: ' in said
    assert 'abort: pull failed on remote\n' in said


def flagged(transport: Transport) -> Repo:
    """Return a base that takes changegroup 04."""
    base = Repo(transport.hg, transport.root / 'flags')
    base.hg.run('init', base.path, config=['format.use-delta-info-flags=yes'])
    base.commit({'a': 'a\n'}, 'a')
    base.inspect('phase', '--public', 'tip')
    servers.serve_bundlestore(base, {})
    return base


@matrix.over('path')
def test_changegroups_by_path(
    transport: Transport, hg: Callable[..., Hg], tmp_path: Path
) -> None:
    """Mercurial asks the try URL what it takes as though it was a client."""
    base = flagged(transport)
    client = hg().clone(transport.url(base), tmp_path / 'client')
    client.commit({'a': 'b\n'}, 'b')
    client.enable()
    client.run('push', transport.url(tryurl(transport, base)))
    assert len(bundles(base)) == 1


@matrix.over('ssh')
def test_changegroups_that_cannot_be_stored(
    transport: Transport, hg: Callable[..., Hg], tmp_path: Path
) -> None:
    """A try URL does not offer them, the base does."""
    base = flagged(transport)
    base.configure('push', {'pushvars.server': 'yes'})
    base.configure('bundlestore', {'try-url': 'ssh://example.org/try'})
    url = transport.url(tryurl(transport, base))
    config = transport.commandline()
    client = hg(ext=False).clone(
        transport.url(base), tmp_path / 'client', config=config
    )
    node = client.commit({'a': 'b\n'}, 'b')
    client.run('push', url, config=config)
    assert len(bundles(base)) == 1
    said = str(
        client.run(
            *('push', '--pushvars', 'BUNDLESTORE=1', transport.url(base)),
            config=config,
            ok=(255,),
        )
    )
    assert 'changegroup version 04 cannot be stored' in said
    assert '(push to ssh://example.org/try)' in said
    said = client.run('push', '--debug', transport.url(base), config=config).out
    assert 'added 1 changesets' in said
    assert base.phase(node) == 'public'
