"""The notes of views: what an index made anew gets back.

Each version has one, with how it came about, that of the oldest with all that
there was. So a change of a view of many heads writes little. The state, which
may be long, is in a note of its own, and only as it is now. There is no
Mercurial in here.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Optional

from .. import errors, viewmodel
from ..records import NamedTuple
from ..viewmodel import View, ViewChange
from . import notes

# there may be very many of them, and some systems do not like large folders
_FOLDERS = [f'views{digit}/' for digit in '0123456789abcdef']
_NAME = re.compile(
    r'views([0-9a-f])/((?=\1)[0-9a-f]{32})\.([1-9][0-9]{0,18}|state)\.json'
)
_STATE = 'state'


class Noted(NamedTuple):
    """What the notes tell of a view."""

    view: View
    #: newest first, as far back as none is missing
    log: list[ViewChange]
    #: whether none is missing or damaged since the oldest
    iswhole: bool


def _name(uid: str, which: object) -> str:
    return f'views{uid[0]}/{uid}.{which}.json'


def versions(store: Any) -> dict[str, list[int]]:
    """Return of which versions of each view there are notes, in no particular
    order."""
    found: dict[str, list[int]] = {}
    for folder in _FOLDERS:
        _addversions(found, store.notes(folder))
    return found


def versionsof(store: Any, uid: str) -> Optional[list[int]]:
    """Return of which versions of a view there are notes, None if there are no
    notes of it at all."""
    found: dict[str, list[int]] = {}
    _addversions(found, store.notes(f'views{uid[0]}/{uid}.'))
    return found.get(uid)


def _addversions(found: dict[str, list[int]], names: Iterable[str]) -> None:
    for name in names:
        match = _NAME.fullmatch(name)
        if match is not None:
            its = found.setdefault(match[2], [])
            if match[3] != _STATE:
                its.append(int(match[3]))


# -- writing


def keep(store: Any, index: Any, before: Optional[View], view: View) -> None:
    """Note what ``putview`` returned, where it was called with the version of
    ``before`` (None: there was none); raises ``BackendUnavailable``."""
    if view.version != (before.version if before else 0) + 1:
        # nothing was new
        return
    if view.state != (before.state if before else ''):
        _keepstate(store, index, view)
    _write(store, view.uid, viewmodel.change(before, view), before is None)


def keepall(store: Any, index: Any, uid: str, noted: Iterable[int]) -> None:
    """Note a view as the index has it, where ``noted`` are the versions of
    which there are notes; raises ``BackendUnavailable``."""
    view = index.viewbyid(uid)
    if view is None:
        return
    _keepstate(store, index, view)
    log = index.viewlog(uid)
    for change in log:
        _write(store, uid, change, change is log[-1])
    oldest = log[-1].version if log else 0
    _deletesome(store, uid, [number for number in noted if number < oldest])


def squash(store: Any, view: View, older: Iterable[int]) -> None:
    """Have a version be the oldest of which there is a note; there may be some
    of the ``older`` ones."""
    _write(store, view.uid, viewmodel.change(None, view), True)
    _deletesome(store, view.uid, older)


def delete(store: Any, uid: str, noted: Iterable[int]) -> None:
    """Remove the notes of a view, of which there may be some of these
    versions."""
    _deletesome(store, uid, [*noted, _STATE])


def _deletesome(store: Any, uid: str, which: Iterable[object]) -> None:
    for one in which:
        with contextlib.suppress(errors.UnknownNote):
            store.deletenote(_name(uid, one))


def _keepstate(store: Any, index: Any, view: View) -> None:
    while True:
        if view.state:
            fields = {'number': view.version, 'state': view.state}
            store.putnote(_name(view.uid, _STATE), notes.dump(fields))
        else:
            _deletesome(store, view.uid, [_STATE])
        # others may have changed it meanwhile, and written before
        now = index.viewbyid(view.uid)
        if now is None or now.state == view.state:
            return
        view = now


def _write(store: Any, uid: str, change: ViewChange, isfirst: bool) -> None:
    fields = change._asdict()
    del fields['version']
    if not change.private:
        del fields['private'], fields['readers']
    store.putnote(
        _name(uid, change.version),
        notes.dump(
            {
                'number': change.version,
                'first': isfirst,
                **fields,
                'added': [node.hex() for node in change.added],
                'removed': [node.hex() for node in change.removed],
                'bookmarks': [
                    [name, old and old.hex(), new and new.hex()]
                    for name, old, new in change.bookmarks
                ],
            }
        ),
    )


# -- reading


def read(store: Any, uid: str, numbers: Iterable[int]) -> Optional[Noted]:
    """Return what the notes of these versions of a view tell, None if not
    even how it began; raises ``UnsupportedFormat``."""
    changes: list[ViewChange] = []
    isdamaged = False
    for number in sorted(numbers, reverse=True):
        try:
            isfirst, change = _read(store, uid, number)
        except errors.UnknownNote:
            continue
        except errors.CorruptNote:
            isdamaged = True
            continue
        changes.append(change)
        if isfirst:
            return _noted(store, uid, changes, isdamaged)
    return None


def _noted(
    store: Any, uid: str, changes: list[ViewChange], isdamaged: bool
) -> Optional[Noted]:
    view: Optional[View] = None
    log: list[ViewChange] = []
    iswhole = not isdamaged
    for change in reversed(changes):
        after = viewmodel.after(view, change)
        if log and log[-1].version != change.version - 1:
            # what came before is not all of it
            iswhole = False
            log, view = [], None
        log.append(viewmodel.change(view, after))
        view = after
    log.reverse()
    assert view is not None
    state = ''
    with contextlib.suppress(errors.UnknownNote):
        try:
            state = _readstate(store, uid)
        except errors.CorruptNote:
            iswhole = False
    view = view._replace(uid=uid, state=state)
    try:
        view.check()
    except ValueError:
        return None
    return Noted(view, log, iswhole)


def _readstate(store: Any, uid: str) -> str:
    name = _name(uid, _STATE)
    state = notes.load(store.note(name), name).get('state')
    if not isinstance(state, str):
        raise notes.corrupt(name)
    return state


def _read(store: Any, uid: str, number: int) -> tuple[bool, ViewChange]:
    """Return how a version came about, and whether it is the oldest."""
    name = _name(uid, number)
    found = notes.load(store.note(name), name)
    try:
        change = ViewChange(
            version=number,
            time=float(found['time']),
            user=_text(found['user']),
            machine=_text(found['machine']),
            added=tuple(map(bytes.fromhex, found['added'])),
            removed=tuple(map(bytes.fromhex, found['removed'])),
            bookmarks=tuple(_bookmarks(found['bookmarks'])),
            owner=_text(found['owner']),
            name=_text(found['name']),
            writers=tuple(map(_text, found['writers'])),
            dropped=bool(found['dropped']),
            private=bool(found.get('private')),
            readers=tuple(map(_text, found.get('readers', ()))),
        )
        if found['number'] != number:
            raise ValueError('that of another version')
        return bool(found['first']), change
    except (KeyError, TypeError, ValueError) as exc:
        raise notes.corrupt(name) from exc


def _bookmarks(
    found: Iterable[tuple[str, Optional[str], Optional[str]]],
) -> Iterator[tuple[str, Optional[bytes], Optional[bytes]]]:
    for name, old, new in found:
        yield (
            _text(name),
            None if old is None else bytes.fromhex(old),
            None if new is None else bytes.fromhex(new),
        )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('not a text')
    return value
