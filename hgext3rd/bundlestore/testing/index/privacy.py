"""Tests of an index: what is private, and who sees it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ... import errors, model, viewmodel
from ...declaring import provides
from ...viewmodel import View
from ..reference import ReferenceIndex
from .base import IndexTests
from .data import ids, inanyorder, keyof, moveto, newpush, nodeof

_USERS = ['alice', 'bob', 'carol', '']
_NOBODY = '0' * 32


class PrivacyTests(IndexTests):
    """``IPrivacy``, for an index that provides it."""

    @pytest.fixture
    def hiding(self, index: Any) -> Any:
        if not provides(index, 'IPrivacy'):
            pytest.skip('keeps nothing private')
        return index

    def test_private_push(self, place: model.Place, hiding: Any) -> None:
        public = hiding.record(newpush('public'))
        uid = _newview(hiding, 'alice', readers=['bob'])
        new = newpush('private', user='alice', nodes=[*public.nodes, _X, _Y])
        new = new._replace(private=uid, branches=('default',))
        push = hiding.record(new)
        assert push.private == uid
        hiding.setstatus(push.id, model.Status('ci', 'success'))
        assert hiding.unseen() == []
        # whoever keeps it sees all
        assert hiding.pushes() == [public, push]
        assert hiding.locate([_X])[_X].key == push.key
        assert hiding.bundles([push.key])[push.key].private == uid
        assert list(hiding.problems()) == []
        hiding.close()
        other = self.makeindex(place)
        for user in _USERS:
            self._checkseen(other.seen(user), user, public, push)
        for user, only in [('alice', _NOBODY), ('bob', ''), ('carol', uid)]:
            assert other.seen(user, only).locate([_X, _Y]) == {}
        assert set(other.seen('bob', uid).locate([_X, _Y])) == {_X, _Y}
        # of a view that is gone nobody sees anything
        other.removeview(uid)
        assert other.seen('alice').locate([_X, _Y]) == {}
        assert other.seen('alice').bundles([push.key]) == {}
        assert other.unseen() == other.unseen(push.id, 1) == [push]
        assert other.unseen(push.id + 1) == other.unseen(limit=0) == []
        assert other.remove(push.id) == [push.key]
        assert list(other.problems()) == []
        other.close()

    def _checkseen(
        self, seen: Any, user: str, public: model.Push, push: model.Push
    ) -> None:
        may = user in ('alice', 'bob')
        (node,) = public.nodes
        where = seen.locate([node, _X, _Y])
        assert set(where) == ({node, _X, _Y} if may else {node})
        # a head of the public bundle
        assert where[node].key == public.key
        for its in (_X, _Y):
            assert seen.nodes(its.hex()[:6]) == ([its] if may else [])
        both = {_X, _Y, node} if may else {node}
        for limit in (1, 2, 9):
            every = [n for d in '0123456789abcdef' for n in seen.nodes(d)]
            assert set(every) == both, limit
        found = seen.bundles([public.key, push.key])
        assert set(found) == ({public.key, push.key} if may else {public.key})
        # pushes are seen by nobody
        assert ids(seen.pushes()) == ids(seen.pushes(user='alice')) == [1]
        assert seen.pushes(node=_Y) == seen.pushes(text='private') == []
        assert seen.pushes(branch='default') == []
        assert seen.pushes(since=0.0, limit=5, newestfirst=True) == [public]
        assert seen.lastid() == push.id
        assert seen.owed(0) == 1
        changes: list[tuple[Any, ...]] = [
            (seen.push,),
            (seen.remove,),
            (seen.pin,),
            (seen.setstatus, model.Status('x', 'failure')),
            (seen.setlanding, model.Landing(_Y, _X)),
        ]
        for change, *values in changes:
            with pytest.raises(errors.UnknownPush):
                change(push.id, *values)

    def test_who_pushed(self, hiding: Any) -> None:
        uid = _newview(hiding, 'alice')
        hiding.record(newpush('public', user='alice'))
        hiding.record(newpush('private', user='bob')._replace(private=uid))
        assert {one.user for one in hiding.users()} == {'alice', 'bob'}
        for user in _USERS:
            (one,) = hiding.seen(user).users()
            assert one.user == 'alice'

    def test_private_view(self, hiding: Any) -> None:
        uid = _newview(hiding, 'alice', readers=['bob'], writers=['carol'])
        view = hiding.viewbyid(uid)
        assert view.private
        assert view.readers == ('bob',)
        public = hiding.putview(View('alice', 'parser'), 0)
        summary = viewmodel.summary(view)
        assert hiding.views()[-1] == summary
        for user in ('alice', 'bob', 'carol'):
            seen = hiding.seen(user)
            assert seen.viewbyid(uid) == seen.view('alice', view.name) == view
            assert seen.viewat(uid, 1) == view
            assert seen.views(limit=2)[1] == summary
            assert seen.viewlog(uid) == [viewmodel.change(None, view)]
        for user in ('dave', ''):
            seen = hiding.seen(user)
            assert seen.viewbyid(uid) is seen.view('alice', view.name) is None
            assert seen.viewat(uid, 1) is None
            assert seen.views() == seen.views('alice', limit=1)
            assert seen.views(after=('alice', 'parser')) == []
            assert seen.views() == [viewmodel.summary(public)]
            assert seen.viewlog(uid) == []
        fewer = hiding.putview(view._replace(readers=()), 1)
        assert hiding.seen('bob').viewbyid(uid) is None
        assert hiding.viewlog(uid, limit=1)[0].readers == ()
        assert hiding.viewat(uid, 1) == view
        with pytest.raises(ValueError, match='private'):
            hiding.putview(fewer._replace(private=False), 2)
        with pytest.raises(ValueError, match='private'):
            hiding.putview(public._replace(private=True), 1)
        with pytest.raises(ValueError, match='everybody'):
            hiding.putview(public._replace(readers=('bob',)), 1)
        log = hiding.viewlog(uid)
        hiding.removeview(uid)
        hiding.restoreview(fewer, log)
        assert hiding.viewbyid(uid) == fewer
        assert hiding.viewlog(uid) == log
        assert list(hiding.problems()) == []

    def test_what_rests_on_what(self, hiding: Any) -> None:
        """Nothing that somebody sees rests on what that one does not."""
        one, two = (_newview(hiding, 'alice') for _ in range(2))
        public = hiding.record(newpush('public'))
        private = hiding.record(
            newpush('private')._replace(private=one, rests=(public.key,))
        )
        for uid in ('', two):
            with pytest.raises(errors.BundleGone):
                hiding.record(
                    newpush('x')._replace(private=uid, rests=(private.key,))
                )
        top = newpush('top')._replace(private=one, rests=(private.key,))
        assert hiding.record(top).rests == (public.key, private.key)
        for uid in ('', two):
            with pytest.raises(ValueError, match='view'):
                hiding.record(newpush('private')._replace(private=uid))
        with pytest.raises(ValueError, match='view'):
            hiding.record(newpush('public')._replace(private=one))
        for wrong in ('x', '\0', one.upper() + 'x'):
            with pytest.raises(ValueError, match='view'):
                hiding.record(newpush('x')._replace(private=wrong))
        with pytest.raises(ValueError, match='bookmarks'):
            hiding.record(
                newpush('x', moves=[moveto('m', nodeof('x'))])._replace(
                    private=one
                )
            )
        assert hiding.lastid() == 3
        # one that is only there as the other rests on it stays private
        hiding.remove(private.id)
        assert hiding.seen('bob').locate(private.nodes) == {}
        assert set(hiding.seen('alice').locate(private.nodes)) == {
            *private.nodes
        }
        assert list(hiding.problems()) == []

    def test_restored_push_is_private(self, hiding: Any) -> None:
        uid = _newview(hiding, 'alice')
        push = hiding.record(newpush('one')._replace(private=uid))
        hiding.remove(push.id)
        hiding.restore(push)
        hiding.restore(push)
        hiding.reserve(push.id)
        assert hiding.pushes() == [push]
        assert hiding.seen('bob').locate(push.nodes) == {}
        # whatever an index was told before, the last word counts
        hiding.restore(push._replace(private=''))
        assert set(hiding.seen('bob').locate(push.nodes)) == {*push.nodes}
        hiding.restore(push)
        assert hiding.seen('bob').pushes() == []
        assert list(hiding.problems()) == []

    def test_same_as_reference(
        self, hiding: Any, reference: ReferenceIndex
    ) -> None:
        """Some changesets in bundles of many views, and of none."""
        chance = random.Random(17)
        nodes = [nodeof(n) for n in range(12)]
        uids = ['']
        both = [hiding, reference]
        for number in range(5):
            owner, reader, writer = chance.choices(_USERS[:3], k=3)
            view = View(
                owner,
                f'v{number}',
                private=True,
                readers=(reader,),
                writers=(writer,),
            )
            uid = f'{number}' * 32
            made = view._replace(uid=uid, version=1)
            for index in both:
                index.restoreview(made, [viewmodel.change(None, made)])
            uids.append(uid)
        for number in range(60):
            uid = chance.choice(uids)
            its = chance.sample(nodes, chance.randrange(1, 4))
            name = (uid, number % 20)
            known = reference.bundles([keyof(name)])
            if not known:
                new = newpush(name, nodes=its)._replace(private=uid)
                assert inanyorder(hiding.record(new)) == inanyorder(
                    reference.record(new)
                )
            elif number % 3 == 0:
                id = reference.pushes()[0].id
                assert sorted(hiding.remove(id)) == reference.remove(id)
            if number % 12:
                continue
            for user in _USERS:
                for only in (None, chance.choice(uids)):
                    seen, right = (i.seen(user, only) for i in both)
                    assert seen.locate(nodes) == right.locate(nodes)
                    without = [chance.choice(reference.holders()).key]
                    assert seen.locate(nodes, without) == right.locate(
                        nodes, without
                    )
                    for limit in (1, 3, 20):
                        for digit in '048c':
                            assert seen.nodes(digit, limit) == right.nodes(
                                digit, limit
                            )
                    assert seen.pushes() == right.pushes()
        assert list(hiding.problems()) == []


_X, _Y = nodeof('x'), nodeof('y')


def _newview(
    index: Any, owner: str, readers: Any = (), writers: Any = ()
) -> str:
    name = f'private{len(index.views())}'
    view = View(owner, name, private=True)
    view = view._replace(readers=tuple(readers), writers=tuple(writers))
    made = index.putview(view, 0)
    uid: str = made.uid
    return uid
