"""What is forked does what a start does (harness/forked.py)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import forked, matrix
from harness.hg import Hg, Repo, finish
from harness.servers import SshTransport, patiently


@pytest.fixture(autouse=True)
def _forking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have forks where a nightly run has real starts."""
    monkeypatch.delenv('BUNDLESTORE_REAL_STARTS', raising=False)


#: an extension with a command that tells what a process finds
FINDINGS = """\
import os, resource, signal, sys, threading, types
import hgdemandimport
from mercurial import encoding, extensions, pycompat, registrar, ui as uimod
from mercurial.utils import procutil

cmdtable = {}
command = registrar.command(cmdtable)
begun = [name for name, _ in extensions.extensions()]

@command(b'findings', [], norepo=True)
def findings(ui, *args):
    main = sys.modules['__main__']
    files = [os.readlink(f'/proc/self/fd/{n}') for n in (0, 1, 2)]
    more = [
        name for name in os.listdir('/proc/self/fd')
        if int(name) > 2 and os.path.exists(f'/proc/self/fd/{name}')
    ]
    found = {
        'argv': [sys.argv, pycompat.sysargv, sys.flags],
        'main': [main.__file__, main.__name__, main.__spec__],
        'hg': procutil.hgexecutable(),
        'path': sys.path,
        'environ': [dict(os.environ), encoding.environ[b'USER']],
        'encoding': [encoding.encoding, encoding.encodingmode],
        'folder': [os.getcwd(), sys.path_importer_cache.get('')],
        'umask': os.umask(0),
        'group': [os.getpid() == os.getsid(0), os.getpid() == os.getpgid(0)],
        'signals': [
            str(signal.getsignal(number)).partition(' at ')[0]
            for number in sorted(signal.valid_signals())
        ],
        'limits': resource.getrlimit(resource.RLIMIT_NOFILE),
        'files': [name.partition(':')[0] for name in files],
        'more': more,
        'seekable': [sys.stdin.buffer.seekable(), sys.stdout.buffer.seekable()],
        'names': [sys.stdin.name, sys.stdout.name, sys.stderr.name],
        'input': sys.stdin.read(),
        'lazy': hgdemandimport.isenabled(),
        'threads': len(threading.enumerate()),
        'begun': begun,
        'extensions': [name for name, _ in extensions.extensions()],
        'web': [
            name for name, module in list(sys.modules.items())
            if 'hgweb' in name and 'mod' in name.rpartition('.')[2]
            and type(module) is types.ModuleType
        ],
    }
    for name, value in sorted(found.items()):
        ui.write(f'{name}: {value}\\n'.encode())
    return 7
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / 'findings.py').write_text(FINDINGS)
    return tmp_path


@pytest.fixture
def really() -> Iterator[Callable[[bool], None]]:
    def set(real: bool) -> None:
        forked.real = real

    yield set
    forked.real = False


@pytest.mark.parametrize('ext', [False, True])
@matrix.each_version('version')
def test_same_as_a_start(
    folder: Path,
    really: Callable[[bool], None],
    hg: Callable[..., Hg],
    version: str,
    ext: bool,
) -> None:
    config = [f'extensions.findings={folder}/findings.py', 'ui.debug=no']
    if ext:
        config.append('extensions.bundlestore=')
    said = []
    umask = os.umask(0o027)
    try:
        for real in (True, False):
            really(real)
            process = hg(version, ext).start(
                *('findings', 'a', 'b c'),
                cwd=folder,
                config=config,
                env={'REMOTE_USER': 'bob', 'PATH': f'/bin:{folder}'},
                stdin=subprocess.PIPE,
            )
            assert isinstance(process, subprocess.Popen) == real
            said.append(finish(process, input='words\n', ok=[7]))
    finally:
        os.umask(umask)
    assert said[0].out.splitlines() == said[1].out.splitlines()
    assert said[0].err == said[1].err == ''
    assert f'umask: {0o027}\n' in said[0].out
    assert 'input: words\n' in said[0].out


def test_ends_of_processes(tmp_path: Path, hg: Callable[..., Hg]) -> None:
    """By a signal, and by one to all that they have started."""
    made = hg()
    alias = (
        f'alias.wait=!echo $PPID; sleep 600 & echo $! > {tmp_path}/sleep; wait'
    )
    process = made.start('wait', config=[alias])
    for _ in patiently():
        if (tmp_path / 'sleep').exists() and (tmp_path / 'sleep').read_text():
            break
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=0.1)
    os.killpg(process.pid, signal.SIGKILL)
    out, err = process.communicate()
    assert (out, err) == (f'{process.pid}\n', '')
    assert process.wait() == process.returncode == -signal.SIGKILL
    _gone(int((tmp_path / 'sleep').read_text()))


def test_scripts_and_other_environments_start_for_real(
    tmp_path: Path, hg: Callable[..., Hg], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hg()
    environ = made.cleanenviron()
    assert forked.of(made.executable, environ)
    assert not forked.of(made.executable, {**environ, 'HGENCODING': 'ascii'})
    assert not forked.of(made.executable, {**environ, 'HGPLAIN': '1'})
    assert not forked.of(made.python, environ)
    assert not forked.of(tmp_path / 'hg', environ)
    monkeypatch.setenv('BUNDLESTORE_REAL_STARTS', '1')
    assert not forked.of(made.executable, environ)


#: of a session that starts something and is killed
SESSION = """\
import os, sys
sys.path[:0] = sys.argv[1:3]
from harness import forked
from harness.hg import Hg
forked.real = False
process = Hg(sys.argv[3], False).start('wait', config=['alias.wait=!sleep 600'])
(server,) = forked.Server._running.values()
print(process.pid, server._process.pid, server.path, flush=True)
os.kill(os.getpid(), 9)
"""


def test_ends_with_the_session(tmp_path: Path) -> None:
    tests = Path(__file__).parent
    words = [str(tests), str(tests.parent / 'tools'), matrix.NEWEST]
    done = subprocess.run(
        [sys.executable, '-c', SESSION, *words],
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    child, server, path = done.stdout.split()
    _gone(int(child))
    _gone(int(server))
    assert not Path(path).parent.exists()


@matrix.over('ssh')
def test_server_of_a_client_that_is_killed(
    transport: SshTransport, plainbase: Repo, vanilla: Repo, tmp_path: Path
) -> None:
    """With all of its group, as finish() does with one that hangs."""
    note = tmp_path / 'server'
    wait = f'echo $PPID > {note}.new; mv {note}.new {note}; sleep 600'
    plainbase.configure('hooks', {'preoutgoing': wait})
    plainbase.commit({'new': ''}, 'new')
    process = vanilla.start('pull')
    for _ in patiently():
        if note.exists():
            break
    os.killpg(process.pid, signal.SIGKILL)
    finish(process, ok=[-signal.SIGKILL])
    _gone(int(note.read_text()))


def _gone(pid: int) -> None:
    for _ in patiently():
        # init may take its time to wait for it
        try:
            state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2]
        except OSError:
            return
        if state.split()[0] in 'ZX':
            return
    raise AssertionError(f'process {pid} is still there')
