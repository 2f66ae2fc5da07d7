"""Tells what a run found: as text, as Markdown, and as a plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from . import budgets, plot
from .measure import spread
from .results import COLUMNS, Results
from .rows import laptop, many, slow, views

MB = 1_000_000

#: other programs whose figures are folded in (see extras.py)
EXTRAS = {
    'index': 'The index at scale (`make bench-index`)',
    'startup': 'Start-up (`bench/startup.py`)',
    'chg': 'Warm processes (`bench/chg.py`)',
    'mix': 'How stored changesets were sent (`bench/rows/mix.py`)',
    'ci': 'CI machines that want one push (`make bench-ci`)',
}


class Row(NamedTuple):
    key: str
    title: str
    unit: str = 's'


def rows(results: Results) -> list[Row]:
    """Return the rows of the table, in order."""
    return [row for row in allrows(results) if row.key in results.cells]


def allrows(results: Results) -> Iterator[Row]:
    """Yield what a run measures."""
    sizes = results.sizes
    medium = f'{sizes.medium // MB} MB'
    large = f'{sizes.large // MB} MB'
    middle = f'N = {sizes.levels[-1]:,}'
    yield Row('floor', 'push of nothing to send (floor)')
    for level in (0, *sizes.levels, *sizes.highlevels):
        yield Row(f'push/{level}', f'push of one changeset, N = {level:,}')
    yield Row('pullfloor', f'pull of nothing, {middle}')
    yield Row('pull', f'pull -r of it, {middle}')
    for group, words in many.groups(sizes).items():
        for key, title in many.rows(group).items():
            yield Row(key, f'{words}: {title}')
    yield Row('medium/push', f'push of {medium}')
    yield Row('medium/pushpeak', '… server memory', 'MB')
    yield Row('medium/pushservercpu', '… server processor time')
    yield Row('large/push', f'push of {large}')
    yield Row('large/pushpeak', '… server memory', 'MB')
    yield Row('large/pushservercpu', '… server processor time')
    yield Row('large/server', '… server alone, from a file')
    yield Row('large/serverstart', '… of which the start is')
    yield Row('large/copy', '… cp + fsync of the same bytes')
    yield Row('large/pull', f'pull of {large} (limit: hg unbundle)')
    yield Row('large/pullpeak', '… server memory', 'MB')
    yield Row('large/pullservercpu', '… server processor time')
    crowd = f'{sizes.clients} clients at once'
    yield Row('crowd/nothing', f'{crowd}, nothing to send', '/s')
    yield Row('crowd/rate', f'{crowd}, pushes', '/s')
    yield Row('crowd/worst', '… worst latency')
    yield Row('crowd/waits', '… who wait for a lock', '%')
    crowded = f'{sizes.connections} connections to gunicorn'
    for key, title in (
        ('keepalive', crowded),
        ('busy', f'{crowded}, gc, pages'),
    ):
        yield Row(f'{key}/rate', f'{title}: pushes', '/s')
        yield Row(f'{key}/p50', '… half of them within')
        yield Row(f'{key}/p99', '… 99 % within')
        yield Row(f'{key}/worst', '… worst latency')
        yield Row(f'{key}/errors', '… errors', '')
        yield Row(f'{key}/memory', '… memory of the largest process', 'MB')
    yield Row('busy/pages', '… pages', '/s')
    yield Row('busy/pages99', '… 99 % of the pages within')
    yield Row('keepalive/cpu', f'{crowded}: server processor time', 'ms')
    most = f'N = {(*sizes.levels, *sizes.highlevels)[-1]:,}'
    yield Row('index/bytes', f'index: a node, one each push, {most}', 'B')
    yield Row('index/hit', 'index: hit', 'ms')
    yield Row('index/miss', 'index: miss', 'ms')
    yield Row('index/prefix', 'index: prefix', 'ms')
    yield Row('views/bytes', f'views: one of 2 heads, N = {sizes.views:,}', 'B')
    for key, title in views.ACTIONS.items():
        title = title.replace('many', f'{sizes.viewheads:,}')
        yield Row(f'views/{key}', f'… {title}: processor time', 'ms')
    stack = f'a stack of {sizes.height} pushed {sizes.tops} times'
    yield Row('stack/bytes', f'{stack}: stored', 'B')
    yield Row('stack/index', '… growth of the index', 'B')
    drafts = f'{sizes.drafts:,} drafts in {sizes.heads} heads'
    for key, title in laptop.ACTIONS.items():
        yield Row(f'laptop/{key}', f'{drafts}: {title}')
    for key, network in slow.NETWORKS.items():
        for action, title in slow.ACTIONS.items():
            row = f'slow/{key}/{action}'
            yield Row(row, f'{network.title}: {title}')
            for count, name in slow.COUNTS.items():
                yield Row(f'{row}/{count}', f'… {name}', 'B')
    yield Row('http/floor', 'http: push of nothing')
    yield Row('http/push', 'http: push of one changeset')
    yield Row('http/pushpeak', f'http: push of {large}, server memory', 'MB')
    yield Row('http/pullpeak', f'http: pull of {large}, server memory', 'MB')
    server = 'http: server that stays, processor time'
    yield Row('resident/push', f'{server}: the push', 'ms')
    yield Row('resident/push/all', '… with all that is asked before', 'ms')
    yield Row('resident/pull', f'{server}: the pull', 'ms')
    yield Row('resident/pull/all', '… with all that is asked before', 'ms')
    yield Row('http/bundlepeak', f'http: GET of {large}, server memory', 'MB')


def number(value: float, unit: str) -> str:
    """Return a figure as text, with as many places as mean something."""
    if unit == 's':
        return f'{value:.3f}' if value < 10 else f'{value:.1f}'
    if unit == 'B':
        return f'{value:,.0f}'
    if unit == 'ms':
        return f'{value:.3f}'
    return f'{value:.1f}' if value < 100 else f'{value:.0f}'


def cell(results: Results, row: Row, column: str) -> str:
    """Return a cell as text: median, and in brackets the middle half (the
    extremes of fewer than five)."""
    found = results.cells.get(row.key, {}).get(column)
    if not found:
        return ''
    if 'samples' not in found:
        return str(found.get('error') or found.get('lack'))
    return _figures(found, row.unit)


def _figures(found: dict[str, Any], unit: str) -> str:
    values = spread(found['samples'])
    text = number(values.median, unit)
    if len(found['samples']) > 1 and values.low != values.high:
        low, high = number(values.low, unit), number(values.high, unit)
        text += f' ({low}–{high})'
    text += '' if unit in ('s', 'B') else f' {unit}'
    if 'note' in found:
        text += f', {found["note"]}'
    return text


def ratio(results: Results, row: Row, column: str) -> str:
    """Return how many times ours a figure of a peer is."""
    found = results.ratio((row.key, column), (row.key, 'ours'))
    return '' if not found else f'{found:.2f}×'


def table(results: Results) -> list[list[str]]:
    """Return the table, the head first."""
    titles = results.data['systems']
    columns = [one for one in COLUMNS if one in titles or one == 'limit']
    lines = [['', *(titles.get(one, one) for one in columns)]]
    for row in rows(results):
        cells = [cell(results, row, column) for column in columns]
        lines.append([row.title, *cells])
    return lines


def ratios(results: Results) -> list[list[str]]:
    """Return the table of ratios to ours, the head first."""
    titles = results.data['systems']
    columns = [one for one in COLUMNS if (one in titles or one == 'limit')][1:]
    lines = [['peer ÷ ours', *(titles.get(one, one) for one in columns)]]
    for row in rows(results):
        found = [ratio(results, row, column) for column in columns]
        if any(found):
            lines.append([row.title, *found])
    return lines


def processor(results: Results) -> list[list[str]]:
    """Return processor time of client and server together, the head first."""
    titles = results.data['systems']
    columns = [one for one in COLUMNS if one in titles]
    lines = [['processor time (s)', *(titles[one] for one in columns)]]
    for row in rows(results):
        found = []
        for column in columns:
            cpu = results.cells[row.key].get(column, {}).get('cpu')
            found.append(number(spread(cpu).median, 's') if cpu else '')
        # that of a server that runs on is not in it
        if any(found) and not row.key.startswith('http'):
            lines.append([row.title, *found])
    return lines


def verdicts(results: Results) -> list[list[str]]:
    lines = [['budget', 'limit', 'figure', '']]
    for budget in budgets.check(results):
        lines.append([budget.what, budget.limit, budget.figure, budget.verdict])
    return lines


# -- as text


def astext(lines: Sequence[Sequence[str]], width: int = 34) -> str:
    """Return a table in columns; cells are cut at ``width`` characters."""
    cut = [
        [
            text[: width if i else 76].replace('**', '')
            for i, text in enumerate(row)
        ]
        for row in lines
    ]
    widths = [max(len(row[i]) for row in cut) for i in range(len(cut[0]))]
    return '\n'.join(
        '  '.join(t.ljust(w) for t, w in zip(row, widths)).rstrip()
        for row in cut
    )


def text(results: Results) -> str:
    parts = [
        table(results),
        ratios(results),
        processor(results),
        verdicts(results),
    ]
    return '\n\n'.join(astext(part) for part in parts) + '\n'


# -- as Markdown


def asmarkdown(lines: Sequence[Sequence[str]]) -> str:
    head, *body = [
        '| ' + ' | '.join(t.replace('|', '\\|') for t in row) + ' |'
        for row in lines
    ]
    return '\n'.join([head, '|' + '---|' * len(lines[0]), *body])


def markdown(results: Results, notes: str, picture: str) -> str:
    """Return the whole page; ``notes`` is what people wrote about it."""
    data = results.data
    about = '\n'.join(f'* {k}: {v}' for k, v in data['machine'].items())
    repositories = '\n'.join(f'* {one}' for one in data['repositories'])
    return f"""\
