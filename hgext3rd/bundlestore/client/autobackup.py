"""``[bundlestore] auto-backup``: drafts are backed up in the background.

After a transaction that made or changed drafts a process is started that does
what ``hg backup`` does. The command waits for nothing but its start, and never
fails because of it. One process is at work at a time: it is started with a lock
that is held, and the system takes that from it however it ends. Who commits
meanwhile leaves a mark, and starts none; the one at work looks once more. Where
there is no default path, nothing is tried. Where the server cannot be reached,
nobody tries again for a while, which doubles each time. What happened is in
``.hg/bundlestore-backup.log``. None of these files is needed: where they cannot
be written, more is tried than need be.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from typing import Any, Optional

from mercurial import error
from mercurial.i18n import _
from mercurial.node import bin
from mercurial.utils import stringutil

from ..start import background
from . import backup, processes, views

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
#: in the environment of a process: the file that has the lock
_HELD = 'BUNDLESTORE_BACKUP_LOCK'
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
        # what failed, or was killed, is tried again with whatever comes next
        wanted = _failures(repo) > 0 or _matters(repo, args)
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
        if not _hasplace(ui) or _paused(repo):
            return
        # in this order: who is at work looks for word after it was
        _leaveword(repo)
        with _alone(repo) as lock:
            _start(repo, lock)
        ui.debug(b'a backup is started\n')
    except _Busy:
        pass
    except Exception as exc:
        ui.debug(b'backup was not started: %s\n' % stringutil.forcebytestr(exc))


def _start(repo, lock: Optional[int]) -> None:
    """Start a process that has the lock from its first moment on."""
    background.start(
        *('--repository', os.fsdecode(repo.root), '--noninteractive'),
        *('backup', '--quiet', '--auto'),
        folder=repo.root,
        environ={**_ENVIRON, _HELD: '' if lock is None else str(lock)},
        keep=() if lock is None else (lock,),
    )


def _hasplace(ui) -> bool:
    """Whether the configuration says where a backup would go."""
    return b'default' in ui.paths or b'default-push' in ui.paths


def _leaveword(repo) -> None:
    """Say that there is something to back up. Where that cannot be written,
    who is at work is not told, and the next transaction has it backed up."""
    with contextlib.suppress(OSError):
        os.close(_open(repo, _MORE, os.O_WRONLY))


def _heard(repo) -> bool:
    """Take word that was left; return whether that could be done."""
    try:
        _vfs(repo).tryunlink(_MORE)
    except OSError:
        # who looked again would look for ever
        return False
    return True


def run(ui, repo, dest, opts) -> int:
    """Back up, on behalf of :func:`closed`; returns an exit code."""
    held = _inherited(repo)
    # what is done here is no reason to do it again
    repo.ui.setconfig(b'hooks', HOOK, b'', b'backup')
    while True:
        try:
            with _alone(repo, held):
                count = _failures(repo) + 1
                # whoever is killed has failed
                _setpause(repo, count)
                with _limited(repo, count):
                    _await(repo)
                    heard = _heard(repo)
                    # what has changed meanwhile
                    repo.invalidateall()
                    if not _once(ui, repo, dest, opts, count):
                        return 1
        except _Busy:
            return 0
        held = None
        # not before: who saw the lock has started nobody
        if not heard or not _vfs(repo).exists(_MORE):
            return 0


@contextlib.contextmanager
def _limited(repo, count: int) -> Iterator[None]:
    """End the process if the body takes too long: a server is silent, say, and
    all others wait for this one. The more often that was so, the more time
    there is, as the line may be a slow one."""

    def end(signum, frame) -> None:
        _failed(repo, count, _(b'no end in sight'))
        processes.endchildren()
        os._exit(1)

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(_MOST * count)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _await(repo) -> None:
    """Wait until nobody is at work in the repository, but not for long: what
    a rebase makes, say, is backed up when it is done."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and (
        repo.vfs.lexists(b'wlock') or repo.svfs.lexists(b'lock')
    ):
        time.sleep(_LOOK)


class _Busy(Exception):
    """Another process is at work."""


@contextlib.contextmanager
def _alone(repo, held: Optional[int] = None) -> Iterator[Optional[int]]:
    """Keep others from the same work, with the lock that is ``held`` already,
    if any; gives what holds it, None where no file can be locked. Raises
    ``_Busy``."""
    # the system takes it from a process that is killed
    lock = held
    try:
        if lock is None:
            lock = _locked(repo)
        yield lock
    finally:
        if lock is not None:
            os.close(lock)


