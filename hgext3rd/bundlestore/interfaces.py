"""The contracts of a bundle store and of a bundle index.

A backend is named by a URL whose scheme selects a *factory*, a callable
``factory(url: str, place: model.Place)`` that returns a provider of
:class:`IBundleStore` or :class:`IBundleIndex`. Factories are found through
the entry-point groups ``hg_bundlestore.stores`` and
``hg_bundlestore.indexes``. A factory neither connects nor creates anything;
the first call that needs to does. It raises ``UnknownScheme`` for a URL that
means nothing to it.

What holds for every method of both contracts:

* Calls may take milliseconds and may block on a network; callers batch.
* Other threads, other processes and other machines use the same backend at
  the same time. What they published is visible at the latest to the next
  call. A provider may be used by several threads at once, and survives a
  ``fork``: it opens what it needs anew in the child.
* Nothing but the exceptions of :mod:`errors` comes out, apart from what the
  caller's own iterators raise: ``BackendUnavailable`` where the world is at
  fault (space, rights, network, time), ``UnsupportedFormat`` where the data
  is newer than the code. Either means that nothing was changed.
* Reading never creates anything: before the first write an absent store or
  index is an empty one, unless it provides :class:`ISchema`.

What not every provider can do are interfaces of their own, such as
:class:`ILocalPath`. A class declares all that its objects provide, with
``zope.interface`` or with :mod:`declaring`, which costs a process nothing;
``declaring.provides`` asks, whichever it was. A method alone declares nothing.

``hgext3rd.bundlestore.testing`` holds test suites that certify a provider,
``docs/examples`` a package with one.
"""

from __future__ import annotations

from zope.interface import Attribute, Interface

# zope.interface describes methods without ``self``


class IBundleReader(Interface):
    """The bytes of one stored bundle, to be read once from front to end.

    It is a context manager; leaving it closes it.
    """

    size = Attribute('int: number of bytes in the whole bundle')

    def read(size: int = -1) -> bytes:
        """Return up to ``size`` bytes (all that are left if negative), and
        ``b''`` only at the end.

        The bytes are hashed on the way. The last of them are handed out only
        after the whole matched the key; ``CorruptBundle`` is raised in their
        place otherwise. A consumer that sees the end has seen true data.
        ``stores.reader.VerifyingReader`` does this with any raw file.
        """

    def close() -> None:
        """Let go of the resources; may be called again."""


class IPlainReader(IBundleReader):
    """A reader whose bytes were hashed and found true before the first of
    them is handed out, and are in a plain file of this machine."""

    path = Attribute(
        'bytes: the absolute path of that file, which the caller only reads;'
        ' it stays there until the reader is closed'
    )


class IStagedBundle(Interface):
    """A bundle that is written and durable but not visible yet.

    It is a context manager: leaving it without :meth:`publish` discards it.
    """

    key = Attribute('str: the key it will have')
    size = Attribute('int: number of bytes')

    def open() -> IBundleReader:
        """Return a reader of the staged bytes."""

    def publish() -> None:
        """Make the bundle visible under :attr:`key`.

        When it returns, the bundle survives the loss of power. A bundle that
        is there under the key already is replaced by these (same) bytes: a
        lost or rotten one is healed that way. Readers see the old one, the
        new one or, before the first publish, none; never a part. Does nothing
        when called again.
        """

    def discard() -> None:
        """Drop the staged bytes. Does nothing after :meth:`publish` or when
        called again."""


