"""Which stored bundles serve a changeset where the first choice does not.

The index names one bundle for a changeset, and what that rests on. It may
have been damaged or lost since, or the base repository may have lost what it
rests on (``hg strip``, a changeset that became secret). Other bundles may hold
the same changesets then, as they were pushed again.

In the good case nothing of this is asked: a pull finds out when it cannot use
what the index names (:func:`serving`). A push rests on bundles that are known
to be sound only (:class:`Choice`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Optional, TypeVar

from mercurial import error
from mercurial.i18n import _

from .. import errors, log, model
from ..records import NamedTuple
from ..server import hasnode, tolocal
from . import container, graph
from .graph import NULLID, Graph
from .reading import ADVANCE, readgraph

_T = TypeVar('_T')

#: more bundles than any honest push rests on, some of them twice
_MOST = 100

#: what a bundle that is not sound raises where it is read here
_DAMAGE = (errors.BundleStoreError, error.Abort, error.BundleValueError)


class Unserved(error.Abort):
    """Some bundles do not give what was asked of them. Others may."""


class Lacking(Unserved):
    """No bundle does, as the base repository lacks ``node``, on which
    ``child`` rests.

    Be it that it is not here yet, be it that it was stripped or became secret:
    which of them is not for everybody to know.
    """

    def __init__(self, node: bytes, child: bytes) -> None:
        cause = errors.BaseLacks(node, child)
        super().__init__(tolocal(cause.message), hint=tolocal(cause.hint or ''))
        self.__cause__ = cause
        self.node = node


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Turn what is raised where stored bundles are read into an abort.

    Mercurial's reader believes what it reads: where a bundle is not sound,
    any exception may come out of it, and none that a client could be sent.
    """
    try:
        yield
    except Exception as exc:
        turned = readable(exc)
        if turned is exc:
            raise
        raise turned from exc


def readable(exc: Exception) -> Exception:
    """Return ``exc``, or what to raise in its place, so that whoever asked
    understands it."""
    if isinstance(exc, errors.BundleStoreError):
        hint = None if exc.hint is None else tolocal(exc.hint)
        return Unserved(tolocal(exc.message), hint=hint)
    if isinstance(exc, (error.Abort, OSError, MemoryError)):
        return exc
    return Unserved(
        _(b'stored changesets cannot be read: %s') % log.reason(exc),
        hint=_(b'push them again with --force'),
    )


# -- pulls


def serving(
    repo,
    server,
    located: dict[bytes, model.Location],
    use: Callable[[list[str]], _T],
) -> _T:
    """Return ``use(keys)`` for bundles that give the changesets in
    ``located``: those that the index names or, where ``use`` raises
    ``Unserved``, others."""
    keys = model.chain(located.values())
    try:
        return use(keys)
    except Unserved as exc:
        others = _Search(repo, server, exc).bundles(located)
        if others == keys:
            raise
        log.event(
            repo.ui,
            server,
            'fallback',
            user=lambda: log.user(server),
            by=log.way(server.request.client),
            heads=log.nodes(located),
            bundles=len(others),
            reason=log.reason(exc),
        )
    return use(others)


def catchup(repo, server, exc: Lacking) -> None:
    """Have the base repository catch up with what it lacks, so that the
    request can be tried once more; raises ``exc`` if it lacks that still."""
    from . import replica  # few processes need it

    if not replica.catchup(repo, server, exc.node):
        raise exc


def checklarge(
    repo, server, located: dict[bytes, model.Location], keys: list[str]
) -> None:
    """Read bundles that are too large to be read before they are sent, if
    there are others in case that they are damaged; raises ``Unserved``."""
    large = {
        where.key
        for where in located.values()
        if where.size > ADVANCE and where.key in keys
    }
    if large and server.locate(repo, located, large):
        with reading():
            for key in large:
                read(repo.ui, server.store, key)


