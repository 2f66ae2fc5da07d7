"""The index ``postgresql``, on a real server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from harness import indexes
from harness.backends import PostgreSQL
from hgext3rd.bundlestore import backends, model
from hgext3rd.bundlestore.testing import processes
from hgext3rd.bundlestore.testing.index import IndexConformance

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
