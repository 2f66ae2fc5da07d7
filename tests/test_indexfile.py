"""The index ``file``: its search, and files that older releases made."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import matrix
from harness.hg import Repo
from harness.rights import asnobody, files, protect, publicfolder
from harness.servers import Transport
from harness.store import folder as folderof
from hgext3rd.bundlestore import backends, errors, model
from hgext3rd.bundlestore.indexes.sqlite import (
    database,
    migrate,
    schema,
    search,
)
from hgext3rd.bundlestore.testing import processes
from hgext3rd.bundlestore.testing.index import ids, keyof, newpush, nodeof
from hgext3rd.bundlestore.testing.index.lists import ListTests
from hgext3rd.bundlestore.testing.index.randomuse import (
    RandomTests,
    randomfilters,
    randompush,
)
from hgext3rd.bundlestore.testing.index.records import RecordTests
from hgext3rd.bundlestore.testing.reference import ReferenceIndex, pushof

pytestmark = pytest.mark.filterwarnings(processes.IGNOREFORKS)


@pytest.fixture
def folder() -> Iterator[Path]:
    with publicfolder() as path:
        yield path


@pytest.fixture
def place(folder: Path) -> model.Place:
    return model.Place(os.fsencode(folder / 'bundlestore'))


@pytest.fixture
def index(place: model.Place) -> Iterator[Any]:
    index = backends.openindex('file', place)
    yield index
    index.close()


def connect(place: model.Place) -> sqlite3.Connection:
    path = os.path.join(place.directory, b'index.sqlite3')
    return sqlite3.connect(os.fsdecode(path), isolation_level=None)


def look(place: model.Place, statement: str) -> list[Any]:
    """Ask the database itself."""
    connection = connect(place)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def version(place: model.Place) -> int:
    ((found,),) = look(place, 'PRAGMA user_version')
    return int(found)


def engine(place: model.Place) -> str:
    ((found,),) = look(place, "SELECT value FROM setting WHERE name = 'search'")
    return str(found)


def checkdatabase(place: model.Place) -> None:
    """The database is sound, and the search holds what it should."""
    assert look(place, 'PRAGMA integrity_check') == [('ok',)]
    look(place, "INSERT INTO search (search) VALUES ('integrity-check')")
    rows = look(place, 'SELECT rowid FROM search ORDER BY rowid')
    assert rows == look(place, 'SELECT id FROM push ORDER BY id')


# -- words


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('', ''),
        ('One two, TWO', 'one two two'),
        ('\u00c5ngstr\u00f6m \u212bngstrom', 'angstrom angstrom'),
        ('Stra\u00dfe STRASSE', 'strasse strasse'),
        ('\u0130stanbul', 'istanbul'),
        ('\ufb01x \uff46\uff49\uff58', 'fix fix'),
        ('e\u0301\u0323a', 'ea'),
        ('\u03a3\u03c3\u03c2', '\u03c3\u03c3\u03c3'),
        ('\u00bd x\u00b2', '1 2 x2'),
        ('a\u00adb c\u200dd', 'a b c d'),
        ('\u2764\ufe0f', ''),
        ('=a =b', 'a b'),
        ('a\udc80b\0c', 'a b c'),
    ],
)
def test_words(text: str, words: str) -> None:
    plain = search.plain(text)
    assert plain.split() == words.split()
    # what was made of it before is not changed again
    assert search.plain(plain) == plain


def test_marks_in_any_number() -> None:
    """To put them in order would take hours."""
    assert search.plain('a' + '\u0301\u0323' * 500000) == ' a'


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('', []),
        ('b a b', ['a', 'b']),
        ('a ab abc b', ['abc', 'b']),
        ('AB a_a', ['a', 'ab']),
        ('aa ab a', ['aa', 'ab']),
    ],
)
def test_wanted(text: str, words: list[str]) -> None:
    found = search.wanted(text)
    if text == 'AB a_a':
        words = ['ab']
    assert found == words


def test_queries_are_bounded() -> None:
    """What is left out of a query is looked for in what it finds."""
    words = [f'{"x" * (n % 40)}{n}' for n in range(5000)]
    assert len(search.query(words, 'alice' * 1000)) < 1000
    assert not search.isexact(words)


# -- what a push is found by


@matrix.over('path')
def test_descriptions_are_found(
    transport: Transport, base: Repo, client: Repo
) -> None:
    client.commit({'a': 'a\n'}, 'below')
    client.commit({'a': 'aa\n'}, 'one\n\nWith Z\u00fcrich')
    client.commit({'b': 'b\n'}, 'other', parent='0')
    client.run('push', '--bundle-store', '-r', 'all()')
    index = backends.openindex('file', model.Place(os.fsencode(folderof(base))))
    (push,) = index.pushes(text='zurich other')
    assert push.text == 'one\n\nWith Z\u00fcrich\nother'
    assert index.pushes(text='below') == []
    index.close()


# -- with FTS5 and without


class TestWithoutFTS5(RecordTests, ListTests, RandomTests):
    """Searches go from push to push, with the same result."""

    @pytest.fixture(autouse=True)
    def _without(self, monkeypatch: pytest.MonkeyPatch) -> None:
        absent = schema.WORDS.replace('fts5', 'fts5_is_absent')
        monkeypatch.setattr(schema, 'WORDS', absent)

    @pytest.fixture
    def place(self, folder: Path) -> model.Place:
        return model.Place(os.fsencode(folder / 'of' / 'repository'))

    def makeindex(self, place: model.Place) -> Any:
        return backends.openindex('file', place)

    def test_it_is_noted(self, place: model.Place, index: Any) -> None:
        index.record(newpush('one'))
        assert engine(place) == 'none'
        assert (
            look(
                place,
                "SELECT name FROM sqlite_master WHERE name LIKE 'search%'",
            )
            == []
        )


def rename(place: model.Place, old: str, new: str) -> None:
    """Make the search table one of another module."""
    connection = connect(place)
    connection.execute('PRAGMA writable_schema = ON')
    connection.execute(
        'UPDATE sqlite_master SET sql = replace(sql, ?, ?)'
        " WHERE name = 'search'",
        (f'USING {old} ', f'USING {new} '),
    )
    # or other connections would not notice
    (cookie,) = connection.execute('PRAGMA schema_version').fetchone()
    connection.execute(f'PRAGMA schema_version = {cookie + 1}')
    connection.close()


def test_index_with_fts5_is_read_without(
    place: model.Place, index: Any
) -> None:
    recorded = [index.record(newpush(n)) for n in range(3)]
    rename(place, 'fts5', 'absent')
    assert index.pushes(text='title') == recorded
    assert index.pushes(text='TITL 1', user='alice') == recorded[1:2]
    rename(place, 'absent', 'fts5')
    assert index.pushes(text='title') == recorded
    assert engine(place) == 'fts5'
    checkdatabase(place)


@pytest.mark.parametrize('removing', [False, True])
def test_index_with_fts5_is_written_without(
    place: model.Place, index: Any, removing: bool
) -> None:
    """Who has FTS5 does not use it any more then, as it lacks something."""
    recorded = [index.record(newpush(n)) for n in range(3)]
    rename(place, 'fts5', 'absent')
    if removing:
        index.remove(2)
        del recorded[1]
    else:
        recorded.append(index.record(newpush(3)))
    assert index.pushes(text='title') == recorded
    rename(place, 'absent', 'fts5')
    assert engine(place) == 'none'
    assert index.pushes(text='title') == recorded
    recorded.append(index.record(newpush(4)))
    index.remove(recorded.pop(0).id)
    assert index.pushes(text='title') == recorded
    assert look(place, 'PRAGMA integrity_check') == [('ok',)]


def test_search_agrees_with_the_pushes(place: model.Place, index: Any) -> None:
    """Also where FTS5 has merged what it holds, and texts change places."""
    chance = random.Random(7)
    reference = ReferenceIndex()
    for _number in range(300):
        if chance.random() < 0.3 and reference.lastid():
            id = chance.randrange(1, reference.lastid() + 1)
            for some in (index, reference):
                try:
                    some.remove(id)
                except errors.UnknownPush:
                    continue
        push = randompush(chance, reference)._replace(moves=())
        for some in (index, reference):
            some.record(push)
    for _number in range(300):
        filters = randomfilters(chance)
        assert index.pushes(**filters) == reference.pushes(**filters), filters
    checkdatabase(place)
    look(place, "INSERT INTO search (search) VALUES ('optimize')")
    assert index.pushes(text='fix') == reference.pushes(text='fix')


def test_users_that_share_a_word(
    index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands for a user may stand for another."""
    monkeypatch.setattr(search, '_userword', lambda user: '=00000000')
    for user in ('alice', 'bob', 'alice'):
        index.record(newpush(user, user=user, text='fix'))
    assert ids(index.pushes(user='alice', text='fix')) == [1, 3]
    assert ids(index.pushes(user='bob', text='fix', limit=1)) == [2]
    assert index.pushes(user='carol', text='fix') == []


