"""Compares the notes of views with the index, and has either know what the
other does.

A version is in the index before it has a note, and its notes go before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

from mercurial.i18n import _

from .. import errors
from ..declaring import provides
from ..server import tolocal
from ..stores import viewnotes
from ..stores.viewnotes import Noted
from ..viewmodel import View
from . import walk
from .base import Base
from .findings import Finding

#: a version that is younger may still get its note, in seconds
_YOUNG = 60.0


class ViewCheck:
    """One check, begun at the time ``now``; ``base`` is the base
    repository."""

    def __init__(
        self, store: Any, index: Any, base: Base, now: float, repair: bool
    ) -> None:
        self._store = store
        self._index = index
        self._base = base
        self._now = now
        self._repair = repair

    def run(self) -> Iterator[Finding]:
        """Yield what is found."""
        if not provides(self._index, 'IViews'):
            return
        noted = viewnotes.versions(self._store)
        for view in walk.views(self._index):
            yield from self._check(view.uid, noted.pop(view.uid, []))
        lost = []
        for uid, numbers in noted.items():
            # or one that came meanwhile, or goes
            if self._index.viewbyid(uid) is None:
                found = viewnotes.read(self._store, uid, numbers)
                if found is not None:
                    lost.append(found)
                elif viewnotes.versionsof(self._store, uid) is not None:
                    yield self._leftover(uid, numbers)
        # where two have the same name, the one that was used last has it
        for found in sorted(lost, key=lambda one: one.view.time, reverse=True):
            yield self._lost(found)

    # -- those that are in the index

    def _check(self, uid: str, numbers: list[int]) -> Iterator[Finding]:
        noted = viewnotes.read(self._store, uid, numbers)
        # after its notes, as it is changed before them
        view = self._index.viewbyid(uid)
        if view is not None and not self._agree(view, noted):
            # older versions may go at this moment
            numbers = viewnotes.versionsof(self._store, uid) or []
            noted = viewnotes.read(self._store, uid, numbers)
            view = self._index.viewbyid(uid)
        if view is None:
            return
        if noted is not None and noted.view.version > view.version:
            yield self._behind(noted)
            view = noted.view
        elif not self._agree(view, noted):
            if self._repair:
                viewnotes.keepall(self._store, self._index, uid, numbers)
            elif view.time > self._now - _YOUNG:
                return
            message = _(b"view '%s' has no notes that are up to date")
            yield _finding('note', view, message, False, self._repair)
        if not view.dropped:
            yield from self._checknodes(view)

    def _agree(self, view: View, noted: Optional[Noted]) -> bool:
        """Whether notes tell what the index does, of the versions that both
        know."""
        if noted is None or not noted.iswhole or noted.view != view:
            return False
        log = self._index.viewlog(view.uid)
        if len(log) == len(noted.log):
            return bool(log == noted.log)
        # without the oldest, which comes from nothing
        both = min(len(log), len(noted.log)) - 1
        return bool(log and log[:both] == noted.log[:both])

    def _checknodes(self, view: View) -> Iterator[Finding]:
        located = self._index.locate(view.nodes)
        isthere = all(
            node in located or self._base.has(node) for node in view.nodes
        )
        if not isthere and not self._base.lags:
            message = _(b"view '%s' has heads or bookmarks that are nowhere")
            yield _finding('view', view, message, False)

    def _behind(self, noted: Noted) -> Finding:
        """The index has lost a version."""
        if self._repair:
            self._index.restoreview(noted.view, noted.log)
        message = _(b"view '%s': the index lags behind its notes")
        return _finding('view', noted.view, message, True, self._repair)

    # -- those of which there are only notes

    def _lost(self, noted: Noted) -> Finding:
        view = noted.view
        message = _(b"view '%s': it is lost, only its notes are left")
        if self._repair:
            try:
                self._index.restoreview(view, noted.log)
            except errors.ViewExists:
                message = _(b"view '%s': it is lost, and another has its name")
                return _finding('view', view, message, True)
            if not noted.iswhole:
                numbers = [change.version for change in noted.log]
                viewnotes.keepall(self._store, self._index, view.uid, numbers)
        return _finding('view', view, message, True, self._repair)

    def _leftover(self, uid: str, numbers: list[int]) -> Finding:
        if self._repair:
            viewnotes.delete(self._store, uid, numbers)
        message = _(b'there are notes of a view %s, but not how it began')
        return Finding(
            'leftover',
            message % uid.encode(),
            False,
            name=uid,
            repaired=self._repair,
        )


def salvage(store: Any, index: Any) -> None:
    """Write the notes that are missing of what is in the index."""
    if provides(index, 'IViews'):
        noted = viewnotes.versions(store)
        for view in walk.views(index):
            numbers = noted.get(view.uid, [])
            if view.version not in numbers:
                viewnotes.keepall(store, index, view.uid, numbers)


def _finding(
    kind: str,
    view: View,
    message: bytes,
    isproblem: bool,
    repaired: bool = False,
) -> Finding:
    name = f'{view.owner}/{view.name}'
    return Finding(
        kind, message % tolocal(name), isproblem, name=name, repaired=repaired
    )
