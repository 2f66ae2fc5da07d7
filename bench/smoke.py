"""Whether all of the bench has run: for ``--smoke``."""

from __future__ import annotations

from collections.abc import Iterator

from . import budgets, report
from .results import Results

#: what only ``make bench-index`` measures
_ELSEWHERE = 'index at 10 million changesets'


def troubles(results: Results, whole: bool) -> Iterator[str]:
    """Yield what failed, and, of a ``whole`` run, what has no figure."""
    titles = {row.key: row.title for row in report.allrows(results)}
    systems = results.data['systems']
    for key, cells in results.cells.items():
        for column, cell in cells.items():
            if 'error' in cell:
                title = titles.get(key, key)
                yield f'{title}: {column}: {cell["error"]}'
    if not whole:
        return
    for key, title in titles.items():
        lacks = 'lack' in results.cells.get(key, {}).get('ours', {})
        if not (lacks or results.samples(key, 'ours') or key == 'large/copy'):
            yield f'{title}: nothing was measured'
    for column in ('infinitepush', 'plain', 'git'):
        if not results.samples('push/0', column):
            yield f'{column}: nothing was measured: {systems[column]}'
    for budget in budgets.check(results):
        if budget.held is None and not budget.what.startswith(_ELSEWHERE):
            yield f'budget not measured: {budget.what}'
