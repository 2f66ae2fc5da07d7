"""How pushes went, in short."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping
from typing import Any

from mercurial import templateutil
from mercurial.node import hex
from mercurial.utils import dateutil

from .. import model
from ..bundle import telling
from ..fetch import landed
from ..server import hasnode, tolocal


def of(server, ids: Iterable[int]) -> dict[int, Any]:
    """Return how pushes went, for a template: how many statuses of each state
    those have that have any."""
    found = telling.statusesof(server, list(ids))
    return {id: counted(id, statuses) for id, statuses in found.items()}


def landings(
    web, server, heads: Mapping[int, Iterable[bytes]], most: int
) -> dict[int, Any]:
    """Return where pushes landed, for a template, up to ``most`` changesets of
    each; ``heads`` as in ``fetch/landed.py``."""
    found = landed.landings(server, lambda n: hasnode(web.repo, n), heads)
    return {id: listed(its[:most]) for id, its in found.items()}


def listed(its: Iterable[model.Landing]):
    """Return landings for a template."""
    return templateutil.mappinglist(
        [
            {
                b'node': hex(one.node),
                b'landed': hex(one.landed),
                b'landedby': tolocal(one.user),
                b'landeddate': one.time and dateutil.makedate(one.time),
            }
            for one in its
        ]
    )


def counted(id: int, statuses: list[dict[str, Any]]):
    """Return the same for one push that has these."""
    states = collections.Counter(status['state'] for status in statuses)
    return templateutil.mappinglist(
        [
            {
                b'state': tolocal(state),
                b'number': b'%d' % number,
                b'push': b'%d' % id,
            }
            for state, number in sorted(states.items())
        ]
    )
