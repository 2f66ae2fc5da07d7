"""Scratch bookmarks: which names, whose, and where they may move.

They live in the index, never in the repository.
"""

from __future__ import annotations

from typing import Callable, Optional

from mercurial import error
from mercurial.i18n import _
from mercurial.node import hex, short

from . import access
from .model import BookmarkMove
from .server import hasnode, servedview, tolocal


def checkname(server, name: bytes, user: str) -> str:
    """Return the name as text if ``user`` may move that scratch bookmark;
    raises ``error.Abort`` otherwise."""
    try:
        text = name.decode('utf-8')
    except UnicodeDecodeError:
        raise error.Abort(_(b'bookmark name is not UTF-8: %r') % name)
    if not text or text != text.strip() or any(c in text for c in '\0\n\r\t'):
        raise error.Abort(_(b'invalid bookmark name: %r') % name)
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
            if move.old is None and not move.force:
                raise error.Abort(
                    _(b"bookmark '%s' does not exist") % tolocal(move.name)
                )
            continue
        if parents(move.new) is None and not _inbase(repo, move.new):
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


def _inbase(repo, node: bytes) -> bool:
    return hasnode(repo, node)


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
    if not _inbase(repo, old):
        return False
    cl = servedview(repo).changelog
    oldrev = cl.rev(old)
    return any(cl.isancestorrev(oldrev, cl.rev(node)) for node in below)


def listkeys(server) -> dict[bytes, bytes]:
    """Return the scratch bookmarks as ``listkeys`` does: name to hash."""
    found = server.index.bookmarks(limit=MAX_LISTED)
    return {tolocal(mark.name): hex(mark.node) for mark in found}


#: Clients ask for all bookmarks at once, also when they only want one. Beyond
#: this number ``pull -r scratch/x`` still finds each of them.
MAX_LISTED = 10000
