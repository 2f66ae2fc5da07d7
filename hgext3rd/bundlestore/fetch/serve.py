"""Serving: stored changesets, as though the repository held them.

The repository's class answers ``lookup``, ``listkeys`` and ``pushkey``;
``known`` and ``heads`` stay those of the base, as a client that took a
scratch changeset for common ground would later be sent the whole repository.
``getbundle`` is answered from the stored bundles as they are, or from an
overlay.
"""

from __future__ import annotations

import contextlib
import functools
from typing import Any

from mercurial import error, exchange, localrepo
from mercurial.i18n import _
from mercurial.node import bin, hex

from .. import access, bookmarks, log, lookup, model, server as servermod
from ..bundle import overlay, sound
from ..names import TRYURL
from ..push import below
from ..server import hasnode, servedview

# by name, so that this module at least is loaded before there are threads
from ..start.loading import prepare as prepareloading
from ..start.wraps import apply as applywraps, inplaceof, room
from . import verbatim


def setup(repo) -> None:
    """Give a repository with ``bundlestore.server`` its bundle store."""
    prepareloading()
    # Core puts every upload into a temporary file before it hands it on; the
    # limits on a push would come too late. ``route`` does it for pushes to
    # the base, unless the administrator wants those to stream, too.
    spools = not repo.ui.configbool(b'server', b'streamunbundle')
    repo.ui.setconfig(b'server', b'streamunbundle', True, b'bundlestore')

    repo.__class__ = type(
        'bundlestorerepository',
        (_Serving, repo.__class__),
        {'_bundlestorespools': spools},
    )


# what it is mixed into: any class of repository
_Repository: Any = object


class _Serving(_Repository):
    """What a repository with a bundle store answers differently."""

    hasbundlestore = True

    @localrepo.unfilteredpropertycache
    def bundlestore(self):
        return servermod.Server(self, spools=self._bundlestorespools)

    def transaction(self, *args, **kwargs):
        if TRYURL in self.requirements:
            # no push that gets this far has been taken by the extension, and
            # the hook that says the same may not be read
            raise error.Abort(_(b'a try URL takes no changes itself'))
        return super().transaction(*args, **kwargs)

    def lookup(self, key):
        server = self.bundlestore
        node = lookup.find(self, server, key)
        if node is not None:
            return node
        try:
            if lookup.maybescratch(server, key) and not lookup.ishash(
                self, key
            ):
                return lookup.inbase(self, key)
            return super().lookup(key)
        except error.RepoLookupError as exc:
            if lookup.istooshort(server, key):
                raise lookup.tooshort(key) from exc
            if server.trouble is None:
                raise
            # nobody knows whether the store has it
            raise error.RepoLookupError(exc.args[0] + server.cause()) from exc

    def close(self):
        super().close()
        server = self.unfiltered().__dict__.get('bundlestore')
        while server is not None and server.views:
            server.views.pop().close()

    def listkeys(self, namespace):
        server = self.bundlestore
        if namespace == b'phases':
            return _phases(self, server, super().listkeys(namespace))
        if namespace != b'bookmarks':
            return super().listkeys(namespace)
        marks = {}
        # Every pull asks, and few clients want all of them.
        if server.settings.listbookmarks:
            marks = bookmarks.listkeys(server)
        if not server.settings.routeall:
            marks.update(super().listkeys(namespace))
        # On a try URL the base's bookmarks are not shown: a client would
        # push one along whenever it has moved locally.
        return marks

    def pushkey(self, namespace, key, old, new):
        server = self.bundlestore
        try:
            server.checkroute()
            isscratch = namespace == b'bookmarks' and server.isscratchbookmark(
                key
            )
        except error.Abort as exc:
            # see ``_movebookmark``
            self.ui.warn(exc.format())
            return False
        if isscratch:
            return _movebookmark(self, server, key, old, new)
        if server.settings.routeall:
            if namespace == b'phases':
                return _hasphase(self, key, new)
            self.ui.warn(
                _(b'a try URL does not change %s of the repository\n')
                % namespace
            )
            return False
        return super().pushkey(namespace, key, old, new)

    def _restrictcapabilities(self, caps):
        caps = set(super()._restrictcapabilities(caps))
        caps.update(self.bundlestore.capabilities)
        return caps

    def peer(self, *args, **kwargs):
        applywraps('peer')
        peer = super().peer(*args, **kwargs)
        self.bundlestore.haspeer = True
        if self.bundlestore.settings.openheads:
            peer.heads = lambda: [self.nullid]
        if hasattr(peer, 'evoext_obshashrange_v1'):
            room('fetch.neighbours.askpeer')(self, peer)
        return peer


