"""The index ``file``: one SQLite file on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Optional

from ... import errors, model
from ...declaring import Interfaces
from ...stores import localfiles
from ..sql.index import SqlIndex
from .connections import TIMEOUT
from .database import Database


def open_index(url: str, place: model.Place) -> FileIndex:
    """Return the index of a URL ``file`` or ``file:/path``.

    Raises ``UnknownScheme`` for a path that is not absolute.
    """
    path = localfiles.urlpath(url, place, b'index.sqlite3')
    return FileIndex(path, place.createmode)


class FileIndex(SqlIndex):
    """The index in the file ``path``; arguments as for ``Database``."""

    __implemented__ = Interfaces(
        *('IBundleIndex', 'ISetAside', 'IReserve', 'ISelfCheck'),
        *('IRestoreMany', 'IStatuses', 'IDeliveries', 'ILandings'),
        *('ILabels', 'IPresence', 'IViews', 'IPrivacy'),
    )

    def __init__(
        self,
        path: bytes,
        createmode: Optional[int] = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._path = path
        self._file = Database(path, createmode, timeout)
        super().__init__(self._file)

    def setaside(self) -> str:
        return self._file.setaside()

    def keepreserve(self) -> None:
        """The store has one, which is beside the index as a rule."""

    def makeroom(self) -> bool:
        return self._file.shorten()

    def troubles(self) -> Iterator[errors.BackendUnavailable]:
        return localfiles.troubles(
            'bundle index cannot be written',
            os.path.dirname(self._path),
            self._path,
        )
