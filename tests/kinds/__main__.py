"""``make matrix``: all kinds of repositories, and what came of it.

Writes docs/compatibility.rst if it was asked for all, and ends with 1 if
something does not work that is not explained there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

from harness import cost, forked, matrix
from harness.inspector import Inspector

from . import known, page, playing, scene
from .playing import Outcome
from .scene import Row
from .table import BY_NAME, KINDS


def main() -> int:
    parser = argparse.ArgumentParser(prog='make matrix')
    parser.add_argument('--kind', action='append', choices=[*BY_NAME])
    parser.add_argument(
        '--version', choices=matrix.VERSIONS, help='on both sides'
    )
    parser.add_argument('--transport', choices=matrix.TRANSPORTS)
    parser.add_argument(
        '--keep',
        type=Path,
        help='a file with what was found already, which is not done again',
    )
    args = parser.parse_args()
    kinds = [kind for kind in KINDS if not args.kind or kind.name in args.kind]
    rows = [*dict.fromkeys([*scene.rows(kinds), *scene.mixed(kinds)])]
    if args.version:
        both = (args.version, args.version)
        rows = [row for row in rows if (row.client, row.server) == both]
    if args.transport:
        rows = [row for row in rows if row.transport == args.transport]
    cost.adopt()
    # what is started forks (see harness/forked.py)
    forked.real = False
    outcomes = [*_read(args.keep)]
    done = {outcome.row for outcome in outcomes}
    try:
        for found in _played([row for row in rows if row not in done]):
            outcomes += found
            _write(args.keep, outcomes)
    finally:
        forked.Server.stopall()
        Inspector.stopall()
    wrong = known.judge(outcomes)
    print(''.join(f'{line}\n' for line in wrong), end='')
    if {*rows} <= {o.row for o in outcomes} and not (
        args.kind or args.version or args.transport
    ):
        page.write(outcomes)
        print(f'written: {page.DOCUMENT}')
    count = len({o.row for o in outcomes})
    print(f'{count} rows, {len(outcomes)} steps, {len(wrong)} of them wrong')
    return 1 if wrong else 0


def _played(rows: Sequence[Row]) -> Iterator[list[Outcome]]:
    top = Path(tempfile.mkdtemp(prefix='bundlestore-kinds-'))
    try:
        (top / 'bases').mkdir()
        bases = scene.Bases(top / 'bases')
        for row in rows:
            folder = top / 'row'
            folder.mkdir()
            found = playing.play(row, folder, bases, control=True)
            shutil.rmtree(folder)
            print(row, flush=True)
            for outcome in found:
                if outcome.word not in (playing.WORKS, playing.NOTTHERE):
                    print(f'    {outcome.step}: {outcome.line}', flush=True)
            yield found
    finally:
        shutil.rmtree(top)


def _read(path: Optional[Path]) -> Iterator[Outcome]:
    if path is not None and path.exists():
        for row, *rest in json.loads(path.read_text('utf-8')):
            yield Outcome(Row(*row), *rest)


def _write(path: Optional[Path], outcomes: Sequence[Outcome]) -> None:
    if path is not None:
        path.write_text(json.dumps(outcomes), 'utf-8')


if __name__ == '__main__':
    sys.exit(main())
