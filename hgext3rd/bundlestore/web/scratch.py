"""Pages of scratch changesets: each request that names one gets an overlay.

Mercurial asks its permission hooks when it has parsed the URL and made the
templates, before it runs the page's function. A hook there can put another
repository into the request, and what it raises becomes a page.
"""

from __future__ import annotations

import contextlib
import json
import re
import traceback
from collections.abc import Iterator
from typing import Any

from mercurial import error
from mercurial.hgweb import common, webutil
from mercurial.i18n import _
from mercurial.node import bin, hex

from .. import compat, errors, log as eventlog, lookup, server as servermod
from ..bundle import lent, overlay
from ..request import Request
from ..server import totext
from . import hardening, queries, refusals, styles

#: how many components of a path may belong to a scratch bookmark
_DEEPEST = 20
#: parameters of a request that name a changeset
_NAMES = (b'node', b'rev', b'graphtop')
#: pages that are ours, whose answers depend on more than the base
OURS = frozenset(
    (
        *(b'pushes', b'pushloghtml', b'push', b'bundle'),
        *(b'health', b'metrics', b'status', b'workspaces', b'workspace'),
    )
)
#: what hgweb tells a state of the base by
_PAGETAG = re.compile(rb'W/"[0-9]+"\Z')


def openforrequest(rctx, req, op) -> None:
    """Let a page see the scratch changesets that its URL names.

    It is one of hgweb's permission hooks, ``op`` is None for pages.
    """
    if op is not None:
        return
    server = servermod.of(rctx.repo)
    if server is None:
        return
    # what is private is shown to whom it is for
    server.request = Request(eventlog.weburl(req))
    eventlog.newrequest(server)
    with reporting(rctx):
        found = _resolve(rctx, req, server)
        if req.remoteuser and (found or req.qsparams.get(b'cmd') in OURS):
            # others may see less, and get it by way of the same proxy
            rctx.res.headers[b'Cache-Control'] = b'private'
        if found:
            _enter(rctx, req, server, found)
            _logpage(rctx, req, server, found)
        styles.extend(rctx, server)


def _logpage(rctx, req, server, found: dict[bytes, bytes]) -> None:
    eventlog.event(
        rctx.repo.ui,
        server,
        'page',
        what=req.qsparams.get(b'cmd', b''),
        user=req.remoteuser,
        by=eventlog.webway(req),
        nodes=list(found.values()),
    )


@contextlib.contextmanager
def reporting(rctx) -> Iterator[None]:
    """Turn trouble with the store into a page with code 500, or 503 if the
    store, or what the base has, cannot be used just now.

    What Python has to say about it goes to the log of the web server.
    """
    try:
        yield
    except common.ErrorResponse:
        raise
    except error.RepoLookupError as exc:
        raise refusals.unknown(exc.args[0]) from exc
    except Exception as exc:
        isaway = istold = False
        if isinstance(exc, error.Abort):
            cause = exc.__cause__
            isaway = isinstance(
                cause, (errors.BackendUnavailable, errors.BaseLacks)
            )
            # it says all there is to say
            istold = isaway or cause is None
            message = exc.message
            if exc.hint and not isinstance(cause, errors.BaseLacks):
                message += b' (%s)' % exc.hint
        else:
            message = _(b'the stored bundle cannot be read')
        if not istold:
            log(rctx, exc)
        eventlog.event(
            rctx.repo.ui,
            servermod.of(rctx.repo),
            'refused',
            what=rctx.req.qsparams.get(b'cmd', b''),
            user=rctx.req.remoteuser,
            by=eventlog.webway(rctx.req),
            reason=eventlog.reason(exc),
        )
        if isaway:
            raise refusals.later(message) from exc
        raise refusals.failure(message) from exc


def log(rctx, exc: BaseException) -> None:
    """Write an exception to the log of the web server."""
    lines = traceback.format_exception(type(exc), exc, exc.__traceback__)
    compat.logerror(rctx.req.rawenv[b'wsgi.errors'], ''.join(lines))


# -- which changesets a request names


def _resolve(rctx, req, server) -> dict[bytes, bytes]:
    """Return those parameters of the request that name scratch changesets,
    each with its new value: full hashes, so that every link on the page goes
    on naming the same."""
    cmd = req.qsparams.get(b'cmd')
    if cmd in OURS:
        nocache(req)
        if cmd == b'bundle':
            _joinbookmark(rctx, req, server)
        return {}
    if cmd in (b'help', b'static'):
        return {}
    if cmd == b'automationrelevance':
        nocache(req)
        # An overlay that takes the place of the repository has none. Only this
        # page needs it: an answer may live until Python looks for reference
        # cycles, and connections to the index would with it.
        rctx.res.bundlestoreserver = server
    _joinbookmark(rctx, req, server)
    found = {}
    for name in _NAMES:
        value = req.qsparams.get(name)
        if not value:
            continue
        # a page may show the difference of two, as FROM:TO
        symbols = value.split(b':') if name == b'node' else [value]
        nodes = [
            lookup.find(rctx.repo, server, queries.name(s)) for s in symbols
        ]
        if any(nodes):
            found[name] = b':'.join(
                hex(node) if node else symbol
                for node, symbol in zip(nodes, symbols)
            )
        elif name == b'node':
            _checkknown(rctx, req, server, symbols)
    return found


