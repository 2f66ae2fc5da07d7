"""Reads the store of the extension infinitepush, which Mercurial had up to
6.5, and takes over what is in it.

Its folder ``scratchbranches`` has

* ``filebundlestore/ab/cd/<SHA-1>``: a bundle, named by the hash of its bytes;
* ``index/nodemap/<changeset>``: the name of the bundle that has it;
* ``index/bookmarkmap/<name>``: the changeset that a scratch bookmark is at.

Nothing says who pushed. When, is the time of the file.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from typing import Optional

from mercurial import encoding, error, pycompat
from mercurial.i18n import _
from mercurial.node import short

from .. import bookmarks, errors, model
from ..records import NamedTuple
from ..server import aborting, hasnode, tolocal, totext
from ..stores import marks
from ..words import counted
from .commands import administered, logged
from .importing import Importer, Stored

_SHA1 = re.compile(rb'[0-9a-f]{40}')
_BLOCK = 1 << 18


class _Problem(NamedTuple):
    """What could not be taken over."""

    #: ``refused``, ``corrupt`` or ``missing`` (bundle), or ``bookmark``
    kind: str
    #: of the bundle, or of the bookmark
    name: bytes
    message: bytes


def run(ui, repo, opts) -> int:
    """Import the folder that the option names; return the exit code."""
    server = administered(repo)
    if any(opts[name] for name in ('store', 'index', 'no_close', 'abandon')):
        raise error.InputError(
            _(b'--from-infinitepush goes with none of the others'),
            hint=_(b'import first, and move the bundle store then'),
        )
    folder = opts['from_infinitepush']
    if not os.path.isdir(os.path.join(folder, b'filebundlestore')):
        raise error.InputError(
            _(b'no store of infinitepush: %s') % folder,
            hint=_(b"name its folder 'scratchbranches', in '.hg'"),
        )
    dry = bool(opts['dry_run'])
    with (
        aborting(),
        logged(ui, server, 'import') as fields,
        ui.formatter(b'bundlestore-migrate', pycompat.byteskwargs(opts)) as fm,
    ):
        if not dry:
            server.checkopen()
        found = _Import(repo, server, folder, dry)
        with ui.makeprogress(_(b'importing'), unit=_(b'bundles')) as bar:
            for problem in found.run(bar):
                _tell(fm, problem)
        found.tell(ui, fm)
        fields.update(
            dryrun=dry or None, pushes=found.pushes, problems=found.problems
        )
    return 1 if found.problems else 0


def _tell(fm, problem: _Problem) -> None:
    fm.startitem()
    if fm.isplain():
        text = _(b'problem: %s: %s\n') % (problem.name, problem.message)
        fm.plain(text, label=b'ui.error')
        return
    fm.data(
        kind=problem.kind.encode(), name=problem.name, message=problem.message
    )


class _Import:
    """One run over a ``folder``."""

    def __init__(self, repo, server, folder: bytes, dry: bool) -> None:
        self._repo = repo
        self._server = server
        self._folder = folder
        self._dry = dry
        self._importer = Importer(repo, server)
        #: what was imported, and how many bundles there was nothing to do for
        self.pushes = self.bookmarks = self.known = 0
        self.problems = 0

    def run(self, bar) -> Iterator[_Problem]:
        """Yield what cannot be imported."""
        for problem in self._run(bar):
            self.problems += 1
            yield problem

    def _run(self, bar) -> Iterator[_Problem]:
        bundles = sorted(self._bundles(), key=lambda one: (one.time, one.path))
        bar.total = len(bundles)
        for stored in bundles:
            problem = self._take(stored)
            if problem is not None:
                yield problem
            bar.increment()
        names = {os.path.basename(stored.path) for stored in bundles}
        yield from self._missing(names)
        yield from self._takemarks()

    def tell(self, ui, fm) -> None:
        """Tell what was imported."""
        fm.startitem()
        if not fm.isplain():
            fm.data(
                kind=b'imported',
                pushes=self.pushes,
                bookmarks=self.bookmarks,
                known=self.known,
            )
            return
        begin = _(b'imported %s and %s')
        if self._dry:
            begin = _(b'would import %s and %s')
        text = begin % (
            counted(self.pushes, 'push').encode(),
            counted(self.bookmarks, 'bookmark').encode(),
        )
        if self.known:
            text += _(b'; of %s there was nothing to do') % (
                counted(self.known, 'bundle').encode()
            )
        ui.status(text + b'\n')

    # -- bundles

    def _bundles(self) -> Iterator[Stored]:
        top = os.path.join(self._folder, b'filebundlestore')
        for folder, _folders, files in os.walk(top):
            for name in files:
                if _SHA1.fullmatch(name):
                    path = os.path.join(folder, name)
                    yield Stored(path, os.stat(path).st_mtime)

    def _take(self, stored: Stored) -> Optional[_Problem]:
        name = os.path.basename(stored.path)
        if _sha1(stored.path) != name:
            return _Problem('corrupt', name, _(b'its bytes are others'))
        try:
            push = self._importer.take(stored, self._dry)
        except errors.StoreMoving:
            raise
        except errors.BundleStoreError as exc:
            return _Problem('refused', name, tolocal(exc.message))
        except error.Abort as exc:
            if isinstance(exc.__cause__, errors.BackendUnavailable):
                raise
            return _Problem('refused', name, exc.message)
        if push is None:
            self.known += 1
        else:
            self.pushes += 1
        return None

    def _missing(self, names: set[bytes]) -> Iterator[_Problem]:
        """Yield the bundles that are named and not there."""
        missing: dict[bytes, bytes] = {}
        top = os.path.join(self._folder, b'index', b'nodemap')
        for node, bundle, _time in _values(top):
            if bundle not in names:
                missing.setdefault(bundle, node)
        for bundle, node in sorted(missing.items()):
            message = _(b'the bundle of changeset %s is missing') % node[:12]
            yield _Problem('missing', bundle, message)

    # -- bookmarks

    def _takemarks(self) -> Iterator[_Problem]:
        top = os.path.join(self._folder, b'index', b'bookmarkmap')
        for name, value, time in sorted(_values(top)):
            try:
                moved = self._takemark(name, value, time)
            except error.Abort as exc:
                yield _Problem('bookmark', name, exc.message)
            else:
                self.bookmarks += moved

    def _takemark(self, name: bytes, value: bytes, time: float) -> bool:
        """Put a bookmark where it was; return whether it was not there.
        Raises ``error.Abort``."""
        # infinitepush has names in UTF-8
        local = encoding.tolocal(name)
        if not self._server.isscratchbookmark(local):
            raise error.Abort(_(b'the name is none of a scratch bookmark'))
        user = ''
        if self._server.settings.bookmarkowner:
            # whoever it was, the owner is in the name
            user = totext(local).partition('/')[2].partition('/')[0]
        text = bookmarks.checkname(self._server, local, user)
        if not _SHA1.fullmatch(value):
            raise error.Abort(_(b'it is at no changeset'))
        node = bytes.fromhex(value.decode())
        there = self._server.wholeindex.bookmark(text)
        if there == node:
            return False
        if there is not None:
            raise error.Abort(
                _(b'it is at %s, and not where it was') % short(there)
            )
        if self._dry:
            return True
        # it is for all to see
        with self._server.request.pushing(''):
            isthere = self._server.index.locate([node])
        if not isthere and not hasnode(self._repo, node):
            raise error.Abort(
                _(b'it points to unknown changeset %s') % short(node)
            )
        move = model.BookmarkMove(text, node)
        moved = self._server.wholeindex.movebookmarks([move], time, user)
        marks.write(
            self._server.store, self._server.wholeindex, moved, time, user
        )
        return True


def _values(top: bytes) -> Iterator[tuple[bytes, bytes, float]]:
    """Yield the names of all files below a folder, what is in them, and their
    times."""
    for folder, _folders, files in os.walk(top):
        for each in files:
            path = os.path.join(folder, each)
            with open(path, 'rb') as file:
                value = file.read(_BLOCK).strip()
            name = os.path.relpath(path, top).replace(pycompat.ossep, b'/')
            yield name, value, os.stat(path).st_mtime


def _sha1(path: bytes) -> bytes:
    digest = hashlib.sha1()
    with open(path, 'rb') as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest().encode()
