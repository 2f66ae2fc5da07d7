"""What machines are told of a push: the entry of ``/json-pushes``, and of a web
hook.

The index has the least of it: author, branch and description of changesets are
in the stored bundle.
"""

from __future__ import annotations

from typing import Any

from .. import model
from ..declaring import provides
from ..server import aborting, totext
from . import overlay, sound


def entry(
    push: model.Push, changesets: list[Any], full: bool = True
) -> dict[str, Any]:
    """Return what ``/json-pushes`` tells of a push, with these changesets. How
    it went and where it landed, which is told of if ``full``, is to be put
    in."""
    found = {
        'changesets': changesets,
        'date': int(push.time),
        'user': push.user,
    }
    if full:
        found.update(pushvars=dict(push.pushvars), statuses=[], landings=[])
    return found


def statusesof(server, ids: list[int]) -> dict[int, list[dict[str, Any]]]:
    """Return how those of the pushes went of which something is known."""
    if not ids or not provides(server.index, 'IStatuses'):
        return {}
    with aborting():
        found = server.index.statuses(ids)
    return {
        id: [{**one._asdict(), 'time': int(one.time)} for one in its]
        for id, its in found.items()
    }


def opened(repo, server, push: model.Push):
    """Return the overlay of a push, which the caller closes; raises
    ``error.Abort``, and whatever a bundle raises that is not sound."""
    try:
        return overlay.openbundles(repo, server, model.chain([push]))
    except sound.Unserved:
        heads = [head.node for head in push.heads]
        view = overlay.opennodes(repo, server, heads)
        if view is None:
            raise
        return view


def changeset(ctx) -> dict[str, Any]:
    """Return what ``full`` tells of a changeset."""
    return {
        'node': ctx.hex().decode(),
        'author': totext(ctx.user()),
        'branch': totext(ctx.branch()),
        'desc': totext(ctx.description()),
        'files': [name.decode('utf-8', 'replace') for name in ctx.files()],
        'parents': [parent.hex().decode() for parent in ctx.parents()],
        'tags': [totext(tag) for tag in ctx.tags()],
    }
