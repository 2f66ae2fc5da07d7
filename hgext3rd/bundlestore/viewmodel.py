"""The records of views, as ``model`` has those of pushes.

A *view* is a named record of what somebody looks at: heads, bookmarks, and a
text of the client. A workspace is one, the backup of a clone is another. Its
version goes up by one with each change, whatever changed.

One that is *private* is seen by its owner, and by whom that shares it with, and
so are the pushes to it. Whether it is, is decided once and for all: what others
do not see cannot be what their pushes rest on.

Apart from ``model``, as most processes need none of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional, Union

from .model import NAME_LENGTH, NODE_LENGTH, istext, isuid
from .records import NamedTuple

#: the most heads, bookmarks and writers (or readers) of a view
HEADS = 100_000
BOOKMARKS = 10_000
WRITERS = 1000

#: what the names of the backups of clones begin with
BACKUP = 'backup/'
#: and what those end with that hold what is secret
SECRET = '-secret'

#: how long the state of a view may be, in characters
STATE_LENGTH = 1_000_000


class View(NamedTuple):
    """A version of a view."""

    #: whose it is; never changes
    owner: str
    #: no two views of an owner have the same
    name: str
    #: nodes, in ascending order, each once
    heads: tuple[bytes, ...] = ()
    #: names and nodes, sorted by name, each name once
    bookmarks: tuple[tuple[str, bytes], ...] = ()
    #: what the client keeps there, which nobody else understands
    state: str = ''
    #: who else may change heads and bookmarks; sorted, each once
    writers: tuple[str, ...] = ()
    #: whether its owner did away with it; it still has its name
    dropped: bool = False
    #: 1, 2, 3 …; the index counts
    version: int = 0
    #: when this version was made, by whom, and where, as the client calls it
    time: float = 0.0
    user: str = ''
    machine: str = ''
    #: 32 lower-case hexadecimal digits, which the index gives to a new view,
    #: and which it keeps when it is renamed; empty for a new one
    uid: str = ''
    #: whether others see anything of it; never changes
    private: bool = False
    #: of one that is private: who else may look at it, but for those who may
    #: change it; sorted, each once
    readers: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise ``ValueError``, which says what is wrong with it, if
        anything."""
        others = (*self.writers, *self.readers)
        names = (self.owner, self.name, *others, self.user, self.machine)
        if not all(map(istext, (*names, self.state))):
            raise ValueError('there is something that is no text')
        if not (self.owner and self.name and all(others)):
            raise ValueError('a name is empty')
        if self.readers and not self.private:
            raise ValueError('everybody may look at it')
        if max(map(len, names)) > NAME_LENGTH:
            raise ValueError(f'a name has at most {NAME_LENGTH} characters')
        if len(self.state) > STATE_LENGTH:
            raise ValueError(f'the state has at most {STATE_LENGTH} characters')
        if self.uid and not isuid(self.uid):
            raise ValueError(f'not the id of a view: {self.uid!a}')
        _checkorder(self.heads, HEADS, 'heads')
        _checkorder(self.writers, WRITERS, 'writers')
        _checkorder(self.readers, WRITERS, 'readers')
        self._checkbookmarks()
        if any(len(node) != NODE_LENGTH for node in self.nodes):
            raise ValueError(f'a node has {NODE_LENGTH} bytes')

    def _checkbookmarks(self) -> None:
        marks = [name for name, _node in self.bookmarks]
        if not all(map(istext, marks)):
            raise ValueError('the name of a bookmark is no text')
        if any(not 0 < len(mark) <= NAME_LENGTH for mark in marks):
            raise ValueError('the name of a bookmark is empty or too long')
        _checkorder(marks, BOOKMARKS, 'bookmarks')

    @property
    def nodes(self) -> list[bytes]:
        """The heads, and where the bookmarks are."""
        return [*self.heads, *(node for _name, node in self.bookmarks)]

    @property
    def what(self) -> tuple[object, ...]:
        """All that a change is made of."""
        return (*self[:7], self.readers)


class ViewSummary(NamedTuple):
    """What a list of views shows of one."""

    uid: str
    owner: str
    name: str
    #: of the last change: its number, when, by whom and where it was made
    version: int
    time: float
    user: str
    machine: str
    writers: tuple[str, ...]
    dropped: bool
    #: how many there are
    heads: int
    bookmarks: int
    private: bool = False
    readers: tuple[str, ...] = ()


