"""What ``docs/examples`` shows works as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import environments
from harness import matrix
from harness.hg import Repo
from harness.rights import publicfolder
from harness.servers import Transport
from harness.snapshot import untouched
from harness.store import bundles
from harness.thirdparty import known

EXAMPLE = environments.ROOT / 'docs' / 'examples' / 'hg-bundlestore-sqlite'

_BUILD = 'from setuptools import build_meta as b; b.build_wheel("wheels")'


@pytest.fixture(scope='module')
def installed() -> Iterator[Path]:
    """A folder with the package of the example as pip installs it."""
    with publicfolder() as folder:
        copy = folder / 'source'
        shutil.copytree(EXAMPLE, copy)
        subprocess.run(
            [sys.executable, '-c', _BUILD],
            cwd=copy,
            check=True,
            capture_output=True,
        )
        (wheel,) = (copy / 'wheels').iterdir()
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / 'installed')
        yield folder / 'installed'


@pytest.mark.slow('the whole conformance suite, with another start of pytest')
def test_store_is_certified(installed: Path) -> None:
    with publicfolder() as folder:
        shutil.copy(EXAMPLE / 'test_bundlestore_sqlite.py', folder)
        done = subprocess.run(
            [
                *(sys.executable, '-m', 'pytest', '-p', 'no:cacheprovider'),
                f'--basetemp={folder}/tmp',
            ],
            cwd=folder,
            # a second of each start is in plugins that it does not need
            env={
                **os.environ,
                'PYTHONPATH': str(installed),
                'PYTEST_DISABLE_PLUGIN_AUTOLOAD': '1',
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    # what it does without: local paths and URLs
    assert re.search(r'\b9\d passed, 5 skipped in', done.stdout), done.stdout


@matrix.over('ssh')
def test_store_serves(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    installed: Path,
    tmp_path: Path,
) -> None:
    known(transport, installed)
    file = tmp_path / 'store' / 'bundles.sqlite3'
    base.configure('bundlestore', {'store': f'sqlite:{file}'})
    node = client.commit({'new': 'x\n'}, 'kept in SQLite')
    with untouched(base.path):
        client.run('push', '--bundle-store')
    assert not bundles(base)
    assert file.read_bytes().startswith(b'SQLite format 3\0')
    vanilla.run('pull', '-r', node)
    assert vanilla.cat('new', node) == 'x\n'
    # bundle and note are as the index has them
    env = {'PYTHONPATH': str(installed)}
    base.run('admin::bundlestore-verify', env=env)
