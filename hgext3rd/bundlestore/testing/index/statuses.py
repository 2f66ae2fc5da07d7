"""Tests of an index: what was pushed along, how it went, where it landed."""

from __future__ import annotations

from typing import Any

import pytest

from ... import errors, model
from ...declaring import provides
from .base import IndexTests
from .data import HOSTILE_NAMES, HOSTILE_TEXTS, ids, moveto, newpush, nodeof

_SUCCESS = model.Status(
    'linux/test', 'success', 'https://ci.example.org/1', 'all', 5.5, 'alice'
)


class StatusTests(IndexTests):
    """``IStatuses``, for an index that provides it."""

    @pytest.fixture
    def keeping(self, index: Any) -> Any:
        if not provides(index, 'IStatuses'):
            pytest.skip('keeps no statuses')
        return index

    def test_pushvars(self, place: model.Place, keeping: Any) -> None:
        pushvars = (('TRY', 'linux = mac'), ('B', ''), ('A', '\u65e5\n'))
        first = newpush('a', moves=[moveto('x', nodeof('a'))])
        first = first._replace(pushvars=pushvars)
        made = keeping.record(first)
        keeping.record(newpush('b'))
        # the same bundle again
        again = keeping.record(newpush('a')._replace(pushvars=(('A', '2'),)))
        assert made.pushvars == pushvars
        assert again.pushvars == (('A', '2'),)
        found = keeping.pushes()
        assert [push.pushvars for push in found] == [
            *(pushvars, (), (('A', '2'),))
        ]
        assert found[0] == made == keeping.push(1)
        assert list(keeping.problems()) == []
        with self.newplace(b'%s.2' % place.directory) as elsewhere:
            other = self.makeindex(elsewhere)
            for push in (*found, found[0]):
                other.restore(push)
            assert other.pushes() == found
            if provides(other, 'IRestoreMany'):
                other.restoremany([found[1]])
                more = found[1]._replace(
                    id=4, key='4' * 64, pushvars=(('Q', '1'),)
                )
                other.restoremany([more])
                assert other.push(4) == more
            assert list(other.problems()) == []
            other.close()
        keeping.remove(1)
        assert keeping.push(3).pushvars == (('A', '2'),)
        assert list(keeping.problems()) == []

    @pytest.mark.parametrize(
        'pushvars',
        [
            (('', 'x'),),
            (('A=B', 'x'),),
            (('A', '1'), ('A', '2')),
            (('A' * (model.NAME_LENGTH + 1), ''),),
            (('A', 'x' * (model.PUSHVAR_LENGTH + 1)),),
            (('A', 'x\0'),),
            (('A', '\udc80'),),
            tuple((f'A{n}', '') for n in range(model.PUSHVARS + 1)),
        ],
        ids=lambda pushvars: repr(pushvars)[:15],
    )
    def test_invalid_pushvars(self, keeping: Any, pushvars: Any) -> None:
        with pytest.raises(ValueError, match=r'variable|characters'):
            keeping.record(newpush('a')._replace(pushvars=pushvars))
        assert keeping.lastid() == 0

    def test_statuses(self, keeping: Any) -> None:
        assert keeping.statuses([1]) == {}
        for name in 'abc':
            keeping.record(newpush(name))
        pending = model.Status('linux/test', 'pending')
        other = model.Status('a', 'error', description='broke')
        keeping.setstatus(2, pending)
        keeping.setstatus(2, other)
        assert keeping.statuses([1, 2, 3, 4]) == {2: [other, pending]}
        keeping.setstatus(2, _SUCCESS)
        keeping.setstatus(2, _SUCCESS)
        keeping.setstatus(3, pending)
        assert keeping.statuses([2]) == {2: [other, _SUCCESS]}
        assert keeping.statuses([]) == {}
        assert keeping.statuses(iter([3, 3])) == {3: [pending]}
        assert keeping.statuses([-1, 0, 2**70]) == {}
        assert ids(keeping.pushes()) == [1, 2, 3]
        assert list(keeping.problems()) == []

    def test_statuses_go_with_the_push(self, keeping: Any) -> None:
        for name in 'aab':
            keeping.record(newpush(name))
        for id in (1, 2, 3):
            keeping.setstatus(id, _SUCCESS)
        keeping.remove(2)
        assert keeping.statuses([1, 2, 3]) == {1: [_SUCCESS], 3: [_SUCCESS]}
        for id in (2, 4, 0, 2**70):
            with pytest.raises(errors.UnknownPush):
                keeping.setstatus(id, _SUCCESS)
        assert keeping.statuses([2, 4]) == {}
        assert list(keeping.problems()) == []

    def test_statuses_stay_where_a_push_is_restored(self, keeping: Any) -> None:
        push = keeping.record(newpush('a'))
        other = keeping.record(newpush('b'))
        keeping.setstatus(1, _SUCCESS)
        keeping.setstatus(2, _SUCCESS)
        keeping.restore(push._replace(time=7.0))
        assert keeping.statuses([1]) == {1: [_SUCCESS]}
        # another push has its place
        keeping.restore(other._replace(id=1))
        assert keeping.statuses([1, 2]) == {2: [_SUCCESS]}
        assert list(keeping.problems()) == []

    def test_most_statuses(self, keeping: Any) -> None:
        keeping.record(newpush('a'))
        for number in range(model.STATUSES):
            keeping.setstatus(1, model.Status(f'{number}', 'pending'))
        with pytest.raises(errors.TooManyStatuses):
            keeping.setstatus(1, model.Status('more', 'pending'))
        keeping.setstatus(1, model.Status('7', 'success'))
        found = keeping.statuses([1])[1]
        assert len(found) == model.STATUSES
        assert model.Status('7', 'success') in found

    def test_hostile_statuses(self, keeping: Any) -> None:
        keeping.record(newpush('a'))
        expected = [
            model.Status(name, 'error', '', text[:500], 1.0, name)
            for name, text in zip(HOSTILE_NAMES, HOSTILE_TEXTS)
        ]
        for status in expected:
            keeping.setstatus(1, status)
        assert keeping.statuses([1])[1] == sorted(expected)

    @pytest.mark.parametrize(
        'status',
        [
            _SUCCESS._replace(context=''),
            _SUCCESS._replace(context='x' * (model.NAME_LENGTH + 1)),
            _SUCCESS._replace(context='x\0'),
            _SUCCESS._replace(state='passed'),
            _SUCCESS._replace(url='javascript:alert(1)'),
            _SUCCESS._replace(url='https://a b/'),
            _SUCCESS._replace(url='https://a/\n'),
            _SUCCESS._replace(url='https:///path'),
            _SUCCESS._replace(url='http://a/' + 'x' * model.URL_LENGTH),
            _SUCCESS._replace(description='x' * 501),
            _SUCCESS._replace(description='\ud800'),
            _SUCCESS._replace(user='x' * (model.NAME_LENGTH + 1)),
        ],
        ids=lambda status: repr(status)[7:40],
    )
    def test_invalid_statuses(self, keeping: Any, status: Any) -> None:
        keeping.record(newpush('a'))
        with pytest.raises(ValueError, match=r'the |no text'):
            keeping.setstatus(1, status)
        assert keeping.statuses([1]) == {}


