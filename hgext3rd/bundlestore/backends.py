"""Finds the store or index that a URL names.

The scheme of the URL selects a factory. Those that come with this package
are known here, as to look up an entry point costs each process, and each push
over ssh is one, several times what the whole push does; other schemes are
looked up.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from . import errors, guest, model
from .declaring import provides
from .indexes.sqlite import connections, file as fileindex
from .stores import file as filestore

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar('T')

Factory = Callable[[str, model.Place], Any]

STORES = 'hg_bundlestore.stores'
INDEXES = 'hg_bundlestore.indexes'

#: where the factory of a scheme of ours is, as an entry point has it, from
#: this package on; a room is loaded when its scheme is used
_OURS: dict[str, dict[str, str]] = {
    STORES: {
        'command': 'stores.command:open_store',
        's3': 'stores.s3.store:open_store',
    },
    INDEXES: {
        'mysql': 'indexes.mysql.index:open_index',
        'postgresql': 'indexes.postgresql.index:open_index',
    },
}


def openstore(url: str, place: model.Place, cachesize: int = 0) -> Any:
    """Return the provider of ``IBundleStore`` that ``url`` names.

    Of one that is not on this machine, up to ``cachesize`` bytes of its bundles
    are kept in the folder of ``place``, see ``stores/cache.py``.

    Raises ``UnknownScheme``, or ``BackendUnavailable`` if what provides it
    cannot be loaded.
    """
    if _scheme(url) == 'file':
        return filestore.open_store(url, place)
    store = _open('bundle store', STORES, url, place)
    if not cachesize or provides(store, 'ILocalPath'):
        return store
    from .stores import cache  # a room like those of schemes

    folder = os.path.join(place.directory, b'cache', b'bundles')
    return cache.caching(store, folder, place.createmode, cachesize)


def openindex(url: str, place: model.Place) -> Any:
    """Return the provider of ``IBundleIndex`` that ``url`` names; raises as
    :func:`openstore` does."""
    if _scheme(url) == 'file':
        return fileindex.open_index(url, place)
    return _open('bundle index', INDEXES, url, place)


def preload(*urls: str) -> None:
    """Load what the backends of these URLs would load when they are used
    first: some room of ours has a library that takes its time, or that two
    threads must not load at once. Nothing is raised: who uses them gets the
    error."""
    for url in urls:
        for schemes in _OURS.values():
            room = schemes.get(_scheme(url), '').partition(':')[0]
            if room:
                with contextlib.suppress(Exception):
                    getattr(_load(room), 'preload', lambda: None)()


def _load(room: str) -> Any:
    return importlib.import_module(f'{__package__}.{room}')


def within(
    seconds: float,
    url: str,
    question: Callable[[], T],
    what: str = 'bundle index',
) -> T:
    """Return what ``question`` returns, which asks the index, or ``what``, that
    ``url`` names; raises ``BackendUnavailable`` where that takes longer."""
    if _scheme(url) == 'file':
        with connections.hurried(seconds):
            return question()
    return guest.within(seconds, what, question)


def _scheme(url: str) -> str:
    return url.partition(':')[0]


def _open(kind: str, group: str, url: str, place: model.Place) -> Any:
    scheme = _scheme(url)
    ours = _OURS[group].get(scheme)
    if ours is not None:
        module, _colon, name = ours.partition(':')
        return getattr(_load(module), name)(url, place)
    found = {point.name: point for point in _entrypoints(group)}
    if scheme not in found:
        known = ', '.join(sorted({'file', *_OURS[group], *found}))
        raise errors.UnknownScheme(
            f'unknown {kind} scheme: {scheme}', f'known schemes: {known}'
        )
    point = found[scheme]
    try:
        factory: Factory = point.load()
    except Exception as exc:  # whatever the import of foreign code raises
        raise _unloadable(kind, point, exc) from exc
    try:
        return factory(url, place)
    except ImportError as exc:
        # Mercurial puts imports off until what they import is used.
        raise _unloadable(kind, point, exc) from exc


def _entrypoints(group: str) -> list[EntryPoint]:
    from importlib import metadata

    found = metadata.entry_points()
    if hasattr(found, 'select'):
        return list(found.select(group=group))
    # Python 3.9
    return list(found.get(group, ()))


def _unloadable(
    kind: str, point: EntryPoint, exc: Exception
) -> errors.BackendUnavailable:
    return errors.BackendUnavailable(
        f'{kind} scheme {point.name} cannot be loaded: {exc}',
        f'reinstall the package that provides {point.value}',
    )
