"""A push comes in: stream it into the store, check it, index it, reply.

Everything happens in ``exchange.unbundle``, which pushes over every transport
pass, and before Mercurial takes a lock or opens a transaction. The order is
what makes a push safe:

1. the bytes stream through the checks into the store's staging area;
2. ``verify = full`` and the ``prebundlestore`` hook look at the staged bundle;
3. the bundle gets its name (durable, but nothing points to it), if the store
   can do that while others use the index;
4. the index begins to record the push, refuses what it must, and has the
   bundle published: it sees to it that the bundle is there;
5. the record is committed, in one step: from here on the push exists;
6. what only the push knew is noted beside the bundle;
7. the ``bundlestore`` hook, the reply.

A failure or a crash before step 5 leaves nothing that anyone can see, but
perhaps a bundle that no push has. Steps 4 and 5 are one transaction of the
index, so that ``gc`` cannot remove in between what is published.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Optional

from mercurial import (
    bundle2,
    error,
    extensions,
)
from mercurial.i18n import _

from .. import (
    access,
    bookmarks,
    config,
    errors,
    log,
    model,
    server as servermod,
)
from ..bundle import complete, container, graph
from ..bundle.unbundle import tame
from ..declaring import provides
from ..request import ishttp
from ..server import aborting, noting
from ..start.wraps import inplaceof
from ..stores import notes
from . import (
    announce,
    asked,
    below,
    check,
    fullcheck,
    hooks,
    known,
    limits,
    moves,
    partial,
    parts,
    private,
    reply,
    route,
)

#: bytes of a message that can be sent to a client
_LONGEST = 255


@inplaceof('exchange.unbundle')
def unbundle(orig, repo, cg, heads, source, url):
    """Take scratch pushes aside; let the others through to ``orig``."""
    server = servermod.of(repo)
    with _telling(repo.ui, cg, url):
        if server is None:
            _checkopened(repo)
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
        if not remote:
            log.newrequest(server)
        with contextlib.ExitStack() as stack:
            refusals = stack.enter_context(
                log.refusals(repo.ui, server, url, 'push')
            )
            with _hinting():
                decision = stack.enter_context(
                    route.decide(repo, server, tame(cg), remote)
                )
            if not decision.scratch:
                _checkbaseallowed(repo.ui, server)
                refusals.on = False
                return orig(repo, decision.cg, heads, source, url)
            with _hinting():
                server.checksettings()
                receiver = Receiver(repo, server, decision, url)
                with _capturedoutput(receiver):
                    receiver.run()
            return receiver.reply()


def _checkopened(repo) -> None:
    """Refuse a push to a repository that keeps a store and does not know it.

    ``extensions.load`` notes an extension before it imports it. What another
    thread opens meanwhile, as web servers do, is opened without, though its
    configuration turns the extension on; pushes would land.
    """
    if (
        config.isserver(repo.ui)
        and not repo.url().startswith(b'bundle:')
        and any(
            module.__name__ == config.__package__
            for _name, module in extensions.extensions(repo.ui)
        )
    ):
        raise error.Abort(
            _(b'this repository was opened before its bundle store'),
            hint=_(b'nothing was pushed; push again'),
        )


def _checkbaseallowed(ui, server) -> None:
    """Refuse a push to the base from a user whom hgweb let in for the sake of
    the store only."""
    if server.request.storeonly:
        raise error.Abort(
            _(b'push not authorized'),
            hint=_(b'you may push to its bundle store: %s')
            % access.elsewhere(ui),
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
        if isinstance(exc, error.Abort):
            exc.message = _shortened(exc.message)
            exc.hint = exc.hint and _shortened(exc.hint)
        if isinstance(cg, bundle2.unbundle20):
            exc.duringunbundle2 = True  # type: ignore[attr-defined]
        elif ishttp(url) and isinstance(exc, error.Abort):
            ui.warn(exc.format())
        raise


def _shortened(text: bytes) -> bytes:
    """Return no more of a message than the parameter of a part can hold, in
    which it is sent. What a hook says may be longer, or a name in it."""
    if len(text) <= _LONGEST:
        return text
    return text[: _LONGEST - 3].decode('utf-8', 'ignore').encode() + b'...'


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
    if not ishttp(receiver.url) and not ui.configbool(
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
    receiver.outcome.notes.append(ui.popbuffer())


class Receiver:
    """One scratch push while it is being received, by whoever uses the
    transport unless ``user`` says by whom."""

    def __init__(
        self, repo, server, decision, url: bytes, user: Optional[str] = None
    ) -> None:
        self.repo = repo
        self.ui = repo.ui
        self.server = server
        self.url = url
        self._requested = decision.requested
        self.user = access.username(url) if user is None else user
        self._link = reply.linker(repo.ui, server.settings.changeseturl)
        self._foundation = below.Foundation(repo, server)
        self.checker = check.ChangesetChecker(
            self._foundation,
            server.settings.maxchangesets,
            server.settings.maxbundlesize,
            hashes=server.settings.verify != 'none',
        )
        self.limits = limits.Limits(server, self.user, server.request.announced)
        #: the view whose users alone see it, empty for none
        self._private = private.viewof(decision.cg)
        self.incoming = parts.Incoming(
            *(repo, server, decision.cg, self.checker, self.limits),
            self._private,
        )
        self.outcome = reply.Outcome()
        # whether web hooks are to be told
        self._announced = False

    def run(self) -> None:
        """Receive the push; raises if it is refused."""
        with self.server.request.pushing(self._private):
            self._run()

    def _run(self) -> None:
        self._precheck()
        with aborting(), contextlib.ExitStack() as stack:
            stack.callback(self._foundation.close)
            stack.callback(self.checker.close)
            # a push of bookmarks alone, or of what is stored, writes nothing
            staged = None
            if self.incoming.begin():
                staged = stack.enter_context(
                    self.server.store.stage(self.incoming.chunks())
                )
            if self.incoming.same is not None:
                push = self._storedbefore(*self.incoming.same)
                self._checkpush(push, lambda: self._storedfile(push))
                publish = functools.partial(self.server.store.size, push.key)
            elif staged is not None and self.incoming.haschangegroup:
                more = self._complete(staged)
                if more is not None:
                    staged = stack.enter_context(self.server.store.stage(more))
                push = self._newpush(staged)
                self._checkpush(push, lambda: self._stagedfile(staged, push))
                publish = staged.publish
            else:
                self._onlybookmarks()
                return
            try:
                with self._ahead(staged):
                    recorded = self.server.wholeindex.record(
                        push, publish, quota=self.limits.quota
                    )
            except errors.QuotaExceeded as exc:
                raise self.limits.exceeded(exc) from exc
        self._recorded(recorded, push.moves)

    @contextlib.contextmanager
    def _ahead(self, staged) -> Iterator[None]:
        """Have what takes long of publishing a bundle done before the index
        is locked; undo it if the index refuses the push."""
        isnamed = (
            staged is not None and provides(staged, 'IAhead') and staged.ahead()
        )
        try:
            yield
        except errors.BackendUnavailable:
            # it would not answer, and gc finds the bundle
            raise
        except errors.BundleStoreError:
            if isnamed:
                store, key = self.server.store, staged.key
                with contextlib.suppress(errors.BundleStoreError):
                    self.server.wholeindex.discard(
                        key, lambda: store.delete(key)
                    )
            raise

    def reply(self):
        """Return what the client is told, as ``exchange.unbundle`` does."""
        self.outcome.answers = self.incoming.answers
        return reply.make(
            self.ui,
            self.outcome,
            self._link,
            self.incoming.wantsreply,
            self._requested or self.incoming.tells,
        )

    def _source(self) -> hooks.Source:
        return hooks.Source(
            self.repo, self.url, self.user, self.incoming.pushvars
        )

    def _recorded(
        self, push: model.Push, moved: Iterable[model.BookmarkMove]
    ) -> None:
        with noting(self.ui):
            notes.keep(self.server.store, self.server.wholeindex, push)
        if provides(self.server.store, 'IReserve'):
            self.server.store.keepreserve()
        self.server.rememberroots(graph.roots(self.checker.parents))
        log.event(
            self.ui,
            self.server,
            'stored',
            push=push.id,
            user=push.user,
            by=log.way(self.url),
            changesets=len(push.changesets),
            heads=log.nodes(head.node for head in push.heads),
            bytes=push.size,
            bundle=push.key,
            rests=len(push.rests),
        )
        self.outcome.push = push
        self.outcome.moved = list(push.bookmarks)
        old = {move.name: move.old for move in moved}
        for name, node in push.bookmarks:
            log.moved(self.ui, self.server, self.url, name, node, old.get(name))
        self._after(push)

    def _now(self) -> float:
        """Return when the push is made."""
        return time.time()

    def _before(self, push: model.NewPush, file) -> None:
        """See whether the hooks refuse a push."""
        hooks.prehook(self._source(), push, file)
        # few servers have web hooks, which are told what everybody sees
        self._announced = (
            not push.private
            and bool(config.webhooks(self.ui))
            and announce.prepare(self.repo, self.server)
        )

    def _after(self, push: model.Push) -> None:
        """Tell the hooks of a recorded push."""
        if self._announced:
            announce.start(self.repo, self.server)
        hooks.posthook(self._source(), push, lambda: self._storedfile(push))

    # -- before anything is read

    def _precheck(self) -> None:
        access.checkpush(self.ui, self.user)
        if self._private:
            private.check(self.server, self._private, self.user)
        if (
            ishttp(self.url)
            and not self._requested
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
                hint=access.elsewhere(self.ui),
            )
        # an index that cannot be used must be known before the upload
        moves.checkindex(self.server)
        with aborting():
            self.limits.beforeall()

    # -- between stream and store

    def _complete(self, staged) -> Optional[Iterable[bytes]]:
        """Return the bytes of the bundle to store instead of what is staged,
        if that lacks something."""
        if not self.checker.unsent:
            return None
        return partial.complete(
            self.repo, self.server, self._foundation, staged, self.checker
        )

    def _newpush(self, staged) -> model.NewPush:
        """Return the record of a push whose bundle is staged."""
        rests = self._foundation.rests()
        if len(rests) >= known.MAX_BUNDLES:
            raise error.Abort(
                _(b'push rests on too many bundles'),
                hint=_(b'push with --force to send everything'),
            )
        return model.NewPush(
            time=self._now(),
            user=self.user,
            key=staged.key,
            size=staged.size,
            nodes=self.checker.nodes,
            heads=self.checker.heads(),
            moves=tuple(self._moves()),
            text=self.checker.text(),
            rests=rests,
            below=self._below(rests, self.checker.parents.values()),
            pushvars=self.incoming.recorded,
            branches=self.checker.branches(),
            private=self._private,
        )

    def _below(
        self,
        rests: tuple[str, ...],
        parents: Iterable[Iterable[bytes]],
    ) -> tuple[bytes, ...]:
        """Return the changesets of the push that the bundles ``rests`` hold;
        ``parents`` are those of all that its own bundle holds."""
        if not rests:
            return ()
        found = self._foundation.below(rests, itertools.chain(*parents))
        # a narrow clone sends changesets that the others hold, too
        return tuple(node for node in found if node not in self.checker.parents)

    def _storedbefore(self, key: str, heads: list[bytes]) -> model.NewPush:
        """Return the record of a push whose very bundle is stored."""
        bundle = self._foundation.bundleof(heads)
        if bundle is None or bundle.key != key or self.incoming.haschangegroup:
            raise error.Abort(
                _(b'what this push rests on was removed meanwhile'),
                hint=_(b'push again'),
            )
        texts = [self._foundation.text(node) for node in bundle.heads]
        return model.NewPush(
            time=self._now(),
            user=self.user,
            key=key,
            size=bundle.size,
            nodes=bundle.nodes,
            heads=tuple(
                model.Head(node, check.title(text))
                for node, text in zip(bundle.heads, texts)
            ),
            moves=tuple(self._moves()),
            text=check.searchtext(texts),
            rests=bundle.rests,
            below=self._below(
                bundle.rests, self._foundation.graph(key).values()
            ),
            pushvars=self.incoming.recorded,
            branches=model.branches(map(check.branch, texts)),
            private=self._private,
        )

    def _stagedfile(self, staged, push: model.NewPush):
        plain = container.plainfile(staged, staged.key, staged.open)
        return self._completefile(plain, push)

    def _storedfile(self, push: model.NewPush | model.Push):
        store = self.server.store
        plain = container.plainfile(
            store, push.key, lambda: container.opened(store, push.key)
        )
        return self._completefile(plain, push)

    def _completefile(self, plain, push: model.NewPush | model.Push):
        return complete.completefile(
            self.ui, self.server.store, push.rests, plain
        )

    def _checkpush(self, push: model.NewPush, file) -> None:
        if push.moves:
            bookmarks.checkmoves(self.repo, list(push.moves), self._parents)
        if self.server.settings.verify == 'full' or self._foundation.takesover(
            push
        ):
            fullcheck.check(self.repo, file(), push.nodes)
        self._before(push, file)

    def _parents(self, node: bytes) -> tuple[bytes, bytes] | None:
        """Return the parents of a changeset that is pushed or stored."""
        return self.checker.parents.get(node) or self._foundation.parents(node)

    def _moves(self) -> list[model.BookmarkMove]:
        if not self.incoming.bookmarks:
            return []
        if self._private:
            raise error.Abort(
                _(b'a push to a private workspace moves no scratch bookmarks'),
                hint=_(b'nothing was stored'),
            )
        said = asked.Asked(
            self.ui, self.server, self.incoming, self.user, self._requested
        )
        wanted = said.moves()
        self.outcome.notes.extend(said.notes)
        return wanted

    def _onlybookmarks(self) -> None:
        """A push without changesets may still move scratch bookmarks."""
        wanted = self._moves()
        if not wanted:
            raise error.Abort(
                _(b'push has no changesets'),
                hint=_(b'there is nothing to store'),
            )
        bookmarks.checkmoves(self.repo, wanted, self._parents)
        moves.move(
            self.repo,
            self.server,
            self.url,
            wanted,
            self.limits,
            self.incoming.pushvars,
        )
        self.outcome.moved = [(move.name, move.new) for move in wanted]
