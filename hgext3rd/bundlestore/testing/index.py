"""Certifies a bundle index.

Subclass :class:`IndexConformance` in a test module; see the package.
"""

from __future__ import annotations

import abc
import hashlib
import itertools
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import pytest
from zope.interface import providedBy
from zope.interface.verify import verifyObject

from .. import errors, model
from ..interfaces import IBundleIndex
from . import processes
from .reference import ReferenceIndex, pushof

#: users, bookmark names and titles that break what is not careful
HOSTILE_TEXTS = [
    "Robert'); DROP TABLE push;--",
    '"quoted"',
    'back\\slash',
    'per%cent_under',
    '100%',
    '[a-z]',
    '[',
    ']',
    '*',
    '?',
    '**',
    '?*[!a]',
    'brace{s}',
    '%s %d {0} :name ?1 $1',
    ' leading and trailing ',
    'tab\tand\nnewline',
    'NULL',
    '-1',
    '0',
    '1e5',
    'äöüß',
    'e\u0301 and \u00e9',
    '\u65e5\u672c\u8a9e',
    '\U0001f600',
    '\U0010ffff',
    '\ud7ff\ue000',
    'A',
    'a',
    'x' * 5000,
]


def nodeof(name: object) -> bytes:
    return hashlib.sha1(f'{name}'.encode()).digest()


def keyof(name: object) -> str:
    return hashlib.sha256(f'{name}'.encode()).hexdigest()


def moveto(
    name: str, new: Optional[bytes], old: Optional[bytes] = None
) -> model.BookmarkMove:
    return model.BookmarkMove(name, new, old)


def newpush(
    name: object,
    count: int = 1,
    user: str = 'alice',
    moves: Sequence[model.BookmarkMove] = (),
    nodes: Sequence[bytes] = (),
    heads: Sequence[bytes] = (),
    title: str = 'a title',
) -> model.NewPush:
    """Return a push of a bundle that is called ``name``.

    It has ``count`` changesets, or ``nodes``, of which the last is the head
    if there are no ``heads``.
    """
    nodes = tuple(nodes) or tuple(nodeof((name, n)) for n in range(count))
    return model.NewPush(
        time=1700000000.25,
        user=user,
        key=keyof(name),
        size=1000 + len(nodes),
        nodes=nodes,
        heads=tuple(model.Head(n, title) for n in heads or nodes[-1:]),
        moves=tuple(moves),
    )


def ids(pushes: Sequence[model.Push]) -> list[int]:
    return [push.id for push in pushes]


