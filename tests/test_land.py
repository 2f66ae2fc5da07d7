"""Stored changesets land in the base repository."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import blobs, matrix, servers, store, web
from harness.hg import Hg, Repo, finish
from harness.history import History
from harness.servers import Transport
from harness.snapshot import snapshot, untouched

LAND = 'admin::bundlestore-land'
#: of what is refused
REFUSED = (10, 20, 40, 50, 100, 255)
#: what a look at the heads may bring up to date
CACHES = ('.hg/bundlestore', '.hg/cache')

bypath = matrix.over('path')
_DETAIL = pytest.mark.slow('a detail of what lands')
_MARKS = {
    '6.3.2': matrix.ANOTHER,
    '6.9.5': matrix.ANOTHER,
    '7.0.3': pytest.mark.nightly('the releases around it are in CI'),
}
each_version = pytest.mark.parametrize(
    ('transport_name', 'client_version', 'server_version'),
    [
        pytest.param(
            *('path', version, version),
            marks=_MARKS.get(version, ()),
            id=version,
        )
        for version in matrix.VERSIONS
    ],
)


def pushed(base: Repo, client: Repo, *revs: str) -> None:
    named = [word for rev in revs or ('.',) for word in ('-r', rev)]
    client.run('push', '--bundle-store', *named, base.path)


def listed(base: Repo, rev: str | None = None) -> list[dict[str, Any]]:
    """Return where the newest push landed, without when."""
    found = json.loads(base.run('pushes', '-Tjson').out)[0]['landings']
    for landing in found:
        del landing['date']
    return list(found)


def landing(base: Repo, *args: str, ok: Any = (0,)) -> dict[str, Any]:
    """Land something; return what became of each changeset."""
    done = base.run(LAND, '-Tjson', *args, ok=ok)
    return {one['node']: one for one in json.loads(done.out)}


def contents(base: Repo) -> dict[str, Any]:
    """Return what is in each file, but for what Mercurial makes anew or leaves
    behind, as it does where a push is refused."""
    exclude = (*('.hg/bundlestore', '.hg/cache', '.hg/wcache'), '.hg/hgrc')
    found = snapshot(base.path, exclude)
    gone = ('journal', 'undo', 'wlock')
    return {
        path: entry.content
        for path, entry in found.items()
        if not path.rpartition('/')[2].startswith(gone)
    }


# -- as a push


@each_version
def test_stack(base: Repo, client: Repo, vanilla: Repo, tmp_path: Path) -> None:
    """It lands with the push that it rests on, public, and with hooks."""
    log = tmp_path / 'hooks.log'
    names = ('pretxnchangegroup', 'pretxnclose', 'changegroup', 'incoming')
    line = f'echo $HG_HOOKTYPE $HG_SOURCE $HG_URL $HG_NODE >> {log}'
    base.configure('hooks', dict.fromkeys(names, line))
    first = client.commit({'a': 'a\n'}, 'one')
    pushed(base, client)
    second = client.commit({'src/b': 'b\n'}, 'two')
    pushed(base, client)
    before = base.node('.')
    dry = base.run(LAND, '--dry-run', second[:12])
    assert f'would land {first[:12]}\nwould land {second[:12]}\n' in dry.out
    assert not base.knows(first)
    assert not log.exists()
    done = base.run(LAND, '-v', second[:12])
    assert f'landed {first[:12]} (push 1)\n' in done.out
    assert f'landed {second[:12]} (push 2)\n' in done.out
    assert base.phases(f'{first}+{second}') == {
        first: 'public',
        second: 'public',
    }
    assert base.node('.') == before
    assert base.inspect('status') == ''
    where = 'serve remote:bundlestore'
    assert log.read_text().splitlines() == [
        f'pretxnchangegroup {where} {first}',
        f'pretxnclose {where} {first}',
        f'changegroup {where} {first}',
        f'incoming {where} {first}',
        f'incoming {where} {second}',
    ]
    expected = {'node': second, 'landed': second, 'user': 'alice'}
    assert listed(base) == [expected]
    assert f'landed:      {second[:12]}\n' in client.run('pushes').out
    again = base.run(LAND, second, ok=(1,))
    assert again.out == f'landed already: {second[:12]}\n'
    # the base has it itself
    for path in store.bundles(base):
        path.unlink()
    vanilla.run('pull', '-r', second, base.path)
    base.verify()


@bypath
def test_hook_that_refuses(base: Repo, client: Repo) -> None:
    node = client.commit({'a': 'a\n'}, 'refused')
    pushed(base, client)
    refuse = 'echo never; test $HG_SOURCE != serve'
    base.configure('hooks', {'pretxnclose': refuse})
    before = contents(base)
    refused = base.run(LAND, node, ok=REFUSED)
    assert 'never' in refused.out + refused.err
    assert 'abort: pretxnclose hook exited with status 1' in refused.err
    assert contents(base) == before
    assert listed(base) == []


@_DETAIL
@bypath
def test_drafts_of_a_base_that_does_not_publish(
    base: Repo, client: Repo
) -> None:
    base.configure('phases', {'publish': 'no'})
    node = client.commit({'a': 'a\n'}, 'draft')
    pushed(base, client)
    base.run(LAND, node)
    assert base.phase(node) == 'draft'


@bypath
def test_heads_and_branches(base: Repo, client: Repo, hashes: History) -> None:
    """New ones are refused, unless they are meant."""
    head = client.commit({'a': 'a\n'}, 'head', parent=hashes.merged)
    branch = client.commit({'b': 'b\n'}, 'branch', branch='new')
    pushed(base, client, head, branch)
    for node, what, hint in (
        (head, 'head', '--rebase, or --force'),
        (branch, 'branch', '--new-branch'),
    ):
        with untouched(base.path):
            refused = base.run(LAND, node, ok=REFUSED)
        assert f'abort: push creates new remote {what}' in refused.err
        assert hint in refused.err
    base.run(LAND, head, '--force')
    base.run(LAND, branch, '--new-branch')
    assert base.knows(branch)


@_DETAIL
@bypath
def test_names(base: Repo, client: Repo) -> None:
    node = client.commit({'a': 'a\n'}, 'named')
    client.run('push', '-r', '.', '-B', 'scratch/x', base.path)
    for wrong, message in (
        ('f' * 39 + '0', 'unknown revision'),
        ('1', 'no such scratch bookmark'),
    ):
        refused = base.run(LAND, wrong, ok=REFUSED)
        assert message in refused.err
    refused = base.run(LAND, node, '--dest', 'tip', ok=REFUSED)
    assert '--dest goes with --rebase' in refused.err
    assert landing(base, 'scratch/x')[node]['pushes'] == [1]


@_DETAIL
@bypath
def test_changeset_in_the_middle_of_a_push(base: Repo, client: Repo) -> None:
    """The push keeps where it landed, though it is no head of it."""
    node = client.commit({'a': 'a\n'}, 'lower')
    client.commit({'a': 'aa\n'}, 'upper')
    pushed(base, client)
    base.run(LAND, node)
    assert [one['node'] for one in listed(base)] == [node]


@bypath
def test_landed_by_a_push(base: Repo, client: Repo) -> None:
    node = client.commit({'a': 'a\n'}, 'pushed twice')
    pushed(base, client)
    client.run('push', '-r', node, base.path)
    expected = {'node': node, 'landed': node, 'user': ''}
    assert listed(base) == [expected]


@pytest.mark.usefixtures('ownserver')
@bypath
def test_try_url(transport: Transport, plainbase: Repo, client: Repo) -> None:
    """From there it goes to the base, which may have no store of its own, with
    what lfs keeps."""
    tried = store.tryurl(transport, plainbase)
    blobs.enable('lfs', plainbase, tried, client)
    node = blobs.commit(client, 'lfs', {'a': 'tried\n'})
    client.run('push', '--bundle-store', '-r', node, tried.path)
    assert blobs.landed(plainbase, 'lfs') == []
    tried.run(LAND, node)
    assert plainbase.phase(node) == 'public'
    assert blobs.landed(plainbase, 'lfs') == ['tried\n']
    assert [one['landed'] for one in listed(tried)] == [node]


# -- where the heads have moved


@each_version
def test_rebase(base: Repo, client: Repo, hashes: History) -> None:
    one = client.commit({'src/main.txt': 'first\n' * 9, 'gone': ''}, 'one')
    client.inspect('rename', '--quiet', 'README', 'docs/README')
    (client.path / 'data.bin').chmod(0o755)
    two = client.commit({'gone': None}, 'two', user='bob')
    pushed(base, client, one, two)
    moved = base.commit({'README': 'changed\n'}, 'moved', parent=hashes.tagged)
    # what hooks say is not where a program reads
    base.configure('hooks', {'changegroup': 'echo said by a hook'})
    with untouched(base.path, CACHES):
        dry = landing(base, two, '--rebase', '--dry-run')
    first = landing(base, one, '--rebase')
    found = landing(base, two, '--rebase')
    states = {node: one['state'] for node, one in found.items()}
    assert states == {one: 'there', two: 'landed'}
    new = found[two]['landed']
    assert first[one]['landed'] == found[one]['landed'] == base.node(f'{new}^')
    assert new == dry[two]['landed'] != two
    assert base.node(f'{new}^^') == moved
    shown = base.log('{desc} {author|user} {date|hgdate} {phase}', new)
    assert shown == 'two bob 1700000000 0 public'
    assert base.cat('docs/README', new) == 'changed\n'
    changes = base.inspect('status', '--copies', '--change', new).splitlines()
    assert changes == [
        *('M data.bin', 'A docs/README', '  README', 'R README', 'R gone')
    ]
    assert base.inspect('manifest', '-v', '-r', new).count('755 * ') == 1
    base.verify()
    assert not base.knows(two)
    # once more
    again = landing(base, two, '--rebase', ok=(1,))
    assert {one['state'] for one in again.values()} == {'there'}
    assert again[two]['landed'] == new
    expected = {'node': two, 'landed': new, 'user': 'alice'}
    assert expected in listed(base)


@_DETAIL
@bypath
def test_nothing_to_rebase(base: Repo, client: Repo) -> None:
    node = client.commit({'a': 'a\n'}, 'on the head')
    pushed(base, client)
    assert landing(base, node, '--rebase')[node]['landed'] == node


@bypath
def test_conflict(base: Repo, client: Repo, hashes: History) -> None:
    client.commit({'a': 'a\n'}, 'fine')
    node = client.commit({'README': 'mine\n'}, 'conflict')
    pushed(base, client)
    base.commit({'README': 'theirs\n'}, 'moved', parent=hashes.tagged)
    with untouched(base.path, CACHES):
        refused = base.run(LAND, node, '--rebase', ok=REFUSED)
    assert f'abort: cannot rebase {node[:12]} onto ' in refused.err
    assert refused.err.endswith(
        ': conflicts in README\n'
        '(rebase it in a clone, and push what comes of it)\n'
    )


@_DETAIL
@bypath
def test_deleted_file_that_was_changed(
    base: Repo, client: Repo, hashes: History
) -> None:
    node = client.commit({'README': None}, 'deleted')
    pushed(base, client)
    base.commit({'README': 'theirs\n'}, 'moved', parent=hashes.tagged)
    with untouched(base.path, CACHES):
        refused = base.run(LAND, node, '--rebase', ok=REFUSED)
    assert 'conflicts in README\n' in refused.err


@bypath
def test_nothing_left(base: Repo, client: Repo, hashes: History) -> None:
    """What is empty then is left out, what was before is not."""
    one = client.commit({'README': 'changed\n'}, 'the same')
    # nothing but a message
    client.run('commit', '--config', 'ui.allowemptycommit=yes', '-m', 'empty')
    two = client.node('.')
    three = client.commit({'a': 'a\n'}, 'another')
    pushed(base, client, one)
    pushed(base, client, three)
    base.commit({'README': 'changed\n'}, 'moved', parent=hashes.tagged)
    said = base.run(LAND, one, '--rebase', ok=(1,)).out
    assert f'left out {one[:12]}: the repository has its changes\n' in said
    found = landing(base, three, '--rebase')
    states = [found[node]['state'] for node in (one, two, three)]
    assert states == ['empty', 'landed', 'landed']
    assert found[one]['landed'] == ''
    assert base.node(f'{found[three]["landed"]}^') == found[two]['landed']


@bypath
def test_dest(base: Repo, client: Repo, hashes: History) -> None:
    node = client.commit({'a': 'a\n'}, 'fix')
    pushed(base, client)
    heads = [
        base.commit({name: name}, name, parent=hashes.tagged) for name in 'xy'
    ]
    with untouched(base.path, CACHES):
        refused = base.run(LAND, node, '--rebase', ok=REFUSED)
    assert "abort: branch 'default' has 2 heads: " in refused.err
    assert 'use --dest' in refused.err
    found = landing(base, node, '--rebase', '--dest', heads[0])
    assert base.node(f'{found[node]["landed"]}^') == heads[0]
    # and elsewhere, too
    found = landing(base, node, '--rebase', '--dest', heads[1])
    assert base.node(f'{found[node]["landed"]}^') == heads[1]
    expected = {
        'node': node,
        'landed': found[node]['landed'],
        'user': 'alice',
    }
    assert listed(base) == [expected]


@_DETAIL
@bypath
def test_merge_is_not_rebased(
    base: Repo, client: Repo, hashes: History
) -> None:
    client.commit({'a': 'a\n'}, 'side', parent=hashes.merged)
    client.inspect('merge', '--quiet', '--rev', hashes.tagged)
    node = client.commit({}, 'merge')
    pushed(base, client)
    base.commit({'b': 'b\n'}, 'moved', parent=hashes.tagged)
    with untouched(base.path, CACHES):
        refused = base.run(LAND, node, '--rebase', ok=REFUSED)
    assert f'abort: cannot rebase merge {node[:12]}' in refused.err


@_DETAIL
@bypath
def test_markers(base: Repo, client: Repo, hashes: History) -> None:
    """Who pulls learns what became of a changeset."""
    for repo in (base, client):
        repo.configure('experimental', {'evolution': 'all'})
    node = client.commit({'a': 'a\n'}, 'old')
    pushed(base, client)
    base.commit({'b': 'b\n'}, 'moved', parent=hashes.tagged)
    new = landing(base, node, '--rebase')[node]['landed']
    client.run('pull', base.path)
    assert client.run('log', '-r', 'obsolete()', '-T', '{node}').out == node
    assert client.phase(new) == 'public'


@_DETAIL
@bypath
def test_branches_are_kept(base: Repo, client: Repo, hashes: History) -> None:
    one = client.commit({'a': 'a\n'}, 'one')
    two = client.commit({'b': 'b\n'}, 'two', branch='new')
    pushed(base, client)
    moved = base.commit({'c': 'c\n'}, 'moved', parent=hashes.tagged)
    refused = base.run(LAND, two, '--rebase', ok=REFUSED)
    assert "branch 'new' has 0 heads" in refused.err
    options = ('--rebase', '--dest', 'default')
    refused = base.run(LAND, two, *options, ok=REFUSED)
    assert '(use --new-branch)' in refused.err
    found = landing(base, two, *options, '--new-branch')
    new = found[two]['landed']
    assert base.log('{branch} ', f'{moved}::{new}') == 'default default new '
    assert base.node(f'{new}^') == found[one]['landed']


@_DETAIL
@bypath
def test_hidden_in_the_base(base: Repo, client: Repo, hashes: History) -> None:
    """It is obsolete there, so nobody would see it if it landed."""
    base.configure('experimental', {'evolution': 'all'})
    client.configure('phases', {'publish': 'no'})
    node = client.commit({'a': 'a\n'}, 'old')
    pushed(base, client)
    base.inspect('pull', '--quiet', '-r', node, str(client.path))
    base.run('debugobsolete', node)
    refused = base.run(LAND, node, ok=REFUSED)
    assert f'abort: {node[:12]} did not land\n' in refused.err
    assert 'it is there, and secret or obsolete' in refused.err


# -- what may happen


@pytest.mark.parametrize('rebase', [False, True], ids=['same', 'rebased'])
@bypath
def test_killed(
    base: Repo, client: Repo, hashes: History, rebase: bool
) -> None:
    """Before the transaction ends, nothing has landed; after it, the command
    can be run again."""
    node = client.commit({'a': 'a\n'}, 'killed')
    pushed(base, client)
    options: list[str] = []
    if rebase:
        options.append('--rebase')
        base.commit({'b': 'b\n'}, 'moved', parent=hashes.tagged)
    before = contents(base)
    kill = ('--config', 'hooks.{}=kill -9 $PPID')
    words = [word.format('pretxnclose') for word in kill]
    base.run(LAND, node, *options, *words, ok=[-signal.SIGKILL])
    base.run('recover', '--no-verify')
    assert contents(base) == before
    words = [word.format('changegroup') for word in kill]
    base.run(LAND, node, *options, *words, ok=[-signal.SIGKILL])
    base.verify()
    dropped = [] if rebase else [{'node': node, 'landed': node, 'user': ''}]
    assert listed(base) == dropped
    found = landing(base, node, *options, ok=(1,))
    assert found[node]['state'] == 'there'
    new = found[node]['landed']
    assert (new == node) is not rebase
    assert base.knows(new)
    assert listed(base) == [{'node': node, 'landed': new, 'user': 'alice'}]


@bypath
def test_two_at_once(base: Repo, client: Repo, hashes: History) -> None:
    nodes = [
        client.commit({name: name}, name, parent=hashes.tagged) for name in 'ab'
    ]
    pushed(base, client, *nodes)
    running = [base.start(LAND, node) for node in nodes]
    codes = [finish(process, ok=None).code for process in running]
    assert sorted(code == 0 for code in codes) == [False, True]
    assert [base.knows(node) for node in nodes] == [c == 0 for c in codes]
    base.verify()


@_DETAIL
@bypath
def test_note_that_cannot_be_written(base: Repo, client: Repo) -> None:
    """It landed, and ``verify --repair`` writes it."""
    node = client.commit({'a': 'a\n'}, 'landed')
    pushed(base, client)
    notes = store.folder(base) / 'bundles' / 'status'
    notes.write_text('in the way')
    warned = base.run(LAND, node)
    assert 'not noted beside the bundle' in warned.err
    notes.unlink()
    found = base.run('admin::bundlestore-verify', '--repair').out
    assert 'as they are noted' in found
    assert base.run('admin::bundlestore-verify').out.count('0 problems') == 1


# -- kinds of repositories


@pytest.mark.parametrize(
    'kind', ['lfs', pytest.param('largefiles', marks=matrix.ANOTHER)]
)
@pytest.mark.usefixtures('ownserver')
@bypath
def test_blobs(base: Repo, client: Repo, hashes: History, kind: str) -> None:
    """The base gets what the changesets name, rebased or not."""
    blobs.enable(kind, base, client)
    blobs.commit(client, kind, {'a': 'one\n'})
    one = client.node('.')
    pushed(base, client)
    blobs.commit(client, kind, {'b': 'two\n'})
    two = client.node('.')
    pushed(base, client)
    base.run(LAND, one)
    assert blobs.landed(base, kind) == ['one\n']
    moved = base.commit({'README': 'changed\n'}, 'moved', parent=one)
    refused = base.run(LAND, two, '--rebase', ok=(0, *REFUSED))
    if kind == 'largefiles':
        assert 'cannot rebase where largefiles is turned on' in refused.err
        base.run(LAND, two, '--force')
        assert blobs.landed(base, kind) == ['one\n', 'two\n']
        return
    new = base.node(f'children({moved})')
    assert blobs.landed(base, kind) == ['changed\n', 'one\n', 'two\n']
    assert base.run('cat', '-r', new, 'b').out == 'two\n'


@pytest.mark.slow('a repository of a kind of its own')
@matrix.over('path')
def test_formats(
    transport: Transport, hg: Callable[..., Hg], tmp_path: Path
) -> None:
    config = ['format.revlog-compression=zstd', 'experimental.treemanifest=yes']
    here = hg(matrix.NEWEST, True)
    here.run('init', transport.root / 'trees', config=config)
    base = Repo(here, transport.root / 'trees')
    base.enable()
    base.configure('bundlestore', {'server': 'yes'})
    base.commit({'src/lib/a': 'a\n', 'src/b': 'b\n', 'c/d/e': 'e'}, 'start')
    client = here.clone(base.path, tmp_path / 'trees')
    client.enable()
    client.commit({'src/lib/x': 'x\n'}, 'one')
    node = client.commit({'src/lib/a': 'changed\n', 'c/d/e': None}, 'two')
    pushed(base, client)
    base.commit({'src/lib/y': 'y\n'}, 'moved')
    new = landing(base, node, '--rebase')[node]['landed']
    files = base.inspect('files', '-r', new).split()
    assert files == ['src/b', *(f'src/lib/{name}' for name in 'axy')]
    base.verify()


# -- what is shown


@pytest.mark.slow('many pages')
@servers.overweb('wsgi')
def test_pages(
    transport: servers.WebTransport,
    base: Repo,
    client: Repo,
    hashes: History,
) -> None:
    one = client.commit({'a': 'a\n'}, 'one')
    pushed(base, client)
    two = client.commit({'b': 'b\n'}, 'two', parent=hashes.merged)
    pushed(base, client)
    client.run('push', '-r', one, base.path)
    new = landing(base, two, '--rebase')[two]['landed']
    site = transport.url(base)
    for style in ('paper', 'gitweb', 'monoblue', 'spartan'):
        style = f'?style={style}'
        for name in ('pushes', 'push/2', f'rev/{two}'):
            text = web.get(f'{site}/{name}{style}').text
            link = f'/rev/{new}{style}"><tt>{new[:12]}</tt></a>'
            assert link in text, (name, style)
        assert f'/rev/{one}{style}"' in web.get(f'{site}/push/1{style}').text
        assert 'landed' not in web.get(f'{site}/rev/{one}{style}').text
    assert ' by alice, ' in web.get(f'{site}/push/2').text
    feed = web.get(f'{site}/atom-pushes').text
    assert re.search(f'; landed as <a href="[^"]*/base/rev/{new}">', feed)
    told = web.get(f'{site}/json-pushes?version=2&full=1').json()['pushes']
    (landed,) = told['2']['landings']
    assert isinstance(landed.pop('time'), int)
    assert landed == {'node': two, 'landed': new, 'user': 'alice'}
    assert told['1']['landings'] == [
        {'node': one, 'landed': one, 'time': None, 'user': ''}
    ]
    # as long as it is there
    base.run('--config', 'extensions.strip=', 'strip', '--no-backup', new)
    assert listed(base) == []
    newest = web.get(f'{site}/pushes').text.split('id="push-1"')[0]
    assert 'landed as' not in newest
