#!/usr/bin/env python3
"""Makes changesets in bulk, in memory.

Run by the Python of an environment with Mercurial, with an order as JSON on
standard input; the answer is JSON on standard output. See the functions whose
names begin with ``do_``.
"""

from __future__ import annotations

import importlib
import json
import random
import sys
from typing import Any

if __name__ == '__main__':
    from mercurial import context, localrepo, phases, ui as uimod

#: of all that is made here, in seconds
DATE = 1_700_000_000


def open_repo(path: str, create: bool = False) -> Any:
    ui = uimod.ui.load()
    ui.setconfig(b'ui', b'username', b'bench <bench@example.org>')
    return localrepo.instance(ui, path.encode(), create=create)


def commit(
    repo: Any,
    parent: Any,
    files: dict[bytes, bytes],
    text: str,
    number: int,
    other: Any = None,
) -> Any:
    """Commit ``files`` on the changeset ``parent`` (a node), or as a merge of
    that with ``other``."""

    def filectx(repo: Any, memctx: Any, path: bytes) -> Any:
        return context.memfilectx(repo, memctx, path, files[path])

    ctx = context.memctx(
        repo,
        (parent, other or repo.nullid),
        text.encode(),
        sorted(files),
        filectx,
        date=(DATE + number, 0),
    )
    return repo.commitctx(ctx)


def edited(ctx: Any, path: bytes, line: str) -> dict[bytes, bytes]:
    return {path: ctx[path].data() + line.encode() + b'\n'}


def do_one(order: dict[str, Any]) -> list[str]:
    """Make ``count`` changesets beside each other on the last public one;
    each adds a line to a file."""
    repo = open_repo(order['repo'])
    chance = random.Random(order['seed'])
    parent = _tip(repo)
    paths = sorted(parent.manifest())
    path = chance.choice(paths)
    while not len(repo.file(path)):
        # one of many, see hgbulk.py
        path = chance.choice(paths)
    nodes = []
    # Each draft would cost more than the one before, so first they are none.
    repo.ui.setconfig(b'phases', b'new-commit', b'public')
    with repo.wlock(), repo.lock(), repo.transaction(b'bench') as tr:
        _comparelittle(repo.manifestlog.getstorage(b'')._revlog)
        for number in range(order['count']):
            line = f'{order["seed"]} {number} {chance.random()}'
            files = edited(parent, path, line)
            text = f'try: change number {number} of {order["seed"]}'
            nodes.append(commit(repo, parent.node(), files, text, number))
        phases.retractboundary(repo, tr, phases.draft, nodes)
    return [node.hex() for node in nodes]


