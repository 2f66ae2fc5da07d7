"""An answer to a pull that is made here: its parts, whatever the way in which
its changesets come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Optional

from mercurial import bundle2, error, exchange, obsutil, phases

from ..bundle import container
from . import origin
from .wanted import Wanted

#: the least that is sent at once, in bytes
_BLOCK = 128 * 1024


class Answer:
    """An answer from the store; ``scratch`` are the changesets in it that the
    base does not show, ``roots`` those of them that rest on the base."""

    def __init__(
        self,
        wanted: Wanted,
        scratch: set[bytes],
        roots: list[bytes],
        description: dict[str, Any],
    ) -> None:
        self.wanted = wanted
        self.scratch = scratch
        self.roots = roots
        #: what the log says of the answer, and what went wrong with it
        self.description = description
        self.trouble: Optional[bytes] = None
        #: what ``exchange.getbundlechunks`` tells of the answer
        self.info = {b'bundleversion': 2, b'prefercompressed': True}

    def changegroups(self) -> Iterator[Any]:
        """Yield the parts with changesets."""
        raise NotImplementedError

    def markers(self) -> Iterable[Any]:
        """Return the obsolescence markers that matter to what was sent."""
        raise NotImplementedError

    def heads(self) -> tuple[set[bytes], set[bytes]]:
        """Return the public heads of what is sent, and the draft ones; they
        name no changeset that the client will not have."""
        raise NotImplementedError

    def lastparts(self) -> Iterable[Any]:
        """Return what comes behind all others."""
        return ()

    def close(self) -> None:
        """Let go of what is open; more than once does nothing."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the answer. Where a bundle turns out to be damaged, it breaks
        off before the end, with a part that has the client abort."""
        # what fails here is told to the client in the common way
        others = self._ofbase()
        phaseparts = self._phaseparts()
        return self._chunks(others, phaseparts)

    def _chunks(self, others: list, phaseparts: list) -> Iterator[bytes]:
        wanted = self.wanted

        def parts():
            if origin.iswanted(wanted.b2caps):
                yield origin.part(self.scratch, wanted.private)
            yield from self.changegroups()
            yield from others
            # those of the bundles are known after the changegroup
            yield from self._markerparts()
            yield from phaseparts
            yield from self.lastparts()

        try:
            yield from _gathered(container.container(wanted.repo.ui, parts()))
        except error.Abort as exc:
            if wanted.source != b'serve':
                raise
            # The client has been told, by the part that Mercurial puts in
            # then. It would be told again over ssh, and a web server would
            # answer with a second response.
            self.trouble = exc.message

    def bundler(self):
        """Return what collects parts that Mercurial makes."""
        return bundle2.bundle20(self.wanted.repo.ui, self.wanted.b2caps)

    def _ofbase(self) -> list:
        """Return the parts that the base repository answers for."""
        wanted, bundler = self.wanted, self.bundler()
        for name in (b'bookmarks', b'listkeys'):
            exchange.getbundle2partsmapping[name](
                bundler,
                wanted.repo,
                wanted.source,
                bundlecaps=wanted.bundlecaps,
                b2caps=wanted.b2caps,
                **wanted.args,
            )
        return bundler._parts

    def _markerparts(self) -> list:
        if not self.wanted.args.get('obsmarkers'):
            return []
        bundler = self.bundler()
        markers = obsutil.sortedmarkers(self.markers())
        bundle2.buildobsmarkerspart(bundler, markers)
        return bundler._parts

    def _phaseparts(self) -> list:
        if not self.wanted.args.get('phases'):
            return []
        public, drafts = self.heads()
        mapping = {phases.public: sorted(public), phases.draft: sorted(drafts)}
        bundler = self.bundler()
        bundler.newpart(b'phase-heads', data=phases.binaryencode(mapping))
        return bundler._parts


def _gathered(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Join chunks to larger ones: Mercurial writes each by itself, also those
    of four bytes that say how long the next one is."""
    pieces: list[bytes] = []
    size = 0
    try:
        for chunk in chunks:
            pieces.append(chunk)
            size += len(chunk)
            if size >= _BLOCK:
                yield b''.join(pieces)
                pieces.clear()
                size = 0
    except Exception:
        # the last of it tells the client to abort
        yield b''.join(pieces)
        raise
    yield b''.join(pieces)
