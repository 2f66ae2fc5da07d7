#!/usr/bin/env python3
"""Make the virtual environments that the tests and the demonstration use.

    .envs/VERSION/plain   Mercurial VERSION and nothing else
    .envs/VERSION/ext     the same and this project, installed as users do
    .envs/tools           the newest VERSION, this project and its test tools
    .envs/pip             what builds the others
    .envs/wheels          one wheel of each Mercurial, built once
    .envs/sources         the newest VERSION's source, as its tests are run, too
    .envs/chg             Mercurial's C client for command servers, built once

There is one VERSION for each release in ``testedwith`` of metadata.py that
runs with a Python of this machine.
Whatever is there and up to date is left alone, so this may be called before
anything else; it says nothing then. $BUNDLESTORE_ENVS names another folder.

Only the standard library is used, and any Python from 3.9 on will do. The
environments get the Python that runs this, or, where their Mercurial is too
old for it, the newest that it runs with.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import hashlib
import json
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ENVS = Path(os.environ.get('BUNDLESTORE_ENVS') or ROOT / '.envs').absolute()
KINDS = ('plain', 'ext', 'tools')

# What goes into the distribution. The stamp of an environment is a hash of
# these, so an edit of a test does not reinstall anything.
SOURCES = (
    'setup.py',
    'pyproject.toml',
    'MANIFEST.in',
    'LICENSE',
    'README.rst',
    'hgext3rd',
)

# pip learned --python, with which one pip serves all environments, in 22.3
PIP_REQUIREMENTS = ('pip>=22.3', 'setuptools>=61', 'wheel')

COMPILER_HINT = (
    'Compiling Mercurial needs a C compiler and the header files of Python.\n'
    'On Debian: apt-get install gcc libc6-dev python3-dev'
)


# The last Python of a series of Mercurial that does not run with newer ones:
# Mercurial 6.3 imports "imp", which Python 3.12 has no longer.
LAST_PYTHON = {'6.3': '3.11'}

PYTHONS = ('3.9', '3.10', '3.11', '3.12', '3.13')

RUNNING = '{}.{}'.format(*sys.version_info[:2])


class Failure(Exception):
    """Something that the person at the keyboard has to see, in full."""


def supported() -> list[str]:
    """Return the versions in ``testedwith``, oldest first."""
    path = ROOT / 'hgext3rd' / 'bundlestore' / 'metadata.py'
    text: bytes = runpy.run_path(str(path))['testedwith']
    return text.decode().split()


class Interpreter(NamedTuple):
    """A CPython of this machine."""

    path: Path
    #: such as ``3.11``
    version: str
    #: changes when another build takes its place
    identity: str


@functools.cache
def find(version: str) -> Interpreter | None:
    """Return a CPython of this version that can make environments."""
    code = (
        'import ensurepip, platform, sys, venv;'
        'print(platform.python_implementation(), *sys.version_info[:2]);'
        'print(sys.base_prefix, " ".join(sys.version.split()))'
    )
    if version == RUNNING:
        found = [Path(sys.executable)]
    else:
        folders = Path.home().glob(f'.pyenv/versions/{version}.*/bin')
        found = [path / f'python{version}' for path in sorted(folders)]
        onpath = shutil.which(f'python{version}')
        if onpath is not None:
            found.append(Path(onpath))
    for path in found:
        # a shim of pyenv is there even for a Python that is not
        done = subprocess.run(
            [path, '-c', code],
            capture_output=True,
            text=True,
            check=False,
        )
        name, _, identity = done.stdout.partition('\n')
        if done.returncode == 0 and name == 'CPython {} {}'.format(
            *version.split('.')
        ):
            return Interpreter(path, version, identity.strip())
    return None


def running() -> Interpreter:
    interpreter = find(RUNNING)
    if interpreter is None:
        raise Failure(
            f'{sys.executable} is no CPython with venv and ensurepip\n'
            'On Debian: apt-get install python3-venv'
        )
    return interpreter


def interpreter(version: str) -> Interpreter | None:
    """Return the Python that a Mercurial gets, or None if there is none."""
    last = LAST_PYTHON.get(version.rpartition('.')[0], RUNNING)
    if _key(RUNNING) <= _key(last):
        return running()
    for candidate in reversed(PYTHONS):
        if _key(candidate) <= _key(last):
            found = find(candidate)
            if found is not None:
                return found
    return None


def _key(version: str) -> list[int]:
    return [int(number) for number in version.split('.')]


def available() -> list[str]:
    """Return the supported versions that can run here, oldest first."""
    return [version for version in supported() if interpreter(version)]


class Environment(NamedTuple):
    """One virtual environment; ``version`` is the Mercurial in it."""

    kind: str
    version: str

    @property
    def path(self) -> Path:
        if self.kind == 'tools':
            return ENVS / 'tools'
        return ENVS / self.version / self.kind

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ENVS))

    @property
    def interpreter(self) -> Interpreter:
        found = interpreter(self.version)
        assert found is not None
        return found

    @property
    def hasproject(self) -> bool:
        return self.kind != 'plain'


def wanted(versions: Sequence[str], kinds: Iterable[str]) -> list[Environment]:
    """Return the environments of these versions (oldest first) and kinds."""
    kinds = set(kinds)
    result = []
    if 'tools' in kinds:
        result.append(Environment('tools', supported()[-1]))
    for version in versions:
        for kind in ('plain', 'ext'):
            if kind in kinds:
                result.append(Environment(kind, version))
    return result


# stamps: what an environment was made of, written when all of it was there


def sourcefiles() -> Iterator[Path]:
    for name in SOURCES:
        path = ROOT / name
        if path.is_file():
            yield path
        for found in sorted(path.rglob('*')):
            if found.is_file() and '__pycache__' not in found.parts:
                yield found


def projecthash() -> str:
    digest = hashlib.sha256()
    for path in sourcefiles():
        data = path.read_bytes()
        header = f'{path.relative_to(ROOT)}\0{len(data)}\0'
        digest.update(header.encode())
        digest.update(data)
    return digest.hexdigest()


def basestamp(environment: Environment) -> dict[str, str]:
    """Return what, when it changes, has an environment made anew."""
    stamp = {
        'python': environment.interpreter.identity,
        'mercurial': environment.version,
        'place': str(environment.path),
    }
    if environment.hasproject:
        # the requirements stand there
        data = (ROOT / 'setup.py').read_bytes()
        stamp['setup'] = hashlib.sha256(data).hexdigest()
    return stamp


def stamppath(path: Path) -> Path:
    return path / 'bundlestore-stamp.json'


def readstamp(path: Path) -> dict[str, str]:
    try:
        found = json.loads(stamppath(path).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def writestamp(path: Path, stamp: dict[str, str]) -> None:
    # renamed into place: a half-written stamp would only cost a rebuild, but
    # one that lies costs an afternoon
    temporary = stamppath(path).with_suffix('.tmp')
    temporary.write_text(json.dumps(stamp, indent=2))
    temporary.replace(stamppath(path))


def outdated(
    versions: Sequence[str] | None = None, kinds: Iterable[str] = KINDS
) -> list[str]:
    """Return the names of the environments that are missing or hold another
    state of the project than the working folder."""
    project = projecthash()
    names = []
    for environment in wanted(versions or available(), kinds):
        stamp = readstamp(environment.path)
        found = stamp.pop('project', None)
        if stamp != basestamp(environment) or (
            environment.hasproject and found != project
        ):
            names.append(environment.name)
    return names


# making them


def say(message: str) -> None:
    # in one piece, as several threads talk
    sys.stdout.write(f'environments: {message}\n')
    sys.stdout.flush()


def run(command: Sequence[str | Path], hint: str = '') -> None:
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='replace',
        check=False,
    )
    if done.returncode:
        tail = '\n'.join(done.stdout.splitlines()[-40:])
        words = ' '.join(str(word) for word in command)
        raise Failure('\n'.join(filter(None, [f'$ {words}', tail, hint])))


def inparallel(
    work: Callable[[Environment], None], environments: Sequence[Environment]
) -> None:
    with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as pool:
        # list() has the first exception come out
        list(pool.map(work, environments))


@contextmanager
def locked() -> Iterator[None]:
    """Keep a second run out of the same folder."""
    ENVS.mkdir(parents=True, exist_ok=True)
    with open(ENVS / 'lock', 'w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say('waiting for another run to end')
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def makevenv(interpreter: Interpreter, path: Path, *options: str) -> None:
    if path.exists():
        shutil.rmtree(path)
    run(
        [interpreter.path, '-m', 'venv', *options, path],
        'On Debian: apt-get install python3-venv',
    )


def python(path: Path) -> Path:
    return path / 'bin' / 'python'


def pip(*arguments: str | Path, target: Path | None = None) -> list[str | Path]:
    """Return the command that runs pip for the Python ``target``."""
    command: list[str | Path] = [python(ENVS / 'pip'), '-m', 'pip']
    command += ['--disable-pip-version-check', '--quiet']
    if target is not None:
        command += ['--python', target]
    return command + list(arguments)


def makepip() -> None:
    path = ENVS / 'pip'
    stamp = {
        'python': running().identity,
        'place': str(path),
        'requirements': ' '.join(PIP_REQUIREMENTS),
    }
    if readstamp(path) != stamp:
        say('making pip')
        makevenv(running(), path)
        run(pip('install', '--upgrade', *PIP_REQUIREMENTS))
        writestamp(path, stamp)


def wheelfolder(environment: Environment) -> Path:
    tag = f'{environment.interpreter.version}-{sysconfig.get_platform()}'
    return ENVS / 'wheels' / tag / environment.version


def makewheel(environment: Environment) -> None:
    """Download or compile the wheel of one Mercurial."""
    version = environment.version
    folder = wheelfolder(environment)
    if folder.is_dir():
        return
    say(f'fetching and, where needed, compiling Mercurial {version}')
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        made = Path(temporary) / version
        run(
            pip(
                *('wheel', '--no-deps', '--wheel-dir', made),
                f'mercurial=={version}',
                target=environment.interpreter.path,
            ),
            COMPILER_HINT,
        )
        made.rename(folder)


def source(package: str) -> Path:
    """Return where the source of a package is, once it was fetched."""
    if package == 'mercurial':
        return ENVS / 'sources' / f'mercurial-{supported()[-1]}'
    return ENVS / 'sources' / package


def makesource(package: str) -> None:
    """Download the source of the newest Mercurial, or of another package."""
    folder = source(package)
    if folder.is_dir():
        return
    # the tests of hg-evolve go with any Mercurial, those of Mercurial do not
    requirement = folder.name.replace('mercurial-', 'mercurial==')
    say(f'fetching the source of {folder.name}')
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        run(
            pip(
                *('download', '--no-deps', '--no-binary', package),
                *('--dest', temporary, requirement),
            )
        )
        (archive,) = Path(temporary).glob('*.tar.gz')
        run(['tar', '-xzf', archive, '-C', temporary])
        (made,) = (each for each in Path(temporary).iterdir() if each.is_dir())
        made.rename(folder)


def fetch(package: str) -> None:
    """As ``makesource``, for who made the environments before."""
    if not source(package).is_dir():
        with locked():
            makepip()
            makesource(package)


def chg() -> Path:
    """Return where the newest Mercurial's ``chg`` is, if it could be made."""
    return ENVS / 'chg' / supported()[-1] / 'chg'


