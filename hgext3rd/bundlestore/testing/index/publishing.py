"""Tests of an index: what goes together with the store."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ... import errors, model
from .. import processes
from .base import IndexTests
from .data import ids, keyof, moveto, newpush, nodeof


class Failure(Exception):
    """What only the tests raise."""


class PublishTests(IndexTests):
    """``record`` with ``publish``, and ``discard``."""

    # -- publish

    def test_publish(self, index: Any) -> None:
        calls: list[int] = []
        push = newpush('one', moves=[moveto('x', nodeof('x'))])
        for number in (1, 2):
            found = index.record(
                push._replace(moves=push.moves[: 2 - number]),
                lambda: calls.append(1),
            )
            assert found.id == number
            assert len(calls) == number
        assert index.record(newpush('two'), publish=None).id == 3

    @pytest.mark.parametrize(
        'error',
        [
            *(Failure(), OSError(28, 'of mine'), ValueError(), SystemExit(3)),
            *(errors.BackendUnavailable('the store'), KeyboardInterrupt()),
            *(errors.UnknownPush('not that'), sqlite3.DatabaseError('mine')),
        ],
        ids=repr,
    )
    @pytest.mark.parametrize('first', [True, False])
    def test_publish_fails(
        self, index: Any, error: BaseException, first: bool
    ) -> None:
        """It comes out as it is, and nothing is recorded."""
        if not first:
            index.record(newpush('before'))
        before = index.pushes()

        def publish() -> None:
            raise error

        push = newpush('one', count=20, moves=[moveto('x', nodeof('x'))])
        with pytest.raises(type(error)) as caught:
            index.record(push, publish)
        assert caught.value is error
        assert index.pushes() == before
        assert index.locate(push.nodes) == {}
        assert index.bookmarks() == []
        assert index.usage('alice').pushes == len(before)
        found = index.record(push, lambda: None)
        assert index.pushes() == [*before, found]

    def test_nothing_is_published_that_is_refused(self, index: Any) -> None:
        a = nodeof('a')
        index.record(newpush('one', moves=[moveto('x', a)]))

        def publish() -> None:
            pytest.fail('this was published')

        new = newpush('new')
        for push, quota, error in (
            (new._replace(moves=(moveto('x', a),)), None, errors.BookmarkMoved),
            (new._replace(rests=(keyof('gone'),)), None, errors.BundleGone),
            (new, 1, errors.QuotaExceeded),
            (new._replace(key='../x'), None, errors.InvalidKey),
        ):
            with pytest.raises(error):
                index.record(push, publish, quota)
        assert ids(index.pushes()) == [1]

    def test_published_before_it_is_seen(
        self, place: model.Place, index: Any
    ) -> None:
        """Others look at the index meanwhile, and do not wait."""
        index.record(newpush('one'))
        push = newpush('two')
        published = threading.Event()
        goon = threading.Event()
        found: list[Any] = []

        def publish() -> None:
            published.set()
            assert goon.wait(processes.PATIENCE)

        def work(_number: int) -> None:
            found.append(index.record(push, publish))

        with processes.threads(1, work):
            assert published.wait(processes.PATIENCE)
            try:
                for some in (index, self.makeindex(place)):
                    assert some.lastid() == 1
                    assert some.locate(push.nodes) == {}
            finally:
                goon.set()
        assert index.pushes()[1:] == found

    def test_fork_while_something_is_published(self, index: Any) -> None:
        """Whoever forks, nobody waits for what waits for him."""
        index.record(newpush('one'))
        status: list[int] = []

        def publish() -> None:
            pid = os.fork()
            if not pid:
                os._exit(0)
            status.append(os.waitpid(pid, 0)[1])
            # nor does this wait for a fork that waits for this
            assert index.lastid() == 1

        recorded = index.record(newpush('two'), publish)
        assert status == [0]
        assert recorded in index.pushes()
        published = threading.Event()
        goon = threading.Event()

        def slowly() -> None:
            published.set()
            assert goon.wait(processes.PATIENCE)
            # 3 where the child need not wait for this
            assert index.lastid() in (2, 3)

        def work(_number: int) -> None:
            index.record(newpush('three'), slowly)

        with processes.threads(1, work):
            assert published.wait(processes.PATIENCE)
            timer = threading.Timer(0.1, goon.set)
            timer.start()
            processes.run('fork', _useinherited, [(index,)])
            timer.join()
        assert len(index.pushes()) == 4

    def test_killed_while_something_is_published(
        self, place: model.Place, index: Any
    ) -> None:
        first = index.record(newpush('one'))
        (code,) = processes.join(
            processes.start('fork', _dieinpublish, [(type(self), place)])
        )
        assert code < 0
        push = newpush('two', count=300)
        assert index.pushes() == [first]
        assert index.locate(push.nodes) == {}
        assert index.bookmarks() == []
        assert list(index.problems()) == []
        assert index.record(push).id == 2

    # -- discard

    def test_discard(self, place: model.Place, index: Any) -> None:
        deleted: list[str] = []
        base = newpush('base')
        top = newpush('top')._replace(rests=(base.key,))
        index.record(base)
        index.record(top)
        index.remove(1)
        for key in (base.key, top.key):
            assert index.discard(key, lambda: deleted.append('no')) is False
        assert deleted == []
        assert sorted(index.remove(2)) == sorted([base.key, top.key])
        for key in (base.key, keyof('never')):
            # whatever it returns
            assert index.discard(key, lambda: deleted.append('yes')) is True
        assert deleted == ['yes', 'yes']
        with pytest.raises(errors.InvalidKey):
            index.discard('../x', lambda: deleted.append('no'))
        for error in (Failure(), errors.UnknownKey('gone'), OSError(5, 'x')):

            def fail(error: BaseException = error) -> None:
                raise error

            with pytest.raises(type(error)) as caught:
                index.discard(base.key, fail)
            assert caught.value is error
        assert index.record(base).id == 3

    def test_record_waits_for_discard(
        self, place: model.Place, index: Any
    ) -> None:
        other = self.makeindex(place)
        push = newpush('one')
        index.record(push)
        index.remove(1)
        deleting = threading.Event()
        events: list[str] = []

        def delete() -> None:
            deleting.set()
            # long enough for who would not wait
            time.sleep(0.3)
            events.append('deleted')

        def work(_number: int) -> None:
            assert deleting.wait(processes.PATIENCE)
            other.record(push, lambda: events.append('published'))

        with processes.threads(1, work):
            assert index.discard(push.key, delete) is True
        assert events == ['deleted', 'published']
        other.close()

    def test_discard_waits_for_record(
        self, place: model.Place, index: Any
    ) -> None:
        other = self.makeindex(place)
        push = newpush('one')
        index.record(newpush('before'))
        publishing = threading.Event()

        def publish() -> None:
            publishing.set()
            time.sleep(0.3)

        def work(_number: int) -> None:
            assert publishing.wait(processes.PATIENCE)
            assert other.discard(push.key, lambda: pytest.fail('deleted')) is (
                False
            )

        with processes.threads(1, work):
            index.record(push, publish)
        other.close()

    def test_discard_meets_record(
        self, place: model.Place, index: Any, tmp_path: Path
    ) -> None:
        """What is recorded is in the store, whoever deletes meanwhile."""
        for number in range(_RACES):
            index.record(newpush(number, user='bob'))
            (tmp_path / keyof(number)).touch()
        barrier = multiprocessing.get_context('fork').Barrier(3)
        processes.run(
            'fork',
            _race,
            [
                (type(self), place, tmp_path, barrier, number)
                for number in range(3)
            ],
        )
        stored = {path.name for path in tmp_path.iterdir()}
        assert stored == {push.key for push in index.pushes()}
        held = index.usage('alice')
        assert held.pushes == len(index.pushes(user='alice'))
        assert list(index.problems()) == []


# -- what other processes do

_RACES = 30


def _useinherited(index: Any) -> None:
    index.record(newpush('child'))


def _dieinpublish(suite: type[IndexTests], place: model.Place) -> None:
    index = suite().makeindex(place)
    push = newpush('two', count=300, moves=[moveto('x', nodeof('x'))])
    index.record(push, processes.killself)


def _race(
    suite: type[IndexTests],
    place: model.Place,
    folder: Path,
    barrier: Any,
    role: int,
) -> None:
    index = suite().makeindex(place)
    for number in range(_RACES):
        path = folder / keyof(number)
        barrier.wait(processes.PATIENCE)
        if role:
            index.record(newpush(number), path.touch)
            continue
        # the first push of it, and whatever else there is by now
        for push in index.pushes(node=newpush(number).nodes[0]):
            for key in index.remove(push.id):
                with contextlib.suppress(FileNotFoundError):
                    index.discard(key, (folder / key).unlink)
    index.close()
