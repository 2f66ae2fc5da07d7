"""What the commands of ``admin.py`` do, as far as it is asking and showing."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any, Optional

from mercurial import error, pycompat, util
from mercurial.i18n import _
from mercurial.node import hex
from mercurial.utils import dateutil

from .. import config, log, lookup, model, server as servermod
from ..server import aborting, tolocal, totext
from ..words import counted
from . import audit, collect, findings, health, records, run, walk

#: for how long it is known, in seconds
_MOVES = 30 * 86400.0

_ID = re.compile(rb'[1-9][0-9]{0,18}\Z')


def _server(repo, evenso: bool = False) -> servermod.Server:
    """Return the bundle store of ``repo``; aborts if it has none, or unless
    ``evenso`` if its configuration is wrong."""
    server: Optional[servermod.Server] = servermod.of(repo)
    if server is None:
        raise error.Abort(
            _(b'this repository has no bundle store'),
            hint=_(b"turn it on in its hgrc: 'bundlestore.server = yes'"),
        )
    if not evenso:
        server.checksettings()
    return server


def _duration(option: str, value: bytes) -> float:
    """Return the seconds that the value of an option means."""
    seconds = config.parseduration(value)
    if seconds is None:
        raise error.InputError(
            _(b"--%s is not a length of time ('%s')")
            % (option.encode(), value),
            hint=_(b"for example '90 days'"),
        )
    return seconds


def _inbase(repo):
    changelog = repo.unfiltered().changelog
    return lambda node: bool(changelog.hasnode(node))


@contextlib.contextmanager
def _logged(ui, server, command: str) -> Iterator[dict[str, Any]]:
    """Log an action of an administrator, with what is put into the dict."""
    fields: dict[str, Any] = {}
    try:
        yield fields
    except BaseException as exc:
        fields['failed'] = log.reason(exc)
        raise
    finally:
        log.event(
            ui,
            server,
            'admin',
            command=command,
            user=log.user(server),
            **fields,
        )


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


# -- gc


def gc(ui, repo, opts) -> int:
    server = _server(repo)
    dry = bool(opts['dry_run'])
    now = time.time()
    age = server.settings.retention
    if opts['older_than']:
        age = _duration('older-than', opts['older_than'])
    wish = run.Wish(
        before=None if age is None else now - age,
        quota=server.settings.quota,
        grace=_duration('grace', opts['grace']),
        forget=bool(opts['forget_lost']),
        dry=dry,
    )
    collector = collect.Collector(
        server.store, server.index, _inbase(repo), now, wish
    )
    with aborting(), _logged(ui, server, 'gc') as fields:
        sums = _collect(ui, opts, b'bundlestore-gc', collector.run(), dry)
        if not dry:
            _forgetmoves(server, now)
        fields.update(
            dryrun=dry or None,
            pushes=sums.counts['push'],
            bundles=sums.counts['bundle'],
            bytes=sums.size,
            lost=collector.lost or None,
        )
    if collector.lost:
        begin = _(b'%d pushes are') if collector.lost > 1 else _(b'%d push is')
        ui.warn(
            _(
                b'%s not in the index, though there are notes\n'
                b"(run 'hg admin::bundlestore-verify --repair' to bring back "
                b'what was lost)\n'
            )
            % (begin % collector.lost)
        )
        return 1
    return 0


def remove(ui, repo, names, opts) -> int:
    server = _server(repo)
    if not names:
        raise error.InputError(
            _(b'name the pushes to remove'),
            hint=_(b"'hg pushes' lists the pushes"),
        )
    dry = bool(opts['dry_run'])
    force = bool(opts['force'])
    pushes = {}
    for name in names:
        # nothing is removed unless all are found
        push = _findpush(repo, server, name)
        if push.pinned and not force:
            raise error.Abort(
                _(b'push %d is pinned') % push.id,
                hint=_(
                    b"unpin it with 'hg admin::bundlestore-pin -d %d', or use "
                    b'--force'
                )
                % push.id,
            )
        pushes[push.id] = push
    wish = run.Wish(dry=dry, evenpinned=force)
    collector = collect.Collector(
        server.store, server.index, _inbase(repo), time.time(), wish
    )
    with aborting(), _logged(ui, server, 'remove') as fields:
        removal = collector.remove(list(pushes.values()))
        sums = _collect(ui, opts, b'bundlestore-remove', removal, dry)
        fields.update(
            dryrun=dry or None,
            removed=[str(id) for id in pushes],
            bundles=sums.counts['bundle'],
            bytes=sums.size,
        )
    return 0


def _collect(
    ui, opts, topic: bytes, removal: Iterable[run.Gone], dry: bool
) -> _Sums:
    """Remove things, and show what goes."""
    sums = _Sums()
    with (
        ui.formatter(topic, pycompat.byteskwargs(opts)) as fm,
        ui.makeprogress(_(b'collecting')) as bar,
    ):
        for gone in removal:
            sums.add(gone)
            bar.increment()
            _showgone(ui, fm, gone, dry)
        if fm.isplain():
            ui.status(sums.text(dry))
    return sums


def _forgetmoves(server, now: float) -> None:
    """Let go of what tells how often users moved bookmarks."""
    rate = server.settings.maxrate
    age = max(_MOVES, 0.0 if rate is None else rate.seconds)
    server.index.forgetmoves(now - age)


def _counted(number: int, one: str) -> bytes:
    return counted(number, one).encode()


class _Sums:
    """Counts what is removed."""

    def __init__(self) -> None:
        kinds = ('push', 'bundle', 'bookmark', 'note', 'stray')
        self.counts = dict.fromkeys(kinds, 0)
        self.size = 0

    def add(self, gone: run.Gone) -> None:
        self.counts[gone.kind] += 1
        if gone.kind in ('bundle', 'stray'):
            self.size += gone.size or 0

    def text(self, dry: bool) -> bytes:
        if not any(self.counts.values()):
            return _(b'nothing to remove\n')
        begin = _(b'would remove') if dry else _(b'removed')
        count = self.counts
        named = (
            *(('push', 'push'), ('bundle', 'bundle')),
            *(('bookmark', 'bookmark'), ('stray', 'unfinished file')),
            ('note', 'note'),
        )
        parts = [
            counted(count[kind], one)
            for kind, one in named
            if count[kind] or kind in ('push', 'bundle')
        ]
        text = begin + b' ' + ', '.join(parts).encode()
        return text + _(b' (%s)\n') % util.bytecount(self.size)


def _showgone(ui, fm, gone: run.Gone, dry: bool) -> None:
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
    return _(b"unfinished file '%s' (%s)") % (
        name,
        util.bytecount(gone.size or 0),
    )


# -- verify


def verify(ui, repo, opts) -> int:
    server = _server(repo)
    if opts['quick'] and opts['full']:
        raise error.InputError(_(b'cannot specify both --quick and --full'))
    wish = findings.Wish(
        repair=bool(opts['repair']),
        quick=bool(opts['quick']),
        full=bool(opts['full']),
    )
    check = audit.Audit(repo, server, time.time(), wish)
    problems = remarks = repaired = 0
    with aborting(), _logged(ui, server, 'verify') as fields:
        with ui.formatter(
            b'bundlestore-verify', pycompat.byteskwargs(opts)
        ) as fm:
            for finding in check.run():
                if finding.repaired:
                    repaired += 1
                elif finding.isproblem:
                    problems += 1
                else:
                    remarks += 1
                _showfinding(fm, finding)
            if fm.isplain():
                ui.status(_summary(check, problems, remarks, repaired))
        fields.update(
            problems=problems,
            remarks=remarks,
            repaired=repaired if wish.repair else None,
        )
    return 1 if problems else 0


def _showfinding(fm, finding: findings.Finding) -> None:
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


def _summary(
    check: audit.Audit, problems: int, remarks: int, repaired: int
) -> bytes:
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


# -- stats


def stats(ui, repo, opts) -> int:
    server = _server(repo, evenso=True)
    if opts['check']:
        return _check(ui, server, opts)
    byteopts = pycompat.byteskwargs(opts)
    with aborting(), ui.formatter(b'bundlestore-stats', byteopts) as fm:
        if opts['users']:
            _showusers(fm, server.index.users())
        else:
            strays = list(server.store.strays(0))
            _showstatistics(fm, server.index.statistics(), strays)
    if not opts['users']:
        for trouble in health.check(server):
            ui.warn(_(b'trouble: %s\n') % trouble.message)
    return 0


def _check(ui, server, opts) -> int:
    """Tell monitors what is wrong."""
    wrong = False
    byteopts = pycompat.byteskwargs(opts)
    with ui.formatter(b'bundlestore-stats', byteopts) as fm:
        for trouble in health.check(server):
            wrong = True
            fm.startitem()
            if fm.isplain():
                hint = b' (%s)' % trouble.hint if trouble.hint else b''
                fm.plain(
                    b'%s: %s%s\n'
                    % (trouble.kind.encode(), trouble.message, hint)
                )
            else:
                fm.data(
                    kind=trouble.kind.encode(),
                    message=trouble.message,
                    hint=trouble.hint,
                )
    return int(wrong)


def _showusers(fm, users: Iterable[model.Usage]) -> None:
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


def _showstatistics(
    fm, found: model.Statistics, strays: list[model.Stray]
) -> None:
    fm.startitem()
    straysize = sum(stray.size for stray in strays)
    oldest, newest = _date(found.oldest), _date(found.newest)
    if not fm.isplain():
        fm.data(
            pushes=found.pushes,
            pinned=found.pinned,
            users=found.users,
            bookmarks=found.bookmarks,
            changesets=found.changesets,
            bundles=found.bundles,
            size=found.size,
            oldest=None if oldest is None else fm.formatdate(oldest),
            newest=None if newest is None else fm.formatdate(newest),
            indexsize=found.indexsize,
            strays=len(strays),
            straysize=straysize,
        )
        return
    lines = [
        (_(b'pushes:'), b'%d' % found.pushes),
        (_(b'pinned:'), b'%d' % found.pinned),
        (_(b'users:'), b'%d' % found.users),
        (_(b'bookmarks:'), b'%d' % found.bookmarks),
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
    for name, value in lines:
        fm.plain(b'%-12s %s\n' % (name, value))


# -- pin


def pin(ui, repo, names, opts) -> int:
    server = _server(repo)
    pinned = not opts['delete']
    with (
        aborting(),
        ui.formatter(b'bundlestore-pin', pycompat.byteskwargs(opts)) as fm,
    ):
        if not names:
            if not pinned:
                raise error.InputError(_(b'name the pushes to unpin'))
            for push in _pinnedpushes(server.index):
                _showpin(ui, fm, push, True)
            return 0
        # nothing is pinned unless all are found
        pushes = [_findpush(repo, server, name) for name in names]
        for push in pushes:
            with _logged(ui, server, 'pin') as fields:
                fields.update(push=push.id, pinned=pinned)
                changed = _pin(server, push.id, pinned)
            _showpin(ui, fm, changed, False)
    return 0


def _pin(server, id: int, pinned: bool) -> model.Push:
    server.index.pin(id, pinned)
    push: model.Push = server.index.push(id)
    records.keep(server.store, server.index, push)
    return push


def _pinnedpushes(index) -> Iterator[model.Push]:
    left = index.statistics().pinned
    if left:
        for page in walk.pushes(index):
            for push in page:
                if push.pinned:
                    yield push
                    left -= 1
                    if not left:
                        return


def _findpush(repo, server, name: bytes) -> model.Push:
    """Return the push that somebody means; raises ``error.InputError``."""
    if _ID.match(name):
        push = walk.push(server.index, int(name))
        if push is not None:
            return push
    if _ID.match(name) and len(name) < 6:
        raise error.InputError(_(b"no push '%s'") % name)
    node = lookup.pushed(repo, server, name)
    mark = walk.bookmark(server.index, totext(name))
    if mark is not None and mark.push is not None and mark.node == node:
        push = walk.push(server.index, mark.push)
        if push is not None:
            return push
    others: list[int] = []
    if node is not None:
        others = []
        for push in server.index.pushes(
            node=node, limit=1000, newestfirst=True
        ):
            if node in {head.node for head in push.heads}:
                return push
            others.append(push.id)
    if others:
        some = b', '.join(b'%d' % id for id in others[:10])
        raise error.InputError(
            _(b"'%s' is no head of a push") % name,
            hint=_(b'name a push that holds it by its number: %s') % some,
        )
    raise error.InputError(
        _(b"no push has the changeset '%s'") % name,
        hint=_(b"'hg pushes' lists the pushes"),
    )


def _showpin(ui, fm, push: model.Push, islist: bool) -> None:
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
