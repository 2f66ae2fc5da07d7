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
    'keepalive/rate': {'ours': {'samples': [90]}, 'plain': {'samples': [100]}},
    'keepalive/p99': {'ours': {'samples': [0.5]}},
    'keepalive/errors': {'ours': {'samples': [0]}},
    'busy/p99': {'ours': {'samples': [1.0]}},
    'busy/errors': {'ours': {'samples': [2]}},
    'stack/bytes': {'ours': {'samples': [230000]}},
    # of more files it takes 10 ms more, of more changesets 30
    **{
        f'{group}/{row}': {'ours': {'samples': [1.0], 'cpu': [cpu]}}
        for group, push in (
            ('files-10000', 0.32),
            ('files-400000', 0.33),
            ('changesets-200000', 0.35),
        )
        for row, cpu in (('floor', 0.3), ('push', push))
    },
    'slow/http/push': {
        'ours': {'samples': [0.5]},
        'plain': {'samples': [1.0]},
        'git': {'samples': [0.25]},
    },
    'slow/http/clone': {
        'ours': {'samples': [0.9]},
        # with the Mercurial of infinitepush
        'oursold': {'samples': [0.8]},
        'infinitepush': {'samples': [0.85]},
        'plain': {'samples': [1.0]},
        'git': {'samples': [1.0]},
    },
    'slow/http/push/trips': {'ours': {'samples': [4]}},
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
    '400,000 files, push of one changeset': ('10 ms', 'held'),
    '400,000 files, pull of one changeset': ('', 'not measured'),
    '200,000 changesets, push of one changeset': ('30 ms', '**missed**'),
    '16 clients at once': ('0.97 ×', 'held'),
    '… of whom wait': ('0.00 %', 'held'),
    '64 connections to gunicorn': ('0.90 ×', '**missed**'),
    '… errors, also': ('2', '**missed**'),
    '… 99 % within': ('2.00 ×', 'held'),
    'index: bytes a changeset': ('118 bytes', 'held'),
    'index: hit, miss and prefix, the worst: prefix': ('2.00 ms', '**missed**'),
    'a stack of 20': ('230 kB', '**missed**'),
    'http, 50 ms each way, of infinitepush and plain: 3 of 3 rows held;'
    ' the nearest: clone -r of it (infinitepush)': ('0.94 ×', 'held'),
    'http, 50 ms each way, of git: 1 of 2 rows held;'
    ' beyond: push of one changeset 2.00 × (git)': ('2.00 ×', '**missed**'),
    'ssh, 50 ms each way, of git': ('', 'not measured'),
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
    ci = {'title': '50 machines', 'table': [['way', 'server'], ['a', '9 ms']]}
    (folder / 'ci.json').write_text(json.dumps(ci))
    subprocess.run(
        [
            *(sys.executable, '-m', 'bench', '--output', str(folder)),
            *('--report', str(folder / 'given.json')),
            *('--index', str(folder / 'index.json')),
            *('--ci', str(folder / 'ci.json')),
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
    assert ['a', '9 ms'] in rows


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
from collections import Counter
sys.path.insert(0, 'tools')
from bench import ci, ways, wires
def costs(kilobytes, server, wall, **answers):
    cost = wires.Cost(kilobytes * 1000, server, 1, wall)
    many = ci.Many(2 * server, 9, Counter(answers))
    return ci.Costs([cost], [cost], [], [many])
class Servers:
    def ways(self):
        return iter(())
run = ci.Run(Servers(), 2)
failed = ways.Way('`clone -r`', 'ours', 'ssh', None)
narrow = ways.Way('`clone --narrow --depth 1 -r`', 'ours', 'http', None)
run.costs = {
    narrow: costs(300, 0.2, 2, narrow=2),
    ways.Way(ways.PULL, 'ours', 'http', None): costs(9, 0.2, 2, verbatim=2),
    ways.Way(ways.PULL, 'ours', 'ssh', None): costs(
        9, 0.2, 2, verbatim=1, overlay=1
    ),
    ways.Way('`clone --depth 1`', 'git', 'ssh', None): costs(400, 0.4, 1),
    failed: ci.Costs([], [], [], []),
}
run.failed = {failed: 'exit 255: abort: no'}
titles = {'ours': 'hg-bundlestore', 'git': 'git 2'}
print(ci.asmarkdown(ci.table(run, 2, titles)))
print('\\n'.join(ci.verdicts(run)))
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
    head, *rows = _rows(done.stdout)
    assert {len(row) for row in rows} == {len(head)}
    narrow, pull, half, git, failed = rows
    assert narrow[0] == 'hg-bundlestore'
    assert narrow[2:5] == ['http', '0.30 MB', '200 ms']
    assert narrow[-3:] == ['400 ms', '9.0 s', '0 of 2']
    assert [row[-1] for row in (pull, half, git)] == ['2 of 2', '1 of 2', '']
    assert failed[1:4] == ['`clone -r`', 'ssh', 'exit 255: abort: no']
    goals = [line for line in done.stdout.splitlines() if line[0] == '*']
    assert [goal.rpartition(': ')[2] for goal in goals] == [
        *('held', '**missed**'),
        *('held', 'held', '**missed**', '**missed**'),
    ]


LOG = """\
1970-01-01 00:00:00.000 a @0 (1)> bundlestore 1f served user="" by=ssh \
heads=1 bundles=1 bytes=5 way=verbatim changesets=1 behind=nothing
1970-01-01 00:00:00.000 a @0 (1)> bundlestore 1f stored push=1 way=odd
1970-01-01 00:00:00.000 a @0 (1)> bundlestore 1f served user="" way=overlay
1970-01-01 00:00:00.000 a @0 (1)> bundlestore 1f download user="" bytes=7
"""
ANSWERS = """\
import sys
from pathlib import Path
sys.path.insert(0, 'tools')
from bench import wires
print(sorted(wires.answers(Path(sys.argv[1])).items()))
"""


def test_ways_are_counted_by_the_log(tmp_path: Path) -> None:
    (tmp_path / '.hg').mkdir()
    (tmp_path / '.hg' / 'blackbox.log').write_text(LOG)
    done = subprocess.run(
        [sys.executable, '-c', ANSWERS, str(tmp_path)],
        cwd=environments.ROOT,
        stdout=subprocess.PIPE,
        encoding='utf-8',
        env={'PYTHONPATH': '.'},
        check=True,
    )
    assert done.stdout == "[('overlay', 1), ('verbatim', 2)]\n"
