"""The index ``mysql``: a database of MariaDB or MySQL."""

from __future__ import annotations

from ... import model
from ...declaring import Interfaces
from ..remote.address import parse
from ..remote.index import RemoteIndex
from .login import PASSWORDS
from .server import Server
from .session import driver as preload  # noqa: F401  what backends.py calls


def open_index(url: str, place: model.Place) -> MysqlIndex:
    """Return the index of a URL ``mysql://USER@HOST:PORT/DATABASE``, with the
    parameters that ``login.py`` tells of. Raises ``UnknownScheme``."""
    return MysqlIndex(Server(parse(url, PASSWORDS)))


class MysqlIndex(RemoteIndex):
    """The index in a database."""

    __implemented__ = Interfaces(
        *('IBundleIndex', 'ISchema', 'IRestoreMany', 'IStatuses'),
        *('IDeliveries', 'ILandings', 'ILabels', 'IPresence', 'IViews'),
        'IPrivacy',
    )
