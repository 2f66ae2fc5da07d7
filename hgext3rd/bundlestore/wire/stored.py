"""The words of a push with ``--bundle-store``: the stream parameter that asks
for it, and the part of the reply that tells what was stored.

The server's part of both is in ``push/route.py`` and ``push/reply.py``.
"""

from __future__ import annotations

import functools

from mercurial import error

from .. import compat, model, names


def checkparameter(unbundler, param, value) -> None:
    """Refuse a stream parameter that means nothing."""
    # or the view whose it shall be, see ``push/private.py``
    if value != b'1' and not model.isuid((value or b'').decode('latin-1')):
        raise error.BundleUnknownFeatureError(
            params=(param,), values=(value or b'',)
        )


@functools.cache
def registerreply() -> None:
    """Make the reply part known to this process, a client."""
    compat.parthandler(names.STORED, (names.PUSH, names.KEY, names.URL))(
        _recordstored
    )


def _recordstored(operation, part) -> None:
    """Note what the server stored in the records of the operation."""
    operation.records.add(
        names.STORED,
        {
            b'push': int(part.params[names.PUSH]),
            b'key': part.params[names.KEY],
            b'nodes': part.read(),
            b'url': _url(part.params.get(names.URL, b'')),
        },
    )


def _url(value: bytes) -> bytes:
    """Return what can be shown as it is, and an older server does not
    send."""
    # most have none
    if value and model.isurl(value.decode('latin-1')):
        return value
    return b''
