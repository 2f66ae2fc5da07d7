"""The store ``s3`` where its server, or what is between, fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from harness.backends import ObjectStore, Rclone
from harness.backends.objects import KEY, SECRET
from harness.backends.session import Getter
from harness.meddler import Meddler
from harness.proxy import Proxy
from harness.smalldisk import mounted
from hgext3rd.bundlestore import backends, errors, model
from hgext3rd.bundlestore.stores.s3 import library
from hgext3rd.bundlestore.testing.store import (
    GOOD,
    MEGABYTE,
    content,
    keyof,
    readwhole,
)

pytestmark = pytest.mark.slow('an object store of others')


@pytest.fixture
def place(tmp_path: Path) -> model.Place:
    return model.Place(os.fsencode(tmp_path / 'of' / 'repository'))


@pytest.fixture
def meddler(rclone: Rclone) -> Iterator[Meddler]:
    made = Meddler(rclone.port)
    yield made
    made.close()


@pytest.fixture
def store(rclone: Rclone, meddler: Meddler, place: model.Place) -> Any:
    """A store with the meddler in between."""
    return backends.openstore(rclone.fresh(meddler.port), place)


def calls(store: Any) -> list[Callable[[], object]]:
    """Return all that asks the server."""
    return [
        lambda: store.put([b'some']),
        lambda: store.put([content('large', 9 * MEGABYTE)]),
        lambda: readwhole(store, GOOD),
        lambda: store.size(GOOD),
        lambda: store.modified(GOOD),
        lambda: store.delete(GOOD),
        lambda: list(store.keys()),
        lambda: list(store.strays(0)),
        lambda: store.putnote('ab/x.json', b'{}'),
        lambda: store.note('ab/x.json'),
        lambda: list(store.notes()),
        lambda: store.deletenote('ab/x.json'),
        lambda: store.downloadurl(GOOD),
        lambda: store.deletestray(f'{GOOD}.upload'),
    ]


def refused(call: Callable[[], object]) -> str:
    """Return what is said of a call that fails, with the hint."""
    with pytest.raises(errors.BackendUnavailable) as caught:
        call()
    said = f'{caught.value} ({caught.value.hint})'
    assert caught.value.hint
    for secret in (KEY, SECRET, 'Signature=', 'Credential=', 'wrong-secret'):
        assert secret not in said
    return said


# -- what an administrator got wrong


def test_missing_bucket(objects: ObjectStore, place: model.Place) -> None:
    store = backends.openstore(objects.url('missing/x'), place)
    # to remove what is not there is not refused
    for call in calls(store)[:-1]:
        assert 'there is no such bucket (NoSuchBucket)' in refused(call)
    assert os.listdir(os.path.join(place.directory, b'spool')) == []


@pytest.mark.parametrize('name', ['AWS_SECRET_ACCESS_KEY', 'AWS_ACCESS_KEY_ID'])
def test_wrong_credentials(
    objects: ObjectStore,
    place: model.Place,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv(name, 'wrong-secret')
    store = backends.openstore(objects.fresh(), place)
    for call in calls(store):
        assert 'the credentials are refused' in refused(call)


def test_no_credentials(
    objects: ObjectStore, place: model.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('AWS_ACCESS_KEY_ID')
    store = backends.openstore(objects.fresh(), place)
    for call in calls(store):
        assert 'there are no credentials' in refused(call)
    other = backends.openstore(f'{objects.fresh()}&profile=bob', place)
    assert 'there is no profile bob' in refused(lambda: list(other.keys()))


def test_profile(
    rclone: Rclone,
    place: model.Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / 'credentials'
    path.write_text(
        '[alice]\n'
        f'aws_access_key_id = {KEY}\n'
        f'aws_secret_access_key = {SECRET}\n'
    )
    monkeypatch.delenv('AWS_ACCESS_KEY_ID')
    monkeypatch.setenv('AWS_SHARED_CREDENTIALS_FILE', str(path))
    store = backends.openstore(f'{rclone.fresh()}&profile=alice', place)
    assert readwhole(store, store.put([b'some'])) == b'some'


def test_credentials_that_come_late(
    rclone: Rclone, place: model.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stays need not be started anew."""
    store = backends.openstore(rclone.fresh(), place)
    for wrong in ('wrong-secret', ''):
        monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', wrong)
        refused(lambda: list(store.keys()))
    monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', SECRET)
    assert list(store.keys()) == []


