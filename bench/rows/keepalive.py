"""Clients that keep their connections, against gunicorn: how many pushes a
second, and how long each takes; then with ``gc`` and pages at the same time.

A push is one request, ``unbundle``, and its answer: the questions before it are
not asked, as they would be alike for all.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from harness.soak import look
from hgext3rd.bundlestore import backends, model

from .. import handmade, measure, wires
from ..clients import Answer, Crowd, Tally, get, post, together
from ..measure import Command, CommandFailed
from ..place import say
from ..repositories import remove
from ..systems.hg import HgSystem
from ..systems.ours import Ours
from .context import Context

#: of the server
PROCESSES = 4
#: pages a second beside pushes, and how many users wait for one at a time
PAGES, READERS = 50.0, 16

_HEADERS = (
    'Content-Type: application/mercurial-0.1',
    'Accept: application/mercurial-0.1',
    # heads: force
    'X-HgArg-1: heads=666f726365',
)
_FIGURES = ('rate', 'p50', 'p99', 'worst', 'errors', 'memory')
ROWS = (*_FIGURES, 'cpu')
BUSY = (*_FIGURES, 'pages', 'pages99')


def measure_keepalive(context: Context) -> None:
    """Rows ``keepalive/…``, and ``busy/…`` for what goes on beside."""
    ground = handmade.Ground.of(
        context.place, context.plain.maker, context.releases
    )
    for system in (context.ours, context.plain):
        rows = [f'keepalive/{row}' for row in ROWS]
        rows += [f'busy/{row}' for row in BUSY]
        say(f'{system.key}: {context.sizes.connections} connections')
        with context.results.trying(system.key, *rows):
            _System(context, system, ground).measure()
        remove(*system.folder.glob('keepalive*'))


class _System:
    """A server of a system, and what was pushed to it."""

    def __init__(
        self, context: Context, system: HgSystem, ground: handmade.Ground
    ) -> None:
        self._context = context
        self._system = system
        self._path = system.server('keepalive', context.releases)
        isours = system is context.ours
        parameters = b'BUNDLESTORE=1' if isours else b''
        self._pushes = handmade.pushes(ground, parameters)
        self._stored = 0

    def measure(self) -> None:
        results, key = self._context.results, self._system.key
        with wires.workers(self._system, self._path, PROCESSES) as server:
            # a folder for each of the first pushes, and what caches hold
            self._push(server, self._context.sizes.connectionseconds / 4)
            spent = server.seconds
            tally = self._push(server)
            spent = server.seconds - spent
            self._add('keepalive', tally, server)
            results.add('keepalive/cpu', key, spent * 1000 / len(tally.times))
            if isinstance(self._system, Ours):
                self._busy(server, self._system)
            else:
                for row in BUSY:
                    results.lack(f'busy/{row}', key, '–')

    def _push(
        self,
        server: wires.Workers,
        seconds: float | None = None,
        beside: Coroutine[Any, Any, None] | None = None,
    ) -> Tally:
        """Push for so long."""
        sizes = self._context.sizes
        seconds = sizes.connectionseconds if seconds is None else seconds
        path = f'{server.path}?cmd=unbundle'
        requests = (post(path, _HEADERS, body) for body in self._pushes)
        crowd = Crowd(server.port, _isstored)
        jobs = [crowd.inturn(requests, sizes.connections, seconds)]
        if beside is not None:
            jobs.append(beside)
        together(*jobs)
        if not crowd.tally.times:
            raise CommandFailed(crowd.tally.errors[0])
        self._stored += len(crowd.tally.times)
        return crowd.tally

    def _add(self, row: str, tally: Tally, server: wires.Workers) -> None:
        results, key = self._context.results, self._system.key
        for name, value in (
            ('rate', tally.rate),
            ('p50', tally.at(0.5)),
            ('p99', tally.at(0.99)),
            ('worst', max(tally.times)),
            ('errors', len(tally.errors)),
            ('memory', max(look(pid).memory for pid in server.pids) / 1e6),
        ):
            results.add(f'{row}/{name}', key, value)
        if tally.again:
            note = f'{tally.again} connections were closed'
            results.note(f'{row}/errors', key, note)
        for text in tally.errors[:3]:
            say(f'{key}: {text}')

    # -- with gc and pages

    def _busy(self, server: wires.Workers, ours: Ours) -> None:
        """Push while ``gc`` removes what was pushed before, and pages are
        looked at."""
        seconds = self._context.sizes.connectionseconds
        crowd = Crowd(server.port, lambda answer: answer.status == 200)
        pages = itertools.cycle(
            [get(f'{server.path}/{page}') for page in self._pages(ours)]
        )
        # what the pages show is younger, however slow the machine is
        age = max(seconds * 1.5, 10)
        beside = crowd.steadily(pages, READERS, PAGES, seconds)
        with _Collector(ours, self._path, age) as collector:
            tally = self._push(server, beside=beside)
        failed = len(tally.errors)
        tally.errors += crowd.tally.errors
        self._add('busy', tally, server)
        add = self._context.results.add
        add('busy/pages', ours.key, crowd.tally.rate)
        add('busy/pages99', ours.key, crowd.tally.at(0.99))
        say(f'gc ran {collector.runs} times, removed {collector.removed}')
        self._check(ours, failed, collector.removed)

    def _pages(self, ours: Ours) -> Iterator[str]:
        """Yield pages of the last pushes, which ``gc`` leaves alone."""
        with _index(ours, self._path) as index:
            last = index.lastid()
            for push in index.pushes(first=max(last - 20, 1)):
                yield 'pushes'
                yield f'push/{push.id}'
                yield f'rev/{push.heads[0].node.hex()}'

    def _check(self, ours: Ours, failed: int, removed: int) -> None:
        """See whether all is there that a client was told of."""
        with _index(ours, self._path) as index:
            found = index.statistics().pushes
        expected = self._stored - removed
        # what failed may be stored or not
        if not expected <= found <= expected + failed:
            raise CommandFailed(f'{found} pushes are stored, not {expected}')
        self._context.place.quietly(
            *(ours.mercurial.hg, 'admin::bundlestore-verify'), cwd=self._path
        )


def _isstored(answer: Answer) -> bool:
    body = answer.body.lower()
    return b'reply:changegroup' in body and b'error:' not in body


@contextlib.contextmanager
def _index(ours: Ours, server: Path) -> Iterator[Any]:
    place = model.Place(os.fsencode(ours.folderof(server)))
    with contextlib.closing(backends.openindex('file', place)) as index:
        yield index


class _Collector:
    """Runs ``gc`` again and again, as the timer of ``docs/deployment`` runs it
    once; what is older than so many seconds goes."""

    def __init__(self, ours: Ours, server: Path, age: float) -> None:
        self.runs = self.removed = 0
        self._command = Command(
            [
                *('nice', '-n', '10', ours.mercurial.hg),
                *(
                    'admin::bundlestore-gc',
                    '--older-than',
                    f'{age:.0f} seconds',
                ),
                *('--template', '{kind}\n'),
            ],
            server,
            ours.place.environ(),
        )
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> _Collector:
        self._work = self._pool.submit(self._collect)
        return self

    def _collect(self) -> None:
        while not self._ended.is_set():
            output = measure.runalone(self._command).output
            self.removed += output.split().count('push')
            self.runs += 1

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._pool.shutdown()
        self._work.result()
