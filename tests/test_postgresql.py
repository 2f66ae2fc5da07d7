"""The index ``postgresql``, on a real server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from harness import indexes
from harness.backends import PostgreSQL
from hgext3rd.bundlestore import backends, errors, model
from hgext3rd.bundlestore.testing import processes
from hgext3rd.bundlestore.testing.index import IndexConformance, newpush

pytestmark = pytest.mark.filterwarnings(processes.IGNOREFORKS)


class TestPostgresqlIndex(IndexConformance):
    _server: PostgreSQL

    @pytest.fixture(autouse=True)
    def _started(self, postgresql: PostgreSQL) -> None:
        self._server = postgresql

    @contextlib.contextmanager
    def newplace(self, directory: bytes) -> Iterator[model.Place]:
        with indexes.empty(self._server) as url:
            yield model.Place(directory, config={'index': url})

    def makeindex(self, place: model.Place) -> Any:
        return backends.openindex(place.config['index'], place)


# -- fixtures and helpers


@pytest.fixture
def url(postgresql: PostgreSQL) -> Iterator[str]:
    with indexes.empty(postgresql) as url:
        yield url


@pytest.fixture
def index(url: str) -> Iterator[Any]:
    made = openindex(url)
    yield made
    made.close()


@pytest.fixture
def admin(postgresql: PostgreSQL) -> Iterator[Any]:
    """A session of an administrator of the database."""
    made = postgresql.connect(admin=True)
    yield made
    made.close()


def openindex(url: str) -> Any:
    return backends.openindex(url, model.Place(b'/nonexistent'))


def rows(connection: Any, statement: str, *values: object) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def schemaof(url: str) -> str:
    return url.rpartition('=')[2]


def sessions(connection: Any, url: str) -> set[int]:
    """Return the sessions of this package, by their process ids."""
    del url
    return {
        pid
        for (pid,) in rows(
            connection,
            'SELECT pid FROM pg_stat_activity'
            " WHERE application_name = 'hg-bundlestore'",
        )
    }


# -- URLs


@pytest.mark.parametrize(
    'url',
    [
        'postgresql://alice:secret@host/db',
        'postgresql://alice:@host/db',
        'postgresql://alice@host/db?password=secret',
        'postgresql://alice@host/db?schema=x&sslpassword=secret',
        'postgresql://:secret@/db',
    ],
)
def test_password_in_the_url(url: str) -> None:
    with pytest.raises(errors.UnknownScheme, match='password in it') as caught:
        openindex(url)
    assert 'secret' not in f'{caught.value}{caught.value.hint}'
    assert 'PGPASSFILE' in str(caught.value.hint)


@pytest.mark.parametrize(
    'url',
    ['postgresql:', 'postgresql:/x', 'postgresql://host/db#x', 'postgresql:x'],
)
def test_url_of_another_form(url: str) -> None:
    with pytest.raises(errors.UnknownScheme, match='names no server'):
        openindex(url)


def test_url_by_a_socket(postgresql: PostgreSQL, index: Any, url: str) -> None:
    """And with names that mean something to SQL and to URLs."""
    recorded = index.record(newpush('one'))
    place = f'postgresql://alice@:{postgresql.port}/bundles'
    socket = quote(str(postgresql.folder), safe='')
    other = openindex(f'{place}?host={socket}&schema={schemaof(url)}')
    assert other.pushes() == [recorded]
    name = 'a"b%c; DROP SCHEMA public'
    odd = openindex(f'{place}?schema={quote(name)}&host={socket}')
    assert odd.schema(create=True) is True
    assert odd.record(newpush('two')).id == 1
    assert (
        openindex(f'{place}?schema={quote(name)}&host={socket}').lastid() == 1
    )
    assert other.lastid() == 1
    odd.close()
    other.close()
