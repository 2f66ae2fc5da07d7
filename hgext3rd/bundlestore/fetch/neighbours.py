"""What other extensions ask a server, where scratch changesets matter to it.

Clients with remotefilelog pull changesets without the contents of their files,
and ask for these when they need them, by path and hash. The base answers that,
and has none of a scratch changeset: so those come along with the pull, as
what such a client commits itself is kept by it, too.

Clients with evolve compare markers with the server, range by range, of all
changesets that they count as common. A scratch changeset that is pulled once
more is one of them, and evolve does not expect to be asked about a changeset
that the repository lacks.
"""

from __future__ import annotations

from collections.abc import Iterable

from mercurial import wireprototypes

from .. import server as servermod
from ..start.wraps import inplaceof

#: the number behind the hash of the head of a range, in bytes
_INDEX = 4
#: what evolve says of a range that it does not know: the name of the working
#: directory
_UNKNOWN = b'\xff' * 20

#: by which core's remotefilelog asks for changesets without files, and says
#: which files it means
_FILELESS = b'exp-remotefilelog-b2cap-1'
_FILEPATTERNS = (b'includepattern=', b'excludepattern=')


def isfileless(cap: bytes) -> bool:
    """Whether the capability ``cap`` of a bundle asks for changesets without
    the contents of files."""
    return cap == _FILELESS or cap.startswith(_FILEPATTERNS)


def withfiles(bundlecaps: Iterable[bytes]) -> set[bytes]:
    """Return the capabilities without those: where changesets of the base go
    in front of stored ones, their files come along, too."""
    return {cap for cap in bundlecaps if not isfileless(cap)}


@inplaceof('the command evoext_obshashrange_v1')
def obshashrange(orig, repo, proto, ranges):
    """Answer for the ranges that the repository has, and say of the others
    that they are unknown: the client then asks for their markers."""
    if servermod.of(repo) is None:
        return orig(repo, proto, ranges)
    has = repo.unfiltered().changelog.hasnode
    asked = wireprototypes.decodelist(ranges)
    shown = [entry for entry in asked if has(entry[:-_INDEX])]
    found = []
    if shown:
        found = orig(repo, proto, wireprototypes.encodelist(shown))
        found = wireprototypes.decodelist(found)
    answers = dict(zip(shown, found))
    return wireprototypes.encodelist(
        [answers.get(entry, _UNKNOWN) for entry in asked]
    )


def askpeer(repo, peer) -> None:
    """Do as :func:`obshashrange` for a client that asks by path."""
    orig = peer.evoext_obshashrange_v1
    has = repo.unfiltered().changelog.hasnode

    def ask(ranges):
        shown = [entry for entry in ranges if has(entry[0])]
        answers = dict(zip(shown, orig(shown))) if shown else {}
        return [answers.get(entry, _UNKNOWN) for entry in ranges]

    peer.evoext_obshashrange_v1 = ask
