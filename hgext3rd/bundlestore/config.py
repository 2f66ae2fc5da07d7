"""The configuration: one table of what is read, and typed settings.

Each item is described in ``helptext/bundlestore-server.rst`` or in the front
page; a test compares the three.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

from mercurial import configitems, error, exthelper, util
from mercurial.i18n import _
from mercurial.utils import stringutil

eh = exthelper.exthelper()

SECTION = b'bundlestore'

# -- server
eh.configitem(SECTION, b'server', default=False)
eh.configitem(SECTION, b'route', default=b'requested')
eh.configitem(SECTION, b'store', default=b'file')
eh.configitem(SECTION, b'index', default=b'file')
eh.configitem(SECTION, b'max-bundle-size', default=b'1 GB')
eh.configitem(SECTION, b'max-changesets', default=10000)
eh.configitem(SECTION, b'verify', default=b'changesets')
eh.configitem(SECTION, b'allow-push', default=list)
eh.configitem(SECTION, b'deny-push', default=list)
eh.configitem(SECTION, b'open-heads', default=configitems.dynamicdefault)
eh.configitem(SECTION, b'bookmark-owner', default=False)
eh.configitem(SECTION, b'changeset-url', default=None)

# -- server and client
eh.configitem(SECTION, b'bookmark-pattern', default=b're:^scratch/')

# -- client
eh.configitem(SECTION, b'autopull', default=True)


class Settings(NamedTuple):
    """What a server's configuration says, checked and typed."""

    #: every push is a scratch push
    routeall: bool
    storeurl: str
    indexurl: str
    #: bytes, 0 for no limit
    maxbundlesize: int
    #: 0 for no limit
    maxchangesets: int
    #: ``none``, ``changesets`` or ``full``
    verify: str
    openheads: bool
    bookmarkowner: bool
    changeseturl: Optional[bytes]


def isserver(ui) -> bool:
    """Whether the repository with this configuration keeps a bundle store."""
    return ui.configbool(SECTION, b'server')


def _choice(ui, name: bytes, choices: tuple[bytes, ...]) -> bytes:
    value = ui.config(SECTION, name)
    if value not in choices:
        raise error.ConfigError(
            _(b'bundlestore.%s is not one of %s: %s')
            % (name, b', '.join(choices), value)
        )
    return value


def settings(ui) -> Settings:
    """Return the server's settings; raises ``error.ConfigError``."""
    routeall = _choice(ui, b'route', (b'requested', b'all')) == b'all'
    openheads = ui.configbool(SECTION, b'open-heads', routeall)
    return Settings(
        routeall=routeall,
        storeurl=ui.config(SECTION, b'store').decode(
            'utf-8', 'surrogateescape'
        ),
        indexurl=ui.config(SECTION, b'index').decode(
            'utf-8', 'surrogateescape'
        ),
        maxbundlesize=ui.configbytes(SECTION, b'max-bundle-size'),
        maxchangesets=ui.configint(SECTION, b'max-changesets'),
        verify=_choice(
            ui, b'verify', (b'none', b'changesets', b'full')
        ).decode(),
        openheads=routeall and openheads,
        bookmarkowner=ui.configbool(SECTION, b'bookmark-owner'),
        changeseturl=ui.config(SECTION, b'changeset-url'),
    )


def bookmarkmatcher(ui):
    """Return a function that tells whether a bookmark name (bytes) is one of
    a scratch bookmark.

    The pattern is one of ``hg help revisions.patterns``: ``re:``,
    ``literal:``, or plain text, which means itself. An empty one matches no
    name.
    """
    pattern = ui.config(SECTION, b'bookmark-pattern')
    if not pattern:
        return lambda name: False
    try:
        match = stringutil.stringmatcher(pattern)[2]
    except error.ParseError as exc:
        raise error.ConfigError(
            _(b'bundlestore.bookmark-pattern: %s') % exc.message
        )
    return lambda name: bool(match(name))


def formatsize(size: int) -> str:
    """Return a number of bytes as Mercurial shows it to people."""
    return util.bytecount(size).decode()
