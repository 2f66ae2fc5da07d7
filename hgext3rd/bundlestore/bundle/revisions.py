"""Revisions of a repository, as a changegroup has them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from mercurial import mdiff
from mercurial.interfaces import repository
from mercurial.utils import storageutil

from ..server import servedview
from . import changegroup
from .graph import NULLID

#: what a revision's flags may tell to others: the rest is for its storage
_FLAGS = changegroup.FLAG_CENSORED | changegroup.FLAG_EXTSTORED


class Recent:
    """The texts that were used last, as others may be made from them: up to
    ``limit`` bytes, but one at least."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._texts: OrderedDict[bytes, bytes] = OrderedDict()
        self._size = 0

    def __contains__(self, node: bytes) -> bool:
        return node in self._texts

    def get(self, node: bytes) -> bytes:
        self._texts.move_to_end(node)
        return self._texts[node]

    def add(self, node: bytes, text: bytes) -> None:
        self._size += len(text) - len(self._texts.pop(node, b''))
        self._texts[node] = text
        while self._size > self._limit and len(self._texts) > 1:
            _node, dropped = self._texts.popitem(last=False)
            self._size -= len(dropped)


class Below:
    """Tells what of a repository is below some changesets, of which those that
    clients do not see do not count."""

    def __init__(self, repo, nodes: Iterable[bytes]) -> None:
        self._changelog = repo.unfiltered().changelog
        shown = servedview(repo).changelog
        self._revs = {shown.rev(node) for node in nodes if shown.hasnode(node)}
        self._revs.discard(-1)
        self._known: dict[int, bool] = {}

    def brought(self, link: int) -> bool:
        """Whether the changeset of that number is one of these or below
        them."""
        if link not in self._known:
            self._known[link] = any(
                self._changelog.isancestorrev(link, rev) for rev in self._revs
            )
        return self._known[link]


def istrue(entry: changegroup.Entry, text: bytes) -> bool:
    """Whether ``text`` is what the hash of the revision says."""
    return bool(
        entry.node == storageutil.hashrevisionsha1(text, entry.p1, entry.p2)
    )


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
