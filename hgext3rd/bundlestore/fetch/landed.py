"""Where pushes landed, as it is shown.

What was noted when they did, and heads that the base repository has by another
way, such as a push. It is shown as long as the base shows what landed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .. import model
from ..declaring import provides
from ..server import aborting


def landings(
    server,
    isbase: Callable[[bytes], bool],
    heads: Mapping[int, Iterable[bytes]],
) -> dict[int, list[model.Landing]]:
    """Return where those of the pushes landed that did; ``heads`` are theirs,
    by their ids. ``isbase`` tells whether the base shows a changeset."""
    noted: dict[int, list[model.Landing]] = {}
    if heads and provides(server.index, 'ILandings'):
        with aborting():
            noted = server.index.landings(heads)
    found = {}
    for id, nodes in heads.items():
        its = [one for one in noted.get(id, ()) if isbase(one.landed)]
        known = {one.node for one in its}
        its += [
            model.Landing(node, node)
            for node in nodes
            if node not in known and isbase(node)
        ]
        if its:
            found[id] = its
    return found


def fields(landing: model.Landing) -> dict[str, Any]:
    """Return a landing for JSON: ``time`` is None, and ``user`` empty, where
    nobody knows."""
    return {
        'node': landing.node.hex(),
        'landed': landing.landed.hex(),
        'time': int(landing.time) or None,
        'user': landing.user,
    }
