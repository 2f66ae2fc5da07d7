"""PostgreSQL, as Debian has it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .daemon import Daemon, program

if TYPE_CHECKING:
    import psycopg2.extensions

#: who the tests log in as, the password, and the database of this user
USER, PASSWORD, DATABASE = 'alice', 'secret-of-alice', 'bundles'
#: who may do everything
ADMIN, ADMINPASSWORD = 'postgres', 'secret-of-postgres'


def _folders() -> tuple[str, ...]:
    # not on the path, as several versions may be there
    found = Path('/usr/lib/postgresql').glob('*/bin')
    return tuple(str(path) for path in sorted(found, reverse=True))


class PostgreSQL(Daemon):
    name = 'postgresql'
    timid = True
    # killed, it would leave a segment of shared memory behind
    signal = signal.SIGQUIT
    # of the ways that libpq knows, the one that needs no file
    environ = {'PGPASSWORD': PASSWORD}

    @classmethod
    def missing(cls) -> str | None:
        if program('initdb', *_folders()) is None:
            return 'no PostgreSQL: on Debian the package postgresql'
        return None

    def _program(self, name: str) -> str:
        found = program(name, *_folders())
        assert found is not None, name
        return found

    def prepare(self, template: Path) -> None:
        password = template / 'password'
        password.write_text(ADMINPASSWORD)
        self._own(password)
        data = template / 'pg'
        self.run(
            [
                *(self._program('initdb'), '--no-sync', '--no-instructions'),
                *('--locale=C', '--encoding=UTF8', f'--username={ADMIN}'),
                *('--auth=scram-sha-256', f'--pwfile={password}'),
                *('--pgdata', data),
            ]
        )
        password.unlink()
        # a line a statement, without a server
        self.run(
            [self._program('postgres'), '--single', '-F', '-D', data, ADMIN],
            f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'\n"
            f'CREATE DATABASE {DATABASE} OWNER {USER}\n',
        )

    def command(self) -> list[str]:
        settings = {
            'listen_addresses': '127.0.0.1',
            'port': self.port,
            'unix_socket_directories': self.folder,
            'max_connections': 100,
            'shared_buffers': '32MB',
            # the power does not go
            'fsync': 'off',
            'full_page_writes': 'off',
            'wal_level': 'minimal',
            'max_wal_senders': 0,
            # in its folder, so that nothing is left elsewhere
            'dynamic_shared_memory_type': 'mmap',
            # the plans do not depend on when a test runs
            'autovacuum': 'off',
            'jit': 'off',
        }
        words = [self._program('postgres'), '-D', str(self.data / 'pg')]
        for key, value in settings.items():
            words += ['-c', f'{key}={value}']
        return words

    def ready(self) -> bool:
        return 'ready to accept connections' in self.printed()

    def connect(
        self, admin: bool = False, **more: Any
    ) -> psycopg2.extensions.connection:
        """Return a session of the tests' own, where each statement is a
        transaction of its own."""
        import psycopg2

        made = psycopg2.connect(
            **{
                'host': '127.0.0.1',
                'port': self.port,
                'user': ADMIN if admin else USER,
                'password': ADMINPASSWORD if admin else PASSWORD,
                'dbname': DATABASE,
                **more,
            }
        )
        made.autocommit = True
        return made

    def url(self, schema: str, port: int | None = None) -> str:
        place = f'127.0.0.1:{port or self.port}/{DATABASE}'
        return f'postgresql://{USER}@{place}?schema={schema}'

    def fresh(self, port: int | None = None) -> str:
        """Return the URL of a schema that is not there yet."""
        return self.url(self.newname(), port)
