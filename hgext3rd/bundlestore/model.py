"""The records that stores, indexes and the rooms above them exchange.

There is no Mercurial in here. A *node* is 20 bytes, a *key* the 64 lower-case
hexadecimal digits of the SHA-256 of a stored bundle, a *time* seconds since
the epoch in UTC. Text is ``str``: what a user controls was checked or
repaired before it got here.

Named tuples rather than data classes, as each ssh push is a new process and
the ``dataclasses`` module costs that process about ten milliseconds.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Optional, Union

from . import errors
from .records import NamedTuple

#: the longest text of a push, in characters
TEXT_LENGTH = 4000

#: the longest name of a user or of a scratch bookmark, in characters
NAME_LENGTH = 255

#: bytes of the hash of a changeset
NODE_LENGTH = 20

#: what a scratch bookmark counts against a quota, in bytes
MARK_SIZE = 1024

#: how many variables a push may have, and how long their values may be, in
#: characters: Mercurial sends no more than 255 bytes
PUSHVARS = 50
PUSHVAR_LENGTH = 255

#: what a status may say, and how many of them a push may have
STATES = ('pending', 'success', 'failure', 'error')
STATUSES = 500
#: how a push went in all, from good to bad: the worst of its statuses, if it
#: has any
OUTCOMES = ('none', 'success', 'pending', 'failure', 'error')
URL_LENGTH = 2000
DESCRIPTION_LENGTH = 500

#: how many branches of a push are known, and how much of a name, in characters
BRANCHES = 100
BRANCH_LENGTH = 250

#: hexadecimal digits of what a view has all its life
UID_LENGTH = 32

_HEXDIGITS = frozenset('0123456789abcdef')


def totext(text: str) -> str:
    """Return what a push may have for a title or a text: not every database
    can hold a NUL."""
    return text.replace('\0', '\ufffd')


def checkkey(key: object) -> str:
    """Return ``key`` if a bundle can have it; raise ``InvalidKey`` if not.

    Anything may be passed. What comes back is safe as a file name.
    """
    if isinstance(key, str) and iskey(key):
        return key
    raise errors.InvalidKey(
        f'not the key of a bundle: {ascii(key)[:80]}',
        'a key is 64 lower-case hexadecimal digits',
    )


def iskey(text: str) -> bool:
    """Whether a bundle can have that key."""
    return len(text) == 64 and _HEXDIGITS.issuperset(text)


def isuid(text: object) -> bool:
    """Whether a view can have that id."""
    return (
        isinstance(text, str)
        and len(text) == UID_LENGTH
        and _HEXDIGITS.issuperset(text)
    )


#: What the name of a note may be: a folder and a name, of characters that
#: every file system and URL takes as they are. No bundle and nothing else of
#: a store has such a name.
_NOTENAME = r'[a-z0-9]{2,16}/[a-z0-9][a-z0-9.]{0,100}\.json'


#: no white space or control characters, and a host
_ISURL = r'https?://[^\s\x00-\x20\x7f/][^\s\x00-\x20\x7f]*'


def checknotename(name: object) -> str:
    """Return ``name`` if a note of a store can have it, else raise
    ``InvalidKey``. Anything may be passed. What comes back is safe as a
    relative path."""
    if isinstance(name, str) and isnotename(name):
        return name
    raise errors.InvalidKey(f'not the name of a note: {ascii(name)[:80]}')


def isnotename(text: str) -> bool:
    """Whether a note can have that name."""
    return bool(re.fullmatch(_NOTENAME, text))


def isurl(text: str) -> bool:
    """Whether the text is an address that a browser can be sent to."""
    return bool(re.fullmatch(_ISURL, text))


def checkpushvars(pushvars: Iterable[tuple[str, str]]) -> None:
    """Raise ``ValueError``, which says what is wrong, unless a push may have
    these variables."""
    names = [name for name, _value in pushvars]
    if len(names) > PUSHVARS:
        raise ValueError(f'more than {PUSHVARS} variables')
    if len(set(names)) < len(names):
        raise ValueError('a variable comes twice')
    for name, value in pushvars:
        if not 0 < len(name) <= NAME_LENGTH or '=' in name:
            raise ValueError('the name of a variable is empty or too long')
        if len(value) > PUSHVAR_LENGTH:
            raise ValueError(
                f'{name} is longer than {PUSHVAR_LENGTH} characters'
            )
        if not istext(name + value):
            raise ValueError('a variable is no text')


def checkbranches(branches: Iterable[str]) -> None:
    """Raise ``ValueError`` unless a push may have these branches."""
    names = list(branches)
    if len(names) > BRANCHES or len(set(names)) < len(names):
        raise ValueError('too many branches, or one of them twice')
    for name in names:
        if not 0 < len(name) <= BRANCH_LENGTH or not istext(name):
            raise ValueError('the name of a branch is empty, too long, no text')


def branches(names: Iterable[str]) -> tuple[str, ...]:
    """Return what a push has for ``branches`` whose heads are on these."""
    found = dict.fromkeys(map(branch, names))
    return tuple(sorted(itertools.islice(found, BRANCHES)))


def branch(name: str) -> str:
    """Return what stands for the branch of that name."""
    return totext(name)[:BRANCH_LENGTH] or 'default'


def istext(text: object) -> bool:
    """Whether any database can hold the text."""
    try:
        return isinstance(text, str) and b'\0' not in text.encode('utf-8')
    except UnicodeEncodeError:
        return False


class Head(NamedTuple):
    """A head of a push: what a list of pushes shows of it."""

    node: bytes
    #: first line of the description, at most 200 characters
    title: str


def titles(heads: Iterable[Head]) -> str:
    """Return the text of a push of which no other is kept."""
    return '\n'.join(head.title for head in heads)[:TEXT_LENGTH]


class BookmarkMove(NamedTuple):
    """A wish to move one scratch bookmark."""

    name: str
    #: where it goes; None deletes it
    new: Optional[bytes]
    #: where it must be now (None: it must not exist)
    old: Optional[bytes] = None
    #: move it wherever it is now; ``old`` does not matter then
    force: bool = False


class Bookmark(NamedTuple):
    """A scratch bookmark as it is."""

    name: str
    node: bytes
    #: id of the push that moved it here, None where no push did
    push: Optional[int] = None
    #: id of the move without a push that did, see ``Moved``
    move: Optional[int] = None


class ListedBookmark(NamedTuple):
    """A scratch bookmark, and who put it where it is."""

    name: str
    node: bytes
    #: id of the push that did, None if it was a move without one
    push: Optional[int]
    #: empty if nobody knows
    user: str
    #: None if nobody knows
    time: Optional[float]


class Moved(NamedTuple):
    """A move of scratch bookmarks without a push, as it was recorded."""

    #: from the sequence of the ids of pushes
    id: int
    #: what changed, (name, node or None if deleted)
    changed: tuple[tuple[str, Optional[bytes]], ...] = ()
    #: those of these bookmarks that such a move had put where they were, with
    #: the id of that
    replaced: tuple[tuple[str, int], ...] = ()


class RestoredMove(NamedTuple):
    """Where a move without a push put one scratch bookmark."""

    id: int
    name: str
    #: None: it was deleted
    node: Optional[bytes]
    time: float
    user: str


class NewPush(NamedTuple):
    """A push that was received and whose bundle is durable, to be recorded."""

    time: float
    #: who pushed; empty if the transport does not know
    user: str
    #: key of the bundle, and its size in bytes
    key: str
    size: int
    #: every changeset in the bundle, parents first
    nodes: tuple[bytes, ...]
    #: the changesets of the bundle without a child in it
    heads: tuple[Head, ...]
    moves: tuple[BookmarkMove, ...] = ()
    #: what a search finds the push by: the descriptions of its heads, joined
    #: by a newline and cut at TEXT_LENGTH; the same for the same bundle
    text: str = ''
    #: keys of the bundles that this one rests on, see ``Bundle``
    rests: tuple[str, ...] = ()
    #: every changeset of the push that those hold, parents first
    below: tuple[bytes, ...] = ()
    #: what was pushed along, see ``checkpushvars``
    pushvars: tuple[tuple[str, str], ...] = ()
    #: the branches of its heads, see :func:`branches`
    branches: tuple[str, ...] = ()
    #: The ``uid`` of the view of which it is: only who may look at that sees
    #: anything of it. Empty: everybody does. It moves no bookmarks, and its
    #: bundle is one that no push of another view can have.
    private: str = ''

    @property
    def changesets(self) -> tuple[bytes, ...]:
        """Every changeset of the push, parents first."""
        return self.below + self.nodes


class Push(NamedTuple):
    """A recorded push."""

    #: 1, 2, 3 …; never used again, not even after a removal
    id: int
    time: float
    user: str
    #: its bundle, and what that holds
    key: str
    size: int
    nodes: tuple[bytes, ...]
    heads: tuple[Head, ...]
    #: what the push did to scratch bookmarks: (name, node or None if deleted)
    bookmarks: tuple[tuple[str, Optional[bytes]], ...]
    #: what a search finds it by
    text: str = ''
    #: keys of the bundles that its bundle rests on, see ``Bundle``
    rests: tuple[str, ...] = ()
    #: every changeset of the push that those hold, parents first
    below: tuple[bytes, ...] = ()
    #: whether it is kept whatever its age
    pinned: bool = False
    #: what was pushed along, in that order
    pushvars: tuple[tuple[str, str], ...] = ()
    #: the branches of its heads, sorted; empty if nobody knows
    branches: tuple[str, ...] = ()
    #: the ``uid`` of the view whose users alone see it; empty: everybody does
    private: str = ''

    @property
    def changesets(self) -> tuple[bytes, ...]:
        """Every changeset of the push, parents first."""
        return self.below + self.nodes


def checkprivate(push: Union[NewPush, Push]) -> None:
    """Raise ``ValueError`` if a push can be no view's own."""
    if not push.private:
        return
    if not isuid(push.private):
        raise ValueError(f'not the id of a view: {push.private!a}')
    if push.moves if isinstance(push, NewPush) else push.bookmarks:
        raise ValueError('a push that is private moves no bookmarks')


