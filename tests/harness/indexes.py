"""Empty indexes for the suite, in databases of a server.

To make twenty tables takes longer than most tests do, so each is used again:
emptied, not made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol

from hgext3rd.bundlestore import backends, model
from hgext3rd.bundlestore.indexes.remote import tables
from hgext3rd.bundlestore.testing.index import IndexConformance

#: URLs of indexes that nobody uses, by the kind of their server
_free: dict[str, list[str]] = {}


class Server(Protocol):
    @property
    def name(self) -> str:
        """Of the kind."""

    def fresh(self) -> str:
        """Return the URL of an index without tables."""


@contextlib.contextmanager
def empty(server: Server) -> Iterator[str]:
    """Give the URL of an empty index, as long as the context is open."""
    free = _free.setdefault(server.name, [])
    if free:
        url = free.pop()
        index = backends.openindex(url, model.Place(b''))
        index._remote.write(
            lambda sql: [sql.run(one) for one in tables.EMPTYING]
        )
    else:
        url = server.fresh()
        index = backends.openindex(url, model.Place(b''))
        index.schema(create=True)
    yield url
    free.append(url)


class OnServer(IndexConformance):
    """The suite; who runs it says on which server."""

    _server: Server

    @contextlib.contextmanager
    def newplace(self, directory: bytes) -> Iterator[model.Place]:
        with empty(self._server) as url:
            yield model.Place(directory, config={'index': url})

    def makeindex(self, place: model.Place) -> Any:
        return backends.openindex(place.config['index'], place)
