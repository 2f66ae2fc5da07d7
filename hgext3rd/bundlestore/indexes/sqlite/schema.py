"""The tables of the index ``file``, and what marks them as ours.

No name in them is a reserved word of another database.
"""

from __future__ import annotations

import sqlite3

from ..sql import labels

#: marks the file as ours ('hgBS')
APPLICATION_ID = 0x68674253
#: changes with the tables; a file with a higher one is newer than this code
VERSION = 5

#: Every beginning of a word, up to this length, has a list of the pushes with
#: such a word; SQLite reads it in both directions, from any place on. (Without
#: a list for that very length it would have to make one for each search.)
LONGEST_WORD = 16

_BUNDLES = (
    """CREATE TABLE bundle (
        id INTEGER PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE,
        size INTEGER NOT NULL,
        nodes BLOB NOT NULL
    )""",
    """CREATE TABLE head (
        bundle INTEGER NOT NULL,
        position INTEGER NOT NULL,
        node BLOB NOT NULL,
        title TEXT NOT NULL,
        PRIMARY KEY (bundle, position)
    ) WITHOUT ROWID""",
    # The text of a bundle that has no row here is made of the titles of its
    # heads.
    """CREATE TABLE description (
        bundle INTEGER PRIMARY KEY,
        text TEXT NOT NULL
    )""",
    # What a bundle rests on, without what follows from that: what its bases
    # rest on. A base was recorded before what rests on it and goes after it,
    # so its id is smaller.
    """CREATE TABLE rest (
        bundle INTEGER NOT NULL,
        base INTEGER NOT NULL,
        PRIMARY KEY (bundle, base)
    ) WITHOUT ROWID""",
    'CREATE INDEX rest_base ON rest (base)',
    # The last push of a bundle that is only there because others rest on it:
    # the push was removed, its rows in ``node`` were not. A bundle has pushes
    # or such a row. Where a repair gave the id of that push to another, it has
    # minus the id of the bundle.
    """CREATE TABLE kept (
        push INTEGER PRIMARY KEY,
        bundle INTEGER NOT NULL UNIQUE
    )""",
    # The changesets of a bundle's pushes that it does not hold, but what it
    # rests on does.
    """CREATE TABLE below (
        bundle INTEGER PRIMARY KEY,
        nodes BLOB NOT NULL
    )""",
)

_PUSHES = (
    # ``moves`` is how many rows there are of it in ``move`` and in ``pushvar``.
    """CREATE TABLE push (
        id INTEGER PRIMARY KEY,
        time REAL NOT NULL,
        username TEXT NOT NULL,
        bundle INTEGER NOT NULL,
        moves INTEGER NOT NULL
    )""",
    'CREATE INDEX push_user ON push (username)',
    'CREATE INDEX push_bundle_user ON push (bundle, username)',
    'CREATE INDEX push_time ON push (time)',
    'CREATE INDEX push_user_time ON push (username, time)',
    # Its primary key is the order in which a changeset is looked for: first in
    # what has it as a head, then in the earliest push. ``place`` is 0 for a
    # head, 1 for another of the bundle, 2 for one of ``below``.
    """CREATE TABLE node (
        node BLOB NOT NULL,
        place INTEGER NOT NULL,
        push INTEGER NOT NULL,
        PRIMARY KEY (node, place, push)
    ) WITHOUT ROWID""",
    """CREATE TABLE pin (
        push INTEGER PRIMARY KEY
    )""",
    # One row: the highest id that was given to a push, or to an event.
    'CREATE TABLE counter (given INTEGER NOT NULL)',
    'INSERT INTO counter VALUES (0)',
)

_USERS = (
    # What ``usage.HELD`` would find, of the users that hold anything; each
    # transaction sees to it.
    """CREATE TABLE holder (
        username TEXT NOT NULL PRIMARY KEY,
        pushes INTEGER NOT NULL,
        size INTEGER NOT NULL
    ) WITHOUT ROWID""",
)

_BOOKMARKS = (
    """CREATE TABLE move (
        push INTEGER NOT NULL,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        node BLOB,
        PRIMARY KEY (push, position)
    ) WITHOUT ROWID""",
    'CREATE INDEX move_name ON move (name)',
    # The moves without a push, with ids of the sequence of pushes, as long as
    # it matters how often a user makes them.
    """CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        time REAL NOT NULL,
        username TEXT NOT NULL
    )""",
    'CREATE INDEX event_user_time ON event (username, time)',
    # One that stands by an event has its id in ``move`` and none in ``push``.
    # The user is who put it where it is, and the time when.
    """CREATE TABLE bookmark (
        name TEXT NOT NULL PRIMARY KEY,
        node BLOB NOT NULL,
        push INTEGER,
        move INTEGER,
        username TEXT NOT NULL,
        time REAL
    ) WITHOUT ROWID""",
    'CREATE INDEX bookmark_user ON bookmark (username)',
)

