"""Goes through all that a store and an index hold, again and again, and has
what differs copied, until little does. There is no Mercurial in here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Optional

from .. import errors, model
from ..records import NamedTuple
from . import walk
from .indexcopy import IndexCopy
from .storecopy import StoreCopy

_MASK = (1 << 64) - 1


class Counts(NamedTuple):
    """What one pass changed in the target."""

    pushes: int = 0
    bundles: int = 0
    #: bytes of these
    size: int = 0
    notes: int = 0
    bookmarks: int = 0
    views: int = 0
    #: pushes and bundles that the source does not have any more
    removed: int = 0

    @property
    def changes(self) -> int:
        return (
            self.pushes
            + self.bundles
            + self.notes
            + self.bookmarks
            + self.views
            + self.removed
        )


class Problem(NamedTuple):
    """What could not be copied."""

    #: ``missing`` or ``corrupt`` (bundle), or ``different``
    kind: str
    message: str
    key: Optional[str] = None
    pushes: tuple[int, ...] = ()


class Passes:
    """Copies of ``store`` and ``index`` go to ``newstore`` and ``newindex``,
    of which one may be None.

    ``tell`` is called now and then with what is counted, how much of that is
    done, and how much there is.
    """

    def __init__(
        self,
        store: Any,
        index: Any,
        newstore: Any,
        newindex: Any,
        tell: Callable[[str, int, int], None],
        dry: bool = False,
    ) -> None:
        self._index = index
        self._tell = tell
        self._stores = newstore and StoreCopy(store, newstore, dry)
        self._indexes = newindex and IndexCopy(store, index, newindex, dry)
        # what of each push is known to be in the target
        self._prints = walk.Prints()
        #: what the last pass found that could not be copied
        self.problems: list[Problem] = []

    def run(self) -> Counts:
        """Make one pass; raises ``BundleStoreError``."""
        self.problems = []
        if self._indexes:
            self._indexes.begin()
        if self._stores:
            total = self._index.statistics().bundles
            for number, _copied in enumerate(self._stores.begin(), 1):
                self._tell('bundles', number, total)
        seen = walk.Seen()
        lost: dict[str, list[int]] = {}
        self._pushes(seen, lost)
        if self._indexes:
            self._indexes.end()
            for name in self._indexes.deliveries():
                message = f'how far web hook {name} was told cannot be copied'
                self._problem('different', message, None, [])
            for name in self._indexes.copyviews():
                message = f'view {name} cannot be copied'
                self._problem('different', message, None, [])
        if self._stores:
            self._stores.end(seen)
        for key, ids in lost.items():
            why = self._stores.bad[key]
            kind = 'corrupt'
            if isinstance(why, errors.UnknownKey):
                kind = 'missing'
            self._problem(kind, f'bundle {key} is {kind}', key, ids)
        return self._counts()

    def _pushes(self, seen: walk.Seen, lost: dict[str, list[int]]) -> None:
        """Copy all pushes; see what there is, and what bundles are not."""
        total = self._index.lastid()
        first = 1
        for page in walk.pushes(self._index):
            prints = {push.id: hash(push) & _MASK or 1 for push in page}
            fresh = [
                push
                for push in page
                if self._prints.get(push.id) != prints[push.id]
            ]
            if self._indexes:
                for push in self._indexes.page(first, page, fresh):
                    del prints[push.id]
                    if walk.push(self._index, push.id) == push:
                        message = f'push {push.id} cannot be copied'
                        self._problem('different', message, None, [push.id])
                for push in self._indexes.outcomes(page):
                    message = f'statuses of push {push.id} cannot be copied'
                    self._problem('different', message, None, [push.id])
            if self._stores:
                self._stores.page(self._index, page, fresh)
                for push in page:
                    for key in model.chain([push]):
                        if not self._stores.need(key) and self._is(push.id):
                            lost.setdefault(key, []).append(push.id)
            for push in page:
                seen.add(push.id, push.key)
                self._prints.set(push.id, prints.get(push.id, 0))
            first = page[-1].id + 1
            self._tell('pushes', first - 1, max(total, first - 1))
        if self._indexes:
            self._indexes.beyond(first, seen)

    def _is(self, id: int) -> bool:
        return walk.push(self._index, id) is not None

    def _problem(
        self, kind: str, message: str, key: Optional[str], ids: list[int]
    ) -> None:
        self.problems.append(Problem(kind, message, key, tuple(ids)))

    def _counts(self) -> Counts:
        index, store = self._indexes, self._stores
        return Counts(
            pushes=index.pushes if index else 0,
            bundles=store.bundles if store else 0,
            size=store.size if store else 0,
            notes=store.notes if store else 0,
            bookmarks=index.bookmarks if index else 0,
            views=index.views if index else 0,
            removed=(index.removed if index else 0)
            + (store.removed if store else 0),
        )

    def copyrates(self, since: float) -> None:
        """Copy when users moved bookmarks after ``since``."""
        if self._indexes:
            self._indexes.copyrates(since)

    def differences(self) -> Iterator[str]:
        """Yield in what source and target differ as a whole."""
        if self._indexes:
            yield from self._indexes.differences()