class ViewCounts(NamedTuple):
    """How many views an index has."""

    #: workspaces, and backups of clones, that are not dropped
    workspaces: int
    backups: int
    #: of either kind
    dropped: int


class ViewChange(NamedTuple):
    """How a version of a view came about."""

    version: int
    #: when, by whom, and where
    time: float
    user: str
    machine: str
    #: heads that came and went, in ascending order
    added: tuple[bytes, ...]
    removed: tuple[bytes, ...]
    #: name, and where it was and is (None: nowhere), of those bookmarks that
    #: changed, sorted by name
    bookmarks: tuple[tuple[str, Optional[bytes], Optional[bytes]], ...]
    #: as they are with this version
    owner: str
    name: str
    writers: tuple[str, ...]
    dropped: bool
    private: bool = False
    readers: tuple[str, ...] = ()


def maywrite(view: Union[View, ViewSummary], user: str) -> bool:
    """Whether a user, nobody if empty, may change what is in a view."""
    return user in (view.owner, *view.writers)


def maylook(view: Union[View, ViewSummary], user: str) -> bool:
    """Whether a user, nobody if empty, may look at a view."""
    return not view.private or maywrite(view, user) or user in view.readers


def summary(view: View) -> ViewSummary:
    """Return what a list shows of a view."""
    return ViewSummary(
        uid=view.uid,
        owner=view.owner,
        name=view.name,
        version=view.version,
        time=view.time,
        user=view.user,
        machine=view.machine,
        writers=view.writers,
        dropped=view.dropped,
        heads=len(view.heads),
        bookmarks=len(view.bookmarks),
        private=view.private,
        readers=view.readers,
    )


def change(before: Optional[View], after: View) -> ViewChange:
    """Return how a version came about; ``before`` is None for the first, and
    for the oldest that is known."""
    heads = set(before.heads if before else ())
    marks = dict(before.bookmarks if before else ())
    new = dict(after.bookmarks)
    return ViewChange(
        version=after.version,
        time=after.time,
        user=after.user,
        machine=after.machine,
        added=tuple(sorted(set(after.heads) - heads)),
        removed=tuple(sorted(heads.difference(after.heads))),
        bookmarks=tuple(
            (name, marks.get(name), new.get(name))
            for name in sorted(marks.keys() | new.keys())
            if marks.get(name) != new.get(name)
        ),
        owner=after.owner,
        name=after.name,
        writers=after.writers,
        dropped=after.dropped,
        private=after.private,
        readers=after.readers,
    )


def before(
    view: View, changes: Iterable[ViewChange], version: int
) -> Optional[View]:
    """Return an earlier version of a view, with today's state; ``changes``
    begin with how ``view`` came about, and go back from there. None if they
    do not go back so far."""
    heads = set(view.heads)
    marks = dict(view.bookmarks)
    for one in changes:
        if one.version <= version:
            if one.version < version:
                return None
            return _as(view, one, heads, marks)
        heads.difference_update(one.added)
        heads.update(one.removed)
        for name, old, _new in one.bookmarks:
            _put(marks, name, old)
    return None


def after(view: Optional[View], one: ViewChange) -> View:
    """Return what a change makes of a view, None for one that is not there;
    the state stays as it is."""
    heads = set(view.heads if view else ())
    marks = dict(view.bookmarks if view else ())
    heads.difference_update(one.removed)
    heads.update(one.added)
    for name, _old, new in one.bookmarks:
        _put(marks, name, new)
    return _as(view or View(one.owner, one.name), one, heads, marks)


def _put(marks: dict[str, bytes], name: str, node: Optional[bytes]) -> None:
    if node is None:
        marks.pop(name, None)
    else:
        marks[name] = node


def _as(
    view: View, one: ViewChange, heads: set[bytes], marks: dict[str, bytes]
) -> View:
    return view._replace(
        owner=one.owner,
        name=one.name,
        heads=tuple(sorted(heads)),
        bookmarks=tuple(sorted(marks.items())),
        writers=one.writers,
        dropped=one.dropped,
        private=one.private,
        readers=one.readers,
        version=one.version,
        time=one.time,
        user=one.user,
        machine=one.machine,
    )


def _checkorder(values: Iterable[object], most: int, what: str) -> None:
    found = list(values)
    if len(found) > most:
        raise ValueError(f'a view has at most {most} {what}')
    if found != sorted(set(found)):  # type: ignore[type-var]
        raise ValueError(f'the {what} are not in order, or one comes twice')
