"""How pushes went: who tells, and who is told."""

from __future__ import annotations

import json
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from mercurial import error

from harness import matrix, servers, store
from harness.hg import Repo
from harness.web import Response, get
from hgext3rd.bundlestore import backends, model
from hgext3rd.bundlestore.bundle import telling
from hgext3rd.bundlestore.fetch import pushlist
from hgext3rd.bundlestore.stores import notes, statusnotes
from hgext3rd.bundlestore.wire.pushes import Query

STATUS = 'admin::bundlestore-status'
SUCCESS: dict[str, Any] = {
    'context': 'linux/test',
    'state': 'success',
    'url': 'https://ci.example.org/1',
    'description': 'all <b>well</b>',
}


def post(
    transport: servers.WebTransport,
    base: Repo,
    body: Any,
    user: str = 'alice',
    id: str = '1',
    kind: str = 'application/json; charset=utf-8',
) -> Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return get(
        f'{transport.url(base)}/push-status/{id}',
        {'Content-Type': kind},
        'POST',
        user,
        data,
    )


def shown(repo: Repo, *args: str) -> Any:
    """Return the statuses of the newest push, without who and when."""
    found = json.loads(repo.run('pushes', '-Tjson', *args).out)[0]['statuses']
    for status in found:
        assert abs(status.pop('date')[0] - time.time()) < 10_000
        del status['user']
    return found


def pushed(base: Repo, client: Repo) -> str:
    node = client.commit({'a': 'a\n'}, 'to be built')
    client.run('push', '--bundle-store', '-r', node, base.path)
    return node


# -- by the web


@servers.overweb('wsgi')
def test_told_by_the_web(
    transport: servers.WebTransport, base: Repo, client: Repo
) -> None:
    pushed(base, client)
    refused = post(transport, base, SUCCESS)
    assert (refused.status, refused.type) == (403, 'application/json')
    assert 'allow-status' in refused.json()['error']
    base.configure('bundlestore', {'allow-status': 'alice'})
    pending = {'context': 'linux/test', 'state': 'pending', 'url': None}
    for body in (pending, SUCCESS):
        answer = post(transport, base, body)
        assert (answer.status, answer.type) == (200, 'application/json')
    told = answer.json()
    assert {name: told[name] for name in SUCCESS} == SUCCESS
    assert (told['push'], told['user']) == (1, 'alice')
    # the same again changes nothing, be it by somebody else
    base.configure('bundlestore', {'allow-status': 'alice, bob'})
    assert post(transport, base, SUCCESS, user='bob').json() == told
    del told['push']
    full = get(f'{transport.url(base)}/json-pushes?full=1').json()
    assert (full['1']['statuses'], full['1']['pushvars']) == ([told], {})
    assert shown(client) == [SUCCESS]
    assert 'status:      1 success\n' in client.run('pushes').out
    assert (
        'status:      linux/test success https://ci.example.org/1 all <b>well'
        in client.run('pushes', '-v').out
    )


@pytest.mark.slow('many requests')
@servers.overweb('wsgi')
def test_refused_by_the_web(
    transport: servers.WebTransport, base: Repo, client: Repo
) -> None:
    pushed(base, client)
    base.configure('bundlestore', {'allow-status': 'alice'})
    assert post(transport, base, SUCCESS, user='bob').status == 403
    refused = post(transport, base, SUCCESS, user=servers.NOBODY)
    assert refused.status == 401
    assert refused.headers['www-authenticate'].startswith('Basic ')
    site = transport.url(base)
    for method in ('GET', 'HEAD', 'PUT'):
        refused = get(f'{site}/push-status/1', method=method, user='alice')
        assert (refused.status, refused.headers['allow']) == (405, 'POST')
    for id in ('2', '0', '9' * 30, 'tip', '1/a', ''):
        refused = post(transport, base, SUCCESS, id=id)
        assert (refused.status, refused.type) == (404, 'application/json'), id
    assert get(f'{site}/status/1', method='POST', user='alice').status == 404
    bodies: list[Any] = [
        *(b'', b'{', b'[]', b'\xff', b'[' * 5000, {}),
        *({**SUCCESS, 'state': state} for state in ('passed', '', 'Pending')),
        *({**SUCCESS, 'context': text} for text in ('', 'x' * 256, 'a\nb')),
        {**SUCCESS, 'state': 1},
        {**SUCCESS, 'context': '\ud800'},
        *({**SUCCESS, 'url': url} for url in ('javascript:x', 'https:', 'a')),
        {**SUCCESS, 'url': 'https://a/' + 'x' * 2000},
        {**SUCCESS, 'description': 'x' * 501},
    ]
    for body in bodies:
        refused = post(transport, base, body)
        assert (refused.status, refused.type) == (400, 'application/json'), body
        assert refused.json()['error']
    assert post(transport, base, b'x' * 20_000).status == 413
    for kind in ('text/plain', 'application/x-www-form-urlencoded'):
        assert post(transport, base, SUCCESS, kind=kind).status == 415
    base.configure('web', {'push_ssl': 'yes'})
    refused = post(transport, base, SUCCESS)
    assert (refused.status, refused.json()['error']) == (403, 'ssl required')
    base.configure('web', {'push_ssl': 'no', 'deny_read': 'alice'})
    assert post(transport, base, SUCCESS).status == 401
    base.configure('web', {'deny_read': ''})
    assert shown(base) == []


