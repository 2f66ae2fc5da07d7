"""The distribution and the texts in it."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import docutils.core
import pytest

import environments
from harness import matrix
from harness.hg import Hg

pytestmark = pytest.mark.realstarts('what is installed')

ROOT = environments.ROOT
METADATA = runpy.run_path(
    str(ROOT / 'hgext3rd' / 'bundlestore' / 'metadata.py')
)
VERSION = METADATA['__version__']
TEXTS = [
    'CHANGELOG.rst',
    'README.rst',
    'bench/README.rst',
    'docs/architecture.rst',
    'docs/backends.rst',
    'docs/ci.rst',
    'docs/compatibility.rst',
    'docs/deployment.rst',
    'docs/examples/hg-bundlestore-sqlite/README.rst',
    'docs/logging.rst',
    'docs/migrate.rst',
    'docs/permissions.rst',
    'docs/reliability.rst',
    'docs/replicas.rst',
]


@pytest.mark.parametrize('version', [matrix.VERSIONS[0], matrix.NEWEST])
def test_mercurial_shows_the_version(version: str) -> None:
    said = Hg(version, ext=True).run(
        'version', '-v', config=['extensions.bundlestore=']
    )
    assert re.search(rf'^ +bundlestore +external +{VERSION}$', said.out, re.M)


def sources() -> set[str]:
    """Return what users get, relative to the project."""
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / 'hgext3rd').rglob('*')
        if path.is_file() and path.suffix in {'.py', '.rst', '.tmpl', '.css'}
    }


@pytest.fixture(scope='module')
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build as for an upload: the wheel is made from the sdist."""
    folder = tmp_path_factory.mktemp('dist')
    # a copy, as building leaves its traces
    copy = folder / 'source'
    shutil.copytree(
        ROOT,
        copy,
        ignore=shutil.ignore_patterns(
            *('.git', '.envs', '.hypothesis', '.*_cache', 'build', 'dist'),
            *('*.egg-info', '__pycache__'),
        ),
    )
    # such things must not get in, even where they lie about
    (copy / '.envs').mkdir()
    (copy / '.envs' / 'stray.py').touch()
    (copy / 'hgext3rd' / 'bundlestore' / '__pycache__').mkdir()
    (copy / 'hgext3rd' / 'bundlestore' / '__pycache__' / 'x.pyc').touch()
    done = subprocess.run(
        [
            *(sys.executable, '-m', 'build', '--no-isolation'),
            *('--outdir', str(folder / 'dist'), str(copy)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / 'dist'


@pytest.fixture(scope='module')
def wheel(dist: Path) -> zipfile.ZipFile:
    (path,) = dist.glob('*.whl')
    return zipfile.ZipFile(path)


@pytest.mark.slow('builds a wheel')
def test_wheel_holds_the_package_and_nothing_else(
    wheel: zipfile.ZipFile,
) -> None:
    names = set(wheel.namelist())
    info = f'hg_bundlestore-{VERSION}.dist-info/'
    package = {name for name in names if not name.startswith(info)}
    assert package == sources()
    # that one is Mercurial's
    assert 'hgext3rd/__init__.py' not in package
    assert any(name.endswith('/LICENSE') for name in names - package)


@pytest.mark.slow('builds a wheel')
def test_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    info = f'hg_bundlestore-{VERSION}.dist-info'
    metadata = wheel.read(f'{info}/METADATA').decode()
    assert f'\nVersion: {VERSION}\n' in metadata
    assert '\nRequires-Python: >=3.9\n' in metadata
    assert re.search(r'\nLicense.*: GPL-2.0-or-later\n', metadata)
    minimum = METADATA['minimumhgversion'].decode()
    assert f'\nRequires-Dist: mercurial>={minimum}\n' in metadata
    assert '\nRequires-Dist: zope.interface' in metadata


@pytest.mark.slow('builds a wheel')
def test_sdist_is_complete(dist: Path) -> None:
    (path,) = dist.glob('*.tar.gz')
    with tarfile.open(path) as archive:
        names = {
            name.partition('/')[2]
            for name in archive.getnames()
            if not archive.getmember(name).isdir()
        }
    expected = {
        *('LICENSE', 'README.rst', 'CHANGELOG.rst', 'Makefile', '.ci/run'),
        *('pyproject.toml', 'setup.py', 'tests/conftest.py'),
        *('tests/harness/hg.rc', 'tools/demo.py', 'tools/environments.py'),
        *(text for text in TEXTS if (ROOT / text).exists()),
        *sources(),
    }
    assert not expected - names
    assert 'hgext3rd/__init__.py' not in names
    strays = {n for n in names if n.endswith('.pyc') or '.envs' in n}
    assert not strays


@matrix.each_version('version')
def test_backends_are_found_and_load(version: str) -> None:
    code = """\
import importlib.metadata as m
d = m.distribution('hg-bundlestore')
for e in d.entry_points:
    if e.group.startswith('hg_bundlestore.'):
        assert callable(e.load())
        print(e.group, e.name)
"""
    done = subprocess.run(
        [Hg(version, True).python, '-I', '-c', code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()) == {
        'hg_bundlestore.stores command',
        'hg_bundlestore.stores file',
        'hg_bundlestore.stores s3',
        'hg_bundlestore.indexes file',
        'hg_bundlestore.indexes mysql',
        'hg_bundlestore.indexes postgresql',
    }


@pytest.mark.parametrize('version', METADATA['testedwith'].decode().split())
def test_every_version_has_an_environment(version: str) -> None:
    if environments.interpreter(version) is None:
        pytest.skip(f'Mercurial {version} runs with no Python of this machine')
    assert version in matrix.VERSIONS
    for ext in (False, True):
        assert Hg(version, ext).executable.exists()


def test_versions_are_in_order() -> None:
    def key(version: str) -> list[int]:
        return [int(number) for number in version.split('.')]

    versions = environments.supported()
    assert sorted(versions, key=key) == versions
    minimum = METADATA['minimumhgversion'].decode()
    assert versions[0].startswith(minimum)


def test_changelog_begins_with_this_version() -> None:
    text = (ROOT / 'CHANGELOG.rst').read_text('utf-8')
    found = re.findall(r'^(\d+(?:\.\d+)+)\b.*\n=+$', text, re.MULTILINE)
    assert found[0] == VERSION


def test_readme_names_the_supported_versions() -> None:
    text = (ROOT / 'README.rst').read_text('utf-8')
    series = [v.rpartition('.')[0] for v in environments.supported()]
    assert f'Mercurial {series[0]} to {series[-1]} ' in text


@pytest.mark.parametrize('name', [*TEXTS, 'tests/README.rst'])
def test_texts_are_restructuredtext(name: str) -> None:
    # of whatever it reports, a warning is the least that it raises
    docutils.core.publish_file(
        source_path=str(ROOT / name),
        destination_path=os.devnull,
        settings_overrides={
            'halt_level': 2,
            'report_level': 1,
            'traceback': True,
        },
    )
