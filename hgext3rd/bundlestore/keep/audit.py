"""Checks all that a bundle store holds, and has it repaired.

Others may push and collect meanwhile. So whatever looks wrong is looked at
again, in the order in which they do things: a bundle is stored before the
index records it, the note of a push is written after that, and marked before
the push is removed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from mercurial.i18n import _

from .. import errors, model
from ..batches import batches
from ..declaring import provides
from ..server import tolocal
from ..stores import marks, notes
from ..words import counted
from . import (
    base,
    branches,
    bundles,
    deliverycheck,
    lostcheck,
    repair,
    statuscheck,
    viewcheck,
    walk,
)
from .findings import MOST, Finding, Wish

#: a push that is younger may still get its note, in seconds
_YOUNG = 60.0


class Audit:
    """One check of the bundle store ``server`` of ``repo``; ``now`` is the
    time."""

    def __init__(self, repo, server, now: float, wish: Wish) -> None:
        self._repo = repo
        self._server = server
        self._store = server.store
        if provides(self._store, 'ICached'):
            # A copy elsewhere says nothing of what is in the store.
            self._store = self._store.uncached
        self._index = server.wholeindex
        self._now = now
        self._wish = wish
        self._makeprogress = repo.ui.makeprogress
        self._base = base.Repository(repo, server)
        self._repairer = repair.Repairer(
            repo.ui, self._store, self._index, self._base
        )
        self._branches = branches.Branches(
            repo, server, self._store, self._index
        )
        # pushes whose removal was begun
        self._marked: list[notes.PushName] = []
        # the pushes that are in the index
        self._seen = walk.Seen()
        self._bundles = bundles.BundleAudit(
            repo, self._store, self._index, self._base, self._repairer, wish
        )
        #: how many pushes were checked
        self.pushes = 0

    @property
    def bundles(self) -> int:
        """How many bundles were checked."""
        return self._bundles.count

    @property
    def bytes(self) -> int:
        """How many bytes of them were read."""
        return self._bundles.bytes

    def run(self) -> Iterator[Finding]:
        """Yield what is found; raises ``BundleStoreError``."""
        wrong = []
        try:
            for problem in self._index.problems():
                message = _(b'bundle index: %s') % tolocal(problem)
                wrong.append(Finding('index', message))
        except errors.DamagedIndex as exc:
            if not self._wish.repair:
                raise
            wrong.append(Finding('index', tolocal(exc.message)))
        if wrong:
            yield from self._anew(wrong)
        try:
            yield from self._checkrest()
        except errors.DamagedIndex as exc:
            if wrong:
                # nothing more can be told of it
                return
            if not self._wish.repair:
                raise
            yield from self._anew([Finding('index', tolocal(exc.message))])
            yield from self._checkrest()

    def _anew(self, wrong: list[Finding]) -> Iterator[Finding]:
        """Have a wrong index begin anew, if that is wanted."""
        place = self._repairer.setaside() if self._wish.repair else None
        for finding in wrong:
            yield finding._replace(repaired=place is not None)
        if place is not None:
            message = _(b'bundle index: made anew; the old one is %s')
            yield Finding(
                'index', message % tolocal(place), False, repaired=True
            )
            self._seen = walk.Seen()
            self._marked = []
            self.pushes = 0

    def _checkrest(self) -> Iterator[Finding]:
        yield from self._checkpushes()
        lost = lostcheck.LostCheck(
            self._repo,
            self._store,
            self._index,
            self._seen,
            self._repairer,
            self._wish.repair,
        )
        yield from lost.run()
        self.pushes += lost.restored
        yield from self._checkids()
        yield from self._checkunfinished()
        yield from self._checkstatuses()
        yield from self._checkdeliveries()
        yield from self._checkviews()
        yield from self._bundles.checkall(lost.noted)
        if self._repairer.corrected:
            self._repairer.reserve()
        yield from self._checkbookmarks()
        yield from self._checkstrays()

    def _mend(self, finding: Finding) -> Finding:
        """Have the index know what is in a bundle, if that is wanted."""
        if not self._wish.repair:
            return finding
        repaired = self._repairer.correct(finding.pushes, finding.key)
        return finding._replace(repaired=repaired)

    # -- pushes and their notes

    def _checkpushes(self) -> Iterator[Finding]:
        lastid = self._index.lastid()
        missing = _Many(_(b'%s without a note beside the bundle'))
        other = _Many(_(b'%s with a note that is not up to date'))
        unlisted = _Many(_(b'%s that could not be found by branch'))
        with self._makeprogress(
            _(b'checking'), unit=_(b'pushes'), total=lastid
        ) as bar:
            for page in walk.pushes(self._index):
                known: set[str] = set()
                for push in page:
                    self._seen.add(push.id, push.key)
                    self.pushes += 1
                    yield from self._checkpush(
                        push, known, missing, other, unlisted
                    )
                    bar.update(push.id)
        for many in (missing, other, unlisted):
            if many.count:
                yield many.finding(self._wish.repair)

    def _checkpush(
        self,
        push: model.Push,
        known: set[str],
        missing: _Many,
        other: _Many,
        unlisted: _Many,
    ) -> Iterator[Finding]:
        for key in model.chain([push]):
            if key not in known:
                if self._ismissing(key, push.id):
                    yield Finding(
                        'missing',
                        _(b'push %d: bundle %s is missing')
                        % (push.id, key.encode()),
                        pushes=(push.id,),
                        key=key,
                    )
                else:
                    known.add(key)
        try:
            note = notes.read(self._store, push.key, push.id)
        except errors.UnknownNote:
            # whoever pushes now writes it in a moment
            if push.time < self._now - _YOUNG or self._wish.repair:
                missing.add(push.id)
                self._rewrite(push)
            return
        except errors.CorruptNote:
            other.add(push.id)
            self._rewrite(push)
            return
        if note.removed:
            # others that are to be restored may rest on it
            self._marked.append(notes.PushName(push.key, push.id))
        elif not self._agree(note, push):
            yield self._mend(
                Finding(
                    'row',
                    _(b'push %d: the index does not have what its note has')
                    % push.id,
                    pushes=(push.id,),
                    key=push.key,
                )
            )
        elif self._wish.repair and self._branches.repair(push, note.push):
            unlisted.add(push.id)
        elif note.push.pinned != push.pinned or not self._branches.agree(
            push, note.push
        ):
            other.add(push.id)
            self._rewrite(push)

    def _agree(self, note: notes.Record, push: model.Push) -> bool:
        """Whether the index has of a push what its note tells."""
        held: list[bytes] = []
        if note.places is not None:
            held = notes.held(self._index, note.push)
            if not held:
                # that a bundle is not recorded is told of those on top of it
                push = push._replace(below=())
                note = note._replace(places=None)
        heads = {head.node for head in push.heads}
        inorder = tuple(node for node in push.nodes if node in heads)
        bundle = model.Bundle(push.key, push.size, push.nodes, inorder, ())
        try:
            noted = notes.whole(note, bundle, held)
        except errors.CorruptNote:
            return False
        return _essence(noted) == _essence(push)

    def _ismissing(self, key: str, id: int) -> bool:
        try:
            self._store.size(key)
        except errors.UnknownKey:
            return walk.push(self._index, id) is not None
        return False

    def _rewrite(self, push: model.Push) -> None:
        """Write the note of a push again."""
        if not self._wish.repair:
            return
        current = walk.push(self._index, push.id)
        if current is not None:
            notes.keep(self._store, self._index, current)

    def _checkunfinished(self) -> Iterator[Finding]:
        """Look at the pushes whose notes are marked as removed."""
        for push in self._marked:
            if walk.push(self._index, push.id) is None:
                continue
            if self._wish.repair:
                with contextlib.suppress(errors.UnknownPush):
                    self._index.remove(push.id)
            yield Finding(
                'unfinished',
                _(b'push %d: its removal was begun and not ended') % push.id,
                False,
                pushes=(push.id,),
                key=push.key,
                repaired=self._wish.repair,
            )

    # -- the rest

    def _checkstatuses(self) -> Iterator[Finding]:
        repaired = self._wish.repair
        many = _Many(_(b'%s with statuses that are not as they are noted'))
        check = statuscheck.StatusCheck(self._store, self._index, repaired)
        for push in check.run():
            many.add(push.id)
        if many.count:
            yield many.finding(repaired)

    def _checkdeliveries(self) -> Iterator[Finding]:
        if not provides(self._index, 'IDeliveries'):
            return
        repaired = self._wish.repair
        for name in deliverycheck.check(self._store, self._index, repaired):
            message = _(b"web hook '%s' has no note that is up to date")
            yield Finding(
                'note',
                message % tolocal(name),
                False,
                name=name,
                repaired=repaired,
            )

    def _checkviews(self) -> Iterator[Finding]:
        check = viewcheck.ViewCheck(
            self._store, self._index, self._base, self._now, self._wish.repair
        )
        yield from check.run()

    def _checkids(self) -> Iterator[Finding]:
        last = self._index.lastid()
        try:
            noted = notes.readlastid(self._store)
        except errors.CorruptNote:
            noted = last
        if last < noted:
            if self._wish.repair:
                self._repairer.reserve()
            yield Finding(
                'index',
                _(b'bundle index: push ids up to %d would be given again')
                % noted,
                repaired=self._wish.repair,
            )

    def _checkbookmarks(self) -> Iterator[Finding]:
        noted = marks.latest(
            self._store,
            filter(notes.parsebookmarkname, self._store.notes()),
        )
        for batch in batches(self._index.bookmarks(), walk.BATCH):
            located = self._index.locate({mark.node for mark in batch})
            for mark in batch:
                shown = tolocal(mark.name)
                if mark.node not in located and not self._base.has(mark.node):
                    if (
                        not self._base.lags
                        and self._index.bookmark(mark.name) == mark.node
                    ):
                        yield Finding(
                            'bookmark',
                            _(b"bookmark '%s' points to nothing") % shown,
                            False,
                            name=mark.name,
                        )
                elif mark.push is None and (
                    mark.name not in noted or noted[mark.name].node != mark.node
                ):
                    if self._wish.repair:
                        marks.note(self._store, self._index, mark.name)
                    yield Finding(
                        'note',
                        _(b"bookmark '%s' has no note that is up to date")
                        % shown,
                        False,
                        name=mark.name,
                        repaired=self._wish.repair,
                    )

    def _checkstrays(self) -> Iterator[Finding]:
        for stray in self._store.strays(_YOUNG):
            yield Finding(
                'stray',
                _(b"'%s' is left of a push that never ended")
                % tolocal(stray.name),
                False,
                name=stray.name,
            )


class _Many:
    """Findings of which one is made."""

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.count = 0
        self.some: list[int] = []

    def add(self, id: int) -> None:
        self.count += 1
        if len(self.some) < MOST:
            self.some.append(id)

    def finding(self, repaired: bool) -> Finding:
        return Finding(
            'note',
            self.message % counted(self.count, 'push').encode(),
            False,
            tuple(self.some),
            repaired=repaired,
        )


def _essence(push: model.Push) -> tuple[Any, ...]:
    """Return what an index must know of a push for as long as it is there.

    An index made anew may have another order of what a bundle rests on, and
    of its heads.
    """
    return (
        push.time,
        push.user,
        push.size,
        frozenset(push.heads),
        push.bookmarks,
        push.pushvars,
        push.private,
        frozenset(push.rests),
        frozenset(push.below),
    )
