"""``hg push --bundle-store --working-copy``: what is not committed.

What is sent is the changeset that ``hg commit --message TEXT`` would make here
and now, with the same hash; ``bundle/memory.py`` makes it. What such a commit
would refuse is refused, and more: a merge, and subrepositories that would have
to be committed first. Hooks of a commit do not run.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any, Optional

from mercurial import (
    cmdutil,
    context,
    error,
    extensions,
    mergestate,
    mergeutil,
    phases,
    pycompat,
    scmutil,
    subrepoutil,
)
from mercurial.i18n import _
from mercurial.node import nullrev, short

from ..bundle import caches, memory
from ..records import NamedTuple

#: options that describe the changeset
_DESCRIBING = ('message', 'logfile', 'date', 'user')
#: options of ``hg push`` that say which changesets shall go; the last one is
#: that of the extension topic
_NAMING = ('rev', 'branch', 'all_bookmarks', 'topic')
#: unknown files that are listed without --verbose
_MOST = 5
#: bytes of what Mercurial notes of a working copy in which nobody looks for
#: changes unless asked to: of some 5,000 files, of which that takes 16 ms
_LARGE = 256 * 1024


class Made(NamedTuple):
    """The changeset."""

    #: the repository that has it, in memory
    repo: Any
    node: bytes


def takeoptions(opts: dict[str, Any]) -> Optional[dict[str, Any]]:
    """Take the options of ours out of ``opts``; return None if the working
    copy is not to be pushed."""
    wanted = opts.pop('working_copy', None)
    taken = {name: opts.pop(name, None) for name in _DESCRIBING}
    if wanted:
        asked = {'working_copy': True, **opts}
        cmdutil.check_incompatible_arguments(asked, 'working_copy', _NAMING)
        return taken
    for name, value in taken.items():
        if value:
            raise error.InputError(
                _(b'--%s needs --working-copy') % name.encode()
            )
    return None


@contextlib.contextmanager
def committed(ui, repo, options: dict[str, Any]) -> Iterator[Optional[Made]]:
    """Give the body the changeset, or None if there is nothing that it would
    hold."""
    text = cmdutil.logmessage(ui, pycompat.byteskwargs(options))
    _checkstate(repo)
    with memory.opened(repo) as view:
        status = view.status(unknown=not ui.quiet)
        _takesubrepos(view, status)
        if hasattr(view, '_lfcommithooks'):
            _takelargefiles(view, status)
        ctx = context.workingcommitctx(
            view,
            status,
            text or _defaulttext(repo),
            options['user'],
            options['date'],
        )
        if ctx.isempty() and not text:
            _tellofnothing(ui, status)
            yield None
            return
        _telloffiles(ui, repo, status)
        node = memory.commit(view, ctx)
        _checkmade(view[node])
        yield Made(view.filtered(b'visible'), node)


def _defaulttext(repo) -> bytes:
    parent = repo[b'.']
    if parent.rev() == nullrev:
        return _(b'uncommitted changes')
    summary = parent.description().strip().partition(b'\n')[0]
    return _(b'uncommitted changes on %s: %s') % (short(parent.node()), summary)


# -- what is refused


def _checkstate(repo) -> None:
    """Abort in the middle of something, in Mercurial's own words."""
    mergeutil.checkunresolved(mergestate.mergestate.read(repo))
    cmdutil.checkunfinished(repo)
    hint = _(b'commit, and push the changeset')
    if repo.dirstate.p2() != repo.nullid:
        raise error.StateError(_(b'outstanding uncommitted merge'), hint=hint)
    parent = repo[b'.']
    if parent.phase() >= phases.secret:
        raise error.StateError(
            _(b'the working copy is on %s, which is secret')
            % short(parent.node()),
            hint=_(b"'hg phase --draft --force' makes it one that is pushed"),
        )


def _checkmade(ctx) -> None:
    """Abort if the very changeset is here, and is not to be pushed."""
    isobsolete = ctx.obsolete()
    if isobsolete or ctx.phase() >= phases.secret:
        what = _(b'obsolete') if isobsolete else _(b'secret')
        raise error.StateError(
            _(b'this would be %s, which is here and %s') % (ctx, what),
            hint=_(b'use another date or message'),
        )


