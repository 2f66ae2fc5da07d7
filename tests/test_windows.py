"""The client works where Python has less to offer, as on Windows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness import matrix
from harness.hg import Repo
from harness.servers import Transport

pytestmark = pytest.mark.realstarts('what a start finds missing')

#: Takes from this project's modules, and from no others, what there is on
#: POSIX systems only. The last line is for the test to see that it was done.
SITECUSTOMIZE = """\
import builtins, os, signal, sys, types

MODULES = {
    'crypt', 'fcntl', 'grp', 'posix', 'pty', 'pwd', 'resource', 'syslog',
    'termios', 'tty',
}
NAMES = {
    'os': '''
        CLD_EXITED EX_OK F_LOCK O_ASYNC O_CLOEXEC O_DIRECTORY O_DSYNC
        O_NOCTTY O_NOFOLLOW O_NONBLOCK O_PATH O_SYNC WNOHANG chown chroot
        ctermid fchmod fchown fdatasync fork forkpty fwalk getegid geteuid
        getgid getgroups getloadavg getpgid getpgrp getpriority getsid getuid
        initgroups killpg lchown lockf major minor mkfifo mknod nice openpty
        posix_fadvise posix_fallocate posix_spawn pread preadv pwrite pwritev
        register_at_fork sched_yield sendfile setegid seteuid setgid setgroups
        setpgid setpriority setsid setuid statvfs sync sysconf tcgetpgrp
        uname wait wait3 wait4 waitid WEXITSTATUS WIFSIGNALED
    ''',
    'signal': '''
        ITIMER_PROF ITIMER_REAL ITIMER_VIRTUAL SIGALRM SIGBUS SIGCHLD SIGHUP
        SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGUSR1 SIGUSR2 alarm getitimer pause
        pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigwait
    ''',
}

def less(module):
    made = types.ModuleType(module.__name__)
    gone = NAMES[module.__name__].split()
    made.__dict__.update(
        (k, v) for k, v in vars(module).items() if k not in gone
    )
    return made

lesser = {name: less(sys.modules[name]) for name in NAMES}
original = builtins.__import__

def importless(name, globals=None, locals=None, fromlist=(), level=0):
    whose = (globals or {}).get('__name__') or ''
    if level == 0 and whose.startswith('hgext3rd.bundlestore'):
        top = name.partition('.')[0]
        if top in MODULES:
            raise ImportError(f'{name} is not there')
        if name in lesser or (top in lesser and not fromlist):
            sys.stderr.write(f'LESS {whose}\\n')
            return lesser[top]
    return original(name, globals, locals, fromlist, level)

builtins.__import__ = importless
"""


@pytest.mark.slow('real starts of a lesser Python; few changes touch it')
@pytest.mark.parametrize(
    'lazy',
    [True, False],
    ids=['lazy', 'atonce'],
)
@matrix.over('http')
def test_client_without_posix(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    tmp_path: Path,
    lazy: bool,
) -> None:
    fake = tmp_path / 'fake'
    fake.mkdir()
    (fake / 'sitecustomize.py').write_text(SITECUSTOMIZE)
    author, reader = newclient('author'), newclient('reader')
    for repo in (author, reader):
        repo.hg.environ['PYTHONPATH'] = str(fake)
        if not lazy:
            repo.hg.environ['HGDEMANDIMPORT'] = 'disable'
    node = author.commit({'a': 'a\n'}, 'scratch')
    pushed = author.run('push', '--bundle-store', '-r', '.')
    assert 'stored 1 changeset as push 1' in pushed.out
    if not lazy:
        assert 'LESS hgext3rd.bundlestore.stores.fileops\n' in pushed.err
    second = author.commit({'a': 'b\n'}, 'second')
    author.run('push', '-r', '.', '-B', 'scratch/alice/x')
    assert reader.run('pushes', '-T', '{push} ').out == '2 1 '
    reader.run('update', node)
    assert reader.node('.') == node
    reader.run('pull', '-B', 'scratch/alice/x')
    assert reader.knows(second)
    unknown = reader.run('log', '-r', 'abcdef123456', ok=(255,))
    assert ' has no changeset abcdef123456)' in unknown.err
    # what hangs is ended as well as can be
    script = tmp_path / 'hanging'
    script.write_text('#!/bin/sh\nsleep 1000\n')
    script.chmod(0o755)
    silent = reader.run(
        *('log', '-r', 'abcdef123456'),
        config=[
            'paths.default=ssh://x/y',
            f'ui.ssh={script}',
            'bundlestore.autopull-timeout=1',
        ],
        ok=(255,),
    )
    assert 'could not be asked: no answer within 1 s' in silent.err
