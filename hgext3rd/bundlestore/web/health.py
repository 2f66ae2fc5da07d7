"""``/bundlestore-health`` and ``/bundlestore-metrics``: is the store well, and
what does it hold? For monitors."""

from __future__ import annotations

from mercurial.hgweb import common

from .. import server as servermod
from ..keep import health as healthmod, metrics as metricsmod
from . import refusals, scratch


def health(web):
    """
    /bundlestore-health
    -------------------

    Tell monitors whether the bundle store works, in JSON: ``ok`` is true or
    false, ``troubles`` a list of what is wrong, each with ``kind`` and
    ``message``. The code is 200 if all is well, else 503.
    """
    troubles = [
        {'kind': trouble.kind, 'message': trouble.public}
        for trouble in healthmod.check(_server(web))
    ]
    _prepare(web)
    if troubles:
        web.res.status = common.statusmessage(refusals.HTTP_UNAVAILABLE)
    return scratch.sendjson(web, {'ok': not troubles, 'troubles': troubles})


def metrics(web):
    """
    /bundlestore-metrics
    --------------------

    Tell Prometheus whether the bundle store works, and what it holds. The code
    is 200, whatever is wrong: ``hg_bundlestore_up`` is 0 then.
    """
    text = metricsmod.text(web.repo, _server(web))
    _prepare(web)
    return scratch.send(web, metricsmod.CONTENTTYPE, text)


def _server(web) -> servermod.Server:
    server: servermod.Server | None = servermod.of(web.repo)
    # hgweb takes what comes before the dash for a style
    if server is None or web.req.qsparams.get(b'style') != b'bundlestore':
        raise refusals.refusal(
            common.HTTP_NOT_FOUND, b'this repository has no such page'
        )
    return server


def _prepare(web) -> None:
    scratch.forgetbase(web)
    web.res.headers[b'Cache-Control'] = b'no-store'
