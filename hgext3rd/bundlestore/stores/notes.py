"""What only a push knew, kept beside its bundle as a note of the store.

The index finds all of it faster. These are for the day when the index is lost:
from the notes and the bundles it can be made anew, with the ids that the
pushes had. There is no Mercurial in here.

A note is a JSON object in ASCII. That of a push is ``ab/<key>.<id>.json`` and
has those fields of ``model.Push`` that neither its name nor its bundle tells
(of each head the title), and none that is as with most pushes. What other
bundles hold of the push is told by its places in these, see ``below``.
``removed``: such a push is one no more, and its note is there until nothing
rests on its bundle. How it went is in ``statusnotes.py``. A bookmark
that was moved without a push, or went with one, has
``bookmarks/<SHA-256 of the name>.<id>.json``, with the id of the move or,
where it has none, the highest that was given by then.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Optional

from .. import errors, model
from ..declaring import provides
from ..records import NamedTuple

#: changes with the form of the notes; one with a higher one is newer than
#: this code
VERSION = 2
#: ... of those that are not of pushes, which have not changed since
_OTHERS = 1

_PUSHNAME = r'([0-9a-f]{2})/((?=\1)[0-9a-f]{64})\.([1-9][0-9]{0,18})\.json'
#: those of most pushes
_BRANCHES = ('default',)
_BOOKMARKNAME = r'bookmarks/([0-9a-f]{64})\.(0|[1-9][0-9]{0,18})\.json'
_LASTID = 'state/lastid.json'


class PushName(NamedTuple):
    """Whose a note is."""

    key: str
    id: int


class Record(NamedTuple):
    """The note of a push."""

    #: with what the note has of it; :func:`whole` has the rest
    push: model.Push
    #: it is no push any more, but others may rest on its bundle
    removed: bool = False
    #: Its ``below`` by places in what the bundles hold that it rests on, see
    #: :func:`held`: from, to, from, to … None where ``push`` has it, as in
    #: older notes.
    places: Optional[tuple[int, ...]] = None


class BookmarkName(NamedTuple):
    """Whose the note of a bookmark is."""

    #: stands for the name of the bookmark
    digest: str
    id: int


# -- names


def pushname(key: str, id: int) -> str:
    """Return the name of the note of a push."""
    return f'{key[:2]}/{model.checkkey(key)}.{id}.json'


def parsename(name: str) -> Optional[PushName]:
    """Return whose note has that name, None if it is not that of a push."""
    match = re.fullmatch(_PUSHNAME, name)
    return PushName(match[2], int(match[3])) if match else None


def parsebookmarkname(name: str) -> Optional[BookmarkName]:
    """Return whose note has that name, None if it is not that of a
    bookmark."""
    match = re.fullmatch(_BOOKMARKNAME, name)
    return BookmarkName(match[1], int(match[2])) if match else None


def bookmarkdigest(name: str) -> str:
    """Return what stands for a bookmark in the names of notes."""
    digest = hashlib.sha256(name.encode('utf-8', 'surrogateescape'))
    return digest.hexdigest()


# -- pushes


def write(
    store: Any, index: Any, push: model.Push, removed: bool = False
) -> None:
    """Write the note of a push that the index has, or has had a moment ago;
    raises ``BackendUnavailable``."""
    store.putnote(
        pushname(push.key, push.id), encode(push, removed, held(index, push))
    )


def keep(store: Any, index: Any, push: model.Push) -> None:
    """Write the note of a push that is in the index; raises as ``write``.

    The push may be removed at this moment, and its note with it. What is
    written here must not look as though it were lost, then.
    """
    write(store, index, push)
    if not _isthere(index, push.id):
        write(store, index, push, removed=True)


def _isthere(index: Any, id: int) -> bool:
    if provides(index, 'IPresence'):
        found: bool = index.haspush(id)
        return found
    try:
        index.push(id)
    except errors.UnknownPush:
        return False
    return True


def held(index: Any, push: model.Push) -> list[bytes]:
    """Return what the bundles hold that a push rests on: every changeset, each
    once, of one bundle after the other; none where one is not recorded."""
    found = index.bundles(push.rests) if push.rests else {}
    if not found.keys() >= set(push.rests):
        return []
    return inorder(found[key].nodes for key in push.rests)


def inorder(nodes: Iterable[Iterable[bytes]]) -> list[bytes]:
    """Return what bundles hold as :func:`held`."""
    return list(dict.fromkeys(itertools.chain.from_iterable(nodes)))


def read(store: Any, key: str, id: int) -> Record:
    """Return the note of a push; raises ``UnknownNote``, ``CorruptNote``."""
    name = pushname(key, id)
    return decode(store.note(name), name)


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


def encode(
    push: model.Push, removed: bool = False, held: Sequence[bytes] = ()
) -> bytes:
    """Return the bytes of a note, the same for the same push; ``held`` is as
    of :func:`held`."""
    titles = {head.node: head.title for head in push.heads}
    heads = [titles[node] for node in push.nodes if node in titles]
    more: dict[str, Any] = {}
    if push.text != model.titles(push.heads):
        more['text'] = push.text
    if push.bookmarks:
        more['bookmarks'] = [
            [name, node and node.hex()] for name, node in push.bookmarks
        ]
    if push.rests:
        more['rests'] = push.rests
    if push.below:
        more['below'] = _places(push.below, held) or [
            node.hex() for node in push.below
        ]
    if push.pinned:
        more['pinned'] = True
    if removed:
        more['removed'] = True
    if push.pushvars:
        more['pushvars'] = push.pushvars
    if push.branches != _BRANCHES:
        more['branches'] = push.branches
    if push.private:
        more['private'] = push.private
    return dump(
        {'time': push.time, 'user': push.user, 'heads': heads, **more}, VERSION
    )


def _places(below: tuple[bytes, ...], held: Sequence[bytes]) -> list[int]:
    """Return where changesets are in ``held``, nothing if one is not."""
    wanted = set(below)
    found: list[int] = []
    for place, node in enumerate(held):
        if node in wanted:
            wanted.remove(node)
            if found and found[-1] == place:
                found[-1] += 1
            else:
                found += [place, place + 1]
    return [] if wanted else found


def decode(data: bytes, name: str) -> Record:
    """Return what the note ``name`` of a push tells.

    Raises ``CorruptNote``, and ``UnsupportedFormat`` for one of a newer
    release.
    """
    whose = parsename(name)
    found = load(data, name)
    try:
        if whose is None:
            raise ValueError('not the note of a push')
        if found['version'] == 1:
            # hg-bundlestore <= 0.1.0: it has all but the ``nodes``
            if (found['key'], found['push']) != (whose.key, whose.id):
                raise ValueError('the note of another push')
            heads = [(asnode(node), title) for node, title in found['heads']]
            branches = found.get('branches', ())
        else:
            heads = [(b'', title) for title in found['heads']]
            branches = found.get('branches', _BRANCHES)
        titled = tuple(model.Head(node, astext(title)) for node, title in heads)
        below, places = found.get('below', ()), None
        if below and isinstance(below[0], int):
            below, places = (), tuple(map(asnumber, below))
        push = model.Push(
            id=whose.id,
            time=float(found['time']),
            user=astext(found['user']),
            key=whose.key,
            size=asnumber(found.get('size', 0)),
            nodes=(),
            heads=titled,
            bookmarks=tuple(
                (astext(mark), None if node is None else asnode(node))
                for mark, node in found.get('bookmarks', ())
            ),
            text=astext(found.get('text', model.titles(titled))),
            rests=tuple(map(model.checkkey, found.get('rests', ()))),
            below=tuple(map(asnode, below)),
            pinned=bool(found.get('pinned')),
            pushvars=tuple(
                (astext(name), astext(value))
                for name, value in found.get('pushvars', ())
            ),
            branches=tuple(map(astext, branches)),
            private=astext(found.get('private', '')),
        )
        return Record(push, bool(found.get('removed')), places)
    except (KeyError, TypeError, ValueError) as exc:
        raise corrupt(name) from exc


def whole(
    record: Record, bundle: model.Bundle, held: Sequence[bytes]
) -> model.Push:
    """Return the push of a note with what its bundle tells, and what those
    hold that it rests on (see :func:`held`).

    Of ``bundle``, ``rests`` does not matter, and ``heads`` are in the order of
    its ``nodes``. Raises ``CorruptNote`` if it is not the bundle of the note.
    """
    push = record.push
    name = pushname(push.key, push.id)
    if len(push.heads) != len(bundle.heads) or any(
        head.node and head.node not in bundle.heads for head in push.heads
    ):
        raise corrupt(name)
    below = push.below
    if record.places is not None:
        ends = record.places
        if len(ends) % 2 or max(ends) > len(held):
            raise corrupt(name)
        below = tuple(
            node
            for begin, end in zip(ends[::2], ends[1::2])
            for node in held[begin:end]
        )
    return push._replace(
        size=push.size or bundle.size,
        nodes=bundle.nodes,
        heads=tuple(
            model.Head(head.node or node, head.title)
            for node, head in zip(bundle.heads, push.heads)
        ),
        below=below,
    )


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
        return asnumber(load(store.note(_LASTID), _LASTID)['lastid'])
    except errors.UnknownNote:
        return 0
    except (KeyError, TypeError, ValueError) as exc:
        raise corrupt(_LASTID) from exc


# -- values


def dump(fields: dict[str, Any], version: int = _OTHERS) -> bytes:
    """Return the bytes of any note."""
    text = json.dumps({'version': version, **fields}, separators=(',', ':'))
    return text.encode('ascii') + b'\n'


def load(data: bytes, name: str) -> dict[str, Any]:
    """Return what a note tells; raises ``CorruptNote``,
    ``UnsupportedFormat``."""
    try:
        found = json.loads(data)
        version = asnumber(found['version'])
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


def asnumber(value: object) -> int:
    """Return a value of a note; raises ``ValueError`` if it is no number."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError('not a number')
    return value


def astext(value: object) -> str:
    """Return a value of a note; raises ``ValueError`` if it is no text."""
    if not isinstance(value, str):
        raise ValueError('not a text')
    return value


def asnode(value: object) -> bytes:
    """Return a changeset in a note; raises ``ValueError`` if it is none."""
    node = bytes.fromhex(astext(value))
    if len(node) != 20:
        raise ValueError('not a node')
    return node


def corrupt(name: str) -> errors.CorruptNote:
    """Return what is raised of a note."""
    return errors.CorruptNote(f'note {name} cannot be understood')
