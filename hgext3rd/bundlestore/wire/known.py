"""The command ``bundlestoreknown``: what need not be pushed?

``nodes``, ``heads`` and ``base`` are hashes with spaces between them, ``total``
is a number. The answer has ``known``, a ``1`` or ``0`` for each of ``nodes``,
``same``, the key of a bundle or null, and ``rest``, true or false. The
capability of the same name announces the command. ``push/known.py`` has the
answers.

Where that capability has the value ``parents``, ``nodes`` may be the whole
push, parents first, with ``parents``: a word for each that says how many places
before it its parents stand, ``0`` for none, ``2-1`` for two. ``known`` has a
``2`` for each that the base repository has then, and ``rest`` is about what
:func:`plan` makes of the answer. So one question is enough.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Optional

from mercurial import error, wireprototypes
from mercurial.i18n import _

from .. import model, names
from ..records import NamedTuple
from . import exchange, values

_DISTANCES = re.compile(rb'[0-9]{1,3}(-[0-9]{1,3})?\Z')


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
    #: Of each of ``nodes`` the places of its parents among them. What is
    #: below ``heads`` and not among them is the base repository's.
    parents: Sequence[Sequence[int]] = ()
    #: the ``uid`` of the view that is private to which the push goes
    private: str = ''


class Answer(NamedTuple):
    """What a server says."""

    #: those of the nodes that the store has
    known: set[bytes]
    #: the key of the stored bundle that is the very push
    same: Optional[str] = None
    #: whether a bundle may rest on those that hold ``base``
    rest: bool = False
    #: those of the nodes that the base repository has, if ``parents`` were told
    inbase: Collection[bytes] = frozenset()


class Plan(NamedTuple):
    """What a client does that has asked about a whole push."""

    #: what it sends
    sent: set[bytes]
    #: the stored changesets that this has for parents
    base: set[bytes]


def plan(query: Query, answer: Answer) -> Plan:
    """Return what follows from an answer: both ends think the same of it.

    A head is always sent, so that the heads of what is sent are those of the
    push.
    """
    made = Plan(set(), set())
    places = {node: place for place, node in enumerate(query.nodes)}
    heads = set(query.heads)
    pending = [node for node in query.heads if node in places]
    while pending:
        node = pending.pop()
        if node in answer.inbase or node in made.sent:
            continue
        if node in answer.known and node not in heads:
            made.base.add(node)
            continue
        made.sent.add(node)
        pending += [query.nodes[place] for place in query.parents[places[node]]]
    return made


# -- on the client


def isatonce(peer) -> bool:
    """Whether a server answers a question about a whole push."""
    value = peer.capable(names.KNOWN)
    return isinstance(value, bytes) and names.ATONCE in value.split(b',')


def encode(query: Query) -> dict[str, bytes]:
    """Return the arguments of the command."""
    args = {'nodes': wireprototypes.encodelist(query.nodes)}
    if query.heads:
        args['heads'] = wireprototypes.encodelist(query.heads)
    if query.base:
        args['base'] = wireprototypes.encodelist(query.base)
    if query.total is not None:
        args['total'] = b'%d' % query.total
    if query.parents:
        args['parents'] = b' '.join(
            b'-'.join(b'%d' % (place - parent) for parent in parents) or b'0'
            for place, parents in enumerate(query.parents)
        )
    if query.private:
        args['private'] = query.private.encode()
    return args


def decode(query: Query, data: bytes) -> Answer:
    """Return the server's answer to ``query``; raises
    ``error.RemoteError``."""

    def read(raw: dict[str, Any]) -> Answer:
        flags = values.text(raw['known'])
        if len(flags) != len(query.nodes):
            raise ValueError(flags)
        found = list(zip(query.nodes, flags))
        return Answer(
            {node for node, flag in found if flag == '1'},
            values.optional(values.key, raw.get('same')),
            bool(raw.get('rest')),
            {node for node, flag in found if flag == '2'},
        )

    return exchange.decode(data, read)


# -- on the server


def read(args: Mapping[bytes, bytes]) -> Query:
    """Return what the arguments ask; raises ``error.InputError``."""
    nodes = values.nodesof(args, b'nodes')
    return Query(
        nodes,
        values.nodesof(args, b'heads'),
        values.nodesof(args, b'base'),
        values.numberof(args, b'total'),
        _parentsof(args, len(nodes)),
        _privateof(args),
    )


def _privateof(args: Mapping[bytes, bytes]) -> str:
    uid = values.textof(args, b'private') or ''
    if uid and not model.isuid(uid):
        raise error.InputError(_(b"'private' makes no sense"))
    return uid


def _parentsof(args: Mapping[bytes, bytes], count: int) -> list[list[int]]:
    words = args.get(b'parents', b'').split()
    parents = [
        [
            place - int(distance)
            for distance in word.split(b'-')
            if int(distance)
        ]
        for place, word in enumerate(words)
        if _DISTANCES.match(word)
    ]
    if len(words) not in (0, count) or len(parents) != len(words):
        raise error.InputError(_(b"'parents' makes no sense"))
    if any(min(each, default=0) < 0 for each in parents):
        raise error.InputError(_(b"'parents' makes no sense"))
    return parents


def told(query: Query, answer: Answer) -> dict[str, Any]:
    """Return the answer to ``query`` as it goes over the wire."""

    def flag(node: bytes) -> str:
        return '2' if node in answer.inbase else '01'[node in answer.known]

    return {
        'known': ''.join(map(flag, query.nodes)),
        'same': answer.same,
        'rest': answer.rest,
    }
