"""``hg push --workspace`` and ``hg pull --workspace``.

A push stores what is new, as every scratch push does, then makes the view on
the server hold the heads. What somebody else has put there meanwhile is not
lost: the push is refused until it was pulled, as one is that creates heads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Optional

from mercurial import error, exchange
from mercurial.i18n import _

from .. import viewmodel
from ..records import NamedTuple
from ..server import tolocal, totext
from ..wire import views as wire
from . import noted, privacy, scratchpush, viewrecord, views

#: names of local bookmarks with this are of another repository, or diverged
_DIVERGED = b'@'


def _record(repo, remote, view: viewmodel.View) -> Optional[viewrecord.Record]:
    name = f'{view.owner}/{view.name}'
    return viewrecord.read(repo, remote.url(), name, view.uid)


def seen(repo, remote, view: viewmodel.View) -> None:
    """Remember that all that is in a workspace is here, or was."""
    name = f'{view.owner}/{view.name}'
    viewrecord.write(repo, viewrecord.of(remote.url(), name, view))


# -- push


def push(name: bytes, repo, remote, wish, force=False, **kwargs):
    """Push to the bundle store, as ``scratchpush.push`` does, and make a
    workspace hold what was pushed."""
    aim = _aimed(repo, remote, name, force)
    revs = kwargs.pop('revs', None)
    heads = _heads(repo, revs)
    new = _new(repo, aim, heads, revs)
    if aim.view is not None and aim.view.private:
        wish = wish._replace(private=aim.view.uid)
        privacy.remember(repo, heads)
    if new or wish.bookmarks:
        # that is what is to be replaced, not what is to be sent
        pushop = scratchpush.push(
            repo,
            remote,
            wish,
            force and bool(wish.bookmarks),
            revs=new or revs,
            **kwargs,
        )
    else:
        repo.ui.status(_(b'no changes found\n'))
        pushop = exchange.pushoperation(repo, remote, revs=revs)
    if _changed(repo, remote, aim, heads, wish.nothingnamed, force):
        pushop.cgresult = 1
    return pushop


def _new(
    repo, aim: Aim, heads: set[bytes], revs: Optional[list[bytes]]
) -> list[bytes]:
    """Return what is to be pushed: not what the workspace has already."""
    there: set[bytes] = set()
    if aim.view is not None:
        there = set(aim.view.heads).difference(aim.gone)
    # what is named may be secret, and the push says so
    return [n for n in (revs or sorted(heads)) if n not in there]


class Aim(NamedTuple):
    """A workspace that is pushed to."""

    name: views.Name
    #: as it is, None if there is none yet
    view: Optional[viewmodel.View]
    #: those of its changesets that the server has lost
    gone: frozenset[bytes]
    #: what this clone has seen there
    seen: Collection[bytes]


def _aimed(repo, remote, name: bytes, force: bool) -> Aim:
    """Ask for the workspace that is pushed to; abort if there is something in
    it that is not here."""
    parsed = views.parse(name)
    if parsed.version is not None:
        raise error.InputError(
            _(b'an earlier version of a workspace cannot be pushed to')
        )
    query = wire.Query(parsed.owner, parsed.name, writing=True)
    answer = views.get(remote, query)
    if not answer.writable:
        raise _notmine(parsed, answer.view)
    if answer.view is None or not answer.view.private:
        _checkwas(repo, remote, parsed)
    known = None
    if answer.view is not None:
        known = _record(repo, remote, answer.view)
    there = frozenset() if known is None else known.nodes
    aim = Aim(parsed, answer.view, answer.gone, there)
    if not force:
        _checkseen(repo, aim)
    return aim


def _checkwas(repo, remote, name: views.Name) -> None:
    """Abort if a workspace for all to see has the name of a private one that
    is gone: whoever pushes to it may not know."""
    server = noted.key(remote.url())
    for one in viewrecord.private(repo):
        owner, _slash, own = one.name.rpartition('/')
        if (one.server, own) == (server, name.name) and (
            name.owner in (None, owner)
        ):
            raise error.StateError(
                _(b"private workspace '%s' is not there any more")
                % tolocal(one.name),
                hint=_(
                    b"make one with 'hg workspace --private %s', or choose"
                    b' another name for one that all can see'
                )
                % tolocal(own),
            )


def _notmine(name: views.Name, view: Optional[viewmodel.View]) -> error.Abort:
    if view is None:
        return views.unknown(name)
    return error.InputError(
        _(b"workspace '%s' is not yours") % views.called(view),
        hint=_(b"its owner can share it: 'hg workspace --share USER:write %s'")
        % tolocal(view.name),
    )


def _checkseen(repo, aim: Aim) -> None:
    view = aim.view
    if view is None or view.dropped:
        return
    unseen = [n for n in dict.fromkeys(view.nodes) if not _hasnode(repo, n)]
    unseen = [n for n in unseen if n not in aim.gone and n not in aim.seen]
    if unseen:
        raise _newthere(view, len(unseen))


def _newthere(view: viewmodel.View, count: int) -> error.Abort:
    if count == 1:
        what = _(b'a changeset that is not here')
    else:
        what = _(b'%d changesets that are not here') % count
    return error.StateError(
        _(b"workspace '%s' has %s") % (views.called(view), what),
        hint=_(
            b"'hg pull --workspace %s' first, or use --force to replace what"
            b' is there'
        )
        % views.called(view),
    )


def _hasnode(repo, node: bytes) -> bool:
    found: bool = repo.unfiltered().changelog.index.has_node(node)
    return found


def _changed(
    repo, remote, aim: Aim, heads: set[bytes], whole: bool, force: bool
) -> bool:
    """Make the workspace hold what was pushed; return whether it changed.

    ``whole``: nothing said which changesets shall go. Then bookmarks that are
    not here any more leave the workspace as well.
    """
    view = aim.view or viewmodel.View(aim.name.owner or '', aim.name.name, ())
    marks = _bookmarks(repo, heads)
    if not force and not view.dropped:
        heads = heads | _kept(repo, view.heads, heads)
        if not whole:
            kept = dict(view.bookmarks)
            kept.update(marks)
            marks = kept
    added = tuple(sorted(heads.difference(view.heads)))
    removed = tuple(sorted(set(view.heads).difference(heads)))
    before = dict(view.bookmarks)
    moves: list[tuple[str, Optional[bytes]]] = [
        item for item in marks.items() if before.get(item[0]) != item[1]
    ]
    moves += [(name, None) for name in before if name not in marks]
    if not (added or removed or moves or view.dropped) and view.version:
        repo.ui.status(
            _(b"workspace '%s' has not changed (version %d)\n")
            % (views.called(view), view.version)
        )
        return False
    answer = views.change(
        remote,
        wire.Change(
            'put',
            aim.name.owner,
            aim.name.name,
            expected=view.version,
            added=added,
            removed=removed,
            bookmarks=tuple(moves),
            machine=views.machine(),
        ),
    )
    made = answer.view
    if answer.moved or made is None:
        raise error.StateError(
            _(b"workspace '%s' was changed meanwhile") % tolocal(aim.name.name),
            hint=_(b'what was pushed is stored; pull --workspace, push again'),
        )
    seen(repo, remote, made)
    repo.ui.status(
        _(b"workspace '%s' is at version %d: %s\n")
        % (views.called(made), made.version, _counts(made, added, removed))
    )
    return True


def _counts(view: viewmodel.View, added, removed) -> bytes:
    text = views.counted(len(view.heads), 'head')
    if added or removed:
        text += _(b' (+%d/-%d)') % (len(added), len(removed))
    return text


def _heads(repo, revs: Optional[Iterable[bytes]]) -> set[bytes]:
    """Return the heads of what was pushed that is no part of the
    repository."""
    if revs is None:
        found = repo.revs(b'heads(draft() - extinct())')
    else:
        found = repo.revs(b'heads((draft() and ::%ln) - extinct())', revs)
    return {*map(repo.changelog.node, found)}


def _kept(repo, old: Iterable[bytes], new: Iterable[bytes]) -> set[bytes]:
    """Return which heads of a workspace stay beside those that are pushed."""
    unfi = repo.unfiltered()
    there = [node for node in old if _hasnode(repo, node)]
    found = unfi.revs(b'%ln - ::%ln - public() - obsolete()', there, list(new))
    return {*map(unfi.changelog.node, found)}


def _bookmarks(repo, heads: Iterable[bytes]) -> dict[str, bytes]:
    """Return the local bookmarks that are on what was pushed."""
    marks = {
        name: node
        for name, node in repo._bookmarks.items()
        if _DIVERGED not in name
    }
    if not marks:
        return {}
    cl = repo.changelog
    inside = {
        cl.node(rev) for rev in repo.revs(b'draft() and ::%ln', list(heads))
    }
    return {totext(n): node for n, node in marks.items() if node in inside}


# -- pull


class Wanted(NamedTuple):
    """What is pulled for a workspace."""

    heads: list[bytes]
    #: where its bookmarks are
    bookmarks: dict[bytes, bytes]
    #: those that are not here yet; the others move as they do with any pull
    new: list[bytes]
    #: what is seen then
    view: viewmodel.View
    #: whether that is how it is now
    current: bool


def pulled(repo, remote, name: bytes) -> Wanted:
    """Return what ``exchange.pull`` has to pull."""
    parsed = views.parse(name)
    query = wire.Query(parsed.owner, parsed.name, parsed.version)
    answer = views.get(remote, query)
    view = answer.view
    if view is None or (view.dropped and parsed.version is None):
        raise views.unknown(parsed)
    if answer.gone:
        repo.ui.warn(
            _(b"(the bundle store has lost %s of workspace '%s')\n")
            % (
                views.counted(len(answer.gone), 'changeset'),
                views.called(view),
            )
        )
    if view.private:
        privacy.remember(repo, view.nodes)
    marks = {
        tolocal(mark): node
        for mark, node in view.bookmarks
        if node not in answer.gone
    }
    heads = [
        node for node in dict.fromkeys(view.nodes) if node not in answer.gone
    ]
    return Wanted(
        # with none at all Mercurial would pull everything
        heads or [repo.nullid],
        marks,
        [mark for mark in marks if mark not in repo._bookmarks],
        view,
        parsed.version is None,
    )
