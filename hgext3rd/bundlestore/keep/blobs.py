"""Removes what lfs and largefiles left behind. There is no Mercurial in here.

A blob stays as long as a stored bundle names it, and one that nobody has asked
for lately goes if none does: a client uploads it before it pushes. What a
bundle names is read out of the bundle, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional

from .. import errors
from . import walk
from .run import Gone, Run

#: (kind, name)
Blob = tuple[str, str]


class Blobs:
    """The blobs of a bundle store.

    ``places`` are where they are (``blobs.place.Place``), ``remembered`` what
    is known of bundles (``blobs.named.Remembered``). ``read`` returns what a
    bundle names, given its key, None if it cannot be read.
    """

    def __init__(
        self,
        places: Iterable[Any],
        remembered: Any,
        read: Callable[[str], Optional[frozenset[Blob]]],
    ) -> None:
        self._places = {place.kind: place for place in places}
        self._remembered = remembered
        self._read = read
        #: the bundle that could not be read, so that nothing was removed
        self.unread: Optional[str] = None

    def drop(self, run: Run, now: float) -> Iterator[Gone]:
        """Delete the blobs that no bundle names; raises
        ``BundleStoreError``."""
        before = now - run.wish.grace
        candidates = {
            (kind, found.name): found.size
            for kind, place in self._places.items()
            for found in place.blobs()
            if found.time < before
        }
        if candidates:
            self._spare(run, candidates)
        for (kind, name), size in candidates.items():
            if run.wish.dry or self._places[kind].remove(name, before):
                yield Gone('blob', 'unnamed', size=size, name=f'{kind}/{name}')
        for kind, place in self._places.items():
            for stray in place.strays():
                if stray.time < before:
                    if not run.wish.dry:
                        place.removestray(stray.name)
                    name = f'{kind}/{stray.name}'
                    yield Gone('stray', 'leftover', size=stray.size, name=name)
        if not run.wish.dry:
            for key in self._remembered.bundles():
                if not walk.isthere(run.store, key):
                    self._remembered.forget(key)

    def _spare(self, run: Run, candidates: dict[Blob, int]) -> None:
        """Take out what a bundle names."""
        keys: Iterator[str] = run.store.keys()
        for key in keys:
            if run.wish.dry and key in run.gone:
                continue
            for blob in self._named(run, key):
                candidates.pop(blob, None)
            if self.unread is not None:
                # it may name any of them
                candidates.clear()
            if not candidates:
                return

    def _named(self, run: Run, key: str) -> frozenset[Blob]:
        found: Optional[frozenset[Blob]] = self._remembered.get(key)
        if found is not None:
            return found
        found = self._read(key)
        if found is None:
            try:
                run.store.size(key)
            except errors.UnknownKey:
                # another run removed it
                return frozenset()
            self.unread = key
            return frozenset()
        if not run.wish.dry:
            self._remembered.put(key, found)
        return found
