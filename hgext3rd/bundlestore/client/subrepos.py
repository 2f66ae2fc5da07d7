"""Subrepositories: a scratch push lands none of them.

Mercurial pushes them before the repository that names them, each to its own
address. With a scratch push, they are scratch pushes, too: what a
subrepository has goes to the bundle store of its own server, or the push ends
before anything is sent for the outer one. git has no such thing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from mercurial import error, exchange, requirements, subrepoutil
from mercurial.i18n import _
from mercurial.node import bin

from .. import compat, config, names
from ..start.wraps import apply, inplaceof

#: requirements of clones in which some or all files lack their revlogs
_PARTLY = (requirements.NARROW_REQUIREMENT, names.SHALLOW)


def currentpath(repo) -> Any:
    """Return the path that a push of ``repo`` goes to now, or None."""
    return getattr(repo.unfiltered(), '_bundlestorepath', None)


def isscratchpath(repo) -> bool:
    """Whether that path asks for the bundle store."""
    path = currentpath(repo)
    value = getattr(path, 'bundle_store', None)
    if isinstance(value, bytes):
        # taken for "no", a typo would let the push land
        raise error.ConfigError(
            _(b"paths.%s:bundle-store is not a boolean ('%s')")
            % (path.name, value)
        )
    return bool(value)


@contextlib.contextmanager
def pushing(repo, scratch: bool) -> Iterator[None]:
    """Push ``repo`` in the body, be it to the bundle store as its path says,
    or as ``scratch`` does."""
    unfi = repo.unfiltered()
    unfi._bundlestoresubs = scratch
    try:
        yield
    finally:
        del unfi._bundlestoresubs


def isscratch(repo) -> bool:
    """Whether a repository, or the one that it is a subrepository of, is being
    pushed to the bundle store."""
    top = repo.unfiltered()
    while hasattr(top, '_subparent'):
        top = top._subparent.unfiltered()
    return getattr(top, '_bundlestoresubs', False) or isscratchpath(top)


@inplaceof('subrepoutil.state')
def state(orig, ctx, ui):
    """Answer without the manifest where no changeset has ever named a
    subrepository: each push asks for those of the working copy's parent, and
    to read the manifest of 400,000 files takes 0.3 seconds."""
    repo = ctx.repo()
    if (
        ctx.rev() is not None
        and not repo.requirements.intersection(_PARTLY)
        and not len(repo.file(b'.hgsub'))
    ):
        return {}
    return orig(ctx, ui)


@inplaceof('subrepo.hgsubrepo._cachestorehash')
def cachestorehash(orig, self, remotepath):
    """Do not take a subrepository for pushed that is in a bundle store:
    Mercurial would leave it out when the outer one lands."""
    if not isscratch(self._repo):
        orig(self, remotepath)


@inplaceof('subrepo.gitsubrepo.push')
def pushgit(orig, self, opts):
    """Let no branch of git land."""
    if not isscratch(self._ctx.repo()):
        return orig(self, opts)
    gitdir = self._gitdir

    def refuse(commands, *args, **kwargs):
        if commands[0] == b'push':
            raise error.Abort(
                _(b'git has no bundle store, and a push would land'),
                hint=_(b'push the subrepository with git first'),
            )
        return gitdir(commands, *args, **kwargs)

    self._gitdir = refuse
    try:
        return orig(self, opts)
    finally:
        del self._gitdir


@inplaceof('subrepoutil.submerge')
def submerge(orig, *args, **kwargs):
    """Have :func:`get` asked: Mercurial loads what opens a subrepository only
    now, and where the extension is turned on for the outer repository alone,
    nobody tells us when."""
    apply('subrepos')
    return orig(*args, **kwargs)


@inplaceof('subrepo.hgsubrepo._get')
def get(orig, self, state):
    """Fetch what the outer changeset names from a bundle store, where a pull
    brings only what landed."""
    found = orig(self, state)
    _source, revision, _kind = state
    ui = self._repo.ui
    if revision in self._repo.unfiltered() or not ui.configbool(
        config.SECTION, b'autopull'
    ):
        return found
    url = subrepoutil._abssource(self._repo)
    with contextlib.closing(compat.peer(self._repo, url)) as peer:
        if peer.capable(names.CAPABILITY):
            exchange.pull(self._repo, peer, heads=[bin(revision)])
    return found
