"""The fixtures. tests/README.rst shows how they are meant to be used."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, TypeVar

import hypothesis
import pytest

import environments
from harness import (
    browser as browsermod,
    forked,
    history,
    matrix,
    nightly,
    others,
    pool,
    servers,
    shelf as shelves,
)
from harness.answers import Log
from harness.backends import (
    KINDS,
    OBJECTS,
    REQUIRED,
    Daemon,
    MariaDB,
    ObjectStore,
    PostgreSQL,
    Rclone,
    SeaweedFS,
    session as sessions,
)
from harness.buildbot import NAMES as BUILDBOT
from harness.hg import Hg, Repo
from harness.inspector import Inspector
from harness.machine import Machine
from harness.proxy import Proxy
from harness.rights import publicfolder
from harness.spent import Spent

D = TypeVar('D', bound=Daemon)

#: Linux has it in memory, containers often with little room
MEMORY = '/dev/shm'
#: bytes; the tests that run at the same time need a tenth of it
ROOM = 4 << 30

# in the background of a shell nobody is interrupted, nor is what is started
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# how fast an example runs says nothing about whether it is right
hypothesis.settings.register_profile(
    'bundlestore', deadline=None, print_blob=True
)
hypothesis.settings.load_profile('bundlestore')


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Spent(config))
    folder = inmemory()
    if folder is not None:
        # where pytest makes its temporary folders
        os.environ.setdefault('PYTEST_DEBUG_TEMPROOT', folder)
    # the workers of xdist use what the process before them has named
    if not hasattr(config, 'workerinput'):
        sessions.begin(folder)


def pytest_unconfigure() -> None:
    sessions.end()


def inmemory() -> str | None:
    """Return a folder in memory, if there is one with room enough. To make
    files there, some fifty thousand, takes a tenth of the time."""
    try:
        disk = os.statvfs(MEMORY)
    except OSError:
        return None
    room = disk.f_bavail * disk.f_frsize >= ROOM
    return MEMORY if room and not disk.f_flag & os.ST_NOEXEC else None


def pytest_sessionstart(session: pytest.Session) -> None:
    # the workers of xdist are started by a session that has looked already
    if hasattr(session.config, 'workerinput'):
        return
    names = environments.outdated()
    if names and not os.environ.get('BUNDLESTORE_STALE'):
        pytest.exit(
            'these environments are missing or hold an older state of the'
            f' project: {", ".join(names)}\n'
            'run "make test", or "python3 tools/environments.py" before'
            ' pytest (BUNDLESTORE_STALE=1 takes them as they are)',
            returncode=4,
        )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    for item in items:
        # the suites that come with the package know no marks of ours
        if '[spawn]' in item.name:
            item.add_marker(matrix.ANOTHER)
    nightly.choose(config, items)
    # it keeps the whole machine busy, and others must not fail of that
    items.sort(key=lambda item: item.path.name == 'test_load.py')


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_collection() -> Iterator[None]:
    # what is collected stays: no search for garbage has to go through it
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    forked.real = item.get_closest_marker('realstarts') is not None


def pytest_report_header() -> list[str]:
    missing = set(environments.supported()) - set(matrix.VERSIONS)
    header = [f'Mercurial: {", ".join(matrix.VERSIONS)}']
    if missing:
        header.append(
            f'NOT TESTED, no Python here runs it: {", ".join(sorted(missing))}'
        )
    return header


def pytest_sessionfinish() -> None:
    Inspector.stopall()
    forked.Server.stopall()


# versions


@pytest.fixture(params=matrix.TRANSPORTPARAMS)
def transport_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def client_version() -> str:
    return matrix.NEWEST


@pytest.fixture
def server_version(transport_name: str, client_version: str) -> str:
    # by path the client's own process is the server
    return client_version if transport_name == 'path' else matrix.NEWEST


@pytest.fixture(scope='session')
def _tempfolder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('tmp')


@pytest.fixture
def tempfolder(_tempfolder: Path) -> Path:
    """The TMPDIR of every process of the test, to look for what was left.
    As servers stay, it is that of every test, and empty at first."""
    # a stream clone by hg <= 6.3 takes the folder itself away
    _tempfolder.mkdir(exist_ok=True)
    for path in _tempfolder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return _tempfolder


@pytest.fixture
def hg(tempfolder: Path, backendenviron: dict[str, str]) -> Callable[..., Hg]:
    """``hg(version, ext=True)``: any Mercurial."""
    environ = {'TMPDIR': str(tempfolder), **backendenviron}

    def make(version: str = matrix.NEWEST, ext: bool = True) -> Hg:
        return Hg(version, ext, environ)

    return make


# the server side


@pytest.fixture(scope='session')
def template(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], tuple[Path, history.History]]:
    """``template(version)``: the repository to copy, and its hashes."""
    built: dict[str, tuple[Path, history.History]] = {}

    def get(version: str) -> tuple[Path, history.History]:
        if version not in built:
            path = tmp_path_factory.mktemp(f'template-{version}') / 'base'
            built[version] = (path, history.build(Hg(version, False), path))
        return built[version]

    return get


@pytest.fixture(scope='session')
def sharedservers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[pool.Pool]:
    """The servers of web pages that one test after the other uses."""
    made = pool.Pool(lambda: tmp_path_factory.mktemp('server'))
    yield made
    made.close()


@pytest.fixture(scope='session')
def shelf(tmp_path_factory: pytest.TempPathFactory) -> shelves.Shelf:
    """What many tests begin with (see harness/shelf.py)."""
    return shelves.Shelf(lambda: tmp_path_factory.mktemp('shelf'))


@pytest.fixture
def ownserver() -> None:
    """For a test that changes, damages or measures the server's process."""


