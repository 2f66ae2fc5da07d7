"""On-demand pull: a changeset that a command names is fetched when needed.

All commands turn what the user names into revisions in ``scmutil.revrange``.
What looks like a hash or like a scratch bookmark, stands where a revision is
expected and is not known here is asked for there, in one round trip, and
pulled if the server has it. If that does not help, the abort of the command
says why, in a hint.
"""

from __future__ import annotations

import re

from mercurial import (
    encoding,
    error,
    exchange,
    scmutil,
)
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.utils import urlutil

from .. import config, server as servermod
from ..names import MIN_PREFIX
from ..records import NamedTuple
from ..start.wraps import inplaceof
from ..wire import values
from . import asking, fromstore, ground as groundmod, storeless, symbols

_HASH = re.compile(rb'[0-9a-f]{%d,40}\Z' % MIN_PREFIX)
#: taken for a number of a revision, a date or the like
_NUMBER = re.compile(rb'[0-9]{1,11}\Z')


@inplaceof('scmutil.revrange')
def revrange(orig, repo, specs, localalias=None):
    specs = list(specs)
    fromstore.register()
    if _applies(repo):
        missing = _missing(repo, specs, localalias)
        if missing:
            _fetch(repo, missing)
    try:
        return orig(repo, specs, localalias)
    except error.RepoLookupError as exc:
        if exc.hint is None:
            exc.hint = _hint(repo, exc)
        raise


def _applies(repo) -> bool:
    """Whether this is the repository of a user, who has a server to ask.

    Bundles and unions of repositories, which one cannot pull into, have other
    URLs.
    """
    return (
        repo.ui.configbool(config.SECTION, b'autopull')
        and repo.local()
        and repo.url().startswith(b'file:')
        and servermod.of(repo) is None
        and b'default' in repo.ui.paths
    )


# -- what is named and not known


def _missing(repo, specs, localalias) -> list[bytes]:
    """Return the names in ``specs`` that may be on the server only."""
    isscratch = config.bookmarkmatcher(repo.ui)
    asked = _tried(repo).hints
    aliases = [
        *repo.ui.configitems(b'revsetalias'),
        *(localalias or {}).items(),
    ]
    found: dict[bytes, None] = {}
    for spec in specs:
        if isinstance(spec, bytes):
            # the name of a scratch bookmark may hold a minus sign
            for name in symbols.revisions(spec, aliases, isscratch):
                if name not in asked and (_ishash(name) or isscratch(name)):
                    found[name] = None
    return [name for name in found if not _isknown(repo, name)]


def _ishash(name: bytes) -> bool:
    return bool(_HASH.match(name)) and not _NUMBER.match(name)


def _isknown(repo, name: bytes) -> bool:
    """Whether the repository can make sense of a name without help. Hidden
    and ambiguous ones are known, and so is the working copy's hash."""
    try:
        return scmutil.isrevsymbol(repo.unfiltered(), name)
    except (error.LookupError, error.WdirUnsupported):
        return True


class _Tried(NamedTuple):
    """What this command has done to find what it does not know."""

    #: the names that were asked for, and what to say if they stay unknown
    hints: dict[bytes, bytes]
    #: why the server could not be asked, if so
    failures: list[bytes]


def _tried(repo) -> _Tried:
    """Return what this command has tried already: it looks its arguments up
    more than once.

    This is kept on the ``ui``. A command server has one repository for many
    commands, and gives it a new ``ui`` for each.
    """
    if not hasattr(repo.ui, '_bundlestoretried'):
        repo.ui._bundlestoretried = _Tried({}, [])
    tried: _Tried = repo.ui._bundlestoretried
    return tried


def _hint(repo, exc: error.RepoLookupError) -> bytes | None:
    """Return why what the error names was not fetched."""
    message = bytes(exc)
    for name, hint in _tried(repo).hints.items():
        if hint and b"'%s'" % name in message:
            return hint
    return None


# -- fetching


def _fetch(repo, names: list[bytes]) -> None:
    """Pull those of ``names`` that the default path has."""
    ui = repo.ui
    tried = _tried(repo)
    path = ui.paths[b'default'][0]
    place = urlutil.hidepassword(path.loc)
    # a command that catches the error must not ask again either
    tried.hints.update(dict.fromkeys(names, b''))
    if tried.failures:
        tried.hints.update(dict.fromkeys(names, tried.failures[0]))
        return
    nostore = _(b'%s has no bundle store') % place
    if storeless.knows(repo, path.loc):
        tried.hints.update(dict.fromkeys(names, nostore))
        return
    if not ui.quiet:
        shown = b', '.join(map(_shortened, names))
        ui.write_err(
            _(b'asking %s for %s\n') % (place, shown), label=b'ui.status'
        )
    limit = ui.configint(config.SECTION, b'autopull-timeout')
    ground = None
    if not urlutil.url(path.loc).islocal():
        heads = repo.changelog.headrevs()
        ground = groundmod.below(repo, heads, values.MAX_NODES)
    try:
        about = [] if ground is None else groundmod.nodes(repo, ground)
        answer = asking.ask(repo, path.loc, names, about, limit)
    except asking.NoAnswer as exc:
        hint = _(b'%s could not be asked: %s') % (place, exc.args[0])
        ui.debug(b'%s\n' % hint)
        tried.failures.append(hint)
        tried.hints.update(dict.fromkeys(names, hint))
        return
    try:
        if not urlutil.url(path.loc).islocal():
            storeless.learn(repo, path.loc, answer.hasstore)
        if not answer.hasstore:
            tried.hints.update(dict.fromkeys(names, nostore))
            return
        nodes = {
            name: node
            for name, node in answer.nodes.items()
            # a number of digits may be a revision number over there
            if not _HASH.match(name) or hex(node).startswith(name)
        }
        for name in names:
            what = _(b'changeset') if _HASH.match(name) else _(b'bookmark')
            tried.hints[name] = _(b'%s has no %s %s') % (place, what, name)
        if nodes:
            if ground is not None:
                found = groundmod.common(
                    repo, ground, answer.there, answer.heads
                )
                groundmod.hold(answer.peer, lambda _repo: found)
            hint = _pull(repo, answer.peer, path, place, nodes)
            tried.hints.update(dict.fromkeys(nodes, hint))
    finally:
        answer.peer.close()


def _pull(repo, peer, path, place: bytes, nodes: dict[bytes, bytes]) -> bytes:
    """Pull what the server has; return why that cannot be, if so."""
    for name in nodes:
        repo.ui.status(_(b'pulling %s from %s\n') % (_shortened(name), place))
    marks = {n: nodes[n] for n in nodes if not _HASH.match(n)}
    try:
        exchange.pull(
            repo,
            peer,
            path=path,
            heads=list(dict.fromkeys(nodes.values())),
            bookmarks=list(marks),
            opargs={b'remotebookmarks': marks},
        )
    except error.LockUnavailable as exc:
        text = _(b'%s has it, but this repository cannot be written: %s')
        return text % (place, encoding.strtolocal(exc.strerror))
    return b''


def _shortened(name: bytes) -> bytes:
    return name[:12] if _HASH.match(name) else name
