"""Compares the notes of how pushes went with the index, and has them repaired.

There is no Mercurial in here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .. import errors, model
from ..batches import batches
from ..declaring import provides
from ..stores import notes, statusnotes
from ..stores.notes import PushName
from . import walk


class StatusCheck:
    """One check; with ``repair`` index and notes get what the other has."""

    def __init__(self, store: Any, index: Any, repair: bool) -> None:
        self._store = store
        self._index = index
        self._repair = repair
        self._able = provides(index, 'IStatuses')

    def run(self) -> Iterator[PushName]:
        """Yield the pushes of which index and note do not tell the same."""
        noted = set(statusnotes.pushes(self._store))
        for page in walk.pushes(self._index):
            names = [PushName(push.key, push.id) for push in page]
            yield from self._compare(names, noted)
            noted.difference_update(names)
        # what came or went meanwhile
        for batch in batches(sorted(noted), walk.BATCH):
            yield from self._compare(batch, noted)

    def _compare(
        self, names: Iterable[PushName], noted: set[PushName]
    ) -> Iterator[PushName]:
        if not self._able:
            return
        found = self._index.statuses([name.id for name in names])
        for name in names:
            if (name in noted or name.id in found) and self._differs(
                name, found.get(name.id, [])
            ):
                yield name

    def _islost(self, name: PushName) -> bool:
        try:
            return not notes.read(self._store, *name).removed
        except errors.UnknownNote:
            return False
        except errors.CorruptNote:
            return True

    def _differs(self, name: PushName, its: list[model.Status]) -> bool:
        push = walk.push(self._index, name.id)
        isthere = push is not None and push.key == name.key
        if not isthere and self._islost(name):
            return False
        try:
            noted = statusnotes.read(self._store, name)
        except errors.CorruptNote:
            noted = None
        if isthere and noted == its:
            return False
        if self._repair:
            if isthere:
                restore(self._index, name.id, noted or [])
                statusnotes.keep(self._store, self._index, name)
            else:
                statusnotes.delete(self._store, name)
        return True


def restore(index: Any, id: int, noted: list[model.Status]) -> None:
    """Have the index tell how a push went, as far as it does not know
    better."""
    there = {
        status.context: status.time
        for status in index.statuses([id]).get(id, [])
    }
    for status in noted:
        if there.get(status.context, -1.0) < status.time:
            index.setstatus(id, status)
