"""The blobs of largefiles: those of the bundle store beside those of the base.

Whoever looks for one in the base finds those of the bundle store, too. A
client asks the same question before it pulls and before it pushes, so what it
then pushes to the base may name a blob that only the bundle store has:
``landing.py`` gives the base that.
"""

from __future__ import annotations

from mercurial import error, wireprototypes

from .. import server as servermod
from ..server import totext
from ..start.wraps import inplaceof
from . import place, served


@inplaceof('largefiles.lfutil.findfile')
def findfile(orig, repo, hash):
    """Return the path of a blob, None if there is none."""
    from hgext.largefiles import lfutil

    # of a changeset that is in memory alone, see bundle/memory.py
    new = getattr(repo.unfiltered(), 'largefilesinmemory', {})
    if hash in new:
        return new[hash]
    found = served.placeof(repo, place.LARGEFILES)
    if found is None or lfutil.findstorepath(repo, hash)[1]:
        return orig(repo, hash)
    name = totext(hash)
    if place.isname(place.LARGEFILES, name) and found.keep(name):
        return found.path(name)
    if not served.storesall(repo):
        return orig(repo, hash)
    # the base would keep what it finds in the cache of the account
    if lfutil.inusercache(repo.ui, hash):
        return lfutil.usercachepath(repo.ui, hash)
    return None


@inplaceof('the command putlfile')
def putlfile(orig, repo, proto, sha):
    """Take a blob in over a wire."""
    server = servermod.of(repo)
    if server is None or not served.storesall(repo):
        return orig(repo, proto, sha)
    from ..push import pace

    with (
        proto.mayberedirectstdio() as output,
        pace.payload(repo, server, proto) as chunks,
    ):
        code = 0
        try:
            served.put(
                repo,
                server,
                proto.client(),
                place.LARGEFILES,
                totext(sha),
                chunks,
            )
        except error.Abort as exc:
            repo.ui.warn(exc.format())
            code = 1
    said = output.getvalue() if output else b''
    return wireprototypes.pushres(code, said)


# -- by path


@inplaceof('largefiles.localstore.localstore.put')
def put(orig, self, source, hash):
    """Take a blob in by path."""
    repo = self.remote
    server = servermod.of(repo)
    if server is None or not served.storesall(repo):
        orig(self, source, hash)
        return
    with open(source, 'rb') as fh:
        chunks = iter(lambda: fh.read(place.BLOCK), b'')
        served.put(repo, server, b'', place.LARGEFILES, totext(hash), chunks)


@inplaceof('largefiles.localstore.localstore.exists')
def exists(orig, self, hashes):
    """Tell which blobs there are, to who pushes or pulls by path."""
    answer = orig(self, hashes)
    found = served.placeof(self.remote, place.LARGEFILES)
    if found is not None:
        for hash in [hash for hash, there in answer.items() if not there]:
            name = totext(hash)
            answer[hash] = place.isname(place.LARGEFILES, name) and found.keep(
                name
            )
    return answer
