"""Many clients at once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from .. import measure
from ..measure import Command, CommandFailed
from ..place import say
from ..repositories import remove
from ..systems.base import System
from .context import Context

#: what Mercurial says when another process has the lock
WAITING = 'waiting for lock on'


def measure_crowd(context: Context) -> None:
    """Rows ``crowd/…``: pushes a second, with something to send and with
    nothing, and the longest that anybody waited."""
    rows = [f'crowd/{row}' for row in ('rate', 'nothing', 'worst', 'waits')]
    commands: dict[str, tuple[list[list[Command]], list[list[Command]]]] = {}
    for system in context.systems:
        with context.results.trying(system.key, *rows):
            say(f'{system.key}: {context.sizes.clients} clients')
            commands[system.key] = _prepare(context, system)
    for number in range(context.sizes.crowdrounds):
        say(f'round {number + 1} with {context.sizes.clients} clients at once')
        for system in context.systems[:: -1 if number % 2 else 1]:
            if context.results.failed(rows[0], system.key):
                continue
            with context.results.trying(system.key, *rows):
                _round(context, system, number, *commands[system.key])
    for system in context.systems:
        remove(*system.folder.glob('crowd-*'))


def _prepare(
    context: Context, system: System
) -> tuple[list[list[Command]], list[list[Command]]]:
    """Return for each client what it pushes, in all rounds, and the same
    with nothing to send."""
    sizes = context.sizes
    server = system.server('crowd-server', context.releases)
    first = system.client('crowd-client', context.releases)
    each = sizes.pushes * sizes.crowdrounds
    revisions = system.changes(first, 1, each * sizes.clients)
    full, empty = [], []
    for number in range(sizes.clients):
        client = system.twin(first, f'crowd-{number}')
        made = revisions[number * each : (number + 1) * each]
        full.append([system.push(client, server, one) for one in made])
        empty.append([system.push(client, server, None)] * sizes.pushes)
    if context.sizes.warmup:
        measure.run(empty[0][0])
    return full, empty


def _round(
    context: Context,
    system: System,
    number: int,
    full: list[list[Command]],
    empty: list[list[Command]],
) -> None:
    results, pushes = context.results, context.sizes.pushes
    part = slice(number * pushes, (number + 1) * pushes)
    rate, _, _, _ = _crowd(empty)
    results.add('crowd/nothing', system.key, rate)
    rate, worst, waits, failures = _crowd([one[part] for one in full])
    results.add('crowd/rate', system.key, rate)
    results.add('crowd/worst', system.key, worst)
    results.add('crowd/waits', system.key, waits * 100)
    if failures:
        results.note('crowd/rate', system.key, f'{len(failures)} failed')
        say(f'{system.key}: {failures[0]}')


def _crowd(
    commands: Sequence[Sequence[Command]],
) -> tuple[float, float, float, list[str]]:
    """Run the commands of each client one after the other, the clients at
    once. Return commands a second, the seconds of the slowest, the share of
    those that waited for a lock, and why others failed."""
    times: list[float] = []
    waits: list[bool] = []
    failures: list[str] = []

    def client(own: Sequence[Command]) -> None:
        for command in own:
            try:
                sample = measure.runalone(command)
            except CommandFailed as exc:
                failures.append(str(exc))
                continue
            times.append(sample.wall)
            waits.append(WAITING in sample.output)

    measure.settle()
    started = time.perf_counter()
    with ThreadPoolExecutor(len(commands)) as pool:
        list(pool.map(client, commands))
    took = time.perf_counter() - started
    measure.settle()
    if not times:
        raise CommandFailed(failures[0])
    return len(times) / took, max(times), sum(waits) / len(times), failures
