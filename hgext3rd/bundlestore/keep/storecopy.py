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
from ..declaring import provides
from ..records import NamedTuple
from ..stores import notes
from . import walk
from .atonce import atonce

_BLOCK = 1 << 18

#: what is about the move itself
_OURS = frozenset((moving.NAME, moving.COPY))


#: requests to another machine that are under way at a time
_THREADS = 8


class StoreCopy:
    """Copies ``source`` into ``target``. With ``dry`` nothing is changed, but
    counted."""

    def __init__(self, source: Any, target: Any, dry: bool = False) -> None:
        self._source = source
        self._target = target
        self._dry = dry
        islocal = all(provides(one, 'ILocalPath') for one in (source, target))
        self._threads = 1 if islocal else _THREADS
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

        def missing() -> Iterator[str]:
            for key in self._keys(self._source):
                digest = bytes.fromhex(key)
                needless.discard(digest)
                if digest not in have:
                    yield key

        have = self._have
        for done in atonce(self._transfer, missing(), self._threads):
            self._copied(done)
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
            done = self._transfer(key)
            self._copied(done)
            if isinstance(done.trouble, errors.UnknownKey):
                self.bad[key] = done.trouble
        return key not in self.bad

    def _transfer(self, key: str) -> _Done:
        """Copy a bundle; other threads may be copying others."""
        try:
            if self._dry:
                return _Done(key, self._source.size(key))
            with (
                self._source.open(key) as reader,
                self._target.stage(_blocks(reader)) as staged,
            ):
                staged.publish()
                return _Done(key, staged.size)
        except (errors.CorruptBundle, errors.UnknownKey) as exc:
            return _Done(key, 0, exc)

    def _copied(self, done: _Done) -> None:
        assert self._have is not None
        if done.trouble is None:
            self._have.add(bytes.fromhex(done.key))
            self.bundles += 1
            self.size += done.size
        elif isinstance(done.trouble, errors.CorruptBundle):
            self.bad[done.key] = done.trouble

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
        self,
        index: Any,
        page: Iterable[model.Push],
        fresh: Iterable[model.Push],
    ) -> None:
        """Copy the notes of pushes of ``index``. Those that are ``fresh`` are
        not known to be in the target as they are in that."""
        ids = {push.id for push in fresh}

        def put(push: model.Push) -> bool:
            isthere = self._noted.has(push.id, push.key)
            if isthere and push.id not in ids:
                return False
            name = notes.pushname(push.key, push.id)
            data = notes.encode(push, held=notes.held(index, push))
            return self._put(name, data, isthere)

        self.notes += sum(atonce(put, page, self._threads))

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
                self.notes += self._put(name, self._source.note(name), isthere)
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

    def _put(self, name: str, data: bytes, isthere: bool) -> bool:
        """Have the target keep a note; return whether it did not."""
        if isthere:
            with contextlib.suppress(errors.UnknownNote):
                if self._target.note(name) == data:
                    return False
        if not self._dry:
            self._target.putnote(name, data)
        return True


class _Done(NamedTuple):
    """What became of a bundle."""

    key: str
    size: int
    trouble: Optional[errors.BundleStoreError] = None


def _blocks(reader: Any) -> Iterator[bytes]:
    while True:
        block = reader.read(_BLOCK)
        if not block:
            return
        yield block
