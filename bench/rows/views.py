"""What views (workspaces, and backups of clones) cost the index."""

from __future__ import annotations

import os
import random
import statistics
import time
from typing import Any, Callable

from hgext3rd.bundlestore import backends, model
from hgext3rd.bundlestore.viewmodel import View

from .. import fill
from ..place import say
from .context import Context

#: key, and what the row is about
ACTIONS = {
    'new': 'a new one',
    'change': 'one more head',
    'large': 'one more head of many',
    'read': 'read',
}
#: how often each is done
_COUNT = 200


def measure_views(context: Context) -> None:
    """Rows ``views/…``: processor time, as the disk is that of the rows of
    pushes; and what a view takes."""
    rows = [f'views/{row}' for row in ('bytes', *ACTIONS)]
    with context.results.trying('ours', *rows), fill.workfolder() as folder:
        say('views in the index')
        index = backends.openindex('file', model.Place(os.fsencode(folder)))
        try:
            _measure(context, index)
        finally:
            index.close()


def _measure(context: Context, index: Any) -> None:
    sizes, results = context.sizes, context.results
    chance = random.Random(1)

    def made(number: int, heads: int = 2) -> View:
        nodes = sorted(chance.randbytes(20) for _head in range(heads))
        return View(
            *(f'user{number % 1000}', f'work{number}', tuple(nodes)),
            (('idea', nodes[0]),),
            time=1.7e9 + number,
            user=f'user{number % 1000}',
            machine='laptop',
        )

    def more(view: View) -> View:
        heads = sorted([*view.heads, chance.randbytes(20)])
        return view._replace(heads=tuple(heads))

    before = index.statistics().indexsize
    for number in range(sizes.views):
        index.putview(made(number), 0)
    grown = index.statistics().indexsize - before
    results.add('views/bytes', 'ours', grown / sizes.views)
    large = index.putview(made(-1, sizes.viewheads), 0)
    some = [chance.randrange(sizes.views) for _number in range(_COUNT)]
    names = [(f'user{n % 1000}', f'work{n}') for n in some]

    def put(view: View) -> View:
        found: View = index.putview(view, view.version)
        return found

    _timed(context, 'new', put, [made(sizes.views + n) for n in range(_COUNT)])
    # one may come twice, and has another version then
    views = [index.view(*name) for name in dict.fromkeys(names)]
    _timed(context, 'change', put, [more(view) for view in views])
    found = []
    for _number in range(_COUNT // 10):
        view = more(large)
        found += _spent(put, [view])
        large = view._replace(version=view.version + 1)
    results.add('views/large', 'ours', statistics.median(found))
    _timed(context, 'read', lambda name: index.view(*name), names)


def _timed(
    context: Context, row: str, call: Callable[[Any], Any], values: list[Any]
) -> None:
    # one figure, as 200 would say no more
    median = statistics.median(_spent(call, values))
    context.results.add(f'views/{row}', 'ours', median)


def _spent(call: Callable[[Any], Any], values: list[Any]) -> list[float]:
    """Return how long the processor works for each value, in ms."""
    found = []
    for value in values:
        started = time.process_time()
        answer = call(value)
        found.append((time.process_time() - started) * 1000)
        if answer is None:
            raise ValueError('there is no such view')
    return found
