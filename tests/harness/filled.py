"""Stores and indexes that are filled without a push, and what is in them."""

from __future__ import annotations

import os
import shutil
import struct
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

from mercurial import ui as uimod

from hgext3rd.bundlestore import model
from hgext3rd.bundlestore.bundle import container
from hgext3rd.bundlestore.bundle.changegroup import Entry
from hgext3rd.bundlestore.declaring import Interfaces
from hgext3rd.bundlestore.indexes.sqlite.file import FileIndex
from hgext3rd.bundlestore.keep import audit, collect, findings, run
from hgext3rd.bundlestore.stores import (
    deliverynotes,
    marks,
    notes,
    statusnotes,
    viewnotes,
)
from hgext3rd.bundlestore.stores.file import FileStore
from hgext3rd.bundlestore.viewmodel import View, ViewChange

from .changegroups import NULL, Revision, Stream, encode, node

UI: Any = uimod.ui()
#: when the first push was
BEGIN = 1.7e9
DAY = 86400.0
#: a base repository that has nothing
EMPTY = types.SimpleNamespace(has=lambda node: False, lags=False)
#: of the changesets that a push may rest on
_NUMBERS = {node(number): number for number in range(1000)}


class State(NamedTuple):
    """All that a user or an administrator can see."""

    pushes: tuple[model.Push, ...]
    bookmarks: tuple[model.Bookmark, ...]
    #: the recorded bundles, and those that are there
    recorded: tuple[str, ...]
    stored: tuple[str, ...]
    lastid: int
    outcomes: dict[int, statusnotes.Outcome]
    #: the views, each with its log
    views: tuple[tuple[View, tuple[ViewChange, ...]], ...]


