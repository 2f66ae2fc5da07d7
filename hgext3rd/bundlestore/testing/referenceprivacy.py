"""The index that is seen to be right, as somebody sees it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Optional

from .. import errors, model, viewmodel
from ..declaring import Interfaces
from ..viewmodel import View, ViewChange, ViewSummary


class SeenIndex:
    """The contract of ``IPrivacy.seen``: what ``index``, a ``ReferenceIndex``,
    tells, without what is hidden."""

    __implemented__ = Interfaces(
        *('IBundleIndex', 'IStatuses', 'IDeliveries', 'ILandings', 'ILabels'),
        *('IViews', 'IPrivacy'),
    )

    def __init__(self, index: Any, user: str, uid: Optional[str]) -> None:
        self._index = index
        self._user = user
        self._uid = uid

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def _sees(self, uid: str) -> bool:
        if not uid:
            return True
        view = self._index.viewbyid(uid)
        return (
            view is not None
            and bool(self._user)
            and viewmodel.maylook(view, self._user)
            and self._uid in (None, uid)
        )

    def _hidden(self) -> set[str]:
        holders = self._index.holders()
        return {h.key for h in holders if not self._sees(h.private)}

    def locate(
        self, nodes: list[bytes], without: Collection[str] = ()
    ) -> dict[bytes, model.Location]:
        found: dict[bytes, model.Location] = self._index.locate(
            nodes, {*without, *self._hidden()}
        )
        return found

    def nodes(self, prefix: str, limit: int = 10) -> list[bytes]:
        found = self._index.nodes(prefix, limit=1 << 62)
        return [node for node in found if self.locate([node])][:limit]

    def bundles(self, keys: list[str]) -> dict[str, model.Bundle]:
        hidden = self._hidden()
        found: dict[str, model.Bundle] = self._index.bundles(
            [key for key in keys if key not in hidden]
        )
        return found

    def pushes(
        self, *args: Any, limit: Optional[int] = None, **kwargs: Any
    ) -> list[model.Push]:
        found = self._index.pushes(*args, **kwargs)
        return [push for push in found if not push.private][:limit]

    def users(self) -> list[model.Usage]:
        return [u for u in self._index.users() if self.pushes(user=u.user)]

    def push(self, id: int) -> model.Push:
        return self._required(id)

    def _required(self, id: int) -> model.Push:
        found: model.Push = self._index.push(id)
        if found.private:
            raise errors.UnknownPush(f'no push {id}')
        return found

    def remove(self, id: int, evenpinned: bool = True) -> list[str]:
        self._required(id)
        gone: list[str] = self._index.remove(id, evenpinned)
        return gone

    def pin(self, id: int, pinned: bool = True) -> None:
        self._required(id)
        self._index.pin(id, pinned)

    def setstatus(self, id: int, status: model.Status) -> None:
        self._required(id)
        self._index.setstatus(id, status)

    def setlanding(self, id: int, landing: model.Landing) -> None:
        self._required(id)
        self._index.setlanding(id, landing)

    def owed(self, told: int) -> int:
        return len(self.pushes(first=told + 1))

    def view(self, owner: str, name: str) -> Optional[View]:
        return self._shown(self._index.view(owner, name))

    def viewbyid(self, uid: str) -> Optional[View]:
        return self._shown(self._index.viewbyid(uid))

    def _shown(self, view: Optional[View]) -> Optional[View]:
        if view is None or not viewmodel.maylook(view, self._user):
            return None
        return view

    def viewat(self, uid: str, version: int) -> Optional[View]:
        if self.viewbyid(uid) is None:
            return None
        found: Optional[View] = self._index.viewat(uid, version)
        return found

    def viewlog(self, uid: str, *args: Any, **kwargs: Any) -> list[ViewChange]:
        if self.viewbyid(uid) is None:
            return []
        found: list[ViewChange] = self._index.viewlog(uid, *args, **kwargs)
        return found

    def views(
        self, *args: Any, limit: Optional[int] = None, **kwargs: Any
    ) -> list[ViewSummary]:
        found: Iterable[ViewSummary] = self._index.views(*args, **kwargs)
        shown = [v for v in found if viewmodel.maylook(v, self._user)]
        return shown[:limit]
