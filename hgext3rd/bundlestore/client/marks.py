"""``hg pushes --bookmarks``: the scratch bookmarks that a server has."""

from __future__ import annotations

from typing import Any

from mercurial import cmdutil, logcmdutil, pycompat
from mercurial.i18n import _
from mercurial.utils import dateutil

from ..server import tolocal
from ..wire import pushes
from . import listing


def show(ui, repo, source, opts) -> int:
    """Run the command; returns its exit code."""
    for other in ('user', 'rev'):
        cmdutil.check_at_most_one_arg(opts, 'bookmarks', other)
    byteopts = pycompat.byteskwargs(opts)
    query = pushes.Query(
        limit=logcmdutil.getlimit(byteopts),
        bookmarks=listing.text(opts['bookmarks']),
    )
    with listing.asking(
        ui, repo, source, opts, pushes.decodebookmarks
    ) as asked:
        fm, begin = listing.formatter(ui, byteopts)
        found = listing.records(asked.ask, query, 'bookmarks', _following)
        nothing = _(b'no scratch bookmarks found\n')
        return listing.show(ui, fm, begin, found, nothing, _showtext, _showdata)


def _following(
    query: pushes.Query, page: dict[str, Any]
) -> pushes.Query | None:
    if page['next'] <= (query.after or ''):
        return None
    return query._replace(after=page['next'])


def _showtext(ui, fm, record: dict[str, Any]) -> None:
    name = tolocal(record['bookmark'])
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
            _(b'user:        %s\n') % listing.oneline(record['user']),
            label=b'log.user',
        )
    if record['time'] is not None:
        date = fm.formatdate(dateutil.makedate(record['time']))
        fm.plain(_(b'date:        %s\n') % date, label=b'log.date')
    fm.plain(b'\n')


def _showdata(fm, record: dict[str, Any]) -> None:
    time = record['time']
    fm.data(
        bookmark=tolocal(record['bookmark']),
        node=record['node'].encode(),
        push=record['push'],
        user=tolocal(record['user']),
        date=None if time is None else fm.formatdate(dateutil.makedate(time)),
    )
