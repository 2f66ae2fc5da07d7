"""What Prometheus is told: ``/bundlestore-metrics``, and the same as a file."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import matrix, prometheus, servers, web
from harness.filled import Filled
from harness.hg import Hg, Repo
from harness.servers import WebTransport
from harness.snapshot import untouched
from harness.store import folder, tryurl
from hgext3rd.bundlestore import model
from hgext3rd.bundlestore.keep import health, metrics

pytestmark = pytest.mark.slow('servers whose index is tampered with')

STATS = 'admin::bundlestore-stats'
WELL = {
    'info': 1,
    'up': 1,
    **{f'trouble.{kind}': 0 for kind in health.KINDS},
}


def labels(text: str) -> dict[str, str]:
    ((found, _value),) = prometheus.parse(text)['hg_bundlestore_info'].items()
    return dict(found)


@pytest.mark.parametrize(
    'version',
    [
        pytest.param(v, marks=() if v == matrix.NEWEST else (matrix.ANOTHER,))
        for v in (matrix.VERSIONS[0], matrix.NEWEST)
    ],
)
def test_as_a_file(version: str, hg: Callable[..., Hg], tmp_path: Path) -> None:
    repo = hg(version).init(tmp_path / 'base')
    repo.enable()
    repo.configure('bundlestore', {'server': 'yes'})
    with untouched(repo.path):
        result = repo.run(STATS, '--prometheus')
    empty = prometheus.values(result.out)
    assert result.err == ''
    assert empty == {
        **WELL,
        **dict.fromkeys(
            (
                *('ids_total', 'pushes', 'pinned_pushes', 'users'),
                *('bookmarks', 'changesets', 'bundles', 'bundles_bytes'),
                *('workspaces', 'backups', 'dropped_views'),
                *('index_bytes', 'unfinished', 'unfinished_bytes'),
            ),
            0,
        ),
    }
    filled = Filled(folder(repo))
    one = filled.push([1, 2], bookmarks=[('scratch/a', 2)])
    two = filled.push([3], user='bob', rests=[one], day=1)
    filled.pin(1)
    filled.putview('parser', [1])
    stray = folder(repo) / 'bundles' / 'tmp' / ('0' * 32)
    stray.write_bytes(b'12345')
    repo.configure('web', {'name': 'a "b" \\c'})
    text = repo.run(STATS, '--prometheus').out
    found = prometheus.values(text)
    assert found.pop('index_bytes') > 10000
    assert found == {
        **WELL,
        'ids_total': 2,
        'pushes': 2,
        'pinned_pushes': 1,
        'users': 2,
        'bookmarks': 1,
        'workspaces': 1,
        'backups': 0,
        'dropped_views': 0,
        'changesets': 3,
        'bundles': 2,
        'bundles_bytes': one.size + two.size,
        'unfinished': 1,
        'unfinished_bytes': 5,
        'oldest_push_timestamp_seconds': 1700000000,
        'newest_push_timestamp_seconds': 1700086400,
    }
    said = labels(text)
    assert said['repository'] == 'a "b" \\c'
    assert said['mercurial'] == version
    for option in ('--users', '--check'):
        result = repo.run(STATS, '--prometheus', option, ok=(255,))
        assert 'cannot specify both' in result.err
    result = repo.run(STATS, '--prometheus', '-T', 'json', ok=(255,))
    assert result.err == 'abort: --prometheus takes no --template\n'


@servers.overweb()
def test_page(transport: WebTransport, base: Repo, client: Repo) -> None:
    address = f'{transport.url(base)}/bundlestore-metrics'
    client.commit({'a': 'a\n'}, 'stored')
    client.run('push', '--bundle-store')
    answer = web.get(address)
    assert answer.status == 200
    assert answer.headers['content-type'] == prometheus.TYPE
    assert answer.headers['cache-control'] == 'no-store'
    assert 'etag' not in answer.headers
    found = prometheus.values(answer.text)
    assert {**found, **WELL} == found
    assert (found['pushes'], found['ids_total']) == (1, 1)
    assert abs(found['newest_push_timestamp_seconds'] - time.time()) < 3600
    assert labels(answer.text)['repository'] == 'base'
    # it is one store, under whatever address
    other = web.get(
        f'{transport.url(tryurl(transport, base))}/bundlestore-metrics'
    )
    assert labels(other.text)['repository'] == 'base'
    for page in ('metrics', 'raw-metrics'):
        assert web.get(f'{transport.url(base)}/{page}').status == 404
    # the file is the page
    text = base.run(STATS, '--prometheus').out
    assert prometheus.parse(text).keys() == prometheus.parse(answer.text).keys()


@servers.overweb('wsgi')
def test_whatever_is_wrong(transport: WebTransport, base: Repo) -> None:
    address = f'{transport.url(base)}/bundlestore-metrics'
    index = folder(base) / 'index.sqlite3'
    base.configure('bundlestore', {'quota': 'much'})
    answer = web.get(address)
    assert answer.status == 200
    found = prometheus.values(answer.text)
    assert [kind for kind in health.KINDS if found[f'trouble.{kind}']] == [
        'configuration'
    ]
    assert (found['up'], found['pushes']) == (0, 0)
    index.parent.mkdir(exist_ok=True)
    index.write_bytes(b'no database' * 500)
    for text in (web.get(address).text, base.run(STATS, '--prometheus').out):
        assert prometheus.values(text) == {
            **WELL,
            'up': 0,
            'trouble.configuration': 1,
            'trouble.index': 1,
        }


class Store:
    """Counts how often it is counted."""

    settings = SimpleNamespace(storeurl='file', indexurl='file')

    def __init__(self, place: bytes) -> None:
        self.place = model.Place(place)
        self.store = self
        self.counted = 0

    def need(self, question: Callable[[Any], Any], retry: bool) -> Any:
        self.counted += 1
        return question(self)

    def statistics(self) -> model.Statistics:
        return model.Statistics(0, 0, 0, 0, 0, 0, 0, None, None, 0)

    def lastid(self) -> int:
        return self.counted

    def strays(self, age: float) -> list[model.Stray]:
        return []


def test_who_asks_often_does_not_keep_the_server_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr('time.monotonic', lambda: now)
    store, other = Store(b'/one'), Store(b'/other')

    def ids(which: Store) -> int:
        found: int = metrics._current(which)['ids_total']
        return found

    assert [ids(store), ids(store), ids(other)] == [1, 1, 1]
    now += 9.9
    assert ids(store) == 1
    now += 0.2
    assert [ids(store), ids(store)] == [2, 2]

    def slow() -> model.Statistics:
        nonlocal now
        now += 2.0
        return Store.statistics(store)

    monkeypatch.setattr(store, 'statistics', slow)
    now += 11
    assert ids(store) == 3
    now += 97
    assert ids(store) == 3
    now += 2
    assert ids(store) == 4
