"""The wire command ``bundlestoreputblob``: a client uploads for a scratch push.

``kind`` is ``lfs`` or ``largefiles``, ``name`` the hash, ``size`` how many
bytes come. The answer is empty where all is well.
"""

from __future__ import annotations

from typing import Any

from mercurial import error
from mercurial.i18n import _

from .. import access, config
from ..push import pace
from ..server import totext
from ..wire import exchange, values
from . import place, served


def serve(repo, proto, args):
    """Answer the wire command."""
    return exchange.answer(
        repo, lambda server: _receive(repo, server, proto, args)
    )


def _receive(repo, server, proto, args) -> dict[str, Any]:
    kind, name = totext(args.get(b'kind', b'')), totext(args.get(b'name', b''))
    if not place.isname(kind, name):
        raise error.InputError(_(b'upload names no content'))
    limit = server.settings.maxbundlesize
    # over ssh the client sends nothing yet
    access.checkpush(repo.ui, access.username(proto.client()))
    if limit and (values.numberof(args, b'size') or 0) > limit:
        raise error.Abort(
            _(b'%s content is larger than the bundle store takes (%s)')
            % (kind.encode(), config.formatsize(limit).encode()),
            hint=_(b'ask for a higher bundlestore.max-bundle-size'),
        )
    with pace.payload(repo, server, proto) as chunks:
        served.put(repo, server, proto.client(), kind, name, chunks)
    return {}
