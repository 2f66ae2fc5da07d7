"""The bundle store of one repository: settings, store and index together.

A repository that keeps a bundle store carries one :class:`Server` as
``repo.bundlestore`` (see ``serve.py``); others have none. Store and index are
opened when first used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Optional

from mercurial import encoding, error, vfs as vfsmod

from . import backends, config, errors, model, names


def of(repo):
    """Return the :class:`Server` of ``repo`` (any view of it), or None."""
    # Not with a default for "bundlestore": one that fails with an
    # AttributeError would count as none, and pushes would land.
    return repo.bundlestore if getattr(repo, 'hasbundlestore', False) else None


def servedview(repo):
    """Return the view of ``repo`` that clients see."""
    if repo.filtername is None:
        return repo.filtered(b'served')
    return repo


def hasnode(repo, node: bytes) -> bool:
    """Whether ``node`` is a changeset that clients of ``repo`` see."""
    try:
        return servedview(repo).changelog.hasnode(node)
    except error.WdirUnsupported:
        # forty times f: Mercurial's name for the working directory
        return False


def tolocal(text: str) -> bytes:
    """Return text of ours in the encoding that Mercurial shows it in."""
    return encoding.tolocal(text.encode('utf-8', 'surrogateescape'))


def totext(local: bytes) -> str:
    """Return as text what Mercurial has in the local encoding, such as a name
    that somebody gave; what makes no sense there is replaced."""
    try:
        data: bytes = encoding.fromlocal(local)
    except error.Abort:
        data = local
    return data.decode('utf-8', 'replace')


@contextlib.contextmanager
def aborting() -> Iterator[None]:
    """Turn the exceptions of stores, indexes and checks into an abort."""
    try:
        yield
    except errors.BundleStoreError as exc:
        hint = None if exc.hint is None else tolocal(exc.hint)
        raise error.Abort(tolocal(exc.message), hint=hint) from exc


def nothing() -> None:
    """Do nothing."""


class Server:
    """The bundle store of one repository object.

    It holds no reference to the repository: the repository holds it.
    """

    def __init__(self, repo, spools: bool) -> None:
        self.settings = config.settings(repo.ui)
        self.isscratchbookmark = config.bookmarkmatcher(repo.ui)
        # A share has the store of its source: a try URL and its base are one.
        self._directory = repo.vfs.reljoin(repo.sharedpath, b'bundlestore')
        self._mode = repo.store.createmode
        #: where a share logs (see ``log.py``), None if the repository is none
        self.basevfs = None
        if repo.sharedpath != repo.path:
            self.basevfs = vfsmod.vfs(repo.sharedpath)
            self.basevfs.createmode = self._mode
        self._store: Any = None
        self._index: Any = None
        #: whether pushes that go to the base are put into a temporary file
        #: first, as Mercurial does (see ``route``)
        self.spools = spools
        #: whether this repository was opened as another's peer, by path
        self.haspeer = False
        #: overlays that a command looks into by way of that peer
        self.views: list[Any] = []
        #: who the wire protocol serves now, as in the url of a push
        self.client = b''
        #: what the log calls the request (see ``log.py``)
        self.requestid: Optional[bytes] = None
        #: bytes of the request that it makes, None if it does not say
        self.announced: Optional[int] = None
        #: how many bytes of bundles the request may have read to learn what
        #: need not be pushed (see ``known.py``)
        self.allowance: Any = None
        #: lifts the limit on the time that a client may take to push (see
        #: ``patience.py``)
        self.lifttimeout: Callable[[], None] = nothing
        #: whether the client may push to the store but not to the base (see
        #: ``web/permissions.py``)
        self.storeonly = False
        #: the first of the scratch changesets that this very connection
        #: pushed or pulled (see ``serve.listkeys``); over http, where each
        #: request stands alone, there are none
        self.scratchroots: set[bytes] = set()

    @property
    def capabilities(self) -> tuple[bytes, ...]:
        """What the repository tells of itself."""
        if self.settings.routeall:
            return (*names.CAPABILITIES, names.ALLSTORED)
        return names.CAPABILITIES

    @property
    def _place(self) -> model.Place:
        return model.Place(self._directory, self._mode)

    @property
    def store(self):
        if self._store is None:
            with aborting():
                self._store = backends.openstore(
                    self.settings.storeurl, self._place
                )
        return self._store

    @property
    def index(self):
        if self._index is None:
            with aborting():
                self._index = backends.openindex(
                    self.settings.indexurl, self._place
                )
        return self._index

    def locate(
        self, repo, nodes: Iterable[bytes], without: Collection[str] = ()
    ) -> dict[bytes, model.Location]:
        """Return where those of ``nodes`` are that are scratch changesets.

        What the base repository shows is not: a changeset that has landed is
        served from there. ``without`` is as in ``IBundleIndex.locate``.
        """
        wanted = [n for n in nodes if not hasnode(repo, n)]
        if not wanted:
            return {}
        with aborting():
            return self.index.locate(wanted, without)
