"""What stores and indexes raise.

The backends know nothing of Mercurial, so these are plain exceptions; the
rooms that talk to a user turn them into ``error.Abort`` with the hint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .viewmodel import View


class BundleStoreError(Exception):
    """Something about a store or an index went wrong.

    ``hint`` names the way out in one sentence, without a period, or is None.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class InvalidKey(BundleStoreError, ValueError):
    """A key that no bundle can have: not 64 lower-case hexadecimal digits."""


class UnknownKey(BundleStoreError, LookupError):
    """A well-formed key under which the store holds nothing."""


class UnknownNote(BundleStoreError, LookupError):
    """A name under which the store has no note."""


class CorruptBundle(BundleStoreError):
    """The stored bytes do not hash to the key they are stored under."""


class CorruptNote(BundleStoreError):
    """A note of a store is not what was written."""


class UnknownPush(BundleStoreError, LookupError):
    """A push id that the index does not hold (any more)."""


class TooManyStatuses(BundleStoreError):
    """A push has as many statuses as it may have."""


class PinnedPush(BundleStoreError):
    """A push was not removed, as it is pinned."""


class BookmarkMoved(BundleStoreError):
    """A scratch bookmark is not where the mover expected it.

    ``name`` is the bookmark, ``actual`` the node it is at (None: nowhere).
    """

    def __init__(self, name: str, actual: bytes | None) -> None:
        super().__init__(
            f'bookmark {name} was moved meanwhile',
            'pull it and push again',
        )
        self.name = name
        self.actual = actual


class UnknownView(BundleStoreError, LookupError):
    """A view that the index does not hold (any more)."""


class ViewMoved(BundleStoreError):
    """A view does not have the version that was to be changed.

    ``view`` is what it is now, None if it is not there.
    """

    def __init__(self, view: View | None) -> None:
        if view is None:
            message = 'the view was removed meanwhile'
        else:
            message = f'{view.owner}/{view.name} was changed meanwhile'
        super().__init__(message, 'look at it and try again')
        self.view = view


class ViewExists(BundleStoreError):
    """Another view of the same owner has the name: ``view``."""

    def __init__(self, view: View) -> None:
        super().__init__(f'there is a view {view.owner}/{view.name} already')
        self.view = view


class BundleGone(BundleStoreError):
    """A bundle that a push rests on is not recorded any more: it was removed
    while the push was on its way."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f'bundle {key[:12]}, which this push rests on, was removed '
            'meanwhile',
            'push again',
        )
        self.key = key


class BaseLacks(BundleStoreError):
    """The base repository, as this server has it, lacks the changeset
    ``node``, on which ``child``, a stored one, rests: it may have landed on
    another server and not be here yet, or be gone."""

    def __init__(self, node: bytes, child: bytes) -> None:
        name = child.hex()[:12]
        super().__init__(
            f"this server's copy of the repository lacks {node.hex()[:12]}; "
            'try again, or use another server',
            f'{name} rests on it; if it is gone for good, push {name} again',
        )
        self.node = node


class QuotaExceeded(BundleStoreError):
    """A user would hold more than ``quota`` bytes.

    ``held`` is what the user holds, ``size`` what the push would add. Where
    it is refused for its bookmarks, these are in both, and ``bookmarks`` is
    how many the user has.
    """

    def __init__(
        self,
        user: str,
        quota: int,
        held: int,
        size: int,
        bookmarks: int | None = None,
    ) -> None:
        super().__init__(f'push exceeds the quota of {quota} bytes')
        self.user = user
        self.quota = quota
        self.held = held
        self.size = size
        self.bookmarks = bookmarks


class BackendUnavailable(BundleStoreError):
    """The store or index cannot be used now: no space, no right to write, no
    connection, locked for too long."""


class NoRoom(BackendUnavailable):
    """There is no space left for what is to be written."""


class StoreMoving(BackendUnavailable):
    """The store is being moved to another place: nothing may be changed."""

    def __init__(self) -> None:
        super().__init__(
            'the bundle store is being moved', 'try again in a minute'
        )


class DamagedIndex(BackendUnavailable):
    """The index cannot be read, and would not be tomorrow either. It can be
    made anew."""


class UnsupportedFormat(BundleStoreError):
    """The data was written by a newer release of this software."""


class UnknownScheme(BundleStoreError, ValueError):
    """No backend is known for the scheme of a store or index URL."""
