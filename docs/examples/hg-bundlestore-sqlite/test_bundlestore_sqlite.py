"""Certifies the store: all that is asked of any."""

from __future__ import annotations

from typing import Any, Optional

from bundlestore_sqlite import SqliteStore, open_store

from hgext3rd.bundlestore import model
from hgext3rd.bundlestore.testing.store import StoreConformance


class TestSqliteStore(StoreConformance):
    def makestore(self, place: model.Place) -> SqliteStore:
        return open_store('sqlite', place)

    def damage(self, store: Any, key: str, data: Optional[bytes]) -> None:
        with store.transaction() as sql:
            ((id,),) = sql.execute('SELECT id FROM bundle WHERE key = ?', [key])
            sql.execute('DELETE FROM piece WHERE bundle = ?', [id])
            if data is None:
                sql.execute('DELETE FROM bundle WHERE id = ?', [id])
            else:
                sql.execute('INSERT INTO piece VALUES (?, 0, ?)', [id, data])

    def test_nothing_is_left_of_what_goes(self, store: SqliteStore) -> None:
        """The suite cannot see pieces that belong to no bundle."""
        for _time in range(2):
            key = store.put([b'some'])
        assert store.rows('SELECT data FROM piece') == [(b'some',)]
        store.stage([b'other']).discard()
        store.delete(key)
        assert store.rows('SELECT data FROM piece') == []
