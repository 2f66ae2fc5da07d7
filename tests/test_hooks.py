"""The hooks of the server, in the shell and in Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness import matrix
from harness.hg import Repo
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import bundles, leftovers

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
