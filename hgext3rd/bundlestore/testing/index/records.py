"""Tests of an index: what is recorded and removed."""

from __future__ import annotations

import os
from typing import Any

import pytest
from zope.interface import providedBy
from zope.interface.verify import verifyObject

from ... import errors, model
from ...declaring import provides
from ...interfaces import IBundleIndex
from ..reference import pushof
from .base import IndexTests
from .data import (
    HOSTILE_NAMES,
    HOSTILE_TEXTS,
    ids,
    keyof,
    moveto,
    newpush,
    nodeof,
)


class RecordTests(IndexTests):
    """``record``, ``push``, ``lastid``, ``remove`` and ``close``."""

    # -- what is declared, and the empty index

    def test_index_provides_what_it_declares(self, index: Any) -> None:
        assert IBundleIndex.providedBy(index)
        for interface in providedBy(index):
            verifyObject(interface, index)

    def test_reading_creates_nothing(
        self, place: model.Place, index: Any
    ) -> None:
        assert index.lastid() == 0
        assert index.pushes() == []
        assert index.pushes(user='alice', node=nodeof(1)) == []
        assert index.pushes(text='some', since=1, until=2) == []
        assert index.locate([nodeof(1)]) == {}
        assert index.bundles([keyof(1)]) == {}
        assert index.nodes('a') == []
        assert index.bookmark('x') is None
        assert index.bookmarks() == []
        for method in (index.push, index.remove):
            with pytest.raises(errors.UnknownPush):
                method(1)
        index.close()
        assert not os.path.exists(place.directory)

    # -- record

    def test_record(self, index: Any) -> None:
        push = newpush('one', count=3, moves=[moveto('x', nodeof('x'))])
        recorded = index.record(push)
        assert recorded == pushof(1, push)
        assert isinstance(recorded, model.Push)
        assert index.push(1) == recorded
        assert index.pushes() == [recorded]
        assert index.lastid() == 1
        assert isinstance(index.push(1), model.Push)
        assert isinstance(index.push(1).heads[0], model.Head)

    def test_ids_count_from_one(self, index: Any) -> None:
        recorded = [index.record(newpush(n)).id for n in range(10)]
        assert recorded == sorted(set(recorded))
        assert recorded[0] == 1
        assert ids(index.pushes()) == recorded
        assert index.lastid() == recorded[-1]

    @pytest.mark.parametrize('id', [0, -1, 2, 1 << 31, 1 << 63, 1 << 70])
    def test_unknown_push(self, index: Any, id: int) -> None:
        index.record(newpush('one'))
        for method in (index.push, index.remove):
            with pytest.raises(errors.UnknownPush):
                method(id)
        assert ids(index.pushes()) == [1]

    @pytest.mark.parametrize('key', ['', 'ab', 'A' * 64, 'é' * 64, '../x'])
    def test_invalid_key(self, index: Any, key: str) -> None:
        push = newpush('one', moves=[moveto('x', nodeof('x'))])
        with pytest.raises(errors.InvalidKey):
            index.record(push._replace(key=key))
        assert index.lastid() == 0
        assert index.bookmarks() == []

    def test_many_changesets_and_heads(self, index: Any) -> None:
        nodes = [nodeof(n) for n in range(10000)]
        push = newpush('large', nodes=nodes, heads=nodes[::100])
        assert index.record(push) == pushof(1, push)
        assert index.push(1).nodes == tuple(nodes)
        assert index.push(1).heads == push.heads

    def test_size_and_time(self, index: Any) -> None:
        push = newpush('one')._replace(size=1 << 42, time=1700000000.123456)
        index.record(push)
        found = index.push(1)
        assert found.size == 1 << 42
        assert found.time == pytest.approx(1700000000.123456, abs=1e-3)
        assert index.locate(push.nodes)[push.nodes[0]].size == 1 << 42

    def test_push_without_user(self, index: Any) -> None:
        index.record(newpush('one', user=''))
        index.record(newpush('two', user='alice'))
        assert index.push(1).user == ''
        assert ids(index.pushes(user='')) == [1]
        assert ids(index.pushes()) == [1, 2]

    def test_same_bundle_again(self, index: Any) -> None:
        push = newpush('same', count=3)
        first = index.record(push)
        second = index.record(push._replace(user='bob', time=5.0))
        assert index.pushes(text='title') == [first, second]
        assert second == first._replace(id=second.id, user='bob', time=5.0)
        assert index.pushes() == [first, second]
        assert set(index.locate(push.nodes)) == set(push.nodes)

    def test_another_object_shows_the_same_index(
        self, place: model.Place, index: Any
    ) -> None:
        other = self.makeindex(place)
        recorded = index.record(newpush('one'))
        assert other.push(1) == recorded
        assert other.pushes(text='one') == [recorded]
        assert other.record(newpush('two')).id > 1
        assert ids(index.pushes()) == ids(other.pushes())
        other.close()

    def test_closed_index_opens_again(self, index: Any) -> None:
        index.close()
        index.record(newpush('one'))
        index.close()
        index.close()
        assert ids(index.pushes()) == [1]
        index.close()
        index.record(newpush('two'))

    def test_hostile_texts(self, index: Any) -> None:
        everything = []
        for id, text in enumerate(HOSTILE_TEXTS, 1):
            name = text[: model.NAME_LENGTH]
            moves = [moveto(name, nodeof('x'))]
            push = newpush(id, user=name, title=text, text=text, moves=moves)
            recorded = index.record(push)
            assert recorded == pushof(id, push)
            everything.append(recorded)
        assert index.pushes() == everything
        assert [b.name for b in index.bookmarks()] == sorted(HOSTILE_NAMES)
        for push in everything:
            name, text, node = push.user, push.text, push.nodes[0]
            assert index.pushes(user=name) == [push]
            assert index.pushes(user=name, node=node) == [push]
            assert push in index.pushes(text=text)
            assert index.pushes(user=name, text=text) == [push]
            assert index.bookmark(name) == nodeof('x')
            index.remove(push.id)
            assert index.bookmark(name) is None

    @pytest.mark.parametrize(
        'text', ['a\0b', '\udc80', 'a\ud800', '\0'], ids=ascii
    )
    def test_what_is_no_text(self, index: Any, text: str) -> None:
        """It is refused before anything is recorded; nothing has it."""
        first = index.record(newpush('one'))
        move = moveto(text, nodeof('x'))
        long = moveto('x' * (model.NAME_LENGTH + 1), nodeof('x'))
        for push in (
            newpush('two', text=text),
            newpush('two', title=text, text=''),
            newpush('two', user=text),
            newpush('two', user=long.name),
            newpush('two', moves=[move]),
            newpush('two', moves=[long]),
        ):
            with pytest.raises(ValueError, match='NUL'):
                index.record(push, lambda: pytest.fail('this was published'))
        for some in (move, long):
            with pytest.raises(ValueError, match='NUL'):
                index.movebookmarks([some])
            with pytest.raises(ValueError, match='NUL'):
                index.movebookmarks([moveto('x', b'x' * 20)], user=some.name)
            with pytest.raises(ValueError, match='NUL'):
                index.restoremove(
                    model.RestoredMove(5, some.name, b'x' * 20, 1.0, 'alice')
                )
            with pytest.raises(ValueError, match='NUL'):
                index.restore(first._replace(user=some.name))
        assert index.pushes() == [first]
        assert index.bookmarks() == []
        assert index.pushes(user=text) == []
        assert index.bookmark(text) is None
        assert index.moved([text]) == set()
        assert index.bookmarks(f'{text}*') == []
        assert index.times(text, 0.0, 9) == []
        assert index.usage(text) == model.Usage(text, 0, 0)

    def test_nul_of_an_older_release(self, index: Any) -> None:
        """What restores it puts something in its place."""
        head = model.Head(nodeof('x'), 'a\0 title')
        push = pushof(3, newpush('one', nodes=[nodeof('x')]))
        index.restore(push._replace(heads=(head,), text='a\0 text'))
        found = index.push(3)
        assert found.heads == (head._replace(title='a\ufffd title'),)
        assert found.text == 'a\ufffd text'
        assert ids(index.pushes(text='text')) == [3]

    # -- removal

    def test_presence(self, index: Any) -> None:
        if not provides(index, 'IPresence'):
            pytest.skip('cannot tell')
        assert not index.haspush(1)
        for name in ('one', 'two', 'one'):
            index.record(newpush(name))
        index.remove(1)
        ids = (-1, 0, 1, 2, 3, 4, 2**63 - 1)
        assert [id for id in ids if index.haspush(id)] == [2, 3]

    def test_remove(self, index: Any) -> None:
        shared = nodeof('shared')
        first = newpush(1, nodes=[shared, nodeof('a')])
        second = newpush(2, nodes=[shared, nodeof('b')])
        index.record(first)
        index.record(second)
        assert index.remove(1) == [first.key]
        assert ids(index.pushes()) == [2]
        assert index.locate(first.nodes) == {
            shared: model.Location(shared, second.key, second.size, False)
        }
        assert nodeof('a') not in index.nodes(nodeof('a').hex())
        for method in (index.push, index.remove):
            with pytest.raises(errors.UnknownPush):
                method(1)
        assert index.remove(2) == [second.key]
        assert index.locate([*first.nodes, *second.nodes]) == {}
        assert index.pushes(node=shared) == []
        assert index.pushes(text='title') == []

    def test_remove_one_of_two_pushes_of_a_bundle(self, index: Any) -> None:
        push = newpush('same', count=2)
        for _time in range(2):
            index.record(push)
        assert index.remove(1) == []
        assert len(index.locate(push.nodes)) == 2
        assert ids(index.pushes(node=push.nodes[0])) == [2]
        assert ids(index.pushes(text='title')) == [2]
        assert index.remove(2) == [push.key]
        assert index.locate(push.nodes) == {}
        # and once more, from nothing
        assert index.record(push).id > 2
        assert len(index.locate(push.nodes)) == 2
        assert len(index.pushes(text='title')) == 1

    def test_ids_are_never_given_again(self, index: Any) -> None:
        last = 0
        for number in range(5):
            id = index.record(newpush(number)).id
            assert id > last
            last = id
            index.remove(id)
            assert index.lastid() == last
            index.close()
        assert index.pushes() == []

    def test_remove_takes_bookmarks_along(self, index: Any) -> None:
        a, b = nodeof('a'), nodeof('b')
        moves = [moveto('stays', a), moveto('moved', a), moveto('pushkey', a)]
        index.record(newpush(1, moves=[*moves, moveto('goes', a)]))
        index.record(newpush(2, moves=[moveto('stays', a, a)]))
        index.record(newpush(3, moves=[moveto('moved', b, a)]))
        index.movebookmarks([moveto('pushkey', b, a)])
        index.remove(1)
        assert index.bookmarks() == [
            model.Bookmark('moved', b, 3),
            model.Bookmark('pushkey', b, None, 4),
            model.Bookmark('stays', a, 2),
        ]
        index.remove(3)
        assert index.bookmark('moved') is None
