"""What an index may be able to besides its contract."""

from __future__ import annotations

from zope.interface import Interface

# zope.interface describes methods without ``self``


class IStatuses(Interface):
    """Ability of an index: it keeps what was pushed along with a push
    (``pushvars`` of ``model.NewPush`` and ``model.Push``, which another one
    drops), and how it went.

    What is known of a push goes with the push, and stays when the same push is
    restored.
    """

    def setstatus(id: int, status) -> None:
        """Note a ``model.Status`` of a push, in the place of the one with the
        same context, if there is one; durable when the method returns.

        Raises ``UnknownPush``, ``TooManyStatuses`` where the push would have
        more than ``model.STATUSES``, and ``ValueError`` as
        ``model.Status.check``."""

    def statuses(ids) -> dict:
        """Return ``{id: [model.Status, …]}``, sorted by context, for those of
        some pushes (an iterable of int) that have any; in one step, and at
        next to no cost for those that have none."""


class IDeliveries(Interface):
    """Ability of an index: it keeps how far others were told of the pushes."""

    def deliveries() -> dict:
        """Return ``{name: model.Delivery}``."""

    def setdelivery(delivery) -> bool:
        """Put a ``model.Delivery`` in the place of the one with that name, if
        that has the same ``edition`` (0: there is none), and return whether
        it was put there; durable when the method returns. It has the next
        edition then. Raises ``ValueError`` as ``model.Delivery.check``.

        So whoever keeps a delivery that was read knows that nobody else
        changed it since."""

    def owed(told: int) -> int:
        """Return how many pushes have a greater id than that."""


class ILandings(Interface):
    """Ability of an index: it keeps where changesets of a push landed in the
    base repository.

    That goes with the push, and stays when the same push is restored.
    """

    def setlanding(id: int, landing) -> None:
        """Note a ``model.Landing`` of a push, in the place of the one of the
        same changeset, if there is one; durable when the method returns.
        Whether the push has that changeset is not looked at.

        Raises ``UnknownPush``, and ``ValueError`` as
        ``model.Landing.check``."""

    def landings(ids) -> dict:
        """Return ``{id: [model.Landing, …]}``, sorted by changeset, for those
        of some pushes (an iterable of int) that have any; in one step, and at
        next to no cost for those that have none."""


class ILabels(Interface):
    """Ability of an index with ``IStatuses``: it keeps the branches of pushes
    (``branches`` of ``model.NewPush`` and ``model.Push``, which another one
    drops), and selects pushes by branch and by how they went."""

    def pushes(
        first: int = 1,
        last=None,
        user=None,
        node=None,
        text=None,
        since=None,
        until=None,
        limit=None,
        newestfirst: bool = False,
        status=None,
        branch=None,
    ) -> list:
        """As ``IBundleIndex.pushes``, with two more that may be given:

        * ``status``: one of ``model.OUTCOMES``, as ``model.outcome``; raises
          ``ValueError`` for anything else;
        * ``branch``: one of the push's branches, as ``model.branch`` has it.

        The cost depends on what is returned, not on what is skipped, for a
        range of ids with either of them. A backend may do worse with both, or
        with other things besides."""


class IPresence(Interface):
    """Ability of an index: it knows whether a push is there at less than the
    cost of reading it."""

    def haspush(id: int) -> bool:
        """Whether there is a push with that id."""


class IRestoreMany(Interface):
    """Ability of an index: many pushes are restored at little more than the
    cost of one."""

    def restoremany(pushes) -> None:
        """As ``IBundleIndex.restore`` of each of some ``model.Push``, one
        after the other, but all or none."""


class ISetAside(Interface):
    """Ability of an index: it can begin anew where it is damaged."""

    def setaside() -> str:
        """Move what is there out of the way, so that the index is an empty
        one, and return (for a message) where it is now. Nobody may be using
        the index."""


class ISchema(Interface):
    """Ability of an index whose tables are made on demand: it cannot be used
    before, not even read."""

    def schema(create: bool = False) -> bool:
        """Return whether the tables are missing, or those of an older release;
        with ``create``, make them or bring them up to date. Nothing that was
        recorded goes."""