def do_laptop(order: dict[str, Any]) -> list[str]:
    """Make ``drafts`` changesets in ``heads`` stacks on the last public one;
    each adds a line to a file. Return the heads."""
    repo = open_repo(order['repo'])
    chance = random.Random(3)
    base = _tip(repo)
    paths = sorted(base.manifest())
    nodes: list[Any] = []
    heads: list[Any] = []
    repo.ui.setconfig(b'phases', b'new-commit', b'public')
    with repo.wlock(), repo.lock(), repo.transaction(b'bench') as tr:
        _comparelittle(repo.manifestlog.getstorage(b'')._revlog)
        for number in range(order['heads']):
            node = base.node()
            left = order['drafts'] - len(nodes)
            for _ in range(left // (order['heads'] - number)):
                files = edited(
                    repo[node], chance.choice(paths), f'{chance.random()}'
                )
                text = f'draft {len(nodes)}'
                node = commit(repo, node, files, text, len(nodes))
                nodes.append(node)
            heads.append(node)
        phases.retractboundary(repo, tr, phases.draft, nodes)
    return [node.hex() for node in heads]


def _comparelittle(revlog: Any) -> None:
    """Have each of many siblings not compared with all the others, to find
    the best base for its delta. A push does not do that either."""
    if hasattr(revlog, 'delta_config'):
        revlog.delta_config.sparse_revlog = False
    else:
        # hg <= 6.6
        revlog._sparserevlog = False


def _tip(repo: Any) -> Any:
    # without revsets, whose tables not every release loads by itself
    revs = (repo[rev] for rev in reversed(range(len(repo))))
    return next(ctx for ctx in revs if not ctx.phase())


def do_ground(order: dict[str, Any]) -> list[str]:
    """Return what ``handmade.py`` makes pushes on."""
    repo = open_repo(order['repo'])
    tip = _tip(repo)
    # without flags, and without what Mercurial puts in front of a text
    ctx = next(
        tip[path]
        for path in sorted(tip.manifest())
        if not tip[path].flags() and not tip[path].renamed()
    )
    manifest = repo.manifestlog.getstorage(b'').revision(tip.manifestnode())
    return [
        bytes(value).hex()
        for value in (
            *(tip.node(), tip.manifestnode(), manifest),
            *(ctx.path(), ctx.filenode(), ctx.data()),
        )
    ]


def do_big(order: dict[str, Any]) -> list[str]:
    """Make a changeset with one file of ``size`` random bytes."""
    repo = open_repo(order['repo'])
    chance = random.Random(order['seed'])
    # in pieces, as Python has a limit there
    left, blocks = order['size'], []
    while left > 0:
        blocks.append(chance.randbytes(min(left, 1_000_000)))
        left -= len(blocks[-1])
    with repo.wlock(), repo.lock(), repo.transaction(b'bench'):
        parent = _tip(repo).node()
        node = commit(
            repo, parent, {b'big.bin': b''.join(blocks)}, 'try: much', 0
        )
    return [node.hex()]


def do_stack(order: dict[str, Any]) -> list[str]:
    """Make a stack of ``height`` changesets, and ``count`` - 1 other ones for
    its top; return all ``count`` tops. Each edits one file of a few."""
    repo = open_repo(order['repo'])
    chance = random.Random(order['seed'])
    ctx = _tip(repo)
    paths = chance.sample(sorted(ctx.manifest()), 5)
    tops = []
    with repo.wlock(), repo.lock(), repo.transaction(b'bench'):
        for number in range(order['height'] - 1):
            line = f'part {number} {chance.random()}'
            files = edited(ctx, chance.choice(paths), line)
            text = f'stack: part {number}'
            ctx = repo[commit(repo, ctx.node(), files, text, number)]
        for number in range(order['count']):
            line = f'top {number} {chance.random()}'
            files = edited(ctx, paths[0], line)
            text = f'stack: the top, amended {number} times'
            tops.append(commit(repo, ctx.node(), files, text, number))
    return [node.hex() for node in tops]


def do_drafts(order: dict[str, Any]) -> list[str]:
    """Return all that is not public."""
    repo = open_repo(order['repo'])
    return [repo[rev].hex().decode() for rev in repo if repo[rev].phase()]


def do_wide(order: dict[str, Any]) -> None:
    """Make a repository with ``files`` files and a few public changesets."""
    _bulk().wide(_publicrepo(order), order['files'])


def do_long(order: dict[str, Any]) -> None:
    """Make a repository of ``changesets`` public changesets."""
    _bulk().long(_publicrepo(order), order['changesets'])


def _bulk() -> Any:
    # only when it is needed, and this is no package when it runs
    return importlib.import_module('hgbulk')


def _publicrepo(order: dict[str, Any]) -> Any:
    """Make a repository in which new changesets are public."""
    repo = open_repo(order['repo'], create=True)
    repo.ui.setconfig(b'phases', b'new-commit', b'public')
    return repo


def do_checkout(order: dict[str, Any]) -> None:
    """Have a working folder in a repository that ``do_wide`` or ``do_long``
    made, with the last public changeset."""
    repo = open_repo(order['repo'])
    _bulk().checkout(repo, _tip(repo).node())


def do_history(order: dict[str, Any]) -> int:
    """Make a repository of public changesets such as people make them:
    ``changesets`` of them, and ``files`` files of about ``size`` bytes in all
    at its end. Some are merges, some tag the one before."""
    repo = open_repo(order['repo'], create=True)
    history = _History(repo, random.Random(order['files']), order)
    with repo.wlock(), repo.lock(), repo.transaction(b'bench'):
        while len(repo) < order['changesets']:
            history.go_on()
    return len(repo)


class _History:
    """What ``do_history`` is at. Files are of lines, of words that come
    again and again, so that they compress as sources do."""

    def __init__(
        self, repo: Any, chance: random.Random, order: dict[str, Any]
    ) -> None:
        self._repo = repo
        self._chance = chance
        self._total = order['changesets']
        letters = b'abcdefghijklmnopqrstuvwxyz'
        #: what lines are made of, the frequent ones first
        self._words = [
            bytes(chance.choices(letters, k=chance.randint(2, 9)))
            for _ in range(4000)
        ]
        self._often = [1 / (n + 3) for n in range(len(self._words))]
        #: lines that are written again and again
        self._usual: list[bytes] = []
        self._usual = [self._line() for _ in range(300)]
        self._tip = repo.nullid
        #: what is to be merged, with the files that are other there
        self._side: tuple[Any, dict[bytes, bytes]] | None = None
        self._texts: dict[bytes, list[bytes]] = {}
        count = order['files']
        weights = [chance.lognormvariate(0, 1) for _ in range(count)]
        lines = order['size'] / 40 / sum(weights)
        #: files that are still to come, and their lengths
        self._coming = [
            (self._path(number), 1 + int(lines * weights[number]))
            for number in range(count)
        ]
        self._count = count

    def _path(self, number: int) -> bytes:
        first, second = self._chance.sample(self._words[:20], 2)
        return b'%s/%s/file%04d.py' % (first, second, number)

    def _line(self) -> bytes:
        """Return a line, of 40 bytes on average."""
        if self._usual and self._chance.random() < 0.4:
            return self._chance.choice(self._usual)
        words = self._chance.choices(self._words, self._often, k=5)
        indent = b'    ' * self._chance.randint(0, 3)
        return b'%s%s\n' % (indent, b' '.join(words))

    def go_on(self) -> None:
        """Commit one more changeset, or two beside each other."""
        number = len(self._repo)
        if self._side is not None:
            node, files = self._side
            self._side = None
            self._commit(files, 'merge', self._tip, node)
            return
        parent = self._tip
        files = self._changes(number)
        if number % 60 == 59:
            tags = self._texts.setdefault(b'.hgtags', [])
            tags.append(b'%s v%d\n' % (parent.hex().encode(), number))
            files[b'.hgtags'] = b''.join(tags)
        self._commit(files, f'change {number}', parent)
        if number % 25 == 24:
            # on the same parent, other files
            others = {
                path: text
                for path, text in self._changes(number).items()
                if path not in files and path in self._repo[parent]
            }
            if others:
                tip = self._tip
                self._commit(others, f'beside {number}', parent)
                self._side = (self._tip, others)
                self._tip = tip

    def _changes(self, number: int) -> dict[bytes, bytes]:
        """Return new files, if any are due, and some that are edited."""
        chance, texts = self._chance, self._texts
        known = sorted(texts.keys() - {b'.hgtags'})
        changed = set(chance.sample(known, min(len(known), 2)))
        for path in changed:
            lines = texts[path]
            where = chance.randrange(len(lines))
            lines[where : where + chance.randint(0, 3)] = [
                self._line() for _ in range(chance.randint(1, 4))
            ]
        # most of them come early
        due = int(self._count * ((number + 1) / self._total) ** 0.5)
        while len(texts) < due and self._coming:
            path, length = self._coming.pop()
            texts[path] = [self._line() for _ in range(length)]
            changed.add(path)
        return {path: b''.join(texts[path]) for path in changed}

    def _commit(
        self,
        files: dict[bytes, bytes],
        story: str,
        parent: Any,
        other: Any = None,
    ) -> None:
        number = len(self._repo)
        text = f'{story}\n\n' + self._line().decode()
        self._tip = commit(self._repo, parent, files, text, number, other)


def do_export(order: dict[str, Any]) -> list[int]:
    """Write changesets into the file ``out``, for ``git fast-import``: all of
    them as the branch ``master``, or, if there are ``nodes``, these and what
    of theirs is not public, as references below ``refs``. Return the marks
    of ``nodes``."""
    repo = open_repo(order['repo'])
    nodes = [bytes.fromhex(node) for node in order['nodes']]
    revs = _drafts(repo, nodes) if nodes else list(repo)
    exported = set(revs)
    with open(order['out'], 'wb') as out:
        for rev in revs:
            ref = f'{order["refs"]}/{rev}' if nodes else 'refs/heads/master'
            parent = repo[rev].p1().rev()
            if parent in exported:
                start = f'from :{parent + 1}\n'
            elif nodes:
                # all that is made here is on the last public changeset
                start = 'from refs/heads/master^0\n'
            else:
                start = ''
            _export(out, repo[rev], ref, start)
    return [repo[node].rev() + 1 for node in nodes]


def _drafts(repo: Any, nodes: list[bytes]) -> list[int]:
    """Return the revisions of ``nodes`` and their ancestors that are not
    public."""
    found: set[int] = set()
    todo = [repo[node] for node in nodes]
    while todo:
        ctx = todo.pop()
        if ctx.phase() and ctx.rev() not in found:
            found.add(ctx.rev())
            todo += ctx.parents()
    return sorted(found)


def _export(out: Any, ctx: Any, ref: str, start: str) -> None:
    text = ctx.description()
    out.write(f'commit {ref}\nmark :{ctx.rev() + 1}\n'.encode())
    out.write(b'committer bench <bench@example.org> %d +0000\n' % ctx.date()[0])
    out.write(b'data %d\n%s\n' % (len(text), text))
    out.write(start.encode())
    for path in ctx.files():
        if path in ctx:
            # of some there is but the name, see hgbulk.py
            data = ctx[path].data() if len(ctx.filectx(path).filelog()) else b''
            out.write(b'M 644 inline %s\ndata %d\n' % (path, len(data)))
            out.write(data + b'\n')
        else:
            out.write(b'D %s\n' % path)
    out.write(b'\n')


def do_changegroups(order: dict[str, Any]) -> list[list[str]]:
    """Return what a push of each of ``nodes``, which come alone, sends: as
    changegroup 02 and 03."""
    from mercurial import changegroup, discovery

    repo = open_repo(order['repo'])
    found = []
    for node in map(bytes.fromhex, order['nodes']):
        parents = [parent.node() for parent in repo[node].parents()]
        outgoing = discovery.outgoing(repo, parents, [node])
        versions = []
        for version in (b'02', b'03'):
            made = changegroup.makestream(repo, outgoing, version, b'push')
            versions.append(b''.join(made).hex())
        found.append(versions)
    return found


def do_facts(order: dict[str, Any]) -> dict[str, Any]:
    """Count what is in the repository, and name the last public changeset."""
    repo = open_repo(order['repo'])
    tip = _tip(repo)
    return {
        'changesets': len(repo),
        'files': len(tip.manifest()),
        'tip': tip.hex().decode(),
    }


if __name__ == '__main__':
    order = json.load(sys.stdin)
    print(json.dumps(globals()['do_' + order['do']](order)))
