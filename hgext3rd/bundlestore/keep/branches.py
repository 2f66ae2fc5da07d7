"""Has the index know the branches of pushes that an older release recorded."""

from __future__ import annotations

import contextlib
from typing import Any

from mercurial import error

from .. import errors, model
from ..bundle import overlay, sound
from ..declaring import provides
from ..server import totext
from ..stores import notes


class Branches:
    """Looks at the branches of the pushes of ``server``; ``index`` and
    ``store`` are those to repair."""

    def __init__(self, repo, server, store: Any, index: Any) -> None:
        self._repo = repo
        self._server = server
        self._store = store
        self._index = index
        self._able = provides(index, 'ILabels')

    def agree(self, push: model.Push, note: model.Push) -> bool:
        """Whether index and note know the same branches."""
        return not self._able or push.branches == note.branches

    def repair(self, push: model.Push, note: model.Push) -> bool:
        """Have both know the branches; return whether they did not."""
        if not self._able or push.branches == note.branches != ():
            return False
        found = push.branches or note.branches or self._read(push)
        if not found:
            return False
        push = push._replace(branches=found)
        if push.branches != note.branches:
            notes.keep(self._store, self._index, push)
        with contextlib.suppress(errors.BundleGone):
            self._index.restore(push, False)
        return True

    def _read(self, push: model.Push) -> tuple[str, ...]:
        """Return the branches as the bundle tells them, none where that
        cannot be read."""
        try:
            with (
                sound.reading(),
                contextlib.closing(
                    overlay.openbundles(
                        self._repo, self._server, model.chain([push])
                    )
                ) as view,
            ):
                heads = [view.unfiltered()[head.node] for head in push.heads]
                return model.branches(totext(ctx.branch()) for ctx in heads)
        except (error.Abort, OSError):
            # others tell what is wrong with it
            return ()
