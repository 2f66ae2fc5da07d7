"""``hg admin::bundlestore-land``."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Optional

from mercurial import error, hook, pycompat, scmutil
from mercurial.i18n import _
from mercurial.node import hex, short

from .. import access, compat, log, lookup, tryurl
from ..declaring import provides
from ..names import TRYURL
from ..records import NamedTuple
from ..server import aborting, hasnode, noting, servedview
from . import landing, rebasing
from .commands import administered, logged


class _Result(NamedTuple):
    """What became of a changeset."""

    node: bytes
    #: ``landed``, ``there`` (before), or ``empty`` (nothing is left of it)
    state: str
    #: as it is in the repository
    landed: Optional[bytes] = None


def run(ui, repo, name: bytes, opts) -> int:
    server = administered(repo)
    if opts['dest'] and not opts['rebase']:
        raise error.InputError(_(b'--dest goes with --rebase'))
    base = _base(repo)
    with (
        aborting(),
        logged(ui, server, 'land') as fields,
        ui.formatter(b'bundlestore-land', pycompat.byteskwargs(opts)) as fm,
        _apart(fm, [ui, repo.baseui, base.ui]),
    ):
        if not opts['dry_run']:
            server.checkopen()
        node = _find(repo, server, name)
        fields.update(node=hex(node), dryrun=opts['dry_run'] or None)
        found = _land(ui, base, repo, server, node, opts)
        landed = {r.node: r.landed for r in found if r.landed}
        pushes = {}
        if not opts['dry_run']:
            fields['landed'] = log.nodes(landed.values())
            pushes = _note(ui, server, landed, node)
        for result in found:
            ids = [push.id for push in pushes.get(result.node, ())]
            _show(ui, fm, result, ids, opts['dry_run'])
    return int(all(result.state != 'landed' for result in found))


@contextlib.contextmanager
def _apart(fm, uis) -> Iterator[None]:
    """Have nothing else be said where a program reads."""
    if fm.isplain():
        yield
        return
    hook.redirect(True)
    try:
        for one in uis:
            one.setconfig(b'ui', b'message-output', b'stderr', b'bundlestore')
        yield
    finally:
        hook.redirect(False)


def _base(repo):
    """Return the repository where things land: of a try URL its base."""
    if TRYURL not in repo.requirements:
        return repo
    # the store is its own, but need not have been turned on there
    ui = tryurl.enabled(repo.baseui)
    ui.setconfig(b'bundlestore', b'server', b'yes', b'bundlestore')
    return compat.repository(ui, os.path.dirname(repo.sharedpath))


def _find(repo, server, name: bytes) -> bytes:
    node: Optional[bytes] = lookup.pushed(repo, server, name)
    if node is None:
        raise error.RepoLookupError(_(b"unknown revision '%s'") % name)
    return node


def _land(ui, base, repo, server, node: bytes, opts) -> list[_Result]:
    """Have a changeset land; return what became of it, and of those that it
    rests on."""
    if hasnode(base, node):
        return [_Result(node, 'there', node)]
    with landing.opened(base, repo, server, node) as view:
        nodes = landing.lacking(base, view, node)
        before = landing.rebased(base, view, nodes)
        dest = None
        if opts['rebase']:
            dest = _dest(base, view, node, opts['dest'])
        if dest is not None and opts['dest']:
            before = _near(base, before, dest)
        found = [_Result(n, 'there', its) for n, its in before.items()]
        if node in before:
            return found
        made: dict[bytes, Optional[bytes]] = {n: n for n in nodes}
        if dest is not None:
            rest = [n for n in nodes if n not in before]
            user = access.username(b'').encode('utf-8')
            made = rebasing.rebase(ui, base, view, rest, dest, user)
        wish = landing.Wish(
            bool(opts['force']), bool(opts['new_branch']), opts['dry_run']
        )
        lands = [new for new in made.values() if new is not None]
        if lands:
            landing.push(base, view, lands[-1], wish)
    for one, new in made.items():
        state = 'empty' if new is None else 'landed'
        found.append(_Result(one, state, new))
    return found


def _dest(base, view, node: bytes, name: bytes) -> bytes:
    """Return what to rebase onto."""
    shown = servedview(base)
    if name:
        dest: bytes = scmutil.revsingle(shown, name).node()
        return dest
    branch = view[node].branch()
    branches = shown.branchmap()
    heads = branches.branchheads(branch) if branches.hasbranch(branch) else []
    if len(heads) == 1:
        return heads[0]
    what = _(b"branch '%s' has %d heads") % (branch, len(heads))
    if heads:
        what += b': ' + b', '.join(map(short, heads))
    raise error.StateError(what, hint=_(b'use --dest to say onto which'))


def _near(base, found: dict[bytes, bytes], dest: bytes) -> dict[bytes, bytes]:
    """Return those that landed in a line with ``dest``: others do not keep
    anything from landing there."""
    cl = servedview(base).changelog
    rev = cl.rev(dest)
    return {
        node: its
        for node, its in found.items()
        if cl.isancestorrev(rev, cl.rev(its))
        or cl.isancestorrev(cl.rev(its), rev)
    }


def _note(ui, server, landed, node: bytes):
    if not landed:
        return {}
    if not provides(server.index, 'ILandings'):
        ui.warn(_(b'the bundle index cannot keep where it landed\n'))
        return {}
    with noting(ui):
        user = access.username(b'')
        return landing.note(server, landed, node, time.time(), user)
    return {}


def _show(ui, fm, result: _Result, ids: list[int], dry: bool) -> None:
    fm.startitem()
    new = result.landed
    if not fm.isplain():
        fm.data(
            node=hex(result.node),
            state=result.state.encode(),
            landed=b'' if new is None else hex(new),
            pushes=fm.formatlist(ids, name=b'push', fmt=b'%d'),
        )
        return
    text = short(result.node)
    if new not in (None, result.node):
        text = _(b'%s as %s') % (text, short(new))
    if result.state == 'empty':
        line = _(b'left out %s: the repository has its changes') % text
    elif result.state == 'there':
        line = _(b'landed already: %s') % text
    elif dry:
        line = _(b'would land %s') % text
    else:
        line = _(b'landed %s') % text
    if ui.verbose and ids:
        numbers = b', '.join(b'%d' % id for id in ids)
        line = _(b'%s (push %s)') % (line, numbers)
    fm.plain(b'%s\n' % line)
