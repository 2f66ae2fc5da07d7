"""The index ``postgresql``: a schema of a PostgreSQL database."""

from __future__ import annotations

from ... import model
from ...declaring import Interfaces
from ..remote.address import parse
from ..remote.index import RemoteIndex
from .server import Server

_PASSWORDS = (
    'put it into ~/.pgpass of the user who runs the server, or into a file that'
    ' PGPASSFILE names'
)


def open_index(url: str, place: model.Place) -> PostgresqlIndex:
    """Return the index of a URL ``postgresql://USER@HOST:PORT/DATABASE``, all
    of it optional, with ``?schema=NAME`` and what PostgreSQL's own programs
    take there. Raises ``UnknownScheme``."""
    return PostgresqlIndex(Server(parse(url, _PASSWORDS)))


class PostgresqlIndex(RemoteIndex):
    """The index in a schema."""

    __implemented__ = Interfaces(
        *('IBundleIndex', 'ISchema', 'IRestoreMany', 'IStatuses'),
        *('IDeliveries', 'ILandings', 'ILabels', 'IPresence', 'IViews'),
        'IPrivacy',
    )
