"""The index ``file``: its search, and what it keeps."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import matrix
from harness.hg import Repo
from harness.rights import publicfolder
from harness.servers import Transport
from harness.store import folder as folderof
from hgext3rd.bundlestore import backends, errors, model
from hgext3rd.bundlestore.indexes.sql import lists
from hgext3rd.bundlestore.indexes.sql.words import plain, wanted
from hgext3rd.bundlestore.indexes.sqlite import search
from hgext3rd.bundlestore.testing import processes
from hgext3rd.bundlestore.testing.index import ids, keyof, newpush, nodeof
from hgext3rd.bundlestore.testing.index.randomuse import (
    randomfilters,
    randompush,
)
from hgext3rd.bundlestore.testing.reference import ReferenceIndex

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
    found = plain(text)
    assert found.split() == words.split()
    # what was made of it before is not changed again
    assert plain(found) == found


def test_marks_in_any_number() -> None:
    """To put them in order would take hours."""
    assert plain('a' + '\u0301\u0323' * 500000) == ' a'


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
    found = wanted(text)
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


# -- the search


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


def test_without_fts5(place: model.Place, index: Any) -> None:
    """Who has none is told so, and can use what does not need it."""
    recorded = index.record(newpush('one'))
    rename(place, 'fts5', 'absent')
    assert index.pushes(user='alice') == [recorded]
    calls: list[Callable[[], object]] = [
        lambda: index.pushes(text='title'),
        lambda: index.record(newpush('two')),
        lambda: index.remove(1),
    ]
    for call in calls:
        with pytest.raises(
            errors.BackendUnavailable, match='needs an SQLite with'
        ):
            call()
    rename(place, 'absent', 'fts5')
    assert index.pushes(text='title') == [recorded]
    assert index.lastid() == 1
    checkdatabase(place)


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


def test_texts_are_compared_some_at_a_time(
    index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time from behind the last one on, in any order."""
    monkeypatch.setattr(lists, '_TEXTS', 2)
    reference = ReferenceIndex()
    same = newpush('same').nodes[0]
    long = 'x' * 20
    for number in range(40):
        push = newpush(
            number,
            user='alice' if number % 4 else 'bob',
            nodes=[nodeof(number), same],
            text=long if number % 3 else f'{long[:18]} other',
        )
        # many at one time, and not in the order of ids
        push = push._replace(time=1e9 + number * 7 % 10)
        for some in (index, reference):
            some.record(push)
    bounds: list[dict[str, Any]] = [
        *({}, {'first': 3, 'last': 33}, {'since': 1e9, 'until': 1e9 + 8}),
        *({'since': 1e9 + 1}, {'until': 1e9 + 7, 'first': 5}, {'limit': 9}),
    ]
    for some in bounds:
        for user in (None, 'alice'):
            for node in (None, same):
                for newestfirst in (False, True):
                    filters = {**some, 'user': user, 'node': node}
                    filters.update(text=long, newestfirst=newestfirst)
                    found = index.pushes(**filters)
                    assert found == reference.pushes(**filters), filters
                    assert len(found) > 8


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
            [] if plain(text) else index.pushes()
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
