"""What a client need not push, as the store has it already.

A client with this extension asks before it pushes (``client/known.py``), and
sends the rest as a bundle that rests on stored ones. Reading a changeset of
it means reading all of these, so there is a limit on their number and size;
beyond it, the client is told to send everything.

Clients without the extension ask for what the base has, and are told of that
alone: ``known`` stays the base's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Optional

from .. import model
from ..bundle import sound
from ..server import aborting, hasnode
from ..wire import exchange
from ..wire.known import Answer, Query, plan, read, told

#: a bundle and all it rests on are at most so many
MAX_BUNDLES = 8
#: and have at most so many times the bytes that one bundle would need
MAX_WASTE = 2

#: how many bytes of bundles are read for one request
_MAX_READ = 16 * 1024 * 1024


def serve(repo, proto, args):
    """Answer the wire command."""

    def ask(server):
        query = read(args)
        with aborting():
            return told(query, answer(repo, server, query))

    return exchange.answer(repo, ask)


def answer(repo, server, query: Query) -> Answer:
    """Say what the store has of a push; raises ``BundleStoreError``."""
    with server.request.pushing(query.private):
        return _answer(repo, server, query)


def _answer(repo, server, query: Query) -> Answer:
    if server.request.allowance is None:
        server.request.allowance = sound.Allowance(_MAX_READ)
    choice = sound.Choice(repo, server, server.request.allowance)
    known = set(server.locate(repo, query.nodes))
    same = bundleof(server, choice, query.heads) if query.heads else None
    said = Answer(known, None if same is None else same.key)
    if query.parents:
        inbase = {node for node in query.nodes if hasnode(repo, node)}
        said = said._replace(inbase=inbase)
        if same is None:
            sent, base = plan(query, said)
            query = query._replace(base=sorted(base))
            known = known - sent
    if query.base and _mayrest(server, choice, query, known):
        said = said._replace(rest=True)
    return said


def bundleof(
    server, choice: sound.Choice, heads: Sequence[bytes]
) -> Optional[model.Bundle]:
    """Return the stored bundle that has these very heads and can be served,
    None if there is none."""
    found = choice.locate(heads)
    keys = {where.key for where in found.values()}
    if len(found) != len(set(heads)) or len(keys) != 1:
        return None
    (key,) = keys
    bundle: Optional[model.Bundle] = server.index.bundles([key]).get(key)
    if (
        bundle is None
        or set(bundle.heads) != set(heads)
        # a push to a view that is private has none but its own
        or bundle.private != (server.request.pushesto or '')
    ):
        return None
    return bundle


def _mayrest(
    server, choice: sound.Choice, query: Query, known: set[bytes]
) -> bool:
    found = choice.locate(query.base)
    keys = model.chain(found.values())
    if len(found) != len(set(query.base)) or len(keys) >= MAX_BUNDLES:
        return False
    bundles = list(server.index.bundles(keys).values())
    size = sum(bundle.size for bundle in bundles)
    scale = (query.total or len(known)) / max(len(known), 1)
    return len(bundles) == len(keys) and size <= MAX_WASTE * _needed(
        bundles, known, scale
    )


def _needed(
    bundles: Iterable[model.Bundle], known: set[bytes], scale: float
) -> float:
    """Return about how many bytes the client needs of the bundles: those of
    ``known`` and of others, which they stand for, if all have the same
    size."""
    return sum(
        bundle.size
        * min(len(known.intersection(bundle.nodes)) * scale, len(bundle.nodes))
        / len(bundle.nodes)
        for bundle in bundles
    )
