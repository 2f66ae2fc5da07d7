"""A short way through everything with each Python of the machine.

The other tests run with one Python. These take the newest Mercurial.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import environments
from harness import history, matrix
from harness.hg import Hg, Repo
from harness.servers import serve_bundlestore
from harness.snapshot import untouched

pytestmark = pytest.mark.realstarts('each Python starts')


#: the oldest and the newest in CI, those between in the night
ENDS = [
    python
    if python in (environments.PYTHONS[0], environments.PYTHONS[-1])
    else pytest.param(
        python, marks=pytest.mark.nightly('it lies between two others')
    )
    for python in environments.PYTHONS
]


@pytest.fixture
def otherhg(request: pytest.FixtureRequest) -> Hg:
    """The newest Mercurial and the extension, installed with a Python."""
    version: str = request.param
    if version == environments.RUNNING:
        pytest.skip('the other tests run with this one')
    python = environments.find(version)
    if python is None:
        pytest.skip(f'no CPython {version} with venv on this machine')
    envs = environments.ENVS / 'pythons' / version
    done = subprocess.run(
        [
            *(
                str(python.path),
                str(environments.ROOT / 'tools/environments.py'),
            ),
            *('--versions', 'newest', '--only', 'ext'),
        ],
        env={**os.environ, 'BUNDLESTORE_ENVS': str(envs)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    hg = Hg(matrix.NEWEST, True)
    hg.executable = envs / matrix.NEWEST / 'ext' / 'bin' / 'hg'
    return hg


@pytest.mark.slow('builds environments of other Pythons')
@pytest.mark.parametrize('otherhg', ENDS, indirect=True)
def test_end_to_end(otherhg: Hg, tmp_path: Path) -> None:
    on = ['extensions.bundlestore=']
    versions = otherhg.run('version', '--verbose', config=on).out
    assert f'(version {matrix.NEWEST})' in versions
    assert 'bundlestore' in versions
    assert '--bundle-store' in otherhg.run('help', 'bundlestore', config=on).out

    history.build(Hg(matrix.NEWEST, False), tmp_path / 'base')
    base = Repo(otherhg, tmp_path / 'base')
    serve_bundlestore(base, {})
    alice = otherhg.clone(base.path, tmp_path / 'alice')
    bob = otherhg.clone(base.path, tmp_path / 'bob')
    alice.enable()
    node = alice.commit({'file': 'text\n'}, 'scratch')

    with untouched(base.path):
        alice.run('push', '--bundle-store', '--rev', node)
        bob.run('pull', '--rev', node)

    assert bob.cat('file', node) == 'text\n'
    assert bob.phase(node) == 'draft'
    bob.verify()
