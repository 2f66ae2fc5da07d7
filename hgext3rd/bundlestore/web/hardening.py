"""Keeps what users push from acting in other users' browsers.

Some of Mercurial's styles show a name as it is, where it should be escaped:
those who can push to a repository are trusted. Many more can push to its
bundle store, so pages of scratch changesets get what those styles lack.
"""

from __future__ import annotations

import re
import urllib.parse

from mercurial import encoding, error
from mercurial.hgweb import common
from mercurial.utils import stringutil

from .. import compat
from . import queries, refusals


def sendresponse(orig, res):
    """Let no response break its own head: this stands behind all that answers,
    be it ours or Mercurial's.

    Names of files, and what a request says, get into headers.
    """
    res.status = refusals.plain(res.status or b'')
    for name, value in res.headers.items():
        if refusals.plain(value) != value:
            res.headers[name] = refusals.plain(value)
    # an error is no state of the base, and may be over before that changes
    if res.status[:1] in (b'4', b'5') and res.headers.get(b'ETag'):
        del res.headers[b'ETag']
    return orig(res)


def setpolicy(rctx, ui) -> None:
    """Give the response a policy that lets browsers run the scripts of hgweb
    and no others, unless ``web.csp`` says what is allowed.

    ``ui`` is that of the overlay. Call it before the templates are made.
    """
    if not ui.config(b'web', b'csp', untrusted=False):
        sources = [b"'self'", b"'nonce-%nonce%'"]
        static = urllib.parse.urlsplit(rctx.config(b'web', b'staticurl') or b'')
        if static.netloc:
            sources.append(
                b'%s://%s' % (static.scheme or b'https', static.netloc)
            )
        policy = b"script-src %s; object-src 'none'; base-uri 'self'"
        ui.setconfig(
            b'web', b'csp', policy % b' '.join(sources), b'bundlestore'
        )
    rctx.csp, rctx.nonce = common.cspvalues(ui)
    rctx.res.headers[b'Content-Security-Policy'] = rctx.csp
    if rctx.req.qsparams.get(b'style') == b'raw':
        # with web.guessmime a file may be a page in itself
        rctx.res.headers[b'Content-Security-Policy'] = b'sandbox'


def escapemore(tmpl) -> None:
    """Escape in the templates of a page what they forget to."""
    # where Mercurial's own highlight extension puts its filter, too
    tmpl._filters[b'person'] = _person
    tmpl._filters[b'utf8'] = _utf8
    for name, (wrong, right) in compat.UNESCAPED.items():
        if name in tmpl:
            tmpl.load(name)
            tmpl.cache[name] = tmpl.cache[name].replace(wrong, right)


def _utf8(text: bytes) -> bytes:
    """Do what Mercurial's filter does, also where something is in another
    encoding than it should be, such as the name of a file."""
    try:
        return encoding.fromlocal(text)
    except error.Abort:
        return queries.text(text).encode('utf-8')


def _person(author: bytes) -> bytes:
    """Do what Mercurial's filter does, without anything that is markup."""
    return re.sub(rb'[<>"]', b'', stringutil.person(author))
