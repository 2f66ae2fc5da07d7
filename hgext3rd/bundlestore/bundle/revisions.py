"""Revisions of a repository, as a changegroup has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mercurial import mdiff
from mercurial.interfaces import repository

from . import changegroup
from .graph import NULLID

#: what a revision's flags may tell to others: the rest is for its storage
_FLAGS = changegroup.FLAG_CENSORED | changegroup.FLAG_EXTSTORED


def text(storage: Any, node: bytes) -> tuple[bytes, int]:
    """Return the text of a revision as it is stored, and its flags.
    ``storage`` is a changelog, or what has a manifest or a file."""
    (found,) = storage.emitrevisions(
        [node], revisiondata=True, deltamode=repository.CG_DELTAMODE_FULL
    )
    return found.revision, found.flags & _FLAGS


def summary(entry: bytes) -> tuple[bytes, list[bytes]]:
    """Return the manifest and the files of a changeset; ``entry`` is its text
    in the changelog, of which ``changelog.py`` of Mercurial tells. Raises
    ``ValueError`` for nonsense."""
    lines = entry.partition(b'\n\n')[0].split(b'\n')
    return bytes.fromhex(lines[0].decode('ascii')), lines[3:]


def whole(content: bytes) -> bytes:
    """Return the delta that says all of a text."""
    header: bytes = mdiff.trivialdiffheader(len(content))
    return header + content


def delta(
    storage: Any, content: bytes, flags: int, bases: Iterable[bytes]
) -> tuple[bytes, bytes]:
    """Return a base and what of a text differs from it. The receiver has
    ``bases``; any of them will do, as deltas of version 02 and 03 name
    theirs."""
    for base in bases:
        basetext, baseflags = text(storage, base)
        if not (flags | baseflags) & _FLAGS:
            return base, mdiff.textdiff(basetext, content)
        break
    return NULLID, whole(content)