class Filled:
    """A store and an index in a folder, with pushes of made-up changesets.

    They are bundles as far as housekeeping looks into them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = FileStore(os.fsencode(folder / 'bundles'))
        self.index = FileIndex(os.fsencode(folder / 'index.sqlite3'))

    def copy(self, folder: Path) -> Filled:
        self.index.close()
        shutil.copytree(self.folder, folder)
        return Filled(folder)

    def bundle(self, numbers: Sequence[int], base: int = 0) -> str:
        """Store the changesets of these numbers, each on top of the one
        before, and return the key."""
        parents = [base, *numbers[:-1]]
        group = tuple(
            Revision(
                Entry(node(n), node(p), NULL, NULL, node(n), 0),
                struct.pack('>lll', 0, 0, 4) + b'text',
            )
            for n, p in zip(numbers, parents)
        )
        data = iter([encode(Stream(group), b'02')])
        part = container.changegrouppart(data, b'02', False)
        return self.store.put(container.container(UI, [part]))

    def push(
        self,
        numbers: Sequence[int],
        user: str = 'alice',
        day: float = 0,
        rests: Sequence[model.Push] = (),
        bookmarks: Sequence[tuple[str, Optional[int]]] = (),
        note: bool = True,
        pushvars: Sequence[tuple[str, str]] = (),
    ) -> model.Push:
        """Make a push of these changesets on top of what it rests on."""
        base = _NUMBERS[rests[-1].heads[-1].node] if rests else 0
        key = self.bundle(numbers, base)
        pushed: model.Push = self.index.record(
            model.NewPush(
                BEGIN + day * DAY,
                user,
                key,
                self.store.size(key),
                tuple(map(node, numbers)),
                (model.Head(node(numbers[-1]), f'title {numbers[-1]}'),),
                tuple(
                    model.BookmarkMove(
                        name, None if n is None else node(n), force=True
                    )
                    for name, n in bookmarks
                ),
                f'text {numbers[-1]}',
                tuple(model.chain(rests)),
                tuple(n for push in rests for n in push.nodes),
                tuple(pushvars),
            )
        )
        if note:
            notes.write(self.store, self.index, pushed)
        return pushed

    def begin(self) -> model.Push:
        """Push what many tests begin with: four pushes of two users, some of
        which rest on others; return the first."""
        one = self.push([1, 2], bookmarks=[('scratch/a', 1)])
        two = self.push([3], day=1, rests=[one], bookmarks=[('scratch/a', 3)])
        self.push([4], day=5, rests=[one, two])
        self.push(
            [5],
            'bob',
            day=3,
            bookmarks=[('scratch/b', 5)],
            pushvars=[('TRY', 'linux'), ('ONLY', '')],
        )
        return one

    def pin(self, id: int) -> None:
        self.index.pin(id)
        notes.keep(self.store, self.index, self.index.push(id))

    def movebookmark(self, name: str, number: Optional[int]) -> None:
        new = None if number is None else node(number)
        move = model.BookmarkMove(name, new, force=True)
        moved = self.index.movebookmarks([move], BEGIN, 'alice')
        marks.write(self.store, self.index, moved, BEGIN, 'alice')

    def setstatus(self, id: int, context: str, state: str = 'success') -> None:
        status = model.Status(context, state, '', f'{context} of {id}', BEGIN)
        self.index.setstatus(id, status)
        self._keepoutcome(id)

    def setlanding(self, id: int, number: int) -> None:
        landing = model.Landing(node(number), node(99), BEGIN, 'bob')
        self.index.setlanding(id, landing)
        self._keepoutcome(id)

    def _keepoutcome(self, id: int) -> None:
        key = self.index.push(id).key
        statusnotes.keep(self.store, self.index, notes.PushName(key, id))

    def tell(self, hook: str, told: int) -> None:
        """Say that a web hook was told of the pushes up to that one."""
        known = self.index.deliveries().get(hook)
        edition = known.edition if known else 0
        self.index.setdelivery(model.Delivery(hook, told, edition=edition))
        deliverynotes.write(self.store, hook, told)

    def putview(
        self,
        called: str,
        heads: Sequence[int],
        owner: str = 'alice',
        day: float = 0,
        **more: Any,
    ) -> View:
        """Have the view that is ``called`` so show these changesets."""
        known = self.index.view(owner, called)
        new = (known or View(owner, called))._replace(
            heads=tuple(sorted(map(node, heads))),
            time=BEGIN + day * DAY,
            **more,
        )
        made = self.index.putview(new, known.version if known else 0)
        viewnotes.keep(self.store, self.index, known, made)
        return made

    def views(self) -> list[View]:
        found = [self.index.viewbyid(v.uid) for v in self.index.views()]
        return [view for view in found if view is not None]

    def state(self) -> State:
        pushes = self.index.pushes()
        stored = sorted(self.store.keys())
        marks = self.index.bookmarks()
        recorded = sorted(
            {*self.index.bundles(stored), *(push.key for push in pushes)}
        )
        return State(
            tuple(pushes),
            tuple(marks),
            tuple(recorded),
            tuple(stored),
            self.index.lastid(),
            statusnotes.outcomes(self.index, [push.id for push in pushes]),
            tuple(
                (view, tuple(self.index.viewlog(view.uid)))
                for view in self.views()
            ),
        )

    def ids(self) -> list[int]:
        return [push.id for push in self.index.pushes()]

    # -- housekeeping

    def gc(
        self,
        wrap: Callable[[Any], Any] = lambda backend: backend,
        day: float = 0,
        **wish: Any,
    ) -> list[tuple[str, str]]:
        """Collect, as though that day was today; return the kind and reason
        of what went."""
        now = BEGIN + day * DAY
        for name in ('before', 'viewsbefore'):
            if name in wish:
                wish[name] = BEGIN + wish[name] * DAY
        collector = collect.Collector(
            wrap(self.store),
            wrap(self.index),
            EMPTY,
            now,
            run.Wish(**wish),
        )
        return [(gone.kind, gone.reason) for gone in collector.run()]

    def remove(
        self,
        *ids: int,
        wrap: Callable[[Any], Any] = lambda backend: backend,
        thorough: bool = True,
        **wish: Any,
    ) -> list[tuple[str, str]]:
        """Remove pushes; return the kind and reason of what went."""
        collector = collect.Collector(
            wrap(self.store),
            wrap(self.index),
            EMPTY,
            BEGIN,
            run.Wish(**wish),
        )
        pushes = [self.index.push(id) for id in ids]
        return [
            (gone.kind, gone.reason)
            for gone in collector.remove(pushes, thorough)
        ]

    def verify(
        self,
        wrap: Callable[[Any], Any] = lambda backend: backend,
        **wish: Any,
    ) -> list[tuple[str, bool]]:
        """Check; return the kind of what was found and whether it was
        repaired."""
        changelog = types.SimpleNamespace(hasnode=lambda node: False)
        repo: Any = types.SimpleNamespace(
            ui=UI, unfiltered=lambda: types.SimpleNamespace(changelog=changelog)
        )
        server = types.SimpleNamespace(
            store=wrap(self.store),
            index=wrap(self.index),
            wholeindex=wrap(self.index),
            settings=types.SimpleNamespace(onmissingbase=None),
        )
        now = BEGIN + 1000 * DAY
        found = audit.Audit(repo, server, now, findings.Wish(**wish)).run()
        return [(finding.kind, finding.repaired) for finding in found]

    def loseindex(self) -> None:
        self.index.close()
        for path in self.folder.glob('index.sqlite3*'):
            path.unlink()


class Killed(BaseException):
    """Stands for the end of a process."""


class Mortal:
    """Lets a process die before or after an operation that changes something:
    one number, from 1 on, for each such moment."""

    WRITES = frozenset(
        (
            *('putnote', 'deletenote', 'delete', 'deletestray'),
            *('record', 'movebookmarks', 'remove', 'discard', 'pin'),
            *('restore', 'restoremove', 'reserve', 'setaside'),
            *('setstatus', 'setlanding', 'setdelivery'),
            *('putview', 'forgetviews', 'removeview', 'restoreview'),
        )
    )

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, backend: Any) -> Any:
        kind = _DyingIndex if hasattr(backend, 'setaside') else _Dying
        return kind(self, backend)


class _Dying:
    def __init__(self, fate: Mortal, backend: Any) -> None:
        self._fate = fate
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._backend, name)
        if name not in Mortal.WRITES:
            return method

        def call(*args: Any) -> Any:
            fate = self._fate
            fate.count -= 1
            if fate.count == 0:
                raise Killed
            result = method(*args)
            fate.count -= 1
            if fate.count == 0:
                raise Killed
            return result

        return call


class _DyingIndex(_Dying):
    __implemented__ = Interfaces(
        *('IBundleIndex', 'ISetAside', 'IStatuses', 'ILandings'),
        *('IDeliveries', 'IViews'),
    )
