"""How a server is reached, and who logs in there.

A URL says where, and who; its parameters are:

* ``socket=PATH``: the server's socket on this machine, in the place of a host;
* ``ssl-mode=``, as MySQL's own programs know it: ``disabled``, ``preferred``,
  ``required``, ``verify_ca``, ``verify_identity``. Without it, a server on
  this machine is not asked for TLS, and others have to prove who they are
  where there is an ``ssl-ca``;
* ``ssl-ca=``, ``ssl-cert=``, ``ssl-key=``: files;
* ``defaults-file=PATH`` and ``defaults-group=NAME``: where what the URL does
  not say is looked for, the password above all; ``~/.my.cnf`` and ``client``.
"""

from __future__ import annotations

import configparser
import os
from typing import TYPE_CHECKING, Any, Optional

from ... import errors
from ...records import NamedTuple

if TYPE_CHECKING:
    import ssl

    from ..remote.address import Address

PASSWORDS = (
    'put it into ~/.my.cnf of the user who runs the server, below [client], or'
    ' into a file that defaults-file=PATH in the URL names'
)

_FILE = '~/.my.cnf'
_GROUP = 'client'
_PORT = 3306
#: where nobody listens on the way
_HERE = frozenset(['', 'localhost', '127.0.0.1', '::1'])

#: whether TLS is required, and what is verified: the certificate, the name
_MODES = {
    'preferred': (False, False, False),
    'required': (True, False, False),
    'verify_ca': (True, True, False),
    'verify_identity': (True, True, True),
}
_PARAMETERS = frozenset(
    [
        *('socket', 'ssl-mode', 'ssl-ca', 'ssl-cert', 'ssl-key'),
        *('defaults-file', 'defaults-group'),
    ]
)


class Login(NamedTuple):
    host: str
    port: int
    #: empty where it is a host
    socket: str
    user: str
    password: Optional[str]
    database: str
    #: as ``ssl-mode``
    mode: str
    parameters: dict[str, str]

    @property
    def istls(self) -> bool:
        return self.mode != 'disabled'

    @property
    def needstls(self) -> bool:
        return self.istls and _MODES[self.mode][0]

    def arguments(self) -> dict[str, Any]:
        """Return what the driver takes."""
        found: dict[str, Any] = {'host': self.host, 'port': self.port}
        if self.socket:
            found['unix_socket'] = self.socket
        if self.user:
            found['user'] = self.user
        if self.password is not None:
            # a text it would take for Latin-1
            found['password'] = self.password.encode('utf-8')
        if self.istls:
            found['ssl'] = self._context()
        else:
            found['ssl_disabled'] = True
        return found

    def _context(self) -> ssl.SSLContext:
        import ssl

        _required, verified, named = _MODES[self.mode]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = named
        context.verify_mode = ssl.CERT_REQUIRED if verified else ssl.CERT_NONE
        ca, cert = (
            self.parameters.get('ssl-ca'),
            self.parameters.get('ssl-cert'),
        )
        try:
            if ca:
                context.load_verify_locations(ca)
            elif verified:
                context.load_default_certs()
            if cert:
                context.load_cert_chain(cert, self.parameters.get('ssl-key'))
        except OSError as exc:
            raise errors.BackendUnavailable(
                f'bundle index cannot use these certificates: {exc}',
                'look at ssl-ca, ssl-cert and ssl-key in bundlestore.index',
            ) from exc
        return context


def check(address: Address) -> None:
    """Raise ``UnknownScheme`` if that is no URL of a server."""
    unknown = sorted(set(address.parameters) - _PARAMETERS)
    if unknown:
        raise errors.UnknownScheme(
            f'URL of the bundle index has an unknown parameter: {unknown[0]}',
            f'known ones: {", ".join(sorted(_PARAMETERS))}',
        )
    mode = address.parameters.get('ssl-mode', 'disabled').lower()
    if mode != 'disabled' and mode not in _MODES:
        raise errors.UnknownScheme(
            f'URL of the bundle index has an unknown ssl-mode: {mode}',
            f'known ones: {", ".join(["disabled", *_MODES])}',
        )
    _host, port = _place(address.hosts)
    if not address.database or port is None:
        raise errors.UnknownScheme(
            'URL of the bundle index names no database of a server',
            'it is of the form mysql://USER@HOST:PORT/DATABASE',
        )


def find(address: Address) -> Login:
    """Return what a URL says, and where it does not, the file of options.
    Raises ``BackendUnavailable``."""
    parameters = address.parameters
    host, port = _place(address.hosts)
    options = _options(parameters)
    socket = parameters.get('socket', '')
    if not socket and not host:
        host = options.get('host', '')
        socket = '' if host else options.get('socket', '')
    if not port:
        port = _number(options.get('port', '')) or _PORT
    password = options.get('password')
    if password is None:
        password = os.environ.get('MYSQL_PWD')
    return Login(
        host or 'localhost',
        port,
        socket,
        address.user or options.get('user', ''),
        password,
        address.database,
        _mode(parameters, bool(socket) or host in _HERE),
        parameters,
    )


def _place(hosts: str) -> tuple[str, Optional[int]]:
    """Return host and port of ``HOST:PORT``, 0 where there is no port, None
    where it is no number."""
    host, colon, port = hosts.rpartition(':')
    if not colon or port.endswith(']'):
        return hosts.strip('[]'), 0
    return host.strip('[]'), _number(port) or None


def _number(digits: str) -> int:
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def _mode(parameters: dict[str, str], ishere: bool) -> str:
    default = 'disabled' if ishere else 'preferred'
    if 'ssl-ca' in parameters:
        default = 'verify_identity'
    return parameters.get('ssl-mode', default).lower()


def _options(parameters: dict[str, str]) -> dict[str, str]:
    """Return what the file of options says."""
    named = parameters.get('defaults-file')
    path = os.path.expanduser(named or _FILE)
    parser = configparser.RawConfigParser(
        allow_no_value=True, strict=False, comment_prefixes=('#', ';', '!')
    )
    try:
        with open(path, encoding='utf-8') as file:
            parser.read_file(file)
    except FileNotFoundError:
        if named is None:
            return {}
        problem = 'is not there'
    except OSError as exc:
        problem = f'cannot be read: {exc.strerror}'
    except (configparser.Error, UnicodeDecodeError):
        # what these say may have a password in it
        problem = 'is no file of options'
    else:
        group = parameters.get('defaults-group', _GROUP)
        if not parser.has_section(group):
            return {}
        return {
            name.replace('_', '-'): _unquoted(value)
            for name, value in parser.items(group)
            if value is not None
        }
    raise errors.BackendUnavailable(
        f'bundle index cannot be reached: {path} {problem}',
        'the user who runs the server must be able to read it',
    )


def _unquoted(value: str) -> str:
    isquoted = len(value) > 1 and value[0] == value[-1] and value[0] in '\'"'
    return value[1:-1] if isquoted else value
