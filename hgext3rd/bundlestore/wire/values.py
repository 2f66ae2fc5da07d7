"""What the arguments and the answers of our commands may hold.

Whoever reads them cannot know who wrote them. What a server reads raises
``error.InputError``; what a client reads, ``ValueError`` or ``TypeError``,
which ``exchange.decode`` turns into an abort.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from mercurial import error, util, wireprototypes
from mercurial.i18n import _

from .. import model

#: most hashes in an argument: what fits into the headers of an HTTP request,
#: where wire commands have their arguments
MAX_NODES = 250

#: what is raised where JSON, or what it says, makes no sense
NONSENSE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
)

_HEXDIGITS = frozenset('0123456789abcdef')
# all that SQL servers and JSON can hold
_MAX_DIGITS = 15
# in the year 9892; calendars end with the year 9999
_MAX_TIME = 250_000_000_000

# -- arguments, on the server


def numberof(args: Mapping[bytes, bytes], name: bytes) -> Optional[int]:
    value = args.get(name)
    if value is None:
        return None
    if value.isdigit() and len(value) <= _MAX_DIGITS and int(value):
        return int(value)
    raise error.InputError(_(b"'%s' is not a positive number") % name)


def textof(args: Mapping[bytes, bytes], name: bytes) -> Optional[str]:
    value = args.get(name)
    if value is None:
        return None
    try:
        text: str = util.urlreq.unquote(value).decode('utf-8')
    except UnicodeDecodeError:
        raise error.InputError(_(b"'%s' is not UTF-8") % name)
    return text


def nodesof(args: Mapping[bytes, bytes], name: bytes) -> list[bytes]:
    try:
        nodes: list[bytes] = wireprototypes.decodelist(args.get(name, b''))
    except ValueError:
        nodes = [b'']
    if len(nodes) > MAX_NODES or any(len(node) != 20 for node in nodes):
        raise error.InputError(_(b"'%s' is no list of hashes") % name)
    return nodes


# -- answers, on the client


def optional(check, value: Any) -> Any:
    return None if value is None else check(value)


def number(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 10**_MAX_DIGITS:
        raise ValueError(value)
    return value


def time(value: Any) -> int:
    return min(number(value), _MAX_TIME)


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    # JSON can name half a surrogate pair, which is no character
    return value.encode('utf-8', 'replace').decode('utf-8')


def key(value: Any) -> str:
    return model.checkkey(value)


def node(value: Any) -> str:
    digits = text(value)
    if len(digits) != 40 or not _HEXDIGITS.issuperset(digits):
        raise ValueError(value)
    return digits
