"""Commands that look into a repository by its path, where others ask a peer."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable
from typing import Any, Optional

from mercurial import error

from .. import server as servermod
from ..bundle import overlay
from ..server import servedview
from ..start.wraps import inplaceof

_Heads = Optional[list[bytes]]
#: makes of the heads that are named those that are looked at, of a repository
#: and a peer, see ``client/named.py``
chosen: contextvars.ContextVar[
    Optional[Callable[[Any, Any, _Heads], _Heads]]
] = contextvars.ContextVar('chosen', default=None)


@inplaceof('scmutil.revsingle')
def revsingle(orig, repo, revspec, *args, **kwargs):
    """Let ``hg identify -r HASH PATH`` see scratch changesets: for a path it
    asks the repository itself, not a peer."""
    try:
        return orig(repo, revspec, *args, **kwargs)
    except error.RepoLookupError:
        server = servermod.of(repo)
        # without a peer it is a command in the repository itself, which must
        # not get hold of a changeset that is not there
        if server is None or not server.haspeer:
            raise
        if not isinstance(revspec, bytes):
            raise
        node = repo.lookup(revspec)
        view = overlay.opennodes(repo, server, [node])
        if view is None:
            return servedview(repo)[node]
        # what is returned needs it; it is closed with the peer
        server.views.append(view)
        return servedview(view)[node]


@inplaceof('bundlerepo.getremotechanges')
def getremotechanges(orig, ui, repo, peer, onlyheads=None, *args, **kwargs):
    """Let ``hg incoming -r HASH PATH`` see scratch changesets: for a path it
    reads the other repository itself. Have it look into a workspace."""
    choose = chosen.get()
    if choose is not None:
        onlyheads = choose(repo, peer, onlyheads)
    other = peer.local()
    server = other and servermod.of(other)
    view = None
    if server and onlyheads:
        view = overlay.opennodes(other, server, onlyheads)
    if view is None:
        return orig(ui, repo, peer, onlyheads, *args, **kwargs)
    with contextlib.ExitStack() as stack:
        stack.callback(peer.close)
        stack.callback(view.close)
        local, csets, cleanup = orig(
            ui, repo, view.peer(), onlyheads, *args, **kwargs
        )
        stack.callback(cleanup)
        return local, csets, stack.pop_all().close