class IndexConformance(abc.ABC):
    """Every index passes these tests."""

    pytestmark = pytest.mark.filterwarnings(
        # Python 3.12 sees threads of the test runner
        'ignore:.*fork:DeprecationWarning'
    )

    @abc.abstractmethod
    def makeindex(self, place: model.Place) -> Any:
        """Return a new object for the index of ``place``.

        Two calls for one place, perhaps in two processes, return two objects
        that show the same index; another place has another, empty index.
        """

    @pytest.fixture
    def place(self, tmp_path: Path) -> model.Place:
        return model.Place(os.fsencode(tmp_path / 'of' / 'repository'))

    @pytest.fixture
    def index(self, place: model.Place) -> Iterator[Any]:
        index = self.makeindex(place)
        yield index
        index.close()

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
        assert index.locate([nodeof(1)]) == {}
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
        assert second == first._replace(id=second.id, user='bob', time=5.0)
        assert index.pushes() == [first, second]
        assert set(index.locate(push.nodes)) == set(push.nodes)

    def test_another_object_shows_the_same_index(
        self, place: model.Place, index: Any
    ) -> None:
        other = self.makeindex(place)
        recorded = index.record(newpush('one'))
        assert other.push(1) == recorded
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
        index.movebookmarks([moveto('y', b, a)])
        assert index.bookmarks() == [
            model.Bookmark('x', b, 2),
            model.Bookmark('y', b, None),
        ]
        index.record(newpush(3, moves=[moveto('x', None, b)]))
        index.movebookmarks([moveto('y', None, b)])
        assert index.bookmarks() == []
        assert index.push(1).bookmarks == (('x', a), ('y', a))
        assert index.push(3).bookmarks == (('x', None),)
        index.movebookmarks([])

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

    def test_patterns(self, index: Any) -> None:
        reference = ReferenceIndex()
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
        assert index.bookmarks(limit=1000) == reference.bookmarks()
        for name in [*names, 'a', 'scratch', 'A*', '\udc80', '\0', '']:
            assert index.bookmark(name) == reference.bookmark(name)

    def test_hostile_texts(self, index: Any) -> None:
        everything = []
        for id, text in enumerate(HOSTILE_TEXTS, 1):
            moves = [moveto(text, nodeof('x'))]
            push = newpush(id, user=text, title=text, moves=moves)
            recorded = index.record(push)
            assert recorded == pushof(id, push)
            everything.append(recorded)
        assert index.pushes() == everything
        assert [b.name for b in index.bookmarks()] == sorted(HOSTILE_TEXTS)
        for push in everything:
            text, node = push.user, push.nodes[0]
            assert index.pushes(user=text) == [push]
            assert index.pushes(user=text, node=node) == [push]
            assert index.bookmark(text) == nodeof('x')
            index.remove(push.id)
            assert index.bookmark(text) is None

    # -- lists of pushes

    def test_pushes(self, index: Any) -> None:
        reference = ReferenceIndex()
        users = ['alice', 'bob', '', 'carol']
        for number in range(40):
            push = newpush(
                number % 30,
                user=users[number % 3],
                nodes=[nodeof(n) for n in range(number % 30, number % 30 + 5)],
                moves=[moveto(f'{number}', nodeof(number))] * (number % 2),
            )
            index.record(push)
            reference.record(push)
        for id in (3, 17, 18, 40):
            index.remove(id)
            reference.remove(id)
        filters: list[dict[str, Any]] = [
            {},
            {'user': 'alice'},
            {'user': ''},
            {'user': 'carol'},
            {'user': 'Alice'},
            {'user': '\udc80'},
            {'node': nodeof(10)},
            {'node': nodeof('other')},
            {'node': nodeof(10), 'user': 'bob'},
        ]
        for first, last, some, limit, newestfirst in itertools.product(
            (-5, 1, 16, 40, 41, 1 << 70),
            (None, -1, 0, 1, 17, 39, 1 << 70),
            filters,
            (None, 0, 1, 7, 1000),
            (False, True),
        ):
            arguments: dict[str, Any] = {
                'first': first,
                'last': last,
                'limit': limit,
                'newestfirst': newestfirst,
                **some,
            }
            found = index.pushes(**arguments)
            assert found == reference.pushes(**arguments), arguments

    # -- removal

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

    def test_remove_one_of_two_pushes_of_a_bundle(self, index: Any) -> None:
        push = newpush('same', count=2)
        for _time in range(2):
            index.record(push)
        assert index.remove(1) == []
        assert len(index.locate(push.nodes)) == 2
        assert ids(index.pushes(node=push.nodes[0])) == [2]
        assert index.remove(2) == [push.key]
        assert index.locate(push.nodes) == {}
        # and once more, from nothing
        assert index.record(push).id > 2
        assert len(index.locate(push.nodes)) == 2

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
            model.Bookmark('pushkey', b, None),
            model.Bookmark('stays', a, 2),
        ]
        index.remove(3)
        assert index.bookmark('moved') is None

    # -- everything together

    @pytest.mark.parametrize('seed', range(4))
    def test_against_the_reference(self, index: Any, seed: int) -> None:
        chance = random.Random(seed)
        reference = ReferenceIndex()
        for _step in range(60):
            name, arguments = _randomcall(chance, reference)
            outcomes = []
            for some in (index, reference):
                try:
                    outcomes.append(getattr(some, name)(*arguments))
                except errors.BundleStoreError as exc:
                    outcomes.append(type(exc))
            assert outcomes[0] == outcomes[1]
            for look, argument in _LOOKS:
                found = getattr(index, look)(*argument)
                assert found == getattr(reference, look)(*argument)

    # -- several at once

    def test_threads(self, index: Any) -> None:
        failures: list[BaseException] = []

        def work(thread: int) -> None:
            try:
                for number in range(10):
                    name = thread * 100 + number
                    recorded = index.record(newpush(name, user=f'{thread}'))
                    assert index.push(recorded.id) == recorded
                    assert index.locate(recorded.nodes)
                    own = index.pushes(user=f'{thread}')
                    assert len(own) == number + 1
            except BaseException as exc:
                failures.append(exc)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(index.pushes()) == 80

    @pytest.mark.parametrize('method', processes.METHODS)
    def test_ids_become_visible_in_order(
        self, place: model.Place, index: Any, method: str
    ) -> None:
        writers = processes.start(
            method, _recordsome, [(type(self), place, n) for n in range(4)]
        )
        seen: list[model.Push] = []
        try:
            while any(writer.is_alive() for writer in writers):
                highest = index.lastid()
                new = index.pushes(first=seen[-1].id + 1 if seen else 1)
                assert not highest or (seen + new)[-1].id >= highest
                seen += new
                # of what is visible, all is
                for push in new:
                    assert len(index.locate(push.nodes)) == len(push.nodes)
                    assert index.bookmark(push.bookmarks[0][0])
        finally:
            codes = processes.join(writers)
        assert codes == [0] * 4
        # had one come later with a smaller id, it would not have been seen
        everything = index.pushes()
        last = seen[-1].id if seen else 0
        assert seen == [push for push in everything if push.id <= last]
        assert len(everything) == 4 * _COUNT
        names = {push.bookmarks[0][0] for push in everything}
        assert names == {b.name for b in index.bookmarks()}

    def test_same_bundle_recorded_at_once(
        self, place: model.Place, index: Any
    ) -> None:
        processes.run('fork', _recordsame, [(type(self), place)] * 4)
        assert len(index.pushes()) == 4 * _COUNT
        node = newpush('same 0').nodes[0]
        assert len(index.pushes(node=node)) == 4
        assert index.locate([node])[node].key == keyof('same 0')

    def test_one_of_many_moves_a_bookmark(
        self, place: model.Place, index: Any
    ) -> None:
        codes = processes.join(
            processes.start(
                'fork', _racefor, [(type(self), place, n) for n in range(4)]
            )
        )
        assert sorted(codes) == [0, _LOST, _LOST, _LOST]
        winner = codes.index(0)
        assert index.bookmark('contested') == nodeof(winner)
        (push,) = index.pushes()
        assert push.user == f'{winner}'

    def test_index_survives_a_fork(self, index: Any) -> None:
        index.record(newpush('before'))
        processes.run('fork', _useinherited, [(index, n) for n in range(3)])
        index.record(newpush('after'))
        assert len(index.pushes()) == 5
        assert len({push.id for push in index.pushes()}) == 5

    def test_fork_while_threads_work(self, index: Any) -> None:
        stop = threading.Event()
        failures: list[BaseException] = []

        def work(thread: int) -> None:
            try:
                number = 0
                while not stop.is_set():
                    index.record(newpush((thread, number)))
                    index.locate([nodeof(number)])
                    number += 1
            except BaseException as exc:
                failures.append(exc)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
        for thread in threads:
            thread.start()
        try:
            for number in range(5):
                processes.run('fork', _useinherited, [(index, number)])
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert failures == []
        for number in range(5):
            assert index.locate(newpush(('child', number)).nodes)

    def test_killed_writer(self, place: model.Place, index: Any) -> None:
        index.record(newpush('before'))
        for number in range(3):
            (writer,) = processes.start(
                'fork', _recordforever, [(type(self), place, number)]
            )
            deadline = time.monotonic() + processes.PATIENCE
            start = index.lastid()
            while index.lastid() == start and time.monotonic() < deadline:
                time.sleep(0.001)
            writer.kill()
            processes.join([writer])
        pushes = index.pushes()
        assert len(pushes) > 3
        for push in pushes:
            assert set(index.locate(push.nodes)) == set(push.nodes)
        assert index.record(newpush('after')).id > pushes[-1].id


