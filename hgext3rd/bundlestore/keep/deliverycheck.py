"""Compares the notes of how far web hooks were told with the index, has them
repaired, and has another index know the same.

There is no Mercurial in here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import model
from ..stores import deliverynotes


def check(store: Any, index: Any, repair: bool) -> Iterator[str]:
    """Yield the web hooks of which index and note do not tell the same; with
    ``repair`` both know what either of them knew."""
    known = index.deliveries()
    noted = deliverynotes.readall(store)
    for name in sorted(known.keys() | noted.keys()):
        state = known.get(name) or model.Delivery(name, 0)
        told = max(state.told, noted.get(name, 0))
        if name in known and noted.get(name) == state.told:
            continue
        if repair:
            if state.told != told or name not in known:
                index.setdelivery(state._replace(told=told))
            deliverynotes.write(store, name, told)
        yield name


def copy(source: Any, target: Any) -> Iterator[str]:
    """Have another index know how far web hooks were told; yield those of
    which it cannot."""
    there = target.deliveries()
    for name, state in source.deliveries().items():
        known = there.get(name)
        new = state._replace(
            worker='', lease=0.0, edition=known.edition if known else 0
        )
        if new != known and not target.setdelivery(new):
            yield name
