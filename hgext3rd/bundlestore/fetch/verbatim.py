"""The fast path of a pull: stored changegroups go out as they are.

Where a client asks for all that some bundles hold, no overlay is opened and no
revision rebuilt. What the client lacks of the base repository comes in front
of the bundles, in the same changegroup. The other parts of the answer are
Mercurial's own, or what Mercurial would make of an overlay.

:func:`prepare` declines whatever is out of the ordinary, and the overlay
answers (see ``getbundle.py``). Where it accepts, it has looked at the parents
of all changesets that it is going to send, so nothing that the base does not
show comes along.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import Any, Optional

from mercurial import (
    changegroup,
    discovery,
    error,
    exchange,
    obsolete,
    scmutil,
    util,
)

from .. import errors, model
from ..bundle import container, graph
from ..records import NamedTuple
from ..server import hasnode, tolocal
from . import neighbours, sources, subset
from .answer import Answer
from .wanted import Wanted

#: what a damaged bundle raises before its hash gives it away, beside our own
_DAMAGE = (error.Abort, ValueError, LookupError, struct.error)


class _Content(NamedTuple):
    """What the bundles hold, and what that rests on."""

    #: the changesets that the base does not show
    scratch: set[bytes]
    #: those that it shows
    landed: set[bytes]
    #: the changesets that they rest on; the base shows all of them
    below: set[bytes]


def prepare(
    wanted: Wanted, located: dict[bytes, model.Location], keys: list[str]
) -> Optional[Verbatim]:
    """Return the answer to a request, or None if it takes an overlay; the
    caller closes it.

    ``located`` is where the scratch changesets are that were asked for,
    ``keys`` are the bundles that are to be sent for them.
    """
    if not wanted.isordinary():
        return None
    if not all(hasnode(wanted.repo, node) for node in wanted.others):
        return None
    try:
        return _prepare(wanted, located, keys)
    except (subset.Unfit, errors.BundleStoreError, *_DAMAGE):
        # the overlay knows how to say what is wrong
        return None


def _prepare(
    wanted: Wanted, located: dict[bytes, model.Location], keys: list[str]
) -> Optional[Verbatim]:
    ui, store = wanted.repo.ui, wanted.server.store
    with contextlib.ExitStack() as stack:
        way, source = 'verbatim', _source(wanted, located, keys)
        stack.callback(source.close)
        content = _content(wanted, source.parents)
        if content is None:
            way, chosen = 'subset', _chosen(wanted, source)
            if not chosen:
                return None
            source = _subset(wanted, source, chosen, keys)
            stack.callback(source.close)
            content = _content(wanted, chosen)
            if content is None:
                return None
        lacking = _lacking(wanted, content) if wanted.changesets else None
        front = lacking is not None and not source.parents.keys() >= set(
            lacking.missing
        )
        if front and isinstance(source, sources.Whole):
            # joined with something, it is read at random places
            source.close()
            source = sources.Joint(ui, store, keys)
            stack.callback(source.close)
        version = _version(wanted, source)
        if version is None:
            return None
        answer = Verbatim(wanted, source, content, version, lacking, front, way)
        stack.pop_all()
        return answer


def _source(
    wanted: Wanted, located: dict[bytes, model.Location], keys: list[str]
) -> Any:
    ui, store = wanted.repo.ui, wanted.server.store
    if len(keys) == 1 and all(where.ishead for where in located.values()):
        return sources.Whole(ui, store, keys[0])
    return sources.Joint(ui, store, keys)


def _chosen(wanted: Wanted, source: Any) -> graph.Graph:
    """Return what was asked for of what the bundles hold, nothing if it
    cannot be sent alone."""
    if source.trees or wanted.server.settings.verify == 'none':
        # a changeset may not be what it is called, see below
        return {}
    repo = wanted.repo
    chosen = graph.upto(
        source.parents, wanted.scratch, lambda node: hasnode(repo, node)
    )
    if not all(hasnode(repo, node) for node in graph.below(chosen)):
        return {}
    return chosen


def _subset(
    wanted: Wanted, source: Any, chosen: graph.Graph, keys: list[str]
) -> subset.Subset:
    with contextlib.closing(source):
        if isinstance(source, sources.Joint):
            return subset.Subset(wanted.repo, source, chosen)
    joint = sources.Joint(wanted.repo.ui, wanted.server.store, keys)
    with contextlib.closing(joint):
        return subset.Subset(wanted.repo, joint, chosen)


def _content(wanted: Wanted, parents: graph.Graph) -> Optional[_Content]:
    """Return what there is to send, or None if not all of it was asked for,
    or something that it rests on is not shown."""
    repo = wanted.repo
    asked = {*wanted.scratch, *wanted.others}
    if not (
        graph.heads(parents) <= asked and parents.keys() >= set(wanted.scratch)
    ):
        return None
    below = graph.below(parents)
    if not all(hasnode(repo, node) for node in below):
        return None
    landed = {node for node in parents if hasnode(repo, node)}
    scratch = parents.keys() - landed
    if wanted.server.settings.verify == 'none':
        # Nobody knows whether those are what they are called. What the base
        # has of that name, it keeps to itself.
        isheld = repo.unfiltered().changelog.hasnode
        if any(map(isheld, scratch)):
            return None
    return _Content(scratch, landed, below)


def _lacking(wanted: Wanted, content: _Content) -> Optional[discovery.outgoing]:
    """Return the changesets of the base that the client needs and does not
    have; None if there are none."""
    repo = wanted.repo
    needed = {*content.below, *content.landed, *wanted.others}
    changelog = repo.changelog
    rev = changelog.rev
    needs = {rev(node) for node in needed} - {-1}
    has = {rev(node) for node in wanted.common} - {-1}
    needs -= has
    if not needs:
        return None
    if has:
        # compiled, where Mercurial's search for what is missing is not
        reached = repo.unfiltered().changelog.reachableroots(
            min(needs), list(has), list(needs)
        )
        if needs.issubset(reached):
            return None
    return exchange._computeoutgoing(repo, sorted(needed), wanted.common)


def _version(wanted: Wanted, source) -> Optional[bytes]:
    """Return the version of changegroup to send; None if there is none."""
    repo = wanted.repo
    if source.version == b'01':
        # nothing is stored as that
        return None
    if source.trees != scmutil.istreemanifest(repo):
        return None
    offered = wanted.b2caps.get(b'changegroup', ())
    possible = changegroup.supportedoutgoingversions(repo).intersection(offered)
    for version in (source.version, b'03'):
        # a newer one than the bundle's own takes nothing but longer headers
        if version in possible:
            return version
    return None


class Verbatim(Answer):
    """An answer from stored bundles as they are."""

    def __init__(
        self,
        wanted: Wanted,
        source,
        content: _Content,
        version: bytes,
        lacking: Optional[discovery.outgoing],
        front: bool,
        way: str,
    ) -> None:
        self._source = source
        self._content = content
        self._version = version
        self._lacking = lacking
        self._front = front
        missing = lacking.missing if lacking is not None else []
        count = len(content.scratch.union(missing))
        self._count = count if wanted.changesets else 0
        super().__init__(
            wanted,
            content.scratch,
            graph.roots(
                {node: source.parents[node] for node in content.scratch}
            ),
            {
                'way': way,
                'changesets': self._count,
                'behind': 'base' if front else 'nothing',
                'changegroup': version,
            },
        )

    def close(self) -> None:
        self._source.close()

    def changegroups(self) -> Iterator[Any]:
        if not self.wanted.changesets:
            # the markers come behind them
            for _chunk in self._changegroup():
                pass
            return
        part = container.changegrouppart(
            self._changegroup(), self._version, self._source.trees
        )
        part.addparam(b'nbchanges', b'%d' % self._count, mandatory=False)
        yield part

    def _changegroup(self) -> Iterator[bytes]:
        try:
            yield from self._joined()
        except GeneratorExit:
            raise
        except Exception as exc:
            raise self._failure(exc) from exc

    def _joined(self) -> Iterator[bytes]:
        if not self._front:
            return self._source.chunks(self._version)
        base = changegroup.makestream(
            self.wanted.repo,
            self._lacking,
            self._version,
            self.wanted.source,
            bundlecaps=neighbours.withfiles(self.wanted.bundlecaps),
        )
        read = util.chunkbuffer(base).read
        return self._source.chunks(self._version, read)

    def _failure(self, exc: Exception) -> Exception:
        """Return what to raise for an exception on the way."""
        try:
            self._source.check()
        except errors.BundleStoreError as found:
            exc = found
        if not isinstance(exc, errors.BundleStoreError):
            return exc
        # the hint must be in the message: Mercurial sends that alone
        text = f'{exc.message} ({exc.hint})' if exc.hint else exc.message
        return error.Abort(tolocal(text))

    def markers(self) -> set:
        repo = self.wanted.repo.unfiltered()
        if not self._source.markers and not repo.obsstore:
            return set()
        obsstore = obsolete.obsstore(repo, repo.svfs, readonly=True)
        container.addmarkers(obsstore, self._source.markers)
        changelog = repo.changelog
        content = self._content
        heads = {*content.below, *content.landed, *self.wanted.others}
        nodes = set(content.scratch)
        nodes.update(
            map(
                changelog.node,
                changelog.ancestors(map(changelog.rev, heads), inclusive=True),
            )
        )
        relevant: set = obsstore.relevantmarkers(nodes)
        return relevant

    def heads(self) -> tuple[set[bytes], set[bytes]]:
        # scratch changesets are drafts, those of the base what they are to
        # clients
        repo = self.wanted.repo
        content = self._content
        shown = {*content.below, *content.landed, *self.wanted.others}
        shown.discard(repo.nullid)
        public = shown
        drafts: set[bytes] = set()
        if not repo.publishing():
            public = {node for node in shown if not repo[node].phase()}
            drafts = shown - public
            revs = repo.revs(
                b'heads(only(%ln, %ln) and public())',
                sorted(drafts),
                sorted(public),
            )
            public.update(map(repo.changelog.node, revs))
        return public, {
            *self.wanted.scratch,
            *drafts.intersection(self.wanted.others),
        }
