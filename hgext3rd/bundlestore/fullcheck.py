"""``verify = full``: is everything there, down to the last file revision?

The staged bundle is opened over the base, and every manifest and file
revision that it brings is rebuilt and hashed, as ``hg verify`` does. Then
every changeset's manifest, and every file revision that it names and its
parents do not, must be there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from contextlib import AbstractContextManager

from mercurial import error
from mercurial.node import short

from . import overlay
from .cgstream import MalformedChangegroup


def check(
    repo, file: AbstractContextManager[bytes], nodes: Iterable[bytes]
) -> None:
    """Check a bundle that brings ``nodes``; ``file`` gives the path of a file
    with it and all that it rests on. Raises ``MalformedChangegroup``."""
    with file as path:
        try:
            with contextlib.closing(overlay.openfile(repo, path)) as view:
                _checkmanifests(view)
                _checkfiles(view)
                for node in nodes:
                    _checkchangeset(view, node)
        except MalformedChangegroup:
            raise
        except Exception as exc:
            # Nonsense in a delta surfaces as LookupError, RevlogError,
            # IndexError, struct.error, zlib.error, mpatchError …: whichever
            # it is, the push is at fault, as the base is sound.
            raise MalformedChangegroup(_reason(exc)) from exc


def _reason(exc: Exception) -> str:
    if isinstance(exc, error.StorageError):
        return str(exc)
    return f'its content cannot be rebuilt ({type(exc).__name__})'


def _checkrevisions(storage) -> None:
    """Rebuild and hash what the bundle adds to one revlog."""
    for rev in sorted(storage.bundlerevs):
        storage.revision(storage.node(rev))


def _checkmanifests(view) -> None:
    storage = view.manifestlog.getstorage(b'')
    _checkrevisions(storage)


def _checkfiles(view) -> None:
    view.file(b'')  # makes the overlay look where the files are
    for name in sorted(view._cgfilespos):
        _checkrevisions(view.file(name)._revlog)


def _checkchangeset(view, node: bytes) -> None:
    ctx = view[node]
    manifest = ctx.manifest()
    base = ctx.p1().manifest()
    for path, (_old, new) in base.diff(manifest).items():
        filenode = new[0]
        if filenode is None:
            continue
        if not view.file(path).hasnode(filenode):
            raise MalformedChangegroup(
                f'changeset {short(node).decode()} lacks the content of '
                f'{path.decode("utf-8", "replace")}'
            )
