"""Proves that a folder was not touched."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

#: what a bundle store server may write to, seen from the repository
STORE = ('.hg/bundlestore',)
#: where a client notes its pushes
NOTED = ('.hg/cache/bundlestore',)


class Entry(NamedTuple):
    """What there is to know of one file or folder. The time of a folder
    gives away even a file that was made and removed again."""

    mode: str
    size: int
    mtime: int
    content: str


Snapshot = dict[str, Entry]


def snapshot(folder: Path, exclude: Sequence[str] = STORE) -> Snapshot:
    """List everything below ``folder``, by path relative to it."""
    # making what is excluded moves the time of the folder it is in
    parents = {os.path.dirname(path) or '.' for path in exclude}
    top = str(folder)
    result = {'.': _entry(top, '.' in parents)}
    for parent, folders, files in os.walk(top):
        inside = parent[len(top) + 1 :]
        prefix = f'{inside}/' if inside else ''
        folders[:] = sorted(
            name for name in folders if prefix + name not in exclude
        )
        for name in folders + files:
            path = prefix + name
            if path not in exclude:
                result[path] = _entry(f'{top}/{path}', path in parents)
    return result


def _entry(path: str, notime: bool) -> Entry:
    status = os.lstat(path)
    mode = stat.filemode(status.st_mode)
    if stat.S_ISDIR(status.st_mode):
        # the size of a folder is the file system's business
        return Entry(mode, 0, 0 if notime else status.st_mtime_ns, '')
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    else:
        with open(path, 'rb', buffering=0) as file:
            content = hashlib.sha256(file.read()).hexdigest()
    return Entry(mode, status.st_size, status.st_mtime_ns, content)


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """Return a line for each path that came, went or changed."""
    lines = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        if old is None:
            lines.append(f'new      {path}')
        elif new is None:
            lines.append(f'gone     {path}')
        else:
            changes = [
                f'{field} {before} -> {after}'
                for field, before, after in zip(Entry._fields, old, new)
                if before != after
            ]
            lines.append(f'changed  {path}: {", ".join(changes)}')
    return lines


@contextmanager
def untouched(folder: Path, exclude: Sequence[str] = STORE) -> Iterator[None]:
    """Fail if the body changes anything below ``folder``."""
    before = snapshot(folder, exclude)
    yield
    changes = differences(before, snapshot(folder, exclude))
    assert not changes, 'touched:\n' + '\n'.join(changes)
