"""Is a pushed changegroup what it says? Checks made while it streams by.

Every changeset is rebuilt and hashed, so its name is true. Every parent must
be in the push, visible in the repository or stored. Every manifest and file
revision must belong to a changeset that is. Changesets are counted here, too;
the limits on bytes are in ``limits.py``.

A clone without all history sends ellipses: changesets, manifests and files
with other parents than they have. What they stand for must be known, and they
are left out.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from typing import Protocol

from mercurial import changelog, error, mdiff, pathutil, scmutil

from ..bundle.changegroup import (
    FLAG_ELLIPSIS,
    MAX_CHANGESET,
    Entry,
    MalformedChangegroup,
    Visitor,
)
from ..bundle.graph import NULLID, Graph
from ..bundle.revisions import istrue
from ..errors import BundleStoreError
from ..model import TEXT_LENGTH, Head, branches, totext
from ..words import counted

TITLE_LENGTH = 200
#: Files of a push. The places of all of them are in memory where the bundle
#: is read.
MAX_FILES = 1_000_000
#: names of files that are remembered, as they take memory; of a push with
#: more, the others are believed to be there
_MAX_NAMES = 200_000

#: the head of a changelog entry, see ``changelog.add`` in Mercurial: manifest,
#: user, date with time zone and extras
_CHANGESET = re.compile(
    rb'[0-9a-f]{40}\n[^\n]+\n'
    # no number that is infinite, which stops what shows the age
    rb'-?[0-9]{1,40}(?:\.[0-9]{1,40})? [^ \n]+(?: ([^\n]*))?\n'
)

_SPACE = re.compile(rb'\s*')

#: what may be wrong with the name of a file, to be looked at more closely
_SUSPICIOUS = re.compile(
    rb'\.[.hH]|(?:^|/)\.?(?:/|$)|~|[\0\r\n]|^.:|[^\0-\x7f]'
)


class Refused(BundleStoreError):
    """The push is well-formed, but the server does not take it."""


class Base(Protocol):
    """What the checks ask of what a push builds on."""

    def hasnode(self, node: bytes) -> bool:
        """Whether the changeset is visible to those who may push, or
        stored."""

    def text(self, node: bytes) -> bytes:
        """The changelog entry of such a changeset."""


class Texts:
    """The changelog entries of a bundle, as a later one may be a delta against
    any of them. Beyond a few megabytes they are kept in a temporary file.

    ``limit`` is the most bytes that they may have, 0 for no limit.
    """

    _INMEMORY = 8 * 1024 * 1024

    def __init__(self, limit: int) -> None:
        self._file = tempfile.SpooledTemporaryFile(self._INMEMORY)
        self._where: dict[bytes, tuple[int, int]] = {}
        self._last: tuple[bytes, bytes] = (NULLID, b'')
        self._size = 0
        self._limit = limit

    def __contains__(self, node: bytes) -> bool:
        return node in self._where

    def add(self, node: bytes, text: bytes) -> None:
        if self._limit and self._size + len(text) > self._limit:
            # deltas may unfold to far more than was sent
            raise Refused(
                'changesets unfold to more than the bundle store accepts',
                'push fewer changesets',
            )
        self._file.seek(self._size)
        self._file.write(text)
        self._where[node] = (self._size, len(text))
        self._size += len(text)
        self._last = (node, text)

    def get(self, node: bytes) -> bytes:
        if self._last[0] == node:
            return self._last[1]
        offset, length = self._where[node]
        self._file.seek(offset)
        return self._file.read(length)

    def close(self) -> None:
        self._file.close()


class ChangesetChecker(Visitor):
    """Checks a changegroup and remembers what is in it.

    After the changelog group, ``nodes`` lists the changesets, parents first,
    and ``parents`` maps each to its two parents. After all, ``unsent`` are the
    files that a changeset says it changes and of which no revision came: those
    that it removes and, where the clone does not have all files, others.
    """

    def __init__(
        self,
        base: Base,
        maxchangesets: int = 0,
        maxbytes: int = 0,
        hashes: bool = True,
    ) -> None:
        self._base = base
        self._hashes = hashes
        self._max = maxchangesets
        self._texts = Texts(maxbytes)
        self._knownlinks: set[bytes] = set()
        # the changesets that ellipses stand for
        self._elided: set[bytes] = set()
        self.unsent: set[bytes] = set()
        # sections of files or folders so far, and revisions in this group
        self._groups = 0
        self._revisions = 0
        self.parents: Graph = {}
        self._titles: dict[bytes, str] = {}
        self._branches: dict[bytes, str] = {}
        self._text = ''

    @property
    def nodes(self) -> tuple[bytes, ...]:
        return tuple(self.parents)

    def heads(self) -> tuple[Head, ...]:
        """Return the changesets without a child in the push."""
        return tuple(Head(n, title) for n, title in self._titles.items())

    def branches(self) -> tuple[str, ...]:
        """Return the branches of these, see ``model.branches``."""
        return branches(self._branches.values())

    def text(self) -> str:
        """Return what a search finds the push by, see ``model.NewPush``; to
        be asked for after the changelog group."""
        return self._text

    def close(self) -> None:
        self._texts.close()

    # -- the changelog

    def changeset(self, entry: Entry, delta: bytes) -> bool:
        node = entry.node
        if self._max and len(self.parents) >= self._max:
            raise Refused(
                f'push exceeds the limit of {counted(self._max, "changeset")} '
                f'(got {self._max + 1} so far)',
                'push fewer changesets, or ask for a higher '
                'bundlestore.max-changesets',
            )
        if node in self.parents:
            raise MalformedChangegroup(
                f'changeset {node.hex()[:12]} comes twice'
            )
        if entry.link == node and entry.flags == FLAG_ELLIPSIS:
            self._elide(node)
            return False
        if entry.link != node or entry.flags:
            raise MalformedChangegroup(
                f'changeset {node.hex()[:12]} has a strange header'
            )
        for parent in (entry.p1, entry.p2):
            self._checkparent(node, parent)
        text = self._rebuild(entry, delta)
        if self._hashes and not istrue(entry, text):
            raise MalformedChangegroup(
                f'changeset {node.hex()[:12]} does not match its hash'
            )
        if not _readable(text):
            raise MalformedChangegroup(
                f'changeset {node.hex()[:12]} cannot be read'
            )
        self._texts.add(node, text)
        self.parents[node] = (entry.p1, entry.p2)
        for its, value in (
            (self._titles, title(text)),
            (self._branches, branch(text)),
        ):
            its.pop(entry.p1, None)
            its.pop(entry.p2, None)
            its[node] = value
        if len(self.unsent) < _MAX_NAMES:
            changed = text[: text.index(b'\n\n')].split(b'\n')[3:]
            self.unsent.update(changed[:_MAX_NAMES])
        return True

    def _elide(self, node: bytes) -> None:
        if node in self._elided:
            return
        if not self._base.hasnode(node):
            raise Refused(
                f'changeset {node.hex()[:12]} comes without its history',
                'this clone is shallow, and the server does not have the '
                'changeset; push it from a clone with its history',
            )
        self._elided.add(node)

    def _checkparent(self, node: bytes, parent: bytes) -> None:
        if parent == NULLID or parent in self.parents:
            return
        # One message for unknown, hidden and secret: which of them it is is
        # nothing that a stranger should learn.
        if not self._base.hasnode(parent):
            raise Refused(
                f'unknown parent {parent.hex()[:12]} of changeset '
                f'{node.hex()[:12]}',
                'the repository has no such public or draft changeset; push '
                'the parent along',
            )

    def _rebuild(self, entry: Entry, delta: bytes) -> bytes:
        base = entry.base
        if base == NULLID:
            basetext = b''
        elif base in self._texts:
            basetext = self._texts.get(base)
        elif self._base.hasnode(base):
            basetext = self._base.text(base)
        else:
            raise MalformedChangegroup(
                f'changeset {entry.node.hex()[:12]} is a delta against '
                f'unknown {base.hex()[:12]}'
            )
        return rebuilt(entry, basetext, delta)

    def endchangesets(self) -> None:
        if not self.parents:
            raise Refused(
                'push has no changesets'
                + (' that are not stored' if self._elided else ''),
                'there is nothing to store',
            )
        self._text = searchtext(map(self._texts.get, self._titles))
        self._texts.close()

    # -- manifests and files

    def group(self, name: bytes) -> None:
        if self._groups and not self._revisions:
            raise MalformedChangegroup('a file without a revision')
        self._groups += 1
        self._revisions = 0
        if not name:
            self._groups = 0
            return
        if self._groups > MAX_FILES:
            raise Refused(
                f'push has more than {MAX_FILES} files', 'push fewer changesets'
            )
        self.unsent.discard(name)
        # that of a folder ends with a slash
        checkfilename(name[:-1] if name.endswith(b'/') else name)

    def revision(self, entry: Entry) -> bool:
        if entry.node in (entry.p1, entry.p2, entry.base):
            raise MalformedChangegroup(
                f'revision {entry.node.hex()[:12]} is its own parent or base'
            )
        self._revisions += 1
        link = entry.link
        if entry.flags & FLAG_ELLIPSIS:
            self._elide(link)
        if self._revisions > len(self.parents) + len(self._elided):
            raise MalformedChangegroup('more revisions than changesets')
        if entry.flags & FLAG_ELLIPSIS:
            return False
        if link in self.parents or link in self._knownlinks:
            return True
        if not self._base.hasnode(link):
            raise MalformedChangegroup(
                f'revision {entry.node.hex()[:12]} belongs to unknown '
                f'changeset {link.hex()[:12]}'
            )
        self._knownlinks.add(link)
        return True


def rebuilt(entry: Entry, basetext: bytes, delta: bytes) -> bytes:
    """Return the changelog entry that ``delta`` makes of ``basetext``; raises
    ``MalformedChangegroup``."""
    try:
        # the size first: a few bytes may ask for gigabytes
        if mdiff.patchedsize(len(basetext), delta) > MAX_CHANGESET:
            raise MalformedChangegroup('a changeset of absurd size')
        return bytes(mdiff.patches(basetext, [delta]))
    except MalformedChangegroup:
        raise
    except Exception as exc:
        # the C code raises its own mpatchError, the Python one struct's
        raise MalformedChangegroup(
            f'changeset {entry.node.hex()[:12]} cannot be rebuilt'
        ) from exc


def _readable(text: bytes) -> bool:
    """Whether Mercurial can make sense of a changelog entry: what it cannot
    read would stop whoever comes across the changeset."""
    match = _CHANGESET.match(text)
    if match is None or text.find(b'\n\n', match.end() - 1) < 0:
        return False
    try:
        changelog.decodeextra(match.group(1) or b'')
    except ValueError:
        return False
    return True


def checkfilename(name: bytes) -> None:
    """Refuse the name of a file which, by the rules of Mercurial, no working
    folder may hold: it leads out of the folder, or into ``.hg``."""
    if _SUSPICIOUS.search(name) and not _isfilename(name):
        raise Refused(
            f'{ascii(name)[1:][:100]} cannot be the name of a file',
            'no working folder may hold such a file',
        )


def _isfilename(name: bytes) -> bool:
    try:
        scmutil.checkfilename(name)
        pathutil.pathauditor(b'', realfs=False)(name)
    except error.Abort:
        return False
    return b'\0' not in name and not {b'', b'.'}.intersection(name.split(b'/'))


def title(text: bytes) -> str:
    """Return the first line of the description in a changelog entry."""
    # no character has more than four bytes; all lines of 30 MB would take
    # a gigabyte of memory
    description = _description(text, 4 * TITLE_LENGTH + 4)
    line = description.splitlines()[0] if description else b''
    return totext(line.decode('utf-8', 'replace')[:TITLE_LENGTH])


def branch(text: bytes) -> str:
    """Return the branch in a changelog entry, which can be read."""
    match = _CHANGESET.match(text)
    extra = changelog.decodeextra((match and match.group(1)) or b'')
    name: bytes = extra[b'branch']
    return name.decode('utf-8', 'replace')


def searchtext(entries: Iterable[bytes]) -> str:
    """Return the text that a search finds a push by, see ``model.NewPush``;
    ``entries`` are the changelog entries of its heads, which are asked for
    one after the other: there may be thousands with long descriptions."""
    text = ''
    for entry in entries:
        if len(text) > TEXT_LENGTH:
            break
        text += '\n' + _decoded(_description(entry, 4 * TEXT_LENGTH))
    return text[1 : TEXT_LENGTH + 1]


def _description(text: bytes, most: int) -> bytes:
    """Return the first ``most`` bytes of the description."""
    start = text.find(b'\n\n')
    if start < 0:
        return b''
    text = text.rstrip()
    match = _SPACE.match(text, min(start, len(text)))
    start = match.end() if match else start
    return text[start : start + most]


def _decoded(description: bytes) -> str:
    """Return as much of a description as a text may have."""
    return totext(description.decode('utf-8', 'replace')[:TEXT_LENGTH])
