"""hgweb: the push log, for who waits for the next push."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import socket
import time
import urllib.parse
from collections.abc import Iterator

import pytest

from harness import history, servers
from harness.hg import PATIENCE, Repo
from harness.web import Response, get

WAIT = 'json-pushes?startID=0&version=2&wait'


@pytest.fixture
def storeconfig() -> dict[str, str]:
    return {'max-waiting': '1'}


@contextlib.contextmanager
def oneprocess(transport: servers.WebTransport) -> Iterator[None]:
    """Have all requests answered by one process, as each counts its own."""
    if isinstance(transport, servers.WsgiTransport):
        with transport.only(transport.workers()[0]):
            yield
    else:
        yield


@pytest.mark.slow('it waits')
@servers.overweb('wsgi', 'http')
def test_next_push(
    transport: servers.WebTransport,
    base: Repo,
    client: Repo,
    hashes: history.History,
) -> None:
    """It is told when it comes, whole, also if it rests on what has landed
    since. Of two that would wait one is answered at once."""
    site = transport.url(base)
    landed = client.commit({'l': 'l'}, 'landed', parent=hashes.merged)
    node = client.commit({'s': 's'}, 'stored', parent=landed)
    pool = concurrent.futures.ThreadPoolExecutor(2)

    def ask() -> tuple[Response, float]:
        start = time.monotonic()
        return get(f'{site}/{WAIT}=1000&full'), time.monotonic() - start

    with pool, oneprocess(transport):
        requests = {pool.submit(ask) for _ in range(2)}
        done, waiting = concurrent.futures.wait(
            requests, PATIENCE, concurrent.futures.FIRST_COMPLETED
        )
        (early,) = done
        answer, seconds = early.result()
        assert answer.json() == {'lastpushid': 0, 'pushes': {}}
        assert seconds < 40
        client.run('push', '--force', '-r', landed)
        client.run('push', '--bundle-store', '-r', node)
        (late,) = waiting
        answer, _ = late.result()
    assert answer.status == 200, answer
    told = answer.json()
    assert told['lastpushid'] == 1
    (described,) = told['pushes']['1']['changesets']
    assert described['desc'] == 'stored'
    assert described['parents'] == [landed]
    # what is there is told at once, and so is what makes no sense
    assert get(f'{site}/{WAIT}=50').json()['pushes'].keys() == {'1'}
    assert get(f'{site}/{WAIT}=x').status == 400


@pytest.mark.slow('it waits')
@servers.overweb('wsgi', later=['http'])
def test_client_that_went_away(
    transport: servers.WebTransport, base: Repo
) -> None:
    """It takes nobody's place."""
    site = urllib.parse.urlsplit(transport.url(base, servers.NOBODY))

    def isroom() -> bool:
        start = time.monotonic()
        get(f'{site.geturl()}/{WAIT}=1')
        return time.monotonic() - start >= 1

    def waits() -> socket.socket:
        """Return a connection on which a request waits for 50 seconds, which
        is longer than what comes."""
        line = f'GET {site.path}/{WAIT}=1000 HTTP/1.0\r\n\r\n'
        for _ in itertools.islice(servers.patiently(), 10):
            connection = socket.create_connection(address)
            connection.sendall(line.encode())
            time.sleep(0.3)
            if not isroom():
                return connection
            # the other was there first
            connection.close()
        raise AssertionError('nobody takes a place')

    address = site.hostname or '', site.port or 0
    with oneprocess(transport):
        waits().close()
        start = time.monotonic()
        tries = itertools.islice(servers.patiently(), 100)
        assert any(isroom() for _ in tries)
        assert time.monotonic() - start < 40
