"""What only a push knew, kept beside its bundle as a note of the store.

The index finds all of it faster. These are for the day when the index is lost:
from the notes and the bundles it can be made anew, with the ids that the
pushes had. There is no Mercurial in here.

A note is a JSON object in ASCII. That of a push is ``ab/<key>.<id>.json`` and
has the fields of ``model.Push`` but for its ``nodes``, which the bundle tells,
and ``removed``: such a push is one no more, and its note is there until
nothing rests on its bundle. How it went is in ``statusnotes.py``. A bookmark
that was moved without a push, or went with one, has
``bookmarks/<SHA-256 of the name>.<id>.json``, with the id of the move or,
where it has none, the highest that was given by then.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Optional

from .. import errors, model

#: changes with the form of the notes; one with a higher one is newer than
#: this code
VERSION = 1

_PUSHNAME = re.compile(
    r'([0-9a-f]{2})/((?=\1)[0-9a-f]{64})\.([1-9][0-9]{0,18})\.json'
)
_BOOKMARKS = 'bookmarks/'
_BOOKMARKNAME = re.compile(
    r'bookmarks/([0-9a-f]{64})\.(0|[1-9][0-9]{0,18})\.json'
)
_LASTID = 'state/lastid.json'


class PushName(NamedTuple):
    """Whose a note is."""

    key: str
    id: int


class Record(NamedTuple):
    """The note of a push."""

    #: without ``nodes``, which are in its bundle
    push: model.Push
    #: it is no push any more, but others may rest on its bundle
    removed: bool = False


class BookmarkName(NamedTuple):
    """Whose the note of a bookmark is."""

    #: stands for the name of the bookmark
    digest: str
    id: int


class BookmarkRecord(NamedTuple):
    """The note of a bookmark that is where it is without a push."""

    name: str
    #: None: it was deleted
    node: Optional[bytes]
    #: the id of the move, or the highest one that was given by then
    after: int
    #: when, and by whom, it was moved
    time: float = 0.0
    user: str = ''


# -- names


def pushname(key: str, id: int) -> str:
    """Return the name of the note of a push."""
    return f'{key[:2]}/{model.checkkey(key)}.{id}.json'


def parsename(name: str) -> Optional[PushName]:
    """Return whose note has that name, None if it is not that of a push."""
    match = _PUSHNAME.fullmatch(name)
    return PushName(match[2], int(match[3])) if match else None


def parsebookmarkname(name: str) -> Optional[BookmarkName]:
    """Return whose note has that name, None if it is not that of a
    bookmark."""
    match = _BOOKMARKNAME.fullmatch(name)
    return BookmarkName(match[1], int(match[2])) if match else None


def bookmarkdigest(name: str) -> str:
    """Return what stands for a bookmark in the names of notes."""
    digest = hashlib.sha256(name.encode('utf-8', 'surrogateescape'))
    return digest.hexdigest()


def _bookmarkname(name: str, id: int) -> str:
    return f'{_BOOKMARKS}{bookmarkdigest(name)}.{id}.json'


# -- pushes


def write(store: Any, push: model.Push, removed: bool = False) -> None:
    """Write the note of a recorded push; raises ``BackendUnavailable``."""
    store.putnote(pushname(push.key, push.id), encode(Record(push, removed)))


def keep(store: Any, index: Any, push: model.Push) -> None:
    """Write the note of a push that is in the index; raises as ``write``.

    The push may be removed at this moment, and its note with it. What is
    written here must not look as though it were lost, then.
    """
    write(store, push)
    try:
        index.push(push.id)
    except errors.UnknownPush:
        write(store, push, removed=True)


def read(store: Any, key: str, id: int) -> Record:
    """Return the note of a push; raises ``UnknownNote``, ``CorruptNote``."""
    name = pushname(key, id)
    record = decode(store.note(name), name)
    if (record.push.key, record.push.id) != (key, id):
        raise corrupt(name)
    return record


def delete(store: Any, key: str, id: int) -> None:
    """Remove the note of a push; raises ``UnknownNote``."""
    store.deletenote(pushname(key, id))


def pushes(store: Any) -> Iterator[PushName]:
    """Iterate over whose notes there are, in no particular order."""
    for name in store.notes():
        found = parsename(name)
        if found is not None:
            yield found


def ids(store: Any) -> Iterator[int]:
    """Iterate over ids that the names of notes tell to have been given."""
    for name in store.notes():
        push = parsename(name)
        mark = parsebookmarkname(name)
        if push is not None:
            yield push.id
        elif mark is not None and mark.id:
            yield mark.id


def anyids(store: Any) -> bool:
    """Whether there is a note of a push, or one that tells of ids that were
    given."""
    try:
        if readlastid(store):
            return True
    except errors.CorruptNote:
        return True
    return next(ids(store), None) is not None


def isindexlost(store: Any, index: Any) -> bool:
    """Whether an index is empty beside a store that holds pushes."""
    # Asked again: the very first push may come in between. It is in the index
    # before it has a note.
    return not index.lastid() and anyids(store) and not index.lastid()


def encode(record: Record) -> bytes:
    """Return the bytes of a note; the same for the same record."""
    push = record.push
    more: dict[str, Any] = {}
    if push.pushvars:
        more['pushvars'] = list(push.pushvars)
    if push.branches:
        more['branches'] = list(push.branches)
    return dump(
        {
            'push': push.id,
            'time': push.time,
            'user': push.user,
            'key': push.key,
            'size': push.size,
            'heads': [[head.node.hex(), head.title] for head in push.heads],
            'bookmarks': [
                [name, node and node.hex()] for name, node in push.bookmarks
            ],
            'text': push.text,
            'rests': list(push.rests),
            'below': [node.hex() for node in push.below],
            'pinned': push.pinned,
            'removed': record.removed,
            **more,
        }
    )


def decode(data: bytes, name: str) -> Record:
    """Return what a note of a push tells.

    ``name`` is for messages. Raises ``CorruptNote``, and
    ``UnsupportedFormat`` for one of a newer release.
    """
    found = load(data, name)
    try:
        push = model.Push(
            id=_int(found['push']),
            time=float(found['time']),
            user=_text(found['user']),
            key=model.checkkey(found['key']),
            size=_int(found['size']),
            nodes=(),
            heads=tuple(
                model.Head(_node(node), _text(title))
                for node, title in found['heads']
            ),
            bookmarks=tuple(
                (_text(mark), None if node is None else _node(node))
                for mark, node in found['bookmarks']
            ),
            text=_text(found['text']),
            rests=tuple(map(model.checkkey, found['rests'])),
            below=tuple(map(_node, found['below'])),
            pinned=bool(found['pinned']),
            pushvars=tuple(
                (_text(name), _text(value))
                for name, value in found.get('pushvars', ())
            ),
            branches=tuple(map(_text, found.get('branches', ()))),
        )
        return Record(push, bool(found['removed']))
    except (KeyError, TypeError, ValueError) as exc:
        raise corrupt(name) from exc


# -- bookmarks


def writebookmark(store: Any, bookmark: BookmarkRecord) -> None:
    """Write the note of a bookmark; raises ``BackendUnavailable``."""
    node = bookmark.node and bookmark.node.hex()
    fields = bookmark._replace(node=None)._asdict()
    store.putnote(
        _bookmarkname(bookmark.name, bookmark.after),
        dump({**fields, 'node': node}),
    )


def deletebookmark(store: Any, name: str, id: int) -> None:
    """Remove the note of a bookmark, if it is there."""
    with contextlib.suppress(errors.UnknownNote):
        store.deletenote(_bookmarkname(name, id))


def bookmarks(store: Any, names: Iterable[str]) -> dict[str, BookmarkRecord]:
    """Return of each bookmark that the notes ``names`` are about, by its
    name, the one that tells of the last move."""
    found: dict[str, BookmarkRecord] = {}
    for name in names:
        with contextlib.suppress(errors.UnknownNote, errors.CorruptNote):
            mark = readbookmark(store, name)
            if mark.name not in found or found[mark.name].after <= mark.after:
                found[mark.name] = mark
    return found


def readbookmark(store: Any, name: str) -> BookmarkRecord:
    """Return what the note ``name`` tells of a bookmark; raises
    ``UnknownNote``, ``CorruptNote``, ``UnsupportedFormat``."""
    found = load(store.note(name), name)
    try:
        node = found['node']
        return BookmarkRecord(
            _text(found['name']),
            None if node is None else _node(node),
            _int(found['after']),
            float(found['time']),
            _text(found['user']),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise corrupt(name) from exc


# -- the last id


def writelastid(store: Any, id: int) -> None:
    """Note that the push ``id`` was given, though it may leave no trace;
    raises ``BackendUnavailable``."""
    store.putnote(_LASTID, dump({'lastid': id}))


def keeplastid(store: Any, index: Any) -> None:
    """See to it that no id is given again, should the index have to be made
    anew when no note of it is left; call it before the last one goes."""
    while True:
        last = index.lastid()
        with contextlib.suppress(errors.CorruptNote):
            if readlastid(store) >= last:
                return
        # Others may write a lower one over it, but look again then.
        writelastid(store, last)


def readlastid(store: Any) -> int:
    """Return the highest id that is noted as given, 0 for none; raises
    ``CorruptNote``, ``UnsupportedFormat``."""
    try:
        return _int(load(store.note(_LASTID), _LASTID)['lastid'])
    except errors.UnknownNote:
        return 0
    except (KeyError, TypeError, ValueError) as exc:
        raise corrupt(_LASTID) from exc


# -- values


def dump(fields: dict[str, Any]) -> bytes:
    """Return the bytes of any note."""
    text = json.dumps({'version': VERSION, **fields}, separators=(',', ':'))
    return text.encode('ascii') + b'\n'


def load(data: bytes, name: str) -> dict[str, Any]:
    """Return what a note tells; raises ``CorruptNote``,
    ``UnsupportedFormat``."""
    try:
        found = json.loads(data)
        version = _int(found['version'])
    except (KeyError, RecursionError, TypeError, ValueError) as exc:
        raise corrupt(name) from exc
    if version > VERSION:
        raise errors.UnsupportedFormat(
            f'note {name} has format {version}, but this release of'
            f' hg-bundlestore knows only {VERSION}',
            'upgrade hg-bundlestore',
        )
    fields: dict[str, Any] = found
    return fields


def _int(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError('not a number')
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('not a text')
    return value


def _node(value: object) -> bytes:
    node = bytes.fromhex(_text(value))
    if len(node) != 20:
        raise ValueError('not a node')
    return node


def corrupt(name: str) -> errors.CorruptNote:
    """Return what is raised of a note."""
    return errors.CorruptNote(f'note {name} cannot be understood')
