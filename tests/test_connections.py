"""Hundreds of connections at once: honest clients get through, and nothing is
left of the others."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import rawpush, soak, upload, wire
from harness.hg import Repo
from harness.history import History
from harness.servers import (
    SshTransport,
    Transport,
    WebTransport,
    WsgiTransport,
    patiently,
)
from harness.store import bundles, folder, leftovers
from harness.upload import Upload
from harness.web import get

pytestmark = pytest.mark.slow(
    'crowds of connections to servers that load all at once'
)

#: servers of pushes over ssh at once: each is a process of 40 MB, so more are
#: for a machine that has room for them
PROCESSES = int(os.environ.get('BUNDLESTORE_PROCESSES', '24'))


#: more open files than that are a leak, and more bytes of memory
SPREAD = 60
LEAK = 150_000_000


@pytest.fixture(autouse=True)
def _fromthestart(transport: Transport) -> None:
    """Have web servers load the extension before there are two requests, as
    the manual says."""
    transport.rc.write_text('[extensions]\nbundlestore =\n')


@pytest.fixture
def stored(client: Repo) -> str:
    """What slow clients pull: more than fits between server and client."""
    node = client.commit({'stored': os.urandom(8_000_000)}, 'stored')
    client.run('push', '--bundle-store', '-r', node)
    return node


@pytest.fixture
def push(client: Repo, hashes: History) -> bytes:
    """What they push half of."""
    node = client.commit(
        {'pushed': os.urandom(400_000)}, 'pushed', parent=hashes.tagged
    )
    return rawpush.make(client, [node], [hashes.tagged])


def idle(url: str) -> socket.socket:
    return upload.connect(url)


def slowpull(url: str, node: str, common: str) -> socket.socket:
    """Begin to pull, and read nothing of what comes."""
    made = upload.connect(url)
    upload.request(
        made,
        url,
        'GET',
        f'cmd=getbundle&heads={node}&common={common}&cg=1&bundlecaps=HG20',
    )
    return made


def halfpush(url: str, push: bytes) -> Upload:
    made = upload.HttpUpload(url, len(push))
    assert made.send(push[:300_000])
    return made


def processes(transport: WebTransport) -> list[int]:
    if isinstance(transport, WsgiTransport):
        return transport.workers()
    assert transport.process is not None
    return [transport.process.pid]


@pytest.mark.parametrize(
    ('transport_name', 'storeconfig', 'idles', 'pulls', 'pushes'),
    [
        # a thread for each connection
        ('http', {}, 80, 40, 80),
        # Eight threads: the pushes hold them all, until they are dropped, and
        # the idle ones do, for gunicorn waits five seconds for each of them.
        ('wsgi', {'timeout': '2'}, 24, 0, 16),
    ],
)
def test_honest_clients_get_through(
    transport: WebTransport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    hashes: History,
    push: bytes,
    stored: str,
    idles: int,
    pulls: int,
    pushes: int,
    tempfolder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = transport.url(base)
    pids = processes(transport)
    node = client.commit({'honest': 'x\n'}, 'honest', parent=hashes.tagged)

    def crowd(idles: int, pulls: int, pushes: int) -> Iterator[object]:
        yield from [idle(url) for _ in range(idles)]
        yield from [slowpull(url, stored, hashes.tagged) for _ in range(pulls)]
        yield from [halfpush(url, push) for _ in range(pushes)]

    def gone() -> None:
        for _ in patiently():
            if not list((folder(base) / 'bundles' / 'tmp').glob('*')):
                return

    # what threads leave to Python's allocator does not count
    for made in [*crowd(4, pulls and 4, 4)]:
        vanish(made)
    gone()
    before = {pid: soak.sample(pid) for pid in pids}
    made = [*crowd(idles, pulls, pushes)]
    most = {pid: soak.look(pid) for pid in pids}
    client.run('push', '--bundle-store', '-r', node)
    vanilla.run('pull', '-r', node)
    for one in made:
        vanish(one)
    gone()
    for pid in pids:
        for _ in patiently():
            # hgwebdir opens a repository for each request, and Python closes
            # the index of some only when it looks for reference cycles
            get(f'{url}/pushes')
            after = soak.look(pid)
            if after.descriptors - before[pid].descriptors <= SPREAD:
                break
        with capsys.disabled():
            print(f'\n{transport.name}: {before[pid]} {most[pid]} {after}')
        assert after.descriptors - before[pid].descriptors <= SPREAD
        # what threads take from the heap for a while does not go back
        assert after.memory - before[pid].memory < LEAK
    assert not leftovers(base, tempfolder)
    assert len(bundles(base)) == 2
    # the complaints of many threads about that are all mixed up
    transport.maycrash = True
    errors = re.findall(r'^(\w+(?:Error|Exception))\b', transport.log(), re.M)
    assert set(errors) <= {'ConnectionResetError', 'BrokenPipeError'}


def vanish(made: object) -> None:
    if isinstance(made, socket.socket):
        made.close()
    else:
        assert isinstance(made, Upload)
        made.vanish()


# it may take long until all have come
@pytest.mark.parametrize('storeconfig', [{'timeout': '0'}])
@pytest.mark.parametrize('transport_name', ['ssh'])
def test_held_pushes_all_end_well(
    transport: SshTransport,
    base: Repo,
    client: Repo,
    hashes: History,
    tempfolder: Path,
) -> None:
    """Each in a process of its own: half-sent and held, then let go all at
    once."""
    nodes = [
        client.commit(
            {'file': f'{number}\n'}, f'push {number}', parent=hashes.tagged
        )
        for number in range(PROCESSES)
    ]
    data = [
        wire.bundle2(
            [wire.replycaps(), wire.changegroup(client, node, hashes.tagged)],
            BUNDLESTORE='1',
        )
        for node in nodes
    ]
    ids = set()
    with contextlib.ExitStack() as stack:
        uploads = []
        for push in data:
            made = upload.SshUpload(transport, base)
            stack.callback(made.vanish)
            assert made.send(push[: len(push) // 2])
            uploads.append(made)
        for made, push in zip(uploads, data):
            assert made.send(push[len(push) // 2 :])
            made.end()
        for made in uploads:
            made.hangup()
            answer = made.answer()
            assert 'abort' not in answer
            _, _, rest = answer.partition('stored 1 changeset as push ')
            ids.add(int(rest.split()[0]))
    assert ids == set(range(1, len(nodes) + 1))
    assert len(bundles(base)) == len(nodes)
    assert not leftovers(base, tempfolder)
