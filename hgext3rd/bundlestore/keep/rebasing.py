"""Stored changesets are rebased in memory, as ``hg rebase --keepbranches`` does
it, before they land."""

from __future__ import annotations

from typing import Any, Optional

from mercurial import context, error, extensions, merge, obsolete
from mercurial.i18n import _
from mercurial.node import short
from mercurial.utils import dateutil

from ..bundle import container, memory

#: what a changeset keeps of what it has beside files and description
_KEPT = (
    *(b'close', b'source', b'intermediate-source'),
    # of the extension topic
    *(b'topic', b'topic-namespace'),
)
#: no tool that asks somebody, or looks at a working copy
_CONFIG = {
    (b'ui', b'forcemerge'): b':merge',
    (b'ui', b'interactive'): b'no',
    (b'merge', b'disable-partial-tools'): b'yes',
}


def rebase(
    ui, base, view, nodes: list[bytes], dest: bytes, user: bytes
) -> dict[bytes, Optional[bytes]]:
    """Rebase changesets of ``view``, parents first, onto ``dest``, on behalf of
    ``user``; return what became of each, None where nothing is left of it.
    Aborts at a conflict."""
    if b'largefiles' in dict(extensions.extensions(view.ui)):
        # it wants a working copy for each merge
        raise _refusal(_(b'cannot rebase where largefiles is turned on'))
    for node in nodes:
        if len(view[node].parents()) > 1:
            raise _refusal(_(b'cannot rebase merge %s') % short(node))
    made: dict[bytes, Optional[bytes]] = {}
    parent = dest
    with (
        view.ui.configoverride(_CONFIG, b'bundlestore'),
        memory.writing(view),
        ui.makeprogress(_(b'rebasing'), _(b'changesets'), len(nodes)) as bar,
    ):
        for node in nodes:
            bar.increment()
            ctx = view[node]
            made[node] = node
            if ctx.p1().node() != parent:
                made[node] = _rebased(view, ctx, parent)
            parent = made[node] or parent
    _checkblobs(view)
    if obsolete.isenabled(base, obsolete.exchangeopt):
        _mark(view, made, user)
    return made


def _rebased(view, ctx, parent: bytes) -> Optional[bytes]:
    if {b'.hgsub', b'.hgsubstate'}.intersection(ctx.files()):
        raise _refusal(
            _(b'cannot rebase %s, which changes subrepositories') % ctx
        )
    wctx = context.overlayworkingctx(view)
    wctx.setbase(view[parent])
    try:
        stats = merge.graft(view, ctx, wctx=wctx)
        conflict = stats.unresolvedcount > 0
    except error.InMemoryMergeConflictsError:
        conflict = True
    if conflict:
        names = b', '.join(sorted(wctx.mergestate().unresolved()))
        raise _refusal(
            _(b'cannot rebase %s onto %s: conflicts in %s')
            % (ctx, short(parent), names)
        )
    # what is as it was before, as the rebase extension of Mercurial has it
    wctx._compact()
    if ctx.files() and not wctx.files():
        return None
    extra = {name: ctx.extra()[name] for name in _KEPT if name in ctx.extra()}
    new = wctx.tomemctx(
        ctx.description(),
        branch=ctx.branch(),
        extra={**extra, b'rebase_source': ctx.hex()},
        date=ctx.date(),
        user=ctx.user(),
    )
    return memory.commit(view, new)


def _refusal(what: bytes) -> error.Abort:
    hint = _(b'rebase it in a clone, and push what comes of it')
    return error.StateError(what, hint=hint)


def _checkblobs(view) -> None:
    """Abort if lfs would have to keep what it does not have yet: a file was
    merged."""
    blobs: Any = getattr(view.svfs, 'lfslocalblobstore', None)
    for oid in getattr(blobs, 'new', ()):
        if not blobs.hadbefore(oid):
            raise _refusal(
                _(b'cannot rebase what lfs keeps: both sides changed a file')
            )


def _mark(view, made: dict[bytes, Optional[bytes]], user: bytes) -> None:
    """Have the changesets that were rebased be known to be obsolete, as far as
    the repository tells others of that."""
    what = ((b'operation', b'rebase'), (b'user', user))
    date = dateutil.makedate()
    markers = [
        (node, (new,), 0, what, date, None)
        for node, new in made.items()
        if new is not None and new != node
    ]
    if markers:
        data = obsolete.encodemarkers(markers, True, obsolete._fm1version)
        container.addmarkers(view.obsstore, [b''.join(data)])
