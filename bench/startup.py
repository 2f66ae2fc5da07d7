#!/usr/bin/env python3
"""What it costs a process that the extension is on.

Runs commands without an extension, with an empty one (Mercurial looks for
more modules as soon as there is any) and with this one in turn, and prints
medians and quartiles of the differences.
"""

from __future__ import annotations

import argparse
import functools
import shlex
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'tests'), str(ROOT / 'tools')]

from bench import alternating  # noqa: E402
from bench.alternating import Budget, Cost  # noqa: E402
from harness import matrix  # noqa: E402
from harness.hg import CONFIG, Hg  # noqa: E402

#: what the extension may add, in milliseconds
BUDGET = 10.0

WITHOUT = 'without'
EMPTY = 'an empty extension'
WITH = 'with'

HELLO = b'hello\nbetween\npairs 81\n' + b'0' * 40 + b'-' + b'0' * 40

SSH = '#!/bin/sh\nexec sh -c "$2"\n'

#: the commands, whether they run in a repository with a bundle store, what
#: they read, whether the budget holds for them
CASES = {
    'hg version': (('version',), False, b'', True),
    'hg root': (('root',), False, b'', True),
    'hg log -l1': (('log', '-l', '1'), False, b'', True),
    'hg serve --stdio': (('-R', '.', 'serve', '--stdio'), False, HELLO, True),
    'hg serve --stdio, bundle store': (
        ('-R', '.', 'serve', '--stdio'),
        True,
        HELLO,
        True,
    ),
    # two processes
    'hg push of nothing over ssh': (('push', '-r', '0'), False, b'', False),
}


def make(top: Path, version: str) -> tuple[Hg, Path, Path]:
    """Return ``hg``, a clone with something to look at, and its source, which
    has a bundle store if the extension is on."""
    hg = Hg(version, True)
    source = hg.init(top / 'source')
    source.inspect('debugbuilddag', '+50')
    client = hg.clone(source.path, top / 'client')
    source.configure('bundlestore', {'server': 'yes'})
    ssh = top / 'ssh'
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    client.configure(
        'ui',
        {
            'ssh': shlex.quote(str(ssh)),
            'remotecmd': shlex.quote(str(hg.executable)),
        },
    )
    client.configure('paths', {'default': f'ssh://host/{source.path}'})
    return hg, client.path, source.path


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--version', default=matrix.NEWEST, metavar='MERCURIAL')
    parser.add_argument('--rounds', type=int, default=25)
    parser.add_argument('--quick', action='store_true', help='fewer rounds')
    parser.add_argument('--json', type=Path, metavar='FILE')
    options = parser.parse_args()
    rounds = 7 if options.quick else options.rounds
    costs: dict[str, dict[str, list[Cost]]] = {}
    budgets = []
    with tempfile.TemporaryDirectory(prefix='bundlestore-bench-') as folder:
        top = Path(folder)
        hg, client, source = make(top, options.version)
        (top / 'empty.py').touch()
        environs: dict[str, dict[str, str]] = {}
        for name, line in (
            (WITHOUT, ''),
            (EMPTY, f'empty = {top}/empty.py\n'),
            (WITH, 'bundlestore =\n'),
        ):
            rc = top / f'{len(environs)}.rc'
            rc.write_text(f'[extensions]\n{line}')
            environs[name] = {
                **hg.cleanenviron(),
                'HGRCPATH': f'{CONFIG}:{rc}',
            }
        print(f'Mercurial {options.version}, {rounds} rounds')
        print('milliseconds more than without extensions: median (quartiles)')
        for title, (words, store, data, budgeted) in CASES.items():
            found = alternating.inturn(
                rounds,
                {
                    name: functools.partial(
                        alternating.once,
                        [hg.executable, *words],
                        environ,
                        cwd=source if store else client,
                        input=data,
                        ok=(0, 1),
                    )
                    for name, environ in environs.items()
                },
            )
            costs[title] = found
            print(f'\n{title}')
            for name in (EMPTY, WITH):
                print(f'  {name}')
                for field in Cost._fields:
                    figure = alternating.more(
                        field, found[name], found[WITHOUT]
                    )
                    print(f'    {field:10}{figure}')
                    if name == WITH and budgeted:
                        budgets.append(
                            Budget(
                                f'start-up, {title}: {field} time',
                                BUDGET,
                                figure.median,
                            )
                        )
    alternating.finish(budgets, costs, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
