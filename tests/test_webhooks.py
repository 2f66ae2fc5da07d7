"""Web hooks: who is told of pushes and what, with real servers and receivers.

What goes wrong on the way is in ``test_webhooks_faults.py``.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import matrix, prometheus, servers, store, web
from harness.chg import Chg
from harness.commandserver import CommandServer
from harness.hg import Hg, Repo
from harness.receiver import PATIENCE, SECRET, Receiver, hooked, receiving
from harness.servers import Transport, WebTransport
from harness.snapshot import untouched
from hgext3rd.bundlestore import backends, model
from hgext3rd.bundlestore.keep import message, webhooks
from hgext3rd.bundlestore.push import announce
from hgext3rd.bundlestore.start import background

DELIVER = 'admin::bundlestore-deliver'
#: each start of a process in the background is dear
SLOW = pytest.mark.slow('a push, and a process that tells of it')
AGAIN = pytest.mark.nightly('others start such a process, too')


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def push(client: Repo, name: str, *args: str) -> str:
    node = client.commit({name: name}, f'adds {name}')
    client.run('push', '--bundle-store', '-r', node, *args)
    return node


def quiet(base: Repo) -> None:
    """Wait until nobody tells web hooks."""
    end = time.monotonic() + PATIENCE
    with opened(base) as index:
        while any(one.worker for one in index.deliveries().values()):
            assert time.monotonic() < end
            time.sleep(0.01)


@contextlib.contextmanager
def opened(base: Repo) -> Iterator[Any]:
    """Give the index of a repository."""
    place = model.Place(str(store.folder(base)).encode())
    index = backends.openindex('file', place)
    yield index
    index.close()


def zombies(parent: int) -> list[str]:
    """Return the dead children of a process of which it does not know."""
    found = []
    for path in Path('/proc').glob('[0-9]*/stat'):
        try:
            name, _end, rest = path.read_text().rpartition(') ')
        except OSError:
            continue
        state, ppid = rest.split()[:2]
        if (state, int(ppid)) == ('Z', parent):
            found.append(name)
    return found


# -- over each transport


@pytest.mark.parametrize(
    'transport_name',
    ['ssh', *(pytest.param(n, marks=SLOW) for n in ('http', 'wsgi'))],
)
def test_a_push_is_told(
    transport: Transport, base: Repo, client: Repo, receiver: Receiver
) -> None:
    """The push does not wait for the receiver, and leaves nothing behind."""
    hooked(base, receiver)
    base.configure('web', {'baseurl': 'https://hg.example.org/project/'})
    base.configure('push', {'pushvars.server': 'yes'})
    answering = threading.Event()

    def answer(message: Any) -> int:
        return 204 if answering.wait(PATIENCE) else 500

    receiver.answer = answer
    client.commit({'a': 'a'}, 'adds a')
    client.commit({'b': 'b'}, 'adds \u00e4')
    with untouched(base.path):
        node = push(client, 'c', '--pushvars', 'TRY=linux')
    (told,) = receiver.wait(1)
    answering.set()
    quiet(base)
    assert (told.path, told.signatures()) == ('/hooks/ci?a=b', True)
    assert told.heads['host'] == f'127.0.0.1:{receiver.port}'
    assert told.heads['content-type'] == 'application/json'
    body = told.json()
    assert sorted(body) == ['data', 'timestamp', 'type']
    assert body['type'] == 'push'
    data = body['data']
    when = time.gmtime(data['date'])
    assert body['timestamp'] == time.strftime('%Y-%m-%dT%H:%M:%SZ', when)
    assert data.pop('repository') == 'https://hg.example.org/project'
    assert (data.pop('pushid'), data.pop('heads')) == (1, [node])
    assert data['pushvars'] == {'TRY': 'linux'}
    assert [c['desc'] for c in data['changesets']] == [
        *('adds a', 'adds \u00e4', 'adds c')
    ]
    if isinstance(transport, WebTransport):
        page = f'{transport.url(base)}/json-pushes?version=2&full=1'
        assert web.get(page).json()['pushes'] == {'1': data}
        assert transport.process is not None
        pids = [transport.process.pid]
        if isinstance(transport, servers.WsgiTransport):
            pids = transport.workers()
        assert [zombies(pid) for pid in pids] == [[]] * len(pids)
    done = base.run(DELIVER)
    assert done.out == 'ci: told of 0 pushes, nothing is owed\n'
    assert len(receiver.messages) == 1


@pytest.mark.slow('a push of each version')
@pytest.mark.parametrize(
    'version',
    [
        matrix.VERSIONS[0],
        *(pytest.param(v, marks=AGAIN) for v in matrix.VERSIONS[1:-1]),
    ],
)
def test_each_version(
    version: str, hg: Callable[..., Hg], tmp_path: Path, receiver: Receiver
) -> None:
    base = hg(version).init(tmp_path / 'base')
    base.enable()
    servers.serve_bundlestore(base, {}, {})
    hooked(base, receiver)
    client = hg(version).init(tmp_path / 'client')
    client.enable()
    node = client.commit({'a': 'a'}, 'adds a')
    client.run('push', '--bundle-store', '-r', node, base.path)
    (told,) = receiver.wait(1)
    assert told.signatures()
    assert told.json()['data']['heads'] == [node]
    assert told.json()['data']['repository'] is None
    quiet(base)
    assert base.run(DELIVER).err == ''


@SLOW
@matrix.over('path')
def test_a_command_server(
    transport: Transport, base: Repo, client: Repo, receiver: Receiver
) -> None:
    """It stays, and has no dead children."""
    hooked(base, receiver)
    client.commit({'a': 'a'}, 'one')
    server = CommandServer(client)
    code, text = server.run('push', '--bundle-store', str(base.path))
    assert code == 0, text
    receiver.wait(1)
    quiet(base)
    assert zombies(server.pid) == []
    server.close()


@AGAIN
@pytest.mark.realstarts('chg starts its servers itself')
@matrix.over('path')
def test_chg(
    transport: Transport,
    base: Repo,
    client: Repo,
    receiver: Receiver,
    tempfolder: Path,
) -> None:
    from harness import chg as chgmod

    if chgmod.missing() is not None:
        pytest.skip(str(chgmod.missing()))
    hooked(base, receiver)
    client.commit({'a': 'a'}, 'one')
    chg = Chg(matrix.NEWEST, {'TMPDIR': str(tempfolder)})
    try:
        Repo(chg, client.path).run('push', '--bundle-store', str(base.path))
        receiver.wait(1)
        quiet(base)
    finally:
        chg.close()


@AGAIN
@matrix.over('path')
def test_a_try_url(
    transport: Transport, base: Repo, client: Repo, receiver: Receiver
) -> None:
    """It reads the hgrc of its repository."""
    hooked(base, receiver)
    client.commit({'a': 'a'}, 'one')
    client.run('push', store.tryurl(transport, base).path)
    assert receiver.wait(1)[0].push == 1
    quiet(base)


# -- what is told, and what is not


@SLOW
@matrix.over('path')
def test_each_in_its_order(
    transport: Transport, base: Repo, client: Repo, receiver: Receiver
) -> None:
    """A new web hook begins with what is pushed from then on; what fails is
    told again, with the same id, before what comes after it."""
    push(client, 'before')
    assert base.run(DELIVER).out == 'no web hook is configured\n'
    hooked(base, receiver)
    assert base.run(DELIVER, '--dry-run').out == ''
    with opened(base) as index:
        assert index.deliveries() == {}
    receiver.answer = lambda message: 500
    push(client, 'a')
    receiver.wait(1)
    quiet(base)
    # it waits for its time
    push(client, 'b')
    push(client, 'removed')
    push(client, 'c')
    client.run('pushes', '--remove', '4', base.path)
    done = base.run(DELIVER, '--dry-run')
    assert done.out == (
        'ci: is to be told of push 2: HTTP status 500\n'
        'ci: is to be told of push 3\n'
        'ci: is to be told of push 5\n'
    )
    done = base.run(DELIVER, ok=(1,))
    assert done.out == 'ci: told of 0 pushes\n'
    assert done.err.startswith(
        'ci: cannot be told of push 2: HTTP status 500\n'
        '(it is tried again after '
    )
    assert receiver.pushes == [2]
    assert json.loads(base.run('admin::bundlestore-stats', '-Tjson').out)[0][
        'owed'
    ] == {'ci': 3}
    shown = base.run('admin::bundlestore-stats').out
    assert 'owed to:     ci (3)\n' in shown
    metrics = base.run('admin::bundlestore-stats', '--prometheus').out
    assert (
        'hg_bundlestore_webhook_owed_pushes{repository="base",hook="ci"} 3\n'
    ) in metrics
    assert prometheus.parse(metrics)
    done = base.run(DELIVER, '--now', '--quiet', ok=(1,))
    assert done.out == ''
    assert 'ci: cannot be told of push 2: HTTP status 500\n' in done.err
    receiver.answer = lambda message: 204
    done = base.run(DELIVER, '--now', '-Tjson', 'ci')
    assert [
        (one['hook'], one['push'], one['result'], one['attempt'])
        for one in json.loads(done.out)
    ] == [
        *(('ci', 2, 'delivered', 3), ('ci', 3, 'delivered', 1)),
        ('ci', 5, 'delivered', 1),
    ]
    assert receiver.pushes == [2, 2, 2, 3, 5]
    first, second, third, *others = (one.id for one in receiver.messages)
    assert first == second == third
    assert len({first, *others}) == 3
    assert base.run(DELIVER, '--verbose').out == (
        'ci: told of 0 pushes, nothing is owed\n'
    )
    done = base.run(DELIVER, 'other', ok=(10, 255))
    assert done.err == "abort: no web hook 'other'\n(known web hooks: ci)\n"


@SLOW
@matrix.over('path')
def test_who_may_push_and_cannot_sign(
    transport: Transport, base: Repo, client: Repo, receiver: Receiver
) -> None:
    """Others tell of its pushes."""
    path = hooked(base, receiver)
    away = path.rename(path.with_name('away'))
    base.configure('extensions', {'blackbox': ''})
    base.configure('blackbox', {'track': 'bundlestore'})
    client.commit({'a': 'a'}, 'one')
    client.run('push', '--bundle-store')
    log = (base.path / '.hg' / 'blackbox.log').read_text()
    assert ' stored push=1 ' in log
    assert ' webhook ' not in log
    done = base.run(DELIVER, ok=(1,))
    assert done.err == (
        'abort: bundlestore.webhook.ci:secret-file: No such file or directory\n'
    )
    away.rename(path)
    remark = "web hook 'ci' has no note that is up to date\n"
    verify = ('admin::bundlestore-verify', '--quick')
    assert f'remark: {remark}' in base.run(*verify).out
    assert f'repaired: {remark}' in base.run(*verify, '--repair').out
    assert remark not in base.run(*verify).out
    done = base.run(DELIVER, '--dry-run')
    assert done.out == 'ci: is to be told of push 1\n'
    assert base.run(DELIVER).out == 'ci: told of 1 push, nothing is owed\n'
    assert receiver.pushes == [1]
    for path in store.folder(base).glob('index.sqlite3*'):
        path.write_bytes(b'damaged' * 1000)
    base.run(DELIVER, ok=(255,))
    log = (base.path / '.hg' / 'blackbox.log').read_text()
    assert ' webhook result=failed reason="not a bundle index: ' in log


@SLOW
@matrix.over('path')
def test_secrets_are_never_told(
    transport: Transport, base: Repo, client: Repo, receiver: Receiver
) -> None:
    new = f'whsec_{"QUJD" * 10}'
    path = hooked(base, receiver, secrets=f'{new}\n{SECRET}\n')
    path.chmod(0o644)
    base.configure('extensions', {'blackbox': ''})
    base.configure('blackbox', {'track': 'bundlestore'})
    base.configure('bundlestore', {'webhook.off': ''})
    items = {
        'webhook.bad': 'http://alice:hunter2@ci.example.org/token',
        'webhook.bad:secret-file': f'{path}',
        'webhook.none': 'https://ci.example.org/token',
    }
    base.configure('bundlestore', items)
    push(client, 'a')
    # the others do not stop it
    (told,) = receiver.wait(1)
    assert told.signatures(new)
    assert told.signatures(SECRET)
    quiet(base)
    receiver.answer = lambda message: 302
    receiver.more = {'Location': f'http://127.0.0.1:{receiver.port}/other'}
    client.commit({'b': 'b'}, 'two')
    client.run('push', '--bundle-store')
    receiver.wait(2)
    quiet(base)
    done = base.run(DELIVER, '--verbose', '--debug', '--now', ok=(1,))
    assert (
        'ci: cannot be told of push 2: HTTP status 302, and redirects are not'
        ' followed\n'
    ) in done.err
    assert 'warning: everybody may read the secrets of ci\n' in done.err
    assert (
        'abort: bundlestore.webhook.bad: a URL with a password is not taken\n'
        '(the receiver knows the server by the signature)\n'
    ) in done.err
    assert 'abort: bundlestore.webhook.none:secret-file: it is not' in done.err
    assert [one.path for one in receiver.messages] == ['/hooks/ci?a=b'] * 3
    log = (base.path / '.hg' / 'blackbox.log').read_text()
    assert ' webhook hook=ci result=delivered push=1 status=204 ' in log
    assert ' webhook hook=ci result=failed push=2 status=302 ' in log
    for secret in ('hunter2', 'token', 'a=b', 'QUJD', SECRET[6:]):
        assert secret not in done.out + done.err + log


def test_the_signature_of_the_specification() -> None:
    hook: Any = SimpleNamespace(keys=(webhooks._key(SECRET.encode()),))
    heads = webhooks.sign(
        *(hook, 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330),
        b'{"test": 2432232314}',
    )
    assert heads == {
        'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
        'webhook-timestamp': '1614265330',
        'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    }


@pytest.mark.parametrize(
    'secret',
    [
        *(b'', b'whsec_', b'whsec_QUJD', SECRET[6:].encode()),
        SECRET.encode()[:-1],
        SECRET.encode() + b'!',
        b'whsk_' + SECRET.encode()[6:],
    ],
)
def test_what_is_no_secret(secret: bytes) -> None:
    assert webhooks._key(secret) == b''


@SLOW
@matrix.over('path')
def test_a_large_push(
    transport: Transport,
    base: Repo,
    client: Repo,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Changesets are told by their hashes where that is too much, or where the
    bundle cannot be read."""
    node = push(client, 'a')
    from mercurial import hg as hgmod, ui as uimod

    from hgext3rd.bundlestore import server as servermod

    ui = uimod.ui.load()
    ui.readconfig(os.fsencode(base.hgrc), trust=True)
    repo = hgmod.repository(ui, os.fsencode(base.path))
    server: Any = servermod.Server(repo, False)
    stored = server.index.push(1)

    def changesets() -> Any:
        body = json.loads(message.body(repo, server, stored))
        return body['data']['changesets']

    (whole,) = changesets()
    assert (whole['node'], whole['desc']) == (node, 'adds a')
    for name in ('MAX_CHANGESETS', 'MAX_BYTES'):
        with monkeypatch.context() as patch:
            patch.setattr(message, name, 0)
            assert changesets() == [{'node': node}]
    (path,) = store.bundles(base)
    path.write_bytes(b'rot')
    assert changesets() == [{'node': node}]


