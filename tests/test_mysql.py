"""The index ``mysql``, on a real MariaDB."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymysql
import pytest

from harness import indexes
from harness.backends import MariaDB
from harness.backends.session import Getter
from harness.hg import Repo
from harness.servers import patiently
from harness.snapshot import untouched
from hgext3rd.bundlestore import backends, errors, model
from hgext3rd.bundlestore.indexes.mysql.server import Server
from hgext3rd.bundlestore.indexes.remote import tables
from hgext3rd.bundlestore.testing import processes
from hgext3rd.bundlestore.testing.index import newpush
from hgext3rd.bundlestore.testing.index.data import moveto, nodeof
from hgext3rd.bundlestore.viewmodel import View

pytestmark = [
    pytest.mark.slow('a database of others'),
    pytest.mark.filterwarnings(processes.IGNOREFORKS),
]


@pytest.mark.slow('the suite once more, by way of a network')
class TestMysqlIndex(indexes.OnServer):
    @pytest.fixture(autouse=True)
    def _started(self, mariadb: MariaDB) -> None:
        self._server = mariadb

    @pytest.mark.parametrize(
        'seed',
        [
            0,
            *(
                pytest.param(seed, marks=pytest.mark.nightly('as the first'))
                for seed in (1, 2, 3)
            ),
        ],
    )
    def test_against_the_reference(
        self, index: Any, reference: Any, seed: int
    ) -> None:
        super().test_against_the_reference(index, reference, seed)


# -- fixtures and helpers


@pytest.fixture
def url(mariadb: MariaDB) -> Iterator[str]:
    with indexes.empty(mariadb) as url:
        yield url


@pytest.fixture
def index(url: str) -> Iterator[Any]:
    made = openindex(url)
    yield made
    made.close()


@pytest.fixture
def admin(mariadb: MariaDB, url: str) -> Iterator[Any]:
    """A session of an administrator, in the database of the index."""
    made = mariadb.connect(database=databaseof(url))
    yield made
    made.close()


def openindex(url: str) -> Any:
    return backends.openindex(url, model.Place(b'/nonexistent'))


def rows(connection: Any, statement: str, *values: object) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def databaseof(url: str) -> str:
    return url.rpartition('/')[2].partition('?')[0]


def unavailable(url: str, message: str, hint: str) -> None:
    """See the one sentence that is said, without any password in it."""
    index = openindex(url)
    with pytest.raises(errors.BackendUnavailable, match=message) as caught:
        index.lastid()
    assert hint in str(caught.value.hint)
    text = f'{caught.value}{caught.value.hint}'
    assert 'secret' not in text
    assert '\n' not in text


# -- URLs


@pytest.mark.parametrize(
    'url',
    [
        'mysql://alice:secret@host/db',
        'mysql://alice:@host/db',
        'mysql://alice@host/db?password=secret',
        'mysql://:secret@/db',
    ],
)
def test_password_in_the_url(url: str) -> None:
    with pytest.raises(errors.UnknownScheme, match='password in it') as caught:
        openindex(url)
    assert 'secret' not in f'{caught.value}{caught.value.hint}'
    assert '~/.my.cnf' in str(caught.value.hint)


@pytest.mark.parametrize(
    ('url', 'problem'),
    [
        ('mysql:', 'names no server'),
        ('mysql:/x', 'names no server'),
        ('mysql://alice@host', 'names no database'),
        ('mysql://alice@host:x/db', 'names no database'),
        ('mysql://alice@host/db?schema=x', 'an unknown parameter: schema'),
        ('mysql://alice@host/db?ssl-mode=on', 'an unknown ssl-mode: on'),
    ],
)
def test_url_of_another_form(url: str, problem: str) -> None:
    with pytest.raises(errors.UnknownScheme, match=problem):
        openindex(url)


def test_url_by_a_socket(mariadb: MariaDB, index: Any, url: str) -> None:
    """And with a name that means something to SQL and to URLs."""
    recorded = index.record(newpush('one'))
    socket = f'socket={quote(str(mariadb.socket))}'
    other = openindex(f'mysql://alice@/{databaseof(url)}?{socket}')
    assert other.pushes() == [recorded]
    name = quote(f'a"b`c%; {mariadb.newname()}')
    odd = openindex(f'mysql://alice@/{name}?{socket}')
    assert odd.schema(create=True) is True
    assert odd.record(newpush('two')).id == 1
    assert openindex(f'mysql://alice@/{name}?{socket}').lastid() == 1
    assert other.lastid() == 1


# -- logging in


def test_passwords(
    mariadb: MariaDB,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # sessions are shared by what has the same URL
    url += '?ssl-mode=disabled'
    monkeypatch.setenv('MYSQL_PWD', 'secret-of-bob')
    unavailable(url, 'cannot be reached: Access denied', '~/.my.cnf')
    monkeypatch.delenv('MYSQL_PWD')
    monkeypatch.setenv('HOME', str(tmp_path))
    unavailable(url, 'cannot be reached: Access denied', '~/.my.cnf')

    (tmp_path / '.my.cnf').write_text(
        '!includedir /nonexistent\n[mysqld]\nskip-networking\n'
        f"[client]\npassword = '{mariadb.environ['MYSQL_PWD']}'\n"
    )
    assert openindex(url).lastid() == 0
    # what the URL says goes first
    (tmp_path / 'more').write_text(
        f'[try]\nuser=alice\nport={mariadb.port}\nhost=127.0.0.1\n'
        f'password={mariadb.environ["MYSQL_PWD"]}\n'
    )
    file = f'defaults-file={quote(str(tmp_path / "more"))}'
    short = f'mysql:///{databaseof(url)}?{file}&defaults-group=try'
    assert openindex(short).lastid() == 0
    unavailable(
        short.replace('///', '//127.0.0.1:1/'),
        'Connection refused',
        'host and port',
    )


@pytest.mark.parametrize(
    ('text', 'problem'),
    [
        ('password=secret\n', 'is no file of options'),
        ('[client]\npassword=\xe4secret\n', 'is no file of options'),
        (None, 'is not there'),
    ],
)
def test_no_file_of_options(
    tmp_path: Path, text: str | None, problem: str
) -> None:
    path = tmp_path / 'more'
    if text is not None:
        path.write_text(text, 'latin-1')
    url = f'mysql://alice@127.0.0.1/db?defaults-file={quote(str(path))}'
    unavailable(url, problem, 'must be able to read it')


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'pymysql', None)
    unavailable(
        'mysql://alice@127.0.0.1/db',
        'needs PyMySQL, which cannot be loaded',
        "pip install 'hg-bundlestore[mysql]'",
    )


def certificates(folder: Path) -> list[str]:
    """Make a certificate; return the server's words for it."""
    folder.mkdir()
    subprocess.run(
        [
            *('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes'),
            *('-subj', '/CN=db.example.org', '-days', '30'),
            *('-addext', 'subjectAltName=DNS:db.example.org'),
            *('-keyout', folder / 'key', '-out', folder / 'cert'),
        ],
        check=True,
        capture_output=True,
    )
    (folder / 'key').chmod(0o644)
    return [f'--ssl-cert={folder}/cert', f'--ssl-key={folder}/key']


