"""The views of the index that is seen to be right."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Optional

from .. import errors, viewmodel
from ..viewmodel import View, ViewChange, ViewCounts, ViewSummary


class ReferenceViews:
    """The contract of ``IViews``, in the memory of one thread: each version is
    kept whole."""

    def __init__(self) -> None:
        #: those that are not forgotten, in ascending order, the last is now
        self._versions: dict[str, list[View]] = {}

    def putview(self, view: View, expected: int) -> View:
        view.check()
        known = self.viewbyid(view.uid)
        if known is not None:
            if known.owner != view.owner:
                raise ValueError('a view keeps its owner')
            if known.private != view.private:
                raise ValueError('a view stays private, or not')
            if known.what == view.what:
                return known
        if expected != (known.version if known else 0):
            raise errors.ViewMoved(known)
        if view.uid and known is None:
            raise errors.ViewMoved(None)
        self._checkname(view)
        made = view._replace(
            uid=view.uid or uuid.uuid4().hex, version=expected + 1
        )
        self._versions.setdefault(made.uid, []).append(made)
        return made

    def _checkname(self, view: View) -> None:
        other = self.view(view.owner, view.name)
        if other is not None and other.uid != view.uid:
            raise errors.ViewExists(other)

    @property
    def _now(self) -> list[View]:
        current = [versions[-1] for versions in self._versions.values()]
        return sorted(current, key=lambda view: (view.owner, view.name))

    def view(self, owner: str, name: str) -> Optional[View]:
        found = [v for v in self._now if (v.owner, v.name) == (owner, name)]
        return found[0] if found else None

    def viewbyid(self, uid: str) -> Optional[View]:
        return self._versions[uid][-1] if uid in self._versions else None

    def viewat(self, uid: str, version: int) -> Optional[View]:
        for view in self._versions.get(uid, ()):
            if view.version == version:
                return view._replace(state=self._versions[uid][-1].state)
        return None

    def views(
        self,
        owner: Optional[str] = None,
        prefix: str = '',
        after: Optional[tuple[str, str]] = None,
        limit: Optional[int] = None,
    ) -> list[ViewSummary]:
        return [
            viewmodel.summary(view)
            for view in self._now
            if (owner is None or view.owner == owner)
            and view.name.startswith(prefix)
            and (after is None or (view.owner, view.name) > after)
        ][:limit]

    def viewlog(
        self,
        uid: str,
        before: Optional[int] = None,
        limit: Optional[int] = None,
    ) -> list[ViewChange]:
        versions = self._versions.get(uid, [])
        changes = [
            viewmodel.change(old, new)
            for old, new in zip([None, *versions], versions)
            if before is None or new.version < before
        ]
        return changes[::-1][:limit]

    def viewed(
        self, nodes: Iterable[bytes], since: Optional[float] = None
    ) -> set[bytes]:
        return set(nodes).intersection(
            node
            for view in self._now
            if not view.dropped and (since is None or view.time >= since)
            for node in view.nodes
        )

    def countviews(self) -> ViewCounts:
        kept = [view for view in self._now if not view.dropped]
        backups = [v for v in kept if v.name.startswith(viewmodel.BACKUP)]
        return ViewCounts(
            len(kept) - len(backups), len(backups), len(self._now) - len(kept)
        )

    def oldviews(self, before: float) -> dict[str, int]:
        found = {}
        for uid, versions in self._versions.items():
            old = [view.version for view in versions if view.time < before]
            if len(old) > 1:
                found[uid] = old[-1]
        return found

    def forgetviews(self, uid: str, before: int) -> None:
        versions = self._versions.get(uid, [])
        while len(versions) > 1 and versions[0].version < before:
            del versions[0]

    def removeview(self, uid: str, version: Optional[int] = None) -> None:
        found = self.viewbyid(uid)
        if found and version not in (None, found.version):
            raise errors.ViewMoved(found)
        self._versions.pop(uid, None)

    def restoreview(self, view: View, log: Sequence[ViewChange]) -> None:
        self._checkname(view)
        versions: list[View] = []
        for change in reversed(log):
            before = versions[-1] if versions else None
            made = viewmodel.after(before, change)
            versions.append(made._replace(uid=view.uid, state=view.state))
        assert versions[-1] == view
        self._versions[view.uid] = versions
