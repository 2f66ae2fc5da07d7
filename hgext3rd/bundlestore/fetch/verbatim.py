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
from typing import Any, NamedTuple, Optional

from mercurial import (
    bundle2,
    changegroup,
    discovery,
    error,
    exchange,
    obsolete,
    obsutil,
    phases,
    scmutil,
    util,
)
from mercurial.interfaces import repository

from .. import compat, errors, model, names
from ..bundle import container, graph
from ..server import hasnode, servedview, tolocal
from . import origin, sources

#: the steps of Mercurial that make the parts of an answer
_STEPS = frozenset(
    [
        *compat.STREAMSTEPS,
        names.FROMSTORE,
        b'changegroup',
        b'bookmarks',
        b'listkeys',
        b'obsmarkers',
        b'phases',
        # caches, which a client can do without
        b'hgtagsfnodes',
        b'cache:rev-branch-cache',
    ]
)
#: the arguments of a request that are understood here
_ARGUMENTS = frozenset(
    ['cg', 'bookmarks', 'listkeys', 'obsmarkers', 'phases', 'cbattempted']
)
#: hooks that look at what a pull takes with it
_HOOKS = (b'preoutgoing', b'outgoing')

#: the least that is sent at once, in bytes
_BLOCK = 128 * 1024

#: what a damaged bundle raises before its hash gives it away, beside our own
_DAMAGE = (error.Abort, ValueError, LookupError, struct.error)


class _Request(NamedTuple):
    """What a client asked for; ``repo`` is what it sees of the base."""

    repo: Any
    server: Any
    source: bytes
    #: what was asked for: scratch changesets, and others
    scratch: list[bytes]
    others: list[bytes]
    common: list[bytes]
    bundlecaps: Any
    b2caps: dict[bytes, Any]
    args: dict[str, Any]


class _Content(NamedTuple):
    """What the bundles hold, and what that rests on."""

    #: the changesets that the base does not show
    scratch: set[bytes]
    #: those that it shows
    landed: set[bytes]
    #: the changesets that they rest on; the base shows all of them
    below: set[bytes]


def prepare(
    repo,
    server,
    located: dict[bytes, model.Location],
    keys: list[str],
    source: bytes,
    heads,
    common=None,
    bundlecaps=None,
    remote_sidedata=None,
    **kwargs,
) -> Optional[Answer]:
    """Return the answer to a request for ``heads``, or None if it takes an
    overlay; the caller closes it.

    ``located`` is where those of the heads are that are scratch changesets,
    ``keys`` are the bundles that are to be sent for them. The other arguments
    are those of ``exchange.getbundlechunks``.
    """
    view = servedview(repo)
    if remote_sidedata or not _isordinary(view, bundlecaps, kwargs):
        return None
    if not all(where.ishead for where in located.values()):
        return None
    others = [node for node in heads if node not in located]
    if not all(hasnode(view, node) for node in others):
        return None
    request = _Request(
        view,
        server,
        source,
        list(located),
        others,
        [node for node in common or () if hasnode(view, node)],
        bundlecaps,
        _bundle2caps(bundlecaps),
        kwargs,
    )
    try:
        return _prepare(request, keys)
    except (errors.BundleStoreError, *_DAMAGE):
        # the overlay knows how to say what is wrong
        return None


def _bundle2caps(bundlecaps) -> dict[bytes, Any]:
    caps: dict[bytes, Any] = {}
    for cap in bundlecaps:
        name, _equals, value = cap.partition(b'=')
        if name == b'bundle2':
            caps.update(bundle2.decodecaps(util.urlreq.unquote(value)))
    return caps


def _isordinary(repo, bundlecaps, args: dict[str, Any]) -> bool:
    """Whether nothing is asked for but what is done here."""
    if not bundlecaps or not all(
        cap == b'HG20' or cap.startswith(b'bundle2=') for cap in bundlecaps
    ):
        return False
    if not args.get('cg', True) or b'phases' in args.get('listkeys', ()):
        return False
    if any(value for name, value in args.items() if name not in _ARGUMENTS):
        return False
    if not _STEPS.issuperset(exchange.getbundle2partsorder):
        return False
    for name in (b'changegroup', b'obsmarkers', b'phases'):
        # an extension may want to have a say
        step = exchange.getbundle2partsmapping[name]
        if step.__module__ != exchange.__name__:
            return False
    if (
        b'narrowhg-experimental' in repo.requirements
        or repo.ui.has_section(b'narrowacl')
        or repository.REPO_FEATURE_SIDE_DATA in repo.features
    ):
        return False
    hooks = {name.split(b'.')[0] for name, _v in repo.ui.configitems(b'hooks')}
    return hooks.isdisjoint(_HOOKS)


