"""The same over http, to a server that runs already."""

from __future__ import annotations

import contextlib
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from .. import measure
from ..measure import CommandFailed
from ..place import say
from ..repositories import remove
from ..systems.hg import HgSystem
from .context import Context, Entry, alternate, each

#: how long a server may take to start, in seconds
PATIENCE = 60


@contextlib.contextmanager
def serving(system: HgSystem, server: Path) -> Iterator[tuple[str, int]]:
    """Serve a repository; yield its URL and the server's process."""
    output = server.with_name(f'{server.name}.out')
    environ = system.place.environ()
    words = system.serve(server)
    with measure.resident(words, system.place.run, environ, output) as process:
        yield _address(output), process.pid


def _address(output: Path) -> str:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = re.match(r'http://[^/]*:(\d+)/\n', output.read_text())
        with contextlib.suppress(OSError):
            if found:
                url = f'http://127.0.0.1:{found[1]}'
                urllib.request.urlopen(url, timeout=PATIENCE).close()
                return url
        time.sleep(0.05)
    raise CommandFailed(f'the server does not answer: {output.read_text()}')


def measure_web(context: Context) -> None:
    """Rows ``http/floor`` and ``http/push``."""
    rounds = context.sizes.rounds
    with contextlib.ExitStack() as stack:
        entries: list[Entry] = []
        for system in (context.ours, context.plain):
            rows = ('http/floor', 'http/push')
            with context.results.trying(system.key, *rows):
                server = system.server('http-server', context.releases)
                client = system.client('http-client', context.releases)
                give = each(system.changes(client, 1, rounds + 1))
                url, _ = stack.enter_context(serving(system, server))
                entries += _entries(system, client, url, give)
        say(f'{rounds} rounds over http')
        alternate(context, entries, rounds)


def _entries(
    system: HgSystem, client: Path, url: str, give: object
) -> list[Entry]:
    assert callable(give)
    return [
        Entry(
            'http/floor',
            system.key,
            lambda _: system.push(client, url, None),
        ),
        Entry(
            'http/push',
            system.key,
            lambda _: system.push(client, url, give()),
        ),
    ]


def measure_weblarge(context: Context) -> None:
    """Rows ``http/large…``: memory of a server that takes and gives much."""
    rows = ('http/pushpeak', 'http/pullpeak')
    for system in (context.ours, context.plain):
        say(f'{system.key}: much over http')
        with context.results.trying(system.key, *rows):
            _large(context, system)
        remove(*system.folder.glob('http-*'))


def _large(context: Context, system: HgSystem) -> None:
    results = context.results
    client = system.client('http-client', context.releases)
    revision = system.big(client, context.sizes.large)
    server = system.server('http-server', context.releases)
    with serving(system, server) as (url, pid):
        measure.run(system.push(client, url, revision))
        results.add('http/pushpeak', system.key, measure.highwater(pid))
    # another one, as the highest is what counts
    with serving(system, server) as (url, pid):
        reader = system.client('http-reader', context.releases)
        measure.run(system.pull(reader, url, revision))
        results.add('http/pullpeak', system.key, measure.highwater(pid))
    if system is not context.ours:
        results.lack('http/bundlepeak', system.key, '–')
        return
    with (
        results.trying(system.key, 'http/bundlepeak'),
        serving(system, server) as (url, pid),
    ):
        received = 0
        with urllib.request.urlopen(f'{url}/bundle/1') as answer:
            while block := answer.read(1 << 20):
                received += len(block)
        if received < context.sizes.large:
            raise CommandFailed(f'only {received} bytes came')
        results.add('http/bundlepeak', system.key, measure.highwater(pid))