def checkcomplete(ui, repo, stream: Any) -> None:
    """Raise ``Unserved`` if the bundle that ``stream`` reads and the base
    repository lack what a changeset of the bundle rests on."""
    for node, child in _lacking(repo, [readgraph(ui, stream)]):
        raise Lacking(node, child)


def _lacking(repo, graphs: Iterable[Graph]) -> Iterator[tuple[bytes, bytes]]:
    return graph.lacking(graphs, lambda node: hasnode(repo, node))


class _Search:
    """Looks for bundles that are sound and, together with the base
    repository, complete. It reads each of them to the end."""

    def __init__(self, repo, server, exc: Unserved) -> None:
        self._repo = repo
        self._server = server
        self._exc = exc
        self._bad: dict[str, Exception] = {}
        #: the parents of all changesets in the bundles that are of use, and
        #: what those rest on, as far as it is of use
        self._graphs: dict[str, Graph] = {}
        self._rests: dict[str, tuple[str, ...]] = {}

    def bundles(self, wanted: Iterable[bytes]) -> list[str]:
        """Return the keys of the bundles, each after what it rests on; aborts
        if there are none."""
        children = dict.fromkeys(wanted, NULLID)
        while True:
            missing = self._missing(children)
            if not missing:
                return self._ordered()
            found = self._server.locate(self._repo, missing, self._bad)
            for node, child in missing.items():
                if node not in found:
                    raise self._absent(node, child)
            for where in found.values():
                self._take(where)
            if len(self._graphs) > _MOST:
                raise self._exc

    def _missing(self, wanted: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """Return the changesets that are to be found yet, each with one that
        rests on it, if any does."""
        needed = dict(wanted)
        for held in self._graphs.values():
            for node, parents in held.items():
                needed.update(dict.fromkeys(parents, node))
        for held in self._graphs.values():
            for node in held:
                needed.pop(node, None)
        needed.pop(NULLID, None)
        return {
            node: child
            for node, child in needed.items()
            if not hasnode(self._repo, node)
        }

    def _take(self, where: model.Location) -> None:
        for key in model.chain([where]):
            if key in self._graphs or key in self._bad:
                continue
            try:
                self._graphs[key] = read(self._repo.ui, self._server.store, key)
            except _DAMAGE as exc:
                self._bad[key] = exc
        if where.node not in self._graphs.get(where.key, {where.node: ()}):
            # it is not what the index says
            del self._graphs[where.key]
            self._bad[where.key] = self._exc
        elif where.key in self._graphs and self._ispartial(where):
            del self._graphs[where.key]
            self._bad[where.key] = self._exc
        self._rests[where.key] = where.rests

    def _ispartial(self, where: model.Location) -> bool:
        """Whether the bundle holds changesets without some files that were in
        one which cannot be read, see ``push/partial.py``."""
        lost = self._server.index.bundles(
            key for key in where.rests if key in self._bad
        )
        held = self._graphs[where.key].keys()
        return not all(held.isdisjoint(one.nodes) for one in lost.values())

    def _absent(self, node: bytes, child: bytes) -> Exception:
        for exc in self._bad.values():
            turned = readable(exc)
            turned.__cause__ = exc
            return turned
        if child == NULLID:
            return self._exc
        return Lacking(node, child)

    def _ordered(self) -> list[str]:
        holders: dict[bytes, list[str]] = {}
        for key, held in self._graphs.items():
            for node in held:
                holders.setdefault(node, []).append(key)
        order: dict[str, None] = {}
        busy: set[str] = set()

        def place(key: str) -> None:
            if key in order or key in busy or key not in self._graphs:
                return
            busy.add(key)
            for base in self._rests.get(key, ()):
                place(base)
            held = self._graphs[key]
            for parents in held.values():
                for node in parents:
                    if node in held or node not in holders:
                        continue
                    if order.keys().isdisjoint(holders[node]):
                        for holder in holders[node]:
                            place(holder)
            order[key] = None

        for key in self._graphs:
            place(key)
        return list(order)


def read(ui, store: Any, key: str) -> Graph:
    """Return the graph of a stored bundle, which is read to the end and found
    true."""
    with container.opened(store, key) as stream:
        found = readgraph(ui, stream)
        container.drain(stream)
    return found


# -- pushes


#: Bundles up to this size, in bytes, are read through before a push may rest
#: on them, so that one with a fault is sent again. Of larger ones only the
#: size is looked at, and the changesets are read.
MAX_HASHED = 8 * 1024 * 1024


class TooMuch(Exception):
    """It would take too long to find out."""


class Allowance:
    """How many bytes of bundles may be read for one request."""

    def __init__(self, size: Optional[int]) -> None:
        self._left = size

    def take(self, size: int) -> None:
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                raise TooMuch


class _Metered(NamedTuple):
    """A reader that counts."""

    reader: Any
    allowance: Allowance

    def read(self, size: int = -1) -> bytes:
        data: bytes = self.reader.read(size)
        self.allowance.take(len(data))
        return data


class Choice:
    """Finds stored changesets in bundles that are sound: there and, as far as
    that is cheap to say, what they were, and complete with the base."""

    def __init__(
        self, repo, server, allowance: Optional[Allowance] = None
    ) -> None:
        self._repo = repo
        self._server = server
        self._allowance = allowance or Allowance(None)
        #: the bundles that a push cannot rest on, and why
        self.bad: dict[str, Optional[Exception]] = {}
        self._sound: set[str] = set()
        self._graphs: dict[str, Optional[Graph]] = {}

    def locate(self, nodes: Iterable[bytes]) -> dict[bytes, model.Location]:
        """Do as ``Server.locate``."""
        wanted = list(nodes)
        found: dict[bytes, model.Location] = {}
        while wanted:
            located = self._server.locate(self._repo, wanted, self.bad)
            wanted = []
            for node, where in located.items():
                if self._issound(where):
                    found[node] = where
                else:
                    wanted.append(node)
        return found

    def _issound(self, where: model.Location) -> bool:
        if where.key not in self._sound and where.key not in self.bad:
            keys = model.chain([where])
            recorded = self._server.index.bundles(keys)
            graphs = [self._graph(key, recorded.get(key)) for key in keys]
            sound = [found for found in graphs if found is not None]
            if len(sound) < len(graphs):
                self.bad.setdefault(where.key, None)
                return False
            lacking = self._lacking(sound)
            if lacking is None:
                self._sound.add(where.key)
            else:
                self.bad[where.key] = lacking
        return where.key in self._sound

    def _lacking(self, graphs: list[Graph]) -> Optional[Lacking]:
        """Return what the base lacks below the bundles, be it that it cannot
        catch up with that; None if nothing is."""
        for node, child in _lacking(self._repo, graphs):
            exc = Lacking(node, child)
            try:
                catchup(self._repo, self._server, exc)
            except Lacking:
                return exc
        return None

    def _graph(
        self, key: str, bundle: Optional[model.Bundle]
    ) -> Optional[Graph]:
        if key not in self._graphs:
            try:
                self._graphs[key] = bundle and self._read(bundle)
            except (errors.BackendUnavailable, errors.UnsupportedFormat):
                raise
            except (TooMuch, *_DAMAGE) as exc:
                self._graphs[key] = None
                self.bad[key] = exc
        return self._graphs[key]

    def _read(self, bundle: model.Bundle) -> Graph:
        store = self._server.store
        if store.size(bundle.key) != bundle.size:
            raise errors.CorruptBundle(
                f'stored bundle {bundle.key} is not as long as it was'
            )
        with store.open(bundle.key) as reader:
            metered = _Metered(reader, self._allowance)
            found = readgraph(self._repo.ui, metered)
            if bundle.size <= MAX_HASHED:
                container.drain(metered)
        return found