class Status(NamedTuple):
    """How something went that was done with a push."""

    #: what was done, such as ``linux/test``; a push has one status of each
    context: str
    #: one of ``STATES``
    state: str
    #: where more is told; empty if nowhere
    url: str = ''
    description: str = ''
    #: when it was set, and by whom
    time: float = 0.0
    user: str = ''

    def check(self) -> None:
        """Raise ``ValueError``, which says what is wrong with it, if
        anything."""
        if not self.context or len(self.context) > NAME_LENGTH:
            raise ValueError(f'the context has 1 to {NAME_LENGTH} characters')
        if self.state not in STATES:
            raise ValueError(f'the state is one of {", ".join(STATES)}')
        if self.url and not isurl(self.url):
            raise ValueError('the URL begins with http:// or https://')
        if len(self.url) > URL_LENGTH:
            raise ValueError(f'the URL has at most {URL_LENGTH} characters')
        if len(self.description) > DESCRIPTION_LENGTH:
            raise ValueError(
                f'the description has at most {DESCRIPTION_LENGTH} characters'
            )
        if len(self.user) > NAME_LENGTH or not all(map(istext, self._texts)):
            raise ValueError('there is something that is no text')

    @property
    def _texts(self) -> tuple[str, ...]:
        return (self.context, self.url, self.description, self.user)

    @property
    def what(self) -> tuple[str, ...]:
        """All but when and by whom it was set."""
        return self[:4]


