"""``make fuzz``: see README.rst."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from . import loop, mutation, targets

#: bytes of the inputs of a target that are committed
MOST = 50_000


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m fuzz', description='Fuzz everything that reads bytes.'
    )
    parser.add_argument(
        '--seconds', type=float, default=60, help='how long, in all'
    )
    parser.add_argument(
        '--executions', type=int, default=0, help='how many of each, instead'
    )
    parser.add_argument('--seed', type=int, default=None)
    parser.add_argument(
        '--dry', action='store_true', help='leave the corpus as it is'
    )
    parser.add_argument(
        '--plain', action='store_true', help='do without atheris'
    )
    parser.add_argument('--atheris', metavar='FOLDER', help=argparse.SUPPRESS)
    parser.add_argument('targets', nargs='*', metavar='TARGET')
    args = parser.parse_args()
    unknown = set(args.targets) - set(targets.TARGETS)
    if unknown:
        parser.error(f'targets are {", ".join(targets.TARGETS)}')
    return args


def main() -> int:
    args = _arguments()
    names: list[str] = args.targets or list(targets.TARGETS)
    if args.atheris:
        from . import guided

        guided.fuzz(names[0], Path(args.atheris), args.seconds)
    loop.bounded()
    useatheris = not (args.plain or args.executions) and (
        importlib.util.find_spec('atheris')
    )
    seed = args.seed if args.seed is not None else int(time.time())
    faults: list[loop.Fault] = []
    for name in names:
        seconds = args.seconds / len(names)
        fuzzer = loop.Fuzzer(name, seed)
        if useatheris:
            _withatheris(fuzzer, seconds)
        else:
            fuzzer.run(seconds, args.executions)
        faults += fuzzer.faults
        kept = 0 if args.dry else _keep(name, fuzzer.kept)
        print(
            f'{name}: {fuzzer.executions} executions, {kept} new inputs, '
            f'{len(fuzzer.faults)} faults',
            flush=True,
        )
    for fault in faults:
        # at any size: it is to be mended, and stays as a test of that
        what = fault.data[:80] if args.dry else loop.keep(*fault[:2])
        print(f'\n{fault.target}: {what!s}\n{fault.text}', flush=True)
    return 1 if faults else 0


def _keep(name: str, found: Sequence[bytes]) -> int:
    """Keep inputs in the corpus, as long as there is room."""
    used = sum(map(len, loop.corpus(name)))
    kept = 0
    for data in sorted(found, key=len):
        if used + len(data) > MOST:
            break
        used += len(data)
        kept += 1
        loop.keep(name, data)
    return kept


def _withatheris(fuzzer: loop.Fuzzer, seconds: float) -> None:
    """Have another process look for inputs that reach further, and take
    those that end in new ways."""
    with tempfile.TemporaryDirectory(prefix='hg-bundlestore-fuzz-') as path:
        folder = Path(path)
        for data in fuzzer.pool:
            loop.keep(fuzzer.name, data, folder)
        command = [sys.executable, '-m', 'fuzz', '--atheris', path]
        command += ['--seconds', str(int(seconds) or 1), fuzzer.name]
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding='utf-8',
            errors='replace',
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
            check=False,
        )
        for data in _files(folder):
            fuzzer.tryout(data)
        fuzzer.executions += mutation.executions(done.stdout)
        if done.returncode and not fuzzer.faults:
            fuzzer.faults.append(loop.Fault(fuzzer.name, b'', done.stdout))


def _files(folder: Path) -> list[bytes]:
    return [p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()]


if __name__ == '__main__':
    sys.exit(main())
