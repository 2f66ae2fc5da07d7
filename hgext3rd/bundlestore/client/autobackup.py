"""``[bundlestore] auto-backup``: drafts are backed up in the background.

After a transaction that made or changed drafts a process is started that does
what ``hg backup`` does. The command waits for nothing but its start, and never
fails because of it. One process is at work at a time: another one that comes
meanwhile leaves a mark and ends, and the one at work looks once more. Where
the server cannot be reached, nobody tries again for a while, which doubles
each time. What happened is in ``.hg/bundlestore-backup.log``.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

from mercurial import error, lock as lockmod
from mercurial.i18n import _
from mercurial.utils import stringutil

from ..start import background
from . import backup

LOG = b'bundlestore-backup.log'
#: beside the log: who is at work, that there is more to do, and until when
#: nobody tries again
_LOCK = b'bundlestore-backup.lock'
_MORE = b'bundlestore-backup.more'
_PAUSE = b'bundlestore-backup.pause'

#: bytes that the log may have before it begins anew; one older is kept
_LONGEST = 100_000
#: seconds to wait after the first failure, and at most
_FIRST = 60
_MOST = 3600
#: what a transaction has that changed something that is backed up
_CHANGES = ('node', 'phases_moved', 'bookmark_moved', 'new_obsmarkers')


def setup(repo) -> None:
    """Have the transactions of a repository call :func:`closed`."""
    from ..start import wraps

    repo.ui.setconfig(
        b'hooks',
        b'txnclose.bundlestore-backup',
        wraps.late('client.autobackup.closed'),
        b'bundlestore',
    )


def closed(ui, repo, hooktype, **args: Any) -> bool:
    """Start a backup after a transaction; a hook. Nothing is raised."""
    try:
        if not any(args.get(name) for name in _CHANGES):
            return False
        # what is started tries again; a pause is for it, too
        if _paused(repo):
            return False
        background.start(
            *('--repository', os.fsdecode(repo.root), '--noninteractive'),
            *('backup', '--quiet', '--auto'),
            folder=repo.root,
        )
    except Exception as exc:
        ui.debug(b'backup was not started: %s\n' % stringutil.forcebytestr(exc))
    return False


def run(ui, repo, dest, opts) -> int:
    """Back up, on behalf of :func:`closed`; returns an exit code."""
    vfs = _vfs(repo)
    with _alone(repo) as held:
        if not held:
            return 0
        while True:
            vfs.tryunlink(_MORE)
            if not _once(ui, repo, dest, opts):
                return 1
            if not vfs.exists(_MORE):
                return 0
            # what has changed meanwhile
            repo.invalidateall()


@contextlib.contextmanager
def _alone(repo) -> Iterator[bool]:
    """Tell whether nobody else is at work; who is, is told to look again."""
    vfs = _vfs(repo)
    try:
        held = lockmod.lock(vfs, _LOCK, timeout=0)
    except error.LockError:
        with contextlib.suppress(OSError):
            vfs.write(_MORE, b'')
        yield False
        return
    try:
        yield True
    finally:
        held.release()


def _once(ui, repo, dest, opts) -> bool:
    try:
        with backup.destination(ui, repo, dest, opts) as peer:
            done = backup.backup(repo, peer)
    except Exception as exc:
        count = _pause(repo)
        reason = stringutil.forcebytestr(exc) or type(exc).__name__.encode()
        _log(repo, _(b'failed (%d): %s') % (count, reason))
        return False
    _vfs(repo).tryunlink(_PAUSE)
    if done.changed:
        _log(
            repo,
            _(b'backed up %d changesets, %d heads, version %d')
            % (done.sent, len(done.record.heads), done.record.version),
        )
    return True


# -- files, beside those of the store: shares have them in common


def _vfs(repo):
    from mercurial import vfs as vfsmod

    if repo.sharedpath == repo.path:
        return repo.vfs
    return vfsmod.vfs(repo.sharedpath)


def _paused(repo) -> bool:
    """Whether the last backup failed not long ago."""
    words = _vfs(repo).tryread(_PAUSE).split()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return False
    until = int(words[1])
    # a clock that was set back must not stop it for good
    return time.time() < until <= time.time() + _MOST


def _pause(repo) -> int:
    """Have nobody try again for a while; return how often it failed."""
    vfs = _vfs(repo)
    words = vfs.tryread(_PAUSE).split()
    count = 1
    if len(words) == 2 and words[0].isdigit():
        count += int(words[0])
    seconds = min(_FIRST * 2 ** min(count - 1, 10), _MOST)
    with contextlib.suppress(OSError):
        vfs.write(_PAUSE, b'%d %d' % (count, time.time() + seconds))
    return count


def _log(repo, text: bytes) -> None:
    vfs = _vfs(repo)
    line = b'%s %s\n' % (
        time.strftime('%Y-%m-%d %H:%M:%S').encode(),
        b' '.join(text.split()),
    )
    with contextlib.suppress(OSError, error.Abort):
        if vfs.exists(LOG) and vfs.stat(LOG).st_size > _LONGEST:
            vfs.rename(LOG, LOG + b'.1')
        with vfs(LOG, b'ab') as fh:
            fh.write(line)
