"""Breaks the code in small ways, and asks whether the quick loop sees it.

    make mutants [ONLY="push/ lookup.py"]

Each break is one that would hurt: a check that is gone, a bound that is off by
one, something that is not closed. With each, the tests that are to see it run,
those that are marked slow left out, unless the break needs them. A break that
they do not see asks for a test. Where code changes so that a break no longer
fits, another one is to take its place here.

The breaks are made in a copy, with environments of its own.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import environments
from breaks import BREAKS, PACKAGE, Break

#: what the tests need of the tree
TREE = ('bench', 'docs', 'hgext3rd', 'tests', 'tools')
#: of so many breaks one may go unseen
ONE_IN = 8


class Copy:
    """The tree and its environments once more, below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / 'tree'
        self._envs = folder / 'envs'
        self._root.mkdir()
        ignore = shutil.ignore_patterns('__pycache__')
        for name in TREE:
            shutil.copytree(
                environments.ROOT / name, self._root / name, ignore=ignore
            )
        for path in environments.ROOT.iterdir():
            if path.is_file():
                shutil.copy(path, self._root)
        for path in environments.ENVS.iterdir():
            if path.is_dir() and path.name != 'tools':
                for part in path.iterdir():
                    place = self._envs / path.name / part.name
                    place.parent.mkdir(parents=True, exist_ok=True)
                    if part.name == 'ext':
                        self._environment(part, place)
                    else:
                        place.symlink_to(part)
        self._environment(environments.ENVS / 'tools', self._envs / 'tools')

    def _environment(self, source: Path, place: Path) -> None:
        """Make an environment that differs in our package alone."""
        (packages,) = source.glob('lib/python*/site-packages')
        own = place / packages.relative_to(source)
        (own / 'hgext3rd').mkdir(parents=True)
        for folder in (packages, packages / 'hgext3rd'):
            for path in folder.iterdir():
                if path.name not in ('hgext3rd', 'bundlestore', '__pycache__'):
                    (own / path.relative_to(packages)).symlink_to(path)
        (own / PACKAGE).symlink_to(self._root / PACKAGE)
        for path in (source / 'pyvenv.cfg', source / 'bundlestore-stamp.json'):
            shutil.copy(path, place)
        shutil.copytree(
            source / 'bin',
            place / 'bin',
            symlinks=True,
            # of scripts that were imported
            ignore=shutil.ignore_patterns('__pycache__'),
        )
        for path in (place / 'bin').iterdir():
            data = b'' if path.is_symlink() else path.read_bytes()
            if data.startswith(b'#!' + os.fsencode(source)):
                path.write_bytes(
                    data.replace(os.fsencode(source), os.fsencode(place), 1)
                )

    def seen(self, tests: Sequence[str], cut: Break | None = None) -> str:
        """Return which of ``tests`` fails, with a break if one is given."""
        if cut is None:
            return self._failing(tests, 'not nightly')
        path = self._root / PACKAGE / cut.file
        whole = path.read_text('utf-8')
        path.write_text(whole.replace(cut.old, cut.new), 'utf-8')
        try:
            marks = 'not nightly' if cut.slow else 'not slow'
            return self._failing(tests, marks)
        finally:
            path.write_text(whole, 'utf-8')

    def _failing(self, tests: Sequence[str], marks: str) -> str:
        # what was compiled may be as old, and as long, as the next break
        for path in (self._root / PACKAGE).rglob('__pycache__'):
            shutil.rmtree(path)
        process = subprocess.run(
            [
                *(self._envs / 'tools' / 'bin' / 'python', '-m', 'pytest'),
                *('-x', '-q', '-p', 'no:cacheprovider', '-m', marks),
                *(f'tests/{name}' for name in tests),
            ],
            cwd=self._root,
            env={
                **os.environ,
                'BUNDLESTORE_ENVS': str(self._envs),
                'BUNDLESTORE_STALE': '1',
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if process.returncode in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
            return ''
        found = re.search(
            r'^(?:FAILED|ERROR) tests/(\S+)', process.stdout, re.MULTILINE
        )
        if process.returncode > 2 or not found:
            sys.exit(f'{process.stdout}\n{" ".join(tests)} did not run')
        return found[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('only', nargs='*', help='beginnings of file names')
    only = tuple(parser.parse_args().only) or ('',)
    chosen = [cut for cut in BREAKS if cut.file.startswith(only)]
    unfit = [cut for cut in chosen if not cut.fits()]
    if unfit:
        names = '\n'.join(f'{cut.file}: {cut.what}' for cut in unfit)
        sys.exit(f'the code is another by now, so mend these breaks:\n{names}')
    survived = []
    with tempfile.TemporaryDirectory(prefix='mutants-') as folder:
        copy = Copy(Path(folder))
        every = sorted({name for cut in chosen for name in cut.tests})
        failing = copy.seen(every)
        if failing:
            sys.exit(f'without a break, {failing} fails')
        for cut in chosen:
            found = copy.seen(cut.tests, cut)
            print(f'{cut.file}: {cut.what}: {found or "NOT SEEN"}', flush=True)
            if not found:
                survived.append(cut)
    print(f'{len(chosen) - len(survived)} of {len(chosen)} were seen')
    if len(survived) * ONE_IN > len(chosen):
        sys.exit(1)


if __name__ == '__main__':
    main()
