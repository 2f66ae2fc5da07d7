"""The hooks of the server, in the shell and in Python."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from harness import matrix
from harness.hg import Repo
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import bundles, leftovers
from harness.thirdparty import install

NAME = 'scratch/alice/x'


@pytest.fixture
def say(base: Repo, transport: Transport) -> Callable[[], list[str]]:
    """Both hooks write a line with all their variables."""
    log = transport.root / 'hooks.log'
    words = [
        'NODE',
        'NODE_LAST',
        'HEADS',
        'COUNT',
        'PUSHID',
        'BUNDLEID',
        'USER',
        'BOOKMARK',
        'SOURCE',
        'HOOKTYPE',
    ]
    line = '|'.join(f'${{HG_{word}}}' for word in words)
    hg = base.hg.executable
    look = f'{hg} -R "$HG_BUNDLEREPO" log -r "$HG_NODE_LAST" -T "{{desc}}"'
    command = f'echo "{line}|$({look})" >> {log}'
    base.configure('hooks', {'prebundlestore': command, 'bundlestore': command})
    return lambda: log.read_text().splitlines()


def test_variables(
    transport: Transport, base: Repo, client: Repo, say: Callable[[], list[str]]
) -> None:
    first = client.commit({'a': 'a\n'}, 'one')
    second = client.commit({'a': 'aa\n'}, 'two')
    with untouched(base.path):
        client.run('push', '-r', '.', '-B', NAME)
    (path,) = bundles(base)
    before, after = (line.split('|') for line in say())
    start = [first, second, second, '2']
    assert before[:4] == after[:4] == start
    assert before[4] == ''
    assert after[4] == '1'
    assert before[5] == after[5] == path.name
    assert before[6] == after[6]
    assert after[7] == NAME
    assert before[8] == after[8] == 'push'
    assert [before[9], after[9]] == ['prebundlestore', 'bundlestore']
    assert before[10] == after[10] == 'two'


def test_refusal(
    transport: Transport,
    base: Repo,
    client: Repo,
    tempfolder: Path,
    newclient: Callable[..., Repo],
) -> None:
    base.configure('hooks', {'prebundlestore': 'echo no such thing; exit 1'})
    transport.restart()
    node = client.commit({'a': 'a\n'}, 'refused')
    with untouched(base.path):
        result = client.run('push', '--bundle-store', ok=(100, 255))
    text = result.out + result.err
    assert 'no such thing' in text
    assert 'prebundlestore hook exited with status 1' in text
    assert result.err.count('abort: ') == 1
    assert not bundles(base)
    assert not leftovers(base, tempfolder)
    vanilla = newclient('vanilla', ext=False)
    result = vanilla.run('pull', '-r', node, ok=(255,))
    assert 'unknown revision' in result.err


def test_failure_afterwards_changes_nothing(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    base.configure('hooks', {'bundlestore': 'exit 1'})
    transport.restart()
    node = client.commit({'a': 'a\n'}, 'kept')
    result = client.run('push', '--bundle-store')
    assert 'bundlestore hook exited with status 1' in result.out + result.err
    vanilla.run('pull', '-r', node)


def test_that_cannot_be_loaded_is_too_late_to_refuse(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    """The push is recorded: the client must not hear anything else."""
    base.configure('hooks', {'bundlestore': 'python:/no/such/hook.py:look'})
    transport.restart()
    node = client.commit({'a': 'a\n'}, 'kept')
    result = client.run('push', '--bundle-store')
    text = result.out + result.err
    assert 'stored 1 changeset as push 1\n' in text
    assert 'warning: push 1 is stored, but the bundlestore hook failed:' in text
    assert 'nothing was stored' not in text
    vanilla.run('pull', '-r', node)


@pytest.mark.parametrize(
    'odd', ['base', pytest.param('store', marks=matrix.ANOTHER)]
)
@matrix.over('ssh')
def test_paths_that_bundle_urls_cannot_name(
    transport: Transport,
    base: Repo,
    client: Repo,
    tempfolder: Path,
    say: Callable[[], list[str]],
    odd: str,
) -> None:
    """``bundle:BASE+FILE`` ends at a ``#``, and BASE at the first ``+``."""
    folder = transport.root / 'a+b #c'
    if odd == 'store':
        store = {'store': f'file:{quote(str(folder))}'}
        base.configure('bundlestore', store)
        url = transport.url(base)
    else:
        shutil.copytree(base.path, folder)
        url = transport.url(folder).replace(folder.name, quote(folder.name))
    client.commit({'a': 'a\n'}, 'seen by the hook')
    client.run('push', '--bundle-store', url)
    assert [line.split('|')[-1] for line in say()] == ['seen by the hook'] * 2
    assert not list(tempfolder.glob('*'))


