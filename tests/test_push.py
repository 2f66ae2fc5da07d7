"""A push goes to the bundle store: who asks how, and what becomes of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import matrix
from harness.hg import Repo, finish
from harness.history import History
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import bundles, folder, leftovers, tryurl


@pytest.mark.realstarts('each version and transport once')
@matrix.every_combination
def test_push_and_pull_by_hash(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    tempfolder: Path,
) -> None:
    """The main path: with the extension, and without at the other end."""
    client = newclient('client')
    ci = newclient('ci', ext=False)
    parent = client.node('tip')
    first = client.commit({'src/new.txt': 'new\n'}, 'first', parent=parent)
    second = client.commit({'src/new.txt': 'newer\n'}, 'second')
    with untouched(base.path):
        result = client.run('push', '--bundle-store', '-r', second)
        assert 'remote: stored 2 changesets as push 1\n' in result.out
        assert f'remote:   {second[:12]} second\n' in result.out
        assert client.phase(first) == client.phase(second) == 'draft'
        # lest a full disk keeps gc from making room
        assert (folder(base) / 'bundles' / 'reserve').exists()

        ci.run('pull', '-r', second)
        assert ci.nodes(f'only({second}, {parent})') == [first, second]
        assert ci.phases(f'only({second}, {parent})') == {
            first: 'draft',
            second: 'draft',
        }
        assert set(ci.phases(f'::{parent}').values()) == {'public'}
        assert ci.cat('src/new.txt', second) == 'newer\n'
        ci.verify()
        # and a plain pull afterwards has nothing to do
        again = ci.run('pull')
        assert 'no changes found' in again.out
    assert not leftovers(base, tempfolder)


@matrix.every_combination
def test_vanilla_push_to_try_url(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    hashes: History,
    tempfolder: Path,
) -> None:
    """Without the extension on the client: new heads, new branches, drafts."""
    vanilla = newclient('vanilla', ext=False)
    ci = newclient('ci', ext=False)
    url = transport.url(tryurl(transport, base))
    one = vanilla.commit({'a': 'a\n'}, 'one', parent=hashes.grown)
    two = vanilla.commit(
        {'b': 'b\n'}, 'two', parent=hashes.fixed, branch='topic'
    )
    with untouched(base.path):
        result = vanilla.run('push', url)
        assert 'stored 2 changesets as push 1\n' in result.out
        assert vanilla.phases(f'{one} + {two}') == {one: 'draft', two: 'draft'}
        assert set(vanilla.phases('not draft()').values()) == {'public'}
        ci.run('pull', '-r', one, '-r', two)
        assert ci.phases('draft()') == {one: 'draft', two: 'draft'}
        assert ci.log('{branch}', two) == 'topic'
        ci.verify()
    assert not leftovers(base, tempfolder)


def test_capabilities(
    transport: Transport, base: Repo, plainbase: Repo, client: Repo
) -> None:
    url = transport.url(base)
    config = transport.commandline()
    out = client.run('debugcapabilities', url, config=config).out
    lines = out.splitlines()
    assert '  bundlestore' in lines
    if transport.name != 'path':  # there Mercurial lists those of a client
        _main, _title, bundle2 = '\n'.join(lines).partition('Bundle2')
        assert 'bundlestore' in bundle2.split()


def test_path_option(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    client.configure(
        'paths',
        {'try': transport.url(base), 'try:bundle-store': 'yes'},
    )
    node = client.commit({'a': 'a\n'}, 'by path option')
    with untouched(base.path):
        result = client.run('push', 'try')
    assert 'stored 1 changeset as push 1\n' in result.out
    vanilla.run('pull', '-r', node)
    assert vanilla.phase(node) == client.phase(node) == 'draft'


@matrix.over('ssh')
def test_needs_no_lock(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    """Neither a push nor a pull waits for who works in the base."""
    base.configure('ui', {'timeout': '1', 'timeout.warn': '0'})
    node = client.commit({'a': 'a\n'}, 'stored')
    holder = f'{socket.gethostname()}:{os.getpid()}'
    for name in ('store/lock', 'wlock'):
        (base.path / '.hg' / name).symlink_to(holder)
    with untouched(base.path):
        client.run('push', '--bundle-store')
        client.run('push', '--bundle-store', '-B', 'scratch/x', '-r', node)
        vanilla.run('pull', '-r', 'scratch/x')
    assert vanilla.phase(node) == 'draft'
    # while the lock is one that others do wait for
    result = client.run('push', ok=(20, 255))
    assert 'timed out waiting for lock' in result.out + result.err
    (base.path / '.hg/wlock').unlink()
    (base.path / '.hg/store/lock').unlink()


ORDER = """\
import os, sys
from hgext3rd.bundlestore.indexes.sqlite import database
from hgext3rd.bundlestore.stores import fileops

