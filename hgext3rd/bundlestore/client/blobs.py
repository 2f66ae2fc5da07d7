"""What lfs and largefiles keep outside of changesets, for a client.

Both upload it before a push. Mercurial's own requests do not say what the push
will be, so a scratch push uploads by a command of ours, and to a repository
that is opened by its path, directly. lfs itself has no way over ssh: what is
needed of a repository with a bundle store comes by a command of ours, too.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

from mercurial import error, httpconnection, util
from mercurial.i18n import _

from .. import compat, names, server as servermod
from ..blobs import lfs, place, served
from ..server import totext
from ..start import wraps
from ..start.wraps import inplaceof
from ..wire import exchange

# -- uploads for a scratch push


@contextlib.contextmanager
def uploading(repo, peer) -> Iterator[None]:
    """Have what the extensions upload before a push go to the bundle store of
    ``peer``, in the body."""
    with contextlib.ExitStack() as stack:
        if b'lfs' in repo.requirements:
            stack.enter_context(_lfsgoesto(repo, peer))
        if b'largefiles' in repo.requirements:
            stack.enter_context(_largefilesgoto(repo, peer))
        yield


@contextlib.contextmanager
def _lfsgoesto(repo, peer) -> Iterator[None]:
    _checklfs(peer)
    svfs = repo.unfiltered().svfs
    before = svfs.lfsremoteblobstore
    svfs.lfsremoteblobstore = _lfsremote(repo, peer)
    try:
        yield
    finally:
        svfs.lfsremoteblobstore = before


def _lfsremote(repo, peer):
    """Return where lfs shall upload to."""
    if repo.ui.config(b'lfs', b'url') is not None:
        # somewhere else, as the user says
        return _blobstore().remote(repo, peer.url())
    if peer.capable(names.PUTBLOB):
        return _Uploads(repo, peer)
    if not exchange.ishttp(peer):
        raise error.Abort(
            _(b'the server takes no lfs contents in this way'),
            hint=_(
                b'push over http, set lfs.url, or have hg-bundlestore upgraded '
                b'on the server'
            ),
        )
    _telloflanding(repo, b'lfs')
    return _blobstore().remote(repo, peer.url())


def _checklfs(peer) -> None:
    """Abort where Mercurial would, in the step of a push that is not taken
    here."""
    local = peer.local()
    if local is None:
        there = peer.capable(b'lfs')
    else:
        there = hasattr(local.svfs, 'lfslocalblobstore')
    if not there:
        raise error.Abort(
            _(b'required features are not supported in the destination: lfs'),
            hint=_(b'enable the lfs extension on the server'),
        )


@contextlib.contextmanager
def _largefilesgoto(repo, peer) -> Iterator[None]:
    local = peer.local()
    if not peer.capable(names.PUTBLOB):
        _telloflanding(repo, b'largefiles')
        yield
    elif local is not None:
        request = servermod.of(local).request
        request.blobs = True
        try:
            yield
        finally:
            request.blobs = False
    else:

        def putlfile(hash: bytes, fd) -> int:
            _send(peer, place.LARGEFILES, hash, fd, fd.length)
            return 0

        peer.putlfile = putlfile
        try:
            yield
        finally:
            del peer.putlfile


def _telloflanding(repo, name: bytes) -> None:
    """Say where contents go if the server has an older release of this
    extension."""
    repo.ui.status(
        _(
            b'contents that the %s extension tracks go to the repository '
            b'itself, not to its bundle store\n'
        )
        % name
    )


class _Uploads:
    """The bundle store of a server, as lfs sees it in a scratch push."""

    def __init__(self, repo, peer) -> None:
        self._ui = repo.ui
        self._peer = peer

    def writebatch(self, pointers, fromstore) -> None:
        sizes = {pointer.oid(): int(pointer.size()) for pointer in pointers}
        there = _there(self._peer, list(sizes))
        missing = sorted(oid for oid in sizes if oid not in there)
        total = sum(sizes[oid] for oid in missing)
        with self._ui.makeprogress(
            _(b'lfs uploading'), unit=_(b'bytes'), total=total
        ) as progress:
            for oid in missing:
                if not fromstore.verify(oid):
                    raise error.Abort(
                        _(b'detected corrupt lfs object: %s') % oid,
                        hint=_(b'run hg verify'),
                    )
                _upload(self._ui, self._peer, oid, fromstore.path(oid))
                progress.increment(sizes[oid])
        if missing:
            self._ui.status(
                _(b'lfs: uploaded %d files (%s)\n')
                % (len(missing), util.bytecount(total))
            )

    def readbatch(self, pointers, tostore) -> None:
        _download(self._peer, pointers, tostore)


def _there(peer, oids: list[bytes]) -> frozenset[bytes]:
    """Return those that the server has."""
    local = peer.local()
    if local is not None:
        return frozenset(lfs.there(local.svfs.lfslocalblobstore, oids))
    found: set[bytes] = set()
    for begin in range(0, len(oids), lfs.MAX_NAMES):
        some = oids[begin : begin + lfs.MAX_NAMES]
        answer = exchange.call(peer, names.LFS, {'has': b','.join(some)})
        found.update(
            exchange.decode(
                answer, lambda raw: [n.encode('ascii') for n in raw['there']]
            )
        )
    return frozenset(found)


def _upload(ui, peer, oid: bytes, path: bytes) -> None:
    local = peer.local()
    if local is not None:
        with open(path, 'rb') as fh:
            chunks = iter(lambda: fh.read(place.BLOCK), b'')
            server = servermod.of(local)
            served.put(local, server, b'', place.LFS, totext(oid), chunks)
        return
    with contextlib.closing(httpconnection.httpsendfile(ui, path, 'rb')) as fd:
        _send(peer, place.LFS, oid, fd, os.path.getsize(path))


def _send(peer, kind: str, name: bytes, fd, size: int) -> None:
    """Send the bytes of a file over a wire."""
    wraps.apply('ask')
    args = {'kind': kind.encode(), 'name': name}
    if size:
        args['size'] = b'%d' % size
    if exchange.ishttp(peer):
        headers = {'Content-Type': 'application/mercurial-0.1'}
        answer = peer._call(names.PUTBLOB, data=fd, headers=headers, **args)
    else:
        # the second is what came in the place of an empty answer
        _nothing, answer = peer._callpush(names.PUTBLOB, _Blocks(fd), **args)
    exchange.decode(answer, lambda raw: None)


class _Blocks:
    """A file that is read in large blocks, whatever is asked for."""

    def __init__(self, fd) -> None:
        self._fd = fd

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._fd.read(place.BLOCK)
        return data


def _blobstore():
    return importlib.import_module('hgext.lfs.blobstore')


# -- downloads


@inplaceof('lfs.blobstore.remote')
def remote(orig, repo, remote=None):
    """Return where lfs has to ask. Where that would be nowhere, over ssh and
    by path, a bundle store may know."""
    made = orig(repo, remote)
    if not isinstance(made, _blobstore()._promptremote):
        return made
    path = (
        remote
        or getattr(repo, '_subtoppath', None)
        or repo.ui.config(b'paths', b'default')
    )
    return _Downloads(repo, path, made) if path else made


class _Downloads:
    """A repository that is not reached over http, as lfs sees it."""

    def __init__(self, repo, path: bytes, otherwise) -> None:
        self._ui = repo.ui
        self._repo = repo
        self._path = path
        self._otherwise = otherwise

    def writebatch(self, pointers, fromstore) -> None:
        self._otherwise.writebatch(pointers, fromstore)

    def readbatch(self, pointers, tostore) -> None:
        try:
            peer = compat.peer(self._repo, self._path)
        except error.RepoError:
            self._otherwise.readbatch(pointers, tostore)
            return
        with contextlib.closing(peer):
            if not peer.capable(names.PUTBLOB):
                self._otherwise.readbatch(pointers, tostore)
            else:
                _download(peer, pointers, tostore)


def _download(peer, pointers: Iterable[Any], tostore) -> None:
    local = peer.local()
    count = size = 0
    for oid, pointer in {p.oid(): p for p in pointers}.items():
        missing = _blobstore().LfsRemoteError(
            _(b'LFS server error for "%s": The object does not exist')
            % getattr(pointer, 'filename', b'unknown')
        )
        if local is not None:
            try:
                fh = local.svfs.lfslocalblobstore.open(oid)
            except FileNotFoundError:
                raise missing from None
            with fh:
                tostore.download(oid, fh, None)
        else:
            _receive(peer, oid, tostore, missing)
        count, size = count + 1, size + int(pointer.size())
    if count:
        peer.ui.status(
            _(b'lfs: downloaded %d files (%s)\n')
            % (count, util.bytecount(size))
        )


def _receive(peer, oid: bytes, tostore, missing: Exception) -> None:
    wraps.apply('ask')
    stream = peer._callstream(names.LFS, get=oid)
    line = stream.readline()
    if not line.strip().isdigit():
        raise missing
    size = int(line)
    tostore.download(oid, util.cappedreader(stream, size), line.strip())
