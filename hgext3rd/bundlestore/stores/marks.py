"""The notes of bookmarks that are where they are without a push.

Each move has a note of its own, with the id of the move, so that who writes
later does not hide who moved later. A note without such a move tells which was
the highest id when the bookmark was there. Of several notes that name the
bookmark, of pushes too, the one with the highest id counts.

A note is removed when another has taken its place: always after that has been
written. There is no Mercurial in here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any, Optional

from .. import errors, model
from ..records import NamedTuple
from . import notes


class Record(NamedTuple):
    """The note of a bookmark."""

    name: str
    #: None: it was deleted
    node: Optional[bytes]
    #: the id of the move, or the highest one that was given by then
    after: int
    #: when, and by whom, it was moved
    time: float = 0.0
    user: str = ''


def find(index: Any, name: str) -> Optional[model.Bookmark]:
    """Return a scratch bookmark, None if there is none of that name."""
    # taken as a pattern, a name matches itself
    if index.bookmark(name) is not None:
        for found in index.bookmarks(name):
            if found.name == name:
                mark: model.Bookmark = found
                return mark
    return None


def write(
    store: Any, index: Any, moved: model.Moved, time: float, user: str
) -> None:
    """Note a move without a push; raises ``BackendUnavailable``."""
    for name, node in moved.changed:
        _put(store, Record(name, node, moved.id, time, user))
    replaced = dict(moved.replaced)
    for name, node in moved.changed:
        older = replaced.get(name)
        if older is not None:
            _delete(store, name, older)
        _dropneedless(store, index, name, node, moved.id)


def _dropneedless(
    store: Any, index: Any, name: str, node: Optional[bytes], id: int
) -> None:
    """Remove the note of a move if the bookmark is not there (any more), and
    no other note would put it back."""
    if index.bookmark(name) is not None:
        # if others moved it since, ``gc`` sees that their notes are there
        return
    if index.moved([name]):
        if node is None:
            return
        note(store, index, name)
    notes.keeplastid(store, index)
    _delete(store, name, id)


def note(store: Any, index: Any, name: str) -> None:
    """Write down where a bookmark is now; raises ``BundleStoreError``."""
    # In this order: what comes between the two has a note of its own.
    after = index.lastid()
    mark = find(index, name)
    if mark is not None and mark.move is not None:
        after = mark.move
    node = None if mark is None else mark.node
    _put(store, Record(name, node, after))


def notegone(store: Any, index: Any, name: str, noted: bool) -> None:
    """Write down that a bookmark is not there, if so, and if a note would put
    it back: that of a push, or another, which the caller knows of
    (``noted``)."""
    if index.bookmark(name) is None and (noted or index.moved([name])):
        note(store, index, name)


# -- one note


def _name(name: str, id: int) -> str:
    return f'bookmarks/{notes.bookmarkdigest(name)}.{id}.json'


def _put(store: Any, mark: Record) -> None:
    node = mark.node and mark.node.hex()
    fields = mark._replace(node=None)._asdict()
    store.putnote(
        _name(mark.name, mark.after), notes.dump({**fields, 'node': node})
    )


def _delete(store: Any, name: str, id: int) -> None:
    """Remove the note of a bookmark, if it is there."""
    with contextlib.suppress(errors.UnknownNote):
        store.deletenote(_name(name, id))


def latest(store: Any, names: Iterable[str]) -> dict[str, Record]:
    """Return of each bookmark that the notes ``names`` are about, by its
    name, the one that tells of the last move."""
    found: dict[str, Record] = {}
    for name in names:
        with contextlib.suppress(errors.UnknownNote, errors.CorruptNote):
            mark = read(store, name)
            if mark.name not in found or found[mark.name].after <= mark.after:
                found[mark.name] = mark
    return found


def read(store: Any, name: str) -> Record:
    """Return what the note ``name`` tells of a bookmark; raises
    ``UnknownNote``, ``CorruptNote``, ``UnsupportedFormat``."""
    found = notes.load(store.note(name), name)
    try:
        node = found['node']
        return Record(
            notes.astext(found['name']),
            None if node is None else notes.asnode(node),
            notes.asnumber(found['after']),
            float(found['time']),
            notes.astext(found['user']),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise notes.corrupt(name) from exc
