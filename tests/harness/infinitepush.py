"""What the extension infinitepush leaves, made without it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .hg import Repo


class Scratchbranches:
    """A folder as infinitepush has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / 'filebundlestore').mkdir(parents=True)
        self._time = 1.6e9

    def add(self, source: Repo, rev: str, *words: str) -> str:
        """Store all drafts below a changeset, an hour after the last one;
        return the name of the bundle."""
        temporary = self.path / 'temporary'
        words = words or ('--base', 'public()')
        source.run(
            *('bundle', '-q', '--type', 'none-v2', '-r', rev, *words),
            temporary,
        )
        data = temporary.read_bytes()
        temporary.unlink()
        name = self.addbytes(data)
        for node in source.nodes(f'draft() and ::{rev}'):
            self._write('nodemap', node, name)
        return name

    def addbytes(self, data: bytes) -> str:
        name = hashlib.sha1(data).hexdigest()
        path = self.bundle(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self._time += 3600
        os.utime(path, (self._time, self._time))
        return name

    def bundle(self, name: str) -> Path:
        return self.path / 'filebundlestore' / name[:2] / name[2:4] / name

    def bookmark(self, name: str, node: str) -> None:
        self._write('bookmarkmap', name, node)

    def _write(self, folder: str, name: str, value: str) -> None:
        path = self.path / 'index' / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)
