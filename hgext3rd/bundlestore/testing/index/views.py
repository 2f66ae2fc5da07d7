"""Tests of an index: views."""

from __future__ import annotations

import itertools
import random
import sys
from typing import Any, Optional

import pytest

from ... import errors, model, viewmodel
from ...declaring import provides
from ...viewmodel import View
from .. import processes
from ..reference import ReferenceIndex
from .base import IndexTests
from .data import HOSTILE_NAMES, HOSTILE_TEXTS, nodeof

_A, _B, _C, _D = sorted(map(nodeof, 'abcd'))
_FIRST = View(
    *('alice', 'parser', (_A, _B), (('x', _A), ('y', _B)), 'a state'),
    time=1700000000.25,
    user='alice',
    machine='laptop',
)
_NOBODY = '0' * 32


class ViewTests(IndexTests):
    """``IViews``, for an index that provides it."""

    @pytest.fixture
    def keeping(self, index: Any) -> Any:
        if not provides(index, 'IViews'):
            pytest.skip('keeps no views')
        return index

    def test_nothing(self, keeping: Any) -> None:
        assert keeping.view('alice', 'parser') is None
        for uid in (_NOBODY, '', 'x' * 32, '\0'):
            assert keeping.viewbyid(uid) is None
            assert keeping.viewat(uid, 1) is None
            assert keeping.viewlog(uid) == []
            keeping.forgetviews(uid, 7)
            keeping.removeview(uid)
            keeping.removeview(uid, 1)
        assert keeping.views() == []
        assert keeping.countviews() == (0, 0, 0)
        assert keeping.viewed([_A]) == keeping.viewed([]) == set()
        assert keeping.oldviews(9e9) == {}
        assert list(keeping.problems()) == []

    def test_first_version(self, place: model.Place, keeping: Any) -> None:
        made = keeping.putview(_FIRST, 0)
        assert made == _FIRST._replace(uid=made.uid, version=1)
        assert model.isuid(made.uid)
        assert keeping.lastid() == 0
        keeping.close()
        other = self.makeindex(place)
        assert other.view('alice', 'parser') == made
        assert other.viewbyid(made.uid) == made
        assert other.viewat(made.uid, 1) == made
        assert other.viewlog(made.uid) == [viewmodel.change(None, made)]
        assert other.views() == [viewmodel.summary(made)]
        assert list(other.problems()) == []
        other.close()

    def test_versions(self, keeping: Any) -> None:
        versions = [keeping.putview(_FIRST, 0)]
        for change in _CHANGES:
            old = versions[-1]
            new = old._replace(**change, time=old.time + 1)
            versions.append(keeping.putview(new, old.version))
            assert versions[-1] == new._replace(version=old.version + 1)
        last = versions[-1]
        uid = last.uid
        assert keeping.viewbyid(uid) == last
        assert keeping.view('bob', last.name) is None
        assert keeping.view('alice', last.name) == last
        for view in versions:
            then = view._replace(state=last.state)
            assert keeping.viewat(uid, view.version) == then
        log = [
            viewmodel.change(old, new)
            for old, new in zip([None, *versions], versions)
        ][::-1]
        assert keeping.viewlog(uid) == log
        assert keeping.viewlog(uid, limit=3) == log[:3]
        assert keeping.viewlog(uid, before=4) == log[-3:]
        assert keeping.viewlog(uid, before=4, limit=1) == log[-3:-2]
        assert keeping.viewlog(uid, limit=0) == []
        for number in (0, -1, len(versions) + 1, 2**70):
            assert keeping.viewat(uid, number) is None
        assert keeping.views() == [viewmodel.summary(last)]
        assert list(keeping.problems()) == []

    def test_nothing_new_is_no_version(self, keeping: Any) -> None:
        made = keeping.putview(_FIRST, 0)
        again = made._replace(time=9e9, user='bob', machine='desktop')
        for expected in (1, 0, 7):
            assert keeping.putview(again, expected) == made
        assert len(keeping.viewlog(made.uid)) == 1

    def test_another_version_is_expected(self, keeping: Any) -> None:
        made = keeping.putview(_FIRST, 0)
        for expected in (0, 2, 2**40):
            with pytest.raises(errors.ViewMoved) as caught:
                keeping.putview(made._replace(heads=(_C,)), expected)
            assert caught.value.view == made
        # of one that is not there
        for view in (_FIRST, _FIRST._replace(uid=_NOBODY)):
            with pytest.raises(errors.ViewMoved) as caught:
                keeping.putview(view._replace(name='other'), 3)
            assert caught.value.view is None
        with pytest.raises(errors.ViewMoved):
            keeping.putview(_FIRST._replace(name='x', uid=_NOBODY), 0)
        with pytest.raises(ValueError, match='owner'):
            keeping.putview(made._replace(owner='bob'), 1)
        assert keeping.views() == [viewmodel.summary(made)]
        assert keeping.viewbyid(made.uid) == made
        assert list(keeping.problems()) == []

    def test_a_name_is_taken(self, keeping: Any) -> None:
        made = keeping.putview(_FIRST, 0)
        other = keeping.putview(_FIRST._replace(name='other'), 0)
        bobs = keeping.putview(_FIRST._replace(owner='bob'), 0)
        with pytest.raises(errors.ViewExists) as caught:
            keeping.putview(_FIRST, 0)
        assert caught.value.view == made
        with pytest.raises(errors.ViewExists):
            keeping.putview(other._replace(name='parser'), 1)
        # a dropped one keeps its name, one that is renamed does not
        made = keeping.putview(made._replace(dropped=True), 1)
        with pytest.raises(errors.ViewExists):
            keeping.putview(other._replace(name='parser'), 1)
        made = keeping.putview(made._replace(name='old'), 2)
        other = keeping.putview(other._replace(name='parser'), 1)
        assert [v.name for v in keeping.views('alice')] == ['old', 'parser']
        assert keeping.view('alice', 'old') == made
        assert keeping.view('alice', 'parser') == other
        assert keeping.view('bob', 'parser') == bobs
        assert list(keeping.problems()) == []

    def test_removal(self, keeping: Any) -> None:
        made = keeping.putview(_FIRST, 0)
        stays = keeping.putview(_FIRST._replace(name='other'), 0)
        made = keeping.putview(made._replace(heads=(_C,)), 1)
        with pytest.raises(errors.ViewMoved) as caught:
            keeping.removeview(made.uid, 1)
        assert caught.value.view == keeping.viewbyid(made.uid) == made
        keeping.removeview(made.uid, 2)
        keeping.removeview(made.uid, 2)
        keeping.removeview(stays.uid + 'x')
        assert keeping.view('alice', 'parser') is None
        assert keeping.viewlog(made.uid) == []
        assert keeping.viewat(made.uid, 1) is None
        with pytest.raises(errors.ViewMoved):
            keeping.putview(made._replace(heads=()), 1)
        again = keeping.putview(_FIRST, 0)
        assert again.uid != made.uid
        assert again.version == 1
        assert keeping.viewbyid(stays.uid) == stays
        assert list(keeping.problems()) == []

    def test_forgetting(self, keeping: Any) -> None:
        versions = [keeping.putview(_FIRST, 0)]
        for change in _CHANGES[:4]:
            new = versions[-1]._replace(**change)
            versions.append(keeping.putview(new, new.version))
        uid = versions[0].uid
        log = keeping.viewlog(uid)
        keeping.forgetviews(uid, 1)
        assert keeping.viewlog(uid) == log
        for _twice in range(2):
            keeping.forgetviews(uid, 3)
            third = keeping.viewat(uid, 3)
            assert third.heads == versions[2].heads
            oldest = viewmodel.change(None, third)
            assert keeping.viewlog(uid) == [*log[:2], oldest]
            assert keeping.viewat(uid, 2) is None
        keeping.forgetviews(uid, 2**70)
        now = versions[-1]
        assert keeping.viewlog(uid) == [viewmodel.change(None, now)]
        assert keeping.viewbyid(uid) == now
        now = keeping.putview(now._replace(heads=(_D,)), 5)
        assert len(keeping.viewlog(uid)) == 2
        assert list(keeping.problems()) == []

    def test_old_versions(self, keeping: Any) -> None:
        made = keeping.putview(_FIRST._replace(time=100.0), 0)
        for number in range(1, 5):
            new = made._replace(heads=(nodeof(number),), time=100.0 + number)
            made = keeping.putview(new, number)
        other = keeping.putview(_FIRST._replace(name='other', time=100.0), 0)
        assert keeping.oldviews(101.0) == {}
        assert keeping.oldviews(103.0) == {made.uid: 3}
        assert keeping.oldviews(9e9) == {made.uid: 5}
        keeping.forgetviews(made.uid, 3)
        assert keeping.oldviews(103.0) == {}
        assert keeping.oldviews(103.5) == {made.uid: 4}
        keeping.removeview(made.uid)
        assert keeping.oldviews(9e9) == {}
        assert keeping.viewbyid(other.uid) == other

    def test_lists(self, keeping: Any, reference: ReferenceIndex) -> None:
        names = ['a', 'a ', 'ab', 'b', 'backup/x', 'B', '\ud7ff', '\ue000', '%']
        for its in ('alice', 'bob', 'Bob', 'al', '\U0001f600'):
            for name in names:
                made = keeping.putview(View(its, name, time=1.0), 0)
                if made.name == 'b' or made.owner == 'Bob':
                    made = keeping.putview(made._replace(dropped=True), 1)
                reference.restoreview(made, keeping.viewlog(made.uid))
        everything = keeping.views()
        assert everything == reference.views()
        assert len(everything) == 5 * len(names)
        assert keeping.countviews() == reference.countviews() == (28, 4, 13)
        owners = (None, 'alice', 'bob', 'nobody', '\udc80', '\0')
        prefixes = ('', 'a', 'a ', 'ba', '\ud7ff', '\U0010ffff', '%', '\0')
        afters = (
            None,
            ('', ''),
            ('alice', ''),
            ('alice', 'a'),
            ('alice', '\U0010ffff'),
            ('bob', 'zzz'),
            ('\U0010ffff', ''),
        )
        every = [*itertools.product(owners, prefixes, afters)]
        for args in random.Random(1).sample(every, 60):
            found = keeping.views(*args)
            assert found == reference.views(*args), args
            assert keeping.views(*args, 2) == found[:2]
        assert keeping.views(after=('\udc80', '')) == []
        assert keeping.views(limit=0) == []

    def test_what_is_viewed(self, keeping: Any) -> None:
        every = [_A, _B, _C, _D]
        first = View('alice', 'x', (_A,), (('m', _B),), time=100.0)
        made = keeping.putview(first, 0)
        keeping.putview(first._replace(owner='bob', heads=(_A, _C)), 0)
        assert keeping.viewed(every) == {_A, _B, _C}
        assert keeping.viewed(iter([_B, _B, _D]), None) == {_B}
        assert keeping.viewed(every, 100.0) == {_A, _B, _C}
        assert keeping.viewed(every, 100.5) == set()
        new = made._replace(heads=(_D,), time=101.0)
        made = keeping.putview(new, 1)
        assert keeping.viewed(every, 100.5) == {_B, _D}
        assert keeping.viewed(every) == set(every)
        made = keeping.putview(made._replace(dropped=True), 2)
        assert keeping.viewed(every) == {_A, _B, _C}
        made = keeping.putview(made._replace(dropped=False, time=102.0), 3)
        assert keeping.viewed(every, 102.0) == {_B, _D}
        many = [nodeof(number) for number in range(5000)]
        assert keeping.viewed([*many, _D]) == {_D}

    def test_many_heads(self, keeping: Any) -> None:
        heads = sorted(nodeof(number) for number in range(10_000))
        made = keeping.putview(_FIRST._replace(heads=tuple(heads)), 0)
        assert keeping.view('alice', 'parser') == made
        for number in range(5):
            heads[number] = nodeof(f'new {number}')
            new = made._replace(heads=tuple(sorted(heads)))
            made = keeping.putview(new, made.version)
        change = keeping.viewlog(made.uid, limit=1)[0]
        assert len(change.added) == len(change.removed) == 1
        assert keeping.viewbyid(made.uid) == made
        first = keeping.viewat(made.uid, 1)
        assert len(first.heads) == 10_000
        assert len(set(first.heads).difference(made.heads)) == 5
        assert list(keeping.problems()) == []

    # -- what it may be

    def test_hostile_views(self, keeping: Any) -> None:
        expected = []
        for name, text in zip(HOSTILE_NAMES, HOSTILE_TEXTS):
            view = View(name, name, (_A,), ((name, _B),), text, (name,), True)
            view = view._replace(time=1.5, user=name, machine=name)
            made = keeping.putview(view, 0)
            expected.append(made)
            assert keeping.view(name, name) == made
            moved = made._replace(bookmarks=((name, _C),))
            keeping.putview(moved, 1)
            change = keeping.viewlog(made.uid, limit=1)[0]
            assert change.bookmarks == ((name, _B, _C),)
            assert keeping.viewat(made.uid, 1) == made
        assert [v.uid for v in keeping.views()] == [
            view.uid for view in sorted(expected)
        ]

    def test_invalid_views(self, keeping: Any) -> None:
        for change in _INVALID:
            with pytest.raises(ValueError, match=r'the|no|has|is|most'):
                keeping.putview(_FIRST._replace(**change), 0)
        assert keeping.views() == []

    def test_the_largest_view(self, keeping: Any) -> None:
        long = '\U0001f600' * (model.NAME_LENGTH - 6)
        marks = [(f'{n:06}{long}', nodeof(n)) for n in range(200)]
        view = View(
            *('o' * model.NAME_LENGTH, 'n' * model.NAME_LENGTH),
            heads=tuple(sorted(nodeof(n) for n in range(200))),
            bookmarks=tuple(marks),
            state="\\'" * (viewmodel.STATE_LENGTH // 2),
            writers=tuple(f'{n:04}' for n in range(viewmodel.WRITERS)),
        )
        made = keeping.putview(view, 0)
        assert keeping.viewbyid(made.uid) == made
        assert keeping.viewat(made.uid, 1) == made

    # -- repairs

    def test_restoring(self, place: model.Place, keeping: Any) -> None:
        made = keeping.putview(_FIRST, 0)
        for change in _CHANGES:
            made = keeping.putview(made._replace(**change), made.version)
        log = keeping.viewlog(made.uid)
        with self.newplace(b'%s.2' % place.directory) as elsewhere:
            other = self.makeindex(elsewhere)
            taken = other.putview(_FIRST._replace(name='taken'), 0)
            for _twice in range(2):
                other.restoreview(made, log)
                other.reserve(1)
                assert other.viewbyid(made.uid) == made
                assert other.viewlog(made.uid) == log
                first = other.viewat(made.uid, 1)
                assert first == keeping.viewat(made.uid, 1)
            # in the place of what is there
            short = viewmodel.change(None, made)
            other.restoreview(made, [short])
            assert other.viewlog(made.uid) == [short]
            with pytest.raises(errors.ViewExists) as caught:
                other.restoreview(made._replace(name='taken'), [short])
            assert caught.value.view == taken
            with pytest.raises(ValueError, match='id'):
                other.restoreview(made._replace(uid=''), [short])
            assert other.viewbyid(made.uid) == made
            assert other.viewbyid(taken.uid) == taken
            assert list(other.problems()) == []
            other.close()

    # -- several at once

    def test_one_of_two_processes_changes_a_view(
        self, place: model.Place, keeping: Any
    ) -> None:
        made = keeping.putview(_FIRST, 0)
        for _round in range(3):
            codes = processes.join(
                processes.start(
                    'fork',
                    _race,
                    [(type(self), place, made, n) for n in range(2)],
                )
            )
            assert sorted(codes) == [0, _LOST]
            winner = codes.index(0)
            now = keeping.viewbyid(made.uid)
            assert (now.version, now.machine) == (made.version + 1, f'{winner}')
            assert nodeof((winner, made.version)) in now.heads
            made = now
        assert list(keeping.problems()) == []

    def test_one_of_many_processes_makes_a_view(
        self, place: model.Place, keeping: Any
    ) -> None:
        made = _FIRST._replace(time=1.0)
        keeping.lastid()
        codes = processes.join(
            processes.start(
                'fork', _race, [(type(self), place, made, n) for n in range(4)]
            )
        )
        assert sorted(codes) == [0, _LOST, _LOST, _LOST]
        (found,) = keeping.views()
        assert found.machine == f'{codes.index(0)}'

    @pytest.mark.parametrize('seed', range(2))
    def test_random_use(
        self, keeping: Any, reference: ReferenceIndex, seed: int
    ) -> None:
        chance = random.Random(seed)
        for _step in range(80):
            _randomly(chance, keeping, reference)
        assert keeping.views() == reference.views()
        for summary in reference.views():
            uid = summary.uid
            assert keeping.viewlog(uid) == reference.viewlog(uid)
            assert keeping.viewbyid(uid) == reference.viewbyid(uid)
            for version in range(summary.version + 1):
                found = keeping.viewat(uid, version)
                assert found == reference.viewat(uid, version)
        nodes = list(map(nodeof, range(9)))
        for since in (None, 3.0):
            found = keeping.viewed(nodes, since)
            assert found == reference.viewed(nodes, since)
        for time in (2.0, 5.0):
            assert keeping.oldviews(time) == reference.oldviews(time)
        assert list(keeping.problems()) == []


#: one after the other
_CHANGES: list[dict[str, Any]] = [
    {'heads': (_B, _C)},
    {'bookmarks': (('x', _C), ('z', _A)), 'user': 'bob', 'machine': ''},
    {'state': 'another', 'heads': (_A, _B, _C, _D)},
    {'name': 'lexer', 'machine': 'desktop'},
    {'writers': ('bob', 'carol'), 'user': 'alice'},
    {'heads': (), 'bookmarks': (), 'state': ''},
    {'dropped': True},
    {'dropped': False, 'heads': (_D,)},
]


_INVALID: list[dict[str, Any]] = [
    {'owner': ''},
    {'name': ''},
    {'name': 'x' * (model.NAME_LENGTH + 1)},
    {'name': 'x\0'},
    {'owner': '\ud800'},
    {'user': 'x' * (model.NAME_LENGTH + 1)},
    {'machine': '\0'},
    {'state': '\udc80'},
    {'state': 'x' * (viewmodel.STATE_LENGTH + 1)},
    {'heads': (b'short',)},
    {'heads': (_B, _A)},
    {'heads': (_A, _A)},
    {'heads': (_A,) * (viewmodel.HEADS + 1)},
    {'bookmarks': (('y', _A), ('x', _A))},
    {'bookmarks': (('x', _A), ('x', _B))},
    {'bookmarks': (('', _A),)},
    {'bookmarks': (('x\0', _A),)},
    {'bookmarks': (('x' * (model.NAME_LENGTH + 1), _A),)},
    {'bookmarks': (('x', b''),)},
    {'writers': ('bob', 'al')},
    {'writers': ('',)},
    {'writers': ('\0',)},
    {'uid': 'x' * 32},
    {'uid': '0'},
]


# -- what other processes do

_LOST = 3


def _race(
    suite: type[IndexTests], place: model.Place, view: View, number: int
) -> None:
    index = suite().makeindex(place)
    heads = {*view.heads, nodeof((number, view.version))}
    new = view._replace(heads=tuple(sorted(heads)), machine=f'{number}')
    try:
        index.putview(new, view.version)
    except (errors.ViewMoved, errors.ViewExists):
        sys.exit(_LOST)
    finally:
        index.close()


def _randomly(
    chance: random.Random, index: Any, reference: ReferenceIndex
) -> None:
    known: list[Optional[str]] = [v.uid for v in reference.views()]
    uid = chance.choice([*known, None])
    what = chance.randrange(12)
    if uid is not None and what == 0:
        index.removeview(uid)
        reference.removeview(uid)
    elif uid is not None and what < 3:
        before = chance.randrange(8)
        index.forgetviews(uid, before)
        reference.forgetviews(uid, before)
    else:
        _randomput(chance, index, reference, uid)


def _randomput(
    chance: random.Random,
    index: Any,
    reference: ReferenceIndex,
    uid: Optional[str],
) -> None:
    def some(values: Any) -> Any:
        return sorted(chance.sample(values, chance.randrange(3)))

    old = reference.viewbyid(uid) if uid else None
    view = View(
        old.owner if old else chance.choice(['alice', 'bob']),
        chance.choice('abc'),
        tuple(some(sorted(map(nodeof, range(9))))),
        tuple((name, nodeof(chance.randrange(9))) for name in some('xyz')),
        chance.choice(['', 's', 't']),
        tuple(some(['bob', 'carol'])),
        chance.random() < 0.2,
        time=float(chance.randrange(8)),
        uid=uid or '',
    )
    expected = old.version if old else 0
    if chance.random() < 0.1:
        expected += 1
    known = {v.uid for v in index.views()}
    found: list[Any] = []
    for its in (index, reference):
        try:
            found.append(its.putview(view, expected))
        except (errors.ViewMoved, errors.ViewExists) as exc:
            found.append((type(exc), exc.view))
    if isinstance(found[0], View) and found[0].uid not in known:
        # each gave it an id of its own
        made = found[0]
        assert made == found[1]._replace(uid=made.uid)
        reference.removeview(found[1].uid)
        reference.restoreview(made, [viewmodel.change(None, made)])
    else:
        assert found[0] == found[1]