@pytest.fixture
def remotestore(tmp_path: Path) -> dict[str, str]:
    """The environment of a server that knows a store without local files, for
    URLs ``remote:/path``. It cannot be read while the file /path.off exists.
    """
    entrypoints = """\
        [hg_bundlestore.stores]
        remote = remotestore:Store
        """
    remotestore = """\
        import os
        from zope.interface import implementer
        from hgext3rd.bundlestore import errors, interfaces
        from hgext3rd.bundlestore.stores import file

        class Wrapper:
            def __getattr__(self, name):
                return getattr(self.inner, name)

        @implementer(interfaces.IBundleStore)
        class Store(Wrapper):
            def __init__(self, url, place):
                self.url = url.replace('remote:', 'file:')
                self.inner = file.open_store(self.url, place)

            def stage(self, chunks):
                return Staged(self.inner.stage(chunks))

            def open(self, key):
                if os.path.exists(self.url[5:] + '.off'):
                    raise errors.BackendUnavailable('the line is dead')
                return self.inner.open(key)

        @implementer(interfaces.IStagedBundle)
        class Staged(Wrapper):
            def __init__(self, inner):
                self.inner = inner

            def __enter__(self):
                return self

            def __exit__(self, *exc):
                self.discard()
        """
    folder = tmp_path / 'thirdparty'
    install(folder, entrypoints, remotestore=remotestore)
    return {'PYTHONPATH': str(folder)}


@pytest.mark.slow('real starts')
@pytest.mark.parametrize('storeconfig', [{'verify': 'full'}])
@matrix.over('path')
def test_store_without_local_files(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    tmp_path: Path,
    tempfolder: Path,
    say: Callable[[], list[str]],
    remotestore: dict[str, str],
) -> None:
    base.configure('bundlestore', {'store': f'remote:{tmp_path}/store'})
    copy = tmp_path / 'copy.hg'
    cut = 'file=${HG_BUNDLEREPO#*+}; test -f "$file" && cp "$file" ' + str(copy)
    base.configure('hooks', {'bundlestore.copy': cut})
    node = client.commit({'a': 'a\n'}, 'seen by the hook')
    with untouched(base.path):
        client.run('push', '--bundle-store', env=remotestore)
    assert [line.split('|')[-1] for line in say()] == ['seen by the hook'] * 2
    assert not list(tempfolder.glob('*'))
    other, third = newclient('other'), newclient('third')
    other.run('pull', '-r', node, env=remotestore)
    assert other.knows(node)
    assert not list(tempfolder.glob('*'))
    third.inspect('unbundle', '-q', str(copy))
    assert third.knows(node), 'the hook had a complete bundle'
    third.verify()


@pytest.mark.slow('real starts')
@matrix.over('path')
def test_store_that_goes_away_before_the_last_hook(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    tmp_path: Path,
    tempfolder: Path,
    say: Callable[[], list[str]],
    remotestore: dict[str, str],
) -> None:
    base.configure('bundlestore', {'store': f'remote:{tmp_path}/store'})
    base.configure(
        'hooks', {'prebundlestore.cut': f'touch {tmp_path}/store.off'}
    )
    node = client.commit({'a': 'a\n'}, 'kept')
    result = client.run('push', '--bundle-store', env=remotestore)
    text = result.out + result.err
    assert 'stored 1 changeset as push 1\n' in text
    assert 'warning: push 1 is stored, but the bundlestore' in text
    assert 'the line is dead' in text
    assert 'nothing was stored' not in text
    assert len(say()) == 1
    assert not list(tempfolder.glob('*'))
    (tmp_path / 'store.off').unlink()
    other = newclient('other')
    other.run('pull', '-r', node, env=remotestore)
    assert other.knows(node)


@matrix.over('ssh')
def test_python(transport: Transport, base: Repo, client: Repo) -> None:
    code = transport.root / 'hook.py'
    code.write_text(
        'def check(ui, repo, hooktype, node_last, **kwargs):\n'
        '    ctx = repo[node_last]\n'
        '    ui.status(b"%s: %s\\n" % (ctx.hex(), ctx[b"a"].data()))\n'
    )
    base.configure('hooks', {'prebundlestore': f'python:{code}:check'})
    node = client.commit({'a': 'content\n'}, 'looked at')
    result = client.run('push', '--bundle-store')
    assert f'{node}: content' in result.out


