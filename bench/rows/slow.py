"""Over a slow network: a proxy between client and server, both on this
machine. A handshake of TCP takes its time there, ssh's own and TLS take none,
and no packet gets lost."""

from __future__ import annotations

import contextlib
import functools
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, NamedTuple

import environments
from harness.proxy import Proxy

from .. import githttp, measure
from ..dial import Exchange
from ..measure import Argument, Command, Sample
from ..place import say
from ..repositories import Template, remove
from ..systems.base import System, Unavailable
from ..systems.git import Git
from ..systems.hg import HgSystem
from .context import Context, each
from .web import serving


class Network(NamedTuple):
    """What the proxy does, as in ``proxy.py``."""

    title: str
    over: str
    delay: float = 0.0
    rate: float | None = None


NETWORKS = {
    'http': Network('http, 50 ms each way', 'http', delay=0.05),
    'ssh': Network('ssh, 50 ms each way', 'ssh', delay=0.05),
    'narrow': Network('http, 10 Mbit/s', 'http', rate=10e6 / 8),
}
#: what is done over each
ACTIONS = {
    'push': 'push of one changeset',
    'warm': 'push of one changeset, by chg',
    'next': 'push that rests on a stored one',
    'pull': 'pull -r of it',
    'barepull': 'pull -r of it, without the extension',
    'update': 'update to it, which fetches it',
    'clone': 'clone -r of it',
    'bareclone': 'clone -r of it, without the extension',
}
#: those of them in which only the server has the extension
BARE = ('barepull', 'bareclone')
#: what is counted of each, beside the time
COUNTS = {'trips': 'round trips', 'bytes': 'bytes'}


def rows(network: str) -> list[str]:
    return [f'slow/{network}/{action}' for action in ACTIONS]


class _Line:
    """The way from the clients of a system to a server of its own."""

    def __init__(
        self, proxy: Proxy, server: Argument, ssh: Path | None = None
    ) -> None:
        self._proxy = proxy
        self.server = server
        self.ssh = ssh

    def run(
        self, make: Callable[[], Command], staying: bool = False
    ) -> tuple[Sample, int, int]:
        """Return also how often the client waited for the server, and the
        bytes of both directions. What the command leaves behind is not waited
        for where it may be ``staying``."""
        proxy, command = self._proxy, make()
        before = proxy.connections + proxy.trips, proxy.count
        if staying:
            sample = measure.runalone(command)
            measure.spare()
        else:
            sample = measure.run(command)
        trips = proxy.connections + proxy.trips - before[0]
        return sample, trips, proxy.count - before[1]


def measure_slow(context: Context) -> None:
    """Rows ``slow/…``."""
    rounds = context.sizes.slowrounds
    for name, network in NETWORKS.items():
        say(f'{rounds} rounds by {network.title}')
        with contextlib.ExitStack() as stack:
            runs = []
            for system in context.columns:
                with context.results.trying(system.key, *rows(name)):
                    line = stack.enter_context(_line(context, system, network))
                    runs.append((system, _actions(context, system, line)))
                    if system is context.ours:
                        row = f'slow/{name}/warm'
                        with context.results.trying(system.key, row):
                            warm = stack.enter_context(_warm(context, line))
                            runs[-1][1].update(warm)
            for number in range(-context.sizes.warmup, rounds):
                for action in ACTIONS:
                    turned = number % (len(runs) or 1)
                    for system, run in runs[turned:] + runs[:turned]:
                        if action in run:
                            row = f'slow/{name}/{action}'
                            counts = number >= 0
                            _run(context, system, row, run[action], counts)
        for system in context.columns:
            remove(*system.folder.glob('slow-*'))


def _run(
    context: Context,
    system: System,
    row: str,
    action: Callable[[], tuple[Sample, int, int]],
    counts: bool,
) -> None:
    results = context.results
    if results.failed(row, system.key):
        return
    with results.trying(system.key, row):
        sample, trips, size = action()
        if counts:
            results.addrun(row, system.key, sample)
            results.add(f'{row}/trips', system.key, trips)
            results.add(f'{row}/bytes', system.key, size)


