"""Clients of others: git-remote-hg, hg-git and TortoiseHg.

docs/compatibility.rst tells what was seen with them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import environments
from harness import matrix, others
from harness.hg import CONFIG, PATIENCE, Hg, Repo
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import bundles, tryurl

pytestmark = pytest.mark.nightly('packages of others have to be fetched')

#: the newest that they know
VERSION = '7.0.3'
NAME = 'scratch/alice/x'

AUTHOR = {
    'GIT_AUTHOR_NAME': 'alice',
    'GIT_AUTHOR_EMAIL': 'alice@example.com',
    'GIT_COMMITTER_NAME': 'alice',
    'GIT_COMMITTER_EMAIL': 'alice@example.com',
}


@pytest.fixture(scope='module')
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which('git') is None:
        pytest.skip('there is no git here')
    folder = tmp_path_factory.mktemp('packages')
    return others.frompypi(folder, 'hg-git', 'git-remote-hg')


class Git:
    """``git`` that knows addresses which begin with ``hg::``."""

    def __init__(self, hg: Hg, packages: Path, folder: Path, rc: str) -> None:
        script = folder / 'bin' / 'git-remote-hg'
        script.parent.mkdir()
        program = packages / 'bin' / 'git-remote-hg'
        script.write_text(
            '#!/bin/sh\n'
            f"PYTHONPATH='{packages}' exec '{hg.python}' '{program}' \"$@\"\n"
        )
        script.chmod(0o755)
        (folder / 'hgrc').write_text(f'[ui]\nusername = alice\n{rc}')
        self._environ = {
            **AUTHOR,
            'PATH': f'{script.parent}:{os.environ["PATH"]}',
            'HOME': str(folder),
            'HGRCPATH': str(folder / 'hgrc'),
            'LC_ALL': 'C.UTF-8',
        }

    def __call__(self, *args: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ['git', *args],
            cwd=cwd,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f'$ git {args}\n{done.stdout}'
        return done.stdout


def wanted(repo: Repo, node: str, files: list[str]) -> None:
    assert repo.phase(node) == 'draft'
    assert set(files) <= set(repo.inspect('files', '-r', node).split())
    repo.verify()


@matrix.over('http', 'ssh')
def test_git_remote_hg(
    transport: Transport,
    base: Repo,
    vanilla: Repo,
    hg: Callable[..., Hg],
    packages: Path,
    tmp_path: Path,
) -> None:
    """A branch of git's is a bookmark, a new one of that name goes to the
    store."""
    items = transport.clientconfig().items()
    rc = ''.join(f'{key} = {value}\n' for key, value in items)
    git = Git(hg(VERSION, ext=False), packages, tmp_path, rc)
    target = tryurl(transport, base)
    work = tmp_path / 'work'
    with untouched(base.path):
        git('clone', f'hg::{transport.url(base)}', str(work))
        (work / 'new').write_text('new\n')
        git('add', 'new', cwd=work)
        git('commit', '-q', '-m', 'from git', cwd=work)
        git('remote', 'add', 'try', f'hg::{transport.url(target)}', cwd=work)
        said = git('push', 'try', f'HEAD:refs/heads/{NAME}', cwd=work)
        assert 'stored 1 changeset as push 1' in said
        git('fetch', 'try', cwd=work)
        git('fetch', 'origin', cwd=work)
        vanilla.run('pull', '-r', NAME)
    wanted(vanilla, 'tip', ['new', 'src/main.txt'])


@matrix.over('http', 'ssh')
@pytest.mark.parametrize('version', ['6.9.5', VERSION])
def test_hg_git(
    transport: Transport,
    hg: Callable[..., Hg],
    packages: Path,
    tmp_path: Path,
    version: str,
) -> None:
    """What comes from git and goes to git takes a way through the store."""
    git = Git(hg(version, ext=False), packages, tmp_path, '')
    source, bare = tmp_path / 'source', tmp_path / 'source.git'
    git('init', '-q', '-b', 'main', str(source))
    (source / 'file').write_text('file\n')
    git('add', 'file', cwd=source)
    git('commit', '-q', '-m', 'start', cwd=source)
    git('clone', '-q', '--bare', str(source), str(bare))
    able = hg(version)
    able.environ = {**able.environ, 'PYTHONPATH': str(packages)}

    def cloned(name: str) -> Repo:
        path = tmp_path / name
        able.run('clone', bare, path, config=['extensions.hggit='])
        repo = Repo(able, path)
        repo.configure('extensions', {'hggit': ''})
        repo.enable()
        return repo

    alice, bob = cloned('alice'), cloned('bob')
    base = Repo(transport.hg, transport.root / 'base')
    off = ['extensions.hggit=!']
    transport.hg.run('clone', '-U', alice.path, base.path, config=off)
    base.inspect('phase', '--public', '--rev', 'all()')
    base.configure('extensions', {'bundlestore': ''})
    base.configure('bundlestore', {'server': 'yes'})
    for repo in (alice, bob):
        repo.configure('ui', transport.clientconfig())
        repo.configure('paths', {'server': transport.url(base)})
    with untouched(base.path):
        alice.write({'new': 'new\n'})
        alice.run('commit', '-A', '-m', 'scratch')
        node = alice.run('log', '-r', '.', '-T', '{node}').out
        alice.run('push', '--bundle-store', '-r', '.', 'server')
        bob.run('pull', '-r', node, 'server')
    bob.run('update', node)
    bob.run('bookmark', 'from-the-store')
    bob.run('push', '-r', '.', 'default')
    assert 'scratch' in git('log', '--oneline', 'from-the-store', cwd=bare)
    assert len(bundles(base)) == 1


@matrix.over('http')
@pytest.mark.parametrize(
    'client_version', [pytest.param('6.3.2', id='as in Debian')]
)
def test_tortoisehg(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
) -> None:
    """Its commands push and pull, its window shows what came."""
    folder = tmp_path_factory.mktemp('tortoisehg')
    root = others.fromdebian(folder, 'tortoisehg')
    client, other = newclient('client'), newclient('other')
    target = transport.url(tryurl(transport, base))
    theirs = other.commit({'theirs': 'x\n'}, 'of another')
    other.run('push', '--bundle-store', '-r', theirs)
    client.write({'new': 'new\n'})
    off = ('--config', 'extensions.bundlestore=!')
    commands = [
        ('add', 'new'),
        ('commit', '-m', 'by TortoiseHg'),
        ('push', '--bundle-store', '-r', '.'),
        ('commit', '--amend', '-m', 'by TortoiseHg, again'),
        ('push', '-r', '.', *off, target),
        ('pull', '-r', theirs, *off),
        ('update', theirs),
    ]
    with untouched(base.path):
        results = tortoise(root, client, tmp_path, commands)
    assert [code for code, _ in results] == [0] * len(commands), results
    assert 'stored 1 changeset as push 2' in results[2][1]
    assert 'stored 1 changeset as push 3' in results[4][1]
    wanted(client, theirs, ['theirs'])
    assert [code for code, _ in tortoise(root, client, tmp_path, [])] == [0]


def tortoise(
    root: Path, client: Repo, folder: Path, commands: list[tuple[str, ...]]
) -> list[tuple[int, str]]:
    """Return exit code and output of each; without any, of the window."""
    packages = root / 'usr/lib/python3/dist-packages'
    ours: Path = environments.Environment('ext', client.hg.version).path
    (own,) = ours.glob('lib/python*/site-packages')
    # beside the extensions of others that come with TortoiseHg
    place = packages / 'hgext3rd'
    place.mkdir(exist_ok=True)
    for source, target in (
        (own / 'hgext3rd' / 'bundlestore', place / 'bundlestore'),
        (own / 'zope', packages / 'zope'),
    ):
        if not target.is_symlink():
            target.symlink_to(source)
    libraries = next(root.glob('usr/lib/*-linux-*'))
    done = subprocess.run(
        [
            *('/usr/bin/python3', Path(others.__file__).parent / 'tortoise.py'),
            client.path,
        ],
        input='\n'.join('\0'.join(command) for command in commands),
        env={
            'PATH': f'{root}/usr/bin:/usr/bin:/bin',
            'HOME': str(folder),
            'USER': 'alice',
            'HGRCPATH': str(CONFIG),
            'LC_ALL': 'C.UTF-8',
            'PYTHONPATH': str(packages),
            'LD_LIBRARY_PATH': str(libraries),
            'QT_PLUGIN_PATH': str(libraries / 'qt5' / 'plugins'),
            'QT_QPA_PLATFORM': 'offscreen',
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert 'Traceback' not in done.stderr, done.stderr
    return [
        (code, said) for code, said in map(json.loads, done.stdout.splitlines())
    ]
