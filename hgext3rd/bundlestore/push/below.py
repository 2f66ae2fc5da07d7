"""What a push rests on: the base repository, and bundles of the store.

A client with this extension sends what the store lacks (see ``known.py``).
Parents and deltas of what comes may then be in stored bundles, which become
what the new one rests on.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Optional

from mercurial import error

from .. import errors, model
from ..bundle import (
    changegroup,
    container,
    graph,
    reading,
    revisions,
    sound,
)
from ..bundle.graph import NULLID, Graph
from ..server import hasnode, servedview
from . import check, known


class Foundation:
    """The changesets below a push: ``check.Base`` over base and store.

    It remembers which bundles were of use.
    """

    def __init__(self, repo, server) -> None:
        self._repo = repo
        self._server = server
        self._choice = sound.Choice(repo, server)
        self._located: dict[bytes, Optional[model.Location]] = {}
        self._used: dict[str, model.Location | model.Bundle] = {}
        self._read: dict[str, _StoredChangesets] = {}

    def hasnode(self, node: bytes) -> bool:
        if hasnode(self._repo, node):
            return True
        where = self._locate(node)
        if where is None:
            self._checkabsent(node)
            return False
        self._used[where.key] = where
        return True

    def _checkabsent(self, node: bytes) -> None:
        """Raise ``BaseLacks`` or ``CorruptBundle`` for one that is stored, but
        cannot be used."""
        if self._choice.bad:
            where = self._server.locate(self._repo, [node]).get(node)
            if where is None:
                return
            why = self._choice.bad.get(where.key)
            if isinstance(why, sound.Lacking):
                raise why
            raise errors.CorruptBundle(
                'what this push rests on cannot be read any more',
                'push with --force to send and store everything',
            )

    def text(self, node: bytes) -> bytes:
        if hasnode(self._repo, node):
            text: bytes = servedview(self._repo).changelog.revision(node)
            return text
        where = self._locate(node)
        if where is None:
            raise LookupError(node)
        return self._changesets(where.key).text(node)

    def parents(self, node: bytes) -> Optional[tuple[bytes, bytes]]:
        """Return the parents of a stored changeset; None for one that is not,
        or that the base has as well."""
        if hasnode(self._repo, node):
            return None
        where = self._locate(node)
        if where is None:
            return None
        return self._changesets(where.key).parentsof(node)

    def graph(self, key: str) -> Graph:
        """Return the graph of a stored bundle."""
        return self._changesets(key).parents

    def inbase(self, parents: Graph) -> set[bytes]:
        """Return the changesets of the base that a push with that graph rests
        on, by itself or by way of the bundles that it rests on."""
        held = dict(parents)
        for key in self.rests():
            held.update(self.graph(key))
        ofbase = functools.partial(hasnode, self._repo)
        return graph.below(graph.upto(held, parents, ofbase))

    def bundleof(self, heads: Sequence[bytes]) -> Optional[model.Bundle]:
        """Return the stored bundle that has these very heads and is true to
        the last byte; None if there is none."""
        bundle = known.bundleof(self._server, self._choice, heads)
        if bundle is not None and bundle.size > sound.MAX_HASHED:
            try:
                sound.read(self._repo.ui, self._server.store, bundle.key)
            except errors.CorruptBundle as exc:
                raise _corrupt(bundle.key) from exc
        return bundle

    def rests(self) -> tuple[str, ...]:
        """Return the keys of the bundles that were of use and of all below
        them, as ``model.NewPush`` wants them."""
        return tuple(model.chain(self._used.values()))

    def holding(self, nodes: Iterable[bytes]) -> Iterator[model.Bundle]:
        """Yield the bundles that have been of use so far, then the others that
        hold ``nodes``, and what they rest on."""
        keys = dict.fromkeys(self.rests())
        keys.update(
            dict.fromkeys(model.chain(self._choice.locate(nodes).values()))
        )
        found = self._server.index.bundles(keys)
        yield from (found[key] for key in keys if key in found)

    def use(self, bundle: model.Bundle) -> None:
        """Have the push rest on a bundle that :meth:`holding` gave."""
        self._used[bundle.key] = bundle

    def below(
        self, rests: Iterable[str], above: Iterable[bytes]
    ) -> tuple[bytes, ...]:
        """Return the ancestors of ``above``, with these, that the bundles
        ``rests`` hold and the base does not, parents first."""
        holding = {
            node: key
            for key, bundle in self._server.index.bundles(rests).items()
            for node in bundle.nodes
        }
        found: dict[bytes, None] = {}
        pending = list(above)
        while pending:
            node = pending[-1]
            if (
                node in found
                or node not in holding
                or hasnode(self._repo, node)
            ):
                pending.pop()
                continue
            parents = self._changesets(holding[node]).parentsof(node)
            missing = [
                parent
                for parent in parents
                if parent in holding
                and parent not in found
                and not hasnode(self._repo, parent)
            ]
            if missing:
                pending += missing
            else:
                found[pending.pop()] = None
        return tuple(found)

    def takesover(self, push: model.NewPush) -> bool:
        """Whether changesets of other bundles would be served from that of
        ``push``: those that it has as heads and they do not, see
        ``IBundleIndex.locate``, or that cannot be served from others any
        more. It must be true to the last byte then."""
        heads = [head.node for head in push.heads]
        located = self._server.locate(self._repo, heads)
        if not located or all(w.key == push.key for w in located.values()):
            return False
        served = self._choice.locate(heads)
        return any(
            node not in served
            or (not served[node].ishead and served[node].key != push.key)
            for node in located
        )

    def close(self) -> None:
        for changesets in self._read.values():
            changesets.close()

    def _locate(self, node: bytes) -> Optional[model.Location]:
        if node not in self._located:
            found = self._choice.locate([node])
            self._located[node] = found.get(node)
        return self._located[node]

    def _changesets(self, key: str) -> _StoredChangesets:
        if key not in self._read:
            self._read[key] = _StoredChangesets(
                self._repo.ui, self._server, key, self.text
            )
        return self._read[key]


class _StoredChangesets:
    """The changesets of one stored bundle.

    Of the file no more than them is read, and so no hash of the whole is
    looked at, but each changeset's own.
    """

    def __init__(self, ui, server, key: str, basetext) -> None:
        self._key = key
        self._basetext = basetext
        self.parents: Graph = {}
        self._texts = check.Texts(0)
        try:
            with container.opened(server.store, key) as stream:
                bundle = reading.Stream(ui, stream)
                for entry, delta in changegroup.changesets(
                    bundle.read, bundle.version
                ):
                    self._add(entry, delta)
        except (
            changegroup.MalformedChangegroup,
            errors.CorruptBundle,
            error.Abort,
            error.BundleValueError,
        ) as exc:
            raise self._corrupt() from exc

    def _add(self, entry: changegroup.Entry, delta: bytes) -> None:
        if entry.base in self._texts:
            basetext = self._texts.get(entry.base)
        elif entry.base == NULLID:
            basetext = b''
        else:
            basetext = self._basetext(entry.base)
        text = check.rebuilt(entry, basetext, delta)
        if not revisions.istrue(entry, text):
            raise self._corrupt()
        self._texts.add(entry.node, text)
        self.parents[entry.node] = (entry.p1, entry.p2)

    def parentsof(self, node: bytes) -> tuple[bytes, bytes]:
        if node not in self.parents:
            raise self._corrupt()
        return self.parents[node]

    def text(self, node: bytes) -> bytes:
        if node not in self._texts:
            raise self._corrupt()
        return self._texts.get(node)

    def close(self) -> None:
        self._texts.close()

    def _corrupt(self) -> errors.CorruptBundle:
        return _corrupt(self._key)


def _corrupt(key: str) -> errors.CorruptBundle:
    return errors.CorruptBundle(
        f'stored bundle {key} is corrupt',
        'push with --force to send and store everything again',
    )
