"""How a request is refused. No other room makes an ``ErrorResponse``.

hgweb puts the message of an ``ErrorResponse`` into the status line as it is,
where a line break begins a header or a page of a user's own. So nothing that a
user sent stands in one. A page may say what was asked for: hgweb shows the
messages of other errors below a status line of its own, and escapes them.
"""

from __future__ import annotations

import re

from mercurial import error
from mercurial.hgweb import common

from . import queries

HTTP_UNAVAILABLE = 503
#: seconds until somebody is to ask again
_LATER = 10
#: characters of a reason in a status line
_REASON = 120
#: characters that a page shows of a message, and of a value in it
_MESSAGE = 500
_VALUE = 80


def refusal(code: int, reason: bytes) -> common.ErrorResponse:
    """Return the error that ends a request with a status line of ours.

    ``reason`` is a sentence without anything that came from a user. Should
    there be something in it after all, it does no harm.
    """
    return common.ErrorResponse(code, plain(reason)[:_REASON])


def later(reason: bytes) -> common.ErrorResponse:
    """Return the same for what may be granted to who asks again."""
    found = refusal(HTTP_UNAVAILABLE, reason)
    found.headers.append((b'Retry-After', b'%d' % _LATER))
    return found


def unknown(message: bytes) -> error.RepoLookupError:
    """Return the error that ends a request with "404 Not Found" and a page
    that shows the message."""
    return error.RepoLookupError(_line(message, _MESSAGE))


def failure(message: bytes) -> error.RepoError:
    """Return the error that ends a request with "500 Internal Server Error"
    and a page that shows the message."""
    return error.RepoError(_line(message, _MESSAGE))


def shown(value: bytes) -> bytes:
    """Return what a user sent as it stands in a message."""
    return _line(value, _VALUE)


def _line(text: bytes, most: int) -> bytes:
    """Return text as one line in the encoding of the page: some styles fail
    of anything else."""
    line = re.sub(r'[\x00-\x1f\x7f-\x9f]+', ' ', queries.text(text))
    return queries.tolocal(line[:most])


def plain(value: bytes) -> bytes:
    """Return what may stand in a status line or a header: printable ASCII."""
    return re.sub(rb'[^ -~]', b'?', value)
