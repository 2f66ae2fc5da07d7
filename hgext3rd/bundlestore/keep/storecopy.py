"""Copies a store, bundles and notes, while others use it, into one that nobody
uses yet.

A bundle is hashed while it is copied. The note of a push that is in the index
is written as the index has it, without a look at the note in the source: that
may be written a moment later. There is no Mercurial in here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, Optional

from .. import errors, model, moving
from ..stores import notes
from . import walk

_BLOCK = 1 << 18

#: what is about the move itself
_OURS = frozenset((moving.NAME, moving.COPY))


class StoreCopy:
    """Copies ``source`` into ``target``. With ``dry`` nothing is changed, but
    counted."""

    def __init__(self, source: Any, target: Any, dry: bool = False) -> None:
        self._source = source
        self._target = target
        self._dry = dry
        # the bundles that are in the target, None before it was looked at
        self._have: Optional[set[bytes]] = None
        # the notes that were in the target when this began
        self._noted = walk.Seen()
        self._othernotes: set[str] = set()
        #: what was changed since ``begin``
        self.bundles = self.size = self.removed = self.notes = 0
        #: bundles that cannot be copied, and why
        self.bad: dict[str, errors.BundleStoreError] = {}

    # -- bundles

    def begin(self) -> Iterator[None]:
        """Begin to go through everything: copy the bundles, and yield after
        each."""
        self.bundles = self.size = self.removed = self.notes = 0
        self.bad = {}
        if self._have is None:
            self._have = set(map(bytes.fromhex, self._keys(self._target)))
        needless = set(self._have)
        for key in self._keys(self._source):
            digest = bytes.fromhex(key)
            needless.discard(digest)
            if digest not in self._have:
                with contextlib.suppress(errors.UnknownKey):
                    self._copy(key)
            yield
        for digest in needless:
            self._drop(digest.hex())
        self._looknotes()

    @staticmethod
    def _keys(store: Any) -> Iterator[str]:
        keys: Iterator[str] = store.keys()
        return keys

    def need(self, key: str) -> bool:
        """Copy a bundle that has come since; return whether it is in the
        target."""
        assert self._have is not None
        if bytes.fromhex(key) not in self._have and key not in self.bad:
            try:
                self._copy(key)
            except errors.UnknownKey as exc:
                self.bad[key] = exc
        return key not in self.bad

    def _copy(self, key: str) -> None:
        assert self._have is not None
        try:
            size = self._source.size(key)
            if not self._dry:
                with (
                    self._source.open(key) as reader,
                    self._target.stage(_blocks(reader)) as staged,
                ):
                    staged.publish()
        except errors.CorruptBundle as exc:
            self.bad[key] = exc
            return
        self._have.add(bytes.fromhex(key))
        self.bundles += 1
        self.size += size

    def _drop(self, key: str) -> None:
        assert self._have is not None
        if walk.isthere(self._source, key):
            return
        self.removed += 1
        self._have.discard(bytes.fromhex(key))
        if not self._dry:
            with contextlib.suppress(errors.UnknownKey):
                self._target.delete(key)

    # -- notes

    def _looknotes(self) -> None:
        self._noted = walk.Seen()
        self._othernotes = set()
        for name in self._target.notes():
            push = notes.parsename(name)
            if push is not None:
                self._noted.add(push.id, push.key)
            else:
                self._othernotes.add(name)

    def page(
        self, page: Iterable[model.Push], fresh: Iterable[model.Push]
    ) -> None:
        """Copy the notes of pushes. Those that are ``fresh`` are not known to
        be in the target as they are in the source's index."""
        ids = {push.id for push in fresh}
        for push in page:
            isthere = self._noted.has(push.id, push.key)
            if push.id in ids or not isthere:
                name = notes.pushname(push.key, push.id)
                self._put(name, notes.encode(notes.Record(push)), isthere)

    def end(self, pushes: walk.Seen) -> None:
        """Copy what other notes there are; ``pushes`` are those of the
        index."""
        others = set()
        removed = walk.Seen()
        for name in self._source.notes():
            push = notes.parsename(name)
            if push is not None and pushes.has(push.id, push.key):
                continue
            if name in _OURS:
                continue
            if push is not None:
                removed.add(push.id, push.key)
                isthere = self._noted.has(push.id, push.key)
            else:
                others.add(name)
                isthere = name in self._othernotes
            with contextlib.suppress(errors.UnknownNote):
                self._put(name, self._source.note(name), isthere)
        for name in self._target.notes():
            push = notes.parsename(name)
            if push is None:
                isneeded = name in others or name in _OURS
            else:
                isneeded = pushes.has(push.id, push.key) or removed.has(
                    push.id, push.key
                )
            if not isneeded:
                self.notes += 1
                if not self._dry:
                    with contextlib.suppress(errors.UnknownNote):
                        self._target.deletenote(name)

    def _put(self, name: str, data: bytes, isthere: bool) -> None:
        if isthere:
            with contextlib.suppress(errors.UnknownNote):
                if self._target.note(name) == data:
                    return
        self.notes += 1
        if not self._dry:
            self._target.putnote(name, data)


def _blocks(reader: Any) -> Iterator[bytes]:
    while True:
        block = reader.read(_BLOCK)
        if not block:
            return
        yield block
