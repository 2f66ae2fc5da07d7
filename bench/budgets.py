"""The budgets: what was promised, and whether the figures of a run keep it.

A budget whose figures are missing is neither held nor missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .results import Results
from .rows import many, slow

MB = 1_000_000

#: over a network (see slow.py), how often a client may wait at most
TRIPS = (
    ('http', ('push', 'next', 'pull', 'update', 'clone'), 4),
    ('ssh', ('push', 'next'), 5),
    ('ssh', ('pull', 'update', 'clone'), 4),
)


class Budget(NamedTuple):
    #: what is limited, and to what
    what: str
    limit: str
    #: what was found, in the words of the limit; empty where nothing was
    figure: str
    #: None: not measured
    held: bool | None

    @property
    def verdict(self) -> str:
        if self.held is None:
            return 'not measured'
        return 'held' if self.held else '**missed**'


def check(results: Results) -> list[Budget]:
    """Return all budgets, in the order of the design."""
    return list(_check(results))


def _check(results: Results) -> Iterator[Budget]:
    sizes = results.sizes
    large = f'{sizes.large // MB} MB'
    yield _atmost(
        'push of one changeset, ssh: more than with nothing to push',
        _ms(results.more(('push/0', 'ours'), ('floor', 'ours'))),
        25,
        'ms',
        _processor(results, 'push/0', 'floor'),
    )
    for level in (sizes.levels[-1], *sizes.highlevels[-1:]):
        yield _atmost(
            f'… with {level:,} pushes stored, of an empty store',
            results.ratio((f'push/{level}', 'ours'), ('push/0', 'ours')),
            1.10,
            '×',
        )
    peaks = {
        row: max(results.samples(row, 'ours'), default=None)
        for row in (
            *('medium/pushpeak', 'large/pushpeak', 'large/pullpeak'),
            *('http/pushpeak', 'http/pullpeak', 'http/bundlepeak'),
        )
    }
    found = [peak for peak in peaks.values() if peak is not None]
    worst = max(found, default=None)
    yield _atmost(
        f'memory of the server, the worst of pushes and pulls up to {large}',
        worst if len(found) == len(peaks) else None,
        80,
        'MB',
    )
    yield _atmost(
        f'server time for a push of {large}, of cp + fsync of the same bytes',
        results.ratio(('large/server', 'ours'), ('large/copy', 'limit')),
        2.5,
        '×',
    )
    yield _atmost(
        f'push of {large}, whole, of plain Mercurial',
        results.ratio(('large/push', 'ours'), ('large/push', 'plain')),
        0.4,
        '×',
    )
    yield _atmost(
        f'pull of {large}, whole, of hg unbundle of the same bundle',
        results.ratio(('large/pull', 'ours'), ('large/pull', 'limit')),
        1.5,
        '×',
    )
    yield _atmost(
        'pull of a stored push, base in common: more than with nothing to pull',
        _ms(results.more(('pull', 'ours'), ('pullfloor', 'ours'))),
        40,
        'ms',
        _processor(results, 'pull', 'pullfloor'),
    )
    yield from _many(results)
    yield _atleast(
        f'{sizes.clients} clients at once, of pushes with nothing to send',
        results.ratio(('crowd/rate', 'ours'), ('crowd/nothing', 'ours')),
        0.9,
        '×',
    )
    yield _atmost(
        '… of whom wait for a lock of the base repository',
        results.median('crowd/waits', 'ours'),
        0,
        '%',
    )
    crowded = f'{sizes.connections} connections to gunicorn'
    yield _atleast(
        f'{crowded}, pushes a second, of plain Mercurial',
        results.ratio(('keepalive/rate', 'ours'), ('keepalive/rate', 'plain')),
        1,
        '×',
    )
    errors = [
        results.median(f'{row}/errors', 'ours') for row in ('keepalive', 'busy')
    ]
    yield _atmost(
        '… errors, also with gc and pages',
        None if None in errors else sum(filter(None, errors)),
        0,
        '',
    )
    yield _atmost(
        '… 99 % within, with gc and pages, of without',
        results.ratio(('busy/p99', 'ours'), ('keepalive/p99', 'ours')),
        3,
        '×',
    )
    yield from _index(results.data.get('index'))
    yield _atmost(
        f'a stack of {sizes.height} pushed {sizes.tops} times, top amended',
        _kb(results.median('stack/bytes', 'ours')),
        30,
        'kB',
    )
    for action, limit in (('push', 3), ('pull', 1.5)):
        yield _atmost(
            f'processor time of a server that stays, http, a {action} of one'
            ' changeset',
            results.median(f'resident/{action}', 'ours'),
            limit,
            'ms',
        )
    for name in slow.NETWORKS:
        yield from _slow(results, name)
    for name, actions, limit in TRIPS:
        counts = [
            count
            for action in actions
            for count in results.samples(f'slow/{name}/{action}/trips', 'ours')
        ]
        yield _atmost(
            f'round trips over {name}, connecting included, the most:'
            f' {", ".join(actions)}',
            max(counts, default=None),
            limit,
            '',
        )
    for name in ('chg', 'startup'):
        yield from _extra(name, results.data.get(name))


def _many(results: Results) -> Iterator[Budget]:
    """Yield what grows with files and with changesets, in processor time,
    and for all of these the worst."""
    (least, smallest), *groups = many.groups(results.sizes).items()
    for group, title in groups:
        for way in ('push', 'pull'):
            one, other = (_over(results, each, way) for each in (group, least))
            yield _atmost(
                f'{title}, {way} of one changeset, over that of nothing: more'
                f' than with {smallest}',
                None if one is None or other is None else _ms(one - other),
                25,
                'ms',
            )
    for rows, what, limit in (
        (('workfloor',), 'push of nothing with a working folder', 25),
        (('rev', 'file'), 'a page of a changeset', 15),
    ):
        found = [
            (ours - plain, title, row)
            for group, title in [(least, smallest), *groups]
            for row in rows
            if (ours := results.processor(f'{group}/{row}', 'ours')) is not None
            and (plain := results.processor(f'{group}/{row}', 'plain'))
            is not None
        ]
        worst, *words = max(found, default=(None, '', ''))
        yield _atmost(
            f'{what}, more than plain Mercurial, processor time, the worst:'
            f' {", ".join(words)}',
            _ms(worst),
            limit,
            'ms',
        )


def _over(results: Results, group: str, way: str) -> float | None:
    """Return what a push or a pull takes of the processor, over one of
    nothing."""
    floor = 'floor' if way == 'push' else 'pullfloor'
    spent = [
        results.processor(f'{group}/{row}', 'ours') for row in (way, floor)
    ]
    if spent[0] is None or spent[1] is None:
        return None
    return spent[0] - spent[1]


def _slow(results: Results, name: str) -> Iterator[Budget]:
    """Yield how many rows over a slow network are within their limit, with
    the figure of the worst, and which are not."""
    title = slow.NETWORKS[name].title
    own = [action for action in slow.ACTIONS if action not in slow.BARE]
    others = ('infinitepush', 'plain')
    for actions, peers, most in (
        (own, others, 1.0),
        # the same requests: not slower, as far as that can be told
        (slow.BARE, others, 1.05),
        (own, ('git',), 1.3),
    ):
        found = []
        for action in actions:
            row = f'slow/{name}/{action}'
            for peer in peers:
                mine = _rival(results, row, peer)
                ratio = results.ratio((row, mine), (row, peer))
                if ratio:
                    found.append((ratio, slow.ACTIONS[action], peer))
        found.sort(reverse=True)
        beyond = [one for one in found if one[0] > most]
        words = f'{title}, of {" and ".join(peers)}'
        if actions is slow.BARE:
            words += ', without the extension on the client'
        if found:
            words += f': {len(found) - len(beyond)} of {len(found)} rows held; '
            words += _worst(found[0], beyond)
        yield _atmost(words, found[0][0] if found else None, most, '×')


def _worst(
    nearest: tuple[float, str, str], beyond: list[tuple[float, str, str]]
) -> str:
    if not beyond:
        _ratio, action, peer = nearest
        return f'the nearest: {action} ({peer})'
    return 'beyond: ' + ', '.join(
        f'{action} {_number(ratio)} × ({peer})'
        for ratio, action, peer in beyond
    )


def _rival(results: Results, row: str, peer: str) -> str:
    """Return the column to compare with a peer: ours with its Mercurial."""
    same = peer == 'infinitepush' and results.samples(row, 'oursold')
    return 'oursold' if same else 'ours'


#: what the limits of bench/index.py are for, by unit
_INDEX = {
    '': 'index: bytes a changeset',
    '×': 'index: a record, of one in an empty index',
}
_INDEX_MS = {1.0: 'index: hit, miss and prefix', 5.0: 'index: lists of pushes'}


def _index(found: Any) -> Iterator[Budget]:
    """Yield for each limit of bench/index.py the figure that is the nearest
    to it, or above it."""
    if not found:
        yield _budget(
            'index at 10 million changesets: hit, miss, prefix; bytes',
            None,
            'at most 1 ms; 120 bytes',
            '',
            None,
        )
        return
    worst: dict[tuple[str, float], dict[str, Any]] = {}
    for row in found['rows']:
        if row.get('limit') is not None:
            key = row['unit'], row['limit']
            if key not in worst or row['figure'] > worst[key]['figure']:
                worst[key] = row
    for (unit, limit), row in worst.items():
        what = _INDEX.get(unit) or _INDEX_MS.get(limit, 'index')
        if unit == 'ms':
            what += f', the worst: {row["what"]}'
        yield _atmost(what, row['figure'], limit, unit or 'bytes')


#: what other programs of the bench tell budgets of, see alternating.py
_EXTRAS = {
    'chg': 'push of one changeset with chg on both sides',
    'startup': 'start-up with the extension on',
}


def _extra(name: str, found: Any) -> Iterator[Budget]:
    if not found:
        yield _budget(_EXTRAS[name], None, '', '', None)
        return
    for one in found['budgets']:
        yield _atmost(one['what'], one['value'], one['limit'], 'ms')


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _kb(size: float | None) -> float | None:
    return None if size is None else size / 1000


def _number(value: float) -> str:
    return f'{value:.2f}' if abs(value) < 10 else f'{value:.0f}'


def _processor(results: Results, row: str, floor: str) -> str:
    """Return what the same is in processor time, which is steadier."""
    spent = [results.processor(one, 'ours') for one in (row, floor)]
    if spent[0] is None or spent[1] is None:
        return ''
    return f'processor: {_number((spent[0] - spent[1]) * 1000)} ms'


def _atmost(
    what: str, value: float | None, limit: float, unit: str, aside: str = ''
) -> Budget:
    held = None if value is None else value <= limit
    return _budget(what, value, f'at most {limit:g} {unit}', unit, held, aside)


def _atleast(what: str, value: float | None, limit: float, unit: str) -> Budget:
    held = None if value is None else value >= limit
    return _budget(what, value, f'at least {limit:g} {unit}', unit, held)


def _budget(
    what: str,
    value: float | None,
    limit: str,
    unit: str,
    held: bool | None,
    aside: str = '',
) -> Budget:
    figure = '' if value is None else f'{_number(value)} {unit}'
    if value is not None and not unit:
        # a count
        figure = f'{value:g}'
    if figure and aside:
        figure += f' ({aside})'
    return Budget(what, limit.strip(), figure, held)
