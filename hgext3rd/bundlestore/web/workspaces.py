"""``/workspaces`` and ``/workspace/USER/NAME``: pages of workspaces."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Any, Optional

from mercurial import templateutil
from mercurial.hgweb import common
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.utils import dateutil

from .. import server as servermod, viewmodel
from ..server import hasnode, tolocal, totext
from ..views import answer
from ..wire.views import Query, toldview
from ..words import counted
from . import (
    addresses,
    queries,
    refusals,
    scratch,
    selection,
    styles,
    workspacegraph,
)

#: workspaces on a page; heads, bookmarks and versions that are shown of one
PAGE = 50
_MOST = 50
_OWNED = re.compile(r'(.+?)/((?:backup/[^/]+/)?[^/]+)')


def workspaces(web):
    """
    /workspaces
    -----------

    List the workspaces in the bundle store, those of one user with ``user``.
    ``/json-workspaces`` is the same for machines.
    """
    server = _server(web)
    with scratch.reporting(web):
        return _list(web, server, _given(web, b'user'))


def workspace(web):
    """
    /workspace/{user}[/{name}]
    --------------------------

    Show a workspace: its heads and bookmarks, and how it came about; without
    a name, list those of a user. ``/json-workspace/{user}/{name}`` is the same
    for machines.
    """
    server = _server(web)
    params = web.req.qsparams
    owner = totext(queries.name(params.get(b'node', b'')))
    name = totext(queries.name(params.get(b'file', b'')))
    with scratch.reporting(web):
        if not name:
            return _list(web, server, owner)
        return _one(web, server, *_parted(owner, name))


def _parted(first: str, rest: str) -> tuple[str, str]:
    """Return owner and name: a slash may be in what a user is called, and is
    in the name of a backup."""
    found = _OWNED.fullmatch(f'{first}/{rest}')
    return (found[1], found[2]) if found else (first, rest)


def _server(web):
    scratch.forgetbase(web)
    server = servermod.of(web.repo)
    if server is None:
        raise refusals.refusal(
            common.HTTP_NOT_FOUND, _(b'this repository has no bundle store')
        )
    return server


def _given(web, name: bytes) -> str:
    return totext(queries.name(web.req.qsparams.get(name, b'')))


def _isjson(web) -> bool:
    return bool(web.req.qsparams.get(b'style') == b'json')


def _checkstyle(web) -> None:
    if b'workspacelist' not in web.tmpl:
        raise refusals.refusal(
            common.HTTP_NOT_FOUND, _(b'workspaces have no such style')
        )


# -- the list


def _list(web, server, owner: str):
    query = Query(
        owner=owner or None,
        everybody=not owner,
        afterowner=_given(web, b'afteruser') or None,
        aftername=_given(web, b'aftername') or None,
        limit=PAGE,
    )
    page = answer.tell(web.repo, server, query)
    found = [one for one in page['views'] if _isshown(one)]
    if _isjson(web):
        return scratch.sendjson(web, {**page, 'views': found})
    _checkstyle(web)
    more: dict[bytes, bytes] = {}
    if page['next']:
        nextowner, nextname = page['next']
        more = {
            b'afteruser': nextowner.encode('utf-8'),
            b'aftername': nextname.encode('utf-8'),
        }
        if owner:
            more[b'user'] = owner.encode('utf-8')
    title = _(b'workspaces')
    if owner:
        title = _(b'workspaces of %s') % tolocal(owner)
    parity = common.paritygen(web.stripecount)
    return web.sendtemplate(
        b'pushes',
        onepush=b'1',
        ourtitle=title,
        feedvars=styles.linkvars(None, {}),
        workspaces=templateutil.mappinglist(
            [{**_facts(web, one), b'parity': next(parity)} for one in found]
        ),
        user=tolocal(owner),
        uservars=styles.linkvars(web.tmpl, {b'user': owner.encode('utf-8')}),
        morevars=styles.linkvars(web.tmpl, more) if more else b'',
    )


def _isshown(one: dict[str, Any]) -> bool:
    """Whether a view is a workspace, and was not dropped: a backup is nobody
    else's matter."""
    return not (one['dropped'] or one['name'].startswith(viewmodel.BACKUP))


