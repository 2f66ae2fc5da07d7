"""Limits: size, count, quota and rate, refused early and with figures."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness import matrix
from harness.hg import Repo, Result, finish
from harness.history import History
from harness.servers import SshTransport, Transport, WebTransport, WsgiTransport
from harness.snapshot import untouched
from harness.store import bundles, leftovers, tryurl

REAL = pytest.mark.realstarts('what a process takes, from its start')

MB = 1 << 20

#: writes down, when a process ends, how many bytes it has written
PROBE = """\
import atexit, os

def note():
    with open('/proc/self/io') as file:
        line = file.read().split('wchar:')[1].split()[0]
    with open({path!r}, 'a') as file:
        file.write(line + '\\n')

atexit.register(note)
"""


class Written:
    """The bytes that the processes of a server write, wherever to. What they
    put on the disk at any moment is at most that."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._path = transport.root / 'written'
        self._before = 0
        if isinstance(transport, SshTransport):
            probe = transport.root / 'probe.py'
            probe.write_text(PROBE.format(path=str(self._path)))
            transport.rc.write_text(f'[extensions]\nprobe = {probe}\n')

    def start(self) -> None:
        self._before = self._sum()

    def sofar(self) -> int:
        return self._sum() - self._before

    def _sum(self) -> int:
        transport = self._transport
        if isinstance(transport, SshTransport):
            if not self._path.exists():
                return 0
            return sum(map(int, self._path.read_text().split()))
        assert isinstance(transport, WebTransport)
        if isinstance(transport, WsgiTransport):
            pids = transport.workers()
        else:
            assert transport.process is not None
            pids = [transport.process.pid]
        texts = [Path(f'/proc/{pid}/io').read_text() for pid in pids]
        return sum(int(text.split('wchar:')[1].split()[0]) for text in texts)


@pytest.mark.parametrize('storeconfig', [{'max-bundle-size': '300 KB'}])
@pytest.mark.parametrize(
    ('transport_name', 'client_version'),
    [
        pytest.param(
            'ssh',
            matrix.NEWEST,
            marks=pytest.mark.slow('pushes of many megabytes'),
        ),
        pytest.param(
            'http',
            matrix.NEWEST,
            marks=pytest.mark.slow('pushes of many megabytes'),
        ),
        pytest.param(
            'wsgi',
            matrix.VERSIONS[0],
            marks=pytest.mark.slow('pushes of many megabytes'),
        ),
    ],
)
@REAL
def test_large_push_is_not_written(
    transport: Transport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    tempfolder: Path,
) -> None:
    """30 MB against a limit of 300 kB."""
    urls = {
        'ext': transport.url(base),
        'vanilla': transport.url(tryurl(transport, base)),
    }
    written = Written(transport)
    node = client.commit({'large': os.urandom(30 * MB)}, 'large')
    vanilla.inspect('pull', '-q', str(client.path))
    transport.restart()
    for repo, url, *options in (
        (client, urls['ext'], '--bundle-store'),
        (vanilla, urls['vanilla']),
        (vanilla, urls['vanilla'], '--config', 'devel.legacy.exchange=bundle1'),
    ):
        written.start()
        with untouched(base.path):
            result = repo.run('push', '-r', node, *options, url, ok=None)
        assert result.code in (1, 100, 255)
        assert 0 < written.sofar() < 5 * MB
        text = result.out + result.err
        assert text.count('push exceeds the limit of 300 KB (') == 1
        assert not bundles(base)
        assert not leftovers(base, tempfolder)


@pytest.fixture
def newpush(
    base: Repo, client: Repo, transport: Transport, hashes: History
) -> Callable[..., Result]:
    """Push a new changeset with so many bytes, as the user of that name."""
    numbers = itertools.count()

    def push(
        *options: str,
        size: int = 0,
        user: str = 'alice',
        ok: Sequence[int] = (0,),
    ) -> Result:
        name = f'file{next(numbers)}'
        node = client.commit(
            {name: os.urandom(size)}, name, parent=hashes.tagged
        )
        url = transport.url(base, user)
        return client.run(
            *('push', '--bundle-store', '-r', node, *options, url), ok=ok
        )

    return push


REFUSED = (100, 255)


