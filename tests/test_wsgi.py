"""Under a real WSGI server: several processes, threads, users that log in."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from harness import matrix, servers, web
from harness.hg import Hg, Repo
from harness.servers import WsgiTransport
from harness.snapshot import untouched
from harness.soak import soak
from harness.store import bundles, leftovers

both = servers.overweb('wsgi', 'wsgi-hgweb')


def versions(quick: str) -> pytest.MarkDecorator:
    """Decorate a test that is to run with each version as the server, in both
    ways to serve it; the quick loop has one of them, over ``quick``."""
    return pytest.mark.parametrize(
        ('transport_name', 'server_version'),
        [
            pytest.param(
                *(name, version),
                marks=[]
                if (name, version) == (quick, '6.9.5')
                else [matrix.ANOTHER],
            )
            for name in ('wsgi', 'wsgi-hgweb')
            for version in matrix.VERSIONS
        ],
    )


@pytest.mark.slow('real starts, and two servers')
@pytest.mark.realstarts('as where it is deployed')
@versions('wsgi')
def test_push_pull_and_clone(
    transport: WsgiTransport,
    base: Repo,
    newclient: Callable[..., Repo],
    hg: Callable[..., Hg],
    tmp_path: Path,
    tempfolder: Path,
) -> None:
    client = newclient('client')
    ci = newclient('ci', ext=False)
    node = client.commit({'a': 'a\n'}, 'stored')
    with untouched(base.path):
        result = client.run('push', '--bundle-store')
        assert 'stored 1 changeset as push 1\n' in result.out
        assert client.phase(node) == 'draft'
        ci.run('pull', '-r', node)
        assert ci.phases(f'{node}^ + {node}') == {
            ci.node(f'{node}^'): 'public',
            node: 'draft',
        }
        clone = hg(ext=False).clone(transport.url(base), tmp_path / 'clone')
        assert clone.nodes() == base.nodes()
        assert 'no changes found' in ci.run('pull').out
    assert not leftovers(base, tempfolder)
    # and what is no scratch push lands
    node = ci.commit({'b': 'b\n'}, 'lands', parent=f'{node}^')
    ci.run('push', '-r', '.')
    assert base.node('tip') == node
    assert len(bundles(base)) == 1


@pytest.mark.slow('a WSGI server of its own, many requests')
@versions('wsgi-hgweb')
def test_each_process_sees_what_the_other_stored(
    transport: WsgiTransport, base: Repo, newclient: Callable[..., Repo]
) -> None:
    clients = [newclient(f'client{n}') for n in range(2)]
    ci = newclient('ci', ext=False)
    nodes = [
        client.commit({'a': 'a\n'}, f'from client {n}')
        for n, client in enumerate(clients)
    ]
    workers = transport.workers()
    url = transport.url(base)
    for worker in workers:
        # each has looked, and found nothing
        with transport.only(worker):
            for node in nodes:
                result = ci.run('identify', '-r', node, url, ok=(255,))
                assert 'unknown revision' in result.err
    for number, worker in enumerate(workers):
        with transport.only(worker):
            result = clients[number].run('push', '--bundle-store')
            assert f'as push {number + 1}\n' in result.out
        for reader in workers:
            with transport.only(reader):
                for node in nodes[: number + 1]:
                    result = ci.run('identify', '-r', node, '--id', url)
                    assert result.out == f'{node[:12]}\n'
    for number, reader in enumerate(workers):
        ci = newclient(f'reader{number}', ext=False)
        with transport.only(reader):
            ci.run('pull', '-r', nodes[0], '-r', nodes[1])
        assert sorted(ci.phases('draft()')) == sorted(nodes)
        ci.verify()


@pytest.mark.parametrize('webconfig', [{'allow-push': 'bob'}])
@servers.overweb('wsgi')
def test_users_log_in(
    transport: WsgiTransport, base: Repo, vanilla: Repo
) -> None:
    node = vanilla.commit({'a': 'a\n'}, 'for bob to push')
    anyone = transport.url(base, 'nobody')
    assert '@' not in anyone
    with untouched(base.path):
        for user in ('alice', 'carol'):
            result = vanilla.run('push', transport.url(base, user), ok=(255,))
            assert 'authorization failed' in result.err
        result = vanilla.run('push', anyone, ok=(255,))
        assert 'http authorization required' in result.err
        wrong = anyone.replace('://', '://bob:password-of-alice@')
        result = vanilla.run('push', wrong, ok=(255,))
        assert 'authorization failed' in result.err
    # the way of those who do not want passwords in addresses
    auth = [
        'auth.server.prefix=*',
        'auth.server.schemes=http',
        'auth.server.username=bob',
        'auth.server.password=password-of-bob',
    ]
    vanilla.run('push', anyone, config=auth)
    assert base.node('tip') == node


@pytest.mark.parametrize('webconfig', [{'deny_read': 'carol'}])
@servers.overweb('wsgi')
def test_pages_ask_for_a_login(transport: WsgiTransport, base: Repo) -> None:
    page = transport.url(base, 'nobody') + '/shortlog'
    assert web.get(page, user='bob').status == 200
    assert web.get(transport.url(base, 'bob') + '/shortlog').status == 200
    for user in ('carol', 'nobody'):
        answer = web.get(page, user=user)
        assert answer.status == 401
        assert answer.headers['www-authenticate'].startswith('Basic ')
    # said by a client, it means nothing
    assert web.get(page, {'Remote-User': 'bob'}).status == 401
    assert web.get(page, {'Authorization': 'Basic ???'}).status == 401
    bearer = {'Authorization': 'Bearer Ym9iOnBhc3N3b3JkLW9mLWJvYg=='}
    assert web.get(page, bearer).status == 401


@pytest.mark.slow('a WSGI server of its own')
@pytest.mark.parametrize('webconfig', [{'allow-push': 'bob'}])
@servers.overweb('wsgi')
def test_upload_after_a_challenge(
    transport: WsgiTransport, base: Repo, client: Repo, vanilla: Repo
) -> None:
    """The server asks who it is when the upload has begun: what it did not
    read must not break the connection off before the client has the answer."""
    data = random.Random(1).randbytes(8 * 1024 * 1024)
    node = client.commit({'data': data}, 'much')
    url = transport.url(base, 'bob')
    client.run('push', '--bundle-store', url)
    vanilla.run('pull', '-r', node)
    client.run('push', '--force', url)
    assert base.node('tip') == node


@pytest.mark.slow('a WSGI server for a test of the tests')
@pytest.mark.usefixtures('ownserver')
@servers.overweb('wsgi')
def test_death_of_a_worker_is_noticed(
    transport: WsgiTransport, plainbase: Repo
) -> None:
    os.kill(transport.workers()[0], signal.SIGKILL)
    for _ in servers.patiently():
        if len(transport.workers()) > transport.WORKERS:
            break
    with pytest.raises(AssertionError, match='a worker died'):
        transport.url(plainbase)
    with pytest.raises(AssertionError, match='a worker died'):
        transport.close()


@pytest.mark.slow('a WSGI server for a test of the tests')
@servers.overweb('wsgi')
def test_crash_is_noticed(
    transport: WsgiTransport, plainbase: Repo, tmp_path: Path
) -> None:
    extension = tmp_path / 'crash.py'
    extension.write_text(
        'from mercurial.hgweb import webcommands\n'
        '@webcommands.webcommand(b"crash")\n'
        'def crash(web):\n'
        '    raise ValueError("on purpose")\n'
        'webcommands.crash = crash\n'
    )
    plainbase.configure('extensions', {'crash': str(extension)})
    assert web.get(transport.url(plainbase) + '/crash').status == 500
    # also when the server was restarted since
    transport.restart()
    with pytest.raises(AssertionError, match='ValueError: on purpose'):
        transport.close()


@pytest.mark.slow('a WSGI server for a test of the tests')
@pytest.mark.usefixtures('ownserver')
@servers.overweb('wsgi')
def test_restart_keeps_the_address(
    transport: WsgiTransport, plainbase: Repo
) -> None:
    url = transport.url(plainbase)
    workers = transport.workers()
    transport.restart()
    assert transport.url(plainbase) == url
    assert not {*workers} & {*transport.workers()}
    assert web.get(url).status == 200


@pytest.mark.slow('a WSGI server for a test of the tests')
@both
def test_requests_go_to_the_chosen_worker(
    transport: WsgiTransport, plainbase: Repo
) -> None:
    url = transport.url(plainbase)
    for worker in transport.workers():
        with transport.only(worker):
            pids = {web.get(url).headers['x-worker'] for _ in range(8)}
        assert pids == {str(worker)}


@pytest.mark.slow('a WSGI server of its own')
@servers.overweb('wsgi')
def test_first_requests_at_once(transport: WsgiTransport, base: Repo) -> None:
    """Where the server's configuration turns the extension on, threads do not
    import modules under each other's feet."""
    transport.lazy = True
    with open(transport.rc, 'a', encoding='utf-8') as file:
        file.write('[extensions]\nbundlestore =\n')
    site = transport.url(base)
    pages = ('log', 'rev/tip', 'pushes', 'file/tip', 'json-pushes', 'tags')
    with ThreadPoolExecutor(8) as pool:
        urls = [f'{site}/{page}' for page in pages * 4]
        answers = list(pool.map(web.get, urls))
    assert {answer.status for answer in answers} == {200}


