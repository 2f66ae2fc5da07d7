"""``verify = full``: is everything there, down to the last file revision?

The staged bundle is opened over the base. Every changeset, manifest and file
revision in its bytes is rebuilt and hashed, also what the base or another
bundle has as well: an overlay would not look at that, but who pulls gets it.
Then every changeset's manifest, and every file revision that it names and its
parents do not, must be there.

In the other modes the same is done for a push that is to answer for
changesets which the store has already, see ``Foundation.takesover``.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, Callable, Optional

from mercurial import error, mdiff
from mercurial.node import short

from .. import config
from ..bundle import changegroup, overlay, reading, revisions
from ..bundle.changegroup import MalformedChangegroup
from ..bundle.graph import NULLID
from ..server import of
from .check import Refused, Texts, checkfilename

#: Deltas may unfold to far more than was sent: a text of a megabyte and a
#: thousand deltas of a few bytes are a gigabyte to be hashed. A push may
#: unfold to so many times what it may have, or takes too long.
_UNFOLDED = 32
#: bytes of texts that are kept, as others may be deltas against them
_KEPT = 32 * 1024 * 1024


def check(
    repo, file: AbstractContextManager[bytes], nodes: Iterable[bytes]
) -> None:
    """Check a bundle that brings ``nodes``; ``file`` gives the path of a file
    with it and all that it rests on.

    Raises ``MalformedChangegroup``, and ``check.Refused`` if that would take
    too long.
    """
    server = of(repo)
    limit = _UNFOLDED * server.settings.maxbundlesize if server else 0
    with file as path:
        try:
            with contextlib.closing(overlay.openfile(repo, path)) as view:
                _checkbundle(view, path, limit)
                for node in nodes:
                    _checkchangeset(view, node)
        except (MalformedChangegroup, Refused):
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


def _checkbundle(view, path: bytes, limit: int) -> None:
    """Rebuild and hash every revision in the bundle at ``path``."""
    with contextlib.ExitStack() as stack:
        bundle = stack.enter_context(reading.File(view.ui, path))
        checker = _Revisions(view, bundle, limit)
        stack.callback(checker.close)
        layout = bundle.layout()
        names = [name for name, _offset in layout.files]
        if len(set(names)) < len(names):
            raise MalformedChangegroup('a file comes twice')
        manifests = view.manifestlog.getstorage(b'')
        checker.check(layout.changelog, view.changelog, checker.keepchangeset)
        checker.check(layout.manifest, manifests, checker.ismanifest)
        for name, offset in layout.trees:
            checker.check(offset, manifests.dirlog(name), None)
        for name, offset in layout.files:
            checker.check(
                offset,
                view.file(name)._revlog,
                functools.partial(checker.isfile, name),
            )


class _Revisions:
    """Rebuilds and hashes the revisions of a bundle as its bytes have them,
    to no more than ``limit`` bytes of text in all (0: any)."""

    def __init__(self, view, bundle: reading.File, limit: int) -> None:
        self._changelog = view.changelog
        self._bundle = bundle
        self._limit = limit
        self._unfolded = 0
        self._texts = revisions.Recent(_KEPT)
        self._changesets = Texts(0)
        self._summary = functools.lru_cache(maxsize=16)(self._summarized)

    def close(self) -> None:
        self._changesets.close()

    def check(
        self,
        offset: int,
        storage: Any,
        visit: Optional[Callable[[changegroup.Entry, bytes], bool]],
    ) -> None:
        """Check the group at ``offset``. ``storage`` is where the overlay has
        its revisions. ``visit`` gets each with its text, and tells whether the
        changeset that it names is one with that revision."""
        self._texts = revisions.Recent(_KEPT)
        payload = self._bundle.payload
        payload.seek(offset)
        for entry, delta in changegroup.revisions(
            payload.read, self._bundle.version
        ):
            if entry.flags:
                # whoever knows the flags knows how to read it
                text = storage.revision(entry.node)
                self._count(len(text))
            else:
                text = self._rebuilt(storage, entry, delta)
            if visit is not None and not visit(entry, text):
                raise MalformedChangegroup(
                    f'revision {entry.node.hex()[:12]} does not belong to '
                    f'changeset {entry.link.hex()[:12]}'
                )

    # -- what a revision belongs to

    def keepchangeset(self, entry: changegroup.Entry, text: bytes) -> bool:
        self._changesets.add(entry.node, text)
        return entry.link == entry.node

    def ismanifest(self, entry: changegroup.Entry, text: bytes) -> bool:
        manifest, _files = self._summary(entry.link)
        return manifest == entry.node

    def isfile(
        self, name: bytes, entry: changegroup.Entry, text: bytes
    ) -> bool:
        _manifest, files = self._summary(entry.link)
        return name in files

    def _summarized(self, node: bytes) -> tuple[bytes, frozenset[bytes]]:
        """Return the manifest and the files of a changeset."""
        if node in self._changesets:
            text = self._changesets.get(node)
        else:
            text = self._changelog.revision(node)
        self._count(len(text))
        manifest, files = revisions.summary(text)
        return manifest, frozenset(files)

    # -- texts

    def _rebuilt(
        self, storage: Any, entry: changegroup.Entry, delta: bytes
    ) -> bytes:
        for parent in (entry.p1, entry.p2):
            storage.rev(parent)  # raises LookupError
        base = self._base(storage, entry.base)
        self._count(mdiff.patchedsize(len(base), delta))
        text = bytes(mdiff.patches(base, [delta]))
        if not revisions.istrue(entry, text):
            raise MalformedChangegroup(
                f'revision {entry.node.hex()[:12]} does not match its hash'
            )
        self._texts.add(entry.node, text)
        return text

    def _base(self, storage: Any, node: bytes) -> bytes:
        if node == NULLID:
            return b''
        if node in self._texts:
            return self._texts.get(node)
        text: bytes = storage.revision(node)
        # it was made of all that it is a delta against
        rev, chain = storage.rev(node), 1
        while rev > storage.repotiprev:
            rev, chain = storage.index[rev][3], chain + 1
        self._count(len(text) * chain)
        self._texts.add(node, text)
        return text

    def _count(self, size: int) -> None:
        self._unfolded += size
        if self._limit and self._unfolded > self._limit:
            raise Refused(
                'push unfolds to more than the bundle store checks '
                f'({config.formatsize(self._limit)})',
                'push fewer changesets, or ask for a higher '
                'bundlestore.max-bundle-size',
            )


def _checkchangeset(view, node: bytes) -> None:
    ctx = view[node]
    manifest = ctx.manifest()
    base = ctx.p1().manifest()
    for path, (_old, new) in base.diff(manifest).items():
        filenode = new[0]
        if filenode is None:
            continue
        checkfilename(path)
        for at in range(len(path)):
            if path[at : at + 1] == b'/' and path[:at] in manifest:
                raise MalformedChangegroup(
                    f'{ascii(path[:at])[1:][:100]} is a file and a folder'
                )
        if not view.file(path).hasnode(filenode):
            raise MalformedChangegroup(
                f'changeset {short(node).decode()} lacks the content of '
                f'{path.decode("utf-8", "replace")}'
            )
