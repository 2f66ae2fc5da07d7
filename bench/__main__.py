"""Measure everything, or write the report of a measurement again.

    python -m bench [--quick | --smoke] [--work FOLDER] [--output FOLDER]
    python -m bench --report RESULTS.json [--output FOLDER]

The table goes to standard output, progress to standard error. RESULTS.md,
results.json and the plot go to the folder --output. What is built on the way
(repositories, filled stores) is kept in --work, if given, for the next time.

--smoke shows that all of the bench runs: each row once, with as little in it
as can be, and of figures that say nothing. It ends with 1 where a row fails.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

import environments
from hgext3rd.bundlestore import backends

from . import extras, measure, report, repositories, smoke
from .place import Mercurial, Place, digest, say
from .results import SIZES, Results, Sizes
from .rows import (
    crowd,
    keepalive,
    laptop,
    large,
    many,
    mix,
    resident,
    slow,
    small,
    space,
    views,
    web,
)
from .rows.context import Context
from .systems.base import System, Unavailable
from .systems.git import Git
from .systems.infinitepush import VERSION, InfinitePush
from .systems.ours import Ours, OursOld
from .systems.plain import Plain

HERE = Path(__file__).resolve().parent


STEPS: dict[str, Callable[[Context], None]] = {
    'stored': small.measure_stored,
    'index': space.measure_index,
    'views': views.measure_views,
    'many': many.measure_many,
    'large': large.measure_large,
    'crowd': crowd.measure_crowd,
    'keepalive': keepalive.measure_keepalive,
    'stack': space.measure_stack,
    'laptop': laptop.measure_laptop,
    'slow': slow.measure_slow,
    'mix': mix.measure_mix,
    'web': web.measure_web,
    'weblarge': web.measure_weblarge,
    'resident': resident.measure_resident,
}


def machine(folder: Path) -> dict[str, str]:
    """Return what matters of this machine."""
    cpus = os.cpu_count() or 1
    model = ''
    with contextlib.suppress(OSError):
        for line in Path('/proc/cpuinfo').read_text().splitlines():
            if line.startswith('model name'):
                model = line.partition(':')[2].strip()
                break
    memory = ''
    with contextlib.suppress(OSError, ValueError):
        size = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
        memory = f', {size / 2**30:.0f} GiB of memory'
    done = subprocess.run(
        ['stat', '--file-system', '--format=%T', str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        'processor': f'{cpus} × {model or platform.machine()}{memory}',
        'system': platform.platform(),
        'file system': done.stdout.strip() or 'unknown',
        'Python': platform.python_version(),
    }


def command(options: argparse.Namespace) -> str:
    words = ['make', 'bench']
    if options.size != 'full':
        words.append(f'{options.size.upper()}=1')
    if options.repo:
        words.append(f'REPO={options.repo}')
    return ' '.join(words)


class Bench:
    """One run."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.sizes: Sizes = SIZES[options.size]
        self.place = Place(folder)
        self.results = Results(
            {
                'date': datetime.date.today().isoformat(),
                'command': command(options),
                'quick': options.size != 'full',
                'machine': machine(folder),
                'sizes': self.sizes._asdict(),
                'systems': {},
                'repositories': [],
                'cells': {},
            }
        )

    def run(self) -> Results:
        started = time.monotonic()
        measure.setup()
        version = environments.supported()[-1]
        repositories.ready({version: ['plain', 'ext']})
        context = self.context(Mercurial(version, 'plain'))
        only = (self.options.only or '').split(',')
        for name, step in STEPS.items():
            if name in only or only == ['']:
                step(context)
                measure.settle()
        if only == ['']:
            extras.run(self.results, self.place, self.sizes.extrarounds)
        self.results.data['took'] = round(time.monotonic() - started)
        return self.results

    def context(self, maker: Mercurial) -> Context:
        place, sizes = self.place, self.sizes
        ours, plain = Ours(place), Plain(place)
        # the oldest has infinitepush, too, and is there for the tests
        tiny = self.options.size == 'smoke'
        old = environments.supported()[0] if tiny else VERSION
        matched = OursOld(place, old)
        peers = (InfinitePush(place, old), plain, Git(place))
        systems: list[System] = []
        for system in (ours, matched, *peers):
            try:
                system.prepare()
            except Unavailable as exc:
                say(str(exc))
                self.results.data['systems'][system.key] = str(exc)
            else:
                systems.append(system)
                self.results.data['systems'][system.key] = system.title
        if self.options.repo:
            base = repositories.copied(place, maker, self.options.repo)
        elif not sizes.releases:
            base = repositories.history(place, maker, 20, 10, 10_000)
        else:
            base = repositories.releases(place, maker, sizes.releases)
        with self.filling(ours, base):
            large = [
                *(repositories.wide(place, maker, n) for n in sizes.files),
                *(repositories.long(place, maker, n) for n in sizes.changesets),
            ]
            # made now, as the other processor is busy filling
            for level in sizes.levels:
                plain.filled(base, level)
        self.results.data['repositories'] += [
            template.title for template in (base, *large)
        ]
        matched.stores = ours.stores
        return Context(
            place,
            sizes,
            self.results,
            [system for system in systems if system is not matched],
            ours,
            plain,
            base,
            large,
            [system for system in systems if system is matched],
        )

    @contextlib.contextmanager
    def filling(
        self, ours: Ours, base: repositories.Template
    ) -> Iterator[None]:
        """Have bundle stores filled in the background, by fill.py."""
        levels = (*self.sizes.levels, *self.sizes.highlevels)
        bundle = self.place.run / 'one.hg'
        bundle.write_bytes(ours.onebundle(base))

        def make(path: Path) -> None:
            path.mkdir()
            words = [sys.executable, '-m', 'bench.fill', bundle, path, *levels]
            subprocess.run(
                [str(word) for word in words],
                cwd=HERE.parent,
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                check=True,
            )

        # what an older index left is of no use to a newer one
        package = Path(backends.__file__).parent
        sources = sorted(package.glob('indexes/*/*.py'))
        name = '-'.join(map(str, ('stores', digest(sources), *levels)))
        with ThreadPoolExecutor(1) as pool:
            built = pool.submit(self.place.build, name, make)
            yield
            say('waiting for the stores to be full')
            path = built.result()
        ours.stores = {level: path / str(level) for level in levels}


