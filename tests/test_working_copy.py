"""What is not committed is pushed, and nothing here is touched."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from harness import history, matrix
from harness.hg import DATE, Repo
from harness.servers import Transport
from harness.snapshot import untouched

PUSH = ('push', '--bundle-store', '--working-copy')
#: what makes the hash the same each time
FIXED = ('--message', 'try: this', '--date', DATE)


def change(repo: Repo) -> None:
    """Do to the working copy all that one can do to it."""
    repo.write(
        {
            'src/main.txt': 'all new\n',
            'src/added.txt': 'added\n',
            'src/empty': '',
            'src/script': '#!/bin/sh\n',
            'unknown.txt': 'unknown\n',
        }
    )
    (repo.path / 'src/link').symlink_to('main.txt')
    (repo.path / 'src/script').chmod(0o755)
    (repo.path / 'data.bin').chmod(0o755)
    names = ('added.txt', 'empty', 'script', 'link')
    repo.inspect('add', *(f'src/{name}' for name in names))
    repo.inspect('copy', 'README', 'COPY')
    repo.inspect('rename', 'docs/manual.txt', 'docs/renamed.txt')
    repo.write({'docs/renamed.txt': 'renamed and changed\n'})
    repo.inspect('forget', '.hgtags')
    # is not there, and was not removed
    (repo.path / 'docs/copy.txt').unlink()
    repo.inspect('branch', 'topic')


def settle(repo: Repo) -> None:
    """Have what any command would write be there."""
    repo.run('status')
    repo.run('push', '--bundle-store', '-r', 'null', ok=(1,))


def commit(repo: Repo, *args: str) -> str:
    """Return the hash of the changeset that a commit makes of the same."""
    twin = Repo(repo.hg, repo.path.with_name('twin'))
    shutil.rmtree(twin.path, ignore_errors=True)
    history.copy(repo.path, twin.path)
    twin.run('commit', *(args or FIXED))
    return twin.node('.')


def stored(out: str) -> str:
    """Return the hash that a push names."""
    (node,) = re.findall(r'^(?:remote: )?  ([0-9a-f]{12}) ', out, re.M)
    return str(node)


@matrix.every_version
def test_all_kinds_of_changes(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    tempfolder: Path,
) -> None:
    change(client)
    settle(client)
    with untouched(client.path, ()), untouched(base.path):
        out = client.run(*PUSH, *FIXED).out
    assert (
        '1 file that is missing here is not removed:\n'
        '! docs/copy.txt\n'
        '1 file that is not tracked is not sent:\n'
        '? unknown.txt\n'
    ) in out
    node = commit(client)
    assert stored(out) == node[:12]
    assert not list(tempfolder.iterdir())
    vanilla.run('pull', '-r', node)
    assert vanilla.phase(node) == 'draft'
    assert vanilla.log('{branch}', node) == 'topic'
    vanilla.verify()
    vanilla.run('update', node)
    vanilla.run('status', '--copies', '--change', node)
    assert os.access(vanilla.path / 'src/script', os.X_OK)
    assert os.access(vanilla.path / 'data.bin', os.X_OK)
    assert os.readlink(vanilla.path / 'src/link') == 'main.txt'
    # by those who pushed it, too
    assert client.run('log', '-r', node, '-T', '{desc}').out.endswith('this')
