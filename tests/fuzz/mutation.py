"""Changes honest inputs into others: bytes anywhere, and the pieces of a
push and of a changegroup, with lengths that fit again afterwards."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable, Sequence
from typing import Optional

_INTERESTING = [
    *(0, 1, 2, 3, 4, 5, 20, 84, 104, 106, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF),
    *(0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 0x10000, 0x7FFFFFF0),
]
_WORDS = [
    *(b'..', b'.hg/hgrc', b'/etc/passwd', b'\0', b'\n', b'tip', b'null', b':'),
    *(b'scratch/', b'\xff\xfe', b'\xc3', '\u202e'.encode(), b'%s', b"'", b'*'),
    *(b'0' * 40, b'f' * 40, b'CHANGEGROUP', b'version', b'01', b'02', b'03'),
    *(b'BUNDLESTORE', b'1', b'Compression', b'GZ', b'BZ', b'ZS', b'\r', b'['),
    *(b'bookmarks', b'phases', b'namespace', b'heads', b'nodes', b'-1', b'?'),
]

Pieces = list[bytes]


def executions(printed: str) -> int:
    """Return the number that libFuzzer printed in the end."""
    found = re.search(r'number_of_executed_units:\s*(\d+)', printed)
    return int(found[1]) if found else 0


def mutate(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Return ``data`` with one change or a few; ``others`` are inputs of the
    same target to take something from."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
        data = _once(data, others, rng)
    return data[: 256 * 1024]


def _once(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    if rng.random() < 0.6:
        for parse, build in _FORMS:
            pieces = parse(data)
            if pieces is not None:
                if rng.random() < 0.7:
                    number = rng.randrange(len(pieces))
                    pieces[number] = _once(pieces[number], others, rng)
                else:
                    _shuffle(pieces, rng)
                return build(pieces)
    return _anywhere(data, others, rng)


def _anywhere(
    data: bytes, others: Sequence[bytes], rng: random.Random
) -> bytes:
    at = rng.randrange(len(data) + 1)
    end = min(len(data), at + rng.choice((1, 1, 2, 4, 8, 20, 100, 4000)))
    what = rng.randrange(9)
    if what == 0 and data:
        at = min(at, len(data) - 1)
        bit = bytes([data[at] ^ 1 << rng.randrange(8)])
        return data[:at] + bit + data[at + 1 :]
    if what == 1:
        number = struct.pack('>I', rng.choice(_INTERESTING))
        return data[:at] + number[rng.randrange(4) :] + data[at + 4 :]
    if what == 2:
        return data[:at] + data[end:]
    if what == 3:
        return data[:end] + data[at:]
    if what == 4:
        return data[:at] + rng.choice(_WORDS) + data[at:]
    if what == 5:
        return data[:at] + rng.choice(_WORDS) + data[end:]
    if what == 6:
        return data[:at]
    if what == 7:
        return data[:at] + rng.randbytes(end - at) + data[end:]
    other = rng.choice(others) if others else data
    start = rng.randrange(len(other) + 1)
    size = rng.choice((4, 20, 100, 1000, len(other)))
    return data[:at] + other[start : start + size] + data[end:]


def _shuffle(pieces: Pieces, rng: random.Random) -> None:
    at, to = rng.randrange(len(pieces)), rng.randrange(len(pieces))
    what = rng.randrange(4)
    if what == 0:
        del pieces[at]
    elif what == 1:
        pieces.insert(to, pieces[at])
    elif what == 2:
        pieces[at], pieces[to] = pieces[to], pieces[at]
    else:
        pieces[at : at + 1] = [pieces[at]] * rng.choice((2, 3, 40))


# -- a push: its flags with the stream's parameters, then type and payload of
# -- each part


def _parsepush(data: bytes) -> Optional[Pieces]:
    if data[1:5] != b'HG20':
        return None
    try:
        (size,) = struct.unpack_from('>i', data, 5)
        offset = 9 + size
        if size < 0:
            return None
        pieces = [data[:1] + data[9:offset]]
        while True:
            (size,) = struct.unpack_from('>i', data, offset)
            offset += 4
            if size <= 0:
                return pieces if len(pieces) > 1 else None
            header = data[offset : offset + size]
            offset += size
            payload = b''
            while True:
                (size,) = struct.unpack_from('>i', data, offset)
                offset += 4
                if size <= 0:
                    break
                payload += data[offset : offset + size]
                offset += size
            pieces += [header, payload]
    except struct.error:
        return None


def _buildpush(pieces: Pieces) -> bytes:
    result = pieces[0][:1] + b'HG20' if pieces else b'\0HG20'
    params = pieces[0][1:] if pieces else b''
    result += struct.pack('>i', len(params)) + params
    for header, payload in zip(pieces[1::2], pieces[2::2]):
        result += struct.pack('>i', len(header)) + header
        if payload:
            result += struct.pack('>i', len(payload)) + payload
        result += b'\0\0\0\0'
    return result + b'\0\0\0\0'


# -- a changegroup: the chunks, with or without a byte of flags in front


def _parsechunks(data: bytes) -> Optional[Pieces]:
    for start in (0, 1, 7):
        pieces: Pieces = [data[:start]]
        offset = start
        while offset + 4 <= len(data):
            (size,) = struct.unpack_from('>i', data, offset)
            if size == 0:
                pieces.append(b'')
                offset += 4
                continue
            if size < 5 or offset + size > len(data):
                break
            pieces.append(data[offset + 4 : offset + size])
            offset += size
        if offset == len(data) and len(pieces) > 3:
            return pieces
    return None


def _buildchunks(pieces: Pieces) -> bytes:
    result = pieces[0] if pieces else b''
    for chunk in pieces[1:]:
        result += struct.pack('>i', len(chunk) + 4 if chunk else 0) + chunk
    return result


# -- arguments


def _parsewords(data: bytes) -> Optional[Pieces]:
    pieces = data.split(b'\0')
    return pieces if 1 < len(pieces) < 20 and len(data) < 4000 else None


_FORMS: tuple[
    tuple[Callable[[bytes], Optional[Pieces]], Callable[[Pieces], bytes]], ...
] = (
    (_parsepush, _buildpush),
    (_parsechunks, _buildchunks),
    (_parsewords, b'\0'.join),
)
