"""What the base repository has, for who keeps order.

Of several servers, each has a copy of the base of its own (see
``bundle/replica.py``), and what landed elsewhere may not be in this one yet.
Nothing may go for that, nor be taken for lost.
"""

from __future__ import annotations

from typing import Protocol

from ..bundle import replica


class Base(Protocol):
    """What this folder asks of a base repository."""

    #: whether it may lack what others have
    lags: bool

    def has(self, node: bytes) -> bool:
        """Whether it has a changeset, be it hidden."""


class Repository:
    """The base repository ``repo`` of the bundle store ``server``. What it
    lacks first has it brought up to date, where there is a way to do that."""

    def __init__(self, repo, server) -> None:
        self._repo = repo.unfiltered()
        self._server = server
        self._isasked = False
        self.lags = False

    def has(self, node: bytes) -> bool:
        if self._repo.changelog.hasnode(node):
            return True
        settings = self._server.settings
        if settings.onmissingbase is None or self._isasked:
            return False
        self._isasked = True
        self.lags = not replica.update(self._repo, self._server, node)
        return bool(self._repo.changelog.hasnode(node))
