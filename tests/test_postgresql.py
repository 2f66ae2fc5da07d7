"""The index ``postgresql``, on a real server."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import itertools
import json
import os
import random
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from harness import indexes, matrix
from harness.backends import PostgreSQL
from harness.hg import Repo
from harness.history import History
from harness.servers import Transport
from harness.snapshot import untouched
from hgext3rd.bundlestore import backends, errors, model
from hgext3rd.bundlestore.indexes.postgresql import (
    server as servermodule,
    session,
)
from hgext3rd.bundlestore.indexes.remote import pool, search, tables
from hgext3rd.bundlestore.testing import processes
from hgext3rd.bundlestore.testing.index import (
    keyof,
    moveto,
    newpush,
    nodeof,
)
from hgext3rd.bundlestore.testing.index.randomuse import (
    randomfilters,
    randompush,
    randomquery,
)
from hgext3rd.bundlestore.testing.reference import ReferenceIndex
from hgext3rd.bundlestore.viewmodel import View

pytestmark = [
    pytest.mark.slow('a database of others'),
    pytest.mark.filterwarnings(processes.IGNOREFORKS),
]


class TestPostgresqlIndex(indexes.OnServer):
    @pytest.fixture(autouse=True)
    def _started(self, postgresql: PostgreSQL) -> None:
        self._server = postgresql


# -- fixtures and helpers


@pytest.fixture
def url(postgresql: PostgreSQL) -> Iterator[str]:
    with indexes.empty(postgresql) as url:
        yield url


@pytest.fixture
def index(url: str) -> Iterator[Any]:
    made = openindex(url)
    yield made
    made.close()


@pytest.fixture
def admin(postgresql: PostgreSQL) -> Iterator[Any]:
    """A session of an administrator of the database."""
    made = postgresql.connect(admin=True)
    yield made
    made.close()


def openindex(url: str) -> Any:
    return backends.openindex(url, model.Place(b'/nonexistent'))


def rows(connection: Any, statement: str, *values: object) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def schemaof(url: str) -> str:
    return url.rpartition('=')[2]


def backendpid(index: Any) -> int:
    """Return what the session that an index uses is called by the server."""
    return int(index._remote.read(lambda sql: sql.one(_PID), None)[0])


_PID = 'SELECT pg_backend_pid()'


def test_a_session_that_was_given_another_schema(
    postgresql: PostgreSQL, index: Any
) -> None:
    """As by PgBouncer in transaction mode: nothing must get into the index of
    another repository."""
    index.record(newpush([1]))
    with indexes.empty(postgresql) as url:
        other = openindex(url)
        server = index._remote._server
        with pool.of(server).lease(server) as leased:
            leased.fetch([(f'SET search_path TO "{schemaof(url)}"', ())])
        for ask in (
            index.lastid,
            index.statistics,
            lambda: index.record(newpush([2])),
        ):
            with pytest.raises(errors.BackendUnavailable) as caught:
                ask()
            assert 'not in the schema' in str(caught.value)
            assert 'pool_mode = session' in str(caught.value.hint)
        assert other.lastid() == 0
        other.close()
    index.close()
    assert index.lastid() == 1


# -- URLs


@pytest.mark.parametrize(
    'url',
    [
        'postgresql://alice:secret@host/db',
        'postgresql://alice:@host/db',
        'postgresql://alice@host/db?password=secret',
        'postgresql://alice@host/db?schema=x&sslpassword=secret',
        'postgresql://:secret@/db',
    ],
)
def test_password_in_the_url(url: str) -> None:
    with pytest.raises(errors.UnknownScheme, match='password in it') as caught:
        openindex(url)
    assert 'secret' not in f'{caught.value}{caught.value.hint}'
    assert 'PGPASSFILE' in str(caught.value.hint)


@pytest.mark.parametrize(
    'url',
    ['postgresql:', 'postgresql:/x', 'postgresql://host/db#x', 'postgresql:x'],
)
def test_url_of_another_form(url: str) -> None:
    with pytest.raises(errors.UnknownScheme, match='names no server'):
        openindex(url)


def test_url_by_a_socket(postgresql: PostgreSQL, index: Any, url: str) -> None:
    """And with names that mean something to SQL and to URLs."""
    recorded = index.record(newpush('one'))
    place = f'postgresql://alice@:{postgresql.port}/bundles'
    socket = quote(str(postgresql.folder), safe='')
    other = openindex(f'{place}?host={socket}&schema={schemaof(url)}')
    assert other.pushes() == [recorded]
    name = 'a"b%c; DROP SCHEMA public'
    odd = openindex(f'{place}?schema={quote(name)}&host={socket}')
    assert odd.schema(create=True) is True
    assert odd.record(newpush('two')).id == 1
    assert (
        openindex(f'{place}?schema={quote(name)}&host={socket}').lastid() == 1
    )
    assert other.lastid() == 1
    odd.close()
    other.close()


# -- tables


def test_no_tables(postgresql: PostgreSQL, admin: Any) -> None:
    """What is missing is told, whoever asks, and what makes it."""
    url = postgresql.fresh()
    index = openindex(url)
    assert index.schema() is True
    for what in (f'schema {schemaof(url)}', 'tables in the schema'):
        for call in (
            index.lastid,
            index.pushes,
            lambda: index.record(newpush('one'), lambda: pytest.fail('called')),
        ):
            with pytest.raises(errors.BackendUnavailable, match=what) as caught:
                call()
            assert 'bundlestore-migrate --schema' in str(caught.value.hint)
        rows(
            admin,
            f'CREATE SCHEMA IF NOT EXISTS {schemaof(url)} AUTHORIZATION alice',
        )
    assert index.schema() is True
    assert index.schema(create=True) is True
    recorded = index.record(newpush('one'))
    for create in (True, False):
        assert index.schema(create=create) is False
    assert index.pushes() == [recorded]


def test_many_make_the_tables(postgresql: PostgreSQL) -> None:
    url = postgresql.fresh()
    with processes.threads(6, lambda _n: openindex(url).schema(create=True)):
        pass
    index = openindex(url)
    assert [index.record(newpush(n)).id for n in range(2)] == [1, 2]


def test_tables_of_another_release(index: Any, url: str, admin: Any) -> None:
    index.record(newpush('one'))
    calls = (index.lastid, index.pushes, lambda: index.record(newpush('two')))
    rows(admin, f'UPDATE {schemaof(url)}.gate SET version = version + 7')
    for call in (*calls, index.schema):
        with pytest.raises(
            errors.UnsupportedFormat, match=f'format {tables.VERSION + 7}'
        ):
            call()
    rows(admin, f'UPDATE {schemaof(url)}.gate SET version = 0')
    for call in calls:
        with pytest.raises(errors.BackendUnavailable) as caught:
            call()
        assert 'bundlestore-migrate --schema' in str(caught.value.hint)
    rows(admin, f'UPDATE {schemaof(url)}.gate SET version = {tables.VERSION}')
    assert index.lastid() == 1


def test_tables_of_version_1(index: Any, url: str, admin: Any) -> None:
    recorded = index.record(newpush('one'))
    schema = schemaof(url)
    dropped = ', '.join(
        f'{schema}.{name}'
        for name in ('pushvar', 'status', 'delivery', 'landing', 'label')
    )
    rows(admin, f'DROP TABLE {dropped}')
    rows(admin, f'UPDATE {schema}.gate SET version = 1')
    with pytest.raises(errors.BackendUnavailable, match='older') as caught:
        index.lastid()
    assert 'bundlestore-migrate --schema' in str(caught.value.hint)
    assert index.schema() is True
    assert index.schema(create=True) is True
    assert index.schema() is False
    status = model.Status('test', 'success')
    index.setstatus(1, status)
    assert index.pushes() == [recorded]
    assert index.statuses([1]) == {1: [status]}
    assert index.setdelivery(model.Delivery('ci', 1))
    assert index.record(newpush('two')).id == 2
    rows(admin, f'DROP TABLE {schema}.label')
    rows(admin, f'UPDATE {schema}.gate SET version = 2')
    assert index.schema(create=True) is True
    assert index.pushes(status='success') == [recorded]
    its = ('viewnow', 'viewstate', 'viewnode', 'viewlog')
    rows(admin, f'DROP TABLE {", ".join(f"{schema}.{name}" for name in its)}')
    rows(admin, f'UPDATE {schema}.gate SET version = 3')
    with pytest.raises(errors.BackendUnavailable, match='older'):
        index.views()
    assert index.schema(create=True) is True
    made = index.putview(View('alice', 'x'), 0)
    assert index.view('alice', 'x') == made
    assert index.pushes() == [recorded, index.push(2)]
    assert list(index.problems()) == []


def test_rights(postgresql: PostgreSQL, admin: Any, url: str) -> None:
    """Who may not is told what an administrator can run, and it helps."""
    rows(admin, "CREATE ROLE bob LOGIN PASSWORD 'secret-of-alice'")
    try:
        theirs = openindex(url.replace('alice@', 'bob@'))
        schema = schemaof(url)
        openindex(url).record(newpush('one'))
        with pytest.raises(errors.BackendUnavailable, match='denied') as caught:
            theirs.lastid()
        assert granted(admin, caught.value) == ['GRANT', 'GRANT']
        assert theirs.record(newpush('two')).id == 2
        rows(admin, f'REVOKE INSERT ON {schema}.push FROM bob')
        with pytest.raises(errors.BackendUnavailable, match='table push'):
            theirs.record(newpush('three'))
        assert theirs.lastid() == 2
        new = openindex(postgresql.fresh().replace('alice@', 'bob@'))
        with pytest.raises(errors.BackendUnavailable, match='denied') as caught:
            new.schema(create=True)
        assert granted(admin, caught.value) == ['CREATE']
        assert new.schema(create=True) is True
        assert new.record(newpush('one')).id == 1
        new.close()
        theirs.close()
    finally:
        rows(admin, 'DROP OWNED BY bob CASCADE')
        rows(admin, 'DROP ROLE bob')


def granted(admin: Any, exc: errors.BackendUnavailable) -> list[str]:
    """Run what a hint says; return the first word of each statement."""
    _text, _colon, statements = str(exc.hint).partition(': ')
    rows(admin, statements)
    return [one.split()[0] for one in statements.split('; ')]


def test_database_of_another_encoding(
    postgresql: PostgreSQL, admin: Any
) -> None:
    rows(
        admin,
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
        ' OWNER alice',
    )
    index = openindex(postgresql.fresh().replace('/bundles?', '/latin?'))
    with pytest.raises(errors.BackendUnavailable, match='LATIN1') as caught:
        index.schema(create=True)
    assert 'createdb' in str(caught.value.hint)
    index.close()
    rows(admin, 'DROP DATABASE latin')


# -- who cannot be reached


@pytest.mark.parametrize(
    ('old', 'new', 'match', 'hint'),
    [
        ('alice@', 'bob@', 'authentication failed', 'pgpass'),
        ('/bundles?', '/absent?', 'database "absent"', 'createdb'),
        ('alice@127.0.0.1', 'alice@absent.invalid', 'reached', 'host and port'),
        ('/bundles?', '/bundles?nonsense=1&', 'nonsense', 'bundlestore.index'),
    ],
)
def test_address_is_wrong(
    url: str, old: str, new: str, match: str, hint: str
) -> None:
    index = openindex(url.replace(old, new))
    for call in (index.lastid, lambda: index.record(newpush('one'))):
        with pytest.raises(errors.BackendUnavailable, match=match) as caught:
            call()
        assert hint in str(caught.value.hint)
        assert 'secret' not in f'{caught.value}{caught.value.hint}'
        assert '\n' not in str(caught.value)


def test_wrong_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ('wrong-secret', None):
        if value is None:
            monkeypatch.delenv('PGPASSWORD')
            monkeypatch.setenv('PGPASSFILE', '/nonexistent')
        else:
            monkeypatch.setenv('PGPASSWORD', value)
        # not one of the sessions that are open
        index = openindex(f'{url}&application_name=other')
        with pytest.raises(errors.BackendUnavailable) as caught:
            index.lastid()
        assert 'pgpass' in str(caught.value.hint)
        assert 'secret' not in f'{caught.value}{caught.value.hint}'


def test_nobody_listens(postgresql: PostgreSQL) -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
    index = openindex(postgresql.fresh(port))
    with pytest.raises(errors.BackendUnavailable, match='refused') as caught:
        index.lastid()
    assert 'host and port' in str(caught.value.hint)


def test_silent_host(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes connections and says nothing."""
    monkeypatch.setattr(servermodule, 'CONNECT', 0.3)
    with socket.create_server(('127.0.0.1', 0)) as listener:
        index = openindex(postgresql.fresh(listener.getsockname()[1]))
        with pytest.raises(errors.BackendUnavailable, match='timeout'):
            index.lastid()


