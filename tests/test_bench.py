"""What the bench makes of its figures; the bench itself is not run."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

import environments

#: figures of four rounds; each budget that they decide is far from its limit
CELLS: dict[str, dict[str, Any]] = {
    'floor': {
        'ours': {'samples': [0.20, 0.30, 0.20, 0.30], 'cpu': [0.2] * 4},
        'plain': {'samples': [0.25] * 4},
    },
    'push/0': {
        # 20 ms more in each round, though the medians are 45 ms apart
        'ours': {'samples': [0.22, 0.32, 0.22, 0.32], 'cpu': [0.21] * 4},
        'infinitepush': {'samples': [0.25] * 4},
        'plain': {'samples': [0.44, 0.64, 0.44, 0.64]},
    },
    'push/1000': {
        'ours': {'samples': [0.22, 0.32, 0.22, 0.32]},
        'plain': {'samples': [0.5] * 4},
    },
    'push/10000': {
        'ours': {'samples': [0.23, 0.33, 0.23, 0.33]},
        'plain': {'samples': [0.6] * 4},
    },
    'push/1000000': {'ours': {'samples': [0.33, 0.48, 0.33, 0.48]}},
    'large/push': {
        'ours': {'samples': [3.0]},
        'infinitepush': {'error': 'exit 255: bundle | is too big'},
        'plain': {'samples': [12.0]},
    },
    'large/pushpeak': {'ours': {'samples': [40.0]}},
    'large/pull': {'ours': {'samples': [6.0]}, 'limit': {'samples': [3.0]}},
    'crowd/nothing': {'ours': {'samples': [4.0]}},
    'crowd/rate': {'ours': {'samples': [3.9]}},
    'crowd/waits': {'ours': {'samples': [0.0]}},
    'stack/bytes': {'ours': {'samples': [230000]}},
}

VERDICTS = {
    'push of one changeset, ssh': ('20 ms', 'held'),
    '… with 10,000 pushes': ('1.04 ×', 'held'),
    '… with 1,000,000 pushes': ('1.50 ×', '**missed**'),
    # one of its figures is there and five are not
    'memory of the server': ('', 'not measured'),
    'push of 500 MB, whole': ('0.25 ×', 'held'),
    'pull of 500 MB, whole': ('2.00 ×', '**missed**'),
    'pull of a stored push': ('', 'not measured'),
    '16 clients at once': ('0.97 ×', 'held'),
    '… of whom wait': ('0.00 %', 'held'),
    'index: bytes a changeset': ('118 bytes', 'held'),
    'index: hit, miss and prefix, the worst: prefix': ('2.00 ms', '**missed**'),
    'a stack of 20': ('230 kB', '**missed**'),
    'start-up, hg version': ('9.00 ms', 'held'),
}


@pytest.fixture(scope='module')
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Have a report written; return the folder that it is in."""
    folder = tmp_path_factory.mktemp('bench')
    data = {
        'date': '2026-01-01',
        'command': 'make bench',
        'took': 1200,
        'quick': False,
        'machine': {'processor': '2 × something'},
        # the rest as it is by default
        'sizes': {'levels': [1000, 10000], 'highlevels': [1000000]},
        'systems': {
            'ours': 'hg-bundlestore',
            'infinitepush': 'infinitepush',
            'plain': 'plain <Mercurial>',
        },
        'repositories': ['releases'],
        'cells': CELLS,
        'startup': {
            'budgets': [
                {'what': 'start-up, hg version', 'limit': 10, 'value': 9.0}
            ]
        },
    }
    rows = [
        {'what': 'bytes', 'unit': '', 'figure': 118.0, 'limit': 120.0},
        {'what': 'hit', 'unit': 'ms', 'figure': 0.1, 'limit': 1.0},
        {'what': 'prefix', 'unit': 'ms', 'figure': 2.0, 'limit': 1.0},
        {'what': 'mean', 'unit': 'ms', 'figure': 9.0, 'limit': None},
    ]
    index = {'title': 'filled', 'rows': rows}
    (folder / 'given.json').write_text(json.dumps(data))
    (folder / 'index.json').write_text(json.dumps(index))
    subprocess.run(
        [
            *(sys.executable, '-m', 'bench', '--output', str(folder)),
            *('--report', str(folder / 'given.json')),
            *('--index', str(folder / 'index.json')),
        ],
        cwd=environments.ROOT,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return folder


def _rows(page: str) -> list[list[str]]:
    """Return the cells of all tables."""
    page = page.replace('\\|', '\0')
    return [
        [cell.strip().replace('\0', '|') for cell in line.split('|')[1:-1]]
        for line in page.splitlines()
        if line.startswith('| ')
    ]


def test_budgets_are_held_or_missed(written: Path) -> None:
    rows = _rows((written / 'RESULTS.md').read_text(encoding='utf-8'))
    verdicts = [row for row in rows if row[-1] in ('held', '**missed**')]
    verdicts += [row for row in rows if row[-1] == 'not measured']
    for what, (figure, verdict) in VERDICTS.items():
        (row,) = [row for row in verdicts if row[0].startswith(what)]
        assert row[3] == verdict, row
        assert row[2].startswith(figure), row


def test_the_table_has_figures_and_failures(written: Path) -> None:
    rows = _rows((written / 'RESULTS.md').read_text(encoding='utf-8'))
    assert [
        'push of one changeset, N = 0',
        '0.270 (0.220–0.320)',
        '0.250',
        '0.540 (0.440–0.640)',
        '',
    ] in rows
    # ratios are taken round by round
    assert ['push of one changeset, N = 0', '0.96×', '2.00×', ''] in rows
    (row,) = [row for row in rows if row[2:3] == [FAILURE]]
    assert row[0] == 'push of 500 MB'


FAILURE = CELLS['large/push']['infinitepush']['error']


def test_the_plot_has_all_points(written: Path) -> None:
    svg = ElementTree.parse(written / 'push-latency.svg')
    titles = [
        one.text or '' for one in svg.iter() if one.tag.endswith('}title')
    ]
    for row, cells in CELLS.items():
        kind, _, level = row.partition('/')
        if kind == 'push':
            for title in cells:
                name = {'ours': 'hg-bundlestore', 'plain': 'plain <Mercurial>'}
                begin = f'{name.get(title, title)}, {int(level):,} stored: '
                assert [t for t in titles if t.startswith(begin)], begin
    assert len([t for t in titles if ' stored: ' in t]) == 8
    assert 'plain <Mercurial>, 10,000 stored: 0.600 s' in titles


def test_what_goes_over_a_wire_is_counted(tmp_path: Path) -> None:
    counts = tmp_path / 'counts'
    relay = environments.ROOT / 'bench' / 'relay.py'
    words = [sys.executable, str(relay), str(counts), 'tr', '-d', 'b']
    sent = b'ab' * 500_000
    done = subprocess.run(words, input=sent, capture_output=True, check=True)
    assert done.stdout == b'a' * 500_000
    line = json.loads(counts.read_text())
    assert (line['up'], line['down']) == (1_000_000, 500_000)


VERDICT = """\
import sys
sys.path.insert(0, 'tools')
from bench import ci, ways
def costs(kilobytes, server, wall):
    cost = ways.Cost(kilobytes * 1000, server, 1, wall)
    return ci.Costs([cost], [cost], [], [(2 * server, 9)])
def way(title, over):
    return ways.Way(title, over, None)
run = ci.Run(None, 2)
run.costs = {
    way('`clone --narrow --depth 1 -r`', 'http'): costs(300, 0.2, 2),
    way('git 2: `clone --depth 1`', 'git'): costs(400, 0.4, 1),
    way('`clone -r`', 'ssh'): ci.Costs([], [], [], []),
}
run.failed = {way('`clone -r`', 'ssh'): 'exit 255: abort: no'}
print('\\n'.join([*ci.table(run, 2), *ci.verdicts(run)]))
"""


def test_what_ci_machines_cost_is_judged() -> None:
    done = subprocess.run(
        [sys.executable, '-c', VERDICT],
        cwd=environments.ROOT,
        stdout=subprocess.PIPE,
        encoding='utf-8',
        env={'PYTHONIOENCODING': 'utf-8', 'PYTHONPATH': '.'},
        check=True,
    )
    rows = _rows(done.stdout)
    assert rows[1][1:4] == ['http', '0.30 MB', '0.20 s']
    assert rows[1][-2:] == ['0.4 s', '9.0 s']
    assert rows[3] == ['`clone -r`', 'ssh', 'exit 255: abort: no']
    goals = [line for line in done.stdout.splitlines() if line[0] == '*']
    assert [goal.rpartition(': ')[2] for goal in goals] == [
        'held',
        'held',
        '**missed**',
        '**missed**',
    ]
