"""The base's caches: computed once, and not in the base."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import history, matrix, servers, store
from harness.hg import Repo
from harness.nightly import upto
from harness.snapshot import untouched
from harness.web import get

#: more changesets and heads than are computed each time
LONG = 150
HEADS = 110
DAG = f'+{LONG} :x ' + '<x +1 ' * HEADS

#: Notes what a server computes: a branch map from the first changeset on
#: (``b``), the .hgtags of a head of the base (``t``).
COUNTER = """\
from mercurial import branchmap, tags

def note(kind):
    with open({path!r}, 'a') as fh:
        fh.write(kind)

def count(cls, name, kind, seen):
    original = getattr(cls, name)
    def counting(self, *args):
        *args, last = args
        if isinstance(last, bytes):
            if seen(self._repo.changelog.rev(last)):
                note(kind)
        else:
            last = list(last)
            if any(map(seen, last)):
                note(kind)
        return original(self, *args, last)
    setattr(cls, name, counting)

maps = getattr(branchmap, '_BaseBranchCache', None) or branchmap.branchcache
count(maps, 'update', 'b', lambda rev: rev == 0)
cache = tags.hgtagsfnodescache
count(cache, '_computefnode', 't', lambda rev: {first} <= rev < {end})
"""

VERSIONS = pytest.mark.parametrize(
    'server_version',
    [
        pytest.param(
            version, marks=[] if version == matrix.NEWEST else [matrix.ANOTHER]
        )
        for version in matrix.VERSIONS
    ],
)


@pytest.fixture
def counted(
    transport: servers.Transport, base: Repo, tmp_path: Path
) -> Callable[[], str]:
    """Make the base long; ``counted()`` is what was computed since it was
    called last."""
    base.inspect('debugbuilddag', '--from-existing', DAG)
    base.inspect('debugupdatecaches')
    end = len(base.nodes())
    path = tmp_path / 'counted'
    counter = tmp_path / 'counter.py'
    counter.write_text(
        COUNTER.format(path=str(path), first=end - HEADS, end=end)
    )
    transport.rc.write_text(f'[extensions]\ncounter = {counter}\n')

    def get() -> str:
        found = path.read_text() if path.exists() else ''
        path.unlink(missing_ok=True)
        return found

    return get


@pytest.fixture
def pushed(client: Repo, counted: object) -> str:
    node = client.commit({'new.txt': 'new\n'}, 'a try')
    client.run('push', '--bundle-store', '-r', node)
    return node


def look(page: str) -> str:
    """Return what a page shows."""
    return re.sub('nonce="[^"]+"', '', get(page).text)


def chill(base: Repo) -> None:
    """Take the caches away, the base's and those that are kept."""
    shutil.rmtree(base.path / '.hg' / 'cache')
    shutil.rmtree(store.folder(base) / 'cache', ignore_errors=True)


@pytest.mark.parametrize('transport_name', ['http'])
@VERSIONS
def test_pages(
    transport: servers.Transport,
    base: Repo,
    counted: Callable[[], str],
    pushed: str,
) -> None:
    page = f'{transport.url(base)}/rev/{pushed}'
    cache = store.folder(base) / 'cache'
    counted()
    shown = look(page)
    assert counted() == ''
    assert not cache.exists()

    chill(base)
    (base.path / '.hg' / 'cache').mkdir()
    with untouched(base.path):
        for _ in range(upto(5, 120)):
            assert look(page) == shown
    assert sorted(counted()) == ['b'] + ['t'] * HEADS

    # what is damaged is made anew
    (kept,) = cache.iterdir()
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    for _ in range(2):
        assert look(page) == shown
    assert sorted(counted()) == ['b'] + ['t'] * HEADS

    # a server that stays remembers what it cannot write
    shutil.rmtree(cache)
    cache.write_text('')
    for _ in range(2):
        assert look(page) == shown
    assert sorted(counted()) == ['b'] + ['t'] * HEADS
    cache.unlink()


@pytest.mark.parametrize('transport_name', ['ssh'])
@pytest.mark.parametrize(
    'server_version',
    [matrix.NEWEST, pytest.param(matrix.VERSIONS[0], marks=matrix.ANOTHER)],
)
def test_processes_that_do_not_stay(
    transport: servers.Transport,
    base: Repo,
    client: Repo,
    counted: Callable[[], str],
    pushed: str,
) -> None:
    def identify() -> None:
        # a name of tags and branches of the base comes before a prefix
        found = client.run('identify', '-r', pushed[:9], transport.url(base))
        assert found.out == f'{pushed[:12]}\n'

    identify()
    chill(base)
    counted()
    with untouched(base.path):
        identify()
        assert counted().count('b') == 1
        identify()
        assert counted() == ''
    # what is hidden changes, and the tip does not
    (before,) = (store.folder(base) / 'cache').iterdir()
    base.inspect('phase', '--force', '--secret', '-r', 'tip')
    assert not (base.path / '.hg' / 'cache').exists()
    identify()
    assert not before.exists()
    counted()
    identify()
    assert counted() == ''
    assert len([*(store.folder(base) / 'cache').iterdir()]) == 1


@pytest.mark.parametrize('transport_name', ['path'])
def test_administrators_are_told(
    transport: servers.Transport,
    base: Repo,
    client: Repo,
    counted: Callable[[], str],
    hashes: history.History,
) -> None:
    def told() -> list[bool]:
        verified = base.run('admin::bundlestore-verify').out
        folder = transport.root / 'try'
        made = base.run('admin::bundlestore-init', base.path, folder).out
        return ['debugupdatecaches' in text for text in (verified, made)]

    # what lands brings them up to date
    for name in ('one', 'two', 'three'):
        client.commit({name: name}, name, parent=hashes.merged)
    client.run('push', '--quiet', '--force')
    assert told() == [False, False]
    (base.path / '.hg' / 'cache' / 'hgtagsfnodes1').unlink()
    assert told() == [True, True]
    chill(base)
    assert told() == [True, True]
    finding = base.run('admin::bundlestore-verify', '-T', '{kind} {severity}\n')
    assert finding.out == 'cache remark\n'
    assert not (base.path / '.hg' / 'cache').exists()
    base.run('debugupdatecaches')
    assert told() == [False, False]
