"""What is not committed is pushed, and nothing here is touched."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness import blobs, history, matrix, pool, servers, smalldisk
from harness.hg import DATE, Repo, finish
from harness.servers import Transport
from harness.snapshot import NOTED, untouched
from harness.store import tryurl
from kinds import known, playing, scene as scenes, steps
from kinds.scene import Scene
from kinds.table import KINDS

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


def settle(repo: Repo, config: Sequence[str] = ()) -> None:
    """Have what any command would write be there."""
    repo.run('status')
    repo.run('push', '--bundle-store', '-r', 'null', config=config, ok=(1,))


def commit(repo: Repo, *args: str) -> str:
    """Return the hash of the changeset that a commit makes of the same."""
    twin = Repo(repo.hg, repo.path.with_name('twin'))
    shutil.rmtree(twin.path, ignore_errors=True)
    history.copy(repo.path, twin.path)
    twin.run('commit', *(args or FIXED))
    return twin.node('.')


def stored(out: str) -> str:
    """Return the hash that a push names last."""
    nodes = re.findall(r'^(?:remote: )?  ([0-9a-f]{12}) ', out, re.M)
    return str(nodes[-1])


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
    # with these files Mercurial finds out what the file system can do
    shutil.rmtree(client.path / '.hg/wcache')
    # it is looked into, and nobody notes that it is as it was
    (client.path / 'README').touch()
    with untouched(client.path, NOTED), untouched(base.path):
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


@pytest.mark.slow('one kind of repository of many')
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
    client.configure('phases', {'new-commit': 'secret'})
    settle(client)
    with untouched(client.path, NOTED), untouched(base.path):
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


@pytest.mark.slow('one kind of repository of many')
@matrix.over('ssh')
def test_without_changes(base: Repo, client: Repo) -> None:
    (client.path / 'README').unlink()
    settle(client)
    with untouched(client.path, NOTED), untouched(base.path):
        out = client.run(*PUSH, ok=(1,)).out
        assert out == ("nothing changed (1 missing files, see 'hg status')\n")
    with untouched(client.path, NOTED):
        out = client.run(*PUSH, '-m', 'again', '-d', DATE).out
    client.run('pull', '-r', stored(out))
    assert client.log('{desc}{files}', stored(out)) == 'again'
    client.inspect('revert', '--all')
    assert client.run(*PUSH, ok=(1,)).out == 'nothing changed\n'
    # of one branch to another
    client.inspect('branch', 'topic')
    node = stored(client.run(*PUSH).out)
    assert client.run('log', '-r', node, '-T', '{branch}').out[-5:] == 'topic'


@pytest.mark.slow('one kind of repository of many')
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
    # nor those who push what has landed
    client.inspect('commit', *FIXED)
    client.run('push', '-r', '.')
    client.inspect('update', '.^')
    client.write({'README': 'changed\n'})
    out = client.run(*PUSH, *FIXED, ok=(1,)).out
    assert out.endswith('no changes found\n')


@matrix.over('ssh')
def test_those_with_many_files_are_told_without_a_look(
    base: Repo, client: Repo
) -> None:
    nothing = ('push', '--bundle-store', '-r', '.')
    # what Mercurial notes of them, with any name that it may have
    (client.path / '.hg' / 'dirstate.many').write_bytes(bytes(300_000))
    client.write({'README': 'changed\n'})
    assert client.run(*nothing, ok=(1,)).out.endswith('no changes found\n')
    interactive = ('ui.interactive=yes',)
    assert client.run(*nothing, ok=(1,), config=interactive).out.endswith(
        '(uncommitted changes, if there are any, are pushed with'
        ' --working-copy)\n'
    )


@matrix.over('ssh')
def test_a_push_does_not_read_the_manifest(base: Repo, client: Repo) -> None:
    """That takes long where files are many, and Mercurial only looks for
    subrepositories in it."""
    client.run('push', '--bundle-store', '-r', '.', ok=(1,))
    for path in (client.path / '.hg/store').glob('00manifest*'):
        path.write_bytes(b'not a revlog')
    (client.path / '.hg/dirstate.many').write_bytes(bytes(300_000))
    told = client.run('push', '--bundle-store', '-r', '.', ok=(1,))
    assert told.out.endswith('no changes found\n')


@pytest.mark.slow('one kind of repository of many')
@matrix.over('ssh')
def test_many_unknown_files(base: Repo, client: Repo) -> None:
    client.write({f'new/{number}': '' for number in range(7)})
    client.write({'README': 'changed\n'})
    short = client.run(*PUSH).out
    assert '7 files that are not tracked are not sent:\n? new/0\n' in short
    assert '? new/4\nand 2 more\n' in short
    everything = client.run(*PUSH, '-v').out
    assert '? new/6\n' in everything
    assert 'committing' not in everything
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


@pytest.mark.slow('one kind of repository of many')
@matrix.over('ssh')
def test_destinations(
    transport: Transport, plainbase: Repo, client: Repo
) -> None:
    """Nothing lands in a repository without a bundle store; a try URL needs
    no option."""
    client.write({'README': 'changed\n'})
    with untouched(plainbase.path, ()), untouched(client.path, NOTED):
        refused = client.run(*PUSH, ok=(255,))
    assert 'abort: the server has no bundle store\n' in refused.err
    servers.serve_bundlestore(plainbase, {})
    made = tryurl(transport, plainbase)
    with untouched(client.path, NOTED):
        to = ('push', '--working-copy', transport.url(made))
        out = client.run(*to).out
    assert 'stored 1 changeset as push 1\n' in out


@pytest.mark.slow('one kind of repository of many')
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
    with untouched(new.path, NOTED):
        out = new.run(*PUSH).out
    assert out.endswith(' uncommitted changes\n')
    vanilla.run('pull', '-f', '-r', stored(out))
    assert vanilla.cat('first', stored(out)) == 'first\n'


@pytest.mark.slow('one kind of repository of many')
@pytest.mark.parametrize('signalled', ['SIGINT', 'SIGTERM', 'SIGKILL'])
@matrix.over('ssh')
def test_interrupted(
    transport: Transport,
    base: Repo,
    client: Repo,
    tempfolder: Path,
    signalled: str,
) -> None:
    """While it waits for the server; the changeset is made by then. What is
    killed leaves nothing either."""
    client.write({'big': os.urandom(9 << 20)})
    client.inspect('add')
    settle(client)
    called = client.path.with_name('called')
    script = client.path.with_name('waiting')
    script.write_text(f'#!/bin/sh\ntouch {called}\nexec cat >/dev/null\n')
    script.chmod(0o755)
    with untouched(client.path, ()):
        process = client.start(*PUSH, config=[f'ui.ssh={script}'])
        next(_ for _ in servers.patiently() if called.exists())
        os.kill(process.pid, getattr(signal, signalled))
        result = finish(process, ok=None)
    assert result.code not in (0, 1)
    assert not list(tempfolder.iterdir())


@pytest.mark.slow('one kind of repository of many')
@matrix.over('ssh')
def test_full_disk(base: Repo, client: Repo, tempfolder: Path) -> None:
    client.write({'big': os.urandom(9 << 20)})
    client.inspect('add')
    settle(client)
    with (
        untouched(client.path, ()),
        smalldisk.mounted(client.path.with_name('small'), '1m') as small,
    ):
        full = client.run(*PUSH, env={'TMPDIR': str(small)}, ok=(255,))
        assert not list(small.iterdir())
    assert full.err.endswith('abort: No space left on device\n')


KEYWORDS = {
    'extensions': {'keyword': '', 'eol': ''},
    'keyword': {'**.txt': ''},
    'keywordmaps': {'Author': '{author|user}'},
    'eol': {'native': 'CRLF'},
    'encode': {'**.bin': 'pipe: tr a-z A-Z'},
}


@matrix.over('ssh')
def test_what_is_sent_is_what_is_committed(
    base: Repo, client: Repo, vanilla: Repo
) -> None:
    """Not the bytes of the working copy, where these are others."""
    for section, items in KEYWORDS.items():
        client.configure(section, items)
    files = {'.hgeol': '[patterns]\n**.crlf = native\n', 'k.txt': '$Author$\n'}
    client.commit(files, 'before')
    client.run('kwexpand')
    assert (client.path / 'k.txt').read_text() == '$Author: alice $\n'
    client.write(
        {
            'k.txt': '$Author: alice $\nmore\n',
            'a.crlf': 'one\r\ntwo\r\n',
            'a.bin': 'abc',
        }
    )
    client.run('add')
    settle(client)
    with untouched(client.path, NOTED):
        out = client.run(*PUSH, *FIXED).out
    assert stored(out) == commit(client)[:12]
    vanilla.run('pull', '-r', stored(out))
    for name, text in (
        ('k.txt', '$Author$\nmore\n'),
        ('a.crlf', 'one\ntwo\n'),
        ('a.bin', 'ABC'),
    ):
        assert vanilla.cat(name, 'tip') == text


@pytest.mark.slow('one kind of repository of many')
@pytest.mark.usefixtures('ownserver')
@pytest.mark.parametrize(
    'kind', ['lfs', pytest.param('largefiles', marks=matrix.ANOTHER)]
)
@matrix.over('ssh')
def test_blobs(
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    tempfolder: Path,
    kind: str,
) -> None:
    """The first ones of a repository, and the next."""
    other = newclient('other')
    blobs.enable(kind, base, client, other)
    large = ['--large'] if kind == 'largefiles' else []
    texts = ['one\n', 'two\n']
    for number, text in enumerate(texts):
        client.write({'blob': text})
        if not number:
            client.run('add', *large, 'blob')
        else:
            (client.path / 'blob').chmod(0o755)
        settle(client)
        cache = client.path.with_name('client-cache')
        cache.mkdir(exist_ok=True)
        with untouched(client.path, NOTED), untouched(cache):
            out = client.run(*PUSH, *FIXED).out
        assert '? blob' not in out
        assert not list(tempfolder.iterdir())
        assert sorted(blobs.stored(base, kind)) == texts[: number + 1]
        other.run('update', stored(out))
        assert (other.path / 'blob').read_text() == text
        assert os.access(other.path / 'blob', os.X_OK) == bool(number)
        client.run('commit', *FIXED)
        assert client.node('.')[:12] == stored(out)


@pytest.mark.slow('one kind of repository of many')
@pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version'),
    [
        ('ssh', matrix.VERSIONS[0], matrix.NEWEST),
        pytest.param(
            *('ssh', matrix.NEWEST, matrix.NEWEST), marks=matrix.ANOTHER
        ),
    ],
)
def test_manifest_for_each_folder(
    transport: Transport, client: Repo, vanilla: Repo
) -> None:
    trees = {'treemanifest': 'yes', 'changegroup3': 'yes'}
    config = [f'experimental.{k}={v}' for k, v in trees.items()]
    base, clone, other = (
        Repo(hg, folder / 'trees')
        for hg, folder in (
            (transport.hg, transport.root),
            (client.hg, client.path.parent),
            (vanilla.hg, vanilla.path),
        )
    )
    for repo in (base, clone, other):
        repo.hg.run('init', repo.path, config=config)
        repo.configure('experimental', trees)
    servers.serve_bundlestore(base, {})
    base.commit({'a/b/c': 'c\n', 'a/d': 'd\n', 'e/f': 'f\n'}, 'first')
    for repo in (clone, other):
        transport.connect(repo, base)
    clone.enable()
    clone.run('pull', '-u')
    clone.write({'a/b/c': 'changed\n', 'new/g/h': 'h\n', 'e/f': None})
    clone.run('addremove')
    # which makes status look into the manifests
    (clone.path / 'a/d').touch()
    settle(clone)
    (clone.path / 'a/d').touch()
    with untouched(clone.path, NOTED):
        out = clone.run(*PUSH, *FIXED).out
    assert stored(out) == commit(clone)[:12]
    other.run('pull', '-r', stored(out))
    other.verify()
    assert other.cat('new/g/h', 'tip') == 'h\n'


@pytest.mark.slow('one kind of repository of many')
@matrix.over('ssh')
def test_share_and_sparse(base: Repo, client: Repo, vanilla: Repo) -> None:
    """What the working copy has not, the changeset has; neither the share nor
    what it shares is touched."""
    share = Repo(client.hg, client.path.with_name('share'))
    client.configure('extensions', {'share': '', 'sparse': ''})
    client.run('share', '.', share.path)
    shutil.copy(client.hgrc, share.hgrc)
    share.run('debugsparse', '--include', 'src')
    assert not (share.path / 'README').exists()
    share.write({'src/new.txt': 'new\n', 'src/main.txt': None})
    share.run('addremove')
    settle(share)
    with untouched(share.path, NOTED), untouched(client.path, NOTED):
        out = share.run(*PUSH, *FIXED).out
    vanilla.run('pull', '-r', stored(out))
    assert vanilla.log('{files}', 'tip') == 'src/main.txt src/new.txt'
    assert vanilla.cat('README', 'tip') == 'a base repository\n'
    share.run('commit', *FIXED)
    assert share.node('.')[:12] == stored(out)


@pytest.mark.slow('one kind of repository of many')
@matrix.over('ssh')
def test_subrepositories(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
) -> None:
    """One that is at another changeset is noted there, and goes along; one
    with changes of its own is refused."""
    config = transport.commandline()
    served = base.hg.init(base.path / 'sub')
    servers.serve_bundlestore(served, {})
    sub = client.hg.init(client.path / 'sub')
    client.write({'.hgsub': 'sub = sub\n'})
    client.inspect('add', '.hgsub')
    sub.commit({'x': 'x\n'}, 'in the sub')
    refused = client.run(*PUSH, config=config, ok=(20, 255)).err
    assert "abort: the subrepository 'sub' is not committed\n" in refused
    client.inspect('commit', '-m', 'has a sub')
    node = sub.commit({'x': 'xx\n'}, 'again')
    settle(client, config)
    with untouched(base.path, ()):
        landing = client.run('push', '--working-copy', config=config, ok=(255,))
    assert '--working-copy pushes to a bundle store only' in landing.err
    before = (client.path / '.hgsubstate').read_text()
    with untouched(client.path, ('sub', *NOTED)):
        out = client.run(*PUSH, *FIXED, config=config).out
    assert stored(out) == commit(client)[:12]
    assert node not in before
    other = newclient('other')
    other.run('update', stored(out), config=config)
    assert (other.path / 'sub' / 'x').read_text() == 'xx\n'
    sub.write({'x': 'dirty\n'})
    for more in ([], ['ui.commitsubrepos=yes']):
        with untouched(base.path, ()):
            refused = client.run(
                *PUSH, config=[*config, *more], ok=(20, 255)
            ).err
        assert 'abort: uncommitted changes in subrepository "sub"' in refused


@pytest.mark.slow('one kind of repository of many')
@matrix.over('ssh')
def test_obsolete_parent(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    """It goes along, as it does where a commit is made on it."""
    for repo in (base, client, vanilla):
        repo.configure('experimental', {'evolution': 'all'})
    old = client.commit({'a': 'a\n'}, 'old')
    new = client.commit({'a': 'aa\n'}, 'new', amend=True)
    client.run('update', '--hidden', '-q', old)
    client.write({'b': 'b\n'})
    client.run('add')
    settle(client)
    with untouched(client.path, NOTED):
        out = client.run(*PUSH, *FIXED).out
    assert 'stored 2 changesets' in out
    vanilla.run('pull', '-r', stored(out))
    assert vanilla.nodes(f'parents({stored(out)})') == [old]
    assert not vanilla.knows(new)


@pytest.mark.slow('one kind of repository of many')
@matrix.over('ssh')
def test_what_was_committed_before(
    base: Repo, client: Repo, vanilla: Repo
) -> None:
    """The very changeset is in the repository, and not to be pushed later."""
    client.configure('experimental', {'evolution': 'all'})
    parent = client.node('.')
    node = client.commit({'README': 'mine\n'}, 'try: this')
    client.inspect('update', '--clean', parent)
    client.write({'README': 'mine\n'})
    settle(client)
    with untouched(client.path, NOTED):
        out = client.run(*PUSH, *FIXED).out
    assert stored(out) == node[:12]
    vanilla.run('pull', '-r', node)
    for how in ('secret', 'obsolete'):
        if how == 'secret':
            client.inspect('phase', '--secret', '--force', node)
        else:
            client.inspect('phase', '--draft', node)
            client.inspect('debugobsolete', node)
        settle(client)
        with untouched(client.path, NOTED):
            err = client.run(*PUSH, *FIXED, ok=(20, 255)).err
        assert f'this would be {node[:12]}, which is here and {how}\n' in err
    # on what is hidden, as far as numbers go
    client.run(*PUSH, '-m', 'another')


# -- each kind of repository

#: kinds whose last changeset is a merge, and one that cannot be cloned
LEFTOUT = (
    'copies in side data',
    'tree manifests',
    'several roots',
    'octopus',
    'closed branches',
    '500 branches',
)
#: those that cannot do it
UNFIT = ('changelog v2', 'revlog v2', 'remotefilelog')


def uncommitted(scene: Scene) -> None:
    """Take the last changeset back, push what it was, and commit it again."""
    repo = scene.client('alice', ext=True)
    nodes = scene.kind.work(repo, 'alice')
    template = '{author}~{date|hgdate}~{branch}'
    user, date, branch = repo.log(template, nodes[-1]).split('~')
    fixed = ('-m', 'as it was', '-u', user, '-d', date)
    wire = scene.wire
    repo.run('update', '-q', '--clean', nodes[-1], config=wire)
    strip = ('strip', '-q', '--keep', '--no-backup', '-r', nodes[-1])
    repo.run(*strip, config=['extensions.strip=', *wire])
    repo.run('addremove', '-q')
    if repo.inspect('branch').strip() != branch:
        repo.inspect('branch', '-q', '--force', branch)
    settle(repo, wire)
    # a push locks and unlocks subrepositories
    with untouched(repo.path, ('nested', *NOTED)):
        out = repo.run(*PUSH, *fixed, config=wire).out
    repo.run('commit', *fixed)
    assert repo.node('.')[:12] == stored(out)
    scene.pushed['alice'] = [*nodes[:-1], repo.node('.')]
    scene.made['alice'] = steps.content(scene, repo, scene.pushed['alice'])


@pytest.mark.nightly('what most kinds have of their own does not matter here')
@pytest.mark.parametrize(
    'row',
    [row for row in scenes.one_each([*KINDS]) if row.kind not in LEFTOUT],
    ids=str,
)
def test_kinds(
    row: scenes.Row, tmp_path: Path, sharedservers: pool.Pool
) -> None:
    (tmp_path / 'bases').mkdir()
    played = playing.play(
        row,
        tmp_path,
        scenes.Bases(tmp_path / 'bases'),
        sharedservers,
        steps=[
            steps.Step('working copy', uncommitted),
            steps.Step('pull', steps.pull),
            steps.Step('verify', steps.verify),
        ],
    )
    if row.kind in UNFIT:
        assert played[0].word == playing.REFUSED, played[0].text
        assert 'this kind of repository cannot push' in played[0].text
        return
    wrong = known.judge(played)
    assert not wrong, '\n'.join(wrong)