def test_users_are_no_words(index: Any) -> None:
    index.record(newpush('one', user='alice', text='fix'))
    word = search._userword('alice')
    assert word.startswith('=')
    assert word in search.query(['fix'], 'alice')
    for text in (word, word[1:], word[:5], '=', 'alice'):
        assert index.pushes(text=f'{text} fix') == (
            [] if search.plain(text) else index.pushes()
        )


def test_text_of_a_known_bundle(place: model.Place, index: Any) -> None:
    """A text that is only the titles is not kept twice."""
    for number, text in enumerate(['a title', '', 'a title\nmore']):
        index.record(newpush(number, text=text))
    assert [push.text for push in index.pushes()] == [
        *('a title', '', 'a title\nmore')
    ]
    assert look(place, 'SELECT text FROM description ORDER BY bundle') == [
        ('',),
        ('a title\nmore',),
    ]
    assert ids(index.pushes(text='title')) == [1, 3]
    nodes = [nodeof(n) for n in range(30)]
    text = '\n'.join(['x' * 200] * 30)[: model.TEXT_LENGTH]
    index.record(
        newpush('many', nodes=nodes, heads=nodes, title='x' * 200, text=text)
    )
    assert index.push(4).text == text
    assert look(place, 'SELECT count(*) FROM description') == [(2,)]


