"""On-demand pull: a changeset that a command names is fetched when needed.

All commands turn what the user names into revisions in ``scmutil.revrange``.
What looks like a hash or like a scratch bookmark and is not known here is
asked for there, in one round trip, and pulled if the server has it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from mercurial import (
    error,
    exchange,
    pycompat,
    revsetlang,
    scmutil,
)
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.utils import urlutil

from .. import compat, config, server as servermod
from ..names import CAPABILITY, MIN_PREFIX
from ..wraps import inplaceof
from . import fromstore

_HASH = re.compile(rb'[0-9a-f]{%d,40}\Z' % MIN_PREFIX)


@inplaceof('scmutil.revrange')
def revrange(orig, repo, specs, *args, **kwargs):
    specs = list(specs)
    fromstore.register()
    if _applies(repo):
        missing = _missing(repo, specs)
        if missing:
            _fetch(repo, missing)
    return orig(repo, specs, *args, **kwargs)


def _applies(repo) -> bool:
    """Whether this is the repository of a user, who has a server to ask."""
    return (
        repo.ui.configbool(config.SECTION, b'autopull')
        and repo.local()
        and not repo.url().startswith(b'bundle:')
        and servermod.of(repo) is None
        and b'default' in repo.ui.paths
    )


# -- what is named and not known


def _missing(repo, specs) -> list[bytes]:
    """Return the names in ``specs`` that may be on the server only."""
    isscratch = config.bookmarkmatcher(repo.ui)
    asked = _asked(repo)
    found: dict[bytes, None] = {}
    for spec in specs:
        if isinstance(spec, bytes):
            for name in _symbols(spec, isscratch):
                if name not in asked and (_HASH.match(name) or isscratch(name)):
                    found[name] = None
    return [name for name in found if not _isknown(repo, name)]


def _asked(repo) -> set[bytes]:
    """Return the names that this command asked for already: it looks its
    arguments up more than once.

    They are kept on the ``ui``. A command server has one repository for many
    commands, and gives it a new ``ui`` for each.
    """
    if not hasattr(repo.ui, '_bundlestoreasked'):
        repo.ui._bundlestoreasked = set()
    asked: set[bytes] = repo.ui._bundlestoreasked
    return asked


def _symbols(spec: bytes, isscratch) -> Iterator[bytes]:
    """Yield the symbols of a revset.

    ``revsetlang.gethashlikesymbols`` does not look behind unary operators
    (``::HASH``, ``HASH^``), and knows no bookmarks.
    """
    try:
        # the name of a scratch bookmark may hold a minus sign
        tree = revsetlang.parse(spec, lookup=isscratch)
    except error.ParseError:
        return
    pending = [tree]
    while pending:
        node = pending.pop()
        if not isinstance(node, tuple) or not node:
            continue
        if node[0] == b'symbol':
            yield node[1]
        elif node[0] == b'func':
            pending.extend(node[2:])
        else:
            pending.extend(node[1:])


def _isknown(repo, name: bytes) -> bool:
    """Whether the repository can make sense of a name without help. Hidden
    and ambiguous ones are known, and so is the working copy's hash."""
    try:
        return scmutil.isrevsymbol(repo.unfiltered(), name)
    except (error.LookupError, error.WdirUnsupported):
        return True


# -- fetching


def _fetch(repo, names: list[bytes]) -> None:
    """Pull those of ``names`` that the default path has."""
    ui = repo.ui
    _asked(repo).update(names)
    path = ui.paths[b'default'][0]
    with _connected(repo, path) as peer:
        if peer is None or not peer.capable(CAPABILITY):
            return
        nodes = _lookup(peer, names)
        if not nodes:
            return
        for name in nodes:
            ui.status(
                _(b'pulling %s from %s\n')
                % (_shortened(name), urlutil.hidepassword(path.loc))
            )
        marks = {n: nodes[n] for n in nodes if not _HASH.match(n)}
        exchange.pull(
            repo,
            peer,
            path=path,
            heads=list(dict.fromkeys(nodes.values())),
            bookmarks=list(marks),
            opargs={b'remotebookmarks': marks},
        )


def _shortened(name: bytes) -> bytes:
    return name[:12] if _HASH.match(name) else name


@contextlib.contextmanager
def _connected(repo, path) -> Iterator[Any]:
    """Give a peer for ``path``, or None where there is no connection.

    The user asked for a revision, not for a connection: why there is none is
    shown with --debug, and the command goes on to say what it does not know.
    """
    peer = None
    repo.ui.pushbuffer(error=True, subproc=True)
    try:
        peer = compat.peer(repo, path.loc)
    except (error.Abort, error.RepoError, OSError) as exc:
        reason = pycompat.bytestr(exc)
    else:
        reason = b''
    finally:
        output = repo.ui.popbuffer()
    if peer is None:
        repo.ui.debug(
            b'cannot ask %s: %s\n' % (urlutil.hidepassword(path.loc), reason)
        )
        repo.ui.debug(output)
        yield None
        return
    try:
        yield peer
    finally:
        peer.close()


def _lookup(peer, names: list[bytes]) -> dict[bytes, bytes]:
    """Return the nodes of those of ``names`` that the server knows."""
    nodes = {}
    with peer.commandexecutor() as executor:
        futures = [
            (name, executor.callcommand(b'lookup', {b'key': name}))
            for name in names
        ]
    for name, future in futures:
        try:
            node = future.result()
            # a number of digits may be a revision number over there
            if not _HASH.match(name) or hex(node).startswith(name):
                nodes[name] = node
        except (error.RepoError, error.LookupError) as exc:
            message = pycompat.bytestr(exc)
            if b'ambiguous' in message:
                raise error.InputError(message)
    return nodes
