"""Web hooks: where each is sent, and how it is signed.

The form is that of Standard Webhooks. An address and a secret are never shown:
who knows them could send as well, or be told.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import stat
from urllib.parse import urlsplit

from mercurial import error
from mercurial.i18n import _
from mercurial.utils import stringutil

from .. import config, model
from ..records import NamedTuple

_NAME = re.compile(rb'[A-Za-z0-9_-]{1,50}')
#: nothing that could end a line, and nothing to be encoded in some way
_URL = re.compile(rb'https?://[!-~]+', re.IGNORECASE)
_PREFIX = b'whsec_'
#: fewest bytes of a key
_KEY = 24


class Hook(NamedTuple):
    """Where a web hook is sent."""

    name: str
    istls: bool
    host: str
    port: int
    #: path and query
    target: str
    allowprivate: bool
    #: at least one; the first is the newest
    keys: tuple[bytes, ...]
    #: everybody may read them
    isopen: bool


def read(ui, name: bytes) -> Hook:
    """Return a web hook of the configuration; raises ``ConfigError``, and
    ``Abort`` if its secret cannot be read."""
    item = b'webhook.%s' % name
    if not _NAME.fullmatch(name):
        raise _wrong(
            item, _(b'a name has up to 50 letters, digits, "-" and "_"')
        )
    url = ui.config(config.SECTION, item)
    if not _URL.fullmatch(url):
        raise _wrong(item, _(b'the URL begins with https:// or http://'))
    try:
        parts = urlsplit(url.decode('ascii'))
        host, port = parts.hostname, parts.port
        if not host:
            raise ValueError
        host.encode('idna')
    except ValueError:
        raise _wrong(item, _(b'the URL has no host that means anything'))
    if parts.username is not None:
        raise _wrong(
            item,
            _(b'a URL with a password is not taken'),
            _(b'the receiver knows the server by the signature'),
        )
    istls = parts.scheme == 'https'
    query = f'?{parts.query}' if parts.query else ''
    return Hook(
        name.decode(),
        istls,
        host,
        port or (443 if istls else 80),
        (parts.path or '/') + query,
        bool(ui.configbool(config.SECTION, b'%s:allow-private' % item)),
        *_keys(ui, name, item),
    )


def _wrong(item: bytes, what: bytes, hint: bytes | None = None):
    text = b'bundlestore.%s: %s' % (item, what)
    return error.ConfigError(text, hint=hint)


def _keys(ui, name: bytes, item: bytes) -> tuple[tuple[bytes, ...], bool]:
    """Return the keys, and whether everybody may read them."""
    path = config.secretfile(ui, name)
    option = b'%s:secret-file' % item
    if path is None:
        raise _wrong(option, _(b'it is not set'))
    try:
        with open(path, 'rb') as fh:
            mode = os.fstat(fh.fileno()).st_mode
            words = fh.read(10000).split()
    except OSError as exc:
        raise error.Abort(
            b'bundlestore.%s: %s'
            % (option, stringutil.forcebytestr(exc.strerror or exc))
        )
    keys = tuple(_key(word) for word in words)
    if not keys or b'' in keys:
        raise _wrong(
            option,
            _(b'the file has no secret'),
            _(b"a secret is 'whsec_' and at least %d bytes in Base64") % _KEY,
        )
    return keys, bool(mode & stat.S_IROTH)


def _key(secret: bytes) -> bytes:
    """Return the key that a secret stands for, ``b''`` if it is none."""
    if secret.startswith(_PREFIX):
        try:
            key = base64.b64decode(secret[len(_PREFIX) :], validate=True)
        except binascii.Error:
            return b''
        if len(key) >= _KEY:
            return key
    return b''


def messageid(push: model.Push) -> str:
    """Return the id of what is told of a push: always the same, and another
    one for each push of any repository."""
    what = f'{push.id} {push.time!r} {push.key} {push.user}'
    digest = hashlib.sha256(what.encode('utf-8', 'surrogateescape'))
    return f'push_{push.id}_{digest.hexdigest()[:24]}'


def sign(hook: Hook, id: str, seconds: int, body: bytes) -> dict[str, str]:
    """Return the heads of a message, which is sent at that time."""
    signed = b'%s.%d.%s' % (id.encode(), seconds, body)
    signatures = [
        base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()
        for key in hook.keys
    ]
    return {
        'webhook-id': id,
        'webhook-timestamp': f'{seconds}',
        'webhook-signature': ' '.join(f'v1,{text}' for text in signatures),
    }