def test_little_is_kept_of_what_a_bundle_rests_on(
    place: model.Place, index: Any
) -> None:
    """A long chain takes no more than one step for each bundle."""
    rests: tuple[str, ...] = ()
    for number in range(5):
        push = index.record(newpush(number)._replace(rests=rests))
        rests = (*rests, push.key)
    index.record(newpush('both')._replace(rests=(keyof(4), keyof(1))))
    rows = look(place, 'SELECT bundle, base FROM rest ORDER BY bundle')
    assert rows == [(2, 1), (3, 2), (4, 3), (5, 4), (6, 5)]
    assert look(place, 'SELECT count(*) FROM kept') == [(0,)]
    index.remove(2)
    index.remove(1)
    assert look(place, 'SELECT bundle, push FROM kept ORDER BY bundle') == [
        *((1, 1), (2, 2))
    ]
    assert index.push(6).rests == rests


# -- versions 1 to 4

# The tables as they were. None of this may be changed.
FIRST = [
    """CREATE TABLE bundle (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        size INTEGER NOT NULL,
        nodes BLOB NOT NULL
    )""",
    """CREATE TABLE node (
        node BLOB NOT NULL,
        inner INTEGER NOT NULL,
        push INTEGER NOT NULL,
        PRIMARY KEY (node, inner, push)
    ) WITHOUT ROWID""",
    """CREATE TABLE head (
        bundle INTEGER NOT NULL,
        position INTEGER NOT NULL,
        node BLOB NOT NULL,
        title TEXT NOT NULL,
        PRIMARY KEY (bundle, position)
    ) WITHOUT ROWID""",
    """CREATE TABLE push (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        time REAL NOT NULL,
        user TEXT NOT NULL,
        bundle INTEGER NOT NULL,
        moves INTEGER NOT NULL
    )""",
    'CREATE INDEX push_user ON push (user)',
    'CREATE INDEX push_bundle ON push (bundle)',
    """CREATE TABLE move (
        push INTEGER NOT NULL,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        node BLOB,
        PRIMARY KEY (push, position)
    ) WITHOUT ROWID""",
    """CREATE TABLE bookmark (
        name TEXT NOT NULL PRIMARY KEY,
        node BLOB NOT NULL,
        push INTEGER
    ) WITHOUT ROWID""",
    'PRAGMA application_id = 1751597651',
    'PRAGMA user_version = 1',
]
SECOND = [
    """CREATE TABLE description (
        bundle INTEGER PRIMARY KEY,
        text TEXT NOT NULL
    )""",
    """CREATE TABLE setting (
        name TEXT NOT NULL PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID""",
    'CREATE INDEX push_time ON push (time)',
    'CREATE INDEX push_user_time ON push (user, time)',
    'PRAGMA user_version = 2',
    """CREATE VIRTUAL TABLE search USING fts5 (
    words,
    detail = none,
    columnsize = 0,
    prefix = '1 2 3 4 5 6 7 8 9 10 11 12 13 14 15',
    tokenize = "ascii tokenchars '='"
)""",
    "INSERT INTO setting VALUES ('search', 'fts5')",
]
THIRD = [
    """CREATE TABLE rest (
        bundle INTEGER NOT NULL,
        base INTEGER NOT NULL,
        PRIMARY KEY (bundle, base)
    ) WITHOUT ROWID""",
    'CREATE INDEX rest_base ON rest (base)',
    """CREATE TABLE kept (
        push INTEGER PRIMARY KEY,
        bundle INTEGER NOT NULL UNIQUE
    )""",
    """CREATE TABLE below (
        bundle INTEGER PRIMARY KEY,
        nodes BLOB NOT NULL
    )""",
    'PRAGMA user_version = 3',
]
FOURTH = [
    """CREATE TABLE pin (
        push INTEGER PRIMARY KEY
    )""",
    """CREATE TABLE usage (
        user TEXT NOT NULL PRIMARY KEY,
        pushes INTEGER NOT NULL,
        size INTEGER NOT NULL
    ) WITHOUT ROWID""",
    'DROP INDEX push_bundle',
    'CREATE INDEX push_bundle_user ON push (bundle, user)',
    'PRAGMA user_version = 4',
]
OLD = {
    1: FIRST,
    2: [*FIRST, *SECOND],
    3: [*FIRST, *SECOND, *THIRD],
    4: [*FIRST, *SECOND, *THIRD, *FOURTH],
}


