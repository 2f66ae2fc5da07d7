"""Compares the notes of how pushes went with the index, and has them repaired.

There is no Mercurial in here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Optional

from .. import errors
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
        self._able = statusnotes.isable(index)

    def run(self) -> Iterator[PushName]:
        """Yield the pushes of which index and note do not tell the same."""
        if not self._able:
            return
        noted: dict[int, list[PushName]] = {}
        for name in statusnotes.pushes(self._store):
            noted.setdefault(name.id, []).append(name)
        # not the pushes themselves, of which there may be a million
        for ids in batches(range(1, self._index.lastid() + 1), walk.BATCH):
            found = statusnotes.outcomes(self._index, ids)
            for id in ids:
                if id in found or id in noted:
                    yield from self._compare(
                        id, noted.pop(id, []), found.get(id, statusnotes.NONE)
                    )
        for id, names in sorted(noted.items()):
            yield from self._compare(id, names, statusnotes.NONE)

    def _compare(
        self, id: int, noted: list[PushName], its: statusnotes.Outcome
    ) -> Iterator[PushName]:
        push = walk.push(self._index, id)
        names = dict.fromkeys(noted)
        if push is not None:
            names[PushName(push.key, id)] = None
        for name in names:
            if push is not None and push.key == name.key:
                if self._differs(name, its):
                    yield name
            elif not self._islost(name):
                if self._repair:
                    statusnotes.delete(self._store, name)
                yield name

    def _islost(self, name: PushName) -> bool:
        try:
            return not notes.read(self._store, *name).removed
        except errors.UnknownNote:
            return False
        except errors.CorruptNote:
            return True

    def _differs(self, name: PushName, its: statusnotes.Outcome) -> bool:
        noted: Optional[statusnotes.Outcome] = None
        with contextlib.suppress(errors.CorruptNote):
            noted = statusnotes.read(self._store, name)
            if noted == its:
                return False
        if self._repair:
            restore(self._index, name.id, noted or statusnotes.NONE)
            statusnotes.keep(self._store, self._index, name)
        return True


def restore(index: Any, id: int, noted: statusnotes.Outcome) -> None:
    """Have the index tell how a push went, as far as it can, and does not know
    better."""
    its = statusnotes.outcomes(index, [id]).get(id, statusnotes.NONE)
    told = {status.context: status.time for status in its.statuses}
    for status in noted.statuses if provides(index, 'IStatuses') else ():
        if told.get(status.context, -1.0) < status.time:
            index.setstatus(id, status)
    landed = {landing.node: landing.time for landing in its.landings}
    for landing in noted.landings if provides(index, 'ILandings') else ():
        if landed.get(landing.node, -1.0) < landing.time:
            index.setlanding(id, landing)
