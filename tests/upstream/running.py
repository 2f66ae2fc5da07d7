"""Calls Mercurial's ``run-tests.py``."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import environments

from .runs import MERCURIAL, Run

#: for a machine that has more to do
SECONDS = 3600


class Result(NamedTuple):
    """What became of a test, or of one of its cases."""

    #: such as ``test-clone.t#fncache``
    name: str
    skipped: bool
    #: the test, and what it would be with the output that was seen
    wanted: str
    found: str


def folder(run: Run) -> Path:
    """Return the folder with the tests."""
    return environments.source(run.package) / 'tests'


def execute(
    run: Run, output: Path, jobs: int = 2, ours: bool = True
) -> list[Result]:
    """Run the tests, each in all its cases."""
    output.mkdir()
    environment = environments.Environment('ext', environments.supported()[-1])
    python = environments.python(environment.path)
    command = [
        *(python, environments.source(MERCURIAL) / 'tests' / 'run-tests.py'),
        *('--with-hg', environment.path / 'bin' / 'hg'),
        *('--jobs', jobs, '--timeout', SECONDS, '--slowtimeout', SECONDS),
        *('--port', 20000 + os.getpid() % 100 * 100),
        *('--outputdir', output, '--json', '--nodiff'),
    ]
    if environments.chg().exists():
        command += ['--with-chg', environments.chg()]
    if ours:
        for item in run.config:
            command += ['--extra-config-opt', item]
    command += [f'test-{test}.t' for test in run.tests]
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder(run),
        env=_environ(environment.path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='replace',
        check=False,
    )
    report = output / 'report.json'
    if not report.exists():
        raise environments.Failure(done.stdout)
    told = json.loads(report.read_text().partition('=')[2])
    results = list(_read(folder(run), output, told))
    missing = {f'test-{test}.t' for test in run.tests} - {
        result.name.partition('#')[0] for result in results
    }
    if missing:
        raise environments.Failure(f'{done.stdout}\nno result: {missing}')
    return results


def _environ(environment: Path) -> dict[str, str]:
    environ = dict(os.environ)
    # some tests look at the order of what two processes say
    environ.pop('PYTHONUNBUFFERED', None)
    # they start scripts of their own
    (packages,) = environment.glob('lib/python3*/site-packages')
    environ['PYTHONPATH'] = str(packages)
    return environ


def _read(
    tests: Path, output: Path, told: dict[str, dict[str, str]]
) -> Iterable[Result]:
    for name, words in told.items():
        wanted = found = _text(tests / name.partition('#')[0])
        if words['result'] == 'failure':
            path = output / f'{name}.err'
            # one that took too long has none
            found = _text(path) if path.exists() else 'no output'
        yield Result(name, words['result'] == 'skip', wanted, found)


def _text(path: Path) -> str:
    # there may be any byte
    return path.read_bytes().decode(errors='surrogateescape')
