"""What the tests of an index have in common."""

from __future__ import annotations

import abc
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

    @pytest.fixture
    def place(self, tmp_path: Path) -> model.Place:
        return model.Place(os.fsencode(tmp_path / 'of' / 'repository'))

    @pytest.fixture
    def index(self, place: model.Place) -> Iterator[Any]:
        index = self.makeindex(place)
        yield index
        index.close()

    @pytest.fixture
    def reference(self) -> ReferenceIndex:
        return ReferenceIndex(self.ignoresaccents)
