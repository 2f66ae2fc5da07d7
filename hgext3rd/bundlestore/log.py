r"""What the server tells those who run it: events, by way of ``ui.log``.

The name of all events is ``bundlestore``, so that ``blackbox.track`` can name
it. docs/logging.rst lists them and has the grammar of a line::

    bundlestore 1f0dee64 stored push=12 user=alice bookmarks="caf\xc3\xa9"

The second word tells the lines of one request from those of others. Users
choose much of what is logged, so a value is a word of harmless characters or
put in quotes, with an escape for whatever is not plain ASCII; no value can
end a line, or begin another field.

A line is made only where somebody listens.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from typing import Callable, Optional, Union

from mercurial import error, util
from mercurial.node import hex, nullid
from mercurial.utils import stringutil

from . import access

EVENT = b'bundlestore'

#: bytes of a value, and items of a list, that are logged
_LONGEST = 500
_MOST = 10

# compiled where something is logged
_WORD = rb'[A-Za-z0-9_.:/+@,-]+\Z'
#: what does not stand for itself between quotes
_UNPLAIN = rb'[^ !#-\[\]-~]'

Plain = Union[None, bool, int, str, bytes, Iterable[Union[str, bytes]]]
#: a value, or what gives it when a line is made
Value = Union[Plain, Callable[[], Plain]]


class _Line:
    """A line, made when it is asked for."""

    def __init__(self, server, event: str, fields: dict[str, Value]) -> None:
        self._server = server
        self._event = event
        self._fields = fields

    def __bytes__(self) -> bytes:
        words = [EVENT, requestid(self._server), self._event.encode()]
        for name, value in self._fields.items():
            if callable(value):
                value = value()
            if value is not None:
                words.append(b'%s=%s' % (name.encode(), encoded(value)))
        return b' '.join(words)


def event(ui, server, name: str, /, **fields: Value) -> None:
    """Log an event of the request that ``server`` (``server.Server``, or None
    where there is no request) is busy with. Fields that are None are left
    out; a name has letters only."""
    with _inbase(ui, server):
        ui.log(EVENT, b'%s\n', _Line(server, name, fields))


@contextlib.contextmanager
def _inbase(ui, server) -> Iterator[None]:
    """Have blackbox write what a share logs, such as a try URL, beside the
    store, which is its base's: it is one log then, and who may write to the
    store may write to that. The share itself may be read-only."""
    logger = ui.getlogger(b'blackbox')
    if (
        server is None
        or server.basevfs is None
        # that of no repository is of another kind
        or not hasattr(logger, '_trackedevents')
    ):
        yield
        return
    # not the one that is there: it may have given up by now
    ui.setlogger(b'blackbox', type(logger)(ui, _Base(server.basevfs)))
    try:
        yield
    finally:
        ui.setlogger(b'blackbox', logger)


class _Base:
    """What blackbox asks of a repository: where its log is, and which
    changeset its working copy has."""

    def __init__(self, vfs) -> None:
        self.vfs = vfs

    def __getitem__(self, changeid) -> _Base:
        return self

    def parents(self) -> list[_Base]:
        return [self]

    def node(self) -> bytes:
        return nullid

    def dirty(self, **kwargs) -> bool:
        return False


def encoded(value: Plain) -> bytes:
    """Return a value as it stands in a line."""
    if isinstance(value, bool):
        data = b'yes' if value else b'no'
    elif isinstance(value, int):
        data = b'%d' % value
    elif isinstance(value, str):
        data = value.encode('utf-8', 'surrogateescape')
    elif isinstance(value, bytes):
        data = value
    else:
        data = _joined(list(value or ()))
    if len(data) > _LONGEST:
        data = data[:_LONGEST] + b'...'
    if re.match(_WORD, data):
        return data
    return b'"%s"' % re.sub(_UNPLAIN, lambda m: b'\\x%02x' % m[0][0], data)


def _joined(items: list[Union[str, bytes]]) -> bytes:
    shown = [
        item.encode('utf-8', 'surrogateescape')
        if isinstance(item, str)
        else item
        for item in items[:_MOST]
    ]
    if len(items) > len(shown):
        shown.append(b'...')
    return b','.join(shown)


def moved(
    ui,
    server,
    url: bytes,
    name: str,
    node: Optional[bytes],
    old: Optional[bytes],
) -> None:
    """Log that a scratch bookmark moved from ``old`` (None: it is new), or was
    deleted (``node`` is None)."""
    event(
        ui,
        server,
        'bookmark',
        name=name,
        user=access.username(url),
        by=way(url),
        node='none' if node is None else hex(node),
        old='none' if old is None else hex(old),
    )


# -- requests


def newrequest(server) -> None:
    """Say that what ``server`` does from here on is another request."""
    server.request.id = None


def requestid(server) -> bytes:
    """Return the word that tells a request from others."""
    if server is None:
        return os.urandom(4).hex().encode()
    if server.request.id is None:
        server.request.id = os.urandom(4).hex().encode()
    found: bytes = server.request.id
    return found


def user(server) -> Optional[str]:
    """Return who makes the request, None if nobody knows."""
    return server.request.user or None


def way(url: bytes) -> str:
    """Return how a client is connected, by the url of a push."""
    fields = url.split(b':')
    if fields[0] == b'remote' and len(fields) > 1:
        return fields[1].decode('ascii', 'replace')
    return 'path'


def webway(req) -> str:
    """Return the same of a request to hgweb. A server behind a proxy knows of
    TLS if the proxy tells it."""
    return 'https' if req.urlscheme == b'https' else 'http'


def weburl(req) -> bytes:
    """Return who makes a request to hgweb, as in the url of a push."""
    names = (req.remotehost or b'', req.remoteuser or b'')
    quoted = (req.urlscheme, *map(util.urlreq.quote, names))
    return b'remote:%s' % b':'.join(
        part if isinstance(part, bytes) else part.encode() for part in quoted
    )


# -- refusals


@contextlib.contextmanager
def refusals(ui, server, url: bytes, what: str) -> Iterator[Refusals]:
    """Log what ends a push that may be a scratch push, or another request
    (``what``) to change the store."""
    watch = Refusals()
    try:
        yield watch
    except BaseException as exc:
        if watch.on:
            _refused(ui, server, url, what, reason(exc))
        raise


def _refused(ui, server, url: bytes, what: str, why: bytes) -> None:
    event(
        ui,
        server,
        'refused',
        what=what,
        user=access.username(url),
        by=way(url),
        reason=why,
    )


def dropped(ui, server, why: bytes) -> None:
    """Log that a client took too long, unless that was logged already: it may
    be so slow that what would log it was not called yet."""
    if server.request.id is None:
        _refused(ui, server, server.request.client, 'push', why)


class Refusals:
    """Whether what is raised is a refusal to be logged."""

    on = True


def reason(exc: BaseException) -> bytes:
    """Return what an exception has to say, for one line of a log."""
    if isinstance(exc, error.Abort):
        text: bytes = exc.message
        return text
    return stringutil.forcebytestr(exc) or type(exc).__name__.encode()


def nodes(found: Iterable[bytes]) -> list[bytes]:
    """Return changesets as they stand in a line."""
    return [hex(node)[:12] for node in found]