def test_driver_is_not_there(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.partition('.')[0] == 'psycopg2']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'psycopg2', None)
    # not one of the sessions that are open
    index = openindex(f'{url}&application_name=other')
    with pytest.raises(errors.BackendUnavailable, match='psycopg2') as caught:
        index.lastid()
    assert "'hg-bundlestore[postgresql]'" in str(caught.value.hint)


def test_standby(index: Any, url: str) -> None:
    """Who may only read, does."""
    recorded = index.record(newpush('one'))
    option = quote('-c default_transaction_read_only=on')
    reader = openindex(f'{url}&options={option}')
    assert reader.pushes() == [recorded]
    assert reader.lastid() == 1
    with pytest.raises(errors.BackendUnavailable, match='read-only') as caught:
        reader.record(newpush('two'))
    assert 'primary' in str(caught.value.hint)
    # it is not asked again: there may be another primary by now
    assert reader._remote._pool._idle == []


# -- a server that goes and comes back


def test_restart(privateserver: Any) -> None:
    """Nobody notices: what was open is opened again."""
    server = privateserver(PostgreSQL)
    index = openindex(server.fresh())
    index.schema(create=True)
    index.record(newpush('one'))
    # a second session
    index.record(newpush('two'), lambda: index.lastid())
    server.restart()
    assert index.lastid() == 2
    server.restart()
    calls: list[int] = []
    assert index.record(newpush('three'), lambda: calls.append(1)).id == 3
    assert calls == [1]

    def publish() -> None:
        calls.append(2)
        server.restart()

    with pytest.raises(errors.BackendUnavailable, match='lost'):
        index.record(newpush('four'), publish)
    # it was published, so there was no other attempt
    assert calls == [1, 2]
    assert index.lastid() == 3
    assert index.record(newpush('four')).id == 4
    server.stop()
    for call in (index.lastid, lambda: index.record(newpush('five'))):
        with pytest.raises(errors.BackendUnavailable, match='refused'):
            call()
    server.start()
    assert index.lastid() == 4
    index.close()


