"""The push log on the web: ``/pushes``, ``/json-pushes``, ``/atom-pushes``.

The parameters and the JSON are those of Mozilla's pushlog, versions 1 and 2
(the page "Pushlog" of its version-control-tools manual), so that what polls
one can poll the other. ``text`` is ours.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple, Optional

from mercurial import encoding, error, templateutil, util
from mercurial.hgweb import common
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.utils import dateutil

from .. import compat, lookup, model, overlay, server as servermod
from ..server import aborting, tolocal
from . import queries, refusals, scratch, styles

#: pushes on a page, and in a feed
PAGE = 50
#: pushes in JSON for a poller that does not say where to begin
LATEST = 10
#: most pushes and changesets in one answer in JSON
MAX_PUSHES = 1000
MAX_CHANGESETS = 20000
#: the same where each changeset is described, which the server has to read
MAX_FULL_PUSHES = 100
MAX_FULL_CHANGESETS = 2000
#: heads that a page lists of each push
MAX_HEADS = 10
#: values of one parameter that a request may give
_MAX_VALUES = 100
#: words, and characters, of a description to look for
_MAX_WORDS = 10
_MAX_TEXT = 200

_ID = re.compile(rb'[0-9]{1,15}\Z')
_SECONDS = re.compile(rb'[0-9]{1,12}(\.[0-9]{1,9})?\Z')

# what a form on the page or a link to another page carries along
_KEPT = (b'user', b'changeset', b'text')


def pushes(web):
    """
    /pushes
    -------

    List the pushes that the bundle store keeps, newest first, as a page, as a
    feed (``/atom-pushes``) or for machines (``/json-pushes``).

    ``user``, ``changeset`` (a hash, a prefix of one or a scratch bookmark)
    and ``text`` (words of a description) select pushes. Bounds are
    ``startID``, ``fromchange`` or ``startdate``, all exclusive, and ``endID``,
    ``tochange``, both inclusive, or ``enddate``.

    In JSON ``version`` is 1 or 2. ``full`` describes each changeset,
    ``tipsonly=1`` lists only the last of each push. From a lower bound on the
    oldest pushes come first, as many as fit into an answer; those who ask
    again from the last of them on miss none.
    """
    scratch.forgetbase(web)
    server = servermod.of(web.repo)
    if server is None:
        raise refusals.refusal(
            common.HTTP_NOT_FOUND, _(b'this repository has no bundle store')
        )
    with scratch.reporting(web):
        style = web.req.qsparams.get(b'style')
        if style == b'json':
            return _json(web, server)
        if style == b'atom':
            return _atom(web, server)
        if b'pushes' not in web.tmpl:
            raise refusals.refusal(
                common.HTTP_NOT_FOUND, _(b'the push log has no such style')
            )
        return _page(web, server)


# -- which pushes


class Selection(NamedTuple):
    """What a request asks for."""

    #: bounds on the push id, inclusive
    first: int
    last: Optional[int]
    #: bounds on the time, exclusive
    since: Optional[float]
    until: Optional[float]
    #: any of these users, any of these changesets
    users: tuple[str, ...]
    nodes: tuple[bytes, ...]
    text: str
    #: whether there is a lower bound, from which on to list
    forward: bool


def _select(web, server) -> Selection:
    """Read the parameters; raises ``ErrorResponse`` for a strange one."""
    params = web.req.qsparams
    first, last = 1, None
    since = until = None
    forward = True
    if params.get(b'startdate'):
        since = _date(params, b'startdate')
    elif params.get(b'fromchange'):
        first = _introducedby(web, server, params[b'fromchange']) + 1
    elif params.get(b'startID'):
        first = _id(params, b'startID') + 1
    else:
        forward = False
    if params.get(b'enddate'):
        until = _date(params, b'enddate')
    elif params.get(b'tochange'):
        last = _introducedby(web, server, params[b'tochange'])
    elif params.get(b'endID'):
        last = _id(params, b'endID')
    return Selection(
        first,
        last,
        since,
        until,
        tuple(_text(user) for user in _values(params, b'user')),
        tuple(
            _node(web, server, symbol)
            for symbol in _values(params, b'changeset')
        ),
        _words(params, b'text'),
        forward,
    )


def _values(params, name: bytes) -> list[bytes]:
    """Return the values of a parameter; an empty field of a form is none."""
    values = [value for value in params.getall(name) if value.strip()]
    if len(values) > _MAX_VALUES:
        raise _bad(name)
    return list(dict.fromkeys(values))


def _bad(name: bytes) -> common.ErrorResponse:
    """Return the error for a strange value of a parameter of ours."""
    return refusals.refusal(
        common.HTTP_BAD_REQUEST, _(b'invalid parameter: %s') % name
    )


def _text(value: bytes) -> str:
    return queries.text(value).strip()


def _typed(value: bytes) -> bytes:
    """Return what a field of the form shows."""
    return queries.tolocal(queries.text(value))


def _words(params, name: bytes) -> str:
    words = _text(params.get(name, b''))
    # each word costs a look at all pushes that have it
    if len(words.split()) > _MAX_WORDS:
        raise _bad(name)
    return words[:_MAX_TEXT]


def _id(params, name: bytes) -> int:
    if not _ID.match(params[name]):
        raise _bad(name)
    return int(params[name])


def _date(params, name: bytes) -> float:
    """Return seconds since the epoch; the value is that, or a date as in
    ``hg help dates``."""
    value = params[name]
    if _SECONDS.match(value):
        return float(value)
    try:
        return float(dateutil.parsedate(value)[0])
    except (error.Abort, error.ParseError, ValueError, OverflowError):
        raise _bad(name)


def _node(web, server, symbol: bytes) -> bytes:
    """Return the changeset that was pushed; raises ``RepoLookupError``."""
    symbol = symbol.strip()
    try:
        node = lookup.pushed(web.repo, server, symbol)
    except error.InputError as exc:
        raise refusals.unknown(exc.message) from exc
    if node is None:
        raise _unknown(symbol)
    return node


def _introducedby(web, server, symbol: bytes) -> int:
    """Return the id of the first push that brought a changeset."""
    node = _node(web, server, symbol)
    with aborting():
        found = server.index.pushes(node=node, limit=1)
    if not found:
        raise _unknown(symbol)
    return int(found[0].id)


def _unknown(symbol: bytes) -> error.RepoLookupError:
    return refusals.unknown(
        _(b"no changeset '%s' in the bundle store") % refusals.shown(symbol)
    )


def _fetch(server, wanted: Selection, limit: int, newestfirst: bool) -> list:
    """Return up to ``limit`` pushes, in ascending order of id or, with
    ``newestfirst``, descending."""
    found: dict[int, Any] = {}
    with aborting():
        for user in wanted.users or (None,):
            for node in wanted.nodes or (None,):
                pushes = server.index.pushes(
                    first=wanted.first,
                    last=wanted.last,
                    user=user,
                    node=node,
                    **({'text': wanted.text} if wanted.text else {}),
                    **({'since': wanted.since} if wanted.since else {}),
                    **({'until': wanted.until} if wanted.until else {}),
                    limit=limit,
                    newestfirst=newestfirst,
                )
                found.update((push.id, push) for push in pushes)
    pick = heapq.nlargest if newestfirst else heapq.nsmallest
    return [found[id] for id in pick(limit, found)]


# -- JSON


def _json(web, server):
    params = web.req.qsparams
    version = params.get(b'version', b'1')
    if version not in (b'1', b'2'):
        raise _bad(b'version')
    tipsonly = params.get(b'tipsonly') == b'1'
    full = b'full' in params
    wanted = _select(web, server)
    limit = MAX_FULL_PUSHES if full else MAX_PUSHES
    if not wanted.forward and not (wanted.users or wanted.nodes or wanted.text):
        limit = LATEST
    # Asked first: what comes meanwhile is told of next time.
    with aborting():
        lastid = server.index.lastid()
    chosen = _bounded(
        _fetch(server, wanted, limit, not wanted.forward),
        MAX_FULL_CHANGESETS if full else MAX_CHANGESETS,
        tipsonly,
    )
    entries = {}
    for push in sorted(chosen, key=lambda push: push.id):
        nodes = push.changesets[-1:] if tipsonly else push.changesets
        entries[str(push.id)] = {
            'changesets': (
                _described(web, server, push, nodes)
                if full
                else [node.hex() for node in nodes]
            ),
            'date': int(push.time),
            'user': push.user,
        }
    answer: dict[str, Any] = entries
    if version == b'2':
        answer = {
            'lastpushid': max(lastid, *map(int, entries), 0),
            'pushes': entries,
        }
    res = web.res
    res.headers[b'Content-Type'] = b'application/json'
    text = json.dumps(answer, separators=(',', ':'))
    body = text.encode()
    if web.req.method == b'HEAD':
        res.setbodybytes(b'')
        res.headers[b'Content-Length'] = b'%d' % len(body)
    else:
        res.setbodybytes(body)
    return res.sendresponse()


def _bounded(pushes: Iterable[Any], most: int, tipsonly: bool) -> list:
    """Return the first of ``pushes`` until they have ``most`` changesets, one
    at least."""
    chosen: list[Any] = []
    count = 0
    for push in pushes:
        count += 1 if tipsonly else len(push.changesets)
        if chosen and count > most:
            break
        chosen.append(push)
    return chosen


def _described(web, server, push, nodes) -> list[dict[str, Any]]:
    """Return what ``full`` tells of each changeset. Of one whose bundle cannot
    be read it is the hash: the other pushes must not suffer."""
    try:
        with contextlib.closing(
            overlay.openbundles(web.repo, server, model.chain([push]))
        ) as view:
            unfiltered = view.unfiltered()
            return [_description(unfiltered[node]) for node in nodes]
    except error.Abort as exc:
        text = f'push {push.id}: {_unlocal(exc.message)}\n'
        compat.logerror(web.req.rawenv[b'wsgi.errors'], text)
    except Exception as exc:
        scratch.log(web, exc)
    return [{'node': node.hex()} for node in nodes]


def _description(ctx) -> dict[str, Any]:
    return {
        'node': ctx.hex().decode(),
        'author': _unlocal(ctx.user()),
        'branch': _unlocal(ctx.branch()),
        'desc': _unlocal(ctx.description()),
        'files': [name.decode('utf-8', 'replace') for name in ctx.files()],
        'parents': [parent.hex().decode() for parent in ctx.parents()],
        # "tip" is what each of them is in its own overlay
        'tags': [_unlocal(tag) for tag in ctx.tags() if tag != b'tip'],
    }


def _unlocal(text: bytes) -> str:
    return encoding.fromlocal(text).decode('utf-8', 'replace')


# -- page and feed


def _atom(web, server):
    wanted = _select(web, server)
    found = _fetch(server, wanted, PAGE, newestfirst=not wanted.forward)
    found.sort(key=lambda push: -push.id)
    return web.sendtemplate(
        b'pushes',
        entries=_entries(web, found),
        date=_hgdate(found[0].time) if found else (0, 0),
    )


def _page(web, server):
    params = web.req.qsparams
    message = b''
    found: list[Any] = []
    more = forward = False
    try:
        wanted = _select(web, server)
        forward = wanted.forward
        found = _fetch(server, wanted, PAGE + 1, newestfirst=not forward)
        more = len(found) > PAGE
        found = sorted(found[:PAGE], key=lambda push: -push.id)
    except error.RepoLookupError as exc:
        # a search that finds nothing is no error
        message = exc.args[0]
    older = newer = None
    if found:
        # towards where the list came from there may be more, in the other
        # direction there is if it was cut
        first, last = found[-1].id, found[0].id
        if more or forward:
            older = first - 1
        if (not forward and params.get(b'endID')) or (forward and more):
            newer = last
        if older is not None and older < 1:
            older = None
    elif not message:
        message = _(b'no push found')
    kept = {name: params[name] for name in _KEPT if params.get(name)}
    typed = {name: _typed(params.get(name, b'')) for name in _KEPT}

    def link(bound):
        return styles.linkvars(web.tmpl, {**kept, **bound})

    return web.sendtemplate(
        b'pushes',
        entries=_entries(web, found),
        message=message,
        user=typed[b'user'],
        changeset=typed[b'changeset'],
        text=typed[b'text'],
        oldervars=older and link({b'endID': b'%d' % older}),
        newervars=newer and link({b'startID': b'%d' % newer}),
        newestvars=(forward or params.get(b'endID')) and link({}),
        feedvars=styles.linkvars(None, kept),
    )


def _entries(web, found: list):
    parity = common.paritygen(web.stripecount)
    return templateutil.mappinglist(
        [_entry(web, push, next(parity)) for push in found]
    )


def _entry(web, push, parity) -> dict[bytes, Any]:
    shown = push.heads[:MAX_HEADS]
    rest = len(push.heads) - len(shown)
    user = push.user.encode('utf-8')
    return {
        b'push': b'%d' % push.id,
        b'date': _hgdate(push.time),
        b'user': tolocal(push.user),
        b'uservars': styles.linkvars(web.tmpl, {b'user': user}),
        b'heads': templateutil.mappinglist(
            [
                {
                    b'node': hex(head.node),
                    b'desc': tolocal(head.title),
                    b'archives': web.archivelist(hex(head.node)),
                }
                for head in shown
            ]
        ),
        b'moreheads': b'%d' % rest if rest else b'',
        b'bookmarks': templateutil.mappinglist(
            [
                {b'name': tolocal(name), b'node': hex(node) if node else b''}
                for name, node in push.bookmarks
            ]
        ),
        b'count': len(push.changesets),
        b'size': util.bytecount(push.size),
        b'node': hex(push.changesets[-1]),
        b'parity': parity,
    }


def _hgdate(time: float) -> tuple[float, int]:
    return dateutil.makedate(time)
