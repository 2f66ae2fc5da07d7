"""Who may push to the store over http, apart from who may push to the base.

hgweb asks once, before a push is read, and cannot know yet where it goes. So
whom ``[web]`` refuses is let in if ``bundlestore.allow-push`` names the user,
with a mark: ``receive.unbundle`` refuses anything of theirs that is not a
scratch push. Besides, they can remove pushes, change views, and upload what lfs
and largefiles keep outside of changesets, where it goes to the store.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from mercurial.hgweb import common

from .. import config, log, names, server as servermod
from . import refusals


def wrapped(checkauthz: Callable[..., None]) -> Callable[..., None]:
    """Return the permission hook to use in place of Mercurial's own."""

    @functools.wraps(checkauthz)
    def check(rctx, req, op) -> None:
        server = servermod.of(rctx.repo)
        if server is None:
            checkauthz(rctx, req, op)
            return
        server.request.storeonly = False
        try:
            checkauthz(rctx, req, op)
        except common.ErrorResponse as refusal:
            if op not in _PUSHING or not _mayscratch(
                rctx, req, server, op, refusal
            ):
                if op in _PUSHING:
                    _logrefusal(rctx, req, server, refusal)
                raise
            # May this user read, at least? It raises if not.
            checkauthz(rctx, req, None)
            server.request.storeonly = True

    return check


def checkstatus(web) -> None:
    """Refuse who may not set how a push went. hgweb has asked whether this
    user may read."""
    req = web.req
    if web.configbool(b'web', b'push_ssl') and req.urlscheme != b'https':
        raise refusals.refusal(common.HTTP_FORBIDDEN, b'ssl required')
    ui = web.repo.ui
    users = ui.configlist(config.SECTION, b'allow-status')
    if _islisted(ui, req.remoteuser, users):
        return
    message = b'bundlestore.allow-status does not name the user'
    if req.remoteuser:
        raise refusals.refusal(common.HTTP_FORBIDDEN, message)
    refusal = refusals.refusal(common.HTTP_UNAUTHORIZED, message)
    refusal.headers.append((b'WWW-Authenticate', b'Basic realm="mercurial"'))
    raise refusal


#: what hgweb asks for: ``upload`` is that of lfs
_PUSHING = (b'push', b'upload')
#: commands for the store
_COMMANDS = (b'unbundle', names.REMOVE, names.PUTBLOB, names.VIEW)


def _isforstore(req, server, op: bytes) -> bool:
    """Whether what is asked for cannot change the base."""
    command = req.qsparams.get(b'cmd')
    if op == b'push' and command in _COMMANDS:
        return True
    isupload = op == b'upload' or command == b'putlfile'
    return isupload and bool(server.settings.routeall)


def _mayscratch(rctx, req, server, op, refusal) -> bool:
    """Whether the push may go on, to the store only.

    A push that is no POST, or that lacks TLS, is refused with another code.
    """
    return (
        refusal.code == common.HTTP_UNAUTHORIZED
        and _isforstore(req, server, op)
        and _islisted(
            rctx.repo.ui,
            req.remoteuser,
            rctx.repo.ui.configlist(config.SECTION, b'allow-push'),
        )
        # receive.py asks for deny-push
    )


def _logrefusal(rctx, req, server, refusal) -> None:
    log.newrequest(server)
    log.event(
        rctx.repo.ui,
        server,
        'refused',
        what=req.qsparams.get(b'cmd', b''),
        user=req.remoteuser or b'',
        by=log.webway(req),
        reason=log.reason(refusal),
    )


def _islisted(ui, user: bytes | None, users: list[bytes]) -> bool:
    return bool(users) and common.ismember(ui, user, users)
