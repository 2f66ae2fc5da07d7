"""Which changesets came from a bundle store, and may land by mistake.

One that was fetched is a draft like any other, and the next push that names
nothing would land it. So the client keeps a list of them, in the store of its
repository: a share has the same. The server names them in a part of its answer
(``fetch/origin.py``), and the list is written with the transaction that brings
them. What became public or was stripped counts no more; it is taken out of the
file when that is written the next time.

A successor, made by amend or rebase say, is the user's own changeset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from mercurial import (
    error,
    phases,
    revset as revsetmod,
    scmutil,
    smartset,
)
from mercurial.i18n import _
from mercurial.node import hex

from .. import compat, names
from ..fetch import origin
from ..start import wraps
from ..start.wraps import inplaceof
from . import storeless

#: the file in the repository's store: a line with the version, then hashes
FILE = b'bundlestore-fromstore'
_VERSION = b'1'
#: more than any server sends, see ``max-changesets``
_MAX_BYTES = 20 * 1000 * 1000
#: attribute of a transaction: what it adds
_PENDING = '_bundlestorefromstore'
_HASH = re.compile(rb'[0-9a-f]{40}\Z')


# -- what the server says


@inplaceof('exchange._pullbundle2extraprepare')
def prepare(orig, pullop, kwargs) -> None:
    """Ask a bundle store to say what comes from it."""
    orig(pullop, kwargs)
    storeless.met(pullop.repo, pullop.remote)
    if pullop.remote.capable(names.CAPABILITY):
        _registerpart()
        kwargs[b'bundlecaps'] = origin.announce(kwargs[b'bundlecaps'])


@cache
def _registerpart() -> None:
    compat.parthandler(names.FROMSTORE, (names.HIDDEN,))(_readpart)


def _readpart(operation, part) -> None:
    """Remember the changesets in a part that this repository lacks: one that
    it has was made here, say, and pushed to the store."""
    data = part.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES or len(data) % 20:
        raise error.Abort(
            _(b"the server sent a part '%s' that makes no sense")
            % names.FROMSTORE
        )
    repo = operation.repo.unfiltered()
    hasnode = repo.changelog.hasnode
    nodes = {data[i : i + 20] for i in range(0, len(data), 20)}
    new = {node for node in nodes if not hasnode(node)}
    if new:
        if part.params.get(names.HIDDEN):
            from . import privacy

            privacy.remember(repo, new)
        _add(repo, operation.gettransaction(), new)


# -- the file


def _add(repo, tr, new: set[bytes]) -> None:
    pending: set[bytes] = getattr(tr, _PENDING, set()) | new
    setattr(tr, _PENDING, pending)

    def write(fp) -> None:
        # A narrow clone whose files are chosen by the server has forgotten
        # what it has got so far, by now.
        kept = pending.union(_relevant(repo, _read(repo)).values())
        lines = [_VERSION, *sorted(map(hex, kept))]
        fp.write(b'\n'.join(lines) + b'\n')

    tr.addfilegenerator(names.FROMSTORE, (FILE,), write)


def _read(repo) -> set[bytes]:
    """Return what the file names."""
    version, *lines = repo.svfs.tryread(FILE).splitlines() or [_VERSION]
    if version != _VERSION:
        raise error.Abort(
            _(b"'%s' was written by a newer release of hg-bundlestore")
            % repo.svfs.join(FILE),
            hint=_(b'install that release'),
        )
    return {bytes.fromhex(x.decode()) for x in lines if _HASH.match(x)}


def _relevant(repo, nodes: Iterable[bytes]) -> dict[int, bytes]:
    """Return those of ``nodes`` that are here and not public, by revision."""
    getrev = repo.changelog.index.get_rev
    phase = repo._phasecache.phase
    found = {}
    for node in nodes:
        rev = getrev(node)
        if rev is not None and phase(repo, rev) != phases.public:
            found[rev] = node
    return found


def revisions(repo) -> dict[int, bytes]:
    """Return the changesets that came from a bundle store, by revision."""
    repo = repo.unfiltered()
    return _relevant(repo, _read(repo))


# -- pushes


def check(pushop) -> None:
    """Abort if a push that names nothing would land one of them."""
    if pushop.force or pushop.remote.capable(names.ALLSTORED):
        return
    repo = pushop.repo
    missing = set(pushop.outgoing.missing)
    found = sorted(
        item for item in revisions(repo).items() if item[1] in missing
    )
    if not found:
        return
    nodes = [node for _rev, node in found]
    summary = scmutil.nodesummaries(repo, nodes)
    if len(nodes) == 1:
        text = _(b'1 changeset that came from a bundle store would land: %s')
        text %= summary
    else:
        text = _(
            b'%d changesets that came from a bundle store would land: %s'
        ) % (len(nodes), summary)
    raise error.StateError(
        text, hint=_(b'name what shall land with -r, or use --force')
    )


# -- what users ask


@cache
def register() -> None:
    """Make the revsets of ours known. Up to 7.1 Mercurial has no table of them
    apart from the language of revsets, which it loads late; so this waits for
    the first use of it."""
    wraps.addrevsets(revsetmod.symbols, revsetmod.safesymbols)


@inplaceof('the command debugrevspec')
def debugrevspec(orig, ui, repo, *args, **opts):
    """Know the revsets: this command reads them by itself."""
    register()
    return orig(ui, repo, *args, **opts)


def fromstore(repo, subset, x):
    """Draft and secret changesets that came from a bundle store."""
    revsetmod.getargs(x, 0, 0, _(b'fromstore takes no arguments'))
    return subset & smartset.baseset(sorted(revisions(repo)))


def keyword(context, mapping) -> bytes:
    """Return "fromstore" for a changeset that came from a bundle store."""
    ctx = context.resource(mapping, b'ctx')
    kept = context.resource(mapping, b'cache')
    if b'bundlestore-fromstore' not in kept:
        kept[b'bundlestore-fromstore'] = revisions(ctx.repo())
    return b'fromstore' if ctx.rev() in kept[b'bundlestore-fromstore'] else b''
