"""``hg clone -u``: what it names is there in the end, or it fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness import matrix
from harness.hg import Repo
from harness.history import History
from harness.servers import Transport
from harness.shelf import Shelf

NAME = 'scratch/alice/x'


@pytest.fixture
def stored(transport: Transport, base: Repo, client: Repo, shelf: Shelf) -> str:
    def push() -> str:
        node = client.commit({'a': 'a\n'}, 'a try')
        client.run('push', '-r', node, '-B', NAME)
        return node

    return shelf.once(f'{transport.name} to clone', [base, client], push)


def cloned(
    transport: Transport,
    base: Repo,
    client: Repo,
    dest: Path,
    *args: str,
    extra: tuple[str, ...] = (),
    ok: tuple[int, ...] = (0,),
) -> Repo:
    """Clone and return the new repository."""
    config = [*transport.commandline(), 'extensions.bundlestore=', *extra]
    words = ('clone', *args, transport.url(base), str(dest))
    client.hg.run(*words, config=config, ok=ok)
    return Repo(client.hg, dest)


@matrix.over('ssh')
def test_revisions_with_a_pool(
    transport: Transport,
    base: Repo,
    client: Repo,
    stored: str,
    tmp_path: Path,
) -> None:
    """It has nothing at first, then something."""
    pool = ('extensions.share=', f'share.pool={tmp_path / "pool"}')
    base.commit({'news': 'news\n'}, 'news')
    for name in (f'{stored}^', stored, 'tip'):
        dest = tmp_path / f'clone of {name}'
        node = client.node(name) if stored in name else base.node(name)
        words = ('-r', node)
        repo = cloned(transport, base, client, dest, *words, extra=pool)
        assert repo.node('.') == node
        assert repo.knows(stored) == (name != f'{stored}^')
        repo.verify()


def test_update_to_a_scratch_changeset(
    transport: Transport,
    base: Repo,
    client: Repo,
    stored: str,
    hashes: History,
    tmp_path: Path,
) -> None:
    """By a prefix and by a bookmark, with a pool of shares, too. By path the
    files of the repository would be copied."""
    repo = cloned(transport, base, client, tmp_path / 'a', '-u', stored[:8])
    assert repo.node('.') == stored
    assert repo.phase(stored) == 'draft'
    assert repo.phase(hashes.tagged) == 'public'
    pool = (f'share.pool={tmp_path / "pool"}',)
    dest = tmp_path / 'b'
    repo = cloned(transport, base, client, dest, '-u', NAME, extra=pool)
    assert repo.node('.') == stored
    assert not repo.log('{bookmarks}')
    # what everybody gets needs nothing
    dest, args = tmp_path / 'c', ('-u', hashes.tagged[:12])
    repo = cloned(transport, base, client, dest, *args, extra=pool)
    assert repo.node('.') == hashes.tagged


@matrix.over('ssh')
@pytest.mark.parametrize('pool', [False, True])
def test_update_to_what_is_not_there(
    transport: Transport,
    base: Repo,
    client: Repo,
    tmp_path: Path,
    pool: bool,
) -> None:
    args = ('-u', 'scratch/nothing')
    extra = (f'share.pool={tmp_path / "pool"}',) if pool else ()
    dest = tmp_path / 'clone'
    cloned(transport, base, client, dest, *args, extra=extra, ok=(255,))
    assert not os.path.exists(dest)