def _joinbookmark(rctx, req, server) -> None:
    """Undo how hgweb cuts the path of a request, where a slash belongs to the
    name of a scratch bookmark."""
    node, file = req.qsparams.get(b'node'), req.qsparams.get(b'file')
    if not node or not file or lookup.HASH.match(node):
        return
    isbase: bool | None = None
    parts = file.split(b'/')
    for count in range(min(len(parts), _DEEPEST), 0, -1):
        name = b'/'.join([node, *parts[:count]])
        kind = None
        if req.qsparams.get(b'cmd') == b'archive' and count == len(parts):
            name, kind = _cutextension(name)
        if not server.maybescratchbookmark(name):
            continue
        if isbase is None:
            isbase = lookup.isbase(rctx.repo, node)
        if isbase:
            return
        # it may come and go while the base stays what it is
        nocache(req)
        if not _isbookmark(server, totext(queries.name(name))):
            continue
        req.qsparams[b'node'] = name
        if kind:
            req.qsparams[b'type'] = kind
        del req.qsparams[b'file']
        if parts[count:]:
            req.qsparams[b'file'] = b'/'.join(parts[count:])
        return


def _isbookmark(server, name: str) -> bool:
    return server.ask(lambda index: index.bookmark(name), None) is not None


def _cutextension(name: bytes) -> tuple[bytes, bytes | None]:
    for kind, spec in webutil.archivespecs.items():
        if name.endswith(spec[2]):
            return name[: -len(spec[2])], kind
    return name, None


def _checkknown(rctx, req, server, symbols: list[bytes]) -> None:
    """Raise an error that a person understands where nobody knows one of the
    symbols; see to it that no browser keeps the answer."""
    for symbol in symbols:
        if not lookup.maybescratch(server, symbol) or lookup.isbase(
            rctx.repo, symbol
        ):
            continue
        # Mercurial's answer would be "not modified" as long as the base is
        # what it was, also when the changeset comes or goes.
        nocache(req)
        if b'file' in req.qsparams:
            continue  # it may be the hash of a file's revision
        raise refusals.unknown(
            _(
                # clients look for the first two words
                b"unknown revision '%s': not in the repository or its bundle "
                b'store, where it may have expired'
            )
            % refusals.shown(symbol)
            + server.cause(),
        )


def nocache(req) -> None:
    """Have hgweb answer as though the client had no copy of a page."""
    if _PAGETAG.match(req.headers.get(b'If-None-Match') or b''):
        del req.headers[b'If-None-Match']


def forgetbase(web) -> None:
    """Do without what hgweb says of the base where the answer is ours."""
    if web.res.headers.get(b'ETag'):
        del web.res.headers[b'ETag']


def sendjson(web, answer: Any):
    """Return the response for machines, as :func:`send` does."""
    body = json.dumps(answer, separators=(',', ':')).encode()
    return send(web, b'application/json', body)


def send(web, kind: bytes, body: bytes):
    """Return the response with a body of that type; HEAD gets the length that
    GET has."""
    res = web.res
    res.headers[b'Content-Type'] = kind
    res.setbodybytes(b'' if web.req.method == b'HEAD' else body)
    res.headers[b'Content-Length'] = b'%d' % len(body)
    return res.sendresponse()


# -- the overlay of a request


def _enter(rctx, req, server, found: dict[bytes, bytes]) -> None:
    """Put the overlay of the changesets into the request."""
    nodes = [
        bin(symbol)
        for value in found.values()
        for symbol in value.split(b':')
        if lookup.isfullhash(symbol)
    ]
    view = overlay.opennodes(rctx.repo, server, nodes)
    for name, value in found.items():
        req.qsparams[name] = value
    if view is None:
        # a scratch bookmark on what the base has; it may move
        nocache(req)
        return
    # run_wsgi closes it
    rctx.res.bundlestoreview = view
    lent.lend(rctx.repo, server, view)
    # the page depends on more than the base, whose time stamp hgweb takes
    view.ui.setconfig(b'web', b'cache', False, b'bundlestore')
    view.ui.environ = req.rawenv
    filtername = rctx.repo.filtername
    rctx.repo = view if filtername is None else view.filtered(filtername)
    hardening.setpolicy(rctx, view.ui)
    rctx.tmpl = rctx.templater(req)
    hardening.escapemore(rctx.tmpl)


def runwsgi(orig, hgweb, req, res):
    """Close the overlay when a response is through, whatever ends it."""
    try:
        yield from orig(hgweb, req, res)
    finally:
        view = getattr(res, 'bundlestoreview', None)
        if view is not None:
            view.close()
