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
*" --cmdserver "*) ;;
"{config} "*) exec {script} bench@bench "{hg} $*" ;;
esac
exec {hg} "$@"
"""


def _environments(folder: Path, config: Path) -> None:
    """Have those environments in a folder that the bench uses; their ``hg``
    is forked where it has no other configuration than ``config``."""
    oldest, *_, newest = environments.supported()
    for kind, version in (
        ('plain', oldest),
        ('ext', oldest),
        ('plain', newest),
        ('ext', newest),
    ):
        real = environments.Environment(kind, version).path / 'bin'
        path = folder / version / kind / 'bin'
        path.mkdir(parents=True)
        _script(path / 'python', f'#!/bin/sh\nexec {real}/python "$@"\n')
        _warm(path, real / 'hg', config)
    (folder / 'chg').symlink_to(environments.ENVS / 'chg')


def _warm(path: Path, real: Path, config: Path) -> None:
    program = forked.standin()
    if program is None or os.environ.get('BUNDLESTORE_REAL_STARTS'):
        (path / 'hg').symlink_to(real)
        return
    environ = {
        **forked.FIXED,
        'PATH': os.environ['PATH'],
        'HGRCPATH': str(config),
    }
    words = [f'{name}={value}' for name, value in environ.items()]
    parts = [forked.Server.of(real).path, str(real), *words, '']
    script = path / 'ssh'
    _script(script, f'#!{program}\n' + '\0'.join(parts))
    _script(path / 'hg', HG.format(config=config, hg=real, script=script))


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.slow('all of the bench')
def test_each_row_runs(tmp_path: Path) -> None:
    if shutil.which('git') is None:
        pytest.skip('no git')
    work = tmp_path / 'work'
    _environments(tmp_path / 'envs', work / 'run' / 'hg.rc')
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
