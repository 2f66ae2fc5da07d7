"""Copies the views of an index into another one. There is no Mercurial in here.

Both list them in the same order, so what differs is found with little in
memory. Others may change the source meanwhile: the next pass copies that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

from .. import errors
from ..declaring import provides
from ..records import NamedTuple
from ..viewmodel import ViewSummary
from . import walk

Both = tuple[Optional[ViewSummary], Optional[ViewSummary]]


class Done(NamedTuple):
    """What one pass did."""

    #: how many views were copied or removed
    changes: int = 0
    #: whose that cannot be copied
    bad: tuple[str, ...] = ()


def isempty(index: Any) -> bool:
    """Whether there are no views in an index."""
    return not provides(index, 'IViews') or not index.views(limit=1)


def copy(source: Any, target: Any, dry: bool) -> Done:
    """Have the target have the views of the source, and only those."""
    if isempty(source) and isempty(target):
        return Done()
    if not provides(target, 'IViews'):
        return Done(0, tuple(map(_name, walk.views(source))))
    changes = 0
    again: list[str] = []
    for one, other in differing(source, target):
        changes += 1
        if dry:
            continue
        if one is not None:
            _copy(source, target, one.uid, again)
        elif other is not None and source.viewbyid(other.uid) is None:
            target.removeview(other.uid)
    while again:
        _copy(source, target, again.pop(), again)
    return Done(changes)


def differing(source: Any, target: Any) -> Iterator[Both]:
    """Yield the views that are not the same in both."""
    empty: Iterator[ViewSummary] = iter(())
    ones, others = (
        walk.views(index) if provides(index, 'IViews') else empty
        for index in (source, target)
    )
    one, other = next(ones, None), next(others, None)
    while one or other:
        key, otherkey = _key(one), _key(other)
        first = min(filter(None, (key, otherkey)))
        pair = (
            one if key == first else None,
            other if otherkey == first else None,
        )
        if pair[0] != pair[1]:
            yield pair
        if pair[0]:
            one = next(ones, None)
        if pair[1]:
            other = next(others, None)


def _key(view: Optional[ViewSummary]) -> Optional[tuple[str, str]]:
    return (view.owner, view.name) if view else None


def _name(view: ViewSummary) -> str:
    return f'{view.owner}/{view.name}'


def _copy(source: Any, target: Any, uid: str, again: list[str]) -> None:
    view = source.viewbyid(uid)
    if view is None:
        return
    # it may have been changed in between
    log = [c for c in source.viewlog(uid) if c.version <= view.version]
    if not log or log[0].version != view.version:
        return
    while True:
        try:
            target.restoreview(view, log)
            return
        except errors.ViewExists as exc:
            # one that has another name by now, or none
            target.removeview(exc.view.uid)
            again.append(exc.view.uid)
