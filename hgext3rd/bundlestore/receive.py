"""A push comes in: stream it into the store, check it, index it, reply.

Everything happens in ``exchange.unbundle``, which pushes over every transport
pass, and before Mercurial takes a lock or opens a transaction. The order is
what makes a push safe:

1. the bytes stream through the checks into the store's staging area;
2. ``verify = full`` and the ``prebundlestore`` hook look at the staged bundle;
3. the bundle is published (durable, but nothing points to it);
4. the index records the push, in one step: from here on it exists;
5. the ``bundlestore`` hook, the reply.

A failure or a crash before step 4 leaves nothing that anyone can see.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator

from mercurial import (
    bookmarks as bookmod,
    bundle2,
    encoding,
    error,
    exchange,
    extensions,
    exthelper,
    pushkey,
    scmutil,
)
from mercurial.i18n import _

from . import (
    access,
    bookmarks,
    bundlefile,
    cgstream,
    config,
    fullcheck,
    hooks,
    model,
    reply,
    route,
    server as servermod,
    verify,
)
from .server import aborting, tolocal

eh = exthelper.exthelper()


@eh.wrapfunction(exchange, 'unbundle')
def unbundle(orig, repo, cg, heads, source, url):
    """Take scratch pushes aside; let the others through to ``orig``."""
    server = servermod.of(repo)
    with _telling(repo.ui, cg, url):
        if server is None:
            if route.requested(cg):
                raise error.Abort(
                    _(b'this repository has no bundle store'),
                    hint=_(
                        b"the server's configuration lacks "
                        b"'bundlestore.server = yes'"
                    ),
                )
            return orig(repo, cg, heads, source, url)
        remote = source == b'serve'
        with contextlib.ExitStack() as stack:
            with _hinting():
                decision = stack.enter_context(
                    route.decide(repo, server, cg, remote)
                )
            if not decision.scratch:
                _checkbaseallowed(server)
                return orig(repo, decision.cg, heads, source, url)
            with _hinting():
                receiver = Receiver(repo, server, decision, url)
                with _capturedoutput(receiver):
                    receiver.run()
            return reply.make(receiver)


def _checkbaseallowed(server) -> None:
    """Refuse a push to the base from a user whom hgweb let in for the sake of
    the store only."""
    if server.storeonly:
        raise error.Abort(
            _(b'push not authorized'),
            hint=_(
                b"you may push to the bundle store: 'hg push --bundle-store'"
            ),
        )


@contextlib.contextmanager
def _telling(ui, cg, url: bytes) -> Iterator[None]:
    """See to it that the client is told of exceptions.

    With the mark it is, in a bundle2 reply; without, it would see a stream
    that ends too early. An old client over http gets nothing but what was
    printed.
    """
    try:
        yield
    except BaseException as exc:
        if isinstance(cg, bundle2.unbundle20):
            exc.duringunbundle2 = True  # type: ignore[attr-defined]
        elif access.ishttp(url) and isinstance(exc, error.Abort):
            ui.warn(exc.format())
        raise


@contextlib.contextmanager
def _hinting() -> Iterator[None]:
    """Give each abort a hint. Nothing raises one after a push is recorded."""
    try:
        yield
    except error.Abort as exc:
        if exc.hint is None:
            exc.hint = _(b'nothing was stored')
        raise


@contextlib.contextmanager
def _capturedoutput(receiver) -> Iterator[None]:
    """Send what hooks print over http, where it is no one's standard error,
    along with the reply, as ``exchange.unbundle`` does."""
    ui = receiver.ui
    if not access.ishttp(receiver.url) and not ui.configbool(
        b'experimental', b'bundle2-output-capture'
    ):
        yield
        return
    ui.pushbuffer(error=True, subproc=True)
    try:
        yield
    except BaseException as exc:
        part = bundle2.bundlepart(
            b'output', data=ui.popbuffer(), mandatory=False
        )
        exc._bundle2salvagedoutput = [part]  # type: ignore[attr-defined]
        raise
    receiver.notes.append(ui.popbuffer())


class _Base:
    """The served changesets, as the checks see them (``verify.Base``)."""

    def __init__(self, repo) -> None:
        self._changelog = servermod.servedview(repo).changelog
        self.hasnode = functools.partial(servermod.hasnode, repo)

    def text(self, node: bytes) -> bytes:
        return self._changelog.revision(node)


class Receiver:
    """One scratch push while it is being received."""

    def __init__(self, repo, server, decision, url: bytes) -> None:
        self.repo = repo
        self.ui = repo.ui
        self.server = server
        self.url = url
        self.requested = decision.requested
        self._cg = decision.cg
        self.user = access.username(url)
        self.link = reply.linker(repo.ui, server.settings.changeseturl)
        self.checker = verify.ChangesetChecker(
            _Base(repo),
            server.settings.maxchangesets,
            server.settings.maxbundlesize,
            hashes=server.settings.verify != 'none',
        )
        #: what the bundle2 parts said, filled while they stream by
        self.replycaps: dict | None = None
        self.parts: list[reply.Answer] = []
        self.pushvars: dict[bytes, bytes] = {}
        self._force = False
        self._bookmarks: list[tuple[bytes, bytes | None]] = []
        self._expected: dict[bytes, bytes | None] = {}
        self._haschangegroup = False
        #: what the reply says: the recorded push (None if only bookmarks
        #: moved), the bookmarks, and further lines
        self.push: model.Push | None = None
        self.moved: list[tuple[str, bytes | None]] = []
        self.notes: list[bytes] = []

    def run(self) -> None:
        """Receive the push; raises if it is refused."""
        self._precheck()
        with aborting(), contextlib.closing(self.checker):
            with self.server.store.stage(self._chunks()) as staged:
                if not self._haschangegroup:
                    self._onlybookmarks()
                    return
                moves = self._moves()
                self._checkstaged(staged, moves)
                staged.publish()
            push = self.server.index.record(
                model.NewPush(
                    time=time.time(),
                    user=self.user,
                    key=staged.key,
                    size=staged.size,
                    nodes=self.checker.nodes,
                    heads=self.checker.heads(),
                    moves=tuple(moves),
                    text=self.checker.text(),
                )
            )
        self._rememberroots()
        self.ui.log(
            b'bundlestore',
            b'stored push %d: %d changesets, %d bytes, user %s\n',
            push.id,
            len(push.nodes),
            push.size,
            tolocal(push.user) or b'-',
        )
        self.push = push
        self.moved = list(push.bookmarks)
        hooks.posthook(self, push, self.server.store)

    # -- before anything is read

    def _precheck(self) -> None:
        access.checkpush(self.ui, self.user)
        if (
            access.ishttp(self.url)
            and not self.requested
            and not self.server.settings.routeall
        ):
            # Over http each request stands alone: when the client asks for
            # phases after its push, nothing tells that the push was a
            # scratch push, and it would turn its changesets public.
            raise error.Abort(
                _(
                    b'a client without the bundlestore extension cannot push '
                    b'to this bundle store over http'
                ),
                hint=_(
                    b"push to the repository's try URL, over ssh, or with "
                    b"the extension and 'hg push --bundle-store'"
                ),
            )
        with aborting():
            # an index that cannot be used must be known before the upload
            self.server.index.lastid()

    # -- the stream

    def _chunks(self) -> Iterator[bytes]:
        """Yield the bundle to store, within the limit on its size."""
        if isinstance(self._cg, bundle2.unbundle20):
            parts = self._incomingparts()
        else:
            parts = self._bundle1()
        return verify.limited(
            bundlefile.container(self.ui, parts),
            self.server.settings.maxbundlesize,
            config.formatsize,
        )

    def _bundle1(self):
        self._haschangegroup = True
        yield self._changegroup(self._cg.read, b'01', False)

    def _incomingparts(self):
        """Read the parts of the push; yield those that are stored."""
        self._force = b'bundlestore-force' in self._cg.params
        for part in self._cg.iterparts():
            handler = self._handlers.get(part.type)
            if handler is not None:
                stored = handler(self, part)
                if stored is not None:
                    yield stored
            elif part.mandatory and not part.type.startswith(b'check:'):
                raise error.BundleUnknownFeatureError(parttype=part.type)

    def _changegrouppart(self, part):
        if self._haschangegroup:
            raise error.Abort(_(b'push has more than one changegroup'))
        self._haschangegroup = True
        self.parts.append(reply.Answer(b'changegroup', part.id))
        stored = self._changegroup(
            part.read,
            part.params.get(b'version', b'01'),
            b'treemanifest' in part.params,
        )
        stored.data = _nothingmore(stored.data, part)
        return stored

    def _changegroup(self, read, version: bytes, trees: bool):
        if version not in cgstream.VERSIONS:
            raise error.Abort(
                _(b'changegroup version %s cannot be stored') % version,
                hint=_(b'versions 01, 02 and 03 can'),
            )
        target = b'03' if trees or _needs03(self.repo) else b'02'
        chunks = cgstream.transcode(read, version, target, self.checker)
        return bundlefile.changegrouppart(chunks, target, trees)

    def _replycapspart(self, part) -> None:
        self.replycaps = bundle2.decodecaps(part.read())

    def _obsmarkerspart(self, part):
        data = part.read(bundlefile.MAX_MARKERS + 1)
        if len(data) > bundlefile.MAX_MARKERS:
            raise error.Abort(_(b'push has too many obsolescence markers'))
        try:
            count = len(bundlefile.decodemarkers(data))
        except error.Abort:
            raise
        except Exception as exc:  # struct.error and whatever else
            raise error.Abort(
                _(b'obsolescence markers cannot be read')
            ) from exc
        self.parts.append(reply.Answer(b'obsmarkers', part.id, count))
        return bundlefile.markerspart(data)

    def _bookmarkspart(self, part) -> None:
        self._bookmarks += bookmod.binarydecode(self.repo, part)

    def _checkbookmarkspart(self, part) -> None:
        self._expected.update(bookmod.binarydecode(self.repo, part))

    def _pushkeypart(self, part) -> None:
        params = {k: pushkey.decode(v) for k, v in part.params.items()}
        name, new = params.get(b'key', b''), params.get(b'new', b'')
        accepted = params.get(b'namespace') == b'bookmarks' and (
            self.server.isscratchbookmark(name)
        )
        if accepted:
            old = params.get(b'old', b'')
            self._bookmarks.append((name, _unhex(new)))
            self._expected[name] = _unhex(old)
        self.parts.append(reply.Answer(b'pushkey', part.id, int(accepted)))

    def _pushvarspart(self, part) -> None:
        if self.ui.configbool(b'push', b'pushvars.server'):
            for name, value in part.params.items():
                self.pushvars[b'USERVAR_' + name.upper()] = value

    def _abortpart(self, part) -> None:
        raise bundle2.AbortFromPart(
            part.params.get(b'message', _(b'push was interrupted')),
            hint=part.params.get(b'hint'),
        )

    def _ignoredpart(self, part) -> None:
        """Phases are draft here whatever the client says, and its idea of
        the repository's heads does not matter."""

    _handlers = {
        b'replycaps': _replycapspart,
        b'changegroup': _changegrouppart,
        b'obsmarkers': _obsmarkerspart,
        b'bookmarks': _bookmarkspart,
        b'check:bookmarks': _checkbookmarkspart,
        b'pushkey': _pushkeypart,
        b'pushvars': _pushvarspart,
        b'error:abort': _abortpart,
        b'phase-heads': _ignoredpart,
    }

    # -- between stream and store

    def _checkstaged(self, staged, moves) -> None:
        bookmarks.checkmoves(self.repo, moves, self.checker.parents)
        if self.server.settings.verify == 'full':
            fullcheck.check(self.repo, staged, self.checker.nodes)
        hooks.prehook(self, staged)

    def _moves(self) -> list[model.BookmarkMove]:
        """Return the moves of scratch bookmarks that the push asks for."""
        moves = {}
        for name, new in self._bookmarks:
            if not self.server.isscratchbookmark(name):
                self._otherbookmark(name)
                continue
            text = bookmarks.checkname(self.server, name, self.user)
            moves[text] = self._move(name, text, new)
        return list(moves.values())

    def _move(self, name: bytes, text: str, new) -> model.BookmarkMove:
        if name in self._expected:
            return model.BookmarkMove(text, new, self._expected[name])
        if self._force or not self.requested:
            # a vanilla client that does not force says what it expects
            return model.BookmarkMove(text, new, force=True)
        old = self.server.index.bookmark(text)
        return model.BookmarkMove(text, new, old)

    def _otherbookmark(self, name: bytes) -> None:
        if self.server.settings.routeall:
            raise error.Abort(
                _(b"'%s' is not a scratch bookmark") % name,
                hint=_(
                    b'a try URL takes only bookmarks that match '
                    b'bundlestore.bookmark-pattern: %s'
                )
                % self.ui.config(b'bundlestore', b'bookmark-pattern'),
            )
        # Mercurial pushes bookmarks along that moved; it is no error that
        # they come, and they are not for the base to take now
        self.notes.append(
            _(
                b"bookmark '%s' is left where it is: this push went to the "
                b'bundle store\n'
            )
            % name
        )

    def _onlybookmarks(self) -> None:
        """A push without changesets may still move scratch bookmarks."""
        moves = self._moves()
        if not moves:
            raise error.Abort(
                _(b'push has no changesets'),
                hint=_(b'there is nothing to store'),
            )
        bookmarks.checkmoves(self.repo, moves, {})
        self.server.index.movebookmarks(moves)
        self.moved = [(move.name, move.new) for move in moves]

    def _rememberroots(self) -> None:
        if not access.ishttp(self.url):
            parents = self.checker.parents
            self.server.scratchroots.update(
                node
                for node, (p1, p2) in parents.items()
                if p1 not in parents and p2 not in parents
            )


def _nothingmore(chunks, part):
    """Pass ``chunks`` on and check that they were all that the part had."""
    yield from chunks
    if part.read(1):
        raise cgstream.MalformedChangegroup('data after its end')


def _unhex(value: bytes) -> bytes | None:
    if not value:
        return None
    try:
        return bytes.fromhex(encoding.unifromlocal(value))
    except ValueError as exc:
        raise error.Abort(_(b'not a hash: %s') % value) from exc


def _needs03(repo) -> bool:
    """Whether the repository has revisions that version 02 cannot carry."""
    if scmutil.istreemanifest(repo):
        return True
    if b'lfs' in repo.requirements or b'narrowhg-experimental' in (
        repo.requirements
    ):
        return True
    return any(
        name == b'lfs' for name, _module in extensions.extensions(repo.ui)
    )
