"""Web hooks when something goes wrong: receivers, addresses, processes, the
index."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import socket
import sqlite3
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mercurial import error, ui as uimod

from harness import matrix, store
from harness.filled import BEGIN, Filled
from harness.hg import Repo
from harness.listener import HOST, blackhole, listening
from harness.receiver import SECRET, hooked, receiving
from harness.servers import Transport
from harness.tls import certify
from hgext3rd.bundlestore import errors, model
from hgext3rd.bundlestore.indexes.sqlite.file import FileIndex
from hgext3rd.bundlestore.keep import deliver, deliverycheck, post, webhooks
from hgext3rd.bundlestore.keep.deliver import Deliverer
from hgext3rd.bundlestore.push import announce
from hgext3rd.bundlestore.stores import deliverynotes

DELIVER = 'admin::bundlestore-deliver'
WELL = (204, '')
BROKEN = (500, 'HTTP status 500')


# -- one after the other, and each at least once


class Site:
    """A store with pushes, whose clock a test sets."""

    def __init__(self, folder: Path) -> None:
        self.filled = Filled(folder)
        self.store, self.index = self.filled.store, self.filled.index
        self.now = BEGIN + 1000.0
        #: the pushes that were told of
        self.told: list[int] = []
        #: what the receiver answers, by push
        self.answers: dict[int, Any] = {}
        announce.known(self.index, ['ci'])

    def push(self, *numbers: int, day: float = 0.01) -> None:
        for number in numbers:
            self.filled.push([number], day=day)

    def send(self, push: model.Push) -> tuple[int, str]:
        self.told.append(push.id)
        answer = self.answers.get(push.id, WELL)
        if callable(answer):
            answer = answer()
        return answer

    def deliverer(self, **more: Any) -> Deliverer:
        return Deliverer(
            *(self.store, self.index, 'ci', self.send),
            clock=lambda: self.now,
            **more,
        )

    def run(self, **more: Any) -> list[tuple[int, str]]:
        made = self.deliverer(**more)
        return [(one.push.id, one.result) for one in made.run()]

    @property
    def state(self) -> model.Delivery:
        found: model.Delivery = self.index.deliveries()['ci']
        return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_backoff(site: Site) -> None:
    site.push(1, 2)
    site.answers[1] = BROKEN
    pauses = []
    for attempt in range(1, 12):
        assert site.run() == [(1, 'failed')]
        assert site.state.attempts == attempt
        assert (site.state.worker, site.state.trouble) == ('', BROKEN[1])
        again = site.state.again
        assert again is not None
        pauses.append(again - site.now)
        # nobody hurries
        site.now = again - 1
        assert site.run() == []
        site.now = again
    assert pauses == [
        *(30.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0),
        *([3600.0] * 4),
    ]
    del site.answers[1]
    assert site.run() == [(1, 'delivered'), (2, 'delivered')]
    state = site.state
    assert state == model.Delivery('ci', 2, edition=state.edition)
    assert deliverynotes.read(site.store, 'ci') == 2


def test_a_clock_that_is_set_back(site: Site) -> None:
    site.push(1)
    site.answers[1] = BROKEN
    site.now += 10**6
    site.index.setdelivery(
        site.state._replace(worker='another', lease=site.now + 100)
    )
    assert site.run() == []
    site.now -= 10**6
    assert site.run() == [(1, 'failed')]
    site.index.setdelivery(site.state._replace(again=site.now + 10**6))
    assert site.run() == [(1, 'failed')]


def test_gone(site: Site) -> None:
    site.push(1)
    site.answers[1] = (410, 'HTTP status 410')
    assert site.run() == [(1, 'failed')]
    assert site.state.again is None
    site.now += 10**6
    assert site.run() == []
    assert not announce.isdue(site.state, site.now)
    site.now -= 10**6
    del site.answers[1]
    assert site.run(force=True) == [(1, 'delivered')]
    assert site.state.again == 0.0


def test_too_old(site: Site) -> None:
    """What failed for days is passed over, and what waited for it with it."""
    site.push(1, 2, day=0)
    site.push(3, 4, day=2)
    site.answers[1] = BROKEN
    assert site.run() == [(1, 'failed')]
    site.now = BEGIN + deliver.AGE - 1
    assert site.run() == [(1, 'failed')]
    site.now += 10**4
    assert [push.id for push in site.deliverer().owed()] == [3, 4]
    assert site.run() == [
        *((1, 'expired'), (2, 'expired'), (3, 'delivered'), (4, 'delivered')),
    ]
    assert site.told == [1, 1, 3, 4]


def test_a_push_that_is_removed(site: Site) -> None:
    site.push(1, 2, 3)
    site.answers[1] = BROKEN
    assert site.run() == [(1, 'failed')]
    failing = site.deliverer().failing()
    assert failing is not None
    assert failing.id == 1
    site.index.remove(1)
    site.index.remove(2)
    site.index.remove(3)
    assert site.deliverer().failing() is None
    assert site.run() == []
    site.push(4)
    site.now += 30
    assert site.run() == [(4, 'delivered')]


def test_killed_when_it_was_sent(site: Site) -> None:
    """Another one waits for the end of the lease, and sends it again."""
    site.push(1, 2)

    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    site.answers[1] = die
    made = site.deliverer()
    # as a process that is killed
    made._keep = lambda state: True  # type: ignore[method-assign]
    site.index.setdelivery(made._leased())
    with pytest.raises(Killed):
        list(made._tellall())
    del site.answers[1]
    another = site.deliverer()
    assert another.isbusy
    assert list(another.run()) == []
    site.now += announce.LEASE
    assert site.run() == [(1, 'delivered'), (2, 'delivered')]
    assert site.told == [1, 1, 2]


def test_an_error_gives_the_lease_back(site: Site) -> None:
    site.push(1)

    def fail() -> None:
        raise errors.BackendUnavailable('no store')

    site.answers[1] = fail
    with pytest.raises(errors.BackendUnavailable):
        site.run()
    assert (site.state.worker, site.state.attempts) == ('', 0)
    del site.answers[1]
    assert site.run() == [(1, 'delivered')]


def test_who_stood_still_finds_that_another_went_on(site: Site) -> None:
    site.push(1, 2)
    another: list[tuple[int, str]] = []

    def slow() -> tuple[int, str]:
        if not another:
            site.now += announce.LEASE + 1
            another.append((0, ''))
            another.extend(site.run())
        return BROKEN

    site.answers[1] = slow
    assert site.run() == []
    assert another[1:] == [(1, 'failed')]
    assert site.state.attempts == 1
    site.answers[1] = WELL
    site.now += 60
    assert site.run() == [(1, 'delivered'), (2, 'delivered')]


def test_what_comes_when_all_is_told(site: Site) -> None:
    """A process that finds another one at it goes away: that one looks once
    more when it is done."""
    site.push(1)
    made = site.deliverer()
    keep = made._keep
    late: list[bool] = []

    def keeping(state: model.Delivery) -> bool:
        if not state.worker and not late:
            site.push(2)
            late.append(site.deliverer().isbusy)
        return keep(state)

    made._keep = keeping  # type: ignore[method-assign]
    assert [one.push.id for one in made.run()] == [1, 2]
    assert late == [True]


def test_two_at_once(site: Site) -> None:
    """Whoever finds out late that there is another one goes away."""
    site.push(1, 2)
    first, second = site.deliverer(), site.deliverer()
    telling = first.run()
    assert next(telling).push.id == 1
    assert list(second.run()) == []
    assert [one.push.id for one in telling] == [2]
    assert site.told == [1, 2]


def test_several_at_once(site: Site) -> None:
    site.push(*range(1, 30))
    lock = threading.Lock()

    def alone() -> tuple[int, str]:
        if not lock.acquire(blocking=False):
            return BROKEN
        time.sleep(0.002)
        lock.release()
        return WELL

    site.answers = dict.fromkeys(range(1, 30), alone)
    found: list[list[tuple[int, str]]] = []
    threads = [
        threading.Thread(target=lambda: found.append(site.run()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert site.told == [*range(1, 30)]
    assert sum(map(len, found)) == 29
    assert site.state.told == 29


def test_an_index_that_is_locked(site: Site, tmp_path: Path) -> None:
    """What was sent and cannot be noted is sent again."""
    site.push(1)
    path = os.fsencode(tmp_path / 'index.sqlite3')
    with contextlib.closing(
        sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    ) as blocker:
        site.index = FileIndex(path, timeout=0.1)

        def block() -> tuple[int, str]:
            blocker.execute('BEGIN IMMEDIATE')
            return WELL

        site.answers[1] = block
        with pytest.raises(errors.BackendUnavailable, match='locked'):
            site.run()
        blocker.execute('ROLLBACK')
    del site.answers[1]
    assert site.state.told == 0
    site.now += announce.LEASE
    assert site.run() == [(1, 'delivered')]
    assert site.told == [1, 1]


# -- what outlives the index


def test_an_index_made_anew(site: Site, tmp_path: Path) -> None:
    site.push(1, 2)
    assert len(site.run()) == 2
    site.push(3)
    kept = site.index.deliveries()
    assert list(deliverycheck.check(site.store, site.index, False)) == []
    new = FileIndex(os.fsencode(tmp_path / 'new.sqlite3'))
    assert list(deliverycheck.check(site.store, new, False)) == ['ci']
    # a timer was quicker
    announce.known(new, ['ci', 'other'])
    assert Deliverer(site.store, new, 'ci', site.send).state.told == 2
    found = list(deliverycheck.check(site.store, new, True))
    assert found == ['ci', 'other']
    assert new.deliveries()['ci'].told == kept['ci'].told == 2
    assert deliverynotes.readall(site.store) == {'ci': 2, 'other': 0}
    assert list(deliverycheck.check(site.store, new, False)) == []
    # a note that lags behind
    deliverynotes.write(site.store, 'ci', 1)
    assert list(deliverycheck.check(site.store, new, True)) == ['ci']
    assert deliverynotes.read(site.store, 'ci') == 2
    (name,) = (n for n in site.store.notes('webhooks/') if '6369' in n)
    for data in (b'{', b'{"version":1}', b'{"version":1,"name":1,"told":[]}'):
        site.store.putnote(name, data)
        assert deliverynotes.read(site.store, 'ci') == 0


def test_another_index(site: Site, tmp_path: Path) -> None:
    site.push(1)
    site.answers[1] = BROKEN
    site.run()
    leased = site.state._replace(worker='x', lease=site.now)
    site.index.setdelivery(leased)
    new = FileIndex(os.fsencode(tmp_path / 'new.sqlite3'))
    for _again in range(2):
        assert list(deliverycheck.copy(site.index, new)) == []
        (state,) = new.deliveries().values()
        assert state == leased._replace(worker='', lease=0.0, edition=1)
    site.index.setdelivery(site.state._replace(told=1))
    assert list(deliverycheck.copy(site.index, new)) == []
    assert new.deliveries()['ci'].told == 1


# -- receivers


def hook(port: int, host: str = HOST, **more: Any) -> webhooks.Hook:
    key = webhooks._key(SECRET.encode())
    made = webhooks.Hook('ci', False, host, port, '/x', True, (key,), False)
    return made._replace(**more)


def posted(wanted: webhooks.Hook, ui: Any = None) -> post.Answer:
    return post.post(ui or uimod.ui(), wanted, b'{}', {'webhook-id': 'x'})


@pytest.mark.parametrize(
    ('answer', 'expected'),
    [
        (b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', (200, '')),
        (b'HTTP/1.0 299 Odd\r\n\r\n', (299, '')),
        (b'HTTP/1.1 404 No\r\n\r\n', (404, 'HTTP status 404')),
        (
            b'HTTP/1.1 307 No\r\nLocation: /y\r\n\r\n',
            (307, 'HTTP status 307, and redirects are not followed'),
        ),
        (b'HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 204 x\r\n\r\n', (204, '')),
        (b'nonsense\r\n\r\n', (0, 'nonsense')),
        (b'HTTP/1.1 200 OK\r\n' + b'X: y\r\n' * 200 + b'\r\n', (0, 'got more')),
        (b'HTTP/1.1 200 OK\r\nX: ' + b'y' * 99999, (0, 'got more than')),
    ],
    ids=lambda value: repr(value)[:25],
)
def test_answers(answer: bytes, expected: tuple[int, str]) -> None:
    with listening(answer) as listener:
        found = posted(hook(listener.port))
    assert found.status == expected[0]
    assert found.trouble.startswith(expected[1])
    assert bool(found.trouble) == bool(expected[1])


def test_nobody_there() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
    assert posted(hook(port)) == (0, 'Connection refused')


@contextlib.contextmanager
def dripping(heard: list[bool]) -> Iterator[int]:
    """Give the port of a server that says something now and then, and notes
    whether somebody heard all of it."""
    with socket.create_server((HOST, 0)) as server:

        def run() -> None:
            with contextlib.suppress(OSError), server.accept()[0] as connection:
                connection.sendall(b'HTTP/1.1 200 OK\r\n')
                for number in range(60):
                    time.sleep(0.05)
                    connection.sendall(b'X-%d: y\r\n' % number)
                connection.sendall(b'\r\n')
                heard.append(True)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_slow_receivers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post, 'PATIENCE', 0.3)
    wanted = (0, 'no answer within 0.3 seconds')
    with listening(None) as listener:
        assert posted(hook(listener.port)) == wanted
        # nor to the handshake
        assert posted(hook(listener.port, istls=True)) == wanted
    with blackhole() as port:
        assert posted(hook(port)) == wanted
    heard: list[bool] = []
    with dripping(heard) as port:
        assert posted(hook(port)) == wanted
    assert not heard
    # nobody waits any more to end what has ended
    waiting = [
        t for t in threading.enumerate() if isinstance(t, threading.Timer)
    ]
    assert not waiting


@pytest.mark.parametrize(
    ('address', 'expected'),
    [
        *((a, True) for a in ('8.8.8.8', '2001:4860:4860::8888')),
        *((f'::ffff:{a}', True) for a in ('8.8.8.8',)),
        ('64:ff9b::8.8.8.8', True),
        *((a, False) for a in ('127.0.0.1', '127.9.9.9', '0.0.0.0')),
        *((a, False) for a in ('10.0.0.1', '172.16.0.1', '192.168.0.1')),
        *((a, False) for a in ('169.254.169.254', '100.64.0.1', '224.0.0.1')),
        *((a, False) for a in ('239.1.1.1', '240.0.0.1', '255.255.255.255')),
        *((a, False) for a in ('198.18.0.1', '192.0.2.1', '0.1.2.3')),
        *((a, False) for a in ('::1', '::', 'fe80::1', 'fc00::1', 'fd12::1')),
        *((a, False) for a in ('ff02::1', 'fec0::1', '2001:db8::1')),
        *((a, False) for a in ('::ffff:127.0.0.1', '::ffff:10.0.0.1')),
        *((a, False) for a in ('::127.0.0.1', '64:ff9b::7f00:1')),
        *((a, False) for a in ('64:ff9b:1::1', '2002:7f00:1::1')),
        *((a, False) for a in ('2001:0:7f00:1::', '100::1')),
    ],
)
def test_public_addresses(address: str, expected: bool) -> None:
    assert post.ispublic(ipaddress.ip_address(address)) is expected


@pytest.mark.parametrize(
    ('addresses', 'refused'),
    [
        ([HOST], True),
        (['8.8.8.8', '10.0.0.1'], True),
        (['fe80::1%lo'], True),
        (['::ffff:127.0.0.1'], True),
    ],
)
def test_names_of_private_addresses(
    addresses: list[str], refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is enough, and nobody is connected to."""
    monkeypatch.setattr(
        'socket.getaddrinfo', lambda *a, **k: [_info(a) for a in addresses]
    )
    monkeypatch.setattr('socket.socket.connect', None)
    found = posted(hook(80, 'ci.example.org', allowprivate=False))
    assert found.status == 0
    assert 'no public address' in found.trouble
    assert 'webhook.ci:allow-private' in found.trouble


