"""What a server that stays spends on one push and one pull over http."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .. import measure, wires
from ..place import say
from ..replay import Change, Connection, Recorder, Request
from ..repositories import remove
from ..systems.hg import HgSystem
from .context import Context

#: what is asked by the request that pushes, and by the one that pulls
ACTIONS = {'push': 'unbundle', 'pull': 'getbundle'}


class _Server(NamedTuple):
    """A server that runs, and what is asked of it."""

    workers: wires.Workers
    changes: Sequence[Change]
    #: the requests of a client, by action; they are about the first change
    recorded: dict[str, list[Request]]


def measure_resident(context: Context) -> None:
    """Rows ``resident/…``: processor time of gunicorn with one process, a
    request, in ms."""
    count, rounds = context.sizes.requests, context.sizes.requestrounds
    say(f'{rounds} times {count} pushes and pulls over http, by hand')
    rows = [f'resident/{action}' for action in ACTIONS]
    rows += [f'{row}/all' for row in rows]
    servers: dict[str, _Server] = {}
    with contextlib.ExitStack() as stack:
        for system in (context.ours, context.plain):
            with context.results.trying(system.key, *rows):
                servers[system.key] = _start(stack, context, system)
        for number in range(rounds):
            order = list(servers.items())
            for key, server in order[:: -1 if number % 2 else 1]:
                if not context.results.failed(rows[0], key):
                    with context.results.trying(key, *rows):
                        _round(context, key, server, number)
    for system in (context.ours, context.plain):
        remove(*system.folder.glob('resident-*'))


def _start(
    stack: contextlib.ExitStack, context: Context, system: HgSystem
) -> _Server:
    count = context.sizes.requests * context.sizes.requestrounds + 1
    path = system.server('resident-server', context.releases)
    workers = stack.enter_context(wires.workers(system, path, 1))
    client = system.client('resident-client', context.releases)
    nodes = system.changes(client, 1, count)
    changes = _changes(system, client, nodes)
    recorder = Recorder(workers.port)
    with contextlib.closing(recorder):
        url = recorder.url + workers.path
        recorded = {}
        measure.run(system.push(client, url, nodes[0]))
        recorded['push'] = recorder.requests()
        reader = system.client('resident-reader', context.releases)
        measure.run(system.pull(reader, url, nodes[0]))
        recorded['pull'] = recorder.requests()
    return _Server(workers, changes, recorded)


def _changes(
    system: HgSystem, client: Path, nodes: Sequence[str]
) -> list[Change]:
    order = {'do': 'changegroups', 'repo': str(client), 'nodes': nodes}
    found: list[list[str]] = system.place.hgwork(system.maker, order)
    return [
        Change(bytes.fromhex(node), [bytes.fromhex(one) for one in versions])
        for node, versions in zip(nodes, found)
    ]


def _round(context: Context, key: str, server: _Server, number: int) -> None:
    count = context.sizes.requests
    first, *others = server.changes
    mine = others[number * count : (number + 1) * count]
    for action, command in ACTIONS.items():
        recorded = server.recorded[action]
        spent = {True: 0.0, False: 0.0}
        # what asks first, then what does it
        for last in (False, True):
            asked = [
                request.about(first, change)
                for change in mine
                for request in recorded
                if (request.command == command) is last
            ]
            workers = server.workers
            before = workers.seconds
            with contextlib.closing(Connection(workers.port)) as connection:
                for request in asked:
                    connection.ask(request)
            spent[last] = (workers.seconds - before) * 1000 / count
        row = f'resident/{action}'
        context.results.add(row, key, spent[True])
        context.results.add(f'{row}/all', key, sum(spent.values()))
