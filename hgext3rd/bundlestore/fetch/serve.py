"""Serving: stored changesets, as though the repository held them.

The repository's class answers ``lookup``, ``listkeys`` and ``pushkey``;
``known`` and ``heads`` stay those of the base, as a client that took a
scratch changeset for common ground would later be sent the whole repository.
"""

from __future__ import annotations

from typing import Any

from mercurial import error, extensions, localrepo
from mercurial.i18n import _

from .. import bookmarks, lookup, server as servermod
from ..names import TRYURL

# by name, so that this module at least is loaded before there are threads
from ..start.loading import prepare as prepareloading, quickend
from ..start.wraps import apply as applywraps, room
from . import keys


def setup(repo) -> None:
    """Give a repository with ``bundlestore.server`` its bundle store."""
    prepareloading(ui=repo.ui)
    quickend()
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
    names = {name for name, _module in extensions.extensions(repo.ui)}
    if not names.isdisjoint((b'lfs', b'largefiles')):
        room('blobs.landing.setup')(repo)


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
            return keys.phases(self, server, super().listkeys(namespace))
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
            # see ``keys.movebookmark``
            self.ui.warn(exc.format())
            return False
        if isscratch:
            return keys.movebookmark(self, server, key, old, new)
        if server.settings.routeall:
            if namespace == b'phases':
                return keys.hasphase(self, key, new)
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
