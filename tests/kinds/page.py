"""Writes what was found into docs/compatibility.rst."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import environments
from harness import matrix

from . import known, playing
from .known import Reason
from .playing import Outcome
from .table import KINDS

DOCUMENT = environments.ROOT / 'docs' / 'compatibility.rst'

WIDTH = 79


class Column(NamedTuple):
    title: str
    step: str
    transports: tuple[str, ...] = matrix.TRANSPORTS


COLUMNS = (
    Column('push', 'push'),
    Column('vanilla', 'push, vanilla'),
    Column('path', 'pull', ('path',)),
    Column('ssh', 'pull', ('ssh',)),
    Column('http', 'pull', ('http',)),
    Column('clone', 'clone -r'),
    Column('demand', 'on demand'),
    Column('web', 'web'),
    Column('archive', 'archive'),
    Column('verify', 'verify'),
)


def write(outcomes: Sequence[Outcome]) -> None:
    """Put the tables in the place of those that are there."""
    text = DOCUMENT.read_text('utf-8')
    for name, table in (
        ('kinds', kinds(outcomes)),
        ('versions', versions(outcomes)),
    ):
        pattern = re.compile(
            rf'(?<=^\.\. found by make matrix, {name}\n\n).*?'
            r'(?=\n\n\.\. end$)',
            re.MULTILINE | re.DOTALL,
        )
        assert len(pattern.findall(text)) == 1, name
        text = pattern.sub(lambda match, table=table: table, text)  # type: ignore[misc]
    DOCUMENT.write_text(text, 'utf-8')


def kinds(outcomes: Sequence[Outcome]) -> str:
    """Return the table of all kinds, and what its numbers stand for."""
    notes: list[str] = []
    lines = []
    for kind in KINDS:
        mine = [o for o in outcomes if o.row.kind == kind.name]
        if mine:
            cells = (_cell(mine, column, notes) for column in COLUMNS)
            lines.append((kind.name, *cells))
    header = ('kind', *(column.title for column in COLUMNS))
    found = [
        _table([header, *lines]),
        *(
            textwrap.fill(
                note,
                WIDTH,
                initial_indent=f'.. [{number}] ',
                subsequent_indent='   ',
                break_long_words=False,
                break_on_hyphens=False,
            )
            for number, note in enumerate(notes, 1)
        ),
    ]
    return '\n\n'.join(found)


def _cell(mine: list[Outcome], column: Column, notes: list[str]) -> str:
    here = [o for o in mine if o.row.transport in column.transports]
    found = [o for o in here if o.step == column.step]
    if not found or column.step == 'push':
        # where there was not even a clone
        found += [o for o in here if o.step == 'base']
    if not found:
        return ''
    bad = [o for o in found if o.word not in (playing.WORKS, playing.NOTTHERE)]
    works = any(o.word == playing.WORKS for o in found)
    if not bad:
        return 'yes' if works else '–'
    numbers = []
    for outcome in bad:
        note = _note(outcome)
        if note not in notes:
            notes.append(note)
        numbers.append(notes.index(note) + 1)
    links = ' '.join(f'[{number}]_' for number in sorted({*numbers}))
    return f'{"partly" if works else "no"} {links}'


def _note(outcome: Outcome) -> str:
    reason = known.find(outcome.row, outcome.step)
    if reason is None:
        return f'RED, not explained: ``{outcome.line}``'
    return explained(reason)


def explained(reason: Reason) -> str:
    if reason.plain:
        return reason.why
    return f'{reason.why} It is the same without a bundle store.'


def versions(outcomes: Sequence[Outcome]) -> str:
    """Return the table of what the kinds are, and which were tried with which
    versions."""
    lines = [('kind', 'what', 'servers', 'clients')]
    for kind in KINDS:
        rows = {o.row for o in outcomes if o.row.kind == kind.name}
        if rows:
            servers = _joined(row.server for row in rows)
            clients = _joined(row.client for row in rows)
            lines.append((kind.name, kind.about, servers, clients))
    return _table(lines)


def _joined(found: Iterable[str]) -> str:
    versions = {*found}
    if versions == {*matrix.VERSIONS}:
        return 'all'
    return ', '.join(v for v in matrix.VERSIONS if v in versions)


def _table(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines)]
    rule = '  '.join('=' * width for width in widths)
    rows = [
        '  '.join(f'{c:{w}}' for c, w in zip(line, widths)).rstrip()
        for line in lines
    ]
    return '\n'.join([rule, rows[0], rule, *rows[1:], rule])
