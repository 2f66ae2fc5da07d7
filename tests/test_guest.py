"""The store is a guest of the base: whatever is wrong with it, what the base
can answer alone is answered as plain Mercurial would."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import matrix, web
from harness.hg import Repo
from harness.servers import Transport
from harness.store import bundles, folder
from harness.thirdparty import install, known

Harm = Callable[[Repo], contextlib.AbstractContextManager[None]]

CHECK = ('admin::bundlestore-stats', '--check')
UNKNOWN = '0123456789abcdef' * 2 + '01234567'


def configured(item: str, value: str) -> Harm:
    @contextlib.contextmanager
    def harm(base: Repo) -> Iterator[None]:
        before = base.hgrc.read_text('utf-8')
        base.configure('bundlestore', {item: value})
        yield
        base.hgrc.write_text(before, 'utf-8')

    return harm


@contextlib.contextmanager
def damaged(base: Repo) -> Iterator[None]:
    index = folder(base) / 'index.sqlite3'
    folder(base).mkdir(exist_ok=True)
    # with its log, from which SQLite would make it whole again
    before = {path: path.read_bytes() for path in index.parent.glob('index.*')}
    for path in before:
        path.unlink()
    index.write_bytes(b'no database' * 500)
    yield
    index.write_bytes(b'')
    for path, data in before.items():
        path.write_bytes(data)


@contextlib.contextmanager
def unreadable(base: Repo) -> Iterator[None]:
    """The tests may run as root, whom no mode stops."""
    index = folder(base) / 'index.sqlite3'
    index.mkdir(parents=True)
    yield
    index.rmdir()


@contextlib.contextmanager
def locked(base: Repo) -> Iterator[None]:
    index = folder(base) / 'index.sqlite3'
    folder(base).mkdir(exist_ok=True)
    with contextlib.closing(
        sqlite3.connect(index, isolation_level=None)
    ) as other:
        other.execute('BEGIN EXCLUSIVE')
        yield
        other.execute('ROLLBACK')


#: what is wrong, and what of it people are told who need the store
HARMS: dict[str, tuple[Harm, str]] = {
    'damaged': (damaged, 'not a bundle index'),
    'unreadable': (unreadable, 'bundle index cannot be used'),
    'locked': (locked, 'bundle index was locked for too long'),
    'scheme': (configured('index', 'pigeon:x'), 'unknown bundle index scheme'),
    'path': (configured('index', 'file:x'), 'URL names no absolute path'),
    'raises': (configured('index', 'raises:x'), 'bundle index failed: OSError'),
    'hangs': (configured('index', 'hangs:x'), 'did not answer within'),
    'absent': (configured('index', 'absent:x'), 'absent cannot be loaded'),
    'refuses': (configured('index', 'refuses:x'), 'no connection'),
    'verify': (configured('verify', 'fulll'), 'bundlestore.verify is not'),
    'server': (configured('server', 'jes'), 'bundlestore.server is not'),
    'size': (configured('max-bundle-size', 'big'), 'bundlestore.max-bundle-'),
    'pattern': (configured('bookmark-pattern', 're:('), 'bookmark-pattern'),
}


@pytest.fixture
def thirdparty(tmp_path: Path, transport: Transport, kind: str) -> None:
    """The server knows indexes that are no good."""
    entrypoints = """\
        [hg_bundlestore.indexes]
        raises = poorindexes:Raises
        hangs = poorindexes:Hangs
        absent = poorindexes.absent:Index
        refuses = poorindexes:Refuses
        """
    poorindexes = """\
        import time

        class Poor:
            def __init__(self, url, place):
                pass

            def __getattr__(self, name):
                if name.startswith('__'):
                    raise AttributeError(name)
                return self.trouble

        class Raises(Poor):
            def trouble(self, *args, **kwargs):
                raise OSError('of the test')

        class Hangs(Poor):
            def trouble(self, *args, **kwargs):
                time.sleep(1000)

        class Refuses(Poor):
            def trouble(self, *args, **kwargs):
                from hgext3rd.bundlestore import errors
                raise errors.BackendUnavailable('no connection', 'wait')
        """
    if f'{kind} = ' in entrypoints:  # else forks do
        path = tmp_path / 'thirdparty'
        install(path, entrypoints, poorindexes=poorindexes)
        known(transport, path)


@pytest.mark.parametrize(
    'kind',
    [
        kind
        if kind in ('damaged', 'verify')
        else pytest.param(kind, marks=matrix.ANOTHER)
        for kind in HARMS
    ],
)
@pytest.mark.usefixtures('thirdparty')
@matrix.over('ssh')
def test_base_goes_on(
    transport: Transport,
    base: Repo,
    vanilla: Repo,
    client: Repo,
    kind: str,
) -> None:
    """A vanilla client clones and pushes; only scratch pushes are refused."""
    harm, cause = HARMS[kind]
    url = transport.url(base)
    client.commit({'new': 'x\n'}, 'not stored')
    landed = vanilla.commit({'landed': 'x\n'}, 'landed')
    base.configure('extensions', {'blackbox': ''})
    base.configure('blackbox', {'track': 'bundlestore'})
    with harm(base):
        clone = vanilla.hg.clone(
            url,
            vanilla.path.parent / 'clone',
            config=transport.commandline(),
        )
        assert sorted(clone.nodes()) == sorted(base.nodes())
        result = vanilla.run('id', '-r', UNKNOWN, url, ok=(255,))
        assert f"unknown revision '{UNKNOWN}'" in result.err
        inindex = not cause.startswith('b') or 'index' in cause
        assert ('could not be asked' in result.err) == inindex, result.err
        assert vanilla.run('id', '-r', landed, url, ok=(255,)).err
        vanilla.run('push', '-r', landed)
        assert base.knows(landed)
        assert (
            vanilla.run('id', '-r', landed[:8], url).out.strip()
            == (landed[:12])
        )
        logged = (base.path / '.hg' / 'blackbox.log').read_text('utf-8')
        what = 'index' if inindex else 'configuration'
        assert f' trouble what={what} reason=' in logged
        if kind not in ('locked', 'hangs'):  # that takes half a minute
            result = client.run('push', '--bundle-store', ok=(100, 255))
            assert result.err.count('abort: ') == 1
            assert cause in result.err
    assert not bundles(base)
    client.run('push', '--bundle-store')


@matrix.over('ssh')
def test_nothing_lands(
    transport: Transport, base: Repo, vanilla: Repo, client: Repo
) -> None:
    """Where nobody can tell where a push was to go, it is refused."""
    before = base.nodes()
    new = vanilla.commit({'new': 'x\n'}, 'not stored')
    vanilla.inspect('bookmark', '-r', new, 'scratch/x')
    with configured('bookmark-pattern', 're:(')(base):
        result = vanilla.run('push', '-B', 'scratch/x', ok=(255,))
        assert 'bundlestore.bookmark-pattern' in result.err
        assert base.nodes() == before
    client.commit({'new': 'x\n'}, 'not stored')
    with configured('route', 'al')(base):
        for pusher, args in ((vanilla, ()), (client, ('--bundle-store',))):
            result = pusher.run('push', *args, ok=(100, 255))
            assert 'bundlestore.route is not one of' in result.err
            assert 'nothing was pushed' in result.err
        assert base.nodes() == before
        assert vanilla.run('id', '-r', before[0], transport.url(base)).out
    assert not bundles(base)


@matrix.over('path', 'http')
def test_damaged_index(
    transport: Transport, base: Repo, vanilla: Repo, client: Repo
) -> None:
    client.commit({'new': 'x\n'}, 'stored')
    client.run('push', '--bundle-store')
    url = transport.url(base)
    landed = vanilla.commit({'landed': 'x\n'}, 'landed')
    with damaged(base):
        vanilla.run('id', '-B', url)
        vanilla.run('push', '-r', landed)
        assert base.knows(landed)
        # it is here that the server meets the trouble
        result = vanilla.run('id', '-r', UNKNOWN, url, ok=(255,))
        assert f"unknown revision '{UNKNOWN}'" in result.err
        if transport.name == 'http':
            assert web.get(f'{url}/rev/{landed}').status == 200
            assert web.get(f'{url}/json-rev/{landed}').status == 200
            assert web.get(f'{url}/rev/{UNKNOWN}').status == 404
            # whether somebody pushed it nobody knows
            for page in (
                f'json-automationrelevance/{landed}',
                'json-pushes?startID=0&wait=50',
            ):
                assert web.get(f'{url}/{page}').status == 503, page
            answer = web.get(f'{url}/pushes')
            assert answer.status == 503
            assert b'not a bundle index' in answer.body
            health = web.get(f'{url}/bundlestore-health')
            assert health.status == 503
            assert json.loads(health.body) == {
                'ok': False,
                'troubles': [
                    {
                        'kind': 'index',
                        'message': 'the bundle index cannot be used',
                    }
                ],
            }
        (found,) = json.loads(base.run(*CHECK, '-T', 'json', ok=(1,)).out)
        assert found['kind'] == 'index'
        assert 'not a bundle index' in found['message']
        assert set(found) == {'kind', 'message', 'hint'}
        checked = base.run(*CHECK, ok=(1,))
        assert checked.out.count('\n') == 1
        assert checked.out.startswith('index: not a bundle index')
    result = base.run(*CHECK)
    assert (result.out, result.err) == ('', '')
    if transport.name == 'http':
        health = web.get(f'{url}/bundlestore-health')
        assert health.status == 200
        assert json.loads(health.body) == {'ok': True, 'troubles': []}
    client.run('push', '--bundle-store')
