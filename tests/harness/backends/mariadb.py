"""MariaDB, as Debian has it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .daemon import Daemon, program

if TYPE_CHECKING:
    import pymysql

#: who the tests log in as, and the password; may do everything
USER, PASSWORD = 'alice', 'secret-of-alice'


class MariaDB(Daemon):
    name = 'mariadb'
    timid = True
    environ = {'MYSQL_PWD': PASSWORD}

    @classmethod
    def missing(cls) -> str | None:
        if program('mariadbd', '/usr/sbin') is None:
            return 'no MariaDB: on Debian the package mariadb-server-core'
        if program('my_print_defaults') is None:
            return 'no my_print_defaults: the package mariadb-client-core'
        return None

    _SMALL = (
        '--innodb-log-file-size=8M',
        '--innodb-buffer-pool-size=32M',
        '--key-buffer-size=64K',
        '--aria-pagecache-buffer-size=1M',
    )

    def prepare(self, template: Path) -> None:
        install = program('mariadb-install-db')
        assert install is not None
        self.run(
            [
                *(install, '--no-defaults', f'--datadir={template / "my"}'),
                *('--auth-root-authentication-method=normal', '--skip-test-db'),
                *self._SMALL,
            ]
        )
        text = (
            f"CREATE USER IF NOT EXISTS '{USER}'@'%'"
            f" IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        )
        path = template / 'begin.sql'
        path.write_text(text)
        self._own(path)

    @property
    def socket(self) -> Path:
        return self.folder / 'socket'

    def command(self) -> list[str]:
        server = program('mariadbd', '/usr/sbin')
        assert server is not None
        return [
            *(server, '--no-defaults', f'--datadir={self.data / "my"}'),
            *('--skip-networking=0', '--bind-address=127.0.0.1'),
            *(f'--port={self.port}', f'--socket={self.socket}'),
            *(f'--pid-file={self.folder / "pid"}', '--skip-name-resolve'),
            f'--init-file={self.data / "begin.sql"}',
            *('--max-connections=100', '--performance-schema=off'),
            # processes are killed, but the power does not go
            '--innodb-flush-log-at-trx-commit=2',
            # as far as the release still knows these
            '--loose-innodb-flush-method=nosync',
            '--loose-innodb-use-native-aio=0',
            *self._SMALL,
        ]

    def ready(self) -> bool:
        return 'ready for connections' in self.printed()

    def connect(self, **more: Any) -> pymysql.Connection[Any]:
        """Return a session of the tests' own, where each statement is a
        transaction of its own."""
        import pymysql

        return pymysql.connect(
            **{
                'host': '127.0.0.1',
                'port': self.port,
                'user': USER,
                'password': PASSWORD,
                'autocommit': True,
                **more,
            }
        )

    def url(self, database: str, port: int | None = None) -> str:
        return f'mysql://{USER}@127.0.0.1:{port or self.port}/{database}'

    def fresh(self, port: int | None = None) -> str:
        """Return the URL of an empty database."""
        name = self.newname()
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE {name}')
        return self.url(name, port)
