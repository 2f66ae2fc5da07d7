"""The moves of scratch bookmarks that a push asks for."""

from __future__ import annotations

from mercurial import error
from mercurial.i18n import _

from .. import bookmarks, model


class Asked:
    """What a push says of bookmarks.

    ``incoming`` are its parts; ``requested`` tells whether the client asked for
    the bundle store.
    """

    def __init__(
        self, ui, server, incoming, user: str, requested: bool
    ) -> None:
        self._ui = ui
        self._server = server
        self._incoming = incoming
        self._user = user
        self._requested = requested
        #: lines for the user
        self.notes: list[bytes] = []

    def moves(self) -> list[model.BookmarkMove]:
        """Return them, checked; raises ``error.Abort``."""
        self.notes = []
        found = {}
        for name, new in self._incoming.bookmarks:
            if not self._server.isscratchbookmark(name):
                self._otherbookmark(name)
                continue
            text = bookmarks.checkname(self._server, name, self._user)
            found[text] = self._move(name, text, new)
        return list(found.values())

    def _move(self, name: bytes, text: str, new) -> model.BookmarkMove:
        if new is None and not self._mayforce(name):
            # without a bookmark of that name at its end, this is what a
            # client makes of "push -B NAME", be it a slip
            raise error.Abort(
                _(b"bookmark '%s' is not deleted without force") % name,
                hint=_(b"use 'hg push --force -B %s'") % name,
            )
        expected = self._incoming.expected
        if name in expected and (
            expected[name] is not None or self._server.settings.listbookmarks
        ):
            return model.BookmarkMove(text, new, expected[name])
        old = self._server.index.bookmark(text)
        # A vanilla client that does not force says what it expects: that
        # there is none, where it was not told of any.
        force = self._incoming.force or not (
            self._requested or name in expected
        )
        return model.BookmarkMove(text, new, old, force)

    def _mayforce(self, name: bytes) -> bool:
        """Whether the client asks for force, or has no way to."""
        if self._requested:
            return self._incoming.force
        return (
            name not in self._incoming.expected or name in self._incoming.bykey
        )

    def _otherbookmark(self, name: bytes) -> None:
        if self._server.settings.routeall:
            raise error.Abort(
                _(b"'%s' is not a scratch bookmark") % name,
                hint=_(
                    b'a try URL takes only bookmarks that match '
                    b'bundlestore.bookmark-pattern: %s'
                )
                % self._ui.config(b'bundlestore', b'bookmark-pattern'),
            )
        # Mercurial pushes bookmarks along that moved; it is no error that
        # they come, and they are not for the base to take now
        self.notes.append(
            _(
                b"bookmark '%s' is left where it is: this push went to the "
                b'bundle store\n'
            )
            % name
        )
