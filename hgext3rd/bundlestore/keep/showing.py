"""What the commands of ``admin.py`` show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional

from mercurial import util
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.utils import dateutil

from .. import model
from ..server import tolocal
from ..words import counted
from . import audit, findings, run


def _counted(number: int, one: str) -> bytes:
    return counted(number, one).encode()


def _date(seconds: Optional[float]):
    return None if seconds is None else dateutil.makedate(int(seconds))


def _oneline(text: str) -> bytes:
    return tolocal(' '.join(text.splitlines()))


def _described(fm, push: model.Push) -> bytes:
    """Return what tells people which push it is."""
    who = _oneline(push.user) or _(b'nobody')
    return _(b'push %d (%s, %s)') % (
        push.id,
        who,
        fm.formatdate(_date(push.time)),
    )


def _pushdata(fm, push: model.Push) -> None:
    fm.data(
        push=push.id,
        user=tolocal(push.user),
        date=fm.formatdate(_date(push.time)),
    )


class Sums:
    """Counts what is removed."""

    def __init__(self) -> None:
        kinds = ('push', 'bundle', 'bookmark', 'note', 'stray', 'blob')
        self.counts = dict.fromkeys((*kinds, 'view', 'version'), 0)
        self.size = 0

    def add(self, gone: run.Gone) -> None:
        """Count one more."""
        self.counts[gone.kind] += 1
        if gone.kind in ('bundle', 'stray', 'blob'):
            self.size += gone.size or 0

    def text(self, dry: bool) -> bytes:
        """Return the last line of a command."""
        if not any(self.counts.values()):
            return _(b'nothing to remove\n')
        begin = _(b'would remove') if dry else _(b'removed')
        count = self.counts
        named = (
            *(('push', 'push'), ('bundle', 'bundle')),
            *(('bookmark', 'bookmark'), ('stray', 'unfinished file')),
            *(('note', 'note'), ('blob', 'content')),
            *(('view', 'view'), ('version', 'earlier version of a view')),
        )
        parts = [
            counted(count[kind], one)
            for kind, one in named
            if count[kind] or kind in ('push', 'bundle')
        ]
        text = begin + b' ' + ', '.join(parts).encode()
        return text + _(b' (%s)\n') % util.bytecount(self.size)


def showgone(ui, fm, gone: run.Gone, dry: bool) -> None:
    """Show what was removed, or would be."""
    fm.startitem()
    if fm.isplain():
        if dry or ui.verbose:
            begin = _(b'would remove %s\n') if dry else _(b'removed %s\n')
            fm.plain(begin % _whatisgone(fm, gone))
        return
    fm.data(kind=gone.kind.encode(), reason=gone.reason.encode())
    if gone.push is not None:
        _pushdata(fm, gone.push)
    if gone.key is not None:
        fm.data(bundle=gone.key.encode())
    if gone.size is not None:
        fm.data(size=gone.size)
    if gone.name is not None:
        fm.data(name=tolocal(gone.name))


def _whatisgone(fm, gone: run.Gone) -> bytes:
    key = (gone.key or '').encode()
    if gone.kind == 'push':
        what = _(b'a lost push of bundle %s') % key
        if gone.push is not None:
            what = _described(fm, gone.push)
        reasons = {
            'age': _(b'too old'),
            'quota': _(b'over quota'),
            'unfinished': _(b'removal was begun before'),
            'lost': _(b'bundle is missing'),
            'asked': _(b'it was named'),
            'unseen': _(b'its private workspace is gone'),
        }
        return b'%s: %s' % (what, reasons[gone.reason])
    if gone.kind == 'bundle':
        if gone.reason == 'orphan':
            text = _(b'orphan bundle %s (%s)')
        else:
            text = _(b'bundle %s (%s)')
        return text % (key, util.bytecount(gone.size or 0))
    name = tolocal(gone.name or '')
    if gone.kind == 'bookmark':
        return _(b"bookmark '%s': it points to nothing") % name
    if gone.kind == 'note':
        if gone.reason == 'superseded':
            return _(b"note '%s' of a bookmark that moved on") % name
        return _(b"note '%s' of a removed push") % name
    if gone.kind == 'view':
        if gone.reason == 'dropped':
            return _(b"view '%s': it was dropped") % name
        return _(b"view '%s': too old") % name
    if gone.kind == 'version':
        return _(b"earlier version '%s' of a view: too old") % name
    if gone.kind == 'blob':
        return _(b'content %s, which no bundle names (%s)') % (
            name,
            util.bytecount(gone.size or 0),
        )
    return _(b"unfinished file '%s' (%s)") % (
        name,
        util.bytecount(gone.size or 0),
    )


def showfinding(fm, finding: findings.Finding) -> None:
    """Show what a check found."""
    fm.startitem()
    if fm.isplain():
        form, label = _(b'remark: %s\n'), b'ui.note'
        if finding.repaired:
            form = _(b'repaired: %s\n')
        elif finding.isproblem:
            form, label = _(b'problem: %s\n'), b'ui.error'
        fm.plain(form % finding.message, label=label)
        return
    fm.data(
        kind=finding.kind.encode(),
        severity=b'problem' if finding.isproblem else b'remark',
        message=finding.message,
        pushes=fm.formatlist(list(finding.pushes), name=b'push', fmt=b'%d'),
        repaired=finding.repaired,
    )
    if finding.key is not None:
        fm.data(bundle=finding.key.encode())
    if finding.name is not None:
        fm.data(name=tolocal(finding.name))


def summary(
    check: audit.Audit, problems: int, remarks: int, repaired: int
) -> bytes:
    """Return the last line of a check."""
    text = _(b'checked %s and %s (%s): %s, %s') % (
        _counted(check.pushes, 'push'),
        _counted(check.bundles, 'bundle'),
        util.bytecount(check.bytes),
        _counted(problems, 'problem'),
        _counted(remarks, 'remark'),
    )
    if repaired:
        text += _(b', %d repaired') % repaired
    return text + b'\n'


def showusers(fm, users: Iterable[model.Usage]) -> None:
    """Show what each user holds."""
    for usage in users:
        fm.startitem()
        if fm.isplain():
            fm.plain(
                _(b'%s: %s, %s\n')
                % (
                    _oneline(usage.user) or _(b'nobody'),
                    _counted(usage.pushes, 'push'),
                    util.bytecount(usage.size),
                )
            )
        else:
            fm.data(
                user=tolocal(usage.user),
                pushes=usage.pushes,
                size=usage.size,
            )


def showstatistics(
    fm,
    found: model.Statistics,
    views: Optional[tuple[int, ...]],
    strays: list[model.Stray],
    owed: dict[str, int],
) -> None:
    """Show what is in a store, how many ``ViewCounts`` has, if any, and of how
    many pushes web hooks are to be told."""
    fm.startitem()
    straysize = sum(stray.size for stray in strays)
    oldest, newest = _date(found.oldest), _date(found.newest)
    workspaces, backups, dropped = views or (None, None, None)
    if not fm.isplain():
        fm.data(
            pushes=found.pushes,
            pinned=found.pinned,
            users=found.users,
            bookmarks=found.bookmarks,
            workspaces=workspaces,
            backups=backups,
            dropped=dropped,
            changesets=found.changesets,
            bundles=found.bundles,
            size=found.size,
            oldest=None if oldest is None else fm.formatdate(oldest),
            newest=None if newest is None else fm.formatdate(newest),
            indexsize=found.indexsize,
            strays=len(strays),
            straysize=straysize,
            owed=fm.formatdict(
                {tolocal(name): number for name, number in owed.items()},
                key=b'hook',
                value=b'pushes',
                fmt=b'%s: %d',
            ),
        )
        return
    lines = [
        (_(b'pushes:'), b'%d' % found.pushes),
        (_(b'pinned:'), b'%d' % found.pinned),
        (_(b'users:'), b'%d' % found.users),
        (_(b'bookmarks:'), b'%d' % found.bookmarks),
        *(
            (name, b'%d' % number)
            for name, number in (
                (_(b'workspaces:'), workspaces),
                (_(b'backups:'), backups),
                (_(b'dropped:'), dropped),
            )
            if number is not None
        ),
        (_(b'changesets:'), b'%d' % found.changesets),
        (
            _(b'bundles:'),
            b'%d (%s)' % (found.bundles, util.bytecount(found.size)),
        ),
    ]
    if oldest is not None:
        lines.append((_(b'oldest:'), fm.formatdate(oldest)))
        lines.append((_(b'newest:'), fm.formatdate(newest)))
    lines += [
        (_(b'index:'), util.bytecount(found.indexsize)),
        (
            _(b'unfinished:'),
            b'%d (%s)' % (len(strays), util.bytecount(straysize)),
        ),
    ]
    for hook, number in owed.items():
        lines.append((_(b'owed to:'), b'%s (%d)' % (tolocal(hook), number)))
    for name, value in lines:
        fm.plain(b'%-12s %s\n' % (name, value))


def showpin(ui, fm, push: model.Push, islist: bool) -> None:
    """Show a push in the list of those pinned, or one pinned or unpinned."""
    fm.startitem()
    if not fm.isplain():
        _pushdata(fm, push)
        heads = [hex(head.node) for head in push.heads]
        fm.data(heads=fm.formatlist(heads, name=b'head'), pinned=push.pinned)
    elif islist:
        fm.plain(b'%s\n' % _described(fm, push))
    elif push.pinned:
        ui.status(_(b'pinned %s\n') % _described(fm, push))
    else:
        ui.status(_(b'unpinned %s\n') % _described(fm, push))