def makeold(place: model.Place, version: int = 1) -> ReferenceIndex:
    """Make a file as an old release did; return what it holds."""
    os.makedirs(place.directory)
    connection = connect(place)
    connection.execute('PRAGMA journal_mode = WAL')
    connection.execute('BEGIN IMMEDIATE')
    for statement in OLD[version]:
        connection.execute(statement)
    chance = random.Random(3)
    reference = ReferenceIndex()
    for _number in range(40):
        push = randompush(chance, reference)
        own = random.Random(push.key)
        # its titles are all that such a file knows of a text
        heads = tuple(
            head._replace(title=' '.join(own.choices(TITLES, k=3)))
            for head in push.heads
        )
        text = '\n'.join(head.title for head in heads)
        if version > 1 and own.random() < 0.5:
            text += f'\n\n{push.text}'
        moves = tuple(move._replace(force=True) for move in push.moves)
        push = push._replace(heads=heads, moves=moves, text=text)
        if version > 2:
            push = restingold(push, reference)
        insertold(connection, reference.record(push), version)
    for id in (5, 40):
        (gone,) = reference.pushes(first=id, last=id)
        reference.remove(id)
        connection.execute('DELETE FROM push WHERE id = ?', (id,))
        connection.execute('DELETE FROM move WHERE push = ?', (id,))
        if version > 1:
            connection.execute('DELETE FROM search WHERE rowid = ?', (id,))
        if gone.key == BASE and version > 2:
            connection.execute(
                """INSERT INTO kept
                SELECT ?, id FROM bundle WHERE lower(hex(key)) = ?""",
                (id, gone.key),
            )
        else:
            connection.execute('DELETE FROM node WHERE push = ?', (id,))
    kept = 'UNION SELECT bundle FROM kept' if version > 2 else ''
    connection.execute(
        f'DELETE FROM bundle WHERE id NOT IN (SELECT bundle FROM push {kept})'
    )
    connection.execute(
        'DELETE FROM head WHERE bundle NOT IN (SELECT id FROM bundle)'
    )
    if version > 1:
        connection.execute(
            'DELETE FROM description'
            ' WHERE bundle NOT IN (SELECT id FROM bundle)'
        )
    connection.executemany(
        'INSERT INTO bookmark VALUES (?, ?, ?)',
        [mark[:3] for mark in reference.bookmarks()],
    )
    if version > 3:
        connection.executemany(
            'INSERT INTO usage VALUES (?, ?, ?)', reference.users()
        )
    connection.execute('COMMIT')
    connection.close()
    return reference


