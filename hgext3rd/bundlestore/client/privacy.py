"""What of a clone is in a private workspace, as far as this clone knows.

It goes to nobody else by mistake: not by a push that names nothing, and not by
a backup for all to see. What rests on it cannot be had without it, and is as
private; so is what was made of it, by amend or rebase say.

A file in the store of the repository, which its shares have in common, has a
line for each changeset that came from a private workspace or goes to one. It is
written before that happens, and never forgets any. Without markers, nothing
tells of what something was made that was made of what is not here any more: so
in a repository that has the file each transaction adds to it what it has made
(see ``start/wraps.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from mercurial import error, obsutil, smartset, vfs as vfsmod
from mercurial.i18n import _
from mercurial.node import bin, hex
from mercurial.utils import stringutil

from .. import names
from ..server import tolocal
from . import viewrecord

_LINE = re.compile(rb'[0-9a-f]{40}\Z')
#: What the names end with of what Mercurial's commands note of a changeset that
#: they make of another one, such as "amend_source".
_MADEOF = b'source'


# -- what is known


def remember(repo, nodes: Iterable[bytes]) -> None:
    """Note changesets that are private: before they come, or go there."""
    new = {*nodes}.difference(_noted(repo), [repo.nullid])
    if new:
        lines = [b'', *sorted(map(hex, new)), b'']
        # A line is added at once, and none is ever taken away: without a lock,
        # which the vfs of the store would want.
        vfs = vfsmod.vfs(repo.store.path)
        vfs.createmode = repo.store.createmode
        with vfs(names.PRIVATEFILE, b'ab') as fh:
            fh.write(b'\n'.join(lines))


def _noted(repo) -> set[bytes]:
    lines = repo.svfs.tryread(names.PRIVATEFILE).splitlines()
    return {bin(line) for line in lines if _LINE.match(line)}


def closed(ui, repo, hooktype, **args: Any) -> bool:
    """Note what a transaction has made of what is private; a hook. Nothing is
    raised."""
    try:
        remember(repo, _derived(repo, _noted(repo)))
    except Exception as exc:
        ui.warn(
            _(b'warning: what is private cannot be noted: %s\n')
            % stringutil.forcebytestr(exc)
        )
    return False


def _derived(repo, nodes: set[bytes]) -> set[bytes]:
    """Return what was made of these changesets, with them."""
    unfi = repo.unfiltered()
    found = {*nodes}
    if unfi.obsstore:
        found.update(obsutil.allsuccessors(unfi.obsstore, nodes))
    for ctx in unfi.set(b'not public()'):
        if not found.isdisjoint(_sources(ctx.extra())):
            found.add(ctx.node())
    return found


def _sources(extra: dict[bytes, bytes]) -> Iterator[bytes]:
    """Yield which changesets another one was made of, as far as it says."""
    for name, value in extra.items():
        if name.endswith(_MADEOF):
            # as transplant has it
            yield value
            # what is folded has several
            yield from map(bin, filter(_LINE.match, value.split(b',')))


def revs(repo) -> Any:
    """Return the drafts that are private, and secret ones on top of them."""
    nodes = _noted(repo).union(*(r.nodes for r in viewrecord.private(repo)))
    if not nodes:
        return smartset.baseset()
    unfi = repo.unfiltered()
    hasnode = unfi.changelog.index.has_node
    there = [node for node in _derived(repo, nodes) if hasnode(node)]
    hidden = repo.changelog.filteredrevs
    found = unfi.revs(b'(not public() and ::%ln)::', there)
    return smartset.baseset([rev for rev in found if rev not in hidden])


# -- pushes


def check(repo, sent: Iterable[bytes]) -> None:
    """Abort if a push that names nothing would show to others what is in a
    private workspace; ``sent`` is what it sends."""
    rev = repo.unfiltered().changelog.rev
    count = len({*map(rev, sent)}.intersection(revs(repo)))
    if not count:
        return
    what = _(b'a draft') if count == 1 else _(b'%d drafts') % count
    known = viewrecord.private(repo)
    # where caches are removed nobody knows its name
    whose = _(b'a private workspace')
    if known:
        whose = _(b"private workspace '%s'") % tolocal(known[0].name)
    raise error.StateError(
        _(b'%s of %s would be for all to see') % (what, whose),
        hint=_(b'say with -r what others may see, or push to the workspace'),
    )
