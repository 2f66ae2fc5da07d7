"""Serves a repository of git by http, with git's own ``git-http-backend``."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    environ: ClassVar[Mapping[str, str]]

    def do_GET(self) -> None:
        path, _, query = self.path.partition('?')
        headers = self.headers
        environ = {
            **self.environ,
            'GIT_HTTP_EXPORT_ALL': '1',
            'GATEWAY_INTERFACE': 'CGI/1.1',
            'REQUEST_METHOD': self.command,
            'PATH_INFO': path,
            'QUERY_STRING': query,
            # or nobody may push
            'REMOTE_USER': 'bench',
            'CONTENT_TYPE': headers.get('Content-Type', ''),
            'CONTENT_LENGTH': headers.get('Content-Length', ''),
            'HTTP_CONTENT_ENCODING': headers.get('Content-Encoding', ''),
            'GIT_PROTOCOL': headers.get('Git-Protocol', ''),
        }
        body = self._body()
        if body:
            environ['CONTENT_LENGTH'] = str(len(body))
        done = subprocess.run(
            ['git', 'http-backend'],
            env=environ,
            input=body,
            stdout=subprocess.PIPE,
            check=False,
        )
        head, _, answer = done.stdout.partition(b'\r\n\r\n')
        fields = dict(
            line.split(': ', 1) for line in head.decode('latin-1').split('\r\n')
        )
        status, _, reason = fields.pop('Status', '200 OK').partition(' ')
        self.send_response(int(status), reason)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def _body(self) -> bytes:
        if self.headers.get('Transfer-Encoding') != 'chunked':
            return self.rfile.read(int(self.headers.get('Content-Length') or 0))
        body = b''
        while size := int(self.rfile.readline().split(b';')[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving(server: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Serve the repository at ``server``; yield its URL."""

    class Handler(_Handler):
        pass

    Handler.environ = {
        **environ,
        'PATH': os.environ.get('PATH', os.defpath),
        'GIT_PROJECT_ROOT': str(server.parent),
    }
    httpd = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f'http://127.0.0.1:{httpd.server_port}/{server.name}'
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()