def test_tls(mariadb: MariaDB, url: str, privateserver: Getter) -> None:
    unavailable(f'{url}?ssl-mode=required', 'SSL is required', 'ssl-mode')
    assert openindex(f'{url}?ssl-mode=preferred').lastid() == 0

    # who runs the server can read them there
    folder = mariadb.folder / 'tls'
    server = privateserver(MariaDB, *certificates(folder))
    url = server.fresh()
    ca = f'ssl-ca={folder}/cert'
    for some in (
        f'{url}?ssl-mode=REQUIRED',
        f'{url}?ssl-mode=preferred',
        f'{url}?ssl-mode=verify_ca&{ca}',
    ):
        index = openindex(some)
        index.schema(create=True)
        assert index.lastid() == 0
        with index._remote._pool.lease(index._remote._server) as session:
            (cipher,) = session.fetch([("SHOW STATUS LIKE 'Ssl_cipher'", ())])
        assert cipher[1]
    unavailable(f'{url}?{ca}', 'certificate', 'ssl-ca')
    unavailable(f'{url}?ssl-mode=verify_ca', 'certificate', 'ssl-ca')
    unavailable(
        f'{url}?ssl-ca=/nonexistent', 'cannot use these certificates', 'ssl-ca'
    )


# -- the tables


def test_no_tables(mariadb: MariaDB) -> None:
    url = f'mysql://alice@127.0.0.1:{mariadb.port}/{mariadb.newname()}'
    name = databaseof(url)
    make = 'admin::bundlestore-migrate --schema'
    unavailable(url, f'bundle index has no database {name}', make)
    index = openindex(url)
    assert index.schema() is True
    rows(mariadb.connect(), f'CREATE DATABASE {name}')
    # seen by who knew that it is not there
    unavailable(url, f'bundle index has no tables in the database {name}', make)
    with pytest.raises(errors.BackendUnavailable):
        index.record(newpush('one'))
    # in another session
    assert openindex(f'{url}?ssl-mode=disabled').schema(create=True) is True
    assert index.record(newpush('one')).id == 1


