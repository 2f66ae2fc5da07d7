"""Pushes made by hand, with hashes that are right where nothing else is said:
what a client of Mercurial would never send."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import Optional

from hgext3rd.bundlestore.bundle.changegroup import Entry

from .changegroups import NULL, Revision, Stream, encode
from .wire import Part, bundle2, replycaps


def hashed(text: bytes, p1: bytes = NULL, p2: bytes = NULL) -> bytes:
    """Return the node of a revision."""
    return hashlib.sha1(b''.join(sorted([p1, p2])) + text).digest()


def full(text: bytes) -> bytes:
    """Return the delta against nothing."""
    return struct.pack('>lll', 0, 0, len(text)) + text


def replaced(start: int, end: int, text: bytes) -> bytes:
    """Return the delta that puts ``text`` in the place of some bytes."""
    return struct.pack('>lll', start, end, len(text)) + text


def revision(
    text: bytes,
    link: bytes,
    p1: bytes = NULL,
    delta: Optional[bytes] = None,
    base: bytes = NULL,
    node: Optional[bytes] = None,
) -> Revision:
    """Return a manifest or file revision."""
    delta = full(text) if delta is None else delta
    node = hashed(text, p1) if node is None else node
    return Revision(Entry(node, p1, NULL, base, link, 0), delta)


def changeset(
    files: Iterable[bytes],
    manifest: bytes,
    p1: bytes = NULL,
    description: bytes = b'forged',
    user: bytes = b'mallory',
    date: bytes = b'0 0',
) -> Revision:
    head = b'\n'.join([manifest.hex().encode(), user, date, *sorted(files)])
    text = head + b'\n\n' + description
    node = hashed(text, p1)
    return Revision(Entry(node, p1, NULL, NULL, node, 0), full(text))


def commit(
    files: dict[bytes, bytes],
    p1: bytes = NULL,
    description: bytes = b'forged',
    user: bytes = b'mallory',
    date: bytes = b'0 0',
) -> Stream:
    """Return the changegroup of one changeset that has these files only, each
    without a history."""
    rows = sorted((name, hashed(text)) for name, text in files.items())
    text = b''.join(b'%s\0%s\n' % (n, h.hex().encode()) for n, h in rows)
    top = changeset(files, hashed(text), p1, description, user, date)
    link = top.entry.node
    return Stream(
        (top,),
        (revision(text, link),),
        (),
        tuple((name, (revision(files[name], link),)) for name, _ in rows),
    )


def node(stream: Stream) -> str:
    """Return the hash of the last changeset."""
    return stream.changesets[-1].entry.node.hex()


def changegroup(stream: Stream) -> Part:
    return Part('changegroup', encode(stream, b'02'), [('version', '02')])


def push(*parts: Part, **params: str) -> bytes:
    """Return a push of these parts, as a client with the extension would
    send it."""
    return bundle2([replycaps(), *parts], BUNDLESTORE='1', **params)


def pushof(stream: Stream) -> bytes:
    return push(changegroup(stream))


def rawpart(header: bytes, payload: bytes = b'\0\0\0\0') -> bytes:
    """Return a part as bytes; the payload has its lengths in it."""
    return struct.pack('>i', len(header)) + header + payload


def raw(parts: Sequence[bytes], params: bytes = b'BUNDLESTORE=1') -> bytes:
    """Return a push of such parts, without an end."""
    head = b'HG20' + struct.pack('>i', len(params)) + params
    return head + b''.join(parts)
