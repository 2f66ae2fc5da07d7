"""``hg backup --restore``: a clone becomes what was backed up."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Optional

from mercurial import error, exchange, merge as mergemod
from mercurial.i18n import _
from mercurial.node import bin
from mercurial.utils import dateutil

from .. import viewmodel
from ..records import NamedTuple
from ..server import tolocal, totext
from ..wire import views as wire
from . import backup, clones, secretbackup, viewrecord, views


class Choice(NamedTuple):
    """A backup that there is."""

    name: str
    host: str
    #: where the clone is, as its last backup says
    path: str
    view: viewmodel.View
    gone: frozenset[bytes]


def run(ui, repo, dest, opts) -> int:
    """Do it; returns the exit code of the command."""
    for other in ('status', 'rev', 'secret'):
        if opts[other]:
            raise error.InputError(
                _(b'--%s does not go with --restore') % other.encode()
            )
    with _quietly(repo), backup.destination(ui, repo, dest, opts) as peer:
        choice = _choose(ui, repo, peer, opts['from'])
        ui.status(
            _(b'restoring %s:%s, as it was at %s\n')
            % (
                tolocal(choice.host),
                tolocal(choice.path),
                dateutil.datestr(dateutil.makedate(choice.view.time)),
            )
        )
        if choice.gone:
            ui.warn(
                _(b'(the bundle store has lost %s of it)\n')
                % views.counted(len(choice.gone), 'changeset')
            )
        state = backup.load(choice.view.state)
        heads = [n for n in choice.view.nodes if n not in choice.gone]
        with repo.wlock(), repo.lock():
            if heads:
                exchange.pull(
                    repo,
                    peer,
                    heads=list(dict.fromkeys(heads)),
                    opargs={b'remotebookmarks': {}},
                )
            state = secretbackup.restore(repo, peer, choice.name, state)
            marks = _bookmarks(choice, state)
            _setbookmarks(repo, marks)
            _settle(ui, repo, state)
            if _continued(repo, peer, choice):
                _adopt(repo, peer, choice)
            else:
                ui.status(
                    _(
                        b'(this clone has a backup of its own; when that one'
                        b" is needed no more, 'hg workspace --drop %s' does"
                        b' away with it)\n'
                    )
                    % tolocal(choice.name)
                )
    return 0


def _continued(repo, peer, choice: Choice) -> bool:
    """Whether the backup is that of this clone from now on, which is made anew
    where the lost one was."""
    own = clones.viewname(repo)
    if choice.name == own:
        return True
    known = viewrecord.read(repo, peer.url(), own)
    hasown = known is not None and known.version > 0
    return not hasown and clones.adopt(repo, choice.name)


@contextlib.contextmanager
def _quietly(repo) -> Iterator[None]:
    """Have no backup started meanwhile, of a clone that is half restored, but
    one at the end."""
    from . import autobackup

    hook = (b'hooks', autobackup.HOOK)
    auto = bool(repo.ui.config(*hook, default=None))
    with repo.ui.configoverride({hook: b''}, b'backup'):
        yield
    if auto:
        autobackup.start(repo.ui, repo)


def _adopt(repo, peer, choice: Choice) -> None:
    """Note that all of the backup of this clone is here now."""
    found = viewrecord.of(peer.url(), choice.name, choice.view)
    heads = [node for node in found.heads if node not in choice.gone]
    viewrecord.write(repo, found._replace(heads=heads))


# -- which one


def _choose(ui, repo, peer, wanted: bytes) -> Choice:
    """Return the backup that is meant; aborts if it may be several."""
    host, _colon, path = wanted.partition(b':')
    own = clones.viewname(repo)
    query = wire.Query(prefix=viewmodel.BACKUP)
    found = [
        _choice(peer, name)
        for name in dict.fromkeys(
            # there may be nothing else than what is secret
            one['name'].removesuffix(viewmodel.SECRET)
            for one in views.listed(peer, query)
            if not one['dropped']
        )
        if _fits(name, totext(host), path)
    ]
    if not found:
        raise error.InputError(
            _(b'there is no backup of yours')
            if not wanted
            else _(b"there is no backup of '%s'") % wanted,
            hint=_(b"'hg workspace --verbose' lists all that is there")
            if wanted
            else _(b"'hg backup' makes one"),
        )
    if len(found) == 1:
        return found[0]
    # the newest first; that of this clone is hardly what is wanted
    found.sort(key=lambda one: (one.name == own, -one.view.time))
    ui.status(_(b'there are several backups:\n'))
    for one in found:
        ui.status(
            b'  %s  %s\n'
            % (_handle(one, found), b', '.join(_about(one, found, own)))
        )
    raise error.InputError(
        _(b'which backup shall be restored?'),
        hint=_(b"say --from and one of these, such as '--from %s'")
        % _handle(found[0], found),
    )


def _handle(one: Choice, found: list[Choice]) -> bytes:
    """Return what names a backup among others."""
    places = [(other.host, other.path) for other in found]
    if one.path and places.count((one.host, one.path)) == 1:
        return tolocal(f'{one.host}:{one.path}')
    return tolocal(':'.join(clones.split(one.name)))


def _about(one: Choice, found: list[Choice], own: str) -> Iterator[bytes]:
    """Yield what helps to choose a backup."""
    yield dateutil.datestr(dateutil.makedate(one.view.time))
    yield views.counted(len(one.view.heads), 'head')
    if one.path and not _handle(one, found).endswith(tolocal(one.path)):
        yield tolocal(one.path)
    if one.name == own:
        yield _(b'of this clone')


def _fits(name: str, host: str, path: bytes) -> bool:
    itshost, itsplace = clones.split(name)
    if host and itshost != host:
        return False
    return (
        not path
        or itsplace == totext(path)
        or itsplace.startswith(clones.pathhash(path.rstrip(b'/') or path))
    )


def _choice(peer, name: str) -> Choice:
    answer = views.get(peer, wire.Query(name=name))
    view = answer.view or viewmodel.View('', name)
    path = backup.load(view.state).path
    return Choice(name, clones.split(name)[0], path, view, answer.gone)


# -- what it becomes


def _bookmarks(choice: Choice, state: backup.State) -> dict[bytes, bytes]:
    found = {
        tolocal(name): node
        for name, node in choice.view.bookmarks
        if node not in choice.gone
    }
    for name, node in state.bookmarks.items():
        with contextlib.suppress(ValueError, TypeError):
            found.setdefault(tolocal(name), bin(node))
    return found


def _setbookmarks(repo, marks: dict[bytes, bytes]) -> None:
    """Make the bookmarks. One that is here already, elsewhere, stays."""
    hasnode = repo.unfiltered().changelog.index.has_node
    moves = []
    for name, node in sorted(marks.items()):
        here = repo._bookmarks.get(name)
        if not hasnode(node):
            repo.ui.warn(
                _(b'(bookmark %s is on a changeset that is not here)\n') % name
            )
        elif here is None:
            moves.append((name, node))
        elif here != node:
            repo.ui.warn(
                _(b'(bookmark %s is here already, and stays where it is)\n')
                % name
            )
    if moves:
        with repo.transaction(b'backup-restore') as tr:
            repo._bookmarks.applychanges(repo, tr, moves)


def _settle(ui, repo, state: backup.State) -> None:
    """Have the working copy, the active bookmark and the topic as they were,
    where nothing of it is in use."""
    from mercurial import bookmarks as bookmod

    parent = _known(repo, state.parent)
    if parent is not None and not _isclean(repo):
        ui.status(_(b'(the working copy has changes, and stays as it is)\n'))
        return
    if parent is not None and repo.dirstate.p1() != parent:
        mergemod.update(repo[parent])
    active = None if state.active is None else tolocal(state.active)
    if active is not None and repo._bookmarks.get(active) == repo[b'.'].node():
        bookmod.activate(repo, active)
    changetopic = getattr(repo, 'currenttopic', None)
    if state.topic is not None and changetopic is not None:
        # where the extension keeps it
        repo.vfs.write(b'topic', tolocal(state.topic))


def _isclean(repo) -> bool:
    status = repo.status()
    return not (
        status.modified or status.added or status.removed or status.deleted
    )


def _known(repo, node: str) -> Optional[bytes]:
    with contextlib.suppress(ValueError, TypeError):
        found: bytes = bin(node)
        if repo.changelog.index.has_node(found) and found != repo.nullid:
            return found
    return None
