"""The command ``bundlestoreknown``: what need not be pushed?

``nodes``, ``heads`` and ``base`` are hashes with spaces between them, ``total``
is a number. The answer has ``known``, a ``1`` or ``0`` for each of ``nodes``,
``same``, the key of a bundle or null, and ``rest``, true or false. The
capability of the same name announces the command. ``push/known.py`` has the
answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

from mercurial import wireprototypes

from . import exchange, values


class Query(NamedTuple):
    """What a client asks."""

    #: changesets of the push; of very many some only
    nodes: list[bytes]
    #: the heads of the push: is it stored as it is?
    heads: Sequence[bytes] = ()
    #: What the changesets to be sent have for parents; ``nodes`` are those
    #: that are not sent then. May they rest on stored bundles?
    base: Sequence[bytes] = ()
    #: how many changesets ``nodes`` stand for
    total: Optional[int] = None


class Answer(NamedTuple):
    """What a server says."""

    #: those of the nodes that the store has
    known: set[bytes]
    #: the key of the stored bundle that is the very push
    same: Optional[str] = None
    #: whether a bundle may rest on those that hold ``base``
    rest: bool = False


def encode(query: Query) -> dict[str, bytes]:
    """Return the arguments of the command."""
    args = {'nodes': wireprototypes.encodelist(query.nodes)}
    if query.heads:
        args['heads'] = wireprototypes.encodelist(query.heads)
    if query.base:
        args['base'] = wireprototypes.encodelist(query.base)
    if query.total is not None:
        args['total'] = b'%d' % query.total
    return args


def decode(query: Query, data: bytes) -> Answer:
    """Return the server's answer to ``query``; raises
    ``error.RemoteError``."""

    def read(raw: dict[str, Any]) -> Answer:
        flags = values.text(raw['known'])
        if len(flags) != len(query.nodes):
            raise ValueError(flags)
        return Answer(
            {node for node, flag in zip(query.nodes, flags) if flag == '1'},
            values.optional(values.key, raw.get('same')),
            bool(raw.get('rest')),
        )

    return exchange.decode(data, read)


def read(args: Mapping[bytes, bytes]) -> Query:
    """Return what the arguments ask; raises ``error.InputError``."""
    return Query(
        values.nodesof(args, b'nodes'),
        values.nodesof(args, b'heads'),
        values.nodesof(args, b'base'),
        values.numberof(args, b'total'),
    )


def told(query: Query, answer: Answer) -> dict[str, Any]:
    """Return the answer to ``query`` as it goes over the wire."""
    return {
        'known': ''.join('01'[node in answer.known] for node in query.nodes),
        'same': answer.same,
        'rest': answer.rest,
    }
