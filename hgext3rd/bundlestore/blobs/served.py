"""Which blobs a repository gives and takes."""

from __future__ import annotations

from typing import Any, Optional

from mercurial import error
from mercurial.i18n import _

from .. import access, config, log, model, server as servermod
from ..names import TRYURL
from ..server import aborting
from . import place


def placeof(repo, kind: str) -> Optional[place.Place]:
    """Return where ``repo``, an overlay perhaps, has the blobs of its bundle
    store, None if it has no bundle store."""
    # lfs may set a try URL up before this extension has
    if not config.isserver(repo.ui) and TRYURL not in repo.requirements:
        return None
    directory = repo.vfs.reljoin(repo.sharedpath, b'bundlestore')
    return place.Place(model.Place(directory, repo.store.createmode), kind)


def places(repo) -> list[place.Place]:
    """Return where the bundle store of ``repo`` has its blobs."""
    found = (placeof(repo, kind) for kind in (place.LFS, place.LARGEFILES))
    return [one for one in found if one is not None]


def storesall(repo) -> bool:
    """Whether whatever comes in is for the bundle store: nothing that is done
    with ``repo`` may put a blob into the base."""
    if repo.url().startswith(b'bundle:'):
        # an overlay
        return True
    server = servermod.of(repo)
    if server is None:
        return False
    return bool(server.settings.routeall or server.request.blobs)


def put(repo, server, url: bytes, kind: str, name: str, chunks: Any) -> None:
    """Take a blob into the bundle store, from a client that is known by
    ``url`` as one that pushes; raises ``error.Abort``."""
    user = access.username(url)
    log.newrequest(server)
    with log.refusals(repo.ui, server, url, 'upload'):
        server.checksettings()
        access.checkpush(repo.ui, user)
        found = placeof(repo, kind)
        if found is None:
            raise error.Abort(_(b'this repository has no bundle store'))
        with aborting():
            found.put(name, chunks, server.settings.maxbundlesize)
