"""What the commands of ``admin.py`` do, as far as it is asking."""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any, Optional

from mercurial import cmdutil, error, pycompat
from mercurial.i18n import _

from .. import config, errors, log, lookup, model, server as servermod
from ..blobs import named, served
from ..bundle import caches
from ..server import aborting, totext
from ..stores import marks, notes
from . import (
    audit,
    base as basemod,
    blobs,
    collect,
    deliver,
    findings,
    health,
    metrics,
    run,
    walk,
)
from .showing import (
    Sums,
    showfinding,
    showgone,
    showpin,
    showstatistics,
    showusers,
    summary,
)

#: for how long it is known, in seconds
_MOVES = 30 * 86400.0

_ID = re.compile(rb'[1-9][0-9]{0,18}\Z')


def administered(repo, evenso: bool = False) -> servermod.Server:
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


@contextlib.contextmanager
def logged(ui, server, command: str) -> Iterator[dict[str, Any]]:
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


# -- gc


def gc(ui, repo, opts) -> int:
    server = administered(repo)
    dry = bool(opts['dry_run'])
    now = time.time()
    age = server.settings.retention
    viewage = server.settings.workspaceretention
    if opts['older_than']:
        age = _duration('older-than', opts['older_than'])
    wish = run.Wish(
        before=None if age is None else now - age,
        viewsbefore=None if viewage is None else now - viewage,
        quota=server.settings.quota,
        grace=_duration('grace', opts['grace']),
        forget=bool(opts['forget_lost']),
        dry=dry,
    )
    found = _blobs(repo, server)
    base = basemod.Repository(repo, server)
    collector = collect.Collector(
        server.store, server.wholeindex, base, now, wish, found
    )
    with aborting(), logged(ui, server, 'gc') as fields:
        if not dry:
            server.checkopen()
        sums = _collect(ui, opts, b'bundlestore-gc', collector.run(), dry)
        if not dry:
            _forgetmoves(server, now)
        fields.update(
            dryrun=dry or None,
            pushes=sums.counts['push'],
            bundles=sums.counts['bundle'],
            bytes=sums.size,
            blobs=sums.counts['blob'] or None,
            views=sums.counts['view'] or None,
            lost=collector.lost or None,
        )
    if base.lags:
        ui.warn(
            _(
                b'kept all scratch bookmarks, as this copy of the repository '
                b'could not be brought up to date\n'
            )
        )
    if found.unread is not None:
        ui.warn(
            _(
                b'kept all contents of lfs and largefiles, as bundle %s cannot '
                b"be read\n(run 'hg admin::bundlestore-verify')\n"
            )
            % found.unread[:12].encode()
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


def _blobs(repo, server) -> blobs.Blobs:
    """Return what lfs and largefiles have in the bundle store."""

    def read(key: str):
        try:
            return named.read(repo.ui, server.store, key)
        except (error.Abort, errors.BundleStoreError, OSError):
            return None

    return blobs.Blobs(
        served.places(repo), named.Remembered(server.place), read
    )


def remove(ui, repo, names, opts) -> int:
    server = administered(repo)
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
        push = findpush(repo, server, name)
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
        server.store,
        server.wholeindex,
        basemod.Repository(repo, server),
        time.time(),
        wish,
    )
    with aborting(), logged(ui, server, 'remove') as fields:
        if not dry:
            server.checkopen()
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
) -> Sums:
    """Remove things, and show what goes."""
    sums = Sums()
    with (
        ui.formatter(topic, pycompat.byteskwargs(opts)) as fm,
        ui.makeprogress(_(b'collecting')) as bar,
    ):
        for gone in removal:
            sums.add(gone)
            bar.increment()
            showgone(ui, fm, gone, dry)
        if fm.isplain():
            ui.status(sums.text(dry))
    return sums


def _forgetmoves(server, now: float) -> None:
    """Let go of what tells how often users moved bookmarks."""
    rate = server.settings.maxrate
    age = max(_MOVES, 0.0 if rate is None else rate.seconds)
    server.wholeindex.forgetmoves(now - age)


# -- verify


