"""The store ``s3``, on two real servers."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from harness.backends import ObjectStore, Rclone, SeaweedFS
from harness.backends.session import Getter
from hgext3rd.bundlestore import backends, errors, model
from hgext3rd.bundlestore.declaring import provides
from hgext3rd.bundlestore.stores.s3 import address, library, staging
from hgext3rd.bundlestore.testing import processes
from hgext3rd.bundlestore.testing.store import (
    MEGABYTE,
    StoreConformance,
    content,
    keyof,
    readwhole,
)

pytestmark = [
    pytest.mark.slow('an object store of others'),
    pytest.mark.filterwarnings(processes.IGNOREFORKS),
]

# -- both pass the suite

_SUITE = pytest.mark.slow('a hundred tests with each server')


class S3Conformance(StoreConformance):
    resolution = 1.0
    kind: type[ObjectStore]
    _server: ObjectStore

    @pytest.fixture(autouse=True)
    def _started(self, backend: Getter) -> None:
        self._server = backend(self.kind)

    @contextlib.contextmanager
    def newplace(self, directory: bytes) -> Iterator[model.Place]:
        yield model.Place(directory, config={'store': self._server.fresh()})

    def makestore(self, place: model.Place) -> Any:
        return backends.openstore(place.config['store'], place)

    def damage(self, store: Any, key: str, data: Optional[bytes]) -> None:
        name = store._name(key)
        if data is None:
            store._client.write('delete_object', Key=name)
        else:
            store._client.write('put_object', Key=name, Body=data)


@_SUITE
class TestRclone(S3Conformance):
    kind = Rclone

    # rclone alone: while an object is put again, who reads it is told that
    # there is none, or given a part of it (of 1,300 reads meanwhile, 75). One
    # that is not there is no reason to ask again, as S3 has no such moment.

    def test_threads_read_what_others_put_again(self, store: Any) -> None:
        pytest.skip('rclone has a moment without what it replaces')

    def test_readers_while_others_publish(
        self, place: model.Place, store: Any
    ) -> None:
        pytest.skip('rclone has a moment without what it replaces')


@_SUITE
class TestSeaweedFS(S3Conformance):
    kind = SeaweedFS


# -- URLs


@pytest.mark.parametrize(
    ('url', 'expected'),
    [
        ('s3://bundles', address.Address('bundles', '')),
        ('s3://bundles/', address.Address('bundles', '')),
        ('s3://my.bundles/a/b_c/', address.Address('my.bundles', 'a/b_c/')),
        (
            's3://b-1/try?endpoint=http://127.0.0.1:9000&region=eu-west-1',
            address.Address(
                *('b-1', 'try/', 'http://127.0.0.1:9000', 'eu-west-1')
            ),
        ),
        (
            's3://bundles?profile=alice&redirect=no'
            '&endpoint=https%3A%2F%2Fstorage.example.org%2Fs3',
            address.Address(
                *('bundles', '', 'https://storage.example.org/s3', None),
                *('alice', False),
            ),
        ),
    ],
)
def test_url(url: str, expected: address.Address) -> None:
    assert address.parse(url) == expected


@pytest.mark.parametrize(
    ('url', 'match'),
    [
        ('s3:', 'names no bucket'),
        ('s3:/bundles', 'names no bucket'),
        ('s3://', 'names no bucket'),
        ('s3://x', 'names no bucket'),
        ('s3://bun%20dles', 'names no bucket'),
        ('s3://bundles#x', 'names no bucket'),
        ('s3://[bundles', 'cannot be read'),
        ('s3://bundles/a//b', 'prefix'),
        ('s3://bundles/../b', 'prefix'),
        ('s3://bundles/.', 'prefix'),
        ('s3://bundles/a b', 'prefix'),
        ('s3://bundles/%2e%2e', 'prefix'),
        ('s3://bundles?region', 'cannot be read'),
        ('s3://bundles?region=', 'there twice'),
        ('s3://bundles?region=a&region=b', 'there twice'),
        ('s3://bundles?region=a/b', 'region'),
        ('s3://bundles?colour=red', 'unknown item: colour'),
        ('s3://bundles?redirect=maybe', 'unknown item: redirect'),
        ('s3://bundles?endpoint=127.0.0.1:9000', 'endpoint'),
        ('s3://bundles?endpoint=ftp://127.0.0.1', 'endpoint'),
        ('s3://bundles?endpoint=http://127.0.0.1:x', 'endpoint'),
        ('s3://bundles?endpoint=http://127.0.0.1/%3Fa%3Db', 'endpoint'),
        ('s3://bundles?endpoint=https://alice:geheim@host', 'endpoint'),
        ('s3://alice:geheim@bundles', 'holds credentials'),
    ],
)
def test_url_that_names_nothing(tmp_path: Path, url: str, match: str) -> None:
    place = model.Place(os.fsencode(tmp_path))
    with pytest.raises(errors.UnknownScheme, match=match) as caught:
        backends.openstore(url, place)
    assert caught.value.hint
    assert 'geheim' not in f'{caught.value} {caught.value.hint}'


def test_opening_connects_to_nothing(tmp_path: Path) -> None:
    place = model.Place(os.fsencode(tmp_path / 'store'))
    store = backends.openstore('s3://bundles?endpoint=http://[::1]:1', place)
    store.close()
    assert not os.path.exists(place.directory)


def test_preload() -> None:
    """It leaves a process without anything open that a fork may not cross."""
    code = """