def _prepare(request: _Request, keys: list[str]) -> Optional[Answer]:
    ui, store = request.repo.ui, request.server.store
    with contextlib.ExitStack() as stack:
        source: Any
        if len(keys) == 1:
            source = sources.Whole(ui, store, keys[0])
        else:
            source = sources.Joint(ui, store, keys)
        stack.callback(source.close)
        content = _content(request, source.parents)
        if content is None:
            return None
        lacking = _lacking(request, content)
        front = lacking is not None and not source.parents.keys() >= set(
            lacking.missing
        )
        if front and len(keys) == 1:
            # joined with something, it is read at random places
            source.close()
            source = sources.Joint(ui, store, keys)
            stack.callback(source.close)
        version = _version(request, source, front)
        if version is None:
            return None
        answer = Answer(request, source, content, version, lacking, front)
        stack.pop_all()
        return answer


def _content(request: _Request, parents: graph.Graph) -> Optional[_Content]:
    """Return what there is to send, or None if not all of it was asked for,
    or something that it rests on is not shown."""
    repo = request.repo
    wanted = {*request.scratch, *request.others}
    if not (
        graph.heads(parents) <= wanted
        and parents.keys() >= set(request.scratch)
    ):
        return None
    below = graph.below(parents)
    if not all(hasnode(repo, node) for node in below):
        return None
    landed = {node for node in parents if hasnode(repo, node)}
    scratch = parents.keys() - landed
    if request.server.settings.verify == 'none':
        # Nobody knows whether those are what they are called. What the base
        # has of that name, it keeps to itself.
        isheld = repo.unfiltered().changelog.hasnode
        if any(map(isheld, scratch)):
            return None
    return _Content(scratch, landed, below)


def _lacking(
    request: _Request, content: _Content
) -> Optional[discovery.outgoing]:
    """Return the changesets of the base that the client needs and does not
    have; None if there are none."""
    repo = request.repo
    needed = {*content.below, *content.landed, *request.others}
    changelog = repo.changelog
    rev = changelog.rev
    needs = {rev(node) for node in needed} - {-1}
    has = {rev(node) for node in request.common} - {-1}
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
    return exchange._computeoutgoing(repo, sorted(needed), request.common)


def _version(request: _Request, source, front: bool) -> Optional[bytes]:
    """Return the version of changegroup to send; None if there is none."""
    repo = request.repo
    if source.version == b'01':
        # nothing is stored as that
        return None
    if source.trees != scmutil.istreemanifest(repo):
        return None
    if source.trees and front:
        # Mercurial does not sort the folders of tree manifests
        return None
    offered = request.b2caps.get(b'changegroup', ())
    possible = changegroup.supportedoutgoingversions(repo).intersection(offered)
    for version in (source.version, b'03'):
        # a newer one than the bundle's own takes nothing but longer headers
        if version in possible:
            return version
    return None