def verify(ui, repo, opts) -> int:
    server = administered(repo)
    if opts['quick'] and opts['full']:
        raise error.InputError(_(b'cannot specify both --quick and --full'))
    wish = findings.Wish(
        repair=bool(opts['repair']),
        quick=bool(opts['quick']),
        full=bool(opts['full']),
    )
    check = audit.Audit(repo, server, time.time(), wish)
    problems = remarks = repaired = 0
    with aborting(), logged(ui, server, 'verify') as fields:
        if wish.repair:
            server.checkopen()
        with ui.formatter(
            b'bundlestore-verify', pycompat.byteskwargs(opts)
        ) as fm:
            for finding in itertools.chain(
                check.run(), _checkcaches(repo), _checkblobs(repo, server)
            ):
                if finding.repaired:
                    repaired += 1
                elif finding.isproblem:
                    problems += 1
                else:
                    remarks += 1
                showfinding(fm, finding)
            if fm.isplain():
                ui.status(summary(check, problems, remarks, repaired))
        fields.update(
            problems=problems,
            remarks=remarks,
            repaired=repaired if wish.repair else None,
        )
    return 1 if problems else 0


def _checkcaches(repo) -> Iterator[findings.Finding]:
    """Look at the repository's own caches, with which overlays begin."""
    if caches.isdue(repo):
        message = _(
            b"the caches of the repository lag behind: run 'hg "
            b"debugupdatecaches'"
        )
        yield findings.Finding('cache', message, isproblem=False)


def _checkblobs(repo, server) -> Iterator[findings.Finding]:
    """See whether other machines lack what lfs and largefiles have here."""
    if server.settings.storeurl == 'file':
        return
    for place in served.places(repo):
        if not place.isempty() and not place.iselsewhere():
            message = _(
                b'contents of %s are on this machine alone, but the bundle '
                b'store may be used by others'
            )
            yield findings.Finding(
                'blob', message % place.kind.encode(), isproblem=False
            )


# -- stats


def stats(ui, repo, opts) -> int:
    server = administered(repo, evenso=True)
    cmdutil.check_at_most_one_arg(opts, 'prometheus', 'check', 'users')
    if opts['prometheus']:
        if opts['template']:
            raise error.InputError(_(b'--prometheus takes no --template'))
        ui.writenoi18n(metrics.text(repo, server))
        return 0
    if opts['check']:
        return _check(ui, server, opts)
    byteopts = pycompat.byteskwargs(opts)
    with aborting(), ui.formatter(b'bundlestore-stats', byteopts) as fm:
        if opts['users']:
            showusers(fm, server.wholeindex.users())
        else:
            strays = list(server.store.strays(0))
            showstatistics(
                fm,
                server.wholeindex.statistics(),
                metrics.countviews(server.wholeindex),
                strays,
                deliver.owed(ui, server.index),
            )
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


# -- pin


def pin(ui, repo, names, opts) -> int:
    server = administered(repo)
    pinned = not opts['delete']
    with (
        aborting(),
        ui.formatter(b'bundlestore-pin', pycompat.byteskwargs(opts)) as fm,
    ):
        if not names:
            if not pinned:
                raise error.InputError(_(b'name the pushes to unpin'))
            for push in _pinnedpushes(server.wholeindex):
                showpin(ui, fm, push, True)
            return 0
        # nothing is pinned unless all are found
        pushes = [findpush(repo, server, name) for name in names]
        for push in pushes:
            with logged(ui, server, 'pin') as fields:
                fields.update(push=push.id, pinned=pinned)
                changed = _pin(server, push.id, pinned)
            showpin(ui, fm, changed, False)
    return 0


def _pin(server, id: int, pinned: bool) -> model.Push:
    server.wholeindex.pin(id, pinned)
    push: model.Push = server.wholeindex.push(id)
    notes.keep(server.store, server.wholeindex, push)
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


def findpush(repo, server, name: bytes) -> model.Push:
    """Return the push that somebody means; raises ``error.InputError``."""
    if _ID.match(name):
        push = walk.push(server.wholeindex, int(name))
        if push is not None:
            return push
    if _ID.match(name) and len(name) < 6:
        raise error.InputError(_(b"no push '%s'") % name)
    node = lookup.pushed(repo, server, name)
    mark = marks.find(server.wholeindex, totext(name))
    if mark is not None and mark.push is not None and mark.node == node:
        push = walk.push(server.wholeindex, mark.push)
        if push is not None:
            return push
    others: list[int] = []
    if node is not None:
        others = []
        for push in server.wholeindex.pushes(
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
