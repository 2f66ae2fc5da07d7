"""Removes a push, step by step (see ``collect``), and what goes with it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Optional

from .. import errors, model
from ..stores import marks, notes, statusnotes
from . import walk
from .run import Gone, Run

#: the notes with the lists of what is about to go begin so
LISTS = 'state/gc.'
#: why a push goes that somebody named
ASKED = 'asked'


class Remover:
    """Removes pushes and bundles, or tells what would go."""

    def __init__(self, run: Run) -> None:
        self._run = run
        # the lists of this run
        self._name = os.urandom(8).hex()
        self._number = 0

    def remove(self, push: model.Push, reason: str) -> Iterator[Gone]:
        """Remove a push, and what goes with it."""
        if self._run.wish.dry:
            if (
                push.pinned
                and reason == ASKED
                and not self._run.wish.evenpinned
            ):
                raise errors.PinnedPush(f'push {push.id} is pinned')
            keep = push.pinned and reason not in ('lost', ASKED)
            if not keep and not self._run.told.hasid(push.id):
                self._run.told.add(push.id, push.key)
                self._run.gone.update(model.chain([push]))
                yield Gone('push', reason, push, push.key, push.size)
            return
        # it may have been pinned since, or removed by another run
        current = walk.push(self._run.index, push.id)
        if current is None:
            return
        evenpinned = reason == 'lost' or (
            reason == ASKED and self._run.wish.evenpinned
        )
        if current.pinned and reason == ASKED and not evenpinned:
            raise errors.PinnedPush(f'push {push.id} is pinned')
        if not current.pinned or evenpinned:
            notes.write(self._run.store, self._run.index, current, removed=True)
        hadoutcome = statusnotes.outcomes(self._run.index, [push.id])
        try:
            needless = self._run.index.remove(push.id, evenpinned)
        except errors.PinnedPush:
            # the note says something else
            notes.write(
                self._run.store,
                self._run.index,
                current._replace(pinned=True),
            )
            if reason == ASKED:
                raise
            return
        except errors.UnknownPush:
            # Another run did it, which may have deleted the note before it
            # was written again here, and may have been interrupted.
            self._dropmarksof(current)
            if not self._run.index.bundles([push.key]):
                self.deletenote(notes.PushName(push.key, push.id))
            return
        self._run.leftovers = True
        if hadoutcome:
            statusnotes.delete(
                self._run.store, notes.PushName(push.key, push.id)
            )
        yield Gone('push', reason, current, push.key, push.size)
        self._dropmarksof(current)
        self._run.gone.update(needless)
        for key in needless:
            if key == push.key:
                name = notes.PushName(key, push.id)
                yield from self.dropbundle(key, 'removed', name)
            else:
                yield from self.dropbundle(key, 'removed')

    @contextlib.contextmanager
    def listing(self, pushes: list[model.Push]) -> Iterator[None]:
        """Keep a list of what is about to go."""
        if self._run.wish.dry:
            yield
            return
        notes.keeplastid(self._run.store, self._run.index)
        self._number += 1
        name = f'{LISTS}{self._name}.{self._number}.json'
        listed = [[push.id, push.key] for push in pushes]
        data = json.dumps({'version': 1, 'pushes': listed})
        self._run.store.putnote(name, data.encode('ascii') + b'\n')
        yield
        self._deletelist(name)

    def _deletelist(self, name: str) -> None:
        if not self._run.wish.dry:
            with contextlib.suppress(errors.UnknownNote):
                self._run.store.deletenote(name)

    def finish(self, listname: str) -> Iterator[Gone]:
        """End what a run began, that was interrupted or is at work."""
        try:
            listed = json.loads(self._run.store.note(listname))['pushes']
            names = [notes.PushName(str(k), int(id)) for id, k in listed]
        except errors.UnknownNote:
            return
        except (KeyError, TypeError, ValueError):
            names = []
        for name in names:
            try:
                record = notes.read(self._run.store, name.key, name.id)
            except (errors.UnknownNote, errors.CorruptNote, errors.InvalidKey):
                continue
            if not record.removed:
                continue
            push = walk.push(self._run.index, name.id)
            if push is not None:
                yield from self.remove(push, 'unfinished')
            elif not self._run.wish.dry:
                self._dropmarksof(record.push)
        self._deletelist(listname)

    def _dropmarksof(self, push: model.Push) -> None:
        for name, node in push.bookmarks:
            if node is not None:
                digest = notes.bookmarkdigest(name)
                noted = bool(self._run.lost) or digest in self._run.marknotes
                marks.notegone(self._run.store, self._run.index, name, noted)

    def dropbundle(
        self, key: str, reason: str, note: Optional[notes.PushName] = None
    ) -> Iterator[Gone]:
        """Delete a bundle, and then the note, unless it is recorded."""
        if key in self._run.protected:
            return
        size = None
        with contextlib.suppress(errors.UnknownKey):
            size = self._run.store.size(key)

        def delete() -> None:
            with contextlib.suppress(errors.UnknownKey):
                self._run.store.delete(key)

        if not self._run.wish.dry and not self._run.index.discard(key, delete):
            return
        if size is not None:
            yield Gone('bundle', reason, key=key, size=size)
        if note is not None:
            if not self._run.wish.dry:
                self.deletenote(note)
            if size is None and key not in self._run.gone:
                # left behind by an earlier run
                name = notes.pushname(*note)
                yield Gone('note', 'leftover', key=key, name=name)

    def deletenote(self, name: notes.PushName) -> None:
        """Delete the note of a push, if it is there."""
        with contextlib.suppress(errors.UnknownNote):
            notes.delete(self._run.store, *name)

    def foresee(self) -> Iterator[Gone]:
        """Tell of the bundles that would go with the pushes that were told of,
        in a dry run."""
        if not self._run.gone:
            return
        for page in walk.pushes(self._run.index):
            for push in page:
                if not self._run.told.has(push.id, push.key):
                    self._run.gone.difference_update(model.chain([push]))
        self._run.gone -= self._run.protected
        for key in sorted(self._run.gone):
            with contextlib.suppress(errors.UnknownKey):
                size = self._run.store.size(key)
                yield Gone('bundle', 'removed', key=key, size=size)

    def wouldstay(self, mark: model.Bookmark, key: str) -> bool:
        """Whether a bookmark at a changeset that is found in the bundle ``key``
        would not be removed for what it points to, in a dry run."""
        if not self._run.wish.dry or key not in self._run.gone:
            return True
        if mark.push is not None and self._run.told.hasid(mark.push):
            # it goes with its push
            return True
        first = 1
        while True:
            others = self._run.index.pushes(
                first=first, node=mark.node, limit=walk.PAGE
            )
            if any(not self._run.told.hasid(push.id) for push in others):
                return True
            if len(others) < walk.PAGE:
                return False
            first = others[-1].id + 1
