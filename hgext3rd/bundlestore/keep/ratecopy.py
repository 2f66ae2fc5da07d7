"""Copies when users moved bookmarks without a push, as far as that matters for
how often they may. There is no Mercurial in here.

An index tells these times, but not the ids of the moves, unless the bookmark is
still where the move put it. The others get ids that no push has.
"""

from __future__ import annotations

import collections
from typing import Any

from .. import model
from . import walk

_MOST = 10_000
#: nobody has a bookmark of that name
_NOWHERE = ''


def copyrates(source: Any, target: Any, since: float) -> int:
    """Have ``target`` know of the moves after ``since`` that ``source`` knows
    of, when all pushes and bookmarks are there; return how many were
    missing."""
    marks = source.listbookmarks()
    users = {mark.user for mark in marks}
    users.update(usage.user for usage in source.users())
    moves: collections.Counter[tuple[float, str]] = collections.Counter()
    missing = 0
    for user in users:
        made = collections.Counter(source.times(user, since, _MOST))
        found = collections.Counter(target.times(user, since, _MOST))
        missing += sum((made - found).values())
        pushes = source.pushes(user=user, since=since)
        made.subtract(push.time for push in pushes)
        moves.update({(time, user): n for time, n in made.items() if n > 0})
    if not missing:
        return 0
    moves.subtract(
        # what put bookmarks where they are has come with them
        {(mark.time, mark.user) for mark in marks if mark.push is None}
    )
    taken = {mark.move for mark in source.bookmarks()}
    id = source.lastid() + 1
    for time, user in sorted(moves.elements(), reverse=True):
        id -= 1
        while id and (id in taken or walk.push(source, id) is not None):
            id -= 1
        if not id:
            break
        target.restoremove(model.RestoredMove(id, _NOWHERE, None, time, user))
    return missing
