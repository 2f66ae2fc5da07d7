"""What a process loads: each push over ssh is a new one.

And what happens where it cannot load what it needs: nothing lands.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

import environments
import hgext3rd.bundlestore
from harness import matrix
from harness.hg import Hg, Repo
from harness.servers import Transport, patiently
from harness.snapshot import untouched
from harness.store import bundles, tryurl
from hgext3rd.bundlestore.start import loading, points, wraps

pytestmark = pytest.mark.realstarts('which modules a start loads')

#: an extension that tells what the process has loaded in the end
LOADED = """\
import atexit, sys

def tell():
    # Mercurial puts a module that it has not loaded yet here, too
    names = [n for n, m in sys.modules.items() if type(m).__name__ == 'module']
    sys.stderr.write(''.join(f'LOADED {name}\\n' for name in sorted(names)))

def extsetup(ui):
    atexit.register(tell)
"""

#: What a process may load because the extension is on. Whoever adds to this
#: pays for it with each command of each user: measure it with
#: bench/startup.py.
ALWAYS = {
    'hgext',
    'hgext3rd',
    'hgext3rd.bundlestore',
    'hgext3rd.bundlestore.admin',
    'hgext3rd.bundlestore.client',
    'hgext3rd.bundlestore.client.commands',
    'hgext3rd.bundlestore.compat',
    'hgext3rd.bundlestore.config',
    'hgext3rd.bundlestore.metadata',
    'hgext3rd.bundlestore.names',
    'hgext3rd.bundlestore.records',
    'hgext3rd.bundlestore.start',
    'hgext3rd.bundlestore.start.points',
    'hgext3rd.bundlestore.start.wraps',
    'mercurial.__version__',
    'mercurial.exthelper',
    'pkgutil',
    'zope',
}
#: the option of a path, with which Mercurial up to 7.0 brings more along
PATHS = {
    'mercurial.interfaces.repository',
    'mercurial.interfaces.util',
    'mercurial.revlogutils.constants',
    'mercurial.utils.urlutil',
}
#: that Mercurial opens try URLs; up to 7.1 this takes what opens repositories
TRYURLS = {
    'mercurial.branching',
    'mercurial.localrepo',
    'mercurial.narrowspec',
    'mercurial.repo.requirements',
}
#: that it has a repository to work in: pushes are wrapped
REPOSITORY = {
    'mercurial.bundle2',
    'mercurial.exchange',
    'mercurial.phases',
    'mercurial.subrepoutil',
}
#: that this has a bundle store
STORE = {
    # built in
    'gc',
    'hgext3rd.bundlestore.start.loading',
    # these have nothing in them but their rooms
    'hgext3rd.bundlestore.bundle',
    'hgext3rd.bundlestore.fetch',
    'hgext3rd.bundlestore.push',
    'hgext3rd.bundlestore.fetch.serve',
    'hgext3rd.bundlestore.request',
    'hgext3rd.bundlestore.server',
    'hgext3rd.bundlestore.unfit',
    'mercurial.wireprotov1server',
    'mercurial.wireprototypes',
}
#: that it serves
SERVE = {
    'hgext3rd.bundlestore.start.loading',
    'hgext3rd.bundlestore.start.warm',
}
#: that a client says hello to it
HELLO = {
    'hgext3rd.bundlestore.fetch.handshake',
}

HELLO_REQUEST = 'hello\nbetween\npairs 81\n' + '0' * 40 + '-' + '0' * 40


def loaded(repo: Repo, script: Path, *args: str, input: str = '') -> set[str]:
    """Return the modules that a command loads."""
    config = [f'extensions.loaded={script}']
    if input:
        # "serve --stdio" takes no --config
        repo.configure('extensions', {'loaded': str(script)})
        config = []
    told = repo.run(*args, config=config, input=input or None).err
    return {
        line.partition(' ')[2]
        for line in told.splitlines()
        if line.startswith('LOADED ')
    }


@matrix.each_version('version')
def test_nothing_needless_is_loaded(
    hg: Callable[..., Hg], tmp_path: Path, version: str
) -> None:
    script = tmp_path / 'loaded.py'
    script.write_text(LOADED)
    plain = hg(version).init(tmp_path / 'plain')
    client = hg(version).init(tmp_path / 'client')
    client.enable()
    server = hg(version).init(tmp_path / 'server')
    server.enable()
    server.configure('bundlestore', {'server': 'yes'})

    serve = ('-R', '.', 'serve', '--stdio')
    for repo, command, hello, allowed in (
        (client, ('version',), '', ALWAYS | PATHS | TRYURLS),
        (client, ('root',), '', ALWAYS | REPOSITORY),
        (server, ('root',), '', ALWAYS | REPOSITORY | STORE),
        (client, serve, HELLO_REQUEST, ALWAYS | REPOSITORY | SERVE),
        (
            server,
            serve,
            HELLO_REQUEST,
            ALWAYS | REPOSITORY | STORE | SERVE | HELLO,
        ),
    ):
        without = loaded(plain, script, *command, input=hello)
        more = loaded(repo, script, *command, input=hello) - without
        assert 'hgext3rd.bundlestore.start.wraps' in more
        assert (more >= HELLO) == (allowed >= HELLO)
        assert sorted(more - allowed) == [], command


def test_what_is_known_of_pushes(hg: Callable[..., Hg], tmp_path: Path) -> None:
    """It is read where somebody asks for it only."""
    script = tmp_path / 'loaded.py'
    script.write_text(LOADED)
    repo = hg().init(tmp_path / 'client')
    repo.enable()
    room = 'hgext3rd.bundlestore.client.noted'
    for template, wanted in (('{fromstore}', False), ('{pushid}', True)):
        log = ('log', '-r', 'null', '-T', template)
        assert (room in loaded(repo, script, *log)) == wanted


#: What a push of a changeset that the server has not seen does without, at
#: both ends.
NOT_IN_A_PUSH = {
    'getpass',
    'hgext3rd.bundlestore.bookmarks',
    'hgext3rd.bundlestore.bundle.complete',
    'hgext3rd.bundlestore.bundle.overlay',
    'hgext3rd.bundlestore.push.announce',
    'hgext3rd.bundlestore.push.asked',
    'hgext3rd.bundlestore.push.fullcheck',
    'hgext3rd.bundlestore.push.partial',
    'mercurial.setdiscovery',
    'zope.interface',
}


@matrix.over('ssh')
def test_push_of_one_changeset(
    tmp_path: Path, base: Repo, client: Repo
) -> None:
    script = tmp_path / 'loaded.py'
    script.write_text(LOADED)
    base.configure('extensions', {'loaded': str(script)})
    client.commit({'a': 'a\n'}, 'one')
    push = ('push', '--bundle-store', '-r', '.')
    here = loaded(client, script, *push)
    client.commit({'a': 'b\n'}, 'two')
    said = client.run(*push).out.splitlines()
    there = {
        line.removeprefix('remote: LOADED ')
        for line in said
        if line.startswith('remote: LOADED ')
    }
    assert 'hgext3rd.bundlestore.client.scratchpush' in here
    assert 'hgext3rd.bundlestore.push.receive' in there
    assert sorted(here.union(there).intersection(NOT_IN_A_PUSH)) == []
    # it has no address to show
    assert 'hgext3rd.bundlestore.model' not in here


def rooms() -> list[str]:
    package = hgext3rd.bundlestore
    prefix = f'{package.__name__}.'
    return [
        info.name
        for info in pkgutil.walk_packages(package.__path__, prefix)
        if not info.name.startswith(f'{prefix}testing')
    ]


def test_rooms_and_the_table_agree() -> None:
    """Who reads a room sees what its functions wrap, and the table lists all
    of them."""
    marked = {}
    for name in rooms():
        module = importlib.import_module(name)
        for key, value in vars(module).items():
            if not inspect.isfunction(value) or value.__module__ != name:
                continue
            wrapped = getattr(value, 'inplaceof', None)
            if wrapped is not None:
                room = name.partition('bundlestore.')[2]
                marked[f'{room}.{key}'] = wrapped
    listed = {}
    for table in (points.REPOSITORY, points.STORE, points.PEER, points.ASKING):
        for wrapped, target in table.items():
            listed[target] = wrapped
    tables = (points.COMMANDS, points.DEBUGCOMMANDS, points.WIRE, points.OTHERS)
    for commands in tables:
        for command, target in commands.items():
            listed.setdefault(target, f'the command {command.decode()}')
    for table in (
        points.PUSH,
        points.SUBREPOS,
        points.SSH,
        points.TOGETHER,
        points.PULL,
    ):
        for wrapped, target in table.items():
            listed[target] = wrapped
    for name, table in points.NEIGHBOURS.items():
        for wrapped, target in table.items():
            listed[target] = f'{name}.{wrapped}'
    assert marked == listed
    for target in points.WIRECOMMANDS.values():
        assert callable(wraps.room(target))


def test_what_is_replaced_looks_like_a_function(
    hg: Callable[..., Hg],
) -> None:
    """Extensions and caches ask what a function is called and how many
    arguments it has."""
    code = """
