"""Web servers of others, as ``docs/deployment.rst`` sets them up on a machine
of ``machine.py``: nginx or Apache in front, gunicorn or uwsgi behind."""

from __future__ import annotations

import base64
import http.client
import os
import shutil
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from . import tls
from .backends.daemon import freeports
from .machine import HOST, Machine, sections
from .servers import PASSWORDS


def connect(port: int, cert: Path) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(cert))
    return http.client.HTTPSConnection('localhost', port, context=context)


def ask(
    machine: Machine,
    path: str,
    user: str | None = None,
    headers: dict[str, str] | None = None,
    method: str = 'GET',
) -> tuple[int, str]:
    """Make a request of the web server; return code and body."""
    connection = connect(machine.port, machine.path(CERTIFICATE))
    sent = dict(headers or {})
    if user:
        pair = f'{user}:{PASSWORDS.get(user, "some-password")}'
        sent['Authorization'] = (
            'Basic ' + base64.b64encode(pair.encode()).decode()
        )
    connection.request(method, path, headers=sent)
    answer = connection.getresponse()
    body = answer.read().decode('utf-8', 'replace')
    connection.close()
    return answer.status, body


CERTIFICATE = f'/etc/ssl/certs/{HOST}.pem'
KEY = f'/etc/ssl/private/{HOST}.key'


def served(machine: Machine) -> None:
    """Have a machine be served at a port of this one."""
    (port,) = freeports(1)
    machine.port = port
    machine.words.update(
        {
            'listen 443 ssl': f'listen 127.0.0.1:{port} ssl',
            'VirtualHost *:443': f'VirtualHost 127.0.0.1:{port}',
            f'https://{HOST}': f'https://localhost:{port}',
            f'@{HOST}': f'@localhost:{port}',
        }
    )


def certify(machine: Machine) -> None:
    """Make a certificate."""
    tls.certify(machine.path(CERTIFICATE), machine.path(KEY))


def answers(port: int) -> Callable[[], bool]:
    """Return what tells whether somebody listens at a port."""

    def ready() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', port)) == 0

    return ready


def service(machine: Machine) -> None:
    """Start what the unit of hgweb starts."""
    unit = machine.unit('hgweb.service')
    # pip's uwsgi has Python in itself
    unit['ExecStart'] = unit['ExecStart'].replace('--plugin python3 ', '')
    folder = machine.path(f'/run/{unit["RuntimeDirectory"]}')
    folder.chmod(int(unit['RuntimeDirectoryMode'], 8))
    if os.geteuid() == 0:
        shutil.chown(folder, group=unit['Group'])
    there = folder / 'hgweb.socket'
    machine.start(machine.confined(unit), there.exists, machine.path('/srv/hg'))


#: as Debian's files have it, in short
_NGINX = """\
daemon off;
{user}
worker_processes 1;
pid {root}/run/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {root}/var/lib/body;
    proxy_temp_path {root}/var/lib/proxy;
    fastcgi_temp_path {root}/var/lib/fastcgi;
    uwsgi_temp_path {root}/var/lib/uwsgi;
    scgi_temp_path {root}/var/lib/scgi;
    include {root}/etc/nginx/sites-enabled/*;
}}
"""
_APACHE = """\
ServerRoot {root}
ServerName localhost
PidFile {root}/run/apache.pid
DefaultRuntimeDir {root}/run
ErrorLog /dev/stderr
Listen 127.0.0.1:{port}
User www-data
Group www-data
{modules}
IncludeOptional {root}/etc/apache2/sites-enabled/*.conf
"""
_MODULES = Path('/usr/lib/apache2/modules')


def nginx(machine: Machine) -> str:
    """Have nginx be there as Debian installs it; return the command."""
    main = machine.root / 'etc/nginx/nginx.conf'
    user = 'user www-data;' if os.geteuid() == 0 else ''
    main.write_text(_NGINX.format(root=machine.root, user=user))
    command = f'/usr/sbin/nginx -e stderr -c {main}'
    machine.instead('nginx', command)
    return command


def apache(machine: Machine) -> str:
    """The same with Apache, and the modules that the page turns on."""
    (line,) = (
        line
        for block in sections()['In the place of nginx: Apache']
        for line in block.lines
        if line.startswith('a2enmod')
    )
    names = [
        *('mpm_event', 'authn_core', 'authn_file', 'authz_core'),
        *('authz_user', 'auth_basic', 'socache_shmcb'),
        *line.split()[1:],
    ]
    modules = '\n'.join(
        f'LoadModule {name}_module {_MODULES}/mod_{name}.so' for name in names
    )
    main = machine.root / 'etc/apache2/apache2.conf'
    main.write_text(
        _APACHE.format(root=machine.root, port=machine.port, modules=modules)
    )
    # what "configtest" means
    machine.instead('apache2ctl', f'/usr/sbin/apache2 -f {main} -t #')
    return f'/usr/sbin/apache2 -f {main} -D FOREGROUND'
