"""A stored changeset lands: it comes into the base repository with the scratch
changesets that it rests on, as though somebody had pushed it there.

And it *is* pushed: by Mercurial's own code, from an instance of the repository
that has the stored changesets in memory (``bundle/memory.py``). So what a push
does is done, checks for new heads, hooks, phases, markers, all in the one
transaction of a push, and what keeps a push from landing leaves the repository
as it was. Whatever comes before happens in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from mercurial import discovery, error, exchange, extensions, util
from mercurial.i18n import _
from mercurial.node import bin, hex, nullrev, short

from .. import model
from ..bundle import container, memory, reading, sound
from ..records import NamedTuple
from ..server import hasnode, servedview
from ..stores import notes, statusnotes
from . import walk

#: what hooks are told of where it comes from: what was pushed over a wire has
#: the same source, and hooks that look at pushes look at this
SOURCE = b'serve'
URL = b'remote:bundlestore'


class Wish(NamedTuple):
    """How a changeset shall land."""

    force: bool = False
    newbranch: bool = False
    #: look at everything, and change nothing
    dry: bool = False


@contextlib.contextmanager
def opened(base, repo, server, node: bytes) -> Iterator[Any]:
    """Give an instance of the repository ``base`` that has the scratch
    changeset ``node``, and what it rests on, in memory. ``repo`` is ``base``
    or a share of it; aborts if ``node`` cannot be had."""
    try:
        stack, view = _opened(base, repo, server, node)
    except sound.Lacking as exc:
        sound.catchup(repo, server, exc)
        stack, view = _opened(base, repo, server, node)
    with stack:
        # what lfs and largefiles keep is given to the base as it lands, see
        # ``blobs/landing.py``
        view.prepushoutgoinghooks = util.hooks()
        yield view


def _opened(base, repo, server, node: bytes) -> Any:
    located = server.locate(repo, [node])
    if not located:
        # as nothing is in the index, and nothing has landed
        raise error.RepoLookupError(_(b"unknown revision '%s'") % hex(node))

    def use(keys: list[str]):
        with contextlib.ExitStack() as stack:
            view = stack.enter_context(memory.opened(base))
            with sound.reading():
                for key in keys:
                    with (
                        container.checkedfile(server.store, key) as path,
                        reading.File(view.ui, path) as bundle,
                    ):
                        memory.add(view, bundle)
            if not view.changelog.hasnode(node):
                raise sound.Unserved(
                    _(b'changeset %s is not in the bundle that the index names')
                    % short(node)
                )
            return stack.pop_all(), view

    return sound.serving(repo, server, located, use)


def lacking(base, view, node: bytes) -> list[bytes]:
    """Return the changesets that the base lacks of ``node`` and its ancestors,
    parents first."""
    cl = view.changelog
    # the base may have got more since the view was opened
    common = [cl.rev(n) for n in servedview(base).heads() if cl.hasnode(n)]
    revs = cl.findmissingrevs(common=common or [nullrev], heads=[cl.rev(node)])
    return [cl.node(rev) for rev in revs]


def rebased(base, view, nodes: list[bytes]) -> dict[bytes, bytes]:
    """Return where those of some changesets are that were rebased and landed:
    Mercurial notes in a changeset which one it was before."""
    cl = view.changelog
    own = servedview(base).changelog
    wanted = {hex(node) for node in nodes}
    parents = {cl.rev(p) for node in nodes for p in cl.parents(node)}
    common = [rev for rev in parents if own.hasnode(cl.node(rev))]
    found = {}
    for rev in own.findmissingrevs(common=common or [nullrev]):
        before = own.changelogrevision(rev).extra.get(b'rebase_source')
        if before in wanted:
            found[bin(before)] = own.node(rev)
    return found


class _Checked(Exception):
    """All has been looked at before a push, and there shall be none."""


def push(base, view, node: bytes, wish: Wish) -> None:
    """Push ``node``, which ``view`` has, with its ancestors into the
    repository ``base``; raises what a push raises."""

    def unbundle(orig, repo, cg, heads, source, url):
        if wish.dry:
            raise _Checked
        return orig(repo, cg, heads, SOURCE, URL)

    def checkheads(orig, pushop):
        try:
            orig(pushop)
        except error.StateError as exc:
            raise _hinting(base, view, node, exc) from exc

    with (
        extensions.wrappedfunction(exchange, 'unbundle', unbundle),
        extensions.wrappedfunction(discovery, 'checkheads', checkheads),
        contextlib.suppress(_Checked),
    ):
        done = exchange.push(
            view,
            base.peer(),
            force=wish.force,
            revs=[node],
            newbranch=wish.newbranch,
        )
        if not done.cgresult or not hasnode(base, node):
            ishere = base.unfiltered().changelog.hasnode(node)
            raise error.StateError(
                _(b'%s did not land') % short(node),
                hint=ishere and _(b'it is there, and secret or obsolete'),
            )


def _hinting(base, view, node: bytes, exc: error.StateError) -> Exception:
    """Return what to raise where a push would make a new head or branch."""
    branches = servedview(base).branchmap()
    its = {view[new].branch() for new in lacking(base, view, node)}
    if all(map(branches.hasbranch, its)):
        hint = _(b'use --rebase, or --force to land it all the same')
    else:
        hint = _(b'use --new-branch')
    return error.StateError(exc.message, hint=hint)


# -- what is kept of it


def note(
    server, landed: dict[bytes, bytes], asked: bytes, time: float, user: str
) -> dict[bytes, list[model.Push]]:
    """Have the index keep where changesets landed; return the pushes that it
    keeps each with: those that have it as a head and, if it is the one that
    was ``asked`` for and none has, the last that has it at all."""
    found = {}
    for node, its in landed.items():
        pushes = list(_pushes(server.wholeindex, node))
        heads = [p for p in pushes if node in {head.node for head in p.heads}]
        if node == asked:
            heads = heads or pushes[-1:]
        found[node] = heads
        known = server.wholeindex.landings([push.id for push in heads])
        for push in heads:
            there = {one.node: one.landed for one in known.get(push.id, ())}
            if there.get(node) != its:
                landing = model.Landing(node, its, time, user)
                server.wholeindex.setlanding(push.id, landing)
            # be it that it could not be written before
            name = notes.PushName(push.key, push.id)
            statusnotes.keep(server.store, server.wholeindex, name)
    return found


def _pushes(index, node: bytes) -> Iterator[model.Push]:
    first = 1
    while True:
        page = index.pushes(first=first, node=node, limit=walk.PAGE)
        yield from page
        if len(page) < walk.PAGE:
            return
        first = page[-1].id + 1
