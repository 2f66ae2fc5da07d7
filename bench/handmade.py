"""Makes pushes byte by byte, as many as are wanted, without Mercurial.

Each is the body of a request ``unbundle``: a changeset on the tip of a
repository that adds a line to one file, as ``hgwork.py`` makes them, but in
microseconds.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import NamedTuple

from .place import Mercurial, Place
from .repositories import Template

_NULL = bytes(20)
#: in the place of the real time, in seconds
_DATE = 1_700_000_000


class Ground(NamedTuple):
    """What pushes are made on: the tip, its manifest, and a file of it."""

    tip: bytes
    manifest: bytes
    manifesttext: bytes
    path: bytes
    file: bytes
    filetext: bytes

    @classmethod
    def of(cls, place: Place, maker: Mercurial, template: Template) -> Ground:
        order = {'do': 'ground', 'repo': str(template.path)}
        return cls(*map(bytes.fromhex, place.hgwork(maker, order)))


def pushes(ground: Ground, parameters: bytes = b'') -> Iterator[bytes]:
    """Yield one push after the other, for ever, all different; ``parameters``
    are those of the stream."""
    number = 0
    while True:
        yield _push(ground, parameters, number)
        number += 1


def _push(ground: Ground, parameters: bytes, number: int) -> bytes:
    line = b'change %d\n' % number
    file = _node(ground.file, ground.filetext + line)
    end = len(ground.filetext)

    text = ground.manifesttext
    start = text.index(b'%s\0' % ground.path) + len(ground.path) + 1
    name = file.hex().encode()
    manifest = _node(
        ground.manifest, text[:start] + name + text[start + len(name) :]
    )
    changeset = b'%s\nbench <bench@example.org>\n%d 0\n%s\n\ntry: number %d' % (
        *(manifest.hex().encode(), _DATE + number, ground.path, number),
    )
    node = _node(ground.tip, changeset)
    changegroup = b''.join(
        [
            _revision(node, ground.tip, node, _NULL, 0, 0, changeset),
            _chunk(b''),
            _revision(
                *(manifest, ground.manifest, node, ground.manifest),
                *(start, start + len(name), name),
            ),
            _chunk(b''),
            _chunk(ground.path),
            _revision(file, ground.file, node, ground.file, end, end, line),
            _chunk(b''),
            _chunk(b''),
        ]
    )
    return b''.join(
        [
            *(b'HG20', _sized(parameters)),
            _part(0, b'REPLYCAPS', [], b'HG20\nerror=abort\n'),
            _part(1, b'CHANGEGROUP', [(b'version', b'02')], changegroup),
            _sized(b''),
        ]
    )


def _node(parent: bytes, text: bytes) -> bytes:
    return hashlib.sha1(_NULL + parent + text).digest()


def _revision(
    node: bytes,
    parent: bytes,
    link: bytes,
    base: bytes,
    start: int,
    end: int,
    data: bytes,
) -> bytes:
    """Return a revision as a delta: ``data`` in the place of what the base has
    from ``start`` to ``end``."""
    header = node + parent + _NULL + base + link
    return _chunk(header + struct.pack('>lll', start, end, len(data)) + data)


def _chunk(data: bytes) -> bytes:
    """Return a piece of a changegroup."""
    return struct.pack('>l', len(data) + 4 if data else 0) + data


def _sized(data: bytes) -> bytes:
    return struct.pack('>l', len(data)) + data


def _part(
    id: int, kind: bytes, parameters: list[tuple[bytes, bytes]], data: bytes
) -> bytes:
    """Return a part of a bundle2; all parameters are mandatory."""
    header = struct.pack(f'>B{len(kind)}sl', len(kind), kind, id)
    header += bytes([len(parameters), 0])
    header += bytes(len(word) for pair in parameters for word in pair)
    header += b''.join(word for pair in parameters for word in pair)
    return _sized(header) + _sized(data) + _sized(b'')
