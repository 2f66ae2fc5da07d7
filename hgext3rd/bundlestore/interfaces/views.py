"""What an index may be able to: it keeps views, and what of them is
private."""

from __future__ import annotations

from zope.interface import Interface

# zope.interface describes methods without ``self``


class IViews(Interface):
    """Ability of an index: it keeps views, see ``viewmodel.View``.

    A view has an id (``uid``) of 32 hexadecimal digits all its life, and at
    any time one name, which no other view of its owner has, dropped or not.
    Of each version of it is kept how it came about, until that is forgotten.
    One that names no view finds nothing, and is no error, unless it says so.
    """

    def putview(view, expected: int) -> object:
        """Make ``view``, a ``viewmodel.View``, the next version of the view
        with its ``uid``, if that has the version ``expected`` now; return it
        as it was recorded, durable. Without a ``uid``, and with ``expected``
        0, it is a new view.

        All of it becomes that of ``view``: heads, bookmarks, state, writers,
        name, whether it is dropped, time, user and machine. Its ``version``
        counts for nothing.

        One that would change nothing but time, user and machine changes
        nothing, and what is there is returned, whatever was expected: so who
        does not know whether a change was recorded may try it again.

        Raises ``ViewMoved``, with what is there, where that has another
        version, or is gone; ``ViewExists`` if another view of the owner has
        that name; and ``ValueError`` as ``viewmodel.View.check``, and where
        the view is somebody else's. Nothing is changed then.

        A change of a few heads or bookmarks writes no more than a view of
        few would have written."""

    def view(owner: str, name: str):
        """Return the ``viewmodel.View`` of that name, be it dropped, or
        None."""

    def viewbyid(uid: str):
        """Return the ``viewmodel.View`` with that id, or None."""

    def viewat(uid: str, version: int):
        """Return the ``viewmodel.View`` as it was with that version, but for
        its ``state``, which is that of now; None if there is no such version,
        or it was forgotten."""

    def views(owner=None, prefix: str = '', after=None, limit=None) -> list:
        """Return ``viewmodel.ViewSummary`` records, sorted by owner and name,
        dropped ones among them: those of ``owner`` (None: of all), whose names
        begin with ``prefix``, and that sort behind ``after``, a pair of owner
        and name; only the first ``limit`` of them, where given.

        The cost depends on what is returned, not on what is skipped, but for
        a prefix without an owner."""

    def viewlog(uid: str, before=None, limit=None) -> list:
        """Return how the versions of a view came about, less than ``before``,
        as ``viewmodel.ViewChange``, newest first; only the first ``limit`` of
        them, where given. The oldest version that is not forgotten comes from
        nothing: all it has was added."""

    def viewed(nodes, since=None) -> set:
        """Return those of ``nodes`` (an iterable of bytes) that are a head of
        a view, or where one of its bookmarks is; that view is not dropped, and
        was last changed at ``since`` (a time) or later, where given. The cost
        does not depend on how many views there are."""

    def countviews() -> object:
        """Return the ``viewmodel.ViewCounts`` of all, whoever looks. This may
        take a while."""

    def oldviews(before: float) -> dict:
        """Return which views are known as they were at more than one time
        before that one, as ``{uid: version}``: the version that they had
        then. Older ones may be forgotten. This may take a while."""

    def forgetviews(uid: str, before: int) -> None:
        """Forget the versions of a view that are less than ``before``, but
        never what it is now."""

    def removeview(uid: str, version=None) -> None:
        """Forget a view altogether; its name is free then. With ``version``,
        raises ``ViewMoved`` if it has another one, with what is there."""

    def restoreview(view, log) -> None:
        """Put a ``viewmodel.View`` with its ``uid`` and ``version``, and how
        it came about, as :meth:`viewlog` returns it, in the place of the view
        with that ``uid``; for repairs, durable. Raises ``ViewExists``."""


class IPrivacy(Interface):
    """Ability of an index with ``IViews``: it keeps pushes that are private
    (``private`` of ``model.NewPush`` and ``model.Push``), and tells what of
    these, and of views that are private, somebody sees. Another one refuses to
    record them, with ``ValueError``.

    A bundle is of one view, or everybody's: to record it as another's is a
    ``ValueError``. It rests on none but those of its view, and everybody's;
    others are as good as ``BundleGone``. The same changeset may be in bundles
    of any number of views.
    """

    def seen(user: str, uid=None) -> object:
        """Return this index as somebody sees it: ``user``, nobody if empty.

        In that one are views that are private, and their bundles and what
        these hold (:meth:`IBundleIndex.locate`, :meth:`IBundleIndex.nodes`,
        :meth:`IBundleIndex.bundles`), only where ``viewmodel.maylook`` says
        so of the view; of one that is not recorded nobody sees anything. With
        ``uid``, no bundles but those of that view, as for one who pushes to
        it.

        Pushes that are private are in no list there and have no id, whoever
        looks, and of users there are those who made others. What is changed
        by way of it is changed."""

    def unseen(first: int = 1, limit=None) -> list:
        """Return the pushes that are private to a view that is not recorded,
        so that nobody sees them, with that id or a higher one, in ascending
        order; only the first ``limit`` of them, where given."""
