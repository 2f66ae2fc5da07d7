"""Checks the bundles of a store: their bytes, what the index knows of them,
and whether all is there that they need."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any, Optional

from mercurial.i18n import _
from mercurial.node import short

from .. import errors, model
from ..batches import batches
from ..bundle import changegroup, complete, container
from ..push import fullcheck
from ..server import tolocal
from . import content, repair, walk
from .base import Base
from .findings import MOST, Finding, Wish


class BundleAudit:
    """One check of all bundles; ``repo`` and ``base`` are what they belong
    to."""

    def __init__(
        self,
        repo,
        store: Any,
        index: Any,
        base: Base,
        repairer: repair.Repairer,
        wish: Wish,
    ) -> None:
        self._repo = repo
        self._store = store
        self._index = index
        self._base = base
        self._repairer = repairer
        self._wish = wish
        #: what was checked: bundles, and their bytes
        self.count = self.bytes = 0

    def checkall(self, noted: Container[str]) -> Iterator[Finding]:
        """Check all bundles in the store. Of those in ``noted`` there are
        notes, so they are no orphans."""
        total = self._index.statistics().bundles
        with self._repo.ui.makeprogress(
            _(b'checking'), unit=_(b'bundles'), total=total
        ) as bar:
            for batch in batches(self._store.keys(), walk.BATCH):
                for key in batch:
                    yield from self._check(key, noted)
                    bar.increment()

    def _check(self, key: str, noted: Container[str]) -> Iterator[Finding]:
        bundle = self._bundle(key)
        if bundle is None:
            if key in noted:
                return
            if walk.isthere(self._store, key) and self._bundle(key) is None:
                yield Finding(
                    'orphan',
                    _(b'bundle %s is an orphan: no push has it') % key.encode(),
                    False,
                    key=key,
                )
            return
        self.count += 1
        try:
            if self._wish.quick:
                wrong = self._store.size(key) != bundle.size
                found = None
            else:
                found = content.read(self._repo.ui, self._store, key)
                wrong = (
                    found.size != bundle.size
                    or found.nodes != bundle.nodes
                    or found.heads != set(bundle.heads)
                )
                self.bytes += found.size
        except errors.UnknownKey:
            # deleted meanwhile, or else missing, see ``Audit``
            return
        except errors.BackendUnavailable as exc:
            message = b'%s: ' + tolocal(exc.message).replace(b'%', b'%%')
            yield self._ofbundle('corrupt', bundle, message)
            return
        except content.Unreadable:
            yield self._ofbundle('corrupt', bundle, _(b'%s cannot be read'))
            return
        except errors.CorruptBundle:
            yield self._ofbundle('corrupt', bundle, _(b'%s is damaged'))
            return
        if wrong:
            message = _(b'%s: the index does not know what is in it')
            finding = self._ofbundle('row', bundle, message)
            if self._wish.repair:
                repaired = self._repairer.correct(finding.pushes, key)
                finding = finding._replace(repaired=repaired)
            yield finding
        elif found is not None:
            yield from self._checkbelow(bundle, found)

    def _checkbelow(
        self, bundle: model.Bundle, found: content.Content
    ) -> Iterator[Finding]:
        """Look for what a bundle needs besides itself."""
        missing = [node for node in found.parents if not self._base.has(node)]
        if missing and bundle.rests:
            bases = self._index.bundles(bundle.rests)
            if len(bases) < len(bundle.rests):
                if self._bundle(bundle.key) is not None:
                    message = _(b'%s rests on a bundle that is not recorded')
                    yield self._ofbundle('base', bundle, message)
                return
            held = {node for base in bases.values() for node in base.nodes}
            missing = [node for node in missing if node not in held]
        if missing:
            yield self._lacking(bundle, missing[0])
        elif self._wish.full:
            yield from self._checkfull(bundle)

    def _lacking(self, bundle: model.Bundle, node: bytes) -> Finding:
        """Return what to say of a bundle below which the base lacks
        ``node``."""
        if self._base.lags:
            message = _(
                b'%s rests on changeset %s, which this copy of the repository '
                b'lacks; it could not be brought up to date'
            )
        else:
            message = _(b'%s rests on changeset %s, which the repository lacks')
        finding = self._ofbundle(
            'parent', bundle, message % (b'%s', short(node))
        )
        return finding._replace(isproblem=not self._base.lags)

    def _checkfull(self, bundle: model.Bundle) -> Iterator[Finding]:
        file = complete.completefile(
            self._repo.ui,
            self._store,
            bundle.rests,
            container.checkedfile(self._store, bundle.key),
        )
        try:
            fullcheck.check(self._repo, file, bundle.nodes)
        except (changegroup.MalformedChangegroup, errors.CorruptBundle) as exc:
            if self._bundle(bundle.key) is not None:
                message = b'%s: ' + tolocal(exc.message).replace(b'%', b'%%')
                yield self._ofbundle('corrupt', bundle, message)
        except errors.UnknownKey:
            pass  # see ``Audit``

    def _ofbundle(
        self, kind: str, bundle: model.Bundle, message: bytes
    ) -> Finding:
        """Return a problem of a bundle, with the pushes that need it."""
        found: dict[int, None] = {}
        for node in (*bundle.heads[-1:], *bundle.nodes[:1]):
            for push in self._index.pushes(node=node, limit=10 * MOST):
                if bundle.key == push.key or bundle.key in push.rests:
                    found[push.id] = None
        some = sorted(found)[:MOST]
        name = b'bundle %s' % bundle.key.encode()
        if some:
            ids = b', '.join(b'%d' % id for id in some)
            if len(found) > len(some):
                ids += _(b' and others')
            name += _(b' (push %s)') % ids
        return Finding(kind, message % name, pushes=tuple(some), key=bundle.key)

    def _bundle(self, key: str) -> Optional[model.Bundle]:
        found: Optional[model.Bundle] = self._index.bundles([key]).get(key)
        return found
