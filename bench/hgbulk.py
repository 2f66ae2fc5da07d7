"""Makes large repositories fast: one transaction, and none of what a commit
does beside it. ``hgwork.py`` calls this.

Where files are many, those that nobody changes or reads have a name in the
manifest and a place in ``fncache``, but no file log. Nothing that is measured
opens one, and a copy of such a repository is a matter of a few files.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mercurial import manifest, metadata
from mercurial.node import nullid

#: of all that is made here, in seconds
DATE = 1_700_000_000
USER = b'bench <bench@example.org>'
#: changesets after the one that adds all files, and what each changes
EDITS = 20
EDITED = 10
#: names that one file has, and each copy of the folder has as many more
LINKS = 1000
#: of a long history: files, and changesets from branch to branch (each with
#: one changeset), and from tag to tag
LONGFILES = 300
BRANCHES = 2000
TAGS = 500


class _Writer:
    """Writes changesets into a repository, the next on the one before."""

    def __init__(self, repo: Any, tr: Any) -> None:
        self._repo = repo
        self._tr = tr
        self._changelog = repo.changelog
        self._storage = repo.manifestlog.getstorage(b'')
        self._logs: dict[bytes, Any] = {}
        #: the last revision of each file that has a log
        self._filenodes: dict[bytes, bytes] = {}
        self.manifest = repo.manifestlog[nullid].copy().read()
        self._manifestnode = nullid
        self.node = nullid

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep files open that each changeset is written to."""
        logs = self._storage._revlog, self._changelog
        for log in logs:
            # as good as a long search, where each is on the one before
            log.delta_config.sparse_revlog = False
        with logs[0]._writing(self._tr), logs[1]._writing(self._tr):
            yield

    def write(
        self,
        files: dict[bytes, bytes],
        names: dict[bytes, bytes] | None = None,
        branch: bytes = b'',
    ) -> None:
        """Commit texts of files, and ``names``: files without a log, with
        hashes. With ``branch`` it is a head there, and the next one is on the
        one before."""
        before = self.manifest, self._manifestnode, self.node
        if branch:
            self.manifest = self.manifest.copy()
        number = len(self._changelog)
        for path, text in files.items():
            node = self._add(path, text, number)
            self.manifest[path] = node
            if not branch:
                self._filenodes[path] = node
        if names:
            found = {**dict(self.manifest.items()), **names}
            # one by one takes time by the square of how many there are
            self.manifest = manifest.manifestdict(
                len(nullid),
                b''.join(
                    b'%s\0%s\n' % (path, found[path].hex().encode())
                    for path in sorted(found)
                ),
            )
        touched = sorted([*files, *(names or {})])
        self._manifestnode = self._storage.add(
            *(self.manifest, self._tr, number, self._manifestnode, nullid),
            *(touched, []),
        )
        self.node = self._changelog.add(
            self._manifestnode,
            metadata.ChangingFiles(touched=touched),
            b'change %d\n\nwhat it does, and why it is needed' % number,
            *(self._tr, self.node, nullid, USER, (DATE + number, 0)),
            {b'branch': branch} if branch else {},
        )
        if branch:
            self.manifest, self._manifestnode, self.node = before

    def _add(self, path: bytes, text: bytes, number: int) -> bytes:
        log = self._logs.get(path)
        if log is None:
            log = self._repo.file(path, writable=True)
            self._logs[path] = log
        before = self._filenodes.get(path, nullid)
        node: bytes = log.add(text, {}, self._tr, number, before, nullid)
        return node


def wide(repo: Any, count: int) -> None:
    """Fill a new repository with ``count`` files, and a few changesets that
    edit some of them."""
    chance = random.Random(count)
    paths = [
        b'part%02d/folder%03d/file%06d.txt' % (n % 20, n % 500, n)
        for n in range(count)
    ]
    edits = [chance.sample(paths, EDITED) for _ in range(EDITS)]
    texts = {
        path: b''.join(b'%x\n' % chance.getrandbits(100) for _ in range(8))
        for path in {path for edit in edits for path in edit}
    }
    names = {path: chance.randbytes(20) for path in paths if path not in texts}
    with repo.wlock(), repo.lock(), repo.transaction(b'bench') as tr:
        writer = _Writer(repo, tr)
        writer.write(texts, names)
        for number, edit in enumerate(edits):
            for path in edit:
                texts[path] += b'%d\n' % number
            writer.write({path: texts[path] for path in edit})
        for path in names:
            repo.store.fncache.add(b'data/%s.i' % path)


def long(repo: Any, count: int) -> None:
    """Fill a new repository with ``count`` changesets of few files, with
    tags, and with branches that have a head each."""
    chance = random.Random(count)
    paths = [b'part%02d/file%04d.txt' % (n % 20, n) for n in range(LONGFILES)]
    texts = {path: path * 3 + b'\n' for path in paths}
    tags = b''
    with repo.wlock(), repo.lock(), repo.transaction(b'bench') as tr:
        writer = _Writer(repo, tr)
        writer.write(texts)
        with writer.opened():
            while len(repo.changelog) < count:
                number = len(repo.changelog)
                path = chance.choice(paths)
                texts[path] = path * 3 + b'\n%d\n' % number
                changed = {path: texts[path]}
                if number % BRANCHES == BRANCHES - 1:
                    writer.write(changed, branch=b'release-%d' % number)
                    continue
                if number % TAGS == TAGS - 1:
                    tags += b'%s v%d\n' % (writer.node.hex().encode(), number)
                    changed[b'.hgtags'] = tags
                writer.write(changed)


def checkout(repo: Any, node: bytes) -> None:
    """Have a working folder in a repository of :func:`wide`. What has no log
    is there as names of a few files."""
    ctx = repo[node]
    root = Path(os.fsdecode(repo.root))
    found = {}
    links = _links(root / '.hg' / 'bench')
    folders = set()
    for path in ctx:
        target = root / os.fsdecode(path)
        if target.parent not in folders:
            target.parent.mkdir(parents=True, exist_ok=True)
            folders.add(target.parent)
        if len(repo.file(path)):
            target.write_bytes(ctx[path].data())
            os.utime(target, (DATE, DATE))
        else:
            os.link(next(links), target)
        found[path] = target
    with repo.wlock(), repo.dirstate.changing_parents(repo):
        repo.setparents(node)
        for path, target in found.items():
            stat = os.lstat(target)
            repo.dirstate.update_file(
                path,
                p1_tracked=True,
                wc_tracked=True,
                parentfiledata=(stat.st_mode, stat.st_size, (DATE, 0, False)),
            )


def _links(folder: Path) -> Iterator[Path]:
    """Yield a file as often as it can have names, then another one."""
    folder.mkdir()
    number = 0
    while True:
        path = folder / str(number)
        path.write_bytes(b'what it says makes no difference\n')
        os.utime(path, (DATE, DATE))
        for _ in range(LINKS):
            yield path
        number += 1
