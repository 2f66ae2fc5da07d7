"""Makes an index anew, or what it lost, out of bundles and notes.

Every step is a transaction of the index or a note, and may come again: who
was interrupted begins from the start and finds what is still to be done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, Optional

from .. import errors, model
from ..declaring import provides
from ..records import NamedTuple
from ..stores import marks, notes, statusnotes
from . import content, statuscheck, viewcheck, walk
from .base import Base

#: a note that is there while repairs are under way
_MARK = 'state/repair.json'
#: bundles of which it is remembered what is in them
_CONTENTS = 100


class Irreparable(errors.BundleStoreError):
    """Why a push cannot be brought back."""


class _Winner(NamedTuple):
    """What moved a bookmark last."""

    #: id of the push, or of the move, or the highest one before it
    id: int
    node: Optional[bytes]
    #: whether it was a push that is in the index
    ispush: bool
    time: float = 0.0
    user: str = ''


class Repairer:
    """Repairs the index of a store.

    ``base`` is the base repository.
    """

    def __init__(self, ui, store: Any, index: Any, base: Base) -> None:
        self._ui = ui
        self._store = store
        self._index = index
        self._base = base
        #: whether something was corrected; what comes last is ``reserve``
        self.corrected = False
        # the notes of bundles that are not recorded, as far as they were told
        self._ids: dict[str, list[int]] = {}
        # what was read last: many rest on the same bundles
        self._contents: dict[str, content.Content] = {}

    # -- beginning and end

    @property
    def underway(self) -> bool:
        """Whether repairs have begun and have not ended."""
        try:
            self._store.note(_MARK)
        except errors.UnknownNote:
            return False
        return True

    def begin(self) -> None:
        self._store.putnote(_MARK, b'{"version":1}\n')

    def end(self) -> None:
        """Settle what needs all pushes, when these are back."""
        self._settle()
        self.reserve()
        with contextlib.suppress(errors.UnknownNote):
            self._store.deletenote(_MARK)

    def setaside(self) -> Optional[str]:
        """Have the index begin anew; return where the old one is, None if it
        cannot be done."""
        if not provides(self._index, 'ISetAside'):
            return None
        self.begin()
        with contextlib.suppress(errors.BackendUnavailable):
            self._salvage()
        with contextlib.suppress(errors.BackendUnavailable):
            viewcheck.salvage(self._store, self._index)
        place: str = self._index.setaside()
        return place

    def _salvage(self) -> None:
        """Write the notes that are missing of what can still be read."""
        noted = walk.Seen()
        for name in notes.pushes(self._store):
            noted.add(name.id, name.key)
        for page in walk.pushes(self._index):
            for push in page:
                if not noted.hasid(push.id):
                    notes.write(self._store, self._index, push)

    def reserve(self) -> None:
        """See to it that no id is given again, and that all that was restored
        is durable."""
        last = self._index.lastid()
        with contextlib.suppress(errors.CorruptNote):
            last = max(last, notes.readlastid(self._store))
        last = max(last, *notes.ids(self._store), 0)
        if last:
            self._index.reserve(last)

    # -- pushes

    def restore(
        self,
        lost: Iterable[notes.PushName],
        removed: Iterable[notes.PushName],
    ) -> Iterator[tuple[notes.PushName, Optional[Irreparable]]]:
        """Bring back the pushes whose notes are ``lost``; yield each, with
        what keeps it from coming back, if anything.

        ``removed`` are the notes of other bundles that are not recorded, on
        which lost ones may rest.
        """
        names = sorted(lost, key=lambda name: name.id)
        for name in (*names, *removed):
            self._ids.setdefault(name.key, []).append(name.id)
        isnew = not self._index.lastid()
        # a push that needs another id must not get that of one to come
        self.reserve()
        for name in names:
            try:
                self._restore(name, isnew)
            except Irreparable as exc:
                yield name, exc
            else:
                yield name, None

    def _restore(self, name: notes.PushName, bookmarks: bool) -> int:
        """Return the id that the push has now."""
        record = self._read(name)
        there = walk.push(self._index, name.id)
        if there is not None and there.key == name.key:
            # as something else rests on it
            return name.id
        found = self._content(name.key)
        bases: list[int] = []
        try:
            for key in record.push.rests:
                bases += self._restorebase(key)
            push = self._whole(record, found)
            if there is not None:
                return self._renumber(push)
            self._index.restore(push, bookmarks and not record.removed)
            if record.push.private != push.private:
                notes.write(self._store, self._index, push, record.removed)
            return name.id
        except errors.BundleGone as exc:
            raise Irreparable(
                f'it rests on bundle {exc.key}, of which there is no note'
            ) from exc
        finally:
            for base in bases:
                # it is no push, and stays if another one rests on it
                self._index.remove(base)

    def correct(self, ids: Iterable[int], key: Optional[str]) -> bool:
        """Have the index know what is in a bundle, by way of one of these
        pushes, and what the note of that tells; return whether it does."""
        for id in ids:
            push = walk.push(self._index, id)
            # others only rest on the bundle
            if push is not None and push.key == key:
                with contextlib.suppress(Irreparable):
                    self._correct(push)
                    self.corrected = True
                    return True
        return False

    def _correct(self, push: model.Push) -> None:
        inside = self._content(push.key)
        name = notes.PushName(push.key, push.id)
        isnoted = True
        try:
            try:
                record = self._read(name)
                found = self._whole(record, inside)
                isnoted = record.push.private == found.private
            except Irreparable:
                # its bundle tells the rest
                isnoted = False
                found = self._whole(notes.Record(push), inside)
            found = found._replace(pinned=push.pinned)
            self._index.restore(found, False)
        except errors.BundleGone as exc:
            raise Irreparable(f'bundle {exc.key} is not recorded') from exc
        if not isnoted:
            notes.keep(self._store, self._index, found)

    def _restorebase(self, key: str) -> list[int]:
        """See to it that a bundle is recorded; return the push that is to be
        removed later on, as it is none, if any."""
        if self._index.bundles([key]):
            return []
        names = [notes.PushName(key, id) for id in self._ids.get(key, ())]
        if not names:
            return []
        removed, name = min((self._read(name).removed, name) for name in names)
        id = self._restore(name, False)
        return [id] if removed else []

    def _read(self, name: notes.PushName) -> notes.Record:
        try:
            return notes.read(self._store, *name)
        except (errors.UnknownNote, errors.CorruptNote) as exc:
            raise Irreparable('its note cannot be understood') from exc

    def _whole(
        self, record: notes.Record, found: content.Content
    ) -> model.Push:
        """Return the push of a note, whose bundle has that in it; raises
        ``Irreparable``, and ``BundleGone`` if one that it rests on is not
        recorded."""
        push = record.push
        held: list[bytes] = []
        if record.places is not None:
            held = notes.inorder(map(self._held, push.rests))
        heads = tuple(node for node in found.nodes if node in found.heads)
        bundle = model.Bundle(push.key, found.size, found.nodes, heads, ())
        try:
            push = notes.whole(record, bundle, held)
        except errors.CorruptNote as exc:
            raise Irreparable('its note is not that of its bundle') from exc
        # whatever the note says: nothing comes out that was private
        if found.private and not provides(self._index, 'IPrivacy'):
            raise Irreparable('the index cannot keep it private')
        return push._replace(private=found.private)

    def _held(self, key: str) -> tuple[bytes, ...]:
        """Return what is in a bundle that another one rests on: as it says
        itself, as the index may be wrong, if it can still be read."""
        recorded = self._index.bundles([key]).get(key)
        if recorded is None:
            raise errors.BundleGone(key)
        with contextlib.suppress(Irreparable):
            return self._content(key).nodes
        nodes: tuple[bytes, ...] = recorded.nodes
        return nodes

    def _content(self, key: str) -> content.Content:
        found = self._contents.pop(key, None)
        if found is None:
            try:
                found = content.read(self._ui, self._store, key)
            except errors.UnknownKey as exc:
                raise Irreparable(f'bundle {key} is missing') from exc
            except errors.CorruptBundle as exc:
                raise Irreparable(f'bundle {key} is damaged') from exc
        self._contents[key] = found
        if len(self._contents) > _CONTENTS:
            del self._contents[next(iter(self._contents))]
        return found

    def _renumber(self, push: model.Push) -> int:
        """Bring back a push whose id was given again."""
        found = None
        for page in walk.pushes(self._index, push.user, push.id):
            for other in page:
                if (other.key, other.time) == (push.key, push.time):
                    found = other  # from a run that was interrupted
        if found is None:
            found = self._index.record(
                model.NewPush(
                    push.time,
                    push.user,
                    push.key,
                    push.size,
                    push.nodes,
                    push.heads,
                    tuple(
                        model.BookmarkMove(name, node)
                        for name, node in push.bookmarks
                        if node is not None
                        and self._index.bookmark(name) is None
                    ),
                    push.text,
                    push.rests,
                    push.below,
                    push.pushvars,
                    push.branches,
                    push.private,
                )
            )
        if push.pinned:
            self._index.pin(found.id)
        old = notes.PushName(push.key, push.id)
        with contextlib.suppress(errors.CorruptNote):
            its = statusnotes.read(self._store, old)
            statuscheck.restore(self._index, found.id, its)
        found = found._replace(pinned=push.pinned)
        notes.write(self._store, self._index, found)
        notes.delete(self._store, push.key, push.id)
        id: int = found.id
        return id

    # -- bookmarks

    def _settle(self) -> None:
        """Put the bookmarks where whatever moved them last left them."""
        winners = self._winners()
        for name in sorted(winners, key=lambda name: winners[name].id):
            winner = winners[name]
            there = marks.find(self._index, name)
            node = None if there is None else there.node
            by = there and (there.push or there.move)
            if by and by > winner.id:
                # it moved since, and that is not noted
                continue
            push = None
            if winner.ispush and winner.node is not None:
                if there == model.Bookmark(name, winner.node, winner.id):
                    continue
                push = walk.push(self._index, winner.id)
            if push is not None:
                # Others that it moved may be elsewhere by rights. They come
                # later, as what moved them there did.
                self._index.restore(push, True)
            elif node != winner.node and self._isknown(winner.node):
                self._index.restoremove(
                    model.RestoredMove(
                        max(winner.id, 1),
                        name,
                        winner.node,
                        winner.time,
                        winner.user,
                    )
                )

    def _winners(self) -> dict[str, _Winner]:
        winners: dict[str, _Winner] = {}
        for page in walk.pushes(self._index):
            for push in page:
                for name, node in push.bookmarks:
                    winners[name] = _Winner(push.id, node, True)
        for note in self._store.notes():
            for name, winner in self._moves(note):
                if name not in winners or winners[name].id <= winner.id:
                    winners[name] = winner
        return winners

    def _moves(self, note: str) -> Iterator[tuple[str, _Winner]]:
        """Yield what a note that is not one of a push tells of bookmarks."""
        with contextlib.suppress(errors.UnknownNote, errors.CorruptNote):
            if notes.parsebookmarkname(note) is not None:
                mark = marks.read(self._store, note)
                yield (
                    mark.name,
                    _Winner(mark.after, mark.node, False, mark.time, mark.user),
                )
            name = notes.parsename(note)
            if name is None or walk.push(self._index, name.id) is not None:
                return
            record = notes.read(self._store, *name)
            if record.removed:
                for moved, node in record.push.bookmarks:
                    if node is not None:
                        yield moved, _Winner(name.id, None, False)

    def _isknown(self, node: Optional[bytes]) -> bool:
        return (
            node is None
            or self._base.has(node)
            or bool(self._index.locate([node]))
        )
