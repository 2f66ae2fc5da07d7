"""What the tests of an index have in common."""

from __future__ import annotations

import abc
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ... import model
from .. import processes
from ..reference import ReferenceIndex


class IndexTests(abc.ABC):
    """Tests of the index that :meth:`makeindex` makes."""

    pytestmark = pytest.mark.filterwarnings(processes.IGNOREFORKS)

    #: whether letters with and without an accent are the same in a search
    ignoresaccents = True

    @abc.abstractmethod
    def makeindex(self, place: model.Place) -> Any:
        """Return a new object for the index of ``place``.

        Two calls for one place, perhaps in two processes, return two objects
        that show the same index; another place has another, empty index.
        """

    @contextlib.contextmanager
    def newplace(self, directory: bytes) -> Iterator[model.Place]:
        """Give a place whose index is empty, as long as the context is open.

        Where it is dear to make one, this is the place to empty one that was
        used before; ``config`` of the place can say which. (It is passed to
        other processes, where :meth:`makeindex` finds it.)
        """
        yield model.Place(directory)

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[model.Place]:
        directory = os.fsencode(tmp_path / 'of' / 'repository')
        with self.newplace(directory) as place:
            yield place

    @pytest.fixture
    def index(self, place: model.Place) -> Iterator[Any]:
        index = self.makeindex(place)
        yield index
        index.close()

    @pytest.fixture
    def reference(self) -> ReferenceIndex:
        return ReferenceIndex(self.ignoresaccents)