@pytest.mark.parametrize('storeconfig', [{'max-rate': '2/hour'}])
@pytest.mark.parametrize('transport_name', ['ssh'])
def test_rate(
    base: Repo,
    client: Repo,
    hashes: History,
    newpush: Callable[..., Result],
) -> None:
    newpush()
    newpush()
    result = newpush(ok=REFUSED)
    assert (
        "abort: push exceeds the limit of 2 pushes in 1 hour (user 'alice' "
        'made 2)\n(try again in ' in result.err
    )
    assert re.search(r'\(try again in (60|59|58) minutes\)', result.err)
    assert len(bundles(base)) == 2
    # others may
    newpush(user='bob')
    # one that only moves a bookmark counts as little as it stores
    move = ('push', '-r', hashes.tagged, '-B', 'scratch/x')
    result = client.run(*move, ok=REFUSED)
    assert 'exceeds the limit of 2 pushes' in result.err
    base.configure('bundlestore', {'max-rate': '9/second'})
    newpush()


@pytest.mark.parametrize('storeconfig', [{'quota': '200 KB'}])
@pytest.mark.parametrize('transport_name', ['ssh'])
def test_quota(
    base: Repo,
    client: Repo,
    hashes: History,
    tempfolder: Path,
    newpush: Callable[..., Result],
) -> None:
    newpush(size=100_000)
    result = newpush(size=150_000, ok=REFUSED)
    assert 'abort: push exceeds the quota of 200 KB (' in result.err
    assert re.search(
        r"\(user 'alice' has 9\d\.\d KB, got 1\d\d KB so far\)", result.err
    )
    assert "'hg pushes -u alice' lists your pushes" in result.err
    assert "'hg pushes --remove PUSH' removes one" in result.err
    assert 'with the bundlestore extension' in result.err
    assert result.err.count('abort: ') == 1
    assert len(bundles(base)) == 1
    assert not leftovers(base, tempfolder)
    # others have a quota of their own
    newpush(size=150_000, user='bob')
    base.configure('bundlestore', {'quota': '50 KB'})
    result = newpush(ok=REFUSED)
    assert 'abort: push exceeds the quota of 50.0 KB (' in result.err
    assert 'so far' not in result.err
    # nor may there be one more bookmark
    args = ('push', '-r', hashes.tagged, '-B', 'scratch/x')
    result = client.run(*args, ok=REFUSED)
    assert 'abort: push exceeds the quota of 50.0 KB (' in result.err
    base.configure('bundlestore', {'quota': '200 KB'})
    client.run(*args, ok=(1,))


@pytest.mark.parametrize('storeconfig', [{'quota': '200 KB'}])
@pytest.mark.parametrize('transport_name', ['http'])
@matrix.ANOTHER
def test_quota_over_http(
    base: Repo, newpush: Callable[..., Result], tempfolder: Path
) -> None:
    """Who does not log in shares a quota with the others, and how much will
    come is known before."""
    newpush(size=100_000)
    result = newpush(size=300_000, ok=REFUSED)
    assert re.search(
        r'abort: push exceeds the quota of 200 KB \(users who are not logged '
        r'in have 9\d\.\d KB, 29\d KB announced\)',
        result.err,
    )
    result = newpush(size=120_000, ok=REFUSED)
    assert 'so far' in result.err
    assert len(bundles(base)) == 1
    assert not leftovers(base, tempfolder)


@pytest.mark.slow('several clients at once')
@pytest.mark.parametrize('storeconfig', [{'quota': '200 KB'}])
@pytest.mark.parametrize('transport_name', ['ssh'])
@REAL
def test_quota_race(
    transport: Transport, base: Repo, newclient: Callable[..., Repo]
) -> None:
    """Of several pushes that have room when they begin, only those that have
    it at their end are recorded."""
    clients = [newclient(f'client{n}') for n in range(3)]
    for repo in clients:
        repo.commit({'a': os.urandom(120_000)}, 'one of several')
    # each hook waits until all of the pushes have streamed
    gate = transport.root / 'gate'
    gate.mkdir()
    count = f'ls {gate} | wc -l'
    wait = f'touch {gate}/$$; until test "$({count})" = 3; do sleep 0.1; done'
    base.configure('hooks', {'prebundlestore': wait})
    running = [repo.start('push', '--bundle-store') for repo in clients]
    results = [finish(process, ok=(0, *REFUSED)) for process in running]
    assert sorted(result.code for result in results)[0] == 0
    refused = [result for result in results if result.code]
    assert len(refused) == 2
    for result in refused:
        assert 'abort: push exceeds the quota of 200 KB (' in result.err
        assert 'this push has 118 KB' in result.err
    assert len(bundles(base)) == 1