STATEMENTS = list(tables.statements(Server.types, inside=True))


@pytest.mark.parametrize('count', [1, 9, *range(-5, 0)])
def test_killed_while_tables_are_made(mariadb: MariaDB, count: int) -> None:
    """Each statement is a transaction of its own there."""
    url = mariadb.fresh()
    with mariadb.connect(database=databaseof(url)) as connection:
        for statement in STATEMENTS[:count]:
            rows(connection, statement)
    index = openindex(url)
    assert index.schema() is True
    with pytest.raises(errors.BackendUnavailable, match='has no tables'):
        index.record(newpush('one'))
    assert index.schema(create=True) is True
    assert index.record(newpush('one')).id == 1
    assert list(index.problems()) == []


def test_tables_are_made_by_several(mariadb: MariaDB) -> None:
    url = mariadb.fresh()
    ids: list[int] = []

    def work(name: int) -> None:
        index = openindex(url)
        # others may have been quicker
        index.schema(create=True)
        ids.append(index.record(newpush(name)).id)

    threads = [threading.Thread(target=work, args=[n]) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids) == [1, 2, 3, 4, 5, 6]


def test_other_versions(mariadb: MariaDB) -> None:
    url = mariadb.fresh()
    index = openindex(url)
    index.schema(create=True)
    with mariadb.connect(database=databaseof(url)) as connection:
        rows(connection, 'UPDATE gate SET version = 99')
        with pytest.raises(errors.UnsupportedFormat, match='format 99'):
            index.lastid()
        rows(connection, 'UPDATE gate SET version = 0')
        with pytest.raises(errors.BackendUnavailable, match='has no tables'):
            index.record(newpush('one'))


def test_tables_of_version_1(index: Any, admin: Any) -> None:
    recorded = index.record(newpush('one'))
    rows(admin, 'DROP TABLE pushvar, status, delivery, landing, label')
    rows(admin, 'UPDATE gate SET version = 1')
    with pytest.raises(errors.BackendUnavailable, match='older'):
        index.lastid()
    assert index.schema(create=True) is True
    assert index.schema() is False
    status = model.Status('test', 'success')
    index.setstatus(1, status)
    assert index.pushes() == [recorded]
    assert index.statuses([1]) == {1: [status]}
    assert index.setdelivery(model.Delivery('ci', 1))
    assert index.record(newpush('two')).id == 2
    rows(admin, 'DROP TABLE label')
    rows(admin, 'UPDATE gate SET version = 2')
    assert index.schema(create=True) is True
    assert index.pushes(status='success') == [recorded]
    rows(admin, 'DROP TABLE viewnow, viewstate, viewnode, viewlog')
    rows(admin, 'UPDATE gate SET version = 3')
    with pytest.raises(errors.BackendUnavailable, match='older'):
        index.views()
    assert index.schema(create=True) is True
    made = index.putview(View('alice', 'x'), 0)
    assert index.view('alice', 'x') == made
    assert index.pushes() == [recorded, index.push(2)]
    assert list(index.problems()) == []


