"""What stored pushes take on disk, and how fast the index answers."""

from __future__ import annotations

import os
import statistics
import time
from typing import Callable

from .. import measure
from ..place import say
from ..repositories import remove
from ..systems.base import Unavailable
from ..systems.infinitepush import InfinitePush
from .context import Context


def measure_stack(context: Context) -> None:
    """Rows ``stack/…``: a stack is pushed again and again, with another
    changeset at its top."""
    sizes = context.sizes
    for system in context.systems:
        with context.results.trying(system.key, 'stack/bytes', 'stack/index'):
            say(f'{system.key}: a stack, pushed {sizes.tops} times')
            server = system.server('stack-server', context.releases)
            client = system.client('stack-client', context.releases)
            tops = system.stack(client, sizes.height, sizes.tops)
            # the empty store, where a repository is none
            before = system.storedbytes(server)
            for top in tops:
                measure.run(system.push(client, server, top))
            after = system.storedbytes(server)
            context.results.add('stack/bytes', system.key, after - before)
            try:
                grown = system.indexbytes(server)
                context.results.add('stack/index', system.key, grown)
            except Unavailable as exc:
                context.results.lack('stack/index', system.key, str(exc))
        remove(*system.folder.glob('stack-*'))


def measure_index(context: Context) -> None:
    """Rows ``index/…``: bytes a node, for pushes of one changeset; and the
    look-ups of a process that has the index open."""
    results = context.results
    rows = [f'index/{row}' for row in ('bytes', 'hit', 'miss', 'prefix')]
    with results.trying('ours', *rows):
        _ours(context)
    for system in context.systems:
        if isinstance(system, InfinitePush):
            level = context.sizes.levels[-1]
            with results.trying(system.key, rows[0]):
                size = system.indexbytes(system.folder / f'server-{level}')
                results.add(rows[0], system.key, size / level)
            results.lack('index/prefix', system.key, 'impossible')


def _ours(context: Context) -> None:
    from hgext3rd.bundlestore import backends, model

    results, ours = context.results, context.ours
    level = max(ours.stores)
    folder = ours.folderof(ours.folder / f'server-{level}')
    size = ours.indexbytes(ours.folder / f'server-{level}')
    results.add('index/bytes', 'ours', size / level)
    index = backends.openindex('file', model.Place(os.fsencode(folder)))
    last = index.lastid()
    known = [
        index.push(1 + number * (last - 1) // 200).nodes[0]
        for number in range(200)
    ]
    unknown = [os.urandom(20) for _ in known]
    calls: dict[str, Callable[[bytes], object]] = {
        'index/hit': lambda node: index.locate([node]),
        'index/miss': lambda node: index.locate([node]),
        'index/prefix': lambda node: index.nodes(node.hex()[:12]),
    }
    for row, call in calls.items():
        times = []
        for node in unknown if row == 'index/miss' else known:
            started = time.perf_counter()
            found = call(node)
            times.append(time.perf_counter() - started)
            if bool(found) != (row != 'index/miss'):
                raise ValueError(f'wrong answer of {row}')
        # one figure, as 200 would say no more
        results.add(row, 'ours', statistics.median(times) * 1000)
        results.note(row, 'ours', f'at most {max(times) * 1000:.2f}')
    index.close()
