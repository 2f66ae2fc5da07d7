"""``make kills COUNT=1000``: real clients push over ssh and http, and servers
are killed at moments that nobody chose.

In each round some clients push at the same time, and some of their servers get
SIGKILL: over ssh the process that serves one client, over http the one that
serves them all, which is started again afterwards.

With ``make kills SEVERAL=1`` there are three copies of the base repository, as
on three machines, with one index in PostgreSQL and one store that speaks S3;
each client pushes to one of them, and another each time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from harness import forked, history, matrix
from harness.backends import KINDS, ObjectStore, PostgreSQL, Rclone, session
from harness.hg import Hg, Repo, Result, finish
from harness.inspector import Inspector
from harness.servers import (
    HttpTransport,
    SshTransport,
    serve_bundlestore,
)
from harness.snapshot import untouched
from harness.store import folder as storefolder
from hgext3rd.bundlestore import backends, model

from . import invariants

#: a chain of changesets ends after so many, and another begins
CHAIN = 12


class Attempt(NamedTuple):
    """A push that is under way."""

    client: Client
    process: forked.Process
    node: str
    bookmark: str


class Client:
    """Somebody who pushes one changeset on top of the other."""

    def __init__(
        self, repo: Repo, name: str, http: bool, start: str, urls: list[str]
    ) -> None:
        self.repo = repo
        self._urls = urls
        self.name = name
        self.http = http
        self._start = start
        self._count = 0

    def commit(self) -> str:
        """Return a new changeset."""
        self._count += 1
        return self.repo.commit(
            {f'{self.name}.txt': f'{self._count}\n' * 100},
            f'{self.name} {self._count}',
            parent=self._start if self._count % CHAIN == 1 else None,
        )

    def push(self, node: str) -> Attempt:
        """Start to push the changeset."""
        bookmark = f'scratch/{self.name}-{(self._count - 1) // CHAIN}'
        process = self.repo.start(
            *('push', '--bundle-store', '-r', node, '-B', bookmark),
            self._urls[self._count % len(self._urls)],
        )
        return Attempt(self, process, node, bookmark)


class Counts:
    """What came of it."""

    def __init__(self) -> None:
        self.pushes = 0
        self.kills = 0
        #: of the pushes
        self.acknowledged = 0
        self.absent = 0
        #: not acknowledged, and stored all the same, whole
        self.present = 0
        self.checks = 0

    def __str__(self) -> str:
        return (
            f'{self.kills} kills, {self.pushes} pushes:'
            f' {self.acknowledged} acknowledged and there, 0 of them lost;'
            f' {self.absent} neither, {self.present} there without an answer;'
            f' everything pulled and verified {self.checks} times'
        )


class Field:
    """Servers of a base repository below ``top``, and their clients. With
    ``config``, items of ``[bundlestore]``, there are three copies of it."""

    def __init__(
        self, top: Path, seed: int, config: Mapping[str, str] | None = None
    ) -> None:
        self.counts = Counts()
        self._chance = random.Random(seed)
        environ = {k: v for kind in KINDS for k, v in kind.environ.items()}
        if not config:
            environ.clear()
        self._config = dict(config or {})
        hg = Hg(matrix.NEWEST, True, {'TMPDIR': str(top / 'tmp'), **environ})
        (top / 'tmp').mkdir()
        self._root = top / 'served'
        self._root.mkdir()
        hashes = history.build(hg.plain(), self._root / 'base')
        self.base = Repo(hg, self._root / 'base')
        self.base.inspect('update', '--quiet', 'null')
        self._pristine = top / 'pristine'
        history.copy(self.base.path, self._pristine)
        serve_bundlestore(self.base, self._config)
        #: the copies, with the first one
        self.fronts = [self.base]
        for number in (1, 2) if config else ():
            copy = Repo(hg, self._root / f'mirror{number}')
            history.copy(self.base.path, copy.path)
            self.fronts.append(copy)
        self._hg = hg
        self._top = top
        self._ssh = SshTransport(hg, self._root)
        self._http = HttpTransport(hg, self._root)
        self._clients = []
        for number in range(8):
            repo = Repo(hg, top / f'client{number}')
            history.copy(self._pristine, repo.path)
            # one process serves all those of http, so fewer will do
            http = number % 4 == 1
            transport = self._http if http else self._ssh
            transport.connect(repo, self.base)
            repo.enable()
            urls = [transport.url(front) for front in self.fronts]
            self._clients.append(
                Client(repo, f'c{number}', http, hashes.tagged, urls)
            )
        #: how long a push takes, in seconds; a guess, then an average
        self._long = 0.5
        #: heads of the pushes that are there, oldest first
        self._there: list[str] = []
        self._bookmarks: dict[str, str] = {}
        self._unchecked: list[str] = []

    # -- a round

    def round(self) -> None:
        """Have every client push, and kill some servers."""
        nodes = [client.commit() for client in self._clients]
        begin = time.monotonic()
        attempts = [c.push(n) for c, n in zip(self._clients, nodes)]
        self._kill(attempts, begin)
        results = [finish(a.process, ok=None) for a in attempts]
        if self._http.process is not None and self._http.process.poll():
            self._http.process = None
            self._http.start()
        self._compare(attempts, results)

    def _kill(self, attempts: list[Attempt], begin: float) -> None:
        moments: list[tuple[float, Callable[[], bool]]] = []
        for attempt in attempts:
            if not attempt.client.http and self._chance.random() < 0.9:
                moments.append((self._moment(), partial(_killssh, attempt)))
        if self._chance.random() < 0.9:
            moments.append((self._moment(), partial(self._killhttp, attempts)))
        else:
            # nobody is in the way of this round's measure of time
            attempts[1].process.wait()
            self._long += (time.monotonic() - begin - self._long) / 4
        for moment, kill in sorted(moments, key=lambda pair: pair[0]):
            time.sleep(max(0, begin + moment - time.monotonic()))
            self.counts.kills += kill()

    def _moment(self) -> float:
        """Return when to kill, in seconds; more often towards the end of a
        push, when a server writes."""
        first = 0.5 if self._chance.random() < 0.7 else 0.1
        return self._chance.uniform(first, 1.05) * self._long

    def _killhttp(self, attempts: list[Attempt]) -> bool:
        if all(a.process.poll() is not None for a in attempts if a.client.http):
            return False
        process = self._http.process
        assert process is not None
        process.kill()
        process.wait()
        return True

    def _compare(self, attempts: list[Attempt], results: list[Result]) -> None:
        """Compare what the clients were told with what is there."""
        with self._opened() as (store, index):
            if self._config:
                # waits for what servers are at that nobody waits for any more
                index.forgetmoves(0)
            new = index.pushes()[len(self._there) :]
            for push in new:
                with store.open(push.key) as reader:
                    reader.read()
        heads = [head.node.hex() for push in new for head in push.heads]
        self._there += heads
        self._unchecked += heads
        for attempt, result in zip(attempts, results):
            self.counts.pushes += 1
            _checkclient(result)
            stored = re.search(r'stored .* as push \d+', result.out)
            if stored and result.code == 0:
                assert attempt.node in heads, f'lost: {attempt.node}\n{result}'
                self.counts.acknowledged += 1
            elif attempt.node in heads:
                self.counts.present += 1
            else:
                self.counts.absent += 1
                continue
            heads.remove(attempt.node)
            self._bookmarks[attempt.bookmark] = attempt.node
        assert not heads, f'there, and nobody pushed it: {heads}'

    # -- everything

    def check(self) -> None:
        """Check all that is there; pull what came since the last time."""
        with self._opened() as (store, index):
            pushes = index.pushes()
            heads = [h.node.hex() for push in pushes for h in push.heads]
            assert heads == self._there
            for push in pushes:
                assert set(index.locate(push.changesets)) == set(
                    push.changesets
                )
                assert set(index.bundles([push.key, *push.rests])) == {
                    push.key,
                    *push.rests,
                }
            marks = {mark.name: mark.node.hex() for mark in index.bookmarks()}
            assert marks == self._bookmarks
            for key in list(store.keys()):
                with store.open(key) as reader:
                    reader.read()
        if not self._config:
            invariants.checkdatabase(storefolder(self.base))
        clone = Repo(self._hg, self._top / 'clone')
        history.copy(self._pristine, clone.path)
        revs = [word for head in self._unchecked for word in ('-r', head)]
        if revs:
            clone.run(
                *('pull', '--quiet', *revs, self._ssh.url(self.fronts[-1])),
                config=self._ssh.commandline(),
            )
        for head in self._unchecked:
            assert clone.knows(head)
        clone.verify()
        shutil.rmtree(clone.path)
        self._unchecked.clear()
        self.counts.checks += 1

    def _opened(self) -> AbstractContextManager[tuple[Any, Any]]:
        folder = storefolder(self.base)
        if not self._config:
            return invariants.opened(folder)
        place = model.Place(os.fsencode(folder), config=self._config)
        store = backends.openstore(self._config['store'], place)
        index = backends.openindex(self._config['index'], place)
        return contextlib.nullcontext((store, index))

    def close(self) -> None:
        self._http.close()


def _killssh(attempt: Attempt) -> bool:
    """Kill the server of a client, once there is one; False if there is none
    any more."""
    while attempt.process.poll() is None:
        killed = False
        for pid in below(attempt.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed = True
        if killed:
            return True
        time.sleep(0.001)
    return False


def below(pid: int) -> list[int]:
    """Return the processes that a process started, and so on."""
    try:
        text = Path(f'/proc/{pid}/task/{pid}/children').read_text()
    except OSError:
        return []
    children = [int(word) for word in text.split()]
    return children + [pid for child in children for pid in below(child)]


def _checkclient(result: Result) -> None:
    """A client whose server dies sees one line about it."""
    aborts = re.findall(r'^abort: ', result.err, re.MULTILINE)
    assert len(aborts) == (result.code != 0), str(result)


def run(
    count: int,
    seed: int,
    top: Path,
    say: Callable[[str], None],
    config: Mapping[str, str] | None = None,
) -> Counts:
    """Kill servers at least ``count`` times. Raises at the first push that is
    not as it should be. ``config`` is as in ``Field``."""
    field = Field(top, seed, config)
    say(f'seed {seed}')
    try:
        with contextlib.ExitStack() as stack:
            for front in field.fronts:
                stack.enter_context(untouched(front.path))
            checked = 0
            while field.counts.kills < count:
                field.round()
                if field.counts.kills - checked >= 50:
                    field.check()
                    checked = field.counts.kills
                    say(str(field.counts))
            field.check()
    finally:
        field.close()
    return field.counts


def elsewhere(postgresql: PostgreSQL, objects: ObjectStore) -> dict[str, str]:
    """Return the items of ``[bundlestore]`` for a new index and a new store
    on servers."""
    url = postgresql.fresh()
    index = backends.openindex(url, model.Place(b''))
    index.schema(create=True)
    index.close()
    return {'index': url, 'store': objects.fresh()}


def main() -> None:
    parser = argparse.ArgumentParser(prog='make kills')
    parser.add_argument('--count', type=int, default=1000)
    parser.add_argument('--seed', type=int, default=int(time.time()))
    parser.add_argument('--several', action='store_true')
    args = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix='bundlestore-kills-'))
    session.begin(None)
    config = None
    try:
        if args.several:
            for kind in KINDS:
                os.environ.update(kind.environ)
            config = elsewhere(
                session.shared(PostgreSQL), session.shared(Rclone)
            )
        counts = run(
            args.count,
            args.seed,
            top,
            lambda line: print(line, flush=True),
            config,
        )
        print(counts)
    finally:
        session.end()
        Inspector.stopall()
        shutil.rmtree(top)


if __name__ == '__main__':
    main()
