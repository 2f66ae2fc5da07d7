"""Looks for pushes of which only a note is left, and has them restored.

The index knows a push before it has a note, and the note is marked before the
index forgets the push.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Optional

from mercurial.i18n import _

from .. import errors
from ..batches import batches
from ..server import tolocal
from ..stores import notes
from . import walk
from .findings import Finding
from .repair import Repairer


class LostCheck:
    """One check; ``seen`` are the pushes that are in the index."""

    def __init__(
        self,
        repo,
        store: Any,
        index: Any,
        seen: walk.Seen,
        repairer: Repairer,
        repair: bool,
    ) -> None:
        self._makeprogress = repo.ui.makeprogress
        self._store = store
        self._index = index
        self._seen = seen
        self._repairer = repairer
        self._repair = repair
        # the highest id of a move without a push that has a note
        self._lastmove = 0
        #: bundles that are not recorded, but of which there are notes
        self.noted: set[str] = set()
        #: how many pushes were restored
        self.restored = 0

    def run(self) -> Iterator[Finding]:
        """Yield what is found; raises ``BundleStoreError``."""
        lost: list[notes.PushName] = []
        removed: list[notes.PushName] = []
        for batch in batches(self._pushnotes(), walk.BATCH):
            recorded = self._index.bundles({name.key for name in batch})
            for name in batch:
                if self._seen.has(name.id, name.key):
                    continue
                finding = self._checknote(name, name.key in recorded)
                if finding is None:
                    continue
                self.noted.add(name.key)
                if finding.isproblem:
                    lost.append(name)
                else:
                    removed.append(name)
                if not self._repair:
                    yield finding
        # whoever moves one now has recorded it before
        movelost = self._lastmove > self._index.lastid()
        if self._repair and (lost or movelost or self._repairer.underway):
            self._repairer.begin()
            yield from self._restore(lost, removed)
            self._repairer.end()
        if movelost:
            yield Finding(
                'index',
                _(
                    b'bundle index: moves of bookmarks are lost, only their '
                    b'notes are left'
                ),
                repaired=self._repair,
            )
        if self._repair:
            for name in removed:
                if not self._index.bundles([name.key]):
                    yield self._leftover(name)

    def _pushnotes(self) -> Iterator[notes.PushName]:
        """Yield whose notes there are, and see what the last move of a
        bookmark without a push is that has one."""
        for name in self._store.notes():
            push = notes.parsename(name)
            mark = notes.parsebookmarkname(name)
            if push is not None:
                yield push
            elif mark is not None:
                self._lastmove = max(self._lastmove, mark.id)

    def _checknote(
        self, name: notes.PushName, isrecorded: bool
    ) -> Optional[Finding]:
        """Look at a note whose push is not in the index, as it seems."""
        push = walk.push(self._index, name.id)
        if push is not None and push.key == name.key:
            return None
        try:
            record = notes.read(self._store, *name)
        except errors.UnknownNote:
            return None
        except errors.CorruptNote:
            message = _(b'push %d: it is lost, and its note is damaged')
        else:
            if record.removed:
                return None if isrecorded else self._leftover(name)
            message = _(b'push %d: it is lost, only its note is left')
            with contextlib.suppress(errors.UnknownKey):
                self._store.size(name.key)
                message = _(b'push %d: it is not in the index yet')
        return Finding(
            'lost', message % name.id, pushes=(name.id,), key=name.key
        )

    def _leftover(self, name: notes.PushName) -> Finding:
        return Finding(
            'leftover',
            _(b'push %d was removed, but not its note') % name.id,
            False,
            pushes=(name.id,),
            key=name.key,
            name=notes.pushname(*name),
        )

    def _restore(
        self,
        lost: list[notes.PushName],
        removed: list[notes.PushName],
    ) -> Iterator[Finding]:
        with self._makeprogress(
            _(b'restoring'), unit=_(b'pushes'), total=len(lost)
        ) as bar:
            for name, why in self._repairer.restore(lost, removed):
                bar.increment()
                self.restored += why is None
                message = _(b'push %d: it was lost') % name.id
                if why is not None:
                    message = _(b'push %d: it is lost, and %s') % (
                        name.id,
                        tolocal(why.message),
                    )
                yield Finding(
                    'lost',
                    message,
                    pushes=(name.id,),
                    key=name.key,
                    repaired=why is None,
                )