@pytest.mark.parametrize(
    ('status', 'code', 'what'),
    [
        (403, 'AccessDenied', 'access denied'),
        (301, 'PermanentRedirect', 'another region'),
        (400, 'AuthorizationHeaderMalformed', 'another region'),
        (403, 'RequestTimeTooSkewed', 'the clock of this machine is wrong'),
        (400, 'ExpiredToken', 'the credentials are refused'),
        (501, 'NotImplemented', 'answers with an error'),
    ],
)
def test_refusals(
    store: Any, meddler: Meddler, status: int, code: str, what: str
) -> None:
    """What the servers here do not say, but others do."""
    body = f'<Error><Code>{code}</Code><Message>of {KEY}</Message></Error>'
    meddler.meddle = lambda method, path: (status, body.encode())
    for call in (lambda: store.put([b'some']), lambda: store.size(GOOD)):
        assert f'{what} ({code})' in refused(call)


def test_no_space(store: Any, meddler: Meddler) -> None:
    meddler.meddle = lambda method, path: (507, b'')
    with pytest.raises(errors.NoRoom, match='no space left'):
        store.put([b'some'])


@pytest.mark.parametrize('status', [200, 301, 404])
def test_what_does_not_speak_s3(
    store: Any, meddler: Meddler, status: int
) -> None:
    """What is no object store takes nothing, whatever it says."""
    page = b'<html><p>Welcome</p></html>'
    meddler.meddle = lambda method, path: (status, page)
    for call in calls(store)[:6]:
        with pytest.raises(errors.BundleStoreError) as caught:
            call()
        assert not isinstance(caught.value, errors.UnknownKey)
    assert len(meddler.requests) < 20
    said = refused(calls(store)[0])
    assert ('does not speak S3' in said) is (status == 200)


def test_without_botocore(place: model.Place) -> None:
    code = f"""
import sys
sys.modules['botocore'] = None
from hgext3rd.bundlestore import backends, errors, model
store = backends.openstore('s3://bundles', model.Place({place.directory!r}))
backends.preload('s3://bundles')
try:
    list(store.keys())
except errors.BackendUnavailable as exc:
    print(exc, exc.hint)
"""
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert 'need the Python package botocore' in done.stdout
    assert 'pip install hg-bundlestore[s3]' in done.stdout


def test_full_disk(store: Any, tmp_path: Path) -> None:
    with mounted(tmp_path / 'disk', '256k') as disk:
        small = backends.openstore(
            f's3://bundles?endpoint={store._client.address.endpoint}',
            model.Place(os.fsencode(disk)),
        )
        with pytest.raises(errors.NoRoom) as caught:
            small.put(content(number, 1000) for number in range(1000))
        assert str(caught.value) == (
            'bundle store cannot be written: no space left on device'
        )
        assert os.listdir(disk / 'spool') == []


# -- a server that comes and goes


