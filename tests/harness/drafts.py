"""Looks at backups of drafts."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable

from .hg import Repo
from .servers import patiently


def eventually(condition: Callable[[], object]) -> bool:
    """Wait until something is so; tell whether it is."""
    return any(condition() for _ in patiently())


def finished(repo: Repo, end: str = '') -> list[str]:
    """Return the heads that are backed up, in backups whose names end so."""
    out = repo.run('workspace', '-v', '-T', '{owner}/{name}\n', ok=(0, 1)).out
    found: list[str] = []
    for name in (name for name in out.split() if name.endswith(end)):
        shown = json.loads(repo.run('workspace', '-T', 'json', name).out)
        found += shown[0]['heads']
    return found


def idle(repo: Repo) -> bool:
    """Wait until no backup is at work in the background; tell whether it is
    so."""
    path = repo.path / '.hg' / 'bundlestore-backup.lock'

    def free() -> bool:
        try:
            lock = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(lock)
        return True

    return eventually(free)