@contextlib.contextmanager
def workfolder(path: Path | None) -> Iterator[Path]:
    """Give the folder to work in, a temporary one by default."""
    if path is not None:
        path.mkdir(parents=True, exist_ok=True)
        yield path.resolve()
        return
    with tempfile.TemporaryDirectory(prefix='bundlestore-bench-') as folder:
        yield Path(folder)


def main() -> int:
    summary, _, details = (__doc__ or '').partition('\n\n')
    parser = argparse.ArgumentParser(
        prog='python -m bench',
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    size = parser.add_mutually_exclusive_group()
    for option, help in (
        ('quick', 'small sizes, few rounds'),
        ('smoke', 'each row once: does it run?'),
    ):
        size.add_argument(
            f'--{option}',
            dest='size',
            action='store_const',
            const=option,
            default='full',
            help=help,
        )
    parser.add_argument(
        '--work',
        type=Path,
        default=os.environ.get('BUNDLESTORE_BENCH_WORK') or None,
        help='the folder to work in, which keeps what is built',
    )
    parser.add_argument(
        '--output',
        type=Path,
        help='where the results go: bench/, with --quick .bench/, with --smoke'
        ' nowhere',
    )
    parser.add_argument(
        '--only',
        metavar='STEP,…',
        help=f'of {", ".join(STEPS)}; nothing is written without --output',
    )
    parser.add_argument(
        '--repo',
        default=os.environ.get('BUNDLESTORE_BENCH_REPO'),
        help='a repository of your own, in place of the releases',
    )
    parser.add_argument(
        '--index',
        type=Path,
        default=extras.INDEX,
        help='what bench/index.py found, folded in if it is there',
    )
    parser.add_argument(
        '--ci', type=Path, default=extras.CI, help='likewise, bench/ci.py'
    )
    parser.add_argument(
        '--report', type=Path, metavar='JSON', help='measure nothing'
    )
    options = parser.parse_args()
    sys.stdout.reconfigure(encoding='utf-8')  # type: ignore[union-attr]
    output = options.output
    if output is None and not options.only:
        outputs = {'full': HERE, 'quick': HERE.parent / '.bench'}
        output = outputs.get(options.size)
    if options.report:
        results = Results.load(options.report)
    else:
        with workfolder(options.work) as folder:
            bench = Bench(options, folder)
            try:
                results = bench.run()
            finally:
                shutil.rmtree(bench.place.run, ignore_errors=True)
    extras.fold(results, index=options.index, ci=options.ci)
    print(report.text(results))
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        results.save(output / 'results.json')
        report.write(results, output, HERE / 'notes.md')
        say(f'written: {output / "RESULTS.md"}')
    if options.size == 'smoke' and not options.report:
        troubles = list(smoke.troubles(results, options.only is None))
        print('\n'.join(troubles))
        return 1 if troubles else 0
    return 0


if __name__ == '__main__':
    sys.exit(main())
