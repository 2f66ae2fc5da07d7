"""The bundle store of one repository: settings, store and index together.

A repository that keeps a bundle store carries one :class:`Server` as
``repo.bundlestore`` (see ``fetch/serve.py``); others have none. Store and
index are opened when first used.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Optional, TypeVar

from mercurial import encoding, error, vfs as vfsmod
from mercurial.i18n import _

from . import backends, config, errors, guest, model, moving, names, unfit
from .request import Request

T = TypeVar('T')

#: how many changesets are remembered that a changelog does not have
_ABSENT = 1000


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
    log = repo.unfiltered().changelog
    absent = _absentfrom(log)
    if node in absent:
        return False
    rev = log.index.get_rev(node)
    if rev is None:
        absent.add(node)
        return False
    return rev not in servedview(repo).changelog.filteredrevs


def _absentfrom(log) -> set[bytes]:
    """Return changesets that are known not to be in a changelog.

    To find that out means to go through all of it, and the fifth time,
    Mercurial (``index_find_node`` in ``cext/revlog.c``) begins to build a tree
    of all hashes. A push asks more often than that, but of the same few.
    """
    length, absent = getattr(log, '_bundlestoreabsent', (None, set()))
    if length != len(log) or len(absent) >= _ABSENT:
        absent = set()
        log._bundlestoreabsent = len(log), absent
    return absent


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


def fromutf8(name: bytes) -> bytes:
    """Return in the local encoding a name that came in UTF-8.

    Mercurial sends and links some names in the encoding of whoever does it. If
    it cannot be UTF-8, it is taken as it is.
    """
    try:
        name.decode('utf-8')
    except UnicodeDecodeError:
        return name
    local: bytes = encoding.tolocal(name)
    return local


@contextlib.contextmanager
def aborting() -> Iterator[None]:
    """Turn the exceptions of stores, indexes and checks into an abort."""
    try:
        yield
    except errors.BundleStoreError as exc:
        raise _abort(exc) from exc


def _abort(trouble: errors.BundleStoreError | guest.Trouble) -> error.Abort:
    hint = None if trouble.hint is None else tolocal(trouble.hint)
    abort = error.Abort(tolocal(trouble.message), hint=hint)
    if isinstance(trouble, guest.Trouble):
        abort.__cause__ = errors.BackendUnavailable(
            trouble.message, trouble.hint
        )
    return abort


@contextlib.contextmanager
def noting(ui) -> Iterator[None]:
    """Warn if what is in the index by now cannot be noted beside the bundles
    as well: it must not look as if it had failed."""
    try:
        yield
    except errors.BundleStoreError as exc:
        ui.warn(
            _(b'warning: stored, but not noted beside the bundle: %s\n')
            % tolocal(exc.message)
        )


class Server:
    """The bundle store of one repository object.

    It holds no reference to the repository: the repository holds it.
    """

    def __init__(self, repo, spools: bool) -> None:
        self._ui = repo.ui
        self.settings = config.settings(repo.ui)
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
        # as it was seen last, behind who saw it
        self._seen: tuple[Any, ...] = ()
        self._isunfit = unfit.isunfit(repo)
        #: whether pushes that go to the base are put into a temporary file
        #: first, as Mercurial does (see ``route``)
        self.spools = spools
        #: whether this repository was opened as another's peer, by path
        self.haspeer = False
        #: overlays that a command looks into by way of that peer
        self.views: list[Any] = []
        #: the one that it answers now
        self.request = Request()
        #: see :meth:`rememberroots`
        self.scratchroots: set[bytes] = set()
        #: what overlays found out that later ones need, by the room that
        #: keeps it
        self.kept: dict[str, Any] = {}

        #: why the index could not be asked for the base's sake, if so
        self.trouble: Optional[guest.Trouble] = None
        self._key: guest.Key = (
            self._directory,
            self.settings.storeurl,
            self.settings.indexurl,
        )
        self._logwrong()

    def rememberroots(self, roots: Iterable[bytes]) -> None:
        """Note the first of the scratch changesets that this very connection
        pushes or pulls (see ``fetch/keys.py``). Over http, where each request
        stands alone, there are none."""
        if not self.request.ishttp:
            self.scratchroots.update(roots)

    # -- settings

    def _logwrong(self) -> None:
        """Log what is wrong with the configuration, now and then."""
        key = (*self._key, 'configuration')
        for exc in self.settings.wrong.values():
            if guest.current(key) is None:
                self._logtrouble('configuration', exc.message)
        if self.settings.wrong:
            what = errors.BundleStoreError('the configuration is wrong')
            guest.met(key, 'configuration', what, 0)

    def checksettings(self) -> None:
        """Abort if an item of the configuration means nothing: to be called
        before the store is changed in any way."""
        for exc in self.settings.wrong.values():
            raise _unusable(exc)

    def checkroute(self) -> None:
        """Abort if nobody can tell where pushes go: none of them may land."""
        exc = self.settings.wrong.get('route')
        if exc is not None:
            raise _unusable(exc)

    @functools.cached_property
    def _matches(self) -> Callable[[bytes], bool]:
        return config.bookmarkmatcher(self._ui)

    def isscratchbookmark(self, name: bytes) -> bool:
        """Whether a bookmark of that name is a scratch bookmark. Aborts if
        the pattern means nothing: what moves it must not land."""
        exc = self.settings.wrong.get('bookmark-pattern')
        if exc is not None:
            raise _unusable(exc)
        return self._matches(name)

    def maybescratchbookmark(self, name: bytes) -> bool:
        """The same for who only reads: False if the pattern means nothing."""
        if 'bookmark-pattern' in self.settings.wrong:
            return False
        return self._matches(name)

    # -- store and index

    @property
    def capabilities(self) -> tuple[bytes, ...]:
        """What the repository tells of itself."""
        if self.settings.routeall:
            return (*names.CAPABILITIES, names.ALLSTORED)
        return names.CAPABILITIES

    @functools.cached_property
    def place(self) -> model.Place:
        """Where the store and the index are, unless configured otherwise."""
        return model.Place(self._directory, self._mode, config.items(self._ui))

    @functools.cached_property
    def cache(self):
        """The folder for what can be made anew, a ``CacheFolder``."""
        from . import cachefolder  # a push does not need it

        directory = os.path.join(self._directory, b'cache')
        return cachefolder.CacheFolder(directory, self._mode)

    @property
    def store(self):
        with aborting():
            return self.openstore()

    def openstore(self):
        """Return the store; raises ``BundleStoreError``."""
        if self._store is None:
            self._checkfit()
            self._store = backends.openstore(
                self.settings.storeurl, self.place, self.settings.cachesize
            )
        return self._store

    @property
    def index(self):
        """The index as who asks sees it: nothing that is private to others. A
        room that does not think of that shows nothing it should not."""
        with aborting():
            return self._openseen()

    @property
    def wholeindex(self):
        """All of it: for who keeps the store, and for what is recorded."""
        with aborting():
            return self._openindex()

    def _openseen(self):
        from .declaring import provides  # not before it is needed

        whole = self._openindex()
        if not provides(whole, 'IPrivacy'):
            return whole
        request = self.request
        # who pushes for everybody sees what everybody does
        user = '' if request.pushesto == '' else request.user
        key = (whole, user, request.pushesto)
        seen = self._seen
        if seen[:3] != key:
            # a question that took too long may still be asked by a thread of
            # its own, for somebody else
            self._seen = seen = (*key, whole.seen(user, request.pushesto))
        return seen[3]

    def _openindex(self):
        if self._index is None:
            self._checkfit()
            index = backends.openindex(self.settings.indexurl, self.place)
            self._index = moving.guarded(index, self._checkmoving)
        return self._index

    def _checkmoving(self) -> None:
        move = moving.read(self.openstore())
        if move is not None and move.isclosed(
            self.settings.storeurl, self.settings.indexurl
        ):
            raise errors.StoreMoving

    def checkopen(self) -> None:
        """Raise ``StoreMoving`` if nothing may be changed: to be called before
        work that would be in vain."""
        self._openindex().checkopen()

    def _checkfit(self) -> None:
        if self._isunfit:
            raise unfit.trouble()

    def ask(
        self, question: Callable[[Any], T], absent: T, retry: bool = False
    ) -> T:
        """Return what ``question``, which is called with the index, makes of
        it, for an answer that the base can give without.

        Whatever is wrong with the index, nothing is raised, and nobody waits
        for long: ``absent`` is returned, and ``trouble`` says why. After
        trouble nobody asks again for a while, or, with ``retry``, only if it
        took no time to find out.
        """
        before = guest.current(self._key)
        if before is not None and (before.slow or not retry):
            self.trouble = before
            return absent
        self.trouble = None
        try:
            start = time.monotonic()
            answer = self._asked(question, guest.PATIENCE)
        except Exception as exc:
            self._met(exc, time.monotonic() - start)
            return absent
        guest.over(self._key)
        return answer

    def need(self, question: Callable[[Any], T], retry: bool = False) -> T:
        """Return what ``question``, which is called with the index, makes of
        it, for an answer that needs the store; aborts if it cannot be had.

        After trouble that took long to find out the abort comes at once,
        unless with ``retry``: there are threads that the base needs.
        """
        before = guest.current(self._key)
        if before is not None and before.slow and not retry:
            raise _abort(before)
        self.trouble = None
        try:
            start = time.monotonic()
            answer = self._asked(question, guest.NEED)
        except Exception as exc:
            if isinstance(exc, errors.BundleStoreError) and not isinstance(
                exc, (errors.BackendUnavailable, errors.UnknownScheme)
            ):
                # an answer, if not the one that was wanted
                raise _abort(exc) from exc
            raise _abort(self._met(exc, time.monotonic() - start)) from exc
        guest.over(self._key)
        return answer

    def _asked(self, question: Callable[[Any], T], seconds: float) -> T:
        return backends.within(
            seconds,
            self.settings.indexurl,
            lambda: question(self._openseen()),
        )

    def _met(self, exc: Exception, seconds: float) -> guest.Trouble:
        self.trouble = guest.met(self._key, 'bundle index', exc, seconds)
        self._logtrouble(
            'index', tolocal(self.trouble.message), self.trouble.hint
        )
        return self.trouble

    def _logtrouble(
        self, what: str, why: bytes, hint: Optional[str] = None
    ) -> None:
        from . import log  # few processes need it

        log.event(self._ui, self, 'trouble', what=what, reason=why, hint=hint)

    def checktrouble(self) -> None:
        """Abort if the index could not be asked."""
        if self.trouble is not None:
            raise _abort(self.trouble)

    def cause(self) -> bytes:
        """Return what to put behind an answer of the base that might be
        another if the index could have been asked."""
        if self.trouble is None:
            return b''
        return _(b' (the bundle store could not be asked: %s)') % tolocal(
            self.trouble.message
        )

    def locate(
        self,
        repo,
        nodes: Iterable[bytes],
        without: Collection[str] = (),
        forbase: bool = False,
    ) -> dict[bytes, model.Location]:
        """Return where those of ``nodes`` are that are scratch changesets.

        What the base repository shows is not: a changeset that has landed is
        served from there. ``without`` is as in ``IBundleIndex.locate``. With
        ``forbase`` it is asked for the base's sake, as :meth:`ask` does.
        """
        wanted = [n for n in nodes if not hasnode(repo, n)]
        if not wanted:
            return {}
        if forbase:
            return self.ask(lambda index: index.locate(wanted, without), {})
        return self.need(lambda index: index.locate(wanted, without))


def _unusable(exc: error.ConfigError) -> error.Abort:
    """Return what refuses to use a store with such a configuration."""
    return error.ConfigError(
        exc.message,
        hint=exc.hint
        or _(b'nothing was pushed; the administrator must mend that item'),
    )
