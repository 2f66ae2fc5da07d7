"""What a client is told first: capabilities, and the heads of a try URL.

Who the client is, is remembered here, too.
"""

from __future__ import annotations

from mercurial import wireprototypes

from .. import compat, server as servermod
from ..names import CAPABILITY, CHANGEGROUPS
from ..request import Request
from ..start.wraps import inplaceof

# -- capabilities


@inplaceof('wireprotov1server._capabilities')
def capabilities(orig, repo, proto):
    caps = orig(repo, proto)
    server = servermod.of(repo)
    if server is not None:
        caps.extend(c for c in server.capabilities if c not in caps)
    return caps


@inplaceof(compat.REPOCAPS)
def getrepocaps(orig, repo, *args, **kwargs):
    caps = orig(repo, *args, **kwargs)
    server = servermod.of(repo)
    if server is None:
        return caps
    caps = dict(caps)
    if kwargs.get('role') == b'server':
        caps[CAPABILITY] = ()
    # by path, Mercurial asks for what a client has
    if server.settings.routeall:
        # A client sends the newest that is offered. Others cannot be
        # stored; pushes to the base may have them.
        caps[b'changegroup'] = tuple(
            version
            for version in caps.get(b'changegroup', ())
            if version in CHANGEGROUPS
        )
    return caps


@inplaceof('wireprotov1server.getdispatchrepo')
def getdispatchrepo(orig, repo, proto, *args, **kwargs):
    """Remember who speaks: ``pushkey`` is not told. And how long the request
    is: Mercurial's function that reads a push is not."""
    server = servermod.of(repo)
    if server is not None:
        # whom hgweb let in is known by now
        server.request = Request(
            proto.client(),
            compat.contentlength(proto),
            server.request.storeonly,
        )
    return orig(repo, proto, *args, **kwargs)


# -- open heads of a try URL


def _opensheads(repo) -> bool:
    server = servermod.of(repo)
    return server is not None and server.settings.openheads


@inplaceof('the command heads')
def heads(orig, repo, proto, *args):
    """Answer ``heads`` on a try URL as an empty repository does.

    A client then neither minds new heads and branches nor sends more: what
    is common it learns from ``known``.
    """
    if _opensheads(repo):
        return wireprototypes.bytesresponse(
            wireprototypes.encodelist([repo.nullid]) + b'\n'
        )
    return orig(repo, proto, *args)


@inplaceof('exchange.check_heads')
def checkheads(orig, repo, their_heads, context):
    """A push to a try URL races with nobody, and the client that pushes a
    bundle1 was told of other heads than there are."""
    if not _opensheads(repo):
        orig(repo, their_heads, context)
