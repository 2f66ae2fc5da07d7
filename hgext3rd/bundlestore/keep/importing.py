"""Takes bundles that another program stored, each as a push.

Such a bundle holds everything down to the repository. What the store has of
that already is left out, as a client with this extension does it, so a series
that was stored again and again takes its room once. What is left goes through
all the checks of a push.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional

from mercurial import (
    bundle2,
    changegroup,
    discovery,
    encoding,
    scmutil,
    util,
)
from mercurial.utils import stringutil

from .. import access, log, names
from ..bundle import overlay, sound
from ..bundle.unbundle import tame
from ..push import known, receive, route
from ..records import NamedTuple
from ..server import aborting, servedview
from ..wire.known import Query


class Stored(NamedTuple):
    """A file with a bundle, and when it was stored."""

    path: bytes
    time: float


class _Receiver(receive.Receiver):
    """Receives a push of long ago. There are no hooks on what was pushed
    elsewhere, and no limits of a user."""

    def __init__(self, repo, server, decision, user: str, time: float) -> None:
        super().__init__(repo, server, decision, b'import', user)
        self.limits.quota = None
        self._time = time

    def _precheck(self) -> None:
        with aborting():
            self.server.checkopen()

    def _now(self) -> float:
        return self._time

    def _before(self, push, file) -> None:
        pass

    def _after(self, push) -> None:
        pass


class Importer:
    """Imports bundles into the bundle store ``server`` of ``repo``."""

    def __init__(self, repo, server) -> None:
        self._repo = repo
        self._server = server

    def take(self, stored: Stored, dry: bool = False) -> Optional[int]:
        """Import a bundle, unless it was imported before; return the id of the
        push, 0 with ``dry``, None if there was nothing to do. Raises
        ``error.Abort``, ``BundleStoreError``."""
        with sound.reading():
            view = overlay.openfile(self._repo, stored.path)
        try:
            with sound.reading():
                push = _Wanted(view)
            if not push.nodes or self._isthere(push, stored.time):
                return None
            if dry:
                return 0
            return self._receive(view, push, stored.time)
        finally:
            view.close()

    def _isthere(self, push: _Wanted, time: float) -> bool:
        """Whether the push was imported before."""
        hasnode = servedview(self._repo).changelog.hasnode
        for found in self._server.wholeindex.pushes(
            node=push.heads[-1], since=time - 1, until=time + 1
        ):
            heads = {head.node for head in found.heads}
            # others have landed since
            left = {node for node in heads if not hasnode(node)}
            if (found.time, found.user) == (time, push.user) and (
                left == set(push.heads)
            ):
                return True
        return False

    def _receive(self, view, push: _Wanted, time: float) -> int:
        log.newrequest(self._server)
        bundler = bundle2.bundle20(self._repo.ui)
        bundler.addparam(names.PARAMETER, b'1')
        same, sent = self._needed(push)
        if same is not None:
            part = bundler.newpart(names.SAME, data=b''.join(push.heads))
            part.addparam(names.KEY, same.encode())
        else:
            self._addchangegroup(bundler, view, push, sent)
        with sound.reading():
            stream = util.chunkbuffer(bundler.getchunks())
            cg = bundle2.getunbundler(self._repo.ui, stream)
            decision = route.Decision(True, True, tame(cg))
            receiver = _Receiver(
                self._repo, self._server, decision, push.user, time
            )
            receiver.run()
        stored = receiver.outcome.push
        assert stored is not None
        return stored.id

    def _needed(self, push: _Wanted) -> tuple[Optional[str], set[bytes]]:
        """Return the key of the stored bundle that is the very push, if there
        is one, and what must be sent otherwise."""
        everything = set(push.nodes)
        answer = self._ask(Query(push.nodes, heads=push.heads))
        if answer.same is not None and everything == answer.known:
            return answer.same, everything
        sent = set(push.heads)
        base = set()
        for node, parents in push.parents.items():
            below = everything.intersection(parents)
            if node not in answer.known or not sent.isdisjoint(below):
                sent.add(node)
            if node in sent:
                base |= below - sent
        left = [node for node in push.nodes if node not in sent]
        if base and self._ask(Query(left, base=sorted(base))).rest:
            return None, sent
        return None, everything

    def _ask(self, query: Query):
        self._server.request.allowance = None
        with aborting():
            return known.answer(self._repo, self._server, query)

    @staticmethod
    def _addchangegroup(
        bundler, view, push: _Wanted, sent: Iterable[bytes]
    ) -> None:
        cl = view.changelog
        left = set(push.nodes).difference(sent)
        below = {parent for node in sent for parent in cl.parents(node)}
        outgoing = discovery.outgoing(
            view, [*left, *below.difference(push.nodes)], push.heads
        )
        versions = changegroup.supportedoutgoingversions(view)
        version = min(versions.intersection((b'02', b'03')))
        stream = changegroup.makestream(view, outgoing, version, b'push')
        part = bundler.newpart(b'changegroup', data=stream)
        part.addparam(b'version', version)
        if scmutil.istreemanifest(view):
            part.addparam(b'treemanifest', b'1')


class _Wanted:
    """What of a bundle is to be pushed: what the repository does not have."""

    def __init__(self, view) -> None:
        cl = view.unfiltered().changelog
        revs = sorted(view.scratchrevs)
        self.parents = {cl.node(rev): cl.parents(cl.node(rev)) for rev in revs}
        self.nodes = list(self.parents)
        below = {node for pair in self.parents.values() for node in pair}
        self.heads = [node for node in self.nodes if node not in below]
        #: who the author of the last changeset is
        self.user = ''
        if self.heads:
            author = view.unfiltered()[self.heads[-1]].user()
            name = stringutil.emailuser(author) or author
            self.user = access.printable(encoding.fromlocal(name))
