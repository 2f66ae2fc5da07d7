"""Tells clients which of the changesets that they pull come from the store.

A client with this extension says in the bundle2 capabilities of its request
that it wants to know; the bytes of the answer to others stay what they are.
The part is advisory, and comes before the changesets: the client sees by then
which of them it lacks. It holds their hashes. Where some come from a private
workspace, it says so, and the client shows none of them by mistake.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mercurial import bundle2, util

from .. import names


def announce(bundlecaps: Iterable[bytes]) -> set[bytes]:
    """Return the capabilities of a request, and that the client wants to
    know."""
    result = set(bundlecaps)
    for cap in bundlecaps:
        name, _equals, value = cap.partition(b'=')
        if name == b'bundle2':
            caps = bundle2.decodecaps(util.urlreq.unquote(value))
            caps[names.CAPABILITY] = [names.TELLORIGIN]
            result.remove(cap)
            value = util.urlreq.quote(bundle2.encodecaps(caps))
            result.add(b'bundle2=' + value)
    return result


def iswanted(b2caps) -> bool:
    """Whether a client with these capabilities wants to know."""
    return names.TELLORIGIN in b2caps.get(names.CAPABILITY, ())


def part(nodes: Iterable[bytes], private: bool = False):
    """Return the part that names changesets of the store; not everybody may
    see them if they are ``private``."""
    data = b''.join(sorted(nodes))
    made = bundle2.bundlepart(names.FROMSTORE, data=data, mandatory=False)
    if private:
        made.addparam(names.HIDDEN, b'1', mandatory=False)
    return made


def step(
    bundler, repo, source, b2caps=None, heads=None, common=None, **kwargs: Any
) -> None:
    """Add the part to an answer that an overlay gives: a step of
    ``exchange.getbundle2partsgenerator``."""
    # other repositories have none
    scratch = getattr(repo.unfiltered(), 'scratchrevs', None)
    if not scratch or not heads or not iswanted(b2caps or {}):
        return
    cl = repo.changelog
    has = [cl.rev(node) for node in common or () if cl.hasnode(node)]
    wanted = map(cl.rev, heads)
    missing = cl.findmissingrevs(common=has, heads=list(wanted))
    nodes = [cl.node(rev) for rev in missing if rev in scratch]
    if nodes:
        bundler.addpart(part(nodes, repo.unfiltered().isprivate))
