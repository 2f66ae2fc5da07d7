"""The contract of a bundle index."""

from __future__ import annotations

from zope.interface import Interface

# zope.interface describes methods without ``self``


class IBundleIndex(Interface):
    """Finds bundles by changeset and bookmark, and pushes by id.

    Push ids are 1, 2, 3 … They *become visible in order*: a caller that has
    seen push N will never see a push with a smaller id appear later, even
    where pushes commit at the same moment in several processes. An id is
    never given again; gaps are allowed.

    These locks are enough for what is promised here and below:

    * one for each bundle, which is held while ``publish`` or ``delete`` is
      called, keeps :meth:`record` and :meth:`discard` apart;
    * what :meth:`record` looks at before it calls ``publish`` (the bookmarks
      that it moves, the bundles that this one rests on, with a quota the user)
      stays as it is until the end;
    * one for the whole index, around the commit, puts ids in order. It may be
      taken, and the id given, after ``publish`` returned.

    So pushes of different bundles need not wait while one of them is
    published, which may take long where the store is on a network. Who has
    but one lock for all, such as ``file``, holds it meanwhile.

    The index knows nothing of the repository it belongs to: whether a
    changeset has landed meanwhile is the caller's question.

    Texts and names hold neither a NUL nor a surrogate, and the name of a user
    or a bookmark has at most ``model.NAME_LENGTH`` characters: what records
    another raises ``ValueError`` before anything else, and what looks for it
    finds nothing. Who receives a push repairs its texts (``model.totext``),
    as :meth:`restore` does with those of an older release.
    """

    def record(push, publish=None, quota=None) -> object:
        """Record a ``model.NewPush`` and return it as a ``model.Push``.

        All of it becomes visible in one step (id, changesets, bookmark
        moves) and survives the loss of power when the method returns. The
        same bundle may be recorded any number of times, once a push.

        ``publish()`` makes the bundle durable in the store. It is called
        when nothing but a failure of the index can keep the push from being
        recorded, and while no :meth:`discard` looks at the bundle; without
        it, the caller made the bundle durable before. What it raises comes
        out, and nothing is recorded. It changes nothing in the index: it
        would wait for itself.

        It is called at most once. So where a connection is lost or a deadlock
        met, all of this may be tried again only before ``publish`` was called;
        afterwards it is ``BackendUnavailable``, and what was published has no
        push. Where the connection is lost while the transaction ends, the
        index finds out whether it did. If it cannot, it says so: this is the
        one ``BackendUnavailable`` behind which something may have changed.

        With ``quota`` (bytes), raises ``QuotaExceeded`` if the user would
        then hold more than that; a bundle that the user holds already adds
        nothing and is never refused for its own sake. A push that gives the
        user more scratch bookmarks is also refused where these, at
        ``model.MARK_SIZE`` each, and the bundles are more than the quota. A
        bookmark is whose push or move put it where it is.

        Recording finds changesets again that an earlier push of another
        bundle brought; both bundles hold them then.

        What a bundle rests on (``rests``, ``below``) is remembered from when
        it was first recorded. What those in ``rests`` rest on themselves is
        added where it is missing, and all put in order.

        Raises ``BookmarkMoved`` if a bookmark is not where its move expects
        it, and ``BundleGone`` if a bundle that this one rests on is not
        recorded (any more); nothing is recorded then.
        """

    def movebookmarks(
        moves, time: float = 0.0, user: str = '', quota=None
    ) -> object:
        """Apply some ``model.BookmarkMove`` without a push, all or none, and
        return ``model.Moved``; durable when the method returns. Raises
        ``BookmarkMoved``, and ``QuotaExceeded`` as :meth:`record` does of
        bookmarks.

        It is an event with an id from the sequence of the pushes, which
        becomes visible in order with them, but no push: no method that
        returns pushes knows it. A bookmark that is where it shall be already
        stays whose it is, and is not among what changed. Without any moves
        nothing is recorded, and the id is the highest that was given."""

    def moved(names) -> set:
        """Return those of ``names`` (an iterable of str) that some recorded
        push has moved to a changeset, wherever they are now."""

    def forgetmoves(before: float) -> None:
        """Forget when moves without a push were made that were made before
        that time: :meth:`times` knows them no more. Their ids are not given
        again, and bookmarks stay where they are."""

    def locate(nodes, without=()) -> dict:
        """Return ``{node: model.Location}`` for those of ``nodes`` (an
        iterable of bytes) that some bundle holds; the others are absent.

        Where several bundles hold a changeset, one that has it as a head is
        preferred, and among equals the one recorded first, so that later
        pushes on top of a changeset do not move it.

        Bundles whose keys are in ``without`` (a collection of str) are passed
        over, as though they did not hold anything: so a caller who cannot
        read a bundle finds the next one. What rests on them is not passed
        over. Without it the call must be quick, with it it need not be.
        """

    def bundles(keys) -> dict:
        """Return ``{key: model.Bundle}`` for those of ``keys`` (an iterable
        of str) that are recorded; the others are absent."""

    def nodes(prefix: str, limit: int = 10) -> list:
        """Return up to ``limit`` changesets (20-byte nodes, ascending) whose
        hexadecimal form starts with ``prefix``, 1 to 40 lower-case
        hexadecimal digits; ``ValueError`` for anything else."""

    def bookmark(name: str):
        """Return the node of the scratch bookmark, or None."""

    def bookmarks(pattern: str = '*', limit=None) -> list:
        """Return ``model.Bookmark`` records, sorted by name, whose whole name
        matches ``pattern``: ``*`` stands for any run of characters, ``?`` for
        one, anything else for itself, case counts. With ``limit`` only the
        first so many."""

    def listbookmarks(pattern: str = '*', after: str = '', limit=None) -> list:
        """Return ``model.ListedBookmark`` records of what :meth:`bookmarks`
        finds, in the same order: those whose name sorts behind ``after``. The
        cost depends on what is returned, and on how many names begin as the
        pattern does."""

    def push(id: int):
        """Return the ``model.Push`` of that id; raises ``UnknownPush``."""

    def lastid() -> int:
        """Return the highest id that was ever given and is visible, 0 before
        the first push."""

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
    ) -> list:
        """Return the pushes with ``first <= id <= last`` (None: no end), in
        ascending order of id, or descending with ``newestfirst``; only the
        first ``limit`` of them, where given.

        What else is given selects further; all of it must hold:

        * ``user`` (str): who pushed, exactly;
        * ``node``: a changeset of the push (``Push.changesets``);
        * ``text`` (str): for each word of it, a word that begins with it
          must be in the push's text. A word is a run of letters and digits;
          case does not matter, nor do accents if the backend can see to
          that. A text without a word selects everything; none is an error.
        * ``since``, ``until`` (float, seconds): ``since < time < until``,
          for those that are not None. Time does not follow id where a clock
          was set back, so with either of them the order, of which ``limit``
          takes the first, is that of ``(time, id)``.

        The cost depends on what is returned, not on what is skipped, for a
        range of ids, alone or with a user, a changeset, a text, or a user and
        a text; and for a range of times, alone or with a user. A backend may
        do worse with other combinations, and where it cannot search texts.
        """

    def remove(id: int, evenpinned: bool = True) -> list:
        """Remove a push; raises ``UnknownPush``, and ``PinnedPush`` for one
        that is pinned, unless ``evenpinned``.

        Scratch bookmarks that this push moved to where they are go with it.

        A bundle stays recorded as long as a push has it or a recorded bundle
        rests on it, and its changesets are found as long. Returns the keys of
        the bundles that are not recorded any more, which the caller may
        delete from the store: none, one, or with it those that only it rested
        on.
        """

    def discard(key: str, delete) -> bool:
        """Call ``delete()``, which removes the bundle ``key`` from the store,
        if that bundle is not recorded, and return whether it was called. No
        :meth:`record` of the bundle succeeds meanwhile: it waits."""

    def pin(id: int, pinned: bool = True) -> None:
        """Say whether a push is kept whatever its age; raises
        ``UnknownPush``."""

    def usage(user: str) -> object:
        """Return what a user holds, as ``model.Usage``, at a cost that does
        not depend on how much that is."""

    def users() -> list:
        """Return the ``model.Usage`` of all who hold anything, most bytes
        first, then by name."""

    def times(user: str, since: float, limit: int) -> list:
        """Return when a user made pushes, and moves of bookmarks without
        one, with ``since < time``: the first ``limit`` times, in ascending
        order."""

    def statistics() -> object:
        """Return ``model.Statistics``. This may take a while."""

    def problems():
        """Iterate over what is wrong with the index itself, apart from what
        a look at the store shows: sentences (str) without a period. This may
        take long. Raises ``BackendUnavailable`` if nothing can be read."""

    def restore(push, bookmarks: bool = True) -> None:
        """Record a ``model.Push`` under its own id, in the place of what has
        that id; for repairs, in ascending order of ids where bundles rest on
        others. Raises ``BundleGone``. With ``bookmarks``, scratch bookmarks
        are moved to where the push moved them, wherever they are.

        What is known of its bundle becomes what the push says, for all pushes
        of the bundle. Until the next :meth:`reserve` it may not survive the
        loss of power; what does is whole."""

    def restoremove(move) -> None:
        """Put a bookmark, wherever it is, where a ``model.RestoredMove`` put
        it, under the id of that; for repairs, and as durable as
        :meth:`restore`."""

    def reserve(id: int) -> None:
        """See to it that no push is given this id or a smaller one, and that
        all that was restored survives the loss of power."""

    def close() -> None:
        """Let go of resources; the index opens them anew when used again."""
