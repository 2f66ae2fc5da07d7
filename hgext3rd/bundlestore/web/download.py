"""``/bundle/PUSHID`` and ``/bundle/NODE``: a stored bundle as it is."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
from collections.abc import Iterator
from typing import Any, Optional, Union

from mercurial import error
from mercurial.hgweb import common
from mercurial.i18n import _

from .. import (
    compat,
    errors,
    log,
    lookup,
    model,
    server as servermod,
)
from ..bundle import complete, container, reading, sound
from ..declaring import provides
from ..records import NamedTuple
from ..server import aborting
from . import queries, refusals, scratch

_BLOCK = 1 << 16
#: bytes of a bundle that is kept in memory
_KEEP = 1 << 20
_PUSHID = re.compile(rb'[0-9]{1,15}\Z')
#: one range of bytes; several in one request are answered with all
_RANGE = re.compile(rb'bytes=([0-9]{0,18})-([0-9]{0,18})\Z')


#: what tells of a bundle: its key and those of what it rests on
Wanted = Union[model.Push, model.Location]


class Range(NamedTuple):
    """The bytes of a bundle to send: from ``first`` to before ``end``."""

    first: int
    end: int


def bundle(web):
    """
    /bundle/{push id or revision}
    -----------------------------

    Download the stored bundle of a push, or the one that holds a scratch
    changeset, for ``hg unbundle``. It is complete: where the bundle rests on
    others, they come along. The ETag is the SHA-256 of the bytes as they are
    stored; a part of them can be asked for with a ``Range`` header. Where the
    bundle is damaged, others that hold the same changesets take its place.
    """
    scratch.forgetbase(web)
    server = servermod.of(web.repo)
    symbol = web.req.qsparams.get(b'node')
    if server is None or not symbol:
        raise refusals.refusal(common.HTTP_NOT_FOUND, _(b'no such bundle'))
    # who may not pull may not have the bundle either
    for hook in common.permhooks:
        hook(web, web.req, b'pull')
    with scratch.reporting(web):
        bundle = _find(web, server, symbol)
        url = _elsewhere(web, server, bundle)
        if url:
            return _redirect(web, url)
        return _send(web, server, bundle)


def _find(web, server, symbol: bytes) -> Wanted:
    """Return the bundle that the URL names."""
    if _PUSHID.match(symbol):
        id = int(symbol)
        found = server.need(lambda index: index.pushes(first=id, last=id))
        if found:
            return found[0]
    node = lookup.find(web.repo, server, queries.name(symbol))
    server.checktrouble()
    located = server.locate(web.repo, [node]) if node else {}
    if not located:
        if lookup.istooshort(server, symbol):
            raise lookup.tooshort(symbol)
        raise refusals.unknown(
            _(b'no push %s in the bundle store; it may have expired')
            % refusals.shown(symbol)
        )
    location: model.Location = located[node]
    return location


def _elsewhere(web, server, bundle: Wanted) -> Optional[bytes]:
    """Return the URL where the store itself serves the bundle, if it does."""
    if (
        bundle.rests
        # a signed URL is good for one method
        or web.req.method != b'GET'
        or not provides(server.store, 'IDownloadURL')
    ):
        return None
    try:
        with aborting():
            return server.store.downloadurl(bundle.key).encode('ascii')
    except error.Abort as exc:
        if isinstance(exc.__cause__, errors.UnknownKey):
            # others may hold the same changesets
            return None
        raise


def _redirect(web, url: bytes):
    res = web.res
    res.status = b'302 Found'
    res.headers[b'Location'] = url
    _forgetpage(res)
    res.setbodybytes(b'')
    return res.sendresponse()


def _forgetpage(res) -> None:
    """Drop the headers that are meant for a page."""
    for name in (b'ETag', b'Content-Type'):
        if res.headers.get(name):
            del res.headers[name]


def _etag(bundle: Wanted) -> bytes:
    """Return what tells the bytes that are sent for a bundle from others."""
    if not bundle.rests:
        return b'"%s"' % bundle.key.encode()
    text = ' '.join((*bundle.rests, bundle.key))
    return b'"%s"' % hashlib.sha256(text.encode()).hexdigest().encode()


def _send(web, server, bundle: Wanted):
    req, res = web.req, web.res
    etag = _etag(bundle)
    _forgetpage(res)
    if etag in _listed(req.headers.get(b'If-None-Match')):
        # these very bytes, wherever they are now
        res.headers[b'ETag'] = etag
        res.status = b'304 Not Modified'
        res.setbodybytes(b'')
        return res.sendresponse()
    if req.method == b'HEAD':
        return _sendhead(web, server, bundle, etag)
    with _finding():
        bundle, reader = _opensound(web, server, bundle)
    etag = _etag(bundle)
    size = reader.size
    wanted = _range(req, etag, size)
    if wanted is None:
        reader.close()
        res.status = b'416 Range Not Satisfiable'
        res.headers[b'Content-Range'] = b'bytes */%d' % size
        res.setbodybytes(b'')
        return res.sendresponse()
    res.status = b'200 OK'
    if wanted != Range(0, size):
        res.status = b'206 Partial Content'
        res.headers[b'Content-Range'] = b'bytes %d-%d/%d' % (
            wanted.first,
            wanted.end - 1,
            size,
        )
    res.headers[b'Content-Length'] = b'%d' % (wanted.end - wanted.first)
    _describe(res, bundle, etag)
    res.setbodygen(_logged(web, server, bundle, reader, wanted))
    return res.sendresponse()


def _sendhead(web, server, bundle: Wanted, etag: bytes):
    """Say what GET would send. How long it is when bundles are joined is not
    known before they are, and nobody waits for that here."""
    res = web.res
    with _finding():
        try:
            sizes = [server.store.size(key) for key in model.chain([bundle])]
        except errors.UnknownKey:
            bundle, reader = _opensound(web, server, bundle)
            reader.close()
            etag, sizes = _etag(bundle), [reader.size]
    res.status = b'200 OK'
    res.setbodybytes(b'')
    if len(sizes) == 1:
        res.headers[b'Content-Length'] = b'%d' % sizes[0]
    else:
        del res.headers[b'Content-Length']
    _describe(res, bundle, etag)
    return res.sendresponse()


def _describe(res, bundle: Wanted, etag: bytes) -> None:
    res.headers[b'ETag'] = etag
    res.headers[b'Accept-Ranges'] = b'bytes'
    res.headers[b'Content-Type'] = b'application/octet-stream'
    res.headers[b'Content-Disposition'] = (
        b'attachment; filename="%s.hg"' % bundle.key[:12].encode()
    )


@contextlib.contextmanager
def _finding() -> Iterator[None]:
    """Turn trouble with a bundle into an answer."""
    try:
        with aborting():
            yield
    except error.Abort as exc:
        if not isinstance(exc.__cause__, errors.UnknownKey):
            raise
        raise refusals.refusal(
            common.HTTP_NOT_FOUND,
            _(b'the bundle is missing from the store; push it again'),
        ) from exc


def _opensound(web, server, bundle: Wanted) -> tuple[model.Location, Any]:
    """Return where the changesets are, and a reader of the complete bundle:
    the one that was asked for or, where that is not sound, one of others that
    hold the same."""
    if isinstance(bundle, model.Push):
        nodes = [head.node for head in bundle.heads]
    else:
        nodes = [bundle.node]
    located = {
        node: model.Location(node, bundle.key, bundle.size, True, bundle.rests)
        for node in nodes
    }

    def use(keys: list[str]) -> tuple[model.Location, Any]:
        # without keys the base has them by now: there is no other bundle
        *rests, key = keys or model.chain([bundle])
        chosen = located[nodes[0]]._replace(key=key, rests=tuple(rests))
        with sound.reading():
            return chosen, _open(web, server.store, chosen)

    try:
        return sound.serving(web.repo, server, located, use)
    except sound.Lacking as exc:
        sound.catchup(web.repo, server, exc)
    return sound.serving(web.repo, server, located, use)


def _open(web, store: Any, bundle: model.Location) -> Any:
    """Return a reader of the complete bundle.

    Up to some size it was read once, before the answer begins: who asks for
    one that is damaged, or rests on what the base lacks, is told so.
    """
    if bundle.rests:
        # made of bundles that were read
        reader, wasread = complete.joined(web.repo.ui, store, bundle), True
    else:
        reader, wasread = reading.hashed(store, bundle.key, _KEEP)
    if not wasread:
        return reader
    try:
        sound.checkcomplete(web.repo.ui, web.repo, reader)
    except BaseException:
        reader.close()
        raise
    if bundle.rests or reader.size <= _KEEP:
        reader.seek(0)
        return reader
    reader.close()
    return container.opened(store, bundle.key)


def _listed(header: Optional[bytes]) -> list[bytes]:
    tags = (header or b'').split(b',')
    return [tag.strip().removeprefix(b'W/') for tag in tags]


def _range(req, etag: bytes, size: int) -> Optional[Range]:
    """Return what to send (RFC 9110, 14.2); None if it cannot be had."""
    everything = Range(0, size)
    match = _RANGE.match(req.headers.get(b'Range') or b'')
    condition = req.headers.get(b'If-Range')
    if not match or (condition and condition != etag):
        return everything
    first, last = match.groups()
    if not first and not last:
        return everything
    if not first:
        count = min(int(last), size)
        return Range(size - count, size) if count else None
    end = min(int(last) + 1, size) if last else size
    if last and int(last) < int(first):
        return everything
    return Range(int(first), end) if int(first) < size else None


def _logged(web, server, bundle: Wanted, reader, wanted: Range):
    """Yield the bytes of the range, and log how it went."""
    size = 0
    trouble: Optional[bytes] = b'the client has gone'
    try:
        for piece in _body(web, reader, wanted):
            size += len(piece)
            yield piece
        trouble = None
    except OSError:
        trouble = b'damaged bundle'
        raise
    finally:
        log.event(
            web.repo.ui,
            server,
            'download' if trouble is None else 'brokenoff',
            user=web.req.remoteuser,
            by=log.webway(web.req),
            bundle=bundle.key,
            bundles=len(bundle.rests) + 1,
            bytes=size,
            reason=trouble,
        )


def _body(web, reader, wanted: Range) -> Iterator[bytes]:
    """Yield the bytes of the range.

    All of the bundle is read, as only all of it shows whether it is what it
    was: the last bytes are held back until then.
    """
    offset = 0
    held = b''
    try:
        with reader:
            while True:
                block = reader.read(_BLOCK)
                if not block:
                    break
                begin = max(wanted.first - offset, 0)
                piece = block[begin : max(wanted.end - offset, 0)]
                offset += len(block)
                if piece:
                    if held:
                        yield held
                    held = piece
        yield held
    except errors.BundleStoreError as exc:
        scratch.log(web, exc)
        # The length is promised already. Web servers take this for a client
        # that went away, and close the connection without a further word.
        compat.breakoff(web.req.rawenv[b'wsgi.errors'])
        raise BrokenPipeError(errno.EPIPE, 'damaged bundle') from exc
