"""What the server logs: whole lines of the grammar in docs/logging.rst."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings, strategies as st

import environments
from harness import rawpush, web
from harness.hg import Repo
from harness.history import History
from harness.nightly import upto
from harness.servers import Transport, WsgiTransport, patiently
from harness.store import bundles, tryurl
from hgext3rd.bundlestore import log as logmod

DOCUMENT = environments.ROOT / 'docs' / 'logging.rst'

# the grammar, from the bottom up
WORD = r'[A-Za-z0-9_.:/+@,-]+'
QUOTED = r'"(?:[ !#-\[\]-~]|\\x[0-9a-f]{2})*"'
FIELD = re.compile(rf' (?P<name>[a-z]+)=(?P<value>{WORD}|{QUOTED})', re.A)
START = re.compile(r'bundlestore (?P<request>[0-9a-f]{8}) (?P<event>[a-z]+)')

#: what blackbox puts in front
PREFIX = r'^[0-9-]{10} [0-9:.]{12} \S+ @[0-9a-f+]+ \([0-9]+\)> '

HOSTILE = 'x" stored push=7 user=root\n2026-01-01 root> %s %(a)s \\ \x1b[2J é\''


#: what the store makes of such a user
SHOWN = HOSTILE.replace('\n', '\ufffd000a').replace('\x1b', '\ufffd001b')


class Line(NamedTuple):
    request: str
    event: str
    fields: dict[str, str]


def parsed(text: str) -> Line:
    """Return what a line says; it must have the form of the grammar."""
    start = START.match(text)
    assert start, text
    offset = start.end()
    fields: dict[str, str] = {}
    while offset < len(text):
        field = FIELD.match(text, offset)
        assert field, (text, offset)
        assert field['name'] not in fields, text
        fields[field['name']] = plain(field['value'])
        offset = field.end()
    return Line(start['request'], start['event'], fields)


def plain(value: str) -> str:
    if value.startswith('"'):
        data = re.sub(
            rb'\\x(..)', lambda m: bytes([int(m[1], 16)]), value[1:-1].encode()
        )
        return data.decode('utf-8', 'surrogateescape')
    return value


def documented() -> dict[str, set[str]]:
    """Return the fields of each event, by the table."""
    table = re.search(
        r'^event .*?\n=+ +=+\n(.*?)^=+ +=+$', DOCUMENT.read_text(), re.M | re.S
    )
    assert table
    rows = {}
    for row in re.split(r'^(?=``)', table[1], flags=re.M)[1:]:
        event, *fields = re.findall('``([a-z]+)``', row)
        rows[event] = set(fields)
    return rows


@settings(max_examples=upto(30, 100))
@given(st.one_of(st.binary(max_size=600), st.text(max_size=300)))
@example('a\nb\r\tc\x7f"\\')
def test_values(value: bytes | str) -> None:
    """Whatever a user chooses is one value, and can be read again."""
    data = value if isinstance(value, bytes) else value.encode('utf-8')
    encoded = logmod.encoded(value).decode('ascii')
    assert encoded.isprintable()
    line = parsed(f'bundlestore 01234567 event one={encoded} two=2')
    expected = data if len(data) <= 500 else data[:500] + b'...'
    got = line.fields['one'].encode('utf-8', 'surrogateescape')
    assert got == expected
    assert line.fields['two'] == '2'


def test_lists() -> None:
    assert logmod.encoded(['a', b'b']) == b'a,b'
    assert logmod.encoded([]) == b'""'
    assert logmod.encoded(map(str, range(12))) == b'0,1,2,3,4,5,6,7,8,9,...'


def ours(path: Path) -> list[str]:
    """Return the lines of the bundle store among all events."""
    text = path.read_text('ascii')
    found = re.findall(PREFIX + '(bundlestore .*)\n', text, re.M)
    assert len(found) == len(re.findall('bundlestore [0-9a-f]{8} ', text))
    return found


@pytest.fixture
def lines(transport: Transport, base: Repo) -> Callable[..., list[Line]]:
    """Wait until the server has logged so many lines since the last time, and
    return them."""
    # in the configuration of the server it is told of all repositories, with
    # those that are there for one request
    with open(transport.rc, 'a') as file:
        file.write('[extensions]\nblackbox =\n')
    transport.restart()
    path = base.path / '.hg' / 'blackbox.log'
    seen = 0

    def new(count: int = 1) -> list[Line]:
        nonlocal seen
        for _ in patiently():
            # the last of an answer may be there before it is logged
            texts = ours(path)
            if len(texts) >= seen + count:
                break
        fresh, seen = texts[seen:], len(texts)
        assert len(fresh) == count
        found = []
        for text in fresh:
            found.append(parsed(text))
        for line in found:
            known = documented()[line.event]
            assert line.event == 'admin' or known.issuperset(line.fields), line
        return found

    return new


def account(transport: Transport, user: str) -> list[str]:
    """Return the configuration of a client whose account is shared."""
    script = transport.root / 'shared-account'
    script.write_text(
        f'#!/bin/sh\nREMOTE_USER={shlex.quote(user)}\nexport REMOTE_USER\n'
        f'exec {transport.hg.executable} "$@"\n'
    )
    script.chmod(0o755)
    return [f'ui.remotecmd={script}']


@pytest.mark.parametrize('transport_name', ['ssh'])
def test_pushes_and_pulls(
    transport: Transport,
    base: Repo,
    client: Repo,
    newclient: Callable[..., Repo],
    hashes: History,
    lines: Callable[..., list[Line]],
) -> None:
    first = client.commit({'a': 'a\n'}, 'first')
    second = client.commit({'a': 'aa\n'}, 'second')
    name = 'scratch/x" user=root %s é'
    client.run(
        'push', '-r', second, '-B', name, config=account(transport, HOSTILE)
    )
    (bundle,) = bundles(base)
    stored, moved = lines(2)
    assert stored.event == 'stored'
    assert stored.fields == {
        'push': '1',
        'user': SHOWN,
        'by': 'ssh',
        'changesets': '2',
        'heads': second[:12],
        'bytes': str(bundle.stat().st_size),
        'bundle': bundle.name,
        'rests': '0',
    }
    assert moved == Line(
        stored.request,
        'bookmark',
        {
            'name': name,
            'user': SHOWN,
            'by': 'ssh',
            'node': second,
            'old': 'none',
        },
    )
    # pulls: as it is stored, and a part of it
    for node, way in ((second, 'verbatim'), (first, 'subset')):
        repo = newclient(way)
        repo.run('pull', '-r', node, config=account(transport, 'eve'))
        (served,) = lines()
        assert served.event == 'served'
        assert served.fields['way'] == way
        assert served.fields['user'] == 'eve'
        assert served.fields['heads'] == node[:12]
        assert int(served.fields['bytes']) > 100
        assert served.request != stored.request
    # refusals: of a bookmark, a stream that breaks off, a user
    url = transport.url(base)
    client.run(
        'push',
        '-r',
        first,
        '-B',
        name,
        ok=(100, 255),
        config=account(transport, HOSTILE),
    )
    (refused,) = lines()
    assert (refused.event, refused.fields['user']) == ('refused', SHOWN)
    assert refused.fields['what'] == 'push'
    assert 'would not move forward' in refused.fields['reason']
    third = client.commit({'b': 'b\n'}, 'third', parent=hashes.tagged)
    data = rawpush.make(client, [third], [hashes.tagged])
    rawpush.send(client, url, [data[: len(data) // 2]])
    (refused,) = lines()
    assert (refused.event, refused.fields['what']) == ('refused', 'push')
    assert refused.fields['reason']
    client.run('push', '--force', '-B', name, ok=(1,))
    (deleted,) = lines()
    assert (deleted.event, deleted.fields['node']) == ('bookmark', 'none')
    assert deleted.fields['old'] == second
    base.configure('bundlestore', {'deny-push': '*'})
    client.run('push', '--bundle-store', '-r', third, ok=(100, 255))
    (refused,) = lines()
    assert refused.event == 'refused'
    assert 'may not push' in refused.fields['reason']
    # who works for the server
    base.run('admin::bundlestore-verify', config=['extensions.blackbox='])
    (admin,) = lines()
    assert (admin.event, admin.fields['command']) == ('admin', 'verify')
    # nothing of it is where the client is
    assert not list(client.path.glob('.hg/blackbox*'))


@pytest.mark.slow('a WSGI server of its own')
@pytest.mark.parametrize('webconfig', [{'allow-push': 'alice, bob'}])
@pytest.mark.parametrize('transport_name', ['wsgi'])
def test_web(
    transport: WsgiTransport,
    base: Repo,
    client: Repo,
    vanilla: Repo,
    lines: Callable[..., list[Line]],
) -> None:
    first = client.commit({'a': 'a\n'}, 'first')
    node = client.commit({'a': 'aa\n'}, 'second')
    client.run('push', '--bundle-store')
    # a client logs in when it is asked to
    asked, stored = lines(2)
    assert (asked.event, asked.fields['user']) == ('refused', '')
    assert asked.request != stored.request
    assert (stored.event, stored.fields['by']) == ('stored', 'http')
    assert stored.fields['user'] == 'alice'
    url = transport.url(base, 'bob')
    for path, expected in (
        (f'/rev/{node}', ('page', {'what': 'rev', 'nodes': node})),
        ('/bundle/1', ('download', {'bundles': '1'})),
    ):
        assert web.get(url + path, user='bob').status == 200
        (line,) = lines()
        assert (line.event, line.fields['user']) == (expected[0], 'bob')
        assert expected[1].items() <= line.fields.items()
    vanilla.run('pull', '-r', first, url)
    (line,) = lines()
    assert (line.event, line.fields['way']) == ('served', 'subset')
    assert line.fields['user'] == '', 'nobody asked who it was'
    # as gunicorn believes of a proxy on this machine
    tls = {'X-Forwarded-Proto': 'https'}
    assert web.get(url + f'/rev/{node}', headers=tls).status == 200
    (line,) = lines()
    assert (line.event, line.fields['by']) == ('page', 'https')
    assert web.get(url + '/bundle/1', headers=tls).status == 200
    (line,) = lines()
    assert (line.event, line.fields['by']) == ('download', 'https')
    answer = web.get(
        url + '?cmd=unbundle',
        headers=tls,
        method='POST',
        body=b'',
        user='carol',
    )
    assert answer.status == 401
    (line,) = lines()
    assert (line.event, line.fields['by']) == ('refused', 'https')
    # whom hgweb does not let in
    base.configure('web', {'deny_push': 'bob'})
    transport.restart()
    client.commit({'b': 'b\n'}, 'third')
    client.run('push', '--bundle-store', url, ok=None)
    _asked, refused = lines(2)
    assert refused.event == 'refused'
    assert refused.fields == {
        'what': 'unbundle',
        'user': 'bob',
        'by': 'http',
        'reason': 'push not authorized',
    }
    # what cannot be had, which goes to the log of the web server, too
    transport.maycrash = True
    (bundle,) = bundles(base)
    bundle.unlink()
    page = web.get(url + f'/rev/{node}', user='bob', headers=tls)
    assert page.status == 500
    (refused,) = lines()
    assert (refused.event, refused.fields['what']) == ('refused', 'rev')
    assert refused.fields['by'] == 'https'
    vanilla.run('pull', '-r', node, url, ok=None)
    (refused,) = lines()
    assert (refused.event, refused.fields['what']) == ('refused', 'pull')


OVERLAY = """\
import sys
from mercurial import extensions, ui as uimod
ui = uimod.ui.load()
extensions.loadall(ui)
extensions.populateui(ui)
from hgext3rd.bundlestore import compat, server
from hgext3rd.bundlestore.bundle import overlay
repo = compat.repository(ui, sys.argv[1].encode())
push = server.of(repo).index.push(1)
view = overlay.openbundles(repo, server.of(repo), [push.key])
view.ui.log(b'one', b'by the overlay\\n')
view.close()
ui.log(b'two', b'by nobody\\n')
"""


@pytest.mark.parametrize('transport_name', ['ssh'])
def test_overlay_logs_as_its_base(
    transport: Transport,
    base: Repo,
    client: Repo,
    lines: Callable[..., list[Line]],
) -> None:
    """blackbox tells the repository that logged last what has none, and must
    not come upon one that is closed."""
    client.commit({'a': 'a\n'}, 'one')
    client.run('push', '--bundle-store')
    subprocess.run(
        [transport.hg.python, '-c', OVERLAY, base.path],
        env=transport.serverenviron,
        check=True,
    )
    text = (base.path / '.hg' / 'blackbox.log').read_text()
    assert text.endswith('> by nobody\n')
    assert '> by the overlay\n' in text


@pytest.mark.parametrize('transport_name', ['ssh'])
def test_try_url_logs_in_its_base(
    transport: Transport,
    base: Repo,
    vanilla: Repo,
    lines: Callable[..., list[Line]],
) -> None:
    """Also where it cannot be written itself."""
    made = tryurl(transport, base)
    # what cannot be written for root, either
    (made.path / '.hg' / 'blackbox.log').mkdir()
    vanilla.commit({'a': 'a\n'}, 'one')
    vanilla.run('push', transport.url(made))
    (stored,) = lines()
    assert (stored.event, stored.fields['by']) == ('stored', 'ssh')


def test_every_event_is_one_of_these() -> None:
    folder = Path(logmod.__file__).parent
    sources = {p: p.read_text() for p in sorted(folder.rglob('*.py'))}
    assert [
        p
        for p, text in sources.items()
        if '.log(' in text and ('ui.log' in text)
    ] == [Path(logmod.__file__)]
