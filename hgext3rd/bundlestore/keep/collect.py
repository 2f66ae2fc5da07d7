"""Removes what a bundle store need not keep. There is no Mercurial in here.

A push goes in steps, so that whatever happens it is there whole or not at
all, also for who makes the index anew out of the notes:

1. a *list* of what is about to go is written, as a note of its own;
2. the note of the push is marked as removed;
3. the index removes the push: from here on it is none;
4. the bookmarks that went with it are noted as gone, where the note of another
   push would put them back;
5. the bundles that nobody needs any more are deleted, each in a transaction
   of the index, in which no push can be recorded with it; then the note.

Each step takes some room on a disk, and where there is none, there is a reserve
that the store keeps for that day. It is given back, the log of the index, too,
and what nobody needs; then the run begins once more, as though it had been
killed.

The next run ends what is on a list that is still there. What is left behind
after the third step is found without one: a note that is marked, of a bundle
that is not recorded. Any number of runs may be at work at once: all of them
find what to do in the index.

A *lost push* has a note without a mark and is not in the index. It may come
back (see ``repair``), so its bundle, and those that it rests on, stay.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Optional

from .. import errors, model
from ..declaring import provides
from ..stores import notes
from .base import Base
from .blobs import Blobs
from .leftovers import Leftovers
from .removing import ASKED, Remover
from .retention import Retention
from .run import Gone, Run, Wish
from .viewretention import ViewRetention

#: how often to begin once more where there is no room and none was made
_ATTEMPTS = 2


class Collector:
    """One run over a store and an index.

    ``base`` is the base repository, ``now`` the time, ``blobs`` are what else
    to look at.
    """

    def __init__(
        self,
        store: Any,
        index: Any,
        base: Base,
        now: float,
        wish: Wish,
        blobs: Optional[Blobs] = None,
    ) -> None:
        self._blobs = blobs
        self._now = now
        self._run = Run(store, index, wish)
        self._remover = Remover(self._run)
        self._views = ViewRetention(self._run)
        self._retention = Retention(self._run, self._remover, self._views)
        self._leftovers = Leftovers(self._run, self._remover, base, now)
        # whether it is known what must stay
        self._surveyed = False

    @property
    def lost(self) -> int:
        """How many pushes are lost."""
        return self._run.lost

    def run(self) -> Iterator[Gone]:
        """Remove things and yield each when it is gone; raises
        ``BundleStoreError``."""
        stalled = 0
        while True:
            try:
                for gone in self._collect():
                    if gone.kind in ('bundle', 'stray'):
                        stalled = 0
                    yield gone
                break
            except errors.NoRoom:
                stalled += 1
                if self._run.wish.dry or stalled > _ATTEMPTS:
                    raise
                yield from self._dropuseless()
                self._makeroom()
        if not self._run.wish.dry:
            for backend in self._reserves():
                backend.keepreserve()

    def _collect(self) -> Iterator[Gone]:
        self._checkindex()
        self._run.begin()
        self._surveyed = False
        self._leftovers.survey()
        self._surveyed = True
        for name in self._run.lists:
            yield from self._remover.finish(name)
        yield from self._views.expire()
        yield from self._retention.expire()
        yield from self._retention.shrink()
        if self._run.wish.forget:
            yield from self._retention.forget()
        if self._run.wish.dry:
            yield from self._remover.foresee()
        yield from self._leftovers.dropmarks()
        yield from self._leftovers.dropmarknotes()
        if self._run.leftovers:
            yield from self._leftovers.dropleftovers()
        yield from self._leftovers.droporphans()
        yield from self._leftovers.dropstrays()
        if self._blobs is not None:
            yield from self._blobs.drop(self._run, self._now)

    def remove(
        self, pushes: list[model.Push], thorough: bool = True
    ) -> Iterator[Gone]:
        """Remove some pushes, and yield each thing when it is gone; raises
        ``PinnedPush`` and other ``BundleStoreError``.

        Without ``thorough`` not all notes are looked at: what a lost push of
        another bundle rests on may go. The bundles of lost pushes stay.
        """
        self._checkindex()
        if thorough:
            self._leftovers.survey()
        elif any(push.bookmarks for push in pushes):
            self._leftovers.addmarknotes()
        self._leftovers.look(pushes)
        with self._remover.listing(pushes):
            for push in pushes:
                yield from self._remover.remove(push, ASKED)
        if self._run.wish.dry:
            yield from self._remover.foresee()
        else:
            for key in self._run.gone:
                self._leftovers.dropnotesof(key)

    def _checkindex(self) -> None:
        if notes.isindexlost(self._run.store, self._run.index):
            raise errors.BackendUnavailable(
                'bundle index is empty, but the store holds pushes',
                "run 'hg admin::bundlestore-verify --repair'",
            )

    # -- room where there is none

    def _reserves(self) -> list[Any]:
        backends = (self._run.store, self._run.index)
        return [b for b in backends if provides(b, 'IReserve')]

    def _makeroom(self) -> None:
        for backend in self._reserves():
            backend.makeroom()

    def _dropuseless(self) -> Iterator[Gone]:
        """Delete what takes no room to delete."""
        yield from self._leftovers.dropstrays()
        if self._surveyed:
            with contextlib.suppress(errors.NoRoom):
                yield from self._leftovers.droporphans()
