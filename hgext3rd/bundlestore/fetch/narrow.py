"""The answer to clients of Mercurial's extension ``narrow``: they want some of
the files, or no history, or both.

They get scratch changesets as they are, of the files that they want. What these
rest on is up to Mercurial, but where it has no answer:

* ``--depth``: the base changesets come as ellipses (``ellipsis.py``), as many
  generations of them as were asked for. Mercurial would compute the shape of
  all of the history. Many clients ask for the same ones, so the content of this
  part is kept in the cache of the bundle store: it depends on nothing but what
  its name says.
* What a client has in common with the base it may have as ellipses, so it need
  not have what is below them. A base changeset there that a scratch changeset
  rests on is sent, as an ellipsis.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Optional

from mercurial import bundle2, error, exchange, narrowspec, scmutil
from mercurial.i18n import _
from mercurial.node import nullrev

from ..bundle import container
from ..server import hasnode
from .answer import Answer
from .ellipsis import Change, Pack
from .wanted import Wanted

#: the arguments by which narrow clients ask, of which the last three tell
#: what they have: only a client that changes what it wants needs them
_ARGUMENTS = frozenset(
    [
        'narrow',
        'depth',
        'includepats',
        'excludepats',
        'oldincludepats',
        'oldexcludepats',
        'known',
    ]
)
#: the version of changegroups that can hold ellipses
_VERSION = b'03'
#: all files, as a pattern
_ALL = b'path:'
#: how many changesets that a client has are compared with one that it gets
_NEAREST = 4
#: changes with what is in the files of the cache, or in their names
_FORMAT = '1'


def isasked(wanted: Wanted) -> bool:
    """Whether this is the request of a narrow client."""
    return (
        bool(wanted.args.get('narrow'))
        and wanted.changesets
        and _VERSION in wanted.b2caps.get(b'changegroup', ())
        and wanted.isordinary(_ARGUMENTS)
        and all(hasnode(wanted.repo, node) for node in wanted.others)
    )


def prepare(wanted: Wanted, view) -> Optional[Narrow]:
    """Return the answer, from the overlay ``view`` that holds what was asked
    for and is closed with the answer, or None if the base does not show what
    that rests on."""
    try:
        answer = Narrow(wanted, view)
    except BaseException:
        view.close()
        raise
    if all(hasnode(wanted.repo, node) for node in answer.shown):
        return answer
    return None


def _depth(value: Optional[bytes]) -> int:
    """Return how many generations were asked for, 0 for all of them."""
    if not value:
        return 0
    try:
        depth = int(value)
    except ValueError:
        depth = 0
    if depth < 1:
        raise error.Abort(_(b'depth must be positive, got %s') % value)
    return depth


def _patterns(value: Optional[Iterable[bytes]]) -> list[bytes]:
    found = {pattern for pattern in value or () if pattern}
    narrowspec.validatepatterns(found)
    return sorted(found)


class Narrow(Answer):
    """An answer to a narrow client."""

    def __init__(self, wanted: Wanted, view) -> None:
        self._view = view
        self._changelog = view.unfiltered().changelog
        self._include = _patterns(wanted.args.get('includepats'))
        self._exclude = _patterns(wanted.args.get('excludepats'))
        depth = _depth(wanted.args.get('depth'))
        #: whether the client gets all files, as it did not say which
        self._isfree = bool(depth) and not self._include
        if self._isfree:
            self._include = [_ALL]
        rev, node = self._changelog.rev, self._changelog.node
        heads = list(map(rev, [*wanted.scratch, *wanted.others]))
        self._common = set(map(rev, wanted.common)) - {nullrev}
        scratch = self._scratchrevs(heads)
        below = {p for r in scratch for p in self._parents(r)}.union(heads)
        below -= scratch
        #: the heads of what Mercurial sends, and what is sent as ellipses
        self._history: list[bytes] = []
        if depth:
            ellipses = self._generations(heads, depth).union(below) - scratch
        else:
            ellipses = self._lost(wanted.repo, below)
            self._history = list(map(node, below - ellipses - self._common))
        self._base = list(self._basechanges(sorted(ellipses - self._common)))
        self._scratch = [
            Change(node(r), self._nodes(r), True, self._nodes(r))
            for r in sorted(scratch)
        ]
        #: the changesets of the base that the client has then, as far as
        #: scratch changesets rest on them or they were asked for
        self.shown = set(map(node, below.union(ellipses)))
        super().__init__(
            wanted,
            {change.node for change in self._scratch},
            [node(r) for r in scratch if scratch.isdisjoint(self._parents(r))],
            {
                'way': 'narrow',
                'changesets': len(self._scratch) + len(self._base),
                'behind': 'base' if self._history else 'nothing',
                'changegroup': _VERSION,
            },
        )

    # -- what is sent

    def _parents(self, rev: int) -> list[int]:
        return [p for p in self._changelog.parentrevs(rev) if p != nullrev]

    def _nodes(self, rev: int) -> tuple[bytes, ...]:
        return tuple(map(self._changelog.node, self._parents(rev)))

    def _scratchrevs(self, heads: Iterable[int]) -> set[int]:
        """Return the scratch changesets among the ancestors of ``heads``."""
        found: set[int] = set()
        pending = list(heads)
        while pending:
            rev = pending.pop()
            if rev in self._view.scratchrevs and rev not in found:
                found.add(rev)
                pending += self._parents(rev)
        return found

    def _generations(self, heads: Iterable[int], depth: int) -> set[int]:
        """Return what is at most ``depth`` generations below ``heads``, but
        not below a changeset that the client has."""
        found = level = set(heads)
        for _generation in range(depth):
            below = {
                parent
                for rev in level - self._common
                for parent in self._parents(rev)
            }
            level = below - found
            if not level:
                break
            found = found | level
        return found

    def _lost(self, repo, revs: set[int]) -> set[int]:
        """Return those of ``revs`` that a client may lack, though they are
        below what it has."""
        if not repo.ui.configbool(
            b'experimental', b'narrowservebrokenellipses'
        ):
            return set()
        isancestor = self._changelog.isancestorrev
        return {
            rev
            for rev in revs - self._common
            if any(isancestor(rev, c) for c in self._common if c > rev)
        }

    def _basechanges(self, revs: list[int]) -> Iterator[Change]:
        changelog = self._changelog
        # what the client has or gets before, also in order: there may be
        # thousands
        there = set(self._common)
        ordered = sorted(there)
        for rev in revs:
            parents = self._parents(rev)
            left = [p for p in parents if p in there]
            at = bisect.bisect(ordered, rev)
            around = ordered[max(0, at - _NEAREST) : at + _NEAREST]
            nearest = sorted(around, key=lambda r: abs(r - rev))[:_NEAREST]
            iswhole = len(left) == len(parents)
            if not left and not iswhole:
                # so that the client sees which is the newer one
                left = [
                    r
                    for r in nearest
                    if r < rev and changelog.isancestorrev(r, rev)
                ][:1]
            yield Change(
                changelog.node(rev),
                tuple(map(changelog.node, left)),
                iswhole,
                tuple(map(changelog.node, dict.fromkeys([*left, *nearest]))),
            )
            there.add(rev)
            ordered.insert(at, rev)

    # -- the parts of the answer

    def changegroups(self) -> Iterator[Any]:
        if self._history:
            yield from self._historyparts()
        if self._base:
            yield self._part(self._kept(), len(self._base))
        if self._scratch:
            pack = self._pack(self._view, self._scratch)
            yield self._part(pack.chunks(), len(self._scratch))

    def _historyparts(self) -> list:
        """Return what Mercurial sends."""
        wanted, bundler = self.wanted, self.bundler()
        exchange.getbundle2partsmapping[b'changegroup'](
            bundler,
            wanted.repo,
            wanted.source,
            bundlecaps=wanted.bundlecaps,
            b2caps=wanted.b2caps,
            heads=self._history,
            common=wanted.common,
            **wanted.args,
        )
        return bundler._parts

    def lastparts(self) -> Iterator[Any]:
        if self._isfree:
            # All files: the client takes them for its choice from now on. It
            # forgets what it has in memory then, so this comes last.
            spec = bundle2.bundlepart(b'Narrow:responsespec')
            spec.data = b'\n'.join(self._include) + b'\0'
            spec.data += b'\n'.join(self._exclude)
            yield spec

    def _part(self, chunks: Iterable[bytes], count: int) -> Any:
        part = container.changegrouppart(
            chunks, _VERSION, scmutil.istreemanifest(self.wanted.repo)
        )
        part.addparam(b'nbchanges', b'%d' % count, mandatory=False)
        return part

    def _pack(self, repo, changes: list[Change]) -> Pack:
        match = narrowspec.match(repo.root, self._include, self._exclude)
        return Pack(repo, changes, match)

    def _kept(self) -> Iterator[bytes]:
        """Yield the changegroup with the changesets of the base, by way of the
        cache."""
        key = repr((_FORMAT, self._base, self._include, self._exclude))
        name = f'narrow-{hashlib.sha256(key.encode()).hexdigest()}'

        def make() -> Iterator[bytes]:
            return self._pack(self.wanted.repo, self._base).chunks()

        file = self.wanted.server.cache.made(name, make)
        if file is None:
            yield from make()
            return
        with file:
            yield from container.blocks(file)

    def markers(self) -> Iterable[Any]:
        obsstore = self._view.obsstore
        relevant: Iterable[Any] = obsstore.relevantmarkers(
            self.scratch.union(self.shown)
        )
        return relevant if obsstore else ()

    def heads(self) -> tuple[set[bytes], set[bytes]]:
        repo = self.wanted.repo
        public = self.shown
        if not repo.publishing():
            public = {node for node in public if not repo[node].phase()}
        drafts = self.shown - public
        return public, drafts.union(self.wanted.scratch)

    def close(self) -> None:
        self._view.close()
