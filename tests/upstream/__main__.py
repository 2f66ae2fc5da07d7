"""``make upstream``: what others test, with this extension on.

Ends with 1 if anything differs that should not, or no longer differs that
should.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import environments
from harness import cost

from . import judging
from .runs import RUNS


def main() -> int:
    parser = argparse.ArgumentParser(prog='make upstream')
    parser.add_argument(
        'tests',
        nargs='*',
        metavar='TEST',
        help='only these, such as push-http or test-push-http.t',
    )
    parser.add_argument(
        '--run',
        choices=[run.name for run in RUNS],
        help='only with this configuration',
    )
    parser.add_argument(
        '--update',
        action='store_true',
        help='have what differs now be what is expected',
    )
    args = parser.parse_args()
    names = {
        name.removeprefix('test-').removesuffix('.t') for name in args.tests
    }
    runs = [run for run in RUNS if args.run in (None, run.name)]
    if names:
        runs = [run for run in (r.only(names) for r in runs) if run.tests]
    if not runs:
        parser.error('no such test')
    cost.adopt()
    top = Path(tempfile.mkdtemp(prefix='bundlestore-upstream-'))
    counts: Counter[str] = Counter()
    try:
        for run in runs:
            environments.fetch(run.package)
            print(f'{run.name}: {", ".join(run.tests)}', flush=True)
            (top / run.name).mkdir()
            before = cost.spent()
            verdicts = judging.judge(run, top / run.name)
            for verdict in verdicts:
                if verdict.word != judging.SAME:
                    print(f'  {verdict}')
            print(f'  {cost.spent() - before:.0f} s of processor time')
            counts.update(verdict.word for verdict in verdicts)
            if args.update:
                for path in judging.update(run, verdicts):
                    print(f'  say why, with "#" before it: {path}')
    except environments.Failure as exc:
        print(exc, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(top)
    told = ', '.join(f'{count} {word}' for word, count in counts.items())
    print(f'{sum(counts.values())} results: {told}')
    return 1 if any(counts[word] for word in judging.BAD) else 0


if __name__ == '__main__':
    sys.exit(main())
