"""What the tests of a store have in common."""

from __future__ import annotations

import abc
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from ... import model
from ...interfaces import ILocalPath
from .. import processes
from .data import can


class StoreTests(abc.ABC):
    """Tests of the store that :meth:`makestore` makes."""

    pytestmark = pytest.mark.filterwarnings(processes.IGNOREFORKS)

    #: seconds that the times of the store may be cut by
    resolution = 0.0

    @abc.abstractmethod
    def makestore(self, place: model.Place) -> Any:
        """Return a new object for the store of ``place``.

        Two calls for one place, perhaps in two processes, return two objects
        that show the same store; another place has another, empty store.
        """

    @contextlib.contextmanager
    def newplace(self, directory: bytes) -> Iterator[model.Place]:
        """Give a place whose store is empty, as long as the context is open.

        Where it is dear to make one, this is the place to empty one that was
        used before; ``config`` of the place can say which. (It is passed to
        other processes, where :meth:`makestore` finds it.)
        """
        yield model.Place(directory)

    def damage(self, store: Any, key: str, data: Optional[bytes]) -> None:
        """Replace the bytes that are stored under ``key`` behind the store's
        back, or lose them where ``data`` is None.

        A store without ``ILocalPath`` overrides this, or does without the
        tests that need it.
        """
        if not can(ILocalPath, store):
            pytest.skip('this store cannot be damaged from outside')
        path = store.localpath(key)
        os.unlink(path)
        if data is not None:
            with open(path, 'wb') as fp:
                fp.write(data)

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[model.Place]:
        directory = os.fsencode(tmp_path / 'of' / 'repository')
        with self.newplace(directory) as place:
            yield place

    @pytest.fixture
    def store(self, place: model.Place) -> Iterator[Any]:
        store = self.makestore(place)
        yield store
        store.close()
