"""``/push/PUSHID``: a page for one push."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

from mercurial import templateutil
from mercurial.hgweb import common
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.utils import dateutil

from .. import model, server as servermod
from ..push import reply
from ..server import tolocal
from . import (
    addresses,
    described,
    entries,
    live,
    outcomes,
    refusals,
    scratch,
    styles,
)

#: changesets, heads and bookmarks that are shown to who does not ask for more
_SHOWN = 100
#: changesets to who does
_MOST = 10000
#: heads that the command names which fetches the push
_NAMED = 10
#: seconds within which somebody may begin to tell how a push goes
_YOUNG = 24 * 3600
_ID = re.compile(rb'[0-9]{1,15}\Z')
#: what ``bundlestore.changeset-url`` may make a link of
_LINK = re.compile(rb'https?://', re.IGNORECASE)


def push(web):
    """
    /push/{push id}
    ---------------

    Show one push of the bundle store: its changesets, the newest first, who
    pushed them and when, its bookmarks, and how to get it.

    The ``revcount`` parameter defines how many changesets are shown.
    """
    scratch.forgetbase(web)
    server = servermod.of(web.repo)
    if server is None:
        raise refusals.refusal(
            common.HTTP_NOT_FOUND, _(b'this repository has no bundle store')
        )
    if b'push' not in web.tmpl:
        raise refusals.refusal(
            common.HTTP_NOT_FOUND, _(b'the page of a push has no such style')
        )
    with scratch.reporting(web):
        return _page(web, server, _find(web, server))


def _find(web, server) -> model.Push:
    """Return the push that the URL names."""
    symbol = web.req.qsparams.get(b'node', b'')
    if b'file' in web.req.qsparams:
        symbol += b'/' + web.req.qsparams[b'file']
    if _ID.match(symbol):
        id = int(symbol)
        found = server.need(lambda index: index.pushes(first=id, last=id))
        if found:
            pushed: model.Push = found[0]
            return pushed
    raise refusals.unknown(
        _(b'no push %s in the bundle store; it may have expired')
        % refusals.shown(symbol)
    )


def _page(web, server, push: model.Push):
    seen, found = live.look(server, [push.id])
    statuses = found.get(push.id, [])
    ended = _hasended(push, statuses)
    answer = live.answer(web, server, lambda: [push.id], waits=not ended)
    if answer is not None:
        return answer
    limit = _limit(web)
    # the heads come first, as in every log
    nodes = push.changesets[::-1][:limit]
    rows, isread = _rows(web, server, push, nodes)
    rest = len(push.changesets) - len(nodes)
    address = addresses.of(web)
    named = [hex(head.node) for head in push.heads[:_NAMED]]

    def link(count: int):
        return styles.linkvars(web.tmpl, {b'revcount': b'%d' % count})

    return web.sendtemplate(
        b'push',
        onepush=b'1',
        live=seen,
        ended=b'1' if ended else b'',
        **_strings(entries.facts(web, push)),
        changesets=templateutil.mappinglist(rows),
        unread=b'' if isread else b'1',
        headcount=b'%d' % len(push.heads),
        marks=entries.bookmarks(push.bookmarks[:limit]),
        links=templateutil.mappinglist(list(_links(web, server, push, limit))),
        pushvars=templateutil.mappinglist(
            [
                {b'name': tolocal(name), b'value': tolocal(value)}
                for name, value in push.pushvars
            ]
        ),
        statuses=_statuses(statuses),
        landings=_landings(web, server, push, limit),
        pinned=b'1' if push.pinned else b'',
        pullnodes=(
            templateutil.hybridlist(named, name=b'node')
            if len(named) == len(push.heads)
            else b''
        ),
        address=address,
        feedvars=styles.linkvars(None, {}),
        rest=b'%d' % rest if rest else b'',
        allvars=rest and link(min(len(push.changesets), _MOST)),
        lessvars=limit > _SHOWN and len(nodes) > _SHOWN and link(_SHOWN),
    )


def _hasended(push: model.Push, statuses: list[dict[str, Any]]) -> bool:
    """Whether all is over, as far as one can tell."""
    if not statuses:
        return push.time < time.time() - _YOUNG
    return all(status['state'] != 'pending' for status in statuses)


def _strings(mapping: entries.Entry) -> dict[str, Any]:
    return {name.decode(): value for name, value in mapping.items()}


def _limit(web) -> int:
    value = web.req.qsparams.get(b'revcount', b'')
    if not _ID.match(value):
        return _SHOWN
    return min(max(int(value), 1), _MOST)


def _rows(web, server, push, nodes) -> tuple[list[entries.Entry], bool]:
    """Return what is shown of each changeset, and whether the bundle could be
    read: where it cannot, hashes are shown, and what the index knows of
    heads."""
    titles = {head.node: tolocal(head.title) for head in push.heads}
    parity = common.paritygen(web.stripecount)
    rows: list[entries.Entry] = [
        {
            b'node': hex(node),
            b'desc': titles.get(node, b''),
            b'ishead': b'1' if node in titles else b'',
            b'archives': (
                web.archivelist(hex(node))
                if node in titles
                else templateutil.mappinglist([])
            ),
            b'parity': next(parity),
        }
        for node in nodes
    ]
    with described.contexts(web, server, push, nodes) as found:
        for row, ctx in zip(rows, found or ()):
            row[b'desc'] = ctx.description()
            row[b'author'] = ctx.user()
            row[b'branch'] = ctx.branch()
    return rows, found is not None


def _statuses(found: list[dict[str, Any]]):
    """Return how what was done with the push went, for a template."""
    return templateutil.mappinglist(
        [
            {
                b'context': tolocal(status['context']),
                b'state': tolocal(status['state']),
                b'statusurl': tolocal(status['url']),
                b'description': tolocal(status['description']),
                b'statusdate': dateutil.makedate(status['time']),
            }
            for status in found
        ]
    )


def _landings(web, server, push, limit: int):
    """Return where the push landed."""
    heads = {push.id: [head.node for head in push.heads]}
    return outcomes.landings(web, server, heads, limit).get(
        push.id, templateutil.mappinglist([])
    )


def _links(web, server, push, limit: int) -> Iterator[entries.Entry]:
    """Yield a link for each head, as ``bundlestore.changeset-url`` has it."""
    makelink = reply.linker(web.repo.ui, server.settings.changeseturl)
    for head in push.heads[:limit]:
        url = makelink(push, head)
        if _LINK.match(url):
            yield {b'link': url}
