"""``hg pushes --wait``: until it is known how a push went."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from typing import Any

from mercurial import error, pycompat
from mercurial.i18n import _

from ..wire.pushes import Query
from . import listing, pushes

_ID = re.compile(rb'[1-9][0-9]{0,14}\Z')
#: seconds until a server is asked again, at first and at most: it grows as long
#: as nothing happens
_SOON = 1.0
_MOST = 30.0


def show(ui, repo, source, opts) -> int:
    """Wait, then show what was waited for; returns the exit code of the
    command."""
    byteopts = pycompat.byteskwargs(opts)
    limit = _timeout(opts['timeout'])
    with listing.asking(ui, repo, source, opts) as ask:
        fm, begin = listing.formatter(ui, byteopts)
        record = _wait(ui, ask, _query(opts['wait']), opts['wait'], limit)
    listing.show(ui, fm, begin, iter([record]), b'', _showtext, pushes.showdata)
    return int(any(one['state'] != 'success' for one in record['statuses']))


def _timeout(value: bytes) -> float | None:
    if not value:
        return None
    if value.isdigit() and len(value) < 10:
        return float(value)
    raise error.InputError(
        _(b"--timeout is not a number of seconds: '%s'") % value
    )


def _query(name: bytes) -> Query:
    if _ID.match(name) and len(name) < 6:
        return Query(last=int(name), limit=1, statuses=True)
    return Query(rev=listing.text(name), limit=1, statuses=True)


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
            query = Query(last=record['push'], limit=1, statuses=True)
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
    if not found or (query.last is not None and found[0]['push'] != query.last):
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
