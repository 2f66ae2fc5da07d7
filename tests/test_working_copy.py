"""What is not committed is pushed, and nothing here is touched."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from harness import history, matrix, servers
from harness.hg import DATE, Repo
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import tryurl

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


@matrix.over('ssh')
def test_on_drafts_by_path_option(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    """What it rests on goes along, and is not sent twice. Others and who
    pushed it fetch it; it does not land by mistake."""
    client.configure(
        'paths', {'try': transport.url(base), 'try:bundle-store': 'yes'}
    )
    parent = client.commit({'a': 'a\n'}, 'parent\nand more')
    client.write({'a': 'aa\n'})
    settle(client)
    with untouched(client.path, ()), untouched(base.path):
        first = client.run('push', 'try', '--working-copy', '-d', DATE).out
        again = client.run('push', 'try', '--working-copy', '-d', DATE).out
        more = client.run(
            *('push', 'try', '--working-copy', '-B', 'scratch/alice/x'),
            *('-m', 'more', '-u', 'bob'),
        ).out
    assert 'stored 2 changesets as push 1\n' in first
    assert (
        f'{stored(first)} uncommitted changes on {parent[:12]}: parent\n'
        in (first)
    )
    assert 'all of 2 changesets are in the bundle store already\n' in again
    assert '1 of 2 changesets is in the bundle store already\n' in more
    vanilla.run('pull', '-r', 'scratch/alice/x')
    assert vanilla.log('{author} {desc}', 'tip') == 'bob more'
    assert vanilla.cat('a', 'tip') == 'aa\n'
    client.run('update', '--clean', stored(more))
    assert client.cat('a', '.') == 'aa\n'
    refused = client.run('push', ok=(20, 255))
    assert '1 changeset that came from a bundle store would land' in refused.err


@matrix.over('ssh')
def test_without_changes(base: Repo, client: Repo) -> None:
    (client.path / 'README').unlink()
    settle(client)
    with untouched(client.path, ()), untouched(base.path):
        out = client.run(*PUSH, ok=(1,)).out
        assert out == ("nothing changed (1 missing files, see 'hg status')\n")
    with untouched(client.path, ()):
        out = client.run(*PUSH, '-m', 'again', '-d', DATE).out
    client.run('pull', '-r', stored(out))
    assert client.log('{desc}{files}', stored(out)) == 'again'
    client.inspect('revert', '--all')
    assert client.run(*PUSH, ok=(1,)).out == 'nothing changed\n'
    # of one branch to another
    client.inspect('branch', 'topic')
    node = stored(client.run(*PUSH).out)
    assert client.run('log', '-r', node, '-T', '{branch}').out[-5:] == 'topic'


@matrix.over('ssh')
def test_those_who_forget_are_told(base: Repo, client: Repo) -> None:
    note = '(uncommitted changes are pushed with --working-copy)\n'
    nothing = ('push', '--bundle-store', '-r', '.')
    assert note not in client.run(*nothing, ok=(1,)).out
    client.write({'README': 'changed\n', 'unknown.txt': 'unknown\n'})
    assert client.run(*nothing, ok=(1,)).out.endswith(note)
    assert note not in client.run(*nothing, '-q', ok=(1,)).out
    plain = client.run(*nothing, ok=(1,), env={'HGPLAIN': '1'})
    assert note not in plain.out
    assert note not in client.run('push', '-r', '.', ok=(1,)).out


@matrix.over('ssh')
def test_many_unknown_files(base: Repo, client: Repo) -> None:
    client.write({f'new/{number}': '' for number in range(7)})
    client.write({'README': 'changed\n'})
    short = client.run(*PUSH).out
    assert '7 files that are not tracked are not sent:\n? new/0\n' in short
    assert '? new/4\nand 2 more\n' in short
    assert '? new/6\n' in client.run(*PUSH, '-v').out
    assert 'new/' not in client.run(*PUSH, '-q').out


@matrix.over('ssh')
def test_refused(
    transport: Transport,
    base: Repo,
    client: Repo,
    hashes: history.History,
) -> None:
    """Before anything is sent, in the words of a commit."""
    url = transport.url(base)

    def refuse(said: str, *args: str) -> None:
        with untouched(client.path, ()), untouched(base.path, ()):
            err = client.run(*(args or PUSH), ok=None).err
        assert err.startswith(f'abort: {said}'), err

    client.write({'README': 'changed\n'})
    settle(client)
    refuse('cannot specify both --working-copy and --rev', *PUSH, '-r', '.')
    refuse('--message needs --working-copy', *PUSH[:2], '-m', 'text')
    refuse("'mark' is not a scratch bookmark", *PUSH, '-B', 'mark')
    to = ('push', url, '--working-copy')
    refuse('--working-copy pushes to a bundle store only', *to)
    # somebody else's
    client.inspect('update', '-C', hashes.left)
    client.inspect('merge', hashes.right)
    refuse('outstanding uncommitted merge')
    client.inspect('update', '-C', hashes.left)
    client.commit({'README': 'mine\n'}, 'mine')
    client.run('graft', '-r', hashes.fixed, ok=(1, 240))
    refuse('unresolved merge conflicts')
    client.inspect('resolve', '--mark', '--all')
    refuse('graft in progress')
    client.inspect('graft', '--abort')
    client.commit({'README': 'secret\n'}, 'secret', secret=True)
    client.write({'README': 'changed\n'})
    refuse('the working copy is on ')


@matrix.over('ssh')
def test_destinations(
    transport: Transport, plainbase: Repo, client: Repo
) -> None:
    """Nothing lands in a repository without a bundle store; a try URL needs
    no option."""
    client.write({'README': 'changed\n'})
    with untouched(plainbase.path, ()), untouched(client.path, ()):
        refused = client.run(*PUSH, ok=(255,))
    assert 'abort: the server has no bundle store\n' in refused.err
    servers.serve_bundlestore(plainbase, {})
    made = tryurl(transport, plainbase)
    with untouched(client.path, ()):
        to = ('push', '--working-copy', transport.url(made))
        out = client.run(*to).out
    assert 'stored 1 changeset as push 1\n' in out


@matrix.over('ssh')
def test_first_changeset(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    new = client.hg.init(client.path.with_name('new'))
    transport.connect(new, base)
    new.enable()
    new.write({'first': 'first\n'})
    new.run('add')
    settle(new)
    with untouched(new.path, ()):
        out = new.run(*PUSH).out
    assert out.endswith(' uncommitted changes\n')
    vanilla.run('pull', '-f', '-r', stored(out))
    assert vanilla.cat('first', stored(out)) == 'first\n'