def _locked(repo) -> Optional[int]:
    try:
        lock = _open(repo, _LOCK, os.O_RDWR)
    except OSError:
        # the disk is full, say; the server sees to it that nothing is lost
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise _Busy
    except OSError:
        os.close(lock)
        return None
    return lock


def _inherited(repo) -> Optional[int]:
    """Return the lock that who started this process has left to it."""
    word = os.environ.pop(_HELD, '')
    if not word.isdigit():
        return None
    lock = int(word)
    with contextlib.suppress(OSError):
        if os.path.samestat(os.fstat(lock), _vfs(repo).stat(_LOCK)):
            # ssh may stay for a while
            os.set_inheritable(lock, False)
            return lock
    return None


def _once(ui, repo, dest, opts, count: int) -> bool:
    try:
        with backup.destination(ui, repo, dest, opts) as peer:
            done = backup.backup(repo, peer)
            backup.backupprivate(repo, peer)
    except Exception as exc:
        reason = stringutil.forcebytestr(exc) or type(exc).__name__.encode()
        _failed(repo, count, reason)
        return False
    resume(repo)
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
    note = backup.others(done)
    if note:
        _log(repo, note)
    return True


def resume(repo) -> None:
    """Have backups go on in the background: the server can be reached."""
    with contextlib.suppress(OSError):
        _vfs(repo).tryunlink(_PAUSE)


def paused(repo) -> Optional[int]:
    """Return until when nobody tries in the background, as seconds since the
    epoch, None if the last one did not fail."""
    count, until = _pause(repo)
    return until if count and until else None


def _failed(repo, count: int, reason: bytes) -> None:
    """Have nobody try again for a while."""
    seconds = min(_FIRST * 2 ** min(count - 1, 10), _MOST)
    _setpause(repo, count, int(time.time()) + seconds)
    _log(repo, _(b'failed (%d): %s') % (count, reason))


# -- files, beside those of the store: shares have them in common


def _vfs(repo):
    from mercurial import vfs as vfsmod

    # that of the repository wants locks to be held
    return vfsmod.vfs(repo.sharedpath)


def _open(repo, name: bytes, flags: int) -> int:
    """Open a file, which is made if need be, for all who may write to the
    repository. Mercurial would replace a file where it does not trust links,
    and who holds a lock would hold another one. Raises ``OSError``."""
    path = _vfs(repo).join(name)
    try:
        # of another user, it may still be there to be read
        file = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    mode = repo.store.createmode
    if mode is not None:
        with contextlib.suppress(OSError):
            os.fchmod(file, mode & 0o666)
    return file


def _write(repo, name: bytes, data: bytes, flags: int = os.O_TRUNC) -> None:
    file = _open(repo, name, os.O_WRONLY | flags)
    try:
        os.write(file, data)
    finally:
        os.close(file)


def _paused(repo) -> bool:
    """Whether the last backup failed not long ago."""
    _count, until = _pause(repo)
    # a clock that was set back must not stop it for good
    return time.time() < until <= time.time() + _MOST


def _failures(repo) -> int:
    """Return how often it failed, one time after the other."""
    return _pause(repo)[0]


def _pause(repo) -> tuple[int, int]:
    """Return how often it failed, and until when nobody tries again."""
    words: list[bytes] = []
    with contextlib.suppress(OSError):
        words = _vfs(repo).tryread(_PAUSE).split()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return 0, 0
    return int(words[0]), int(words[1])


def _setpause(repo, count: int, until: int = 0) -> None:
    with contextlib.suppress(OSError):
        _write(repo, _PAUSE, b'%d %d' % (count, until))


def _log(repo, text: bytes) -> None:
    vfs = _vfs(repo)
    line = b'%s %s\n' % (
        time.strftime('%Y-%m-%d %H:%M:%S').encode(),
        b' '.join(text.split()),
    )
    with contextlib.suppress(OSError, error.Abort):
        if vfs.exists(LOG) and vfs.stat(LOG).st_size > _LONGEST:
            vfs.rename(LOG, LOG + b'.1')
        _write(repo, LOG, line, os.O_APPEND)
