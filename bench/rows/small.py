"""Pushes and pulls of one changeset, and what the same takes with nothing."""

from __future__ import annotations

from pathlib import Path

from ..measure import Command
from ..place import say
from ..repositories import Template
from ..systems.base import System
from .context import Context, Entry, alternate, each


def measure_stored(context: Context) -> None:
    """Rows ``floor``, ``push/N``, ``pullfloor`` and ``pull``: with N pushes
    stored. All run in the same rounds."""
    entries: list[Entry] = []
    sizes = context.sizes
    # two more rounds than needed: one to warm up, one to pull
    count = sizes.rounds + 2
    middle = sizes.levels[-1]
    for system in context.columns:
        levels: tuple[int, ...] = (0, *sizes.levels)
        if system is context.ours:
            levels += sizes.highlevels
        for level in levels:
            rows = [f'push/{level}']
            if level == 0:
                rows.append('floor')
            if level == middle:
                rows += ['pull', 'pullfloor']
            with context.results.trying(system.key, *rows):
                say(f'{system.key}: {level} pushes')
                entries += _entries(context, system, level, count, middle)
    say(f'{sizes.rounds} rounds of pushes and pulls of one changeset')
    alternate(context, entries, sizes.rounds)


def _entries(
    context: Context, system: System, level: int, count: int, middle: int
) -> list[Entry]:
    template = context.releases
    server = system.server(f'server-{level}', template, level)
    client = system.client(f'client-{level}', template)
    made = system.changes(client, level, count)
    first, *others = made
    give = each(others)
    entries = [
        Entry(
            f'push/{level}',
            system.key,
            lambda _: system.push(client, server, give()),
        )
    ]
    if level == 0:
        entries.append(
            Entry(
                'floor', system.key, lambda _: system.push(client, server, None)
            )
        )
    if level == middle:
        entries += pulls(system, template, server, client, first)
    return entries


def pulls(
    system: System,
    template: Template,
    server: Path,
    client: Path,
    revision: str,
    prefix: str = '',
) -> list[Entry]:
    """Return the rows ``pull`` and ``pullfloor``, in clients that have
    nothing but what is in the base repository."""
    from .. import measure

    measure.run(system.push(client, server, revision))
    reader = f'reader-{prefix}'
    idle = system.client(f'idle-{prefix}', template)

    def pull(_round: int) -> Command:
        # a copy in the place of the one that has the changeset now
        fresh = system.client(reader, template)
        return system.pull(fresh, server, revision)

    return [
        Entry(f'{prefix}pull', system.key, pull),
        Entry(
            f'{prefix}pullfloor',
            system.key,
            lambda _: system.pull(idle, server, None),
        ),
    ]