@pytest.fixture
def transport(
    request: pytest.FixtureRequest,
    sharedservers: pool.Pool,
    tmp_path: Path,
    hg: Callable[..., Hg],
    transport_name: str,
    server_version: str,
) -> Iterator[servers.Transport]:
    """The server. It starts when the first address is asked for, and must be
    alive and without a traceback in its log when the test ends."""
    root = tmp_path / 'served'
    root.mkdir()
    made = servers.BY_NAME[transport_name](hg(server_version), root)
    if 'ownserver' not in request.fixturenames:
        made.share(sharedservers)
    yield made
    made.close()


@pytest.fixture
def plainbase(
    transport: servers.Transport,
    template: Callable[[str], tuple[Path, history.History]],
) -> Repo:
    """The base repository, served by plain Mercurial."""
    source, _ = template(transport.hg.version)
    bare = source.with_name('bare')
    if not bare.exists():
        history.copy(source, bare)
        Repo(transport.hg, bare).inspect('update', '--quiet', 'null')
    path = transport.root / 'base'
    history.copy(bare, path)
    return Repo(transport.hg, path)


@pytest.fixture
def storeconfig() -> dict[str, str]:
    """Items of [bundlestore] for ``base``; a test parametrises it."""
    return {}


@pytest.fixture
def webconfig() -> dict[str, str]:
    """Items of [web] for ``base``; a test parametrises it."""
    return {}


@pytest.fixture
def base(
    plainbase: Repo, storeconfig: dict[str, str], webconfig: dict[str, str]
) -> Repo:
    """The base repository, with a bundle store."""
    servers.serve_bundlestore(plainbase, storeconfig, webconfig)
    return plainbase


@pytest.fixture
def hashes(
    transport: servers.Transport,
    template: Callable[[str], tuple[Path, history.History]],
) -> history.History:
    """The changesets of ``base`` by name, as harness/history.py draws them."""
    return template(transport.hg.version)[1]


# the client side


@pytest.fixture
def newclient(
    tmp_path: Path,
    hg: Callable[..., Hg],
    transport: servers.Transport,
    plainbase: Repo,
    client_version: str,
    template: Callable[[str], tuple[Path, history.History]],
) -> Callable[..., Repo]:
    """``newclient(name, ext=True)``: a clone of the base repository.

    With ``ext`` it has the extension turned on. Without, it is a Mercurial
    without this project, except by path, where the one process must be able
    to serve: there the extension is installed but not turned on.
    """

    def make(name: str, ext: bool = True, version: str | None = None) -> Repo:
        version = version or client_version
        source, _ = template(version)
        installed = ext or transport.name == 'path'
        repo = Repo(hg(version, installed), tmp_path / name)
        history.copy(source, repo.path)
        transport.connect(repo, plainbase)
        if ext:
            repo.enable()
        return repo

    return make


@pytest.fixture
def client(newclient: Callable[..., Repo]) -> Repo:
    """A clone whose user turned the extension on."""
    return newclient('client')


