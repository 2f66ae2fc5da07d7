"""``hg pushes --bookmarks``: the scratch bookmarks that a server has."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from mercurial import cmdutil, error, logcmdutil, pycompat
from mercurial.i18n import _
from mercurial.utils import dateutil

from .. import pushlist, wire
from . import commands


def show(ui, repo, source, opts) -> int:
    """Run the command; returns its exit code."""
    for other in ('user', 'rev'):
        cmdutil.check_at_most_one_arg(opts, 'bookmarks', other)
    byteopts = pycompat.byteskwargs(opts)
    query = pushlist.Query(
        limit=logcmdutil.getlimit(byteopts),
        bookmarks=commands._text(opts['bookmarks']),
    )
    with commands._asking(ui, repo, source, opts, wire.decodebookmarks) as ask:
        fm, begin = commands._formatter(ui, byteopts)
        records = _records(ask, query)
        # what goes wrong is told before there is any output
        first = next(records, None)
        ui.pager(b'pushes')
        ui.write(begin)
        with fm:
            if first is None:
                if fm.isplain():
                    ui.status(_(b'no scratch bookmarks found\n'))
                return 1
            for record in itertools.chain([first], records):
                fm.startitem()
                if fm.isplain():
                    _showtext(ui, fm, record)
                else:
                    _showdata(fm, record)
    return 0


def _records(ask, query: pushlist.Query) -> Iterator[dict[str, Any]]:
    """Yield the bookmarks that ``query`` asks for, and ask for the next page
    when somebody wants to see it."""
    while True:
        page = ask(query)
        found = page['bookmarks']
        yield from found
        after = page['next']
        if query.limit is not None:
            query = query._replace(limit=query.limit - len(found))
        if not after or not found or query.limit == 0:
            return
        if after <= (query.after or ''):
            raise error.RemoteError(_(b'the server gives the same page again'))
        query = query._replace(after=after)


def _showtext(ui, fm, record: dict[str, Any]) -> None:
    name = commands._local(record['bookmark'])
    if ui.quiet:
        fm.plain(b'%s\n' % name, label=b'log.bookmark')
        return
    fm.plain(_(b'bookmark:    %s\n') % name, label=b'log.bookmark')
    node = fm.hexfunc(bytes.fromhex(record['node']))
    fm.plain(_(b'changeset:   %s\n') % node, label=b'log.changeset')
    if record['push'] is not None:
        fm.plain(_(b'push:        %d\n') % record['push'], label=b'log.push')
    if record['user']:
        fm.plain(
            _(b'user:        %s\n') % commands._oneline(record['user']),
            label=b'log.user',
        )
    if record['time'] is not None:
        date = fm.formatdate(dateutil.makedate(record['time']))
        fm.plain(_(b'date:        %s\n') % date, label=b'log.date')
    fm.plain(b'\n')


def _showdata(fm, record: dict[str, Any]) -> None:
    time = record['time']
    fm.data(
        bookmark=commands._local(record['bookmark']),
        node=record['node'].encode(),
        push=record['push'],
        user=commands._local(record['user']),
        date=None if time is None else fm.formatdate(dateutil.makedate(time)),
    )