#: what others rest on in an index of version 3, only there because of them
BASE = keyof('base')


def restingold(push: model.NewPush, reference: ReferenceIndex) -> model.NewPush:
    if reference.lastid() == 4:
        return newpush('base', text='a title')._replace(moves=push.moves)
    isnew = reference.bundles([push.key]) == {}
    if reference.lastid() > 4 and isnew:
        base = newpush('base')
        return push._replace(rests=(BASE,), below=base.nodes)
    return push


TITLES = ['Fix', 'fixes', 'bug1', 'BUG12345', 'b\u00fcg', 'a' * 40, '-', '12']


def insertold(
    connection: sqlite3.Connection, push: model.Push, version: int = 1
) -> None:
    key = bytes.fromhex(push.key)
    row = connection.execute(
        'SELECT id FROM bundle WHERE key = ?', (key,)
    ).fetchone()
    if row is None:
        bundle = connection.execute(
            'INSERT INTO bundle (key, size, nodes) VALUES (?, ?, ?)',
            (key, push.size, b''.join(push.nodes)),
        ).lastrowid
        for position, head in enumerate(push.heads):
            connection.execute(
                'INSERT INTO head VALUES (?, ?, ?, ?)',
                (bundle, position, head.node, head.title),
            )
        if push.text != '\n'.join(head.title for head in push.heads):
            connection.execute(
                'INSERT INTO description VALUES (?, ?)', (bundle, push.text)
            )
        for base in push.rests:
            connection.execute(
                'INSERT INTO rest SELECT ?, id FROM bundle WHERE key = ?',
                (bundle, bytes.fromhex(base)),
            )
            connection.execute(
                'INSERT INTO below VALUES (?, ?)',
                (bundle, b''.join(push.below)),
            )
    else:
        (bundle,) = row
    connection.execute(
        'INSERT INTO push VALUES (?, ?, ?, ?, ?)',
        (push.id, push.time, push.user, bundle, len(push.bookmarks)),
    )
    if version > 1:
        search.add(connection, push.id, push.user, push.text)
    heads = {head.node for head in push.heads}
    for node in push.nodes:
        connection.execute(
            'INSERT INTO node VALUES (?, ?, ?)',
            (node, node not in heads, push.id),
        )
    for node in push.below:
        connection.execute('INSERT INTO node VALUES (?, 2, ?)', (node, push.id))
    for position, (name, moved) in enumerate(push.bookmarks):
        connection.execute(
            'INSERT INTO move VALUES (?, ?, ?, ?)',
            (push.id, position, name, moved),
        )