@pytest.fixture
def vanilla(newclient: Callable[..., Repo]) -> Repo:
    """A clone whose user never heard of the extension."""
    return newclient('vanilla', ext=False)


# the browser


@pytest.fixture(scope='module')
def sharedbrowser(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[browsermod.Browser]:
    """The browser of a module, to start one takes longer than most tests."""
    made = browsermod.Browser(tmp_path_factory.mktemp('browser'))
    yield made
    made.close()


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> Iterator[browsermod.Browser]:
    """A browser in which nothing was looked at before, of the size of a
    desktop window."""
    why = browsermod.missing()
    if why is not None:
        if os.environ.get(browsermod.REQUIRED):
            pytest.fail(why)
        pytest.skip(why)
    made: browsermod.Browser = request.getfixturevalue('sharedbrowser')
    made.renew()
    yield made
    # some pages go on asking
    made.open('about:blank')


# databases and object stores (see harness/backends)


@pytest.fixture
def backendenviron(request: pytest.FixtureRequest) -> dict[str, str]:
    """What servers and clients need in their environment to log in to what
    the test asks for."""
    if 'backend' not in request.fixturenames:
        return {}
    return {k: v for kind in KINDS for k, v in kind.environ.items()}


@pytest.fixture
def backend(
    backendenviron: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> sessions.Getter:
    """``backend(kind)``: the server that all tests share. This process may
    log in, too."""
    for key, value in backendenviron.items():
        monkeypatch.setenv(key, value)

    def get(kind: type[D], *more: str) -> D:
        assert not more, 'others share it'
        _needed(kind)
        return sessions.shared(kind)

    return get


def _needed(kind: type[Daemon]) -> None:
    """Skip the test where a program is not installed."""
    why = kind.missing()
    if why is not None:
        if os.environ.get(REQUIRED):
            pytest.fail(why)
        pytest.skip(why)


@pytest.fixture
def postgresql(backend: sessions.Getter) -> PostgreSQL:
    """PostgreSQL; ``fresh()`` is the URL of a new schema."""
    return backend(PostgreSQL)


@pytest.fixture
def mariadb(backend: sessions.Getter) -> MariaDB:
    """MariaDB; ``fresh()`` is the URL of a new database."""
    return backend(MariaDB)


@pytest.fixture
def rclone(backend: sessions.Getter) -> Rclone:
    """``rclone serve s3``; ``fresh()`` is the URL of a new prefix."""
    return backend(Rclone)


@pytest.fixture
def seaweedfs(backend: sessions.Getter) -> SeaweedFS:
    """SeaweedFS; ``fresh()`` is the URL of a new prefix."""
    return backend(SeaweedFS)


@pytest.fixture(params=OBJECTS, ids=lambda kind: kind.name)
def objects(
    request: pytest.FixtureRequest, backend: sessions.Getter
) -> ObjectStore:
    """One that speaks S3, and then the other."""
    return backend(request.param)


@pytest.fixture
def privateserver(
    backend: sessions.Getter,
) -> Iterator[sessions.Getter]:
    """``privateserver(kind, *words)``: one of the test's own, to stop, freeze
    or restart it, with these words in its command line."""
    started: list[Daemon] = []

    def start(kind: type[D], *more: str) -> D:
        _needed(kind)
        made = sessions.private(kind, *more)
        started.append(made)
        return made

    yield start
    for made in started:
        made.discard()


@pytest.fixture
def newproxy() -> Iterator[Callable[[int], Proxy]]:
    """``newproxy(port)``: a network to that port that can be slow, or break
    off."""
    made: list[Proxy] = []

    def start(target: int) -> Proxy:
        made.append(Proxy(target))
        return made[-1]

    yield start
    for proxy in made:
        proxy.close()


@pytest.fixture
def log(transport: servers.Transport, base: Repo) -> Log:
    """How the server's answers to pulls come to be."""
    log = Log(base)
    transport.restart()
    return log


# programs of others


@pytest.fixture(scope='session')
def buildbotpackages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Buildbot (see harness/buildbot.py)."""
    folder = tmp_path_factory.mktemp('buildbot')
    return others.frompypi(folder, *BUILDBOT)


# a machine that docs/deployment.rst sets up


@pytest.fixture
def machine() -> Iterator[Machine]:
    with publicfolder() as root:
        made = Machine(root / 'm')
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture
def one(machine: Machine) -> Machine:
    """One machine, with a repository and its try URL."""
    machine.follow('One machine')
    return machine
