"""What one run removes, and knows of what it removes."""

from __future__ import annotations

from typing import Any, Optional

from .. import model
from ..records import NamedTuple
from . import walk


class Gone(NamedTuple):
    """Something that was removed, or would be."""

    #: ``push``, ``bundle``, ``bookmark``, ``note``, ``stray``, ``blob``,
    #: ``view`` or ``version``
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
    #: views that were not changed since, and what others were by then; None
    #: for none
    viewsbefore: Optional[float] = None
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


class Run:
    """What it works on, and what is known while it is at it."""

    def __init__(self, store: Any, index: Any, wish: Wish) -> None:
        self.store = store
        self.index = index
        self.wish = wish
        #: what a dry run has told already
        self.told = walk.Seen()
        #: the bundles that nobody needs any more, in a dry run those that may
        #: be
        self.gone: set[str] = set()
        self.begin()

    def begin(self) -> None:
        """Begin, perhaps once more: what must stay is not known yet."""
        #: how many pushes are lost
        self.lost = 0
        #: the bundles of these, and those that they rest on
        self.protected: set[str] = set()
        #: the lists of what was about to go
        self.lists: list[str] = []
        #: the notes of each bookmark, each with its id: those without one are
        #: the oldest
        self.marknotes: dict[str, list[tuple[int, str]]] = {}
        #: whether there may be notes of bundles that nobody needs any more
        self.leftovers = False
