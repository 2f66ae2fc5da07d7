"""What a client sends: reads the parts of a push one after the other.

Those that are stored come out as a bundle while they are read; what the others
say is noted.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from mercurial import (
    bundle2,
    error,
    extensions,
    pushkey,
    scmutil,
)
from mercurial.i18n import _
from mercurial.utils import stringutil

from .. import access, model, names
from ..bundle import changegroup, container
from ..declaring import provides
from ..server import tolocal
from . import reply, route

#: heads of a push that a client may name
_MAX_HEADS = 10000
_MAX_BOOKMARKS = 10000
#: bytes of names and values of pushvars: hooks get them in their environment,
#: see ``hookenv.py``
_MAX_PUSHVARS = 32 * 1024
#: bytes of what a client says it understands
_MAX_CAPS = 64 * 1024
#: bytes that a push may have besides what is stored
_MAX_OTHER = 16 * 1024 * 1024

_HASH = rb'[0-9a-f]{40}\Z'


class Incoming:
    """A push as it comes in: ``cg`` is what ``exchange.unbundle`` gets.

    ``checker`` (``check.ChangesetChecker``) sees the changegroup on its way,
    and ``limits`` (``limits.Limits``) the bundle to store. ``private`` is the
    view whose it is, see ``private.py``.
    """

    def __init__(
        self, repo, server, cg, checker, limits, private: str = ''
    ) -> None:
        self._repo = repo
        self._server = server
        self._cg = cg
        self._checker = checker
        self._limits = limits
        self._parts: Iterable = ()
        self._private = private
        self.haschangegroup = False
        #: key and heads of the stored bundle that is the very push
        self.same: tuple[str, list[bytes]] | None = None
        #: what the reply has to answer, and whether the client asks for one
        self.answers: list[reply.Answer] = []
        self.wantsreply = False
        #: bookmarks with where they shall be, and where the client saw them
        self.bookmarks: list[tuple[bytes, bytes | None]] = []
        self.expected: dict[bytes, bytes | None] = {}
        #: those that are pushed with keys, which know no force
        self.bykey: set[bytes] = set()
        #: whether a client with this extension was told to push with force
        self.force = False
        #: whether one wants to be told, whatever it asks for
        self.tells = False
        #: variables for hooks, and those of them that are recorded
        self.pushvars: dict[bytes, bytes] = {}
        self.recorded: tuple[tuple[str, str], ...] = ()

    def begin(self) -> bool:
        """Read the push up to the first part that is stored, and return
        whether there is one; else it has come to its end.

        Raises ``error.Abort`` and ``BundleStoreError``.
        """
        limit = self._server.settings.maxbundlesize
        if isinstance(self._cg, bundle2.unbundle20):
            parts = self._incomingparts()
            if limit:
                # also of what is not stored, or only unpacked
                self._cg.limit = limit + _MAX_OTHER
                self._cg.refuse = lambda: self._limits.toolarge(
                    limit + _MAX_OTHER
                )
        else:
            parts = self._bundle1()
        first = next(parts, None)
        if first is None:
            return False
        self._parts = itertools.chain([first], parts)
        if self._private:
            part = container.privatepart(self._private)
            self._parts = itertools.chain([part], self._parts)
        return True

    def chunks(self) -> Iterator[bytes]:
        """Yield the bundle to store, within the limits on its size, after
        :meth:`begin`.

        The attributes tell of the push when it has come to its end. Raises
        ``error.Abort`` and ``BundleStoreError``.
        """
        return self._limits.stream(
            container.container(
                self._repo.ui,
                self._parts,
                self._server.settings.compression,
            )
        )

    def _bundle1(self):
        self.haschangegroup = True
        self._limits.beforechangesets()
        yield self._changegroup(self._cg.read, b'01', False)

    def _incomingparts(self):
        """Read the parts of the push; yield those that are stored."""
        self.force = names.FORCE in self._cg.params
        self.tells = names.TELL in self._cg.params
        for part in self._cg.iterparts():
            handler = self._handlers.get(part.type)
            if handler is not None:
                stored = handler(self, part)
                if stored is not None:
                    yield stored
            elif part.mandatory and not part.type.startswith(b'check:'):
                raise error.BundleUnknownFeatureError(parttype=part.type)

    def _changegrouppart(self, part):
        if self.haschangegroup:
            raise error.Abort(_(b'push has more than one changegroup'))
        self.haschangegroup = True
        self._limits.beforechangesets()
        self.answers.append(reply.Answer(b'changegroup', part.id))
        stored = self._changegroup(
            part.some,
            part.params.get(b'version', b'01'),
            b'treemanifest' in part.params,
        )
        stored.data = _nothingmore(stored.data, part)
        return stored

    def _changegroup(self, read, version: bytes, trees: bool):
        if version not in changegroup.VERSIONS:
            raise error.Abort(
                _(b'changegroup version %s cannot be stored') % version,
                hint=access.elsewhere(self._repo.ui),
            )
        target = b'03' if trees or _needs03(self._repo) else b'02'
        chunks = changegroup.transcode(read, version, target, self._checker)
        return container.changegrouppart(chunks, target, trees)

    def _samepart(self, part) -> None:
        """What would be pushed is stored already, as one bundle."""
        heads = part.read(_MAX_HEADS * 20 + 1)
        if len(heads) % 20 or not heads:
            raise error.Abort(_(b'not a list of hashes'))
        nodes = [heads[i : i + 20] for i in range(0, len(heads), 20)]
        key = part.params.get(names.KEY, b'').decode('ascii', 'replace')
        self.same = (model.checkkey(key), nodes)

    def _replycapspart(self, part) -> None:
        route.readsmall(part, _MAX_CAPS)
        self.wantsreply = True

    def _obsmarkerspart(self, part):
        data = part.read(container.MAX_MARKERS + 1)
        if len(data) > container.MAX_MARKERS:
            raise error.Abort(_(b'push has too many obsolescence markers'))
        try:
            count = len(container.decodemarkers(data))
        except error.Abort:
            raise
        except Exception as exc:  # struct.error and whatever else
            raise error.Abort(
                _(b'obsolescence markers cannot be read')
            ) from exc
        self.answers.append(reply.Answer(b'obsmarkers', part.id, count))
        return container.markerspart(data)

    def _bookmarkspart(self, part) -> None:
        self.bookmarks += route.decodebookmarks(self._repo, part)
        self._checkbookmarks()

    def _checkbookmarks(self) -> None:
        if max(len(self.bookmarks), len(self.expected)) > _MAX_BOOKMARKS:
            raise error.Abort(
                _(b'push moves more than %d bookmarks') % _MAX_BOOKMARKS,
                hint=_(b'push some of them at a time'),
            )

    def _checkbookmarkspart(self, part) -> None:
        self.expected.update(route.decodebookmarks(self._repo, part))
        self._checkbookmarks()

    def _pushkeypart(self, part) -> None:
        params = {k: pushkey.decode(v) for k, v in part.params.items()}
        name, new = params.get(b'key', b''), params.get(b'new', b'')
        accepted = params.get(b'namespace') == b'bookmarks' and (
            self._server.isscratchbookmark(name)
        )
        if accepted:
            old = params.get(b'old', b'')
            self.bookmarks.append((name, _unhex(new)))
            self.expected[name] = _unhex(old)
            self.bykey.add(name)
            self._checkbookmarks()
        self.answers.append(reply.Answer(b'pushkey', part.id, int(accepted)))

    def _pushvarspart(self, part) -> None:
        found = {name.upper(): value for name, value in part.params.items()}
        kept = {n: v for n, v in found.items() if n != route.PUSHVAR}
        if not self._repo.ui.configbool(b'push', b'pushvars.server'):
            if kept:
                raise error.Abort(
                    _(b'this server takes no pushvars'),
                    hint=_(
                        b"nothing was stored; the server's configuration "
                        b"lacks 'push.pushvars.server = yes'"
                    ),
                )
            return
        for name, value in found.items():
            if b'=' in name or b'\0' in name + value:
                # nothing that an environment can hold
                raise error.Abort(
                    _(b'invalid pushvar: %s') % stringutil.pprint(name)
                )
            self.pushvars[b'USERVAR_' + name] = value
        size = sum(len(n) + len(v) for n, v in self.pushvars.items())
        if size > _MAX_PUSHVARS:
            raise error.Abort(
                _(b'push has too many pushvars (%d bytes, at most %d)')
                % (size, _MAX_PUSHVARS)
            )
        if kept:
            self.recorded = self._torecord(kept)

    def _torecord(
        self, found: dict[bytes, bytes]
    ) -> tuple[tuple[str, str], ...]:
        """Return variables as they are recorded with the push."""
        if not provides(self._server.index, 'IStatuses'):
            raise error.Abort(
                _(b"the server's bundle index cannot keep pushvars"),
                hint=_(b'push without --pushvars'),
            )
        pushvars = tuple(
            (name.decode('utf-8', 'replace'), value.decode('utf-8', 'replace'))
            for name, value in found.items()
        )
        try:
            model.checkpushvars(pushvars)
        except ValueError as exc:
            raise error.Abort(
                _(b'pushvars cannot be kept: %s') % tolocal(str(exc)),
                hint=_(b'at most %d, each with a value of %d characters')
                % (model.PUSHVARS, model.PUSHVAR_LENGTH),
            )
        return pushvars

    def _abortpart(self, part) -> None:
        raise bundle2.AbortFromPart(
            part.params.get(b'message', _(b'push was interrupted')),
            hint=part.params.get(b'hint'),
        )

    def _ignoredpart(self, part) -> None:
        """Phases are draft here whatever the client says, and its idea of
        the repository's heads does not matter."""

    _handlers = {
        b'replycaps': _replycapspart,
        b'changegroup': _changegrouppart,
        names.SAME: _samepart,
        b'obsmarkers': _obsmarkerspart,
        b'bookmarks': _bookmarkspart,
        b'check:bookmarks': _checkbookmarkspart,
        b'pushkey': _pushkeypart,
        b'pushvars': _pushvarspart,
        b'error:abort': _abortpart,
        b'phase-heads': _ignoredpart,
    }


def _nothingmore(chunks, part):
    """Pass ``chunks`` on and check that they were all that the part had."""
    yield from chunks
    if part.read(1):
        raise changegroup.MalformedChangegroup('data after its end')


def _unhex(value: bytes) -> bytes | None:
    if not value:
        return None
    if not re.match(_HASH, value):
        raise error.Abort(_(b'not a hash: %s') % stringutil.pprint(value))
    return bytes.fromhex(value.decode('ascii'))


def _needs03(repo) -> bool:
    """Whether the repository has revisions that version 02 cannot carry."""
    if scmutil.istreemanifest(repo):
        return True
    if b'lfs' in repo.requirements or b'narrowhg-experimental' in (
        repo.requirements
    ):
        return True
    return any(
        name == b'lfs' for name, _module in extensions.extensions(repo.ui)
    )