@matrix.over('path', 'ssh')
def test_pushvars_reach_the_hook(
    transport: Transport, base: Repo, client: Repo
) -> None:
    base.configure('push', {'pushvars.server': 'yes'})
    base.configure('hooks', {'prebundlestore': 'test "$HG_USERVAR_WHY" = fun'})
    client.commit({'a': 'a\n'}, 'one')
    client.run('push', '--bundle-store', ok=(100, 255))
    client.run('push', '--bundle-store', '--pushvars', 'WHY=fun')


@matrix.over('ssh')
def test_more_than_an_environment_holds(
    transport: Transport, base: Repo, client: Repo, tempfolder: Path
) -> None:
    """The shell gets whole items, and the rest in a file; Python all."""
    many = 1000
    log = transport.root / 'hooks.log'
    shell = (
        'for list in HEADS BOOKMARK; do'
        ' eval "words=\\$HG_$list file=\\$HG_${list}_FILE"; set -- $words;'
        ' for last; do :; done;'
        f' echo "$HG_HOOKTYPE $# ${{#last}} $(wc -l < $file) $file" >> {log};'
        'done'
    )
    code = transport.root / 'hook.py'
    code.write_text(
        'def look(ui, repo, hooktype, heads, bookmark, **kwargs):\n'
        f'    with open({str(log)!r}, "a") as log:\n'
        '        count = [len(x.split()) for x in (heads, bookmark)]\n'
        '        log.write(f"python {count}\\n")\n'
    )
    for name in ('prebundlestore', 'bundlestore'):
        base.configure(
            'hooks', {name: shell, f'{name}.python': f'python:{code}:look'}
        )
    repo = client.hg.init(transport.root / 'many')
    repo.enable()
    transport.connect(repo, base)
    repo.inspect('debugbuilddag', '-q', '$+1' * many)
    name = 'scratch/' + 'x' * 130
    names = [f'{name}{number:04}' for number in range(many)]
    (repo.path / '.hg' / 'bookmarks').write_text(
        ''.join(f'{node} {name}\n' for node, name in zip(repo.nodes(), names))
    )
    words = [word for name in names for word in ('-B', name)]
    result = repo.run('push', '-f', '-q', '--bundle-store', *words)
    assert 'hook failed' not in result.err
    lines = log.read_text().splitlines()
    assert [line for line in lines if line.startswith('python')] == [
        f'python [{many}, {many}]'
    ] * 2
    shells = [line.split() for line in lines if not line.startswith('python')]
    assert len(shells) == 4
    for (_hook, seen, size, count, file), length in zip(shells, (40, 142) * 2):
        assert int(size) == length, 'a whole item'
        assert 200 < int(seen) < many
        assert int(count) == many
        assert not Path(file).exists()
    assert not list(tempfolder.glob('*'))


@matrix.over('ssh')
def test_that_the_system_does_not_start(
    transport: Transport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    """Whatever the reason is: one abort, or a warning where it is too late,
    and the next hook is run."""
    ran = transport.root / 'ran'
    late = {
        'bundlestore': 'echo ' + 'x' * 200_000,
        'bundlestore.next': f'touch {ran}',
    }
    base.configure('hooks', late)
    node = client.commit({'a': 'a\n'}, 'kept')
    result = client.run('push', '--bundle-store')
    assert 'stored 1 changeset as push 1' in result.out
    assert 'warning: push 1 is stored, but the bundlestore hook failed: ' in (
        result.out + result.err
    )
    assert 'Argument list too long' in result.out + result.err
    assert ran.exists()
    vanilla.run('pull', '-r', node)
    base.configure('hooks', {'prebundlestore': 'echo ' + 'x' * 200_000})
    client.commit({'a': 'aa\n'}, 'refused')
    result = client.run('push', '--bundle-store', ok=(100, 255))
    said = 'prebundlestore hook cannot be run: Argument list too long'
    assert said in result.err
    assert result.err.count('abort: ') == 1
    assert len(bundles(base)) == 1


@matrix.over('ssh')
def test_more_pushvars_than_an_environment_holds(
    transport: Transport, base: Repo, client: Repo
) -> None:
    base.configure('push', {'pushvars.server': 'yes'})
    client.commit({'a': 'a\n'}, 'one')
    words = [
        word
        for number in range(150)
        for word in ('--pushvars', f'NAME{number}={"x" * 240}')
    ]
    result = client.run('push', '--bundle-store', *words, ok=(100, 255))
    assert 'push has too many pushvars' in result.err
    assert not bundles(base)
    client.run('push', '--bundle-store', *words[:100])
