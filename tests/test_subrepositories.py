"""A scratch push of a repository with subrepositories lands none of them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import matrix
from harness.hg import Repo
from harness.history import History
from harness.servers import Transport, serve_bundlestore
from harness.snapshot import untouched
from harness.store import bundles, tryurl

STORES = ('.hg/bundlestore', 'sub/.hg/bundlestore')


@pytest.fixture
def sub(base: Repo) -> Repo:
    """The repository that ``sub = sub`` means, with a bundle store."""
    made = base.hg.init(base.path / 'sub')
    serve_bundlestore(made, {})
    return made


# a subrepository does not read the configuration of the outer one, which
# says in these tests how to get to the server: so the command line does


def addsub(repo: Repo) -> str:
    """Commit a subrepository with one changeset; return its node."""
    inner = repo.hg.init(repo.path / 'sub')
    node = inner.commit({'x': 'x\n'}, 'in the sub')
    repo.commit({'.hgsub': 'sub = sub\n'}, 'has a sub')
    return node


@pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version', 'way'),
    [
        ('ssh', matrix.VERSIONS[0], matrix.NEWEST, 'option'),
        pytest.param(
            *('ssh', matrix.NEWEST, matrix.NEWEST, 'path'),
            marks=matrix.ANOTHER,
        ),
    ],
)
def test_sub_goes_to_its_bundle_store(
    transport: Transport,
    base: Repo,
    sub: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    way: str,
) -> None:
    """And comes from there, and lands with the outer one later."""
    config = transport.commandline()
    inner = addsub(client)
    outer = client.node('.')
    if way == 'path':
        url = transport.url(base)
        client.configure('paths', {'try': url, 'try:bundle-store': 'yes'})
    with untouched(base.path, exclude=STORES):
        to = ['--bundle-store'] if way == 'option' else ['try']
        client.run('push', *to, config=config)
        assert len(bundles(base)) == len(bundles(sub)) == 1
        other = newclient('other')
        other.run('update', outer, config=config)
    assert (other.path / 'sub' / 'x').read_text() == 'x\n'
    # what is in the store is not taken for landed
    client.run('push', '-r', outer, config=config)
    assert sub.nodes() == [inner]


@matrix.over('ssh')
def test_server_of_the_sub_without_bundle_store(
    transport: Transport, base: Repo, client: Repo
) -> None:
    plain = base.hg.init(base.path / 'sub')
    addsub(client)
    with untouched(base.path, exclude=()):
        result = client.run(
            'push',
            '--bundle-store',
            config=transport.commandline(),
            ok=(255,),
        )
    assert 'abort: the server has no bundle store (in subrepos' in result.err
    assert plain.nodes() == []


@matrix.over('ssh')
def test_vanilla_client_where_the_sub_has_a_try_url(
    transport: Transport, base: Repo, sub: Repo, vanilla: Repo
) -> None:
    """The set-up that the administrator's help recommends."""
    made = tryurl(transport, base)
    tryurl(transport, sub, f'{made.path.name}/sub')
    addsub(vanilla)
    with untouched(base.path, exclude=STORES):
        vanilla.run(
            *('push', '-r', '.', transport.url(made)),
            config=transport.commandline(),
        )
    assert len(bundles(base)) == len(bundles(sub)) == 1
    assert Repo(vanilla.hg, vanilla.path / 'sub').phase('.') == 'draft'


@matrix.over('ssh')
def test_git(
    transport: Transport, base: Repo, client: Repo, tmp_path: Path
) -> None:
    """It has no bundle store, so what is not there yet is refused."""

    def git(where: Path, *args: str) -> str:
        who = ['-c', 'user.name=alice', '-c', 'user.email=alice@example.org']
        done = subprocess.run(
            ['git', *who, *args],
            cwd=where,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    server = tmp_path / 'gitserver'
    git(tmp_path, 'init', '-q', '--bare', '-b', 'main', str(server))
    inner = client.path / 'sub'
    git(client.path, 'clone', '-q', str(server), str(inner))
    git(inner, 'checkout', '-q', '-B', 'main')
    git(inner, 'commit', '-q', '--allow-empty', '-m', 'in the sub')
    client.configure('subrepos', {'git:allowed': 'yes'})
    client.commit({'.hgsub': f'sub = [git]{server}\n'}, 'has a sub')
    with untouched(base.path, exclude=()), untouched(server, exclude=()):
        result = client.run('push', '--bundle-store', ok=(255,))
    assert 'abort: git has no bundle store, and a push would' in result.err
    git(inner, 'push', '-q', 'origin', 'main')
    with untouched(base.path), untouched(server, exclude=()):
        client.run('push', '--bundle-store')
    assert len(bundles(base)) == 1


@matrix.over('path')
def test_landing(
    transport: Transport, base: Repo, sub: Repo, client: Repo, hashes: History
) -> None:
    """It lands, but is not rebased: that would look at a working copy."""
    addsub(client)
    node = client.node('.')
    client.run('push', '--bundle-store', '-r', node, base.path)
    moved = base.commit({'c': 'c\n'}, 'moved', parent=hashes.tagged)
    land = ('admin::bundlestore-land', node)
    refused = base.run(*land, '--rebase', ok=(20, 255))
    assert 'which changes subrepositories' in refused.err
    base.run(*land, '--force')
    assert base.nodes('heads(branch(default))') == [moved, node]
