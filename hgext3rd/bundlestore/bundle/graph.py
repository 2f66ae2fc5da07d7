"""The graph of a bundle: its changesets and what they rest on.

There is no Mercurial in here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from . import changegroup

#: what a changeset without a parent has in its place
NULLID = b'\0' * 20

#: the parents of changesets, parents first
Graph = dict[bytes, tuple[bytes, bytes]]

#: a changeset, by its hash or its number in a repository
T = TypeVar('T')


def read(read: changegroup.Read, version: bytes) -> Graph:
    """Return the graph of a changegroup, of which no more than the changesets
    is read; raises ``MalformedChangegroup``."""
    return {
        entry.node: (entry.p1, entry.p2)
        for entry, _delta in changegroup.changesets(read, version)
    }


def parents(graph: Mapping[bytes, tuple[bytes, bytes]]) -> set[bytes]:
    """Return all that is a parent in it."""
    return {parent for pair in graph.values() for parent in pair}


def heads(graph: Graph) -> set[bytes]:
    """Return the changesets without a child in it."""
    return graph.keys() - parents(graph)


def below(graph: Graph) -> set[bytes]:
    """Return the parents that it does not hold."""
    return parents(graph) - graph.keys() - {NULLID}


def upto(
    graph: Graph, heads: Iterable[bytes], isthere: Callable[[bytes], bool]
) -> Graph:
    """Return of the graph what ``heads`` need: these and their ancestors,
    without those that are elsewhere and what is below them."""
    found: set[bytes] = set()
    pending = list(heads)
    while pending:
        node = pending.pop()
        if node in graph and node not in found and not isthere(node):
            found.add(node)
            pending += graph[node]
    return {node: pair for node, pair in graph.items() if node in found}


def roots(graph: Mapping[T, tuple[T, T]]) -> list[T]:
    """Return the changesets without a parent in it."""
    return [
        node
        for node, (p1, p2) in graph.items()
        if p1 not in graph and p2 not in graph
    ]


def lacking(
    graphs: Iterable[Graph], isthere: Callable[[bytes], bool]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield each parent that none of the graphs holds and that is not
    elsewhere either, with a changeset that rests on it."""
    graphs = list(graphs)
    held = {NULLID}.union(*graphs)
    for graph in graphs:
        for node, pair in graph.items():
            for parent in pair:
                if parent not in held and not isthere(parent):
                    yield parent, node
