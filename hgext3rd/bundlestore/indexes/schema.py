"""The tables of the index ``file``, and what marks them as ours."""

from __future__ import annotations

#: marks the file as ours ('hgBS')
APPLICATION_ID = 0x68674253
#: changes with the tables; a file with a higher one is newer than this code
VERSION = 1

# The primary key of ``node`` is the order in which a changeset is looked for:
# first in what has it as a head (``inner`` is 0), then in the earliest push.
STATEMENTS = (
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
    f'PRAGMA user_version = {VERSION}',
)
