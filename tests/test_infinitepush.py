"""What the extension infinitepush stored is taken over."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import environments
from harness import matrix, others
from harness.hg import Hg, Repo
from harness.infinitepush import Scratchbranches
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import bundles

pytestmark = pytest.mark.slow('stores are made and taken over')

MIGRATE = 'admin::bundlestore-migrate'
VERIFY = 'admin::bundlestore-verify'


@pytest.fixture
def old(tmp_path: Path) -> Scratchbranches:
    return Scratchbranches(tmp_path / 'scratchbranches')


def _import(base: Repo, old: Scratchbranches, *words: str, ok: int = 0) -> Any:
    words = (MIGRATE, '--from-infinitepush', str(old.path), *words)
    return base.run(*words, ok=[ok])


def _pushes(base: Repo) -> list[dict[str, Any]]:
    found = json.loads(base.run('pushes', base.path, '-T', 'json').out)
    return sorted(found, key=lambda push: push['push'])


@matrix.over('path')
@matrix.each_version('client_version')
def test_series_that_was_pushed_again_and_again(
    transport: Transport, base: Repo, client: Repo, old: Scratchbranches
) -> None:
    nodes = []
    for number in range(4):
        text = ''.join(f'{line} {number}\n' for line in range(200))
        nodes.append(client.commit({'file': text}, f'change {number}'))
        old.add(client, nodes[-1])
    old.bookmark('scratch/alice/it', nodes[-1])
    with untouched(base.path):
        assert _import(base, old, '-n').out == (
            'would import 4 pushes and 1 bookmark\n'
        )
        assert bundles(base) == []
        assert _import(base, old).out == 'imported 4 pushes and 1 bookmark\n'
    found = _pushes(base)
    assert [
        (push['count'], push['date'], push['heads'][0]['node'], push['user'])
        for push in found
    ] == [
        (n + 1, [int(1.6e9) + 3600 * (n + 1), 0], node, found[0]['user'])
        for n, node in enumerate(nodes)
    ]
    assert '@' not in found[0]['user']
    # each brings what is new in it
    sizes = [path.stat().st_size for path in bundles(base)]
    assert max(sizes) < 2 * min(sizes)
    checked = base.run(VERIFY, '--full').out
    assert checked.startswith('checked 4 pushes and 4 bundles')
    assert checked.endswith(': 0 problems, 0 remarks\n')
    client.run('identify', '-r', 'scratch/alice/it', 'default')
    # once more, there is nothing left to do
    assert _import(base, old).out == (
        'imported 0 pushes and 0 bookmarks; of 4 bundles there was nothing to'
        ' do\n'
    )


@matrix.over('path')
@pytest.mark.parametrize(
    'storeconfig', [{'max-changesets': '2', 'quota': '1 kB', 'max-rate': '1'}]
)
def test_what_cannot_be_taken_over(
    transport: Transport,
    base: Repo,
    client: Repo,
    old: Scratchbranches,
    tmp_path: Path,
) -> None:
    """It is told of, and the rest is taken over."""
    base.configure('hooks', {'prebundlestore': 'false'})
    nodes = [client.commit({'file': f'{n}\n'}, f'{n}') for n in range(5)]
    whole = old.add(client, nodes[1])
    limit = old.add(client, nodes[4])
    orphan = old.add(client, nodes[3], '--base', nodes[2])
    nonsense = old.addbytes(b'HG20 and nonsense')
    other = old.addbytes(b'')
    rotten = old.add(client, nodes[0])
    old.bundle(rotten).write_bytes(b'rotten')
    missing = old.add(client, nodes[2])
    old.bundle(missing).unlink()
    for name, node in (
        ('scratch/it', nodes[1]),
        ('scratch/gone', 'f' * 40),
        ('scratch/nonsense', 'nonsense'),
        ('other', nodes[1]),
    ):
        old.bookmark(name, node)
    found = json.loads(_import(base, old, '-T', 'json', ok=1).out)
    assert found.pop() == {
        'kind': 'imported',
        'pushes': 1,
        'bookmarks': 1,
        'known': 0,
    }
    told = {item['name']: (item['kind'], item['message']) for item in found}
    assert len(told) == len(found)
    assert told.pop(limit) == (
        'refused',
        'push exceeds the limit of 2 changesets (got 3 so far)',
    )
    for name in (orphan, nonsense, other):
        assert told.pop(name)[0] == 'refused'
    assert told.pop(rotten) == ('corrupt', 'its bytes are others')
    assert told.pop(missing)[0] == 'missing'
    assert told.pop('scratch/gone') == (
        'bookmark',
        'it points to unknown changeset ffffffffffff',
    )
    assert told.pop('scratch/nonsense') == (
        'bookmark',
        'it is at no changeset',
    )
    assert told.pop('other') == (
        'bookmark',
        'the name is none of a scratch bookmark',
    )
    assert told == {}
    (push,) = _pushes(base)
    assert push['heads'][0]['node'] == nodes[1]
    plain = _import(base, old, ok=1).out.splitlines()
    assert f'problem: {whole}' not in '\n'.join(plain)
    assert f'problem: {rotten}: its bytes are others' in plain
    # what landed is not taken over, nor once more what is left of a push
    base.run('unbundle', '-q', old.bundle(whole))
    assert 'imported 0 pushes' in _import(base, old, ok=1).out
    assert (
        'no store of infinitepush'
        in base.run(MIGRATE, '--from-infinitepush', tmp_path, ok=[255]).err
    )
    assert (
        'goes with none of the others'
        in _import(base, old, '--abandon', ok=255).err
    )


@matrix.over('path')
def test_same_push_again(
    transport: Transport, base: Repo, client: Repo, old: Scratchbranches
) -> None:
    """Another bundle of the same changesets is another push of the bundle that
    is stored; a bookmark that was moved since stays."""
    first = client.commit({'file': '1\n'}, 'first')
    client.run('push', '--bundle-store', '-r', first, '-B', 'scratch/it')
    name = old.add(client, first)
    old.addbytes(old.bundle(name).read_bytes().replace(b'HG20', b'HG20'))
    old.bookmark('scratch/it', client.node('null'))
    out = _import(base, old, ok=1).out.splitlines()
    assert out == [
        f'problem: scratch/it: it is at {first[:12]}, and not where it was',
        'imported 1 push and 0 bookmarks',
    ]
    assert len(bundles(base)) == 1
    assert [push['push'] for push in _pushes(base)] == [1, 2]
    assert base.run(VERIFY).out.endswith(': 0 problems, 0 remarks\n')


RC = """\
[ui]
username = alice <alice@example.com>
[extensions]
infinitepush =
[infinitepush]
deprecation-abort = no
branchpattern = re:scratch/.*
[phases]
publish = no
"""

SERVER = """\
[infinitepush]
server = yes
storetype = disk
indextype = disk
reponame = base
[phases]
publish = yes
"""


@pytest.mark.nightly('an old Mercurial is fetched and works for a while')
def test_real_one(hg: Callable[..., Hg], tmp_path: Path) -> None:
    """As infinitepush of Mercurial 6.5.3, the last that had it, leaves it."""
    place = others.frompypi(tmp_path / 'old', 'mercurial==6.5.3')
    (tmp_path / 'rc').write_text(RC)
    python = environments.python(environments.ENVS / 'tools')
    environ = {
        **os.environ,
        'PYTHONPATH': str(place),
        'HGRCPATH': str(tmp_path / 'rc'),
        'HGPLAIN': '1',
    }

    def run(folder: Path, *words: str) -> str:
        # with its own modules alone, not those of the environment
        done = subprocess.run(
            [str(python), '-S', str(place / 'bin' / 'hg'), *words],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done
        return done.stdout

    server, client = tmp_path / 'server', tmp_path / 'client'
    run(tmp_path, 'init', str(server))
    (server / '.hg' / 'hgrc').write_text(SERVER)
    (server / 'file').write_text('base\n')
    run(
        server, 'commit', '-qAm', 'base', '--config', 'phases.new-commit=public'
    )
    wrapper = tmp_path / 'hg'
    wrapper.write_text(f'#!/bin/sh\nexec {python} -S {place}/bin/hg "$@"\n')
    wrapper.chmod(0o755)
    ssh = tmp_path / 'ssh'
    ssh.write_text('#!/bin/sh\nshift\nexec sh -c "$*"\n')
    ssh.chmod(0o755)
    with open(tmp_path / 'rc', 'a') as file:
        file.write(f'[ui]\nssh = {ssh}\nremotecmd = {wrapper}\n')
    run(tmp_path, 'clone', '-q', f'ssh://x/{server}', str(client))
    for number in (1, 2):
        (client / 'file').write_text(f'{number}\n')
        run(client, 'commit', '-qm', f'change {number}')
        run(client, 'push', '-q', '--bundle-store', '-r', '.')
    (client / 'file').write_text('3\n')
    run(client, 'commit', '-qm', 'change 3')
    run(client, 'push', '-q', '-r', '.', '-B', 'scratch/mine')
    nodes = run(client, 'log', '-r', 'draft()', '-T', '{node}\n').split()
    assert len(nodes) == 3

    shutil.rmtree(server / '.hg' / 'cache')
    base = Repo(hg(), server)
    (server / '.hg' / 'hgrc').write_text('[bundlestore]\nserver = yes\n')
    base.enable()
    out = base.run(
        MIGRATE, '--from-infinitepush', server / '.hg' / 'scratchbranches'
    ).out
    assert out == 'imported 3 pushes and 1 bookmark\n'
    assert [
        (push['count'], push['heads'][0]['node'], push['user'])
        for push in _pushes(base)
    ] == [(n + 1, node, 'alice') for n, node in enumerate(nodes)]
    assert base.run(VERIFY, '--full').out.endswith(': 0 problems, 0 remarks\n')
    mine = hg().clone(server, tmp_path / 'mine')
    mine.run('pull', '-q', '-r', 'scratch/mine')
    assert mine.cat('file', nodes[2]) == '3\n'
