"""What a name means is asked together with what both ends have.

``hg pull -r NAME`` and ``hg clone -r NAME``: Mercurial looks the name up over
there, waits for the answer, and then asks what both have in common. To a server
with a bundle store both are one question.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any, Optional

from ..names import CAPABILITY
from ..start import wraps
from ..start.wraps import inplaceof
from ..wire import values
from . import ground as groundmod


class _Puller:
    """Who pulls: a repository, or one that is still to be made."""

    def __init__(self, repo: Any) -> None:
        self.repo = repo


#: the one of this thread that pulls by name
_puller: contextvars.ContextVar[Optional[_Puller]] = contextvars.ContextVar(
    'puller', default=None
)


@contextlib.contextmanager
def asking(repo: Any = None) -> Iterator[None]:
    """Ask so in what is done now; without ``repo`` for a new repository."""
    wraps.apply('together')
    wraps.apply('ssh')
    token = _puller.set(_Puller(repo))
    try:
        yield
    finally:
        _puller.reset(token)


@inplaceof('wireprotov1peer.peerexecutor.sendcommands')
def sendcommands(orig, executor):
    puller = _puller.get()
    calls = executor._calls
    peer = executor._peer
    if (
        puller is not None
        and not executor._sent
        and any(command == b'lookup' for command, *_rest in calls or ())
        and not groundmod.isheld(peer)
        and peer.capable(CAPABILITY)
    ):
        _add(executor, puller.repo)
    return orig(executor)


def _add(executor, repo) -> None:
    """Have an executor ask for what a discovery asks for, too."""
    calls = executor._calls
    count = len(calls)
    ground = known = None
    if repo is not None:
        heads = repo.changelog.headrevs()
        ground = groundmod.below(repo, heads, values.MAX_NODES)
    if ground is not None:
        nodes = groundmod.nodes(repo, ground)
        known = executor.callcommand(b'known', {b'nodes': nodes})
    serverheads = executor.callcommand(b'heads', {})
    # over ssh nothing can be read behind a look-up that fails
    calls[:] = [*calls[count:], *calls[:count]]

    def tell(local) -> Optional[groundmod.Common]:
        heads = list(serverheads.result())
        if ground is None or known is None:
            return groundmod.ofnothing(local, heads)
        found = zip(groundmod.nodes(local, ground), known.result())
        there = {node for node, flag in found if flag}
        return groundmod.common(local, ground, there, heads)

    groundmod.hold(executor._peer, tell)
