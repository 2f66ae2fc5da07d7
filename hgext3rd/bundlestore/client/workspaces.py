"""``hg workspace``: what it shows, and what it does."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from typing import Any

from mercurial import cmdutil, encoding, error, logcmdutil, pycompat
from mercurial.i18n import _
from mercurial.utils import dateutil

from ..server import tolocal
from ..wire import views as wire
from . import listing, views

#: options that change a workspace, and take a value
_VALUES = ('share', 'unshare', 'rename')
_FLAGS = ('drop', 'restore', 'private')
#: what is shown of a list without --verbose
_MOST = 10


def show(ui, repo, name, opts) -> int:
    """Do what the command was told to; returns its exit code."""
    actions = [*_VALUES, *_FLAGS, 'log']
    action = cmdutil.check_at_most_one_arg(opts, *actions)
    cmdutil.check_at_most_one_arg(opts, 'user', 'all')
    if name is None:
        if action:
            raise error.InputError(
                _(b'--%s needs a workspace') % action.encode()
            )
        act = _list
    else:
        for other in ('user', 'all'):
            if opts[other]:
                raise error.InputError(
                    _(b'a workspace is named, --%s makes no sense')
                    % other.encode()
                )
        parsed = views.parse(name)
        if action == 'log':
            act = functools.partial(_log, name=parsed)
        elif action:
            act = functools.partial(_act, name=parsed, action=action)
        else:
            act = functools.partial(_showone, name=parsed)
    with listing.holding(ui, repo, opts['source'] or None, opts) as (
        local,
        peer,
    ):
        # the repository itself, where there is no default path
        return act(ui, peer or local.peer(), opts)


def _limit(opts) -> Any:
    return logcmdutil.getlimit(pycompat.byteskwargs(opts))


# -- what is done


def _act(ui, peer, opts, name: views.Name, action: str) -> int:
    argument = ''
    if action in _VALUES:
        argument = encoding.fromlocal(opts[action]).decode('utf-8', 'replace')
    isnew = action == 'private'
    answer = views.change(
        peer,
        wire.Change(
            'put' if isnew else action,
            name.owner,
            name.name,
            machine=views.machine(),
            argument=argument,
            private=isnew,
        ),
    )
    made = answer.view
    if answer.moved and made is not None and isnew:
        raise error.InputError(
            _(b"there is a workspace '%s' already") % views.called(made)
        )
    if answer.moved or made is None:
        raise error.StateError(
            _(b'the workspace was changed meanwhile'), hint=_(b'try again')
        )
    if isnew:
        ui.status(
            _(b"made private workspace '%s': 'hg push --workspace %s'\n")
            % (views.called(made), tolocal(made.name))
        )
    elif made.dropped:
        ui.status(
            _(b"dropped workspace '%s' (--restore brings it back)\n")
            % views.called(made)
        )
    else:
        ui.status(
            _(b"workspace '%s' is at version %d\n")
            % (views.called(made), made.version)
        )
    return 0


# -- what is shown


def _formatter(ui, opts):
    return listing.formatter(ui, pycompat.byteskwargs(opts), b'workspace')


def _list(ui, peer, opts) -> int:
    query = wire.Query(
        owner=listing.text(opts['user']),
        everybody=bool(opts['all']),
        limit=_limit(opts),
    )
    fm, begin = _formatter(ui, opts)
    found = (
        one
        for one in views.listed(peer, query)
        # backups have a command of their own
        if ui.verbose or ('/' not in one['name'] and not one['dropped'])
    )
    nothing = _(b'no workspaces found\n')
    return listing.show(ui, fm, begin, found, nothing, _showtext, _showdata)


def _log(ui, peer, opts, name: views.Name) -> int:
    query = wire.Query(
        owner=name.owner, name=name.name, log=True, limit=_limit(opts)
    )
    fm, begin = _formatter(ui, opts)
    found = views.logged(peer, query)
    nothing = _(b'no versions found\n')
    return listing.show(
        ui, fm, begin, found, nothing, _showversion, _versiondata
    )


def _showone(ui, peer, opts, name: views.Name) -> int:
    answer = views.get(
        peer, wire.Query(owner=name.owner, name=name.name, version=name.version)
    )
    if answer.view is None:
        raise views.unknown(name)
    fm, begin = _formatter(ui, opts)
    one = answer.view._asdict()
    return listing.show(ui, fm, begin, iter([one]), b'', _showwhole, _wholedata)


def _field(fm, name: bytes, value: bytes, label: bytes) -> None:
    fm.plain(b'%-12s %s\n' % (name + b':', value), label=label)


def _begin(ui, fm, one: dict[str, Any]) -> bool:
    """Show what a workspace is called; return whether more is wanted."""
    name = listing.oneline(f'{one["owner"]}/{one["name"]}')
    if ui.quiet:
        fm.plain(b'%s\n' % name, label=b'log.bookmark')
        return False
    _field(fm, _(b'workspace'), name, b'log.bookmark')
    return True


def _changed(fm, one: dict[str, Any]) -> None:
    version = b'%d' % one['version']
    if one['dropped']:
        version += _(b' (dropped)')
    if one['private']:
        version += _(b' (private)')
    _field(fm, _(b'version'), version, b'log.version')
    who = one['user'] + (f' on {one["machine"]}' if one['machine'] else '')
    _field(fm, _(b'user'), listing.oneline(who), b'log.user')
    date = fm.formatdate(dateutil.makedate(one['time']))
    _field(fm, _(b'date'), date, b'log.date')
    if one['writers']:
        writers = listing.oneline(', '.join(one['writers']))
        _field(fm, _(b'shared with'), writers, b'log.user')
    if one['readers']:
        readers = listing.oneline(', '.join(one['readers']))
        _field(fm, _(b'shown to'), readers, b'log.user')


def _showtext(ui, fm, one: dict[str, Any]) -> None:
    if not _begin(ui, fm, one):
        return
    _changed(fm, one)
    _field(fm, _(b'heads'), b'%d' % one['heads'], b'log.count')
    if one['bookmarks']:
        _field(fm, _(b'bookmarks'), b'%d' % one['bookmarks'], b'log.count')
    fm.plain(b'\n')


def _showwhole(ui, fm, one: dict[str, Any]) -> None:
    if not _begin(ui, fm, one):
        return
    _changed(fm, one)
    most = None if ui.verbose else _MOST
    for node in itertools.islice(one['heads'], most):
        _field(fm, _(b'head'), fm.hexfunc(node), b'log.changeset')
    _more(fm, len(one['heads']), most)
    for name, node in itertools.islice(one['bookmarks'], most):
        text = b'%s %s' % (fm.hexfunc(node), tolocal(name))
        _field(fm, _(b'bookmark'), text, b'log.bookmark')
    _more(fm, len(one['bookmarks']), most)
    fm.plain(b'\n')


def _more(fm, count: int, most: Any) -> None:
    if most is not None and count > most:
        fm.plain(_(b'             ... and %d more\n') % (count - most))


def _showversion(ui, fm, one: dict[str, Any]) -> None:
    if ui.quiet:
        fm.plain(b'%d\n' % one['version'], label=b'log.version')
        return
    _changed(fm, one)
    most = None if ui.verbose else _MOST
    for sign, kind in ((b'+', 'added'), (b'-', 'removed')):
        for node in itertools.islice(one[kind], most):
            text = sign + fm.hexfunc(bytes.fromhex(node))
            _field(fm, _(b'head'), text, b'log.changeset')
        _more(fm, len(one[kind]), most)
    for mark in itertools.islice(one['bookmarks'], most):
        text = tolocal(mark['bookmark'])
        if mark['node'] is None:
            text += _(b' (deleted)')
        else:
            text = b'%s %s' % (fm.hexfunc(bytes.fromhex(mark['node'])), text)
        _field(fm, _(b'bookmark'), text, b'log.bookmark')
    _more(fm, len(one['bookmarks']), most)
    fm.plain(b'\n')


def _data(fm, one: dict[str, Any]) -> None:
    fm.data(
        owner=tolocal(one['owner']),
        name=tolocal(one['name']),
        version=one['version'],
        date=fm.formatdate(dateutil.makedate(one['time'])),
        user=tolocal(one['user']),
        machine=tolocal(one['machine']),
        writers=fm.formatlist(map(tolocal, one['writers']), b'writer'),
        private=one['private'],
        readers=fm.formatlist(map(tolocal, one['readers']), b'reader'),
        dropped=one['dropped'],
    )


def _showdata(fm, one: dict[str, Any]) -> None:
    _data(fm, one)
    fm.data(heads=one['heads'], bookmarks=one['bookmarks'])


def _hexes(nodes: Iterable[Any]) -> list[bytes]:
    return [
        (node.hex() if isinstance(node, bytes) else node).encode()
        for node in nodes
    ]


def _wholedata(fm, one: dict[str, Any]) -> None:
    _data(fm, one)
    fm.data(heads=fm.formatlist(_hexes(one['heads']), b'node'))
    with fm.nested(b'bookmarks', tmpl=b'{bookmark}', sep=b' ') as nested:
        for name, node in one['bookmarks']:
            nested.startitem()
            nested.data(bookmark=tolocal(name), node=node.hex().encode())


def _versiondata(fm, one: dict[str, Any]) -> None:
    _data(fm, one)
    fm.data(
        added=fm.formatlist(_hexes(one['added']), b'node'),
        removed=fm.formatlist(_hexes(one['removed']), b'node'),
    )
    with fm.nested(b'bookmarks', tmpl=b'{bookmark}', sep=b' ') as nested:
        for mark in one['bookmarks']:
            nested.startitem()
            nested.data(
                bookmark=tolocal(mark['bookmark']),
                old=(mark['old'] or '').encode(),
                node=(mark['node'] or '').encode(),
            )
