"""``bundlestore.auto-backup``: drafts are backed up in the background, whatever
befalls the machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from faults import shim
from harness import matrix
from harness.drafts import eventually, finished, idle
from harness.hg import Repo, finish
from harness.nightly import upto
from harness.rights import NOBODY, mode, powerless
from harness.servers import Transport
from harness.smalldisk import mounted, readonly

AGAIN = pytest.mark.nightly('what differs by version is in the commands')
#: of the client
VERSIONS = [
    *(pytest.param(v, marks=AGAIN) for v in matrix.VERSIONS[:-1]),
    matrix.NEWEST,
]


@matrix.over('ssh')
def test_automatic(base: Repo, client: Repo) -> None:
    client.configure('bundlestore', {'auto-backup': 'yes'})
    # what a user calls so is not what is run
    client.configure('alias', {'backup': '!false'})
    client.write({'a': 'a\n'})
    env = {'HGPLAINEXCEPT': 'alias'}
    client.run('commit', '-A', '-q', '-m', 'first', env=env)
    first = client.node('.')
    assert eventually(lambda: finished(client) == [first])
    log = client.path / '.hg' / 'bundlestore-backup.log'
    text = 'backed up 1 changeset, 1 head, version 1'
    assert eventually(lambda: log.exists() and text in log.read_text())
    # nothing of the phases changes with one on top
    client.write({'a': 'b\n'})
    client.run('commit', '-q', '-m', 'second')
    assert eventually(lambda: '1 head, version 2' in log.read_text())


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_automatic_without_a_path(base: Repo, client: Repo) -> None:
    client.configure('bundlestore', {'auto-backup': 'yes'})
    client.configure('paths', {'default': ''})
    client.write({'a': 'a\n'})
    client.run('commit', '-A', '-q', '-m', 'first')
    assert not [*client.path.glob('.hg/bundlestore-*')]


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_one_process_for_many_transactions(base: Repo, client: Repo) -> None:
    client.configure('bundlestore', {'auto-backup': 'yes'})
    more = client.path / '.hg' / 'bundlestore-backup.more'
    lock = client.path / '.hg' / 'bundlestore-backup.lock'
    client.write({'a': 'a\n'})
    with lock.open('w') as fh:
        fcntl.flock(fh, fcntl.LOCK_EX)
        out = client.run('commit', '-A', '-q', '-m', 'first', '--debug').out
        assert 'a backup is started' not in out
        # who is at work looks again
        assert more.exists()
    # it was killed before it did
    out = client.run('bookmark', 'x', '--debug').out
    assert 'a backup is started' in out
    log = client.path / '.hg' / 'bundlestore-backup.log'
    assert eventually(log.exists)
    assert 'backed up 1 changeset,' in log.read_text()
    assert not more.exists()


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_none_while_it_is_restored(
    base: Repo, client: Repo, newclient: Callable[..., Repo]
) -> None:
    client.commit({'a': 'a\n'}, 'first')
    client.inspect('bookmark', 'one')
    client.run('backup')
    other = newclient('other')
    other.configure('bundlestore', {'auto-backup': 'yes'})
    other.configure(
        'hooks', {'txnclose.zz': 'ls .hg/bundlestore-backup.* >&2; true'}
    )
    err = other.run('backup', '--restore').err
    assert 'bundlestore-backup.more' not in err
    log = other.path / '.hg' / 'bundlestore-backup.log'
    assert eventually(log.exists)


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_offline(transport: Transport, base: Repo, client: Repo) -> None:
    client.configure('bundlestore', {'auto-backup': 'yes'})
    client.configure('paths', {'default': 'ssh://server.example.org/gone'})
    client.write({'a': 'a\n'})
    result = client.run('commit', '-A', '-q', '-m', 'first')
    assert (result.out, result.err) == ('', '')
    pause = client.path / '.hg' / 'bundlestore-backup.pause'
    assert eventually(pause.exists)
    log = client.path / '.hg' / 'bundlestore-backup.log'
    assert eventually(lambda: log.exists() and 'failed' in log.read_text())
    count = len(log.read_text().splitlines())
    client.write({'a': 'b\n'})
    client.run('commit', '-q', '-m', 'second')
    assert len(log.read_text().splitlines()) == count
    out = client.run('backup', '--status', ok=(1,)).out
    assert 'failed, see .hg/bundlestore-backup.log; none before ' in out
    # the user knows better
    client.run('backup', transport.url(base, 'alice'))
    assert not pause.exists()


# -- what befalls a machine


def isbackedup(repo: Repo) -> bool:
    """Whether the server has all drafts, by the revset and by itself."""
    heads = repo.nodes('heads(draft())')
    missing = repo.run('log', '-r', 'notbackedup()', '-T', '{node}\n').out
    # before anything could be written it may have had another one
    number = (repo.path / '.hg' / 'bundlestore-clone').read_text().strip()
    return not missing and sorted(finished(repo, number)) == sorted(heads)


def owed(repo: Repo) -> list[str]:
    """Return the files that say that something is left to do."""
    return [
        path.name
        for path in repo.path.glob('.hg/bundlestore-backup.*')
        if path.suffix in ('.more', '.pause')
    ]


@pytest.fixture
def auto(client: Repo) -> Repo:
    """A clone that is backed up in the background."""
    client.configure('bundlestore', {'auto-backup': 'yes'})
    return client


def silent(repo: Repo, folder: Path) -> Path:
    """Have ``ssh`` of a clone be one whose server never says anything;
    returns the file that its process id is in."""
    script, pid = folder / 'silent', folder / 'pid'
    script.write_text(
        f'#!/bin/sh\necho $$ > {pid}.new\nmv {pid}.new {pid}\nexec sleep 600\n'
    )
    script.chmod(0o755)
    repo.configure('ui', {'ssh': str(script)})
    return pid


def holders(repo: Repo) -> list[int]:
    """Return the processes that back up in the background."""
    lock = (repo.path / '.hg' / 'bundlestore-backup.lock').stat()
    found = []
    for name in Path('/proc').glob('[0-9]*/fd/*'):
        with contextlib.suppress(OSError):
            if os.path.samestat(name.stat(), lock):
                found.append(int(name.parts[2]))
    return found


def kill(repo: Repo) -> None:
    """Kill what backs up in the background."""
    (pid,) = holders(repo)
    os.kill(pid, signal.SIGKILL)
    assert idle(repo)


@matrix.over('ssh')
@pytest.mark.parametrize('client_version', VERSIONS)
def test_killed(base: Repo, auto: Repo, tmp_path: Path) -> None:
    """From its first moment on nobody waits for a process that is gone."""
    stop = tmp_path / 'stop'
    stop.touch()
    sleepy = tmp_path / 'sleepy.py'
    sleepy.write_text(
        'import os, sys, time\n'
        f'if "--auto" in sys.argv and os.path.exists({str(stop)!r}):\n'
        '    time.sleep(600)\n'
    )
    auto.configure('extensions', {'sleepy': str(sleepy)})
    auto.write({'a': 'a\n'})
    auto.run('commit', '-A', '-q', '-m', 'first')
    auto.write({'a': 'b\n'})
    out = auto.run('commit', '-q', '-m', 'second', '--debug').out
    assert 'a backup is started' not in out
    kill(auto)
    stop.unlink()
    auto.run('bookmark', 'x')
    assert idle(auto)
    assert isbackedup(auto)
    assert owed(auto) == []


@pytest.mark.slow('it waits')
@matrix.over('ssh')
def test_silent_server(base: Repo, auto: Repo, tmp_path: Path) -> None:
    """The command does not wait for it, nor do others for ever."""
    settings = auto.hgrc.read_text()
    pid = silent(auto, tmp_path)
    auto.write({'a': 'a\n'})
    result = auto.run('commit', '-A', '-q', '-m', 'first')
    assert (result.out, result.err) == ('', '')
    assert eventually(pid.exists)
    # it is not its ssh that has the lock
    assert int(pid.read_text()) not in holders(auto)
    auto.write({'a': 'b\n'})
    out = auto.run('commit', '-q', '-m', 'second', '--debug').out
    assert 'a backup is started' not in out
    auto.hgrc.write_text(settings)
    kill(auto)
    os.kill(int(pid.read_text()), signal.SIGKILL)
    # whatever comes next has it done
    auto.run('pull', '-q')
    auto.run('bookmark', 'x')
    assert idle(auto)
    assert isbackedup(auto)
    assert owed(auto) == []


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_no_end(base: Repo, auto: Repo, tmp_path: Path) -> None:
    """What hangs ends some time, with all it has started."""
    pid = silent(auto, tmp_path)
    short = tmp_path / 'short.py'
    short.write_text(
        'from hgext3rd.bundlestore.client import autobackup\n'
        'autobackup._MOST = 1\n'
    )
    auto.configure('extensions', {'short': str(short)})
    auto.write({'a': 'a\n'})
    auto.run('commit', '-A', '-q', '-m', 'first')
    assert eventually(pid.exists)
    assert idle(auto)
    log = auto.path / '.hg' / 'bundlestore-backup.log'
    assert log.read_text().endswith(' failed (1): no end in sight\n')
    stat = Path('/proc', pid.read_text().strip(), 'stat')
    # nobody may have asked how it ended
    assert not stat.exists() or ') Z ' in stat.read_text()


@matrix.over('ssh')
@pytest.mark.slow('two commands at once, many times')
def test_two_at_once(base: Repo, auto: Repo, tmp_path: Path) -> None:
    """One of them in a share."""
    other = Repo(auto.hg, tmp_path / 'share')
    auto.configure('extensions', {'share': ''})
    auto.run('share', '-q', auto.path, other.path)
    for key, value in (('extensions', 'bundlestore'), ('extensions', 'share')):
        other.configure(key, {value: ''})
    other.configure('bundlestore', {'auto-backup': 'yes'})
    for number in range(upto(2, 25)):
        running = []
        for repo in (auto, other):
            repo.write({repo.path.name: f'{number}\n'})
            args = ('commit', '-A', '-q', '-m', f'{number}')
            running.append(repo.start(*args))
        for process in running:
            finish(process)
        assert idle(auto)
        assert isbackedup(auto)
        assert owed(auto) == []


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
@pytest.mark.parametrize('client_version', VERSIONS)
def test_full_disk(base: Repo, auto: Repo, tmp_path: Path) -> None:
    """It is full when a transaction ends, or nearly so."""
    disk = tmp_path / 'disk'
    with mounted(disk, '8m'):
        shutil.move(auto.path, disk / 'client')
        auto.path = disk / 'client'
        full = tmp_path / 'full'
        full.write_text(
            '#!/bin/sh\n'
            f'cat /dev/zero > {disk}/filler 2>/dev/null\n'
            f'truncate -s -$(cat {tmp_path}/room) {disk}/filler\n'
        )
        full.chmod(0o755)
        auto.configure('hooks', {'txnclose.a': str(full)})
        for room in (0, 8192):
            (tmp_path / 'room').write_text(str(room))
            auto.write({'a': f'{room}\n'})
            result = auto.run('commit', '-A', '-q', '-m', 'x')
            assert (result.out, result.err) == ('', '')
            assert eventually(lambda: auto.node('.') in finished(auto))
            assert idle(auto)
            (disk / 'filler').unlink()
        auto.configure('hooks', {'txnclose.a': ''})
        auto.run('bookmark', 'x')
        assert idle(auto)
        assert isbackedup(auto)
        assert owed(auto) == []


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_nothing_may_be_written(base: Repo, auto: Repo, tmp_path: Path) -> None:
    """As where a disk fails: that is when a backup is wanted most."""
    auto.run('bookmark', 'x')
    auto.commit({'a': 'a\n'}, 'first')
    with readonly(auto.path):
        out = auto.run('backup').out
        assert out == 'backed up 1 changeset (1 head, +1/-0)\n'
        assert auto.run('backup').out == 'nothing to back up (1 head)\n'
        auto.run('backup', '--auto')


@matrix.over('ssh')
@pytest.mark.slow('one more of a kind')
def test_of_another_user(base: Repo, auto: Repo, tmp_path: Path) -> None:
    """Who may commit to the clone of another user backs it up."""
    if os.geteuid():
        pytest.skip('only root can be another user')
    auto.write({'a': 'a\n'})
    (auto.path / '.hg').chmod(0o777)
    (auto.path / '.hg' / 'store').chmod(0o777)
    settings = auto.hgrc.read_text()
    auto.configure('ui', {'ssh': 'false'})
    auto.run('commit', '-A', '-q', '-m', 'first')
    assert idle(auto)
    auto.hgrc.write_text(settings)
    assert len(owed(auto)) == 1
    for path in [auto.path, *auto.path.rglob('*')]:
        if path != auto.hgrc:
            os.chown(path, NOBODY, NOBODY)
            path.chmod(path.stat().st_mode | (path.stat().st_mode & 0o700) >> 6)
    files = [*auto.path.glob('.hg/bundlestore-backup.*')]
    assert {mode(path) for path in files} == {0o666}
    (auto.path / '.hg' / 'bundlestore-backup.pause').write_text('1 0')
    other = Repo(powerless(auto.hg, tmp_path), auto.path)
    other.write({'b': 'b\n'})
    result = other.run('commit', '-A', '-q', '-m', 'second')
    assert (result.out, result.err) == ('', '')
    assert idle(auto)
    log = auto.path / '.hg' / 'bundlestore-backup.log'
    assert 'backed up 2 changesets' in log.read_text()
    assert owed(auto) == []


@pytest.mark.nightly('a fault at each file operation of a backup')
@pytest.mark.realstarts('processes whose file operations fail')
@matrix.over('ssh')
@pytest.mark.parametrize('kind', shim.KINDS)
def test_faults(base: Repo, auto: Repo, tmp_path: Path, kind: str) -> None:
    """Whatever fails, or kills it: the next backup is a whole one."""
    why = shim.missing()
    if why is not None:
        pytest.skip(why)
    library = shim.build()
    auto.commit({'a': 'a\n'}, 'first')
    auto.commit({'b': 'b\n'}, 'second')
    spare, state = tmp_path / 'spare', tmp_path / 'state'
    shutil.copytree(auto.path, spare, symlinks=True)
    fired = True
    # a third of them with each kind
    number = shim.KINDS.index(kind) % 3 - 2
    while fired:
        number += 3
        shutil.rmtree(auto.path)
        shutil.copytree(spare, auto.path, symlinks=True)
        state.unlink(missing_ok=True)
        plan = shim.Plan((auto.path / '.hg',), kind, number, state=state)
        environ = {'LD_PRELOAD': str(library), **plan.environ()}
        auto.run('backup', '--auto', env=environ, ok=None)
        fired = shim.readstate(state).fired
        for path in auto.path.glob('.hg/bundlestore-backup.pause'):
            # an hour later
            path.write_text('1 0')
        auto.run('bookmark', 'x')
        assert idle(auto)
        assert isbackedup(auto), number
        assert owed(auto) == [], number
    shutil.rmtree(library.parent)
