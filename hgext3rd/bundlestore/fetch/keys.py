"""The answers to ``listkeys`` and ``pushkey``: phases and scratch bookmarks."""

from __future__ import annotations

from mercurial import error
from mercurial.node import bin, hex

from .. import access, bookmarks, log, lookup, model
from ..push import below
from ..server import hasnode
from ..start.wraps import room


def phases(repo, server, keys: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the answer to ``listkeys phases``; ``keys`` is the base's.

    A client turns everything public that this answer does not make a draft.
    After a scratch push it asks, and an old client after a pull, too, and
    must learn that the scratch changesets are none of the public ones. An
    empty answer would come from a server that knows no phases, and mean that
    all is public.
    """
    if server.settings.routeall:
        # All changesets descend from it, also those of a client that pushes
        # a root of its own, or to an empty repository.
        return {hex(repo.nullid): b'1'}
    if not server.scratchroots:
        return keys
    if keys.pop(b'publishing', None):
        # what the base has in drafts is public to clients
        keys.clear()
    keys.update((hex(node), b'1') for node in server.scratchroots)
    return keys


def hasphase(repo, key: bytes, new: bytes) -> bool:
    """Whether a changeset of the base has the phase that a client wants it to
    have.

    One that pushes bundle1 to a try URL finds everything to be a draft there,
    tries to make public what it knows as public, and tells its user of each
    failure.
    """
    if not lookup.isfullhash(key):
        return False
    node = bin(key)
    if not hasnode(repo, node):
        return False
    return b'%d' % repo[node].phase() == new


def movebookmark(repo, server, key, old, new) -> bool:
    """Move a scratch bookmark for a client that does so with ``pushkey``:
    one that pushes bundle1, or moves it without a changeset to push."""
    if not all(lookup.isfullhash(value) for value in (old, new) if value):
        return False
    try:
        with (
            log.refusals(repo.ui, server, server.request.client, 'pushkey'),
            # everybody sees a bookmark, and so where it is
            server.request.pushing(''),
        ):
            return _checkandmove(repo, server, key, old, new)
    except error.Abort as exc:
        # The command has no other way to say why: an exception would end the
        # connection over ssh, and be an internal error over http.
        repo.ui.warn(exc.format())
        return False


def _checkandmove(repo, server, key, old, new) -> bool:
    server.checksettings()
    user = server.request.user
    node = bin(new) if new else None
    if node is not None and not (
        hasnode(repo, node) or repo.bundlestore.locate(repo, [node])
    ):
        return False
    name = bookmarks.checkname(server, key, user)
    move = model.BookmarkMove(name, node, bin(old) if old else None)
    access.checkpush(repo.ui, user)
    if node is not None and not old and not server.settings.listbookmarks:
        # the client was not told whether there is one
        actual = server.need(lambda index: index.bookmark(name))
        move = move._replace(old=actual)
        rests = below.Foundation(repo, server)
        bookmarks.checkmoves(repo, [move], rests.parents)
    room('push.moves.pushkey')(repo, server, move)
    return True
