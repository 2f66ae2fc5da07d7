"""Tests of an index: what users hold, and what the index holds."""

from __future__ import annotations

import multiprocessing
from typing import Any, Optional

import pytest

from ... import errors, model
from .. import processes
from .base import IndexTests
from .data import HOSTILE_NAMES, ids, moveto, newpush, nodeof


class HoldingTests(IndexTests):
    """``usage``, ``users``, ``times``, ``quota``, ``pin``, ``statistics``."""

    def test_usage(self, index: Any) -> None:
        """A bundle counts once a user, and not when no push has it."""
        assert index.usage('alice') == model.Usage('alice', 0, 0)
        base = newpush('base')._replace(size=1000)
        top = newpush('top')._replace(size=10, rests=(base.key,))
        index.record(base)
        index.record(base)
        index.record(base._replace(user='bob'))
        index.record(top)

        def check(alice: tuple[int, int], bob: tuple[int, int]) -> None:
            for user, held in (('alice', alice), ('bob', bob)):
                assert index.usage(user) == model.Usage(user, *held)
            assert {u.user: tuple(u)[1:] for u in index.users()} == {
                user: held
                for user, held in (('alice', alice), ('bob', bob))
                if held[0]
            }

        check((3, 1010), (1, 1000))
        index.remove(1)
        check((2, 1010), (1, 1000))
        index.remove(2)
        check((1, 10), (1, 1000))
        # it stays, as another rests on it
        index.remove(3)
        check((1, 10), (0, 0))
        assert base.key in index.bundles([base.key])
        index.record(base._replace(user='bob'))
        check((1, 10), (1, 1000))
        restored = index.push(4)._replace(id=3, user='bob')
        index.restore(restored)
        check((1, 10), (2, 1010))
        index.restore(restored._replace(id=4, user='bob', size=20))
        check((0, 0), (3, 1020))
        for id in (3, 4, 5):
            index.remove(id)
        assert index.users() == []
        assert list(index.problems()) == []

    def test_users(self, index: Any) -> None:
        sizes = {'b': 5, 'a': 5, 'c': 50, '': 7, 'B': 5}
        for user, size in sizes.items():
            index.record(newpush(user, user=user)._replace(size=size))
        assert [tuple(usage) for usage in index.users()] == [
            *(('c', 1, 50), ('', 1, 7)),
            *(('B', 1, 5), ('a', 1, 5), ('b', 1, 5)),
        ]
        assert all(isinstance(some, model.Usage) for some in index.users())

    def test_hostile_users(self, index: Any) -> None:
        for number, user in enumerate(HOSTILE_NAMES):
            index.record(newpush(number, user=user), quota=1 << 40)
        for user in HOSTILE_NAMES:
            assert index.usage(user).pushes == 1
            assert len(index.times(user, 0.0, 10)) == 1
        assert {u.user for u in index.users()} == set(HOSTILE_NAMES)
        for user in ('\udc80', 'absent', "' OR 1=1 --"):
            assert index.usage(user) == model.Usage(user, 0, 0)
            assert index.times(user, 0.0, 10) == []

    def test_quota(self, index: Any) -> None:
        first = newpush('one')._replace(size=60)
        second = newpush('two')._replace(size=40)
        index.record(first, quota=60)
        with pytest.raises(errors.QuotaExceeded) as caught:
            index.record(second, quota=99)
        exc = caught.value
        assert (exc.user, exc.quota, exc.held, exc.size) == (
            *('alice', 99, 60, 40),
        )
        assert ids(index.pushes()) == [1]
        assert index.bundles([second.key]) == {}
        # what is held already adds nothing, whatever the quota is now
        index.record(first, quota=60)
        index.record(first, quota=1)
        index.record(second, quota=100)
        index.record(first._replace(user='bob'), quota=60)
        assert index.usage('alice') == model.Usage('alice', 4, 100)
        index.remove(4)
        assert index.usage('alice') == model.Usage('alice', 3, 60)

    def test_quota_and_bookmarks(self, index: Any) -> None:
        """Each bookmark of a user counts when there would be one more."""
        size = model.MARK_SIZE
        x, y = nodeof('x'), nodeof('y')
        push = newpush('one')._replace(size=100)
        index.record(push, quota=100)
        index.movebookmarks([moveto('a', x)], 1.0, 'alice', 100 + size)
        for moves in ([moveto('b', x)], [moveto('a', y, x), moveto('b', x)]):
            with pytest.raises(errors.QuotaExceeded) as caught:
                index.movebookmarks(moves, 1.0, 'alice', 99 + 2 * size)
            exc = caught.value
            assert (exc.held, exc.size, exc.bookmarks) == (100 + size, size, 1)
            with pytest.raises(errors.QuotaExceeded):
                index.record(push._replace(moves=tuple(moves)), quota=size)
        assert index.lastid() == 2
        assert [mark.node for mark in index.bookmarks()] == [x]
        # what gives no more of them is not refused
        index.movebookmarks([moveto('a', y, x)], 1.0, 'alice', 0)
        index.movebookmarks([moveto('b', x)], 1.0, 'bob', size)
        index.movebookmarks([moveto('a', None, y)], 1.0, 'alice', 0)
        index.record(push._replace(moves=(moveto('c', x),)), quota=100 + size)
        # who moves another's has it
        with pytest.raises(errors.QuotaExceeded):
            index.movebookmarks([moveto('c', y, x)], 1.0, 'bob', size)
        index.movebookmarks([moveto('c', y, x)], 1.0, 'bob')
        index.record(push._replace(moves=(moveto('d', x),)), quota=100 + size)
        assert list(index.problems()) == []

    def test_quota_of_two_at_once(self, place: model.Place, index: Any) -> None:
        """Together they do not get more than one of them."""
        barrier = multiprocessing.get_context('fork').Barrier(2)
        processes.run(
            'fork', _fill, [(type(self), place, barrier, n) for n in range(2)]
        )
        held = index.usage('alice')
        assert held == model.Usage('alice', _FIT, 10 * _FIT)
        assert len(index.pushes()) == _FIT

    def test_times(self, index: Any) -> None:
        assert index.times('alice', 0.0, 5) == []
        for number in range(6):
            index.record(newpush(number, time=float(number)))
            index.record(newpush((number, 'bob'), user='bob', time=1e9))
        for since, limit, found in (
            *((-1.0, 100, 6), (2.0, 100, 3), (2.5, 100, 3), (5.0, 100, 0)),
            *((-1.0, 4, 4), (-1.0, 0, 0), (-1.0, 6, 6), (1e9, 9, 0)),
        ):
            made = index.times('alice', since, limit)
            first = max(0.0, since // 1 + 1)
            assert made == [first + n for n in range(found)]
        index.remove(1)
        assert index.times('alice', -1.0, 100) == [1.0, 2.0, 3.0, 4.0, 5.0]
        # moves without a push count as well, and no others' do
        for user in ('alice', 'bob'):
            move = moveto(user, nodeof('x'))
            index.movebookmarks([move], 2.5, user)
        expected = [2.0, 2.5, 3.0]
        assert index.times('alice', 1.0, 3) == expected
        index.forgetmoves(2.5)
        assert index.times('alice', 1.0, 3) == expected
        index.forgetmoves(3.0)
        assert index.times('alice', 1.0, 3) == [2.0, 3.0, 4.0]
        assert index.bookmark('alice') == nodeof('x')
        assert index.movebookmarks([move._replace(force=True)]).id == 15

    def test_pinned_push_is_not_removed_by_mistake(self, index: Any) -> None:
        for number in (1, 2):
            index.record(newpush(number))
        index.pin(1)
        with pytest.raises(errors.PinnedPush):
            index.remove(1, evenpinned=False)
        assert index.push(1).pinned
        assert index.remove(2, evenpinned=False)
        assert index.remove(1)
        with pytest.raises(errors.UnknownPush):
            index.remove(1, evenpinned=False)

    def test_pin(self, index: Any) -> None:
        for number in range(3):
            assert index.record(newpush(number)).pinned is False
        index.pin(2)
        index.pin(2)
        index.pin(3, True)
        index.pin(1, False)
        assert [push.pinned for push in index.pushes()] == [False, True, True]
        assert index.push(2).pinned is True
        assert index.statistics().pinned == 2
        index.pin(3, False)
        assert index.push(3).pinned is False
        index.remove(2)
        for id in (2, 4, 0, -1, 1 << 70):
            for pinned in (True, False):
                with pytest.raises(errors.UnknownPush):
                    index.pin(id, pinned)
        assert index.statistics().pinned == 0
        assert index.record(newpush(1)).pinned is False

    def test_statistics(self, index: Any) -> None:
        nothing = model.Statistics(0, 0, 0, 0, 0, 0, 0, None, None, 0)
        assert index.statistics()._replace(indexsize=0) == nothing
        base = newpush('base', count=3, time=50.0)._replace(size=7)
        moves = [moveto('x', nodeof('x')), moveto('y', nodeof('y'))]
        top = newpush('top', time=5.0, user='bob', moves=moves)
        top = top._replace(size=30, rests=(base.key,))
        index.record(base)
        index.record(base._replace(time=60.5))
        index.record(top)
        index.pin(2)
        found = index.statistics()
        assert isinstance(found, model.Statistics)
        assert found.indexsize > 0
        assert found._replace(indexsize=0) == model.Statistics(
            *(3, 1, 2, 2, 2, 37, 4, 5.0, 60.5, 0)
        )
        index.remove(1)
        index.remove(2)
        assert index.statistics()._replace(indexsize=0) == model.Statistics(
            *(1, 0, 1, 2, 2, 37, 4, 5.0, 5.0, 0)
        )


# -- what other processes do

_FIT = 7


def _fill(
    suite: type[IndexTests], place: model.Place, barrier: Any, writer: int
) -> None:
    index = suite().makeindex(place)
    for number in range(_FIT):
        push = newpush((writer, number))._replace(size=10)
        barrier.wait(processes.PATIENCE)
        refused: Optional[errors.QuotaExceeded] = None
        try:
            index.record(push, quota=10 * _FIT + 9)
        except errors.QuotaExceeded as exc:
            refused = exc
        assert refused is None or refused.held == 10 * _FIT
        assert bool(index.bundles([push.key])) is (refused is None)
    index.close()
