"""What of a clone is in a private workspace, as far as this clone knows.

It goes to nobody else by mistake: not by a push that names nothing, and not by
a backup for all to see. What rests on it cannot be had without it, and is as
private.
"""

from __future__ import annotations

from typing import Any

from mercurial import error, smartset
from mercurial.i18n import _

from ..server import tolocal
from . import viewrecord


def revs(repo) -> Any:
    """Return the drafts that are private, and secret ones on top of them."""
    nodes = {
        node for record in viewrecord.private(repo) for node in record.nodes
    }
    hasnode = repo.unfiltered().changelog.index.has_node
    there = [node for node in nodes if hasnode(node)]
    if not there:
        return smartset.baseset()
    return repo.revs(b'(not public() and ::%ln)::', there)


def check(repo) -> None:
    """Abort if a push of all drafts would show to others what is in a private
    workspace."""
    count = len(repo.revs(b'draft() and %ld', revs(repo)))
    if not count:
        return
    name = tolocal(viewrecord.private(repo)[0].name)
    what = _(b'a draft') if count == 1 else _(b'%d drafts') % count
    raise error.StateError(
        _(b"%s of private workspace '%s' would be for all to see")
        % (what, name),
        hint=_(b'say with -r what others may see, or push to the workspace'),
    )
