"""Folds in what other programs of the bench measure: the cost of loading the
extension, ``chg``, the index at ten million changesets, and CI machines.

Each writes its figures as JSON. They are measured in runs of their own, as
each compares things within itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .place import Place, say
from .results import Results

HERE = Path(__file__).resolve().parent

#: what runs with every run, if it is there
PROGRAMS = ('startup', 'chg')

#: what ``make bench-index`` and ``make bench-ci`` write
INDEX = HERE / 'index.json'
CI = HERE / 'ci.json'

#: how long one may take, in seconds
PATIENCE = 600


def run(results: Results, place: Place, rounds: int) -> None:
    """Run the programs, in so many rounds, none: as they do themselves."""
    for name in PROGRAMS:
        path = HERE / f'{name}.py'
        if path.exists():
            with results.trying('ours', f'extra/{name}'):
                results.data[name] = _run(path, place, rounds)


def fold(results: Results, **found: Path) -> None:
    """Take what was measured by others, whenever that was."""
    for name, path in found.items():
        if path.exists():
            results.data[name] = json.loads(path.read_text())


def _run(path: Path, place: Place, rounds: int) -> object:
    say(f'bench/{path.name}')
    output = place.run / f'{path.stem}.json'
    words = [sys.executable, str(path), '--json', str(output)]
    done = subprocess.run(
        words + (['--rounds', str(rounds)] if rounds else []),
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode:
        raise ValueError(f'bench/{path.name} ended with {done.returncode}')
    return json.loads(output.read_text())