import inspect
from mercurial import commands, debugcommands, extensions, ui as uimod
from mercurial import wireprotov1server
debugcommands.__doc__  # loads it
from mercurial.hgweb import hgweb_mod  # makes this a web server
places = {}
from mercurial import extensions as e
original = e.wrapfunction
def wrapfunction(container, name, wrapper):
    places[id(container), name] = container, getattr(container, name)
    return original(container, name, wrapper)
e.wrapfunction = wrapfunction
before = {id(f[0]): f[0] for f in commands.table.values()}
ui = uimod.ui.load()
ui.setconfig(b'extensions', b'bundlestore', b'')
extensions.loadall(ui)
from hgext3rd.bundlestore.start import loading, points, wraps, warm
for moment in ('repository', 'store', 'ask', 'peer', 'web'):
    wraps.apply(moment)
warm._startforking()
pairs = [(getattr(c, n), o) for (_i, n), (c, o) in places.items()]
for name in points.COMMANDS:
    function = commands.table[[
        k for k in commands.table if name in k.split(b'|')][0]][0]
    assert id(function) not in before, name
    pairs.append((function, function._origfunc))
assert len(pairs) > 15
for new, old in pairs:
    assert new is not old
    assert new.__name__ == old.__name__, old
    assert (new.__doc__ or '').startswith(old.__doc__ or ''), old
    assert inspect.signature(new) == inspect.signature(old), old
    if isinstance(new, __import__('functools').partial):
        assert new.__code__ is old.__code__, old
    assert new.__code__, old
