"""The index in an SQL database.

A changeset has a row for each push that brought it, so that the pushes which
hold it can be listed page by page.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Callable, Optional, TypeVar, Union

from ... import errors, model
from . import (
    bundles,
    deliveries,
    details,
    labels,
    lists,
    lookups,
    privacy,
    problems,
    pushes,
    repairs,
    usage,
    words,
)

if TYPE_CHECKING:
    from ...viewmodel import View, ViewChange, ViewCounts, ViewSummary
    from .dialect import Database, Row, Sql
    from .views import Views

_T = TypeVar('_T')

_LAST = pushes.LAST
_NODE = bundles.NODE
_HEXDIGITS = frozenset('0123456789abcdef')


class SqlIndex:
    """The index in a database.

    It has the methods of ``IBundleIndex``. What provides one tells so in its
    own class, with what else it is able to.
    """

    #: who looks; None: whoever keeps it, and sees everything
    _viewer: Optional[privacy.Viewer] = None

    def __init__(self, database: Database) -> None:
        self._database = database

    def seen(self, user: str, uid: Optional[str] = None) -> SqlIndex:
        """Return the index as somebody sees it, see ``IPrivacy``."""
        made = object.__new__(type(self))
        vars(made).update(vars(self), _viewer=privacy.Viewer(user, uid))
        return made

    # -- writing

    def record(
        self,
        push: model.NewPush,
        publish: Optional[Callable[[], object]] = None,
        quota: Optional[int] = None,
    ) -> model.Push:
        _check(push)
        id, rests, below = self._database.share(
            lambda sql: pushes.check(sql, push, quota),
            None if publish is None else lambda _checked: publish(),
            lambda sql, checked: pushes.record(sql, push, checked),
            lambda sql, recorded: pushes.isrecorded(sql, push, recorded[0]),
        )
        return model.Push(
            id,
            float(push.time),
            push.user,
            push.key,
            push.size,
            tuple(push.nodes),
            tuple(push.heads),
            tuple((move.name, move.new) for move in push.moves),
            push.text,
            rests,
            below,
            pushvars=tuple(push.pushvars),
            branches=tuple(sorted(push.branches)),
            private=push.private,
        )

    def movebookmarks(
        self,
        moves: Iterable[model.BookmarkMove],
        time: float = 0.0,
        user: str = '',
        quota: Optional[int] = None,
    ) -> model.Moved:
        wanted = tuple(moves)
        if not wanted:
            return model.Moved(self.lastid())
        _checknames(user, *(move.name for move in wanted))
        return self._database.share(
            lambda sql: pushes.planevent(sql, wanted, user, quota),
            None,
            lambda sql, plan: pushes.movebookmarks(sql, plan, time, user),
        )

    def forgetmoves(self, before: float) -> None:
        def forget(sql: Sql, _found: None) -> None:
            sql.run('DELETE FROM event WHERE time < ?', (float(before),))

        if self.lastid():
            self._database.share(lambda sql: None, None, forget)

    def remove(self, id: int, evenpinned: bool = True) -> list[str]:
        self._require(id)
        return self._database.share(
            lambda sql: pushes.choose(sql, id, evenpinned),
            None,
            lambda sql, chosen: pushes.remove(sql, id, *chosen),
        )

    def discard(self, key: str, delete: Callable[[], object]) -> bool:
        model.checkkey(key)

        def needless(sql: Sql) -> bool:
            sql.lock([key])
            return bundles.find(sql, key) is None

        return self._database.share(
            needless,
            lambda isneedless: isneedless and delete(),
            lambda _sql, isneedless: isneedless,
        )

    def pin(self, id: int, pinned: bool = True) -> None:
        self._require(id)
        self._database.share(
            lambda sql: pushes.lockone(sql, id),
            None,
            lambda sql, _found: pushes.pin(sql, id, pinned),
        )

    def setstatus(self, id: int, status: model.Status) -> None:
        status.check()
        self._require(id)
        self._database.share(
            lambda sql: pushes.lockone(sql, id),
            None,
            lambda sql, _found: pushes.setstatus(sql, id, status),
        )

    def setdelivery(self, delivery: model.Delivery) -> bool:
        delivery.check()
        return self._database.share(
            lambda sql: deliveries.edition(sql, delivery.name),
            None,
            lambda sql, found: deliveries.put(sql, delivery, found),
        )

    def setlanding(self, id: int, landing: model.Landing) -> None:
        landing.check()
        self._require(id)
        self._database.share(
            lambda sql: pushes.lockone(sql, id),
            None,
            lambda sql, _found: pushes.setlanding(sql, id, landing),
        )

    def _require(self, id: int) -> None:
        # An absent index is not created only to find nothing in it.
        if not self.haspush(id):
            raise pushes.unknown(id)

    # -- repairs

    def restore(self, push: model.Push, bookmarks: bool = True) -> None:
        push = _mended(push)
        _check(push)
        _checkid(push.id)
        # What makes it durable is the ``reserve`` at the end of a repair.
        self._database.write(
            lambda sql: repairs.restore(sql, push, bookmarks), durable=False
        )

    def restoremany(self, many: Iterable[model.Push]) -> None:
        mended = [_mended(push) for push in many]
        for push in mended:
            _check(push)
            _checkid(push.id)
        if mended:
            self._database.write(
                lambda sql: repairs.restoremany(sql, mended), durable=False
            )

    def restoremove(self, move: model.RestoredMove) -> None:
        _checkid(move.id)
        _checknames(move.user, move.name)
        self._database.write(
            lambda sql: repairs.restoremove(sql, move), durable=False
        )

    def reserve(self, id: int) -> None:
        _checkid(id)
        self._database.write(lambda sql: pushes.reserve(sql, id))

    def problems(self) -> Iterator[str]:
        found: list[str] = self._database.read(problems.find, [], patient=True)
        return iter(found)

    # -- changesets

    def locate(
        self, nodes: Iterable[bytes], without: Collection[str] = ()
    ) -> dict[bytes, model.Location]:
        wanted = list(dict.fromkeys(nodes))
        if not wanted:
            return {}
        passed = [key for key in without if _iskey(key)]
        return self._database.read(
            lambda sql: lookups.locate(sql, wanted, passed, self._viewer),
            {},
            brief=not passed,
        )

    def bundles(self, keys: Iterable[str]) -> dict[str, model.Bundle]:
        wanted = [key for key in dict.fromkeys(keys) if _iskey(key)]
        if not wanted:
            return {}
        return self._database.read(
            lambda sql: bundles.describe(sql, wanted, self._viewer), {}
        )

    def nodes(self, prefix: str, limit: int = 10) -> list[bytes]:
        if (
            not isinstance(prefix, str)
            or not 1 <= len(prefix) <= 2 * _NODE
            or not _HEXDIGITS.issuperset(prefix)
        ):
            raise ValueError('a prefix is 1 to 40 hexadecimal digits')
        first = bytes.fromhex(prefix.ljust(2 * _NODE, '0'))
        last = bytes.fromhex(prefix.ljust(2 * _NODE, 'f'))
        most = _most(limit)
        return self._database.read(
            lambda sql: lookups.nodes(sql, first, last, most, self._viewer),
            [],
            brief=True,
        )

    # -- bookmarks

    def bookmark(self, name: str) -> Optional[bytes]:
        if not model.istext(name):
            return None
        statement = 'SELECT node FROM bookmark WHERE name = ?'
        row = self._database.read(
            lambda sql: sql.one(statement, [name]), None, brief=True
        )
        return row[0] if row else None

    def bookmarks(
        self, pattern: str = '*', limit: Optional[int] = None
    ) -> list[model.Bookmark]:
        columns = 'name, node, push, move'
        rows = self._bookmarks(columns, pattern, '', limit)
        return [model.Bookmark(*row) for row in rows]

    def listbookmarks(
        self, pattern: str = '*', after: str = '', limit: Optional[int] = None
    ) -> list[model.ListedBookmark]:
        columns = 'name, node, push, username, time'
        rows = self._bookmarks(columns, pattern, after, limit)
        return [model.ListedBookmark(*row) for row in rows]

    def _bookmarks(
        self, columns: str, pattern: str, after: str, limit: Optional[int]
    ) -> list[Row]:
        if not model.istext(pattern) or not model.istext(after):
            return []
        return self._database.read(
            lambda sql: lookups.bookmarks(
                sql, columns, pattern, after, _most(limit)
            ),
            [],
            brief=True,
        )

    def moved(self, names: Iterable[str]) -> set[str]:
        wanted = [name for name in names if model.istext(name)]
        if not wanted:
            return set()
        return self._database.read(
            lambda sql: pushes.moved(sql, wanted), set(), brief=True
        )

    # -- pushes

    def haspush(self, id: int) -> bool:
        return self._database.read(
            lambda sql: pushes.exists(sql, id, self._viewer is not None),
            False,
            brief=True,
        )

    def push(self, id: int) -> model.Push:
        found = self.pushes(first=id, last=id) if id > 0 else []
        if not found:
            raise pushes.unknown(id)
        return found[0]

    def lastid(self) -> int:
        return self._database.read(pushes.lastid, 0, brief=True)

    def pushes(
        self,
        first: int = 1,
        last: Optional[int] = None,
        user: Optional[str] = None,
        node: Optional[bytes] = None,
        text: Optional[str] = None,
        since: Optional[float] = None,
        until: Optional[float] = None,
        limit: Optional[int] = None,
        newestfirst: bool = False,
        status: Optional[str] = None,
        branch: Optional[str] = None,
    ) -> list[model.Push]:
        if first > _LAST or not all(
            text is None or model.istext(text) for text in (user, branch)
        ):
            return []
        wanted = lists.Filter(
            max(first, 1),
            _LAST if last is None else max(min(last, _LAST), 0),
            user,
            node,
            words.wanted(text or ''),
            None if since is None else float(since),
            None if until is None else float(until),
            _most(limit),
            newestfirst,
            labels.wanted(status, branch),
            self._viewer is not None,
        )
        return self._database.read(lambda sql: lists.find(sql, wanted), [])

    def statuses(self, ids: Iterable[int]) -> dict[int, list[model.Status]]:
        return self._details(details.statuses, ids)

    def landings(self, ids: Iterable[int]) -> dict[int, list[model.Landing]]:
        return self._details(details.landings, ids)

    def _details(
        self,
        find: Callable[[Sql, list[int]], dict[int, list[_T]]],
        ids: Iterable[int],
    ) -> dict[int, list[_T]]:
        wanted = [id for id in dict.fromkeys(ids) if 0 < id <= _LAST]
        if not wanted:
            return {}
        return self._database.read(
            lambda sql: find(sql, wanted), {}, brief=True
        )

    def deliveries(self) -> dict[str, model.Delivery]:
        return self._database.read(deliveries.find, {}, brief=True)

    def owed(self, told: int) -> int:
        return self._database.read(
            lambda sql: deliveries.owed(
                sql, max(told, 0), self._viewer is not None
            ),
            0,
            brief=True,
        )

    # -- views

    @property
    def _views(self) -> Views:
        # most processes need none
        from .views import Views

        return Views(self._database, self._viewer)

    def putview(self, view: View, expected: int) -> View:
        return self._views.put(view, expected)

    def view(self, owner: str, name: str) -> Optional[View]:
        return self._views.named(owner, name)

    def viewbyid(self, uid: str) -> Optional[View]:
        return self._views.get(uid)

    def viewat(self, uid: str, version: int) -> Optional[View]:
        return self._views.at(uid, version)

    def views(
        self,
        owner: Optional[str] = None,
        prefix: str = '',
        after: Optional[tuple[str, str]] = None,
        limit: Optional[int] = None,
    ) -> list[ViewSummary]:
        return self._views.every(owner, prefix, after, limit)

    def viewlog(
        self,
        uid: str,
        before: Optional[int] = None,
        limit: Optional[int] = None,
    ) -> list[ViewChange]:
        return self._views.log(uid, before, limit)

    def viewed(
        self, nodes: Iterable[bytes], since: Optional[float] = None
    ) -> set[bytes]:
        return self._views.viewed(nodes, since)

    def countviews(self) -> ViewCounts:
        return self._views.count()

    def oldviews(self, before: float) -> dict[str, int]:
        return self._views.old(before)

    def forgetviews(self, uid: str, before: int) -> None:
        self._views.forget(uid, before)

    def removeview(self, uid: str, version: Optional[int] = None) -> None:
        self._views.remove(uid, version)

    def restoreview(self, view: View, log: Sequence[ViewChange]) -> None:
        self._views.restore(view, log)

    def unseen(
        self, first: int = 1, limit: Optional[int] = None
    ) -> list[model.Push]:
        most = _most(limit)
        ids: list[int] = self._database.read(
            lambda sql: privacy.unseen(sql, max(first, 1), most),
            [],
            patient=True,
        )
        # one may go meanwhile
        return [push for id in ids for push in self.pushes(id, id)]

    # -- what there is

    def usage(self, user: str) -> model.Usage:
        nothing = model.Usage(user, 0, 0)
        if not model.istext(user):
            return nothing
        return self._database.read(
            lambda sql: usage.of(sql, user), nothing, brief=True
        )

    def users(self) -> list[model.Usage]:
        public = self._viewer is not None
        return self._database.read(
            lambda sql: usage.everybody(sql, public), [], brief=True
        )

    def times(self, user: str, since: float, limit: int) -> list[float]:
        if not model.istext(user):
            return []
        most = _most(limit)
        return self._database.read(
            lambda sql: usage.times(sql, user, float(since), most),
            [],
            brief=True,
        )

    def statistics(self) -> model.Statistics:
        size = self._database.size()
        return self._database.read(
            lambda sql: usage.statistics(sql, size),
            model.Statistics(0, 0, 0, 0, 0, 0, 0, None, None, size),
            patient=True,
        )

    def close(self) -> None:
        self._database.close()


# -- values


def _check(push: Union[model.NewPush, model.Push]) -> None:
    for key in (push.key, *push.rests):
        model.checkkey(key)
    if any(len(node) != _NODE for node in push.changesets):
        raise ValueError('a node has 20 bytes')
    if not model.istext('\n'.join([push.text, *[h.title for h in push.heads]])):
        raise ValueError('a text has a NUL, or no Unicode')
    model.checkpushvars(push.pushvars)
    model.checkbranches(push.branches)
    model.checkprivate(push)
    if isinstance(push, model.NewPush):
        _checknames(push.user, *(move.name for move in push.moves))
    else:
        _checknames(push.user, *(name for name, _node in push.bookmarks))


def _checknames(*names: str) -> None:
    for name in names:
        if not model.istext(name) or len(name) > model.NAME_LENGTH:
            raise ValueError('a name is too long, has a NUL, or no Unicode')


def _mended(push: model.Push) -> model.Push:
    """Return a push, maybe of an older release, with what is text today."""
    heads = [h._replace(title=model.totext(h.title)) for h in push.heads]
    return push._replace(heads=tuple(heads), text=model.totext(push.text))


def _checkid(id: int) -> None:
    # There must be ids for pushes that come later.
    if not 0 < id < _LAST >> 1:
        raise ValueError(f'no push can have the id {id}')


def _most(limit: Optional[int]) -> int:
    return _LAST if limit is None else min(max(limit, 0), _LAST)


def _iskey(key: object) -> bool:
    with contextlib.suppress(errors.InvalidKey):
        model.checkkey(key)
        return True
    return False
