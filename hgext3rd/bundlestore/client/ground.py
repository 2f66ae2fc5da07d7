"""What a repository has in common with a server, found out by one question.

Mercurial's discovery asks about heads first. Where there are news at either
end, it asks again: a draft says nothing about what it rests on, nor do heads
that are not known here. But it is quite certain what a server has: all that is
public. So this asks about the drafts, and about what they rest on, and only if
that is not there is Mercurial's own discovery needed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Optional

from mercurial import dagop, phases
from mercurial.i18n import _
from mercurial.node import nullrev

from ..records import NamedTuple
from ..start.wraps import inplaceof


class Ground(NamedTuple):
    """What to ask a server about: revisions, parents first."""

    #: public ones: heads, or parents of drafts
    edge: list[int]
    #: all drafts below the heads, and secret ones
    drafts: list[int]


class Common(NamedTuple):
    """What Mercurial's discovery returns (``setdiscovery.findcommonheads``)."""

    heads: list[bytes]
    isincoming: bool
    serverheads: list[bytes]


def below(repo, heads: Iterable[int], limit: int) -> Optional[Ground]:
    """Return what to ask about for the revisions ``heads``; None if that were
    more than ``limit``, or nothing."""
    phase = repo._phasecache.phase
    parents = repo.changelog.parentrevs
    edge: set[int] = set()
    drafts: set[int] = set()
    pending = list(heads)
    while pending:
        rev = pending.pop()
        if rev == nullrev or rev in drafts:
            continue
        if phase(repo, rev) == phases.public:
            edge.add(rev)
        else:
            drafts.add(rev)
            pending += parents(rev)
        if len(edge) + len(drafts) > limit:
            return None
    if not edge:
        return None
    return Ground(sorted(edge), sorted(drafts))


def nodes(repo, ground: Ground) -> list[bytes]:
    return [repo.changelog.node(rev) for rev in (*ground.edge, *ground.drafts)]


def common(
    repo, ground: Ground, there: Collection[bytes], heads: list[bytes]
) -> Optional[Common]:
    """Return what follows from an answer: ``there`` is what the server has of
    ``ground``, ``heads`` what it has for heads. None if that leaves something
    open."""
    cl = repo.changelog
    known = [node for node in heads if node != repo.nullid and cl.hasnode(node)]
    if heads and len(known) == len(heads):
        return Common(heads, False, heads)
    if not all(cl.node(rev) in there for rev in ground.edge):
        return None
    found = {rev for rev in ground.drafts if cl.node(rev) in there}
    found.update(ground.edge, map(cl.rev, known))
    tops = map(cl.node, sorted(dagop.headrevs(found, cl.parentrevs)))
    return Common(list(tops), True, heads)


def ofnothing(repo, heads: list[bytes]) -> Optional[Common]:
    """Return what an empty repository has in common with a server; None for
    any other one."""
    if len(repo.changelog) or heads == [repo.nullid]:
        return None
    return Common([repo.nullid], True, heads)


# -- pulls

_HELD = '_bundlestorecommon'


def hold(peer: Any, tell: Optional[Callable[[Any], Optional[Common]]]) -> None:
    """Have the discovery of the pull that comes make do with what ``tell``
    says for the repository, where it says anything."""
    setattr(peer, _HELD, tell)


def isheld(peer: Any) -> bool:
    """Whether a connection has been given something to hold before."""
    return hasattr(peer, _HELD)


@inplaceof('setdiscovery.findcommonheads')
def findcommonheads(orig, ui, local, remote, *args, **kwargs):
    tell = getattr(remote, _HELD, None)
    found = None
    if tell is not None:
        # it was true when it was asked for
        hold(remote, None)
        found = tell(local)
    if found is None:
        return orig(ui, local, remote, *args, **kwargs)
    # as Mercurial, which does not search for the sake of an empty repository
    if found.heads != [local.nullid]:
        ui.status(_(b'searching for changes\n'))
    return found
