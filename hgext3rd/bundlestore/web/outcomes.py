"""How pushes went, in short."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import Any

from mercurial import templateutil

from ..bundle import telling
from ..server import tolocal


def of(server, ids: Iterable[int]) -> dict[int, Any]:
    """Return how pushes went, for a template: how many statuses of each state
    those have that have any."""
    found = telling.statusesof(server, list(ids))
    return {id: counted(id, statuses) for id, statuses in found.items()}


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