def makechg() -> None:
    """Compile ``chg``, which no wheel has, out of Mercurial's source."""
    if chg().exists():
        return
    if not (shutil.which('cc') and shutil.which('make')):
        say('left out, no C compiler or no make here: chg')
        return
    folder = chg().parent
    say(f'compiling chg of Mercurial {folder.name}')
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        made = Path(temporary) / 'chg'
        shutil.copytree(source('mercurial') / 'contrib' / 'chg', made)
        run(
            ['make', '-C', made],
            'On Debian: apt-get install gcc libc6-dev make',
        )
        made.rename(folder)


def makeproject(project: str) -> Path:
    """Build the wheel of this project, once for each state of it."""
    folder = ENVS / 'dist' / project
    if not folder.is_dir():
        say('building the project')
        shutil.rmtree(ENVS / 'dist', ignore_errors=True)
        folder.parent.mkdir()
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            # a copy, as setuptools leaves a build folder behind, out of which
            # modules that were deleted since get into the next wheel
            copy = Path(temporary) / 'source'
            for path in sourcefiles():
                target = copy / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            made = Path(temporary) / 'wheel'
            run(
                pip(
                    *('wheel', '--no-deps', '--no-build-isolation'),
                    *('--wheel-dir', made, copy),
                )
            )
            made.rename(folder)
    (wheel,) = folder.glob('*.whl')
    return wheel


