"""Tests of an index: bundles that rest on others."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
from typing import Any

import pytest

from ... import errors, model
from .. import processes
from ..reference import ReferenceIndex, pushof
from .base import IndexTests
from .data import ids, inanyorder, keyof, moveto, newpush, nodeof


class RestTests(IndexTests):
    """``bundles``, and ``rests`` wherever they stand."""

    # -- what is remembered

    def test_rests(self, index: Any) -> None:
        """They are told by all that tells of a bundle."""
        rests = {'a': '', 'b': 'a', 'c': 'ab', 'other': '', 'd': 'cab', 'e': ''}
        pushes = {}
        for name, below in rests.items():
            push = resting(name, *below)
            if name == 'd':
                push = push._replace(rests=(*push.rests, keyof('other')))
            pushes[name] = index.record(push)
        complete = {**{n: set(b) for n, b in rests.items()}, 'd': {*'abc'}}
        complete['d'].add('other')
        for name, push in pushes.items():
            told = [
                push.rests,
                index.push(push.id).rests,
                index.pushes(user='alice', node=push.nodes[0])[0].rests,
                index.locate(push.nodes)[push.nodes[0]].rests,
                index.bundles([push.key])[push.key].rests,
            ]
            for some in told:
                assert type(some) is tuple
                assert sorted(some) == sorted(map(keyof, complete[name]))
                ordered(index, some)
        assert [p.rests for p in index.pushes()] == [
            push.rests for push in pushes.values()
        ]

    @pytest.mark.parametrize(
        'given', ['cba', 'c', 'bc', 'cc', 'acbab'], ids=str
    )
    def test_rests_are_made_complete(self, index: Any, given: str) -> None:
        """And put in order."""
        index.record(resting('a'))
        index.record(resting('b', 'a'))
        index.record(resting('c', 'b'))
        push = index.record(resting('d', *given))
        assert push.rests == (keyof('a'), keyof('b'), keyof('c'))
        assert index.pushes()[-1] == push

    def test_bundles(self, index: Any) -> None:
        nodes = [nodeof(n) for n in range(4)]
        first = newpush('one', nodes=nodes, heads=[nodes[3], nodes[1]])
        second = resting('two', 'one')
        index.record(first)
        index.record(second)
        wanted = [keyof('absent'), second.key, first.key, second.key]
        found = index.bundles(iter(wanted))
        assert found == {
            first.key: model.Bundle(
                *(first.key, first.size, first.nodes, (nodes[3], nodes[1]), ())
            ),
            second.key: model.Bundle(
                *(second.key, second.size, second.nodes, second.nodes),
                (first.key,),
            ),
        }
        assert isinstance(found[first.key], model.Bundle)
        assert index.bundles([]) == {}
        assert index.bundles(['', 'ab', 'A' * 64, '\udc80' * 64, '../x']) == {}
        many = [keyof(n) for n in range(3000)]
        assert set(index.bundles([*many, first.key])) == {first.key}

    def test_same_bundle_with_other_rests(self, index: Any) -> None:
        """What was remembered first stays."""
        for name in ('a', 'b', 'plain'):
            index.record(resting(name))
        index.record(resting('top', 'a'))
        for again in (resting('top', 'b'), resting('top')):
            assert index.record(again).rests == (keyof('a'),)
        # nor does it matter then whether they are there
        assert index.record(resting('top', 'x')).rests == (keyof('a'),)
        assert index.record(resting('plain', 'a')).rests == ()
        assert index.record(resting('plain', 'x')).rests == ()
        assert index.bundles([keyof('plain')])[keyof('plain')].rests == ()
        assert {p.rests for p in index.pushes(text='top')} == {(keyof('a'),)}
        assert index.remove(2) == [keyof('b')]
        assert index.remove(1) == []
        # when it was gone it is another
        for id in (4, 5, 6):
            assert index.remove(id) == []
        assert sorted(index.remove(7)) == sorted([keyof('a'), keyof('top')])
        assert index.record(resting('top', 'plain')).rests == (keyof('plain'),)

    def test_bundle_gone(self, index: Any) -> None:
        a = nodeof('a')
        before = [index.record(resting(name)) for name in ('one', 'two')]
        index.record(resting('gone'))
        index.remove(3)
        for names in (['gone'], ['absent'], ['one', 'gone', 'two'], ['new']):
            push = resting('new', *names)._replace(moves=(moveto('x', a),))
            with pytest.raises(errors.BundleGone) as caught:
                index.record(push)
            assert caught.value.key in set(push.rests) - {
                *(keyof('one'), keyof('two'))
            }
        with pytest.raises(errors.InvalidKey):
            index.record(resting('new')._replace(rests=('../x',)))
        assert index.pushes() == before
        assert index.lastid() == 3
        assert index.bookmarks() == []
        assert index.bundles([keyof('new')]) == {}
        assert index.locate(push.nodes) == {}
        assert index.nodes(push.nodes[0].hex()) == []
        assert index.record(resting('new', 'one')).rests == (keyof('one'),)

    # -- removal

    def test_base_of_others_stays(self, index: Any) -> None:
        """It is found, but nothing shows its push."""
        a = nodeof('a')
        base = resting('base')._replace(moves=(moveto('x', a), moveto('y', a)))
        base = base._replace(user='bob', text='base', time=5.0)
        index.record(base)
        top = index.record(resting('top', 'base'))
        index.movebookmarks([moveto('y', None, a)])
        (node,) = base.nodes
        assert index.remove(1) == []
        assert index.locate([node]) == {
            node: model.Location(node, base.key, base.size, True)
        }
        assert index.nodes(node.hex()) == [node]
        assert set(index.bundles([base.key, top.key])) == {base.key, top.key}
        for method in (index.push, index.remove):
            with pytest.raises(errors.UnknownPush):
                method(1)
        assert index.pushes() == [top]
        assert index.pushes(newestfirst=True, text='') == [top]
        assert index.pushes(since=0) == [top]
        assert index.pushes(until=2e9, user='alice') == [top]
        assert index.pushes(last=1) == []
        assert index.pushes(user='bob') == []
        assert index.pushes(node=node) == []
        assert index.pushes(text='base') == []
        assert index.pushes(until=6.0) == []
        assert index.pushes(user='bob', text='base') == []
        assert index.bookmarks() == []
        assert index.lastid() == 3
        # others may rest on it, too
        index.record(resting('more', 'base'))
        assert index.remove(2) == [top.key]
        assert sorted(index.remove(4)) == sorted([keyof('more'), base.key])
        assert index.locate([node]) == {}
        assert index.nodes(node.hex()) == []
        assert index.record(newpush('after')).id == 5

    def test_base_is_pushed_again(self, index: Any) -> None:
        base = resting('base')
        index.record(base)
        index.record(resting('top', 'base'))
        assert index.remove(1) == []
        again = index.record(base)
        assert again == pushof(3, base)
        assert ids(index.pushes(node=base.nodes[0])) == [3]
        assert ids(index.pushes(text='base')) == [3]
        assert index.remove(2) == [keyof('top')]
        assert len(index.locate(base.nodes)) == 1
        assert index.remove(3) == [base.key]
        assert index.locate(base.nodes) == {}

    def test_three_levels(self, index: Any) -> None:
        names = 'abcd'
        for number, name in enumerate(names):
            index.record(resting(name, *names[:number]))
        for id in (2, 1, 3):
            assert index.remove(id) == []
        nodes = [nodeof((name, 0)) for name in names]
        assert set(index.locate(nodes)) == set(nodes)
        assert ids(index.pushes()) == [4]
        assert sorted(index.remove(4)) == sorted(map(keyof, names))
        assert index.locate(nodes) == {}
        assert index.bundles(map(keyof, names)) == {}

    @pytest.mark.parametrize('seed', range(4))
    def test_removal_in_any_order(
        self, index: Any, reference: ReferenceIndex, seed: int
    ) -> None:
        chance = random.Random(seed)
        shape = {'a': '', 'b': 'a', 'c': 'b', 'd': 'a', 'e': 'cd', 'f': ''}
        nodes = [nodeof((name, 0)) for name in shape]
        for _round in range(3):
            pushes = [resting(name, *below) for name, below in shape.items()]
            pushes.append(resting(chance.choice('abc')))
            for push in pushes:
                assert inanyorder(index.record(push)) == inanyorder(
                    reference.record(push)
                )
            left = ids(index.pushes())
            assert len(left) == len(pushes)
            chance.shuffle(left)
            for id in left:
                assert sorted(index.remove(id)) == reference.remove(id)
                for some in ('pushes', 'lastid'):
                    assert inanyorder(getattr(index, some)()) == inanyorder(
                        getattr(reference, some)()
                    )
                assert inanyorder(index.locate(nodes)) == inanyorder(
                    reference.locate(nodes)
                )
            assert index.bundles(map(keyof, shape)) == {}
            assert index.locate(nodes) == {}

    def test_removed_while_something_comes_to_rest_on_it(
        self, place: model.Place, index: Any
    ) -> None:
        """Either comes first; nothing ever rests on what is gone."""
        for number in range(_RACES):
            index.record(resting(('base', number)))
        barrier = multiprocessing.get_context('fork').Barrier(2)
        processes.run(
            'fork',
            _race,
            [(type(self), place, barrier, removing) for removing in (0, 1)],
        )
        tops = {push.key: push for push in index.pushes()}
        for number in range(_RACES):
            base = resting(('base', number))
            top = tops.get(keyof(('top', number)))
            assert (base.key in index.bundles([base.key])) is bool(top)
            assert (base.nodes[0] in index.locate(base.nodes)) is bool(top)
            assert top is None or top.rests == (base.key,)


# -- pushes, and what other processes do

_RACES = 25


def resting(name: object, *bases: object) -> model.NewPush:
    """Return a push of a bundle ``name`` that rests on others."""
    return newpush(name)._replace(rests=tuple(map(keyof, bases)))


def ordered(index: Any, rests: tuple[str, ...]) -> None:
    """Each bundle comes after all that it rests on."""
    found = index.bundles(rests)
    for position, key in enumerate(rests):
        assert set(found[key].rests) <= set(rests[:position])


def _race(
    suite: type[IndexTests], place: model.Place, barrier: Any, removing: bool
) -> None:
    index = suite().makeindex(place)
    for number in range(_RACES):
        barrier.wait(processes.PATIENCE)
        if removing:
            gone = index.remove(number + 1)
            assert gone in ([], [keyof(('base', number))])
            continue
        with contextlib.suppress(errors.BundleGone):
            index.record(resting(('top', number), ('base', number)))
    index.close()
