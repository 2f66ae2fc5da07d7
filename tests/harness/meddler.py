"""A proxy for HTTP that meddles with single requests to an object store.

What is not meddled with goes to the real server and back as it is. A signature
holds, as the client's word for the host is passed on.
"""

from __future__ import annotations

import http.client
import http.server
import threading
from collections.abc import Callable
from typing import Optional, Union

#: the answer in the place of the server's: status, and body
Answer = tuple[int, bytes]


class Meddler:
    """Listens on ``port``, and passes requests on to the port ``target``.

    ``meddle`` is asked of each request, by method and path, and returns None,
    an answer of its own, or what shall become of the server's: ``drop`` closes
    the connection after the server has done what it was asked for, and a
    number does so after so many bytes of the body.
    """

    def __init__(self, target: int) -> None:
        self.meddle: Callable[[str, str], Union[Answer, str, int, None]] = (
            lambda _method, _path: None
        )
        #: what came, by method and path
        self.requests: list[tuple[str, str]] = []
        meddler = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def handle_one(self) -> None:
                meddler._handle(self, target)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_one

            def log_message(self, *_args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(
            ('127.0.0.1', 0), Handler
        )
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(
            target=self._server.serve_forever, args=(0.02,)
        ).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handle(
        self, handler: http.server.BaseHTTPRequestHandler, target: int
    ) -> None:
        size = int(handler.headers.get('Content-Length') or 0)
        body = handler.rfile.read(size)
        self.requests.append((handler.command, handler.path))
        wish = self.meddle(handler.command, handler.path)
        if isinstance(wish, tuple):
            self._answer(handler, wish[0], {}, wish[1])
            return
        connection = http.client.HTTPConnection('127.0.0.1', target)
        headers = dict(handler.headers)
        headers.pop('Expect', None)
        connection.request(handler.command, handler.path, body, headers)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        if wish == 'drop':
            handler.close_connection = True
            return
        cut = wish if isinstance(wish, int) else None
        found = dict(response.headers)
        if handler.command != 'HEAD':
            found['Content-Length'] = str(len(data))
        found.pop('Transfer-Encoding', None)
        self._answer(handler, response.status, found, data, cut)

    def _answer(
        self,
        handler: http.server.BaseHTTPRequestHandler,
        status: int,
        headers: dict[str, str],
        body: bytes,
        cut: Optional[int] = None,
    ) -> None:
        handler.send_response_only(status)
        for name, value in {
            'Content-Length': str(len(body)),
            **headers,
        }.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command != 'HEAD':
            handler.wfile.write(body[:cut])
        if cut is not None:
            handler.close_connection = True
