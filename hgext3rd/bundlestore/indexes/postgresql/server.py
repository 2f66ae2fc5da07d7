"""PostgreSQL's way of what ``remote/server.py`` asks for."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional

from ... import errors, model
from ..remote import search as searching
from ..remote.address import Address
from ..remote.database import MAKE
from ..remote.dialect import Dialect, like
from ..remote.silence import Silent
from ..remote.tables import VERSION
from . import troubles
from .session import Session, driver

if TYPE_CHECKING:
    from ..remote.server import Script, Session as AnySession

#: where the tables are unless the URL says so
SCHEMA = 'bundlestore'

#: Seconds: until a host that does not answer is given up, and one that is not
#: there any more; how long others may hold a lock that is
#: needed, how long a statement may take, and how long a transaction may stand
#: still, as it does while a bundle is published.
CONNECT = 5.0
_GONE = 20
LOCK = 30.0
STATEMENT = 60.0
IDLE = 90.0
#: and how long an answer may take: longer, as the server says why it is late
SILENT = 75.0

#: what connections are opened with, where the URL says nothing else
_DEFAULTS = {
    'application_name': 'hg-bundlestore',
    'keepalives_idle': 10,
    'keepalives_interval': 5,
    'keepalives_count': 2,
    'tcp_user_timeout': _GONE * 1000,
}

#: ways to go through whole tables
_SWEEPING = ('enable_seqscan', 'enable_hashjoin', 'enable_mergejoin')

_HINTS = re.compile(r' INDEXED BY \w+')


class Server(Dialect):
    """The database of a URL, and a schema in it."""

    name = 'PostgreSQL'
    skips = False

    types: Mapping[str, str] = {
        'id': 'bigint',
        'number': 'bigint',
        'small': 'smallint',
        'time': 'double precision',
        'node': 'bytea',
        'digest': 'bytea',
        'blob': 'bytea',
        'text': 'text COLLATE "C"',
        'name': f'varchar({model.NAME_LENGTH}) COLLATE "C"',
        'word': f'varchar({searching.LONGEST}) COLLATE "C"',
    }
    code = staticmethod(troubles.code)
    damages = troubles.DAMAGE
    intheway = troubles.AGAIN
    foreign = troubles.FOREIGN
    keysinside = False
    snapshot: Script = (
        ('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', ()),
    )
    begin: Script = (('BEGIN ISOLATION LEVEL READ COMMITTED', ()),)
    forupdate = 'FOR UPDATE'
    forshare = 'FOR SHARE'
    patience: Script = (
        ('SET LOCAL statement_timeout = 0', ()),
        *((f'SET LOCAL {setting} = on', ()) for setting in _SWEEPING),
    )
    haste: Script = (('SET LOCAL synchronous_commit = off', ()),)
    exists = "SELECT 1 FROM pg_class WHERE oid = to_regclass('gate')"

    def __init__(self, address: Address) -> None:
        self.schema = address.parameters.get('schema') or SCHEMA
        # One that passes sessions from hand to hand, such as PgBouncer, may
        # have given this one another schema: that of another repository.
        name = self.schema.replace("'", "''")
        self.guard = f"""SELECT 1 / count(*) FROM gate
            WHERE version = {VERSION} AND current_schema() = '{name}'"""
        self._address = address
        self.key = repr(address)
        user = _quoted(address.user or 'USER')
        its = _quoted(self.schema)
        #: what gives the right to make the tables, and to use them
        self.grants = (
            f'CREATE SCHEMA {its} AUTHORIZATION {user}',
            f'GRANT USAGE ON SCHEMA {its} TO {user}; GRANT SELECT, INSERT,'
            f' UPDATE, DELETE ON ALL TABLES IN SCHEMA {its} TO {user}',
        )

    @staticmethod
    @functools.lru_cache(maxsize=256)
    def words(statement: str) -> str:
        found = statement.replace('%', '%%').replace('?', '%s')
        found = found.replace('CROSS JOIN', 'JOIN')
        # where a changeset is would be looked up three times otherwise
        place = 'found (node, place) AS '
        found = found.replace(f'{place}(', f'{place}MATERIALIZED (')
        return _HINTS.sub('', found)

    # -- sessions

    def connect(self) -> Session:
        module = driver()
        arguments: dict[str, Any] = {**_DEFAULTS, **self._arguments()}
        arguments['client_encoding'] = 'UTF8'
        connecting = _seconds(arguments.pop('connect_timeout', '')) or CONNECT
        settings = _settings(self.schema)
        # one of several may be off: the others are asked then
        hosts = _hosts(arguments)
        for host in hosts:
            try:
                return Session(
                    {**arguments, **host}, settings, connecting, SILENT
                )
            except (Silent, module.Error) as exc:
                trouble = troubles.unreachable(exc)
                if host is hosts[-1]:
                    raise trouble from exc
        raise AssertionError

    def _arguments(self) -> dict[str, Any]:
        """Return what the URL says, as the driver takes it."""
        address = self._address
        module = driver()
        place = f'postgresql://{address.hosts}/'
        try:
            found: dict[str, Any] = module.extensions.parse_dsn(place)
        except module.Error as exc:
            raise errors.UnknownScheme(
                'URL of the bundle index names no server',
                'it is of the form postgresql://USER@HOST:PORT/DATABASE',
            ) from exc
        if address.user:
            found['user'] = address.user
        if address.database:
            found['dbname'] = address.database
        found.update(address.parameters)
        found.pop('schema', None)
        return found

    @property
    def error(self) -> type[Exception]:
        found: type[Exception] = driver().Error
        return found

    def islost(self, exc: Exception) -> bool:
        return troubles.islost(exc)

    def trouble(self, exc: Exception) -> Optional[errors.BundleStoreError]:
        return troubles.trouble(exc, self.grants)

    # -- tables

    def absence(self, session: AnySession) -> errors.BundleStoreError:
        rows = session.fetch(
            [
                (
                    'SELECT has_schema_privilege(nspname, %s)'
                    ' FROM pg_namespace WHERE nspname = %s',
                    ('USAGE', self.schema),
                )
            ]
        )
        if rows and not rows[0][0]:
            return troubles.forbidden(
                f'permission denied for schema {self.schema}', self.grants
            )
        what = f'tables in the schema {self.schema}'
        if not rows:
            what = f'schema {self.schema}'
        return errors.BackendUnavailable(f'bundle index has no {what}', MAKE)

    def prepare(self, session: AnySession) -> None:
        name = _quoted(self.schema)
        # of any who make tables here; the number is one of ours
        session.fetch([('SELECT pg_advisory_xact_lock(1751597651)', ())])
        (encoding,) = session.fetch([('SHOW server_encoding', ())])[0]
        if encoding != 'UTF8':
            raise errors.BackendUnavailable(
                f'bundle index cannot be in a database with the encoding'
                f' {encoding}',
                'make another one: createdb --encoding=UTF8'
                ' --template=template0 NAME',
            )
        there = session.fetch(
            [('SELECT 1 FROM pg_namespace WHERE nspname = %s', (self.schema,))]
        )
        if not there:
            session.fetch([(f'CREATE SCHEMA {name}', ())])

    def size(self) -> str:
        return """
            SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class AS c
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname = current_schema() AND c.relkind = 'r'
        """

    # -- statements

    def glob(self, column: str, pattern: str) -> Optional[tuple[str, str]]:
        return f'{column} LIKE ?', like(pattern)


def _quoted(name: str) -> str:
    """Return a name as it stands in statements."""
    return '"{}"'.format(name.replace('"', '""'))


def _hosts(arguments: dict[str, Any]) -> list[dict[str, str]]:
    """Return the host and port of each of the servers of a URL."""
    names = [n for n in ('host', 'hostaddr', 'port') if n in arguments]
    found = {name: str(arguments[name]).split(',') for name in names}
    count = max(map(len, found.values()), default=1)
    return [
        # one port may be that of all
        {n: its[min(k, len(its) - 1)] for n, its in found.items()}
        for k in range(count)
    ]


def _seconds(text: str) -> float:
    try:
        return float(text or 0)
    except ValueError as exc:
        raise errors.UnknownScheme(
            'connect_timeout in the URL of the bundle index is no number'
        ) from exc


def _settings(schema: str) -> str:
    """Return what is set in each session.

    The server looks after silent clients as clients do after the server: it
    holds the locks of one that died until it notices. What is recorded is
    durable, whatever the server's default is.

    All that is asked in passing is found by keys. But what a bundle rests on
    is asked with a recursion, of which PostgreSQL expects a hundred thousand
    times as many rows as it has: so it would go through whole tables, and
    compile the statement, which takes a second.
    """
    sweeping = ''.join(f'SET {setting} = off;' for setting in _SWEEPING)
    return f"""
    {sweeping}
    SET jit = off;
    SET search_path TO {_quoted(schema)};
    SET lock_timeout = {int(LOCK * 1000)};
    SET statement_timeout = {int(STATEMENT * 1000)};
    SET idle_in_transaction_session_timeout = {int(IDLE * 1000)};
    SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3;
    SET bytea_output = 'hex';
    SET standard_conforming_strings = on;
    SET extra_float_digits = 1;
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'
    """
