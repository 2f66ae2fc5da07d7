"""A copy that is taken while clients push is a backup.

What was pushed before the copy began is in it, with its number, user, time,
bookmarks and pin. What came meanwhile is there whole or not at all.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import matrix
from harness.filled import Filled
from harness.hg import Hg, Repo
from harness.servers import Transport
from harness.store import folder
from hgext3rd.bundlestore import model

VERIFY = 'admin::bundlestore-verify'
GC = 'admin::bundlestore-gc'

#: as the help text has it
BACKUP = """\
import sqlite3, sys
source, target = map(sqlite3.connect, sys.argv[1:])
source.backup(target)
"""


class Pusher:
    """Pushes on and on, in a thread: stacks that rest on each other, pins and
    bookmarks, and collects what is old. It rests when it is ``AHEAD`` pushes
    ahead of what is waited for, as a copy may take long."""

    AHEAD = 200

    def __init__(self, folder: Path, collect: bool) -> None:
        self._filled = Filled(folder)
        self._collect = collect
        self._stop = threading.Event()
        self._awaited = 0
        self._thread = threading.Thread(target=self._run)
        self.pushes: list[model.Push] = []
        self.failures: list[BaseException] = []
        #: the highest id that gc was entitled to take
        self.expired = 0

    def __enter__(self) -> Pusher:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        assert not self.failures, self.failures[0]

    def wait(self, count: int) -> int:
        """Wait for so many pushes; return how many there are."""
        self._awaited = max(self._awaited, count)
        while len(self.pushes) < count and self._thread.is_alive():
            self._stop.wait(0.01)
        return len(self.pushes)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if len(self.pushes) < self._awaited + self.AHEAD:
                    self._step()
                else:
                    self._stop.wait(0.01)
        except BaseException as exc:
            self.failures.append(exc)

    def _step(self) -> None:
        number = len(self.pushes) + 1
        rests = [] if number % 3 == 1 else self.pushes[-1:]
        rests = [
            *(p for p in self.pushes[-2:-1] if number % 3 == 0),
            *rests,
        ]
        push = self._filled.push(
            [number],
            user=f'user{number % 2}',
            day=number,
            rests=rests,
            bookmarks=[(f'scratch/{number % 5}', number)],
        )
        if number % 7 == 0:
            self._filled.pin(push.id)
            push = self._filled.index.push(push.id)
        self.pushes.append(push)
        if self._collect and number % 10 == 0:
            self.expired = number - 9
            self._filled.gc(before=number - 9, day=number)


def _copyanyorder(source: Path, target: Path, seed: int) -> None:
    """Copy as a tool may that lists some folders early and copies files late;
    what is gone by then is left out."""
    chance = random.Random(seed)
    folders = [path for path in source.glob('*') if path.is_dir()]
    chance.shuffle(folders)
    names = []
    for some in folders:
        names += [path for path in some.glob('*') if path.is_file()]
    chance.shuffle(names)
    for path in names:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, copy)
        except FileNotFoundError:
            copy.unlink(missing_ok=True)


def _check(
    restored: Filled, before: list[model.Push], expired: int, after: int
) -> None:
    """Check a store that was restored and repaired."""
    found = {push.id: push for push in restored.index.pushes()}
    for push in before:
        if push.id < expired and not push.pinned and push.id not in found:
            continue
        there = found.get(push.id)
        assert there is not None, push.id
        assert _plain(there) == _plain(push)
        with restored.store.open(push.key) as reader:
            assert len(reader.read()) == push.size
    # whole or not at all
    for push in found.values():
        assert push.id <= after
        for key in model.chain([push]):
            with restored.store.open(key) as reader:
                reader.read()
    for mark in restored.index.bookmarks():
        assert mark.push in found
        assert mark.node in found[mark.push].changesets


def _plain(push: model.Push) -> model.Push:
    return push._replace(rests=tuple(sorted(push.rests)), below=())


@pytest.mark.slow('several clients push for a while')
@pytest.mark.parametrize('collect', [False, True], ids=['pushes', 'and gc'])
@pytest.mark.parametrize('way', ['bundles', 'index first'])
def test_copy_while_clients_push(
    tmp_path: Path, way: str, collect: bool
) -> None:
    source = tmp_path / 'bundlestore'
    copies = []
    with Pusher(source, collect) as pusher:
        for seed in range(3):
            count = pusher.wait(12 * (seed + 1))
            target = tmp_path / f'copy{seed}'
            target.mkdir()
            if way == 'index first':
                subprocess.run(
                    [
                        *('python3', '-c', BACKUP),
                        str(source / 'index.sqlite3'),
                        str(target / 'index.sqlite3'),
                    ],
                    check=True,
                )
            _copyanyorder(source / 'bundles', target / 'bundles', seed)
            after = pusher.wait(0) + 1
            copies.append((target, count, pusher.expired, after))
    for target, count, expired, after in copies:
        restored = Filled(target)
        restored.verify(repair=True)
        # what is there in part is found, and given up
        restored.gc(forget=True)
        assert not [f for f in restored.verify() if f[0] != 'orphan']
        _check(restored, pusher.pushes[:count], expired, after)


@matrix.over('ssh')
def test_backup_by_its_commands(
    transport: Transport, base: Repo, client: Repo, hg: Callable[..., Hg]
) -> None:
    """The folder of the bundles alone is a backup."""
    nodes = []
    for number in range(2):
        nodes.append(client.commit({'new': f'{number}\n'}, f'new {number}'))
        client.run('push', '-q', '--bundle-store', '-r', '.', '-B', 'scratch/x')
    base.run('admin::bundlestore-pin', '-q', '1')
    before = base.run('pushes', '-v').out
    place = folder(base)
    copy = place.with_name('copy')
    shutil.copytree(place / 'bundles', copy)
    shutil.rmtree(place)
    # elsewhere, on another day
    shutil.copytree(copy, place / 'bundles')
    refused = client.run('push', '--bundle-store', '-r', '.', ok=[255]).err
    assert 'abort: bundle index is empty, but the store holds pushes' in refused
    assert 'abort: bundle index is empty' in base.run(GC, ok=[255]).err
    base.run(VERIFY, '--repair')
    assert base.run('pushes', '-v').out == before
    assert base.run('admin::bundlestore-pin').out.startswith('push 1 (')
    other = hg().clone(base.path, client.path.with_name('other'))
    transport.connect(other, base)
    other.run('pull', '-q', '-r', 'scratch/x')
    assert other.knows(nodes[1])
    other.verify()
