"""Before a scratch push: what of it does the bundle store have already?

The server is asked about the changesets that the base repository lacks. What
the store has need not be sent again; the server decides whether a bundle may
rest on it (``../known.py``).

The changesets that are stored with all that is below them have their
ancestors stored, too. So of a long series a few are asked about, then a few
of those that are between the known and the unknown ones, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Optional

from mercurial import discovery
from mercurial.i18n import _

from .. import known, names, server as servermod

_Ask = Callable[[known.Query], known.Answer]


class Stored(NamedTuple):
    """The stored bundle that is the very push."""

    key: str
    heads: list[bytes]


def leaveout(pushop) -> Optional[Stored]:
    """Leave out of ``pushop.outgoing`` what the store has.

    Returns the stored bundle that is the very push, if there is one; nothing
    is left out then. A head is always sent otherwise, so that
    the heads of what is sent are those of the push.
    """
    if not pushop.remote.capable(names.KNOWN):
        return None
    series = _Series(pushop.repo, pushop.outgoing.missing)
    heads = series.heads()
    if len(heads) > known.MAX_NODES:
        return None
    answer = _Questions(series, _asker(pushop.remote)).put(heads)
    if answer.same is not None:
        _tell(pushop, len(series.nodes), len(series.nodes))
        return Stored(answer.same, heads)
    if answer.rest:
        stored = answer.known
        _tell(pushop, len(stored), len(series.nodes))
        pushop.outgoing = discovery.outgoing(
            pushop.repo,
            [*pushop.outgoing.commonheads, *series.below(stored)],
            heads,
        )
    return None


def _tell(pushop, count: int, total: int) -> None:
    if not count:
        return
    if total == 1:
        what = _(b'the changeset is')
    elif count == total:
        what = _(b'all of %d changesets are') % total
    elif count == 1:
        what = _(b'1 of %d changesets is') % total
    else:
        what = _(b'%d of %d changesets are') % (count, total)
    pushop.ui.status(_(b'%s in the bundle store already\n') % what)


def _asker(remote) -> _Ask:
    repo = remote.local()
    if repo:
        server = servermod.of(repo)

        def ask(query: known.Query) -> known.Answer:
            server.allowance = None
            with servermod.aborting():
                return known.answer(repo, server, query)

    else:
        from .. import wire

        def ask(query: known.Query) -> known.Answer:
            args = wire.encodeknown(query)
            answer = wire.call(remote, names.KNOWN, args)
            return wire.decodeknown(query, answer)

    return ask


class _Series:
    """The changesets that a push may send, ``nodes``, parents first."""

    def __init__(self, repo, missing: Iterable[bytes]) -> None:
        cl = repo.changelog
        revs = sorted(map(cl.rev, missing))
        self.nodes: list[bytes] = [cl.node(rev) for rev in revs]
        members = frozenset(self.nodes)
        self.parents: dict[bytes, list[bytes]] = {
            node: [
                parent
                for parent in map(cl.node, cl.parentrevs(rev))
                if parent in members
            ]
            for rev, node in zip(revs, self.nodes)
        }

    def heads(self) -> list[bytes]:
        inner = {parent for below in self.parents.values() for parent in below}
        return [node for node in self.nodes if node not in inner]

    def closed(self, nodes: set[bytes]) -> set[bytes]:
        """Return those of ``nodes`` whose ancestors are all in it."""
        result: set[bytes] = set()
        for node in self.nodes:
            if node in nodes and result.issuperset(self.parents[node]):
                result.add(node)
        return result

    def ancestors(self, nodes: set[bytes]) -> set[bytes]:
        """Return ``nodes`` and all that are below them."""
        result = set(nodes)
        for node in reversed(self.nodes):
            if node in result:
                result.update(self.parents[node])
        return result

    def descendants(self, nodes: set[bytes]) -> set[bytes]:
        """Return ``nodes`` and all that rest on them."""
        result = set(nodes)
        for node in self.nodes:
            if not result.isdisjoint(self.parents[node]):
                result.add(node)
        return result

    def below(self, nodes: set[bytes]) -> list[bytes]:
        """Return those of ``nodes`` that are parents of others."""
        found = {
            parent
            for node in self.nodes
            if node not in nodes
            for parent in self.parents[node]
        }
        return sorted(found.intersection(nodes))


class _Questions:
    """Finds out which changesets of ``series`` are stored."""

    def __init__(self, series: _Series, ask: _Ask) -> None:
        self._series = series
        self._ask = ask

    def put(self, heads: list[bytes]) -> known.Answer:
        """Return what the server says in the end; ``known`` has all that need
        not be sent, if nothing of it is."""
        nodes = self._series.nodes
        same = None
        if len(nodes) <= known.MAX_NODES:
            answer = self._ask(known.Query(nodes, heads))
            stored = self._series.closed(answer.known)
            same = answer.same
        else:
            stored = self._narrowed()
            if len(stored) == len(nodes):
                same = self._ask(known.Query(heads, heads)).same
        # the base may have hidden what that bundle rests on
        if same is not None and len(stored) == len(nodes):
            return known.Answer(stored, same)
        stored.difference_update(heads)
        base = self._series.below(stored)
        if not base or len(base) > known.MAX_NODES:
            return known.Answer(set())
        some = _spread([node for node in nodes if node in stored])
        answer = self._ask(known.Query(some, base=base, total=len(stored)))
        return known.Answer(stored, rest=answer.rest)

    def _narrowed(self) -> set[bytes]:
        """Ask about some, until it is clear what holds for all."""
        series = self._series
        stored: set[bytes] = set()
        open_ = series.nodes
        while open_:
            sample = _spread(open_)
            found = self._ask(known.Query(sample)).known
            missing = series.descendants(set(sample).difference(found))
            stored |= series.ancestors(found.difference(missing))
            open_ = [n for n in open_ if n not in stored and n not in missing]
        return series.closed(stored)


def _spread(nodes: list[bytes]) -> list[bytes]:
    """Return as many of ``nodes`` as one may ask about, from all over the
    list, the last one among them."""
    count = known.MAX_NODES
    if len(nodes) <= count:
        return nodes
    step = len(nodes) / count
    return [nodes[int((i + 1) * step) - 1] for i in range(count)]
