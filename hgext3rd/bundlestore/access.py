"""Who pushes, and whether that user may push to the bundle store."""

from __future__ import annotations

import os
import re

from mercurial import encoding, error, util
from mercurial.i18n import _
from mercurial.utils import procutil

from . import config, model
from .request import ishttp
from .server import tolocal


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
    return printable(name)


#: What would look like something else in a list or a message: control
#: characters, ends of lines, what turns the direction of text or has no width.
#: And bytes that are not UTF-8, and what stands for all of these.
_UNPRINTABLE = (
    '[\0-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff'
    '\ud800-\udfff\ufffd]'
)


def printable(name: bytes) -> str:
    """Return the name of a user as text that can be shown. No two names
    become one, as it stands for a user in lists of who may what."""
    text = name.decode('utf-8', 'surrogateescape')
    if text.isascii() and text.isprintable():
        return text
    return re.sub(_UNPRINTABLE, lambda m: f'\ufffd{ord(m[0]):04x}', text)


def _login() -> bytes:
    # where ``getpass`` looks first, which takes a while to load
    for variable in (b'LOGNAME', b'USER', b'LNAME', b'USERNAME'):
        name: bytes = encoding.environ.get(variable, b'')
        if name:
            return name
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
    if len(user) > model.NAME_LENGTH:
        raise error.Abort(
            _(b'the name of the user is too long to be recorded'),
            hint=_(b'at most %d characters') % model.NAME_LENGTH,
        )
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


def elsewhere(ui) -> bytes:
    """Return what a client can do that is not known to have this extension: a
    hint must name no option that it lacks."""
    address = ui.config(config.SECTION, b'try-url')
    if address:
        return _(b'push to %s') % address
    return _(
        b"push to the repository's try URL, or with the bundlestore extension"
    )


def described(user: str) -> bytes:
    """Return what a message calls a user, who may be nobody."""
    if not user:
        return _(b'a user who is not logged in')
    return _(b"user '%s'") % tolocal(user)