# -- the push


def test_whatever_fails_is_no_matter_of_the_push(tmp_path: Path) -> None:
    from mercurial import ui as uimod

    ui = uimod.ui()
    ui.setconfig(b'bundlestore', b'webhook.ci', b'https://ci.example.org')
    repo = SimpleNamespace(ui=ui, root=os.fsencode(tmp_path / 'gone'))

    class Broken:
        @property
        def index(self) -> Any:
            raise OSError('broken')

    broken: Any = Broken()
    broken.basevfs = None
    broken.request = SimpleNamespace(id=None)
    assert not announce.prepare(repo, broken)
    # an index that cannot keep it
    unable: Any = SimpleNamespace(index=SimpleNamespace(), basevfs=None)
    assert not announce.prepare(repo, unable)
    announce.start(repo, broken)


def test_one_process_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is started where one is at it already, which looks once more."""
    from mercurial import ui as uimod

    started: list[str] = []
    monkeypatch.setattr(
        background, 'start', lambda *a, folder: started.append('x')
    )
    ui = uimod.ui()
    secret = tmp_path / 'secret'
    secret.write_text(SECRET)
    for item in (b'webhook.ci', b'webhook.mail'):
        ui.setconfig(b'bundlestore', item, b'https://ci.example.org')
        ui.setconfig(
            b'bundlestore', item + b':secret-file', os.fsencode(secret)
        )
    repo = SimpleNamespace(ui=ui, root=os.fsencode(tmp_path))
    index = backends.openindex('file', model.Place(os.fsencode(tmp_path)))
    server: Any = SimpleNamespace(index=index, basevfs=None)
    assert announce.prepare(repo, server)
    announce.start(repo, server)
    assert started == ['x']
    now = time.time()
    for name, change in (
        ('ci', {'worker': 'another', 'lease': now + 60}),
        ('mail', {'again': now + 60}),
    ):
        announce.start(repo, server)
        state = index.deliveries()[name]._replace(**change)
        assert index.setdelivery(state)
    assert started == ['x'] * 3
    announce.start(repo, server)
    assert started == ['x'] * 3
    index.close()


@pytest.mark.parametrize(
    ('found', 'expected'),
    [
        ('/usr/bin/python3.11', '/usr/bin/python3.11'),
        ('/usr/bin/uwsgi-core', '/opt/x/bin/python3'),
        ('', '/opt/x/bin/python3'),
    ],
)
def test_what_runs_python(
    monkeypatch: pytest.MonkeyPatch, found: str, expected: str
) -> None:
    monkeypatch.setattr('sys.executable', found)
    monkeypatch.setattr('sys.exec_prefix', '/opt/x')
    assert background._python() == expected
