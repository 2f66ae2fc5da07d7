"""The notes of how far web hooks were told: what an index made anew gets back.

There is no Mercurial in here.
"""

from __future__ import annotations

import contextlib
from typing import Any

from .. import errors
from . import notes

_FOLDER = 'webhooks/'
_END = '.json'


def _name(hook: str) -> str:
    # a note has not all letters in its name
    return f'{_FOLDER}{hook.encode("utf-8").hex()}{_END}'


def write(store: Any, hook: str, told: int) -> None:
    """Note the last push that a web hook was told of; raises
    ``BackendUnavailable``."""
    store.putnote(_name(hook), notes.dump({'name': hook, 'told': told}))


def read(store: Any, hook: str) -> int:
    """Return the last push that a web hook was told of, 0 where that is not
    noted."""
    return _read(store, _name(hook)).get(hook, 0)


def readall(store: Any) -> dict[str, int]:
    """Return the last push that each web hook was told of."""
    found: dict[str, int] = {}
    for name in store.notes(_FOLDER):
        found.update(_read(store, name))
    return found


def _read(store: Any, name: str) -> dict[str, int]:
    with contextlib.suppress(
        errors.UnknownNote, errors.CorruptNote, KeyError, TypeError, ValueError
    ):
        fields = notes.load(store.note(name), name)
        return {str(fields['name']): int(fields['told'])}
    return {}
