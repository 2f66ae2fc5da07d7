"""``hg pushes``."""

from __future__ import annotations

import re
from typing import Any

from mercurial import (
    cmdutil,
    error,
    exthelper,
    logcmdutil,
    pycompat,
    registrar,
    util,
)
from mercurial.i18n import _
from mercurial.utils import dateutil

from .. import names, pushlist, server as servermod, wire
from ..start import wraps
from . import listing

eh = exthelper.exthelper()

_ID = re.compile(rb'[1-9][0-9]{0,14}\Z')

#: heads and bookmarks of a push that are shown without --verbose
_MAX_HEADS = 10
_MAX_BOOKMARKS = 10


@eh.command(
    b'pushes',
    [
        (b'u', b'user', b'', _(b'show only pushes of such users'), _(b'USER')),
        (
            b'r',
            b'rev',
            b'',
            _(b'show only pushes that hold this scratch changeset'),
            _(b'HASH'),
        ),
        (b'l', b'limit', b'', _(b'show at most so many'), _(b'NUM')),
        (
            b'',
            b'bookmarks',
            b'',
            _(b'show scratch bookmarks of this form instead'),
            _(b'PATTERN'),
        ),
        (b'', b'remove', b'', _(b'remove a push of mine'), _(b'PUSH')),
        *cmdutil.formatteropts,
        *cmdutil.remoteopts,
    ],
    _(
        b'[-u USER] [-r HASH] [-l NUM] [--bookmarks PATTERN] [--remove PUSH] '
        b'[SOURCE]'
    ),
    helpcategory=registrar.command.CATEGORY_REMOTE_REPO_MANAGEMENT,
    optionalrepo=True,
)
def pushes(ui, repo, source=None, **opts):
    """list the pushes that a bundle store holds

    Show the scratch pushes of a server, newest first: those that
    :hg:`push --bundle-store`, or a push to a try URL, has put into its bundle
    store. Without SOURCE the server of the default path is asked, or, where
    there is no such path, the bundle store of the repository itself.

    USER is a part of the name of a user, in whatever case, as with :hg:`log
    -u`; a regular expression (``re:…``) is only taken where the store is on
    this machine, as there are some that take for ever.

    HASH is the hash of a changeset, a prefix of at least 6 digits of it, or a
    scratch bookmark. A push holds all changesets that it brought, not its
    heads only.

    With --remove the push with the number PUSH is removed, with its bundle,
    unless others rest on that, and the scratch bookmarks that it moved, unless
    they were moved since. Only who made a push can remove it, and only while
    it is not pinned.

    At most 10 heads and 10 bookmarks of a push are shown, and with
    -v/--verbose all of them and the key of its bundle. With -q/--quiet a push
    is one line, its number and its last head.

    With --bookmarks the scratch bookmarks whose whole name matches PATTERN are
    shown, sorted by name, and which push put each where it is. In PATTERN
    ``*`` stands for any characters and ``?`` for one. With -q/--quiet names
    are all that is shown.

    .. container:: verbose

      Template:

      The following keywords are supported in addition to the common template
      keywords and functions. See also :hg:`help templates`.

      :push:      Integer. The number of the push.
      :user:      String. Who pushed; empty if the server does not know.
      :date:      Date information. When that was, in the local time zone.
      :heads:     List of the changesets without a child in the push, each
                  with ``node`` and the first line of its description,
                  ``desc``.
      :count:     Integer. The number of changesets.
      :nodes:     List of strings. The changesets, parents first. They are
                  asked for only if a template names this keyword.
      :bookmarks: List of the scratch bookmarks that the push moved, each with
                  ``bookmark`` and ``node``. The latter is empty where the
                  bookmark was deleted.
      :bundle:    String. The key of the bundle.
      :size:      Integer. The bytes of the bundle.

      With --bookmarks the keywords are ``bookmark``, ``node``, ``push``, which
      is empty where the bookmark was moved without a push, ``user`` and
      ``date``.

      Examples:

      - list the scratch bookmarks of alice::

          hg pushes --bookmarks "scratch/alice/*"

      - show what you pushed last::

          hg pushes -u alice -l 1

      - find out who pushed a changeset, and when::

          hg pushes -r 1f0dee641bb7 -T "{date|isodate} {user}\\n"

      - list the heads of all pushes to a try URL::

          hg pushes -T "{heads % '{push} {node} {desc}\\n'}" try

    Returns 0 if there is something to show, or a push was removed, 1
    otherwise.
    """
    byteopts = pycompat.byteskwargs(opts)
    if opts['remove']:
        cmdutil.check_incompatible_arguments(
            opts, 'remove', ['bookmarks', 'user', 'rev', 'limit']
        )
        return _remove(ui, repo, source, opts)
    if opts['bookmarks']:
        from . import marks

        return marks.show(ui, repo, source, opts)
    limit = logcmdutil.getlimit(byteopts)
    with listing.asking(ui, repo, source, opts) as ask:
        fm, begin = listing.formatter(ui, byteopts)
        query = pushlist.Query(
            limit=limit,
            user=listing.text(opts['user']),
            rev=listing.text(opts['rev']),
            nodes=b'nodes' in fm.datahint(),
        )
        found = listing.records(ask, query, 'pushes', _following)
        nothing = _(b'no pushes found\n')
        return listing.show(ui, fm, begin, found, nothing, _showtext, _showdata)


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
            found = wire.decoderemove(
                wire.call(peer, names.REMOVE, wire.encoderemove(id))
            )
    bundles = wraps.room('words.counted')(found['bundles'], 'bundle').encode()
    ui.status(
        _(b'removed push %d, %s (%s)\n')
        % (found['push'], bundles, util.bytecount(found['size']))
    )
    return 0


def _following(
    query: pushlist.Query, page: dict[str, Any]
) -> pushlist.Query | None:
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
    shown = len(heads) if ui.verbose else _MAX_HEADS
    for node, head in zip(short[:shown], heads):
        fm.plain(
            _(b'head:        %s %s\n') % (node, listing.oneline(head['desc'])),
            label=b'log.summary',
        )
    _showmore(fm, len(heads) - shown)
    fm.plain(b'\n')


def _showmore(fm, count: int) -> None:
    if count > 0:
        fm.plain(_(b'             and %d more\n') % count)


def _showdata(fm, record: dict[str, Any]) -> None:
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
    if 'nodes' in record:
        nodes = [node.encode() for node in record['nodes']]
        fm.data(nodes=fm.formatlist(nodes, name=b'node'))
