"""``hg push``: is it a scratch push (``--bundle-store``, its path option,
scratch bookmarks), and does another one let nothing land by mistake?
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Optional

from mercurial import (
    error,
)
from mercurial.i18n import _
from mercurial.utils import stringutil, urlutil

from .. import config, names
from ..records import NamedTuple
from ..start.loading import quickend, searchrarely
from ..start.wraps import apply, inplaceof
from ..wire import stored
from . import (
    fromstore,
    noted,
    scratchpush,
    storeless,
    subrepos,
    workingcopy,
)

#: key in the ``opargs`` of ``exchange.push``
_OPARG = 'bundlestore'
#: options of ``hg push`` that say which changesets shall go; the last one is
#: that of the extension topic
_NAMING = ('rev', 'bookmark', 'branch', 'topic')


# -- what asks for a scratch push


class Wish(NamedTuple):
    """What the options of ``hg push`` say, for ``exchange.push``."""

    #: push to the bundle store
    scratch: bool
    #: nothing says which changesets shall go
    nothingnamed: bool
    #: scratch bookmarks, which Mercurial need not see
    bookmarks: tuple[bytes, ...] = ()
    #: they shall be where ``-r`` says
    byrevision: bool = False
    #: if they are not here, where ``--branch`` says
    bybranch: bool = False
    #: push this, which is in no repository
    made: Optional[workingcopy.Made] = None
    #: a view that shall hold it
    workspace: Optional[bytes] = None
    #: the ``uid`` of that, if others are not to see it
    private: str = ''
    #: push what is secret as well
    secret: bool = False


@inplaceof('the command push')
def push(orig, ui, repo, *dests, **opts):
    """Pass the options on, and see to scratch bookmarks."""
    described = workingcopy.takeoptions(opts)
    if described is None:
        return _push(orig, ui, repo, dests, opts)
    with workingcopy.committed(ui, repo, described) as made:
        if made is None:
            return 1
        return _push(orig, ui, repo, dests, opts, made)


def _push(orig, ui, repo, dests, opts, made=None):
    matches = config.bookmarkmatcher(ui)
    expanded = repo._bookmarks.expandname
    names = [expanded(name) for name in opts.get('bookmark') or []]
    scratch = [name for name in names if matches(name)]
    wish = Wish(False, not any(map(opts.get, _NAMING)))
    asked = opts.pop('bundle_store', None)
    workspace = opts.pop('workspace', None) or None
    asked = asked or workspace
    if made is not None:
        _checkoptions(repo, opts, names, scratch)
        wish = Wish(
            bool(asked or scratch), False, tuple(scratch), True, made=made
        )
        # Mercurial cannot know what is named
        opts.update(rev=[b'null'], bookmark=[])
    elif asked or scratch:
        _checkoptions(repo, opts, names, scratch)
        revs = list(opts.get('rev') or ())
        branch = bool(opts.get('branch'))
        wish = Wish(True, wish.nothingnamed, tuple(scratch), bool(revs), branch)
        if not revs:
            # as Mercurial does with -B; where -r is given as well, it would
            # push the changeset of the local bookmark along
            local = [name for name in scratch if name in repo._bookmarks]
            opts['rev'] = local or ([b'null'] if scratch else revs)
        opts['bookmark'] = []
    wish = wish._replace(workspace=workspace)
    opts['opargs'] = dict(opts.get('opargs', {}), **{_OPARG: wish})
    apply('push')
    if not repo[b'.'].substate:
        return orig(ui, repo, *dests, **opts)
    # they are pushed first, each to its own address
    if made is not None and not wish.scratch:
        # before the server can be asked what it is
        for _path in urlutil.get_push_paths(repo, ui, dests):
            if not subrepos.isscratchpath(repo):
                raise _wouldland()
    apply('subrepos')
    with subrepos.pushing(repo, wish.scratch):
        return orig(ui, repo, *dests, **opts)


def _checkoptions(repo, opts, names, scratch) -> None:
    if opts.get('publish'):
        raise error.InputError(
            _(b'cannot use --publish with a push to the bundle store')
        )
    others = [n for n in names if n not in scratch]
    if others:
        raise error.InputError(
            _(b"'%s' is not a scratch bookmark") % others[0],
            hint=_(
                b'the bundle store takes only bookmarks that match '
                b'bundlestore.bookmark-pattern: %s'
            )
            % repo.ui.config(config.SECTION, b'bookmark-pattern'),
        )


def pathoption(ui, path, value):
    """Read the option of a path."""
    parsed = stringutil.parsebool(value)
    # what cannot be read is kept: only a push must fail of it
    return value if parsed is None else parsed


@inplaceof('utils.urlutil.get_push_paths')
def getpushpaths(orig, repo, ui, dests):
    """Remember the path that a push goes to: the command hands only the
    location on, and the option would be lost."""
    if repo is None:
        yield from orig(repo, ui, dests)
        return
    unfi = repo.unfiltered()
    # in the middle of a push "-r outgoing()" asks for paths, too
    outer = subrepos.currentpath(repo)
    for path in orig(repo, ui, dests):
        unfi._bundlestorepath = path
        if urlutil.url(path.loc).scheme == b'ssh':
            apply('ssh')
        try:
            yield path
        finally:
            unfi._bundlestorepath = outer


@inplaceof('exchange.push')
def exchangepush(orig, repo, remote, *args, **kwargs):
    local = repo
    storeless.met(repo, remote)
    opargs = dict(kwargs.get('opargs') or {})
    # a subrepository is pushed whole, whatever is named in the outer one
    whole = hasattr(repo.unfiltered(), '_subparent')
    wish = opargs.pop(_OPARG, Wish(subrepos.isscratch(repo), whole))
    kwargs['opargs'] = opargs
    workspace = wish.workspace or getattr(
        subrepos.currentpath(repo), 'workspace', None
    )
    scratch = wish.scratch or bool(workspace) or subrepos.isscratchpath(repo)
    if wish.made is not None:
        _checkdestination(scratch, remote)
        scratch = True
        repo, kwargs['revs'] = wish.made.repo, [wish.made.node]
    if scratch:
        quickend()
        searchrarely()
        with scratchpush.connected():
            send = scratchpush.push
            if workspace:
                from . import workspace as workspaces

                send = functools.partial(workspaces.push, workspace)
            pushop = send(repo, remote, wish, *args, **kwargs)
    else:
        with _guarded(repo.unfiltered(), wish.nothingnamed):
            pushop = orig(repo, remote, *args, **kwargs)
    _note(local, pushop)
    return pushop


def _note(repo, pushop) -> None:
    """Note what the server has stored."""
    told = getattr(pushop, scratchpush.TOLD, ())
    if told and not noted.made(repo, pushop.remote.url(), told):
        repo.ui.warn(
            _(
                b"(what was pushed cannot be noted: 'hg pushes --wait' needs "
                b'the number of the push)\n'
            )
        )


def asktotell(pushop, bundler):
    """Have a try URL tell what it has stored, of a push that goes Mercurial's
    own way; called for each of these."""
    if not pushop.remote.capable(names.ALLSTORED):
        return None
    stored.registerreply()
    bundler.addparam(names.TELL, b'1')
    return functools.partial(scratchpush.keeptold, pushop)


def _checkdestination(scratch: bool, remote) -> None:
    """Abort where what is not committed would land."""
    # to a try URL, every push is a scratch push
    if not scratch and not remote.capable(names.ALLSTORED):
        raise _wouldland()


def _wouldland() -> Exception:
    return error.InputError(
        _(b'--working-copy pushes to a bundle store only'),
        hint=_(
            b'use --bundle-store, or set the option bundle-store of the path'
        ),
    )


@contextlib.contextmanager
def _guarded(unfi, guard: bool) -> Iterator[None]:
    unfi._bundlestoreguard = guard
    try:
        yield
    finally:
        del unfi._bundlestoreguard


@inplaceof('exchange._pushdiscovery')
def pushdiscovery(orig, pushop):
    """Keep changesets that came from a bundle store from landing in a push
    that does not name them. Nothing has been sent by then."""
    orig(pushop)
    if getattr(pushop.repo.unfiltered(), '_bundlestoreguard', False):
        fromstore.check(pushop)
        scratchpush.checkprivate(pushop)


@inplaceof('exchange._processcompared')
def processcompared(orig, pushop, pushed, explicit, remotebms, comp):
    """Leave scratch bookmarks out of other pushes: one that merely moved
    locally must not turn a push that shall land into a scratch push."""
    matches = config.bookmarkmatcher(pushop.ui)
    comp = tuple(
        [m for m in marks if m[0] in explicit or not matches(m[0])]
        for marks in comp
    )
    return orig(pushop, pushed, explicit, remotebms, comp)