def extras(environment: Environment) -> str:
    """Return which extras of the project an environment has: servers of the
    newest Mercurial, and the tests, use every backend."""
    if environment.kind == 'tools':
        return '[dev]'
    newest = environment.version == supported()[-1]
    return '[postgresql,mysql,s3]' if newest else ''


def makeenvironment(
    environment: Environment, project: str, wheel: Path | None
) -> None:
    path = environment.path
    base = basestamp(environment)
    stamp = dict(base)
    if environment.hasproject:
        stamp['project'] = project
    found = readstamp(path)
    if found == stamp:
        return
    found.pop('project', None)
    stamppath(path).unlink(missing_ok=True)
    if found == base and wheel is not None:
        say(f'reinstalling the project in {environment.name}')
        run(
            pip(
                *('install', '--no-deps', '--force-reinstall', wheel),
                target=python(path),
            )
        )
    else:
        say(f'making {environment.name}')
        makevenv(environment.interpreter, path, '--without-pip')
        packages: list[str | Path] = [*wheelfolder(environment).glob('*.whl')]
        if wheel is not None:
            extra = extras(environment)
            packages.append(f'{wheel}{extra}')
        run(pip('install', *packages, target=python(path)))
    writestamp(path, stamp)


def make(
    versions: Sequence[str] | None = None, kinds: Iterable[str] = KINDS
) -> None:
    """Make or refresh the environments of these versions and kinds."""
    environments = wanted(versions or available(), kinds)
    with locked():
        started = time.monotonic()
        project = projecthash()
        # only all the tests together have a use for these
        moremissing = set(kinds) == set(KINDS) and not (
            source('mercurial').is_dir() and chg().exists()
        )
        if not moremissing and not outdated(versions, kinds):
            return
        makepip()
        if moremissing:
            makesource('mercurial')
            makechg()
        byversion = {each.version: each for each in environments}
        inparallel(makewheel, list(byversion.values()))
        wheel = None
        if any(environment.hasproject for environment in environments):
            wheel = makeproject(project)

        def work(environment: Environment) -> None:
            makeenvironment(
                environment,
                project,
                wheel if environment.hasproject else None,
            )

        inparallel(work, environments)
        say(f'ready after {time.monotonic() - started:.0f} seconds')


