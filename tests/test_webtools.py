"""The tests' own HTTP client and link checker."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from harness import servers, web
from harness.hg import Repo
from harness.servers import WsgiTransport

HTML = 'text/html; charset=utf-8'
PAGES = {
    '/': (
        200,
        HTML,
        '<html><a href="good">1</a> <a href=/missing>2</a></html>',
    ),
    '/good': (
        200,
        HTML,
        # not closed, which is no fault; other servers and schemes
        '<html><p><img src="data:image/gif;base64,"><br><a href="#here">'
        '<a href="http://hg.example.org/x"> <a href="mailto:alice@example.com">'
        '<link href="/feed"><a href="moved?a=1&amp;b=2#top">'
        '<script src="/deep/broken.json"></script></body></html>',
    ),
    '/moved?a=1&b=2': (302, HTML, '/cut'),
    '/feed': (
        200,
        'application/atom+xml',
        '<feed><link href="/entry"/></feed>',
    ),
    '/entry': (200, 'text/xml', '<feed><link></feed>'),
    '/cut': (200, HTML, '<html><body><a href="/quote">'),
    '/quote': (
        200,
        HTML,
        '<html><a href="/quote" title="a "quote" in it"></a></html>',
    ),
    '/deep/broken.json': (200, 'application/json', '{"pushes": '),
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves PAGES."""

    def do_GET(self) -> None:
        status, kind, text = PAGES.get(self.path, (404, HTML, 'not here'))
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('X-Authorization', self.headers['Authorization'] or '')
        if status == 302:
            self.send_header('Location', text)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_POST(self) -> None:
        length = int(self.headers['Content-Length'])
        self.send_response(201)
        self.end_headers()
        self.wfile.write(self.rfile.read(length).upper())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f'127.0.0.1:{server.server_port}'
    server.shutdown()
    thread.join()
    server.server_close()


def test_get(site: str) -> None:
    answer = web.get(f'http://{site}/moved?a=1&b=2')
    assert answer.status == 302
    assert answer.headers['location'] == '/cut'
    answer = web.get(f'http://{site}/missing', user='nobody')
    assert (answer.status, answer.text) == (404, 'not here')
    assert answer.headers['x-authorization'] == ''
    answer = web.get(f'http://{site}/good', user='bob')
    assert answer.type == 'text/html'
    bob = answer.headers['x-authorization']
    assert bob.startswith('Basic ')
    answer = web.get(f'http://bob:password-of-bob@{site}/good')
    assert answer.headers['x-authorization'] == bob
    answer = web.get(f'http://{site}/', method='POST', body=b'text')
    assert (answer.status, answer.body) == (201, b'TEXT')


def test_crawl_finds_what_is_broken(site: str) -> None:
    at = f'http://{site}'
    crawl = web.crawl(f'{at}/')
    assert list(crawl.visited) == [
        f'{at}{path}'
        for path in (
            '/',
            '/good',
            '/missing',
            '/feed',
            '/moved?a=1&b=2',
            '/deep/broken.json',
            '/entry',
            '/cut',
            '/quote',
        )
    ]
    faults = {fault.url[len(at) :]: fault for fault in crawl.faults}
    assert {path: fault.linkedfrom for path, fault in faults.items()} == {
        '/missing': f'{at}/',
        '/deep/broken.json': f'{at}/good',
        '/entry': f'{at}/feed',
        '/cut': f'{at}/moved?a=1&b=2',
        '/quote': f'{at}/cut',
    }
    assert '404' in faults['/missing'].what
    assert 'ends too early' in faults['/cut'].what
    assert 'attribute' in faults['/quote'].what
    assert not crawl.left


def test_crawl_stays_where_it_should(site: str) -> None:
    at = f'http://{site}'
    crawl = web.crawl(f'{at}/', f'{at}/good')
    assert list(crawl.visited) == [f'{at}/', f'{at}/good']
    assert not crawl.faults
    crawl = web.crawl(f'{at}/', limit=2)
    assert list(crawl.visited) == [f'{at}/', f'{at}/good']
    assert f'{at}/missing' in crawl.left


@pytest.mark.slow('a whole crawl, for a test of the tests')
@pytest.mark.parametrize('webconfig', [{'allow_read': 'bob'}])
@servers.overweb('wsgi')
def test_crawl_of_hgweb(transport: WsgiTransport, base: Repo) -> None:
    """Mercurial's own pages have no fault, to someone who may see them."""
    start = transport.url(base, 'bob')
    crawl = web.crawl(start, start, limit=60)
    assert len(crawl.visited) == 60
    assert not crawl.faults, str(crawl)
    (fault,) = web.crawl(web.anonymous(start), start).faults
    assert '401' in fault.what
