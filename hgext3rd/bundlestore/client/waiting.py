"""``hg pushes --wait``: until it is known how a push went."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from typing import Any

from mercurial import error, pycompat
from mercurial.i18n import _
from mercurial.utils import urlutil

from .. import config
from ..names import MIN_PREFIX
from ..wire.pushes import Query
from . import listing, noted, pushes

_ID = re.compile(rb'[1-9][0-9]{0,14}\Z')
#: a number, or a hash
_PUSH = re.compile(rb'([0-9]+|[0-9a-f]{%d,40})\Z' % MIN_PREFIX)
#: seconds until a server is asked again, at first and at most: it grows as long
#: as nothing happens
_SOON = 1.0
_MOST = 30.0


def show(ui, repo, words, opts) -> int:
    """Wait, then show what was waited for; returns the exit code of the
    command."""
    byteopts = pycompat.byteskwargs(opts)
    limit = _timeout(opts['timeout'])
    name, source = _meant(ui, words)
    mine = None
    if name is None:
        mine = _last(ui, repo, source)
        name = b'%d' % mine.id
    with (
        listing.asking(ui, repo, source, opts) as asked,
        pushes.noting(repo, asked.location) as see,
    ):
        fm, begin = listing.formatter(ui, byteopts)
        ask = asked.ask
        if mine is None:
            query = _query(ask, name)
        else:
            query = _byid(mine.id)
            ask = _only(mine, ask)
            if fm.isplain():
                last = mine.nodes[-1][:12].encode()
                ui.status(_(b'waiting for push %s (%s)\n') % (name, last))
                ui.flush()
        record = _wait(ui, ask, query, name, limit)
        found = see([record])
        listing.show(ui, fm, begin, found, b'', _showtext, pushes.showdata)
    return int(any(one['state'] != 'success' for one in record['statuses']))


# -- which push


def _meant(ui, words) -> tuple[bytes | None, bytes | None]:
    """Return what is to be waited for, if it is named, and where, if that is:
    either may come first."""
    matches = config.bookmarkmatcher(ui)

    def ispush(word: bytes) -> bool:
        return bool(_PUSH.match(word) or matches(word))

    def issource(word: bytes) -> bool:
        return not ispush(word) and (
            word in ui.paths or b'://' in word or os.path.isdir(word)
        )

    if len(words) < 2:
        name, source = [*words, None, None][:2]
        isonly = name is not None and issource(name)
    else:
        name, source = words
        isonly = issource(name) and not issource(source)
    return (source, name) if isonly else (name, source)


def _last(ui, repo, source) -> noted.Push:
    """Return the push that was made from here last; raises ``error.Abort``."""
    found = []
    if repo is not None:
        found = noted.mine(repo)
        to = set(map(noted.key, listing.destinations(ui, repo, source)))
        for push in found:
            if push.server in to:
                return push
    if found:
        hint = _(b'the last one was push %d to %s') % (
            found[0].id,
            found[0].server.encode('latin-1'),
        )
    else:
        hint = _(b"name it, 'hg pushes' lists the pushes")
    raise error.InputError(
        _(b'no push to %s is known that was made from here')
        % urlutil.hidepassword(source or b'default'),
        hint=hint,
    )


def _only(mine: noted.Push, ask: listing.Ask) -> listing.Ask:
    """Have only that push be an answer: the server may be another one than
    that which it went to, or have begun anew."""

    def check(query: Query) -> dict[str, Any]:
        found = ask(query)['pushes']
        return {'pushes': [one for one in found if noted.holds(mine, one)]}

    return check


def _timeout(value: bytes) -> float | None:
    if not value:
        return None
    if value.isdigit() and len(value) < 10:
        return float(value)
    raise error.InputError(
        _(b"--timeout is not a number of seconds: '%s'") % value
    )


def _byid(id: int) -> Query:
    return Query(last=id, limit=1, statuses=True)


def _query(ask: listing.Ask, name: bytes) -> Query:
    if _ID.match(name):
        query = _byid(int(name))
        # a longer one may be a hash, but is a number first
        if len(name) < MIN_PREFIX or _isthere(ask(query)['pushes'], query):
            return query
    return Query(rev=listing.text(name), limit=1, statuses=True)


def _isthere(found: list[dict[str, Any]], query: Query) -> bool:
    # the server gives an older one otherwise
    return bool(found) and query.last in (None, found[0]['push'])


def _wait(
    ui, ask: listing.Ask, query: Query, name: bytes, limit: float | None
) -> dict[str, Any]:
    """Return the record of the push when all that was begun with it has
    ended."""
    end = None if limit is None else time.monotonic() + limit
    before: list[dict[str, Any]] | None = None
    pause = _SOON
    with _progress(ui) as bar:
        while True:
            record = _ask(ask, query, name)
            # of several pushes with a changeset, the one that was the last
            query = _byid(record['push'])
            statuses = record.setdefault('statuses', [])
            pending = [
                one['context'] for one in statuses if one['state'] == 'pending'
            ]
            bar.total = len(statuses) or None
            bar.update(
                len(statuses) - len(pending),
                item=listing.oneline(pending[0]) if pending else b'',
            )
            if statuses and not pending:
                return record
            pause = min(pause * 1.5, _MOST) if statuses == before else _SOON
            before = statuses
            if end is not None:
                left = end - time.monotonic()
                if left <= 0:
                    raise _late(record, pending)
                pause = min(pause, left)
            time.sleep(pause)


@contextlib.contextmanager
def _progress(ui) -> Iterator[Any]:
    with ui.makeprogress(_(b'waiting'), unit=_(b'statuses')) as bar:
        yield bar


def _ask(ask: listing.Ask, query: Query, name: bytes) -> dict[str, Any]:
    found = ask(query)['pushes']
    if not _isthere(found, query):
        raise error.InputError(
            _(b"no push '%s'") % name,
            hint=_(b"'hg pushes' lists the pushes"),
        )
    record: dict[str, Any] = found[0]
    return record


def _late(record: dict[str, Any], pending: list[str]) -> error.Abort:
    if not pending:
        return error.Abort(
            _(b'nobody has told yet how push %d goes') % record['push']
        )
    return error.Abort(
        _(b'push %d has not ended yet: %s')
        % (record['push'], listing.oneline(', '.join(pending[:5])))
    )


def _showtext(ui, fm, record: dict[str, Any]) -> None:
    pushes.showstatuses(fm, record['statuses'])
