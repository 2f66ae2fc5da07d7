"""Servers for machines that fetch, and what is counted between the two."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Callable, NamedTuple

from harness import others
from harness.proxy import Proxy

from . import measure
from .measure import Argument, Command, CommandFailed
from .place import ROOT, Place
from .rows.web import PATIENCE, serving
from .systems.hg import HgSystem

#: of gunicorn: how many answer at the same time
PROCESSES, THREADS = 2, 4


class Cost(NamedTuple):
    """What a machine cost: bytes, and seconds."""

    bytes: float
    server: float
    client: float
    wall: float


class Meter(NamedTuple):
    """What was counted up to a moment: bytes, and seconds of the server and
    of what does the counting."""

    bytes: float
    server: float
    relay: float = 0


class Wire:
    """How a way gets to its server: ``url``, and ``read`` for the meter."""

    def __init__(self, url: str, read: Callable[[], Meter]) -> None:
        self.url = url
        self.read = read

    def spend(self, commands: Sequence[Command]) -> Cost:
        """Run commands one after the other, alone; return their cost."""
        before = self.read()
        samples = [measure.run(command) for command in commands]
        after = self.read()
        server = after.server - before.server
        relay = after.relay - before.relay
        client = sum(sample.cpu for sample in samples)
        if relay:
            # over ssh all of them are the client's children
            client -= server + relay
        wall = sum(sample.wall for sample in samples)
        return Cost(after.bytes - before.bytes, server, client, wall)


def ssh(place: Place, path: Path, slash: str) -> Wire:
    """Return the way by ssh to the repository at ``path``. For Mercurial a
    ``slash`` more stands in front of it."""

    def read() -> Meter:
        written = place.relayed
        lines = written.read_text().splitlines() if written.exists() else []
        found = [json.loads(line) for line in lines]
        return Meter(
            sum(line['up'] + line['down'] for line in found),
            sum(line['server'] for line in found),
            sum(line['relay'] for line in found),
        )

    return Wire(f'ssh://bench.example.org{slash}{path}', read)


@contextlib.contextmanager
def web(system: HgSystem, path: Path) -> Iterator[Wire]:
    """Serve by ``hg serve``."""
    with serving(system, path) as (url, pid), _counted(url, [pid]) as wire:
        yield wire


@contextlib.contextmanager
def gunicorn(
    system: HgSystem, path: Path, application: str = 'hgweb'
) -> Iterator[Wire]:
    """Serve by gunicorn, with ``hgweb`` for this repository alone, or with
    ``hgwebdir``, which opens the repository anew for each request."""
    with (
        workers(system, path, PROCESSES, application) as server,
        _counted(f'http://127.0.0.1:{server.port}', server.pids) as wire,
    ):
        wire.url += server.path
        yield wire


class Workers(NamedTuple):
    """A gunicorn that runs."""

    port: int
    #: of the repository, in URLs
    path: str
    #: of all its processes, the first of which answers no requests
    pids: list[int]

    @property
    def seconds(self) -> float:
        """The processor time that they took."""
        return sum(map(_seconds, self.pids))


@contextlib.contextmanager
def workers(
    system: HgSystem, path: Path, processes: int, application: str = 'hgweb'
) -> Iterator[Workers]:
    """Serve by gunicorn in so many processes, with threads: without them a
    connection ends with each answer."""
    folder = path.with_name('gunicorn')
    folder.mkdir(exist_ok=True)
    webconf = folder / 'hgweb.config'
    hgrc = (path / '.hg' / 'hgrc').read_text()
    webconf.write_text(f'[paths]\n{path.name} = {path}\n{hgrc}')
    order = {
        'packages': str(others.gunicorn(folder / 'packages')),
        'application': application,
        'lazy': False,
        'root': str(path.parent),
        'webconf': str(webconf),
        'passwords': {},
        'settings': {
            'bind': '127.0.0.1:0',
            'workers': processes,
            'threads': THREADS,
            'worker_class': 'gthread',
            # longer than any client of the bench is silent
            'keepalive': 60,
            'errorlog': '-',
            'timeout': measure.PATIENCE,
            'graceful_timeout': 2,
        },
    }
    script = ROOT / 'tests' / 'harness' / 'wsgi.py'
    words: list[Argument] = [system.mercurial.python, '-I', script]
    words.append(json.dumps(order))
    output = folder / 'out'
    environ = system.place.environ()
    with measure.resident(words, folder, environ, output) as process:
        port, pids = _booted(output, processes)
        _warm(f'http://127.0.0.1:{port}/{path.name}', pids)
        yield Workers(port, f'/{path.name}', [process.pid, *pids])


def _warm(url: str, workers: list[int]) -> None:
    """Have each process open the repository."""
    cold = set(workers)
    while cold:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            cold.discard(int(answer.headers['X-Worker']))


def _booted(output: Path, processes: int) -> tuple[int, list[int]]:
    """Wait for gunicorn; return its port, and the ids of its processes."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        text = output.read_text()
        listens = re.search(r'Listening at: http://127\.0\.0\.1:(\d+) ', text)
        pids = re.findall(r'Booting worker with pid: (\d+)', text)
        if listens and len(pids) == processes:
            return int(listens[1]), [int(pid) for pid in pids]
        time.sleep(0.05)
    raise CommandFailed(f'gunicorn does not start: {output.read_text()}')


@contextlib.contextmanager
def _counted(url: str, pids: Sequence[int]) -> Iterator[Wire]:
    proxy = Proxy(int(url.rpartition(':')[2]))
    with contextlib.closing(proxy):
        yield Wire(
            f'http://127.0.0.1:{proxy.port}',
            lambda: Meter(proxy.count, sum(map(_seconds, pids))),
        )


def _seconds(pid: int) -> float:
    """Return the processor time of another process, all of its threads."""
    # clock_getcpuclockid(3), which Python does not have
    return time.clock_gettime((~pid << 3) | 2)


# -- the log

#: events that are answers: stored bytes as they are, or as ``way`` says
_SERVED = re.compile(
    r'> bundlestore \w+ (served|download)\b(?:.* way=(\w+))?', re.MULTILINE
)


def answers(server: Path) -> Counter[str]:
    """Return how often a server served stored changesets, by way."""
    path = server / '.hg' / 'blackbox.log'
    text = path.read_text('utf-8', 'replace') if path.exists() else ''
    return Counter(
        'verbatim' if event == 'download' else way
        for event, way in _SERVED.findall(text)
    )
