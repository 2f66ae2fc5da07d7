"""A web hook: what is pushed to a bundle store is met at once.

Copy it beside ``master.cfg``. It checks who sent the request, and has
``jsonpushes.py`` ask the server what was pushed. So there is one way in, and a
push that is told of twice, or too late, or not at all, is built once.
"""

from __future__ import annotations

import base64
import hmac
import time
from typing import Any

from buildbot.www.hooks.base import BaseHookHandler
from jsonpushes import JSONPushes

#: seconds by which the clock of the server may differ
TOLERANCE = 300


class PushHook(BaseHookHandler):
    """``secret``, among the options, is what the server has in the file of
    ``webhook.NAME:secret-file``."""

    def getChanges(self, request: Any) -> tuple[list[Any], None]:
        assert self.options
        id, timestamp, signatures = (
            request.getHeader(f'webhook-{name}') or ''
            for name in ('id', 'timestamp', 'signature')
        )
        body = request.content.read()
        check(self.options['secret'], id, timestamp, body, signatures)
        for source in self.master.change_svc:
            if isinstance(source, JSONPushes):
                source.force()
        return [], None


def check(
    secret: str, id: str, timestamp: str, body: bytes, signatures: str
) -> None:
    """Raise ``ValueError``, which is answered with 400, unless one of the
    signatures is right, as https://www.standardwebhooks.com/ has it."""
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE:
        raise ValueError('this is too old, or has no time')
    key = base64.b64decode(secret.removeprefix('whsec_'))
    if not key:
        raise ValueError('there is no secret')
    text = f'{id}.{timestamp}.'.encode() + body
    digest = base64.b64encode(hmac.digest(key, text, 'sha256')).decode()
    for signature in signatures.split():
        if hmac.compare_digest(signature.encode(), f'v1,{digest}'.encode()):
            return
    raise ValueError('no signature is right')
