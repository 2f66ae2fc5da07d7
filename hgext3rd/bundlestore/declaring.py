"""Declares what a class provides, and tells, without zope.interface.

``zope.interface.implementer`` would import that package when the class is
made. To import it takes about as long as all that a push does to the index,
and each push over ssh is a new process.
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
        self.names = names

    def __iter__(self) -> Iterator[Any]:
        from . import interfaces

        return iter([getattr(interfaces, name) for name in self.names])


def provides(thing: object, name: str) -> bool:
    """Return whether ``thing`` provides the interface of that name in
    :mod:`interfaces`, as its ``providedBy`` would. Nothing is imported for a
    class that declares it with :class:`Interfaces`."""
    declared = vars(type(thing)).get('__implemented__')
    if isinstance(declared, Interfaces):
        return name in declared.names
    from . import interfaces

    return bool(getattr(interfaces, name).providedBy(thing))
