"""Copies of bundles at hand: ``stores/cache.py``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hgext3rd.bundlestore import model
from hgext3rd.bundlestore.declaring import Interfaces
from hgext3rd.bundlestore.stores.cache import caching
from hgext3rd.bundlestore.stores.file import FileStore
from hgext3rd.bundlestore.testing import processes
from hgext3rd.bundlestore.testing.store import (
    StoreConformance,
)

pytestmark = pytest.mark.filterwarnings(processes.IGNOREFORKS)


class Remote(FileStore):
    """A store that is elsewhere: it has no local paths, and what is read of it
    is counted in a file."""

    __implemented__ = Interfaces('IBundleStore', 'ISelfCheck')

    def open(self, key: str) -> Any:
        reader = super().open(key)
        folder = os.path.dirname(self._folder)
        with open(os.path.join(folder, b'reads'), 'a') as fp:
            fp.write(f'{key}\n')
        return reader


def makestore(place: model.Place, limit: int = 1 << 30) -> Any:
    remote = Remote(os.path.join(place.directory, b'remote'))
    folder = os.path.join(place.directory, b'cache', b'bundles')
    return caching(remote, folder, place.createmode, limit)


class TestCachingStore(StoreConformance):
    def makestore(self, place: model.Place) -> Any:
        return makestore(place)

    def damage(self, store: Any, key: str, data: bytes | None) -> None:
        store._files.drop(key)
        path = Path(os.fsdecode(store.uncached._path(key)))
        path.unlink()
        if data is not None:
            path.write_bytes(data)
