"""A week of two people on three machines, with workspaces and backups.

Alice has a desktop, which reaches the server over https, and a laptop, which
does over ssh. Bob has one machine. The base never changes but for what lands.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import matrix, servers
from harness.hg import Hg, Repo, withevolve
from harness.snapshot import untouched

#: what a command may end with that aborts
ABORTED = (10, 20, 30, 100, 255)
#: an amended changeset has another date, lest it is the old one
LATER = '1700000100 0'

evolving = pytest.mark.parametrize(
    'evolves',
    [
        False,
        pytest.param(True, marks=pytest.mark.nightly('it differs in little')),
    ],
)


@pytest.fixture
def hg(tempfolder: Path) -> Callable[..., Hg]:
    def make(version: str = matrix.NEWEST, ext: bool = True) -> Hg:
        return withevolve(version, ext, {'TMPDIR': str(tempfolder)})

    return make


@pytest.fixture
def transport_name() -> str:
    return 'https'


@pytest.fixture
def webconfig() -> dict[str, str]:
    return {'allow-push': 'alice, bob', 'push_ssl': 'yes'}


@pytest.fixture
def ssh(
    hg: Callable[..., Hg], transport: servers.Transport
) -> Iterator[servers.Transport]:
    """Another way to the same server."""
    made = servers.BY_NAME['ssh'](hg(), transport.root)
    yield made
    made.close()


def rebase(repo: Repo, what: str, onto: str) -> None:
    repo.run('rebase', '-q', '-r', what, '-d', onto)


def heads(repo: Repo, name: str) -> set[str]:
    (one,) = json.loads(repo.run('workspace', '-T', 'json', name).out)
    return set(one['heads'])


@pytest.mark.slow('a server with TLS, and forty commands')
@evolving
def test_week(
    transport: servers.Transport,
    ssh: servers.Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    evolves: bool,
) -> None:
    # evolve has caches, in a repository that is pulled from, too
    still = contextlib.nullcontext if evolves else lambda: untouched(base.path)
    desktop, bob = newclient('desktop'), newclient('bob')
    laptop = newclient('laptop')
    more: dict[str, Any] = {'rebase': ''}
    if evolves:
        more.update(evolve='', topic='')
        base.configure('extensions', {'evolve': '', 'topic': ''})
    for repo, via, user in (
        (desktop, transport, 'alice'),
        (laptop, ssh, 'alice'),
        (bob, transport, 'bob'),
    ):
        via.connect(repo, base)
        repo.configure('paths', {'default': via.url(base, user)})
        repo.configure('extensions', more)

    # Monday: alice begins at her desk, and goes on on the train
    tip = desktop.node('branch(default) and head()')
    lexer = desktop.commit({'lexer': '1\n'}, 'lexer', parent=tip)
    parser = desktop.commit({'parser': '1\n'}, 'parser')
    desktop.inspect('bookmark', '-r', parser, 'parser')
    with still():
        desktop.run('push', '--workspace', 'work')
        laptop.run('pull', '--workspace', 'work')
    laptop.inspect('update', '-q', 'parser')
    laptop.write({'parser': '2\n'})
    laptop.run('commit', '-q', '--amend', '-m', 'parser', '--date', LATER)
    amended = laptop.node('.')
    assert laptop.log('{bookmarks}', amended) == 'parser'
    laptop.run('push', '--workspace', 'work')
    assert heads(laptop, 'work') == {amended}

    # Tuesday: she has forgotten that, and is told
    other = desktop.commit({'manual': '1\n'}, 'manual', parent=lexer)
    stored = desktop.run('pushes', '-T', '{push} ').out
    err = desktop.run('push', '--workspace', 'work', ok=ABORTED).err
    assert "workspace 'alice/work' has a changeset that is not here" in err
    assert desktop.run('pushes', '-T', '{push} ').out == stored
    desktop.run('pull', '--workspace', 'work')
    if evolves:
        assert desktop.log('{bookmarks}', amended) == 'parser'
        shown = desktop.run('log', '-r', 'draft()', '-T', '{node} ').out
        assert parser not in shown
    else:
        assert desktop.log('{bookmarks}', amended) == 'parser@default'
        desktop.inspect('bookmark', '-f', '-r', amended, 'parser')
    # without markers, what was left behind is a draft here, as any other
    desktop.run('push', '--workspace', 'work', '-r', f'{amended}+{other}')
    assert heads(desktop, 'work') == {amended, other}

    # Wednesday: bob looks on, and is let in
    bob.run('pull', '--workspace', 'alice/work')
    assert bob.phase(amended) == 'draft'
    fix = bob.commit({'parser': '3\n'}, 'fix', parent=amended)
    err = bob.run(
        'push', '--workspace', 'alice/work', '-r', fix, ok=ABORTED
    ).err
    assert "workspace 'alice/work' is not yours" in err
    desktop.run('workspace', '--share', 'bob:write', 'work')
    with still():
        bob.run('push', '--workspace', 'alice/work', '-r', fix)
    assert heads(bob, 'alice/work') == {fix, other}

    # Thursday: both change the same; the second one has to look first
    laptop.run('pull', '--workspace', 'work')
    laptop.inspect('update', '-q', fix)
    mine = laptop.commit({'more': '1\n'}, 'more', parent=fix)
    his = bob.commit({'suite': '1\n'}, 'suite', parent=fix)
    laptop.run('push', '--workspace', 'work', '-r', mine)
    err = bob.run(
        'push', '--workspace', 'alice/work', '-r', his, ok=ABORTED
    ).err
    assert 'has a changeset that is not here' in err
    bob.run('pull', '--workspace', 'alice/work')
    rebase(bob, his, mine)
    rebased = bob.node('desc("suite") and not obsolete()')
    bob.run('push', '--workspace', 'alice/work', '-r', rebased)
    assert heads(bob, 'alice/work') == {rebased, other}
    # any version is there still
    bob.run('pull', '--workspace', 'alice/work@1')

    # Friday: what is done lands; the laptop is backed up, and lost
    desktop.run('pull', '--workspace', 'work')
    desktop.run('push', '-r', rebased, '-f')
    assert desktop.phase(rebased) == 'public'
    laptop.run('pull', '--workspace', 'work')
    idea = laptop.commit({'idea': '1\n'}, 'idea', parent=other)
    laptop.inspect('bookmark', 'idea')
    if evolves:
        laptop.run('topic', '-q', 'someday')
    with still():
        laptop.run('backup')
    lost = laptop.log('{node} {phase} {bookmarks}\n', 'draft()')
    new = newclient('new')
    ssh.connect(new, base)
    new.configure('paths', {'default': ssh.url(base, 'alice')})
    new.configure('extensions', more)
    with still():
        new.run('backup', '--restore')
    new.run('pull', '-q')
    assert new.log('{node} {phase} {bookmarks}\n', 'draft()') == lost
    assert new.log('{node} {activebookmark}', '.') == f'{idea} idea'
    if evolves:
        assert new.run('topic', '--current').out == 'someday\n'
        assert not new.nodes(f'present({parser})')

    # and all that the server keeps is well
    assert base.run('admin::bundlestore-verify', '--full').code == 0
    log = json.loads(
        desktop.run('workspace', '--log', 'work', '-T', 'json').out
    )
    versions = [entry['version'] for entry in log]
    assert versions == [*range(len(log), 0, -1)]
    assert {entry['user'] for entry in log} == {'alice', 'bob'}
