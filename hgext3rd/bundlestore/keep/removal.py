"""A push is removed by who made it.

Who runs the store has a command for any push, see ``commands.py``.
"""

from __future__ import annotations

import time
from typing import Any

from mercurial import error
from mercurial.i18n import _

from .. import access, errors, log
from ..server import aborting, tolocal
from ..wire import exchange
from ..wire.remove import read
from . import base, collect, run, walk


def serve(repo, proto, args):
    """Answer the wire command."""
    return exchange.answer(
        repo, lambda server: remove(repo, server, read(args))
    )


def remove(repo, server, id: int) -> dict[str, Any]:
    """Remove the push ``id`` for the user that ``server`` serves now, and tell
    what went, as it can go over a wire: ``{'push': ID, 'bundles': NUMBER,
    'size': BYTES}``. Raises ``error.Abort``."""
    url = server.request.client
    user = server.request.user
    log.newrequest(server)
    with log.refusals(repo.ui, server, url, 'remove'):
        access.checkpush(repo.ui, user)
        with aborting():
            server.checkopen()
            push = walk.push(server.wholeindex, id)
            if push is None or (push.private and push.user != user):
                raise error.InputError(
                    _(b'there is no push %d') % id,
                    hint=_(b"'hg pushes' lists the pushes"),
                )
            if not user:
                raise error.Abort(
                    _(b'only who is logged in can remove a push'),
                    hint=_(b'log in, or ask the administrator'),
                )
            if push.user != user:
                raise error.Abort(
                    _(b"push %d is not of user '%s'") % (id, tolocal(user)),
                    hint=_(
                        b'only who made a push, or the administrator, can '
                        b'remove it'
                    ),
                )
            collector = collect.Collector(
                server.store,
                server.wholeindex,
                base.Repository(repo, server),
                time.time(),
                run.Wish(),
            )
            try:
                gone = list(collector.remove([push], thorough=False))
            except errors.PinnedPush as exc:
                raise error.Abort(
                    _(b'push %d is pinned') % id,
                    hint=_(b'ask the administrator to unpin it'),
                ) from exc
    sizes = [one.size or 0 for one in gone if one.kind == 'bundle']
    log.event(
        repo.ui,
        server,
        'removed',
        push=id,
        user=user,
        by=log.way(url),
        bundles=len(sizes),
        bytes=sum(sizes),
    )
    return {'push': id, 'bundles': len(sizes), 'size': sum(sizes)}