def _facts(web, one: dict[str, Any]) -> dict[bytes, Any]:
    owner = one['owner'].encode('utf-8')
    return {
        b'owner': tolocal(one['owner']),
        b'workspace': tolocal(one['name']),
        b'ownervars': styles.linkvars(web.tmpl, {b'user': owner}),
        b'version': b'%d' % one['version'],
        b'date': dateutil.makedate(one['time']),
        b'changedby': tolocal(one['user']),
        b'machine': tolocal(one['machine']),
        b'writers': tolocal(', '.join(one['writers'])),
        b'headcount': b'%d' % one['heads'],
        b'markcount': b'%d' % one['bookmarks'],
    }


# -- one of them


def _one(web, server, owner: str, name: str):
    query = Query(owner=owner, name=name)
    found = answer.view(web.repo, server, query).view
    if (
        found is None
        or found.dropped
        or found.name.startswith(viewmodel.BACKUP)
    ):
        raise refusals.unknown(
            _(b"there is no workspace '%s' of user '%s'")
            % (refusals.shown(tolocal(name)), refusals.shown(tolocal(owner)))
        )
    log = answer.tell(web.repo, server, query._replace(log=True, limit=_MOST))[
        'versions'
    ]
    if _isjson(web):
        return scratch.sendjson(web, {**toldview(found), 'versions': log})
    _checkstyle(web)
    marks: dict[bytes, list[str]] = {}
    for mark, node in found.bookmarks:
        marks.setdefault(node, []).append(mark)

    def marksof(node: bytes):
        return templateutil.mappinglist(
            [
                {b'name': tolocal(mark), b'node': hex(node)}
                for mark in marks.get(node, [])[:_MOST]
            ]
        )

    parity = common.paritygen(web.stripecount)
    nodes = list(dict.fromkeys(found.nodes))
    shown = nodes[:_MOST]
    located = server.locate(web.repo, shown) if found.private else {}
    rows = [
        {
            **_head(web, server, node, located),
            b'bookmarks': marksof(node),
            b'parity': next(parity),
        }
        for node in shown
    ]
    there = [n for n, row in zip(shown, rows) if not row[b'gone']]
    drawn, texts = workspacegraph.graph(web, server, there, marksof)
    for row in rows:
        # no push is shown that brought what is private
        row[b'desc'] = row[b'desc'] or texts.get(row[b'node'], b'')
    facts = {
        **found._asdict(),
        'heads': len(found.heads),
        'bookmarks': len(found.bookmarks),
    }
    rest = max(len(nodes) - _MOST, 0)
    return web.sendtemplate(
        b'pushes',
        onepush=b'1',
        oneworkspace=b'1',
        ourtitle=_(b'workspace %s') % tolocal(f'{owner}/{name}'),
        feedvars=styles.linkvars(None, {}),
        **{n.decode(): value for n, value in _facts(web, facts).items()},
        **drawn,
        heads=templateutil.mappinglist(rows),
        rest=b'%d' % rest if rest else b'',
        versions=templateutil.mappinglist([_version(one) for one in log]),
        address=addresses.of(web),
    )


def _head(
    web, server, node: bytes, located: Container[bytes]
) -> dict[bytes, Any]:
    """Return what is shown of a head, which the index knows: no bundle is
    read. Of what is ``located``, it knows no more than that it is there."""
    repo = web.repo
    if hasnode(repo, node):
        title: Optional[bytes] = repo[node].description()
    else:
        title = b'' if node in located else None
        push = selection.newest(server, node)
        if push is not None:
            titles = {head.node: head.title for head in push.heads}
            title = tolocal(titles.get(node, ''))
    return {
        b'node': hex(node),
        b'desc': title or b'',
        b'gone': b'1' if title is None else b'',
        b'archives': web.archivelist(hex(node)),
    }


def _version(one: dict[str, Any]) -> dict[bytes, Any]:
    return {
        b'parity': b'0',
        b'version': b'%d' % one['version'],
        b'date': dateutil.makedate(one['time']),
        b'changedby': tolocal(one['user']),
        b'machine': tolocal(one['machine']),
        b'what': _what(one),
    }


def _what(one: dict[str, Any]) -> bytes:
    """Return what a version changed, in words."""
    words = [
        f'{counted(len(one[kind]), what)} {did}'
        for kind, what, did in (
            ('added', 'head', 'added'),
            ('removed', 'head', 'removed'),
            ('bookmarks', 'bookmark', 'moved'),
        )
        if one[kind]
    ]
    return ', '.join(words).encode()