# -- what a commit writes into the working copy first


def _takesubrepos(view, status) -> None:
    """Note where the subrepositories are; abort if they would have to be
    committed themselves."""
    hint = _(b'commit it, and push the changeset')
    overrides = {(b'ui', b'commitsubrepos'): False}
    try:
        with view.ui.configoverride(overrides):
            changed, _dirty, state = subrepoutil.precommit(
                view.ui, view[None], status, view.narrowmatch()
            )
    except error.Abort as exc:
        raise error.StateError(exc.message, hint=hint) from exc
    for path in changed:
        # those that . names are pushed along
        if path in state and path not in view[b'.'].substate:
            raise error.StateError(
                _(b"the subrepository '%s' is not committed") % path, hint=hint
            )
    if changed:
        subrepoutil.writestate(view, state)


def _takelargefiles(view, status) -> None:
    """Note the hashes of what the extension largefiles keeps."""
    lfutil = importlib.import_module('hgext.largefiles.lfutil')

    def openlfdirstate(orig, ui, repo, create=True):
        found = orig(ui, repo, create=False)
        # a file would be made to see what time it is
        found._opener = caches.ReadonlyVfs(found._opener)
        return found

    with extensions.wrappedfunction(lfutil, 'openlfdirstate', openlfdirstate):
        lfutil.updatestandinsbymatch(view, None)
    large = set(lfutil.listlfiles(view))
    status.unknown[:] = [path for path in status.unknown if path not in large]
    if large:
        view.requirements.add(b'largefiles')
    view.largefilesinmemory = {}
    parent = view[b'.']
    for path, (data, flags) in list(view.memory.written.items()):
        file = lfutil.splitstandin(path)
        if file is None:
            continue
        if path in parent and (parent[path].data(), parent.flags(path)) == (
            data,
            flags,
        ):
            del view.memory.written[path]
            continue
        view.largefilesinmemory[data.strip()] = view.wjoin(file)
        if path not in status.added and path not in status.modified:
            status.modified.append(path)


# -- what is said


def _tellofnothing(ui, status) -> None:
    if status.deleted:
        ui.status(
            _(b"nothing changed (%d missing files, see 'hg status')\n")
            % len(status.deleted)
        )
    else:
        ui.status(_(b'nothing changed\n'))


def _telloffiles(ui, repo, status) -> None:
    """Name the files that are sent otherwise than they are here, as ``hg
    status`` does."""
    uipathfn = scmutil.getuipathfn(repo)
    for code, label, paths, one, several in (
        (
            b'!',
            b'status.deleted',
            status.deleted,
            _(b'1 file that is missing here is not removed:\n'),
            _(b'%d files that are missing here are not removed:\n'),
        ),
        (
            b'?',
            b'status.unknown',
            status.unknown,
            _(b'1 file that is not tracked is not sent:\n'),
            _(b'%d files that are not tracked are not sent:\n'),
        ),
    ):
        if not paths:
            continue
        ui.status(one if len(paths) == 1 else several % len(paths))
        shown = paths if ui.verbose else paths[:_MOST]
        for path in shown:
            line = b'%s %s\n' % (code, uipathfn(path))
            ui.status(line, label=label)
        if len(shown) < len(paths):
            ui.status(_(b'and %d more\n') % (len(paths) - len(shown)))


def remind(repo) -> None:
    """Say that there are changes which a push that sent nothing left out; of a
    large working copy, to a person, that this may be."""
    ui = repo.ui
    if ui.quiet or ui.plain() or hasattr(repo.unfiltered(), '_subparent'):
        return
    if _islarge(repo):
        if ui.interactive():
            ui.status(
                _(
                    b'(uncommitted changes, if there are any, are pushed with '
                    b'--working-copy)\n'
                )
            )
    elif repo[None].dirty(missing=False):
        ui.status(_(b'(uncommitted changes are pushed with --working-copy)\n'))


def _islarge(repo) -> bool:
    """Return whether it takes a while to find out what has changed. Mercurial
    notes some 50 bytes for each file of the working copy."""
    size = 0
    # one file, or with dirstate-v2 several
    for name, _kind, stat in repo.vfs.readdir(stat=True):
        if name.startswith(b'dirstate'):
            size += stat.st_size
    return size > _LARGE