# -- what other processes do

_COUNT = 15
_LOST = 3


def _recordsome(
    suite: type[IndexConformance], place: model.Place, writer: int
) -> None:
    index = suite().makeindex(place)
    for number in range(_COUNT):
        name = f'{writer}/{number}'
        moves = [moveto(name, nodeof(name))]
        index.record(newpush(name, count=20, moves=moves))
    index.close()


def _recordsame(suite: type[IndexConformance], place: model.Place) -> None:
    index = suite().makeindex(place)
    for number in range(_COUNT):
        push = newpush(f'same {number}')
        assert index.record(push).nodes == push.nodes
    index.close()


def _racefor(
    suite: type[IndexConformance], place: model.Place, number: int
) -> None:
    index = suite().makeindex(place)
    moves = [moveto('contested', nodeof(number))]
    try:
        index.record(newpush(number, user=f'{number}', moves=moves))
    except errors.BookmarkMoved:
        sys.exit(_LOST)
    finally:
        index.close()


def _useinherited(index: Any, number: int) -> None:
    recorded = index.record(newpush(('child', number)))
    assert index.push(recorded.id) == recorded
    index.close()


def _recordforever(
    suite: type[IndexConformance], place: model.Place, writer: int
) -> None:
    index = suite().makeindex(place)
    number = 0
    while True:
        index.record(newpush((writer, number), count=200))
        number += 1


