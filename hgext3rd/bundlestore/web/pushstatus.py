"""``POST /push-status/PUSHID``: a machine tells how a push went."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from mercurial import error
from mercurial.hgweb import common

from .. import access, errors, log, model, server as servermod
from ..keep import statuses
from ..server import totext
from . import permissions, refusals, scratch

#: bytes of a request
_LONGEST = 16 * 1024
_ID = re.compile(rb'[1-9][0-9]{0,17}\Z')
_ITEMS = ('context', 'state', 'url', 'description')
#: what the trouble of a request is answered with
_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (errors.UnknownPush, common.HTTP_NOT_FOUND),
    (errors.TooManyStatuses, 409),
    (errors.BackendUnavailable, refusals.HTTP_UNAVAILABLE),
)


def status(web):
    """
    /push-status/{push}
    -------------------

    Set how a push went. The body of the POST request is a JSON object with
    ``context`` (what was done, such as ``linux/test``), ``state``
    (``pending``, ``success``, ``failure`` or ``error``) and, if there is
    anything to say, ``url`` and ``description``. A status takes the place of
    an earlier one with the same context. The answer is the status, or an
    object with ``error``.
    """
    server = servermod.of(web.repo)
    # hgweb takes what comes before the dash for a style
    if server is None or web.req.qsparams.get(b'style') != b'push':
        raise refusals.refusal(
            common.HTTP_NOT_FOUND, b'this repository has no such page'
        )
    scratch.forgetbase(web)
    web.res.headers[b'Cache-Control'] = b'no-store'
    try:
        with log.refusals(web.repo.ui, server, log.weburl(web.req), 'status'):
            answer = _set(web, server)
    except common.ErrorResponse as exc:
        for name, value in exc.headers:
            web.res.headers[name] = value
        return _refused(web, exc.code, exc.message)
    except error.InputError as exc:
        return _refused(web, common.HTTP_BAD_REQUEST, exc.message)
    except error.Abort as exc:
        for kind, code in _CODES:
            if isinstance(exc.__cause__, kind):
                if code == refusals.HTTP_UNAVAILABLE:
                    web.res.headers[b'Retry-After'] = b'10'
                return _refused(web, code, exc.message)
        return _refused(web, common.HTTP_SERVER_ERROR, exc.message)
    return scratch.sendjson(web, answer)


def _set(web, server) -> dict[str, Any]:
    req = web.req
    if req.method != b'POST':
        refusal = refusals.refusal(
            common.HTTP_METHOD_NOT_ALLOWED, b'a status is set by POST'
        )
        refusal.headers.append((b'Allow', b'POST'))
        raise refusal
    permissions.checkstatus(web)
    id = web.req.qsparams.get(b'node', b'')
    if not _ID.match(id) or b'file' in web.req.qsparams:
        raise refusals.refusal(
            common.HTTP_NOT_FOUND, b'the address ends with the number of a push'
        )
    wanted = _read(req)._replace(
        time=time.time(), user=access.printable(req.remoteuser or b'')
    )
    found = statuses.setstatus(
        web.repo.ui, server, int(id), wanted, log.webway(req)
    )
    return {'push': int(id), **found._asdict(), 'time': int(found.time)}


def _read(req) -> model.Status:
    """Return what is in the body of a request."""
    kind = req.headers.get(b'Content-Type') or b''
    if kind.partition(b';')[0].strip().lower() != b'application/json':
        # A page of another site can have a browser send a form or plain text,
        # with the login of its user.
        raise refusals.refusal(
            415, b"the header 'Content-Type: application/json' is missing"
        )
    length = req.headers.get(b'Content-Length') or b''
    if not length.isdigit():
        raise refusals.refusal(411, b'the length of the request is missing')
    if len(length) > 9 or int(length) > _LONGEST:
        raise refusals.refusal(413, b'the request is too long')
    body = req.bodyfh.read(int(length))
    if len(body) < int(length):
        raise refusals.refusal(
            common.HTTP_BAD_REQUEST, b'the request is cut off'
        )
    try:
        found = json.loads(body.decode('utf-8'))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise error.InputError(b'the request is no JSON object')
    texts: dict[str, Any] = {name: found.get(name) or '' for name in _ITEMS}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise error.InputError(b'%s is no text' % name.encode())
    return model.Status(**texts)


def _refused(web, code: int, message: bytes):
    web.res.status = common.statusmessage(code)
    return scratch.sendjson(web, {'error': totext(message)})
