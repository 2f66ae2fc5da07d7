"""The scratch push itself, a short one: discover the changesets, send them.

None of the steps that make sure a push may land (new heads, phases, bookmarks
of the repository) has a place in it, and without the step for phases
everything stays draft, whatever the server says of itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Optional

from mercurial import (
    bookmarks as bookmod,
    bundle2,
    changegroup,
    discovery,
    encoding,
    error,
    exchange,
    scmutil,
    util,
)
from mercurial.i18n import _
from mercurial.node import short
from mercurial.utils import stringutil

from .. import compat, names
from ..bundle import frames
from ..wire import stored
from . import known, noted, workingcopy

if TYPE_CHECKING:
    from .push import Wish

#: attribute of a ``pushoperation``: what the server said that it has stored
TOLD = '_bundlestoretold'
#: bytes that are sent at once
_BLOCK = 256 * 1024
#: bytes of a name or a value in a part of a bundle, and how many it has
_MAX_PARAMETER = 255


def keeptold(pushop, operation) -> None:
    setattr(pushop, TOLD, operation.records[names.STORED])


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """Say so if the server goes away. Mercurial takes a pipe that broke for
    that of a pager, and ends without a word."""
    try:
        yield
    except (BrokenPipeError, ConnectionResetError) as exc:
        raise error.RemoteError(
            _(b'the connection to the server broke off'),
            hint=_(b'push again, as this push may be stored or not'),
        ) from exc


def push(
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
    said = known.discover(pushop, force or wish.secret, wish.private)
    if wish.secret:
        pushop.outgoing = discovery.outgoing(
            repo, pushop.outgoing.commonheads, revs
        )
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
        same = known.leaveout(pushop, said, wish.private)
    if same is None and not wish.private:
        # what is not committed is meant, but for what it is on top of
        if wish.nothingnamed:
            checkprivate(pushop)
        elif wish.made is not None:
            checkprivate(pushop, wish.made.node)
    reply = _send(pushop, _bundler(pushop, wish, moves, force, same))
    _handlereply(pushop, reply)
    if wish.private:
        # nobody can be asked how it went
        setattr(pushop, TOLD, ())
    excluded.tell()
    if excluded.named:
        # makes the command exit with 1
        pushop.cgresult = 0
    return pushop


def checkprivate(pushop, meant: Optional[bytes] = None) -> None:
    """Abort where what is private would be shown by a push that names
    nothing, or no more than ``meant``."""
    repo = pushop.repo
    sent = [node for node in pushop.outgoing.missing if node != meant]
    # few clones know of any
    if sent and (
        repo.svfs.exists(names.PRIVATEFILE)
        or any(noted.folder(repo).names('view-'))
    ):
        from . import privacy

        privacy.check(repo, sent)


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
    pushop, wish: Wish, force: bool
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


def _bundler(pushop, wish: Wish, moves, force, same):
    repo, remote = pushop.repo, pushop.remote
    bundler = bundle2.bundle20(pushop.ui, bundle2.bundle2caps(remote))
    bundler.addparam(names.PARAMETER, wish.private.encode() or b'1')
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
    part = frames.Part(b'changegroup', data=stream)
    bundler.addpart(part)
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
        keeptold(pushop, bundle2.processbundle(pushop.repo, reply))
    except error.BundleValueError as exc:
        raise error.RemoteError(_(b'missing support for %s') % exc)
    except bundle2.AbortFromPart as exc:
        raise error.RemoteError(exc.message, hint=exc.hint)
    if pushop.outgoing.missing:
        pushop.cgresult = 1
    if pushop.bookmarks:
        pushop.bkresult = 0
