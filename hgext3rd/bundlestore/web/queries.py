"""Reads what stands behind the question mark, whatever bytes it is.

Mercurial gives bytes to a parser of Python that fails of all that is not
ASCII, and answers such a request with an error of the server.
"""

from __future__ import annotations

from typing import Any

from mercurial import encoding

from .. import server as servermod


def parse(orig, query, *args: Any, **kwargs: Any):
    """Wrap Mercurial's ``parseqs`` and ``parseqsl``: names and values are the
    bytes that a browser meant, in whatever encoding."""
    try:
        return orig(query, *args, **kwargs)
    except UnicodeError:
        # Python <= 3.13; later ones do as we do
        if not isinstance(query, bytes):
            raise
    # one character for each byte, there and back
    kwargs.update(encoding='latin-1', errors='strict')
    found = orig(query.decode('latin-1'), *args, **kwargs)
    if isinstance(found, dict):
        return {
            name.encode('latin-1'): [v.encode('latin-1') for v in values]
            for name, values in found.items()
        }
    return [
        (name.encode('latin-1'), value.encode('latin-1'))
        for name, value in found
    ]


def text(value: bytes) -> str:
    """Return what a user wrote.

    Browsers send UTF-8, or the encoding of the page that has the form; people
    who type an address send anything.
    """
    for name in ('utf-8', *_local()):
        try:
            return value.decode(name)
        except (UnicodeError, LookupError):
            continue
    return value.decode('utf-8', 'replace')


def name(value: bytes) -> bytes:
    """Return the name of a changeset that a user wrote, as Mercurial has it."""
    return tolocal(text(value))


def _local() -> tuple[str, ...]:
    names = (encoding.encoding, encoding.fallbackencoding)
    return tuple(name.decode('ascii', 'replace') for name in names)


def tolocal(value: str) -> bytes:
    """Return text in the encoding of the page, which always can be decoded."""
    return servermod.tolocal(value.encode('utf-8', 'replace').decode('utf-8'))