class Delivery(NamedTuple):
    """How far somebody was told of the pushes: the state of a web hook."""

    name: str
    #: id of the last push that it was told of, or is not to be told of
    told: int
    #: how often it was told of the next one in vain
    attempts: int = 0
    #: when to try that again, None for never
    again: Optional[float] = 0.0
    #: why it was in vain
    trouble: str = ''
    #: who tells it, and until when nobody else does
    worker: str = ''
    lease: float = 0.0
    #: how often this was changed; the index counts
    edition: int = 0

    def check(self) -> None:
        """Raise ``ValueError`` if no index can have it."""
        if (
            not 0 < len(self.name) <= NAME_LENGTH
            or len(self.worker) > NAME_LENGTH
        ):
            raise ValueError('a name is empty or too long')
        if len(self.trouble) > DESCRIPTION_LENGTH:
            raise ValueError('what went wrong is told in too many words')
        if not istext(self.name + self.worker + self.trouble):
            raise ValueError('there is something that is no text')


class Landing(NamedTuple):
    """Where a changeset of a push is in the base repository."""

    #: as it was pushed
    node: bytes
    #: as it landed; rebased, it is another one
    landed: bytes
    #: when, and who did it
    time: float = 0.0
    user: str = ''

    def check(self) -> None:
        """Raise ``ValueError``, which says what is wrong with it, if
        anything."""
        if len(self.node) != NODE_LENGTH or len(self.landed) != NODE_LENGTH:
            raise ValueError(f'a changeset has {NODE_LENGTH} bytes')
        if len(self.user) > NAME_LENGTH or not istext(self.user):
            raise ValueError('the user is no name')


