"""What a server sends, byte by byte."""

from __future__ import annotations

import re
from typing import NamedTuple

#: the headers that our pages may have, and those of the servers
KNOWN_HEADERS = frozenset(
    (
        *('accept-ranges', 'cache-control', 'connection'),
        'content-disposition',
        *('content-length', 'content-range', 'content-security-policy'),
        *('content-type', 'date', 'etag', 'location', 'server'),
        *('transfer-encoding', 'x-worker', 'www-authenticate'),
    )
)


class Head(NamedTuple):
    """The head of a raw response."""

    status: int
    reason: str
    headers: dict[str, str]


def head(response: bytes) -> Head:
    """Return the head of a raw response; raises ``AssertionError`` if it is
    not well formed, or has headers that no page of ours has."""
    top, blank, _body = response.partition(b'\r\n\r\n')
    assert blank, f'no end of the head: {response[:500]!r}'
    first, *lines = top.split(b'\r\n')
    found = re.fullmatch(rb'HTTP/1\.[01] ([2-5][0-9][0-9]) ([ -~]*)', first)
    assert found, first
    headers = {}
    for line in lines:
        name, colon, value = line.partition(b': ')
        assert colon, line
        assert re.fullmatch(rb'[ -~]*', value), line
        assert name.lower().decode() in KNOWN_HEADERS, line
        headers[name.lower().decode()] = value.decode()
    return Head(int(found[1]), found[2].decode(), headers)
