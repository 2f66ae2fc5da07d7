"""What is in a private workspace is shown to nobody by mistake: not by a push
that names nothing, and not by a backup."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from harness import matrix
from harness.hg import Repo
from harness.servers import Transport
from test_private import private
from test_workspaces import ABORTED


@pytest.fixture
def alice(transport: Transport, base: Repo, client: Repo) -> str:
    """The address of the server; there is a private workspace, ``plan``."""
    url = transport.url(base, 'alice')
    private(client, 'plan', url)
    return url


@pytest.fixture
def hidden(
    transport: Transport, base: Repo, newclient: Callable[..., Repo]
) -> Callable[..., None]:
    """Checks that nobody else can pull these."""
    url = transport.url(base, 'bob')
    numbers = itertools.count()

    def check(*nodes: str) -> None:
        bob = newclient(f'bob{next(numbers)}')
        for node in nodes:
            err = bob.run('pull', '-r', node, url, ok=ABORTED).err
            assert 'unknown revision' in err

    return check


only_ssh = matrix.over('ssh')


@only_ssh
def test_without_caches(client: Repo, alice: str, hidden: Any) -> None:
    """Caches may be removed at any time."""
    node = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'plan', alice)
    shutil.rmtree(client.path / '.hg' / 'cache')
    err = client.run('push', '--bundle-store', alice, ok=ABORTED).err
    assert (
        'abort: a draft of a private workspace would be for all to see\n' in err
    )
    client.run('backup', alice)
    hidden(node)


@only_ssh
@pytest.mark.parametrize(
    ('evolution', 'client_version'),
    [
        pytest.param('no', matrix.VERSIONS[0], marks=matrix.ANOTHER),
        ('all', matrix.NEWEST),
    ],
)
def test_amended(client: Repo, alice: str, hidden: Any, evolution: str) -> None:
    """With markers and without, and twice: what comes in between is gone."""
    client.configure('experimental', {'evolution': evolution})
    node = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'plan', alice)
    client.inspect('update', '-q', node)
    for text in ('second', 'third'):
        client.write({'a': text})
        client.run('commit', '--amend', '-m', text)
    (node,) = client.nodes('draft()')
    client.run('push', '--bundle-store', alice, ok=ABORTED)
    client.run('backup', alice)
    hidden(node)


@only_ssh
def test_grafted(client: Repo, alice: str, hidden: Any) -> None:
    """A copy is as private."""
    first = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'plan', '-r', first, alice)
    second = client.commit({'b': 'b\n'}, 'second', parent=f'{first}^')
    client.inspect('update', '-q', second)
    client.run(
        *('graft', '--log', '-r', first), config=['phases.new-commit=draft']
    )
    copy = client.node('.')
    client.run('push', '--bundle-store', '-r', second, alice)
    client.run('backup', alice)
    hidden(first, copy)


@only_ssh
@pytest.mark.slow('one more of a kind')
def test_replaced(client: Repo, alice: str, hidden: Any) -> None:
    first = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'plan', alice)
    second = client.commit({'b': 'b\n'}, 'second', parent=f'{first}^')
    client.run('push', '--workspace', 'plan', '-f', '-r', second, alice)
    client.run('backup', alice)
    hidden(first, second)


@only_ssh
def test_restored(
    client: Repo, alice: str, hidden: Any, newclient: Any
) -> None:
    node = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'plan', alice)
    client.run('backup', alice)
    laptop = newclient('laptop')
    laptop.run('backup', '--restore', alice)
    assert laptop.phase(node) == 'draft'
    # what is here already
    laptop.run('backup', '--restore', alice)
    laptop.run('backup', alice)
    hidden(node)


@only_ssh
@pytest.mark.slow('one more of a kind')
def test_pulled_earlier_version(
    client: Repo, alice: str, hidden: Any, newclient: Any
) -> None:
    node = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'plan', alice)
    laptop = newclient('laptop')
    laptop.run('pull', '--workspace', 'plan@2', alice)
    laptop.run('backup', alice)
    hidden(node)


@only_ssh
def test_pulled_by_hash(
    client: Repo, alice: str, hidden: Any, newclient: Any
) -> None:
    node = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'plan', alice)
    laptop = newclient('laptop')
    laptop.run('pull', '-r', node, alice)
    laptop.run('backup', alice)
    hidden(node)


@only_ssh
def test_working_copy(client: Repo, alice: str, hidden: Any) -> None:
    """What is not committed is meant, but not what it is on top of."""
    node = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'plan', alice)
    client.inspect('update', '-q', node)
    client.write({'a': 'b\n'})
    push = ('push', '--bundle-store', alice)
    err = client.run(*push, '--working-copy', ok=ABORTED).err
    assert 'abort: a draft of private workspace' in err
    hidden(node)
    # until that was shown
    client.run(*push, '-r', node)
    client.run(*push, '--working-copy')


@only_ssh
def test_landing(base: Repo, client: Repo, alice: str, hidden: Any) -> None:
    node = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'plan', alice)
    client.run('push', '-f', alice, ok=ABORTED)
    hidden(node)


@only_ssh
@pytest.mark.slow('one more of a kind')
def test_of_the_path(client: Repo, alice: str, hidden: Any) -> None:
    node = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'plan', alice)
    other = client.commit({'b': 'b\n'}, 'other', parent=f'{node}^')
    client.configure(
        'paths',
        {'try': alice, 'try:bundle-store': 'yes', 'try:pushrev': '.'},
    )
    client.inspect('update', '-q', other)
    client.run('push', 'try')
    client.inspect('update', '-q', node)
    client.run('push', 'try', ok=ABORTED)
    hidden(node)


@only_ssh
def test_gone(base: Repo, client: Repo, alice: str, hidden: Any) -> None:
    """Another one of that name would be for all to see."""
    node = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--workspace', 'plan', alice)
    client.run('workspace', '--drop', 'plan', '-s', alice)
    base.run('admin::bundlestore-gc')
    push = ('push', '--workspace', 'plan', '-r', node, alice)
    err = client.run(*push, ok=ABORTED).err
    assert "abort: private workspace 'alice/plan' is not there any more" in err
    hidden(node)
    private(client, 'plan', alice)
    client.run(*push)
    hidden(node)