def outcome(statuses: Iterable[Status]) -> str:
    """Return which of ``OUTCOMES`` the statuses of a push come to."""
    states = [status.state for status in statuses]
    return max(states, key=OUTCOMES.index, default='none')


class Bundle(NamedTuple):
    """What the index knows of a stored bundle."""

    key: str
    size: int
    #: every changeset in the bundle, parents first
    nodes: tuple[bytes, ...]
    #: the changesets of the bundle without a child in it
    heads: tuple[bytes, ...]
    #: Keys of the bundles that it rests on: with them and the base repository
    #: it is complete. Those that they rest on are among them, and each comes
    #: after what it rests on itself.
    rests: tuple[str, ...]
    #: the ``uid`` of the view whose users alone see it; empty: everybody does
    private: str = ''


class Location(NamedTuple):
    """Where the index finds a changeset."""

    node: bytes
    #: the bundle that holds it, and that bundle's size in bytes
    key: str
    size: int
    #: whether the changeset is a head of that bundle
    ishead: bool
    #: keys of the bundles that it rests on, see ``Bundle``
    rests: tuple[str, ...] = ()
    #: the ``uid`` of the view whose users alone see the bundle; empty:
    #: everybody does
    private: str = ''


def chain(found: Iterable[Union[Push, Bundle, Location]]) -> list[str]:
    """Return the keys of bundles and of all that they rest on, each once and
    after what it rests on."""
    keys: dict[str, None] = {}
    for one in found:
        keys.update(dict.fromkeys((*one.rests, one.key)))
    return list(keys)


class Usage(NamedTuple):
    """What one user holds."""

    user: str
    pushes: int
    #: bytes of the bundles of these pushes, each bundle counted once
    size: int


class Statistics(NamedTuple):
    """What an index holds."""

    pushes: int
    #: pushes that are pinned
    pinned: int
    users: int
    bookmarks: int
    #: recorded bundles, also those that are only there as others rest on
    #: them, with the sums of their bytes and of their changesets
    bundles: int
    size: int
    changesets: int
    #: the least and the greatest time of a push, None if there are none
    oldest: Optional[float]
    newest: Optional[float]
    #: bytes that the index itself takes
    indexsize: int


class Stray(NamedTuple):
    """What a push that was never finished left behind in a store."""

    #: by which the store knows it
    name: str
    size: int
    #: when it was written to last
    time: float


class Place(NamedTuple):
    """What a backend factory gets to know of the repository it works for."""

    #: the folder that belongs to the bundle store, absolute, in the file
    #: system's encoding; it may not exist yet
    directory: bytes
    #: the mode that new files take their permission bits from, as
    #: Mercurial's ``store.createmode``; None means: follow the umask
    createmode: Optional[int] = None
    #: the items of the section ``bundlestore`` that are set, for those that are
    #: a backend's own, such as commands that it runs
    config: Mapping[str, str] = {}
