"""Builds any history from a description, and lists all that a repository has.

Run by the Python of an environment with Mercurial (see :class:`Workshop`),
which stays alive, as a history is built for each example of a property test.
The description is what JSON can say; see :class:`Commit`. Text in it stands
for bytes, one character each (``latin-1``), so that names need be no UTF-8.

Commits are made in memory, by Mercurial's ``memctx``: the working folder sets
no limits then to names, links, dates or descriptions, and it takes a few
milliseconds each.
"""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

if __name__ != '__main__':
    from .hg import Hg, Repo


class Commit(NamedTuple):
    """One changeset to be. Numbers choose modulo what there is to choose
    from, so that any number is right."""

    #: up to two: the changesets of the repository and those made before
    #: this one, counted; none makes another root
    parents: tuple[int, ...]
    description: str
    user: str
    #: seconds since 1970 and seconds west of Greenwich
    date: tuple[int, int]
    #: such as branch and close; in UTF-8
    extra: dict[str, str]
    #: what is done to the files of the first parent, one after the other:
    #:
    #: ('write', name, flags, content)
    #: ('edit', number of the file, seed)
    #: ('flags', number of the file, flags)
    #: ('remove', number of the file)
    #: ('copy' or 'rename', number of the file, name, seed; 0: unchanged)
    #:
    #: content is ('text' or 'binary', seed, size) or ('plain', content)
    changes: tuple[tuple[Any, ...], ...]
    #: of a merge: what becomes of files that differ, in turn: 0 as in the
    #: first parent, 1 as in the second, else something new
    resolution: tuple[int, ...] = (1,)


class Workshop:
    """A process that does the work, with plain Mercurial of one version."""

    def __init__(self, hg: Hg) -> None:
        self._process = subprocess.Popen(
            [hg.python, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**hg.plain().cleanenviron(), 'HGENCODING': 'utf-8'},
            cwd='/',
        )

    def _order(self, order: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b'\n')
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, 'the workshop died; see its standard error'
        return json.loads(answer)

    def build(self, repo: Repo, commits: Sequence[Commit]) -> list[str]:
        """Add ``commits`` and return the hash of each. Equal ones are one
        changeset."""
        nodes: list[str] = self._order(
            {
                'repo': str(repo.path),
                'build': [commit._asdict() for commit in commits],
            }
        )
        return nodes

    def content(self, repo: Repo) -> dict[str, str]:
        """Return every revision of changelog, manifest and files: what it is
        to what is in it. Which changeset of several brought a file revision
        is not in there: that depends on the order in which they came."""
        found: dict[str, str] = self._order(
            {'repo': str(repo.path), 'build': None}
        )
        return found

    def close(self) -> None:
        # the end of its input is its end
        self._process.communicate()


# what follows runs in the other Python


def _main() -> None:
    from mercurial import localrepo, ui as uimod

    for line in sys.stdin:
        order = json.loads(line)
        ui = uimod.ui.load()
        repo = localrepo.instance(ui, order['repo'].encode(), create=False)
        if order['build'] is None:
            answer: Any = _content(repo)
        else:
            answer = _build(repo, order['build'])
        print(json.dumps(answer), flush=True)


def _build(repo: Any, commits: list[dict[str, Any]]) -> list[str]:
    nodes = []
    with repo.wlock(), repo.lock(), repo.transaction(b'build'):
        for commit in commits:
            nodes.append(_commit(repo, commit))
    return [node.hex() for node in nodes]


def _commit(repo: Any, commit: dict[str, Any]) -> bytes:
    from mercurial import context

    parents = [repo[number % len(repo)] for number in commit['parents']]
    if len(parents) == 2 and (
        parents[0].isancestorof(parents[1])
        or parents[1].isancestorof(parents[0])
    ):
        del parents[1]  # nothing to merge
    nodes = [ctx.node() for ctx in parents] + [None, None]
    files = _Files(parents, commit['resolution'])
    for kind, *words in commit['changes']:
        getattr(files, kind)(*words)
    changed = files.changed()

    def filectx(repo: Any, memctx: Any, path: bytes) -> Any:
        if path not in files.now:
            return None
        data, flags = files.now[path]
        return context.memfilectx(
            repo,
            memctx,
            path,
            data,
            islink=b'l' in flags,
            isexec=b'x' in flags,
            copysource=files.copies.get(path),
        )

    ctx = context.memctx(
        repo,
        nodes[:2],
        commit['description'].encode(),
        changed,
        filectx,
        user=commit['user'].encode(),
        date=tuple(commit['date']),
        extra={k.encode(): v.encode() for k, v in commit['extra'].items()},
    )
    node: bytes = repo.commitctx(ctx)
    return node


