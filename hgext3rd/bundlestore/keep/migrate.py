"""``hg admin::bundlestore-migrate``: moves a store, an index or both to other
backends.

1. All is copied while others push, in passes, until one finds little to do.
2. The store is closed (see ``moving``), and what came meanwhile is copied.
3. It stays closed, so that nothing gets lost, until the configuration of all
   servers names the copy. They read from either meanwhile.

Whoever is killed runs it again, and what is there is not copied again. If that
was in the second step, the store is open again for servers of the same
machine, which see that the process is gone, and for others when the command is
run again.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any, Optional

from mercurial import error, pycompat, util
from mercurial.i18n import _

from .. import backends, errors, moving
from ..declaring import provides
from ..server import aborting, tolocal, totext
from ..stores import notes
from ..words import counted
from . import passes, viewcopy
from .commands import administered, logged
from .indexcopy import NoCopy

#: a pass that changes no more leaves little for the one without pushes
_LITTLE = 100
#: passes in which others may push, at most
_MOST = 20
#: and passes that may be needed when the store is closed
_MOST_CLOSED = 3


def migrate(ui, repo, opts) -> int:
    if opts['schema']:
        from . import schema  # a room of its own

        return schema.run(ui, repo, opts)
    if opts['from_infinitepush']:
        from . import infinitepush  # a room of its own

        return infinitepush.run(ui, repo, opts)
    server = administered(repo)
    urls = [totext(opts['store'] or b''), totext(opts['index'] or b'')]
    dry = bool(opts['dry_run'])
    if opts['abandon']:
        if any(urls) or dry or opts['no_close']:
            raise error.InputError(_(b'--abandon goes with nothing else'))
        with aborting(), logged(ui, server, 'migrate') as fields:
            fields['abandon'] = True
            return _abandon(ui, server)
    if not any(urls):
        raise error.InputError(
            _(b'nothing says where the bundle store shall go'),
            hint=_(b'name it with --store, --index or both'),
        )
    with aborting(), logged(ui, server, 'migrate') as fields:
        fields['dryrun'] = dry or None
        with ui.formatter(
            b'bundlestore-migrate', pycompat.byteskwargs(opts)
        ) as fm:
            migration = _Migration(ui, server, fm, urls[0], urls[1], dry)
            code = migration.run(bool(opts['no_close']))
            fields['problems'] = len(migration.problems)
    return code


def _abandon(ui, server) -> int:
    store = server.openstore()
    move = moving.read(store)
    if move is None:
        ui.status(_(b'the bundle store is open\n'))
        return 0
    if move.done:
        # others may have used the copy
        with contextlib.suppress(errors.UnknownNote):
            store.deletenote(moving.NAME)
    else:
        moving.write(store, move.byme(closed=False, pid=0))
    ui.status(_(b'opened the bundle store\n'))
    return 0


class _Migration:
    """One run of the command; ``store`` and ``index`` are URLs, empty for what
    stays."""

    def __init__(
        self, ui, server, fm, store: str, index: str, dry: bool
    ) -> None:
        self._ui = ui
        self._fm = fm
        self._dry = dry
        self._store = server.openstore()
        if provides(self._store, 'ICached'):
            # a copy elsewhere says nothing of what is in the store
            self._store = self._store.uncached
        self._index = server.wholeindex
        self._settings = server.settings
        # threads use them
        backends.preload(store, server.settings.storeurl)
        self._newstore: Any = None
        self._newindex: Any = None
        if store:
            if store == self._settings.storeurl:
                raise _same(_(b'store'))
            self._newstore = backends.openstore(store, server.place)
        if index:
            if index == self._settings.indexurl:
                raise _same(_(b'index'))
            self._newindex = backends.openindex(index, server.place)
        self._move = moving.Move('', store or None, index or None)
        self._number = 0
        self._bars: dict[str, Any] = {}
        self.problems: list[passes.Problem] = []

    def run(self, noclose: bool) -> int:
        """Copy; return the exit code. Raises ``BundleStoreError``."""
        if notes.isindexlost(self._store, self._index):
            raise errors.BackendUnavailable(
                'bundle index is empty, but the store holds pushes',
                "run 'hg admin::bundlestore-verify --repair'",
            )
        found = moving.read(self._store)
        if found is not None and self._isended(found):
            self._tellend()
            return 0
        self._claim(found)
        with contextlib.ExitStack() as stack:
            stack.callback(self._letgo)
            stack.callback(self._endbars)
            copying = passes.Passes(
                self._store,
                self._index,
                self._newstore,
                self._newindex,
                self._tell,
                self._dry,
            )
            self._copyopen(copying)
            if not self._dry and not noclose:
                self._copyclosed(copying)
        for problem in self.problems:
            self._tellproblem(problem)
        if not self._dry and not noclose:
            self._tellend()
        return 1 if self.problems else 0

    # -- whose is what

    def _isended(self, found: moving.Move) -> bool:
        """Whether a run came to its end before; raises if another one is at
        work."""
        if found.done and self._isto(found):
            return True
        if found.done and found.isclosed(
            self._settings.storeurl, self._settings.indexurl
        ):
            raise errors.BackendUnavailable(
                'the bundle store has moved elsewhere',
                "run 'hg admin::bundlestore-migrate --abandon' to go on with"
                ' this one',
            )
        if not found.done and found.isother:
            raise _busy(found)
        return False

    def _isto(self, found: moving.Move) -> bool:
        """Whether that is a move to the same targets."""
        return (found.newstore, found.newindex) == (
            self._move.newstore,
            self._move.newindex,
        )

    def _claim(self, found: Optional[moving.Move]) -> None:
        """See to it that the targets are empty, or copies of this source; note
        that they are to become that."""
        id, index = os.urandom(16).hex(), None
        if found is not None and not found.done:
            id, index = found.id, found.newindex
        known = self._newindex is None or index == self._move.newindex
        if not known and (
            self._newindex.lastid() or not viewcopy.isempty(self._newindex)
        ):
            raise NoCopy('bundle index')
        if self._newstore is not None:
            self._claimstore(_copynote(id))
        self._move = self._move.byme(id=id)
        if not self._dry:
            moving.write(self._store, self._move)

    def _claimstore(self, claim: bytes) -> None:
        with contextlib.suppress(errors.UnknownNote):
            if self._newstore.note(moving.COPY) == claim:
                return
        others = (
            name for name in self._newstore.notes() if name != moving.COPY
        )
        for there in (self._newstore.keys(), others):
            if next(iter(there), None) is not None:
                raise NoCopy('bundle store')
        if not self._dry:
            self._newstore.putnote(moving.COPY, claim)

    # -- copying

    def _copyopen(self, copying: passes.Passes) -> None:
        for _number in range(_MOST):
            counts = self._pass(copying, False)
            if self._dry or counts.changes <= _LITTLE:
                return

    def _copyclosed(self, copying: passes.Passes) -> None:
        self._move = self._move.byme(closed=True)
        moving.write(self._store, self._move)
        for _number in range(_MOST_CLOSED):
            self._pass(copying, True)
            different = list(copying.differences())
            if not different:
                break
        else:
            raise errors.BackendUnavailable(
                'the copy is not as the bundle store is:'
                f' {", ".join(different)}',
                "run 'hg admin::bundlestore-verify' and try again",
            )
        rate = self._settings.maxrate
        if rate is not None:
            copying.copyrates(time.time() - rate.seconds)
        if not self._isours():
            raise errors.BackendUnavailable(
                'somebody else opened the bundle store, or moves it, too',
                'run the command again',
            )
        done = self._move.byme(done=True)
        moving.write(self._store, done)
        self._move = done
        if self._newstore is not None:
            with contextlib.suppress(errors.UnknownNote):
                self._newstore.deletenote(moving.COPY)

    def _letgo(self) -> None:
        """Have the store open, unless everything is copied."""
        if not self._dry and not self._move.done and self._isours():
            self._move = self._move.byme(closed=False, pid=0)
            moving.write(self._store, self._move)

    def _isours(self) -> bool:
        """Whether nobody has said anything else of the move."""
        return moving.read(self._store) == self._move

    def _pass(self, copying: passes.Passes, closed: bool) -> passes.Counts:
        counts = copying.run()
        self._endbars()
        self.problems = copying.problems
        self._number += 1
        self._tellpass(counts, closed)
        return counts

    # -- telling

    def _tell(self, kind: str, done: int, total: int) -> None:
        if kind not in self._bars:
            self._endbars()
            unit = _(b'bundles') if kind == 'bundles' else _(b'pushes')
            self._bars[kind] = self._ui.makeprogress(
                _(b'copying'), unit=unit, total=total
            )
        self._bars[kind].update(done)

    def _endbars(self) -> None:
        for bar in self._bars.values():
            bar.complete()
        self._bars.clear()

    def _tellpass(self, counts: passes.Counts, closed: bool) -> None:
        fm = self._fm
        fm.startitem()
        if not fm.isplain():
            fm.data(kind=b'pass', number=self._number, closed=closed)
            fm.data(**counts._asdict())
            return
        words = [(counts.pushes, 'push'), (counts.bundles, 'bundle')]
        words += [(counts.notes, 'note'), (counts.bookmarks, 'bookmark')]
        words.append((counts.views, 'view'))
        parts = [counted(number, one) for number, one in words if number]
        if counts.removed:
            parts.append(_plain(_(b'removed %d')) % counts.removed)
        text = ', '.join(parts).encode() or _(b'nothing')
        begin = _(b'pass %d: copied %s')
        if self._dry:
            begin = _(b'pass %d: would copy %s')
        text = begin % (self._number, text)
        if counts.size:
            text += _(b' (%s)') % util.bytecount(counts.size)
        if closed:
            text += _(b', nobody could push')
        self._ui.status(text + b'\n')

    def _tellproblem(self, problem: passes.Problem) -> None:
        fm = self._fm
        message = tolocal(problem.message)
        some = problem.pushes[:10]
        fm.startitem()
        if fm.isplain():
            ids = b', '.join(b'%d' % id for id in some)
            if len(some) < len(problem.pushes):
                ids += _(b' and others')
            text = _(b'problem: %s (push %s)\n') % (message, ids)
            fm.plain(text, label=b'ui.error')
            return
        fm.data(
            kind=problem.kind.encode(),
            message=message,
            pushes=fm.formatlist(list(some), name=b'push', fmt=b'%d'),
        )
        if problem.key is not None:
            fm.data(bundle=problem.key.encode())

    def _tellend(self) -> None:
        """Say what the administrator has to do now."""
        fm = self._fm
        wanted = {'store': self._move.newstore, 'index': self._move.newindex}
        items = {
            name: tolocal(url)
            for name, url in wanted.items()
            if url is not None
        }
        fm.startitem()
        if not fm.isplain():
            fm.data(kind=b'moved', **items)
            return
        what = _(b'everything else') if self.problems else _(b'everything')
        fm.plain(
            _(
                b'%s is copied; this bundle store stays closed for pushes\n'
                b'write this into the hgrc of the repository and of its try '
                b'URLs, on all servers:\n\n'
                b'  [bundlestore]\n'
            )
            % what
        )
        for name, url in items.items():
            fm.plain(b'  %s = %s\n' % (name.encode(), url))
        fm.plain(
            _(
                b"\n('hg admin::bundlestore-migrate --abandon' opens this one "
                b'again)\n'
            )
        )


def _same(what: bytes) -> error.InputError:
    return error.InputError(
        _(b'the bundle %s is there already') % what,
        hint=_(b'name where it shall go'),
    )


def _busy(move: moving.Move) -> errors.BackendUnavailable:
    return errors.BackendUnavailable(
        f'process {move.pid} is moving the bundle store',
        "wait for it, or end it; if it is another program by now, run 'hg"
        " admin::bundlestore-migrate --abandon'",
    )


def _copynote(id: str) -> bytes:
    return b'{"version":1,"of":"%s"}\n' % id.encode()


def _plain(text: bytes) -> str:
    return text.decode('ascii', 'replace')
