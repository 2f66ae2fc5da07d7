"""The configuration: one table of what is read, and typed settings.

Each item is described in ``helptext/bundlestore-server.rst`` or in the front
page; a test compares the three.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Optional

from mercurial import configitems, error, exthelper, formatter, util
from mercurial.i18n import _
from mercurial.utils import stringutil

from .records import NamedTuple

eh = exthelper.exthelper()

SECTION = b'bundlestore'

# -- server
eh.configitem(SECTION, b'server', default=False)
eh.configitem(SECTION, b'route', default=b'requested')
eh.configitem(SECTION, b'store', default=b'file')
eh.configitem(SECTION, b'index', default=b'file')
eh.configitem(SECTION, b'cache-size', default=b'1 GB')
eh.configitem(SECTION, b'put-command', default=None)
eh.configitem(SECTION, b'get-command', default=None)
eh.configitem(SECTION, b'delete-command', default=None)
eh.configitem(SECTION, b'list-command', default=None)
eh.configitem(SECTION, b'command-timeout', default=600)
eh.configitem(SECTION, b'max-bundle-size', default=b'1 GB')
eh.configitem(SECTION, b'max-changesets', default=10000)
eh.configitem(SECTION, b'max-rate', default=None)
eh.configitem(SECTION, b'quota', default=None)
eh.configitem(SECTION, b'retention', default=None)
eh.configitem(SECTION, b'workspace-retention', default=None)
eh.configitem(SECTION, b'verify', default=b'changesets')
eh.configitem(SECTION, b'compression', default=b'none')
eh.configitem(SECTION, b'allow-push', default=list)
eh.configitem(SECTION, b'deny-push', default=list)
eh.configitem(SECTION, b'allow-status', default=list)
eh.configitem(SECTION, b'open-heads', default=configitems.dynamicdefault)
eh.configitem(SECTION, b'bookmark-owner', default=False)
eh.configitem(SECTION, b'list-bookmarks', default=False)
eh.configitem(SECTION, b'timeout', default=120)
eh.configitem(SECTION, b'max-waiting', default=2)
eh.configitem(SECTION, b'changeset-url', default=None)
eh.configitem(SECTION, b'on-missing-base', default=None)
eh.configitem(SECTION, b'try-url', default=None)
# NAME of a web hook, with its options behind a colon
eh.configitem(SECTION, rb'webhook\..+', default=None, generic=True)

# -- server and client
eh.configitem(SECTION, b'bookmark-pattern', default=b're:^scratch/')

# -- client
eh.configitem(SECTION, b'autopull', default=True)
eh.configitem(SECTION, b'autopull-timeout', default=10)
eh.configitem(SECTION, b'auto-backup', default=False)


class Rate(NamedTuple):
    """So many pushes in so many seconds."""

    pushes: int
    seconds: float


class Settings(NamedTuple):
    """What a server's configuration says, checked and typed."""

    #: every push is a scratch push
    routeall: bool
    storeurl: str
    indexurl: str
    #: most bytes of bundles of a store elsewhere that are kept here
    cachesize: int
    #: bytes, 0 for no limit
    maxbundlesize: int
    #: 0 for no limit
    maxchangesets: int
    #: most pushes that a user may make in so many seconds, None for no limit
    maxrate: Optional[Rate]
    #: bytes that a user may hold, None for no limit
    quota: Optional[int]
    #: seconds after which a push may be removed, None for never
    retention: Optional[float]
    #: seconds for which what a view has is kept, None for ever
    workspaceretention: Optional[float]
    #: ``none``, ``changesets`` or ``full``
    verify: str
    #: of what is stored: ``none`` or ``zstd``
    compression: str
    openheads: bool
    bookmarkowner: bool
    #: clients that ask for bookmarks are told of scratch bookmarks, too
    listbookmarks: bool
    #: seconds that a push may stall, 0 for ever
    timeout: int
    #: most requests of a web server's process that wait for the next push
    maxwaiting: int
    changeseturl: Optional[bytes]
    #: what the shell runs if the base lacks what is stored on top of it
    onmissingbase: Optional[bytes]
    #: The items that mean nothing, and what is wrong with each. Their
    #: settings are the defaults, for what the base can answer alone.
    wrong: Mapping[str, error.ConfigError]


