"""Beside hg-evolve, which most servers with drafts have, and topic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness import matrix
from harness.hg import DATE, Hg, Repo, withevolve
from harness.history import History
from harness.servers import Transport
from harness.snapshot import NOTED, untouched
from harness.store import tryurl

OTHERS = ('http', 'path')


@pytest.fixture
def hg(tempfolder: Path) -> Callable[..., Hg]:
    def make(version: str = matrix.NEWEST, ext: bool = True) -> Hg:
        return withevolve(version, ext, {'TMPDIR': str(tempfolder)})

    return make


def evolves(*repos: Repo) -> None:
    for repo in repos:
        repo.configure('extensions', {'evolve': '', 'topic': ''})


@pytest.mark.parametrize(
    'where',
    [
        *(pytest.param(w, marks=matrix.ANOTHER) for w in ('server', 'client')),
        'both',
    ],
)
@pytest.mark.parametrize(
    'transport_name',
    [
        'ssh',
        *(pytest.param(t, marks=matrix.ANOTHER) for t in OTHERS),
    ],
)
def test_push_amend_and_pull_again(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    where: str,
) -> None:
    if where != 'client':
        evolves(base)
    client, vanilla = newclient('client'), newclient('vanilla', ext=False)
    if where != 'server':
        evolves(client, vanilla)
    for repo in (base, client, vanilla):
        repo.configure('experimental', {'evolution': 'all'})
    first = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--bundle-store', '-r', first)
    client.run('commit', '--amend', '-m', 'second')
    second = client.node('.')
    client.run('push', '--bundle-store', '-r', second)
    for _time in range(2):
        for node in (first, second):
            vanilla.run('pull', '-r', node)
    top = client.commit({'b': 'b\n'}, 'top')
    client.run('push', '--bundle-store', '-r', top)
    # with a scratch changeset for common ground
    vanilla.run('pull', '-r', top)
    vanilla.run('pull')
    vanilla.run('incoming', '-r', top, ok=(1,))
    vanilla.run('identify', '-r', top, transport.url(base))
    assert vanilla.phase(top) == 'draft'
    assert first not in vanilla.nodes('not obsolete() and draft()')
    vanilla.verify()
    # what lands takes its markers along
    client.run('push', '-r', top)
    vanilla.run('pull')
    assert vanilla.phase(top) == 'public'


@matrix.over('ssh')
def test_topics_and_a_try_url(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    url = transport.url(tryurl(transport, base))
    evolves(base, client, vanilla)
    client.run('update', '-q', 'null')
    client.run('topic', 'mine')
    client.write({'a': 'a\n'})
    client.run('add', 'a')
    client.run('commit', '-m', 'with a topic')
    node = client.node('.')
    other = ['extensions.bundlestore=!']
    client.run('push', '-r', node, url, config=other)
    for _time in range(2):
        vanilla.run('pull', '-r', node, url)
    assert vanilla.phase(node) == 'draft'
    assert not base.knows(node)


@pytest.mark.slow('a push more')
@matrix.over('ssh')
def test_working_copy(base: Repo, client: Repo) -> None:
    """It has the topic that a commit would have, and evolve's caches stay as
    they are."""
    evolves(base, client)
    client.commit({'a': 'a\n'}, 'draft')
    client.run('topic', 'parser')
    client.write({'a': 'aa\n'})
    fixed = ('-m', 'try', '-d', DATE)
    push = ('push', '--bundle-store', '--working-copy', *fixed)
    client.run(*push)
    with untouched(client.path, NOTED):
        out = client.run(*push).out
    client.run('commit', *fixed)
    assert f'{client.node(".")[:12]} try' in out
    assert client.log('{extras}', '.') == 'branch=defaulttopic=parser'


@matrix.over('path')
def test_landing(
    transport: Transport, base: Repo, client: Repo, hashes: History
) -> None:
    """It is rebased with its topic, and who pulls learns of it."""
    evolves(base, client)
    for repo in (base, client):
        repo.configure('experimental', {'evolution': 'all'})
    base.configure('phases', {'publish': 'no'})
    moved = base.commit({'b': 'b\n'}, 'moved', parent=hashes.tagged)
    client.run('topic', 'mine')
    client.write({'a': 'a\n'})
    client.run('commit', '--addremove', '-m', 'first')
    node = client.run('log', '-r', '.', '-T', '{node}').out
    client.run('push', '--bundle-store', '-r', node)
    base.run('admin::bundlestore-land', '--rebase', node)
    client.run('pull')
    shown = '{topic} {phase} {p1.node} {predecessors % "{node}"}'
    found = client.run('log', '-r', 'tip', '-T', shown).out
    assert found.split()[:2] == ['mine', 'draft']
    assert client.run('log', '-r', 'tip^', '-T', '{node}').out == moved
    assert node in client.run('debugobsolete').out
