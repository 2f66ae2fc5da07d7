"""The push log on the web: ``/pushes``, ``/json-pushes``, ``/atom-pushes``, and
``/pushloghtml``, as Mozilla calls the first.

The parameters and the JSON are those of Mozilla's pushlog, versions 1 and 2
(the page "Pushlog" of its version-control-tools manual), so that what polls
one can poll the other. ``text``, ``status``, ``branch`` and ``wait`` are ours.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from typing import Any

from mercurial import error, templateutil
from mercurial.hgweb import common
from mercurial.i18n import _

from .. import model, server as servermod
from ..bundle import telling
from ..declaring import provides
from ..fetch import landed
from ..server import hasnode
from . import (
    described,
    entries,
    live,
    outcomes,
    refusals,
    scratch,
    selection,
    styles,
    waiting,
)
from .entries import Entry

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

# what a form on the page or a link to another page carries along
_TYPED = (b'user', b'changeset', b'text', b'status', b'branch')
_KEPT = (*_TYPED, b'mine')


def pushes(web):
    """
    /pushes
    -------

    List the pushes that the bundle store keeps, newest first, as a page, as a
    feed (``/atom-pushes``) or for machines (``/json-pushes``).

    ``user``, ``changeset`` (a hash, a prefix of one or a scratch bookmark),
    ``text`` (words of a description), ``status`` (``success``, ``pending``,
    ``failure``, ``error``, the worst that was told of a push, or ``none``) and
    ``branch`` (of a head) select pushes, and ``mine`` on the page those of who
    is logged in. Bounds are
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
    lastid, told = 0, {}

    def look(server) -> tuple[int, float]:
        # how pushes went changes without a new one
        changes = time.monotonic() if wanted.statuses else 0.0
        return waiting.lastid(server), changes

    with contextlib.closing(waiting.looks(web, server, seconds, look)) as looks:
        # The last id comes first: what comes meanwhile is told of next time.
        for found, _changes in looks:
            lastid = found
            told = _collected(web, server, wanted)
            if told:
                break
    if not told:
        selection.checkknown(web, server, wanted)
    # JSON has the order of the ids, whatever the times say
    answer: dict[str, Any] = {str(id): told[id] for id in sorted(told)}
    if version == b'2':
        answer = {
            'lastpushid': max(lastid, *told, 0),
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
    if not wanted.forward and wanted.isanything:
        limit = LATEST
    told: dict[int, dict[str, Any]] = {}
    heads = {}
    count = read = 0
    most = MAX_FULL_CHANGESETS if full else MAX_CHANGESETS
    for push in itertools.islice(
        selection.find(server, wanted, not wanted.forward), limit
    ):
        nodes = push.changesets[-1:] if tipsonly else push.changesets
        count += len(nodes)
        read += len(push.changesets)
        if told and (count > most or read > MAX_READ):
            break
        told[push.id] = telling.entry(
            push,
            described.forjson(web, server, push, nodes)
            if full
            else [node.hex() for node in nodes],
            full,
        )
        heads[push.id] = [head.node for head in push.heads]
    if full:
        for id, statuses in telling.statusesof(server, list(told)).items():
            told[id]['statuses'] = statuses
        landings = landed.landings(
            server, lambda node: hasnode(web.repo, node), heads
        )
        for id, its in landings.items():
            told[id]['landings'] = [*map(landed.fields, its)]
    return told


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
    seen = b''
    try:
        wanted = selection.select(web, server)
        forward = wanted.forward
        isfirst = not forward and wanted.last is None and wanted.until is None
        if isfirst:
            answer = live.answer(web, server, lambda: _newest(server, wanted))
            if answer is not None:
                return answer
        found = _entries(web, server, wanted, PAGE + 1)
        if isfirst:
            shown = [int(entry[b'push']) for entry in found[:PAGE]]
            seen, _statuses = live.look(server, shown)
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
    typed = {name: selection.typed(params.get(name, b'')) for name in _TYPED}
    me = web.req.remoteuser
    fed = {name: kept[name] for name in _TYPED if name in kept}
    if b'mine' in kept and me:
        fed[b'user'] = me

    def link(bound):
        return styles.linkvars(web.tmpl, {**kept, **bound})

    return web.sendtemplate(
        b'pushes',
        entries=_shown(web, found),
        message=message,
        user=typed[b'user'],
        changeset=typed[b'changeset'],
        text=typed[b'text'],
        branch=typed[b'branch'],
        outcomes=_outcomes(server, typed[b'status']),
        live=seen,
        oldervars=older and link({b'endID': b'%d' % older}),
        newervars=newer and link({b'startID': b'%d' % newer}),
        newestvars=(forward or params.get(b'endID')) and link({}),
        me=me or b'',
        mine=kept.get(b'mine', b''),
        minevars=(
            me
            and b'mine' not in kept
            and styles.linkvars(web.tmpl, {b'mine': b'1'})
        ),
        feedvars=styles.linkvars(None, fed),
    )


def _outcomes(server, chosen: bytes):
    """Return what the form offers, if pushes can be looked for by it."""
    if not provides(server.index, 'ILabels'):
        return b''
    names = [name.encode() for name in model.OUTCOMES]
    return templateutil.mappinglist(
        [
            {b'outcome': name, b'chosen': b'1' if name == chosen else b''}
            for name in names
        ]
    )


def _newest(server, wanted: selection.Selection) -> list[int]:
    """Return the ids of the pushes on the first page."""
    found = selection.find(server, wanted, True)
    return [push.id for push in itertools.islice(found, PAGE)]


def _entries(
    web, server, wanted: selection.Selection, limit: int
) -> list[Entry]:
    """Return what is shown of up to ``limit`` pushes, the highest id first."""
    pushes = selection.find(server, wanted, not wanted.forward)
    found, heads = {}, {}
    # A whole push may be large, and is let go at once.
    for push in itertools.islice(pushes, limit):
        found[push.id] = entries.entry(web, push)
        heads[push.id] = [head.node for head in push.heads]
    statuses = telling.statusesof(server, list(found))
    for id, entry in found.items():
        entry[b'outcome'] = outcomes.counted(id, statuses.get(id, []))
        entry[b'landings'] = templateutil.mappinglist([])
    most = entries.MAX_HEADS
    for id, its in outcomes.landings(web, server, heads, most).items():
        found[id][b'landings'] = its
    return [found[id] for id in sorted(found, reverse=True)]


def _shown(web, found: list[Entry]):
    parity = common.paritygen(web.stripecount)
    for entry in found:
        entry[b'parity'] = next(parity)
    return templateutil.mappinglist(found)