class _Files:
    """The files of a changeset while it is being made."""

    def __init__(self, parents: list[Any], resolution: list[int]) -> None:
        self._before = self._of(parents[0]) if parents else {}
        self.now = dict(self._before)
        self.copies: dict[bytes, bytes] = {}
        # files to name in the changeset even where nothing changes for the
        # first parent
        self._merged: set[bytes] = set()
        if len(parents) == 2:
            self._merge(self._of(parents[1]), resolution)

    @staticmethod
    def _of(ctx: Any) -> dict[bytes, tuple[bytes, bytes]]:
        return {f: (ctx[f].data(), ctx[f].flags()) for f in ctx}

    def _merge(
        self, other: dict[bytes, tuple[bytes, bytes]], resolution: list[int]
    ) -> None:
        paths = sorted(
            path
            for path in self.now.keys() | other.keys()
            if self.now.get(path) != other.get(path)
        )
        for number, path in enumerate(paths):
            choice = resolution[number % len(resolution)]
            if choice == 0:
                continue
            self._merged.add(path)
            if choice == 1 and path in other:
                self._put(path, *other[path])
            elif choice == 1:
                self.now.pop(path, None)
            else:
                data = other.get(path, (b'', b''))[0]
                self._put(path, _edited(data, choice), b'')

    def changed(self) -> list[bytes]:
        paths = self._before.keys() | self.now.keys()
        return sorted(
            path
            for path in paths
            if self._before.get(path) != self.now.get(path)
            or path in self.copies
            or path in self._merged
        )

    def _put(self, path: bytes, data: bytes, flags: bytes) -> None:
        # where a file is there is no folder, and the other way round
        for old in list(self.now):
            if old.startswith(path + b'/') or path.startswith(old + b'/'):
                del self.now[old]
        self.now[path] = (data, flags)
        self.copies.pop(path, None)

    def _chosen(self, number: int) -> bytes | None:
        return sorted(self.now)[number % len(self.now)] if self.now else None

    # the changes, see Commit

    def write(self, name: str, flags: str, content: list[Any]) -> None:
        self._put(_bytes(name), _data(*content), flags.encode())

    def edit(self, number: int, seed: int) -> None:
        path = self._chosen(number)
        if path is not None:
            data, flags = self.now[path]
            self.now[path] = (_edited(data, seed), flags)

    def flags(self, number: int, flags: str) -> None:
        path = self._chosen(number)
        if path is not None:
            self.now[path] = (self.now[path][0], flags.encode())

    def remove(self, number: int) -> None:
        path = self._chosen(number)
        if path is not None:
            del self.now[path]
            self.copies.pop(path, None)

    def copy(self, number: int, name: str, seed: int) -> None:
        path = self._chosen(number)
        if path is None or path == _bytes(name):
            return
        data, flags = self.now[path]
        self._put(_bytes(name), _edited(data, seed) if seed else data, flags)
        if path in self._before:
            self.copies[_bytes(name)] = path

    def rename(self, number: int, name: str, seed: int) -> None:
        path = self._chosen(number)
        self.copy(number, name, seed)
        if path is not None and path != _bytes(name):
            self.now.pop(path, None)


def _bytes(text: str) -> bytes:
    return text.encode('latin-1')


def _data(kind: str, *words: Any) -> bytes:
    if kind == 'plain':
        return _bytes(words[0])
    seed, size = words
    chance = random.Random(seed)
    if kind == 'binary':
        return chance.getrandbits(8 * size).to_bytes(size, 'big')
    lines = []
    while size > 0:
        lines.append(b'%d\n' % chance.randrange(10 ** chance.randrange(1, 40)))
        size -= len(lines[-1])
    return b''.join(lines)


def _edited(data: bytes, seed: int) -> bytes:
    """Change a few lines, as people do, so that deltas are worth it."""
    chance = random.Random(seed)
    lines = data.splitlines(keepends=True) or [b'']
    for _ in range(chance.randrange(1, 4)):
        where = chance.randrange(len(lines))
        lines[where : where + chance.randrange(2)] = [b'edit %d\n' % seed]
    return b''.join(lines)


def _content(repo: Any) -> dict[str, str]:
    repo = repo.unfiltered()
    found: dict[str, str] = {}
    _addlog(found, 'changeset', repo.changelog)
    _addlog(found, 'manifest', repo.manifestlog.getstorage(b''))
    paths = {path for rev in repo for path in repo[rev].manifest()}
    for path in paths:
        _addlog(found, f'file {path.decode("latin-1")}', repo.file(path))
    return found


def _addlog(found: dict[str, str], name: str, log: Any) -> None:
    for rev in log:
        node = log.node(rev)
        parents = ' '.join(parent.hex() for parent in log.parents(node))
        # this checks the hash, too
        text = hashlib.sha256(log.revision(node)).hexdigest()
        flags = log.flags(rev) if hasattr(log, 'flags') else 0
        found[f'{name} {node.hex()}'] = f'{parents} {flags} {text}'


if __name__ == '__main__':
    _main()