# -- random use

_NAMES = ['a', 'b', 'c/1', 'c/2']
_LOOKS: list[tuple[str, tuple[Any, ...]]] = [
    ('lastid', ()),
    ('pushes', ()),
    ('bookmarks', ()),
    ('bookmarks', ('c/*',)),
    ('locate', ([nodeof(n) for n in range(30)],)),
    ('nodes', ('a',)),
]


def _randomcall(
    chance: random.Random, reference: ReferenceIndex
) -> tuple[str, tuple[Any, ...]]:
    """Return the name of a method that writes, and arguments."""
    calls: list[Callable[[], tuple[str, tuple[Any, ...]]]] = [
        lambda: ('record', (_randompush(chance, reference),)),
        lambda: ('record', (_randompush(chance, reference),)),
        lambda: ('movebookmarks', (_randommoves(chance, reference),)),
        lambda: ('remove', (chance.randrange(reference.lastid() + 2),)),
    ]
    return chance.choice(calls)()


def _randompush(
    chance: random.Random, reference: ReferenceIndex
) -> model.NewPush:
    # A bundle that comes again is the same one.
    name = chance.randrange(15)
    own = random.Random(name)
    nodes = [nodeof(n) for n in own.sample(range(30), own.randrange(1, 6))]
    return newpush(
        name,
        user=chance.choice('xyz'),
        nodes=nodes,
        heads=own.sample(nodes, own.randrange(1, len(nodes) + 1)),
        moves=_randommoves(chance, reference),
    )


def _randommoves(
    chance: random.Random, reference: ReferenceIndex
) -> list[model.BookmarkMove]:
    """Return moves of which most will do."""
    moves = []
    for name in chance.sample(_NAMES, chance.randrange(3)):
        old = reference.bookmark(name)
        if chance.random() < 0.1:
            old = nodeof('wrong')
        new = None if chance.random() < 0.2 else nodeof(chance.random())
        force = chance.random() < 0.2
        moves.append(model.BookmarkMove(name, new, old, force))
    return moves
