"""The index ``file``: one SQLite file on this machine."""

from __future__ import annotations

from ... import model
from ...stores import localfiles
from ..sql.index import FileIndex

__all__ = ['FileIndex', 'open_index']


def open_index(url: str, place: model.Place) -> FileIndex:
    """Return the index of a URL ``file`` or ``file:/path``.

    Raises ``UnknownScheme`` for a path that is not absolute.
    """
    path = localfiles.urlpath(url, place, b'index.sqlite3')
    return FileIndex(path, place.createmode)