# -- on the server, and for who waits


@matrix.over('path', 'ssh')
def test_told_by_the_administrator(
    transport: servers.Transport, base: Repo, client: Repo
) -> None:
    node = pushed(base, client)
    words = [f'--{name}={value}' for name, value in SUCCESS.items()]
    base.run(STATUS, '1', *words)
    base.run(STATUS, node, '--context', 'mac', '--state', 'failure')
    both = [SUCCESS, {**dict.fromkeys(SUCCESS, ''), 'context': 'mac'}]
    both[1]['state'] = 'failure'
    assert shown(client) == both
    told = base.run(STATUS, '1').out.splitlines()
    assert told == [
        'push 1: linux/test success all <b>well</b> https://ci.example.org/1',
        'push 1: mac failure',
    ]
    for wrong, message in (
        (['2', *words], "no push '2'"),
        (['1', '--context', 'x'], 'a status has both --context and --state'),
        (['1', '--context', 'x', '--state', 'y'], 'the state is one of'),
    ):
        refused = base.run(STATUS, *wrong, ok=(10, 100, 255))
        assert f'abort: {message}' in refused.err
    # what is noted beside the bundle
    place = model.Place(str(store.folder(base)).encode())
    kept = backends.openstore('file', place)
    (name,) = statusnotes.pushes(kept)
    assert isinstance(name, notes.PushName)
    assert [s.context for s in statusnotes.read(kept, name).statuses] == [
        *('linux/test', 'mac')
    ]


@matrix.over('ssh', later=['http'])
def test_waiting(
    transport: servers.Transport, base: Repo, client: Repo
) -> None:
    node = pushed(base, client)
    for given, message in (
        (['1', '--timeout', '0'], 'nobody has told yet how push 1 goes'),
        (['7'], "no push '7'"),
        (['1', '--timeout', 'x'], '--timeout is not a number of seconds'),
        (['1', '-l', '3'], 'cannot specify both --wait and --limit'),
    ):
        refused = client.run('pushes', '--wait', *given, ok=(10, 100, 255))
        assert message in refused.err
    set_ = (STATUS, '1', '--context', 'linux/test', '--state')
    base.run(*set_, 'pending')
    refused = client.run('pushes', '--wait', '1', '--timeout', '0', ok=(255,))
    assert 'push 1 has not ended yet: linux/test' in refused.err
    timer = threading.Timer(0.5, base.run, [*set_, 'success'])
    timer.start()
    done = client.run('pushes', '--wait', node)
    timer.join()
    assert done.out == 'status:      linux/test success\n'
    base.run(STATUS, '1', '--context', 'mac', '--state', 'error')
    failed = client.run('pushes', '--wait', '1', '-Tjson', ok=(1,))
    (found,) = json.loads(failed.out)
    assert [one['state'] for one in found['statuses']] == ['success', 'error']


@pytest.mark.slow('a push more')
@pytest.mark.parametrize('transport_name', ['ssh'])
def test_removed_with_the_push(
    transport: servers.Transport, base: Repo, client: Repo
) -> None:
    pushed(base, client)
    base.run(STATUS, '1', '--context', 'a', '--state', 'success')
    client.run('pushes', '--remove', '1')
    place = model.Place(str(store.folder(base)).encode())
    kept = backends.openstore('file', place)
    assert list(kept.notes('status/')) == []
    base.run('admin::bundlestore-verify')


def test_an_index_that_keeps_none() -> None:
    """Nobody waits for what cannot come, and lists go on."""
    index = SimpleNamespace(pushes=lambda **_wanted: [])
    server = SimpleNamespace(index=index)
    assert pushlist.page(None, server, Query(limit=1))['pushes'] == []
    with pytest.raises(error.Abort, match='cannot keep statuses'):
        pushlist.page(None, server, Query(limit=1, statuses=True))
    assert telling.statusesof(server, [1]) == {}