for name in points.WIRECOMMANDS:
    function = wireprotov1server.commands[name].func
    assert function.__name__ != 'call' and function.__code__
"""
    made = hg()
    done = subprocess.run(
        [made.python, '-c', code],
        capture_output=True,
        text=True,
        env=made.cleanenviron(),
    )
    assert done.returncode == 0, done.stderr


# -- half an extension is none


def refuse(transport: Transport, base: Repo, pushers: list[Repo]) -> list[str]:
    """Have all pushes refused; return what was said."""
    said = []
    for repo in pushers:
        flags = ['--bundle-store'] if repo.hg.ext else []
        with untouched(base.path):
            result = repo.run('push', '--force', *flags, ok=None)
        assert result.code
        said.append(result.err)
    assert not bundles(base)
    return said


@pytest.fixture
def pushers(client: Repo, vanilla: Repo) -> list[Repo]:
    """A client with the extension and one without, with something to push."""
    client.commit({'a': 'a\n'}, 'must not land')
    vanilla.commit({'b': 'b\n'}, 'must not land either')
    return [client, vanilla]


@pytest.mark.parametrize(
    'broken',
    [
        # what the extension wraps: when it starts, when a repository is
        # opened, and when one with a bundle store is
        pytest.param(
            'import mercurial.commands as m; del m.table[b"help"]',
            marks=matrix.ANOTHER,
        ),
        pytest.param(
            'import mercurial.scmutil as m; del m.revrange',
            marks=matrix.ANOTHER,
        ),
        'import mercurial.exchange as m; del m.check_heads',
    ],
    ids=['command', 'repository', 'store'],
)
@matrix.over('ssh')
def test_mercurial_that_lacks_what_is_wrapped(
    transport: Transport,
    base: Repo,
    pushers: list[Repo],
    tmp_path: Path,
    broken: str,
) -> None:
    """Then no repository can be opened that has a bundle store: Mercurial
    itself would go on without the extension, and pushes would land."""
    made = tryurl(transport, base)
    fake = tmp_path / 'fake'
    fake.mkdir()
    (fake / 'sitecustomize.py').write_text(broken)
    script = tmp_path / 'brokenhg'
    script.write_text(
        f'#!/bin/sh\nexec env PYTHONPATH={fake}'
        f' {transport.hg.executable} "$@"\n'
    )
    script.chmod(0o755)
    for repo in pushers:
        repo.configure('ui', {'remotecmd': str(script)})
    pushers[1].configure('paths', {'default': transport.url(made)})
    for said in refuse(transport, base, pushers):
        assert 'cannot load the bundlestore extension: ' in said


@pytest.mark.parametrize(
    'room',
    [
        'push/receive',
        *(
            pytest.param(room, marks=matrix.ANOTHER)
            for room in (
                'fetch/serve',
                'push/route',
                'bundle/changegroup',
                'server',
                'wire/stored',
            )
        ),
    ],
)
@matrix.over('ssh')
def test_room_that_cannot_be_loaded(
    transport: Transport,
    base: Repo,
    pushers: list[Repo],
    tmp_path: Path,
    room: str,
) -> None:
    """Rooms are loaded when they are needed. A push that needs one which is
    broken is refused, and never goes on to the base."""
    package = tmp_path / 'package' / 'bundlestore'
    shutil.copytree(environments.ROOT / 'hgext3rd' / 'bundlestore', package)
    (package / f'{room}.py').write_text('import that_is_not_there\n')
    made = tryurl(transport, base)
    for repo in (base, made):
        repo.configure('extensions', {'bundlestore': str(package)})
    pushers[1].configure('paths', {'default': transport.url(made)})
    if room == 'wire/stored':
        # a client without the extension has nothing to do with it
        pushers = pushers[:1]
    for said in refuse(transport, base, pushers):
        assert 'abort: ' in said
        if room in ('push/receive', 'fetch/serve', 'wire/stored'):
            assert 'cannot load the bundlestore extension: ' in said
            assert 'that_is_not_there' in said


OPENED_TOO_EARLY = """
import importlib.abc, sys, threading
from mercurial import dispatch, error, exchange, extensions, hg, ui as uimod

