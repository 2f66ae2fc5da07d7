"""Scratch bookmarks: which names, whose, and where they may move.

They live in the index, never in the repository.
"""

from __future__ import annotations

import re
from typing import Callable, Optional

from mercurial import encoding, error, scmutil
from mercurial.i18n import _
from mercurial.node import hex, short
from mercurial.utils import stringutil

from . import access
from .model import BookmarkMove
from .server import hasnode, servedview, tolocal

#: bytes that the name of a bookmark may have
MAX_NAME = 200

_HASH = rb'[0-9a-f]{40}\Z'


def checkname(server, name: bytes, user: str) -> str:
    """Return the name as text if ``user`` may move that scratch bookmark;
    raises ``error.Abort`` otherwise."""
    try:
        utf8: bytes = encoding.fromlocal(name)
    except error.Abort:
        raise error.Abort(
            _(b'bookmark name is not %s: %s')
            % (encoding.encoding, stringutil.pprint(name[: MAX_NAME // 2]))
        )
    text = utf8.decode('utf-8')
    if not text or not text.isprintable() or len(utf8) > MAX_NAME:
        raise error.Abort(
            _(b'invalid bookmark name: %s')
            % stringutil.pprint(name[: MAX_NAME // 2])
        )
    if re.match(_HASH, name):
        raise error.Abort(_(b"the name '%s' is that of a changeset") % name)
    # what Mercurial refuses for bookmarks of its own
    scmutil.checknewlabel(None, name, b'bookmark')
    if server.settings.bookmarkowner:
        parts = text.split('/')
        if len(parts) < 3 or not user or parts[1] != user:
            raise error.Abort(
                _(b"bookmark '%s' does not belong to %s")
                % (name, access.described(user)),
                hint=_(b'only names of the form scratch/USER/... may be moved'),
            )
    return text


#: gives the parents of a changeset that is pushed or stored, else None
_Parents = Callable[[bytes], Optional[tuple[bytes, bytes]]]


def checkmoves(repo, moves: list[BookmarkMove], parents: _Parents) -> None:
    """Abort unless every move goes to a changeset that is there, and, but for
    those with force, to a descendant.

    ``parents`` tells of the push that brings the moves and of what is stored
    below. A bookmark may move within these, into them from the base, and
    within the base.
    """
    for move in moves:
        if move.new is None:
            if move.old is None:
                raise error.Abort(
                    _(b"bookmark '%s' does not exist") % tolocal(move.name)
                )
            continue
        if parents(move.new) is None and not hasnode(repo, move.new):
            raise error.Abort(
                _(b"bookmark '%s' points to unknown changeset %s")
                % (tolocal(move.name), short(move.new)),
                hint=_(b'push the changeset along'),
            )
        if move.force or move.old is None:
            continue
        if not _isforward(repo, move.old, move.new, parents):
            raise error.Abort(
                _(b"bookmark '%s' would not move forward: it is at %s")
                % (tolocal(move.name), short(move.old)),
                hint=_(b'use --force to move it all the same'),
            )


def _isforward(repo, old: bytes, new: bytes, parents: _Parents) -> bool:
    """Whether ``old`` is ``new`` or an ancestor of it."""
    seen = set()
    below = []
    pending = [new]
    while pending:
        node = pending.pop()
        if node == old:
            return True
        if node in seen:
            continue
        seen.add(node)
        found = parents(node)
        if found is None:
            below.append(node)
        else:
            pending.extend(found)
    if not hasnode(repo, old):
        return False
    cl = servedview(repo).changelog
    oldrev = cl.rev(old)
    return any(cl.isancestorrev(oldrev, cl.rev(node)) for node in below)


def listkeys(server) -> dict[bytes, bytes]:
    """Return the scratch bookmarks as ``listkeys`` does: name to hash."""
    found = server.ask(lambda index: index.bookmarks(limit=MAX_LISTED), [])
    return {tolocal(mark.name): hex(mark.node) for mark in found}


#: Clients ask for all bookmarks at once, also when they only want one. Beyond
#: this number ``pull -r scratch/x`` still finds each of them.
MAX_LISTED = 10000
