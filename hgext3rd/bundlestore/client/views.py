"""Views, as a client asks for them and changes them: over a wire, or of a
repository that is opened by its path."""

from __future__ import annotations

import functools
import re
import socket
from collections.abc import Iterator
from typing import Any, Callable, Optional

from mercurial import encoding, error
from mercurial.i18n import _
from mercurial.utils import urlutil

from .. import model, names, server as servermod, viewmodel, words
from ..records import NamedTuple
from ..start import wraps
from ..wire import exchange, views

#: what the names of users may be is up to the server: ``alice@example.org``
_NAME = re.compile(
    r'(?:(.+?)/)??((?:backup/[^/@]+/)?[^/@]+)(?:@([1-9][0-9]*))?'
)


class Name(NamedTuple):
    """What a user calls a workspace: ``[USER/]NAME[@VERSION]``."""

    #: None: the user's own
    owner: Optional[str]
    name: str
    version: Optional[int] = None


def parse(text: bytes) -> Name:
    """Return what a name means; raises ``error.InputError``."""
    found = _NAME.fullmatch(encoding.fromlocal(text).decode('utf-8', 'replace'))
    if found is None:
        raise error.InputError(
            _(b"'%s' names no workspace") % text,
            hint=_(b'say NAME, USER/NAME, or NAME@VERSION for an earlier one'),
        )
    owner, name, version = found.groups()
    return Name(owner, name, None if version is None else int(version))


def unknown(name: Name) -> error.Abort:
    """Return what to raise where there is no such workspace."""
    whose = '' if name.owner is None else f'{name.owner}/'
    return error.InputError(
        _(b"there is no workspace '%s'") % servermod.tolocal(whose + name.name),
        hint=_(b"'hg workspace' lists mine, with --user those of others"),
    )


def counted(number: int, what: str) -> bytes:
    """Return how many there are, in words."""
    return words.counted(number, what).encode()


def called(view: viewmodel.View) -> bytes:
    """Return what a message calls a view."""
    return servermod.tolocal(f'{view.owner}/{view.name}')


def machine() -> str:
    """Return what this machine is called."""
    return socket.gethostname()[: model.NAME_LENGTH]


def check(peer) -> None:
    """Abort if a server keeps no views."""
    if peer.capable(names.VIEWS):
        return
    if not peer.capable(names.CAPABILITY):
        raise error.Abort(
            _(b'%s has no bundle store') % urlutil.hidepassword(peer.url()),
            hint=_(
                b'the server needs the bundlestore extension and '
                b"'bundlestore.server = yes'"
            ),
        )
    raise error.Abort(
        _(b'the server has no workspaces'),
        hint=_(b'it needs a newer release of hg-bundlestore'),
    )


def get(peer, query: views.Query) -> views.Answer:
    """Return a view; raises ``error.Abort``."""
    return views.decode(_read(peer, query))


def change(peer, wanted: views.Change) -> views.Answer:
    """Change a view; raises ``error.Abort``."""
    check(peer)
    local = peer.local()
    if not local:
        return views.send(peer, wanted)
    server = servermod.of(local)
    answer: views.Answer = wraps.room('views.change.change')(
        local, server, wanted
    )
    return answer


def listed(peer, query: views.Query) -> Iterator[dict[str, Any]]:
    """Yield what there is in a list of views, a page at a time."""

    def following(page: dict[str, Any]) -> views.Query:
        owner, name = page['next']
        return query._replace(afterowner=owner, aftername=name)

    return _pages(peer, query, views.decodelist, 'views', following)


def logged(peer, query: views.Query) -> Iterator[dict[str, Any]]:
    """Yield the versions of a view, the newest first."""

    def following(page: dict[str, Any]) -> views.Query:
        return query._replace(before=page['next'])

    return _pages(peer, query, views.decodelog, 'versions', following)


def _pages(
    peer,
    query: views.Query,
    decode: Callable[[bytes], dict[str, Any]],
    kind: str,
    following: Callable[[dict[str, Any]], views.Query],
) -> Iterator[dict[str, Any]]:
    left = query.limit
    while True:
        page = decode(_read(peer, query._replace(limit=left)))
        found = page[kind]
        yield from found
        if left is not None:
            left -= len(found)
        before, query = query, query
        if not page['next'] or not found or left == 0:
            return
        query = following(page)
        if query == before:
            return


def _read(peer, query: views.Query) -> bytes:
    check(peer)
    local = peer.local()
    if not local:
        return views.ask(peer, query)
    tell = functools.partial(wraps.room('views.answer.tell'), local)
    answer: bytes = exchange.answer(
        local, lambda server: tell(server, query)
    ).data
    return answer
