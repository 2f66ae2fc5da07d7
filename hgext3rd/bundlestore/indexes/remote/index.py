"""The index in a server of databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..sql.index import SqlIndex
from . import tables
from .database import Database

if TYPE_CHECKING:
    from .server import Server


class RemoteIndex(SqlIndex):
    """What provides ``IBundleIndex``, ``ISchema``, ``IRestoreMany``,
    ``IStatuses``, ``IDeliveries``, ``ILandings``, ``ILabels``, ``IPresence``,
    ``IViews`` and ``IPrivacy``; its class says so."""

    def __init__(self, server: Server) -> None:
        self._remote = Database(server)
        super().__init__(self._remote)

    def schema(self, create: bool = False) -> bool:
        if self._remote.version() >= tables.VERSION:
            # raises if they are newer than this release
            self.lastid()
            return False
        if create:
            self._remote.create()
        return True
