"""Commands that ask a server for what they do not know, and get no help:
they say what they do, do not wait for ever, and say why it was in vain."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import listener, matrix, rights
from harness.commandserver import CommandServer
from harness.connections import Connections
from harness.hg import Hg, Repo, finish
from harness.servers import Transport, patiently, serve_bundlestore
from harness.shelf import Shelf
from harness.snapshot import untouched
from hgext3rd.bundlestore.client import storeless

UNKNOWN = 'abcdef123456'
ABORT = f"abort: unknown revision '{UNKNOWN}'\n"


def asked(url: str, hint: str) -> str:
    """Return what a command that asked ``url`` in vain says."""
    return f'asking {url} for {UNKNOWN}\n{ABORT}({hint})\n'


@matrix.over('ssh')
@matrix.each_version('client_version')
def test_server_that_does_not_have_it(
    transport: Transport, base: Repo, client: Repo
) -> None:
    url = transport.url(base)
    result = client.run('log', '-r', UNKNOWN, ok=(255,))
    assert result.err == asked(url, f'{url} has no changeset {UNKNOWN}')
    assert result.out == ''
    result = client.run('log', '-q', '-r', UNKNOWN, ok=(255,))
    assert result.err == ABORT + f'({url} has no changeset {UNKNOWN})\n'
    result = client.run('log', '-r', 'scratch/x', ok=(255,))
    assert f'({url} has no bookmark scratch/x)\n' in result.err
    # the exit code is Mercurial's, too
    result = client.run(
        'log', '-r', UNKNOWN, config=['ui.detailed-exit-code=yes'], ok=(10,)
    )
    # a command that can do without goes on
    result = client.run('log', '-r', f'present({UNKNOWN})')
    assert result.err == f'asking {url} for {UNKNOWN}\n'


@matrix.over('ssh')
def test_each_name_has_its_reason(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
) -> None:
    node = client.commit({'a': 'a\n'}, 'known soon')
    client.run('push', '--bundle-store')
    other = newclient('other')
    result = other.run('log', '-r', f'{node} + {UNKNOWN}', ok=(255,))
    assert f' for {node[:12]}, {UNKNOWN}\n' in result.err
    assert f'pulling {node[:12]}' in result.out
    assert f' has no changeset {UNKNOWN})\n' in result.err
    assert other.knows(node)
    # known now, so the hint for the other one is not for this
    result = other.run('log', '-r', '99', ok=(255,))
    assert result.err == "abort: unknown revision '99'\n"


@pytest.mark.parametrize(
    ('url', 'reason'),
    [
        (
            'http://alice:pssst@127.0.0.1:9/nobody',
            'Connection refused',
        ),
        (
            'http://127.0.0.1:9/nobody',
            'Connection refused',
        ),
        ('ssh://x/y', 'ssh: connect to host x: no way'),
        ('/no/such/place', 'repository /no/such/place not found'),
        ('nonsense://x/y', None),
        ('http://' + 70 * 'x' + '/', None),
    ],
)
@matrix.over('ssh')
def test_server_that_cannot_be_reached(
    transport: Transport, base: Repo, client: Repo, url: str, reason: str | None
) -> None:
    script = client.path.parent / 'failing-ssh'
    script.write_text(
        '#!/bin/sh\necho warning >&2\n'
        'echo "ssh: connect to host x: no way" >&2\nexit 255\n'
    )
    script.chmod(0o755)
    client.configure('paths', {'default': url})
    client.configure('ui', {'ssh': str(script)})
    result = client.run('update', UNKNOWN, ok=(255,))
    shown = url.replace('pssst', '***')
    if reason is None:
        assert ABORT in result.err
        assert ' could not be asked: ' in result.err
    else:
        hint = f'{shown} could not be asked: {reason}'
        assert result.err == asked(shown, hint)
    assert result.out == ''


HANGING = """\
#!/bin/sh
{trap}
echo $$ >> {pids}
# does not notice that its output is gone, nor that its input has ended
sleep 1000 &
echo $! >> {pids}
wait
sleep 1000
"""


def lives(pid: int) -> bool:
    """Whether a process runs, not as a mere entry that nobody has read."""
    try:
        text = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return False
    return text.rpartition(')')[2].split()[0] != 'Z'


@pytest.mark.parametrize(
    'stubborn', [False, pytest.param(True, marks=matrix.ANOTHER)]
)
@matrix.over('ssh')
def test_ssh_that_hangs(
    transport: Transport, base: Repo, client: Repo, stubborn: bool
) -> None:
    """As one that waits for a password does. Nothing of it is left."""
    pids = client.path.parent / 'pids'
    script = client.path.parent / 'hanging-ssh'
    trap = "trap '' TERM" if stubborn else ''
    script.write_text(HANGING.format(pids=pids, trap=trap))
    script.chmod(0o755)
    client.configure('ui', {'ssh': str(script)})
    client.configure('bundlestore', {'autopull-timeout': '1'})
    result = client.run('diff', '-r', UNKNOWN, '-r', 'tip', ok=(255,))
    url = transport.url(base)
    hint = f'{url} could not be asked: no answer within 1 s'
    assert result.err == asked(url, hint)
    found = [int(pid) for pid in pids.read_text().split()]
    assert len(found) == 2, 'asked once'
    assert not any(map(lives, found))


@pytest.mark.parametrize(
    'kind', ['silent', pytest.param('full', marks=matrix.ANOTHER)]
)
@matrix.each_version('client_version')
@matrix.over('ssh')
def test_http_server_that_is_silent(
    transport: Transport, base: Repo, client: Repo, kind: str
) -> None:
    client.configure('bundlestore', {'autopull-timeout': '1'})
    silent = listener.listening(None)
    with silent as made, listener.blackhole() as port:
        port = made.port if kind == 'silent' else port
        url = f'http://127.0.0.1:{port}/'
        client.configure('paths', {'default': url})
        result = client.run('update', UNKNOWN, ok=(255,))
        assert made.count == (kind == 'silent')
    hint = f'{url} could not be asked: no answer within 1 s'
    assert result.err == asked(url, hint)


@pytest.mark.slow('it waits for three seconds')
@matrix.over('ssh')
def test_http_server_that_falls_silent(
    transport: Transport, base: Repo, client: Repo
) -> None:
    """It says hello, and is not there for the question: nobody waits for it,
    not even behind the last line."""
    client.configure('bundlestore', {'autopull-timeout': '1'})
    caps = b'batch bundlestore getbundle known lookup'
    hello = b'HTTP/1.1 200 Ok\r\nContent-Type: application/mercurial-0.1\r\n'
    hello += b'Content-Length: %d\r\nConnection: close\r\n\r\n' % len(caps)
    with listener.blackhole(hello + caps) as port:
        url = f'http://127.0.0.1:{port}/'
        client.configure('paths', {'default': url})
        start = time.monotonic()
        result = client.run('update', UNKNOWN, ok=(255,))
        # two minutes are what a connection may take
        assert time.monotonic() - start < 60
    hint = f'{url} could not be asked: no answer within 1 s'
    assert result.err == asked(url, hint)


@matrix.over('ssh')
def test_command_server_lets_go(
    transport: Transport, base: Repo, client: Repo
) -> None:
    """It stays, so what waits for a silent server must not."""
    client.configure('bundlestore', {'autopull-timeout': '1'})
    with listener.listening(None) as silent:
        url = f'http://127.0.0.1:{silent.port}/'
        client.configure('paths', {'default': url})
        server = CommandServer(client)
        try:
            code, text = server.run('log', '-r', UNKNOWN)
            assert code == 255
            assert 'no answer within 1 s' in text
            for _ in patiently():
                if len(os.listdir(f'/proc/{server.pid}/task')) == 1:
                    break
            else:
                pytest.fail('a thread of it waits')
            assert server.run('log', '-r', 'tip', '-T', '{rev}')[0] == 0
        finally:
            server.close()


@pytest.mark.slow('it waits for two seconds')
@matrix.over('http')
def test_the_limit_is_for_the_answer(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
) -> None:
    """What is pulled may take longer."""
    author = newclient('author')
    node = author.commit({'a': 'a\n'}, 'slow')
    author.run('push', '--bundle-store')
    base.configure('hooks', {'preoutgoing': 'sleep 1.5'})
    client.configure('bundlestore', {'autopull-timeout': '1'})
    result = client.run('update', node)
    assert client.node('.') == node
    assert 'could not' not in result.err


def test_server_that_asks_for_a_password(
    tmp_path: Path, hg: Callable[..., Hg]
) -> None:
    client = hg().init(tmp_path / 'client')
    client.enable()
    client.configure('bundlestore', {'autopull-timeout': '1'})
    with listener.listening(listener.LOGIN) as wary:
        url = f'http://127.0.0.1:{wary.port}/'
        client.configure('paths', {'default': url})
        result = client.run('log', '-r', UNKNOWN, ok=(255,))
        assert f'{ABORT}({url} could not be asked: http auth' in result.err
        # Whoever types one has the time that it takes.
        process = client.hg.start(
            *('log', '-r', UNKNOWN),
            cwd=client.path,
            config=['ui.interactive=yes', 'ui.nontty=yes'],
            stdin=subprocess.PIPE,
        )
        time.sleep(1.2)
        result = finish(process, input='alice\nsecret\n', ok=(255,))
    assert 'could not be asked: authorization failed' in result.err


@matrix.over('ssh')
def test_answer_that_is_none(
    transport: Transport, base: Repo, client: Repo
) -> None:
    """By a server that has a bundle store, and goes away."""
    real = shlex.split(transport.clientconfig()['ssh'])[0]
    script = client.path.parent / 'dying-ssh'
    # lets as much through as the first answer takes
    script.write_text(
        f'#!/bin/sh\n{real} "$@" | {{ head -n 4; exec >&-; sleep 0.2; }}\n'
    )
    script.chmod(0o755)
    client.configure('ui', {'ssh': str(script)})
    client.configure('bundlestore', {'autopull-timeout': '2'})
    result = client.run('log', '-r', UNKNOWN, ok=(255,))
    assert ABORT in result.err
    assert ' could not be asked: ' in result.err


# -- servers without a bundle store


@matrix.over('ssh')
def test_server_without_a_store_is_remembered(
    transport: Transport, plainbase: Repo, client: Repo
) -> None:
    connections = Connections(client, transport)
    url = transport.url(plainbase)
    hint = f'{url} has no bundle store'
    result = client.run('update', UNKNOWN, ok=(255,))
    assert result.err == asked(url, hint)
    assert connections.count() == 1
    for _ in range(2):
        result = client.run('update', UNKNOWN, ok=(255,))
        assert result.err == f'{ABORT}({hint})\n'
    assert connections.count() == 1
    # for a day
    memory = client.path / '.hg/cache/bundlestore-none'
    address = memory.read_text().split()[1]
    assert address == url.replace('alice@', '')
    for changed, count in ((86300, 1), (86401, 2), (-3600, 3)):
        memory.write_text(f'{int(time.time()) - changed} {address}\n')
        client.run('update', UNKNOWN, ok=(255,))
        assert connections.count() == count
    assert memory.read_text().count('\n') == 1
    # or what else may stand there
    memory.write_bytes(b'\xff\n12\nx y z\n' + b'9' * 5000 + b' \n')
    client.run('update', UNKNOWN, ok=(255,))
    assert connections.count() == 4


def test_no_password_is_remembered() -> None:
    address = storeless.key(b'https://alice:secret@example.org/x')
    assert address == b'https://example.org/x'


@pytest.mark.parametrize('command', ['push', 'pull', 'pushes', 'question'])
@matrix.over('ssh')
def test_server_that_gets_a_store(
    transport: Transport, plainbase: Repo, client: Repo, command: str
) -> None:
    """Whoever uses it need not wait for a day."""
    client.run('update', UNKNOWN, ok=(255,))
    memory = client.path / '.hg/cache/bundlestore-none'
    assert memory.read_text()
    serve_bundlestore(plainbase, {})
    if command == 'push':
        client.commit({'a': 'a\n'}, 'scratch')
        client.run('push', '--bundle-store')
    elif command == 'pull':
        plainbase.commit({'a': 'a\n'}, 'new')
        client.run('pull')
    elif command == 'pushes':
        client.run('pushes', ok=(1,))
    else:
        memory.write_text(memory.read_text().replace('1', '0', 1))
    result = client.run('update', UNKNOWN, ok=(255,))
    assert f'asking {transport.url(plainbase)}' in result.err
    assert ' has no changeset ' in result.err
    if command != 'question':
        assert not memory.read_text()


# -- repositories that one cannot pull into


@pytest.fixture
def pushed(
    transport: Transport,
    base: Repo,
    newclient: Callable[..., Repo],
    shelf: Shelf,
) -> str:
    author = newclient('author')

    def push() -> str:
        node = author.commit({'a': 'a\n'}, 'scratch')
        author.run('push', '--bundle-store')
        return node

    return shelf.once(f'{transport.name} asked for', [base, author], push)


@pytest.mark.parametrize(
    'place',
    [
        'bundle:{client}+{bundle}',
        'bundle:{bundle}',
        '{bundle}',
        'union:{client}+{other}',
        'static-http://127.0.0.1:9/',
        'http://127.0.0.1:9/',
        'ssh://127.0.0.1:9/x',
    ],
)
@matrix.over('ssh')
def test_what_is_no_plain_local_repository(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    pushed: str,
    place: str,
) -> None:
    connections = Connections(client, transport)
    other = newclient('other')
    bundle = client.path.parent / 'all.hg'
    client.run('bundle', '--all', bundle)
    path = place.format(client=client.path, other=other.path, bundle=bundle)
    with untouched(client.path), untouched(other.path):
        for words in (['log', '-r'], ['export'], ['identify', '-r']):
            result = client.run('-R', path, *words, pushed, ok=(255,))
            if '://' in place:
                assert (
                    result.err == f"abort: repository '{path}' is not local\n"
                )
            else:
                assert result.err == f"abort: unknown revision '{pushed}'\n"
    assert connections.count() == 0


@matrix.over('http')
def test_repository_that_cannot_be_written(
    transport: Transport, base: Repo, client: Repo, pushed: str
) -> None:
    url = transport.url(base)
    repo = Repo(rights.powerless(client.hg, client.path.parent), client.path)
    rights.protect(client.path)
    try:
        first = repo.run('log', '-r', pushed, ok=(255,))
        # that this has no store cannot be remembered, which is no matter
        base.configure('bundlestore', {'server': 'no'})
        second = repo.run('log', '-r', pushed, ok=(255,))
    finally:
        rights.unprotect(client.path)
    asking = f'asking {url} for {pushed[:12]}\n'
    abort = f"abort: unknown revision '{pushed}'\n"
    why = 'has it, but this repository cannot be written: Permission denied'
    assert first.err == f'{asking}{abort}({url} {why})\n'
    assert second.err == f'{asking}{abort}({url} has no bundle store)\n'