def watched(module, name):
    function = getattr(module, name)
    def watching(*args):
        if args[1:] == ('IMMEDIATE',) or name != 'begin':
            sys.stderr.write('%s\\n' % name)
        return function(*args)
    setattr(module, name, watching)

for module, name in (
    (database, 'begin'), (database, 'commit'),
    (fileops, 'syncfolder'), (fileops, 'fsync'),
):
    watched(module, name)
"""


@pytest.mark.parametrize('transport_name', ['path'])
def test_disk_is_waited_for_before_the_index_is_locked(
    base: Repo, client: Repo, tmp_path: Path
) -> None:
    """Others wait meanwhile."""
    extension = tmp_path / 'order.py'
    extension.write_text(ORDER)
    for number in range(2):
        client.commit({'a': f'{number}\n'}, 'some')
        result = client.run(
            *('push', '--bundle-store', '--force'),
            config=[f'extensions.order={extension}'],
        )
    words = [w for w in result.err.split() if w in ORDER]
    start = words.index('begin')
    end = words.index('commit', start)
    assert words[start:end] == ['begin']
    assert 'syncfolder' in words[:start]


@matrix.over('ssh')
def test_path_option_with_a_typo(
    transport: Transport, base: Repo, client: Repo
) -> None:
    client.configure('paths', {'default:bundle-store': 'ture'})
    client.commit({'a': 'a\n'}, 'must not land')
    with untouched(base.path):
        result = client.run('push', ok=(30, 255))
    assert "paths.default:bundle-store is not a boolean ('ture')" in result.err


@matrix.over('ssh')
def test_commands_in_the_base_see_no_scratch_changesets(
    transport: Transport, base: Repo, client: Repo
) -> None:
    node = client.commit({'a': 'a\n'}, 'stored')
    client.run('push', '--bundle-store')
    before = base.nodes()
    base.run('bookmark', '-r', node, 'mark', ok=(255,))
    base.run('tag', '-r', node, 'mark', ok=(255,))
    assert base.nodes() == before
    assert not (base.path / '.hg' / 'bookmarks').exists()


def test_path_option_says_no(
    transport: Transport, base: Repo, client: Repo
) -> None:
    client.configure('paths', {'default:bundle-store': 'no'})
    node = client.commit({'a': 'a\n'}, 'lands')
    client.run('push')
    assert base.node('tip') == node


@matrix.every_version
def test_plain_push_still_lands(
    transport: Transport, base: Repo, newclient: Callable[..., Repo]
) -> None:
    vanilla = newclient('vanilla', ext=False)
    client = newclient('client')
    one = vanilla.commit({'a': 'a\n'}, 'one')
    vanilla.run('push')
    client.run('pull')
    two = client.commit({'b': 'b\n'}, 'two', parent=one)
    client.run('push')
    assert base.nodes('last(all(), 2)') == [one, two]
    assert vanilla.phase(one) == client.phase(two) == 'public'
    assert not bundles(base)


def test_plain_push_of_a_bundle1_client_still_lands(
    transport: Transport, base: Repo, vanilla: Repo
) -> None:
    node = vanilla.commit({'a': 'a\n'}, 'lands')
    vanilla.run('push', config=['devel.legacy.exchange=bundle1'])
    assert base.node('tip') == node
    assert vanilla.phase(node) == 'public'


@matrix.over('path', 'ssh')
def test_pushvars(transport: Transport, base: Repo, vanilla: Repo) -> None:
    base.configure('push', {'pushvars.server': 'yes'})
    node = vanilla.commit({'a': 'a\n'}, 'by variable')
    with untouched(base.path):
        result = vanilla.run(
            'push', '--pushvars', 'BUNDLESTORE=1', '--pushvars', 'JOB=linux'
        )
    assert 'stored 1 changeset as push 1' in result.out
    (push,) = json.loads(base.run('pushes', '-Tjson').out)
    assert push['pushvars'] == {'JOB': 'linux'}
    assert vanilla.phase(node) == 'draft'
    assert set(vanilla.phases(f'::{node} - {node}').values()) == {'public'}


@matrix.over('path', 'ssh', 'http')
def test_pushvars_that_are_kept(
    transport: Transport, base: Repo, client: Repo
) -> None:
    client.commit({'a': 'a\n'}, 'with variables')
    words = ('--pushvars', 'try=linux mac', '--pushvars', 'ONLY=')
    push = ('push', '--bundle-store', *words, '--pushvars', 'BUNDLESTORE=1')
    with untouched(base.path):
        refused = client.run(*push, ok=(100, 255))
        assert 'this server takes no pushvars' in refused.out + refused.err
        assert 'push.pushvars.server = yes' in refused.out + refused.err
        assert client.run('pushes', ok=(1,)).out == 'no pushes found\n'
    base.configure('push', {'pushvars.server': 'yes'})
    client.run(*push)
    # the very same once more
    client.run('push', '--bundle-store', '--pushvars', 'B=2')
    client.run('push', '--bundle-store')
    found = json.loads(client.run('pushes', '-Tjson').out)
    assert [push['pushvars'] for push in found] == [
        {},
        {'B': '2'},
        {'TRY': 'linux mac', 'ONLY': ''},
    ]
    shown = client.run('pushes', '-v').out
    assert 'pushvar:     TRY=linux mac\npushvar:     ONLY=\n' in shown
    template = "{pushvars % '{name}:{value} '}|{get(pushvars, 'B')}\n"
    assert client.run('pushes', '-T', template).out.splitlines() == [
        *('|', 'B:2 |2', 'ONLY: TRY:linux mac |')
    ]


@matrix.over('ssh')
def test_pushvars_beyond_the_limits(
    transport: Transport, base: Repo, client: Repo
) -> None:
    base.configure('push', {'pushvars.server': 'yes'})
    client.commit({'a': 'a\n'}, 'with variables')
    for count, value, message in (
        (51, 'x', 'pushvars cannot be kept: more than 50 variables'),
        (256, '', 'too many pushvars'),
        (1, 'x' * 256, 'pushvar is too long: V0'),
    ):
        words = [
            w for n in range(count) for w in ('--pushvars', f'V{n}={value}')
        ]
        result = client.run('push', '--bundle-store', *words, ok=(10, 100, 255))
        assert f'abort: {message}' in result.out + result.err


@matrix.over('path', 'ssh')
def test_pushvars_that_do_not_ask(
    transport: Transport, base: Repo, vanilla: Repo
) -> None:
    base.configure('push', {'pushvars.server': 'yes'})
    node = vanilla.commit({'a': 'a\n'}, 'lands')
    vanilla.run('push', '--pushvars', 'BUNDLESTORE=no')
    assert base.node('tip') == node


@pytest.mark.parametrize(
    'pushvar', ['BUNDLESTORE=1', 'bundlestore=yes', 'BUNDLESTORE=pleas']
)
def test_pushvars_that_cannot_be_heard(
    transport: Transport, base: Repo, vanilla: Repo, pushvar: str
) -> None:
    """Who asks for the store must not land."""
    node = vanilla.commit({'a': 'a\n'}, 'must not land')
    for args in ([], ['--force']):
        with untouched(base.path):
            result = vanilla.run(
                'push', '--pushvars', pushvar, *args, ok=(100, 255)
            )
        text = result.out + result.err
        assert text.count('abort: ') == 1, text
        if pushvar.endswith('pleas'):
            assert "BUNDLESTORE is not a boolean ('pleas')" in text
        else:
            assert 'this server takes no pushvars' in text
            assert 'push.pushvars.server = yes' in text
    assert vanilla.phase(node) == 'draft'
    assert not bundles(base)


@pytest.mark.parametrize(
    'pushvar', ['BUNDLESTORE=0', 'BUNDLESTORE=', 'OTHER=1']
)
@matrix.over('ssh')
def test_pushvars_that_are_not_taken_and_do_not_ask(
    transport: Transport, base: Repo, vanilla: Repo, pushvar: str
) -> None:
    node = vanilla.commit({'a': 'a\n'}, 'lands')
    vanilla.run('push', '--pushvars', pushvar)
    assert base.node('tip') == node


@matrix.over('http')
def test_pushvars_over_http_are_refused(
    transport: Transport, base: Repo, vanilla: Repo
) -> None:
    base.configure('push', {'pushvars.server': 'yes'})
    transport.restart()
    node = vanilla.commit({'a': 'a\n'}, 'by variable')
    with untouched(base.path):
        result = vanilla.run(
            'push', '--pushvars', 'BUNDLESTORE=1', ok=(100, 255)
        )
    text = result.out + result.err
    assert 'without the bundlestore extension cannot push' in text
    assert 'try URL' in text
    assert text.count('abort:') == 1
    assert vanilla.phase(node) == 'draft'
    assert not bundles(base)


def test_several_heads_and_new_branch(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    hashes: History,
) -> None:
    heads = [
        client.commit({'f': f'{n}\n'}, f'head {n}', parent=hashes.start)
        for n in range(12)
    ]
    client.commit({'f': 'n\n'}, 'on a branch', branch='other')
    result = client.run('push', '--bundle-store')
    lines = [x for x in result.out.splitlines() if x.startswith('remote:   ')]
    assert len(lines) == 11, result.out
    assert lines[-1] == 'remote:   and 2 more heads'
    vanilla.run('pull', *(word for node in heads for word in ('-r', node)))
    assert vanilla.knows(heads[-1])
    vanilla.verify()


@pytest.mark.parametrize(
    'storeconfig', [{'changeset-url': 'https://ci.example.org/{node}'}]
)
def test_link(transport: Transport, base: Repo, client: Repo) -> None:
    node = client.commit({'a': 'a\n'}, 'first line\n\nand more')
    result = client.run('push', '--bundle-store')
    line = f'{node[:12]} first line https://ci.example.org/{node}\n'
    assert line in result.out


def test_nothing_to_push(
    transport: Transport, base: Repo, client: Repo
) -> None:
    with untouched(base.path):
        result = client.run('push', '--bundle-store', ok=(1,))
    assert 'no changes found' in result.out
    secret = client.commit({'a': 'a\n'}, 'mine', secret=True)
    result = client.run('push', '--bundle-store', '-r', secret, ok=(1,))
    assert 'no changes found\nignored 1 secret changeset\n' in result.out
    assert not bundles(base)


@matrix.over('ssh')
def test_secret_and_hidden_changesets_are_left_out(
    transport: Transport, base: Repo, client: Repo
) -> None:
    """What was named is stored or missed."""
    first = client.commit({'a': 'a\n'}, 'draft')
    secret = client.commit({'a': 'aa\n'}, 'mine', secret=True)
    client.commit({'a': 'aaa\n'}, 'mine, too', secret=True)
    # where nothing is named, nothing is missed
    result = client.run('push', '--bundle-store')
    assert 'stored 1 changeset as push 1\n' in result.out
    assert 'ignored 2 secret changesets\n' in result.out
    result = client.run('push', '--bundle-store', '-r', first)
    assert 'ignored' not in result.out
    several = ['-r', first, '-r', secret]
    result = client.run('push', '--bundle-store', *several, ok=(1,))
    assert 'stored 1 changeset as push 3\n' in result.out
    assert 'ignored 1 secret changeset\n' in result.out
    mark = ['-r', secret, '-B', 'scratch/x']
    result = client.run('push', *mark, ok=(10, 255))
    text = f"bookmark 'scratch/x' cannot be on {secret[:12]}, which is secret"
    assert text in result.err
    # a successor is there, and nothing rests on it
    old = client.commit({'a': 'b\n'}, 'old', parent='null')
    client.inspect('update', '-q', 'null')
    evolving = ['--config', 'experimental.evolution=createmarkers']
    client.inspect('debugobsolete', old, first, *evolving)
    hidden = ['--hidden', '-r', old]
    result = client.run('push', '--bundle-store', *hidden, ok=(1,))
    assert 'no changes found\nignored 1 obsolete changeset\n' in result.out


def test_same_push_twice(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    node = client.commit({'a': 'a\n'}, 'once')
    first = client.run('push', '--bundle-store')
    second = client.run('push', '--bundle-store')
    assert 'as push 1\n' in first.out
    assert 'as push 2\n' in second.out
    assert len(bundles(base)) == 1
    vanilla.run('pull', '-r', node)


def test_two_clients_at_once(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    vanilla: Repo,
) -> None:
    clients = [newclient(f'client{n}') for n in range(6)]
    nodes = {c.commit({'a': 'a\n'}, 'the same') for c in clients}
    assert len(nodes) == 1
    running = [c.start('push', '--bundle-store') for c in clients]
    results = [finish(process) for process in running]
    outputs = [result.out for result in results]
    ids = sorted(o.partition('as push ')[2].split()[0] for o in outputs)
    assert ids == list('123456')
    assert len(bundles(base)) == 1
    vanilla.run('pull', '-r', nodes.pop())


def test_stored_bundle_is_a_plain_bundle(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    """Another Mercurial takes the file without this extension."""
    node = client.commit({'a': 'a\n'}, 'kept')
    client.run('push', '--bundle-store')
    (path,) = bundles(base)
    plain = Repo(vanilla.hg.plain(), vanilla.path)
    out = plain.run('debugbundle', str(path)).out
    assert 'changegroup -- {version: 02}' in out
    out = plain.run('log', '-R', f'bundle:{base.path}+{path}', '-r', node).out
    assert 'kept' in out
    plain.run('unbundle', str(path))
    assert plain.phase(node) == 'draft'


@pytest.mark.parametrize('version', ['01', '02', '03'])
def test_changegroup_versions(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo, version: str
) -> None:
    """Each that a client may send is stored as 02."""
    url = transport.url(tryurl(transport, base))
    node = vanilla.commit({'a': 'a\n', 'src/main.txt': 'x\n'}, 'sent')
    config = {
        '01': ['devel.legacy.exchange=bundle1'],
        '02': [],
        '03': ['experimental.changegroup3=yes'],
    }[version]
    vanilla.run('push', url, '-r', node, config=config)
    (path,) = bundles(base)
    out = vanilla.run('debugbundle', str(path)).out
    assert 'changegroup -- {version: 02}' in out
    assert vanilla.phase(node) == 'draft'
    client.run('pull', '-r', node)
    client.verify()


@matrix.every_version
def test_bundle1_client(
    transport: Transport, base: Repo, newclient: Callable[..., Repo]
) -> None:
    vanilla = newclient('vanilla', ext=False)
    ci = newclient('ci', ext=False)
    url = transport.url(tryurl(transport, base))
    bundle1 = ['devel.legacy.exchange=bundle1']
    node = vanilla.commit({'a': 'a\n'}, 'old way')
    with untouched(base.path):
        result = vanilla.run('push', url, config=bundle1)
        assert 'stored 1 changeset as push 1' in result.out + result.err
        # what it wants to have public is so
        assert 'phases' not in result.out + result.err
        assert 'failed' not in result.out + result.err
        assert vanilla.phase(node) == 'draft'
        if transport.name == 'http':
            # what is public is asked for in a request of its own
            result = ci.run('pull', '-r', node, config=bundle1, ok=(255,))
            assert 'would turn these changesets public' in str(result)
            ci.run('pull', '-r', node, url, config=bundle1)
        else:
            ci.run('pull', '-r', node, config=bundle1)
    assert ci.cat('a', node) == 'a\n'
    assert ci.phase(node) == 'draft'
    ci.verify()


@matrix.over('ssh', 'http')
def test_bundle1_client_with_a_scratch_bookmark(
    transport: Transport, base: Repo, vanilla: Repo
) -> None:
    """Its bookmark comes too late to tell, so the administrator's help says
    how to keep such clients out."""
    base.configure('server', {'bundle1.push': 'no'})
    transport.restart()
    vanilla.commit({'a': 'a\n'}, 'must not land')
    vanilla.inspect('bookmark', 'scratch/alice/x')
    with untouched(base.path):
        result = vanilla.run(
            *('push', '-B', 'scratch/alice/x'),
            config=['devel.legacy.exchange=bundle1'],
            ok=None,
        )
    assert result.code
    assert 'incompatible Mercurial client; bundle2 required' in str(result)
    made = tryurl(transport, base)
    made.configure('server', {'bundle1.push': 'yes'})
    with untouched(base.path):
        result = vanilla.run(
            *('push', '-B', 'scratch/alice/x', transport.url(made)),
            config=['devel.legacy.exchange=bundle1'],
        )
    assert 'stored 1 changeset as push 1' in result.out + result.err


def test_obsolescence_markers(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
) -> None:
    """They are stored with the push and come back with a pull."""
    base.configure('experimental', {'evolution': 'all'})
    transport.restart()
    client, ci = newclient('client'), newclient('ci', ext=False)
    for repo in (client, ci):
        repo.configure('experimental', {'evolution': 'all'})
    old = client.commit({'a': 'a\n'}, 'draft one')
    new = client.commit({'a': 'aa\n'}, 'draft two', amend=True)
    with untouched(base.path):
        client.run('push', '--bundle-store', '-r', new)
        ci.run('pull', '-r', new)
    assert f'{old} {new}' in ci.inspect('debugobsolete')
    # an obsolete changeset that was pushed before can still be had
    third = client.commit({'a': 'aaa\n'}, 'draft three', amend=True)
    client.run('push', '--bundle-store', '-r', third)
    other = newclient('other', ext=False)
    other.run('pull', '-r', new)
    assert other.knows(new)


def test_server_without_the_extension(
    transport: Transport, plainbase: Repo, client: Repo
) -> None:
    client.commit({'a': 'a\n'}, 'must not land')
    with untouched(plainbase.path):
        result = client.run('push', '--bundle-store', ok=(255,))
    assert 'abort: the server has no bundle store\n' in result.err
    assert result.err.count('abort:') == 1


def test_server_with_the_extension_off(
    transport: Transport, plainbase: Repo, client: Repo
) -> None:
    plainbase.enable()
    client.commit({'a': 'a\n'}, 'must not land')
    with untouched(plainbase.path):
        result = client.run('push', '--bundle-store', ok=(255,))
    assert 'abort: the server has no bundle store\n' in result.err


@matrix.over('ssh')
def test_path_option_with_outgoing_among_the_revisions(
    transport: Transport, base: Repo, client: Repo
) -> None:
    """The revset looks at paths in the middle of the push."""
    client.configure(
        'paths', {'try': transport.url(base), 'try:bundle-store': 'yes'}
    )
    client.commit({'a': 'a\n'}, 'must not land')
    with untouched(base.path):
        result = client.run('push', 'try', '-r', 'outgoing(default)')
    assert 'stored 1 changeset as push 1\n' in result.out


@matrix.over('ssh')
def test_other_commands_take_a_path_with_the_option(
    transport: Transport, base: Repo, client: Repo
) -> None:
    """Only a push minds a typo, and whether there is a sub to push to."""
    sub = client.hg.init(client.path / 'sub')
    sub.commit({'x': 'x\n'}, 'in the sub')
    node = client.commit({'.hgsub': 'sub = sub\n'}, 'has a sub')
    for value in ('yes', 'ture'):
        client.configure('paths', {'default:bundle-store': value})
        assert node[:12] in client.run('outgoing').out
        client.run('bundle', '../made.hg')
        result = client.run(
            'push', config=transport.commandline(), ok=(30, 255)
        )
        assert 'base/sub not found' in result.err or 'ture' in result.err


@matrix.over('ssh')
def test_debug_output_of_a_push_to_the_base(
    transport: Transport, base: Repo, client: Repo
) -> None:
    """What is read ahead to see where a push goes is not shown."""
    other = Repo(base.hg, transport.root / 'other')
    shutil.copytree(base.path, other.path)
    other.configure('bundlestore', {'server': 'no'})
    for repo in (base, other):
        repo.configure('ui', {'debug': 'yes'})
    client.commit({'landing': 'x\n'}, 'landing')

    def said(repo: Repo) -> list[str]:
        result = client.run('push', transport.url(repo))
        return [
            re.sub(r'to (a temporary file|\S*hg-unbundle-\S*)', 'to FILE', line)
            for line in (result.out + result.err).splitlines()
            if 'bundle2-input' in line or 'redirecting' in line
        ]

    plain = said(other)
    assert any('redirecting incoming bundle to FILE' in line for line in plain)
    client.inspect('phase', '--force', '--draft', '.')
    assert said(base) == plain