base, client = [path.encode() for path in sys.argv[1:]]
reached, go = threading.Event(), threading.Event()

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == 'hgext3rd.bundlestore':
            reached.set()
            go.wait(30)

def opened(path):
    ui = uimod.ui.load()
    extensions.loadall(ui)
    return hg.repository(ui, path)

sys.meta_path.insert(0, Slow())
first = threading.Thread(target=opened, args=(base,))
first.start()
assert reached.wait(30)
early = opened(base)
assert not hasattr(early, 'hasbundlestore')
go.set()
first.join()
local = opened(client)
nodes = [local[b'tip'].node()]
try:
    exchange.push(local, early.peer(), force=True, revs=nodes)
except error.Abort as exc:
    print(exc.message.decode())
opened(base)
exchange.push(local, opened(base).peer(), force=True, revs=nodes)
"""


@matrix.each_version('version')
def test_repository_opened_while_the_extension_loads(
    version: str, hg: Callable[..., Hg], tmp_path: Path
) -> None:
    # in a web server, two threads may open repositories at the same time
    made = hg(version)
    base = made.init(tmp_path / 'base')
    config = '[extensions]\nbundlestore =\n[bundlestore]\nserver = yes\n'
    (base.path / '.hg' / 'hgrc').write_text(f'{config}route = all\n')
    client = made.init(tmp_path / 'client')
    client.commit({'a': 'a\n'}, 'must not land')
    with untouched(base.path):
        done = subprocess.run(
            [made.python, '-c', OPENED_TOO_EARLY, base.path, client.path],
            capture_output=True,
            text=True,
            env=made.cleanenviron(),
        )
    assert done.returncode == 0, done.stderr
    assert 'was opened before its bundle store' in done.stdout
    assert bundles(base)


#: an extension that tells how a process ends
ENDING = """\
import atexit, contextlib, gc

def tell():
    # what the tests ask stays for longer than the folder
    with contextlib.suppress(FileNotFoundError), open({path!r}, 'a') as fh:
        rare = gc.get_threshold()[0] > 10000
        print(bool(gc.get_freeze_count()), rare, file=fh)

def extsetup(ui):
    atexit.register(tell)
"""


@matrix.over('ssh')
def test_ends_without_a_search_for_garbage(
    tmp_path: Path, base: Repo, client: Repo
) -> None:
    """Both ends of a scratch push; commands that do without a store end as
    ever."""
    code = tmp_path / 'ending.py'
    told = tmp_path / 'told'
    code.write_text(ENDING.format(path=str(told)))
    for repo in (base, client):
        repo.configure('extensions', {'ending': str(code)})
    client.commit({'a': 'a\n'}, 'one')
    told.unlink(missing_ok=True)
    client.run('push', '--bundle-store', '-r', '.')
    # the server may end after its client
    for _again in patiently():
        if told.read_text().count('\n') == 2:
            break
    client.run('log', '-l', '1')
    assert told.read_text().split() == [
        *('True', 'True'),
        *('True', 'True'),
        *('False', 'False'),
    ]


def test_what_waits_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """``hgwebdir`` opens the repository for each request."""
    loads: list[bool] = []
    monkeypatch.setattr(loading, 'loadall', lambda web, ui: loads.append(web))
    monkeypatch.setattr(loading, '_freeze', lambda: None)
    monkeypatch.setattr(loading, '_prepared', {})
    for _time in range(2):
        loading.prepare(force=True)
        assert len(loads) == 1
    monkeypatch.setitem(sys.modules, 'some_new_module', types.ModuleType('n'))
    loading.prepare(force=True)
    assert len(loads) == 2