import os, sys
from hgext3rd.bundlestore import backends
before = os.listdir('/proc/self/fd')
backends.preload('file', 's3://bundles', 'postgresql:')
assert 'botocore.session' in sys.modules
assert os.listdir('/proc/self/fd') == before
"""
    subprocess.run([sys.executable, '-c', code], check=True)


# -- requests


@pytest.fixture
def place(tmp_path: Path) -> model.Place:
    return model.Place(os.fsencode(tmp_path / 'of' / 'repository'))


@pytest.fixture
def store(objects: ObjectStore, place: model.Place) -> Any:
    return backends.openstore(objects.fresh(), place)


def listen(
    store: Any, event: str, handler: Callable[..., Any]
) -> contextlib.AbstractContextManager[None]:
    """Have botocore call ``handler`` while the context is open."""
    events = library.client(store._client.address).meta.events

    @contextlib.contextmanager
    def listening() -> Iterator[None]:
        events.register_first(event, handler)
        try:
            yield
        finally:
            events.unregister(event, handler)

    return listening()


@contextlib.contextmanager
def counted(store: Any) -> Iterator[list[str]]:
    """Note the operations that are sent to the server."""
    sent: list[str] = []

    def note(event_name: str, **_more: object) -> None:
        sent.append(event_name.rpartition('.')[2])

    with listen(store, 'before-send.s3', note):
        yield sent


def test_requests(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a network multiplies."""
    monkeypatch.setattr(staging, 'PART', 5 * MEGABYTE)
    large = content('large', 11 * MEGABYTE)
    with counted(store) as sent:

        def are(*expected: str) -> None:
            assert sent == list(expected)
            sent.clear()

        with store.stage([b'small']) as staged:
            are()
            staged.publish()
            are('PutObject')
        with store.stage([large]) as staged:
            are('CreateMultipartUpload', *['UploadPart'] * 3)
            staged.publish()
            are('CompleteMultipartUpload')
        with store.stage([large]):
            sent.clear()
        are('AbortMultipartUpload')
        assert readwhole(store, keyof(large)) == large
        are('GetObject')
        assert store.size(staged.key) == len(large)
        store.modified(staged.key)
        are('HeadObject', 'HeadObject')
        assert len(list(store.keys())) == 2
        are('ListObjectsV2')
        store.putnote('ab/x.json', b'{}')
        assert store.note('ab/x.json') == b'{}'
        assert list(store.notes('ab/')) == ['ab/x.json']
        are('PutObject', 'GetObject', 'ListObjectsV2')
        store.deletenote('ab/x.json')
        store.delete(staged.key)
        are(*['HeadObject', 'DeleteObject'] * 2)
        assert list(store.strays(0)) == []
        are('ListMultipartUploads')
        store.downloadurl(keyof(b'small'))
        are('HeadObject')


def test_roundtrips(store: Any) -> None:
    """What is small is sent with its request, the index waits for that. For
    what is large, the server is asked whether it wants it."""
    asking: list[bool] = []

    def look(request: Any, **_more: object) -> None:
        asking.append('Expect' in request.headers)

    events = library.client(store._client.address).meta.events
    events.register_last('before-send.s3', look)
    try:
        store.put([content('small', 60000)])
        store.putnote('ab/x.json', b'{}')
        store.put([content('large', MEGABYTE)])
    finally:
        events.unregister('before-send.s3', look)
    assert asking == [False, False, True]