# -- commands that look into a repository, not at a peer


@inplaceof('scmutil.revsingle')
def revsingle(orig, repo, revspec, *args, **kwargs):
    """Let ``hg identify -r HASH PATH`` see scratch changesets: for a path it
    asks the repository itself, not a peer."""
    try:
        return orig(repo, revspec, *args, **kwargs)
    except error.RepoLookupError:
        server = servermod.of(repo)
        # without a peer it is a command in the repository itself, which must
        # not get hold of a changeset that is not there
        if server is None or not server.haspeer:
            raise
        if not isinstance(revspec, bytes):
            raise
        node = repo.lookup(revspec)
        view = overlay.opennodes(repo, server, [node])
        if view is None:
            return servedview(repo)[node]
        # what is returned needs it; it is closed with the peer
        server.views.append(view)
        return servedview(view)[node]


@inplaceof('bundlerepo.getremotechanges')
def getremotechanges(orig, ui, repo, peer, onlyheads=None, *args, **kwargs):
    """Let ``hg incoming -r HASH PATH`` see scratch changesets: for a path it
    reads the other repository itself."""
    other = peer.local()
    server = other and servermod.of(other)
    view = None
    if server and onlyheads:
        view = overlay.opennodes(other, server, onlyheads)
    if view is None:
        return orig(ui, repo, peer, onlyheads, *args, **kwargs)
    with contextlib.ExitStack() as stack:
        stack.callback(peer.close)
        stack.callback(view.close)
        local, csets, cleanup = orig(
            ui, repo, view.peer(), onlyheads, *args, **kwargs
        )
        stack.callback(cleanup)
        return local, csets, stack.pop_all().close


# -- listkeys and pushkey


