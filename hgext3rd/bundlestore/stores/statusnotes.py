"""The notes of how pushes went: what an index made anew gets back.

Each has all statuses of a push. There is no Mercurial in here.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from .. import errors, model
from . import notes

_FOLDER = 'status/'
_NAME = re.compile(r'status/([0-9a-f]{64})\.([1-9][0-9]{0,18})\.json')


def _name(push: notes.PushName) -> str:
    return f'{_FOLDER}{model.checkkey(push.key)}.{push.id}.json'


def pushes(store: Any) -> Iterator[notes.PushName]:
    """Iterate over whose notes there are, in no particular order."""
    for name in store.notes(_FOLDER):
        match = _NAME.fullmatch(name)
        if match is not None:
            yield notes.PushName(match[1], int(match[2]))


def keep(store: Any, index: Any, push: notes.PushName) -> None:
    """Write how a push went, as the index has it; raises
    ``BackendUnavailable``."""
    its = _of(index, push)
    while True:
        if its:
            _write(store, push, its)
        else:
            delete(store, push)
        # others may have set one meanwhile, and read before, and written after
        before, its = its, _of(index, push)
        if its == before:
            return


def _of(index: Any, push: notes.PushName) -> list[model.Status]:
    found: list[model.Status] = index.statuses([push.id]).get(push.id, [])
    return found


def _write(
    store: Any, push: notes.PushName, statuses: list[model.Status]
) -> None:
    fields = {'statuses': [status._asdict() for status in statuses]}
    store.putnote(_name(push), notes.dump(fields))


def read(store: Any, push: notes.PushName) -> list[model.Status]:
    """Return how a push went, nothing where there is no note; raises
    ``CorruptNote``, ``UnsupportedFormat``."""
    name = _name(push)
    try:
        found = notes.load(store.note(name), name)
        statuses = [model.Status(**one) for one in found['statuses']]
        for status in statuses:
            status.check()
            float(status.time)
    except errors.UnknownNote:
        return []
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise notes.corrupt(name) from exc
    return statuses


def delete(store: Any, push: notes.PushName) -> None:
    """Remove the note, if there is one."""
    with contextlib.suppress(errors.UnknownNote):
        store.deletenote(_name(push))