def test_stopped_server(
    privateserver: Getter, place: model.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = privateserver(Rclone)
    store = backends.openstore(server.fresh(), place)
    key = store.put([b'before'])
    staged = store.stage([b'meanwhile'])
    server.stop()
    for call in [*calls(store), staged.publish]:
        assert f'{server.endpoint} cannot be reached' in refused(call)
    server.start()
    # a connection of before is of no use, and nobody is told
    assert readwhole(store, key) == b'before'
    staged.publish()
    staged.discard()
    assert readwhole(store, staged.key) == b'meanwhile'

    # a client of its own, which has less patience
    monkeypatch.setattr(library, 'READ', 1)
    impatient = backends.openstore(f'{server.fresh()}&redirect=no', place)
    server.freeze()
    begin = time.monotonic()
    said = refused(lambda: impatient.put([b'some']))
    assert 'does not answer in time' in said
    assert time.monotonic() - begin < 5
    server.thaw()


def test_connection_that_rested(
    rclone: Rclone, place: model.Place, newproxy: Callable[[int], Proxy]
) -> None:
    proxy = newproxy(rclone.port)
    store = backends.openstore(rclone.fresh(proxy.port), place)
    for number in range(3):
        proxy.cut()
        key = store.put([content(number)])
        proxy.cut()
        assert readwhole(store, key) == content(number)


# -- answers


def test_busy_server(store: Any, meddler: Meddler) -> None:
    said = b'<Error><Code>SlowDown</Code></Error>'
    busy: list[Optional[tuple[int, bytes]]] = [(503, said)]
    meddler.meddle = lambda method, path: busy.pop() if busy else None
    key = store.put([b'some'])
    assert readwhole(store, key) == b'some'
    assert [method for method, _path in meddler.requests] == ['PUT'] * 2 + [
        'GET'
    ]
    busy += [(503, said)] * 2
    assert 'the server is busy or in trouble (SlowDown)' in refused(
        lambda: store.put([b'x'])
    )


def test_error_in_an_answer_that_looks_well(
    store: Any, meddler: Meddler
) -> None:
    """So may end what takes long to put together."""

    def meddle(method: str, path: str) -> Any:
        if method == 'POST' and 'uploadId' in path:
            return 200, b'\n<Error><Code>InternalError</Code></Error>'
        return None

    meddler.meddle = meddle
    with store.stage([content('well', 9 * MEGABYTE)]) as staged:
        # old releases of botocore cannot tell which error it is
        assert 'cannot be written' in refused(staged.publish)
        meddler.meddle = lambda method, path: None
        staged.publish()
    assert list(store.keys()) == [staged.key]


@pytest.mark.parametrize('size', [1000, 9 * MEGABYTE])
def test_lost_answer(store: Any, meddler: Meddler, size: int) -> None:
    """What was published is, though the answer that says so was lost."""
    data = content('lost', size)
    with store.stage([data]) as staged:
        lost = ['drop']
        meddler.meddle = lambda method, path: lost.pop() if lost else None
        staged.publish()
    assert not lost
    assert readwhole(store, staged.key) == data
    assert list(store.strays(0)) == []


def test_broken_body(store: Any, meddler: Meddler) -> None:
    """Reading goes on where it was broken off, a few times."""
    data = content('broken', MEGABYTE)
    key = store.put([data])
    wishes = [400000, 100000]
    meddler.requests.clear()
    meddler.meddle = lambda method, path: wishes.pop() if wishes else None
    assert readwhole(store, key) == data
    assert len(meddler.requests) == 3

    store.putnote('ab/x.json', data)
    wishes += [400000]
    assert store.note('ab/x.json') == data

    meddler.meddle = lambda method, path: 100000
    said = refused(lambda: readwhole(store, key))
    assert 'broke off the connection' in said


def test_deleted_while_the_body_breaks(store: Any, meddler: Meddler) -> None:
    data = content('deleted', MEGABYTE)
    key = store.put([data])
    meddler.meddle = lambda method, path: 100000 if method == 'GET' else None
    with store.open(key) as reader:
        meddler.meddle = lambda method, path: None
        store.delete(key)
        with pytest.raises(errors.UnknownKey):
            reader.read()


def test_answer_with_other_bytes(store: Any, meddler: Meddler) -> None:
    key = store.put([b'some'])
    meddler.meddle = lambda method, path: (200, b'same')
    with pytest.raises(errors.CorruptBundle):
        readwhole(store, key)
    assert keyof(b'some') == key
