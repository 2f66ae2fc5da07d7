"""``hg push --bundle-store``, its path option, and scratch bookmarks.

A scratch push is a push of its own, short one: discover the changesets, send
them. None of the steps that make sure a push may land (new heads, phases,
bookmarks of the repository) has a place in it, and without the step for
phases everything stays draft, whatever the server says of itself.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import NamedTuple, Optional

from mercurial import (
    bookmarks as bookmod,
    bundle2,
    changegroup,
    encoding,
    error,
    exchange,
    scmutil,
    util,
)
from mercurial.i18n import _
from mercurial.node import short
from mercurial.utils import stringutil, urlutil

from .. import compat, config, names
from ..start.loading import quickend
from ..start.wraps import apply, inplaceof
from ..wire import stored
from . import fromstore, known, noted, storeless, subrepos, workingcopy

#: bytes that are sent at once
_BLOCK = 256 * 1024
#: bytes of a name or a value in a part of a bundle, and how many it has
_MAX_PARAMETER = 255
#: key in the ``opargs`` of ``exchange.push``
_OPARG = 'bundlestore'
#: attribute of a ``pushoperation``: what the server said that it has stored
_TOLD = '_bundlestoretold'
#: options of ``hg push`` that say which changesets shall go; the last one is
#: that of the extension topic
_NAMING = ('rev', 'bookmark', 'branch', 'topic')


# -- what asks for a scratch push


class _Wish(NamedTuple):
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
    wish = _Wish(False, not any(map(opts.get, _NAMING)))
    asked = opts.pop('bundle_store', None)
    if made is not None:
        _checkoptions(repo, opts, names, scratch)
        wish = _Wish(
            bool(asked or scratch), False, tuple(scratch), True, made=made
        )
        # Mercurial cannot know what is named
        opts.update(rev=[b'null'], bookmark=[])
    elif asked or scratch:
        _checkoptions(repo, opts, names, scratch)
        revs = list(opts.get('rev') or ())
        branch = bool(opts.get('branch'))
        wish = _Wish(True, False, tuple(scratch), bool(revs), branch)
        if not revs:
            # as Mercurial does with -B; where -r is given as well, it would
            # push the changeset of the local bookmark along
            local = [name for name in scratch if name in repo._bookmarks]
            opts['rev'] = local or ([b'null'] if scratch else revs)
        opts['bookmark'] = []
    opts['opargs'] = dict(opts.get('opargs', {}), **{_OPARG: wish})
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
    wish = opargs.pop(_OPARG, _Wish(subrepos.isscratch(repo), whole))
    kwargs['opargs'] = opargs
    scratch = wish.scratch or subrepos.isscratchpath(repo)
    if wish.made is not None:
        _checkdestination(scratch, remote)
        scratch = True
        repo, kwargs['revs'] = wish.made.repo, [wish.made.node]
    if scratch:
        quickend()
        with _connected():
            pushop = _scratchpush(repo, remote, wish, *args, **kwargs)
    else:
        with _guarded(repo.unfiltered(), wish.nothingnamed):
            pushop = orig(repo, remote, *args, **kwargs)
    _note(local, pushop)
    return pushop


def _note(repo, pushop) -> None:
    """Note what the server has stored."""
    told = getattr(pushop, _TOLD, ())
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
    return functools.partial(_keeptold, pushop)


def _keeptold(pushop, operation) -> None:
    setattr(pushop, _TOLD, operation.records[names.STORED])


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


# -- the push


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    """Say so if the server goes away. Mercurial takes a pipe that broke for
    that of a pager, and ends without a word."""
    try:
        yield
    except (BrokenPipeError, ConnectionResetError) as exc:
        raise error.RemoteError(
            _(b'the connection to the server broke off'),
            hint=_(b'push again, as this push may be stored or not'),
        ) from exc


def _scratchpush(
    repo,
    remote,
    wish,
    force=False,
    revs=None,
    newbranch=False,
    bookmarks=(),
    publish=False,
    opargs=None,
):
    """Push to the bundle store; returns a ``pushoperation`` as
    ``exchange.push`` does, with its ``cgresult`` and ``bkresult`` set."""
    if not remote.capable(names.CAPABILITY):
        raise error.Abort(
            _(b'the server has no bundle store'),
            hint=_(
                b'nothing was pushed; the server needs the bundlestore '
                b"extension and 'bundlestore.server = yes'"
            ),
        )
    pushop = exchange.pushoperation(
        repo,
        remote,
        force=True,
        revs=revs,
        newbranch=True,
        bookmarks=[*bookmarks, *wish.bookmarks],
        pushvars=(opargs or {}).get(b'pushvars'),
    )
    if not remote.canpush():
        raise error.Abort(_(b'destination does not support push'))
    repo.checkpush(pushop)
    _checkpushvars(pushop)
    said = known.discover(pushop, everything=force)
    # that would ask whether the server takes any
    if bundle2.obsmarkersversion(bundle2.bundle2caps(remote)):
        exchange.pushdiscoverymapping[b'obsmarker'](pushop)
    moves = _bookmarkmoves(pushop, wish, force)
    excluded = _Excluded(pushop)
    if not pushop.outgoing.missing and not moves:
        repo.ui.status(_(b'no changes found\n'))
        excluded.tell()
        if wish.made is None:
            workingcopy.remind(repo)
        return pushop
    same = None
    if pushop.outgoing.missing and not force:
        same = known.leaveout(pushop, said)
    reply = _send(pushop, _bundler(pushop, moves, force, same))
    _handlereply(pushop, reply)
    excluded.tell()
    if excluded.named:
        # makes the command exit with 1
        pushop.cgresult = 0
    return pushop


def _checkpushvars(pushop) -> None:
    """Abort where Mercurial would end in a traceback, while it sends."""
    pushvars = pushop.pushvars or ()
    if len(pushvars) > _MAX_PARAMETER:
        raise error.InputError(
            _(b'too many pushvars'), hint=_(b'at most %d') % _MAX_PARAMETER
        )
    for pushvar in pushvars:
        name, _equals, value = pushvar.partition(b'=')
        if max(len(name), len(value)) > _MAX_PARAMETER:
            raise error.InputError(
                _(b'pushvar is too long: %s') % stringutil.ellipsis(name, 40),
                hint=_(b'name and value have at most %d bytes each')
                % _MAX_PARAMETER,
            )


class _Excluded:
    """What a push leaves out: secret and obsolete changesets."""

    def __init__(self, pushop) -> None:
        self._repo = pushop.repo
        self._nodes = pushop.outgoing.excluded
        #: whether a revision that was named is among them
        self.named = not set(pushop.revs or ()).isdisjoint(self._nodes)

    def tell(self) -> None:
        unfi = self._repo.unfiltered()
        obsolete = sum(unfi[node].extinct() for node in self._nodes)
        secret = len(self._nodes) - obsolete
        for count, one, several in (
            (
                secret,
                _(b'ignored 1 secret changeset\n'),
                _(b'ignored %d secret changesets\n'),
            ),
            (
                obsolete,
                _(b'ignored 1 obsolete changeset\n'),
                _(b'ignored %d obsolete changesets\n'),
            ),
        ):
            if count:
                text = one if count == 1 else several % count
                self._repo.ui.status(text)


def _bookmarkmoves(
    pushop, wish: _Wish, force: bool
) -> list[tuple[bytes, bytes | None]]:
    """Return where the bookmarks named with -B shall be: where -r says, else
    where the local ones are.

    One that is not here, with nothing said of where it shall be, is deleted
    with force, as Mercurial does with other bookmarks without.
    """
    repo = pushop.repo
    moves = []
    for name in pushop.bookmarks:
        local = repo._bookmarks.get(name)
        node = None
        if wish.byrevision or (local is None and wish.bybranch):
            node = _onlyhead(pushop, name)
        elif local is not None:
            node = local
        if node is None and not force:
            raise error.InputError(
                _(b"no local bookmark '%s'") % name,
                hint=_(
                    b'say where it shall be with -r, or delete it from the '
                    b'bundle store with --force'
                ),
            )
        if node in pushop.outgoing.excluded:
            why = _(b'obsolete') if repo[node].extinct() else _(b'secret')
            raise error.InputError(
                _(b"bookmark '%s' cannot be on %s, which is %s")
                % (name, short(node), why)
            )
        moves.append((name, node))
    return moves


def _onlyhead(pushop, name: bytes) -> bytes:
    """Return the changeset that the named revisions put a bookmark on."""
    repo = pushop.repo
    heads = repo.revs(b'heads(%ln)', pushop.revs or ())
    if len(heads) > 1:
        raise error.InputError(
            _(b"bookmark '%s' cannot be on several changesets") % name,
            hint=_(b'use one -r with -B'),
        )
    node: bytes = repo[heads.first()].node() if heads else repo.nullid
    if node == repo.nullid:
        raise error.InputError(
            _(b"bookmark '%s' cannot be on the null revision") % name,
            hint=_(b'to delete it, use --force -B without -r'),
        )
    return node


def _bundler(pushop, moves, force, same):
    repo, remote = pushop.repo, pushop.remote
    bundler = bundle2.bundle20(pushop.ui, bundle2.bundle2caps(remote))
    bundler.addparam(names.PARAMETER, b'1')
    if force:
        # advisory, so lower case
        bundler.addparam(names.FORCE, b'1')
    caps = bundle2.encodecaps(compat.clientcaps(repo))
    bundler.newpart(b'replycaps', data=caps)
    exchange.b2partsgenmapping[b'pushvars'](pushop, bundler)
    if same is not None:
        part = bundler.newpart(names.SAME, data=b''.join(same.heads))
        part.addparam(names.KEY, same.key.encode())
    elif pushop.outgoing.missing:
        _addchangegroup(pushop, bundler)
        exchange.b2partsgenmapping[b'obsmarkers'](pushop, bundler)
    if moves:
        named = [(encoding.fromlocal(name), node) for name, node in moves]
        data = bookmod.binaryencode(repo, named)
        bundler.newpart(b'bookmarks', data=data)
    return bundler


def _addchangegroup(pushop, bundler) -> None:
    repo = pushop.repo
    if {b'largefiles', b'lfs'}.isdisjoint(repo.requirements):
        repo.prepushoutgoinghooks(pushop)
    else:
        from . import blobs

        with blobs.uploading(repo, pushop.remote):
            repo.prepushoutgoinghooks(pushop)
    caps = bundle2.bundle2caps(pushop.remote)
    common = set(caps.get(b'changegroup', ())).intersection(
        changegroup.supportedoutgoingversions(repo), names.CHANGEGROUPS
    )
    # 01 has implicit delta bases and costs more; above 02 nothing is gained
    version = min(common - {b'01'} or common, default=None)
    if version is None:
        raise error.Abort(_(b'no common changegroup version'))
    stream = changegroup.makestream(
        repo, pushop.outgoing, version, b'push', bundlecaps=caps
    )
    part = bundler.newpart(b'changegroup', data=stream)
    part.addparam(b'version', version)
    if scmutil.istreemanifest(repo):
        part.addparam(b'treemanifest', b'1')


class _Stream:
    """A push on its way to a wire.

    Mercurial's peers read four kilobytes at a time and send each by itself. To
    them it makes no difference if ``read`` gives more than they asked for; it
    halves what a large push costs both ends.
    """

    def __init__(self, chunks) -> None:
        self._chunks = iter(chunks)

    def read(self, size: int = -1) -> bytes:
        """Return the next block, whatever ``size`` is; b'' at the end."""
        pieces = []
        count = 0
        for chunk in self._chunks:
            pieces.append(chunk)
            count += len(chunk)
            if count >= _BLOCK:
                break
        return b''.join(pieces)


def _send(pushop, bundler):
    chunks = bundler.getchunks()
    # by path, this process is also the one that reads, and gets what it asks
    local = pushop.remote.local()
    stream = util.chunkbuffer(chunks) if local else _Stream(chunks)
    try:
        with pushop.remote.commandexecutor() as executor:
            return executor.callcommand(
                b'unbundle',
                {
                    b'bundle': stream,
                    b'heads': [b'force'],
                    b'url': pushop.remote.url(),
                },
            ).result()
    except error.BundleValueError as exc:
        raise error.RemoteError(_(b'missing support for %s') % exc)


def _handlereply(pushop, reply) -> None:
    stored.registerreply()
    try:
        _keeptold(pushop, bundle2.processbundle(pushop.repo, reply))
    except error.BundleValueError as exc:
        raise error.RemoteError(_(b'missing support for %s') % exc)
    except bundle2.AbortFromPart as exc:
        raise error.RemoteError(exc.message, hint=exc.hint)
    if pushop.outgoing.missing:
        pushop.cgresult = 1
    if pushop.bookmarks:
        pushop.bkresult = 0
