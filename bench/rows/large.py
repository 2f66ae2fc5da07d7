"""Pushes and pulls of very much: time, memory of the server, the limits."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from .. import measure
from ..measure import Command
from ..place import say
from ..repositories import remove
from ..systems.base import System
from .context import Context


def measure_large(context: Context) -> None:
    """Rows ``medium/…`` and ``large/…``."""
    for kind in ('medium', 'large'):
        size = getattr(context.sizes, kind)
        rows = [f'{kind}/push', f'{kind}/pushpeak']
        sources: dict[str, tuple[Path, str]] = {}
        for system in context.systems:
            with context.results.trying(system.key, *rows):
                say(f'{system.key}: a changeset of {size // 1_000_000} MB')
                client = system.client(f'{kind}-client', context.releases)
                sources[system.key] = client, system.big(client, size)
        for number in range(context.sizes.largerounds):
            say(f'round {number + 1} of {kind} pushes')
            for system in _turned(context, number):
                if not context.results.failed(rows[0], system.key):
                    client, revision = sources[system.key]
                    _round(context, system, kind, client, revision)
        for system in context.systems:
            remove(*system.folder.glob(f'{kind}-*'))


def _turned(context: Context, number: int) -> list[System]:
    systems = list(context.systems)
    return systems[::-1] if number % 2 else systems


def _round(
    context: Context, system: System, kind: str, client: Path, revision: str
) -> None:
    """Push to a server that has nothing yet; pull, where it is ``large``."""
    results = context.results
    ssh = context.place.peakssh
    server = system.server(f'{kind}-server', context.releases)
    with results.trying(system.key, f'{kind}/push', f'{kind}/pushpeak'):
        command = system.push(client, server, revision, ssh)
        _timed(context, system, f'{kind}/push', command)
    if kind != 'large':
        return
    if results.failed('large/push', system.key):
        for row in ('large/pull', 'large/pullpeak'):
            results.fail(row, system.key, 'nothing to pull')
        return
    with results.trying(system.key, 'large/pull', 'large/pullpeak'):
        reader = system.client('large-reader', context.releases)
        command = system.pull(reader, server, revision, ssh)
        _timed(context, system, 'large/pull', command)
        remove(reader)
    if system is context.ours:
        _limits(context, server, client, revision)


def _timed(
    context: Context, system: System, row: str, command: Command
) -> None:
    measure.settle()
    sample = measure.run(command)
    context.results.addrun(row, system.key, sample)
    used = context.place.finished()
    context.results.add(f'{row}peak', system.key, used['peak'])
    context.results.add(f'{row}servercpu', system.key, used['cpu'])


def _limits(
    context: Context, server: Path, client: Path, revision: str
) -> None:
    """What cannot be beaten: to copy the same bytes, and to unpack them. And
    the server alone: it reads from a file what the client had sent."""
    results, ours, place = context.results, context.ours, context.place
    with results.trying('limit', 'large/copy', 'large/pull'):
        bundle = ours.largest(server)
        measure.settle()
        results.add('large/copy', 'limit', copytime(bundle, place.run / 'copy'))
        plain = context.plain
        reader = plain.client('large-reader', context.releases)
        measure.settle()
        words: list[measure.Argument] = [plain.mercurial.hg, 'unbundle', bundle]
        sample = measure.run(Command(words, reader, place.environ()))
        results.addrun('large/pull', 'limit', sample)
        remove(reader)
    with results.trying('ours', 'large/server'):
        fresh = ours.server('large-other', context.releases)
        measure.run(ours.push(client, fresh, revision, place.recordssh))
        # the same address, as it stands in what was recorded
        fresh = ours.server('large-other', context.releases)
        hg = ours.mercurial.hg
        words = [hg, '-R', fresh, 'serve', '--stdio']
        command = Command(words, place.run, place.environ(), stdin=place.record)
        measure.settle()
        results.addrun('large/server', 'ours', measure.run(command))
        started = measure.run(command._replace(stdin=None))
        results.addrun('large/serverstart', 'ours', started)
        place.record.unlink()
        stored = ours.storedbytes(fresh)
        if stored < context.sizes.large:
            raise measure.CommandFailed(f'only {stored} bytes were stored')
        remove(fresh)


def copytime(source: Path, target: Path) -> float:
    """Return the seconds that a copy takes until it is on the disk."""
    # read once, so that it is in memory as what comes from a client is
    with open(source, 'rb') as file:
        while file.read(1 << 20):
            pass
    started = time.perf_counter()
    with open(source, 'rb') as file, open(target, 'wb') as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
        copy.flush()
        os.fsync(copy.fileno())
    took = time.perf_counter() - started
    target.unlink()
    return took