# What came with version 2.
_DETAILS = (
    # NAME=VALUE
    """CREATE TABLE pushvar (
        push INTEGER NOT NULL,
        position INTEGER NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (push, position)
    ) WITHOUT ROWID""",
    """CREATE TABLE status (
        push INTEGER NOT NULL,
        context TEXT NOT NULL,
        state TEXT NOT NULL,
        url TEXT NOT NULL,
        description TEXT NOT NULL,
        time REAL NOT NULL,
        username TEXT NOT NULL,
        PRIMARY KEY (push, context)
    ) WITHOUT ROWID""",
)

# What came with version 3.
_DELIVERIES = (
    # as ``model.Delivery``
    """CREATE TABLE delivery (
        name TEXT NOT NULL PRIMARY KEY,
        told INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        again REAL,
        trouble TEXT NOT NULL,
        worker TEXT NOT NULL,
        lease REAL NOT NULL,
        edition INTEGER NOT NULL
    ) WITHOUT ROWID""",
)
_LANDINGS = (
    """CREATE TABLE landing (
        push INTEGER NOT NULL,
        node BLOB NOT NULL,
        landed BLOB NOT NULL,
        time REAL NOT NULL,
        username TEXT NOT NULL,
        PRIMARY KEY (push, node)
    ) WITHOUT ROWID""",
)
_LABELS = (
    # By what else than words, user and time a push is found, see ``labels.py``.
    """CREATE TABLE label (
        name TEXT NOT NULL,
        push INTEGER NOT NULL,
        PRIMARY KEY (name, push)
    ) WITHOUT ROWID""",
    'CREATE INDEX label_push ON label (push, name)',
    labels.FILL,
)

# What came with version 4.
_VIEWS = (
    # What each view is: as ``viewmodel.ViewSummary``; ``writers`` in JSON, if
    # there are any.
    """CREATE TABLE viewnow (
        id INTEGER PRIMARY KEY,
        uid TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        time REAL NOT NULL,
        username TEXT NOT NULL,
        machine TEXT NOT NULL,
        writers TEXT NOT NULL,
        dropped INTEGER NOT NULL,
        heads INTEGER NOT NULL,
        bookmarks INTEGER NOT NULL,
        UNIQUE (owner, name)
    )""",
    # that of the client, where it is not empty
    """CREATE TABLE viewstate (
        viewid INTEGER PRIMARY KEY,
        text TEXT NOT NULL
    )""",
    # its bookmarks, and its heads, which have no name
    """CREATE TABLE viewnode (
        viewid INTEGER NOT NULL,
        name TEXT NOT NULL,
        node BLOB NOT NULL,
        PRIMARY KEY (viewid, name, node)
    ) WITHOUT ROWID""",
    'CREATE INDEX viewnode_node ON viewnode (node, viewid)',
    # how its versions came about, as ``viewmodel.ViewChange``
    """CREATE TABLE viewlog (
        viewid INTEGER NOT NULL,
        version INTEGER NOT NULL,
        time REAL NOT NULL,
        username TEXT NOT NULL,
        machine TEXT NOT NULL,
        added BLOB NOT NULL,
        removed BLOB NOT NULL,
        bookmarks TEXT NOT NULL,
        name TEXT NOT NULL,
        writers TEXT NOT NULL,
        dropped INTEGER NOT NULL,
        PRIMARY KEY (viewid, version)
    ) WITHOUT ROWID""",
    'CREATE INDEX viewlog_time ON viewlog (time, viewid, version)',
)

# What came with version 5.
_PRIVATE = (
    # The bundles that not everybody sees, and the view of each.
    """CREATE TABLE private (
        bundle INTEGER PRIMARY KEY,
        uid TEXT NOT NULL
    )""",
)

# What finds texts. ``words`` is what ``search.py`` makes of a text: this has
# the same words with every release of SQLite, so the tokenizer only splits
# them. The table keeps them, as they must be known again when a push is
# removed, maybe by a Python whose Unicode is another.
_WORDS = f"""CREATE VIRTUAL TABLE search USING fts5 (
    words,
    detail = none,
    columnsize = 0,
    prefix = '{' '.join(map(str, range(1, LONGEST_WORD)))}',
    tokenize = "ascii tokenchars '='"
)"""

STATEMENTS = (
    *(*_BUNDLES, *_PUSHES, *_USERS, *_BOOKMARKS, _WORDS),
    f'PRAGMA application_id = {APPLICATION_ID}',
)
#: what each version since the first has in addition
_SINCE = {
    2: _DETAILS,
    3: (*_DELIVERIES, *_LANDINGS, *_LABELS),
    4: _VIEWS,
    5: _PRIVATE,
}


def create(sql: sqlite3.Connection) -> None:
    """Make the tables in an empty database."""
    for statement in STATEMENTS:
        sql.execute(statement)
    upgrade(sql, 1)


def upgrade(sql: sqlite3.Connection, version: int) -> None:
    """Make the tables that a database of an older version lacks."""
    for since, statements in _SINCE.items():
        if since > version:
            for statement in statements:
                sql.execute(statement)
    sql.execute(f'PRAGMA user_version = {VERSION}')


def version(sql: sqlite3.Connection) -> int:
    """Return the version of the tables, 0 where there are none."""
    (found,) = sql.execute('PRAGMA user_version').fetchone()
    return int(found)
