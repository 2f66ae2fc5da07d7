"""Tests of an index: threads and processes."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import pytest

from ... import errors, model
from .. import processes
from .base import IndexTests
from .data import keyof, moveto, newpush, nodeof


class ConcurrencyTests(IndexTests):
    """Several users at once."""

    # -- several at once

    def test_threads(self, index: Any) -> None:
        def work(thread: int) -> None:
            for number in range(10):
                name = thread * 100 + number
                recorded = index.record(newpush(name, user=f'{thread}'))
                assert index.push(recorded.id) == recorded
                assert index.locate(recorded.nodes)
                own = index.pushes(user=f'{thread}', text='title')
                assert len(own) == number + 1

        with processes.threads(8, work):
            pass
        assert len(index.pushes()) == 80

    @pytest.mark.parametrize('method', processes.METHODS)
    def test_ids_become_visible_in_order(
        self, place: model.Place, index: Any, method: str
    ) -> None:
        # To start a new Python takes long.
        count = 4 if method == 'fork' else 2
        writers = processes.start(
            method, _recordsome, [(type(self), place, n) for n in range(count)]
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
                    name = push.bookmarks[0][0]
                    assert index.bookmark(name)
                    assert push in index.pushes(text=push.text)
        finally:
            codes = processes.join(writers)
        assert codes == [0] * count
        # had one come later with a smaller id, it would not have been seen
        everything = index.pushes()
        last = seen[-1].id if seen else 0
        assert seen == [push for push in everything if push.id <= last]
        assert len(everything) == count * _COUNT
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

        def work(thread: int) -> None:
            number = 0
            while not stop.is_set():
                index.record(newpush((thread, number)))
                index.locate([nodeof(number)])
                number += 1

        with processes.threads(2, work):
            try:
                for number in range(5):
                    processes.run('fork', _useinherited, [(index, number)])
            finally:
                stop.set()
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
        assert index.pushes(text='title') == pushes
        assert index.record(newpush('after')).id > pushes[-1].id


# -- what other processes do

_COUNT = 15
_LOST = 3


def _recordsome(
    suite: type[IndexTests], place: model.Place, writer: int
) -> None:
    index = suite().makeindex(place)
    for number in range(_COUNT):
        name = f'{writer}/{number}'
        moves = [moveto(name, nodeof(name))]
        index.record(newpush(name, count=20, moves=moves))
    index.close()


def _recordsame(suite: type[IndexTests], place: model.Place) -> None:
    index = suite().makeindex(place)
    for number in range(_COUNT):
        push = newpush(f'same {number}')
        assert index.record(push).nodes == push.nodes
    index.close()


def _racefor(suite: type[IndexTests], place: model.Place, number: int) -> None:
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
    assert recorded in index.pushes(text=f'CHILD {number}')
    if number % 2:
        # The others end as workers of servers do, which close nothing.
        index.close()


def _recordforever(
    suite: type[IndexTests], place: model.Place, writer: int
) -> None:
    index = suite().makeindex(place)
    number = 0
    while True:
        index.record(newpush((writer, number), count=200))
        number += 1
