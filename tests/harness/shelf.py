"""What many tests begin with is made once, and copied from then on.

A test that only reads what was pushed need not push it: ``once`` calls the
function that does, and keeps the repositories as they are then. For the next
test that would do the same, it puts copies in the place of its repositories.
"""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from . import history
from .hg import Repo

T = TypeVar('T')


class Shelf:
    """``makefolder()`` makes a folder for what is kept."""

    def __init__(self, makefolder: Callable[[], Path]) -> None:
        self._makefolder = makefolder
        self._kept: dict[object, tuple[list[Path], Any]] = {}

    def once(
        self, name: str, repos: Sequence[Repo], make: Callable[[], T]
    ) -> T:
        """Have ``repos`` look as they do after ``make()``, and return what it
        returns.

        They are fresh; nothing else may be changed by ``make``, nor their
        configuration. ``name`` tells what it does from what is done to such
        repositories elsewhere.
        """
        key = (name, *map(_kind, repos))
        if key not in self._kept:
            result = make()
            assert key == (name, *map(_kind, repos)), 'it is configured anew'
            folders = []
            for repo in repos:
                folders.append(self._makefolder() / 'repo')
                _keep(repo.path, folders[-1])
            self._kept[key] = folders, copy.deepcopy(result)
            return result
        folders, result = self._kept[key]
        for repo, folder in zip(repos, folders):
            config = repo.hgrc.read_bytes()
            shutil.rmtree(repo.path)
            history.copy(folder, repo.path)
            repo.hgrc.write_bytes(config)
        return copy.deepcopy(result)


def _keep(source: Path, target: Path) -> None:
    """Copy a repository once nobody writes to it any more: a server that has
    answered may still be about to close its files."""
    for _ in range(100):
        before = _files(source)
        time.sleep(0.02)
        with contextlib.suppress(FileNotFoundError):
            history.copy(source, target)
            if _files(source) == before:
                return
        shutil.rmtree(target)
    raise AssertionError(f'{source} does not come to rest')


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            with contextlib.suppress(FileNotFoundError):
                info = os.lstat(path)
                found[path] = info.st_size, info.st_mtime_ns
    return found


def _kind(repo: Repo) -> object:
    """Return what has to be alike for two repositories to become alike."""
    items, section = [], ''
    for line in repo.hgrc.read_text('utf-8').splitlines():
        if line.startswith('['):
            section = line
        # those two say where a server is, and how to get there
        elif section not in ('[paths]', '[ui]'):
            items.append((section, line))
    return repo.hg.version, repo.hg.ext, *items
