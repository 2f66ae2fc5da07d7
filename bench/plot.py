"""Draws push latency against the number of stored pushes, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 50, 60

#: legible on white and on black
COLOURS = ('#0a8f6c', '#d1662a', '#5b7fd6', '#b0569c')
MARKS = ('circle', 'square', 'diamond', 'triangle')


class Point(NamedTuple):
    #: pushes stored
    stored: int
    #: seconds: median, and where the middle half begins and ends
    median: float
    low: float
    high: float


class Line(NamedTuple):
    title: str
    points: Sequence[Point]


STYLE = """\
text { font: 13px sans-serif; fill: #24292f }
.title { font-size: 16px; font-weight: bold }
.grid { stroke: #8884; stroke-width: 1 }
.axis { stroke: #888; stroke-width: 1 }
.line { fill: none; stroke-width: 2 }
.back { fill: #fff }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .back { fill: #0d1117 }
}
"""


def draw(lines: Sequence[Line], title: str) -> str:
    """Return the plot of ``lines``: stored pushes on a logarithmic axis, with
    a place for none of them, and seconds."""
    points = [point for line in lines for point in line.points]
    most = max((point.stored for point in points), default=1)
    decades = max(1, math.ceil(math.log10(max(most, 10))))
    highest = _rounded(max((point.high for point in points), default=1.0))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}"'
        f' height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f'<title>{escape(title)}</title>',
        f'<style>\n{STYLE}</style>',
        f'<rect class="back" width="{WIDTH}" height="{HEIGHT}"/>',
        _text(LEFT, TOP - 24, title, 'start', 'title'),
    ]
    # one step of the axis from none to ten, and one for each power of ten
    for step in range(decades + 1):
        x = _across(10**step if step else 0, decades)
        parts.append(_rule(x, TOP, x, HEIGHT - BOTTOM, 'grid'))
        label = f'{10**step:,}' if step else '0'
        parts.append(_text(x, HEIGHT - BOTTOM + 20, label, 'middle'))
    for step in range(6):
        value = highest * step / 5
        y = _down(value, highest)
        parts.append(
            _rule(LEFT, y, WIDTH - RIGHT, y, 'grid' if step else 'axis')
        )
        parts.append(_text(LEFT - 8, y + 4, f'{value:.2f}', 'end'))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        _text(
            middle,
            HEIGHT - 14,
            'pushes, heads or references on the server',
            'middle',
        )
    )
    y = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<g transform="rotate(-90 18 {y:.1f})">'
        + _text(18, y, 'seconds for a push of one changeset', 'middle')
        + '</g>'
    )
    for number, line in enumerate(lines):
        parts += _line(line, number, decades, highest)
    return '\n'.join([*parts, '</svg>', ''])


def _rounded(value: float) -> float:
    """Return a round number above ``value``."""
    step = 10 ** math.floor(math.log10(value))
    for factor in (1, 2, 2.5, 5, 10):
        if factor * step >= value:
            return factor * step
    return 10 * step


def _across(stored: int, decades: int) -> float:
    place = 0.0
    if stored > 0:
        place = max(0.0, math.log10(stored)) / decades
    return LEFT + place * (WIDTH - LEFT - RIGHT)


def _down(value: float, highest: float) -> float:
    return HEIGHT - BOTTOM - value / highest * (HEIGHT - TOP - BOTTOM)


def _line(line: Line, number: int, decades: int, highest: float) -> list[str]:
    colour = COLOURS[number % len(COLOURS)]
    mark = MARKS[number % len(MARKS)]
    places = [
        (_across(p.stored, decades), _down(p.median, highest), p)
        for p in line.points
    ]
    path = ' '.join(f'{x:.1f},{y:.1f}' for x, y, _ in places)
    parts = [f'<g stroke="{colour}" fill="{colour}">']
    parts.append(f'<polyline class="line" points="{path}"/>')
    for x, y, point in places:
        low, high = _down(point.low, highest), _down(point.high, highest)
        parts.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}"/>')
        told = f'{line.title}, {point.stored:,} stored: {point.median:.3f} s'
        parts.append(_mark(mark, x, y, told))
    y = TOP + 20 + 26 * number
    x = WIDTH - RIGHT + 24
    parts.append(_mark(mark, x, y - 4, line.title))
    parts.append('</g>')
    parts.append(_text(x + 12, y, line.title, 'start'))
    return parts


def _mark(kind: str, x: float, y: float, told: str) -> str:
    title = f'<title>{escape(told)}</title>'
    if kind == 'circle':
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4">{title}</circle>'
    shapes = {
        'square': ((-4, -4), (4, -4), (4, 4), (-4, 4)),
        'diamond': ((0, -5), (5, 0), (0, 5), (-5, 0)),
        'triangle': ((0, -5), (5, 4), (-5, 4)),
    }
    points = ' '.join(f'{x + a:.1f},{y + b:.1f}' for a, b in shapes[kind])
    return f'<polygon points="{points}">{title}</polygon>'


def _rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return (
        f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}"'
        f' x2="{x2:.1f}" y2="{y2:.1f}"/>'
    )


def _text(x: float, y: float, text: str, anchor: str, kind: str = '') -> str:
    extra = f' class="{kind}"' if kind else ''
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>'
        f'{escape(text)}</text>'
    )
