"""``hg backup``: every draft is kept on the server.

The backup of a clone is a view of its user (see ``wire/views.py``) which is
called after the machine and the place of the clone. It holds all heads that
are draft, and bookmarks; what else is needed to have the clone back as it was
is in the text that a view has for its client. What the server has of it
already is known here, and with nothing new one question is all that is asked.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any, Optional

from mercurial import error, logcmdutil
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.utils import urlutil

from .. import compat, model, viewmodel
from ..records import NamedTuple
from ..server import tolocal, totext
from ..start.loading import quickend
from ..wire import views as wire
from . import listing, noted, push, scratchpush, storeless, viewrecord, views

#: digits of the hash of a path
_DIGITS = 12
#: how often it is tried while others change it
_ATTEMPTS = 5


class State(NamedTuple):
    """What a clone is besides changesets and bookmarks on drafts."""

    #: where it is
    path: str
    #: the changeset of the working copy
    parent: str
    #: the bookmark and the topic that are active
    active: Optional[str] = None
    topic: Optional[str] = None
    #: bookmarks on public changesets
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


def viewname(repo) -> str:
    """Return what the backup of a repository is called."""
    host = socket.gethostname().replace('/', '_').replace('@', '_')
    return f'{viewmodel.BACKUP}{host or "localhost"}/{pathhash(place(repo))}'


def place(repo) -> bytes:
    """Return where a repository is; its shares are one with it."""
    path: bytes = repo.sharedpath
    if path.endswith(b'/.hg'):
        path = path[: -len(b'/.hg')]
    return path


def pathhash(path: bytes) -> str:
    """Return what stands for a path in the name of a backup."""
    return hashlib.sha256(path).hexdigest()[:_DIGITS]


def wanted(repo) -> Backup:
    """Return what is to be in the backup of a repository."""
    cl = repo.changelog
    drafts = repo.revs(b'draft() - extinct()')
    nodes = {*map(cl.node, drafts)}
    marks, public = {}, {}
    for name, node in repo._bookmarks.items():
        if node in nodes:
            marks[totext(name)] = node
        else:
            public[totext(name)] = hex(node).decode()
    active = repo._activebookmark
    # of the extension topic
    topic = getattr(repo, 'currenttopic', None)
    state = State(
        # whatever the encoding is: a path is none of its text
        place(repo).decode('utf-8', 'replace'),
        hex(repo.dirstate.p1()).decode(),
        totext(active) if active else None,
        totext(topic) if topic else None,
        public,
    )
    heads = {*map(cl.node, repo.revs(b'heads(%ld)', drafts))}
    return _fitting(heads, marks, state)


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
    _tell(ui, repo, done)
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
    added: int
    removed: int
    changed: bool


def backup(repo, peer, revs: Optional[list[bytes]] = None) -> Done:
    """Bring the backup of a repository up to date; raises ``error.Abort``.
    With ``revs``, what is below these is added, and nothing leaves it."""
    name = viewname(repo)
    for _attempt in range(_ATTEMPTS):
        before, gone = _asitis(repo, peer, name)
        aim = wanted(repo)
        if revs is not None:
            aim = _some(repo, before, aim, revs)
        done = _bring(repo, peer, before, gone, aim)
        if done is not None:
            viewrecord.write(repo, done.record)
            return done
        # another process of this clone was quicker
    raise error.StateError(
        _(b'the backup was changed meanwhile'), hint=_(b'try again')
    )


def _asitis(
    repo, peer, name: str
) -> tuple[viewrecord.Record, frozenset[bytes]]:
    """Return what is in the backup now, and what of it the store has lost."""
    location = peer.url()
    known = viewrecord.read(repo, location, name)
    unless = None if known is None else known.version or None
    answer = views.get(peer, wire.Query(name=name, unless=unless))
    if answer.same and known is not None:
        return known, answer.gone
    view = answer.view or viewmodel.View('', name)
    found = viewrecord.of(location, name, view)
    if not view.dropped:
        found = _own(repo, found, known, answer.gone)
    return found, answer.gone


def _own(
    repo,
    found: viewrecord.Record,
    known: Optional[viewrecord.Record],
    gone: frozenset[bytes],
) -> viewrecord.Record:
    """Return what of a backup is of this clone. A clone that was made anew
    after a loss has not seen what is there: that is not its to remove."""
    hasnode = repo.unfiltered().changelog.index.has_node
    seen = set(known.heads if known else ())
    names = set(known.bookmarks if known else ())
    names.update(
        name
        for name, node in found.bookmarks.items()
        if hasnode(node) and tolocal(name) in repo._bookmarks
    )
    heads = [node for node in found.heads if hasnode(node) or node in seen]
    return found._replace(
        heads=heads,
        bookmarks={
            n: found.bookmarks[n] for n in found.bookmarks if n in names
        },
        otherheads=len({*found.heads}.difference(heads, gone)),
        otherbookmarks=[
            name
            for name, node in found.bookmarks.items()
            if name not in names and node not in gone
        ],
    )


def _some(
    repo, before: viewrecord.Record, aim: Backup, revs: list[bytes]
) -> Backup:
    unfi = repo.unfiltered()
    hasnode = unfi.changelog.index.has_node
    there = [node for node in before.heads if hasnode(node)]
    drafts = repo.revs(b'(draft() - extinct()) and ::%ln', revs)
    heads = repo.revs(b'heads(%ld + %ln)', drafts, there)
    return aim._replace(
        heads={*map(unfi.changelog.node, heads)},
        bookmarks={
            name: node
            for name, node in aim.bookmarks.items()
            if repo.revs(b'%n and ::%ld', node, heads)
        },
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
    kept = before.otherbookmarks
    if kept or before.otherheads:
        # it goes with what is there
        aim = aim._replace(
            bookmarks={n: m for n, m in aim.bookmarks.items() if n not in kept},
            state=before.state,
        )
    # what the store has lost is sent again
    send = sorted(aim.heads.difference({*before.heads}.difference(gone)))
    added = sorted(aim.heads.difference(before.heads))
    removed = sorted(set(before.heads).difference(aim.heads))
    moves = _moves(before.bookmarks, aim.bookmarks)
    sent = _send(repo, peer, send) if send else 0
    changed = added or removed or moves or aim.state != before.state
    if not (changed if before.version else aim.heads):
        now = before._replace(time=int(time.time()))
        return Done(now, sent, 0, 0, bool(send))
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
        viewrecord.forget(repo, peer.url(), name)
        return None
    record = viewrecord.of(peer.url(), name, answer.view)._replace(
        heads=sorted(aim.heads),
        bookmarks=aim.bookmarks,
        otherheads=before.otherheads,
        otherbookmarks=before.otherbookmarks,
    )
    return Done(record, sent, len(added), len(removed), True)


def _moves(
    before: dict[str, bytes], after: dict[str, bytes]
) -> tuple[tuple[str, Optional[bytes]], ...]:
    gone = [(name, None) for name in before if name not in after]
    moved = [item for item in after.items() if before.get(item[0]) != item[1]]
    return (*gone, *moved)


def _send(repo, peer, heads: Iterable[bytes]) -> int:
    """Push some heads; return how many changesets the store did not have."""
    ui = repo.ui
    quiet = {} if ui.verbose or ui.debugflag else {(b'ui', b'quiet'): True}
    with ui.configoverride(quiet, b'backup'), scratchpush.connected():
        pushop = scratchpush.push(
            repo, peer, push.Wish(True, False), revs=list(heads)
        )
    noted.made(repo, peer.url(), getattr(pushop, scratchpush.TOLD, ()))
    return len(pushop.outgoing.missing)


def others(repo, record: viewrecord.Record) -> bytes:
    """Return what to say of what is in a backup and never was here, empty if
    there is nothing."""
    if not (record.otherheads or record.otherbookmarks):
        return b''
    return _(
        b'%s and %s in the backup are not of this clone, and'
        b" stay: 'hg backup --restore --from %s' brings them, 'hg workspace"
        b" --drop %s' does away with them"
    ) % (
        views.counted(record.otherheads, 'head'),
        views.counted(len(record.otherbookmarks), 'bookmark'),
        tolocal(record.name[len(viewmodel.BACKUP) :].replace('/', ':')),
        tolocal(record.name),
    )


def _tell(ui, repo, done: Done) -> None:
    text = views.counted(len(done.record.heads), 'head')
    if not done.changed:
        ui.status(_(b'nothing to back up (%s)\n') % text)
    else:
        what = views.counted(done.sent, 'changeset')
        ui.status(
            _(b'backed up %s (%s, +%d/-%d)\n')
            % (what, text, done.added, done.removed)
        )
    note = others(repo, done.record)
    if note:
        ui.status(b'(%s)\n' % note)
    secret = len(repo.revs(b'secret() - extinct()'))
    if secret:
        ui.status(
            _(b'ignored 1 secret changeset\n')
            if secret == 1
            else _(b'ignored %d secret changesets\n') % secret
        )