REQUESTS = """\
import gc, io, os, pkgutil, sys
from mercurial.hgweb import hgwebdir

application = hgwebdir(os.fsencode(sys.argv[1]))

def request():
    environ = {
        'REQUEST_METHOD': 'GET', 'PATH_INFO': '/base/log', 'QUERY_STRING': '',
        'SERVER_NAME': 'here', 'SERVER_PORT': '80', 'SCRIPT_NAME': '',
        'SERVER_PROTOCOL': 'HTTP/1.1', 'wsgi.url_scheme': 'http',
        'wsgi.input': io.BytesIO(), 'wsgi.errors': sys.stderr,
        'wsgi.multithread': True, 'wsgi.multiprocess': True,
        'wsgi.run_once': False, 'REMOTE_ADDR': '127.0.0.1',
    }
    told = []
    list(application(environ, lambda status, *more: told.append(status)))
    assert told[0].startswith('200'), told

request()
frozen = gc.get_freeze_count()
# the repository is opened anew for each, the rooms are not looked for again
pkgutil.iter_modules = None
request()
assert gc.get_freeze_count() <= frozen
print(frozen)
"""


@pytest.mark.slow('a web server that starts for real')
@pytest.mark.parametrize('transport_name', ['path'])
@pytest.mark.parametrize('server_version', [matrix.VERSIONS[0], matrix.NEWEST])
def test_hgwebdir_finds_all_loaded(base: Repo, tmp_path: Path) -> None:
    """It collects garbage after each request: not among the modules, which are
    most of what there is."""
    webconf = tmp_path / 'web.conf'
    webconf.write_text(f'[paths]\nbase = {base.path}\n')
    done = subprocess.run(
        [base.hg.python, '-c', REQUESTS, webconf],
        env=base.hg.cleanenviron(),
        stdout=subprocess.PIPE,
        check=True,
    )
    assert int(done.stdout) > 10_000


@pytest.mark.usefixtures('ownserver')
@pytest.mark.slow('a WSGI server of its own')
@servers.overweb('wsgi')
def test_soak(transport: WsgiTransport, plainbase: Repo) -> None:
    url = transport.url(plainbase)
    requests = [partial(web.get, f'{url}/{page}') for page in ('', 'log')]
    figures = soak(transport.workers(), requests, count=40, warmup=20, rounds=2)
    assert [len(samples) for samples in figures.samples.values()] == [3, 3]
    assert figures.memory < 100_000_000
    assert '40 requests from 8 threads' in str(figures)

    def fail() -> None:
        raise ValueError('no answer')

    with pytest.raises(ValueError, match='no answer'):
        soak(transport.workers(), [fail], count=1, warmup=1)