_LANDING = model.Landing(nodeof('a'), nodeof('x'), 5.5, 'alice')


class LandingTests(IndexTests):
    """``ILandings``, for an index that provides it."""

    @pytest.fixture
    def landing(self, index: Any) -> Any:
        if not provides(index, 'ILandings'):
            pytest.skip('keeps no landings')
        return index

    def test_landings(self, landing: Any) -> None:
        assert landing.landings([1]) == {}
        for name in 'abc':
            landing.record(newpush(name))
        other = model.Landing(nodeof('b'), nodeof('b'))
        landing.setlanding(2, other._replace(landed=nodeof('y')))
        landing.setlanding(2, other)
        landing.setlanding(2, _LANDING)
        landing.setlanding(3, _LANDING)
        both = sorted([_LANDING, other])
        assert landing.landings([1, 2]) == {2: both}
        assert landing.landings(iter([3, 3])) == {3: [_LANDING]}
        assert landing.landings([]) == landing.landings([-1, 0, 2**70]) == {}
        for id in (0, 4, 2**70):
            with pytest.raises(errors.UnknownPush):
                landing.setlanding(id, _LANDING)
        assert list(landing.problems()) == []

    def test_landings_go_with_the_push(self, landing: Any) -> None:
        push = landing.record(newpush('a'))
        other = landing.record(newpush('b'))
        landing.record(newpush('a'))
        for id in (1, 2, 3):
            landing.setlanding(id, _LANDING)
        landing.remove(3)
        # the same push again, and another in its place
        landing.restore(push._replace(time=7.0))
        assert landing.landings([1, 2, 3]) == {1: [_LANDING], 2: [_LANDING]}
        landing.restore(other._replace(id=1))
        assert landing.landings([1, 2, 3]) == {2: [_LANDING]}
        assert list(landing.problems()) == []

    @pytest.mark.parametrize(
        'wrong',
        [
            _LANDING._replace(node=b'x' * 19),
            _LANDING._replace(landed=b''),
            _LANDING._replace(user='x' * (model.NAME_LENGTH + 1)),
            _LANDING._replace(user='x\0'),
        ],
        ids=['node', 'landed', 'long', 'nul'],
    )
    def test_invalid_landings(self, landing: Any, wrong: Any) -> None:
        landing.record(newpush('a'))
        with pytest.raises(ValueError, match=r'20 bytes|no name'):
            landing.setlanding(1, wrong)
        assert landing.landings([1]) == {}
