"""``hg backup``: every draft is kept on the server.

The backup of a clone is a view of its user (see ``wire/views.py``) which is
called after the machine and the clone (see ``clones.py``). It holds all heads
that are draft, and bookmarks; what else is needed to have the clone back as it
was is in the text that a view has for its client. What the server has of it
already is known here, and with nothing new one question is all that is asked.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Container, Iterable, Iterator
from typing import Any, Optional

from mercurial import error, logcmdutil
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.utils import urlutil

from .. import compat, config, model, viewmodel
from ..records import NamedTuple
from ..server import tolocal, totext
from ..start.loading import quickend
from ..wire import views as wire
from . import (
    clones,
    listing,
    noted,
    privacy,
    push,
    scratchpush,
    storeless,
    viewrecord,
    views,
)

#: how many other backups of the same place are looked at
_OTHERS = 20
#: how often it is tried while others change it
ATTEMPTS = 5


class State(NamedTuple):
    """What a clone is besides changesets and bookmarks on drafts."""

    #: where it is
    path: str
    #: the changeset of the working copy
    parent: str
    #: the bookmark and the topic that are active
    active: Optional[str] = None
    topic: Optional[str] = None
    #: bookmarks that are not on drafts
    bookmarks: dict[str, str] = {}

    def dump(self) -> str:
        return json.dumps(self._asdict(), sort_keys=True)


def load(text: str) -> State:
    """Return what a backup says of its clone, whatever release made it."""
    found = State('', '')
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        raw = json.loads(text)
        found = State(**{n: raw[n] for n in State._fields if n in raw})
    return found


class Backup(NamedTuple):
    """What is to be in the backup."""

    heads: set[bytes]
    bookmarks: dict[str, bytes]
    state: str


# -- what this clone is


def wanted(repo) -> Backup:
    """Return what is to be in the backup of a repository."""
    cl = repo.changelog
    private = privacy.revs(repo)
    drafts = repo.revs(b'draft() - extinct() - %ld', private)
    nodes = {*map(cl.node, drafts)}
    hidden = {*map(cl.node, repo.revs(b'secret() + %ld', private))}
    marks = {
        totext(name): node
        for name, node in repo._bookmarks.items()
        if node in nodes
    }
    state = stateof(repo, nodes | hidden)
    if repo.dirstate.p1() in hidden:
        # not even its hash is for others
        state = state._replace(parent='', active=None)
    heads = {*map(cl.node, repo.revs(b'heads(%ld)', drafts))}
    return _fitting(heads, marks, state)


def stateof(repo, without: Container[bytes] = ()) -> State:
    """Return what a repository is, with the bookmarks that are not on these
    changesets."""
    active = repo._activebookmark
    # of the extension topic
    topic = getattr(repo, 'currenttopic', None)
    return State(
        # whatever the encoding is: a path is none of its text
        clones.place(repo).decode('utf-8', 'replace'),
        hex(repo.dirstate.p1()).decode(),
        totext(active) if active else None,
        totext(topic) if topic else None,
        {
            totext(name): hex(node).decode()
            for name, node in repo._bookmarks.items()
            if node not in without
        },
    )


def _fitting(
    heads: set[bytes], marks: dict[str, bytes], state: State
) -> Backup:
    """Return what a view can hold of it: rather too few bookmarks than no
    changesets."""
    short = [name for name in sorted(marks) if len(name) <= model.NAME_LENGTH]
    text = state.dump()
    if len(text) > viewmodel.STATE_LENGTH:
        text = state._replace(bookmarks={}).dump()
    return Backup(
        heads,
        {name: marks[name] for name in short[: viewmodel.BOOKMARKS]},
        text,
    )


# -- the command


def run(ui, repo, dest, opts) -> int:
    """Do what the command was told to; returns its exit code."""
    if opts['auto']:
        from . import autobackup

        return autobackup.run(ui, repo, dest, opts)
    if opts['restore']:
        from . import backuprestore

        return backuprestore.run(ui, repo, dest, opts)
    if opts['from']:
        raise error.InputError(_(b'--from goes with --restore'))
    if opts['status']:
        from . import backedup

        return backedup.show(ui, repo, opts)
    with destination(ui, repo, dest, opts) as peer:
        done = backup(repo, peer, revs=_revs(repo, opts))
        hidden = backupprivate(repo, peer, bool(opts['secret']))
    if ui.configbool(config.SECTION, b'auto-backup'):
        from . import autobackup

        autobackup.resume(repo)
    _tell(ui, repo, done, hidden)
    return 0


def _revs(repo, opts) -> Optional[list[bytes]]:
    if not opts['rev']:
        return None
    revs = logcmdutil.revrange(repo, opts['rev'])
    nodes = [repo.changelog.node(rev) for rev in revs]
    return nodes


@contextlib.contextmanager
def destination(ui, repo, dest: Optional[bytes], opts) -> Iterator[Any]:
    """Give the peer that backups go to; raises ``error.Abort``."""
    listing.useoptions(repo.ui, opts)
    paths = list(urlutil.get_push_paths(repo, ui, [dest] if dest else []))
    quickend()
    location = compat.pushlocation(paths[0])
    peer = compat.peer(repo, location)
    try:
        views.check(peer)
        storeless.met(repo, peer)
        yield peer
    finally:
        peer.close()


class Done(NamedTuple):
    """What a backup has done."""

    record: viewrecord.Record
    #: changesets that were sent, and heads that came and went
    sent: int
    added: int = 0
    removed: int = 0
    changed: bool = False
    #: names of other backups of this place, where this is the first one of
    #: this clone
    beside: tuple[str, ...] = ()


def backup(repo, peer, revs: Optional[list[bytes]] = None) -> Done:
    """Bring the backup of a repository up to date; raises ``error.Abort``.
    With ``revs``, what is below these is added, and nothing leaves it."""
    for _attempt in range(ATTEMPTS):
        name = clones.viewname(repo)
        before, gone = _asitis(repo, peer, name)
        # another process may have committed, and backed that up
        repo.invalidateall()
        aim = wanted(repo)
        mine = _ismine(repo, peer, before, gone, aim)
        if not mine and clones.renew(repo):
            continue
        beside = () if before.version else _beside(peer, name)
        if revs is not None:
            aim = _some(repo, aim, revs)
        if revs is not None or not mine:
            # a clone may have no number that it could change
            aim = _with(repo, before, aim)
        done = _bring(repo, peer, before, gone, aim)
        if done is not None:
            if mine:
                viewrecord.write(repo, done.record)
            return done._replace(beside=beside)
        # another process of this clone was quicker
    raise overtaken()


def overtaken() -> error.StateError:
    """Return what to raise when others were quicker each time."""
    return error.StateError(
        _(b'the backup was changed meanwhile'), hint=_(b'try again')
    )


def backupprivate(repo, peer, secret: bool = False) -> Optional[Done]:
    """Bring the backup of what others are not to see up to date, what is
    ``secret`` as well; None if there is nothing. Raises ``error.Abort``."""
    if not secret and not privacy.revs(repo):
        return None
    from . import secretbackup

    return secretbackup.run(repo, peer, secret)


def _asitis(
    repo, peer, name: str
) -> tuple[viewrecord.Record, frozenset[bytes]]:
    """Return what is in the backup now, and what of it the store has lost."""
    location = peer.url()
    known = viewrecord.read(repo, location, name)
    unless = None if known is None else known.version or None
    answer = views.get(peer, wire.Query(name=name, unless=unless))
    if answer.same and known is not None:
        if answer.view is not None and answer.view.uid == known.uid:
            return known, answer.gone
        # that of another user of this clone
        answer = views.get(peer, wire.Query(name=name))
    view = answer.view or viewmodel.View('', name)
    return viewrecord.of(location, name, view), answer.gone


def _ismine(
    repo,
    peer,
    found: viewrecord.Record,
    gone: frozenset[bytes],
    aim: Backup,
) -> bool:
    """Whether nobody else than this clone has changed its backup: no copy of
    it has, nor was it put back to what it had been before."""
    if not found.version:
        return True
    if found.name.endswith(clones.NOBODY):
        return False
    known = viewrecord.read(repo, peer.url(), found.name, found.uid)
    seen = known.nodes if known else set()
    hasnode = repo.unfiltered().changelog.index.has_node
    if any(not hasnode(n) for n in found.nodes.difference(seen, gone)):
        return False
    # what this clone has there, and did not take away
    own = aim.heads.intersection(known.heads if known else ())
    return own.issubset(found.heads)


def _beside(peer, name: str) -> tuple[str, ...]:
    """Return the names of some other backups of the same place."""
    query = wire.Query(prefix=clones.placeof(name))
    found = {
        one['name'][: len(name)]
        for one in itertools.islice(views.listed(peer, query), _OTHERS)
        if not one['dropped']
    }
    return tuple(sorted(found - {name}))


def _some(repo, aim: Backup, revs: list[bytes]) -> Backup:
    """Return the part of it that is below some revisions."""
    heads = repo.revs(
        b'heads((draft() - extinct() - %ld) and ::%ln)',
        privacy.revs(repo),
        revs,
    )
    return aim._replace(
        heads={*map(repo.changelog.node, heads)},
        bookmarks={
            name: node
            for name, node in aim.bookmarks.items()
            if repo.revs(b'%n and ::%ld', node, heads)
        },
    )


def _with(repo, before: viewrecord.Record, aim: Backup) -> Backup:
    """Return what is to be in the backup if nothing may leave it."""
    unfi = repo.unfiltered()
    hasnode = unfi.changelog.index.has_node
    here = [node for node in before.heads if hasnode(node)]
    heads = unfi.revs(b'heads(%ln + %ln)', here, aim.heads)
    return aim._replace(
        heads={*map(unfi.changelog.node, heads)}.union(
            node for node in before.heads if not hasnode(node)
        ),
        bookmarks={**before.bookmarks, **aim.bookmarks},
    )


def _bring(
    repo,
    peer,
    before: viewrecord.Record,
    gone: frozenset[bytes],
    aim: Backup,
) -> Optional[Done]:
    """Send what is new, and have the view hold it; None if that has changed
    meanwhile."""
    hasnode = repo.unfiltered().changelog.index.has_node
    # what the store has lost is sent again
    lacking = aim.heads.difference({*before.heads}.difference(gone))
    new = sorted(filter(hasnode, lacking))
    added = sorted(aim.heads.difference(before.heads))
    removed = sorted(set(before.heads).difference(aim.heads))
    moves = _moves(before.bookmarks, aim.bookmarks)
    sent = send(repo, peer, new, push.Wish(True, False)) if new else 0
    changed = added or removed or moves or aim.state != before.state
    # who drops the backup of a clone that is in use gets it back
    changed = changed or before.dropped
    if not (changed if before.version else aim.heads):
        now = before._replace(time=int(time.time()))
        return Done(now, sent, changed=bool(new))
    name = before.name
    answer = views.change(
        peer,
        wire.Change(
            'put',
            None,
            name,
            before.version,
            tuple(added),
            tuple(removed),
            moves,
            aim.state,
            machine=views.machine(),
        ),
    )
    if answer.moved or answer.view is None:
        return None
    record = viewrecord.of(peer.url(), name, answer.view)._replace(
        heads=sorted(aim.heads), bookmarks=aim.bookmarks
    )
    return Done(record, sent, len(added), len(removed), True)


def _moves(
    before: dict[str, bytes], after: dict[str, bytes]
) -> tuple[tuple[str, Optional[bytes]], ...]:
    gone = [(name, None) for name in before if name not in after]
    moved = [item for item in after.items() if before.get(item[0]) != item[1]]
    return (*gone, *moved)


def send(repo, peer, heads: Iterable[bytes], wish: push.Wish) -> int:
    """Push some heads; return how many changesets the store did not have."""
    ui = repo.ui
    quiet = {} if ui.verbose or ui.debugflag else {(b'ui', b'quiet'): True}
    with ui.configoverride(quiet, b'backup'), scratchpush.connected():
        pushop = scratchpush.push(repo, peer, wish, revs=list(heads))
    noted.made(repo, peer.url(), getattr(pushop, scratchpush.TOLD, ()))
    return len(pushop.outgoing.missing)


def others(done: Done) -> bytes:
    """Return what to say of other backups of the same place, empty if there
    are none."""
    if not done.beside:
        return b''
    if len(done.beside) > 1:
        return _(
            b'there are other backups of this place:'
            b" 'hg backup --restore' lists them"
        )
    return _(
        b'there is another backup of this place:'
        b" 'hg backup --restore --from %s' brings it"
    ) % tolocal(':'.join(clones.split(done.beside[0])))


def _tell(ui, repo, done: Done, hidden: Optional[Done]) -> None:
    text = views.counted(len(done.record.heads), 'head')
    if not done.changed:
        ui.status(_(b'nothing to back up (%s)\n') % text)
    else:
        what = views.counted(done.sent, 'changeset')
        ui.status(
            _(b'backed up %s (%s, +%d/-%d)\n')
            % (what, text, done.added, done.removed)
        )
    note = others(done)
    if note:
        ui.status(b'(%s)\n' % note)
    if hidden is not None:
        text = views.counted(len(hidden.record.heads), 'head')
        if hidden.changed:
            what = views.counted(hidden.sent, 'changeset')
            ui.status(_(b'backed up %s in private (%s)\n') % (what, text))
        else:
            ui.status(_(b'nothing to back up in private (%s)\n') % text)
    secret = len(
        repo.revs(b'secret() - extinct() - ::%ln', viewrecord.backedup(repo))
    )
    if secret:
        ui.status(
            _(b'ignored 1 secret changeset\n')
            if secret == 1
            else _(b'ignored %d secret changesets\n') % secret
        )
