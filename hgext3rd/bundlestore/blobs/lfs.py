"""The blobs of lfs: those of the bundle store beside those of the base.

Whatever reads a blob looks at the base first, then at the bundle store: pages
and archives of scratch changesets, hooks, and clients, over http by the
protocol of lfs, over ssh by a command of ours. What is uploaded by way of a
try URL, or by a client with this extension for a scratch push, goes to the
bundle store. For a push to the base, the base must have a blob itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from mercurial import error, wireprototypes
from mercurial.i18n import _

from .. import access, errors, log, server as servermod
from ..server import aborting, totext
from ..start.wraps import inplaceof
from ..wire import exchange
from . import place, served

#: most names that one request may ask for: what fits into the headers
MAX_NAMES = 150


@inplaceof('lfs.blobstore.local')
def local(orig, repo):
    """Return where the extension has the blobs of a repository."""
    base = orig(repo)
    found = served.placeof(repo, place.LFS)
    if found is None:
        return base
    return Store(base, found, repo)


class Store:
    """The blobs of a repository with a bundle store, or of an overlay, as
    ``hgext.lfs.blobstore.local`` gives them."""

    def __init__(self, base, place: place.Place, repo) -> None:
        self.base = base
        self.place = place
        self._isoverlay = repo.url().startswith(b'bundle:')
        self._ui = repo.ui

    def __getattr__(self, name: str) -> Any:
        return getattr(self.base, name)

    @property
    def storesall(self) -> bool:
        """Whether nothing may go into the base."""
        # without the repository, which holds this
        return self._isoverlay or (
            self._ui.config(b'bundlestore', b'route') == b'all'
        )

    def isours(self, oid: bytes) -> bool:
        """Whether the bundle store has the blob and the base has not."""
        name = totext(oid)
        return (
            place.isname(place.LFS, name)
            and not self.base.vfs.exists(oid)
            and self.place.has(name)
        )

    def has(self, oid: bytes) -> bool:
        return self.isours(oid) or bool(self.base.has(oid))

    def path(self, oid: bytes) -> bytes:
        if self.isours(oid):
            return self.place.path(totext(oid))
        if self.base.vfs.exists(oid):
            # not the cache of the account, which comes and goes
            path: bytes = self.base.vfs.join(oid)
            return path
        path = self.base.path(oid)
        return path

    def open(self, oid: bytes) -> BinaryIO:
        return open(self.path(oid), 'rb')

    def read(self, oid: bytes, verify: bool = True) -> bytes:
        data: bytes
        if not self.isours(oid) and not self.storesall:
            data = self.base.read(oid, verify)
            return data
        # the base would keep what it finds in the cache of the account
        with self.open(oid) as fh:
            data = fh.read()
        if verify and hashlib.sha256(data).hexdigest().encode() != oid:
            raise _blobstore().LfsCorruptionError(
                _(b'detected corrupt lfs object: %s') % oid
            )
        return data

    def verify(self, oid: bytes) -> bool:
        """Whether the blob is what its name says; raises ``OSError`` if there
        is none. A client that is told so need not send it."""
        if self.isours(oid) and not self.place.keep(totext(oid)):
            return False
        digest = hashlib.sha256()
        with self.open(oid) as fh:
            for block in iter(lambda: fh.read(place.BLOCK), b''):
                digest.update(block)
        return digest.hexdigest().encode() == oid

    def linkfromusercache(self, oid: bytes) -> None:
        if not self.storesall:
            self.base.linkfromusercache(oid)
        elif not self.isours(oid) and not self.base.vfs.exists(oid):
            with self.open(oid) as fh:
                self._put(oid, fh)

    def download(self, oid: bytes, src, content_length) -> None:
        """Take a blob in."""
        if not self.storesall:
            self.base.download(oid, src, content_length)
            return
        try:
            self._put(oid, src)
        except errors.CorruptBundle as exc:
            raise _blobstore().LfsCorruptionError(
                _(b'corrupt remote lfs object: %s') % oid
            ) from exc

    def _put(self, oid: bytes, fh) -> None:
        limit = self._ui.configbytes(b'bundlestore', b'max-bundle-size')
        chunks = iter(lambda: fh.read(place.BLOCK), b'')
        self.place.put(totext(oid), chunks, limit)


def _blobstore():
    return importlib.import_module('hgext.lfs.blobstore')


# -- over http


@inplaceof('lfs.wireprotolfsserver._batchresponseobjects')
def batch(orig, req, objects, action, store):
    """Tell which blobs there are. The base must have its own."""
    if isinstance(store, Store) and action == b'upload' and not store.storesall:
        store = store.base
    return orig(req, objects, action, store)


@inplaceof('lfs.wireprotolfsserver._processbasictransfer')
def transfer(orig, repo, req, res, checkperm):
    """Take or give a blob."""
    store = repo.svfs.lfslocalblobstore
    server = servermod.of(repo)
    if server is None or not isinstance(store, Store):
        return orig(repo, req, res, checkperm)
    oid = req.dispatchparts[-1]
    if req.method == b'GET' and store.isours(oid):
        checkperm(b'pull')
        # by Mercurial all of it would be in memory
        fh = store.open(oid)
        res.status = b'200 OK'
        res.headers[b'Content-Type'] = b'application/octet-stream'
        size = os.fstat(fh.fileno()).st_size
        res.headers[b'Content-Length'] = b'%d' % size
        res.setbodygen(_blocks(fh))
        return True
    if req.method != b'PUT' or not store.storesall:
        return orig(repo, req, res, checkperm)

    def check(perm: bytes) -> None:
        checkperm(perm)
        access.checkpush(repo.ui, access.username(url))

    url = log.weburl(req)
    log.newrequest(server)
    try:
        with log.refusals(repo.ui, server, url, 'upload'), aborting():
            return orig(repo, req, res, check)
    except error.Abort as exc:
        noroom = isinstance(exc.__cause__, errors.BackendUnavailable)
        res.status = b'507 Insufficient Storage' if noroom else b'403 Forbidden'
        res.headers[b'Content-Type'] = b'text/plain; charset=utf-8'
        res.setbodybytes(exc.format())
        return True


def _blocks(fh) -> Iterator[bytes]:
    with contextlib.closing(fh):
        yield from iter(lambda: fh.read(place.BLOCK), b'')


# -- over ssh


def serve(repo, proto, args):
    """Answer the wire command ``bundlestorelfs``: tell which blobs a client
    need not send (``has``), or give one (``get``): its size, a line end, its
    bytes. The size is -1 if there is none."""
    store = getattr(repo.svfs, 'lfslocalblobstore', None)
    if b'get' not in args or not isinstance(store, Store):
        return exchange.answer(repo, lambda server: _there(store, args))
    try:
        fh = store.open(args[b'get'])
    except (OSError, error.ProgrammingError):
        return wireprototypes.streamreslegacy(gen=iter([b'-1\n']))
    size = os.fstat(fh.fileno()).st_size
    return wireprototypes.streamreslegacy(gen=_announced(fh, size))


def _announced(fh, size: int) -> Iterator[bytes]:
    yield b'%d\n' % size
    yield from _blocks(fh)


def _there(store, args) -> dict[str, Any]:
    if not isinstance(store, Store):
        raise error.Abort(_(b'the server has no lfs extension'))
    wanted = args.get(b'has', b'').split(b',')[:MAX_NAMES]
    return {'there': [totext(oid) for oid in there(store, wanted)]}


def there(store, oids: Iterable[bytes]) -> Iterator[bytes]:
    """Yield those that need not be sent for a scratch push."""
    for oid in oids:
        with contextlib.suppress(OSError, error.ProgrammingError):
            if store.base.vfs.exists(oid) or (
                store.isours(oid) and store.verify(oid)
            ):
                yield oid