def _info(address: str, port: int = 80) -> Any:
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    return family, socket.SOCK_STREAM, 0, '', (address, port)


def test_a_name_is_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the connection goes to what was looked at; the receiver is told the
    name."""
    asked: list[str] = []
    with receiving() as receiver:

        def resolve(host: str, port: int, **more: Any) -> Any:
            asked.append(host)
            # the first does not answer
            return [_info('127.0.0.2', receiver.port), _info(HOST, port)]

        monkeypatch.setattr('socket.getaddrinfo', resolve)
        answer = posted(hook(receiver.port, 'ci.example.org'))
        assert answer == (204, '')
        assert asked == ['ci.example.org']
        (message,) = receiver.messages
        assert message.heads['host'] == f'ci.example.org:{receiver.port}'


def test_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are checked, with Mercurial's settings."""
    cert, key = tmp_path / 'cert.pem', tmp_path / 'key.pem'
    certify(cert, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with receiving(context) as receiver:
        port = receiver.port
        monkeypatch.setattr(
            'socket.getaddrinfo', lambda *a, **k: [_info(HOST, port)]
        )
        ui = uimod.ui()
        ui.setconfig(b'web', b'cacerts', os.fsencode(cert))
        assert posted(hook(port, 'localhost', istls=True), ui) == (204, '')
        (message,) = receiver.messages
        assert message.heads['host'] == f'localhost:{port}'
        monkeypatch.setattr(ui, '_write', lambda *a, **k: None)
        for host, other in (('localhost', uimod.ui()), ('other.example', ui)):
            other.pushbuffer(error=True)
            found = posted(hook(port, host, istls=True), other)
            other.popbuffer()
            assert found.status == 0
            assert 'certificate' in found.trouble.lower()
        assert len(receiver.messages) == 1


# -- the configuration


def configured(**items: str) -> Any:
    ui = uimod.ui()
    for name, value in items.items():
        ui.setconfig(b'bundlestore', name.encode(), value.encode())
    return ui


@pytest.mark.parametrize(
    ('url', 'reason'),
    [
        ('ftp://ci.example.org/', 'the URL begins with'),
        ('https:///path', 'no host'),
        ('https://ci.example.org:99999/', 'no host'),
        ('https://ci .example.org/', 'the URL begins with'),
        ('https://ci.example.org/\r\nX: y', 'the URL begins with'),
        ('https://ci.example.org/\u00e4', 'the URL begins with'),
        ('https://[::1/', 'no host'),
        ('https://' + 'x' * 70 + '.org/', 'no host'),
        ('https://alice@ci.example.org/', 'a URL with a password'),
        ('//ci.example.org/', 'the URL begins with'),
    ],
)
def test_what_is_no_url(url: str, reason: str) -> None:
    with pytest.raises(error.ConfigError) as caught:
        webhooks.read(configured(**{'webhook.ci': url}), b'ci')
    assert caught.value.message.startswith(b'bundlestore.webhook.ci: ')
    assert reason.encode() in caught.value.message


def test_what_is_configured(tmp_path: Path) -> None:
    path = tmp_path / 'secret'
    items = {
        'webhook.ci': 'HTTPS://CI.example.org?token=1',
        'webhook.ci:secret-file': str(path),
        'webhook.odd name': 'https://ci.example.org',
    }
    with pytest.raises(error.Abort, match='No such file'):
        webhooks.read(configured(**items), b'ci')
    path.write_text('whsec_x')
    with pytest.raises(error.ConfigError, match='the file has no secret'):
        webhooks.read(configured(**items), b'ci')
    path.write_text(SECRET)
    path.chmod(0o640)
    found = webhooks.read(configured(**items), b'ci')
    assert found[:6] == (
        *('ci', True, 'ci.example.org', 443, '/?token=1', False),
    )
    assert not found.isopen
    items['webhook.ci'] = 'http://[::1]:8010/x#fragment'
    items['webhook.ci:allow-private'] = 'yes'
    path.chmod(0o644)
    found = webhooks.read(configured(**items), b'ci')
    assert found[:6] == ('ci', False, '::1', 8010, '/x', True)
    assert found.isopen
    with pytest.raises(error.ConfigError, match='a name has up to 50'):
        webhooks.read(configured(**items), b'odd name')


# -- real processes


@pytest.mark.slow('three starts, and a push')
@matrix.over('path')
def test_a_killed_process(
    transport: Transport,
    base: Repo,
    client: Repo,
) -> None:
    with receiving() as receiver:
        secret = hooked(base, receiver)
        # no push may start one
        secret.rename(secret.with_name('away'))
        client.commit({'a': 'a'}, 'one')
        client.run('push', '--bundle-store')
        secret.with_name('away').rename(secret)
        killed = threading.Event()
        receiver.answer = lambda message: 204 if killed.wait(20) else 500
        process = base.start(DELIVER)
        receiver.wait(1)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        killed.set()
        done = base.run(DELIVER)
        assert done.out == 'ci: told of 0 pushes, another process is at it\n'
        expire(base)
        done = base.run(DELIVER)
        assert done.out == 'ci: told of 1 push, nothing is owed\n'
        assert receiver.pushes == [1, 1]
        assert len({message.id for message in receiver.messages}) == 1


def expire(base: Repo) -> None:
    """Have the lease of a process that was killed come to its end."""
    path = store.folder(base) / 'index.sqlite3'
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute('UPDATE delivery SET lease = 1')
        database.commit()
