"""File systems that are full before long, or may not be written."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REQUIRED = 'BUNDLESTORE_REQUIRE_MOUNT'


@contextlib.contextmanager
def mounted(path: Path, size: str) -> Iterator[Path]:
    """Make ``path`` a file system in memory of that size."""
    path.mkdir(exist_ok=True)
    _mount('-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', str(path))
    try:
        yield path
    finally:
        _unmount(path)


@contextlib.contextmanager
def readonly(path: Path) -> Iterator[Path]:
    """Have nobody write below ``path``."""
    _mount('--bind', str(path), str(path))
    try:
        _mount('-o', 'remount,bind,ro', str(path))
        yield path
    finally:
        _unmount(path)


def _mount(*args: str) -> None:
    if subprocess.run(['mount', *args], capture_output=True).returncode:
        why = 'only root may mount a file system'
        if os.environ.get(REQUIRED):
            pytest.fail(why)
        pytest.skip(why)


def _unmount(path: Path) -> None:
    subprocess.run(['umount', '--lazy', str(path)], check=True)


def fill(path: Path) -> Path:
    """Take all the room that is left, to the last byte; return the file that
    does."""
    file = path / 'filler'
    with open(file, 'wb', buffering=0) as fp:
        for size in (1 << 16, 1):
            with contextlib.suppress(OSError):
                while True:
                    fp.write(bytes(size))
    return file
