"""The push log on the web: ``/pushes``, ``/json-pushes``, ``/atom-pushes``, and
``/pushloghtml``, as Mozilla calls the first.

The parameters and the JSON are those of Mozilla's pushlog, versions 1 and 2
(the page "Pushlog" of its version-control-tools manual), so that what polls
one can poll the other. ``text`` and ``wait`` are ours.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

from mercurial import error, templateutil, util
from mercurial.hgweb import common
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.utils import dateutil

from .. import compat, model, server as servermod
from ..bundle import overlay, sound
from ..fetch import pushlist
from ..server import tolocal, totext
from . import refusals, scratch, selection, styles, waiting

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
#: most changesets that are read for an answer, where it tells of some only
MAX_READ = 200000
#: heads that a page lists of each push
MAX_HEADS = 10
#: bookmarks
MAX_BOOKMARKS = 10
#: what a page shows of a push
Entry = dict[bytes, Any]

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
    again from the last of them on miss none. With ``wait=SECONDS`` an answer
    that would be empty is put off until there is something, at most so long,
    and at most 50 seconds.
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


def pushloghtml(web):
    """
    /pushloghtml
    ------------

    The same as ``/pushes``, by the name that Mozilla's clients link to.
    """
    return pushes(web)


# -- JSON


def _json(web, server):
    params = web.req.qsparams
    version = params.get(b'version', b'1')
    if version not in (b'1', b'2'):
        raise selection.bad(b'version')
    seconds = selection.seconds(params, b'wait')
    wanted = selection.select(web, server)
    lastid, entries = 0, {}
    with contextlib.closing(waiting.looks(web, server, seconds)) as looks:
        # The last id comes first: what comes meanwhile is told of next time.
        for found in looks:
            lastid = found
            entries = _collected(web, server, wanted)
            if entries:
                break
    if not entries:
        selection.checkknown(web, server, wanted)
    # JSON has the order of the ids, whatever the times say
    answer: dict[str, Any] = {str(id): entries[id] for id in sorted(entries)}
    if version == b'2':
        answer = {
            'lastpushid': max(lastid, *entries, 0),
            'pushes': answer,
        }
    return scratch.sendjson(web, answer)


def _collected(
    web, server, wanted: selection.Selection
) -> dict[int, dict[str, Any]]:
    """Return what JSON tells of the pushes, as many as fit, by id."""
    params = web.req.qsparams
    tipsonly = params.get(b'tipsonly') == b'1'
    full = b'full' in params
    limit = MAX_FULL_PUSHES if full else MAX_PUSHES
    if not wanted.forward and not (wanted.users or wanted.nodes or wanted.text):
        limit = LATEST
    entries: dict[int, dict[str, Any]] = {}
    count = read = 0
    most = MAX_FULL_CHANGESETS if full else MAX_CHANGESETS
    for push in itertools.islice(
        selection.find(server, wanted, not wanted.forward), limit
    ):
        nodes = push.changesets[-1:] if tipsonly else push.changesets
        count += len(nodes)
        read += len(push.changesets)
        if entries and (count > most or read > MAX_READ):
            break
        entries[push.id] = {
            'changesets': (
                _described(web, server, push, nodes)
                if full
                else [node.hex() for node in nodes]
            ),
            'date': int(push.time),
            'user': push.user,
        }
        if full:
            entries[push.id]['pushvars'] = dict(push.pushvars)
    if full:
        statuses = pushlist.statusesof(server, list(entries))
        for id, entry in entries.items():
            entry['statuses'] = statuses.get(id, [])
    return entries


def _described(web, server, push, nodes) -> list[dict[str, Any]]:
    """Return what ``full`` tells of each changeset. Of one whose bundle cannot
    be read it is the hash: the other pushes must not suffer."""
    try:
        with contextlib.closing(_opened(web, server, push)) as view:
            unfiltered = view.unfiltered()
            return [_description(unfiltered[node]) for node in nodes]
    except error.Abort as exc:
        text = f'push {push.id}: {totext(exc.message)}\n'
        compat.logerror(web.req.rawenv[b'wsgi.errors'], text)
    except Exception as exc:
        scratch.log(web, exc)
    return [{'node': node.hex()} for node in nodes]


def _opened(web, server, push):
    """Return the overlay of a push; the caller closes it."""
    try:
        return overlay.openbundles(web.repo, server, model.chain([push]))
    except sound.Unserved:
        heads = [head.node for head in push.heads]
        view = overlay.opennodes(web.repo, server, heads)
        if view is None:
            raise
        return view


def _description(ctx) -> dict[str, Any]:
    return {
        'node': ctx.hex().decode(),
        'author': totext(ctx.user()),
        'branch': totext(ctx.branch()),
        'desc': totext(ctx.description()),
        'files': [name.decode('utf-8', 'replace') for name in ctx.files()],
        'parents': [parent.hex().decode() for parent in ctx.parents()],
        # "tip" is what each of them is in its own overlay
        'tags': [totext(tag) for tag in ctx.tags() if tag != b'tip'],
    }


# -- page and feed


def _atom(web, server):
    wanted = selection.select(web, server)
    found = _entries(web, server, wanted, PAGE)
    return web.sendtemplate(
        b'pushes',
        entries=_shown(web, found),
        date=found[0][b'date'] if found else (0, 0),
    )


def _page(web, server):
    params = web.req.qsparams
    message = b''
    found: list[Entry] = []
    more = forward = False
    try:
        wanted = selection.select(web, server)
        forward = wanted.forward
        found = _entries(web, server, wanted, PAGE + 1)
        more = len(found) > PAGE
        if more:
            # the last that was found
            del found[0 if forward else -1]
    except error.RepoLookupError as exc:
        # a search that finds nothing is no error
        message = exc.args[0]
    older = newer = None
    if found:
        # towards where the list came from there may be more, in the other
        # direction there is if it was cut
        first, last = int(found[-1][b'push']), int(found[0][b'push'])
        if more or forward:
            older = first - 1
        if (not forward and params.get(b'endID')) or (forward and more):
            newer = last
        if older is not None and older < 1:
            older = None
    elif not message:
        message = _(b'no push found')
    kept = {name: params[name] for name in _KEPT if params.get(name)}
    typed = {name: selection.typed(params.get(name, b'')) for name in _KEPT}

    def link(bound):
        return styles.linkvars(web.tmpl, {**kept, **bound})

    return web.sendtemplate(
        b'pushes',
        entries=_shown(web, found),
        message=message,
        user=typed[b'user'],
        changeset=typed[b'changeset'],
        text=typed[b'text'],
        oldervars=older and link({b'endID': b'%d' % older}),
        newervars=newer and link({b'startID': b'%d' % newer}),
        newestvars=(forward or params.get(b'endID')) and link({}),
        feedvars=styles.linkvars(None, kept),
    )


def _entries(
    web, server, wanted: selection.Selection, limit: int
) -> list[Entry]:
    """Return what is shown of up to ``limit`` pushes, the highest id first."""
    pushes = selection.find(server, wanted, not wanted.forward)
    # A whole push may be large, and is let go at once.
    found = {
        push.id: _entry(web, push) for push in itertools.islice(pushes, limit)
    }
    return [found[id] for id in sorted(found, reverse=True)]


def _shown(web, found: list[Entry]):
    parity = common.paritygen(web.stripecount)
    for entry in found:
        entry[b'parity'] = next(parity)
    return templateutil.mappinglist(found)


def _entry(web, push) -> Entry:
    shown = push.heads[:MAX_HEADS]
    rest = len(push.heads) - len(shown)
    marks = [(name, node) for name, node in push.bookmarks if node]
    moremarks = max(len(marks) - MAX_BOOKMARKS, 0)
    user = push.user.encode('utf-8')
    if user.startswith((b're:', b'literal:')):
        user = b'literal:' + user
    return {
        b'push': b'%d' % push.id,
        b'date': dateutil.makedate(push.time),
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
                {b'name': tolocal(name), b'node': hex(node)}
                for name, node in marks[:MAX_BOOKMARKS]
            ]
        ),
        b'morebookmarks': b'%d' % moremarks if moremarks else b'',
        b'count': len(push.changesets),
        b'size': util.bytecount(push.size),
        b'node': hex(push.changesets[-1]),
    }
