"""What is in a stored bundle, read from the bundle itself."""

from __future__ import annotations

from typing import Any

from .. import errors
from ..bundle import container, graph, reading
from ..records import NamedTuple


class Content(NamedTuple):
    """What a bundle holds, and what it must have below."""

    size: int
    #: every changeset, in the order of the bundle
    nodes: tuple[bytes, ...]
    #: those without a child in it
    heads: frozenset[bytes]
    #: parents that it does not hold
    parents: frozenset[bytes]
    #: the view whose users alone may see it, empty for none
    private: str


class Unreadable(errors.CorruptBundle):
    """The bytes of a bundle are what was stored, but they are no bundle."""


def read(ui, store: Any, key: str) -> Content:
    """Read a bundle to its end and return what is in it.

    Raises ``UnknownKey``, ``CorruptBundle``, ``Unreadable`` or
    ``BackendUnavailable``.
    """
    with store.open(key) as stream:
        try:
            opened = reading.Stream(ui, stream)
            found = graph.read(opened.read, opened.version)
        except errors.BackendUnavailable:
            raise
        except Exception as exc:
            # Nonsense ends in one of many exceptions, and if the bytes are
            # not those of the key, that is what is wrong.
            container.drain(stream)
            raise Unreadable(f'bundle {key} cannot be read') from exc
        container.drain(stream)
        size = stream.size
    return Content(
        size,
        tuple(found),
        frozenset(graph.heads(found)),
        frozenset(graph.below(found)),
        opened.private,
    )
