"""The servers of others that tests run with, and the network before them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.backends import (
    Daemon,
    MariaDB,
    ObjectStore,
    PostgreSQL,
    Rclone,
    SeaweedFS,
)
from harness.backends.session import Getter
from harness.proxy import Proxy
from harness.servers import patiently

pytestmark = pytest.mark.slow('databases and object stores of others')


def test_postgresql(postgresql: PostgreSQL) -> None:
    one, two = postgresql.fresh(), postgresql.fresh()
    assert one != two
    with postgresql.connect() as connection, connection.cursor() as cursor:
        cursor.execute('SELECT current_user, current_database()')
        assert cursor.fetchone() == ('alice', 'bundles')
    with pytest.raises(Exception, match='password authentication failed'):
        postgresql.connect(password='wrong')


def test_mariadb(mariadb: MariaDB) -> None:
    database = mariadb.fresh().rpartition('/')[2]
    with mariadb.connect(database=database) as connection:
        cursor = connection.cursor()
        cursor.execute('SHOW TABLES')
        assert not cursor.fetchall()
    with pytest.raises(Exception, match='Access denied'):
        mariadb.connect(password='wrong')


def test_objects(objects: ObjectStore) -> None:
    client = objects.client()
    bucket = objects.newbucket()
    client.put_object(Bucket=bucket, Key='a/b', Body=b'x')
    assert client.get_object(Bucket=bucket, Key='a/b')['Body'].read() == b'x'
    with pytest.raises(client.exceptions.NoSuchBucket):
        client.put_object(Bucket='missing', Key='a', Body=b'x')
    wrong = objects.client(aws_secret_access_key='wrong')
    with pytest.raises(Exception, match='SignatureDoesNotMatch'):
        wrong.put_object(Bucket=bucket, Key='a', Body=b'x')


def test_private(privateserver: Getter) -> None:
    """One of a test's own stops, comes back with what it had, and freezes."""
    server = privateserver(PostgreSQL)
    port, pid = server.port, server.pid
    server.connect().cursor().execute('CREATE TABLE kept (word text)')

    server.stop()
    assert not Path(f'/proc/{pid}').exists()
    with pytest.raises(Exception, match='Connection refused'):
        server.connect()

    server.start()
    assert server.port == port
    cursor = server.connect().cursor()
    cursor.execute('SELECT count(*) FROM kept')
    server.freeze()
    with socket.create_connection(('127.0.0.1', port), 5) as connection:
        connection.settimeout(0.2)
        # a request for TLS, to which the answer is one byte
        connection.sendall(bytes.fromhex('00000008 04d2162f'))
        with pytest.raises(TimeoutError):
            connection.recv(1)
        server.thaw()
        connection.settimeout(30)
        assert connection.recv(1)

    server.discard()
    assert not server.folder.exists()


@pytest.mark.parametrize('kind', [MariaDB, Rclone, SeaweedFS])
@pytest.mark.nightly('one of four kinds is tried above')
def test_restart(privateserver: Getter, kind: type[Daemon]) -> None:
    server = privateserver(kind)
    server.restart()
    server.freeze()
    server.thaw()
    server.restart()


SESSION = """\
import sys, time
from pathlib import Path
from harness.backends import Rclone, session
session.begin(sys.argv[1])
session.shared(Rclone)
made = session.private(Rclone)
made.freeze()
print(session.shared(Rclone).pid, made.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.usefixtures('rclone')
def test_killed(tmp_path: Path) -> None:
    """When the tests are killed, nothing is left of their servers."""
    process = subprocess.Popen(
        [sys.executable, '-c', SESSION, str(tmp_path)],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    pids = process.stdout.readline().split()
    assert len(pids) == 2
    process.kill()
    process.wait()
    for _ in patiently():
        alive = [pid for pid in pids if Path(f'/proc/{pid}').exists()]
        if not alive and not list(tmp_path.iterdir()):
            break
    else:
        pytest.fail(f'left: {alive}, {list(tmp_path.iterdir())}')


@pytest.fixture
def echo() -> int:
    """The port of a server that says what it hears."""
    listener = socket.create_server(('127.0.0.1', 0))

    def serve(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            connection.sendall(data)
        connection.close()

    def run() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(
                target=serve, args=[connection], daemon=True
            ).start()

    threading.Thread(target=run, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def test_proxy(newproxy: Callable[[int], Proxy], echo: int) -> None:
    proxy = newproxy(echo)

    def connect() -> socket.socket:
        return socket.create_connection(('127.0.0.1', proxy.port), 30)

    with connect() as one:
        one.sendall(b'hello')
        assert one.recv(10) == b'hello'
        assert (proxy.count, proxy.trips) == (10, 1)

        proxy.delay = 0.05
        begin = time.monotonic()
        one.sendall(b'hello')
        assert one.recv(10) == b'hello'
        assert time.monotonic() - begin >= 0.1
        assert proxy.trips == 2
        # one that is new has to be connected, too
        begin = time.monotonic()
        with connect() as other:
            other.sendall(b'hello')
            assert other.recv(10) == b'hello'
        assert time.monotonic() - begin >= 0.2
        proxy.delay = 0

        proxy.rate = 50_000
        begin = time.monotonic()
        one.sendall(b'x' * 5_000)
        assert len(one.recv(5_000, socket.MSG_WAITALL)) == 5_000
        assert time.monotonic() - begin >= 0.2
        proxy.rate = None

        proxy.swallow = True
        one.sendall(b'hello')
        one.settimeout(0.1)
        with pytest.raises(TimeoutError):
            one.recv(10)
        proxy.swallow = False

        proxy.cut()
        one.settimeout(30)
        assert one.recv(10) == b''

    proxy.cutafter = 7
    with connect() as two:
        two.sendall(b'hello')
        assert two.recv(10) == b'hello'
        two.sendall(b'hello')
        assert two.recv(10) == b''
    assert proxy.cutafter is None

    proxy.refuse = True
    with connect() as three:
        assert three.recv(10) == b''
    assert proxy.connections == 4