# Results of the bench

Written by `make bench`; what is to be said by hand stands in `notes.md`.

* date: {data['date']}
* command: `{data['command']}`, {data['took']} s
{about}

Repositories:

{repositories}

## Budgets

{asmarkdown(verdicts(results))}

{notes.strip()}

## The table

Seconds, if no unit is there; medians, and in brackets the middle half of what
was measured (the extremes, where that is fewer than five). All columns of a
row ran in turn, round by round. N is the number of pushes stored, of heads, or
of references.

{asmarkdown(table(results))}

![push latency]({picture})

## Ratios

Medians of the ratios within each round.

{asmarkdown(ratios(results))}

## Processor time

Of client and server together, seconds.

{asmarkdown(processor(results))}
{_extras(data)}"""


def _extras(data: dict[str, Any]) -> str:
    """Return a section for each of the other programs of the bench."""
    parts = []
    for name, title in EXTRAS.items():
        found = data.get(name) or {}
        if 'rows' in found:
            lines = [['', 'median', '99 %', 'budget', '']]
            lines += [_indexrow(row) for row in found['rows']]
        elif 'milliseconds' in found:
            lines = _milliseconds(found['milliseconds'])
        elif 'table' in found:
            lines = found['table']
        else:
            continue
        told = found.get('title', 'Milliseconds: median (quartiles).')
        parts.append(f'\n## {title}\n\n{told}\n\n{asmarkdown(lines)}\n')
    return ''.join(parts)


def _milliseconds(groups: dict[str, Any]) -> list[list[str]]:
    """Return what alternating.py writes as a table, the head first."""
    lines = [['', '', 'time', 'processor time']]
    for group, fields in groups.items():
        for name in fields['wall']:
            times = [
                '{median:.1f} ({low:.1f}–{high:.1f})'.format(**field[name])
                for field in (fields['wall'], fields['processor'])
            ]
            lines.append([group, name, *times])
    return lines


def _indexrow(row: dict[str, Any]) -> list[str]:
    worst, limit = row.get('worst'), row.get('limit')
    return [
        row['what'],
        f'{row["figure"]:.3f} {row["unit"]}'.strip(),
        '' if worst is None else f'{worst:.3f}',
        '' if limit is None else f'{limit:g}',
        str(row.get('verdict') or ''),
    ]


# -- as a plot


def lines(results: Results) -> list[plot.Line]:
    """Return the lines of the plot of push latency."""
    found = []
    sizes = results.sizes
    for column, title in results.data['systems'].items():
        if column == 'oursold':
            continue
        points = []
        for level in (0, *sizes.levels, *sizes.highlevels):
            values = results.samples(f'push/{level}', column)
            if values:
                points.append(plot.Point(level, *spread(values)))
        if points:
            found.append(plot.Line(title.partition(' (')[0], points))
    return found


def write(results: Results, folder: Path, notes: Path) -> None:
    """Write RESULTS.md and the plot into a folder."""
    picture = 'push-latency.svg'
    drawn = plot.draw(lines(results), 'Push latency and stored pushes')
    (folder / picture).write_text(drawn, encoding='utf-8')
    said = notes.read_text(encoding='utf-8') if notes.exists() else ''
    page = markdown(results, said, picture)
    (folder / 'RESULTS.md').write_text(page, encoding='utf-8')
