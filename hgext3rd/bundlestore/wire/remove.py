"""The command ``bundlestoreremove``: a push is removed by who made it.

``push`` is its number. The answer is that of ``keep/removal.py``. It changes
something, so over http it must be a POST. The capability of the same name
announces the command.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mercurial import error
from mercurial.i18n import _

from . import exchange, values


def encode(id: int) -> dict[str, bytes]:
    """Return the arguments of the command."""
    # with data it is a POST
    return {'push': b'%d' % id, 'data': b'\n'}


def decode(data: bytes) -> dict[str, Any]:
    """Return what the server says that it removed; raises
    ``error.RemoteError``."""
    fields = ('push', 'bundles', 'size')
    return exchange.decode(
        data, lambda raw: {f: values.number(raw[f]) for f in fields}
    )


def read(args: Mapping[bytes, bytes]) -> int:
    """Return the number of the push; raises ``error.InputError``."""
    id = values.numberof(args, b'push')
    if id is None:
        raise error.InputError(_(b'no push was named'))
    return id
