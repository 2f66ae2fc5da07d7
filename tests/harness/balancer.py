"""A load balancer: one address for several servers of a repository, which sends
some commands of the wire protocol to one and the rest to another."""

from __future__ import annotations

import contextlib
import http.client
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .hg import PATIENCE


@contextlib.contextmanager
def balancing(rest: str, commands: Mapping[str, str]) -> Iterator[str]:
    """Give the address at which ``rest`` answers, an URL, but for those
    ``commands`` for which others do."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = urllib.parse.urlsplit(self.path).query
            command = urllib.parse.parse_qs(query).get('cmd', [''])[0]
            target = urllib.parse.urlsplit(commands.get(command, rest))
            assert target.hostname is not None
            with contextlib.closing(
                http.client.HTTPConnection(
                    target.hostname, target.port, timeout=PATIENCE
                )
            ) as connection:
                size = int(self.headers.get('Content-Length') or 0)
                connection.request(
                    self.command,
                    f'{target.path}?{query}',
                    self.rfile.read(size) if size else None,
                    dict(self.headers),
                )
                answer = connection.getresponse()
                body = answer.read()
            self.send_response(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in ('content-length', 'transfer-encoding'):
                    self.send_header(name, value)
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            login = urllib.parse.urlsplit(rest).netloc.rpartition('@')
            yield f'http://{login[0]}{login[1]}127.0.0.1:{server.server_port}/'
        finally:
            server.shutdown()
            thread.join(PATIENCE)
