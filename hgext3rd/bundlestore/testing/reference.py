"""An index so simple that it is seen to be right, to compare others with."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Collection, Sequence
from typing import Optional

from .. import errors, model
from ..declaring import Interfaces
from .referenceprivacy import SeenIndex
from .referenceviews import ReferenceViews


def pushof(
    id: int,
    push: model.NewPush,
    rests: Optional[tuple[str, ...]] = None,
    below: Optional[tuple[bytes, ...]] = None,
) -> model.Push:
    """Return ``push`` as an index that gave it ``id`` returns it.

    ``rests`` is what its bundle rests on, ``below`` what the push has of
    that, where they are not as the push says.
    """
    return model.Push(
        id,
        push.time,
        push.user,
        push.key,
        push.size,
        push.nodes,
        push.heads,
        tuple((move.name, move.new) for move in push.moves),
        push.text,
        push.rests if rests is None else rests,
        push.below if below is None else below,
        pushvars=push.pushvars,
        branches=tuple(sorted(push.branches)),
        private=push.private,
    )


class ReferenceIndex(ReferenceViews):
    """The contract of ``IBundleIndex`` and of all that an index may be able to
    besides, in the memory of one thread."""

    __implemented__ = Interfaces(
        *('IBundleIndex', 'IStatuses', 'IDeliveries', 'ILandings', 'ILabels'),
        *('IViews', 'IPrivacy'),
    )

    def __init__(self, ignoresaccents: bool = True) -> None:
        super().__init__()
        self._ignoresaccents = ignoresaccents
        self._lastid = 0
        # in ascending order
        self._pushes: dict[int, model.Push] = {}
        # These, and the last push of each bundle that is only there because
        # others rest on it.
        self._holders: dict[int, model.Push] = {}
        self._bookmarks: dict[str, model.Bookmark] = {}
        #: whose they are
        self._owners: dict[str, str] = {}
        self._times: dict[str, float] = {}
        # moves without a push: id to user and time
        self._events: dict[int, tuple[str, float]] = {}
        self._statuses: dict[int, dict[str, model.Status]] = {}
        self._deliveries: dict[str, model.Delivery] = {}
        self._landings: dict[int, dict[bytes, model.Landing]] = {}

    def record(
        self,
        push: model.NewPush,
        publish: Optional[Callable[[], object]] = None,
        quota: Optional[int] = None,
    ) -> model.Push:
        model.checkprivate(push)
        rests = self._allrests(push)
        if quota is not None:
            self._checkquota(push, quota)
        owners = self._owners.copy()
        bookmarks, moved = self._applied(
            push.moves, owners, push.user, push=self._lastid + 1
        )
        self._checkmarks(bookmarks, owners, push.user, quota)
        if publish is not None:
            publish()
        self._bookmarks, self._owners = bookmarks, owners
        self._times.update((name, push.time) for name, _node in moved.changed)
        self._lastid += 1
        recorded = pushof(self._lastid, push, rests, self._below(push))
        self._hold(recorded)
        return recorded

    def seen(self, user: str, uid: Optional[str] = None) -> SeenIndex:
        return SeenIndex(self, user, uid)

    def unseen(
        self, first: int = 1, limit: Optional[int] = None
    ) -> list[model.Push]:
        return [
            push
            for push in self.pushes(first)
            if push.private and self.viewbyid(push.private) is None
        ][:limit]

    def holders(self) -> list[model.Push]:
        """Return what is recorded of bundles."""
        return list(self._holders.values())

    def _hold(self, push: model.Push) -> None:
        for id, holder in list(self._holders.items()):
            if holder.key == push.key and id not in self._pushes:
                del self._holders[id]
        for found in (self._pushes, self._holders):
            found[push.id] = push
            everything = sorted(found.items())
            found.clear()
            found.update(everything)

    def _checkquota(self, push: model.NewPush, quota: int) -> None:
        held = self._sizes(push.user)
        total = sum(held.values())
        if push.key not in held and total + push.size > quota:
            raise errors.QuotaExceeded(push.user, quota, total, push.size)

    def _below(self, push: model.NewPush) -> tuple[bytes, ...]:
        for holder in self._holders.values():
            if holder.key == push.key:
                return holder.below
        return push.below

    def _allrests(self, push: model.NewPush) -> tuple[str, ...]:
        known = self.bundles([push.key, *push.rests])
        if push.key in known:
            if known[push.key].private != push.private:
                raise ValueError("another view's bundle")
            return known[push.key].rests
        for key in push.rests:
            if key not in known or known[key].private not in (
                '',
                push.private,
            ):
                raise errors.BundleGone(key)
        return tuple(model.chain(known[key] for key in push.rests))

    def movebookmarks(
        self,
        moves: Sequence[model.BookmarkMove],
        time: float = 0.0,
        user: str = '',
        quota: Optional[int] = None,
    ) -> model.Moved:
        if not moves:
            return model.Moved(self._lastid)
        id = self._lastid + 1
        owners = self._owners.copy()
        bookmarks, moved = self._applied(moves, owners, user, event=id)
        self._checkmarks(bookmarks, owners, user, quota)
        self._bookmarks, self._owners = bookmarks, owners
        self._times.update((name, time) for name, _node in moved.changed)
        self._lastid = id
        self._events[id] = user, time
        return moved

    def _applied(
        self,
        moves: Sequence[model.BookmarkMove],
        owners: dict[str, str],
        user: str,
        push: Optional[int] = None,
        event: Optional[int] = None,
    ) -> tuple[dict[str, model.Bookmark], model.Moved]:
        bookmarks = self._bookmarks.copy()
        changed: dict[str, Optional[bytes]] = {}
        replaced: dict[str, int] = {}
        for move in moves:
            found = bookmarks.get(move.name)
            actual = None if found is None else found.node
            if not move.force and actual != move.old:
                raise errors.BookmarkMoved(move.name, actual)
            if push is None and actual == move.new:
                continue
            bookmarks.pop(move.name, None)
            changed[move.name] = move.new
            if found is not None and found.move is not None:
                replaced[move.name] = found.move
            if move.new is not None:
                bookmarks[move.name] = model.Bookmark(
                    move.name, move.new, push, event
                )
                owners[move.name] = user
        return bookmarks, model.Moved(
            push or event or 0, tuple(changed.items()), tuple(replaced.items())
        )

    def _checkmarks(
        self,
        bookmarks: dict[str, model.Bookmark],
        owners: dict[str, str],
        user: str,
        quota: Optional[int],
    ) -> None:
        before = sum(self._owners[name] == user for name in self._bookmarks)
        after = sum(owners[name] == user for name in bookmarks)
        held = sum(self._sizes(user).values())
        if (
            quota is not None
            and after > before
            and held + after * model.MARK_SIZE > quota
        ):
            raise errors.QuotaExceeded(
                user,
                quota,
                held + before * model.MARK_SIZE,
                (after - before) * model.MARK_SIZE,
                before,
            )

    def moved(self, names: Sequence[str]) -> set[str]:
        return {
            name
            for push in self._pushes.values()
            for name, node in push.bookmarks
            if name in names and node is not None
        }

    def forgetmoves(self, before: float) -> None:
        self._events = {
            id: event
            for id, event in self._events.items()
            if event[1] >= before
        }

    def locate(
        self, nodes: list[bytes], without: Collection[str] = ()
    ) -> dict[bytes, model.Location]:
        found: dict[bytes, model.Location] = {}
        for push in self._holders.values():
            if push.key in without:
                continue
            heads = {head.node for head in push.heads}
            for node in push.nodes:
                ishead = node in heads
                better = node not in found or (
                    ishead and not found[node].ishead
                )
                if node in nodes and better:
                    found[node] = model.Location(
                        *(node, push.key, push.size, ishead, push.rests),
                        push.private,
                    )
        return found

    def bundles(self, keys: list[str]) -> dict[str, model.Bundle]:
        return {
            holder.key: model.Bundle(
                holder.key,
                holder.size,
                holder.nodes,
                tuple(head.node for head in holder.heads),
                holder.rests,
                holder.private,
            )
            for holder in self._holders.values()
            if holder.key in keys
        }

    def nodes(self, prefix: str, limit: int = 10) -> list[bytes]:
        held = {node for push in self._holders.values() for node in push.nodes}
        return sorted(n for n in held if n.hex().startswith(prefix))[:limit]

    def bookmark(self, name: str) -> Optional[bytes]:
        found = self._bookmarks.get(name)
        return None if found is None else found.node

    def bookmarks(
        self, pattern: str = '*', limit: Optional[int] = None
    ) -> list[model.Bookmark]:
        return [
            bookmark
            for name, bookmark in sorted(self._bookmarks.items())
            if _matches(pattern, name)
        ][:limit]

    def listbookmarks(
        self, pattern: str = '*', after: str = '', limit: Optional[int] = None
    ) -> list[model.ListedBookmark]:
        return [
            model.ListedBookmark(
                mark.name,
                mark.node,
                mark.push,
                self._owners[mark.name],
                self._times[mark.name],
            )
            for mark in self.bookmarks(pattern)
            if mark.name > after
        ][:limit]

    def lastid(self) -> int:
        return self._lastid

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
        found = [
            push
            for id, push in self._pushes.items()
            if first <= id
            and (last is None or id <= last)
            and (user is None or push.user == user)
            and (node is None or node in push.changesets)
            and (text is None or self._holds(push.text, text))
            and (since is None or since < push.time)
            and (until is None or push.time < until)
            and (branch is None or branch in push.branches)
            and (status is None or status == self._outcome(id))
        ]
        if since is not None or until is not None:
            found.sort(key=lambda push: (push.time, push.id))
        if newestfirst:
            found.reverse()
        return found[:limit]

    def _holds(self, text: str, wanted: str) -> bool:
        words = _words(text, self._ignoresaccents)
        return all(
            any(word.startswith(beginning) for word in words)
            for beginning in _words(wanted, self._ignoresaccents)
        )

    def remove(self, id: int, evenpinned: bool = True) -> list[str]:
        if id not in self._pushes:
            raise errors.UnknownPush(f'no push {id}')
        if self._pushes[id].pinned and not evenpinned:
            raise errors.PinnedPush(f'push {id} is pinned')
        removed = self._pushes.pop(id)
        self._statuses.pop(id, None)
        self._landings.pop(id, None)
        self._dropbookmarks(id)
        before = self._keys()
        if removed.key in {push.key for push in self._pushes.values()}:
            del self._holders[id]
        while self._dropneedless():
            pass
        return sorted(before - self._keys())

    def _dropbookmarks(self, push: int) -> None:
        self._bookmarks = {
            name: bookmark
            for name, bookmark in self._bookmarks.items()
            if bookmark.push != push
        }

    def _keys(self) -> set[str]:
        return {holder.key for holder in self._holders.values()}

    def _dropneedless(self) -> bool:
        """Drop the holders that nobody needs; return whether there were any.

        What one of them rests on may be needless only then.
        """
        needed = {push.key for push in self._pushes.values()}
        for holder in self._holders.values():
            needed.update(holder.rests)
        needless = [
            id
            for id, holder in self._holders.items()
            if holder.key not in needed
        ]
        for id in needless:
            del self._holders[id]
        return bool(needless)

    def discard(self, key: str, delete: Callable[[], object]) -> bool:
        if key in self._keys():
            return False
        delete()
        return True

    def pin(self, id: int, pinned: bool = True) -> None:
        if id not in self._pushes:
            raise errors.UnknownPush(f'no push {id}')
        new = self._pushes[id]._replace(pinned=pinned)
        self._pushes[id] = self._holders[id] = new

    def setstatus(self, id: int, status: model.Status) -> None:
        if id not in self._pushes:
            raise errors.UnknownPush(f'no push {id}')
        its = self._statuses.setdefault(id, {})
        if len(its.keys() - {status.context}) >= model.STATUSES:
            raise errors.TooManyStatuses('too many')
        its[status.context] = status

    def statuses(self, ids: Sequence[int]) -> dict[int, list[model.Status]]:
        return {
            id: sorted(its.values())
            for id, its in self._statuses.items()
            if id in ids
        }

    def deliveries(self) -> dict[str, model.Delivery]:
        return dict(self._deliveries)

    def setdelivery(self, delivery: model.Delivery) -> bool:
        known = self._deliveries.get(delivery.name)
        found = 0 if known is None else known.edition
        if delivery.edition != found:
            return False
        new = delivery._replace(edition=found + 1)
        self._deliveries[delivery.name] = new
        return True

    def owed(self, told: int) -> int:
        return sum(id > told for id in self._pushes)

    def setlanding(self, id: int, landing: model.Landing) -> None:
        if id not in self._pushes:
            raise errors.UnknownPush(f'no push {id}')
        self._landings.setdefault(id, {})[landing.node] = landing

    def landings(self, ids: Sequence[int]) -> dict[int, list[model.Landing]]:
        return {
            id: sorted(its.values())
            for id, its in self._landings.items()
            if id in ids
        }

    def _outcome(self, id: int) -> str:
        return model.outcome(self._statuses.get(id, {}).values())

    # -- what there is

    def _sizes(self, user: str) -> dict[str, int]:
        return {
            push.key: push.size
            for push in self._pushes.values()
            if push.user == user
        }

    def usage(self, user: str) -> model.Usage:
        pushes = [p for p in self._pushes.values() if p.user == user]
        return model.Usage(user, len(pushes), sum(self._sizes(user).values()))

    def users(self) -> list[model.Usage]:
        names = {push.user for push in self._pushes.values()}
        return sorted(map(self.usage, names), key=lambda u: (-u.size, u.user))

    def times(self, user: str, since: float, limit: int) -> list[float]:
        made = [push.time for push in self.pushes(user=user, since=since)]
        made += [
            time
            for its, time in self._events.values()
            if its == user and since < time
        ]
        return sorted(made)[:limit]

    def statistics(self) -> model.Statistics:
        held = {holder.key: holder for holder in self._holders.values()}
        times = [push.time for push in self._pushes.values()]
        return model.Statistics(
            len(self._pushes),
            sum(push.pinned for push in self._pushes.values()),
            len(self.users()),
            len(self._bookmarks),
            len(held),
            sum(holder.size for holder in held.values()),
            sum(len(holder.nodes) for holder in held.values()),
            min(times, default=None),
            max(times, default=None),
            0,
        )

    # -- repairs

    def restore(self, push: model.Push, bookmarks: bool = True) -> None:
        """Only for what changes nothing of what other bundles rest on, and
        does not take its last push from a bundle that others rest on."""
        known = self.bundles([*push.rests, push.key])
        for key in push.rests:
            if key not in known:
                raise errors.BundleGone(key)
        if bookmarks:
            self._dropbookmarks(push.id)
        for name, mark in self._bookmarks.items():
            if mark.push == push.id and (name, mark.node) not in push.bookmarks:
                self._bookmarks[name] = mark._replace(push=None)
        for id, holder in self._holders.items():
            if holder.key == push.key:
                new = holder._replace(
                    size=push.size,
                    nodes=push.nodes,
                    heads=push.heads,
                    text=push.text,
                    below=push.below,
                )
                self._holders[id] = new
                if id in self._pushes:
                    self._pushes[id] = new
        rests = tuple(model.chain(known[key] for key in push.rests))
        self._events.pop(push.id, None)
        if self.taken(push.id) != push.key:
            self._statuses.pop(push.id, None)
            self._landings.pop(push.id, None)
        self._holders.pop(push.id, None)
        self._pushes.pop(push.id, None)
        self._hold(push._replace(rests=rests))
        while self._dropneedless():
            pass
        self._lastid = max(self._lastid, push.id)
        if bookmarks:
            moves = [
                model.BookmarkMove(name, node, force=True)
                for name, node in push.bookmarks
            ]
            self._bookmarks, moved = self._applied(
                moves, self._owners, push.user, push=push.id
            )
            self._times.update((n, push.time) for n, _node in moved.changed)

    def taken(self, id: int) -> str:
        """Return the key of the bundle that would lose a push if another had
        this id, empty if none would."""
        return self._holders[id].key if id in self._holders else ''

    def restoremove(self, move: model.RestoredMove) -> None:
        if move.id not in self._pushes:
            self._events[move.id] = move.user, move.time
        self._bookmarks.pop(move.name, None)
        if move.node is not None:
            self._bookmarks[move.name] = model.Bookmark(
                move.name, move.node, None, move.id
            )
            self._owners[move.name] = move.user
            self._times[move.name] = move.time
        self._lastid = max(self._lastid, move.id)

    def reserve(self, id: int) -> None:
        self._lastid = max(self._lastid, id)

    def problems(self) -> list[str]:
        return []


# the same few texts are looked at again and again
@functools.lru_cache(maxsize=1000)
def _words(text: str, ignoresaccents: bool) -> list[str]:
    if ignoresaccents:
        text = ''.join(
            character
            for character in unicodedata.normalize('NFKD', text)
            if unicodedata.category(character)[0] != 'M'
        )
    return ''.join(
        character if character.isalnum() else ' '
        for character in text.casefold()
    ).split()


def _matches(pattern: str, name: str) -> bool:
    # how much of the name the pattern can have used up so far
    ends = {0}
    for character in pattern:
        if not ends:
            break
        if character == '*':
            ends = set(range(min(ends), len(name) + 1))
        else:
            ends = {
                end + 1
                for end in ends
                if end < len(name) and character in ('?', name[end])
            }
    return len(name) in ends
