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
import json
import os
from collections.abc import Iterator
from typing import Any, Callable, NamedTuple, Optional

from .. import errors, interfaces, model
from . import marks, records, walk

#: the notes with the lists begin so
_LISTS = 'state/gc.'
#: how often to begin once more where there is no room and none was made
_ATTEMPTS = 2

#: why a push goes that somebody named
_ASKED = 'asked'


class Gone(NamedTuple):
    """Something that was removed, or would be."""

    #: ``push``, ``bundle``, ``bookmark``, ``note`` or ``stray``
    kind: str
    reason: str
    push: Optional[model.Push] = None
    key: Optional[str] = None
    #: bytes, None for what has none
    size: Optional[int] = None
    name: Optional[str] = None


class Wish(NamedTuple):
    """What to remove."""

    #: pushes from before that time, in seconds since the epoch, None for none
    before: Optional[float] = None
    #: bytes that a user may hold, None for no limit
    quota: Optional[int] = None
    #: what no push has since so many seconds
    grace: float = 86400.0
    #: pushes that cannot be brought back, too
    forget: bool = False
    #: remove nothing, but tell what would be removed
    dry: bool = False
    #: pinned pushes, too, where they are named
    evenpinned: bool = False


class Collector:
    """One run over a store and an index.

    ``inbase`` tells whether the repository has a changeset, ``now`` is the
    time.
    """

    def __init__(
        self,
        store: Any,
        index: Any,
        inbase: Callable[[bytes], bool],
        now: float,
        wish: Wish,
    ) -> None:
        self._store = store
        self._index = index
        self._inbase = inbase
        self._now = now
        self._wish = wish
        #: how many pushes are lost
        self.lost = 0
        # the bundles of these, and those that they rest on
        self._protected: set[str] = set()
        self._lists: list[str] = []
        # whether it is known what must stay
        self._surveyed = False
        # the notes of each bookmark, each with its id: those without one are
        # the oldest
        self._marknotes: dict[str, list[tuple[int, str]]] = {}
        # whether there may be notes of bundles that nobody needs any more
        self._leftovers = False
        # what a dry run has told already
        self._told = walk.Seen()
        # the bundles that nobody needs any more, in a dry run those that may
        # be
        self._gone: set[str] = set()
        self._number = 0
        self._run = os.urandom(8).hex()

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
                if self._wish.dry or stalled > _ATTEMPTS:
                    raise
                yield from self._dropuseless()
                self._makeroom()
        if not self._wish.dry:
            for backend in self._reserves():
                backend.keepreserve()

    def _collect(self) -> Iterator[Gone]:
        self._checkindex()
        self._lists = []
        self._leftovers = self._surveyed = False
        self._protected = set()
        self._marknotes = {}
        self.lost = 0
        self._survey()
        self._surveyed = True
        for name in self._lists:
            yield from self._finish(name)
        yield from self._expire()
        yield from self._shrink()
        if self._wish.forget:
            yield from self._forget()
        if self._wish.dry:
            yield from self._foresee()
        yield from self._dropmarks()
        yield from self._dropmarknotes()
        if self._leftovers:
            yield from self._dropleftovers()
        yield from self._droporphans()
        yield from self._dropstrays()

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
            self._survey()
        elif any(push.bookmarks for push in pushes):
            for note in self._store.notes('bookmarks/'):
                self._addmarknote(note)
        self._look(pushes)
        with self._listing(pushes):
            for push in pushes:
                yield from self._remove(push, _ASKED)
        if self._wish.dry:
            yield from self._foresee()
        else:
            for key in self._gone:
                self._dropnotesof(key)

    def _checkindex(self) -> None:
        if records.isindexlost(self._store, self._index):
            raise errors.BackendUnavailable(
                'bundle index is empty, but the store holds pushes',
                "run 'hg admin::bundlestore-verify --repair'",
            )

    # -- room where there is none

    def _reserves(self) -> list[Any]:
        backends = (self._store, self._index)
        return [b for b in backends if interfaces.IReserve.providedBy(b)]

    def _makeroom(self) -> None:
        for backend in self._reserves():
            backend.makeroom()

    def _dropuseless(self) -> Iterator[Gone]:
        """Delete what takes no room to delete."""
        yield from self._dropstrays()
        if self._surveyed:
            with contextlib.suppress(errors.NoRoom):
                yield from self._droporphans()

    # -- what others left behind

    def _look(self, pushes: list[model.Push]) -> None:
        """See what must stay when these pushes go, in few of the notes."""
        for key in model.chain(pushes):
            for name in self._notesof(key):
                if walk.push(self._index, name.id) is None:
                    with contextlib.suppress(errors.UnknownNote):
                        if not records.read(self._store, *name).removed:
                            self.lost += 1
                            self._protected.add(key)

    def _notesof(self, key: str) -> Iterator[records.PushName]:
        for note in self._store.notes(f'{key[:2]}/{key}.'):
            name = records.parsename(note)
            if name is not None:
                yield name

    def _dropnotesof(self, key: str) -> None:
        """Delete what notes are left of a bundle that is gone."""
        for name in self._notesof(key):
            with contextlib.suppress(errors.UnknownNote, errors.CorruptNote):
                if records.read(self._store, *name).removed:
                    for _gone in self._dropbundle(key, 'removed', name):
                        pass

    def _survey(self) -> None:
        """Look for lists, and for what must stay."""
        for name, record in self._unrecorded(True):
            if self._wish.forget or (record is not None and record.removed):
                self._leftovers = True
                continue
            self.lost += 1
            self._protected.add(name.key)
            if record is not None:
                self._protected.update(record.push.rests)

    def _unrecorded(
        self, surveying: bool = False
    ) -> Iterator[tuple[records.PushName, Optional[records.Record]]]:
        """Yield the notes of bundles that are not recorded, None for one that
        cannot be understood. See what else there is when ``surveying``."""

        def pushnotes() -> Iterator[records.PushName]:
            for name in self._store.notes():
                found = records.parsename(name)
                if found is not None:
                    yield found
                elif surveying and name.startswith(_LISTS):
                    self._lists.append(name)
                elif surveying:
                    self._addmarknote(name)

        for batch in walk.batches(pushnotes()):
            recorded = self._index.bundles({name.key for name in batch})
            for name in batch:
                if name.key in recorded:
                    continue
                # Another run marks a note before the bundle is recorded no
                # more, and this is read after that.
                record = None
                with contextlib.suppress(errors.CorruptNote):
                    try:
                        record = records.read(self._store, *name)
                    except errors.UnknownNote:
                        continue
                yield name, record

    def _addmarknote(self, name: str) -> None:
        found = records.parsebookmarkname(name)
        if found is not None:
            id = -1 if found.id is None else found.id
            self._marknotes.setdefault(found.digest, []).append((id, name))

    def _finish(self, listname: str) -> Iterator[Gone]:
        """End what a run began, that was interrupted or is at work."""
        try:
            listed = json.loads(self._store.note(listname))['pushes']
            names = [records.PushName(str(k), int(id)) for id, k in listed]
        except errors.UnknownNote:
            return
        except (KeyError, TypeError, ValueError):
            names = []
        for name in names:
            try:
                record = records.read(self._store, name.key, name.id)
            except (errors.UnknownNote, errors.CorruptNote, errors.InvalidKey):
                continue
            if not record.removed:
                continue
            push = walk.push(self._index, name.id)
            if push is not None:
                yield from self._remove(push, 'unfinished')
            elif not self._wish.dry:
                self._dropmarksof(record.push)
        self._deletelist(listname)

    # -- pushes

    def _expire(self) -> Iterator[Gone]:
        if self._wish.before is None:
            return
        for page in walk.older(self._index, self._wish.before):
            with self._listing(page):
                for push in page:
                    if not push.pinned:
                        yield from self._remove(push, 'age')

    def _shrink(self) -> Iterator[Gone]:
        """Remove the oldest pushes of who holds too much."""
        quota = self._wish.quota
        if quota is None:
            return
        for usage in self._index.users():
            # ``users`` begins with who holds most
            if usage.size <= quota:
                return
            if self._wish.dry:
                yield from self._wouldshrink(usage, quota)
            else:
                yield from self._shrinkuser(usage.user, quota)

    def _shrinkuser(self, user: str, quota: int) -> Iterator[Gone]:
        for page in walk.pushes(self._index, user):
            with self._listing(page):
                for push in page:
                    # each time: another run may be at it, too
                    if self._index.usage(user).size <= quota:
                        return
                    if not push.pinned:
                        yield from self._remove(push, 'quota')

    def _wouldshrink(self, usage: model.Usage, quota: int) -> Iterator[Gone]:
        held = usage.size
        before = self._wish.before
        for page in walk.pushes(self._index, usage.user):
            for push in page:
                if push.pinned:
                    continue
                old = before is not None and push.time < before
                if not old and held <= quota:
                    continue
                if self._islast(push):
                    held -= push.size
                if not old:
                    yield from self._remove(push, 'quota')

    def _islast(self, push: model.Push) -> bool:
        """Whether no later push of the user, and none that is pinned, has the
        bundle of this one."""
        first = 1
        node = push.heads[-1].node
        while True:
            others = self._index.pushes(
                first=first, user=push.user, node=node, limit=walk.PAGE
            )
            for other in others:
                if other.key == push.key and (
                    other.id > push.id or other.pinned
                ):
                    return False
            if len(others) < walk.PAGE:
                return True
            first = others[-1].id + 1

    def _remove(self, push: model.Push, reason: str) -> Iterator[Gone]:
        if self._wish.dry:
            if push.pinned and reason == _ASKED and not self._wish.evenpinned:
                raise errors.PinnedPush(f'push {push.id} is pinned')
            keep = push.pinned and reason not in ('lost', _ASKED)
            if not keep and not self._told.hasid(push.id):
                self._told.add(push.id, push.key)
                self._gone.update(model.chain([push]))
                yield Gone('push', reason, push, push.key, push.size)
            return
        # it may have been pinned since, or removed by another run
        current = walk.push(self._index, push.id)
        if current is None:
            return
        evenpinned = reason == 'lost' or (
            reason == _ASKED and self._wish.evenpinned
        )
        if current.pinned and reason == _ASKED and not evenpinned:
            raise errors.PinnedPush(f'push {push.id} is pinned')
        if not current.pinned or evenpinned:
            records.write(self._store, current, removed=True)
        try:
            needless = self._index.remove(push.id, evenpinned)
        except errors.PinnedPush:
            # the note says something else
            records.write(self._store, current._replace(pinned=True))
            if reason == _ASKED:
                raise
            return
        except errors.UnknownPush:
            # Another run did it, which may have deleted the note before it
            # was written again here, and may have been interrupted.
            self._dropmarksof(current)
            if not self._index.bundles([push.key]):
                self._deletenote(records.PushName(push.key, push.id))
            return
        self._leftovers = True
        yield Gone('push', reason, current, push.key, push.size)
        self._dropmarksof(current)
        self._gone.update(needless)
        for key in needless:
            if key == push.key:
                name = records.PushName(key, push.id)
                yield from self._dropbundle(key, 'removed', name)
            else:
                yield from self._dropbundle(key, 'removed')

    def _forget(self) -> Iterator[Gone]:
        """Give up the pushes whose bundles are not there."""
        for page in walk.pushes(self._index):
            keys = {key for push in page for key in model.chain([push])}
            missing = {key for key in keys if not self._isthere(key)}
            lost = [p for p in page if missing.intersection(model.chain([p]))]
            if lost:
                with self._listing(lost):
                    for push in lost:
                        yield from self._remove(push, 'lost')

    def _isthere(self, key: str) -> bool:
        try:
            self._store.size(key)
        except errors.UnknownKey:
            return False
        return True

    # -- lists of what is about to go

    @contextlib.contextmanager
    def _listing(self, pushes: list[model.Push]) -> Iterator[None]:
        if self._wish.dry:
            yield
            return
        records.keeplastid(self._store, self._index)
        self._number += 1
        name = f'{_LISTS}{self._run}.{self._number}.json'
        listed = [[push.id, push.key] for push in pushes]
        data = json.dumps({'version': 1, 'pushes': listed})
        self._store.putnote(name, data.encode('ascii') + b'\n')
        yield
        self._deletelist(name)

    def _deletelist(self, name: str) -> None:
        if not self._wish.dry:
            with contextlib.suppress(errors.UnknownNote):
                self._store.deletenote(name)

    # -- what would go with them

    def _foresee(self) -> Iterator[Gone]:
        """Tell of the bundles that would go with the pushes that were told of,
        in a dry run."""
        if not self._gone:
            return
        for page in walk.pushes(self._index):
            for push in page:
                if not self._told.has(push.id, push.key):
                    self._gone.difference_update(model.chain([push]))
        self._gone -= self._protected
        for key in sorted(self._gone):
            with contextlib.suppress(errors.UnknownKey):
                size = self._store.size(key)
                yield Gone('bundle', 'removed', key=key, size=size)

    def _wouldstay(self, mark: model.Bookmark, key: str) -> bool:
        """Whether a bookmark at a changeset that is found in the bundle ``key``
        would not be removed for what it points to, in a dry run."""
        if not self._wish.dry or key not in self._gone:
            return True
        if mark.push is not None and self._told.hasid(mark.push):
            # it goes with its push
            return True
        first = 1
        while True:
            others = self._index.pushes(
                first=first, node=mark.node, limit=walk.PAGE
            )
            if any(not self._told.hasid(push.id) for push in others):
                return True
            if len(others) < walk.PAGE:
                return False
            first = others[-1].id + 1

    # -- what goes with a push, or was left behind

    def _dropmarksof(self, push: model.Push) -> None:
        for name, node in push.bookmarks:
            if node is not None:
                digest = records.bookmarkdigest(name)
                noted = bool(self.lost) or digest in self._marknotes
                marks.notegone(self._store, self._index, name, noted)

    def _dropmarks(self) -> Iterator[Gone]:
        """Delete the bookmarks that point to nothing."""
        for batch in walk.batches(self._index.bookmarks()):
            located = self._index.locate({mark.node for mark in batch})
            for mark in batch:
                place = located.get(mark.node)
                if self._inbase(mark.node) or (
                    place is not None and self._wouldstay(mark, place.key)
                ):
                    continue
                if not self._wish.dry:
                    move = model.BookmarkMove(mark.name, None, mark.node)
                    try:
                        moved = self._index.movebookmarks([move], self._now)
                    except errors.BookmarkMoved:
                        continue
                    marks.write(self._store, self._index, moved, self._now, '')
                yield Gone('bookmark', 'dangling', name=mark.name)

    def _dropmarknotes(self) -> Iterator[Gone]:
        """Delete the notes of bookmarks whose place another note has taken, or
        that keep nothing from coming back."""
        for notes in self._marknotes.values():
            notes.sort()
            last = notes[-1][1]
            with contextlib.suppress(errors.UnknownNote, errors.CorruptNote):
                mark = records.readbookmark(self._store, last)
                for _id, name in notes[:-1]:
                    yield self._dropmarknote(name)
                if not self._isneeded(mark):
                    yield self._dropmarknote(last)

    def _isneeded(self, mark: records.BookmarkRecord) -> bool:
        """Whether an index made anew would be wrong without this note, the last
        one of a bookmark that is no push's."""
        here = walk.bookmark(self._index, mark.name)
        if here is None:
            return (
                mark.node is not None
                or bool(self.lost)
                or bool(self._index.moved([mark.name]))
            )
        if here.push is None or here.push <= mark.after:
            return True
        if self._told.hasid(here.push):
            # a run that is none: it goes with its push, and this stays
            return True
        push = walk.push(self._index, here.push)
        try:
            return push is None or (
                records.read(self._store, push.key, push.id).removed
            )
        except (errors.UnknownNote, errors.CorruptNote):
            return True

    def _dropmarknote(self, name: str) -> Gone:
        if not self._wish.dry:
            records.keeplastid(self._store, self._index)
            with contextlib.suppress(errors.UnknownNote):
                self._store.deletenote(name)
        return Gone('note', 'superseded', name=name)

    def _dropleftovers(self) -> Iterator[Gone]:
        """Delete the notes of removed pushes whose bundles nobody needs any
        more, and those bundles, if they are there."""
        for name, record in self._unrecorded():
            if record is not None and record.removed:
                yield from self._dropbundle(name.key, 'removed', name)
            elif self._wish.forget:
                if not self._wish.dry:
                    self._deletenote(name)
                push = None if record is None else record.push
                yield Gone('push', 'lost', push, name.key)

    def _droporphans(self) -> Iterator[Gone]:
        young = self._now - self._wish.grace
        for batch in walk.batches(self._store.keys()):
            recorded = self._index.bundles(batch)
            for key in batch:
                if key in recorded or key in self._protected:
                    continue
                with contextlib.suppress(errors.UnknownKey):
                    if self._store.modified(key) < young:
                        yield from self._dropbundle(key, 'orphan')

    def _dropbundle(
        self, key: str, reason: str, note: Optional[records.PushName] = None
    ) -> Iterator[Gone]:
        """Delete a bundle, and then the note, unless it is recorded."""
        if key in self._protected:
            return
        size = None
        with contextlib.suppress(errors.UnknownKey):
            size = self._store.size(key)

        def delete() -> None:
            with contextlib.suppress(errors.UnknownKey):
                self._store.delete(key)

        if not self._wish.dry and not self._index.discard(key, delete):
            return
        if size is not None:
            yield Gone('bundle', reason, key=key, size=size)
        if note is not None:
            if not self._wish.dry:
                self._deletenote(note)
            if size is None and key not in self._gone:
                # left behind by an earlier run
                name = records.pushname(*note)
                yield Gone('note', 'leftover', key=key, name=name)

    def _deletenote(self, name: records.PushName) -> None:
        with contextlib.suppress(errors.UnknownNote):
            records.delete(self._store, *name)

    def _dropstrays(self) -> Iterator[Gone]:
        for stray in self._store.strays(self._wish.grace):
            if not self._wish.dry:
                self._store.deletestray(stray.name)
            yield Gone('stray', 'leftover', size=stray.size, name=stray.name)
