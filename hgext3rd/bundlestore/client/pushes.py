"""``hg pushes``: what it shows, and how."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from mercurial import (
    cmdutil,
    error,
    logcmdutil,
    pycompat,
    util,
)
from mercurial.i18n import _
from mercurial.utils import dateutil

from .. import names, server as servermod
from ..start import wraps
from ..wire import exchange, remove
from ..wire.pushes import Query
from . import listing, noted

_ID = re.compile(rb'[1-9][0-9]{0,14}\Z')

#: heads and bookmarks of a push that are shown without --verbose
_MAX_HEADS = 10
_MAX_BOOKMARKS = 10


def show(ui, repo, words, opts) -> int:
    """Do what the command was told to; returns its exit code."""
    byteopts = pycompat.byteskwargs(opts)
    if len(words) > 1 and not opts['wait']:
        raise error.CommandError(b'pushes', _(b'invalid arguments'))
    source = words[0] if words else None
    if opts['remove']:
        cmdutil.check_incompatible_arguments(
            opts, 'remove', ['bookmarks', 'user', 'rev', 'limit', 'wait']
        )
        return _remove(ui, repo, source, opts)
    if opts['wait']:
        cmdutil.check_incompatible_arguments(
            opts, 'wait', ['bookmarks', 'user', 'rev', 'limit']
        )
        from . import waiting

        return waiting.show(ui, repo, words, opts)
    if opts['timeout']:
        raise error.InputError(_(b'--timeout goes with --wait'))
    if opts['bookmarks']:
        from . import marks

        return marks.show(ui, repo, source, opts)
    limit = logcmdutil.getlimit(byteopts)
    with (
        listing.asking(ui, repo, source, opts) as asked,
        noting(repo, asked.location) as see,
    ):
        fm, begin = listing.formatter(ui, byteopts)
        query = Query(
            limit=limit,
            user=listing.text(opts['user']),
            rev=listing.text(opts['rev']),
            nodes=b'nodes' in fm.datahint(),
        )
        found = see(listing.records(asked.ask, query, 'pushes', _following))
        nothing = _(b'no pushes found\n')
        return listing.show(ui, fm, begin, found, nothing, _showtext, showdata)


@contextlib.contextmanager
def noting(repo, location) -> Iterator[Any]:
    """Give a function that looks on while pushes are shown; they are noted
    in the end."""
    if repo is None or location is None:
        yield iter
        return
    seen = noted.Seen(repo, location)
    yield seen.see
    seen.note()


def _remove(ui, repo, source, opts) -> int:
    if not _ID.match(opts['remove']):
        raise error.InputError(
            _(b"'%s' is not the number of a push") % opts['remove'],
            hint=_(b"'hg pushes' lists the pushes"),
        )
    id = int(opts['remove'])
    with listing.holding(ui, repo, source, opts) as (local, peer):
        if local is not None:
            found = wraps.room('keep.removal.remove')(
                local, servermod.of(local), id
            )
        elif not peer.capable(names.REMOVE):
            raise error.Abort(
                _(b'the server cannot remove pushes'),
                hint=_(b'it runs an older release of hg-bundlestore'),
            )
        else:
            found = remove.decode(
                exchange.call(peer, names.REMOVE, remove.encode(id))
            )
        if repo is not None and peer is not None:
            noted.forget(repo, peer.url(), id)
    bundles = wraps.room('words.counted')(found['bundles'], 'bundle').encode()
    ui.status(
        _(b'removed push %d, %s (%s)\n')
        % (found['push'], bundles, util.bytecount(found['size']))
    )
    return 0


def _following(query: Query, page: dict[str, Any]) -> Query | None:
    if page['next'] >= page['pushes'][-1]['push']:
        return None
    # a bookmark may move from one page to the next
    return query._replace(last=page['next'], rev=page['node'] or query.rev)


def _date(record: dict[str, Any]) -> tuple[int, int]:
    return dateutil.makedate(record['time'])


def _showtext(ui, fm, record: dict[str, Any]) -> None:
    id, heads = record['push'], record['heads']
    short = [fm.hexfunc(bytes.fromhex(head['node'])) for head in heads]
    if ui.quiet:
        line = b':'.join([b'%d' % id, *short[-1:]])
        fm.plain(b'%s\n' % line, label=b'log.node')
        return
    fm.plain(
        _(b'push:        %d\n') % id,
        label=b'log.changeset changeset.draft',
    )
    marks = record['bookmarks']
    shown = len(marks) if ui.verbose else _MAX_BOOKMARKS
    for mark in marks[:shown]:
        name = servermod.tolocal(mark['bookmark'])
        if mark['node'] is None:
            text = _(b'bookmark:    %s (deleted)\n')
        else:
            text = _(b'bookmark:    %s\n')
        fm.plain(text % name, label=b'log.bookmark')
    _showmore(fm, len(marks) - shown)
    # a web server without logins does not know it
    if record['user']:
        fm.plain(
            _(b'user:        %s\n') % listing.oneline(record['user']),
            label=b'log.user',
        )
    fm.plain(
        _(b'date:        %s\n') % fm.formatdate(_date(record)),
        label=b'log.date',
    )
    fm.plain(_(b'changesets:  %d\n') % record['count'], label=b'log.count')
    fm.plain(
        _(b'size:        %s\n') % util.bytecount(record['size']),
        label=b'log.size',
    )
    if ui.verbose:
        fm.plain(
            _(b'bundle:      %s\n') % servermod.tolocal(record['bundle']),
            label=b'ui.note log.bundle',
        )
        for name, value in record.get('pushvars', {}).items():
            fm.plain(
                _(b'pushvar:     %s\n') % listing.oneline(f'{name}={value}'),
                label=b'ui.note log.pushvar',
            )
    statuses = record.get('statuses')
    if statuses and ui.verbose:
        showstatuses(fm, statuses)
    elif statuses:
        _showcounts(fm, statuses)
    landings = record.get('landings', ())
    shown = len(landings) if ui.verbose else _MAX_HEADS
    for one in landings[:shown]:
        fm.plain(
            _(b'landed:      %s\n') % _landed(ui, fm, one),
            label=b'log.landed',
        )
    _showmore(fm, len(landings) - shown)
    shown = len(heads) if ui.verbose else _MAX_HEADS
    for node, head in zip(short[:shown], heads):
        fm.plain(
            _(b'head:        %s %s\n') % (node, listing.oneline(head['desc'])),
            label=b'log.summary',
        )
    _showmore(fm, len(heads) - shown)
    fm.plain(b'\n')


def showstatuses(fm, statuses: list[dict[str, Any]]) -> None:
    for one in statuses:
        words = [one[n] for n in ('context', 'state', 'url', 'description')]
        fm.plain(
            _(b'status:      %s\n')
            % listing.oneline(' '.join(filter(None, words))),
            label=b'log.status bundlestore.status.%s'
            % one['state'].encode('ascii', 'replace'),
        )


def _showcounts(fm, statuses: list[dict[str, Any]]) -> None:
    counts = Counter(one['state'] for one in statuses)
    text = ', '.join(f'{counts[state]} {state}' for state in sorted(counts))
    fm.plain(
        _(b'status:      %s\n') % listing.oneline(text), label=b'log.status'
    )


def _landed(ui, fm, landing: dict[str, Any]) -> bytes:
    node, its = landing['node'], landing['landed']
    text: bytes = fm.hexfunc(bytes.fromhex(node))
    if its != node:
        text = _(b'%s as %s') % (text, fm.hexfunc(bytes.fromhex(its)))
    if ui.verbose and landing['time'] is not None:
        by = listing.oneline(landing['user']) or _(b'somebody')
        text = _(b'%s, by %s, %s') % (text, by, fm.formatdate(_date(landing)))
    return text


def _showmore(fm, count: int) -> None:
    if count > 0:
        fm.plain(_(b'             and %d more\n') % count)


def showdata(fm, record: dict[str, Any]) -> None:
    fm.data(
        push=record['push'],
        user=servermod.tolocal(record['user']),
        date=fm.formatdate(_date(record)),
        bundle=servermod.tolocal(record['bundle']),
        size=record['size'],
        count=record['count'],
    )
    with fm.nested(b'heads', tmpl=b'{node|short}', sep=b' ') as nested:
        for head in record['heads']:
            nested.startitem()
            nested.data(
                node=head['node'].encode(), desc=servermod.tolocal(head['desc'])
            )
    with fm.nested(b'bookmarks', tmpl=b'{bookmark}', sep=b' ') as nested:
        for mark in record['bookmarks']:
            node = mark['node']
            nested.startitem()
            nested.data(
                bookmark=servermod.tolocal(mark['bookmark']),
                node=None if node is None else node.encode(),
            )
    pushvars = {
        servermod.tolocal(name): servermod.tolocal(value)
        for name, value in record.get('pushvars', {}).items()
    }
    fm.data(
        pushvars=fm.formatdict(pushvars, key=b'name', value=b'value', sep=b' ')
    )
    with fm.nested(b'statuses', tmpl=b'{context}={state}', sep=b' ') as nested:
        for one in record.get('statuses', ()):
            texts = {
                name: servermod.tolocal(one[name])
                for name in ('context', 'state', 'url', 'description', 'user')
            }
            nested.startitem()
            nested.data(**texts, date=nested.formatdate(_date(one)))
    with fm.nested(b'landings', tmpl=b'{landed|short}', sep=b' ') as nested:
        for one in record.get('landings', ()):
            known = one['time'] is not None
            nested.startitem()
            nested.data(
                node=one['node'].encode(),
                landed=one['landed'].encode(),
                user=servermod.tolocal(one['user']),
                date=nested.formatdate(_date(one)) if known else None,
            )
    if 'nodes' in record:
        nodes = [node.encode() for node in record['nodes']]
        fm.data(nodes=fm.formatlist(nodes, name=b'node'))
