"""The history of the base repository that most tests start from.

::

    tagged   default   adds .hgtags
    merged   default   joins left and right
    right    default   a binary file, on grown
    left     default   a copy, on grown
    fixed    stable    a named branch, on start
    grown    default   a changed file and a new folder
    start    default

It is built once for each Mercurial version and copied from then on. All of
it is public, the hashes are equal in all versions, and the caches are warm,
so that a plain read of the repository has nothing left to write.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from .hg import DATE, Hg, Repo


class History(NamedTuple):
    """The hashes, by the names above."""

    start: str
    grown: str
    fixed: str
    left: str
    right: str
    merged: str
    tagged: str


def build(hg: Hg, path: Path) -> History:
    """Build the repository at ``path``, with a working folder."""
    return fill(hg.init(path))


def fill(repo: Repo) -> History:
    """Add that history to an empty repository."""
    lines = [f'line {number}\n' for number in range(200)]
    start = repo.commit(
        {'README': 'a base repository\n', 'src/main.txt': ''.join(lines)},
        'start',
    )
    lines[10] = 'line ten\n'
    grown = repo.commit(
        {'src/main.txt': ''.join(lines), 'docs/manual.txt': 'read me\n'},
        'grow',
    )
    fixed = repo.commit(
        {'README': 'a base repository, fixed\n'},
        'fix on stable',
        parent=start,
        branch='stable',
    )
    repo.inspect('update', '--quiet', '--rev', grown)
    repo.inspect('copy', '--quiet', 'docs/manual.txt', 'docs/copy.txt')
    left = repo.commit({'docs/copy.txt': 'read me, too\n'}, 'copy on the left')
    right = repo.commit(
        {'data.bin': bytes(range(256)) * 16}, 'data on the right', parent=grown
    )
    repo.inspect('update', '--quiet', '--rev', left)
    repo.inspect('merge', '--quiet', '--rev', right)
    merged = repo.commit({}, 'merge right into left')
    repo.inspect('tag', '--date', DATE, '--rev', merged, 'v1')
    tagged = repo.node('.')
    repo.inspect('phase', '--public', '--rev', 'all()')
    warm(repo)
    return History(start, grown, fixed, left, right, merged, tagged)


def warm(repo: Repo) -> None:
    """Write whatever caches a reader could think of writing."""
    repo.inspect('debugupdatecaches')
    repo.inspect('heads', '--quiet')
    repo.inspect('tags', '--quiet')
    repo.inspect('branches', '--quiet')


def copy(source: Path, path: Path) -> None:
    """Copy a repository with all times, which its caches depend on.

    ``shutil.copytree`` takes three times as long, and there is a copy or two
    for each test.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _copyfolder(str(source), str(path))


def _copyfolder(source: str, target: str) -> None:
    os.mkdir(target)
    with os.scandir(source) as entries:
        for entry in entries:
            place = f'{target}/{entry.name}'
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), place)
                info = entry.stat(follow_symlinks=False)
                times = (info.st_atime_ns, info.st_mtime_ns)
                os.utime(place, ns=times, follow_symlinks=False)
            elif entry.is_dir():
                _copyfolder(entry.path, place)
            else:
                with open(entry.path, 'rb', buffering=0) as file:
                    data = file.read()
                with open(place, 'xb', buffering=0) as file:
                    file.write(data)
                    _copystatus(entry.stat(), file.fileno())
    _copystatus(os.stat(source), target)


def _copystatus(info: os.stat_result, target: str | int) -> None:
    os.chmod(target, stat.S_IMODE(info.st_mode))
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))
