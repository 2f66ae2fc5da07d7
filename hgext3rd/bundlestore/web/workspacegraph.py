"""The graph on the page of a workspace: its heads and what is below them, down
to where they leave the base, as Mercurial draws it."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from typing import Any

from mercurial import error, graphmod, templateutil
from mercurial.hgweb import common, webutil
from mercurial.node import hex

from .. import compat, errors, model
from ..bundle import overlay
from ..server import hasnode, totext
from . import scratch

#: changesets that are drawn, without those of the base
_MOST = 200
#: bytes of bundles that are read for one page
_SIZE = 64 << 20
#: how often it is tried without the heads that cannot be read
_TRIES = 20

_Row = dict[bytes, Any]


def graph(
    web, server, heads: list[bytes], marks
) -> tuple[dict[str, Any], dict[bytes, bytes]]:
    """Return for the template the graph of ``heads``, which the repository or
    its bundle store has, and the descriptions of what is drawn by the hashes;
    ``marks`` gives the bookmarks of a node.

    Where the bundle of a head cannot be read, or is one too many, it is left
    out: the page says how many are.
    """
    with _opened(web, server, heads) as (view, drawn):
        revs, rest = _revs(web.repo, view, drawn)
        rows, data = _rows(web, view, revs, marks)
    left = len(heads) - len(drawn)
    texts = {row[b'node']: row[b'desc'] for row in rows}
    return {
        'graphnodes': templateutil.mappinglist(rows),
        'graphdata': templateutil.mappinglist(data),
        'graphrest': b'%d' % rest if rest else b'',
        'graphleft': b'%d' % left if left else b'',
    }, texts


# -- what can be read


@contextlib.contextmanager
def _opened(
    web, server, heads: list[bytes]
) -> Iterator[tuple[Any, list[bytes]]]:
    """Give a repository, unfiltered, that has the heads, or as many as can be
    read, and which these are."""
    inbase = [node for node in heads if hasnode(web.repo, node)]
    view, found = _open(web, server, _small(web.repo, server, heads))
    with contextlib.closing(view) if view else contextlib.nullcontext():
        yield (view or web.repo).unfiltered(), [*inbase, *found]


def _small(repo, server, heads: list[bytes]) -> list[bytes]:
    """Return those of the heads that are stored, as long as not too much has
    to be read for them."""
    located = server.locate(repo, heads)
    keys = model.chain(located.values())
    bundles = server.need(lambda index: index.bundles(keys)) if keys else {}
    sizes = {key: bundle.size for key, bundle in bundles.items()}
    left = _SIZE
    found = []
    for node in heads:
        if node in located:
            chain = model.chain([located[node]])
            size = sum(sizes.get(key, 0) for key in chain)
            if size <= left:
                left -= size
                # they are read once
                sizes.update(dict.fromkeys(chain, 0))
                found.append(node)
    return found


def _open(web, server, nodes: list[bytes]) -> tuple[Any, list[bytes]]:
    """Return an overlay, None if there can be none, and what of ``nodes`` it
    has."""
    view = None
    good: list[bytes] = []
    # all of them as a rule; else halves of what cannot be read, in turn
    pending = deque([nodes] if nodes else [])
    for _try in range(_TRIES):
        if not pending:
            break
        part = pending.popleft()
        try:
            more = overlay.opennodes(web.repo, server, [*good, *part])
        except Exception as exc:
            _log(web, exc)
            if isinstance(exc.__cause__, errors.BackendUnavailable):
                break
            half = len(part) // 2
            if half:
                pending += part[:half], part[half:]
            continue
        if view is not None:
            view.close()
        view = more
        good += part
    return view, good


def _log(web, exc: Exception) -> None:
    if isinstance(exc, error.Abort):
        text = f'graph of a workspace: {totext(exc.message)}\n'
        compat.logerror(web.req.rawenv[b'wsgi.errors'], text)
    else:
        scratch.log(web, exc)


# -- what is drawn


def _revs(base, view, heads: list[bytes]) -> tuple[list[int], int]:
    """Return the revisions that are drawn, children first, and how many more
    are below them.

    These are the heads, then their parents, and so on, with what they rest on
    in the base as the last: it is not walked.
    """
    cl = view.changelog
    scratchrevs: frozenset[int] = getattr(view, 'scratchrevs', frozenset())
    # one may have been removed just now
    pending = deque(cl.rev(node) for node in heads if cl.hasnode(node))
    seen = set(pending)
    ends: set[int] = set()
    found: list[int] = []
    rest = 0
    while pending:
        rev = pending.popleft()
        if rev not in scratchrevs:
            ends.add(rev)
            continue
        if len(found) == _MOST:
            rest += 1
        else:
            found.append(rev)
        for parent in cl.parentrevs(rev):
            if parent in seen or parent < 0:
                continue
            if parent in scratchrevs or (
                len(found) < _MOST and hasnode(base, cl.node(parent))
            ):
                seen.add(parent)
                pending.append(parent)
    return sorted([*found, *ends], reverse=True), rest


def _rows(web, view, revs: list[int], marks) -> tuple[list[_Row], list[_Row]]:
    """Return what is shown of each changeset, and what the script that draws
    the graph is told of it."""
    rows, data = [], []
    parity = common.paritygen(web.stripecount)
    node = view.changelog.node
    dag = graphmod.nodes(view, list(map(node, revs)))
    for _id, _kind, ctx, vertex, edges in graphmod.colored(dag, view):
        rows.append(
            {
                b'node': ctx.hex(),
                b'desc': ctx.description(),
                b'author': ctx.user(),
                b'date': ctx.date(),
                b'bookmarks': marks(ctx.node()),
                b'inbase': b'' if _isscratch(view, ctx) else b'1',
                b'parity': next(parity),
            }
        )
        data.append(
            {
                b'node': hex(ctx.node())[:12],
                b'graphnode': webutil.getgraphnode(view, ctx),
                b'vertex': vertex,
                b'edges': edges,
            }
        )
    return rows, data


def _isscratch(view, ctx) -> bool:
    return ctx.rev() in getattr(view, 'scratchrevs', ())
