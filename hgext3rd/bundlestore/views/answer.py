"""What a server tells of views, whatever the transport.

An answer is made of dicts, lists, text and numbers only. A view, or its
versions, see ``wire/views.py``; a list is sorted by owner and name, and
``next`` is the one that the next page begins behind. A log begins with the
newest version, and ``next`` is the one that the next page begins before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Optional

from mercurial import error
from mercurial.i18n import _

from .. import model, viewmodel
from ..declaring import provides
from ..server import hasnode, tolocal
from ..wire import exchange
from ..wire.views import Answer, Query, read, told

#: most views, or versions of one, on a page
PAGE = 200


def serve(repo, proto, args):
    """Answer the wire command."""
    return exchange.answer(repo, lambda server: tell(repo, server, read(args)))


def tell(repo, server, query: Query) -> dict[str, Any]:
    """Return what ``query`` asks for; raises ``error.Abort``."""
    if query.name is None:
        return _page(server, query)
    if query.log:
        return _log(server, query)
    return told(view(repo, server, query))


def indexof(server):
    """Return the index; aborts if it cannot keep views."""
    index = server.index
    if not provides(index, 'IViews'):
        raise error.Abort(
            _(b'the bundle index cannot keep workspaces'),
            hint=_(b'ask the administrator about bundlestore.index'),
        )
    return index


def ownerof(server, owner: Optional[str]) -> str:
    """Return whose view is meant; aborts where that is nobody's."""
    found: str = server.request.user if owner is None else owner
    if not found:
        raise error.Abort(
            _(b'only who is logged in has workspaces'),
            hint=_(b'log in, or say whose: USER/NAME'),
        )
    return found


def named(owner: str, name: str) -> bytes:
    """Return what a message calls a view."""
    return tolocal(f'{owner}/{name}')


def unknown(owner: str, name: str) -> error.Abort:
    """Return what to raise where there is no such view."""
    return error.InputError(
        _(b"there is no workspace '%s'") % named(owner, name),
        hint=_(b"'hg workspace --user %s' lists those of that user")
        % tolocal(owner),
    )


def checkname(name: str) -> None:
    """Raise ``error.InputError`` unless a new view can have that name: that of
    a backup, or of a workspace, which users type."""
    parts = name.removeprefix(viewmodel.BACKUP).split('/')
    isbackup = name.startswith(viewmodel.BACKUP) and len(parts) == 2
    if (
        not (isbackup or len(parts) == 1)
        or not all(parts)
        or name != name.strip()
        or not name.isprintable()
        or '@' in name
        or name == viewmodel.BACKUP.rstrip('/')
        or len(name) > model.NAME_LENGTH
    ):
        raise error.InputError(
            _(b'invalid name of a workspace: %s') % tolocal(ascii(name)[:80]),
            hint=_(b"printable characters without '/' and '@'"),
        )


def find(server, owner: Optional[str], name: str) -> Optional[viewmodel.View]:
    """Return a view, also one that was dropped, None if there is none."""
    indexof(server)
    whose = ownerof(server, owner)
    found: Optional[viewmodel.View] = server.need(
        lambda index: index.view(whose, name)
    )
    return found


def view(repo, server, query: Query) -> Answer:
    """Return the view that is asked for; raises ``error.Abort``."""
    assert query.name is not None
    found = find(server, query.owner, query.name)
    user = server.request.user
    if found is None:
        if query.writing:
            # before what is to be there is pushed
            checkname(query.name)
        return Answer(None, writable=ownerof(server, query.owner) == user)
    writable = viewmodel.maywrite(found, user)
    if query.version is not None and query.version != found.version:
        found = _older(server, found, query.version)
    if found.version == query.unless:
        return Answer(
            found._replace(heads=(), bookmarks=(), state=''),
            # pushes may go without a change of the view
            gone(repo, server, found),
            same=True,
        )
    return Answer(found, gone(repo, server, found), writable=writable)


def _older(server, found: viewmodel.View, version: int) -> viewmodel.View:
    uid = found.uid
    older: Optional[viewmodel.View] = None
    if 0 < version < found.version:
        older = server.need(lambda index: index.viewat(uid, version))
    if older is None:
        raise error.InputError(
            _(b"workspace '%s' has no version %d")
            % (named(found.owner, found.name), version),
            hint=_(b'it is at version %d; the server may have forgotten older')
            % found.version,
        )
    return older


def gone(repo, server, found: viewmodel.View) -> frozenset[bytes]:
    """Return the changesets of a view that are nowhere any more."""
    return frozenset(missing(repo, server, found.nodes))


def missing(repo, server, nodes: Iterable[bytes]) -> set[bytes]:
    """Return those that neither the repository nor its bundle store has, as
    far as is seen."""
    wanted = {node for node in nodes if not hasnode(repo, node)}
    return wanted.difference(server.locate(repo, wanted)) if wanted else wanted


def _page(server, query: Query) -> dict[str, Any]:
    indexof(server)
    owner = None
    if not query.everybody:
        owner = ownerof(server, query.owner)
    after = None
    if query.afterowner is not None and query.aftername is not None:
        after = (query.afterowner, query.aftername)
    wanted = min(query.limit or PAGE, PAGE)
    found = server.need(
        lambda index: index.views(
            owner, query.prefix or '', after=after, limit=wanted
        )
    )
    last = found[-1] if len(found) == wanted else None
    return {
        'views': [{**one._asdict(), 'time': int(one.time)} for one in found],
        'next': None if last is None else [last.owner, last.name],
    }


def _log(server, query: Query) -> dict[str, Any]:
    assert query.name is not None
    found = find(server, query.owner, query.name)
    if found is None:
        raise unknown(ownerof(server, query.owner), query.name)
    uid = found.uid
    wanted = min(query.limit or PAGE, PAGE)
    versions = server.need(
        lambda index: index.viewlog(uid, before=query.before, limit=wanted)
    )
    last = versions[-1] if len(versions) == wanted else None
    return {
        'versions': [_version(one) for one in versions],
        'next': None if last is None or last.version < 2 else last.version,
    }


def _version(one: viewmodel.ViewChange) -> dict[str, Any]:
    def hexed(node: Optional[bytes]) -> Optional[str]:
        return None if node is None else node.hex()

    return {
        **one._asdict(),
        'time': int(one.time),
        'added': [node.hex() for node in one.added],
        'removed': [node.hex() for node in one.removed],
        'bookmarks': [
            [name, hexed(old), hexed(new)] for name, old, new in one.bookmarks
        ],
    }
