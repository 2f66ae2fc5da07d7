"""The WSGI application that the tests serve, and gunicorn to serve it.

Run by the Python of an environment with Mercurial (see ``WsgiTransport`` in
servers.py). gunicorn loads the application in each of its processes, as it
and others do with an administrator's WSGI file.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import json
import os
import sys
import wsgiref.util
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Callable

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Authentication:
    """Asks users for their passwords, as the HTTP server in front of hgweb
    does. Who says nothing is nobody, and is asked where hgweb minds."""

    CHALLENGE = ('WWW-Authenticate', 'Basic realm="hgweb"')

    def __init__(
        self, application: Application, passwords: Mapping[str, str]
    ) -> None:
        self._application = application
        self._passwords = passwords

    def __call__(
        self, environ: Environ, start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        # which process answered, for tests that want to know
        worker = ('X-Worker', str(os.getpid()))

        def start(
            status: str, headers: list[tuple[str, str]], *args: Any
        ) -> Any:
            headers = [*headers, worker]
            if status.startswith('401'):
                headers.append(self.CHALLENGE)
            return start_response(status, headers, *args)

        # what a client says must not pass for what was found out here
        environ.pop('REMOTE_USER', None)
        credentials = environ.get('HTTP_AUTHORIZATION')
        if credentials is not None:
            user = self._user(credentials)
            if user is None:
                start('401 Unauthorized', [('Content-Type', 'text/plain')])
                return [b'wrong user or password\n']
            environ['AUTH_TYPE'] = 'Basic'
            environ['REMOTE_USER'] = user
        return self._application(environ, start)

    def _user(self, credentials: str) -> str | None:
        scheme, _, text = credentials.partition(' ')
        try:
            pair = base64.b64decode(text.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        user, _, password = pair.partition(':')
        if scheme.lower() == 'basic' and self._passwords.get(user) == password:
            return user
        return None


def hgwebdir(order: Mapping[str, Any]) -> Application:
    from mercurial.hgweb import hgwebdir

    application: Application = hgwebdir(order['webconf'].encode())
    return application


def hgweb(order: Mapping[str, Any]) -> Application:
    """Return one ``hgweb`` for each repository, below the repository's
    name."""
    from mercurial import ui
    from mercurial.hgweb import hgweb

    applications: dict[str, Application] = {}

    def make(name: str) -> Application:
        baseui = ui.ui.load()
        baseui.readconfig(order['webconf'].encode(), trust=True)
        path = Path(order['root']) / name
        application: Application = hgweb(str(path).encode(), baseui=baseui)
        return application

    def dispatch(
        environ: Environ, start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        name = wsgiref.util.shift_path_info(environ) or ''
        if not (Path(order['root']) / name / '.hg').is_dir():
            start_response('404 Not Found', [('Content-Type', 'text/plain')])
            return [b'no such repository\n']
        if name not in applications:
            applications[name] = make(name)
        return applications[name](environ, start_response)

    return dispatch


def load(order: Mapping[str, Any]) -> Application:
    """Do what an administrator's WSGI file does."""
    if order['lazy']:
        from mercurial import demandimport

        demandimport.enable()
    application = {'hgweb': hgweb, 'hgwebdir': hgwebdir}[order['application']]
    return Authentication(application(order), order['passwords'])


def main() -> None:
    order = json.loads(sys.argv[1])
    sys.path.append(order['packages'])
    from gunicorn.app.base import BaseApplication

    if not order['lazy']:
        # once, not by each process
        importlib.import_module('mercurial.hgweb')

    class Server(BaseApplication):
        def load_config(self) -> None:
            for name, value in order['settings'].items():
                self.cfg.set(name, value)
            # a socket that newer ones open in the home folder
            if 'control_socket_disable' in self.cfg.settings:
                self.cfg.set('control_socket_disable', True)

        def load(self) -> Application:
            return load(order)

    Server().run()


if __name__ == '__main__':
    main()
