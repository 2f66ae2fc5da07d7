"""Before a scratch push: what of it does the bundle store have already?

The server is asked about the changesets that the base repository lacks. What
the store has need not be sent again; the server decides whether a bundle may
rest on it (``push/known.py``).

What the base lacks and what the store has is one question in most cases: all
drafts, and what they rest on. Where that does not do, be it that there are too
many or that the server is an old one, Mercurial's discovery finds out what the
base lacks. It also finds out what the store lacks of these: a changeset that is
stored has its ancestors in the store or the base, so of a long series some
are asked about, then some of those that nothing is known of yet, and so on.
Where a store has lost some of them, the server lets nothing rest on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

from mercurial import (
    dagop,
    discovery,
    exchange as exchangemod,
    phases,
    setdiscovery,
)
from mercurial.i18n import _

from .. import names, server as servermod
from ..records import NamedTuple
from ..wire import exchange, known, values
from . import ground as groundmod

_Ask = Callable[[known.Query], known.Answer]


class Stored(NamedTuple):
    """The stored bundle that is the very push."""

    key: str
    heads: list[bytes]


class Said(NamedTuple):
    """What the server has said of the whole push, as it seemed to be."""

    query: known.Query
    answer: known.Answer


def discover(pushop, everything: bool, private: str = '') -> Optional[Said]:
    """Find out what the base repository lacks, as Mercurial's step of a push
    does, and in the same breath, but with ``everything``, what the store
    has. ``private`` is the ``uid`` of the view that is pushed to, if others do
    not see it."""
    remote = pushop.remote
    said = None
    if not everything and not remote.local() and known.isatonce(remote):
        said = _askatonce(pushop, private)
    if said is None:
        exchangemod.pushdiscoverymapping[b'changeset'](pushop)
    return said


def _askatonce(pushop, private: str) -> Optional[Said]:
    """Do so with one request; None if it has to be done in another way."""
    repo, remote = pushop.repo, pushop.remote
    cl = repo.changelog
    heads = [cl.rev(n) for n in pushop.revs] if pushop.revs else cl.headrevs()
    ground = groundmod.below(repo, heads, values.MAX_NODES)
    if ground is None:
        return None
    query = _query(repo, ground)._replace(private=private)
    serverheads, answer = exchange.batch(
        remote, [(b'heads', {}), (names.KNOWN, known.encode(query))]
    )
    said = Said(query, known.decode(query, answer))
    found = groundmod.common(
        repo, ground, said.answer.inbase, exchange.readheads(serverheads)
    )
    if found is None:
        return None
    repo.ui.status(_(b'searching for changes\n'))
    pushop.outgoing = discovery.findcommonoutgoing(
        repo,
        remote,
        onlyheads=pushop.revs,
        commoninc=found,
        force=pushop.force,
    )
    pushop.remoteheads = found.serverheads
    pushop.incoming = found.isincoming
    return said


def _query(repo, ground: groundmod.Ground) -> known.Query:
    cl = repo.changelog
    revs = [*ground.edge, *ground.drafts]
    places = {rev: place for place, rev in enumerate(revs)}
    pushed = [rev for rev in ground.drafts if _ispushed(repo[rev])]
    return known.Query(
        [cl.node(rev) for rev in revs],
        [cl.node(r) for r in sorted(dagop.headrevs(pushed, cl.parentrevs))],
        parents=[
            [
                places[p]
                for p in cl.parentrevs(rev)
                if places.get(p, place) < place
            ]
            for place, rev in enumerate(revs)
        ],
    )


def _ispushed(ctx) -> bool:
    return ctx.phase() < phases.secret and not ctx.extinct()


def leaveout(
    pushop, said: Optional[Said], private: str = ''
) -> Optional[Stored]:
    """Leave out of ``pushop.outgoing`` what the store has; ``said`` is what
    :func:`discover` knows of that, and ``private`` as there.

    Returns the stored bundle that is the very push, if there is one; nothing
    is left out then. A head is always sent otherwise, so that
    the heads of what is sent are those of the push.
    """
    if not pushop.remote.capable(names.KNOWN):
        return None
    cl = pushop.repo.changelog
    missing = pushop.outgoing.missing
    if said is not None and _isnew(missing, said):
        return None
    revs = [cl.rev(node) for node in missing]
    headrevs = sorted(dagop.headrevs(revs, cl.parentrevs))
    if len(headrevs) > values.MAX_NODES:
        return None
    heads = [cl.node(rev) for rev in headrevs]
    ask = _asker(pushop.remote, private)
    common, same = _discover(pushop, headrevs, heads, ask, said)
    if same is not None and common.issuperset(headrevs):
        _tell(pushop, len(missing), len(missing))
        return Stored(same, heads)
    for rev in common.intersection(headrevs):
        common.remove(rev)
        common.update(cl.parentrevs(rev))
    outgoing = discovery.outgoing(
        pushop.repo, [cl.node(rev) for rev in common], heads
    )
    sent = set(outgoing.missing)
    stored = [node for node in missing if node not in sent]
    parents = {parent for node in sent for parent in cl.parents(node)}
    base = sorted(parents.intersection(stored))
    if not base or len(base) > values.MAX_NODES:
        return None
    if said is not None and known.plan(*said) == (sent, set(base)):
        rest = said.answer.rest
    else:
        query = known.Query(_some(stored), base=base, total=len(stored))
        rest = ask(query).rest
    if rest:
        _tell(pushop, len(stored), len(missing))
        pushop.outgoing = outgoing
    return None


def _isnew(missing: list[bytes], said: Said) -> bool:
    """Whether the store has nothing of all that, by what the server said."""
    query, answer = said
    return (
        answer.same is None
        and answer.known.isdisjoint(missing)
        and set(query.nodes).issuperset(missing)
    )


def _discover(
    pushop,
    headrevs: list[int],
    heads: list[bytes],
    ask: _Ask,
    said: Optional[Said],
) -> tuple[set[int], Optional[str]]:
    """Return the heads of what the base or the store has, and the key of the
    stored bundle with these very heads, if there is one."""
    cl = pushop.repo.changelog
    # not the one in Rust, which depends on the index of the repository
    state = setdiscovery.pure_partialdiscovery(pushop.repo, headrevs, True)
    state.addcommons([cl.rev(node) for node in pushop.outgoing.commonheads])
    same = None
    if said is not None:
        missing = set(pushop.outgoing.missing)
        state.addinfo(
            (cl.rev(node), node in said.answer.known)
            for node in said.query.nodes
            if node in missing
        )
        if set(said.query.heads) == set(heads):
            same, heads = said.answer.same, []
    while state.undecided:
        revs = list(state.takefullsample(headrevs, values.MAX_NODES))
        nodes = [cl.node(rev) for rev in revs]
        answer = ask(known.Query(nodes, heads))
        same, heads = same or answer.same, []
        state.addinfo(
            (rev, node in answer.known) for rev, node in zip(revs, nodes)
        )
    return set(state.commonheads()), same


def _some(nodes: list[bytes]) -> list[bytes]:
    """Return as many of ``nodes`` as one may ask about, from all over the
    list."""
    count = min(len(nodes), values.MAX_NODES)
    return [nodes[i * len(nodes) // count] for i in range(count)]


def _tell(pushop, count: int, total: int) -> None:
    if total == 1:
        what = _(b'the changeset is')
    elif count == total:
        what = _(b'all of %d changesets are') % total
    elif count == 1:
        what = _(b'1 of %d changesets is') % total
    else:
        what = _(b'%d of %d changesets are') % (count, total)
    pushop.ui.status(_(b'%s in the bundle store already\n') % what)


def _asker(remote, private: str) -> _Ask:
    repo = remote.local()
    if repo:
        # by path this process is the server, too
        from ..push.known import answer

        server = servermod.of(repo)

        def ask(query: known.Query) -> known.Answer:
            server.request.allowance = None
            with servermod.aborting():
                return answer(repo, server, query._replace(private=private))

    else:

        def ask(query: known.Query) -> known.Answer:
            args = known.encode(query._replace(private=private))
            return known.decode(query, exchange.call(remote, names.KNOWN, args))

    return ask