def test_rights(mariadb: MariaDB, url: str, index: Any, admin: Any) -> None:
    """Who may only look is told so."""
    index.record(newpush('one'))
    name = databaseof(url)
    rows(admin, f"CREATE USER '{name}' IDENTIFIED BY %s", 'secret-of-alice')
    other = url.replace('alice@', f'{name}@')
    unavailable(other, 'Access denied', f'ON {name}.* TO')
    rows(admin, f"GRANT SELECT ON {name}.* TO '{name}'")
    reader = openindex(other)
    assert reader.lastid() == 1
    with pytest.raises(errors.BackendUnavailable, match='denied') as caught:
        reader.record(newpush('two'))
    assert 'GRANT SELECT, INSERT' in str(caught.value.hint)


# -- texts


def test_spaces_and_characters(index: Any) -> None:
    """A space at the end counts, and so does the number of a character."""
    names = ['x', 'x ', 'X', 'x\t', 'é', 'e\u0301', '\ue000', '\U0001f600']
    for name in names:
        index.record(newpush(name, user=name, moves=[moveto(name, b'n' * 20)]))
    assert [mark.name for mark in index.bookmarks()] == sorted(names)
    assert {usage.user for usage in index.users()} == set(names)
    for name in names:
        assert [push.user for push in index.pushes(user=name)] == [name]
        assert [mark.name for mark in index.bookmarks(name)] == [name]
    assert [mark.name for mark in index.bookmarks('?')] == sorted(
        name for name in names if len(name) == 1
    )
    index.record(newpush(1, moves=[moveto('y/\U0001f600', b'n' * 20)]))
    assert len(index.bookmarks('y/*')) == 1


def test_recursion(index: Any, admin: Any) -> None:
    """A bundle rests on more than servers follow by default."""
    key = index.record(newpush('one')).key
    others = range(2, 1502)
    for insert in (
        [f"INSERT INTO bundle VALUES ({n}, '{n}', 1, '')" for n in others],
        [f'INSERT INTO rest VALUES ({n - 1}, {n})' for n in others],
    ):
        first, *more = (words.partition(' VALUES ') for words in insert)
        values = ', '.join([first[2], *(one[2] for one in more)])
        rows(admin, f'{first[0]} VALUES {values}')
    assert len(index.bundles([key])[key].rests) == len(others)


# -- what it costs


