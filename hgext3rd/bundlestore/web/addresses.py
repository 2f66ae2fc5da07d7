"""Where a repository is for others than the browser that asks."""

from __future__ import annotations

from mercurial.utils import urlutil

from ..records import NamedTuple


class Address(NamedTuple):
    """The parts of the address of a repository, as templates have them."""

    #: scheme and host
    base: bytes
    #: path, without a slash at the end
    path: bytes


def parts(rctx) -> Address:
    """Return the address of the repository; ``web.baseurl`` goes first.

    Mercurial minds that where several repositories are served together, not
    for one alone, where it is the address of that one.
    """
    req = rctx.req
    baseurl = rctx.repo.ui.config(b'web', b'baseurl')
    if baseurl and req.reponame is None:
        url = urlutil.url(baseurl)
        if url.scheme and url.host:
            port = b':%s' % url.port if url.port else b''
            return Address(
                b'%s://%s%s' % (url.scheme, url.host, port),
                b'/' + url.path.strip(b'/') if url.path else b'',
            )
    return Address(req.advertisedbaseurl, req.apppath.rstrip(b'/'))


def of(rctx) -> bytes:
    """Return the address of the repository for commands that name it."""
    return b''.join(parts(rctx))
