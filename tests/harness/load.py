"""Many users at once, for a long time: they push, pull and browse while the
administrator's commands run.

Nothing that was acknowledged may be lost unless ``gc`` was entitled to it.
Each thread is a user with a clone of its own, every second one over ssh, the
others over http.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from . import history
from .hg import Hg, Repo, Result
from .servers import HttpTransport, SshTransport, Transport
from .soak import Sample, look
from .web import get

_STORED = re.compile(r'stored \d+ changesets? as push (\d+)')
#: seconds between two looks at the web server, and two runs of ``gc``
_SAMPLE = 5.0
_GC = 7.0
#: every so many pushes are pinned
_PINNED = 10
#: the last so many changesets are pulled and looked at
_RECENT = 50


class Ack(NamedTuple):
    """A push that a client was told is stored."""

    push: int
    node: str
    #: by the monotonic clock, before the push began
    time: float


class Report:
    """What happened."""

    def __init__(self, seconds: float, clients: int) -> None:
        self.seconds = seconds
        self.clients = clients
        self.counts: dict[str, int] = {}
        self.errors: list[str] = []
        #: of the web server
        self.samples: list[Sample] = []
        #: pushes that had to be there at the end, those that were not, and
        #: those that ``gc`` had removed
        self.expected = 0
        self.lost: list[Ack] = []
        self.removed = 0
        self._lock = threading.Lock()

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def failed(self, what: str) -> None:
        with self._lock:
            self.errors.append(what)

    def growth(self) -> tuple[int, int]:
        """Return how many more descriptors, and bytes of memory, the second
        half of the time shows than the first but for its beginning."""
        middle = len(self.samples) // 2
        first = self.samples[middle // 4 : middle]
        second = self.samples[middle:]
        return (
            min(s.descriptors for s in second)
            - min(s.descriptors for s in first),
            min(s.memory for s in second) - min(s.memory for s in first),
        )

    def __str__(self) -> str:
        done = ', '.join(
            f'{n} {what}' for what, n in sorted(self.counts.items())
        )
        step = max(len(self.samples) // 12, 1)
        shown = self.samples[::step]
        lines = [
            f'{self.clients} clients for {self.seconds:.0f} s: {done}',
            f'errors: {len(self.errors)}',
            f'to be there at the end: {self.expected}, lost: {len(self.lost)}, '
            f'removed by gc: {self.removed}',
            'web server: descriptors '
            + ' '.join(str(s.descriptors) for s in shown)
            + '; MB '
            + ' '.join(f'{s.memory / 1e6:.0f}' for s in shown),
            *self.errors[:10],
        ]
        return '\n'.join(lines)


class Load:
    """``clients`` users of a base repository below ``root``, for ``seconds``.

    ``gc`` removes what is older than ``keep`` seconds and not pinned.
    """

    def __init__(
        self,
        hg: Hg,
        base: Repo,
        root: Path,
        clients: int = 16,
        seconds: float = 300,
        keep: float = 60,
        seed: int = 1,
    ) -> None:
        self.hg = hg
        self.base = base
        self.keep = keep
        self.report = Report(seconds, clients)
        self._root = root
        self._seed = seed
        self._ssh = SshTransport(hg, base.path.parent)
        self._http = HttpTransport(hg, base.path.parent)
        self._end = 0.0
        self._lock = threading.Lock()
        self._committing = threading.Lock()
        self._acks: list[Ack] = []
        self._pinned: set[int] = set()

    def run(self, parent: str) -> Report:
        """Do it all; ``parent`` is a changeset of the base to build on."""
        try:
            # starts the server
            self._site = self._http.url(self.base)
            users = [
                self._user(number, parent)
                for number in range(self.report.clients)
            ]
            self._end = time.monotonic() + self.report.seconds
            jobs = [user.step for user in users]
            jobs += [self._pin, self._gc]
            with ThreadPoolExecutor(len(jobs) + 1) as pool:
                for job in jobs:
                    pool.submit(self._repeat, job)
                pool.submit(self._watch)
            self._check()
        finally:
            self._http.close()
        return self.report

    def _user(self, number: int, parent: str) -> _User:
        transport: Transport = self._http if number % 2 else self._ssh
        repo = Repo(self.hg, self._root / f'user{number}')
        history.copy(self.base.path, repo.path)
        repo.hgrc.write_text('[extensions]\nbundlestore =\n')
        transport.connect(repo, self.base)
        return _User(
            self, repo, random.Random(f'{self._seed}/{number}'), parent
        )

    def _repeat(self, job: Callable[[], None]) -> None:
        while time.monotonic() < self._end:
            try:
                job()
            except Exception:
                self.report.failed(traceback.format_exc())

    # -- what users share

    def acknowledged(self, ack: Ack) -> None:
        with self._lock:
            self._acks.append(ack)

    def recent(self, rng: random.Random) -> Ack | None:
        """Return a push that ``gc`` does not touch in the next moments."""
        with self._lock:
            young = time.monotonic() - self.keep / 2
            found = [a for a in self._acks[-_RECENT:] if a.time > young]
        return rng.choice(found) if found else None

    def commit(self, repo: Repo, parent: str, rng: random.Random) -> str:
        # the command server that commits serves one at a time
        with self._committing:
            name = f'{rng.randrange(20)}/{rng.randrange(1000)}'
            data = rng.randbytes(rng.choice([100, 5000, 200_000]))
            return repo.commit({name: data}, f'work on {name}', parent=parent)

    def get(self, path: str) -> None:
        answer = get(f'{self._site}/{path}')
        assert answer.status == 200, f'{path}\n{answer}'
        self.report.count('requests')

    # -- the administrator

    def _pin(self) -> None:
        with self._lock:
            young = time.monotonic() - self.keep / 2
            wanted = [
                a.push
                for a in self._acks
                if not a.push % _PINNED
                and a.time > young
                and a.push not in self._pinned
            ]
        for push in wanted:
            self.base.run('admin::bundlestore-pin', str(push))
            with self._lock:
                self._pinned.add(push)
            self.report.count('pins')
        self._pause(1)

    def _gc(self) -> None:
        # a little longer than what the users rely on
        seconds = f'{self.keep:.0f} seconds'
        self.base.run(
            'admin::bundlestore-gc', '--older-than', seconds, '--grace', seconds
        )
        self.report.count('gc runs')
        self._pause(_GC)

    def _pause(self, seconds: float) -> None:
        time.sleep(max(min(seconds, self._end - time.monotonic()), 0))

    def _watch(self) -> None:
        process = self._http.process
        assert process is not None
        while time.monotonic() < self._end:
            self.report.samples.append(look(process.pid))
            self._pause(_SAMPLE)

    # -- the end

    def _check(self) -> None:
        result = self.base.run('admin::bundlestore-verify', ok=None)
        if result.code:
            self.report.failed(f'verify: {result}')
        young = time.monotonic()
        listed = json.loads(
            self.base.run('pushes', '--limit', '1000000', '-Tjson', '.').out
        )
        there = {entry['push'] for entry in listed}
        expected = []
        for ack in self._acks:
            if ack.push in self._pinned or ack.time > young - self.keep:
                expected.append(ack)
            elif ack.push not in there:
                self.report.removed += 1
        self.report.expected = len(expected)
        clone = Repo(self.hg, self._root / 'all')
        history.copy(self.base.path, clone.path)
        clone.hgrc.write_text('')
        self._ssh.connect(clone, self.base)
        for nodes in _batches([ack.node for ack in expected], 100):
            words = [word for node in nodes for word in ('-r', node)]
            clone.run('pull', '--quiet', *words, ok=None)
        held = set(clone.nodes())
        self.report.lost = [a for a in expected if a.node not in held]
        clone.verify()


def _batches(items: list[str], size: int) -> Iterator[list[str]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]


class _User:
    """One who works in ``repo``."""

    def __init__(
        self, load: Load, repo: Repo, rng: random.Random, parent: str
    ) -> None:
        self._load = load
        self._repo = repo
        self._rng = rng
        self._base = self._parent = parent

    def step(self) -> None:
        steps = [self._push] * 5 + [self._pull] * 3 + [self._browse] * 4
        self._rng.choice([*steps, self._list])()

    def _push(self) -> None:
        if self._rng.random() < 0.4:
            self._parent = self._base
        begin = time.monotonic()
        node = self._load.commit(self._repo, self._parent, self._rng)
        result = self._send(node, (0, 255))
        if result.code and 'in the bundle store already' in result.out:
            # not any more: "gc" came between the question and the push
            self._load.report.count('pushes again')
            result = self._send(node, (0,))
        match = _STORED.search(result.out + result.err)
        assert match is not None, str(result)
        self._load.acknowledged(Ack(int(match[1]), node, begin))
        self._parent = node
        self._load.report.count('pushes')

    def _send(self, node: str, ok: tuple[int, ...]) -> Result:
        return self._repo.run('push', '--bundle-store', '-r', node, ok=ok)

    def _pull(self) -> None:
        ack = self._load.recent(self._rng)
        if ack is not None:
            self._repo.run('pull', '--quiet', '-r', ack.node)
            self._load.report.count('pulls')

    def _list(self) -> None:
        # a server without pushes has nothing to list
        if self._load.recent(self._rng) is not None:
            self._repo.run('pushes', '--limit', '20')
            self._load.report.count('lists')

    def _browse(self) -> None:
        ack = self._load.recent(self._rng)
        if ack is None:
            return
        for path in self._rng.sample(
            [
                f'rev/{ack.node}',
                f'raw-rev/{ack.node[:12]}',
                f'log/{ack.node}',
                f'archive/{ack.node}.tar.gz',
                f'bundle/{ack.push}',
                'pushes',
                'json-pushes?version=2&full=1',
                'atom-pushes',
            ],
            3,
        ):
            self._load.get(path)
