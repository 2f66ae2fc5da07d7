"""The pages of a server: ``hg serve`` without its socket, in this process."""

from __future__ import annotations

import functools
import io
import json
import re
import types
from typing import Any, Optional
from xml.etree import ElementTree

from mercurial.hgweb import hgweb_mod, server

from harness.responses import Head, head
from hgext3rd.bundlestore import compat
from hgext3rd.bundlestore.start import wraps

from .world import world

#: headers that a request may have
_HEADERS = re.compile(
    rb'(If-None-Match|If-Range|Range|X-HgArg-1|Accept|User-Agent): [^\r\n\0]*'
)
#: what our pages answer to in any case, be it nonsense
_OURS = re.compile(
    rb'/([^/?]*-)?(pushes|bundle|health)(?=[/?]|\Z)'
    rb'|/\?(.*&)?cmd=(pushes|bundle|health)(&|\Z)'
)
_MARKUP = re.compile(rb'<(img src=x|script>alert|fuzz)')


class _Connection:
    """A socket that has sent a request already."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.sent = b''

    def makefile(self, mode: str, size: int) -> io.BytesIO:
        return io.BytesIO(self._request)

    def sendall(self, data: bytes) -> None:
        self.sent += data


class Site:
    """One repository, served."""

    def __init__(self, path: bytes) -> None:
        ui = world().ui.copy()
        for name, value in ((b'allow-archive', b'gz'), (b'push_ssl', b'no')):
            ui.setconfig(b'web', name, value, b'fuzz')
        self._application = hgweb_mod.hgweb(compat.repository(ui, path))

    def ask(self, request: bytes) -> tuple[bytes, str]:
        """Return all that is sent, and what the server's log says."""
        connection: Any = _Connection(request)
        served: Any = types.SimpleNamespace(
            application=self._application,
            prefix=b'',
            server_name='localhost',
            server_port=80,
            accesslog=io.BytesIO(),
            errorlog=io.BytesIO(),
            serverheader=None,
        )
        server._httprequesthandler(connection, ('localhost', 1), served)
        return connection.sent, served.errorlog.getvalue().decode('latin-1')


@functools.cache
def sites() -> tuple[Site, Site]:
    """Return one that holds a scratch changeset in its store, and one that
    holds the same in itself and has no store."""
    made = world()
    wraps.apply('web')
    return Site(made.base.root), Site(made.client.root)


def request(data: bytes) -> tuple[bytes, bytes]:
    """Return the path and query that an input asks for, and the request."""
    first, *lines = data.split(b'\n')
    method, blank, target = first.partition(b' ')
    if not blank:
        method, target = b'GET', first
    target = b'/' + re.sub(
        rb'[\x00-\x20\x7f-\xa0]',
        lambda m: b'%%%02x' % ord(m[0]),
        target.lstrip(b'/'),
    )
    if method not in (b'GET', b'HEAD'):
        method = b'GET'
    sent = [
        b'%s %s HTTP/1.0' % (method, target),
        *(line for line in lines if _HEADERS.fullmatch(line)),
        b'',
        b'',
    ]
    return target, b'\r\n'.join(sent)


def check(data: bytes) -> None:
    """Ask for something and look at what comes."""
    target, sent = request(data)
    ours, plain = sites()
    answer, log = ours.ask(sent)
    seen = head(answer)
    if seen.status >= 500 or 'Exception happened' in log:
        _excuse(plain, target, sent, log)
        return
    body = answer.partition(b'\r\n\r\n')[2]
    if sent.startswith(b'HEAD'):
        assert not body
        return
    length = seen.headers.get('content-length')
    assert length is None or int(length) == len(body), (length, body)
    _look(target, seen, body)


def _excuse(plain: Site, target: bytes, sent: bytes, log: str) -> None:
    """Raise an error unless Mercurial fails of the same, or of the same
    parameters where the page is ours."""
    if _OURS.match(target):
        # what else would this be of but the request?
        assert 'UnicodeDecodeError' not in log, log
        assert 'UnicodeEncodeError' not in log, log
        theirs = re.sub(rb'pushes|bundle|health', b'summary', target, count=1)
        sent = sent.replace(target, theirs, 1)
    again, why = plain.ask(sent)
    assert b' 500 ' in again[:13] or 'Exception happened' in why, log


def _look(target: bytes, seen: Head, body: bytes) -> None:
    kind = seen.headers.get('content-type', '').partition(';')[0]
    # where a head ends too early it has none
    assert kind or seen.status == 304
    if kind == 'text/html':
        assert not _MARKUP.search(body), body
    if not _OURS.match(target):
        return
    if seen.status >= 400:
        assert 'etag' not in seen.headers
    parsed: Optional[Any] = None
    if kind == 'application/json':
        parsed = json.loads(body)
        assert isinstance(parsed, dict)
    elif kind in ('text/html', 'text/plain'):
        body.decode('utf-8')
    elif kind.endswith('/atom+xml'):
        ElementTree.fromstring(body)
