"""Declares what a class implements, and imports it when somebody asks.

``zope.interface.implementer`` would import it when the class is made. To
import that package takes about as long as all that a push does to the index,
each push over ssh is a new process, and few of them ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class Interfaces:
    """The value of ``__implemented__`` in the body of a class: ``names`` are
    those of interfaces in :mod:`interfaces`.

    zope.interface looks through what it finds there, and puts its own
    declaration in its place, as soon as it is asked for the first time.
    """

    def __init__(self, *names: str) -> None:
        self._names = names

    def __iter__(self) -> Iterator[Any]:
        from . import interfaces

        return iter([getattr(interfaces, name) for name in self._names])
