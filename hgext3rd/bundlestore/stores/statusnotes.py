"""The notes of how pushes went: what an index made anew gets back.

Each has all statuses of a push, and where its changesets landed. There is no
Mercurial in here.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from .. import errors, model
from ..declaring import provides
from ..records import NamedTuple
from . import notes

_FOLDER = 'status/'
_NAME = re.compile(r'status/([0-9a-f]{64})\.([1-9][0-9]{0,18})\.json')


class Outcome(NamedTuple):
    """How a push went."""

    statuses: list[model.Status]
    landings: list[model.Landing]


#: of a push of which nothing is known
NONE = Outcome([], [])


def isable(index: Any) -> bool:
    """Whether an index keeps any of it."""
    return provides(index, 'IStatuses') or provides(index, 'ILandings')


def outcomes(index: Any, ids: Iterable[int]) -> dict[int, Outcome]:
    """Return how those of the pushes went of which something is known."""
    wanted = list(ids)
    statuses: dict[int, list[model.Status]] = {}
    landings: dict[int, list[model.Landing]] = {}
    if provides(index, 'IStatuses'):
        statuses = index.statuses(wanted)
    if provides(index, 'ILandings'):
        landings = index.landings(wanted)
    return {
        id: Outcome(statuses.get(id, []), landings.get(id, []))
        for id in statuses.keys() | landings.keys()
    }


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
        if any(its):
            _write(store, push, its)
        else:
            delete(store, push)
        # others may have told more meanwhile, and read before, and written
        # after
        before, its = its, _of(index, push)
        if its == before:
            return


def _of(index: Any, push: notes.PushName) -> Outcome:
    return outcomes(index, [push.id]).get(push.id, NONE)


def _write(store: Any, push: notes.PushName, outcome: Outcome) -> None:
    fields: dict[str, Any] = {
        'statuses': [status._asdict() for status in outcome.statuses]
    }
    if outcome.landings:
        fields['landings'] = [
            {
                **landing._asdict(),
                'node': landing.node.hex(),
                'landed': landing.landed.hex(),
            }
            for landing in outcome.landings
        ]
    store.putnote(_name(push), notes.dump(fields))


def read(store: Any, push: notes.PushName) -> Outcome:
    """Return how a push went, ``NONE`` where there is no note; raises
    ``CorruptNote``, ``UnsupportedFormat``."""
    name = _name(push)
    try:
        found = notes.load(store.note(name), name)
        statuses = [model.Status(**one) for one in found['statuses']]
        landings = [
            model.Landing(**one)._replace(
                node=bytes.fromhex(one['node']),
                landed=bytes.fromhex(one['landed']),
            )
            for one in found.get('landings', ())
        ]
        for status in statuses:
            status.check()
            float(status.time)
        for landing in landings:
            landing.check()
            float(landing.time)
    except errors.UnknownNote:
        return NONE
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise notes.corrupt(name) from exc
    return Outcome(statuses, landings)


def delete(store: Any, push: notes.PushName) -> None:
    """Remove the note, if there is one."""
    with contextlib.suppress(errors.UnknownNote):
        store.deletenote(_name(push))
