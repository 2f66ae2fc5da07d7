"""Lists what a server, or the store on this machine, gives a page at a time."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator
from typing import Any, Callable

from mercurial import encoding, error
from mercurial.i18n import _
from mercurial.utils import urlutil

from .. import compat, names, server as servermod
from ..fetch import pushlist
from ..records import NamedTuple
from ..wire import exchange, pushes
from . import storeless

#: gives the page that a query asks for
Ask = Callable[[pushes.Query], dict[str, Any]]
#: gives the query for the page after one, None if that would be the same page
Following = Callable[[pushes.Query, dict[str, Any]], 'pushes.Query | None']


def text(option: bytes) -> str | None:
    """Return the value of an option as text, None for one that is not
    given."""
    if not option:
        return None
    return encoding.fromlocal(option).decode('utf-8', 'replace')


def oneline(text: str) -> bytes:
    """Return text without the line breaks that Mercurial would not take
    either, but a web server may, in the name of a user."""
    return servermod.tolocal(text.replace('\r', ' ').replace('\n', ' '))


class Asking(NamedTuple):
    """Somebody to ask."""

    #: gives a page of pushes, or of what was to be read
    ask: Ask
    #: the address; None for the repository itself
    location: bytes | None


@contextlib.contextmanager
def asking(ui, repo, source, opts, decode=None) -> Iterator[Asking]:
    """Give who is to be asked for pages of pushes, or of what ``decode``
    reads; raises ``error.Abort`` if there is nobody."""
    with holding(ui, repo, source, opts) as (local, peer):
        location = None if peer is None else peer.url()
        if local is not None:
            ask: Ask = functools.partial(
                pushlist.page, local, servermod.of(local), trusted=True
            )
        else:
            decode = decode or pushes.decodepage
            ask = functools.partial(_askpeer, peer, decode)
        yield Asking(ask, location)


def destinations(ui, repo, source) -> Iterator[bytes]:
    """Yield the addresses that somebody may have pushed to whom the same
    name, or none, means ``source`` for a pull."""
    if source is not None or b'default' in ui.paths:
        yield _path(ui, source or b'default').loc
        dests = () if source is None else (source,)
        for path in urlutil.get_push_paths(repo, ui, dests):
            yield compat.pushlocation(path)


@contextlib.contextmanager
def holding(ui, repo, source, opts) -> Iterator[tuple[Any, Any]]:
    """Give the repository that holds the pushes, if it is on this machine, and
    the peer, if there is one; raises ``error.Abort`` if there is neither."""
    if source is None and b'default' not in ui.paths:
        server = None if repo is None else servermod.of(repo)
        if server is None:
            raise error.ConfigError(
                _(b'default repository not configured!'),
                hint=_(b"see 'hg help config.paths'"),
            )
        yield repo, None
        return
    path = _path(ui, source or b'default')
    peer = _connect(ui, repo, path, opts)
    try:
        if not peer.capable(names.CAPABILITY):
            raise error.Abort(
                _(b'%s has no bundle store') % urlutil.hidepassword(path.loc),
                hint=_(
                    b'the server needs the bundlestore extension and '
                    b"'bundlestore.server = yes'"
                ),
            )
        if repo is not None:
            storeless.met(repo, peer)
        yield peer.local() or None, peer
    finally:
        peer.close()


def _path(ui, source: bytes):
    paths = list(urlutil.get_pull_paths(None, ui, [source]))
    if len(paths) != 1:
        raise error.Abort(
            _(b'path points to %d urls while %s only supports one: %s')
            % (len(paths), b'pushes', source)
        )
    return paths[0]


def _connect(ui, repo, path, opts):
    useoptions(ui if repo is None else repo.ui, opts)
    return compat.peer(ui if repo is None else repo, path.loc)


def useoptions(ui, opts) -> None:
    """Put the options of a command where a peer looks for them if it is given
    none."""
    for name in ('ssh', 'remotecmd'):
        if opts[name]:
            ui.setconfig(b'ui', name.encode(), opts[name], b'bundlestore')


def _askpeer(peer, decode, query: pushes.Query) -> dict[str, Any]:
    return decode(exchange.call(peer, names.PUSHES, pushes.encode(query)))


def records(
    ask: Ask, query: pushes.Query, kind: str, following: Following
) -> Iterator[dict[str, Any]]:
    """Yield what ``query`` asks for, which a page has under ``kind``, and ask
    for the next page when somebody wants to see it."""
    while True:
        page = ask(query)
        found = page[kind]
        yield from found
        if query.limit is not None:
            query = query._replace(limit=query.limit - len(found))
        if not page['next'] or not found or query.limit == 0:
            return
        after = following(query, page)
        if after is None:
            raise error.RemoteError(_(b'the server gives the same page again'))
        query = after


def formatter(ui, opts, topic: bytes = b'pushes'):
    """Return a formatter and what it writes before the first record, such as
    the bracket of JSON, which must not come before the pager."""
    ui.pushbuffer()
    try:
        fm = ui.formatter(topic, opts)
    except error.Abort:
        # ``-T list`` ends so
        ui.write(ui.popbuffer())
        raise
    return fm, ui.popbuffer()


def show(
    ui,
    fm,
    begin: bytes,
    found: Iterator[dict[str, Any]],
    nothing: bytes,
    showtext: Callable[..., None],
    showdata: Callable[..., None],
) -> int:
    """Show what was found with what ``formatter`` gave, or say ``nothing``;
    returns the exit code of the command."""
    # what goes wrong is told before there is any output
    first = next(found, None)
    ui.pager(b'pushes')
    ui.write(begin)
    with fm:
        if first is None:
            if fm.isplain():
                ui.status(nothing)
            return 1
        for record in itertools.chain([first], found):
            fm.startitem()
            if fm.isplain():
                showtext(ui, fm, record)
            else:
                showdata(fm, record)
    return 0
