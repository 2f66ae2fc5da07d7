"""The store ``s3``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hgext3rd.bundlestore import backends, errors, model
from hgext3rd.bundlestore.stores.s3 import address

PLACE = model.Place(b'/nonexistent')


@pytest.mark.parametrize(
    ('url', 'expected'),
    [
        ('s3://bundles', address.Address('bundles', '')),
        ('s3://bundles/', address.Address('bundles', '')),
        ('s3://my.bundles/a/b_c/', address.Address('my.bundles', 'a/b_c/')),
        (
            's3://b-1/try?endpoint=http://127.0.0.1:9000&region=eu-west-1',
            address.Address(
                'b-1', 'try/', 'http://127.0.0.1:9000', 'eu-west-1'
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
def test_url_that_names_nothing(url: str, match: str) -> None:
    with pytest.raises(errors.UnknownScheme, match=match) as caught:
        backends.openstore(url, PLACE)
    assert caught.value.hint
    assert 'geheim' not in f'{caught.value} {caught.value.hint}'


def test_opening_connects_to_nothing(tmp_path: Path) -> None:
    place = model.Place(os.fsencode(tmp_path / 'store'))
    store = backends.openstore('s3://bundles?endpoint=http://[::1]:1', place)
    store.close()
    assert not os.path.exists(place.directory)