@contextlib.contextmanager
def _line(
    context: Context, system: System, network: Network
) -> Iterator[_Line]:
    server = system.server('slow-server', context.releases)
    with contextlib.ExitStack() as stack:
        place = context.place
        url = ''
        if network.over == 'ssh':
            exchange = Exchange(place.environ())
            stack.enter_context(contextlib.closing(exchange))
            port = exchange.port
        else:
            if isinstance(system, HgSystem):
                url, _ = stack.enter_context(serving(system, server))
            elif isinstance(system, Git):
                environ = place.environ()
                url = stack.enter_context(githttp.serving(server, environ))
            else:
                raise Unavailable('not measured')
            port = int(url.split(':')[2].partition('/')[0])
        proxy = Proxy(port)
        stack.enter_context(contextlib.closing(proxy))
        proxy.delay, proxy.rate = network.delay, network.rate
        if url:
            yield _Line(proxy, url.replace(f':{port}', f':{proxy.port}'))
        else:
            yield _Line(proxy, server, _ssh(context, system, proxy.port))


def _ssh(context: Context, system: System, port: int) -> Path:
    """Return a script to take for ssh, which dials a port."""
    dial = Path(__file__).resolve().parent.parent / 'dial.py'
    words = shlex.join([sys.executable, '-IS', str(dial), str(port)])
    path = system.folder / 'slow-ssh'
    path.write_text(
        f'#!/bin/sh\nfor command; do :; done\nexec {words} "$command"\n'
    )
    path.chmod(0o755)
    return path


def _actions(
    context: Context, system: System, line: _Line
) -> dict[str, Callable[[], tuple[Sample, int, int]]]:
    template, server, ssh = context.releases, line.server, line.ssh
    client = system.client('slow-client', template)
    count = context.sizes.slowrounds + 2
    (top,) = system.stack(client, count, 1)
    first, *stack = system.lower(client, top, count)
    measure.run(system.push(client, server, first, ssh))
    give = each(system.changes(client, 2, count))
    # each rests on the one before
    following = each(stack)

    def pull() -> Command:
        reader = system.client('slow-reader', template)
        return system.pull(reader, server, first, ssh)

    def update() -> Command:
        reader = system.client('slow-reader', template)
        return system.update(reader, server, first, ssh)

    commands: dict[str, Callable[[], Command]] = {
        'push': lambda: system.push(client, server, give(), ssh),
        'next': lambda: system.push(client, server, following(), ssh),
        'pull': pull,
        'update': update,
        'clone': lambda: system.clone('slow-clone', server, first, ssh),
    }
    if isinstance(system, HgSystem):
        commands.update(_bare(system, template, line, first))
    return {
        action: functools.partial(line.run, command)
        for action, command in commands.items()
    }


@contextlib.contextmanager
def _warm(
    context: Context, line: _Line
) -> Iterator[dict[str, Callable[[], tuple[Sample, int, int]]]]:
    """Yield what a client does that has started before."""
    chg = environments.chg()
    if not chg.exists():
        for network in NETWORKS:
            row = f'slow/{network}/warm'
            context.results.lack(row, context.ours.key, 'no chg')
        yield {}
        return
    system = context.ours
    client = system.client('slow-warm', context.releases)
    # a socket has a short name
    sockets = Path(tempfile.mkdtemp(prefix='chg-'))
    names = {
        'CHGHG': str(system.mercurial.hg),
        'CHGSOCKNAME': str(sockets / 'server'),
    }

    def push(node: str) -> Command:
        command = system.push(client, line.server, node, line.ssh)
        words = [chg, *command.words[1:]]
        return command._replace(
            words=words, environ={**command.environ, **names}
        )

    first, *others = system.changes(client, 3, context.sizes.slowrounds + 2)
    give = each(others)
    try:
        measure.runalone(push(first))
        measure.spare()
        run = functools.partial(line.run, lambda: push(give()), staying=True)
        yield {'warm': run}
    finally:
        command = push(first)._replace(words=[chg, '--kill-chg-daemon'])
        measure.runalone(command)
        shutil.rmtree(sockets)


def _bare(
    system: HgSystem, template: Template, line: _Line, node: str
) -> dict[str, Callable[[], Command]]:
    """Return what clients do that have no extension on."""
    server, ssh = line.server, line.ssh

    def pull() -> Command:
        reader = system.bareclient('slow-reader', template)
        return system.pull(reader, server, node, ssh)

    return {
        'barepull': pull,
        'bareclone': lambda: system.bareclone('slow-clone', server, node, ssh),
    }
