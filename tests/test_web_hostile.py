"""hgweb: whatever a request says, it stays in its place.

The fuzzer (tests/fuzz, target ``web``) asks for more of this kind.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest

import hgext3rd.bundlestore.web
from harness import history, servers
from harness.hg import Repo
from harness.responses import head
from harness.web import get, raw
from hgext3rd.bundlestore.web import hardening, refusals

#: line breaks that begin a header and a page, markup, and what is no text
FORGED = (
    b'a%0d%0a%0d%0a%3Cimg%20src=x%20onerror=alert(1)%3E',
    b'%22%3E%3Cscript%3Ealert(1)%3C/script%3E%C3%A4%FF%00%0dX-Forged:%20yes',
)
#: where a request may say something
PLACES = (
    b'/json-pushes?startID=%s',
    b'/json-pushes?startdate=%s',
    b'/json-pushes?enddate=%s',
    b'/json-pushes?fromchange=%s',
    b'/json-pushes?changeset=%s',
    b'/json-pushes?version=%s',
    b'/pushes?startID=%s',
    b'/pushes?endID=%s&style=x',
    b'/pushes?tochange=scratch/%s',
    b'/pushes?user=%s&text=%s&changeset=%s',
    b'/atom-pushes?startID=%s&user=%s',
    b'/bundle/%s',
    b'/json-bundle/%s',
    b'/bundle/scratch/%s',
    b'/rev/scratch/%s',
    b'/json-rev/scratch/%s',
    b'/raw-rev/scratch/%s',
    b'/?cmd=changeset&node=scratch/%s',
    b'/?cmd=pushes&startID=%s',
    b'/?cmd=bundle&node=%s',
    # pages of a scratch changeset, where Mercurial says what it lacks
    b'/file/NODE/%s',
    b'/json-file/NODE/%s',
    b'/raw-file/NODE/%s',
    b'/json-annotate/NODE/%s',
    b'/archive/NODE.tar.gz/%s',
    b'/archive/NODE?type=%s',
    b'/rev/NODE:%s',
    b'/annotate/NODE/src/main.txt?linerange=%s',
    b'/log/NODE?rev=%s',
)


@servers.overweb('http', later=['wsgi-hgweb'])
@pytest.mark.parametrize('webconfig', [{'allow-archive': 'gz'}])
def test_nothing_is_forged(
    transport: servers.WebTransport,
    base: Repo,
    client: Repo,
    hashes: history.History,
) -> None:
    """No header, no page and no markup of a user's own, and no error of the
    server."""
    # names of files get into headers, too
    names = {'src/main.txt': 'a', 'src/\xe4 \u20ac.txt': 'a'}
    node = client.commit(names, 'a', parent=hashes.merged)
    client.run('push', '--bundle-store', '-r', node, base.path)
    site = transport.url(base)
    for place in (*PLACES, b'/raw-file/NODE/src/\xc3\xa4%%20%%E2%%82%%AC.txt'):
        for text in FORGED if b'%s' in place else FORGED[:1]:
            target = place.replace(b'NODE', node.encode())
            target = target.replace(b'%s', text).replace(b'%%', b'%')
            answer = raw(site, target)
            seen = head(answer)
            assert seen.status < 500, (target, answer)
            assert 'img' not in seen.reason
            if 'text/html' in seen.headers['content-type']:
                assert not re.search(b'<img src=x|<script>alert', answer)


class Templates(dict[bytes, bytes]):
    """What Mercurial has of the templates of a style that lacks nothing."""

    def __init__(self) -> None:
        self._filters: dict[bytes, Callable[[bytes], bytes]] = {}


def test_names_of_people() -> None:
    """Some styles show them as they are."""
    made = Templates()
    hardening.escapemore(made)
    person = made._filters[b'person']
    assert person(b'Alice <alice@example.org>') == b'Alice'
    for name in (b'<script>alert(1)</script>', b'"><img src=x>, a <b@c>'):
        assert not re.search(b'[<>"]', person(name))


def test_status_line_is_one_line() -> None:
    """Nothing of a user's stands in one. Should it all the same, it ends
    nothing."""
    exc = refusals.refusal(400, b'a\r\nX-Forged: yes\r\n\r\n\xe4' + b'x' * 500)
    assert exc.message.startswith(b'a??X-Forged: yes?????xx')
    assert len(exc.message) < 200


def test_one_place() -> None:
    """Errors with a status line are made in one room."""
    folder = Path(hgext3rd.bundlestore.web.__file__).parent
    rooms = [
        path.name
        for path in sorted(folder.parent.rglob('*.py'))
        if re.search(r'ErrorResponse\(', path.read_text('utf-8'))
    ]
    assert rooms == ['refusals.py']


@servers.overweb('http', later=['wsgi-hgweb'])
def test_any_encoding(
    transport: servers.WebTransport,
    base: Repo,
    client: Repo,
    hashes: history.History,
) -> None:
    """Words and names are found in whatever encoding a browser sends them,
    by all pages and by clients."""
    node = client.commit({'a': 'a'}, 'die \xc4nderung\n', parent=hashes.merged)
    client.run(
        *('push', '--bundle-store', '-r', node, '-B', 'scratch/caf\xe9'),
        base.path,
        env={'REMOTE_USER': 'j\xfcrgen'},
    )
    site = transport.url(base)
    for word, name in (
        ('\xe4nderung', 'j\xfcrgen'),
        ('die+%C3%84nder', 'j%C3%BCrgen'),
        ('%E4nderung', 'j%FCrgen'),
    ):
        for path in ('pushes', 'json-pushes', 'atom-pushes'):
            target = f'/{path}?text={word}&user={name}'
            encodings = ['utf-8', 'latin-1']
            if target.isascii():
                encodings = ['ascii']
            elif transport.name != 'http':
                continue  # gunicorn takes no such bytes
            for encoding in encodings:
                answer = raw(site, target.encode(encoding))
                assert head(answer).status == 200, target
                found = node.encode() in answer
                assert found, (target, encoding, answer)
    page = get(f'{site}/pushes?user=j%FCrgen&text=%E4nderung')
    assert 'value="j\xfcrgen"' in page.text
    assert 'value="\xe4nderung"' in page.text
    assert get(f'{site}/json-pushes?user=j%C3%BC%FF').json() == {}
    quoted = urllib.parse.quote('scratch/caf\xe9')
    lookup = raw(site, f'?cmd=lookup&key={quoted}'.encode())
    assert node.encode() in lookup
    sent = [b'X-HgArg-1: key=%s' % quoted.encode()]
    assert node.encode() in raw(site, b'?cmd=lookup', headers=sent)


@servers.overweb('http', 'wsgi')
def test_head(
    transport: servers.WebTransport,
    base: Repo,
    client: Repo,
    hashes: history.History,
) -> None:
    """HEAD tells the length that GET has, or none."""
    node = client.commit({'a': 'a'}, 'a', parent=hashes.merged)
    client.run('push', '--bundle-store', '-r', node, base.path)
    for path in (
        'json-pushes',
        'json-pushes?startID=x',
        'bundlestore-health',
        'bundlestore-metrics',
        'health',
        'pushes',
        'atom-pushes',
        'bundle/1',
        'bundle/2',
        f'rev/{node}',
    ):
        url = f'{transport.url(base)}/{path}'
        asked, got = get(url, method='HEAD'), get(url)
        assert asked.body == b''
        assert asked.status == got.status
        length = asked.headers.get('content-length')
        assert length in (None, str(len(got.body))), asked
