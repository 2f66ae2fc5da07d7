"""Scratch bookmarks move without a push.

Such a move is an event with a number, but no push: it brings no changesets and
writes no bundle. It comes as a push with nothing but bookmarks in it, or by
``pushkey``. What holds of a push holds of it: who may, how often, how much, the
hooks, and the order of the steps: recorded, noted, told.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from mercurial import error
from mercurial.i18n import _

from .. import access, errors, log, model
from ..server import aborting, noting
from ..stores import marks, notes
from . import hooks, limits


def checkindex(server) -> None:
    """Abort if the index cannot be used, or is being moved, or is lost: ids
    would be given again that are in links and scripts."""
    store = server.store
    if server.need(lambda index: notes.isindexlost(store, index), retry=True):
        raise error.Abort(
            _(b'bundle index is empty, but the store holds pushes'),
            hint=_(
                b'the administrator must run '
                b"'hg admin::bundlestore-verify --repair'"
            ),
        )
    with aborting():
        server.checkopen()


def pushkey(repo, server, wanted: model.BookmarkMove) -> None:
    """Move a bookmark for who does it with ``pushkey``, after the checks that
    :func:`move` leaves to its caller; raises ``error.Abort``."""
    checkindex(server)
    limit = limits.Limits(server, server.request.user)
    with aborting():
        limit.beforeall()
    move(repo, server, server.request.client, [wanted], limit, {})


def move(
    repo,
    server,
    url: bytes,
    wanted: Sequence[model.BookmarkMove],
    limit: limits.Limits,
    pushvars: Mapping[bytes, bytes],
) -> None:
    """Move bookmarks; the caller has checked that the user may, and where
    they go. Raises ``error.Abort``."""
    user = access.username(url)
    source = hooks.Source(repo, url, user, pushvars)
    event = hooks.Event(source, server, wanted)
    hooks.premove(event)
    now = time.time()
    with aborting():
        try:
            moved = server.index.movebookmarks(wanted, now, user, limit.quota)
        except errors.QuotaExceeded as exc:
            raise limit.exceeded(exc) from exc
    with noting(repo.ui):
        marks.write(server.store, server.index, moved, now, user)
    for one in wanted:
        log.moved(repo.ui, server, url, one.name, one.new, one.old)
    hooks.postmove(event, moved.id)
