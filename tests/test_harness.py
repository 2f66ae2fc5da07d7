"""The harness itself, and plain Mercurial over it."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import breaks
from harness import cost, matrix, nightly, pool, spent, web
from harness.hg import Hg, Repo
from harness.history import History, copy
from harness.servers import HttpTransport, Transport, crashes, patiently
from harness.shelf import Shelf
from harness.snapshot import differences, snapshot, untouched
from harness.sockets import connections


@matrix.every_version
def test_plain_push_and_pull(
    transport: Transport,
    plainbase: Repo,
    newclient: Callable[..., Repo],
) -> None:
    alice = newclient('alice', ext=False)
    bob = newclient('bob', ext=False)
    node = alice.commit({'src/new.txt': 'new\n'}, 'a change')
    assert alice.phase(node) == 'draft'

    alice.run('push')

    assert plainbase.nodes('tip') == [node]
    assert alice.phase(node) == 'public'
    assert not bob.knows(node)
    bob.run('pull', '--rev', node)
    assert bob.cat('src/new.txt', node) == 'new\n'
    assert bob.phase(node) == 'public'
    bob.verify()


def test_clone(
    transport: Transport, plainbase: Repo, hg: Callable[..., Hg], tmp_path: Path
) -> None:
    clone = hg(ext=transport.name == 'path').clone(
        transport.url(plainbase),
        tmp_path / 'clone',
        config=transport.commandline(),
    )
    assert sorted(clone.nodes()) == sorted(plainbase.nodes())


@matrix.each_version('version')
@pytest.mark.parametrize('ext', [False, True])
def test_environments_hold_what_they_say(version: str, ext: bool) -> None:
    hg = Hg(version, ext)
    out = hg.run('version', '--quiet').out
    assert out == f'Mercurial Distributed SCM (version {version})\n'
    find = 'import importlib.util as u; print(u.find_spec("{}"))'
    done = subprocess.run(
        [hg.python, '-I', '-c', find.format('hgext3rd.bundlestore')],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert (done.stdout != 'None\n') == ext


@pytest.mark.slow('each Mercurial makes it')
def test_hashes_do_not_depend_on_the_version(
    template: Callable[[str], tuple[Path, History]],
) -> None:
    assert len({template(version)[1] for version in matrix.VERSIONS}) == 1


@pytest.mark.usefixtures('ownserver')
@matrix.over('http')
def test_death_of_the_server_is_noticed(
    transport: HttpTransport, plainbase: Repo
) -> None:
    transport.url(plainbase)
    assert transport.process is not None
    transport.process.kill()
    transport.process.wait()
    with pytest.raises(AssertionError, match='the server died'):
        transport.url(plainbase)
    with pytest.raises(AssertionError, match='the server died'):
        transport.close()


@pytest.mark.usefixtures('ownserver')
@matrix.over('http')
def test_restart_keeps_the_address(
    transport: HttpTransport, plainbase: Repo
) -> None:
    url = transport.url(plainbase)
    transport.restart()
    assert transport.url(plainbase) == url


def test_server_serves_one_test_after_the_other(
    hg: Callable[..., Hg],
    template: Callable[[str], tuple[Path, History]],
    tmp_path: Path,
) -> None:
    numbers = itertools.count()

    def makefolder() -> Path:
        folder = tmp_path / f'server{next(numbers)}'
        folder.mkdir()
        return folder

    def first(*extensions: str) -> tuple[HttpTransport, Repo, int]:
        transport = HttpTransport(hg(), makefolder())
        transport.share(servers)
        path = transport.root / transport.root.name
        copy(template(matrix.NEWEST)[0], path)
        repo = Repo(transport.hg, path)
        repo.configure('extensions', dict.fromkeys(extensions, ''))
        assert web.get(transport.url(repo)).status == 200
        assert transport.process is not None
        return transport, repo, transport.process.pid

    servers = pool.Pool(makefolder)
    try:
        one, repo, pid = first()
        assert web.get(f'{one.url(repo)}/no-such-page').status == 400
        seen = one.url(repo)
        one.restart()
        assert web.get(seen).status == 200
        one.close()
        # the same process, with other repositories
        two, _, other = first()
        assert other == pid
        assert web.get(seen).status == 404
        assert two.log() == ''
        two.close()
        # not where an extension is loaded, nor after one was
        three, repo, other = first('strip')
        assert other != pid
        repo.configure('extensions', {'churn': ''})
        url = three.url(repo)
        three.restart()
        assert web.get(url).status == 200
        assert three.process is not None
        assert three.process.pid != other
        three.close()
        four, repo, other = first()
        assert other == pid
        repo.enable()
        four.close()
        five, _, other = first()
        assert other != pid
        five.close()
    finally:
        servers.close()


def test_made_once(plainbase: Repo, vanilla: Repo, tmp_path: Path) -> None:
    folders = (tmp_path / f'kept{n}' for n in itertools.count())
    shelf = Shelf(lambda: next(folders))
    made: list[str] = []

    def make() -> list[str]:
        made.append(vanilla.commit({'a': 'a\n'}, 'once'))
        return list(made)

    before = vanilla.path.parent / 'before'
    copy(vanilla.path, before)
    assert shelf.once('it', [vanilla], make) == made
    shutil.rmtree(vanilla.path)
    copy(before, vanilla.path)
    assert not vanilla.knows(made[0])
    vanilla.configure('paths', {'default': 'elsewhere'})
    shelf.once('it', [vanilla], make).append('mine alone')
    assert vanilla.knows(made[0])
    assert 'elsewhere' in vanilla.hgrc.read_text()
    assert shelf.once('it', [vanilla], make) == made
    assert len(made) == 1
    # something else, and in a repository of another kind
    assert shelf.once('more', [vanilla], lambda: 'more') == 'more'
    vanilla.configure('experimental', {'evolution': 'all'})
    assert shelf.once('it', [vanilla], lambda: ['again']) == ['again']


@matrix.over('ssh')
def test_ssh_keeps_the_client_environment_out(
    transport: Transport, plainbase: Repo, vanilla: Repo
) -> None:
    plainbase.configure(
        'hooks', {'outgoing': 'echo "[$USER] [$LEAK] [$TMPDIR]" >&2'}
    )
    bob = transport.url(plainbase, user='bob')
    node = plainbase.node('tip')
    empty = vanilla.hg.init(vanilla.path.parent / 'empty')
    transport.connect(empty, plainbase)
    result = empty.run('pull', '-r', node, bob, env={'LEAK': 'leaked'})
    assert f'[bob] [] [{transport.hg.environ["TMPDIR"]}]' in result.out


def test_crashes_are_told_from_hangups() -> None:
    log = (
        'http://localhost:1/\n'
        'Exception occurred during processing of request\n'
        'Traceback (most recent call last):\n'
        '  File "socket.py", line 706, in readinto\n'
        '    return self._sock.recv_into(b)\n'
        '           ^^^^^^^^^^^^^^^^^^^^^^^\n'
        'ConnectionResetError: [Errno 104] Connection reset by peer\n'
        '----------------------------------------\n'
    )
    assert not crashes(log)
    assert crashes(log + log.replace('ConnectionReset', 'Key'))
    prefixed = re.sub('^', '::1 - - [1/1/1 1:1:1] HG error:  ', log, flags=re.M)
    assert not crashes(prefixed)
    assert crashes(prefixed.replace('ConnectionReset', 'Key'))
    # the last thing in the log
    assert crashes(log.replace('ConnectionReset', 'Key').rstrip('-\n'))


def test_failure_shows_the_command(hg: Callable[..., Hg]) -> None:
    with pytest.raises(AssertionError, match='unknown command'):
        hg().run('nonsense')


def test_snapshot_sees_everything(tmp_path: Path) -> None:
    folder = tmp_path / 'repo'
    (folder / '.hg/store').mkdir(parents=True)
    file = folder / '.hg/store/file'
    file.write_bytes(b'one')
    before = snapshot(folder)
    status = file.stat()

    with untouched(folder):
        (folder / '.hg/bundlestore').mkdir()
        (folder / '.hg/bundlestore/file').touch()

    # other bytes of the same length, with the old times
    file.write_bytes(b'two')
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    (change,) = differences(before, snapshot(folder))
    assert change.startswith('changed  .hg/store/file: content')
    file.write_bytes(b'one')
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not differences(before, snapshot(folder))

    # made and removed: the folder's time tells
    def lock() -> None:
        (folder / '.hg/store/lock').touch()
        (folder / '.hg/store/lock').unlink()

    with pytest.raises(AssertionError, match=r'changed  .hg/store: mtime'):
        watched(folder, lock)

    with pytest.raises(AssertionError, match=r'new      .hg/store/more'):
        watched(folder, (folder / '.hg/store/more').touch)


def watched(folder: Path, act: Callable[[], None]) -> None:
    with untouched(folder):
        act()


@pytest.mark.slow('the system counts whole seconds')
def test_cost_of_processes() -> None:
    code = "data = b'x' * (50 << 20)\nwhile True: pass"
    with subprocess.Popen([sys.executable, '-c', code]) as process:
        cost.bound(process.pid, seconds=1)
        for _ in patiently():
            try:
                cost.check(process.pid, resident=40 << 20)
            except AssertionError:
                break
        with pytest.raises(AssertionError, match='MB of memory'):
            cost.check(process.pid, resident=40 << 20)
        with pytest.raises(AssertionError, match='computed for'):
            cost.check(process.pid, seconds=0)
        cost.check(os.getpid())
        assert process.wait() == -signal.SIGXCPU


def test_cost_of_a_test() -> None:
    """Counted is what has ended, what runs, what that started, and what was
    left behind."""
    burn = 'import time\nwhile time.process_time() < 0.05: pass\n'
    command = f'[sys.executable, "-c", {burn!r}]'
    run = f'import subprocess as s, sys\ns.{{}}({command})\n'
    stays = f'{run.format("run")}\n{burn}\nprint(flush=True)\nsys.stdin.read()'
    before = cost.spent()
    for code in (burn, run.format('run'), run.format('Popen')):
        subprocess.run(
            [sys.executable, '-c', code], check=True, start_new_session=True
        )
    with subprocess.Popen(
        [sys.executable, '-c', stays],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stdin
        process.stdout.readline()
        # five of them; and it counts in hundredths
        for _ in patiently():
            if cost.spent() - before > 0.2:
                break
        process.stdin.close()
    cost.reap()
    assert cost.spent() - before > 0.2


pytest_plugins = ['pytester']


def test_cost_of_the_suite(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spent, 'DEAR', 0.05)
    pytester.makeconftest(
        """
        from harness.spent import Spent

        def pytest_configure(config):
            config.pluginmanager.register(Spent(config))
            config.addinivalue_line('markers', 'slow(why)')
        """
    )
    pytester.makepyfile(
        """
        import time
        import pytest

        def burn(seconds):
            end = time.process_time() + seconds
            while time.process_time() < end:
                pass

        @pytest.fixture
        def late():
            yield
            burn(0.1)

        def test_cheap():
            pass

        def test_dear(late):
            pass

        @pytest.mark.slow('it burns')
        def test_dearest():
            burn(0.25)
        """
    )
    lines = pytester.runpytest('-q').outlines
    begin = next(n for n, line in enumerate(lines) if 'processor time' in line)
    *words, total, _passed = [line.split() for line in lines[begin + 1 :]]
    names = [word[-1].rpartition('::')[2] for word in words]
    assert names == [
        'test_dearest',
        'test_dear',
        'test_cheap',
        'why:',
        'test_dear',
    ]
    assert total[-2:] == ['3', 'tests']


@pytest.mark.parametrize('tonight', [False, True])
def test_what_is_for_the_night(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tonight: bool
) -> None:
    monkeypatch.setattr(nightly, 'NIGHTLY', tonight)
    assert nightly.upto(1, 3) == (3 if tonight else 1)
    pytester.makeconftest(
        """
        from harness import nightly

        def pytest_collection_modifyitems(config, items):
            nightly.choose(config, items)
        """
    )
    test = """
        import pytest

        @pytest.mark.nightly({why})
        def test_long():
            pass

        def test_short():
            pass
    """
    pytester.makepyfile(test.format(why="'it is long'"))
    result = pytester.runpytest()
    result.assert_outcomes(passed=1 + tonight, deselected=1 - tonight)
    pytester.makepyfile(test.format(why=''))
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines('*::test_long: the mark "nightly" must say why')


def test_breaks_are_of_the_code_as_it_is() -> None:
    assert not [cut.what for cut in breaks.BREAKS if not cut.fits()]


def test_connections_of_a_server() -> None:
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert connections(port) == 0
        client = socket.create_connection(('127.0.0.1', port))
        with listener.accept()[0]:
            assert connections(port) == 1
            # the server's end is open yet
            client.close()
            assert connections(port) == 1
        assert connections(port) == 0
