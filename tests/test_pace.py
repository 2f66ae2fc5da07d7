"""Clients that stall, trickle or vanish: ``bundlestore.timeout``."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import chg as chgmod, matrix, rawpush, upload, wire
from harness.hg import Repo, finish
from harness.history import History
from harness.servers import (
    SshTransport,
    Transport,
    WebTransport,
    patiently,
)
from harness.snapshot import untouched
from harness.store import bundles, folder, leftovers
from harness.upload import SshUpload, Upload

#: seconds: the least that is above what a busy machine may stand still
SHORT = {'timeout': '2'}

pytestmark = pytest.mark.slow('waits for servers that wait')

everywire = pytest.mark.parametrize('transport_name', ['ssh', 'http', 'wsgi'])


@pytest.fixture(autouse=True)
def _fromthestart(transport: Transport) -> None:
    """Have web servers load the extension before there are two requests, as
    the manual says: several come at once here."""
    transport.rc.write_text('[extensions]\nbundlestore =\n')


@pytest.fixture
def node(client: Repo) -> str:
    """Something to push, of 300 kB."""
    return client.commit({'large': os.urandom(300_000)}, 'large')


@pytest.fixture
def push(client: Repo, node: str, hashes: History) -> bytes:
    return rawpush.make(client, [node], [hashes.tagged])


@pytest.fixture
def begin(
    transport: Transport, base: Repo, push: bytes
) -> Callable[[int], Upload]:
    """Begin a push and send the first so many bytes."""

    def make(count: int) -> Upload:
        made = upload.start(transport, base, len(push))
        assert made.send(push[:count])
        return made

    return make


def check_dropped(answer: str) -> None:
    assert 'push dropped: less than ' in answer
    assert 'bytes came in 2 seconds' in answer
    assert 'bundlestore.timeout' in answer


@pytest.mark.parametrize('storeconfig', [SHORT])
@everywire
def test_stalled(
    transport: Transport,
    base: Repo,
    client: Repo,
    push: bytes,
    node: str,
    begin: Callable[[int], Upload],
    tempfolder: Path,
) -> None:
    """One is silent, one sends a byte now and then, one is slow: the last one
    alone is honest, and gets through."""
    with untouched(base.path):
        silent, mute, trickling = begin(200_000), begin(0), begin(200_000)
        steady = begin(len(push) - 90_000)

        def goon() -> None:
            for start in range(len(push) - 90_000, len(push), 10_000):
                assert steady.send(push[start : start + 10_000])
                time.sleep(0.4)
            steady.end()

        slow = threading.Thread(target=goon)
        slow.start()
        upload.trickle([trickling])
        check_dropped(silent.answer())
        check_dropped(trickling.answer())
        assert 'dropped' in mute.answer()
        slow.join()
        if isinstance(steady, SshUpload):
            steady.hangup()
        answer = steady.answer()
    assert 'stored 1 changeset as push 1' in answer
    assert len(bundles(base)) == 1
    assert not leftovers(base, tempfolder)
    client.run('push', '--bundle-store', '-r', node)


@pytest.mark.parametrize('storeconfig', [SHORT])
@matrix.over('ssh')
def test_stalled_with_chg(
    transport: SshTransport, base: Repo, push: bytes, tempfolder: Path
) -> None:
    """The process that chg forks has its input from elsewhere."""
    why = chgmod.missing()
    if why is not None:
        if os.environ.get(chgmod.REQUIRED):
            pytest.fail(why)
        pytest.skip(why)
    server = chgmod.Chg(matrix.NEWEST, {'TMPDIR': str(tempfolder)})
    try:
        root = transport.root / 'chg'
        root.mkdir()
        held = SshUpload(SshTransport(server, root), base)
        assert server.servers()
        assert held.send(push[:200_000])
        check_dropped(held.answer())
    finally:
        server.close()
    assert not leftovers(base, tempfolder)


@pytest.mark.parametrize('storeconfig', [SHORT])
@matrix.over('ssh', 'http')
def test_client_that_was_asleep(
    transport: Transport, base: Repo, client: Repo, tempfolder: Path
) -> None:
    """As a notebook is that was shut during a push: it is told why."""
    client.commit({'large': os.urandom(30_000_000)}, 'large')
    staging = folder(base) / 'bundles' / 'tmp'
    process = client.start('push', '--bundle-store')
    for _ in patiently():
        assert process.poll() is None, 'the push was too fast'
        if any(path.stat().st_size for path in staging.glob('*')):
            break
    os.kill(process.pid, signal.SIGSTOP)
    try:
        for _ in patiently():
            if not list(staging.glob('*')):
                break
    finally:
        os.kill(process.pid, signal.SIGCONT)
    result = finish(process, ok=None)
    assert result.code
    said = str(result)
    assert 'abort: push dropped: less than 4096 bytes' in said, said
    assert 'bundlestore.timeout' in said
    # over ssh, what the server says is "remote:", and the connection ends
    assert len(re.findall('^abort: ', said, re.MULTILINE)) == 1, said
    client.run('push', '--bundle-store')


@pytest.mark.parametrize('storeconfig', [{'timeout': '1'}])
@matrix.over('ssh', 'http')
def test_pushes_to_the_base_take_their_time(
    transport: Transport, base: Repo, vanilla: Repo, hashes: History
) -> None:
    node = vanilla.commit({'large': os.urandom(400_000)}, 'large')
    heads = sorted(base.nodes('head()'))
    parts = [
        wire.replycaps(),
        # what a client sends that does not force
        wire.Part('check:heads', b''.join(map(bytes.fromhex, heads))),
        wire.changegroup(vanilla, node, hashes.tagged),
    ]
    push = wire.bundle2(parts)
    # Mercurial reads a quarter of a megabyte before it looks at any
    half = len(push) - 50_000
    made = upload.start(transport, base, len(push))
    made.send(push[:half])
    time.sleep(2.5)
    assert not made.over()
    made.send(push[half:])
    made.end()
    if isinstance(made, SshUpload):
        made.hangup()
    made.answer()
    assert base.knows(node)
    assert not bundles(base)


@pytest.mark.parametrize('storeconfig', [SHORT])
@matrix.over('ssh')
def test_push_that_nobody_knows_yet(
    transport: Transport,
    base: Repo,
    vanilla: Repo,
    hashes: History,
    tempfolder: Path,
) -> None:
    """Of a forced push, what comes last decides where it goes."""
    node = vanilla.commit({'large': os.urandom(400_000)}, 'large')
    parts = [
        wire.replycaps(),
        wire.changegroup(vanilla, node, hashes.tagged),
        wire.bookmarks('scratch/x', node),
    ]
    push = wire.bundle2(parts)
    with untouched(base.path):
        made = upload.start(transport, base, len(push))
        made.send(push[:-20])
        check_dropped(made.answer())
    assert not bundles(base)
    assert not leftovers(base, tempfolder)


@everywire
def test_clients_that_vanish(
    transport: Transport,
    base: Repo,
    client: Repo,
    push: bytes,
    node: str,
    begin: Callable[[int], Upload],
    tempfolder: Path,
) -> None:
    """At several points of the push, and in several ways."""
    points = (0, 2, 30, 5000, len(push) // 2, len(push) - 1)
    with untouched(base.path):
        uploads = [begin(point) for point in points]
        for made in uploads:
            if isinstance(made, SshUpload):
                made.hangup()
                assert 'Traceback' not in made.answer()
            else:
                made.vanish()
        if isinstance(transport, SshTransport):
            # in the middle of a block, and of what announces one
            for data in (b'9999\nsome', b'12'):
                broken = upload.SshUpload(transport, base)
                broken.sendraw(data)
                broken.hangup()
                assert 'push broken off' in broken.answer()
            # what is no block is not taken for the next command either
            for data in (b'-5\n', b'9' * 50, b'x\nhello\n'):
                broken = upload.SshUpload(transport, base)
                broken.sendraw(data)
                answer = broken.answer()
                assert 'push is not in blocks' in answer
                assert 'capabilities' not in answer
        for _ in patiently():
            if not leftovers(base, tempfolder):
                break
    assert not bundles(base)
    assert not leftovers(base, tempfolder)
    if isinstance(transport, WebTransport):
        assert 'Traceback' not in transport.log()
    client.run('push', '--bundle-store', '-r', node)