def test_frozen(privateserver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever for a server that stands still."""
    server = privateserver(PostgreSQL)
    monkeypatch.setattr(servermodule, 'CONNECT', 0.5)
    monkeypatch.setattr(servermodule, 'SILENT', 0.5)
    index = openindex(server.fresh())
    index.schema(create=True)
    index.record(newpush('one'))
    server.freeze()
    # in a session that is open, and in one that is not
    for match in ('did not answer within', 'timeout expired'):
        with pytest.raises(errors.BackendUnavailable, match=match):
            index.lastid()
    server.thaw()
    assert index.lastid() == 1
    published: list[int] = []

    def publish() -> None:
        published.append(1)
        server.freeze()

    with pytest.raises(errors.BackendUnavailable, match='did not answer'):
        index.record(newpush('two'), publish)
    server.thaw()
    assert published == [1]
    assert index.lastid() == 1
    monkeypatch.undo()
    assert index.record(newpush('two')).id == 2
    assert list(index.problems()) == []
    index.close()


def test_one_of_two_hosts(
    postgresql: PostgreSQL, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servermodule, 'CONNECT', 0.3)
    with socket.create_server(('127.0.0.1', 0)) as listener:
        silent = f'127.0.0.1:{listener.getsockname()[1]}'
        place = f'127.0.0.1:{postgresql.port}'
        index = openindex(url.replace(place, f'{silent},{place}'))
        assert index.lastid() == 0
    index.close()


@pytest.mark.parametrize('when', ['before', 'behind'])
@pytest.mark.parametrize('action', ['record', 'move', 'view'])
def test_lost_while_it_commits(
    index: Any, monkeypatch: pytest.MonkeyPatch, when: str, action: str
) -> None:
    """It is found out whether it was recorded."""
    index.record(newpush('one'))
    fetch = session.Session.fetch
    calls: list[str] = []

    def breaking(self: Any, script: Any) -> Any:
        if script[-1][0] != 'COMMIT' or calls:
            return fetch(self, script)
        calls.append('lost')
        if when == 'behind':
            fetch(self, script)
        self._connection.close()
        raise session.driver().OperationalError('cut off')

    monkeypatch.setattr(session.Session, 'fetch', breaking)
    if action == 'move':
        with pytest.raises(errors.BackendUnavailable, match='nobody knows'):
            index.movebookmarks([moveto('x', nodeof('x'))])
        assert (index.bookmark('x') is None) == (when == 'before')
        return
    if action == 'view':
        view = View('alice', 'x')
        if when == 'before':
            with pytest.raises(errors.BackendUnavailable, match='nobody knows'):
                index.putview(view, 0)
            assert index.views() == []
        else:
            assert index.putview(view, 0) == index.view('alice', 'x')
        assert calls == ['lost']
        return
    published: list[int] = []
    if when == 'behind':
        recorded = index.record(newpush('two'), lambda: published.append(1))
        assert index.pushes()[1:] == [recorded]
    else:
        with pytest.raises(errors.BackendUnavailable, match='lost'):
            index.record(newpush('two'), lambda: published.append(1))
        assert index.lastid() == 1
    assert published == [1]
    assert calls == ['lost']
    assert index.record(newpush('three')).id == index.lastid()


# -- who waits for whom


def apart(count: int) -> list[str]:
    """Return names of bundles that are locked apart from each other."""
    found: dict[int, str] = {}
    for number in itertools.count():
        stripe = zlib.crc32(keyof(number).encode()) % tables.STRIPES
        found.setdefault(stripe, str(number))
        if len(found) == count:
            return [*found.values()]
    raise AssertionError


@contextlib.contextmanager
def publishing(index: Any, push: model.NewPush) -> Iterator[None]:
    """A push is recorded, and is about to be published while this is open."""
    published = threading.Event()
    goon = threading.Event()

    def publish() -> None:
        published.set()
        assert goon.wait(processes.PATIENCE)

    with processes.threads(1, lambda _n: index.record(push, publish)):
        assert published.wait(processes.PATIENCE)
        try:
            yield
        finally:
            goon.set()


def test_slow_publish_keeps_nobody_waiting(
    index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for who has to do with that bundle, and who wants all."""
    first, base, slow, other, gone, moving = apart(6)
    index.record(newpush(first, user='bob', moves=[moveto('x', b'x' * 20)]))
    index.record(newpush(base))
    index.record(newpush(gone))
    push = newpush(slow, moves=[moveto('y', b'x' * 20)])
    push = push._replace(rests=(keyof(base),))
    monkeypatch.setattr(servermodule, 'LOCK', 0.3)
    index.close()
    calls: list[Callable[[], object]] = [
        lambda: index.record(newpush(slow)),
        lambda: index.discard(keyof(slow), lambda: pytest.fail('deleted')),
        lambda: index.remove(2),
        lambda: index.movebookmarks([moveto('y', b'y' * 20)]),
        lambda: index.record(newpush(moving, moves=push.moves)),
        lambda: index.reserve(9),
    ]
    with publishing(index, push):
        assert index.record(newpush(other, user='bob')).id == 4
        index.pin(1)
        assert index.remove(3) == [keyof(gone)]
        assert index.discard(keyof(gone), list) is True
        assert index.movebookmarks([moveto('z', b'x' * 20)]).id == 5
        assert index.lastid() == 5
        for call in calls:
            with pytest.raises(errors.BackendUnavailable, match='too long'):
                call()
    assert index.lastid() == 6
    assert [push.id for push in index.pushes()] == [1, 2, 4, 6]
    assert list(index.problems()) == []
    # with settings as they were
    index.close()


def test_publish_that_takes_too_long(
    index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends what stands still; nothing is recorded."""
    monkeypatch.setattr(servermodule, 'IDLE', 0.2)
    index.close()
    with pytest.raises(errors.BackendUnavailable, match='lost'):
        index.record(newpush('one'), lambda: time.sleep(0.6))
    assert index.lastid() == 0
    monkeypatch.undo()
    index.close()


def test_statement_that_takes_too_long(
    index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servermodule, 'STATEMENT', 0.2)
    index.close()
    sleep = 'SELECT pg_sleep(0.5)'
    with pytest.raises(errors.BackendUnavailable, match='took too long'):
        index._remote.read(lambda sql: sql.one(sleep), None)
    # what administrators ask for, and repairs, may take long
    index._remote.read(lambda sql: sql.one(sleep), None, patient=True)
    index._remote.write(lambda sql: sql.one(sleep))
    monkeypatch.undo()
    index.close()


# -- forks


def test_child_leaves_sessions_alone(index: Any) -> None:
    """It uses none of its parent's, and ends none of them."""
    before = backendpid(index)

    def child() -> None:
        null = os.stat(os.devnull)
        # a test with another database may have run before in this process
        theirs = [
            its for its in pool._untouchable if isinstance(its, session.Session)
        ]
        files = [its._connection.fileno() for its in theirs]
        assert files
        assert all(os.path.samestat(os.fstat(f), null) for f in files)
        assert backendpid(index) != before
        index.close()
        pool._untouchable.clear()
        gc.collect()

    processes.run('fork', child, [()])
    assert backendpid(index) == before

    def behind() -> None:
        assert index.lastid() == 0
        assert pool._untouchable

    # whoever forked
    pid = ctypes.PyDLL(None).fork()
    if pid == 0:
        code = 1
        try:
            behind()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert backendpid(index) == before


def test_sessions_are_shared(index: Any, url: str) -> None:
    """By all objects for an index, and by threads, one at a time."""
    before = backendpid(index)
    for _time in range(3):
        assert backendpid(openindex(url)) == before
    barrier = threading.Barrier(12)

    def look(sql: Any) -> None:
        sql.one('SELECT 1')
        barrier.wait(processes.PATIENCE)

    with processes.threads(12, lambda _n: index._remote.read(look, None)):
        pass
    assert 0 < len(index._remote._pool._idle) <= pool._MOST_IDLE
    index.close()
    assert index._remote._pool._idle == []


# -- what is asked of the server


def test_round_trips(index: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network makes each of them dear."""
    trips: list[str] = []
    fetch, rollback = session.Session.fetch, session.Session.rollback

    def counted(self: Any, script: Any) -> Any:
        trips.append(script[-1][0])
        return fetch(self, script)

    def ended(self: Any) -> None:
        if self._connection.info.transaction_status != self._idle:
            trips.append('ROLLBACK')
        rollback(self)

    index.lastid()
    monkeypatch.setattr(session.Session, 'fetch', counted)
    monkeypatch.setattr(session.Session, 'rollback', ended)

    def count(call: Callable[[], object]) -> int:
        trips.clear()
        call()
        return len(trips)

    move = moveto('x', nodeof('x'))
    push = newpush('one', count=2000)
    top = newpush('two', moves=[move])._replace(rests=(push.key,))
    assert count(lambda: index.record(push, list)) == 3
    assert (
        count(
            lambda: index.record(
                newpush('m', moves=[move._replace(force=True)]), list
            )
        )
        == 4
    )
    index.remove(2)
    assert count(lambda: index.record(top, list, quota=1 << 40)) == 7
    for _number in range(60):
        index.record(newpush('many', user='bob'))
    assert count(lambda: index.locate(push.nodes)) == 1
    assert count(lambda: index.locate([*top.nodes, b'x' * 20])) == 4
    assert count(lambda: index.nodes('ab')) == 1
    assert count(lambda: index.push(1)) == 3
    filters: list[dict[str, Any]] = [{}, {'user': 'bob'}, {'since': 1.0}]
    filters.append({'status': 'none'})
    for some in filters:
        page = functools.partial(index.pushes, limit=50, **some)
        assert count(page) == 3
    for two in ({'text': 'title'}, {'user': 'bob', 'status': 'none'}):
        page = functools.partial(index.pushes, limit=50, **two)
        assert count(page) == 4
    for call in (
        index.lastid,
        index.users,
        lambda: index.bookmark('x'),
        lambda: index.bookmarks('x*'),
        lambda: index.usage('bob'),
        lambda: index.times('bob', 1.0, 10),
        lambda: index.moved(['x', 'y']),
    ):
        assert count(call) == 1
    assert count(lambda: index.putview(View('alice', 'x'), 0)) == 4
    new = index.view('alice', 'x')._replace(heads=(nodeof('x'),), state='y')
    assert count(lambda: index.putview(new, 1)) == 4
    assert count(lambda: index.view('alice', 'x')) == 3
    for call in (
        lambda: index.viewed(push.nodes),
        lambda: index.views('alice', 'x', ('alice', '')),
    ):
        assert count(call) == 1


def test_plans(index: Any) -> None:
    """Whatever PostgreSQL believes of tables that it knows little of, no table
    is gone through, but by who takes the time."""
    names = ('jit', 'enable_seqscan', 'enable_hashjoin', 'statement_timeout')

    def settings(sql: Any) -> list[str]:
        return [sql.one(f'SHOW {name}')[0] for name in names]

    assert index._remote.read(settings, []) == ['off', 'off', 'off', '1min']
    patient = index._remote.read(settings, [], patient=True)
    assert patient == ['off', 'on', 'on', '0']
    assert index._remote.read(settings, []) == ['off', 'off', 'off', '1min']


def test_common_and_rare_words(
    index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are found in different ways, which find the same."""
    chance = random.Random(3)
    reference = ReferenceIndex()
    for _number in range(40):
        push = randompush(chance, reference)._replace(moves=())
        for some in (index, reference):
            some.record(push)
    found = 0
    for _number in range(150):
        filters = {**randomfilters(chance), 'text': randomquery(chance)}
        expected = reference.pushes(**filters)
        found += bool(expected)
        for few in (0, 3, 1000):
            monkeypatch.setattr(search, '_FEW', few)
            assert index.pushes(**filters) == expected, (few, filters)
    assert found > 20


# -- servers


MIGRATE = 'admin::bundlestore-migrate'


@pytest.mark.parametrize(
    'transport_name',
    [
        'ssh',
        pytest.param('wsgi', marks=pytest.mark.nightly('the suite forks, too')),
    ],
)
def test_hg(
    postgresql: PostgreSQL,
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    hashes: History,
) -> None:
    """A server says what it lacks, gets it, and works."""
    url = postgresql.fresh()
    base.configure('bundlestore', {'index': url})
    node = client.commit({'file': 'x'}, 'message', parent=hashes.tagged)
    push = ('push', '--bundle-store', '-r', node)
    with untouched(base.path):
        refused = client.run(*push, ok=(255,))
        assert 'bundle index has no schema' in refused.err
        assert "'hg admin::bundlestore-migrate --schema'" in refused.err
        # what the base can answer alone
        vanilla.run('pull')
    made = base.run(MIGRATE, '--schema', '-Tjson')
    assert json.loads(made.out) == [{'kind': 'schema', 'made': True}]
    stored = client.run(*push, '-B', 'scratch/x')
    assert 'push 1' in stored.out + stored.err
    vanilla.run('pull', '-r', node)
    assert vanilla.phase(node) == 'draft'
    base.run('admin::bundlestore-verify')
    stats = base.run('admin::bundlestore-stats', '-Tjson')
    (found,) = json.loads(stats.out)
    assert (found['pushes'], found['bookmarks']) == (1, 1)
    assert 'secret' not in stats.out + (base.path / '.hg/hgrc').read_text()


@matrix.over('path')
def test_what_migrate_schema_refuses(
    postgresql: PostgreSQL, base: Repo
) -> None:
    told = base.run(MIGRATE, '--schema', '--store', 'file:/x', ok=(255,))
    assert '--schema goes with --index alone' in told.err
    told = base.run(MIGRATE, '--schema', ok=(255,))
    assert 'makes its tables by itself' in told.err
    url = postgresql.fresh()
    told = base.run(MIGRATE, '--index', url, ok=(255,))
    assert 'migrate --schema' in told.err
    base.run(MIGRATE, '--schema', '--index', url)
    told = base.run(MIGRATE, '--schema', '--index', url)
    assert told.out == 'the tables of the bundle index are up to date\n'
    password = url.replace('alice@', 'alice:secret@')
    told = base.run(MIGRATE, '--schema', '--index', password, ok=(255,))
    assert 'has a password in it' in told.err
    assert 'secret' not in told.err
