"""Which pushes views keep from being removed, and which views go, with what
they were earlier. There is no Mercurial in here.

The notes of a view go before the view: who is killed in between leaves it in
the index, for the next run.
"""

from __future__ import annotations

from collections.abc import Iterator

from .. import errors, model
from ..declaring import provides
from ..stores import viewnotes
from ..viewmodel import ViewSummary
from . import walk
from .run import Gone, Run


class ViewRetention:
    """Chooses views, and removes them."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._isable = provides(run.index, 'IViews')

    def holds(self, push: model.Push) -> bool:
        """Whether a view needs what is in the bundle of a push."""
        return self._isable and bool(
            self._run.index.viewed(push.nodes, self._run.wish.viewsbefore)
        )

    def expire(self) -> Iterator[Gone]:
        """Remove the views that were dropped, or are too old, and forget what
        others were too long ago."""
        if not self._isable:
            return
        before = self._run.wish.viewsbefore
        gone = set()
        for view in walk.views(self._run.index):
            isold = before is not None and view.time < before
            if view.dropped or isold:
                gone.add(view.uid)
                yield from self._remove(view, 'age' if isold else 'dropped')
        if before is not None:
            for uid, version in self._run.index.oldviews(before).items():
                if uid not in gone:
                    yield from self._forget(uid, version)

    def _remove(self, view: ViewSummary, reason: str) -> Iterator[Gone]:
        index, store = self._run.index, self._run.store
        if not self._run.wish.dry:
            noted = [change.version for change in index.viewlog(view.uid)]
            viewnotes.delete(store, view.uid, noted)
            try:
                index.removeview(view.uid, view.version)
            except errors.ViewMoved:
                # somebody needs it after all
                viewnotes.keepall(store, index, view.uid, noted)
                return
        yield Gone('view', reason, name=f'{view.owner}/{view.name}')

    def unseen(self) -> Iterator[list[model.Push]]:
        """Yield pages of the pushes that are private to a view which is gone,
        so that nobody sees them."""
        index, store = self._run.index, self._run.store
        if not provides(index, 'IPrivacy'):
            return
        first = 1
        while True:
            page = index.unseen(first, walk.PAGE)
            # a view that is lost may come back
            found = [
                push
                for push in page
                if not push.pinned
                and viewnotes.versionsof(store, push.private) is None
            ]
            if found:
                yield found
            if len(page) < walk.PAGE:
                return
            first = page[-1].id + 1

    def _forget(self, uid: str, version: int) -> Iterator[Gone]:
        index, store = self._run.index, self._run.store
        older = index.viewlog(uid, before=version)
        view = index.viewat(uid, version)
        if view is None:
            return
        if not self._run.wish.dry:
            numbers = [change.version for change in older]
            viewnotes.squash(store, view, numbers)
            index.forgetviews(uid, version)
        for change in reversed(older):
            name = f'{change.owner}/{change.name}@{change.version}'
            yield Gone('version', 'age', name=name)
