#!/usr/bin/env python3
"""What hgweb's pages cost for scratch changesets, beside those of the base.

Serves a repository with ``hg serve``, pushes a changeset to its bundle store,
lands one of the same kind in the base, and asks for the same pages of both in
turn, each in a connection of its own. Prints the time from the request to the
last byte, and the time that the server's processor spent.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / 'tests'), str(ROOT / 'tools')]

from harness import matrix, servers  # noqa: E402
from harness.hg import Hg, Repo  # noqa: E402
from harness.web import get  # noqa: E402

#: more that a page of a scratch changeset may cost, in ms
BUDGET = 15.0

PAGES = (
    'rev/{}',
    'raw-rev/{}',
    'json-rev/{}',
    'file/{}',
    'raw-file/{}/mf',
    'diff/{}/mf',
    'log/{}',
    'log/{}/mf',
    'graph/{}',
    'archive/{}.tar.gz',
)


@contextmanager
def served(
    version: str, source: Path | None
) -> Iterator[tuple[str, int, str, str]]:
    """Yield the address, the server's process, and the hashes of a changeset
    of the base and of a scratch changeset, on the same parent."""
    with tempfile.TemporaryDirectory(prefix='bundlestore-bench-') as folder:
        top = Path(folder)
        hg = Hg(version, True)
        root = top / 'served'
        root.mkdir()
        base = Repo(hg, root / 'base')
        if source is None:
            hg.init(base.path)
            base.inspect('debugbuilddag', '--mergeable-file', '+2000')
        else:
            hg.run(
                'clone', '--quiet', '--noupdate', '--pull', source, base.path
            )
        base.inspect('phase', '--public', '--rev', 'all()')
        shutil.copytree(base.path, top / 'client')
        servers.serve_bundlestore(base, {}, {'allow-archive': 'gz'})
        client = Repo(hg, top / 'client')
        client.enable()
        tip = client.node('tip')
        scratch = client.commit(
            {'mf': 'scratch\n' * 100}, 'scratch', parent=tip
        )
        landed = client.commit({'mf': 'landed\n' * 100}, 'landed', parent=tip)
        transport = servers.HttpTransport(hg, root)
        transport.connect(client, base)
        client.run('push', '--quiet', '-r', landed)
        client.run('push', '--quiet', '--bundle-store', '-r', scratch)
        url = transport.url(base)
        assert transport.process is not None
        try:
            yield url, transport.process.pid, landed, scratch
        finally:
            transport.close()


def cpu(pid: int) -> float:
    """Return how long the process has run, in ms, in steps of 10."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks * 1000 / os.sysconf('SC_CLK_TCK')


def measure(url: str, pid: int, count: int) -> tuple[list[float], float]:
    """Return the times of some requests, and what the server spent on one."""
    before = cpu(pid)
    times = []
    for _ in range(count):
        start = time.perf_counter()
        answer = get(url, {'Connection': 'close'})
        times.append((time.perf_counter() - start) * 1000)
        assert answer.status == 200, f'{url}\n{answer}'
    return times, (cpu(pid) - before) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--repo', type=Path, help='take this for the base')
    parser.add_argument('--rounds', type=int, default=8)
    parser.add_argument('--requests', type=int, default=10, help='of a round')
    parser.add_argument('--version', default=matrix.NEWEST)
    options = parser.parse_args()
    print(f'Mercurial {options.version}, hg serve; ms a request')
    print(f'{"":18}{"time, median (least)":>38}{"of the processor":>32}')
    head = ('base', 'scratch', 'more', 'base', 'scratch', 'more')
    print(f'{"page":18}' + '{:>15}{:>15}{:>8}{:>12}{:>12}{:>8}'.format(*head))
    worst = 0.0
    with served(options.version, options.repo) as (url, pid, *nodes):
        for page in PAGES:
            times: dict[str, list[float]] = {node: [] for node in nodes}
            spent: dict[str, list[float]] = {node: [] for node in nodes}
            for _ in range(options.rounds):
                for node in nodes:
                    path = f'{url}/{page.format(node)}'
                    more, used = measure(path, pid, options.requests)
                    times[node] += more
                    spent[node].append(used)
            base, scratch = (statistics.median(times[node]) for node in nodes)
            used_base, used_scratch = (
                statistics.mean(spent[node]) for node in nodes
            )
            least = [min(times[node]) for node in nodes]
            print(
                f'{page.format("NODE"):18}'
                f'{base:8.1f} ({least[0]:4.1f}){scratch:8.1f} ({least[1]:4.1f})'
                f'{scratch - base:8.1f}{used_base:12.1f}{used_scratch:12.1f}'
                f'{used_scratch - used_base:8.1f}'
            )
            worst = max(worst, used_scratch - used_base)
    verdict = 'held' if worst <= BUDGET else 'MISSED'
    print(f'at most {BUDGET:.0f} ms more: {verdict} (processor {worst:.1f})')


if __name__ == '__main__':
    main()
