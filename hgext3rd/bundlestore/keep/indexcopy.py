"""Copies an index, while others use it, into one that nobody uses yet.

What differs is put right by what repairs use, so every push keeps its id. There
is no Mercurial in here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Optional

from .. import errors, model
from ..batches import batches
from ..declaring import provides
from ..stores import notes, statusnotes
from . import deliverycheck, ratecopy, viewcopy, walk


class NoCopy(errors.BundleStoreError):
    """What is in the target did not come from the source."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f'{what} is not empty, and no copy of this one',
            'name one that is empty',
        )


class IndexCopy:
    """Copies ``source`` into ``target``; ``store`` has the notes of the source.

    With ``dry`` nothing is changed, but counted.
    """

    def __init__(
        self, store: Any, source: Any, target: Any, dry: bool = False
    ) -> None:
        self._store = store
        self._source = source
        self._target = target
        self._dry = dry
        # the pushes in the target; whether these are all
        self._mine = walk.Prints()
        self._known = False
        # the highest id in the target
        self._last = 0
        #: what was changed since ``begin``
        self.pushes = self.removed = self.bookmarks = self.views = 0

    def begin(self) -> None:
        """Begin to go through everything; raises ``NoCopy``."""
        self.pushes = self.removed = self.bookmarks = self.views = 0
        self._last = self._target.lastid()
        if self._last > self._source.lastid():
            raise NoCopy('bundle index')

    # -- pushes

    def page(
        self, first: int, page: list[model.Push], fresh: list[model.Push]
    ) -> Iterator[model.Push]:
        """Copy those of the pushes of a page that are ``fresh``: not known to
        be in the target. The page has all pushes from the id ``first`` on to
        its last. Yields those that are not there afterwards.
        """
        if not provides(self._target, 'ILabels'):
            # branches only serve to look for pushes
            fresh = [push._replace(branches=()) for push in fresh]
        if not provides(self._target, 'IPrivacy'):
            # it would show them to everybody
            yield from (push for push in fresh if push.private)
            fresh = [push for push in fresh if not push.private]
        there = self._there(first, page[-1].id, fresh)
        for push in fresh:
            found = there.get(push.id)
            if found is not None and _origin(found) != _origin(push):
                raise NoCopy('bundle index')
        if not self._known:
            for id in there:
                self._mine.set(id, 1)
        different = [push for push in fresh if not _same(there, push)]
        self.pushes += len(different)
        if not different or self._dry:
            return
        self._restoreall([p for p in different if p.id not in there])
        for push in different:
            if push.id in there:
                self._correct(push, there[push.id])
        self._last = max(self._last, page[-1].id)
        there = self._there(first, page[-1].id, different)
        for push in different:
            if not _same(there, push):
                yield push

    def outcomes(self, page: list[model.Push]) -> Iterator[model.Push]:
        """Copy how the pushes of a page went. Yields those of which that
        cannot be."""
        if self._dry:
            return
        ids = [push.id for push in page]
        found = statusnotes.outcomes(self._source, ids)
        there = statusnotes.outcomes(self._target, found)
        for push in page:
            its = found.get(push.id, statusnotes.NONE)
            known = there.get(push.id, statusnotes.NONE)
            if its != known and not self._tell(push.id, its, known):
                yield push

    def _tell(
        self, id: int, its: statusnotes.Outcome, known: statusnotes.Outcome
    ) -> bool:
        """Have the target tell how a push went; return whether it can."""
        able = [provides(self._target, n) for n in ('IStatuses', 'ILandings')]
        if any(its[n] and not able[n] for n in range(2)):
            return False
        with contextlib.suppress(errors.UnknownPush):
            for status in its.statuses:
                if status not in known.statuses:
                    self._target.setstatus(id, status)
            for landing in its.landings:
                if landing not in known.landings:
                    self._target.setlanding(id, landing)
        return True

    def deliveries(self) -> Iterator[str]:
        """Copy how far web hooks were told. Yields those of which that cannot
        be."""
        if self._dry or not provides(self._source, 'IDeliveries'):
            return
        if provides(self._target, 'IDeliveries'):
            yield from deliverycheck.copy(self._source, self._target)
        else:
            yield from self._source.deliveries()

    def copyviews(self) -> Iterator[str]:
        """Copy the views. Yields those that cannot be."""
        done = viewcopy.copy(self._source, self._target, self._dry)
        self.views = done.changes
        yield from done.bad

    def beyond(self, first: int, seen: walk.Seen) -> None:
        """Remove the pushes that the source does not have: it has those that
        were ``seen``, and none from the id ``first`` on."""
        if not self._known:
            for id in self._there(first, self._last, []):
                self._mine.set(id, 1)
        for id in self._mine.ids():
            if not seen.hasid(id) and walk.push(self._source, id) is None:
                self._remove(id)

    def _there(
        self, first: int, last: int, wanted: list[model.Push]
    ) -> dict[int, model.Push]:
        """Return what the target has of some pushes, at least."""
        if first > self._last:
            return {}
        if self._known and len(wanted) < walk.PAGE // 4:
            found = [walk.push(self._target, push.id) for push in wanted]
            return {push.id: push for push in found if push is not None}
        there: dict[int, model.Push] = {}
        for page in walk.pushes(self._target, first=first, last=last):
            there.update((push.id, push) for push in page)
        return there

    def _remove(self, id: int) -> None:
        self.removed += 1
        if not self._dry:
            with contextlib.suppress(errors.UnknownPush):
                self._target.remove(id)
            self._mine.set(id, 0)

    def _restoreall(self, pushes: list[model.Push]) -> None:
        """Copy pushes that are not there; those that cannot be copied now are
        left out."""
        if len(pushes) > 1 and provides(self._target, 'IRestoreMany'):
            # mostly, what they rest on is there or among them
            with contextlib.suppress(errors.BundleGone):
                self._target.restoremany(pushes)
                for push in pushes:
                    self._mine.set(push.id, 1)
                return
        for push in pushes:
            with contextlib.suppress(errors.BundleGone):
                self._restore(push)

    def _correct(self, push: model.Push, found: model.Push) -> None:
        """Have a push that is there be as in the source."""
        only = {found.id: found._replace(pinned=push.pinned)}
        if _same(only, push):
            # what else is restored is looked for in the whole index
            self._target.pin(push.id, push.pinned)
            return
        with contextlib.suppress(errors.BundleGone):
            self._restore(push, False)

    def _put(self, push: model.Push, bookmarks: bool = False) -> None:
        self._mine.set(push.id, 1)
        self._target.restore(push, bookmarks)

    def _restore(self, push: model.Push, bookmarks: bool = True) -> None:
        bases: list[int] = []
        if push.rests:
            known = self._target.bundles(push.rests)
            for key in push.rests:
                if key not in known:
                    bases += self._restorebase(key, push.id)
        self._put(push, bookmarks)
        for id in bases:
            # it is no push, and its bundle stays, as this one rests on it
            self._target.remove(id)
            self._mine.set(id, 0)

    def _restorebase(self, key: str, below: int) -> list[int]:
        """Record a bundle that no push before ``below`` has; return what is to
        be removed later on. What it rests on is there."""
        bundle = self._source.bundles([key]).get(key)
        if bundle is None:
            raise errors.BundleGone(key)
        holder = self._holder(bundle)
        if holder is not None:
            self._put(holder)
            self._last = max(self._last, holder.id)
            return []
        gone = self._removed(bundle) or self._invented(bundle, below)
        self._put(gone)
        return [gone.id]

    def _holder(self, bundle: model.Bundle) -> Optional[model.Push]:
        """Return a push that has the bundle, None if others only rest on
        it."""
        first = 1
        while True:
            page = self._source.pushes(
                first=first, node=bundle.heads[-1], limit=walk.PAGE
            )
            for push in page:
                if push.key == bundle.key:
                    found: model.Push = push
                    return found
            if len(page) < walk.PAGE:
                return None
            first = page[-1].id + 1

    def _removed(self, bundle: model.Bundle) -> Optional[model.Push]:
        """Return the first push that had a bundle, by its note."""
        found = []
        key = bundle.key
        for note in self._store.notes(f'{key[:2]}/{key}.'):
            name = notes.parsename(note)
            if name is not None and walk.push(self._source, name.id) is None:
                with contextlib.suppress(
                    errors.UnknownNote, errors.CorruptNote
                ):
                    found.append(notes.read(self._store, *name))
        if not found:
            return None
        record = min(found, key=lambda record: record.push.id)
        with contextlib.suppress(errors.CorruptNote):
            held = notes.held(self._source, record.push)
            push = notes.whole(record, bundle, held)
            return push._replace(size=bundle.size, rests=bundle.rests)
        return None

    def _invented(self, bundle: model.Bundle, below: int) -> model.Push:
        """Return a push that might have had a bundle, where no note tells."""
        id = below - 1
        while id and (
            walk.push(self._source, id) or walk.push(self._target, id)
        ):
            id -= 1
        if not id:
            raise errors.BundleGone(bundle.key)
        return model.Push(
            id=id,
            time=0.0,
            user='',
            key=bundle.key,
            size=bundle.size,
            nodes=bundle.nodes,
            heads=tuple(model.Head(node, '') for node in bundle.heads),
            bookmarks=(),
            rests=bundle.rests,
        )

    # -- the rest

    def end(self) -> None:
        """Copy what is left when all pushes are there."""
        self._copybookmarks()
        last = self._source.lastid()
        if not self._dry and last:
            self._target.reserve(last)
        self._known = not self._dry

    def _copybookmarks(self) -> None:
        source = {mark.name: mark for mark in self._source.bookmarks()}
        target = {mark.name: mark for mark in self._target.bookmarks()}
        for name, mark in source.items():
            # one that nobody put there is taken for one that somebody did
            nobody = mark.push is None and mark.move is None
            if nobody and name in target and target[name].node == mark.node:
                source[name] = target[name]
        wrong = {
            name
            for name in source.keys() | target.keys()
            if source.get(name) != target.get(name)
        }
        if self._dry:
            # those that come with their pushes are no work of their own
            wrong -= {
                name
                for name in source.keys() - target.keys()
                if source[name].push is not None
            }
        self.bookmarks += len(wrong)
        if self._dry:
            return
        for name in sorted(wrong - source.keys()):
            self._unset(target[name])
        # what a push moved is moved again as a whole, and what has been moved
        # since, after that
        pending = {_mover(source[name]): name for name in wrong & source.keys()}
        done: set[tuple[int, str]] = set()
        while pending:
            mover = min(pending)
            name = pending.pop(mover)
            done.add(mover)
            push = None
            if source[name].push is not None:
                push = walk.push(self._source, mover[0])
            if push is None:
                self._set(source[name])
                continue
            if not self._mine.get(push.id):
                # it has come meanwhile
                continue
            with contextlib.suppress(errors.BundleGone):
                self._target.restore(push, True)
            for other, node in push.bookmarks:
                mark = source.get(other)
                if mark is None:
                    if node is not None:
                        self._unset(model.Bookmark(other, node, push=push.id))
                elif mark.push == push.id:
                    pending.pop(_mover(mark), None)
                elif _mover(mark) not in done:
                    pending[_mover(mark)] = other

    def _set(self, mark: model.Bookmark) -> None:
        listed = self._listed(self._source, mark.name)
        user = '' if listed is None else listed.user
        time = 0.0 if listed is None else listed.time or 0.0
        id = mark.move or self._source.lastid()
        self._target.restoremove(
            model.RestoredMove(id, mark.name, mark.node, time, user)
        )

    def _unset(self, mark: model.Bookmark) -> None:
        """Take a bookmark away from where it is in the target, as though
        whatever put it there had not."""
        listed = self._listed(self._target, mark.name)
        user = '' if listed is None else listed.user
        time = 0.0 if listed is None else listed.time or 0.0
        id = mark.push or mark.move or self._source.lastid()
        self._target.restoremove(
            model.RestoredMove(id, mark.name, None, time, user)
        )

    @staticmethod
    def _listed(index: Any, name: str) -> Optional[model.ListedBookmark]:
        # taken as a pattern, a name matches itself
        for batch in batches(index.listbookmarks(name), walk.BATCH):
            for found in batch:
                if found.name == name:
                    listed: model.ListedBookmark = found
                    return listed
        return None

    def copyrates(self, since: float) -> None:
        """Copy when users moved bookmarks after ``since``."""
        ratecopy.copyrates(self._source, self._target, since)
        last = self._source.lastid()
        if last:
            self._target.reserve(last)

    def differences(self) -> Iterator[str]:
        """Yield in what source and target differ as a whole."""
        found = [index.statistics() for index in (self._source, self._target)]
        for name in model.Statistics._fields:
            source, target = (getattr(one, name) for one in found)
            if name != 'indexsize' and source != target:
                yield f'{name}: {source}, in the copy {target}'
        last = self._source.lastid()
        if last != self._target.lastid():
            yield f'last id: {last}, in the copy {self._target.lastid()}'
        if provides(self._target, 'IViews'):
            for pair in viewcopy.differing(self._source, self._target):
                for view in filter(None, pair):
                    yield f'view {view.owner}/{view.name}'
                    return


def _mover(mark: model.Bookmark) -> tuple[int, str]:
    """Return what sorts bookmarks by who put them where they are."""
    return (mark.push or mark.move or 0, mark.name)


def _origin(push: model.Push) -> tuple[object, ...]:
    """Return what never changes in a push."""
    return (push.key, push.time, push.user)


def _same(there: dict[int, model.Push], push: model.Push) -> bool:
    found = there.get(push.id)
    return found is not None and _comparable(found) == _comparable(push)


def _comparable(push: model.Push) -> model.Push:
    # An index may have any order in which each comes after what it rests on,
    # and a newer one takes less for text.
    return push._replace(
        rests=tuple(sorted(push.rests)),
        heads=tuple(
            head._replace(title=model.totext(head.title)) for head in push.heads
        ),
        text=model.totext(push.text),
    )
