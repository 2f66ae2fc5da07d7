"""Who pushes, and whether that user may push to the bundle store."""

from __future__ import annotations

import os

from mercurial import encoding, error, util
from mercurial.i18n import _
from mercurial.utils import procutil

from . import config
from .server import tolocal


def ishttp(url: bytes) -> bool:
    """Whether a push with that url came over http (see
    ``hgweb.httpservice.client``)."""
    return url.startswith((b'remote:http:', b'remote:https:'))


def username(url: bytes) -> str:
    """Return who pushes, empty if nobody knows.

    Over http it is the user that the web server authenticated
    (``remote:http:HOST:USER``), else the one the process runs as, as the acl
    extension has it.
    """
    if ishttp(url):
        fields = url.split(b':')
        name = util.urlreq.unquote(fields[3]) if len(fields) > 3 else b''
    else:
        name = encoding.environ.get(b'REMOTE_USER') or _login()
    return name.decode('utf-8', 'replace')


def _login() -> bytes:
    try:
        return procutil.getuser()
    except (KeyError, OSError, ImportError):
        # a user id without a name, as in some containers
        return b'%d' % os.getuid()


def _listed(users: list[bytes], user: bytes) -> bool:
    return users == [b'*'] or user in users


def checkpush(ui, user: str) -> None:
    """Abort if ``user`` may not push to the bundle store.

    The lists are those of ``web.allow-push`` and ``web.deny-push``, except
    that an empty ``allow-push`` lets everybody in whom the transport let in.
    """
    deny = ui.configlist(config.SECTION, b'deny-push')
    allow = ui.configlist(config.SECTION, b'allow-push')
    name = user.encode('utf-8')
    if (deny and (not name or _listed(deny, name))) or (
        allow and not _listed(allow, name)
    ):
        raise error.Abort(
            _(b'%s may not push to the bundle store') % described(user),
            hint=(
                _(b'ask the administrator about bundlestore.allow-push')
                if user
                else _(b'log in, or ask the administrator')
            ),
        )


def described(user: str) -> bytes:
    """Return what a message calls a user, who may be nobody."""
    if not user:
        return _(b'a user who is not logged in')
    return _(b"user '%s'") % tolocal(user)
