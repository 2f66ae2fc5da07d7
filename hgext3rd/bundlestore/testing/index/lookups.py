"""Tests of an index: what finds changesets and bookmarks."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from ... import errors, model
from ..reference import ReferenceIndex
from .base import IndexTests
from .data import HOSTILE_TEXTS, ids, keyof, moveto, newpush, nodeof


class LookupTests(IndexTests):
    """``locate``, ``nodes``, ``bookmark`` and ``bookmarks``."""

    # -- locate and nodes

    def test_locate(self, index: Any) -> None:
        push = newpush('one', count=3)
        index.record(push)
        found = index.locate(iter([*push.nodes, nodeof('other'), b'', b'x']))
        assert found == {
            node: model.Location(node, push.key, push.size, ishead)
            for node, ishead in zip(push.nodes, (False, False, True))
        }
        assert isinstance(found[push.nodes[0]], model.Location)
        assert [type(f.ishead) for f in found.values()] == [bool] * 3
        assert index.locate([]) == {}

    def test_locate_prefers_heads_then_the_first(self, index: Any) -> None:
        a, b, c = nodeof('a'), nodeof('b'), nodeof('c')

        def where(node: bytes) -> str:
            found = index.locate([node])[node]
            names = {keyof(name): name for name in range(9)}
            return f'{names[found.key]}{"h" if found.ishead else ""}'

        index.record(newpush(0, nodes=[a, b]))
        assert (where(a), where(b)) == ('0', '0h')
        # a later push on top does not move them
        index.record(newpush(1, nodes=[a, b, c]))
        assert (where(a), where(b), where(c)) == ('0', '0h', '1h')
        # one that has it as a head does
        index.record(newpush(2, nodes=[a]))
        assert (where(a), where(b)) == ('2h', '0h')
        # one more head does not
        index.record(newpush(3, nodes=[c, a, b], heads=[c, a, b]))
        assert (where(a), where(b), where(c)) == ('2h', '0h', '1h')
        # what is gone is not preferred
        index.remove(3)
        assert (where(a), where(b), where(c)) == ('3h', '0h', '1h')
        index.remove(1)
        assert (where(a), where(b)) == ('3h', '3h')

    def test_locate_without_some_bundles(self, index: Any) -> None:
        """What cannot be read is passed over, also where it is only kept for
        others and where it was pushed more than once."""
        a, b, c = nodeof('a'), nodeof('b'), nodeof('c')
        index.record(newpush(0, nodes=[a, b]))
        index.record(newpush(0, nodes=[a, b]))
        index.record(newpush(1, nodes=[c])._replace(rests=(keyof(0),)))
        index.remove(1)
        index.remove(2)
        index.record(newpush(2, nodes=[a, b, c]))
        index.record(newpush(3, nodes=[b]))
        keys = [keyof(name) for name in range(4)]

        def where(*passed: int) -> list[tuple[int, bool]]:
            without = {keys[name] for name in passed} | {keyof('none'), 'x'}
            found = index.locate([a, b, c, nodeof('other')], without)
            return [
                (keys.index(found[n].key), found[n].ishead)
                for n in (a, b, c)
                if n in found
            ]

        assert where() == [(0, False), (0, True), (1, True)]
        assert where(0) == [(2, False), (3, True), (1, True)]
        assert where(1) == [(0, False), (0, True), (2, True)]
        assert where(0, 3) == [(2, False), (2, False), (1, True)]
        assert where(0, 1, 2) == [(3, True)]
        assert where(0, 1, 2, 3) == []
        # what rests on it is not passed over, and tells so
        assert index.locate([c], {keys[0]})[c].rests == (keys[0],)

    def test_locate_thousands(self, index: Any) -> None:
        nodes = [nodeof(n) for n in range(5000)]
        index.record(newpush('large', nodes=nodes[:2500]))
        index.record(newpush('other', nodes=nodes[2000:2500]))
        assert set(index.locate(nodes)) == set(nodes[:2500])
        assert set(index.locate(nodes + nodes)) == set(nodes[:2500])

    def test_nodes(self, index: Any) -> None:
        nodes = [nodeof(n) for n in range(2000)]
        index.record(newpush('one', nodes=nodes))
        index.record(newpush('two', nodes=nodes[500:]))
        special = [b'\0' * 20, b'\xff' * 20, b'\xff' * 19 + b'\xfe']
        index.record(newpush('three', nodes=special))
        held = sorted(nodes + special)
        some = nodes[1000].hex()
        prefixes = [some[:length] for length in range(1, 41)]
        prefixes += ['0', 'f', 'ff', 'f' * 39, 'f' * 40, '0' * 40]
        for prefix in prefixes:
            matching = [n for n in held if n.hex().startswith(prefix)]
            assert index.nodes(prefix) == matching[:10]
            assert index.nodes(prefix, limit=1000000) == matching
            assert index.nodes(prefix, limit=1) == matching[:1]
        assert index.nodes('0', limit=0) == []
        assert index.nodes('0' * 39 + '1') == []

    @pytest.mark.parametrize(
        'prefix',
        [
            *('', 'a' * 41, 'A', 'g', ' ', '0x', '-1', 'a\n', '%', '*'),
            *('\u0661', '\udc80', 'a\0', b'a', None, 1),
        ],
        ids=repr,
    )
    def test_prefix_of_another_form(self, index: Any, prefix: Any) -> None:
        for _empty_or_not in range(2):
            with pytest.raises(ValueError, match=r'^'):
                index.nodes(prefix)
            index.record(newpush('one'))

    # -- bookmarks

    def test_bookmarks_move(self, index: Any) -> None:
        a, b = nodeof('a'), nodeof('b')
        assert index.bookmark('x') is None
        index.record(newpush(1, moves=[moveto('x', a), moveto('y', a)]))
        assert index.bookmark('x') == a
        index.record(newpush(2, moves=[moveto('x', b, a)]))
        assert index.bookmark('x') == b
        moved = index.movebookmarks([moveto('y', b, a), moveto('x', b, b)])
        # what was there is not moved
        assert moved == model.Moved(3, (('y', b),))
        assert index.bookmarks() == [
            model.Bookmark('x', b, 2),
            model.Bookmark('y', b, None, 3),
        ]
        index.record(newpush(3, moves=[moveto('x', None, b)]))
        moved = index.movebookmarks([moveto('y', None, b), moveto('z', a)])
        assert moved == model.Moved(5, (('y', None), ('z', a)), (('y', 3),))
        assert index.bookmarks() == [model.Bookmark('z', a, None, 5)]
        assert index.push(1).bookmarks == (('x', a), ('y', a))
        assert index.push(4).bookmarks == (('x', None),)
        assert index.movebookmarks([]) == model.Moved(5)
        assert ids(index.pushes()) == [1, 2, 4]
        for id in (3, 5):
            with pytest.raises(errors.UnknownPush):
                index.push(id)
        assert index.moved(['z', 'y', 'x', 'absent', '\udc80']) == {'x', 'y'}
        for id in (1, 2):
            index.remove(id)
        assert index.moved('xyz') == set()

    def test_moves_of_one_push_see_each_other(self, index: Any) -> None:
        a, b = nodeof('a'), nodeof('b')
        moves = [moveto('x', a), moveto('x', b, a), moveto('x', a, b)]
        index.record(newpush(1, moves=moves))
        assert index.bookmark('x') == a
        assert index.push(1).bookmarks == (('x', a), ('x', b), ('x', a))

    def test_bookmark_is_not_where_it_was(self, index: Any) -> None:
        a, b, c = nodeof('a'), nodeof('b'), nodeof('c')
        first = index.record(newpush(1, moves=[moveto('x', a)]))
        for actual, move in [
            (a, moveto('x', b, None)),
            (a, moveto('x', b, c)),
            (a, moveto('x', None, b)),
            (a, moveto('x', None, None)),
            (None, moveto('new', b, c)),
            (None, moveto('new', None, c)),
        ]:
            moves = [moveto('other', a), move]
            with pytest.raises(errors.BookmarkMoved) as caught:
                index.record(newpush(2, moves=moves))
            assert caught.value.name == move.name
            assert caught.value.actual == actual
            with pytest.raises(errors.BookmarkMoved) as caught:
                index.movebookmarks(moves)
            assert caught.value.name == move.name
            assert caught.value.actual == actual
        assert index.pushes() == [first]
        assert index.lastid() == 1
        assert index.bookmarks() == [model.Bookmark('x', a, 1)]
        assert index.locate(newpush(2).nodes) == {}

    def test_forced_move(self, index: Any) -> None:
        a, b = nodeof('a'), nodeof('b')

        def force(new: Optional[bytes]) -> model.BookmarkMove:
            return model.BookmarkMove('x', new, nodeof('c'), force=True)

        index.record(newpush(1, moves=[force(a)]))
        index.record(newpush(2, moves=[force(b)]))
        assert index.bookmark('x') == b
        index.movebookmarks([force(a)])
        index.movebookmarks([force(None)])
        index.movebookmarks([force(None)])
        assert index.bookmark('x') is None

    def test_who_put_a_bookmark_where_it_is(self, index: Any) -> None:
        a, b = nodeof('a'), nodeof('b')
        index.record(newpush(1, moves=[moveto('x', a), moveto('y', a)]))
        index.record(
            newpush(2, user='bob', time=7.5, moves=[moveto('x', b, a)])
        )
        assert index.listbookmarks() == [
            model.ListedBookmark('x', b, 2, 'bob', 7.5),
            model.ListedBookmark('y', a, 1, 'alice', 1700000000.25),
        ]
        index.movebookmarks([moveto('y', b, a)], 9.25, 'bob')
        # one that is there already is not moved
        index.movebookmarks([moveto('x', b, b)], 10.0, 'bob')
        found = [
            model.ListedBookmark('x', b, 2, 'bob', 7.5),
            model.ListedBookmark('y', b, None, 'bob', 9.25),
        ]
        assert index.listbookmarks('?') == found
        index.forgetmoves(100.0)
        assert index.listbookmarks() == found
        assert index.listbookmarks(after='x') == found[1:]
        assert index.listbookmarks(after='y') == []
        assert index.listbookmarks(limit=1) == found[:1]
        index.restoremove(model.RestoredMove(8, 'y', a, 11.0, 'alice'))
        index.restore(index.push(2)._replace(time=8.0, user='bob'))
        assert index.listbookmarks() == [
            model.ListedBookmark('x', b, 2, 'bob', 8.0),
            model.ListedBookmark('y', a, None, 'alice', 11.0),
        ]

    def test_patterns(self, index: Any, reference: ReferenceIndex) -> None:
        names = [f'scratch/{text}' for text in HOSTILE_TEXTS[:-1]]
        names += HOSTILE_TEXTS[:-1]
        names += [f'a{n}/{m}' for n in range(3) for m in range(30)]
        for some in (index, reference):
            some.record(
                newpush(1, moves=[moveto(name, nodeof(name)) for name in names])
            )
        patterns = [*names, '*', '', '?', '??', 'scratch/*', 'scratch/?']
        patterns += ['*/a', '*a*', 'a*/2?', 'a?/?', 'A*', 'a[12]/*', '*]', '**']
        patterns += ['*[*', '\U0010ffff*', 'scratch/\U0010ffff*', '\ud7ff*']
        patterns += ['*' * 100 + 'a', '*a' * 20, 'a*\0', '\udc80*', 'x' * 60000]
        for pattern in patterns:
            found = index.bookmarks(pattern)
            assert found == reference.bookmarks(pattern), pattern[:50]
            assert index.bookmarks(pattern, limit=2) == found[:2]
            assert index.bookmarks(pattern=pattern, limit=0) == []
            listed = index.listbookmarks(pattern)
            assert listed == reference.listbookmarks(pattern), pattern[:50]
            middle = listed[len(listed) // 2].name if listed else 'a1/7'
            assert index.listbookmarks(
                pattern, after=middle, limit=3
            ) == reference.listbookmarks(pattern, middle, 3)
        assert index.bookmarks(limit=1000) == reference.bookmarks()
        for name in [*names, 'a', 'scratch', 'A*', '\udc80', '\0', '']:
            assert index.bookmark(name) == reference.bookmark(name)
