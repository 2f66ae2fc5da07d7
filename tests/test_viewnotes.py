"""The notes of views, and what keeps views in order: verify, gc and copies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.changegroups import node
from harness.filled import BEGIN, DAY, Filled, Killed, Mortal
from hgext3rd.bundlestore import errors, viewmodel
from hgext3rd.bundlestore.keep import viewcopy
from hgext3rd.bundlestore.stores import viewnotes
from hgext3rd.bundlestore.viewmodel import View


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    """Three pushes, a view that has changed, one that has not, and one that
    was dropped."""
    made = Filled(tmp_path / 'bundlestore')
    made.push([1, 2])
    made.push([3], day=1)
    made.push([4, 5], 'bob', day=2)
    mark = (('m', node(1)),)
    made.putview('parser', [2], day=1, bookmarks=mark, state='first')
    made.putview('parser', [2, 3], day=2)
    made.putview('parser', [3], day=3, state='third', writers=('bob',))
    made.putview('lexer', [5], 'bob', day=2, machine='laptop')
    made.putview('old', [2], day=1)
    made.putview('old', [2], day=2, dropped=True)
    assert made.verify() == []
    return made


def _view(filled: Filled, name: str, owner: str = 'alice') -> View:
    found = filled.index.view(owner, name)
    assert found is not None
    return found


def _noted(filled: Filled) -> dict[str, bytes]:
    names = (n for n in filled.store.notes() if n.startswith('views'))
    return {name: filled.store.note(name) for name in names}


def _note(filled: Filled, name: str, which: object) -> str:
    uid = _view(filled, name).uid
    return f'views{uid[0]}/{uid}.{which}.json'


# -- notes


def test_a_change_writes_little(filled: Filled) -> None:
    """Of ten thousand heads, those are noted that come and go."""
    many = [*range(10_000)]
    before = filled.putview('many', many, state='x' * 1000)
    name = _note(filled, 'many', 1)
    assert len(filled.store.note(name)) > 400_000
    known = set(filled.store.notes())
    made = filled.putview('many', [*many[1:], 10_000])
    (new,) = set(filled.store.notes()) - known
    assert new == _note(filled, 'many', 2)
    assert len(filled.store.note(new)) < 500
    noted = viewnotes.read(filled.store, made.uid, [1, 2])
    assert noted is not None
    assert noted.view == made != before
    assert noted.iswhole


def test_nothing_new_writes_nothing(filled: Filled) -> None:
    view = _view(filled, 'parser')
    noted = _noted(filled)
    filled.putview('parser', [3], day=9)
    assert filled.index.putview(view, 0) == view
    viewnotes.keep(filled.store, filled.index, None, view)
    assert _noted(filled) == noted


def test_what_was_lost_comes_back(filled: Filled) -> None:
    before = filled.state()
    filled.loseindex()
    found = filled.verify()
    assert found.count(('view', False)) == 3
    assert filled.verify(repair=True).count(('view', True)) == 3
    assert filled.state() == before
    assert filled.verify() == []
    assert filled.index.lastid() == 3


def test_views_without_a_push(tmp_path: Path) -> None:
    made = Filled(tmp_path)
    made.putview('empty', [])
    before = made.state()
    made.loseindex()
    assert made.verify(repair=True) == [('view', True)]
    assert made.state() == before
    assert made.index.lastid() == 0


_DAMAGES: list[dict[str, Any]] = [
    {'added': ['xy']},
    {'removed': [node(9).hex()], 'added': [node(9).hex()]},
    {'user': 'bob'},
    {'user': 1},
    {'name': 'y' * 999},
    {'number': 7},
    {'bookmarks': [['x', None]]},
]
_STATES = [{'state': value} for value in ('x', 1, '\0', '\ud800')]


@pytest.mark.parametrize(
    ('which', 'damages'),
    [*((version, _DAMAGES) for version in (1, 2, 3)), ('state', _STATES)],
)
def test_notes_that_are_missing_or_damaged(
    filled: Filled, which: Any, damages: list[dict[str, Any]]
) -> None:
    name = _note(filled, 'parser', which)
    good = _noted(filled)
    fields = json.loads(good[name])
    damaged = [json.dumps({**fields, **change}) for change in damages]
    whole = good[name].decode()
    for text in (None, '', whole[:-20], whole.replace('"', '', 1), *damaged):
        if text is None:
            filled.store.deletenote(name)
        else:
            filled.store.putnote(name, text.encode())
        assert filled.verify() == [('note', False)], text
        assert filled.verify(repair=True) == [('note', True)]
        assert _noted(filled) == good
    assert filled.verify() == []


def test_a_newer_format_stops(filled: Filled) -> None:
    name = _note(filled, 'parser', 2)
    good = filled.store.note(name)
    filled.store.putnote(name, good.replace(b'"version":1', b'"version":99'))
    with pytest.raises(errors.UnsupportedFormat):
        filled.verify()


def test_the_index_lags_behind(filled: Filled) -> None:
    """One that was restored from a backup, say."""
    after = filled.state()
    view = _view(filled, 'parser')
    log = filled.index.viewlog(view.uid)
    second = filled.index.viewat(view.uid, 2)
    assert second is not None
    filled.index.restoreview(second, log[1:])
    assert filled.verify() == [('view', False)]
    assert filled.verify(repair=True) == [('view', True)]
    assert filled.state() == after


def test_history_with_a_gap(filled: Filled) -> None:
    """What is left of it comes back."""
    view = _view(filled, 'parser')
    filled.store.deletenote(_note(filled, 'parser', 2))
    filled.loseindex()
    assert ('view', True) in filled.verify(repair=True)
    assert filled.verify() == []
    found = _view(filled, 'parser')
    # its first head went with the third version, the second came with the one
    # that is missing
    assert found == view._replace(heads=())
    assert [c.version for c in filled.index.viewlog(view.uid)] == [3]


def test_notes_without_a_beginning(filled: Filled) -> None:
    filled.store.deletenote(_note(filled, 'parser', 1))
    gone = _view(filled, 'parser').uid
    filled.index.removeview(gone)
    assert filled.verify() == [('leftover', False)]
    assert filled.verify(repair=True) == [('leftover', True)]
    assert filled.verify() == []
    assert not any(gone in name for name in _noted(filled))


def test_a_lost_view_whose_name_another_has(filled: Filled) -> None:
    lost = _view(filled, 'parser')
    filled.index.removeview(lost.uid)
    other = filled.putview('parser', [2], day=9)
    assert filled.verify() == [('view', False)]
    assert filled.verify(repair=True) == [('view', False)]
    assert _view(filled, 'parser') == other
    filled.putview('parser', [2], day=9, name='other')
    assert filled.verify(repair=True) == [('view', True)]
    assert _view(filled, 'parser') == lost
    assert filled.verify() == []


def test_the_one_that_was_used_last_has_the_name(filled: Filled) -> None:
    lost = _view(filled, 'parser')
    filled.index.removeview(lost.uid)
    other = filled.putview('parser', [2], day=9)
    filled.loseindex()
    assert ('view', False) in filled.verify(repair=True)
    assert _view(filled, 'parser') == other


def test_heads_that_are_nowhere(filled: Filled) -> None:
    filled.putview('parser', [3, 77], day=3)
    assert filled.verify() == [('view', False)]
    assert filled.verify(repair=True) == [('view', False)]
    filled.putview('parser', [], day=3, bookmarks=(), dropped=True)
    assert filled.verify() == []


def test_a_young_version_may_still_get_its_note(filled: Filled) -> None:
    view = _view(filled, 'parser')
    new = view._replace(heads=(node(2),), time=BEGIN + 1000 * DAY - 5)
    filled.index.putview(new, 3)
    assert filled.verify() == []
    assert filled.verify(repair=True) == [('note', True)]
    assert viewnotes.versions(filled.store)[view.uid].count(4) == 1


def test_state_that_two_change_at_once(filled: Filled) -> None:
    """Who writes last has looked what the other wrote."""
    view = _view(filled, 'parser')

    class Late:
        """The other writer comes in between."""

        def __init__(self) -> None:
            self.done = False

        def __getattr__(self, name: str) -> Any:
            return getattr(filled.store, name)

        def putnote(self, name: str, data: bytes) -> None:
            if not self.done:
                self.done = True
                filled.putview('parser', [3], day=3, state='theirs')
            filled.store.putnote(name, data)

    ours = filled.index.putview(view._replace(state='ours'), 3)
    viewnotes.keep(Late(), filled.index, view, ours)
    found = viewnotes.read(filled.store, view.uid, [1, 2, 3, 4, 5])
    assert found is not None
    assert (found.view.state, found.view.version) == ('theirs', 5)
    assert filled.verify() == []


def test_a_damaged_index_begins_anew(filled: Filled) -> None:
    """What was not noted is noted before."""
    view = _view(filled, 'parser')
    made = filled.index.putview(view._replace(heads=(node(2),)), 3)
    before = filled.state()
    filled.index._database.write(lambda sql: sql.run('DELETE FROM counter'))
    found = filled.verify(repair=True)
    assert found.count(('view', True)) == 3
    assert _view(filled, 'parser') == made
    assert filled.state() == before
    assert filled.verify() == []


# -- gc


def test_gc_removes_what_was_dropped(filled: Filled) -> None:
    gone = _view(filled, 'old').uid
    before = filled.state()
    dry = filled.gc(dry=True)
    assert filled.state() == before
    assert filled.gc() == dry == [('view', 'dropped')]
    assert filled.index.viewbyid(gone) is None
    assert not any(gone in name for name in _noted(filled))
    assert filled.verify() == []
    assert filled.gc() == []


def test_gc_keeps_what_is_on_view(filled: Filled) -> None:
    filled.push([6], day=1)
    filled.putview('parser', [3], day=3, bookmarks=())
    # neither [1, 2], of which only a dropped view knows, nor [6]
    gone = [('push', 'age')] * 2
    dry = filled.gc(before=9, dry=True)
    found = filled.gc(before=9)
    assert [one for one in found if one[0] == 'push'] == gone
    assert sorted(dry) == sorted(found)
    assert filled.ids() == [2, 3]
    # a bookmark keeps one, too, and one that rests on others, these
    filled.push([1, 2], day=4)
    filled.push([7], day=4, rests=[filled.index.push(5)])
    filled.push([8], day=4, rests=[filled.index.push(6)])
    filled.putview('parser', [3], day=4, bookmarks=(('m', node(7)),))
    filled.gc(before=9)
    assert filled.ids() == [2, 3, 6]
    assert set(filled.index.locate([node(2), node(7), node(8)])) == {
        node(2),
        node(7),
    }


def test_gc_keeps_what_is_on_view_for_a_time(filled: Filled) -> None:
    """For as long as the view is."""
    dry = filled.gc(before=9, viewsbefore=2.5, dry=True)
    found = filled.gc(before=9, viewsbefore=2.5)
    assert sorted(dry) == sorted(found)
    assert [one for one in found if one[0] != 'bundle'] == [
        ('view', 'age'),
        ('view', 'age'),
        ('version', 'age'),
        ('push', 'age'),
    ]
    assert filled.ids() == [1, 2]
    assert [v.name for v in filled.views()] == ['parser']
    assert filled.verify() == []


def test_gc_keeps_what_is_on_view_from_a_quota(filled: Filled) -> None:
    filled.push([6], day=1)
    filled.putview('old', [2], day=2, dropped=False)
    dry = filled.gc(quota=0, dry=True)
    found = filled.gc(quota=0)
    assert sorted(found) == sorted(dry)
    assert found.count(('push', 'quota')) == 1
    assert filled.ids() == [1, 2, 3]


def test_gc_forgets_what_was_long_ago(filled: Filled) -> None:
    view = _view(filled, 'parser')
    then = filled.index.viewat(view.uid, 2)
    # the second version was there until the third day
    assert ('version', 'age') not in filled.gc(viewsbefore=2.0, dry=True)
    found = filled.gc(viewsbefore=2.5)
    assert found.count(('version', 'age')) == 1
    assert filled.index.viewbyid(view.uid) == view
    assert filled.index.viewat(view.uid, 1) is None
    assert filled.index.viewat(view.uid, 2) == then
    assert sorted(viewnotes.versions(filled.store)[view.uid]) == [2, 3]
    assert filled.verify() == []
    assert filled.gc(viewsbefore=2.5) == []
    before = filled.state()
    filled.loseindex()
    filled.verify(repair=True)
    assert filled.state() == before


def test_history_that_one_of_them_forgot(filled: Filled) -> None:
    view = _view(filled, 'parser')
    filled.index.forgetviews(view.uid, 2)
    assert filled.verify() == []
    viewnotes.squash(filled.store, view, [1, 2])
    assert filled.verify() == []
    filled.index.forgetviews(view.uid, 3)
    assert filled.verify() == []


def test_killed_gc(filled: Filled, tmp_path: Path) -> None:
    """Wherever it is killed, the next one ends it, and nothing is lost that
    was to stay."""
    wish: dict[str, Any] = {'before': 9, 'viewsbefore': 2.5}
    kept = _view(filled, 'parser')
    number = 0
    while True:
        number += 1
        made = filled.copy(tmp_path / f'{number}')
        try:
            made.gc(Mortal(number), **wish)
        except Killed:
            assert made.index.view('alice', 'parser') == kept
        else:
            break
        made.gc(**wish)
        assert made.views() == [kept]
        assert sorted(viewnotes.versions(made.store)) == [kept.uid]
        assert made.verify() == []
        made.index.close()
    assert number > 20


def test_a_view_that_changes_while_gc_removes_it(filled: Filled) -> None:
    view = _view(filled, 'old')

    class Late:
        """Its owner wants it back."""

        __implemented__ = type(filled.index).__implemented__

        def __getattr__(self, name: str) -> Any:
            return getattr(filled.index, name)

        def removeview(self, uid: str, version: int) -> None:
            if uid == view.uid:
                new = view._replace(dropped=False)
                filled.index.putview(new, view.version)
            filled.index.removeview(uid, version)

    def late(backend: Any) -> Any:
        return Late() if backend is filled.index else backend

    assert filled.gc(wrap=late) == []
    assert _view(filled, 'old').version == 3
    assert filled.verify() == []


# -- copies


def test_copies(filled: Filled, tmp_path: Path) -> None:
    target = Filled(tmp_path / 'target')
    assert viewcopy.copy(filled.index, target.index, True).changes == 3
    assert target.views() == []
    assert viewcopy.copy(filled.index, target.index, False).changes == 3
    _same(filled, target)
    assert viewcopy.copy(filled.index, target.index, False).changes == 0
    # two that change their names, one that changes, one that goes, and another
    # that gets its name
    filled.putview('parser', [2], day=9, name='x')
    filled.putview('old', [3], day=9, name='parser', dropped=False)
    filled.putview('x', [2], day=9, name='old')
    gone = _view(filled, 'lexer', 'bob')
    filled.index.removeview(gone.uid)
    filled.putview('lexer', [1], 'bob')
    assert viewcopy.copy(filled.index, target.index, False).changes
    _same(filled, target)
    assert viewcopy.copy(filled.index, target.index, False).changes == 0
    assert list(target.index.problems()) == []


def test_an_index_that_cannot_keep_views(filled: Filled) -> None:
    class Other:
        pass

    bad = viewcopy.copy(filled.index, Other(), False).bad
    assert bad == ('alice/old', 'alice/parser', 'bob/lexer')
    assert viewcopy.copy(Other(), Other(), False) == viewcopy.Done()


def _same(source: Filled, target: Filled) -> None:
    assert source.state().views == target.state().views


# -- records


def test_earlier_and_later() -> None:
    first = View('alice', 'x', (node(1),), (('m', node(1)),), version=1)
    second = first._replace(
        heads=(node(2),), bookmarks=(('n', node(1)),), version=2
    )
    change = viewmodel.change(first, second)
    assert viewmodel.after(first, change) == second
    begin = viewmodel.change(None, first)
    assert viewmodel.after(None, begin) == first
    assert viewmodel.before(second, [change, begin], 1) == first
    assert viewmodel.before(second, [change, begin], 2) == second
    assert viewmodel.before(second, [change], 1) is None
