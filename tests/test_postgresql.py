"""The index ``postgresql``, on a real server."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

from hgext3rd.bundlestore import backends, model
from hgext3rd.bundlestore.indexes.remote import tables
from hgext3rd.bundlestore.testing import processes
from hgext3rd.bundlestore.testing.index import IndexConformance

pytestmark = pytest.mark.filterwarnings(processes.IGNOREFORKS)

SERVER = 'postgresql://postgres@127.0.0.1:55811/postgres'
_free: list[str] = []
_made = 0


def emptied() -> str:
    global _made
    if _free:
        url = _free.pop()
        backends.openindex(url, model.Place(b''))._remote.write(
            lambda sql: [sql.run(s) for s in tables.EMPTYING]
        )
        return url
    _made += 1
    url = f'{SERVER}?schema=test{os.getpid()}x{_made}'
    backends.openindex(url, model.Place(b'')).schema(create=True)
    return url


class TestPostgresqlIndex(IndexConformance):
    @contextlib.contextmanager
    def newplace(self, directory: bytes) -> Iterator[model.Place]:
        url = emptied()
        yield model.Place(directory, config={'index': url})
        _free.append(url)

    def makeindex(self, place: model.Place) -> Any:
        return backends.openindex(place.config['index'], place)
