"""Is the store of a repository well? For monitors, so it is quick, and changes
nothing. What is in the bundles is the matter of ``audit``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Optional

from .. import backends, errors, moving
from ..declaring import provides
from ..records import NamedTuple
from ..server import tolocal
from ..stores import notes

#: seconds that a store has to answer
_PATIENCE = 10.0


class Trouble(NamedTuple):
    """Something that keeps the store from working."""

    #: one of ``KINDS``
    kind: str
    message: bytes
    hint: Optional[bytes]
    #: the same for everybody who may read: without paths, URLs and values
    public: str


_PUBLIC = {
    'index': 'the bundle index cannot be used',
    'store': 'the bundle store cannot be used',
    'lost': 'the bundle index is empty, but the store holds pushes',
    'moving': 'the bundle store is being moved',
}
KINDS = ('configuration', *_PUBLIC)


def check(server) -> Iterator[Trouble]:
    """Yield what is wrong with the store, if anything."""
    for name, exc in server.settings.wrong.items():
        public = f'bundlestore.{name} means nothing'
        yield Trouble('configuration', exc.message, exc.hint, public)
    index = server.ask(_lookintoindex, None, retry=True)
    if index is None:
        yield _trouble('index', server.trouble.message, server.trouble.hint)
        return
    found, lastid = index
    for exc in found:
        yield _trouble('index', exc.message, exc.hint)
    try:
        store = server.openstore()
        wrong, move = backends.within(
            _PATIENCE,
            server.settings.storeurl,
            lambda: _lookintostore(store),
            'bundle store',
        )
        for exc in wrong:
            yield _trouble('store', exc.message, exc.hint)
        if move is not None and move.isclosed(
            server.settings.storeurl, server.settings.indexurl
        ):
            yield _closed(move)
        if not lastid and server.ask(
            lambda index: notes.isindexlost(store, index), False
        ):
            yield _trouble(
                'lost',
                _PUBLIC['lost'],
                "run 'hg admin::bundlestore-verify --repair'",
            )
    except errors.BundleStoreError as exc:
        yield _trouble('store', exc.message, exc.hint)
    except Exception as exc:  # foreign code
        yield _trouble('store', f'{type(exc).__name__}: {exc}', None)


def _trouble(kind: str, message: str, hint: Optional[str]) -> Trouble:
    return Trouble(
        kind,
        tolocal(message),
        None if hint is None else tolocal(hint),
        _PUBLIC[kind],
    )


def _closed(move: moving.Move) -> Trouble:
    """Say that nothing can be changed, and by whose will."""
    since = time.strftime('%Y-%m-%d %H:%M', time.localtime(move.time))
    host = move.host.partition('/')[0]
    message = f'process {move.pid} of {host} moves the bundle store'
    if move.done:
        message = 'the bundle store has moved'
    return _trouble(
        'moving',
        f'{message}: it is closed for pushes since {since}',
        "run 'hg admin::bundlestore-migrate' again, or with --abandon to open"
        ' it',
    )


def _lookintoindex(index: Any) -> tuple[list[errors.BundleStoreError], int]:
    found = []
    if provides(index, 'ISelfCheck'):
        found = list(index.troubles())
    # it raises if that cannot be read
    index.locate([bytes(20)])
    return found, index.lastid()


def _lookintostore(
    store: Any,
) -> tuple[list[errors.BundleStoreError], Optional[moving.Move]]:
    if provides(store, 'ISelfCheck'):
        found: list[errors.BundleStoreError] = list(store.troubles())
        if found:
            return found, None
    # it raises if that cannot be read
    next(iter(store.keys()), None)
    return [], moving.read(store)
