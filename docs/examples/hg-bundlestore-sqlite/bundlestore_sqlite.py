"""The store ``sqlite``: all bundles in one SQLite file, in pieces.

Its URL is ``sqlite``, for a file beside the index, or ``sqlite:/path``.

Each call has a connection of its own, so threads and forks need no thought;
and none stays open while a client takes its time, so a slow one keeps nobody
else waiting.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from typing import Any, Optional

from hgext3rd.bundlestore import errors, model
from hgext3rd.bundlestore.declaring import Interfaces
from hgext3rd.bundlestore.stores import localfiles
from hgext3rd.bundlestore.stores.reader import VerifyingReader

FORMAT = 1
# A bundle without a key is staged. AUTOINCREMENT: no id is given again.
TABLES = f"""
    CREATE TABLE bundle (id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT UNIQUE, size INTEGER NOT NULL, time REAL NOT NULL);
    CREATE TABLE piece (bundle INTEGER REFERENCES bundle ON DELETE CASCADE,
        number INTEGER, data BLOB NOT NULL, PRIMARY KEY (bundle, number));
    CREATE TABLE note (name TEXT PRIMARY KEY, data BLOB NOT NULL);
    PRAGMA user_version = {FORMAT};
"""
#: All pieces but the last are that long. So where a bundle is published again
#: while somebody reads it, the new pieces go on where the old ones ended.
PIECE = 1 << 20


def open_store(url: str, place: model.Place) -> SqliteStore:
    path = os.fsencode(url.partition(':')[2])
    if url == 'sqlite':
        path = os.path.join(place.directory, b'bundles.sqlite3')
    if not os.path.isabs(path):
        raise errors.UnknownScheme(
            f'URL names no absolute path: {url}',
            "use 'sqlite', or 'sqlite:' and an absolute path",
        )
    return SqliteStore(path, place.createmode)


class SqliteStore:
    __implemented__ = Interfaces('IBundleStore')

    def __init__(self, path: bytes, createmode: Optional[int]) -> None:
        self._path = path
        self._createmode = createmode

    # -- bundles

    def stage(self, chunks: Iterable[bytes]) -> StagedBlob:
        staged = StagedBlob(self)
        try:
            for piece in _pieces(chunks):
                staged.add(piece)
        except BaseException:
            staged.discard()
            raise
        return staged

    def put(self, chunks: Iterable[bytes]) -> str:
        with self.stage(chunks) as staged:
            staged.publish()
            return staged.key

    def open(self, key: str) -> VerifyingReader:
        return VerifyingReader(Pieces(self, 'key', key), key, self.size(key))

    def size(self, key: str) -> int:
        return int(self._only('SELECT size FROM bundle WHERE key = ?', key))

    def modified(self, key: str) -> float:
        return float(self._only('SELECT time FROM bundle WHERE key = ?', key))

    def delete(self, key: str) -> None:
        model.checkkey(key)
        if not self.execute('DELETE FROM bundle WHERE key = ?', key).rowcount:
            raise _unknown(key)

    def keys(self) -> Iterator[str]:
        found = self.rows('SELECT key FROM bundle WHERE key IS NOT NULL')
        return (key for (key,) in found)

    def _only(self, statement: str, key: str) -> Any:
        found = self.rows(statement, model.checkkey(key))
        if not found:
            raise _unknown(key)
        return found[0][0]

    # -- strays

    def strays(self, age: float) -> Iterator[model.Stray]:
        found = self.rows(
            'SELECT id, size, time FROM bundle WHERE key IS NULL AND time <= ?',
            time.time() - age,
        )
        return (model.Stray(str(id), size, last) for id, size, last in found)

    def deletestray(self, name: str) -> None:
        if not isinstance(name, str) or not (name.isascii() and name.isdigit()):
            raise errors.InvalidKey(f'not a stray: {ascii(name)[:80]}')
        self.execute('DELETE FROM bundle WHERE key IS NULL AND id = ?', name)

    # -- notes

    def putnote(self, name: str, data: bytes) -> None:
        model.checknotename(name)
        self.execute('REPLACE INTO note VALUES (?, ?)', name, data, create=True)

    def note(self, name: str) -> bytes:
        model.checknotename(name)
        for (data,) in self.rows('SELECT data FROM note WHERE name = ?', name):
            return bytes(data)
        raise errors.UnknownNote(f'no note {name} in the store')

    def notes(self, prefix: str = '') -> Iterator[str]:
        # a tilde sorts behind all that is in a name
        found = self.rows(
            "SELECT name FROM note WHERE name BETWEEN ?1 AND ?1 || '~'", prefix
        )
        return (name for (name,) in found)

    def deletenote(self, name: str) -> None:
        model.checknotename(name)
        if not self.execute('DELETE FROM note WHERE name = ?', name).rowcount:
            raise errors.UnknownNote(f'no note {name} in the store')

    # -- the database

    def close(self) -> None:
        """Nothing stays open between two calls."""

    def rows(self, statement: str, *values: object) -> list[Any]:
        with self._connected() as sql:
            return sql.execute(statement, values).fetchall()

    def execute(
        self, statement: str, *values: object, create: bool = False
    ) -> sqlite3.Cursor:
        with self.transaction(create) as sql:
            return sql.execute(statement, values)

    @contextlib.contextmanager
    def transaction(self, create: bool = False) -> Iterator[sqlite3.Connection]:
        with self._connected(create) as sql:
            sql.execute('BEGIN IMMEDIATE')
            yield sql
            sql.execute('COMMIT')

    @contextlib.contextmanager
    def _connected(self, create: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            if create and not self._exists():
                self._create()
            # What does not exist is an empty store, and nothing is made of it.
            exists = self._exists()
            path = self._path if exists else b':memory:'
            with contextlib.closing(
                sqlite3.connect(path, timeout=30, isolation_level=None)
            ) as sql:
                if not exists:
                    sql.executescript(TABLES)
                if sql.execute('PRAGMA user_version').fetchone() > (FORMAT,):
                    raise errors.UnsupportedFormat('bundle store of the future')
                sql.execute('PRAGMA foreign_keys = ON')
                # the least that survives the loss of power
                sql.execute('PRAGMA synchronous = EXTRA')
                yield sql
        except (OSError, sqlite3.Error) as exc:
            full = 'full' in str(exc)
            kind = errors.NoRoom if full else errors.BackendUnavailable
            raise kind(
                f'bundle store cannot be used: {exc}',
                f'look at {localfiles.display(self._path)}',
            ) from exc

    def _exists(self) -> bool:
        # not os.path.exists: what may not be looked at is not absent
        with contextlib.suppress(FileNotFoundError):
            return bool(os.stat(self._path))
        return False

    def _create(self) -> None:
        """Make the file, so that whoever sees it sees all its tables."""
        localfiles.makefolders(os.path.dirname(self._path), self._createmode)
        temporary = self._path + os.urandom(8).hex().encode('ascii')
        with contextlib.closing(sqlite3.connect(temporary)) as sql:
            sql.executescript(TABLES)
        if self._createmode is not None:
            os.chmod(temporary, self._createmode & 0o666)
        # another process may be as far
        with contextlib.suppress(FileExistsError):
            os.link(temporary, self._path)
        os.unlink(temporary)


class StagedBlob:
    """Rows whose bundle has no key yet."""

    __implemented__ = Interfaces('IStagedBundle')

    def __init__(self, store: SqliteStore) -> None:
        self.size = 0
        self._store = store
        self._hash = hashlib.sha256()
        self._id = store.execute(
            'INSERT INTO bundle (size, time) VALUES (0, ?)',
            time.time(),
            create=True,
        ).lastrowid

    def __enter__(self) -> StagedBlob:
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()

    @property
    def key(self) -> str:
        return self._hash.hexdigest()

    def add(self, piece: bytes) -> None:
        row = self._id, self.size // PIECE, piece
        self._hash.update(piece)
        self.size += len(piece)
        with self._store.transaction() as sql:
            # fails where somebody removed the bundle as a stray
            sql.execute('INSERT INTO piece VALUES (?, ?, ?)', row)
            sql.execute(
                'UPDATE bundle SET size = ?, time = ? WHERE id = ?',
                (self.size, time.time(), self._id),
            )

    def open(self) -> VerifyingReader:
        pieces = Pieces(self._store, 'id', self._id)
        return VerifyingReader(pieces, self.key, self.size)

    def publish(self) -> None:
        # a bundle of that key goes in the same step, with its pieces
        if not self._store.execute(
            'UPDATE OR REPLACE bundle SET key = ?, time = ? WHERE id = ?',
            self.key,
            time.time(),
            self._id,
        ).rowcount:
            raise errors.BackendUnavailable('the staged bundle is gone')

    def discard(self) -> None:
        # what cannot be removed is a stray, as that of a killed process
        with contextlib.suppress(errors.BackendUnavailable):
            self._store.execute(
                'DELETE FROM bundle WHERE key IS NULL AND id = ?', self._id
            )


class Pieces(io.RawIOBase):
    """The pieces of a bundle as a raw file."""

    def __init__(self, store: SqliteStore, column: str, value: object) -> None:
        self._store = store
        self._query = (
            'SELECT data FROM piece JOIN bundle ON bundle = id'
            f' WHERE {column} = ? AND number = ?'
        )
        self._value = value
        self._number = 0
        self._left = memoryview(b'')

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            for (data,) in self._store.rows(
                self._query, self._value, self._number
            ):
                self._left = memoryview(data)
                self._number += 1
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= PIECE:
            yield bytes(buffer[:PIECE])
            del buffer[:PIECE]
    if buffer:
        yield bytes(buffer)


def _unknown(key: str) -> errors.UnknownKey:
    return errors.UnknownKey(f'bundle {key} is not in the store')