def checksame(index: Any, reference: ReferenceIndex, lists: int = 100) -> None:
    """Whatever is asked for, both say the same."""
    assert index.pushes() == reference.pushes()
    assert index.bookmarks() == reference.bookmarks()
    # before version 5 nobody knew who had moved one without a push
    assert [mark for mark in index.listbookmarks() if mark.push] == [
        mark for mark in reference.listbookmarks() if mark.push
    ]
    assert index.lastid() == reference.lastid()
    nodes = [nodeof(n) for n in range(30)]
    assert index.locate(nodes) == reference.locate(nodes)
    assert index.nodes('a') == reference.nodes('a')
    keys = [*(keyof(n) for n in range(15)), BASE]
    without = set(keys[::2])
    assert index.locate(nodes, without) == reference.locate(nodes, without)
    assert index.bundles(keys) == reference.bundles(keys)
    chance = random.Random(11)
    for _number in range(lists):
        filters = randomfilters(chance)
        assert index.pushes(**filters) == reference.pushes(**filters), filters
    assert index.users() == reference.users()
    for user in 'xyz':
        assert index.usage(user) == reference.usage(user)
        for since in (0.0, 1e9):
            found = index.times(user, since, 3)
            assert found == reference.times(user, since, 3)
    statistics = index.statistics()
    assert statistics._replace(indexsize=0) == reference.statistics()
    assert list(index.problems()) == []
    for text in [*TITLES, 'BUG', 'fix bug', 'a' * 17, 'aab']:
        found = index.pushes(text=text)
        assert found == reference.pushes(text=text), text
    assert index.pushes(text='fix')


