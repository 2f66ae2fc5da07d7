"""What a name means: a hash, a prefix of one, or a scratch bookmark.

The one place that knows; the wire, the web, lists and commands ask here. What
the base can make sense of stays the base's, also where Mercurial calls it
ambiguous or hidden: nobody must be able to change what a name in the base
means by a push with a similar hash. So the base is asked first, and the index
only for what is left.

Names are in the local encoding here, as they are in all of Mercurial.
"""

from __future__ import annotations

import re

from mercurial import error
from mercurial.i18n import _
from mercurial.node import bin, hex

from .bundle import overlay
from .names import MIN_PREFIX
from .server import hasnode, totext

#: a hash, or a prefix of one that is looked up
HASH = re.compile(rb'[0-9a-f]{%d,40}\Z' % MIN_PREFIX)
_SHORT = re.compile(rb'[0-9a-f]{1,%d}\Z' % (MIN_PREFIX - 1))
#: candidates that an ambiguous prefix lists
_MAX_CANDIDATES = 10


def isfullhash(name: bytes) -> bool:
    return len(name) == 40 and bool(HASH.match(name))


def maybescratch(server, name: bytes) -> bool:
    """Whether a name has a form that the store can know."""
    return bool(HASH.match(name)) or server.maybescratchbookmark(name)


def find(repo, server, name: bytes) -> bytes | None:
    """Return the changeset that a name stands for in the store, None if it is
    the base's or stands for nothing.

    It is the base's changeset where that holds what was pushed, and a scratch
    bookmark may point there. Raises ``error.RepoLookupError`` for a prefix of
    several. Where the index cannot be asked it is None, and ``server.trouble``
    says why.
    """
    server.trouble = None
    if isfullhash(name):
        node = bin(name)
        return node if server.locate(repo, [node], forbase=True) else None
    if not maybescratch(server, name):
        return None
    if ishash(repo, name):
        hidden = _hidden(repo, name)
        # By its full hash it can be had, if somebody pushed it, too.
        if hidden is not None and _matches(server, name) == [hidden]:
            return hidden
        return None
    if _isname(repo, name):
        return None
    if server.maybescratchbookmark(name):
        text = totext(name)
        found: bytes | None = server.ask(
            lambda index: index.bookmark(text), None
        )
        if found is not None:
            return found
    matches = _matches(server, name) if HASH.match(name) else []
    if len(matches) > 1:
        raise error.RepoLookupError(
            _(b"ambiguous prefix '%s': %s") % (name, _listed(matches))
        )
    return matches[0] if matches else None


def isbase(repo, name: bytes) -> bool:
    """Whether the base has something to say to a name, be it that it is
    ambiguous or hidden."""
    return ishash(repo, name) or _isname(repo, name)


def ishash(repo, name: bytes) -> bool:
    """Whether a name is the hash, or a prefix of it, of changesets of the base,
    shown or not."""
    if not HASH.match(name):
        return False
    try:
        return _match(repo, name) is not None
    except error.AmbiguousPrefixLookupError:
        return True


def inbase(repo, name: bytes) -> bytes:
    """Return the changeset that a name stands for in the base alone; raises
    what Mercurial does.

    Mercurial asks tags and branches on the way, and writes their caches when
    they are stale. No scratch changeset shall make it do that.
    """
    node: bytes = overlay.readonly(repo).lookup(name)
    return node


def istooshort(server, name: bytes) -> bool:
    """Whether somebody named a scratch changeset by less of its hash than is
    looked up."""
    return bool(_SHORT.match(name) and _matches(server, name, 1))


def tooshort(name: bytes) -> error.RepoLookupError:
    """Return what to raise then."""
    return error.RepoLookupError(
        _(
            b"unknown revision '%s': fewer than %d digits do not name a "
            b'scratch changeset'
        )
        % (name, MIN_PREFIX)
    )


def pushed(repo, server, name: bytes) -> bytes | None:
    """Return the changeset that somebody means who asks for its pushes.

    A full hash is returned as it is, as one that has landed was pushed all the
    same; None for a prefix that nobody has. Raises ``error.InputError`` for
    what is no hash and no scratch bookmark, and where a prefix is ambiguous.
    """
    if isfullhash(name):
        return bin(name)
    try:
        node = find(repo, server, name)
        if node is not None:
            return node
        server.checktrouble()
        if maybescratch(server, name):
            return inbase(repo, name)
    except error.FilteredRepoLookupError:
        return None
    except error.AmbiguousPrefixLookupError as exc:
        raise error.InputError(_(b"ambiguous prefix '%s'") % name) from exc
    except error.RepoLookupError as exc:
        if exc.args[0].startswith(b'ambiguous'):
            raise error.InputError(exc.args[0]) from exc
    if HASH.match(name):
        return None
    if istooshort(server, name):
        raise error.InputError(tooshort(name).args[0])
    raise error.InputError(
        _(b"unknown revision '%s': no such scratch bookmark") % name,
        hint=_(
            b'changesets are named by a hash, or by a prefix of at least '
            b'%d digits'
        )
        % MIN_PREFIX,
    )


# -- asking


def _match(repo, prefix: bytes) -> bytes | None:
    """Return the changeset of the base, hidden or not, that a prefix names;
    raises ``error.AmbiguousPrefixLookupError``."""
    try:
        node: bytes | None = repo.unfiltered().changelog._partialmatch(prefix)
    except error.WdirUnsupported:
        return None  # nothing but the digit f: the working directory
    return node


def _hidden(repo, prefix: bytes) -> bytes | None:
    """Return the changeset that a prefix names if the base does not show
    it."""
    try:
        node = _match(repo, prefix)
    except error.AmbiguousPrefixLookupError:
        return None
    return None if node is None or hasnode(repo, node) else node


def _isname(repo, name: bytes) -> bool:
    """Whether a name that is no hash of the base means something there: it may
    be a tag that looks like one, or a revision number."""
    try:
        inbase(repo, name)
    except (error.FilteredRepoLookupError, error.AmbiguousPrefixLookupError):
        return True
    except error.RepoLookupError:
        return False
    return True


def _matches(
    server, prefix: bytes, limit: int = _MAX_CANDIDATES + 1
) -> list[bytes]:
    found: list[bytes] = server.ask(
        lambda index: index.nodes(prefix.decode(), limit=limit), []
    )
    return found


def _listed(candidates: list[bytes]) -> bytes:
    text = b', '.join(hex(node) for node in candidates[:_MAX_CANDIDATES])
    if len(candidates) > _MAX_CANDIDATES:
        text += _(b' and more')
    return text
