"""Tests of an index: repairs."""

from __future__ import annotations

import random
from typing import Any

import pytest
from zope.interface import providedBy

from ... import errors, model
from ...declaring import provides
from ...interfaces import ISetAside
from ..reference import pushof
from .base import IndexTests
from .data import ids, inanyorder, keyof, moveto, newpush, nodeof
from .rests import resting


class RepairTests(IndexTests):
    """``restore``, ``reserve``, ``problems`` and ``setaside``."""

    def test_restore_everything(self, place: model.Place, index: Any) -> None:
        """From what one index says, another is made that says the same."""
        chance = random.Random(5)
        a = nodeof('a')
        for number, name in enumerate('abcabdea'):
            bases = [chance.choice('abc')] if name in 'de' else []
            push = resting(name, *bases)._replace(
                user=chance.choice(['alice', 'bob']),
                time=float(number),
                text=f'words {name}',
                moves=(model.BookmarkMove(f'x{number % 3}', a, force=True),),
            )
            index.record(push)
        index.pin(4)
        index.movebookmarks([moveto('moved', a)])
        with self.newplace(b'%s.2' % place.directory) as elsewhere:
            other = self.makeindex(elsewhere)
            self._restore(index, other)
            other.close()

    def test_restore_many(self, place: model.Place, index: Any) -> None:
        """All at once, or those that are left: it comes to the same."""
        if not provides(index, 'IRestoreMany'):
            pytest.skip('cannot restore many at once')
        chance = random.Random(7)
        for number, name in enumerate('abcdefgabh'):
            bases = [chance.choice('abc')] if name in 'defgh' else []
            push = resting(name, *bases)._replace(
                user=chance.choice(['alice', 'bob']),
                time=float(number),
                text=f'words {name}',
                moves=(
                    model.BookmarkMove(
                        f'x{number % 4}', nodeof(name), force=True
                    ),
                    model.BookmarkMove(f'y{number % 3}', None, force=True),
                    model.BookmarkMove(f'y{number % 2}', nodeof(1), force=True),
                ),
            )
            index.record(push)
        index.pin(4)
        found = index.pushes()
        for parts in ([(0, 10)], [(0, 3), (2, 6), (6, 8), (7, 10)]):
            with self.newplace(b'%s.2' % place.directory) as elsewhere:
                other = self.makeindex(elsewhere)
                with pytest.raises(errors.BundleGone):
                    other.restoremany(
                        [found[0], found[9]._replace(rests=(keyof('gone'),))]
                    )
                for first, last in parts:
                    other.restoremany(found[first:last])
                other.restoremany([])
                other.reserve(index.lastid())
                looks = ('pushes', 'users', 'lastid', 'bookmarks')
                for look in (*looks, 'listbookmarks'):
                    expected = inanyorder(getattr(index, look)())
                    assert inanyorder(getattr(other, look)()) == expected
                text = 'word d'
                assert other.pushes(text=text) == index.pushes(text=text)
                assert list(other.problems()) == []
                other.close()

    def _restore(self, index: Any, other: Any) -> None:
        a = nodeof('a')
        for push in index.pushes():
            other.restore(push)
        last = index.lastid()
        other.restoremove(model.RestoredMove(last, 'moved', a, 0.0, ''))
        for some in (index, other):
            some.remove(3)
        other.reserve(index.lastid())
        for look in ('pushes', 'lastid', 'bookmarks', 'users'):
            found = inanyorder(getattr(other, look)())
            assert found == inanyorder(getattr(index, look)()), look
        assert other.pushes(text='word a') == index.pushes(text='word a')
        assert other.pushes(user='bob') == index.pushes(user='bob')
        nodes = [nodeof((name, 0)) for name in 'abcde']
        assert other.locate(nodes) == index.locate(nodes)
        statistics = [some.statistics() for some in (index, other)]
        assert inanyorder(statistics[0]) == inanyorder(statistics[1])
        assert list(other.problems()) == []
        assert other.record(newpush('new')).id == index.lastid() + 1

    def test_restore_replaces_all_of_it(self, index: Any) -> None:
        x, y = nodeof('x'), nodeof('y')
        index.record(resting('base'))
        index.record(
            resting('top', 'base')._replace(
                below=newpush('base').nodes, moves=(moveto('x', x),)
            )
        )
        index.record(newpush('three'))
        new = model.Push(
            2,
            99.5,
            'bob',
            keyof('top'),
            12345,
            (x, y),
            (model.Head(y, 'another'), model.Head(x, 'head')),
            (('y', y), ('gone', None)),
            'other words',
            pinned=True,
        )
        for _time in range(2):
            index.restore(new)
            assert index.push(2) == new
            assert ids(index.pushes()) == [1, 2, 3]
            assert ids(index.pushes(text='another words')) == []
            assert ids(index.pushes(text='other words')) == [2]
            assert ids(index.pushes(user='bob', until=100.0)) == [2]
            assert ids(index.pushes(node=y)) == [2]
            assert ids(index.pushes(node=newpush('base').nodes[0])) == [1]
            assert index.locate(newpush('top').nodes) == {}
            assert index.locate([x])[x].ishead is True
            assert index.bookmarks() == [model.Bookmark('y', y, 2)]
            assert index.usage('bob') == model.Usage('bob', 1, 12345)
            assert index.usage('alice').pushes == 2
            assert list(index.problems()) == []
        # nothing rests on it any more
        assert index.remove(1) == [keyof('base')]

    def test_restore_changes_a_bundle_for_all_its_pushes(
        self, index: Any
    ) -> None:
        push = newpush('one', count=2)
        for user in ('alice', 'bob'):
            index.record(push._replace(user=user))
        x = nodeof('x')
        new = index.push(1)._replace(
            size=5, nodes=(x,), heads=(model.Head(x, 'new'),), text='new'
        )
        index.restore(new, False)
        assert index.pushes() == [new, new._replace(id=2, user='bob')]
        assert index.locate(push.nodes) == {}
        assert index.users() == [
            model.Usage('alice', 1, 5),
            model.Usage('bob', 1, 5),
        ]
        assert ids(index.pushes(text='new')) == [1, 2]
        assert ids(index.pushes(text='title')) == []
        assert ids(index.pushes(node=x)) == [1, 2]
        assert list(index.problems()) == []

    def test_restore_and_bookmarks(self, index: Any) -> None:
        a, b, c = (nodeof(name) for name in 'abc')
        moves = [moveto('x', a), moveto('y', a), moveto('same', c)]
        index.record(newpush(1, moves=moves))
        index.record(newpush(2, moves=[moveto('y', b, a)]))
        first = index.push(1)
        new = first._replace(bookmarks=(('same', c), ('y', c), ('z', c)))
        index.restore(new, bookmarks=False)
        # where they are, though not by what this push did
        assert index.bookmarks() == [
            model.Bookmark('same', c, 1),
            model.Bookmark('x', a, None),
            model.Bookmark('y', b, 2),
        ]
        assert index.push(1) == new
        index.restore(new)
        assert index.bookmarks() == [
            model.Bookmark('same', c, 1),
            model.Bookmark('x', a, None),
            model.Bookmark('y', c, 1),
            model.Bookmark('z', c, 1),
        ]
        index.restore(first._replace(bookmarks=(('z', None),)))
        assert index.bookmarks() == [model.Bookmark('x', a, None)]
        assert list(index.problems()) == []

    def test_restore_moves_without_a_push(self, index: Any) -> None:
        a, b = nodeof('a'), nodeof('b')
        index.record(newpush(1, moves=[moveto('x', a), moveto('y', a)]))
        for _time in range(2):
            for name, node in (('x', b), ('y', None), ('z', b)):
                index.restoremove(
                    model.RestoredMove(5, name, node, 7.5, 'alice')
                )
        assert index.bookmarks() == [
            model.Bookmark('x', b, None, 5),
            model.Bookmark('z', b, None, 5),
        ]
        assert index.times('alice', 0.0, 9) == [7.5, newpush(1).time]
        assert ids(index.pushes()) == [1]
        index.restoremove(model.RestoredMove(4, 'x', a, 7.0, 'bob'))
        assert index.bookmarks('x') == [model.Bookmark('x', a, None, 4)]
        assert index.movebookmarks([moveto('x', b, a)]).replaced == (('x', 4),)
        # an id that was given twice
        index.restore(pushof(5, newpush('five')))
        assert ids(index.pushes()) == [1, 5]
        index.restoremove(model.RestoredMove(1, 'z', a, 7.0, 'bob'))
        assert list(index.problems()) == []

    def test_restore_of_a_base_that_was_lost(self, index: Any) -> None:
        """Bases may come after what rests on them: all is put in order."""
        for name, below in (('a', ''), ('b', ''), ('c', 'ab'), ('d', 'c')):
            index.record(resting(name, *below))
        pushes = {p.key: p for p in index.pushes()}
        # 'new' comes last and is what 'a' rests on
        index.record(resting('new'))
        top = pushes[keyof('a')]._replace(rests=(keyof('new'),))
        index.restore(top)
        expected = {'a': 'new', 'c': 'new a b', 'd': 'new a b c'}
        for name, rests in expected.items():
            key = keyof(name)
            found = index.bundles([key])[key].rests
            assert sorted(found) == sorted(map(keyof, rests.split()))
            for position, some in enumerate(found):
                its = index.bundles([some])[some].rests
                assert set(its) <= set(found[:position])
        assert list(index.problems()) == []
        with pytest.raises(ValueError, match='rest on itself'):
            index.restore(index.push(5)._replace(rests=(keyof('d'),)))
        with pytest.raises(errors.BundleGone):
            index.restore(top._replace(rests=(keyof('absent'),)))
        assert index.push(1) == top
        assert list(index.problems()) == []

    def test_restore_takes_an_id_over(self, index: Any) -> None:
        """What others rest on stays, whoever had the id."""
        index.record(resting('base'))
        index.record(resting('top', 'base'))
        index.record(resting('kept'))
        index.record(resting('over', 'kept'))
        index.remove(3)
        for id in (1, 3):
            index.restore(pushof(id, newpush(f'new {id}')))
            assert index.push(id).key == keyof(f'new {id}')
        for name in ('base', 'kept'):
            (node,) = newpush(name).nodes
            assert index.locate([node])[node].key == keyof(name)
            assert index.pushes(node=node) == []
        assert ids(index.pushes()) == [1, 2, 3, 4]
        assert list(index.problems()) == []
        index.record(resting('kept'))
        assert ids(index.pushes(node=newpush('kept').nodes[0])) == [5]
        assert sorted(index.remove(2)) == sorted([keyof('top'), keyof('base')])
        assert index.remove(4) == [keyof('over')]
        assert index.remove(5) == [keyof('kept')]
        # and what nobody needs goes
        index.restore(pushof(1, newpush('new 3')))
        assert index.bundles([keyof('new 1')]) == {}
        assert list(index.problems()) == []

    @pytest.mark.parametrize('id', [0, -1, 1 << 63, 1 << 70])
    def test_ids_that_cannot_be(self, index: Any, id: int) -> None:
        with pytest.raises(ValueError, match='id'):
            index.restore(pushof(id, newpush('one')))
        with pytest.raises(ValueError, match='id'):
            index.reserve(id)
        assert index.lastid() == 0

    def test_reserve(self, index: Any) -> None:
        index.reserve(5)
        assert index.lastid() == 5
        assert index.record(newpush('one')).id == 6
        for id in (6, 3, 1):
            index.reserve(id)
            assert index.lastid() == 6
        index.restore(pushof(3, newpush('three')))
        assert index.record(newpush('two')).id == 7
        index.restore(pushof(10, newpush('ten')))
        index.remove(10)
        assert index.record(newpush('four')).id == 11
        assert index.movebookmarks([moveto('x', nodeof('x'))]).id == 12
        assert index.movebookmarks([]).id == 12
        index.restoremove(model.RestoredMove(20, 'y', None, 1.0, 'alice'))
        assert index.record(newpush('five')).id == 21

    def test_problems_of_a_sound_index(self, index: Any) -> None:
        assert list(index.problems()) == []
        index.record(resting('base'))
        index.record(
            resting('top', 'base')._replace(moves=(moveto('x', b'x' * 20),))
        )
        index.remove(1)
        assert list(index.problems()) == []

    def test_set_aside(self, place: model.Place, index: Any) -> None:
        if ISetAside not in providedBy(index):
            pytest.skip('this index cannot be set aside')
        # there need not be anything
        index.setaside()
        for _time in range(2):
            recorded = index.record(newpush('one'))
            assert recorded.id == 1
            where = index.setaside()
            assert isinstance(where, str)
            assert index.pushes() == []
            assert index.lastid() == 0
        other = self.makeindex(place)
        assert other.pushes() == []
        assert other.record(newpush('new')).id == 1
        assert len(index.pushes()) == 1
        other.close()
