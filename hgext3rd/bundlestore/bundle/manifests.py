"""What the deltas of manifests say.

A manifest has a line for each file: its name, a zero byte, the hash of its
revision in hexadecimal digits, and a letter for what it is if it is no plain
file (``hg help internals.revlogs`` and ``manifest.py`` of Mercurial).

There is no Mercurial in here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .changegroup import MalformedChangegroup

#: where a piece of a delta begins and ends, and the length of what it inserts
_PIECE = struct.Struct('>lll')
#: how long the hash of a revision is in a manifest
_DIGITS = 40


def inserted(delta: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield the name, the hash and the kind of each file that a delta of a
    manifest inserts; raises ``MalformedChangegroup``."""
    at = 0
    while at + _PIECE.size <= len(delta):
        _start, _end, length = _PIECE.unpack_from(delta, at)
        if length < 0:
            raise MalformedChangegroup('a delta of nonsense')
        at += _PIECE.size + length
        for line in delta[at - length : at].split(b'\n'):
            # nothing is behind the last
            if line:
                name, _nul, rest = line.partition(b'\0')
                yield name, rest[:_DIGITS], rest[_DIGITS:]


def node(digits: bytes) -> bytes:
    """Return a hash that a manifest has; raises ``MalformedChangegroup``."""
    try:
        return bytes.fromhex(digits.decode('ascii'))
    except ValueError as exc:
        raise MalformedChangegroup('a manifest of nonsense') from exc
