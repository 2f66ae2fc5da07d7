"""``[bundlestore] auto-backup``: drafts are backed up in the background.

After a transaction that made or changed drafts a process is started that does
what ``hg backup`` does. The command waits for nothing but its start, and never
fails because of it. One process is at work at a time: who commits meanwhile
leaves a mark, and starts none; the one at work looks once more. Where there is
no default path, nothing is tried. Where the server cannot be reached, nobody
tries again for a while, which doubles each time. What happened is in
``.hg/bundlestore-backup.log``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from typing import Any

from mercurial import error
from mercurial.i18n import _
from mercurial.node import bin
from mercurial.utils import stringutil

from ..start import background
from . import backup, views

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
#: seconds in which a process that was started is awaited
_SOON = 10
#: seconds to wait for a command that is at work in the repository
_PATIENCE = 10.0
#: how often it is looked whether it is
_LOOK = 0.1
#: nobody is asked for anything, and no alias is what is run
_ENVIRON = {
    'HGPLAIN': '1',
    'HGPLAINEXCEPT': '',
    'SSH_ASKPASS_REQUIRE': 'never',
}
HOOK = b'txnclose.bundlestore-backup'


def setup(repo) -> None:
    """Have the transactions of a repository call :func:`closed`."""
    from ..start import wraps

    repo.ui.setconfig(
        b'hooks',
        HOOK,
        wraps.late('client.autobackup.closed'),
        b'bundlestore',
    )


def closed(ui, repo, hooktype, **args: Any) -> bool:
    """Start a backup after a transaction; a hook. Nothing is raised."""
    try:
        wanted = _matters(repo, args)
    except Exception as exc:
        ui.debug(b'backup was not started: %s\n' % stringutil.forcebytestr(exc))
        return False
    if wanted:
        start(ui, repo)
    return False


def _matters(repo, args: dict[str, Any]) -> bool:
    """Whether a transaction changed something that is backed up."""
    if args.get('phases_moved') or args.get('new_obsmarkers'):
        return True
    first = args.get('node')
    if not first or args.get('bookmark_moved'):
        # nothing tells of a commit on top of a draft
        return bool(repo.revs(b'draft()'))
    # a pull
    unfi = repo.unfiltered()
    return bool(unfi.revs(b'%d: and draft()', unfi.changelog.rev(bin(first))))


def start(ui, repo) -> None:
    """Have a process back up, unless one will. Nothing is raised."""
    try:
        # what is started tries again; a pause is for it, too
        if not _hasplace(ui) or _paused(repo) or _awaited(repo):
            return
        try:
            background.start(
                *('--repository', os.fsdecode(repo.root), '--noninteractive'),
                *('backup', '--quiet', '--auto'),
                folder=repo.root,
                environ=_ENVIRON,
            )
            ui.debug(b'a backup is started\n')
        except BaseException:
            _vfs(repo).tryunlink(_MORE)
            raise
    except Exception as exc:
        ui.debug(b'backup was not started: %s\n' % stringutil.forcebytestr(exc))


def _hasplace(ui) -> bool:
    """Whether the configuration says where a backup would go."""
    return b'default' in ui.paths or b'default-push' in ui.paths


def _awaited(repo) -> bool:
    """Leave word that there is something to back up; return whether somebody
    is about to look."""
    vfs = _vfs(repo)
    with contextlib.suppress(OSError):
        if 0 <= time.time() - vfs.stat(_MORE).st_mtime < _SOON:
            return True
    vfs.write(_MORE, b'')
    # in this order: who is at work looks for word after it was
    return _isheld(vfs)


def _isheld(vfs) -> bool:
    """Whether a process holds the lock."""
    try:
        with vfs(_LOCK, b'rb') as fh:
            fcntl.flock(fh.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def run(ui, repo, dest, opts) -> int:
    """Back up, on behalf of :func:`closed`; returns an exit code."""
    vfs = _vfs(repo)
    while True:
        with _alone(vfs) as held:
            if not held:
                return 0
            _await(repo)
            vfs.tryunlink(_MORE)
            # what has changed meanwhile
            repo.invalidateall()
            if not _once(ui, repo, dest, opts):
                return 1
        # not before: who saw the lock has started nobody
        if not vfs.exists(_MORE):
            return 0


def _await(repo) -> None:
    """Wait until nobody is at work in the repository, but not for long: what
    a rebase makes, say, is backed up when it is done."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and (
        repo.vfs.lexists(b'wlock') or repo.svfs.lexists(b'lock')
    ):
        time.sleep(_LOOK)


@contextlib.contextmanager
def _alone(vfs) -> Iterator[bool]:
    """Tell whether nobody else is at work."""
    # the system takes it from a process that is killed
    with vfs(_LOCK, b'ab') as fh:
        held = True
        try:
            fcntl.flock(fh.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = False
        except OSError:
            # not there; the server sees to it that nothing is lost
            pass
        yield held


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
            _(b'backed up %s, %s, version %d')
            % (
                views.counted(done.sent, 'changeset'),
                views.counted(len(done.record.heads), 'head'),
                done.record.version,
            ),
        )
    note = backup.others(repo, done.record)
    if note:
        _log(repo, note)
    return True


# -- files, beside those of the store: shares have them in common


def _vfs(repo):
    from mercurial import vfs as vfsmod

    # that of the repository wants locks to be held
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