def _phases(repo, server, keys: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the answer to ``listkeys phases``; ``keys`` is the base's.

    A client turns everything public that this answer does not make a draft.
    After a scratch push it asks, and an old client after a pull, too, and
    must learn that the scratch changesets are none of the public ones. An
    empty answer would come from a server that knows no phases, and mean that
    all is public.
    """
    if server.settings.routeall:
        # All changesets descend from it, also those of a client that pushes
        # a root of its own, or to an empty repository.
        return {hex(repo.nullid): b'1'}
    if not server.scratchroots:
        return keys
    if keys.pop(b'publishing', None):
        # what the base has in drafts is public to clients
        keys.clear()
    keys.update((hex(node), b'1') for node in server.scratchroots)
    return keys


def _hasphase(repo, key: bytes, new: bytes) -> bool:
    """Whether a changeset of the base has the phase that a client wants it to
    have.

    One that pushes bundle1 to a try URL finds everything to be a draft there,
    tries to make public what it knows as public, and tells its user of each
    failure.
    """
    if not lookup.isfullhash(key):
        return False
    node = bin(key)
    if not hasnode(repo, node):
        return False
    return b'%d' % repo[node].phase() == new


def _movebookmark(repo, server, key, old, new) -> bool:
    """Move a scratch bookmark for a client that does so with ``pushkey``:
    one that pushes bundle1, or moves it without a changeset to push."""
    if not all(lookup.isfullhash(value) for value in (old, new) if value):
        return False
    try:
        with log.refusals(repo.ui, server, server.client, 'pushkey'):
            return _checkandmove(repo, server, key, old, new)
    except error.Abort as exc:
        # The command has no other way to say why: an exception would end the
        # connection over ssh, and be an internal error over http.
        repo.ui.warn(exc.format())
        return False


def _checkandmove(repo, server, key, old, new) -> bool:
    server.checksettings()
    user = access.username(server.client)
    node = bin(new) if new else None
    if node is not None and not (
        hasnode(repo, node) or repo.bundlestore.locate(repo, [node])
    ):
        return False
    name = bookmarks.checkname(server, key, user)
    move = model.BookmarkMove(name, node, bin(old) if old else None)
    access.checkpush(repo.ui, user)
    if node is not None and not old and not server.settings.listbookmarks:
        # the client was not told whether there is one
        actual = server.need(lambda index: index.bookmark(name))
        move = move._replace(old=actual)
        rests = below.Foundation(repo, server)
        bookmarks.checkmoves(repo, [move], rests.parents)
    room('push.moves.pushkey')(repo, server, move)
    return True


# -- getbundle


class _Chunks:
    """The chunks of an answer. What gives them, ``view``, is closed at their
    end, or when nobody wants them any more. Then ``done(bytes, trouble)`` is
    called; ``trouble`` is None if all went well."""

    def __init__(self, chunks, view, done) -> None:
        self._chunks = iter(chunks)
        self._view = view
        self._done = done
        self._bytes = 0

    def __iter__(self):
        return self

    def __next__(self):
        try:
            chunk = next(self._chunks)
        except StopIteration:
            self._end(None)
            raise
        except Exception as exc:
            self._end(log.reason(exc))
            turned = sound.readable(exc)
            if turned is exc:
                raise
            raise turned from exc
        except BaseException as exc:
            self._end(log.reason(exc))
            raise
        self._bytes += len(chunk)
        return chunk

    def close(self) -> None:
        self._end(b'the client has gone')

    __del__ = close

    def _end(self, trouble: bytes | None) -> None:
        if self._view is not None:
            view, self._view = self._view, None
            view.close()
            self._done(self._bytes, trouble)


@inplaceof('exchange.getbundlechunks')
def getbundlechunks(orig, repo, source, heads=None, *args, **kwargs):
    server = servermod.of(repo)
    if server is None or not heads:
        return orig(repo, source, heads, *args, **kwargs)
    located = server.locate(repo, heads)
    if not located:
        return orig(repo, source, heads, *args, **kwargs)
    if source != b'serve':
        log.newrequest(server)
    with log.refusals(repo.ui, server, server.client, 'pull'):
        return _storedchunks(
            orig, repo, server, located, source, heads, *args, **kwargs
        )


def _storedchunks(orig, repo, server, located, source, heads, *args, **kwargs):
    """Answer a request for ``heads`` of which those in ``located`` are scratch
    changesets."""

    def done(size: int, trouble: bytes | None, **fields) -> None:
        log.event(
            repo.ui,
            server,
            'served' if trouble is None else 'brokenoff',
            user=lambda: access.username(server.client),
            by=log.way(server.client),
            heads=log.nodes(located),
            bundles=len(model.chain(located.values())),
            bytes=size,
            reason=trouble,
            **fields,
        )

    def prepared(keys: list[str]):
        sound.checklarge(repo, server, located, keys)
        answer = verbatim.prepare(
            repo, server, located, keys, source, heads, *args, **kwargs
        )
        if answer is not None:
            return answer, None
        return None, overlay.openlocated(repo, server, located, keys)

    answer, view = sound.serving(repo, server, located, prepared)
    if answer is not None:
        if not access.ishttp(server.client):
            server.scratchroots.update(answer.roots)

        def sent(size: int, trouble: bytes | None) -> None:
            done(size, trouble or answer.trouble, **answer.description)

        try:
            return answer.info, _Chunks(answer.chunks(), answer, sent)
        except BaseException:
            answer.close()
            raise
    try:
        if not exchange.bundle2requested(kwargs.get('bundlecaps')):
            _checkoldclient(repo, server)
        if not access.ishttp(server.client):
            server.scratchroots.update(overlay.scratchroots(view))
        with sound.reading():
            info, chunks = orig(
                servedview(view), source, heads, *args, **kwargs
            )
    except BaseException:
        view.close()
        raise
    return info, _Chunks(chunks, view, functools.partial(done, way='overlay'))


def _checkoldclient(repo, server) -> None:
    """Refuse a client that learns of phases in a request of its own, where
    nothing tells that it pulled scratch changesets: over http."""
    if (
        access.ishttp(server.client)
        and repo.publishing()
        and not server.settings.routeall
    ):
        raise error.Abort(
            _(b'a client without bundle2 would turn these changesets public'),
            hint=_(b'pull from %s, or over ssh')
            % (
                repo.ui.config(b'bundlestore', b'try-url')
                or _(b"the repository's try URL")
            ),
        )


@inplaceof('wireprotov1server.find_pullbundle')
def findpullbundle(orig, repo, proto, opts, clheads, heads, common):
    """``server.pullbundle`` looks for the revision number of each head and
    has none for a scratch one."""
    if servermod.of(repo) is not None and not all(
        hasnode(repo, head) for head in heads
    ):
        return None
    return orig(repo, proto, opts, clheads, heads, common)
