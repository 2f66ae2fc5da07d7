"""HTTP as such: single requests, and a walk along all links of a site.

Nothing is followed, cached or retried unless it is asked for, and nothing
but the server that the address names is talked to.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import urllib.parse
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from typing import Any, NamedTuple
from xml.etree import ElementTree

from .hg import PATIENCE
from .servers import NOBODY, PASSWORDS


class Response(NamedTuple):
    """What came back. Names of headers are in lower case; of several with
    one name the last is kept."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes

    @property
    def type(self) -> str:
        """The content type without parameters."""
        return self.headers.get('content-type', '').partition(';')[0].strip()

    @property
    def text(self) -> str:
        return self.body.decode('utf-8')

    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        headers = ''.join(f'{k}: {v}\n' for k, v in self.headers.items())
        start = self.body[:4000].decode('utf-8', 'replace')
        return f'[{self.status} {self.reason}]\n{headers}\n{start}'


def get(
    url: str,
    headers: Mapping[str, str] | None = None,
    method: str = 'GET',
    user: str | None = None,
    body: bytes | None = None,
) -> Response:
    """Make one request and return the answer, whatever its status.

    ``user`` is one of ``servers.PASSWORDS`` (or nobody), whose password goes
    along unasked. One in the address does the same.
    """
    parts = urllib.parse.urlsplit(url)
    sent = dict(headers or {})
    if user is not None and user != NOBODY:
        sent['Authorization'] = _basic(user, PASSWORDS[user])
    elif user is None and parts.username:
        unquote = urllib.parse.unquote
        sent['Authorization'] = _basic(
            unquote(parts.username), unquote(parts.password or '')
        )
    assert parts.scheme == 'http', url
    assert parts.hostname is not None, url
    target = parts.path or '/'
    if parts.query:
        target += f'?{parts.query}'
    connection = http.client.HTTPConnection(
        parts.hostname, parts.port, timeout=PATIENCE
    )
    with contextlib.closing(connection):
        connection.request(method, target, body, sent)
        answer = connection.getresponse()
        return Response(
            answer.status,
            answer.reason,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read(),
        )


def raw(
    url: str,
    target: bytes,
    method: bytes = b'GET',
    headers: Sequence[bytes] = (),
) -> bytes:
    """Send ``target``, any bytes without a blank, as the path and query below
    ``url``, and return all that the server sends, as it is."""
    parts = urllib.parse.urlsplit(url)
    lines = [
        b'%s %s%s HTTP/1.1' % (method, parts.path.encode(), target),
        b'Host: localhost',
        b'Connection: close',
        *headers,
    ]
    if parts.username:
        login = _basic(parts.username, parts.password or '')
        lines.append(b'Authorization: %s' % login.encode())
    address = (parts.hostname or '', parts.port or 80)
    with socket.create_connection(address, PATIENCE) as connection:
        connection.sendall(b''.join(b'%s\r\n' % x for x in [*lines, b'']))
        return b''.join(iter(lambda: connection.recv(1 << 16), b''))


def _basic(user: str, password: str) -> str:
    pair = base64.b64encode(f'{user}:{password}'.encode()).decode()
    return f'Basic {pair}'


def anonymous(url: str) -> str:
    """Return the address without user and password."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition('@')[2]).geturl()


class _Page(HTMLParser):
    """The links of a page, and whether it is one. Tags that are not closed
    are common in hgweb."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.faults: list[str] = []
        self._ended = False
        self._started = False
        self._ids: set[str] = set()

    def handle_starttag(
        self, tag: str, attrs: list[tuple[str, str | None]]
    ) -> None:
        self._started = self._started or tag == 'html'
        for name, value in attrs:
            # what is left of a value that had a quote in it
            if set(name) & set('"\'<'):
                self.faults.append(f'an attribute {name!r} in <{tag}>')
            if name in ('href', 'src', 'action') and value is not None:
                self.links.append(value)

    def handle_endtag(self, tag: str) -> None:
        self._ended = self._ended or tag == 'html'

    def check(self) -> list[str]:
        faults = list(self.faults)
        if not self._started:
            faults.append('no <html>')
        if not self._ended:
            faults.append('no </html>: it ends too early')
        return faults


class Fault(NamedTuple):
    """Something wrong with what a link leads to."""

    url: str
    #: the page that has the link, empty for the start
    linkedfrom: str
    what: str

    def __str__(self) -> str:
        return f'{self.url}\n  {self.what}\n  linked from {self.linkedfrom}'


class Crawl(NamedTuple):
    """What a walk met."""

    #: the addresses asked for, in this order, with their status
    visited: dict[str, int]
    faults: list[Fault]
    #: links that were found, but not asked for as the limit was reached
    left: list[str]

    def __str__(self) -> str:
        lines = [f'{len(self.visited)} pages, {len(self.left)} left out']
        return '\n'.join([*lines, *map(str, self.faults)])


def crawl(
    start: str,
    stay_below: str | None = None,
    limit: int = 1000,
    user: str | None = None,
) -> Crawl:
    """Follow all links from the page ``start``, in the order in which they
    are discovered, and look at what comes.

    Only links whose address begins with ``stay_below`` are followed (default:
    the server), and at most ``limit`` requests are made. A fault is a status
    of 400 and above, or an HTML page, JSON or XML that is cut short or
    otherwise no such thing.
    """
    parts = urllib.parse.urlsplit(anonymous(start))
    below = anonymous(stay_below or f'{parts.scheme}://{parts.netloc}/')
    login = urllib.parse.urlsplit(start).netloc.rpartition('@')[0]
    found = {_normal(anonymous(start)): ''}
    queue = deque(found)
    crawl = Crawl({}, [], [])
    while queue:
        url = queue.popleft()
        if len(crawl.visited) >= limit:
            crawl.left.append(url)
            continue
        asked = url.replace('://', f'://{login}@', 1) if login else url
        response = get(asked, user=user)
        crawl.visited[url] = response.status
        links, faults = _look(response)
        crawl.faults.extend(Fault(url, found[url], what) for what in faults)
        for link in links:
            target = _normal(urllib.parse.urljoin(url, link))
            if target.startswith(below) and target not in found:
                found[target] = url
                queue.append(target)
    return crawl


def _normal(url: str) -> str:
    return urllib.parse.urldefrag(url.strip()).url


def _look(response: Response) -> tuple[list[str], list[str]]:
    """Return the links of a response, and what is wrong with it."""
    if response.status >= 400:
        return [], [f'{response.status} {response.reason}']
    if response.status >= 300:
        return [response.headers.get('location', '')], []
    try:
        if response.type in ('text/html', 'application/xhtml+xml'):
            page = _Page()
            page.feed(response.text)
            page.close()
            return page.links, page.check()
        if response.type == 'application/json':
            response.json()
        elif response.type.endswith(('/xml', '+xml')):
            return list(_xmllinks(response)), []
    except (ValueError, ElementTree.ParseError) as exc:
        return [], [f'no {response.type}: {exc}']
    return [], []


def _xmllinks(response: Response) -> Iterator[str]:
    for element in ElementTree.fromstring(response.body).iter():
        if 'href' in element.attrib:
            yield element.attrib['href']
