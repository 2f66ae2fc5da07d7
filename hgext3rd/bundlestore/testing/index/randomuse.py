"""Tests of an index: everything together."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from ... import errors, model
from ..reference import ReferenceIndex, pushof
from .base import IndexTests
from .data import inanyorder, keyof, newpush, nodeof


class RandomTests(IndexTests):
    """Random calls, compared with the reference."""

    # -- everything together

    @pytest.mark.parametrize('seed', range(4))
    def test_against_the_reference(
        self, index: Any, reference: ReferenceIndex, seed: int
    ) -> None:
        chance = random.Random(seed)
        for _step in range(60):
            name, arguments = _randomcall(chance, reference)
            outcomes = []
            for some in (index, reference):
                try:
                    outcomes.append(getattr(some, name)(*arguments))
                except errors.BundleStoreError as exc:
                    outcomes.append(type(exc))
            assert inanyorder(outcomes[0]) == inanyorder(outcomes[1])
            for look, argument in _LOOKS:
                found = getattr(index, look)(*argument)
                expected = getattr(reference, look)(*argument)
                assert inanyorder(found) == inanyorder(expected), look
            assert list(index.problems()) == []
            for _look in range(10):
                filters = randomfilters(chance)
                found = inanyorder(index.pushes(**filters))
                expected = inanyorder(reference.pushes(**filters))
                assert found == expected, filters


# -- random use

_NAMES = ['a', 'b', 'c/1', 'c/2']
_TIMES = [-1.5, 0, 1.25, 1e9, 1.5e9, 1.5e9 + 0.001, 2e9]
_WORDS = [
    *('fix', 'Fixes', 'FIXED,', '(fix)', 'fix-bug', 'fix_bug'),
    *('bug', 'bug1', 'bug12345', '12345', '1'),
    *('\u65e5\u672c\u8a9e', '\u041f\u0440\u0438\u0432\u0435\u0442'),
    *('a' * 15, 'a' * 16, 'a' * 17, 'a' * 40, 'a' * 16 + 'b'),
    *('--', '"', 'AND', '\n\n', '\U0001f600'),
]
_KEYS = [keyof(n) for n in range(15)]
_LOOKS: list[tuple[str, tuple[Any, ...]]] = [
    ('lastid', ()),
    ('pushes', ()),
    ('bookmarks', ()),
    ('bookmarks', ('c/*',)),
    ('listbookmarks', ('*', 'c/1', 5)),
    ('listbookmarks', ()),
    ('locate', ([nodeof(n) for n in range(30)],)),
    ('nodes', ('a',)),
    ('bundles', (_KEYS,)),
    ('users', ()),
    ('usage', ('x',)),
    ('usage', ('absent',)),
    ('times', ('y', 1.0, 3)),
    ('moved', (_NAMES,)),
    ('statistics', ()),
]


def _randomcall(
    chance: random.Random, reference: ReferenceIndex
) -> tuple[str, tuple[Any, ...]]:
    """Return the name of a method that writes, and arguments."""
    calls: list[Callable[[], tuple[str, tuple[Any, ...]]]] = [
        lambda: ('record', (randompush(chance, reference),)),
        lambda: ('record', (_randomrests(chance, reference),)),
        lambda: ('movebookmarks', _randomevent(chance, reference)),
        lambda: ('restoremove', (_randomrestoredmove(chance, reference),)),
        lambda: ('forgetmoves', (chance.choice(_TIMES),)),
        lambda: ('record', _randomquota(chance, reference)),
        lambda: ('remove', (_randomid(chance, reference),)),
        lambda: ('remove', (_randomid(chance, reference),)),
        lambda: (
            'pin',
            (_randomid(chance, reference), chance.random() < 0.7),
        ),
        lambda: ('restore', _randomrestore(chance, reference)),
        lambda: ('reserve', (_randomid(chance, reference) + 1,)),
        lambda: ('discard', (keyof(chance.randrange(15)), list)),
    ]
    return chance.choice(calls)()


def _randomid(chance: random.Random, reference: ReferenceIndex) -> int:
    return chance.randrange(reference.lastid() + 2)


def randompush(
    chance: random.Random, reference: ReferenceIndex, key: str = ''
) -> model.NewPush:
    """Return a push of the bundle ``key``, or of any."""
    # A bundle that comes again is the same one.
    name = _KEYS.index(key) if key else chance.randrange(15)
    own = random.Random(name)
    nodes = [nodeof(n) for n in own.sample(range(30), own.randrange(1, 6))]
    return newpush(
        name,
        user=chance.choice('xyz'),
        time=chance.choice(_TIMES),
        text=' '.join(own.choices(_WORDS, k=own.randrange(6))),
        nodes=nodes,
        heads=own.sample(nodes, own.randrange(1, len(nodes) + 1)),
        moves=_randommoves(chance, reference),
    )


def _randomrests(
    chance: random.Random, reference: ReferenceIndex, key: str = ''
) -> model.NewPush:
    """Return a push that rests on others, of which most are there."""
    push = randompush(chance, reference, key)
    there = list(reference.bundles(_KEYS))
    rests = chance.sample(there, min(len(there), chance.randrange(4)))
    if chance.random() < 0.1:
        # Nothing else is wrong with it, as it may raise for either.
        push = push._replace(moves=())
        rests.append(keyof('gone'))
    found = reference.bundles(model.chain(reference.bundles(rests).values()))
    held = {node for bundle in found.values() for node in bundle.nodes}
    below = sorted(held.difference(push.nodes))
    some = chance.sample(below, chance.randrange(len(below) + 1))
    return push._replace(rests=tuple(rests), below=tuple(some))


def _randomquota(
    chance: random.Random, reference: ReferenceIndex
) -> tuple[Any, ...]:
    """Return arguments for ``record``, with a quota or without."""
    push = _randomrests(chance, reference)
    held = reference.usage(push.user).size
    quota = held + push.size + chance.choice([-held, -push.size, -1, 0, 1])
    if reference.bundles([push.key]) == {}:
        # nothing else is wrong with it
        push = push._replace(moves=())
    return push, list, quota


def _randomevent(
    chance: random.Random, reference: ReferenceIndex
) -> tuple[Any, ...]:
    """Return arguments for ``movebookmarks``."""
    user = chance.choice('xyz')
    room = chance.choice([-1, 0, 1, 3]) * model.MARK_SIZE
    quota = chance.choice([None, reference.usage(user).size + room])
    moves = _randommoves(chance, reference)
    return moves, chance.choice(_TIMES), user, quota


def _randomrestoredmove(
    chance: random.Random, reference: ReferenceIndex
) -> model.RestoredMove:
    return model.RestoredMove(
        1 + _randomid(chance, reference),
        chance.choice(_NAMES),
        None if chance.random() < 0.2 else nodeof(chance.random()),
        chance.choice(_TIMES),
        chance.choice('xyz'),
    )


def _randomrestore(
    chance: random.Random, reference: ReferenceIndex
) -> tuple[Any, ...]:
    """Return arguments for ``restore``."""
    id = 1 + _randomid(chance, reference)
    # No bundle loses its last push here, as others may rest on it.
    push = _randomrests(chance, reference, reference.taken(id))
    for known in reference.bundles([push.key]).values():
        below = push.below if known.rests else ()
        push = push._replace(rests=known.rests, below=below)
    restored = pushof(id, push)._replace(pinned=chance.random() < 0.5)
    return restored, chance.random() < 0.5


def randomfilters(chance: random.Random) -> dict[str, Any]:
    """Return arguments for ``pushes``."""
    low, high = sorted(chance.sample(range(45), 2))
    since, until = sorted(chance.sample(_TIMES, 2))
    choices: dict[str, list[Any]] = {
        'first': [low],
        'last': [high],
        'user': ['x', 'y', 'z', 'X'],
        'node': [nodeof(chance.randrange(30))],
        'text': [randomquery(chance) for _number in range(3)],
        'since': [since, since - 0.5],
        'until': [until, until + 0.5],
        'limit': [0, 1, 3, 100],
    }
    filters = {
        name: chance.choice(values)
        for name, values in choices.items()
        if chance.random() < 0.3
    }
    filters['newestfirst'] = chance.random() < 0.5
    return filters


def randomquery(chance: random.Random) -> str:
    query = ''
    for word in chance.choices(_WORDS, k=chance.randrange(1, 4)):
        query += word[: chance.randrange(1, len(word) + 1)]
        query += chance.choice([' ', ' ', '"', '*', '\0', '\udc80', ') '])
    return chance.choice([query, query.upper(), query.lower()])


def _randommoves(
    chance: random.Random, reference: ReferenceIndex
) -> list[model.BookmarkMove]:
    """Return moves of which most will do."""
    moves = []
    for name in chance.sample(_NAMES, chance.randrange(3)):
        old = reference.bookmark(name)
        if chance.random() < 0.1:
            old = nodeof('wrong')
        new = None if chance.random() < 0.2 else nodeof(chance.random())
        force = chance.random() < 0.2
        moves.append(model.BookmarkMove(name, new, old, force))
    return moves