class IBundleStore(Interface):
    """Bytes by key. The key is the SHA-256 of the bytes in 64 lower-case
    hexadecimal digits, so a store holds equal bundles once and cannot hold
    two bundles under one key.

    Every method that takes a key raises ``InvalidKey`` for one of another
    form, before anything is looked up: a key never names a file outside.

    To remove what is not there creates no store either.
    """

    def stage(chunks) -> IStagedBundle:
        """Write the concatenation of ``chunks`` (an iterable of bytes, of any
        length each, consumed once as it comes, never held whole) and return
        it staged: hashed and durable, but invisible.

        Whatever ``chunks`` raises comes out as it is, with nothing left
        behind. A process that is killed leaves at most a stray that no
        method of the store ever shows.
        """

    def put(chunks) -> str:
        """:meth:`stage`, publish, and return the key."""

    def open(key: str) -> IBundleReader:
        """Return a reader; raises ``UnknownKey`` if there is no such
        bundle."""

    def size(key: str) -> int:
        """Return the number of bytes; raises ``UnknownKey``."""

    def delete(key: str) -> None:
        """Remove the bundle; raises ``UnknownKey``. A reader that is open
        may go on or fail, but never gets other bytes."""

    def keys():
        """Iterate over the keys of all published bundles, in no particular
        order. What comes or goes meanwhile may or may not be among them."""

    def modified(key: str) -> float:
        """Return when the bundle was last published, in seconds since the
        epoch by the clock of the store, of which it may tell whole seconds
        only; raises ``UnknownKey``."""

    def strays(age: float):
        """Iterate over what stagings that never ended left behind, as
        ``model.Stray``, if nothing was written to it for ``age`` seconds.
        What they left on another machine is that machine's to find."""

    def deletestray(name: str) -> None:
        """Remove a stray; does nothing if it is gone. A staging that still
        goes on fails then, with ``BackendUnavailable``."""

    # Notes are what is kept beside the bundles for when the index is lost, see
    # ``stores/notes.py``. A name is as ``model.checknotename`` has it,
    # else ``InvalidKey`` is raised.

    def putnote(name: str, data: bytes) -> None:
        """Keep ``data`` under ``name``, in the place of what was there, in
        one step. When it returns, the note survives the loss of power."""

    def note(name: str) -> bytes:
        """Return what is kept under ``name``; raises ``UnknownNote``."""

    def notes(prefix: str = ''):
        """Iterate over the names of all notes that begin with ``prefix``, in no
        particular order; with a folder in it this costs no more than what is
        in that. What
        comes or goes meanwhile may or may not be among them."""

    def deletenote(name: str) -> None:
        """Remove a note; raises ``UnknownNote``."""

    def close() -> None:
        """Let go of resources; the store opens them anew when used again."""


class ILocalPath(Interface):
    """Ability of a store, or of a staged bundle: the bytes are in a plain
    file of this machine."""

    def localpath(key: str) -> bytes:
        """Return the absolute path of the file with exactly the bundle's
        bytes; raises ``UnknownKey``. The caller only reads it. The bytes are
        *not* checked against the key here; read them through
        ``IBundleStore.open`` once where they must be true."""


class IAhead(Interface):
    """Ability of a staged bundle: what takes long of ``publish`` can be done
    before, while nobody waits."""

    def ahead() -> bool:
        """Do so; return whether the bundle got its name by that, though no
        push has it yet. It is to be removed by ``IBundleIndex.discard`` then
        if it is not published; leaving the context does not do that.

        Raises ``BackendUnavailable``. :meth:`IStagedBundle.publish` is needed
        all the same, and sees to it that the bundle is there.
        """


class IDownloadURL(Interface):
    """Ability of a store: clients can fetch a bundle without this server."""

    def downloadurl(key: str) -> str:
        """Return a URL that answers GET with the bundle's bytes for at least
        the next ten minutes; raises ``UnknownKey``."""


class ICached(Interface):
    """A store that has copies of bundles at hand, and hands these out."""

    uncached = Attribute(
        'IBundleStore: the store that the bundles are in, for whoever wants to'
        ' know how it is with them there'
    )


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
        looks. What is changed by way of it is changed."""

    def unseen(first: int = 1, limit=None) -> list:
        """Return the pushes that are private to a view that is not recorded,
        so that nobody sees them, with that id or a higher one, in ascending
        order; only the first ``limit`` of them, where given."""


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
