"""The notes of bookmarks that are where they are without a push.

A note tells which was the highest push id when the bookmark came there. Of a
push with a higher one that moved the bookmark, the note of the push counts.
There is no Mercurial in here.
"""

from __future__ import annotations

from typing import Any

from . import records

# Who moves a bookmark again and again must be faster than this, each time.
_ATTEMPTS = 5


def note(store: Any, index: Any, name: str) -> None:
    """Write down where a bookmark is now; raises ``BundleStoreError``.

    Others may move it and write it down, too. Who comes last has seen what
    the others did.
    """
    for _attempt in range(_ATTEMPTS):
        # In this order: of a push between the two, its own note counts.
        after = index.lastid()
        node = index.bookmark(name)
        records.writebookmark(store, records.BookmarkRecord(name, node, after))
        if index.bookmark(name) == node:
            return


def notegone(store: Any, index: Any, name: str) -> None:
    """Write down that a bookmark is not there, if so."""
    if index.bookmark(name) is None:
        note(store, index, name)
