"""What a client asked for, of those whose answer is made here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mercurial import bundle2, exchange, util
from mercurial.interfaces import repository

from .. import compat, model, names
from ..server import hasnode, servedview
from . import neighbours

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
#: those of them that an extension may want to have a say in
_GUARDED = (b'changegroup', b'obsmarkers', b'phases')
#: what makes them: Mercurial itself, or its extension for narrow clones, which
#: passes on what is not asked for by such a clone
_MAKERS = (exchange.__name__, 'hgext.narrow.narrowbundle2')
#: the arguments of a request that are understood everywhere
_ARGUMENTS = frozenset(
    ['cg', 'bookmarks', 'listkeys', 'obsmarkers', 'phases', 'cbattempted']
)
#: hooks that look at what a pull takes with it
_HOOKS = (b'preoutgoing', b'outgoing')


class Wanted:
    """What a client asked for, in the words of ``exchange.getbundlechunks``;
    ``located`` are those of the heads that are scratch changesets."""

    def __init__(
        self,
        repo,
        server,
        located: Mapping[bytes, model.Location],
        source: bytes,
        heads,
        common=None,
        bundlecaps=None,
        remote_sidedata=None,
        **args: Any,
    ) -> None:
        #: what the client sees of the base
        self.repo = servedview(repo)
        self.server = server
        self.source = source
        #: what was asked for: scratch changesets, and others
        self.scratch = [node for node in heads if node in located]
        self.others = [node for node in heads if node not in located]
        #: whether some of it is not for everybody to see
        self.private = any(where.private for where in located.values())
        #: what the client has of the base
        self.common = [
            node for node in common or () if hasnode(self.repo, node)
        ]
        self.bundlecaps = bundlecaps or ()
        self.b2caps = _bundle2caps(self.bundlecaps)
        self.args = args
        #: whether it wants changesets: one that has those that it asks for
        #: wants their phases and markers
        self.changesets: bool = args.get('cg', True)
        self._sidedata = remote_sidedata

    def isordinary(self, more: frozenset[str] = frozenset()) -> bool:
        """Whether nothing is asked for but what is done here; ``more`` are
        the arguments that the caller understands besides."""
        repo, args = self.repo, self.args
        if (
            self._sidedata
            or not self.bundlecaps
            or not all(
                cap == b'HG20'
                or cap.startswith(b'bundle2=')
                or neighbours.isfileless(cap)
                for cap in self.bundlecaps
            )
        ):
            return False
        if b'phases' in args.get('listkeys', ()):
            return False
        understood = _ARGUMENTS | more
        if any(args[name] for name in args.keys() - understood):
            return False
        if not _STEPS.issuperset(exchange.getbundle2partsorder):
            return False
        steps = exchange.getbundle2partsmapping
        if any(steps[name].__module__ not in _MAKERS for name in _GUARDED):
            return False
        if (
            b'narrowhg-experimental' in repo.requirements
            or repo.ui.has_section(b'narrowacl')
            or repository.REPO_FEATURE_SIDE_DATA in repo.features
        ):
            return False
        hooks = repo.ui.configitems(b'hooks')
        return {n.split(b'.')[0] for n, _v in hooks}.isdisjoint(_HOOKS)


def _bundle2caps(bundlecaps) -> dict[bytes, Any]:
    caps: dict[bytes, Any] = {}
    for cap in bundlecaps:
        name, _equals, value = cap.partition(b'=')
        if name == b'bundle2':
            caps.update(bundle2.decodecaps(util.urlreq.unquote(value)))
    return caps