def isserver(ui) -> bool:
    """Whether the repository with this configuration keeps a bundle store.

    Who did not write a boolean wants one, and is told by :func:`settings`.
    """
    try:
        return ui.configbool(SECTION, b'server')
    except error.ConfigError:
        return True


def maketryurl(ui) -> None:
    """Have the configuration of a try URL say what its ``requires`` says,
    whatever its hgrc does, and if nobody reads that."""
    for item, value in ((b'server', b'yes'), (b'route', b'all')):
        ui.setconfig(SECTION, item, value, b'requires')


def _choice(ui, name: bytes, choices: tuple[bytes, ...]) -> bytes:
    value = ui.config(SECTION, name)
    if value not in choices:
        raise error.ConfigError(
            _(b'bundlestore.%s is not one of %s: %s')
            % (name, b', '.join(choices), value)
        )
    return value


def _compression(ui) -> bytes:
    found = _choice(ui, b'compression', (b'none', b'zstd'))
    if found != b'none' and not util.compengines[found].available():
        raise error.ConfigError(
            _(b'bundlestore.compression: this Mercurial has no %s') % found
        )
    return found


#: seconds of a unit of time, by its first letters
_UNITS = {
    b'second': 1,
    b'minute': 60,
    b'hour': 3600,
    b'day': 86400,
    b'week': 7 * 86400,
    b'month': 30 * 86400,
    b'year': 365 * 86400,
}


def _unit(name: bytes) -> Optional[int]:
    """Return the seconds of a unit (``d``, ``day`` or ``days``)."""
    found = [s for unit, s in _UNITS.items() if name in (unit, unit + b's')]
    if not found and len(name) == 1 and name != b'm':
        found = [s for unit, s in _UNITS.items() if unit.startswith(name)]
    return found[0] if found else None


def parseduration(text: bytes) -> Optional[float]:
    """Return the seconds that ``text`` such as ``90 days`` means; a number
    alone means days. None if it is nothing of the kind."""
    match = re.fullmatch(rb'\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*', text.lower())
    unit = _unit(match[2] or b'day') if match else None
    return None if match is None or unit is None else float(match[1]) * unit


def _wanted(ui, name: bytes) -> Optional[bytes]:
    """Return the value of an item that may be ``none``."""
    value = ui.config(SECTION, name)
    return None if not value or value.lower() == b'none' else value


def _duration(ui, name: bytes) -> Optional[float]:
    value = _wanted(ui, name)
    if value is None:
        return None
    seconds = parseduration(value)
    if seconds is None:
        raise error.ConfigError(
            _(b"bundlestore.%s is not a length of time ('%s')") % (name, value),
            hint=_(b"for example '90 days'"),
        )
    return seconds


def _bytes(ui, name: bytes) -> Optional[int]:
    value = _wanted(ui, name)
    if value is None:
        return None
    try:
        return util.sizetoint(value)
    except error.ParseError:
        raise error.ConfigError(
            _(b"bundlestore.%s is not a byte quantity ('%s')") % (name, value)
        )


def _rate(ui, name: bytes) -> Optional[Rate]:
    value = _wanted(ui, name)
    if value is None:
        return None
    pushes, _slash, unit = value.lower().partition(b'/')
    seconds = _unit((unit or b'hour').strip())
    if not pushes.strip().isdigit() or seconds is None:
        raise error.ConfigError(
            _(b"bundlestore.%s is not a rate ('%s')") % (name, value),
            hint=_(b"for example '60/hour'"),
        )
    return Rate(int(pushes), float(seconds))


def _linktemplate(ui) -> Optional[bytes]:
    template: Optional[bytes] = ui.config(SECTION, b'changeset-url')
    if not template:
        return None
    try:
        renderer = formatter.maketemplater(ui, template)
        # it is parsed when it is used, and a function may mind its arguments
        renderer.renderdefault(_EXAMPLE)
        unknown = renderer.symbolsuseddefault()[0].difference(_EXAMPLE)
    except (error.ParseError, error.Abort) as exc:
        raise error.ConfigError(
            _(b'bundlestore.changeset-url: %s') % exc.message, hint=exc.hint
        )
    # an operator of templates, for one, brings keywords of its own
    if unknown and b'%' not in template:
        raise error.ConfigError(
            _(b"bundlestore.changeset-url: unknown keyword '%s'")
            % min(unknown),
            hint=_(b'known keywords: %s') % b', '.join(sorted(_EXAMPLE)),
        )
    return template


