"""All of the bench runs, each row once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import environments
from harness import forked

#: what runs hg with other configuration measures its start, and the script
#: splits at spaces
HG = """\
#!/bin/sh
case "$HGRCPATH $*" in
*[!A-Za-z0-9@%_+=:,./\\ -]*) ;;
"{config} "*) exec {script} bench@bench "{hg} $*" ;;
esac
exec {hg} "$@"
"""


def _warm(folder: Path, config: Path) -> None:
    """Have environments in a folder whose ``hg`` is forked where it has no
    other configuration than ``config``."""
    program = forked.standin()
    for version in environments.supported():
        for kind in ('plain', 'ext'):
            real = environments.Environment(kind, version).path / 'bin'
            path = folder / version / kind / 'bin'
            path.mkdir(parents=True)
            python = path / 'python'
            python.write_text(f'#!/bin/sh\nexec {real}/python "$@"\n')
            python.chmod(0o755)
            hg, script = path / 'hg', path / 'ssh'
            if program is None or os.environ.get('BUNDLESTORE_REAL_STARTS'):
                hg.symlink_to(real / 'hg')
                continue
            environ = {
                **forked.FIXED,
                'PATH': os.environ['PATH'],
                'HGRCPATH': str(config),
            }
            words = [f'{k}={v}' for k, v in environ.items()]
            parts = [forked.Server.of(real / 'hg').path, str(real / 'hg')]
            script.write_text(
                f'#!{program}\n' + '\0'.join([*parts, *words, ''])
            )
            hg.write_text(
                HG.format(config=config, hg=real / 'hg', script=script)
            )
            script.chmod(0o755)
            hg.chmod(0o755)
    (folder / 'chg').symlink_to(environments.ENVS / 'chg')


@pytest.mark.slow('all of the bench')
def test_each_row_runs(tmp_path: Path) -> None:
    if shutil.which('git') is None:
        pytest.skip('no git')
    work = tmp_path / 'work'
    _warm(tmp_path / 'envs', work / 'run' / 'hg.rc')
    output = tmp_path / 'output'
    done = subprocess.run(
        [
            *(sys.executable, '-m', 'bench', '--smoke'),
            *('--work', str(work), '--output', str(output)),
        ],
        cwd=environments.ROOT,
        env={
            **os.environ,
            'BUNDLESTORE_ENVS': str(tmp_path / 'envs'),
            'BUNDLESTORE_STALE': '1',
            'PYTHONPATH': 'tools',
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding='utf-8',
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert (output / 'RESULTS.md').exists()


@pytest.mark.nightly('machines of all kinds, and their starts')
def test_each_way_works(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, 'bench/ci.py', '--smoke'),
            *('--work', str(tmp_path)),
        ],
        cwd=environments.ROOT,
        env={**os.environ, 'BUNDLESTORE_STALE': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding='utf-8',
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert '2 of 2: held' in done.stdout
