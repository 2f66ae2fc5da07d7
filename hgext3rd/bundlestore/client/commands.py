"""``hg pushes``."""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
from collections.abc import Iterator
from typing import Any, Callable

from mercurial import (
    cmdutil,
    encoding,
    error,
    exthelper,
    logcmdutil,
    pycompat,
    registrar,
    util,
)
from mercurial.i18n import _
from mercurial.utils import dateutil, urlutil

from .. import compat, names, pushlist, server as servermod, wire, wraps
from . import storeless

eh = exthelper.exthelper()

_ID = re.compile(rb'[1-9][0-9]{0,14}\Z')

#: heads and bookmarks of a push that are shown without --verbose
_MAX_HEADS = 10
_MAX_BOOKMARKS = 10

#: gives the page that a query asks for; the name of its argument's class
#: would load ``pushlist`` in every process
_Ask = Callable[..., dict[str, Any]]


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
    with _asking(ui, repo, source, opts) as ask:
        fm, begin = _formatter(ui, byteopts)
        query = pushlist.Query(
            limit=limit,
            user=_text(opts['user']),
            rev=_text(opts['rev']),
            nodes=b'nodes' in fm.datahint(),
        )
        records = _records(ask, query)
        # what goes wrong is told before there is any output
        first = next(records, None)
        ui.pager(b'pushes')
        ui.write(begin)
        with fm:
            if first is None:
                if fm.isplain():
                    ui.status(_(b'no pushes found\n'))
                return 1
            for record in itertools.chain([first], records):
                fm.startitem()
                if fm.isplain():
                    _showtext(ui, fm, record)
                else:
                    _showdata(fm, record)
    return 0


def _remove(ui, repo, source, opts) -> int:
    if not _ID.match(opts['remove']):
        raise error.InputError(
            _(b"'%s' is not the number of a push") % opts['remove'],
            hint=_(b"'hg pushes' lists the pushes"),
        )
    id = int(opts['remove'])
    with _holding(ui, repo, source, opts) as (local, peer):
        if local is not None:
            found = wraps.room('removal.remove')(local, servermod.of(local), id)
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


def _text(option: bytes) -> str | None:
    """Return the value of an option as text, None for one that is not
    given."""
    if not option:
        return None
    return encoding.fromlocal(option).decode('utf-8', 'replace')


def _local(text: str) -> bytes:
    return servermod.tolocal(text)


# -- asking


@contextlib.contextmanager
def _asking(ui, repo, source, opts, decode=None) -> Iterator[_Ask]:
    """Give the function that asks for a page of pushes, or of what ``decode``
    reads; raises ``error.Abort`` if there is nobody to ask."""
    with _holding(ui, repo, source, opts) as (local, peer):
        if local is not None:
            yield functools.partial(
                pushlist.page, local, servermod.of(local), trusted=True
            )
        else:
            decode = decode or wire.decodepage
            yield functools.partial(_askpeer, peer, decode)


@contextlib.contextmanager
def _holding(ui, repo, source, opts) -> Iterator[tuple[Any, Any]]:
    """Give the repository that holds the pushes, if it is on this machine, and
    the peer, if there is one; raises ``error.Abort`` if there is neither."""
    if source is None and b'default' not in ui.paths:
        server = None if repo is None else servermod.of(repo)
        if server is None:
            raise error.ConfigError(
                _(b'default repository not configured!'),
                hint=_(b"see 'hg help config.paths'"),
            )
        yield repo, None
        return
    path = _path(ui, source or b'default')
    peer = _connect(ui, repo, path, opts)
    try:
        if not peer.capable(names.CAPABILITY):
            raise error.Abort(
                _(b'%s has no bundle store') % urlutil.hidepassword(path.loc),
                hint=_(
                    b'the server needs the bundlestore extension and '
                    b"'bundlestore.server = yes'"
                ),
            )
        if repo is not None:
            storeless.met(repo, peer)
        yield peer.local() or None, peer
    finally:
        peer.close()