class Answer:
    """An answer from stored bundles."""

    def __init__(
        self,
        request: _Request,
        source,
        content: _Content,
        version: bytes,
        lacking: Optional[discovery.outgoing],
        front: bool,
    ) -> None:
        self._request = request
        self._source = source
        self._content = content
        self._version = version
        self._lacking = lacking
        self._front = front
        self._done = False
        missing = lacking.missing if lacking is not None else []
        self._count = len(content.scratch.union(missing))
        #: the scratch changesets that rest on the base
        self.roots = graph.roots(
            {node: source.parents[node] for node in content.scratch}
        )
        #: what the log says of the answer, and what went wrong with it
        self.description = {
            'way': 'verbatim',
            'changesets': self._count,
            'behind': 'base' if front else 'nothing',
            'changegroup': version,
        }
        self.trouble: Optional[bytes] = None
        #: what ``exchange.getbundlechunks`` tells of the answer
        self.info = {b'bundleversion': 2, b'prefercompressed': True}

    def chunks(self) -> Iterator[bytes]:
        """Yield the answer. Where a bundle turns out to be damaged, it breaks
        off before the end, with a part that has the client abort."""
        # what fails here is told to the client in the common way
        others = self._otherparts()
        phasepart = self._phasepart()
        return self._chunks(others, phasepart)

    def _chunks(self, others, phasepart) -> Iterator[bytes]:
        request = self._request
        ui = request.repo.ui

        def parts():
            if origin.iswanted(request.b2caps):
                yield origin.part(self._content.scratch)
            yield self._changegrouppart()
            yield from others
            yield from self._markerparts()
            yield from phasepart

        try:
            yield from _gathered(container.container(ui, parts()))
        except error.Abort as exc:
            if request.source != b'serve':
                raise
            # The client has been told, by the part that Mercurial puts in
            # then. It would be told again over ssh, and a web server would
            # answer with a second response.
            self.trouble = exc.message

    def close(self) -> None:
        self._source.close()

    # -- parts

    def _changegrouppart(self):
        part = container.changegrouppart(
            self._changegroup(), self._version, self._source.trees
        )
        part.addparam(b'nbchanges', b'%d' % self._count, mandatory=False)
        return part

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
        request = self._request
        base = changegroup.makestream(
            request.repo,
            self._lacking,
            self._version,
            request.source,
            bundlecaps=request.bundlecaps,
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

    def _otherparts(self) -> list:
        """Return the parts that the base repository answers for."""
        request = self._request
        bundler = bundle2.bundle20(request.repo.ui, request.b2caps)
        for name in (b'bookmarks', b'listkeys'):
            exchange.getbundle2partsmapping[name](
                bundler,
                request.repo,
                request.source,
                bundlecaps=request.bundlecaps,
                b2caps=request.b2caps,
                **request.args,
            )
        return bundler._parts

    def _markerparts(self) -> list:
        """Return the part with the markers that matter to what is sent. Those
        of the bundles are known after the changegroup."""
        request = self._request
        if not request.args.get('obsmarkers'):
            return []
        bundler = bundle2.bundle20(request.repo.ui, request.b2caps)
        markers = obsutil.sortedmarkers(self._relevantmarkers())
        bundle2.buildobsmarkerspart(bundler, markers)
        return bundler._parts

    def _relevantmarkers(self) -> set:
        repo = self._request.repo.unfiltered()
        if not self._source.markers and not repo.obsstore:
            return set()
        obsstore = obsolete.obsstore(repo, repo.svfs, readonly=True)
        container.addmarkers(obsstore, self._source.markers)
        changelog = repo.changelog
        content = self._content
        heads = {*content.below, *content.landed, *self._request.others}
        nodes = set(content.scratch)
        nodes.update(
            map(
                changelog.node,
                changelog.ancestors(map(changelog.rev, heads), inclusive=True),
            )
        )
        relevant: set = obsstore.relevantmarkers(nodes)
        return relevant

    def _phasepart(self) -> list:
        """Return the part with phases: scratch changesets are drafts, those
        of the base what they are to clients."""
        request = self._request
        if not request.args.get('phases'):
            return []
        repo = request.repo
        content = self._content
        shown = {*content.below, *content.landed, *request.others}
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
        draftheads = {*request.scratch, *drafts.intersection(request.others)}
        mapping = {
            phases.public: sorted(public),
            phases.draft: sorted(draftheads),
        }
        bundler = bundle2.bundle20(repo.ui, request.b2caps)
        bundler.newpart(b'phase-heads', data=phases.binaryencode(mapping))
        return bundler._parts


def _gathered(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Join chunks to larger ones: Mercurial writes each by itself, also those
    of four bytes that say how long the next one is."""
    pieces: list[bytes] = []
    size = 0
    try:
        for chunk in chunks:
            pieces.append(chunk)
            size += len(chunk)
            if size >= _BLOCK:
                yield b''.join(pieces)
                pieces.clear()
                size = 0
    except Exception:
        # the last of it tells the client to abort
        yield b''.join(pieces)
        raise
    yield b''.join(pieces)