def test_round_trips(index: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network multiplies them."""
    told: list[str] = []
    query = pymysql.connections.Connection.query

    def counting(self: Any, sql: str, *args: Any) -> Any:
        told.append(sql)
        return query(self, sql, *args)

    monkeypatch.setattr(pymysql.connections.Connection, 'query', counting)

    def count(call: Callable[[], object]) -> int:
        told.clear()
        call()
        return len(told)

    index.lastid()
    first = newpush('one')
    resting = newpush('two')._replace(rests=(first.key,))
    moving = newpush('three', moves=[moveto('x', b'n' * 20)])
    assert {
        'push': count(lambda: index.record(first)),
        'again': count(lambda: index.record(first)),
        'one that rests on it': count(lambda: index.record(resting)),
        'with a bookmark': count(lambda: index.record(moving, quota=9999)),
        'many': count(lambda: index.record(newpush('four', count=3000))),
        'remove': count(lambda: index.remove(1)),
        'lastid': count(index.lastid),
        'locate': count(lambda: index.locate(first.nodes)),
        'locate what rests': count(lambda: index.locate(resting.nodes)),
        'prefix': count(lambda: index.nodes('ab')),
        'bookmark': count(lambda: index.bookmark('x')),
        'page': count(lambda: index.pushes(limit=50, newestfirst=True)),
        'search': count(lambda: index.pushes(text='a title', limit=50)),
    } == {
        'push': 3,
        'again': 7,
        'one that rests on it': 5,
        'with a bookmark': 5,
        'many': 3,
        'remove': 10,
        'lastid': 1,
        'locate': 1,
        'locate what rests': 4,
        'prefix': 1,
        'bookmark': 1,
        'page': 3,
        'search': 4,
    }


def test_rows_that_are_read(index: Any, admin: Any) -> None:
    """Those of a page, and not all that there are."""
    index.record(newpush('one', text='a title'))
    for insert in (
        "push SELECT seq, seq, 'alice', 1, 0",
        "word SELECT '', seq",
        "word SELECT 'title', seq",
        'node SELECT unhex(sha1(seq)), 0, seq',
    ):
        rows(admin, f'INSERT INTO {insert} FROM seq_2_to_5000')

    def count(call: Callable[[], list[Any]], most: int) -> None:
        before = read()
        assert len(call()) == 10
        assert read() - before < most

    def read() -> int:
        with index._remote._pool.lease(index._remote._server) as session:
            found = session.fetch([("SHOW STATUS LIKE 'Handler_read%'", ())])
        return sum(int(value) for _name, value in found)

    count(lambda: index.nodes('a'), 50)
    count(lambda: index.pushes(limit=10, newestfirst=True), 150)
    count(lambda: index.pushes(user='alice', limit=10), 150)
    count(lambda: index.pushes(since=4000, limit=10), 150)
    # a thousand of the five are counted first
    count(lambda: index.pushes(text='title', limit=10), 2200)


# -- what goes wrong


@pytest.mark.parametrize(
    ('damage', 'problem'),
    [
        ('DELETE FROM push', "what user 'alice' holds"),
        ('DELETE FROM node', 'changesets of push 1 are not found'),
        ('DELETE FROM word', 'push 1 is not found by its words'),
        ('UPDATE bundle SET nodes = 1', 'are cut off'),
        ('UPDATE counter SET given = 0', 'the id 1 would be given again'),
    ],
)
def test_problems(index: Any, admin: Any, damage: str, problem: str) -> None:
    index.record(newpush('one'))
    rows(admin, damage)
    assert any(problem in found for found in index.problems())


def kill(admin: Any, url: str) -> None:
    """End the sessions that work with an index."""
    ids = rows(
        admin,
        'SELECT id FROM information_schema.processlist'
        ' WHERE db = %s AND id <> connection_id()',
        databaseof(url),
    )
    assert ids
    for (id,) in ids:
        # one may be about to end
        with contextlib.suppress(pymysql.Error):
            rows(admin, f'KILL {id}')


def test_session_ended(index: Any, url: str, admin: Any) -> None:
    """As after wait_timeout, or where the server was started anew."""
    for call in (
        index.lastid,
        index.pushes,
        lambda: index.record(newpush('one')),
        lambda: index.movebookmarks(
            [model.BookmarkMove('x', b'n' * 20, force=True)]
        ),
    ):
        call()
        kill(admin, url)
        call()
    assert index.lastid() == 4


def test_session_ended_while_it_is_published(
    index: Any, url: str, admin: Any
) -> None:
    """Nothing is tried again that called something foreign."""
    calls = []

    def publish() -> None:
        calls.append(1)
        kill(admin, url)

    with pytest.raises(errors.BackendUnavailable, match='was lost'):
        index.record(newpush('one'), publish=publish)
    assert calls == [1]
    assert index.lastid() == 0
    assert index.record(newpush('one')).id == 1


def test_interrupted(index: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is still to be read of an answer is not taken for another one."""
    recorded = index.record(newpush('one'))

    def interrupted(_cursor: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pymysql.cursors.Cursor, 'nextset', interrupted)
        with pytest.raises(KeyboardInterrupt):
            index.pushes()
        assert not index._remote._pool._idle
    assert index.pushes() == [recorded]


def test_deadlock(mariadb: MariaDB, index: Any, url: str) -> None:
    """A push that was in the way of another one is recorded nevertheless."""
    index.record(newpush('one'))
    calls: list[int] = []
    with mariadb.connect(database=databaseof(url), autocommit=False) as other:
        # with more to lose than the one that is to be chosen
        rows(other, 'INSERT INTO pin SELECT id + 1000 FROM stripe')
        rows(other, 'SELECT * FROM stripe FOR UPDATE')
        thread = threading.Thread(
            target=index.record,
            args=[newpush('two')],
            kwargs={'publish': lambda: calls.append(1)},
        )
        thread.start()
        waiting = 'SELECT count(*) FROM information_schema.innodb_lock_waits'
        with mariadb.connect() as third:
            for _ in patiently():
                if rows(third, waiting)[0][0]:
                    break
        # whom it waits for waits for it
        rows(other, 'UPDATE gate SET version = version')
        other.rollback()
    thread.join()
    assert calls == [1]
    assert index.lastid() == 2


def test_locked(
    index: Any, mariadb: MariaDB, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.lastid()
    with index._remote._pool.lease(index._remote._server) as session:
        session.fetch([('SET SESSION innodb_lock_wait_timeout = 1', ())])
    with mariadb.connect(database=databaseof(url), autocommit=False) as other:
        rows(other, 'SELECT * FROM gate FOR UPDATE')
        assert index.lastid() == 0
        with pytest.raises(errors.BackendUnavailable, match='for too long'):
            index.record(newpush('one'))
        other.rollback()
    assert index.record(newpush('one')).id == 1


def test_stopped_and_frozen(privateserver: Getter) -> None:
    server = privateserver(MariaDB, '--max-allowed-packet=1M')
    url = server.fresh()
    index = openindex(url)
    index.schema(create=True)
    # ten thousand changesets are more than one message has room for
    many = [nodeof(n) for n in range(10_000)]
    recorded = index.record(newpush('one', nodes=many))
    assert index.push(recorded.id).nodes == recorded.nodes
    assert len(index.locate(many)) == len(many)

    server.stop()
    refused = 'cannot be reached: .*Connection refused'
    for call in (index.lastid, lambda: index.record(newpush('two'))):
        with pytest.raises(errors.BackendUnavailable, match=refused):
            call()
    server.start()
    assert index.record(newpush('two')).id == 2

    server.freeze()
    with pytest.raises(errors.BackendUnavailable, match='cannot be reached'):
        openindex(f'{url}?ssl-mode=preferred').lastid()
    server.thaw()

    with server.connect() as connection:
        rows(connection, 'SET GLOBAL read_only = 1')
        rows(connection, "CREATE USER bob IDENTIFIED BY 'secret-of-alice'")
        rows(connection, 'GRANT ALL ON *.* TO bob')
        rows(connection, 'REVOKE READ ONLY ADMIN ON *.* FROM bob')
    replica = openindex(url.replace('alice@', 'bob@'))
    assert replica.lastid() == 2
    with pytest.raises(errors.BackendUnavailable, match='is read-only'):
        replica.record(newpush('three'))


# -- with a server


@pytest.fixture
def storeconfig(request: pytest.FixtureRequest) -> dict[str, str]:
    if 'url' not in request.fixturenames:
        return {}
    return {'index': request.getfixturevalue('url')}


@pytest.mark.parametrize('transport_name', ['ssh'])
def test_push_and_pull(
    url: str, base: Repo, client: Repo, vanilla: Repo
) -> None:
    node = client.commit({'file': 'text\n'}, 'a change')
    with untouched(base.path / '.hg' / 'store'):
        client.run('push', '--bundle-store', '-r', node, '-B', 'scratch/x')
    vanilla.run('pull', '-r', 'scratch/x')
    assert vanilla.knows(node)
    assert openindex(url).lastid() == 1
