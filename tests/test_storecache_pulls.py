"""What pushes, pulls and pages read of a store that is elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import history, matrix, servers, store
from harness.hg import Repo
from harness.web import get
from hgext3rd.bundlestore.testing import processes

pytestmark = pytest.mark.slow('servers whose store is elsewhere')


class Elsewhere:
    """The store of ``base``, by commands that note what they do."""

    def __init__(self, base: Repo, root: Path) -> None:
        self.bundles = root / 'bundles'
        self._log = root / 'log'
        self._base = base
        for name in ('bundles', 'notes'):
            (root / name).mkdir(parents=True)
        begin = f'cd {root}; echo "%s $HGBS_KEY" >>log;'
        absent = 'test -e $HGBS_KEY || exit 3;'
        base.configure(
            'bundlestore',
            {
                'store': 'command',
                'put-command': f'{begin % "put"} mkdir -p ${{HGBS_KEY%/*}};'
                ' cp $HGBS_FILE tmp.$$ && mv tmp.$$ $HGBS_KEY',
                # so that all others come meanwhile
                'get-command': f'{begin % "get"} {absent}'
                ' case $HGBS_KEY in bundles*) sleep 0.2;; esac;'
                ' cp $HGBS_KEY $HGBS_FILE',
                'delete-command': f'{begin % "delete"} {absent} rm $HGBS_KEY',
                'list-command': f'{begin % "list"} {absent}'
                " find $HGBS_KEY -type f -printf '%p %s %T@\\n'",
            },
        )

    def fetched(self) -> list[str]:
        """Return which bundles were fetched since the last time."""
        lines = self._log.read_text().splitlines()
        self._log.write_text('')
        begin = 'get bundles/'
        return [s.split('/')[-1] for s in lines if s.startswith(begin)]

    def stored(self) -> dict[str, Path]:
        """Return the files of the store, by key."""
        return {path.name: path for path in self.bundles.glob('??/*')}

    def copies(self) -> dict[str, Path]:
        """Return the files of the copies, by key."""
        folder = store.folder(self._base) / 'cache' / 'bundles'
        return {path.name: path for path in folder.glob('??/*')}

    def forget(self) -> None:
        """Be like another machine, which has not seen anything."""
        shutil.rmtree(store.folder(self._base) / 'cache')


@pytest.fixture
def elsewhere(base: Repo, tmp_path: Path) -> Elsewhere:
    return Elsewhere(base, tmp_path / 'elsewhere')


@servers.overweb('http')
def test_fifty_fetches_are_one_download(
    transport: servers.WebTransport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    elsewhere: Elsewhere,
    tempfolder: Path,
) -> None:
    """``hg serve`` has a thread for each; for processes, which see nothing of
    each other, see test_storecache.py."""
    node = client.commit({'a': bytes(range(256)) * 2000}, 'fetched by many')
    client.run('push', '--bundle-store', '-r', node)
    (file,) = elsewhere.stored().values()
    elsewhere.forget()
    site = transport.url(base)
    bodies: list[bytes] = []

    def fetch(number: int) -> None:
        bodies.append(get(f'{site}/bundle/1').body)

    with processes.threads(50, fetch):
        pass
    assert bodies == [file.read_bytes()] * 50
    vanilla = newclient('vanilla', ext=False)
    vanilla.run('pull', '-r', node)
    assert vanilla.knows(node)
    for _time in range(2):
        page = get(f'{site}/raw-rev/{node}')
        assert 'fetched by many' in page.text
    assert elsewhere.fetched() == [file.name]
    assert [*tempfolder.iterdir()] == []


@matrix.over('path')
def test_what_is_read_of_the_store(
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    elsewhere: Elsewhere,
    tempfolder: Path,
    tmp_path: Path,
) -> None:
    told = tmp_path / 'told'
    look = f'echo "${{HG_BUNDLEREPO#*+}}" >>{told}'
    base.configure('hooks', {'bundlestore': look})
    first = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--bundle-store', '-r', first)
    second = client.commit({'b': 'b\n'}, 'second')
    result = client.run('push', '--bundle-store', '-r', second)
    assert 'push 2' in result.out
    keys = set(elsewhere.stored())
    assert set(elsewhere.copies()) == keys
    # no temporary copy for what is one file
    assert Path(told.read_text().splitlines()[0]).name in keys
    other = newclient('other')
    other.run('pull', '-r', second)
    assert other.knows(second)
    # what was pushed here is here
    assert elsewhere.fetched() == []
    # what a push rests on is fetched once, and none of it twice
    elsewhere.forget()
    third = client.commit({'c': 'c\n'}, 'third')
    client.run('push', '--bundle-store', '-r', third)
    newclient('more').run('pull', '-r', third)
    assert sorted(elsewhere.fetched()) == sorted(keys)
    # who asks how it is with the store gets to know
    base.run('admin::bundlestore-verify')
    fetched = elsewhere.fetched()
    assert len(fetched) == 3
    assert set(fetched) == set(elsewhere.copies())
    assert [*tempfolder.iterdir()] == []


@matrix.over('path')
def test_rot(
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    elsewhere: Elsewhere,
) -> None:
    first = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--bundle-store', '-r', first)
    (key,) = elsewhere.copies()
    good = elsewhere.copies()[key].read_bytes()
    # of a copy nobody is told: not who pushes on top of it, nor who pulls
    rotten = bytearray(good)
    rotten[len(good) // 2] ^= 1
    elsewhere.copies()[key].write_bytes(rotten)
    base.run('admin::bundlestore-verify')
    elsewhere.fetched()
    second = client.commit({'b': 'b\n'}, 'second')
    client.run('push', '--bundle-store', '-r', second)
    assert elsewhere.fetched() == [key]
    assert elsewhere.copies()[key].read_bytes() == good
    elsewhere.copies()[key].write_bytes(rotten)
    other = newclient('other')
    other.run('pull', '-r', second)
    assert other.knows(first)
    other.verify()
    assert elsewhere.fetched() == [key]
    # the store's own is told where somebody looks
    elsewhere.stored()[key].write_bytes(rotten)
    result = base.run('admin::bundlestore-verify', ok=[1])
    assert f'bundle {key}' in result.out
    assert 'is damaged' in result.out


@matrix.over('path')
def test_what_is_removed(
    base: Repo, client: Repo, elsewhere: Elsewhere
) -> None:
    node = client.commit({'a': 'a\n'}, 'first')
    client.run('push', '--bundle-store', '-r', node)
    assert len(elsewhere.copies()) == 1
    base.run('admin::bundlestore-remove', '1')
    base.run('admin::bundlestore-gc', '--grace', '0')
    assert elsewhere.stored() == {}
    assert elsewhere.copies() == {}
    assert elsewhere.fetched() == []


@pytest.mark.parametrize('size', ['0', '10', 'much'])
@matrix.over('path')
def test_sizes(
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    elsewhere: Elsewhere,
    hashes: history.History,
    tempfolder: Path,
    size: str,
) -> None:
    """None, too small a one, and none that anybody understands."""
    base.configure('bundlestore', {'cache-size': size})
    node = client.commit({'a': 'a\n'}, 'first')
    if size == 'much':
        result = client.run('push', '--bundle-store', ok=[255])
        assert "cache-size is not a byte quantity ('much')" in result.err
        newclient('other').run('pull', '-r', hashes.merged)
        return
    client.run('push', '--bundle-store', '-r', node)
    other = newclient('other')
    other.run('pull', '-r', node)
    assert other.knows(node)
    assert elsewhere.copies() == {}
    assert len(elsewhere.fetched()) == 1
    assert [*tempfolder.iterdir()] == []