def test_page_by_page(store: Any) -> None:
    def short(params: dict[str, Any], model: Any, **_more: object) -> None:
        for name in ('MaxKeys', 'MaxUploads', 'MaxParts'):
            if name in model.input_shape.members:
                params[name] = 2

    stored = {store.put([content(number)]) for number in range(5)}
    noted = {f'ab/{number}.json' for number in range(5)}
    for name in noted:
        store.putnote(name, b'{}')
    with (
        counted(store) as sent,
        listen(store, 'provide-client-params.s3', short),
    ):
        keys, notes = list(store.keys()), list(store.notes('ab/'))
        assert sent == ['ListObjectsV2'] * 6
    assert (sorted(keys), sorted(notes)) == (sorted(stored), sorted(noted))


def test_what_others_put_there(store: Any) -> None:
    """It is passed over, and stays."""
    key = store.put([b'some'])
    store.putnote('ab/x.json', b'{}')
    root = store._client.address.prefix
    names = [
        *(f'bundles/{key}.tmp', f'bundles/ab/{key}', 'bundles/\u00e4 %2F+&'),
        *('notes/x.json', 'notes/ab/x.txt', 'notes/ab/c/x.json', 'other'),
    ]
    for name in names:
        store._client.write('put_object', Key=root + name, Body=b'?')
    assert list(store.keys()) == [key]
    assert list(store.notes()) == ['ab/x.json']
    assert list(store.strays(0)) == []


# -- large bundles


def test_upload_that_is_not_finished(store: Any) -> None:
    """It is a stray, for who looks long after, and can be removed."""
    data = content('upload', 9 * MEGABYTE)
    with store.stage([data]) as staged:
        assert list(store.keys()) == []
        assert list(store.strays(3600)) == []
        spooled, upload = sorted(store.strays(0), key=lambda s: len(s.name))
        assert (spooled.size, upload.size) == (len(data), len(data))
        assert upload.name.startswith(f'{staged.key}.')
        store.deletestray(upload.name)
        store.deletestray(upload.name)
        assert [stray.name for stray in store.strays(0)] == [spooled.name]
        with pytest.raises(errors.BackendUnavailable, match='was removed'):
            staged.publish()
    assert list(store.strays(0)) == []
    assert list(store.keys()) == []


def test_large_bundle_that_fails_on_its_way(
    store: Any, place: model.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, 'PART', 5 * MEGABYTE)
    sent = 0

    def fail(**_more: object) -> None:
        nonlocal sent
        sent += 1
        if sent == 2:
            raise OSError(28, 'of mine')

    with (
        listen(store, 'before-send.s3.UploadPart', fail),
        pytest.raises(errors.BackendUnavailable),
    ):
        store.put([content('fails', 11 * MEGABYTE)])
    assert list(store.strays(0)) == []
    assert os.listdir(os.path.join(place.directory, b'spool')) == []


# -- addresses


def test_download(store: Any) -> None:
    data = content('download', 100000)
    url = store.downloadurl(store.put([data]))
    with urllib.request.urlopen(url, timeout=10) as response:
        assert response.read() == data
    assert 'X-Amz-Expires=660' in url


def test_no_redirect(objects: ObjectStore, place: model.Place) -> None:
    url = objects.fresh()
    one = backends.openstore(url, place)
    two = backends.openstore(f'{url}&redirect=no', place)
    assert provides(one, 'IDownloadURL')
    assert not provides(two, 'IDownloadURL')
    assert readwhole(two, one.put([b'some'])) == b'some'


# -- memory


@pytest.mark.parametrize(
    'size', [100, pytest.param(500, marks=pytest.mark.nightly('like 100'))]
)
def test_memory_of_the_process(
    seaweedfs: SeaweedFS, place: model.Place, size: int
) -> None:
    code = f"""
import resource
from hgext3rd.bundlestore import backends, model
place = model.Place({place.directory!r})
store = backends.openstore({seaweedfs.fresh()!r}, place)
store.put([b'load all that is needed'])
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
block = bytes(1 << 20)
with store.stage(block for number in range({size})) as staged:
    staged.publish()
with store.open(staged.key) as reader:
    while reader.read(1 << 18):
        pass
print(peak() - before)
"""
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 8 * 1024
