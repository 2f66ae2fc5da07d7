"""The tables of the index ``file``, and what marks them as ours."""

from __future__ import annotations

import sqlite3

#: marks the file as ours ('hgBS')
APPLICATION_ID = 0x68674253
#: changes with the tables; a file with a higher one is newer than this code
VERSION = 5
#: the versions since which there are texts and what finds pushes by time,
#: bundles that rest on others, pins and what users hold, and moves of bookmarks
#: with an id of their own
TEXTS = 2
RESTS = 3
USAGE = 4
EVENTS = 5

#: Every beginning of a word, up to this length, has a list of the pushes with
#: such a word; SQLite reads it in both directions, from any place on. (Without
#: a list for that very length it would have to make one for each search.)
LONGEST_WORD = 16

# The primary key of ``node`` is the order in which a changeset is looked for:
# first in what has it as a head (``inner`` is 0), then in the earliest push.
_FIRST = (
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
    f'PRAGMA application_id = {APPLICATION_ID}',
)

#: What version 2 added. The text of a bundle that has no row in
#: ``description`` is made of the titles of its heads.
SECOND = (
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
)

#: What version 3 added. ``rest`` has what a bundle rests on, without what
#: follows from that: what its bases rest on. A base was recorded before what
#: rests on it and goes after it, so its id is smaller. ``kept`` has the last
#: push of a bundle that is only there because others rest on it: the push was
#: removed, its rows in ``node`` were not. A bundle has pushes or such a row.
#: Where a repair gave the id of that push to another, it has minus the id of
#: the bundle.
THIRD = (
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
    # The changesets of a bundle's pushes that it does not hold, but what it
    # rests on does. Their rows in ``node`` have 2 for ``inner``.
    """CREATE TABLE below (
        bundle INTEGER PRIMARY KEY,
        nodes BLOB NOT NULL
    )""",
    'PRAGMA user_version = 3',
)

#: What a user holds, computed from the pushes.
HELD = """
SELECT held.user AS user, sum(held.pushes) AS pushes, sum(bundle.size) AS size
FROM (
    SELECT user, bundle, count(*) AS pushes FROM push GROUP BY bundle, user
) AS held
CROSS JOIN bundle ON bundle.id = held.bundle
GROUP BY held.user
"""

#: What version 4 added. ``usage`` is what ``HELD`` would find, of the users
#: that hold anything; each transaction sees to it. To do so it asks whether a
#: user has another push of a bundle.
FOURTH = (
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
    f'INSERT INTO usage {HELD}',
    'PRAGMA user_version = 4',
)

#: What version 5 added. ``event`` has the moves of bookmarks without a push,
#: with ids of the sequence of pushes, as long as it matters how often a user
#: makes them. A bookmark that stands by one of them has its id in ``move`` and
#: none in ``push``. The user of a bookmark is who put it where it is, and its
#: time when.
FIFTH = (
    """CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        time REAL NOT NULL,
        user TEXT NOT NULL
    )""",
    'CREATE INDEX event_user_time ON event (user, time)',
    'ALTER TABLE bookmark ADD COLUMN move INTEGER',
    "ALTER TABLE bookmark ADD COLUMN user TEXT NOT NULL DEFAULT ''",
    'ALTER TABLE bookmark ADD COLUMN time REAL',
    """UPDATE bookmark SET user = coalesce(
        (SELECT push.user FROM push WHERE push.id = bookmark.push), ''
    ), time = (SELECT push.time FROM push WHERE push.id = bookmark.push)""",
    'CREATE INDEX bookmark_user ON bookmark (user)',
    'CREATE INDEX move_name ON move (name)',
    'PRAGMA user_version = 5',
)

STATEMENTS = (*_FIRST, *SECOND, *THIRD, *FOURTH, *FIFTH)

#: What finds texts, where SQLite can make it. ``words`` is what ``search.py``
#: makes of a text: this has the same words with every release of SQLite, so
#: the tokenizer only splits them. The table keeps them, as they must be known
#: again when a push is removed, maybe by a Python whose Unicode is another.
WORDS = f"""CREATE VIRTUAL TABLE search USING fts5 (
    words,
    detail = none,
    columnsize = 0,
    prefix = '{' '.join(map(str, range(1, LONGEST_WORD)))}',
    tokenize = "ascii tokenchars '='"
)"""


def version(sql: sqlite3.Connection) -> int:
    """Return the version of the tables, 0 where there are none."""
    (found,) = sql.execute('PRAGMA user_version').fetchone()
    return int(found)
