"""A push lands that names blobs of the bundle store: the base gets them.

It would lack them otherwise: who pushed to the bundle store before is told
that the blobs are there, and a server that lands a changeset by itself, with
``hg pull`` or ``hg unbundle``, has never seen them.
"""

from __future__ import annotations

from typing import Any

from ..server import totext
from . import place, served


def setup(repo) -> None:
    """Have a repository look after what lands in it."""
    repo.ui.setconfig(
        b'hooks', b'pretxnchangegroup.bundlestore', land, b'bundlestore'
    )


def land(ui, repo, node: bytes, node_last: bytes = b'', **_kwargs) -> bool:
    """Give the base what the changesets name that land; return False, as all
    is well, or raise."""
    places = {}
    for kind in (place.LFS, place.LARGEFILES):
        found = served.placeof(repo, kind)
        if found is not None and not found.isempty():
            places[kind] = found
    if not places:
        return False
    unfi = repo.unfiltered()
    match = unfi._storenarrowmatch
    first = unfi[node].rev()
    last = unfi[node_last].rev() if node_last else first
    for rev in range(first, last + 1):
        ctx = unfi[rev]
        for name in ctx.files():
            if name in ctx and match(name):
                _landfile(unfi, ctx[name], places)
    return False


def _landfile(repo, fctx, places: dict[str, Any]) -> None:
    from hgext.largefiles import lfutil

    if place.LFS in places and getattr(fctx, 'islfs', bool)():
        from hgext.lfs import pointer

        oid = pointer.deserialize(fctx.rawdata()).oid()
        store = repo.svfs.lfslocalblobstore
        if store.isours(oid):
            lfutil.link(store.path(oid), store.base.vfs.join(oid))
    if place.LARGEFILES in places and lfutil.isstandin(fctx.path()):
        hash = lfutil.readasstandin(fctx)
        name = totext(hash)
        target, there = lfutil.findstorepath(repo, hash)
        if (
            not there
            and place.isname(place.LARGEFILES, name)
            and places[place.LARGEFILES].has(name)
        ):
            lfutil.link(places[place.LARGEFILES].path(name), target)
