"""``hg backup``: what others are not to see is kept in a view that nobody else
sees (see ``push/private.py``): what is in private workspaces, and with
``--secret`` what is secret.

It is called as the backup of the clone is, with an end of its own, and lies
beside that: nothing of it is ever in the other one.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from typing import Any, Callable, Optional

from mercurial import error, exchange, phases
from mercurial.i18n import _
from mercurial.node import bin, hex

from .. import viewmodel
from ..wire import views as wire
from . import backup, clones, privacy, push, viewrecord, views


def viewname(name: str) -> str:
    """Return what the view is called that goes with the backup ``name``."""
    return name + viewmodel.SECRET


def run(repo, peer, secret: bool) -> backup.Done:
    """Bring it up to date, with all that is ``secret``, else with what of that
    is in it; raises ``error.Abort``."""
    name = viewname(clones.viewname(repo))
    for _attempt in range(backup.ATTEMPTS):
        answer = views.get(peer, wire.Query(name=name))
        # another process may have committed, and backed that up
        repo.invalidateall()
        if answer.view is None and not _revs(repo, secret):
            return backup.Done(_record(peer, viewmodel.View('', name)), 0)
        if answer.view is None:
            answer = _made(peer, name)
        if answer.view is not None and not answer.moved:
            done = _bring(repo, peer, answer.view, answer.gone, secret)
            if done is not None:
                viewrecord.write(repo, done.record)
                return done
        # another process of this clone was quicker
    raise backup.overtaken()


def _record(peer, view: viewmodel.View) -> viewrecord.Record:
    return viewrecord.of(peer.url(), view.name, view)


def _revs(repo, secret: bool) -> Any:
    """Return what others are not to see."""
    found = repo.revs(b'%ld - extinct()', privacy.revs(repo))
    return found + repo.revs(b'secret() - extinct()') if secret else found


def _made(peer, name: str) -> wire.Answer:
    """Make the view. What is pushed to it must know of which it is."""
    return views.change(
        peer,
        wire.Change('put', None, name, machine=views.machine(), private=True),
    )


def _bring(
    repo, peer, view: viewmodel.View, gone: frozenset[bytes], secret: bool
) -> Optional[backup.Done]:
    """Send what is new, and have the view hold it; None if that has changed
    meanwhile."""
    if not view.private or not view.uid:
        # no release has made it so
        raise error.Abort(_(b"'%s' is not private") % views.called(view))
    revs = _revs(repo, secret)
    if not secret:
        there = filter(_has(repo), view.heads)
        revs = revs + repo.revs(b'secret() and ::%ln', list(there))
    cl = repo.changelog
    heads = {*map(cl.node, repo.revs(b'heads(%ld)', revs))}
    heads.update(_others(repo, peer, view, gone))
    send = sorted(heads.difference({*view.heads}.difference(gone)))
    added = sorted(heads.difference(view.heads))
    removed = sorted({*view.heads}.difference(heads))
    state = _state(repo, revs)
    sent = 0
    if send:
        wish = push.Wish(True, False, private=view.uid, secret=True)
        sent = backup.send(repo, peer, send, wish)
    if not (added or removed or state != view.state or view.dropped):
        return backup.Done(_record(peer, view), sent, changed=bool(send))
    answer = views.change(
        peer,
        wire.Change(
            *('put', None, view.name, view.version),
            added=tuple(added),
            removed=tuple(removed),
            state=state,
            machine=views.machine(),
        ),
    )
    if answer.moved or answer.view is None:
        return None
    counts = sent, len(added), len(removed)
    return backup.Done(_record(peer, answer.view), *counts, True)


def _others(
    repo, peer, view: viewmodel.View, gone: frozenset[bytes]
) -> Iterable[bytes]:
    """Return the heads that are there and never were here: another clone had
    this place before."""
    known = viewrecord.read(repo, peer.url(), view.name, view.uid)
    seen = {*known.heads} if known else set()
    hasnode = _has(repo)
    for node in view.heads:
        if not (hasnode(node) or node in seen or node in gone):
            yield node


def _has(repo) -> Callable[[bytes], bool]:
    found: Callable[[bytes], bool] = repo.unfiltered().changelog.index.has_node
    return found


def _state(repo, revs) -> str:
    """Return what a view does not tell of ``revs``: which are secret, and the
    bookmarks there, and what else the clone is."""
    cl = repo.changelog
    others = {*map(cl.node, repo.revs(b'all() - %ld', revs))}
    roots = map(cl.node, repo.revs(b'roots(secret() and %ld)', revs))
    state = backup.stateof(repo, others)._asdict()
    state['secret'] = [hex(node).decode() for node in roots]
    return json.dumps(state, sort_keys=True)


# -- restore


def restore(repo, peer, name: str, state: backup.State) -> backup.State:
    """Have back what goes with the backup ``name``, secret again, and return
    the ``state`` of that with what this one knows better. The caller holds the
    locks."""
    answer = views.get(peer, wire.Query(name=viewname(name)))
    view = answer.view
    if view is None or view.dropped or not view.private:
        return state
    heads = [node for node in view.heads if node not in answer.gone]
    if not heads:
        return state
    first = len(repo.unfiltered())
    exchange.pull(repo, peer, heads=heads, opargs={b'remotebookmarks': {}})
    hasnode = _has(repo)
    roots = [node for node in _roots(view.state) if hasnode(node)]
    with repo.transaction(b'backup-restore') as tr:
        phases.retractboundary(repo, tr, phases.secret, roots)
    # it was in a private workspace
    unfi = repo.unfiltered()
    drafts = unfi.revs(b'draft() and %ld', unfi.changelog.revs(first))
    privacy.remember(repo, map(unfi.changelog.node, drafts))
    if name == clones.viewname(repo):
        found = _record(peer, view)
        viewrecord.write(repo, found._replace(heads=heads))
    hidden = backup.load(view.state)
    marks = {**state.bookmarks, **hidden.bookmarks}
    # what the other one does not tell is on what is secret
    if not state.parent:
        state = state._replace(parent=hidden.parent, active=hidden.active)
    return state._replace(bookmarks=marks)


def _roots(state: str) -> list[bytes]:
    with contextlib.suppress(ValueError, TypeError, LookupError):
        return [bin(node) for node in json.loads(state)['secret']]
    return []