def _path(ui, source: bytes):
    paths = list(urlutil.get_pull_paths(None, ui, [source]))
    if len(paths) != 1:
        raise error.Abort(
            _(b'path points to %d urls while %s only supports one: %s')
            % (len(paths), b'pushes', source)
        )
    return paths[0]


def _connect(ui, repo, path, opts):
    own = ui if repo is None else repo.ui
    # where a peer looks for them if it is given no options
    for name in ('ssh', 'remotecmd'):
        if opts[name]:
            own.setconfig(b'ui', name.encode(), opts[name], b'pushes')
    return compat.peer(ui if repo is None else repo, path.loc)


def _askpeer(peer, decode: _Ask, query: pushlist.Query) -> dict[str, Any]:
    return decode(wire.call(peer, names.PUSHES, wire.encodequery(query)))


def _records(ask: _Ask, query: pushlist.Query) -> Iterator[dict[str, Any]]:
    """Yield the pushes that ``query`` asks for, and ask for the next page
    when somebody wants to see it."""
    while True:
        page = ask(query)
        found = page['pushes']
        yield from found
        last = page['next']
        if query.limit is not None:
            query = query._replace(limit=query.limit - len(found))
        if not last or not found or query.limit == 0:
            return
        if last >= found[-1]['push']:
            raise error.RemoteError(_(b'the server gives the same page again'))
        # a bookmark may move from one page to the next
        query = query._replace(last=last, rev=page['node'] or query.rev)


# -- showing


def _formatter(ui, opts):
    """Return a formatter and what it writes before the first push, such as
    the bracket of JSON, which must not come before the pager."""
    ui.pushbuffer()
    try:
        fm = ui.formatter(b'pushes', opts)
    except error.Abort:
        # ``-T list`` ends so
        ui.write(ui.popbuffer())
        raise
    return fm, ui.popbuffer()


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
        name = _local(mark['bookmark'])
        if mark['node'] is None:
            text = _(b'bookmark:    %s (deleted)\n')
        else:
            text = _(b'bookmark:    %s\n')
        fm.plain(text % name, label=b'log.bookmark')
    _showmore(fm, len(marks) - shown)
    # a web server without logins does not know it
    if record['user']:
        fm.plain(
            _(b'user:        %s\n') % _oneline(record['user']),
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
            _(b'bundle:      %s\n') % _local(record['bundle']),
            label=b'ui.note log.bundle',
        )
    shown = len(heads) if ui.verbose else _MAX_HEADS
    for node, head in zip(short[:shown], heads):
        fm.plain(
            _(b'head:        %s %s\n') % (node, _oneline(head['desc'])),
            label=b'log.summary',
        )
    _showmore(fm, len(heads) - shown)
    fm.plain(b'\n')


def _showmore(fm, count: int) -> None:
    if count > 0:
        fm.plain(_(b'             and %d more\n') % count)


def _oneline(text: str) -> bytes:
    """Return text without the line breaks that Mercurial would not take
    either, but a web server may, in the name of a user."""
    return _local(text.replace('\r', ' ').replace('\n', ' '))


def _showdata(fm, record: dict[str, Any]) -> None:
    fm.data(
        push=record['push'],
        user=_local(record['user']),
        date=fm.formatdate(_date(record)),
        bundle=_local(record['bundle']),
        size=record['size'],
        count=record['count'],
    )
    with fm.nested(b'heads', tmpl=b'{node|short}', sep=b' ') as nested:
        for head in record['heads']:
            nested.startitem()
            nested.data(node=head['node'].encode(), desc=_local(head['desc']))
    with fm.nested(b'bookmarks', tmpl=b'{bookmark}', sep=b' ') as nested:
        for mark in record['bookmarks']:
            node = mark['node']
            nested.startitem()
            nested.data(
                bookmark=_local(mark['bookmark']),
                node=None if node is None else node.encode(),
            )
    if 'nodes' in record:
        nodes = [node.encode() for node in record['nodes']]
        fm.data(nodes=fm.formatlist(nodes, name=b'node'))
