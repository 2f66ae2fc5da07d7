"""What a store and an index may be able to alike."""

from __future__ import annotations

from zope.interface import Interface

# zope.interface describes methods without ``self``


class IReserve(Interface):
    """A store or an index that needs room to give room back, and keeps some
    for that day."""

    def keepreserve() -> None:
        """See to it that there is a reserve, if there is plenty of room. It
        costs next to nothing where there is one."""

    def makeroom() -> bool:
        """Give the reserve back, and whatever else is of no use; return
        whether there is more room now. Nothing that was stored goes."""


class ISelfCheck(Interface):
    """A store or an index that can tell what keeps it from working."""

    def troubles():
        """Iterate over what a write would meet, as exceptions of
        :mod:`errors`: no right to write, no room. It is quick, and changes
        nothing."""
