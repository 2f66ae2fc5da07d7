"""Programs of others, taken from the package index or from Debian by name.

Nothing is installed: what is fetched lies in folders of the test session. A
test is skipped where it is not to be had.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

import environments

#: seconds
PATIENCE = 600


def gunicorn(folder: Path) -> Path:
    """Return ``folder`` with the gunicorn of the tests in it and nothing else:
    beside that, there are a Mercurial and this project."""
    folder.mkdir(exist_ok=True)
    for name in ('gunicorn', 'packaging'):
        spec = importlib.util.find_spec(name)
        link = folder / name
        if spec is not None and spec.origin and not link.exists():
            link.symlink_to(Path(spec.origin).parent)
    return folder


def frompypi(folder: Path, *names: str) -> Path:
    """Return ``folder`` with packages in it, to be put on Python's path."""
    python = environments.ENVS / 'pip' / 'bin' / 'python'
    words = ['-m', 'pip', 'install', '--quiet', '--target', str(folder)]
    _fetch([str(python), *words, *names])
    return folder


def fromdebian(folder: Path, name: str) -> Path:
    """Return a folder with a package, and with all of those that it depends on
    and that are not installed here, unpacked."""
    if shutil.which('apt-get') is None:
        pytest.skip(f'{name} is to be had from Debian only')
    cache = folder / 'packages'
    (cache / 'partial').mkdir(parents=True)
    _fetch(
        [
            *('apt-get', 'install', '--quiet', '--yes', '--download-only'),
            *('--no-install-recommends', '-o', f'Dir::Cache::archives={cache}'),
            name,
        ]
    )
    root = folder / 'root'
    for path in cache.glob('*.deb'):
        subprocess.run(['dpkg', '-x', path, root], check=True)
    if not root.exists():
        pytest.skip(f'{name} is installed here already')
    return root


def _fetch(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        pytest.skip(f'cannot be fetched: {exc}')
    if done.returncode:
        pytest.skip(f'cannot be fetched:\n{done.stdout}')
