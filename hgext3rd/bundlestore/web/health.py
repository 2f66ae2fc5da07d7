"""``/bundlestore-health``: is the store well? For monitors."""

from __future__ import annotations

from mercurial.hgweb import common

from .. import server as servermod
from ..keep import health as healthmod
from . import refusals, scratch


def health(web):
    """
    /bundlestore-health
    -------------------

    Tell monitors whether the bundle store works, in JSON: ``ok`` is true or
    false, ``troubles`` a list of what is wrong, each with ``kind`` and
    ``message``. The code is 200 if all is well, else 503.
    """
    server = servermod.of(web.repo)
    # hgweb takes what comes before the dash for a style
    if server is None or web.req.qsparams.get(b'style') != b'bundlestore':
        raise refusals.refusal(
            common.HTTP_NOT_FOUND, b'this repository has no such page'
        )
    troubles = [
        {'kind': trouble.kind, 'message': trouble.public}
        for trouble in healthmod.check(server)
    ]
    scratch.forgetbase(web)
    if troubles:
        web.res.status = common.statusmessage(scratch.HTTP_UNAVAILABLE)
    web.res.headers[b'Cache-Control'] = b'no-store'
    return scratch.sendjson(web, {'ok': not troubles, 'troubles': troubles})
