"""hgweb: how the push log reads the index."""

from __future__ import annotations

import hashlib
import random
import types
from typing import Any

import pytest

from hgext3rd.bundlestore import model
from hgext3rd.bundlestore.testing.reference import ReferenceIndex
from hgext3rd.bundlestore.web import selection

EVERYTHING = selection.Selection(1, None, None, None, (), (), '', True)


class Counting:
    """An index that keeps account of the changesets that it handed out."""

    def __init__(self, index: Any) -> None:
        self.index = index
        self.questions = 0
        self.changesets = 0

    def pushes(self, **query: Any) -> list[model.Push]:
        found: list[model.Push] = self.index.pushes(**query)
        self.questions += 1
        self.changesets += sum(len(push.changesets) for push in found)
        return found


def node(text: str) -> bytes:
    return hashlib.sha1(text.encode()).digest()


def fill(count: int, changesets: int, users: int = 3) -> Counting:
    """Make an index whose pushes share their first changeset in threes, and
    whose clock goes backwards at times, and stands still."""
    index = ReferenceIndex()
    rng = random.Random(1)
    for number in range(count):
        nodes = [node(f'shared {number % 3}')]
        nodes += [node(f'{number} {n}') for n in range(1, changesets)]
        index.record(
            model.NewPush(
                1.7e9 + rng.randrange(count // 3 + 1) / 4,
                f'user{number % users}',
                hashlib.sha256(b'%d' % number).hexdigest(),
                100,
                tuple(nodes),
                (model.Head(nodes[-1], 'title'),),
                text='some text' if number % 2 else 'more',
            )
        )
    return Counting(index)


def find(index: Counting, newestfirst: bool = False, **wanted: Any) -> Any:
    server: Any = types.SimpleNamespace(need=lambda ask: ask(index))
    return selection.find(server, EVERYTHING._replace(**wanted), newestfirst)


@pytest.mark.parametrize('newestfirst', [False, True])
@pytest.mark.parametrize('timed', [False, True])
def test_order(newestfirst: bool, timed: bool) -> None:
    """In chunks comes what one question would have brought, each once."""
    index = fill(150, 1)
    bounds: dict[str, Any] = {'first': 5, 'last': 140}
    if timed:
        bounds.update(since=1.7e9 + 1, until=1.7e9 + 11)
    whole = index.index.pushes(**bounds, newestfirst=newestfirst)
    assert list(find(index, newestfirst, **bounds)) == whole
    users = ('user0', 'user2')
    nodes = (node('shared 0'), node('shared 1'))
    some = [
        push
        for push in whole
        if push.user in users
        and push.changesets[0] in nodes
        and push.text == 'some text'
    ]
    assert some
    found = find(
        index, newestfirst, users=users, nodes=nodes, text='some', **bounds
    )
    assert list(found) == some


def test_no_more_is_read_than_is_taken() -> None:
    """Whoever stops early has read some chunks, whatever the index holds."""
    index = fill(400, 1)
    large = fill(30, 5000)
    for found in (find(index), find(index, True, since=1.0)):
        next(found)
        assert index.changesets <= 10
        for _number in range(60):
            next(found)
        assert index.changesets <= 140
        index.changesets = 0
    for wanted in (
        {},
        {'users': tuple(f'user{n}' for n in range(100))},
        {'nodes': tuple(node(f'shared {n}') for n in range(100))},
    ):
        found = find(large, **wanted)
        for _number in range(5):
            next(found)
        assert large.changesets <= 10 * 5000, wanted
        large.changesets = 0


def test_zero_is_a_bound() -> None:
    index = fill(20, 1)
    assert list(find(index, until=0.0)) == []
    assert list(find(index, since=0.0, last=0)) == []
    assert list(find(index, last=0)) == []
    assert len(list(find(index, since=0.0))) == 20