#: what a link may have in it
_EXAMPLE = {
    b'node': b'0' * 40,
    b'desc': b'description',
    b'user': b'alice',
    b'push': b'1',
}


def backendurls(ui) -> tuple[str, str]:
    """Return the URLs of the store and of the index."""
    store, index = ui.config(SECTION, b'store'), ui.config(SECTION, b'index')
    return (
        store.decode('utf-8', 'surrogateescape'),
        index.decode('utf-8', 'surrogateescape'),
    )


def settings(ui) -> Settings:
    """Return the server's settings.

    What is wrong with an item is in ``wrong``, and is to be raised when
    somebody needs the store, not before: the base goes on.
    """
    wrong: dict[str, error.ConfigError] = {}

    def item(name: bytes, read: Callable[[], Any], instead: Any) -> Any:
        try:
            return read()
        except error.ConfigError as exc:
            wrong[name.decode()] = exc
            return instead

    def integer(name: bytes, instead: int) -> int:
        return item(name, lambda: ui.configint(SECTION, name), instead)

    def boolean(name: bytes, *default: bool) -> bool:
        return item(name, lambda: ui.configbool(SECTION, name, *default), False)

    def choice(name: bytes, *choices: bytes) -> bytes:
        return item(name, lambda: _choice(ui, name, choices), choices[0])

    boolean(b'server')
    # the store ``command`` reads it
    integer(b'command-timeout', 600)
    item(b'bookmark-pattern', lambda: bookmarkmatcher(ui), None)
    routeall = choice(b'route', b'requested', b'all') == b'all'
    openheads = boolean(b'open-heads', routeall)
    storeurl, indexurl = backendurls(ui)
    retention = item(b'retention', lambda: _duration(ui, b'retention'), None)
    viewage = item(
        b'workspace-retention',
        lambda: _duration(ui, b'workspace-retention'),
        retention,
    )
    return Settings(
        routeall=routeall,
        storeurl=storeurl,
        indexurl=indexurl,
        cachesize=item(
            b'cache-size', lambda: ui.configbytes(SECTION, b'cache-size'), 0
        ),
        maxbundlesize=item(
            b'max-bundle-size',
            lambda: ui.configbytes(SECTION, b'max-bundle-size'),
            0,
        ),
        maxchangesets=integer(b'max-changesets', 0),
        maxrate=item(b'max-rate', lambda: _rate(ui, b'max-rate'), None),
        quota=item(b'quota', lambda: _bytes(ui, b'quota'), None),
        retention=retention,
        workspaceretention=retention if viewage is None else viewage,
        verify=choice(b'verify', b'changesets', b'none', b'full').decode(),
        compression=item(
            b'compression', lambda: _compression(ui).decode(), 'none'
        ),
        openheads=routeall and openheads,
        bookmarkowner=boolean(b'bookmark-owner'),
        listbookmarks=boolean(b'list-bookmarks'),
        timeout=integer(b'timeout', 120),
        maxwaiting=integer(b'max-waiting', 0),
        changeseturl=item(b'changeset-url', lambda: _linktemplate(ui), None),
        onmissingbase=ui.config(SECTION, b'on-missing-base') or None,
        wrong=wrong,
    )


def webhooks(ui) -> list[bytes]:
    """Return the names of the web hooks, each of which has an item for its URL
    (see ``keep/webhooks.py``)."""
    begin = b'webhook.'
    return [
        name[len(begin) :]
        for name, value in ui.configitems(SECTION)
        if name.startswith(begin) and b':' not in name and value
    ]


def secretfile(ui, hook: bytes) -> Optional[bytes]:
    """Return the path of the file with the secrets of a web hook. A relative
    one begins where the file is that names it."""
    path: Optional[bytes] = ui.configpath(
        SECTION, b'webhook.%s:secret-file' % hook
    )
    return path


def items(ui) -> dict[str, str]:
    """Return the items of the section that are set, as they are."""
    return {
        name.decode('utf-8', 'surrogateescape'): value.decode(
            'utf-8', 'surrogateescape'
        )
        for name, value in ui.configitems(SECTION)
    }


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
