"""Tests of an index: pushes by branch, and by how they went."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ... import model
from ...declaring import provides
from ..reference import ReferenceIndex
from .base import IndexTests
from .data import HOSTILE_NAMES, ids, newpush
from .randomuse import randomfilters, randompush

_BRANCHES = ('default', 'stable', 'Stable', 'stable 2')


def _push(name: object, *branches: str, **others: Any) -> model.NewPush:
    return newpush(name, **others)._replace(branches=branches)


def _status(state: str, context: str = 'test') -> model.Status:
    return model.Status(context, state)


class LabelTests(IndexTests):
    """``ILabels``, for an index that provides it."""

    @pytest.fixture
    def labelled(self, index: Any) -> Any:
        if not provides(index, 'ILabels'):
            pytest.skip('keeps no labels')
        return index

    def test_branches(self, place: model.Place, labelled: Any) -> None:
        assert labelled.pushes(branch='default') == []
        made = labelled.record(_push('a', 'stable', 'default'))
        labelled.record(_push('b', 'stable'))
        labelled.record(_push('c'))
        # the same bundle again
        labelled.record(_push('a', 'default', 'stable', user='bob'))
        assert made.branches == ('default', 'stable')
        found = labelled.pushes()
        assert [push.branches for push in found] == [
            *(made.branches, ('stable',), (), made.branches)
        ]
        assert found[0] == made == labelled.push(1)

        def having(branch: str, **others: Any) -> list[int]:
            return ids(labelled.pushes(branch=branch, **others))

        assert having('stable') == [1, 2, 4]
        assert having('default') == [1, 4]
        assert having('stable', newestfirst=True, limit=2) == [4, 2]
        assert having('stable', first=2, last=3) == [2]
        assert having('stable', user='alice') == [1, 2]
        assert having('stable', text='b') == [2]
        assert having('stable', node=made.nodes[0]) == [1, 4]
        assert having('stable', since=made.time, until=made.time + 1) == []
        for strange in ('', 'stabl', 'STABLE', 'stable\0', '\udc80'):
            assert having(strange) == []
        with self.newplace(b'%s.2' % place.directory) as elsewhere:
            other = self.makeindex(elsewhere)
            for push in (*found, found[0]):
                other.restore(push)
            assert other.pushes() == found
            other.restore(found[1]._replace(branches=('default',)))
            assert ids(other.pushes(branch='default')) == [1, 2, 4]
            assert ids(other.pushes(branch='stable')) == [1, 4]
            if provides(other, 'IRestoreMany'):
                more = found[1]._replace(id=5, key='5' * 64, branches=('x',))
                other.restoremany([more])
                assert other.pushes(branch='x') == [more]
            assert list(other.problems()) == []
            other.close()
        labelled.remove(1)
        assert having('default') == [4]
        assert list(labelled.problems()) == []

    def test_hostile_branches(self, labelled: Any) -> None:
        names = [model.branch(name) for name in HOSTILE_NAMES]
        for name in names:
            labelled.record(_push(name, name))
        for id, name in enumerate(names, 1):
            assert ids(labelled.pushes(branch=name)) == [id]
        assert [p.branches for p in labelled.pushes()] == [(n,) for n in names]

    @pytest.mark.parametrize(
        'branches',
        [
            ('',),
            ('x\0',),
            ('\udc80',),
            ('a', 'a'),
            ('x' * (model.BRANCH_LENGTH + 1),),
            tuple(map(str, range(model.BRANCHES + 1))),
        ],
        ids=lambda branches: repr(branches)[:15],
    )
    def test_invalid_branches(self, labelled: Any, branches: Any) -> None:
        with pytest.raises(ValueError, match='branch'):
            labelled.record(_push('a', *branches))
        assert labelled.lastid() == 0

    def test_most_branches(self, labelled: Any) -> None:
        names = model.branches(f'{n:03}' + 'x' * 300 for n in range(200))
        assert len(names) == model.BRANCHES
        assert labelled.record(_push('a', *names)).branches == names
        assert labelled.push(1).branches == names

    def test_outcomes(self, labelled: Any) -> None:
        """What a push is found by is the worst of its statuses."""
        assert labelled.pushes(status='none') == []
        for name in 'abc':
            labelled.record(_push(name))

        def outcomes() -> list[list[int]]:
            return [
                ids(labelled.pushes(status=status)) for status in model.OUTCOMES
            ]

        assert outcomes() == [[1, 2, 3], [], [], [], []]
        labelled.setstatus(2, _status('success'))
        assert outcomes() == [[1, 3], [2], [], [], []]
        labelled.setstatus(2, _status('pending', 'a'))
        assert outcomes() == [[1, 3], [], [2], [], []]
        labelled.setstatus(2, _status('failure', 'b'))
        assert outcomes() == [[1, 3], [], [], [2], []]
        labelled.setstatus(2, _status('error', 'a'))
        labelled.setstatus(3, _status('error'))
        assert outcomes() == [[1], [], [], [], [2, 3]]
        labelled.setstatus(2, _status('success', 'a'))
        labelled.setstatus(2, _status('success', 'b'))
        assert outcomes() == [[1], [2], [], [], [3]]
        assert list(labelled.problems()) == []
        # it stays where the push does
        push = labelled.push(2)
        labelled.restore(push._replace(time=7.0))
        assert outcomes() == [[1], [2], [], [], [3]]
        labelled.restore(labelled.push(3)._replace(id=2))
        assert outcomes() == [[1, 2], [], [], [], [3]]
        labelled.remove(3)
        assert outcomes() == [[1, 2], [], [], [], []]
        assert list(labelled.problems()) == []
        with pytest.raises(ValueError, match='passed'):
            labelled.pushes(status='passed')

    @pytest.mark.parametrize('seed', range(2))
    def test_labels_against_the_reference(
        self, labelled: Any, reference: ReferenceIndex, seed: int
    ) -> None:
        chance = random.Random(seed)
        for _step in range(40):
            push = randompush(chance, reference)._replace(moves=())
            own = random.Random(push.key)
            branches = own.sample(_BRANCHES, own.randrange(3))
            push = push._replace(branches=tuple(branches))
            state = chance.choice(model.STATES)
            for some in (labelled, reference):
                some.record(push)
            for _time in range(2):
                id = chance.randrange(1, reference.lastid() + 1)
                status = _status(state, chance.choice('ab'))
                for some in (labelled, reference):
                    some.setstatus(id, status)
        for _look in range(150):
            filters = randomfilters(chance)
            if chance.random() < 0.7:
                filters['status'] = chance.choice(model.OUTCOMES)
            if chance.random() < 0.7:
                filters['branch'] = chance.choice(_BRANCHES)
            found = labelled.pushes(**filters)
            assert ids(found) == ids(reference.pushes(**filters)), filters