@pytest.fixture(params=OLD)
def oldversion(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture
def old(place: model.Place, oldversion: int) -> ReferenceIndex:
    """What an index of an old release holds."""
    return makeold(place, oldversion)


only1 = pytest.mark.parametrize('oldversion', [1], indirect=True)


def test_old_index_is_upgraded_when_read(
    place: model.Place, index: Any, old: ReferenceIndex, oldversion: int
) -> None:
    assert version(place) == oldversion
    assert index.lastid() == 40
    assert version(place) == schema.VERSION
    assert engine(place) == 'fts5'
    checksame(index, old)
    checkdatabase(place)


@pytest.mark.parametrize(
    ('oldversion', 'write'),
    [
        *((1, 'record'), (1, 'remove'), (1, 'movebookmarks'), (2, 'remove')),
        *((3, 'record'), (3, 'remove'), (3, 'pin')),
        *((4, 'movebookmarks'), (4, 'record')),
    ],
    indirect=['oldversion'],
)
def test_old_index_is_upgraded_when_written(
    place: model.Place,
    index: Any,
    old: ReferenceIndex,
    monkeypatch: pytest.MonkeyPatch,
    write: str,
) -> None:
    monkeypatch.setattr(
        database.Database, '_tryupgrade', lambda *_arguments: None
    )
    push = newpush('new', text='a long fix')
    moves = [model.BookmarkMove('a', nodeof(1), force=True)]
    arguments = {'record': push, 'movebookmarks': moves}
    argument: Any = arguments.get(write, 2)
    for some in (index, old):
        getattr(some, write)(argument)
    assert version(place) == schema.VERSION
    checksame(index, old)
    checkdatabase(place)


def test_use_of_an_upgraded_index(
    place: model.Place, index: Any, old: ReferenceIndex
) -> None:
    for some in (index, old):
        some.record(newpush('new', text='fix\n\na bug'))
        for id in (1, 7, 39, 41):
            some.remove(id)
        some.record(newpush('newer'))
        for id in (2, 42):
            base = some.pushes(first=id, last=id)[0].key
            some.record(newpush(f'on {id}')._replace(rests=(base,)))
            some.remove(id)
    assert index.lastid() == 44
    checksame(index, old)
    checkdatabase(place)


@only1
def test_old_bundle_is_pushed_again(
    place: model.Place, index: Any, old: ReferenceIndex
) -> None:
    """The index keeps to the titles, for each push of it."""
    push = index.push(1)
    again = newpush(1)._replace(
        user=push.user,
        key=push.key,
        size=push.size,
        nodes=push.nodes,
        heads=push.heads,
        text=f'{push.text}\n\nand something more',
    )
    old.record(again._replace(text=push.text))
    assert index.record(again) == pushof(41, again)
    checksame(index, old)
    assert index.pushes(text='something') == []
    for id in ids([p for p in index.pushes() if p.key == push.key]):
        index.remove(id)
        old.remove(id)
    checksame(index, old)
    checkdatabase(place)


@pytest.mark.parametrize('upgraded', [False, True])
def test_old_index_without_the_right_to_write(
    folder: Path,
    place: model.Place,
    index: Any,
    old: ReferenceIndex,
    upgraded: bool,
) -> None:
    if upgraded:
        index.lastid()
        index.close()
    protect(folder)
    before = files(folder)
    content = (folder / 'bundlestore' / 'index.sqlite3').read_bytes()
    asnobody(lambda: checksame(index, old))
    assert files(folder) == before
    assert (folder / 'bundlestore' / 'index.sqlite3').read_bytes() == content


def test_old_index_while_somebody_writes(
    place: model.Place, index: Any, old: ReferenceIndex, oldversion: int
) -> None:
    """Readers do not wait, nor do they forget to wait later."""
    writer = connect(place)
    writer.execute('BEGIN IMMEDIATE')
    checksame(index, old)
    (connection,) = index._database._connections._idle
    row = connection.execute('PRAGMA busy_timeout').fetchone()
    assert row == (30000,)
    writer.execute('ROLLBACK')
    writer.close()
    assert version(place) == oldversion
    index.lastid()
    assert version(place) == schema.VERSION


def test_old_index_that_cannot_be_upgraded(
    place: model.Place,
    index: Any,
    old: ReferenceIndex,
    oldversion: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upgrade = migrate.upgrade

    def fail(sql: sqlite3.Connection) -> None:
        upgrade(sql)
        raise sqlite3.OperationalError('database or disk is full')

    monkeypatch.setattr(migrate, 'upgrade', fail)
    # each of them tries it
    checksame(index, old, lists=10)
    with pytest.raises(errors.BackendUnavailable, match='no space left'):
        index.record(newpush('new'))
    assert version(place) == oldversion
    monkeypatch.undo()
    checksame(index, old)
    assert version(place) == schema.VERSION
    checkdatabase(place)


@only1
def test_upgrade_is_killed(
    place: model.Place, index: Any, old: ReferenceIndex
) -> None:
    def work() -> None:
        calls = []
        add = search.add

        def addsome(*arguments: Any) -> None:
            add(*arguments)
            calls.append(arguments)
            if len(calls) == 20:
                processes.killself()

        search.add = addsome  # type: ignore[assignment]
        index.record(newpush('new'))

    (code,) = processes.join(processes.start('fork', work, [()]))
    assert code < 0
    assert version(place) == 1
    checksame(index, old)
    assert version(place) == schema.VERSION
    checkdatabase(place)


@pytest.mark.parametrize('oldversion', [3, 4])
def test_version_is_upgraded_by_few_statements(
    place: model.Place,
    index: Any,
    monkeypatch: pytest.MonkeyPatch,
    oldversion: int,
) -> None:
    """Whatever number of pushes it holds."""
    makeold(place, oldversion)
    statements: list[str] = []
    upgrade = migrate.upgrade

    def traced(sql: sqlite3.Connection) -> None:
        sql.set_trace_callback(statements.append)
        upgrade(sql)
        sql.set_trace_callback(None)

    monkeypatch.setattr(migrate, 'upgrade', traced)
    assert len(index.pushes()) == 38
    assert version(place) == schema.VERSION
    changes = [s for s in statements if not s.startswith('PRAGMA')]
    expected = {
        3: [
            *('CREATE INDEX', 'CREATE TABLE', 'CREATE TABLE', 'DROP INDEX'),
            'INSERT INTO',
        ],
        4: [
            *('ALTER TABLE', 'ALTER TABLE', 'ALTER TABLE', 'CREATE INDEX'),
            *('CREATE INDEX', 'CREATE INDEX', 'CREATE TABLE'),
            'UPDATE bookmark',
        ],
    }
    wanted = [
        some for n, its in expected.items() if n >= oldversion for some in its
    ]
    done = [' '.join(some.split()[:2]) for some in changes]
    assert sorted(done) == sorted(wanted)


def test_upgrade_finds_whose_bookmarks_are(
    place: model.Place, index: Any
) -> None:
    """So that they count against a quota."""
    reference = makeold(place, 4)
    size = model.MARK_SIZE
    for user in 'xyz':
        pushes = {push.id for push in reference.pushes(user=user)}
        count = sum(mark.push in pushes for mark in reference.bookmarks())
        with pytest.raises(errors.QuotaExceeded) as caught:
            index.movebookmarks(
                [model.BookmarkMove('new', b'x' * 20)], 1.0, user, size
            )
        assert caught.value.bookmarks == count
    assert reference.bookmarks()


@only1
def test_upgrade_without_fts5(
    place: model.Place,
    index: Any,
    old: ReferenceIndex,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent = schema.WORDS.replace('fts5', 'fts5_is_absent')
    monkeypatch.setattr(schema, 'WORDS', absent)
    for some in (index, old):
        some.record(newpush('new'))
    assert (version(place), engine(place)) == (schema.VERSION, 'none')
    checksame(index, old)


@pytest.mark.parametrize('method', processes.METHODS)
def test_many_processes_upgrade_at_once(
    place: model.Place, index: Any, method: str
) -> None:
    context: Any = multiprocessing.get_context(method)
    # To start a new Python takes long.
    numbers = range(4) if method == 'fork' else (0, 3)
    for _time in range(3 if method == 'fork' else 1):
        shutil.rmtree(place.directory, ignore_errors=True)
        old = makeold(place)
        barrier = context.Barrier(len(numbers))
        processes.run(
            method, _upgrade, [(place, barrier, number) for number in numbers]
        )
        found = backends.openindex('file', place)
        assert found.pushes(last=40) == old.pushes()
        new = found.pushes(first=41)
        assert {p.key for p in new} == {
            keyof(f'new {number}') for number in numbers if number > 1
        }
        assert found.pushes(text='title') == new
        found.close()
        checkdatabase(place)


def _upgrade(place: model.Place, barrier: Any, number: int) -> None:
    index = backends.openindex('file', place)
    barrier.wait()
    if number < 2:
        assert len(index.pushes(last=40, text='fix')) > 3
    else:
        index.record(newpush(f'new {number}'))
    index.close()


@pytest.mark.parametrize('count', [0, 1, 1500])
def test_upgrade_of_any_length(
    place: model.Place, index: Any, count: int
) -> None:
    os.makedirs(place.directory)
    connection = connect(place)
    connection.execute('BEGIN')
    for statement in FIRST:
        connection.execute(statement)
    for number in range(1, count + 1):
        push = newpush(number, title=f'title {number}', text=f'title {number}')
        insertold(connection, pushof(number, push))
    connection.execute('COMMIT')
    connection.close()
    assert len(index.pushes()) == count
    assert ids(index.pushes(text='title 1500')) == [1500][: count // 1500]
    checkdatabase(place)
