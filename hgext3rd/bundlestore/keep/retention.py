"""Which pushes go: old ones, those over a quota, and lost ones. What is pinned
or on view stays, unless it is lost."""

from __future__ import annotations

from collections.abc import Iterator

from .. import model
from . import walk
from .removing import Remover
from .run import Gone, Run
from .viewretention import ViewRetention


class Retention:
    """Chooses pushes, and has them removed."""

    def __init__(
        self, run: Run, remover: Remover, views: ViewRetention
    ) -> None:
        self._run = run
        self._remover = remover
        self._views = views

    def _free(self, page: list[model.Push]) -> Iterator[model.Push]:
        """Yield those of some pushes that may go, each as it is just now."""
        for push in page:
            if not push.pinned and not self._views.holds(push):
                yield push

    def expire(self) -> Iterator[Gone]:
        """Remove the pushes that are too old, and those that nobody sees."""
        for page in self._views.unseen():
            with self._remover.listing(page):
                for push in page:
                    yield from self._remover.remove(push, 'unseen')
        if self._run.wish.before is None:
            return
        for page in walk.older(self._run.index, self._run.wish.before):
            with self._remover.listing(page):
                for push in self._free(page):
                    yield from self._remover.remove(push, 'age')

    def shrink(self) -> Iterator[Gone]:
        """Remove the oldest pushes of who holds too much."""
        quota = self._run.wish.quota
        if quota is None:
            return
        for usage in self._run.index.users():
            # ``users`` begins with who holds most
            if usage.size <= quota:
                return
            if self._run.wish.dry:
                yield from self._wouldshrink(usage, quota)
            else:
                yield from self._shrinkuser(usage.user, quota)

    def _shrinkuser(self, user: str, quota: int) -> Iterator[Gone]:
        for page in walk.pushes(self._run.index, user):
            with self._remover.listing(page):
                for push in self._free(page):
                    # each time: another run may be at it, too
                    if self._run.index.usage(user).size <= quota:
                        return
                    yield from self._remover.remove(push, 'quota')

    def _wouldshrink(self, usage: model.Usage, quota: int) -> Iterator[Gone]:
        held = usage.size
        before = self._run.wish.before
        for page in walk.pushes(self._run.index, usage.user):
            for push in self._free(page):
                old = before is not None and push.time < before
                if not old and held <= quota:
                    continue
                if self._islast(push):
                    held -= push.size
                if not old:
                    yield from self._remover.remove(push, 'quota')

    def _islast(self, push: model.Push) -> bool:
        """Whether no later push of the user, and none that is pinned, has the
        bundle of this one."""
        first = 1
        node = push.heads[-1].node
        while True:
            others = self._run.index.pushes(
                first=first, user=push.user, node=node, limit=walk.PAGE
            )
            for other in others:
                if other.key == push.key and (
                    other.id > push.id or other.pinned
                ):
                    return False
            if len(others) < walk.PAGE:
                return True
            first = others[-1].id + 1

    def forget(self) -> Iterator[Gone]:
        """Give up the pushes whose bundles are not there."""
        for page in walk.pushes(self._run.index):
            keys = {key for push in page for key in model.chain([push])}
            missing = {
                key for key in keys if not walk.isthere(self._run.store, key)
            }
            lost = [p for p in page if missing.intersection(model.chain([p]))]
            if lost:
                with self._remover.listing(lost):
                    for push in lost:
                        yield from self._remover.remove(push, 'lost')
