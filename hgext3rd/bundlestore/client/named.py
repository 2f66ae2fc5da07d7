"""Names that the server understands and that mean nothing here.

``hg pull -B scratch/NAME``: Mercurial asks for all bookmarks and looks for the
name among them, but no server lists scratch bookmarks. It is looked up
instead, as ``-r`` does, and no other bookmark is made here.

``hg incoming`` of a workspace is of the heads that a pull would ask for.

``hg clone -u NAME``: Mercurial looks the name up over there, but pulls what
everybody gets, and where the changeset is not among that it updates to
another one without a word. It is fetched, too, and so is a workspace that the
path has.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from typing import Any, Optional

from mercurial import cmdutil, error, scmutil
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.utils import urlutil

from .. import compat, config, server as servermod
from ..names import CAPABILITY
from ..start.wraps import apply, inplaceof
from . import together

#: keys in the ``opargs`` of ``exchange.pull``: scratch bookmarks, by their
#: places among what is pulled; and a workspace
_OPARG = b'bundlestore'
_WORKSPACE = b'bundlestore-workspace'


# -- pull -B


@inplaceof('the command pull')
def pull(orig, ui, repo, *sources, **opts):
    """Pull what the scratch bookmarks of ``-B`` name."""
    matches = config.bookmarkmatcher(ui)
    expanded = repo._bookmarks.expandname
    names = [expanded(name) for name in opts.get('bookmark') or ()]
    scratch = [name for name in names if matches(name)]
    if scratch:
        opts['bookmark'] = [name for name in names if name not in scratch]
        # the command fails if the server does not know one of them
        revs = opts.get('rev') or ()
        opts['rev'] = [*revs, *scratch]
        opts['opargs'] = dict(opts.get('opargs') or {})
        # it pulls bookmarks first, then what it has looked up, in this order
        first = len(opts['bookmark']) + len(revs)
        opts['opargs'][_OPARG] = dict(enumerate(scratch, first))
    workspace = opts.pop('workspace', None)
    if workspace:
        opts['opargs'] = dict(opts.get('opargs') or {})
        opts['opargs'][_WORKSPACE] = workspace
    if not opts.get('rev'):
        return orig(ui, repo, *sources, **opts)
    with together.asking(repo):
        return orig(ui, repo, *sources, **opts)


@inplaceof('exchange.pull')
def exchangepull(orig, repo, remote, *args, **kwargs):
    if not remote.local():
        apply('pull')
    opargs = dict(kwargs.get('opargs') or {})
    names = opargs.pop(_OPARG, {})
    if names:
        marks = dict(opargs.get(b'remotebookmarks') or {})
        heads = list(kwargs.get('heads') or ())
        marks.update((name, heads[place]) for place, name in names.items())
        opargs[b'remotebookmarks'] = marks
        kwargs['bookmarks'] = [
            *(kwargs.get('bookmarks') or ()),
            *names.values(),
        ]
    workspace = opargs.pop(_WORKSPACE, None)
    if not workspace and not (kwargs.get('heads') or kwargs.get('bookmarks')):
        workspace = getattr(kwargs.get('path'), 'workspace', None)
    found = None
    if workspace:
        from . import workspace as workspaces

        found = workspaces.pulled(repo, remote, workspace)
        kwargs['heads'] = [*(kwargs.get('heads') or ()), *found.heads]
        kwargs['bookmarks'] = [*(kwargs.get('bookmarks') or ()), *found.new]
        opargs[b'remotebookmarks'] = {
            **(opargs.get(b'remotebookmarks') or {}),
            **found.bookmarks,
        }
    kwargs['opargs'] = opargs
    result = orig(repo, remote, *args, **kwargs)
    if found is not None and found.current:
        workspaces.seen(repo, remote, found.view)
    cloning = _cloning.get()
    if cloning is not None:
        for more in cloning.lacking(repo, remote):
            orig(repo, remote, **more)
    return result


def _lookup(remote, names: list[bytes]) -> dict[bytes, bytes]:
    with remote.commandexecutor() as executor:
        futures = {
            name: executor.callcommand(b'lookup', {b'key': name})
            for name in names
        }
    return {name: future.result() for name, future in futures.items()}


# -- incoming


@inplaceof('the command incoming')
def incoming(orig, ui, repo, source=b'default', **opts):
    """Show what a pull of a workspace would bring."""
    cmdutil.check_at_most_one_arg(opts, 'workspace', 'bookmarks')
    asked = opts.pop('workspace', None)
    workspace = asked
    if not (asked or opts.get('bookmarks')):
        workspace = _ofpath(ui, source)
    if not workspace:
        return orig(ui, repo, source, **opts)

    def choose(pulling, peer, heads: Optional[list[bytes]]):
        # others are subrepositories
        if pulling.root != repo.root or (heads and not asked):
            return heads
        found = workspaces.pulled(repo, peer, workspace)
        return [*(heads or ()), *found.heads]

    from ..fetch import bypath
    from . import workspace as workspaces

    apply('peer')
    token = bypath.chosen.set(choose)
    try:
        return orig(ui, repo, source, **opts)
    finally:
        bypath.chosen.reset(token)


def _ofpath(ui, source: Optional[bytes]) -> Optional[bytes]:
    """Return the workspace of a path that is called so."""
    for path in ui.paths.get(source, ()):
        found: Optional[bytes] = path.workspace
        return found
    return None


# -- clone


class _Clone:
    """A clone that shall have a workspace, and be updated to what a name
    stands for."""

    def __init__(
        self, name: Optional[bytes], workspace: Optional[bytes]
    ) -> None:
        self._name = name
        self._workspace = workspace
        #: what that is on a server with a bundle store
        self.node: Optional[bytes] = None
        #: the new repository
        self.root = b''
        self._store: Optional[bytes] = None

    def lacking(self, repo, remote) -> Iterator[dict[str, Any]]:
        """Yield what is to be pulled, as well, into a repository that has
        pulled: arguments of ``exchange.pull``."""
        if self._store is not None:
            # With a pool of shares the pool pulls first, then the new
            # repository. Others are subrepositories.
            if repo.sharedpath == self._store:
                self.root = repo.root
            return
        self._store, self.root = repo.sharedpath, repo.root
        if self._workspace:
            yield from _ofworkspace(repo, remote, self._workspace)
        if not self._name or not remote.capable(CAPABILITY):
            return
        self.node = _lookup(remote, [self._name])[self._name]
        if not repo.unfiltered().changelog.hasnode(self.node):
            yield {'heads': [self.node], 'opargs': {b'remotebookmarks': {}}}


def _ofworkspace(repo, remote, workspace: bytes) -> Iterator[dict[str, Any]]:
    from . import workspace as workspaces

    try:
        found = workspaces.pulled(repo, remote, workspace)
    except error.InputError as exc:
        # who clones to begin with it has none yet
        repo.ui.warn(_(b'(not pulled: %s)\n') % exc.message)
        return
    yield {
        'heads': found.heads,
        'bookmarks': found.new,
        'opargs': {b'remotebookmarks': found.bookmarks},
    }
    if found.current:
        workspaces.seen(repo, remote, found.view)


#: the clone that this thread makes
_cloning: contextvars.ContextVar[Optional[_Clone]] = contextvars.ContextVar(
    'cloning', default=None
)


@inplaceof('the command clone')
def clone(orig, ui, source, *dest, **opts):
    """Fetch what ``-u`` names, wherever it is, and what is in the workspace of
    a path."""
    name: Optional[bytes] = opts.get('updaterev')
    workspace = None
    if not (opts.get('rev') or opts.get('branch')):
        workspace = _ofpath(ui, source)
    if not (name or workspace):
        if not opts.get('rev'):
            return orig(ui, source, *dest, **opts)
        with together.asking():
            return orig(ui, source, *dest, **opts)
    if workspace or (name and _isstored(ui, source, name)):
        # Otherwise the files of the repository would be copied.
        opts['pull'] = True
    cloning = _Clone(name, workspace)
    token = _cloning.set(cloning)
    try:
        result = orig(ui, source, *dest, **opts)
    finally:
        _cloning.reset(token)
    if cloning.node is not None and not result:
        _update(ui, cloning)
    return result


def _isstored(ui, source: bytes, name: bytes) -> bool:
    """Whether a name stands for a scratch changeset of the repository at a
    path."""
    path = urlutil.get_clone_path(ui, source)[1]
    if not urlutil.url(path).islocal():
        return False
    peer = compat.peer(ui, path)
    try:
        repo = peer.local()
        server = repo and servermod.of(repo)
        if not server:
            return False
        from .. import lookup

        return lookup.find(repo, server, name) is not None
    finally:
        peer.close()


def _update(ui, cloning: _Clone) -> None:
    """Update to what was asked for if the new repository is elsewhere: with a
    pool of shares Mercurial takes the default branch for a name that it does
    not know."""
    from mercurial import commands

    repo = compat.repository(ui, cloning.root)
    if repo[b'.'].node() == cloning.node:
        return
    node = scmutil.revsymbol(repo, hex(cloning.node)).node()
    commands.update(ui, repo, node=hex(node))
