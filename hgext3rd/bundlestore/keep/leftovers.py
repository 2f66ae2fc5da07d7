"""Finds what nobody needs any more, and what must stay unrecorded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Optional

from .. import errors, model
from ..batches import batches
from ..stores import marks, notes
from . import walk
from .base import Base
from .removing import LISTS, Remover
from .run import Gone, Run


class Leftovers:
    """Looks at all that is there, and deletes what was left behind.

    ``base`` is the base repository, ``now`` the time.
    """

    def __init__(
        self,
        run: Run,
        remover: Remover,
        base: Base,
        now: float,
    ) -> None:
        self._run = run
        self._remover = remover
        self._base = base
        self._now = now

    def look(self, pushes: list[model.Push]) -> None:
        """See what must stay when these pushes go, in few of the notes."""
        for key in model.chain(pushes):
            for name in self._notesof(key):
                if walk.push(self._run.index, name.id) is None:
                    with contextlib.suppress(errors.UnknownNote):
                        if not notes.read(self._run.store, *name).removed:
                            self._run.lost += 1
                            self._run.protected.add(key)

    def survey(self) -> None:
        """Look for lists, and for what must stay."""
        for name, record in self._unrecorded(True):
            if self._run.wish.forget or (record is not None and record.removed):
                self._run.leftovers = True
                continue
            self._run.lost += 1
            self._run.protected.add(name.key)
            if record is not None:
                self._run.protected.update(record.push.rests)

    def _unrecorded(
        self, surveying: bool = False
    ) -> Iterator[tuple[notes.PushName, Optional[notes.Record]]]:
        """Yield the notes of bundles that are not recorded, None for one that
        cannot be understood. See what else there is when ``surveying``."""

        def pushnotes() -> Iterator[notes.PushName]:
            for name in self._run.store.notes():
                found = notes.parsename(name)
                if found is not None:
                    yield found
                elif surveying and name.startswith(LISTS):
                    self._run.lists.append(name)
                elif surveying:
                    self._addmarknote(name)

        for batch in batches(pushnotes(), walk.BATCH):
            recorded = self._run.index.bundles({name.key for name in batch})
            for name in batch:
                if name.key in recorded:
                    continue
                # Another run marks a note before the bundle is recorded no
                # more, and this is read after that.
                record = None
                with contextlib.suppress(errors.CorruptNote):
                    try:
                        record = notes.read(self._run.store, *name)
                    except errors.UnknownNote:
                        continue
                yield name, record

    def _addmarknote(self, name: str) -> None:
        found = notes.parsebookmarkname(name)
        if found is not None:
            known = self._run.marknotes.setdefault(found.digest, [])
            known.append((found.id, name))

    def addmarknotes(self) -> None:
        """Look for the notes of bookmarks alone."""
        for note in self._run.store.notes('bookmarks/'):
            self._addmarknote(note)

    def _notesof(self, key: str) -> Iterator[notes.PushName]:
        for note in self._run.store.notes(f'{key[:2]}/{key}.'):
            name = notes.parsename(note)
            if name is not None:
                yield name

    def dropnotesof(self, key: str) -> None:
        """Delete what notes are left of a bundle that is gone."""
        for name in self._notesof(key):
            with contextlib.suppress(errors.UnknownNote, errors.CorruptNote):
                if notes.read(self._run.store, *name).removed:
                    for _gone in self._remover.dropbundle(key, 'removed', name):
                        pass

    def dropmarks(self) -> Iterator[Gone]:
        """Delete the bookmarks that point to nothing."""
        for batch in batches(self._run.index.bookmarks(), walk.BATCH):
            located = self._run.index.locate({mark.node for mark in batch})
            for mark in batch:
                place = located.get(mark.node)
                if (
                    place is not None
                    and self._remover.wouldstay(mark, place.key)
                ) or self._maybeinbase(mark):
                    continue
                if not self._run.wish.dry:
                    move = model.BookmarkMove(mark.name, None, mark.node)
                    try:
                        moved = self._run.index.movebookmarks([move], self._now)
                    except errors.BookmarkMoved:
                        continue
                    marks.write(
                        self._run.store, self._run.index, moved, self._now, ''
                    )
                yield Gone('bookmark', 'dangling', name=mark.name)

    def _maybeinbase(self, mark: model.Bookmark) -> bool:
        """Whether the base has what a bookmark points to, or others may."""
        if self._base.has(mark.node) or self._base.lags:
            return True
        for found in self._run.index.listbookmarks(mark.name):
            if found.name == mark.name and found.time is not None:
                return bool(found.time > self._now - self._run.wish.grace)
        return False

    def dropmarknotes(self) -> Iterator[Gone]:
        """Delete the notes of bookmarks whose place another note has taken, or
        that keep nothing from coming back."""
        for found in self._run.marknotes.values():
            found.sort()
            last = found[-1][1]
            with contextlib.suppress(errors.UnknownNote, errors.CorruptNote):
                mark = marks.read(self._run.store, last)
                for _id, name in found[:-1]:
                    yield self._dropmarknote(name)
                if not self._isneeded(mark):
                    yield self._dropmarknote(last)

    def _isneeded(self, mark: marks.Record) -> bool:
        """Whether an index made anew would be wrong without this note, the last
        one of a bookmark that is no push's."""
        here = marks.find(self._run.index, mark.name)
        if here is None:
            return (
                mark.node is not None
                or bool(self._run.lost)
                or bool(self._run.index.moved([mark.name]))
            )
        if here.push is None or here.push <= mark.after:
            return True
        if self._run.told.hasid(here.push):
            # a run that is none: it goes with its push, and this stays
            return True
        push = walk.push(self._run.index, here.push)
        try:
            return push is None or (
                notes.read(self._run.store, push.key, push.id).removed
            )
        except (errors.UnknownNote, errors.CorruptNote):
            return True

    def _dropmarknote(self, name: str) -> Gone:
        if not self._run.wish.dry:
            notes.keeplastid(self._run.store, self._run.index)
            with contextlib.suppress(errors.UnknownNote):
                self._run.store.deletenote(name)
        return Gone('note', 'superseded', name=name)

    def dropleftovers(self) -> Iterator[Gone]:
        """Delete the notes of removed pushes whose bundles nobody needs any
        more, and those bundles, if they are there."""
        for name, record in self._unrecorded():
            if record is not None and record.removed:
                yield from self._remover.dropbundle(name.key, 'removed', name)
            elif self._run.wish.forget:
                if not self._run.wish.dry:
                    self._remover.deletenote(name)
                push = None if record is None else record.push
                yield Gone('push', 'lost', push, name.key)

    def droporphans(self) -> Iterator[Gone]:
        """Delete the bundles that are not recorded."""
        young = self._now - self._run.wish.grace
        for batch in batches(self._run.store.keys(), walk.BATCH):
            recorded = self._run.index.bundles(batch)
            for key in batch:
                if key in recorded or key in self._run.protected:
                    continue
                with contextlib.suppress(errors.UnknownKey):
                    if self._run.store.modified(key) < young:
                        yield from self._remover.dropbundle(key, 'orphan')

    def dropstrays(self) -> Iterator[Gone]:
        """Delete unfinished files."""
        for stray in self._run.store.strays(self._run.wish.grace):
            if not self._run.wish.dry:
                self._run.store.deletestray(stray.name)
            yield Gone('stray', 'leftover', size=stray.size, name=stray.name)
