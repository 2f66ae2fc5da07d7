"""Which drafts are in the backup, as far as this clone knows: revsets, the
summary, ``hg backup --status``. No server is asked."""

from __future__ import annotations

from typing import Any, Optional

from mercurial import pycompat, revset as revsetmod
from mercurial.i18n import _
from mercurial.utils import dateutil

from .. import config
from . import viewrecord, views


def _backedup(repo) -> Any:
    return repo.revs(
        b'(draft() + secret()) and ::%ln', viewrecord.backedup(repo)
    )


def _missing(repo) -> Any:
    return repo.revs(b'draft() - extinct() - ::%ln', viewrecord.backedup(repo))


def backedup(repo, subset, x):
    """Drafts that are in the backup."""
    revsetmod.getargs(x, 0, 0, _(b'backedup takes no arguments'))
    return subset & _backedup(repo)


def notbackedup(repo, subset, x):
    """Drafts that are not."""
    revsetmod.getargs(x, 0, 0, _(b'notbackedup takes no arguments'))
    return subset & _missing(repo)


def keyword(context, mapping) -> bytes:
    """Return "backedup" for a draft that is in the backup."""
    ctx = context.resource(mapping, b'ctx')
    kept = context.resource(mapping, b'cache')
    if b'bundlestore-backedup' not in kept:
        kept[b'bundlestore-backedup'] = set(_backedup(ctx.repo()))
    return b'backedup' if ctx.rev() in kept[b'bundlestore-backedup'] else b''


def summary(ui, repo) -> None:
    """Say in ``hg summary`` how many drafts are in no backup, where there are
    any backups."""
    if not ui.configbool(config.SECTION, b'auto-backup') and not (
        viewrecord.backups(repo)
    ):
        return
    count = len(_missing(repo))
    if count:
        ui.write(_(b'backup: %d draft\n') % count, label=b'log.backup')
    else:
        ui.note(_(b'backup: all drafts\n'))


def _paused(ui, repo) -> Optional[int]:
    """Return until when nobody tries in the background, as the last one there
    has failed."""
    if not ui.configbool(config.SECTION, b'auto-backup'):
        return None
    from . import autobackup

    return autobackup.paused(repo)


def show(ui, repo, opts) -> int:
    """Run ``hg backup --status``; returns its exit code."""
    records = viewrecord.drafts(viewrecord.backups(repo))
    missing = [*_missing(repo)]
    with ui.formatter(b'backup', pycompat.byteskwargs(opts)) as fm:
        fm.startitem()
        last = records[0] if records else None
        date = None
        if last is not None:
            date = fm.formatdate(dateutil.makedate(last.time))
        fm.data(
            server=last.server.encode('latin-1') if last else None,
            date=date,
            version=last.version if last else None,
            heads=len(last.heads) if last else None,
            missing=len(missing),
        )
        if fm.isplain():
            if last is None:
                fm.plain(_(b'never backed up\n'))
            else:
                fm.plain(
                    _(b'last backup: %s to %s\n')
                    % (date, last.server.encode('latin-1'))
                )
            fm.plain(
                _(b'not backed up: %s\n')
                % views.counted(len(missing), 'changeset')
                if missing
                else _(b'all drafts are backed up\n')
            )
            until = _paused(ui, repo) if missing else None
            if until is not None:
                fm.plain(
                    _(
                        b'the last try in the background failed, see'
                        b' .hg/bundlestore-backup.log; none before %s\n'
                    )
                    % dateutil.datestr(dateutil.makedate(until))
                )
    return 1 if missing else 0