def main() -> int:
    summary, _, details = (__doc__ or '').partition('\n\n')
    parser = argparse.ArgumentParser(
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--versions',
        metavar='V,V',
        help='only these Mercurials ("newest" is one, too)',
    )
    parser.add_argument(
        '--only',
        metavar='KIND,KIND',
        help=f'only these of {", ".join(KINDS)}',
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='list what is missing or outdated, make nothing',
    )
    options = parser.parse_args()
    try:
        versions = available()
        missing = [v for v in supported() if v not in versions]
    except Failure as exc:
        print(exc, file=sys.stderr)
        return 1
    if options.versions:
        chosen = options.versions.replace('newest', versions[-1]).split(',')
        if not set(chosen) <= set(versions):
            parser.error(f'versions that run here: {", ".join(versions)}')
        versions = [version for version in versions if version in chosen]
    elif missing and options.only != 'tools':
        say(f'left out, no Python for it here: Mercurial {", ".join(missing)}')
    kinds = options.only.split(',') if options.only else list(KINDS)
    if not set(kinds) <= set(KINDS):
        parser.error(f'kinds: {", ".join(KINDS)}')
    if options.check:
        names = outdated(versions, kinds)
        print('\n'.join(names))
        return 1 if names else 0
    try:
        make(versions, kinds)
    except Failure as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
