"""No request outlives its client, whatever it was answered with."""

from __future__ import annotations

import contextlib
import random
import re
import socket
import subprocess
import urllib.parse
from collections.abc import Iterator

import pytest

from harness import cost
from harness.hg import PATIENCE, Repo
from harness.history import History
from harness.servers import HttpTransport, patiently

pytestmark = pytest.mark.slow('the answers are large')

#: bytes that no compression makes smaller, and no buffer holds
SIZE = 16 << 20

_CAPS = 'HG20\nbookmarks\nchangegroup=01,02,03\nlistkeys\nphases=heads'
#: what says little that the others do not
_RARE = pytest.mark.nightly('large answers, one like another')
_OTHERS = ('verbatim', 'overlay')
#: what a pull asks for, by how it is answered
_ARGUMENTS = {
    'verbatim': {},
    'overlay': {},
    'narrow': {'narrow': '1', 'depth': '1', 'includepats': 'path:'},
}
_ways = pytest.mark.parametrize(
    'way', ['narrow', *(pytest.param(w, marks=_RARE) for w in _OTHERS)]
)


_servers = pytest.mark.parametrize(
    'transport_name', ['http', pytest.param('wsgi', marks=_RARE)]
)


@pytest.fixture
def node(way: str, base: Repo, client: Repo, hashes: History) -> str:
    """A large scratch changeset."""
    extensions = {'blackbox': ''}
    if way == 'narrow':
        extensions['narrow'] = ''
    base.configure('extensions', extensions)
    base.configure('blackbox', {'track': 'bundlestore'})
    if way == 'overlay':
        base.configure('hooks', {'outgoing.overlay': 'true'})
    made = client.commit(
        {'large.bin': random.Random(1).randbytes(SIZE)},
        'large',
        parent=hashes.tagged,
    )
    client.run('push', '--quiet', '--bundle-store', '-r', made)
    return made


def _arguments(way: str, node: str) -> dict[str, str]:
    return {
        'bundlecaps': f'HG20,bundle2={urllib.parse.quote(_CAPS)}',
        'heads': node,
        'common': '0' * 40,
        'cg': '1',
        **_ARGUMENTS[way],
    }


def _brokenoff(base: Repo, way: str) -> None:
    """Wait until the server says that it stopped sending."""
    logged = ''
    for _again in patiently():
        logged = (base.path / '.hg' / 'blackbox.log').read_text()
        found = re.search(r' brokenoff .* bytes=(\d+) .*', logged)
        if found:
            assert int(found[1]) < SIZE
            assert f' way={way} ' in f'{found[0]} '
            return
    raise AssertionError(logged)


@pytest.mark.parametrize('transport_name', ['ssh'])
@_ways
def test_over_ssh(base: Repo, node: str, way: str) -> None:
    sent = b'getbundle\n'
    arguments = _arguments(way, node)
    sent += b'* %d\n' % len(arguments)
    for name, value in arguments.items():
        sent += f'{name} {len(value)}\n{value}'.encode()
    with subprocess.Popen(
        [base.hg.executable, '-R', base.path, 'serve', '--stdio'],
        env=base.hg.cleanenviron(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(sent)
        process.stdin.flush()
        assert len(process.stdout.read(1 << 16)) == 1 << 16
        # the connection is there no more, in both directions
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait(PATIENCE)


@contextlib.contextmanager
def _begun(url: str, path: str, query: dict[str, str]) -> Iterator[None]:
    """Have an answer begin, and hang up."""
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname
    assert parts.port
    target = f'{parts.path}{path}?{urllib.parse.urlencode(query)}'
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.settimeout(PATIENCE)
        connection.sendall(
            f'GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n'.encode()
        )
        got = 0
        while got < 1 << 16:
            got += len(connection.recv(1 << 16))
        yield


@_servers
@_ways
def test_over_http(
    transport: HttpTransport, base: Repo, node: str, way: str, ownserver: None
) -> None:
    # Mercurial's server has a traceback for a connection that was reset
    transport.maycrash = True
    query = {'cmd': 'getbundle', **_arguments(way, node)}
    with _begun(transport.url(base), '', query):
        pass
    _brokenoff(base, way)


@_servers
@pytest.mark.parametrize('way', ['verbatim'])
@pytest.mark.parametrize(
    'page',
    [
        'archive/{}.zip',
        pytest.param('archive/{}.tar.bz2', marks=_RARE),
        pytest.param('raw-file/{}/large.bin', marks=_RARE),
    ],
)
def test_pages(
    transport: HttpTransport, base: Repo, node: str, page: str, ownserver: None
) -> None:
    base.configure('web', {'allow-archive': 'zip bz2'})
    transport.maycrash = True
    url = transport.url(base)
    assert transport.process is not None
    with _begun(url, f'/{page.format(node)}', {}):
        pass
    # it goes on with nothing
    last = -1.0
    for _again in patiently():
        now = cost.renew(transport.process.pid)
        if now == last:
            return
        last = now
    raise AssertionError('it still computes')
